//! Shapley values (Shapley, 1953; for predictions Štrumbelj and Kononenko, 2014, and Lundberg and Lee, 2017): what each part
//! adds to the number that is explained, on average over all orders in which parts may come.

use crate::error::Result;
use crate::faithfulness::shuffled;
use crate::removal::Removal;

/// Most parts of which all coalitions are computed.
pub const MOST_EXACT: usize = 10;
/// Orders that are drawn of more parts; each comes a second time in reverse.
pub const PERMUTATIONS: usize = 200;

/// Shapley values and how they were found.
#[derive(Debug, Clone, PartialEq)]
pub struct Shapley {
    /// Of each part; their sum is the number of the whole input less the expectation.
    pub values: Vec<f64>,
    /// The number without any part.
    pub expectation: f64,
    /// Orders that were drawn; none if all coalitions were computed.
    pub permutations: Option<usize>,
}

/// Shapley values: exact of at most [`MOST_EXACT`] parts, else from [`PERMUTATIONS`] orders.
///
/// # Errors
/// As [`Removal::scores`].
pub fn shapley(removal: &mut dyn Removal) -> Result<Shapley> {
    if removal.parts() <= MOST_EXACT { exact(removal) } else { sampled(removal, PERMUTATIONS) }
}

/// Shapley values from all coalitions.
///
/// # Errors
/// As [`Removal::scores`].
pub fn exact(removal: &mut dyn Removal) -> Result<Shapley> {
    let parts = removal.parts();
    let coalition = |bits: usize| (0..parts).map(|part| bits >> part & 1 == 1).collect::<Vec<bool>>();
    let scores = removal.scores(&(0..1 << parts).map(coalition).collect::<Vec<_>>())?;
    // The share of orders in which a part comes after so many given ones: k! (n - k - 1)! / n!.
    let share = |others: u32| {
        let binomial = (0..others).fold(1.0, |b, i| b * f64::from(parts as u32 - 1 - i) / f64::from(i + 1));
        1.0 / (binomial * parts as f64)
    };
    let of = |part: usize| {
        let without = (0..scores.len()).filter(|bits| bits >> part & 1 == 0);
        without.map(|bits| share(bits.count_ones()) * (scores[bits | 1 << part] - scores[bits])).sum()
    };
    Ok(Shapley { values: (0..parts).map(of).collect(), expectation: scores[0], permutations: None })
}

/// Shapley values from orders that are drawn, by a seed that is always the same. Half of them are the others in reverse
/// (Mitchell et al., 2022). Their sum is exact, too.
///
/// # Errors
/// As [`Removal::scores`].
pub fn sampled(removal: &mut dyn Removal, permutations: usize) -> Result<Shapley> {
    let parts = removal.parts();
    let (mut values, mut expectation, mut drawn) = (vec![0.0; parts], 0.0, 0);
    for seed in 0..permutations.div_ceil(2) as u64 {
        let order = shuffled(parts, seed);
        let reverse = order.iter().rev().copied().collect();
        for order in [order, reverse] {
            let mut kept = vec![vec![false; parts]];
            for &part in &order {
                let mut next = kept[kept.len() - 1].clone();
                next[part] = true;
                kept.push(next);
            }
            let scores = removal.scores(&kept)?;
            order.iter().zip(scores.windows(2)).for_each(|(&part, pair)| values[part] += pair[1] - pair[0]);
            expectation = scores[0];
            drawn += 1;
        }
    }
    values.iter_mut().for_each(|value| *value /= f64::from(drawn));
    Ok(Shapley { values, expectation, permutations: Some(drawn as usize) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x0 + 2 x1 + 6 x0 x2, of parts that are 1 or 0.
    struct Game(usize);

    impl Removal for Game {
        fn parts(&self) -> usize {
            self.0
        }
        fn scores(&mut self, kept: &[Vec<bool>]) -> Result<Vec<f64>> {
            let x = |kept: &Vec<bool>, part: usize| f64::from(u8::from(kept[part]));
            Ok(kept.iter().map(|k| 5.0 + x(k, 0) + 2.0 * x(k, 1) + 6.0 * x(k, 0) * x(k, 2)).collect())
        }
    }

    #[test]
    fn what_parts_add_together_is_shared_between_them() {
        for found in [exact(&mut Game(4)).unwrap(), sampled(&mut Game(4), 2).unwrap()] {
            assert_eq!(found.expectation, 5.0);
            for (value, expected) in found.values.iter().zip([4.0, 2.0, 3.0, 0.0]) {
                assert!((value - expected).abs() < 1e-12, "{found:?}");
            }
        }
        let many = shapley(&mut Game(12)).unwrap();
        assert_eq!(many.permutations, Some(PERMUTATIONS));
        assert!((many.values.iter().sum::<f64>() - 9.0).abs() < 1e-12 && (many.values[1] - 2.0).abs() < 1e-12);
    }
}
