//! Two ways on the same test rows.

use serde::{Deserialize, Serialize};

/// Random signs that are tried.
const DRAWS: u32 = 10_000;

/// How a way compares with the recommended one on the same test rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Versus {
    /// Its mean score of a row less that of the recommended way: of accuracy, of log loss, or of squared or absolute
    /// standardised errors.
    pub difference: f64,
    /// The 95 % interval of that.
    pub interval: [f64; 2],
    /// The chance of a difference at least as large between ways that are equally good: McNemar's exact test (1947) of rows
    /// that one of both has right, or else random signs of the rows' differences (Fisher, 1935).
    pub p_value: f64,
}

/// Compares scores of the same rows.
pub(super) fn versus(own: &[f32], recommended: &[f32]) -> Option<Versus> {
    if own.len() != recommended.len() || own.is_empty() {
        return None;
    }
    let differences: Vec<f64> = own.iter().zip(recommended).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
    let rows = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / rows;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (rows - 1.0).max(1.0);
    let half = 1.96 * (variance / rows).sqrt();
    let of_two_values = differences.iter().all(|d| [-1.0, 0.0, 1.0].contains(d));
    let p_value = if of_two_values {
        let count = |wanted: f64| differences.iter().filter(|&&d| d == wanted).count() as u64;
        mcnemar(count(1.0), count(-1.0))
    } else {
        signs(&differences)
    };
    Some(Versus { difference: mean, interval: [mean - half, mean + half], p_value })
}

/// Of rows that only one of both has right, the chance that they are shared out so unequally, or more, by coins.
fn mcnemar(first: u64, second: u64) -> f64 {
    let all = first + second;
    // Logarithms, since the powers of many coins vanish.
    let mut log_choose = 0.0;
    let mut tail = 0.0;
    for k in 0..=first.min(second) {
        tail += (log_choose - all as f64 * 2.0_f64.ln()).exp();
        log_choose += ((all - k) as f64 / (k + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

/// The share of random signs by which the sum is as far from 0.
fn signs(differences: &[f64]) -> f64 {
    let wanted = differences.iter().sum::<f64>().abs() - 1e-12;
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut as_far = 0;
    for _ in 0..DRAWS {
        let (mut sum, mut bits) = (0.0, 0);
        for (i, difference) in differences.iter().enumerate() {
            if i % 64 == 0 {
                // Xorshift (Marsaglia, 2003).
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                bits = state;
            }
            sum += if bits >> (i % 64) & 1 == 1 { *difference } else { -difference };
        }
        as_far += u32::from(sum.abs() >= wanted);
    }
    f64::from(as_far + 1) / f64::from(DRAWS + 1)
}

#[cfg(test)]
mod tests {
    use super::{mcnemar, versus};

    #[test]
    fn the_exact_test_is_the_textbook_one() {
        // scipy.stats.binomtest(3, 15).pvalue and (5, 12)
        assert!((mcnemar(3, 12) - 0.035_156_25).abs() < 1e-9);
        assert!((mcnemar(7, 5) - 0.774_414_062_5).abs() < 1e-9);
        assert!((mcnemar(0, 0) - 1.0).abs() < 1e-12);
        assert!(mcnemar(0, 5_000) < 1e-300);
    }

    #[test]
    fn errors_that_differ_on_every_row_are_no_chance_and_equal_ones_are() {
        let (small, large): (Vec<f32>, Vec<f32>) = ((0..50).map(|_| 1.0).collect(), (0..50).map(|_| 1.5).collect());
        let apart = versus(&large, &small).unwrap();
        assert!(apart.p_value < 1e-3 && (apart.difference - 0.5).abs() < 1e-6, "{apart:?}");
        let mixed: Vec<f32> = (0..50).map(|i| if i % 2 == 0 { 0.7 } else { 1.3 }).collect();
        let equal = versus(&mixed, &small).unwrap();
        assert!(equal.p_value > 0.5 && equal.interval[0] < 0.0 && equal.interval[1] > 0.0, "{equal:?}");
        assert_eq!(versus(&small[1..], &small), None);
    }
}
