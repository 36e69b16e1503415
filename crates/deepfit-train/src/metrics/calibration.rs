//! The expected calibration error, its interval and the reliability diagram.

use serde::{Deserialize, Serialize};

use super::interval::Z;

/// Bins of equal width of the confidence, as in Guo et al. 2017, over which the expected calibration error is taken.
pub const ECE_BINS: usize = 15;

const BINS: usize = ECE_BINS;

/// A bin of a reliability diagram (A. H. Murphy and R. L. Winkler, "Reliability of subjective probability forecasts of
/// precipitation and temperature", 1977). Bins without examples are left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Confidences of the bin: above the first and at most the second.
    pub confidence: [f64; 2],
    /// Number of examples.
    pub count: u64,
    /// Their mean confidence.
    pub mean_confidence: f64,
    /// The share of them that is right.
    pub accuracy: f64,
}

/// Examples of one bin of the confidence. Sums are of weighted examples.
#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    count: u64,
    weight: f64,
    confidence: f64,
    /// Sum of correct (0 or 1) minus confidence.
    gap: f64,
    /// Sums of the squared weights, times the gap, times its square.
    of_squared: [f64; 3],
    /// Variance of `gap` if confidences were the chances of being correct.
    calibrated_variance: f64,
}

/// Confidence against accuracy, in bins of equal width.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calibration {
    bins: [Bin; BINS],
}

impl Calibration {
    pub(crate) fn add(&mut self, confidence: f64, correct: bool, weight: f64) {
        // Bins are open below and closed above, as in Guo et al. 2017.
        let at = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        let bin = &mut self.bins[at];
        let (gap, squared) = (f64::from(u8::from(correct)) - confidence, weight * weight);
        bin.count += 1;
        bin.weight += weight;
        bin.confidence += weight * confidence;
        bin.gap += weight * gap;
        bin.of_squared[0] += squared;
        bin.of_squared[1] += squared * gap;
        bin.of_squared[2] += squared * gap * gap;
        bin.calibrated_variance += squared * confidence * (1.0 - confidence);
    }

    /// The expected calibration error; `None` without examples.
    pub(crate) fn error(&self) -> Option<f64> {
        let weight: f64 = self.bins.iter().map(|bin| bin.weight).sum();
        (weight > 0.0).then(|| self.bins.iter().map(|bin| bin.gap.abs()).sum::<f64>() / weight)
    }

    /// The bins that have examples.
    pub(crate) fn table(&self) -> Vec<ReliabilityBin> {
        let bin = |(at, bin): (usize, &Bin)| ReliabilityBin {
            confidence: [at as f64 / BINS as f64, (at + 1) as f64 / BINS as f64],
            count: bin.count,
            mean_confidence: bin.confidence / bin.weight,
            accuracy: ((bin.confidence + bin.gap) / bin.weight).clamp(0.0, 1.0),
        };
        self.bins.iter().enumerate().filter(|(_, bin)| bin.count > 0).map(bin).collect()
    }

    /// Interval of the expected calibration error.
    ///
    /// A sum of absolute values of noisy gaps is too large on average, most so for a calibrated network, where
    /// resampling would never reach the true 0. So the gaps measured are shrunk by one factor, and those factors are
    /// kept for which the error measured is within `Z` standard deviations of what it would be on average, the sum
    /// of a gap of a bin being normal and its absolute value folded normal. The interval is made to contain the
    /// error measured, which can be above the true error in all likelihood.
    pub(crate) fn interval(&self) -> Option<[f64; 2]> {
        let error = self.error()?;
        let measured: f64 = self.bins.iter().map(|bin| bin.gap.abs()).sum();
        let gaps: Vec<(f64, f64)> = self
            .bins
            .iter()
            .filter(|bin| bin.count > 0)
            .map(|bin| {
                // Of gaps around their mean, as of weighted sums.
                let (mean, [weights, first, second]) = (bin.gap / bin.weight, bin.of_squared);
                let variance = second - 2.0 * mean * first + mean * mean * weights;
                (bin.gap, variance.max(bin.calibrated_variance).sqrt())
            })
            .collect();
        // Mean and standard deviation of the sum of absolute gaps.
        let expected = |factor: f64| {
            let (mean, variance) = gaps.iter().fold((0.0, 0.0), |(mean, variance), &(gap, sd)| {
                let folded = folded_normal_mean(factor * gap.abs(), sd);
                let second_moment = factor * gap * factor * gap + sd * sd;
                (mean + folded, variance + (second_moment - folded * folded).max(0.0))
            });
            (mean, variance.sqrt())
        };
        let too_small = |factor: f64| {
            let (mean, sd) = expected(factor);
            mean + Z * sd < measured
        };
        let too_large = |factor: f64| {
            let (mean, sd) = expected(factor);
            mean - Z * sd > measured
        };
        let low = if too_small(0.0) { boundary(0.0, 1.0, too_small) } else { 0.0 };
        let mut most = 1.0;
        while !too_large(most) && most * error < 1.0 && error > 0.0 {
            most *= 2.0;
        }
        let high = boundary(0.0, most, |factor| !too_large(factor));
        Some([(low * error).min(error), (high * error).clamp(error, 1.0)])
    }
}

/// The point between `low` and `high` up to which `holds` is true.
fn boundary(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        if holds(middle) { low = middle } else { high = middle }
    }
    high
}

/// Mean of the absolute value of a normal variable of mean `mean` >= 0.
fn folded_normal_mean(mean: f64, sd: f64) -> f64 {
    if sd <= 0.0 {
        return mean;
    }
    let x = mean / (sd * std::f64::consts::SQRT_2);
    sd * std::f64::consts::FRAC_2_SQRT_PI / std::f64::consts::SQRT_2 * (-x * x).exp() + mean * erf(x)
}

/// The error function for x >= 0 within 1.5e-7 (Abramowitz and Stegun, "Handbook of Mathematical Functions", 7.1.26).
fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592]
        .iter()
        .fold(0.0, |sum, coefficient| sum * t + coefficient);
    1.0 - polynomial * t * (-x * x).exp()
}

#[cfg(test)]
mod tests {
    use super::{Calibration, erf, folded_normal_mean};

    #[test]
    fn the_folded_mean_is_the_textbook_one() {
        assert!((erf(0.5) - 0.520_499_877_813).abs() < 2e-7);
        assert!((folded_normal_mean(0.0, 3.0) - 3.0 * (2.0 / std::f64::consts::PI).sqrt()).abs() < 1e-6);
        assert!((folded_normal_mean(40.0, 2.0) - 40.0).abs() < 1e-9);
        // scipy.stats.foldnorm.mean(0.5, scale=2), whose first argument is mean / sd
        assert!((folded_normal_mean(1.0, 2.0) - 1.791186229605224).abs() < 1e-6);
    }

    #[test]
    fn a_confidence_on_an_edge_is_in_the_bin_below() {
        let mut calibration = Calibration::default();
        calibration.add(1.0, true, 1.0);
        calibration.add(0.0, false, 1.0);
        calibration.add(9.0 / 15.0, true, 1.0);
        assert_eq!(calibration.bins.map(|bin| bin.count), [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    }
}
