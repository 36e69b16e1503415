//! Confident learning: rows whose label is probably wrong (C. Northcutt, L. Jiang and I. Chuang, "Confident learning:
//! estimating uncertainty in dataset labels", 2021).

/// A row whose label is probably wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Suspect {
    /// Its place among the rows that were looked at.
    pub(crate) at: usize,
    /// The class that it probably has.
    pub(crate) suggested: usize,
    /// Probability of the class that its label says.
    pub(crate) given: f32,
    /// Probability of the class that is suggested.
    pub(crate) probability: f32,
}

/// Rows whose label is probably wrong, the most suspicious first.
///
/// `probabilities` are `[rows, classes]`, each row's by a network that has not learned from it. A row is suspected if it is given
/// another class at least as confidently as the rows with that label are on average.
pub(crate) fn suspects(probabilities: &[f32], classes: usize, labels: &[usize]) -> Vec<Suspect> {
    let mut sums = vec![(0.0f64, 0u32); classes];
    for (row, &label) in probabilities.chunks_exact(classes.max(1)).zip(labels) {
        if let (Some(sum), Some(&p)) = (sums.get_mut(label), row.get(label)) {
            *sum = (sum.0 + f64::from(p), sum.1 + 1);
        }
    }
    // No row is suspected of a class that none has.
    let thresholds: Vec<f64> =
        sums.iter().map(|&(sum, count)| if count > 0 { sum / f64::from(count) } else { f64::INFINITY }).collect();
    let suspect = |(at, (row, &label)): (usize, (&[f32], &usize))| {
        let confident = (0..classes).filter(|&class| f64::from(row[class]) >= thresholds[class]);
        let suggested = confident.max_by(|&a, &b| row[a].total_cmp(&row[b]))?;
        let (given, probability) = (row[label], row[suggested]);
        (suggested != label && probability > given).then_some(Suspect { at, suggested, given, probability })
    };
    let mut found: Vec<Suspect> =
        probabilities.chunks_exact(classes.max(1)).zip(labels).enumerate().filter_map(suspect).collect();
    found.sort_by(|a, b| (a.given - a.probability).total_cmp(&(b.given - b.probability)).then(a.at.cmp(&b.at)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confident_contradiction_is_suspected_and_doubt_is_not() {
        let probabilities = [0.9, 0.1, 0.8, 0.2, 0.55, 0.45, 0.1, 0.9, 0.2, 0.8, 0.05, 0.95];
        let found = suspects(&probabilities, 2, &[0, 0, 1, 1, 1, 0]);
        let at: Vec<(usize, usize)> = found.iter().map(|suspect| (suspect.at, suspect.suggested)).collect();
        assert_eq!(at, [(5, 1)], "{found:?}");
        assert!(suspects(&[], 2, &[]).is_empty());
    }
}
