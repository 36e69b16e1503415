//! The check by shuffled weights (Adebayo et al., "Sanity checks for saliency maps", 2018): an explanation that stays the same when
//! what was learned is destroyed does not explain what was learned.

use deepfit_graph::philox::Stream;

use crate::explainer::Explainer;
use crate::explanation::{Attributions, Explanation};
use crate::subject::Subject;

impl Explainer {
    /// Destroys what the network has learned: the values of each of its weights change places. What is explained afterwards
    /// is to be held against what was explained before, by [`likeness`].
    pub fn shuffle_weights(&mut self) {
        self.subject.shuffle_weights();
    }
}

impl Subject {
    fn shuffle_weights(&mut self) {
        let engine = self.engine_mut();
        let names: Vec<String> = engine.parameters().map(|(name, ..)| name.to_string()).collect();
        for name in names {
            let mut stream = Stream::new(0, &name);
            let Some(values) = engine.parameter_mut(&name) else { continue };
            for last in (1..values.len()).rev() {
                let other = (u64::from(stream.next_u32()) * (last as u64 + 1)) >> 32;
                values.swap(last, other as usize);
            }
        }
    }
}

/// How alike two explanations of the same input are, whatever their sizes: the size of Spearman's rank correlation of their
/// attributions, 0 to 1; nothing if they are of different parts.
pub fn likeness(one: &Explanation, other: &Explanation) -> Option<f64> {
    let values = |explanation: &Explanation| -> Vec<f64> {
        match &explanation.attributions {
            Attributions::Pixels(map) => map.values.clone(),
            Attributions::Named(values) => values.iter().map(|(_, value)| *value).collect(),
        }
    };
    let (one, other) = (values(one), values(other));
    (one.len() == other.len()).then(|| correlation(&ranks(&one), &ranks(&other)).abs())
}

/// Ranks of values; equal ones share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut begin = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let mean = begin as f64 + (equal.len() - 1) as f64 / 2.0;
        equal.iter().for_each(|&at| ranks[at] = mean);
        begin += equal.len();
    }
    ranks
}

/// Pearson's correlation; 0 where either is all the same.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let (of_a, of_b) = (mean(a), mean(b));
    let (mut both, mut first, mut second) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        both += (a - of_a) * (b - of_b);
        first += (a - of_a).powi(2);
        second += (b - of_b).powi(2);
    }
    if first > 0.0 && second > 0.0 { both / (first * second).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_correlation_is_that_of_scipy() {
        // scipy.stats.spearmanr([1, 2, 2, 5, 9], [3, 1, 4, 4, 0]).
        let of = |a: &[f64], b: &[f64]| correlation(&ranks(a), &ranks(b));
        assert!((of(&[1.0, 2.0, 2.0, 5.0, 9.0], &[3.0, 1.0, 4.0, 4.0, 0.0]) + 0.289_473_684_210_526_3).abs() < 1e-12);
        assert!((of(&[1.0, 2.0, 3.0], &[10.0, 20.0, 1e9]) - 1.0).abs() < 1e-12);
        assert_eq!(of(&[1.0, 1.0], &[0.0, 3.0]), 0.0);
    }
}
