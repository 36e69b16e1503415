//! Isotonic regression: the rising curve that is nearest to what was observed.

use serde::{Deserialize, Serialize};

/// A rising curve from a probability to the share of examples that were right, as points `(x, y)` between which it is a line;
/// constant beyond both ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Isotonic {
    points: Vec<[f64; 2]>,
}

impl Isotonic {
    /// The rising function of least weighted squares by pooling neighbours that fall (M. Ayer and others, "An empirical
    /// distribution function for sampling with incomplete information", 1955), of `(x, y, weight)`; each pool is a point at
    /// its mean x (A. P. Oron and N. Flournoy, "Centered isotonic regression", 2017). `None` of nothing.
    pub fn fit(examples: &[(f64, f64, f64)]) -> Option<Isotonic> {
        let mut sorted = examples.to_vec();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Sums of weight, weighted x and weighted y.
        let mut pools: Vec<[f64; 3]> = Vec::new();
        let mut last = f64::NAN;
        for (x, y, weight) in sorted.into_iter().filter(|(.., weight)| *weight > 0.0) {
            let own = [weight, weight * x, weight * y];
            // Equal inputs are one, whatever came of them.
            match pools.last_mut() {
                Some(pool) if x == last => add(pool, own),
                _ => pools.push(own),
            }
            last = x;
        }
        let mut rising: Vec<[f64; 3]> = Vec::with_capacity(pools.len());
        for pool in pools {
            rising.push(pool);
            while let [.., before, own] = rising[..]
                && before[2] / before[0] >= own[2] / own[0]
            {
                rising.pop();
                if let Some(before) = rising.last_mut() {
                    add(before, own);
                }
            }
        }
        let points: Vec<[f64; 2]> = rising.iter().map(|[weight, x, y]| [x / weight, y / weight]).collect();
        (!points.is_empty()).then_some(Isotonic { points })
    }

    /// The value at x.
    pub fn at(&self, x: f64) -> f64 {
        let after = self.points.partition_point(|[at, _]| *at <= x);
        let (Some(before), Some(next)) = (after.checked_sub(1).map(|i| self.points[i]), self.points.get(after)) else {
            let end = if after == 0 { self.points.first() } else { self.points.last() };
            return end.map_or(x, |[_, y]| *y);
        };
        before[1] + (next[1] - before[1]) * (x - before[0]) / (next[0] - before[0])
    }

    /// Whether it is a rising curve of probabilities, as one that was fitted is.
    pub fn is_sound(&self) -> bool {
        let within = |[x, y]: &[f64; 2]| (0.0..=1.0).contains(x) && (0.0..=1.0).contains(y);
        let rises = |pair: &[[f64; 2]]| pair[0][0] < pair[1][0] && pair[0][1] <= pair[1][1];
        !self.points.is_empty() && self.points.iter().all(within) && self.points.windows(2).all(rises)
    }
}

fn add(pool: &mut [f64; 3], other: [f64; 3]) {
    pool.iter_mut().zip(other).for_each(|(sum, more)| *sum += more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_fall_are_pooled() {
        // sklearn.isotonic.IsotonicRegression().fit_transform([1, 2, 3, 4, 5], [1, 0, 2, 5, 4]) is [.5, .5, 2, 4.5, 4.5].
        let curve =
            Isotonic::fit(&[(3.0, 2.0, 1.0), (1.0, 1.0, 1.0), (2.0, 0.0, 1.0), (4.0, 5.0, 1.0), (5.0, 4.0, 1.0)]);
        assert_eq!(curve.unwrap().points, [[1.5, 0.5], [3.0, 2.0], [4.5, 4.5]]);
        // With sample_weight=[3, 1, 1]: [.75, .75, 2].
        let curve = Isotonic::fit(&[(1.0, 1.0, 3.0), (2.0, 0.0, 1.0), (3.0, 2.0, 1.0)]).unwrap();
        assert_eq!(curve.points, [[1.25, 0.75], [3.0, 2.0]]);
        assert_eq!((curve.at(0.0), curve.at(1.25), curve.at(2.125), curve.at(9.0)), (0.75, 0.75, 1.375, 2.0));
    }

    #[test]
    fn equal_inputs_are_one_point() {
        let curve = Isotonic::fit(&[(0.5, 1.0, 1.0), (0.5, 0.0, 1.0), (0.7, 1.0, 1.0)]).unwrap();
        assert_eq!(curve.points, [[0.5, 0.5], [0.7, 1.0]]);
        assert!(curve.is_sound() && Isotonic::fit(&[]).is_none());
        assert!(!Isotonic { points: vec![[0.5, 0.5], [0.4, 0.6]] }.is_sound());
    }
}
