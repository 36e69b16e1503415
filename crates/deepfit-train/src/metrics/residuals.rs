//! How residuals are distributed.

use serde::{Deserialize, Serialize};

use super::moments::Moments;

/// Bins an octave as a power of two: quantiles are wrong by at most 1/64 of their size.
const RESOLUTION: u32 = 5;

/// Summary of the residuals, target minus prediction, in the units of the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResidualSummary {
    /// Number of residuals.
    pub count: u64,
    /// Mean: above 0 if predictions are too small.
    pub mean: f64,
    /// Sample standard deviation; 0 of one residual.
    pub sd: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Quantiles as `[share, value]` at [`ResidualSummary::SHARES`], each value within 1/64 of its own size of the
    /// residual of that rank.
    pub quantiles: Vec<[f64; 2]>,
}

impl ResidualSummary {
    /// The shares whose quantiles are given.
    pub const SHARES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
}

/// A stream of residuals: moments, extremes, and a histogram whose bins grow with the distance to 0, so that a
/// quantile has a bounded relative error at any scale (as in C. Masson, J. E. Rim and H. K. Lee, "DDSketch: a fast
/// and fully-mergeable quantile sketch with relative-error guarantees", 2019, with the bits of the floating-point
/// number in place of its logarithm).
#[derive(Debug, Clone)]
pub(crate) struct Residuals {
    moments: Moments,
    min: f64,
    max: f64,
    /// Negative bins by descending size, then positive ones by ascending size.
    bins: Vec<f64>,
}

/// Bins of one sign: 8 bits of exponent, `RESOLUTION` bits of mantissa.
const BINS: usize = 1 << (8 + RESOLUTION);

fn bin(residual: f64) -> usize {
    // Distances above the largest f32 fall in the last bin, those below the smallest normal one in the first.
    let size = (residual.abs() as f32).min(f32::MAX);
    let at = (size.to_bits() >> (23 - RESOLUTION)) as usize;
    if residual < 0.0 { BINS - 1 - at } else { BINS + at }
}

/// The middle of a bin.
fn value(bin: usize) -> f64 {
    let (sign, at) = if bin < BINS { (-1.0, BINS - 1 - bin) } else { (1.0, bin - BINS) };
    let edge = |at: usize| f64::from(f32::from_bits((at as u32) << (23 - RESOLUTION)).min(f32::MAX));
    if at == 0 { 0.0 } else { sign * 0.5 * (edge(at) + edge(at + 1)) }
}

impl Residuals {
    pub(crate) fn new() -> Self {
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Residuals { moments: Moments::default(), min, max, bins: vec![0.0; 2 * BINS] }
    }

    pub(crate) fn add(&mut self, residual: f64, weight: f64) {
        self.moments.add_weighted(residual, weight);
        self.min = self.min.min(residual);
        self.max = self.max.max(residual);
        self.bins[bin(residual)] += weight;
    }

    pub(crate) fn reset(&mut self) {
        self.moments = Moments::default();
        (self.min, self.max) = (f64::INFINITY, f64::NEG_INFINITY);
        self.bins.fill(0.0);
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.bins.as_slice())
    }

    pub(crate) fn summary(&self) -> Option<ResidualSummary> {
        let count = self.moments.count();
        Some(ResidualSummary {
            count,
            mean: self.moments.mean()?,
            sd: self.moments.sd().unwrap_or(0.0),
            min: self.min,
            max: self.max,
            quantiles: ResidualSummary::SHARES.iter().map(|&share| [share, self.quantile(share)]).collect(),
        })
    }

    fn quantile(&self, share: f64) -> f64 {
        // Of residuals without weights, the rank of the one that is nearest.
        let count = self.moments.count() as f64;
        let rank = (share * (count - 1.0)).round() * self.moments.weight() / count;
        let mut seen = 0.0;
        let found = self.bins.iter().position(|&count| {
            seen += count;
            seen > rank
        });
        found.map_or(self.max, value).clamp(self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::{BINS, bin, value};

    #[test]
    fn a_bin_gives_its_values_back_within_one_part_in_64() {
        let mut last = 0;
        for exponent in -300..300 {
            let size = 1.1f64.powi(exponent);
            for residual in [size, -size] {
                assert!((value(bin(residual)) - residual).abs() <= size / 64.0, "{residual}");
            }
            assert!(bin(size) >= last);
            last = bin(size);
        }
        assert_eq!(value(bin(0.0)), 0.0);
        assert_eq!(value(bin(1e-45)), 0.0);
        assert!(bin(f64::MAX) < 2 * BINS && value(bin(f64::MAX)).is_finite());
        assert!(bin(-f64::MAX) < BINS && value(bin(-f64::MAX)) < -1e38);
    }
}
