//! Correlation of numbers, and of their ranks.

/// Pearson's correlation, -1 to 1; nothing where either is constant. The correlation of [`ranks`] is Spearman's.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum = |x: &[f64], mx: f64, y: &[f64], my: f64| x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum::<f64>();
    let spread = (sum(a, mean_a, a, mean_a) * sum(b, mean_b, b, mean_b)).sqrt();
    (spread > 0.0).then(|| (sum(a, mean_a, b, mean_b) / spread).clamp(-1.0, 1.0))
}

/// Ranks, from 0; equal values share the mean of theirs.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut begin = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = begin as f64 + (equal.len() - 1) as f64 / 2.0;
        equal.iter().for_each(|&at| ranks[at] = rank);
        begin += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_are_those_of_scipy() {
        assert!((pearson(&[1.0, 2.0, 3.0], &[2.0, 4.0, 7.0]).unwrap() - 0.993_399_267_798_783).abs() < 1e-12);
        assert_eq!(pearson(&[1.0, 1.0], &[2.0, 3.0]), None);
        // scipy.stats.spearmanr([1, 2, 2, 5, 9], [3, 1, 4, 4, 0]).
        let of = |a: &[f64], b: &[f64]| pearson(&ranks(a), &ranks(b));
        let found = of(&[1.0, 2.0, 2.0, 5.0, 9.0], &[3.0, 1.0, 4.0, 4.0, 0.0]).unwrap();
        assert!((found + 0.289_473_684_210_526_3).abs() < 1e-12);
        assert!((of(&[1.0, 2.0, 3.0], &[10.0, 20.0, 1e9]).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(of(&[1.0, 1.0], &[0.0, 3.0]), None);
    }

    #[test]
    fn equal_values_share_a_rank() {
        assert_eq!(ranks(&[0.9, 0.1, 0.4, 0.4]), [3.0, 0.0, 1.5, 1.5]);
    }
}
