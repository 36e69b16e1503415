//! Intervals of metrics, by simulation.

use super::*;

#[test]
fn intervals_of_labels_cover_the_truth() {
    // Two labels with half of the information that would tell them for sure, the second one rare.
    let draw = |random: &mut Random, examples: usize| {
        let (mut probabilities, mut targets) = (Vec::new(), Vec::new());
        for _ in 0..examples {
            for share in [0.5, 0.2] {
                let has = random.uniform() < share;
                let x = random.normal() + if has { 2.0 } else { 0.0 };
                let odds = (2.0 * x - 2.0).exp() * share / (1.0 - share);
                probabilities.push((odds / (1.0 + odds)) as f32);
                targets.push(f32::from(u8::from(has)));
            }
        }
        (probabilities, targets)
    };
    let mut random = Random(3);
    let mut all = MultiLabelMetrics::new(2);
    let (probabilities, targets) = draw(&mut random, 300_000);
    all.add(&probabilities, &targets).unwrap();
    let mut truth = serde_json::to_value(all.scores()).unwrap();
    // It has no interval.
    truth.as_object_mut().unwrap().remove("mean_average_precision");
    let shares = coverage(&serde_json::from_value(truth).unwrap(), 400, || {
        let mut metrics = MultiLabelMetrics::with_intervals(2);
        let (probabilities, targets) = draw(&mut random, 150);
        metrics.add(&probabilities, &targets).unwrap();
        metrics.intervals()
    });
    let limits = ["f1_macro", "f1_micro", "subset_accuracy", "log_loss"].map(|name| (name, 0.9, 0.985));
    assert_coverage(&shares, &limits);
}

#[test]
fn intervals_of_weighted_examples_cover_the_truth() {
    // Examples that are drawn the more often the less they weigh, as in a survey.
    let mut random = Random(8);
    let mut truth = ClassificationMetrics::new(2);
    let (probabilities, targets) = simulate(&mut random, 2, 300_000, 1.5, 1.5);
    truth.add(&probabilities, &targets).unwrap();
    let mut metrics = ClassificationMetrics::with_intervals(2);
    let shares = coverage(&truth.scores(), 1000, || {
        metrics.reset();
        let mut kept = 0;
        while kept < 200 {
            let (probabilities, targets) = simulate(&mut random, 2, 1, 1.5, 1.5);
            // What decides about being drawn has to do with the result.
            let share = if targets[0] == 1 { 0.9 } else { 0.3 };
            if random.uniform() < share {
                metrics.add_with(&probabilities, &targets, None, Some(&[1.0 / share])).unwrap();
                kept += 1;
            }
        }
        metrics.intervals()
    });
    let limits = |name, low| (name, low, 0.99);
    assert_coverage(
        &shares,
        &[
            limits("accuracy", 0.92),
            limits("balanced_accuracy", 0.92),
            limits("sensitivity", 0.92),
            limits("specificity", 0.92),
            // The number of examples that tell as much knows nothing of weights that have to do with the result.
            limits("f1", 0.9),
            limits("roc_auc", 0.92),
            limits("log_loss", 0.91),
            limits("brier", 0.91),
            limits("ece", 0.91),
        ],
    );
}

#[test]
fn labels_that_are_all_right_have_intervals_of_a_width() {
    let mut metrics = MultiLabelMetrics::with_intervals(2);
    (0..30).for_each(|_| metrics.add(&[0.9, 0.1], &[1.0, 0.0]).unwrap());
    for name in ["f1_macro", "f1_micro", "subset_accuracy"] {
        let [low, high] = metrics.intervals().get(name).unwrap();
        assert!(low > 0.8 && low < 0.95 && high > 0.999, "{name}: {low} {high}");
    }
}

#[test]
fn intervals_contain_the_scores_also_of_perfect_predictions() {
    let (probabilities, targets) = classification_golden(5, 11);
    let some = classify(5, &probabilities, &targets);
    let mut rows = vec![0.01; 5 * 40];
    (0..40).for_each(|row| rows[row * 5 + row % 5] = 0.96);
    let perfect = classify(5, &rows, &(0..40).map(|row| row % 5).collect::<Vec<_>>());
    for metrics in [&some, &perfect] {
        let (scores, intervals) = (metrics.scores(), metrics.intervals());
        assert_eq!(intervals.len(), scores.len());
        for (name, [low, high]) in intervals.iter() {
            let score = scores.get(name).unwrap();
            assert!(low - 1e-12 <= score && score <= high + 1e-12, "{name}: {score} in {low} to {high}");
        }
    }
    // No error among 40 examples does not mean that there never is one.
    for name in ["accuracy", "balanced_accuracy", "f1", "roc_auc"] {
        let [low, high] = perfect.intervals().get(name).unwrap();
        assert!((0.6..0.97).contains(&low) && high > 0.999, "{name}: {low} to {high}");
    }
    // Replicates are kept only where they are asked for.
    let mut quick = ClassificationMetrics::new(5);
    quick.add(&probabilities, &targets).unwrap();
    assert_eq!(quick.intervals().get("f1"), None);
    assert_eq!(quick.intervals().get("accuracy"), some.intervals().get("accuracy"));
    assert_eq!(quick.scores(), some.scores());
}

/// Shares of simulated intervals that contain the truth, which is the score of very many examples.
fn coverage(truth: &Scores, sets: usize, mut one: impl FnMut() -> Intervals) -> Vec<(String, f64)> {
    let mut hits: Vec<(String, f64)> = truth.iter().map(|(name, _)| (name.to_string(), 0.0)).collect();
    for _ in 0..sets {
        let intervals = one();
        for (name, hits) in &mut hits {
            let ([low, high], truth) = (intervals.get(name).unwrap(), truth.get(name).unwrap());
            *hits += f64::from(low <= truth && truth <= high) / sets as f64;
        }
    }
    hits
}

fn classification_coverage(classes: usize, examples: usize, separation: f64, power: f64) -> Vec<(String, f64)> {
    let mut random = Random(1);
    let mut truth = ClassificationMetrics::new(classes);
    for _ in 0..300 {
        let (probabilities, targets) = simulate(&mut random, classes, 1000, separation, power);
        truth.add(&probabilities, &targets).unwrap();
    }
    let mut metrics = ClassificationMetrics::with_intervals(classes);
    coverage(&truth.scores(), 1000, || {
        let (probabilities, targets) = simulate(&mut random, classes, examples, separation, power);
        metrics.reset();
        metrics.add(&probabilities, &targets).unwrap();
        metrics.intervals()
    })
}

/// Of 1,000 intervals that contain the truth with probability 0.95, 0.932 to 0.968 do so in 99 of 100 simulations.
/// Limits below 0.93 and above 0.975 allow for formulas that hold for many examples, or err on the wide side.
#[track_caller]
fn assert_coverage(shares: &[(String, f64)], limits: &[(&str, f64, f64)]) {
    assert_eq!(shares.len(), limits.len(), "{shares:?}");
    println!("{shares:?}");
    for &(name, low, high) in limits {
        let share = shares.iter().find(|(of, _)| of == name).unwrap().1;
        assert!(low <= share && share <= high, "{name} is covered in a share of {share}: {shares:?}");
    }
}

#[test]
fn intervals_of_two_classes_cover_the_truth() {
    // An overconfident network.
    assert_coverage(
        &classification_coverage(2, 100, 1.5, 1.5),
        &[
            ("accuracy", 0.93, 0.975),
            ("balanced_accuracy", 0.93, 0.975),
            ("sensitivity", 0.93, 0.975),
            ("specificity", 0.93, 0.975),
            ("f1", 0.93, 0.975),
            ("roc_auc", 0.93, 0.99),
            ("log_loss", 0.92, 0.975),
            ("brier", 0.92, 0.975),
            ("ece", 0.92, 0.985),
        ],
    );
}

#[test]
fn intervals_of_three_classes_cover_the_truth() {
    // A calibrated network, whose true calibration error is 0.
    assert_coverage(
        &classification_coverage(3, 300, 2.5, 1.0),
        &[
            ("accuracy", 0.93, 0.975),
            ("balanced_accuracy", 0.93, 0.975),
            ("f1", 0.915, 0.975),
            ("roc_auc", 0.93, 0.998),
            ("log_loss", 0.915, 0.975),
            ("brier", 0.92, 0.975),
            ("ece", 0.93, 0.999),
        ],
    );
}

#[test]
fn intervals_of_ten_classes_cover_the_truth() {
    assert_coverage(
        &classification_coverage(10, 360, 2.0, 1.5),
        &[
            ("accuracy", 0.93, 0.975),
            ("balanced_accuracy", 0.93, 0.975),
            ("f1", 0.92, 0.975),
            ("roc_auc", 0.93, 0.998),
            ("log_loss", 0.92, 0.975),
            ("brier", 0.92, 0.975),
            ("ece", 0.92, 0.985),
        ],
    );
}

#[test]
fn intervals_of_a_regression_cover_the_truth() {
    let mut random = Random(2);
    let mut draw = |examples: usize| -> (Vec<f32>, Vec<f32>) {
        let one = |_| {
            let x = random.normal();
            ((0.9 * x + 0.1) as f32, (x + 0.5 * random.normal()) as f32)
        };
        (0..examples).map(one).unzip()
    };
    let mut truth = RegressionMetrics::new();
    for _ in 0..500 {
        let (predictions, targets) = draw(1000);
        truth.add(&predictions, &targets).unwrap();
    }
    let mut metrics = RegressionMetrics::with_intervals();
    let shares = coverage(&truth.scores(), 1000, || {
        let (predictions, targets) = draw(150);
        metrics.reset();
        metrics.add(&predictions, &targets).unwrap();
        metrics.intervals()
    });
    assert_coverage(&shares, &[("mae", 0.925, 0.97), ("rmse", 0.92, 0.97), ("r2", 0.91, 0.97)]);
}
