//! LEEP: what the classes of the published network tell of those that are learned (Nguyen et al., "LEEP: A New Measure to
//! Evaluate Transferability of Learned Representations", 2020).

/// The mean logarithm, in nats, of the probability that each row's class has by the network's own classes: each of these
/// stands for what rows the network takes for it, in the shares that it does. 0 is the best, and what the classes'
/// frequencies alone give is the worst. Probabilities are `[rows, network's classes]`. Nothing of no rows.
pub(super) fn leep(probabilities: &[f32], sources: usize, classes: &[usize]) -> Option<f64> {
    let count = classes.iter().max()? + 1;
    let rows: Vec<&[f32]> = probabilities.chunks_exact(sources.max(1)).collect();
    let mut together = vec![0.0_f64; count * sources];
    let mut alone = vec![0.0_f64; sources];
    for (row, &class) in rows.iter().zip(classes) {
        for (source, &probability) in row.iter().enumerate() {
            together[class * sources + source] += f64::from(probability);
            alone[source] += f64::from(probability);
        }
    }
    let expected = |(row, &class): (&&[f32], &usize)| {
        let given = &together[class * sources..][..sources];
        let terms = row.iter().zip(given.iter().zip(&alone)).filter(|(_, (_, alone))| **alone > 0.0);
        let sum: f64 = terms.map(|(&probability, (given, alone))| f64::from(probability) * given / alone).sum();
        sum.max(f64::MIN_POSITIVE).ln()
    };
    let sum: f64 = rows.iter().zip(classes).map(expected).sum();
    Some(sum / classes.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::super::spectrum::tests::features;
    use super::leep;

    #[test]
    fn it_is_the_sum_over_all_pairs_of_classes() {
        let (logits, classes) = features(30, 5, 3);
        let mut probabilities = Vec::new();
        for row in logits.chunks_exact(5) {
            let all: f64 = row.iter().map(|logit| logit.exp()).sum();
            probabilities.extend(row.iter().map(|logit| (logit.exp() / all) as f32));
        }
        // By scripts/reference-hints.py.
        let found = leep(&probabilities, 5, &classes).unwrap();
        assert!((found + 0.967_058_625).abs() < 1e-6, "{found}");
    }

    #[test]
    fn classes_that_are_the_networks_own_are_certain_and_others_are_their_frequencies() {
        let classes = [0, 1, 1, 0];
        assert!(leep(&[1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0], 2, &classes).unwrap().abs() < 1e-9);
        assert!((leep(&[0.5; 8], 2, &classes).unwrap() - 0.5_f64.ln()).abs() < 1e-9);
        assert_eq!(leep(&[], 2, &[]), None);
    }
}
