//! Chances under a null hypothesis, by which a check decides whether there is something to tell.

/// The chance that a standard normal value is at least `z`: half of `erfc(z / √2)`, by the series of the error function near 0
/// and, beyond, by the continued fraction of its complement (Abramowitz and Stegun, 7.1.6 and 7.1.14), so that tiny chances
/// have the right order of magnitude, too.
pub(super) fn normal_tail(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let upper = if x < 2.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        0.5 * (1.0 - 2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum)
    } else {
        let fraction = (1..=80).rev().fold(x, |below, n| x + f64::from(n) / 2.0 / below);
        0.5 * (-x * x).exp() / std::f64::consts::PI.sqrt() / fraction
    };
    if z >= 0.0 { upper } else { 1.0 - upper }
}

/// The chance that at least `found` of `count` independent trials succeed, each with the chance `each`.
pub(super) fn binomial_tail(found: usize, count: usize, each: f64) -> f64 {
    if found == 0 || each >= 1.0 {
        return 1.0;
    }
    if found > count || each <= 0.0 {
        return 0.0;
    }
    // Logarithms, since the powers of many trials vanish.
    let (mut log_choose, mut tail) = (0.0, 0.0);
    for k in 0..=count {
        if k >= found {
            tail += (log_choose + k as f64 * each.ln() + (count - k) as f64 * (1.0 - each).ln()).exp();
        }
        log_choose += ((count - k) as f64 / (k + 1) as f64).ln();
    }
    tail.min(1.0)
}

/// The area under the ROC curve of scores that should be higher in the second sample, and the chance of one at least as large
/// if both samples are of the same distribution: the test of Mann and Whitney (1947), in its normal approximation with ties.
pub(super) fn ranked_higher(first: &[f32], second: &[f32]) -> (f64, f64) {
    let (m, n) = (first.len() as f64, second.len() as f64);
    if first.is_empty() || second.is_empty() {
        return (0.5, 1.0);
    }
    let mut all: Vec<(f32, bool)> =
        first.iter().map(|&score| (score, false)).chain(second.iter().map(|&score| (score, true))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut ranks, mut ties, mut before) = (0.0, 0.0, 0.0);
    for equal in all.chunk_by(|a, b| a.0 == b.0) {
        let size = equal.len() as f64;
        let rank = before + (size + 1.0) / 2.0;
        ranks += rank * equal.iter().filter(|(_, second)| *second).count() as f64;
        ties += size.powi(3) - size;
        before += size;
    }
    let area = (ranks - n * (n + 1.0) / 2.0) / (m * n);
    let total = m + n;
    let variance = m * n / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
    if variance <= 0.0 {
        return (0.5, 1.0);
    }
    // Half a rank: the sum of ranks is not continuous.
    let z = ((area - 0.5) * m * n - 0.5) / variance.sqrt();
    (area, normal_tail(z))
}

/// The chance that two samples of one distribution differ as much as these do, by the largest distance of their distribution
/// functions (Kolmogorov and Smirnov; the limit for many values, which overstates the chance where values are equal).
pub(super) fn same_distribution(first: &mut [f64], second: &mut [f64]) -> f64 {
    first.sort_by(f64::total_cmp);
    second.sort_by(f64::total_cmp);
    let (m, n) = (first.len(), second.len());
    if m == 0 || n == 0 {
        return 1.0;
    }
    let (mut i, mut j, mut most) = (0, 0, 0.0_f64);
    while i < m && j < n {
        let value = first[i].min(second[j]);
        while i < m && first[i] <= value {
            i += 1;
        }
        while j < n && second[j] <= value {
            j += 1;
        }
        most = most.max((i as f64 / m as f64 - j as f64 / n as f64).abs());
    }
    let root = (m as f64 * n as f64 / (m + n) as f64).sqrt();
    // With the correction of Stephens (1970) for small samples.
    let x = (root + 0.12 + 0.11 / root) * most;
    if x < 0.2 {
        return 1.0;
    }
    let sum: f64 = (1..=100)
        .map(|k| {
            let sign = if k % 2 == 1 { 1.0 } else { -1.0 };
            sign * (-2.0 * f64::from(k * k) * x * x).exp()
        })
        .sum();
    (2.0 * sum).clamp(0.0, 1.0)
}

/// The chance that the shares of two samples differ as much as these counts do, by Pearson's statistic, whose distribution is
/// taken from the normal one (Wilson and Hilferty, 1931). Values that are rare in both count as one.
pub(super) fn same_shares(first: &[usize], second: &[usize]) -> f64 {
    let (m, n): (usize, usize) = (first.iter().sum(), second.iter().sum());
    if m == 0 || n == 0 {
        return 1.0;
    }
    let share = m.min(n) as f64 / (m + n) as f64;
    let (mut cells, mut rare) = (Vec::new(), (0, 0));
    for (&a, &b) in first.iter().zip(second) {
        // The approximation needs five expected values in each cell.
        if (a + b) as f64 * share >= 5.0 {
            cells.push((a, b));
        } else {
            rare = (rare.0 + a, rare.1 + b);
        }
    }
    if (rare.0 + rare.1) as f64 * share >= 5.0 {
        cells.push(rare);
    }
    if cells.len() < 2 {
        return 1.0;
    }
    let (m, n) = (cells.iter().map(|c| c.0).sum::<usize>() as f64, cells.iter().map(|c| c.1).sum::<usize>() as f64);
    let statistic: f64 = cells
        .iter()
        .map(|&(a, b)| {
            let all = (a + b) as f64;
            let (of_first, of_second) = (all * m / (m + n), all * n / (m + n));
            (a as f64 - of_first).powi(2) / of_first.max(1e-9) + (b as f64 - of_second).powi(2) / of_second.max(1e-9)
        })
        .sum();
    let freedom = (cells.len() - 1) as f64;
    let spread = 2.0 / (9.0 * freedom);
    normal_tail(((statistic / freedom).cbrt() - (1.0 - spread)) / spread.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_of_the_normal_distribution_are_those_of_the_tables() {
        for (z, tail) in
            [(0.0, 0.5), (1.0, 0.158_655_25), (1.959_964, 0.025), (3.0, 1.349_898e-3), (6.0, 9.865_876e-10)]
        {
            assert!((normal_tail(z) / tail - 1.0).abs() < 1e-5, "{z}: {}", normal_tail(z));
        }
        assert!((normal_tail(-1.0) - 0.841_344_75).abs() < 1e-7);
        // Both formulas meet where one takes over from the other.
        let at = 2.0 * std::f64::consts::SQRT_2;
        assert!((normal_tail(at - 1e-9) / normal_tail(at + 1e-9) - 1.0).abs() < 1e-7);
    }

    #[test]
    fn binomial_tails_add_up_coins() {
        assert!((binomial_tail(8, 10, 0.5) - 56.0 / 1024.0).abs() < 1e-12);
        assert_eq!(binomial_tail(0, 10, 0.5), 1.0);
        assert_eq!(binomial_tail(11, 10, 0.5), 0.0);
        assert!((binomial_tail(1, 1000, 0.001) - 0.632_304_6).abs() < 1e-6);
    }

    #[test]
    fn equal_samples_are_the_same_and_shifted_ones_are_not() {
        let values = |from: f64| (0..200).map(|i| from + f64::from(i * 37 % 200)).collect::<Vec<f64>>();
        assert!(same_distribution(&mut values(0.0), &mut values(1.0)) > 0.9);
        // A distance of 0.25 between the distribution functions of twice 200 values: a chance of 7e-6.
        let far = same_distribution(&mut values(0.0), &mut values(50.0));
        assert!((2e-6..2e-5).contains(&far), "{far}");
        let scores = |from: f64| values(from).iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let (area, chance) = ranked_higher(&scores(0.0), &scores(100.0));
        assert!((area - 0.875).abs() < 0.01 && chance < 1e-20, "{area} {chance}");
        let (area, chance) = ranked_higher(&[1.0; 50], &[1.0; 50]);
        assert_eq!((area, chance), (0.5, 1.0));
    }

    #[test]
    fn shares_are_compared_by_their_counts() {
        assert!(same_shares(&[50, 50], &[52, 48]) > 0.5);
        // Pearson's statistic is 8 with one degree of freedom: 0.0047.
        let chance = same_shares(&[50, 50], &[70, 30]);
        assert!((0.003..0.006).contains(&chance), "{chance}");
        assert_eq!(same_shares(&[100, 1], &[100, 0]), 1.0, "too few to tell");
    }
}
