//! Numbers brought to a common range, by statistics of the training rows.

use serde::{Deserialize, Serialize};

/// How numeric features are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Mean 0 and deviation 1.
    Standard,
    /// Median 0 and inter-quartile range 1, then bent smoothly to (-3, 3) so that outliers do no harm
    /// (Holzmüller, Grinsztajn & Steinwart 2024, "Better by default").
    #[default]
    Robust,
    /// Ranks mapped to a normal distribution.
    Quantile,
}

/// A fitted scaling of one feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "scaling", rename_all = "snake_case")]
pub enum Scale {
    /// `(x - mean) / deviation`.
    Standard {
        /// Mean.
        mean: f64,
        /// Standard deviation; 1 for a constant.
        deviation: f64,
    },
    /// `z / sqrt(1 + (z / 3)^2)` with `z = factor * (x - median)`.
    Robust {
        /// Median.
        median: f64,
        /// One over the inter-quartile range; 0 for a constant.
        factor: f64,
    },
    /// Interpolated rank among the references, then the inverse of the normal distribution.
    Quantile {
        /// Quantiles at equal steps from the least to the greatest value, not decreasing.
        references: Vec<f64>,
    },
}

/// Quantile `q` (0 to 1) of sorted values, interpolated linearly.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let (low, part) = (position.floor() as usize, position.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] * (1.0 - part) + sorted[high] * part
}

/// Mean and standard deviation, the latter 1 if it is 0.
pub(crate) fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count).sqrt();
    (mean, if deviation > 1e-12 * mean.abs().max(1e-300) { deviation } else { 1.0 })
}

impl Scale {
    /// Fits to sorted, finite values (at least one).
    pub(crate) fn fit(scaling: Scaling, sorted: &[f64]) -> Scale {
        match scaling {
            Scaling::Standard => {
                let (mean, deviation) = moments(sorted);
                Scale::Standard { mean, deviation }
            }
            Scaling::Robust => {
                let median = quantile(sorted, 0.5);
                let quartiles = quantile(sorted, 0.75) - quantile(sorted, 0.25);
                let range = sorted[sorted.len() - 1] - sorted[0];
                let factor = if quartiles > 0.0 {
                    1.0 / quartiles
                } else if range > 0.0 {
                    // More than half of the values are equal.
                    2.0 / range
                } else {
                    0.0
                };
                Scale::Robust { median, factor }
            }
            Scaling::Quantile => {
                let count = sorted.len().clamp(2, 1000);
                let references = (0..count).map(|i| quantile(sorted, i as f64 / (count - 1) as f64)).collect();
                Scale::Quantile { references }
            }
        }
    }

    /// Whether the numbers can be used.
    pub(crate) fn is_sound(&self) -> bool {
        match self {
            Scale::Standard { mean, deviation } => mean.is_finite() && *deviation > 0.0,
            Scale::Robust { median, factor } => median.is_finite() && factor.is_finite(),
            Scale::Quantile { references } => {
                references.len() >= 2 && references.iter().all(|r| r.is_finite()) && references.is_sorted()
            }
        }
    }

    /// The scaled value, finite for every finite input.
    pub fn apply(&self, x: f64) -> f32 {
        let scaled = match self {
            Scale::Standard { mean, deviation } => (x - mean) / deviation,
            Scale::Robust { median, factor } => {
                let z = factor * (x - median);
                // For huge z the square overflows and the limit is +-3.
                if z.abs() > 1e6 { 3.0 * z.signum() } else { z / (1.0 + (z / 3.0) * (z / 3.0)).sqrt() }
            }
            Scale::Quantile { references } => {
                let last = references.len() - 1;
                // The middle of the references equal to x, or the place between its neighbours.
                let below = references.partition_point(|&r| r < x);
                let upto = references.partition_point(|&r| r <= x);
                let position = if upto > below {
                    (below + upto - 1) as f64 / 2.0
                } else if below == 0 {
                    0.0
                } else if below > last {
                    last as f64
                } else {
                    let (low, high) = (references[below - 1], references[below]);
                    (below - 1) as f64 + (x - low) / (high - low)
                };
                // The tails end where a sample of 1000 ends on average.
                inverse_normal((position / last as f64).clamp(1e-3, 1.0 - 1e-3))
            }
        };
        (scaled as f32).clamp(f32::MIN, f32::MAX)
    }
}

/// Inverse of the normal distribution function for 0 < p < 1 by Acklam's rational approximation,
/// relative error below 1.2e-9.
fn inverse_normal(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.38357751867269e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 5] =
        [-5.447609879822406e1, 1.615858368580409e2, -1.556989798598866e2, 6.680131188771972e1, -1.328068155288572e1];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 4] = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416];
    let polynomial = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        polynomial(&C, q) / (polynomial(&D, q) * q + 1.0)
    };
    if p < 0.02425 {
        tail(p)
    } else if p > 1.0 - 0.02425 {
        -tail(1.0 - p)
    } else {
        let q = p - 0.5;
        let r = q * q;
        q * polynomial(&A, r) / (polynomial(&B, r) * r + 1.0)
    }
}

/// The regression target's standardisation and its inverse.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetScale {
    /// Mean of the training targets.
    pub mean: f64,
    /// Standard deviation of the training targets.
    pub deviation: f64,
}

impl TargetScale {
    /// From the target's unit to the network's.
    pub fn forward(&self, value: f64) -> f64 {
        (value - self.mean) / self.deviation
    }

    /// From the network's unit to the target's.
    pub fn inverse(&self, value: f64) -> f64 {
        value * self.deviation + self.mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_follow_their_formulas() {
        let sorted: Vec<f64> = (0..=100).map(f64::from).collect();
        let robust = Scale::fit(Scaling::Robust, &sorted);
        assert_eq!(robust, Scale::Robust { median: 50.0, factor: 0.02 });
        assert!((robust.apply(100.0) - (1.0 / (1.0f32 + 1.0 / 9.0).sqrt())).abs() < 1e-6);
        assert!(robust.apply(1e300) <= 3.0 && robust.apply(-1e300) >= -3.0);
        let standard = Scale::fit(Scaling::Standard, &sorted);
        assert!((standard.apply(50.0 + 29.154_759_474) - 1.0).abs() < 1e-6);
        let quantile = Scale::fit(Scaling::Quantile, &sorted);
        assert!(quantile.apply(50.0).abs() < 1e-6);
        assert!((quantile.apply(97.5) - 1.959_964).abs() < 1e-5);
        assert!((quantile.apply(-1e9) + 3.090_232).abs() < 1e-5);
    }

    #[test]
    fn constants_scale_to_finite_values() {
        for scaling in [Scaling::Standard, Scaling::Robust, Scaling::Quantile] {
            let scale = Scale::fit(scaling, &[4.0, 4.0, 4.0]);
            assert!(scale.apply(4.0).abs() < 1e-6 && scale.apply(1e308).is_finite(), "{scaling:?}");
        }
    }
}
