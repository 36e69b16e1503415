//! 95 % intervals by formula.

use super::moments::Tally;

/// The 97.5 % point of the standard normal distribution.
pub(crate) const Z: f64 = 1.959_963_984_540_054;

/// Interval of the share that a part has of some examples, by the score test (E. B. Wilson, "Probable inference, the law of
/// succession, and statistical inference", 1927). It has a width at 0 and 1 too. `None` without examples.
pub(crate) fn wilson(part: f64, of: &Tally) -> Option<[f64; 2]> {
    of.share(part).map(|share| wilson_of_share(share, of.effective()))
}

/// Wilson's interval of a share `p` that is known as well as from `n` trials, which need not be whole.
pub(crate) fn wilson_of_share(p: f64, n: f64) -> [f64; 2] {
    let scale = 1.0 / (1.0 + Z * Z / n);
    let centre = scale * (p + Z * Z / (2.0 * n));
    let half = scale * Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    // At the ends the limit is the end itself, which rounding would miss.
    let low = if p <= 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if p >= 1.0 { 1.0 } else { (centre + half).min(1.0) };
    [low, high]
}

/// Interval of the mean of independent proportions, each `(successes, trials)`, which need not be whole: Wilson's with as many trials as a
/// single proportion of the same variance has. For the variance each proportion is drawn to the mean by `Z^2` trials
/// (the weight that Wilson's centre gives to one half), since a group without failures is not free of them.
/// Groups without trials do not count; `None` without any.
pub(crate) fn mean_proportion(groups: &[(f64, f64)]) -> Option<[f64; 2]> {
    let groups: Vec<(f64, f64)> = groups.iter().copied().filter(|g| g.1 > 0.0).collect();
    if groups.is_empty() {
        return None;
    }
    let count = groups.len() as f64;
    let mean = groups.iter().map(|(successes, trials)| successes / trials).sum::<f64>() / count;
    let variance_of = |(successes, trials): &(f64, f64)| {
        let share = (successes + Z * Z * mean) / (trials + Z * Z);
        share * (1.0 - share) / trials
    };
    let variance = groups.iter().map(variance_of).sum::<f64>() / (count * count);
    let trials = if variance > 0.0 {
        mean * (1.0 - mean) / variance
    } else {
        count * count / groups.iter().map(|(_, trials)| 1.0 / trials).sum::<f64>()
    };
    Some(wilson_of_share(mean, trials))
}

/// Interval of the mean of positive quantities by normal theory for its logarithm, which suits the skewed
/// distributions of losses better than symmetric limits: the standard error of ln(m) is that of m divided by m.
pub(crate) fn positive_mean(mean: f64, standard_error: f64) -> [f64; 2] {
    let half = if mean > 0.0 { Z * standard_error / mean } else { 0.0 };
    [mean * (-half).exp(), mean * half.exp()]
}

/// Interval of the mean of quantities whose own intervals are known: the distances to the limits are squared and
/// added (G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures", 2008), so that each
/// side keeps its own length. The quantities are independent if `inflation` is 1; it multiplies the variance.
pub(crate) fn of_mean(parts: &[(f64, [f64; 2])], inflation: f64) -> Option<[f64; 2]> {
    if parts.is_empty() {
        return None;
    }
    let n = parts.len() as f64;
    let mean = parts.iter().map(|(estimate, _)| estimate).sum::<f64>() / n;
    let below: f64 = parts.iter().map(|(estimate, [low, _])| (estimate - low).powi(2)).sum();
    let above: f64 = parts.iter().map(|(estimate, [_, high])| (high - estimate).powi(2)).sum();
    Some([mean - (inflation * below).sqrt() / n, mean + (inflation * above).sqrt() / n])
}

/// Interval of an area under the ROC curve of `positives` and `negatives` examples: the areas that the variance of
/// J. A. Hanley and B. J. McNeil ("The meaning and use of the area under a receiver operating characteristic (ROC)
/// curve", 1982) does not rule out. The variance is taken at the area tried instead of the one measured, with both
/// sample sizes replaced by their mean within the bracket (R. G. Newcombe, "Confidence intervals for an effect size
/// measure based on the Mann-Whitney statistic. Part 2", 2006, method 5): so it has a width at an area of 1 too.
pub(crate) fn roc_auc(area: f64, positives: f64, negatives: f64) -> [f64; 2] {
    let (m, n) = (positives, negatives);
    let others = (m + n) / 2.0 - 1.0;
    let ruled_out = |tried: f64| {
        let bracket = 1.0 + others * (1.0 - tried) / (2.0 - tried) + others * tried / (1.0 + tried);
        (tried - area).powi(2) > Z * Z * tried * (1.0 - tried) * bracket / (m * n)
    };
    let limit = |end: f64| {
        let (mut inside, mut outside) = (area, end);
        for _ in 0..60 {
            let middle = 0.5 * (inside + outside);
            if ruled_out(middle) { outside = middle } else { inside = middle }
        }
        outside
    };
    [limit(0.0).min(area), limit(1.0).max(area)]
}

/// Quantile of sorted values, linear between neighbours. `None` of nothing.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = share * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(low + (high - low) * at.fract())
}

#[cfg(test)]
mod tests {
    use super::super::moments::Tally;
    use super::{of_mean, quantile, roc_auc, wilson};

    #[test]
    fn wilson_is_the_textbook_one() {
        let of = |trials: u32| {
            let mut tally = Tally::default();
            (0..trials).for_each(|_| tally.add(1.0));
            tally
        };
        // scipy.stats.binomtest(81, 263).proportion_ci(0.95, method="wilson")
        let [low, high] = wilson(81.0, &of(263)).unwrap();
        assert!((low - 0.255_288_5).abs() < 1e-6, "{low}");
        assert!((high - 0.366_209_6).abs() < 1e-6, "{high}");
        assert_eq!(wilson(0.0, &of(10)).unwrap()[0], 0.0);
        assert_eq!(wilson(10.0, &of(10)).unwrap()[1], 1.0);
        assert_eq!(wilson(0.0, &of(0)), None);
    }

    #[test]
    fn the_mean_of_equal_parts_is_narrower_by_the_root_of_their_number() {
        let [low, high] = of_mean(&[(0.5, [0.3, 0.6]); 4], 1.0).unwrap();
        assert!((low - 0.4).abs() < 1e-12 && (high - 0.55).abs() < 1e-12);
    }

    #[test]
    fn a_perfect_area_has_a_lower_limit_below_one() {
        let [low, high] = roc_auc(1.0, 20.0, 20.0);
        assert!(low > 0.8 && low < 0.95, "{low}");
        assert_eq!(high, 1.0);
        let [low, high] = roc_auc(0.0, 20.0, 20.0);
        assert_eq!(low, 0.0);
        assert!(high > 0.05 && high < 0.2, "{high}");
    }

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), Some(3.0));
        assert_eq!(quantile(&[1.0], 0.025), Some(1.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
