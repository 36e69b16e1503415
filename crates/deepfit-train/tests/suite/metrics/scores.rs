//! Scores as scikit-learn gives them, their names and directions.

use super::*;

#[test]
fn two_classes_score_as_in_scikit_learn() {
    let (probabilities, targets) = classification_golden(2, 7);
    let metrics = classify(2, &probabilities, &targets);
    // scikit-learn 1.9.1, P, y = make(500, 2, 7), p = P.argmax(1): accuracy_score(y, p),
    // balanced_accuracy_score(y, p), f1_score(y, p), roc_auc_score(y, P[:, 1]), log_loss(y, P); ece by numpy:
    // c = P.max(1); e = np.linspace(0, 1, 16); sum(b.mean() * abs((p == y)[b].mean() - c[b].mean())
    //   for b in [(c > l) & (c <= h) for l, h in zip(e[:-1], e[1:])] if b.any())
    assert_scores(
        &metrics.scores(),
        &[
            ("accuracy", 0.768, 1e-12),
            ("balanced_accuracy", 0.7681689779147407, 1e-12),
            // Of the confusion matrix below.
            ("sensitivity", 202.0 / 264.0, 1e-12),
            ("specificity", 182.0 / 236.0, 1e-12),
            ("f1", 0.7769230769230769, 1e-12),
            ("roc_auc", 0.7743965074473548, 1e-12),
            ("log_loss", 0.5908977389335632, 1e-7),
            // brier_score_loss(y, P[:, 1])
            ("brier", 0.1990850338813208, 1e-7),
            ("ece", 0.12068617522716521, 1e-7),
        ],
    );
    assert_eq!(metrics.roc_auc_error_bound(), Some(0.0));
    // confusion_matrix(y, p)
    assert_eq!(metrics.confusion().unwrap(), [182, 54, 62, 202]);
    assert_eq!(metrics.class_counts()[1], ClassCounts { true_positives: 202, actual: 264, predicted: 256 });
}

#[test]
fn the_positive_class_is_the_one_that_is_asked_for() {
    let (probabilities, targets) = classification_golden(2, 7);
    let mut metrics = ClassificationMetrics::with_intervals(2).positive(0);
    metrics.add(&probabilities, &targets).unwrap();
    let (scores, second) = (metrics.scores(), classify(2, &probabilities, &targets).scores());
    assert_eq!(scores.get("sensitivity"), second.get("specificity"));
    assert_eq!(scores.get("specificity"), second.get("sensitivity"));
    // f1_score(y, p, pos_label=0)
    assert!((scores.get("f1").unwrap() - 2.0 * 182.0 / (244.0 + 236.0)).abs() < 1e-12);
    assert_eq!(scores.get("roc_auc"), second.get("roc_auc"));
    let [low, high] = metrics.intervals().get("sensitivity").unwrap();
    // Wilson's interval of 182 of 236.
    assert!((low - 0.7136).abs() < 1e-4 && (high - 0.8201).abs() < 1e-4, "{low} {high}");
    // A class that never occurs has no recall.
    let mut one = ClassificationMetrics::new(2);
    one.add(&[0.9, 0.1], &[0]).unwrap();
    assert_eq!((one.scores().get("sensitivity"), one.scores().get("specificity")), (None, Some(1.0)));
}

/// Probabilities and targets of three labels for four examples.
fn labels_golden() -> (Vec<f32>, Vec<f32>) {
    let probabilities = vec![0.9, 0.2, 0.5, 0.4, 0.6, 0.1, 0.7, 0.8, 0.3, 0.2, 0.3, 0.95];
    let targets = vec![1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    (probabilities, targets)
}

#[test]
fn labels_score_as_in_scikit_learn() {
    let (probabilities, targets) = labels_golden();
    let mut metrics = MultiLabelMetrics::with_intervals(3);
    // In pieces, as the stream comes.
    metrics.add(&probabilities[..3], &targets[..3]).unwrap();
    metrics.add(&probabilities[3..], &targets[3..]).unwrap();
    assert_scores(
        &metrics.scores(),
        &[
            // f1_score(y, p >= 0.5, average="macro"), average="micro"
            ("f1_macro", (0.5 + 1.0 + 1.0) / 3.0, 1e-12),
            ("f1_micro", 10.0 / 12.0, 1e-12),
            // average_precision_score(y, p): 5/6, 1 and 1
            ("mean_average_precision", (5.0 / 6.0 + 2.0) / 3.0, 1e-12),
            // accuracy_score(y, p >= 0.5)
            ("subset_accuracy", 0.5, 1e-12),
            // The mean of log_loss(y[:, i], p[:, i]) over the labels.
            ("log_loss", 0.414_085_93, 1e-6),
        ],
    );
    let names: Vec<String> = ["a", "b", "c"].map(str::to_string).to_vec();
    let labels = metrics.label_scores(&names);
    assert_eq!(
        (labels[0].actual, labels[0].predicted, labels[0].precision, labels[0].recall),
        (2, 2, Some(0.5), Some(0.5))
    );
    assert_eq!((labels[1].f1, labels[1].average_precision), (Some(1.0), Some(1.0)));
    for name in ["f1_macro", "f1_micro", "subset_accuracy", "log_loss"] {
        let ([low, high], score) = (metrics.intervals().get(name).unwrap(), metrics.scores().get(name).unwrap());
        assert!(low <= score && score <= high, "{name}: {low} {score} {high}");
    }
    // What never occurs has no scores, and takes nothing from the means.
    let mut empty = MultiLabelMetrics::new(2);
    assert!(empty.scores().is_empty() && empty.intervals().is_empty());
    empty.add(&[0.9, 0.1], &[1.0, 0.0]).unwrap();
    let never = &empty.label_scores(&names)[1];
    assert_eq!((never.precision, never.recall, never.f1, never.average_precision), (None, None, None, None));
    assert_eq!((empty.scores().get("f1_macro"), empty.scores().get("mean_average_precision")), (Some(1.0), Some(1.0)));
}

#[test]
fn five_classes_score_as_in_scikit_learn() {
    let (probabilities, targets) = classification_golden(5, 11);
    let metrics = classify(5, &probabilities, &targets);
    // As above with make(500, 5, 11), f1_score(y, p, average="macro"), roc_auc_score(y, P, multi_class="ovr").
    assert_scores(
        &metrics.scores(),
        &[
            ("accuracy", 0.412, 1e-12),
            ("balanced_accuracy", 0.41290912602006324, 1e-12),
            ("f1", 0.411278183770758, 1e-12),
            ("roc_auc", 0.6383066116890037, 1e-12),
            ("log_loss", 1.6543166637420654, 1e-6),
            // brier_score_loss(y, P)
            ("brier", 0.7723004121929267, 1e-7),
            ("ece", 0.08011810076236724, 1e-7),
        ],
    );
    assert_eq!(metrics.roc_auc_error_bound(), Some(0.0));
    assert_eq!(
        metrics.confusion().unwrap(),
        [43, 12, 19, 13, 21, 22, 46, 17, 15, 13, 15, 12, 44, 12, 9, 12, 16, 15, 34, 17, 15, 17, 15, 7, 39]
    );
}

#[test]
fn regression_scores_as_in_scikit_learn() {
    let (predictions, targets) = regression_golden();
    let mut metrics = RegressionMetrics::new();
    metrics.add(&predictions, &targets).unwrap();
    // mean_absolute_error(t, p), root_mean_squared_error(t, p), r2_score(t, p), in float64
    assert_scores(
        &metrics.scores(),
        &[("mae", 5.140899505615234, 1e-10), ("rmse", 5.920797328939003, 1e-10), ("r2", 0.9568961057056429, 1e-10)],
    );
    let summary = metrics.residuals().unwrap();
    assert_eq!(summary.count, 400);
    // r = t - p: r.mean(), r.std(ddof=1), r.min(), r.max(), np.quantile(r, [.05, .25, .5, .75, .95])
    assert!((summary.mean + 1.3101521301269532).abs() < 1e-10);
    assert!((summary.sd - 5.781254159387356).abs() < 1e-10);
    assert_eq!((summary.min, summary.max), (-10.94000244140625, 8.989990234375));
    let expected = [-10.13050537109375, -6.312530517578125, -1.7950439453125, 3.89752197265625, 7.57044677734375];
    for (&[share, value], expected) in summary.quantiles.iter().zip(expected) {
        // One part in 64 by the histogram, and the distance to the neighbour in rank.
        assert!((value - expected).abs() < expected.abs() / 64.0 + 0.06, "{share}: {value} {expected}");
    }
}

#[test]
fn a_large_mean_costs_no_digits_of_r2() {
    // Integers up to 2^24 are exact in f32, and so is each difference.
    let targets: Vec<f32> = (0..1000).map(|i| 16_000_000.0 + (i % 7) as f32).collect();
    let predictions: Vec<f32> = targets.iter().enumerate().map(|(i, t)| t + (i % 2) as f32).collect();
    let small: Vec<f32> = targets.iter().map(|t| t - 16_000_000.0).collect();
    let small_predictions: Vec<f32> = predictions.iter().map(|p| p - 16_000_000.0).collect();
    let (mut large, mut near) = (RegressionMetrics::with_intervals(), RegressionMetrics::with_intervals());
    large.add(&predictions, &targets).unwrap();
    near.add(&small_predictions, &small).unwrap();
    assert!((large.scores().get("r2").unwrap() - near.scores().get("r2").unwrap()).abs() < 1e-9);
    for (limit, expected) in large.intervals().get("r2").unwrap().iter().zip(near.intervals().get("r2").unwrap()) {
        assert!((limit - expected).abs() < 1e-9);
    }
}

#[test]
fn whole_weights_count_as_repetitions_and_scores_are_those_of_scikit_learn() {
    let (probabilities, targets) = classification_golden(5, 11);
    let weights: Vec<f64> = (0..500).map(|row| f64::from(row % 4)).collect();
    let (mut weighted, mut repeated) = (ClassificationMetrics::with_intervals(5), ClassificationMetrics::new(5));
    weighted.add_with(&probabilities, &targets, None, Some(&weights)).unwrap();
    for row in 0..500 {
        (0..row % 4).for_each(|_| repeated.add(&probabilities[row * 5..][..5], &targets[row..=row]).unwrap());
    }
    let (scores, expected) = (weighted.scores(), repeated.scores());
    for (name, value) in expected.iter() {
        assert!((scores.get(name).unwrap() - value).abs() < 1e-9, "{name}: {value} {scores:?}");
    }
    // accuracy_score, f1_score(average="macro"), log_loss and brier_score_loss with sample_weight=np.arange(500) % 4
    for (name, value) in [
        ("accuracy", 0.4013333333333333),
        ("f1", 0.4017576895288582),
        ("log_loss", 1.6652333976427713),
        ("brier", 0.7743352403899456),
    ] {
        assert!((scores.get(name).unwrap() - value).abs() < 1e-6, "{name}: {scores:?}");
    }
    // Weights that are all alike leave intervals as they are; unequal ones tell less than their number.
    let mut alike = ClassificationMetrics::with_intervals(5);
    alike.add_with(&probabilities, &targets, None, Some(&[2.5; 500])).unwrap();
    let plain = classify(5, &probabilities, &targets).intervals();
    for (name, limits) in plain.iter() {
        let own = alike.intervals().get(name).unwrap();
        assert!(limits.iter().zip(own).all(|(a, b)| (a - b).abs() < 1e-9), "{name}: {limits:?} {own:?}");
    }
    let width = |intervals: &Intervals, name| intervals.get(name).map(|[low, high]| high - low).unwrap();
    let (of_weighted, of_repeated) = (weighted.intervals(), repeated.intervals());
    assert!(width(&of_weighted, "accuracy") > width(&of_repeated, "accuracy"));
    // Numbers, likewise.
    let (predictions, targets) = regression_golden();
    let weights: Vec<f64> = (0..400).map(|row| f64::from(row % 3)).collect();
    let (mut weighted, mut repeated) = (RegressionMetrics::new(), RegressionMetrics::new());
    weighted.add_with(&predictions, &targets, Some(&weights)).unwrap();
    for row in 0..400 {
        (0..row % 3).for_each(|_| repeated.add(&predictions[row..=row], &targets[row..=row]).unwrap());
    }
    for (name, value) in repeated.scores().iter() {
        assert!((weighted.scores().get(name).unwrap() - value).abs() < 1e-9, "{name}");
    }
}

/// The area under the ROC curve from all pairs.
fn exact_area(scores: &[f32], positive: &[bool]) -> f64 {
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (a, _) in scores.iter().zip(positive).filter(|(_, positive)| **positive) {
        for (b, _) in scores.iter().zip(positive).filter(|(_, positive)| !**positive) {
            pairs += 1.0;
            sum += if a > b { 1.0 } else { 0.5 * f64::from(a == b) };
        }
    }
    sum / pairs
}

#[test]
fn the_area_is_that_of_all_pairs() {
    let mut random = Random(3);
    // From hardly to very confident networks, whose probabilities crowd at 0 and 1.
    for scale in [0.02, 0.5, 3.0, 15.0] {
        let (mut probabilities, mut targets) = (Vec::new(), Vec::new());
        for _ in 0..2000 {
            let target = random.uniform() < 0.3;
            let logit = scale * (random.normal() + if target { 0.7 } else { -0.7 });
            let score = (1.0 / (1.0 + (-logit).exp())) as f32;
            probabilities.extend([1.0 - score, score]);
            targets.push(i32::from(target));
        }
        let metrics = classify(2, &probabilities, &targets);
        let scores: Vec<f32> = probabilities.chunks(2).map(|row| row[1]).collect();
        let positive: Vec<bool> = targets.iter().map(|&target| target == 1).collect();
        let area = metrics.scores().get("roc_auc").unwrap();
        let wrong = (area - exact_area(&scores, &positive)).abs();
        assert!(wrong <= 1e-12, "scale {scale}: {wrong}");
    }
}

#[test]
fn equal_scores_count_half() {
    let metrics = classify(2, &[0.4, 0.6, 0.4, 0.6, 0.7, 0.3, 0.4, 0.6], &[0, 1, 0, 1]);
    assert_eq!(metrics.scores().get("roc_auc"), Some(0.75));
}

#[test]
fn results_are_flat_maps_in_json() {
    let (probabilities, targets) = classification_golden(2, 7);
    let metrics = classify(2, &probabilities, &targets);
    let json = serde_json::to_value(metrics.scores()).unwrap();
    assert_eq!(json["accuracy"], 0.768);
    assert_eq!(serde_json::from_value::<Scores>(json).unwrap(), metrics.scores());
    let json = serde_json::to_value(metrics.intervals()).unwrap();
    assert_eq!(json["accuracy"].as_array().unwrap().len(), 2);
    assert_eq!(serde_json::from_value::<Intervals>(json).unwrap(), metrics.intervals());
}

#[test]
fn names_and_directions_are_those_of_the_scores() {
    let (probabilities, targets) = classification_golden(2, 7);
    let scores = classify(2, &probabilities, &targets).scores();
    let of_two = CLASSIFICATION_METRICS.iter().chain(TWO_CLASS_METRICS);
    assert_eq!(scores.len(), of_two.clone().count());
    assert!(of_two.clone().all(|name| scores.get(name).is_some()));
    let (probabilities, targets) = labels_golden();
    let mut metrics = MultiLabelMetrics::new(3);
    metrics.add(&probabilities, &targets).unwrap();
    assert_eq!(metrics.scores().len(), MULTI_LABEL_METRICS.len());
    assert!(MULTI_LABEL_METRICS.iter().all(|name| metrics.scores().get(name).is_some()));
    let (predictions, targets) = regression_golden();
    let mut metrics = RegressionMetrics::new();
    metrics.add(&predictions, &targets).unwrap();
    assert!(REGRESSION_METRICS.iter().all(|name| metrics.scores().get(name).is_some()));

    let lower = ["log_loss", "brier", "ece", "mae", "rmse"];
    for name in of_two.chain(MULTI_LABEL_METRICS).chain(REGRESSION_METRICS) {
        assert_eq!(higher_is_better(name), !lower.contains(name), "{name}");
    }
    assert!(!higher_is_better("loss"));
}
