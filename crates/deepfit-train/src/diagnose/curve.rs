//! The learning curve over sizes of the data: a power law, fitted, checked and continued.
//!
//! The error of a learner on new rows falls with the number n of training rows about as a + b n^-c (C. Cortes et al., "Learning
//! curves: asymptotic values and rate of convergence", 1993; J. Hestness et al., "Deep learning scaling is predictable,
//! empirically", 2017).

use serde::{Deserialize, Serialize};

/// Exponents that are tried.
const EXPONENTS: usize = 60;
const EXPONENT_STEP: f64 = 0.03;
/// Samples of the bootstrap.
const SAMPLES: usize = 500;
/// Further than so many times the data the curve is not continued.
pub(super) const FURTHEST: f64 = 10.0;

/// a + b n^-c, with a and b at least 0 and c above 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PowerLaw {
    /// What the error falls to with any number of rows.
    pub a: f64,
    /// What there is to gain.
    pub b: f64,
    /// How fast.
    pub c: f64,
}

impl PowerLaw {
    /// The error after training with so many rows.
    pub fn at(&self, rows: f64) -> f64 {
        self.a + self.b * rows.powf(-self.c)
    }

    /// Rows that an error needs; nothing where it is never reached.
    pub fn rows_for(&self, error: f64) -> Option<f64> {
        (error > self.a && self.b > 0.0).then(|| (self.b / (error - self.a)).powf(1.0 / self.c))
    }
}

/// A mean error at a size, with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct At {
    pub(super) rows: f64,
    pub(super) mean: f64,
    pub(super) error: f64,
}

/// The curve that fits best by least squares, weighted by the uncertainty of each size; nothing of fewer than three sizes.
pub(super) fn fit(points: &[At]) -> Option<PowerLaw> {
    if points.len() < 3 {
        return None;
    }
    let laws = (1..=EXPONENTS).map(|step| {
        let c = step as f64 * EXPONENT_STEP;
        // Weighted least squares in a and b, neither below 0.
        let mut sums = [0.0; 5];
        for At { rows, mean, error } in points {
            let (x, weight) = (rows.powf(-c), 1.0 / (error * error).max(1e-12));
            for (sum, term) in sums.iter_mut().zip([1.0, x, x * x, *mean, x * mean]) {
                *sum += weight * term;
            }
        }
        let [w, x, xx, y, xy] = sums;
        let b = ((w * xy - x * y) / (w * xx - x * x).max(f64::MIN_POSITIVE)).max(0.0);
        let a = (y - b * x) / w;
        let (a, b) = if a < 0.0 { (0.0, (xy / xx.max(f64::MIN_POSITIVE)).max(0.0)) } else { (a, b) };
        let law = PowerLaw { a, b, c };
        let misfit: f64 = points.iter().map(|p| ((law.at(p.rows) - p.mean) / p.error.max(1e-6)).powi(2)).sum();
        (misfit, law)
    });
    laws.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, law)| law)
}

/// Curves that fit points which differ from these as chance would have it (parametric bootstrap; Efron and Tibshirani, 1993):
/// each by its own uncertainty, all together by that of the rows that all of them are measured on.
pub(super) fn resampled(points: &[At], common: f64, seed: u64) -> Vec<PowerLaw> {
    let mut random = Random(seed);
    (0..SAMPLES)
        .filter_map(|_| {
            let shift = common * random.normal();
            let drawn: Vec<At> = points
                .iter()
                .map(|p| At { mean: (p.mean + shift + p.error * random.normal()).max(0.0), ..*p })
                .collect();
            fit(&drawn)
        })
        .collect()
}

/// The 95 % interval of numbers, of which some may be infinite.
pub(super) fn interval(mut values: Vec<f64>) -> Option<[f64; 2]> {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get(((values.len().checked_sub(1)?) as f64 * share).round() as usize).copied();
    Some([at(0.025)?, at(0.975)?])
}

/// SplitMix64 (G. Steele, D. Lea and C. Flood, 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to below 1.
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Of the standard normal distribution (Box and Muller, 1958).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().max(1e-300).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// In an order by chance (Fisher and Yates, 1938).
    pub(super) fn shuffle(&mut self, rows: &mut [u32]) {
        for last in (1..rows.len()).rev() {
            rows.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(law: PowerLaw, error: f64) -> Vec<At> {
        let mut random = Random(3);
        [100.0, 200.0, 400.0, 700.0, 1000.0]
            .into_iter()
            .map(|rows| At { rows, mean: law.at(rows) + error * random.normal(), error })
            .collect()
    }

    #[test]
    fn a_planted_law_is_found_and_continued() {
        let law = PowerLaw { a: 0.04, b: 2.0, c: 0.6 };
        let found = fit(&points(law, 1e-5)).unwrap();
        assert!((found.a - law.a).abs() < 5e-3 && (found.c - law.c).abs() < 0.05, "{found:?}");
        let (needed, truth) = (found.rows_for(0.05).unwrap(), law.rows_for(0.05).unwrap());
        assert!((needed / truth - 1.0).abs() < 0.25, "{needed} and {truth}");
        assert!(found.rows_for(0.01).is_none());
    }

    #[test]
    fn the_interval_of_noisy_points_holds_the_truth() {
        let law = PowerLaw { a: 0.04, b: 2.0, c: 0.6 };
        let laws = resampled(&points(law, 4e-3), 2e-3, 1);
        let [low, high] = interval(laws.iter().map(|one| one.at(2000.0)).collect()).unwrap();
        assert!(low < law.at(2000.0) && law.at(2000.0) < high && high - low < 0.06, "{low} to {high}");
        let flat = fit(&points(PowerLaw { a: 0.3, b: 0.0, c: 1.0 }, 1e-6)).unwrap();
        assert!((flat.at(5000.0) - 0.3).abs() < 1e-3, "{flat:?}");
        assert!(fit(&points(law, 1e-3)[..2]).is_none() && interval(Vec::new()).is_none());
    }
}
