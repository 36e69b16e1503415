//! Metrics in pieces, of nothing, of bad and of extreme values.

use super::*;

#[test]
fn values_that_are_no_labels_are_refused() {
    let mut metrics = MultiLabelMetrics::new(2);
    let told = |result: Result<(), MetricError>| result.unwrap_err().to_string();
    assert!(told(metrics.add(&[0.1, 0.2, 0.3], &[1.0, 0.0])).contains("but 3 were given"));
    assert!(told(metrics.add(&[0.1, f32::NAN], &[1.0, 0.0])).contains("NaN"));
    assert!(told(metrics.add(&[0.1, 0.2, 1.5, 0.0], &[1.0, 0.0, 1.0, 0.0])).contains("row 2 gives class 0"));
    assert!(told(metrics.add(&[0.1, 0.2], &[f32::INFINITY, 0.0])).contains("target of row 1"));
    assert_eq!(metrics.examples(), 0);
}

#[test]
fn a_probability_of_zero_costs_a_finite_logarithm() {
    let metrics = classify(2, &[1.0, 0.0, 1.0, 0.0, 0.0, 1.0], &[0, 1, 1]);
    // log_loss([0, 1, 1], np.array([[1, 0], [1, 0], [0, 1]], np.float32))
    assert!((metrics.scores().get("log_loss").unwrap() - 5.314128398895264).abs() < 1e-6);
}

#[test]
fn pieces_score_the_same_bits_as_the_whole() {
    let (probabilities, targets) = classification_golden(5, 3);
    let whole = classify(5, &probabilities, &targets);
    let mut pieces = ClassificationMetrics::with_intervals(5);
    // Used before: a reset leaves nothing behind.
    pieces.add(&probabilities[..50], &targets[..10]).unwrap();
    pieces.reset();
    assert!(pieces.scores().is_empty() && pieces.intervals().is_empty());
    let mut start = 0;
    for length in [1, 7, 0, 64, 128, 300] {
        pieces.add(&probabilities[start * 5..][..length * 5], &targets[start..][..length]).unwrap();
        start += length;
    }
    assert_eq!(start, 500);
    assert_eq!(pieces.scores(), whole.scores());
    assert_eq!(pieces.intervals(), whole.intervals());
    assert_eq!(pieces.confusion(), whole.confusion());

    let (predictions, targets) = regression_golden();
    let mut whole = RegressionMetrics::with_intervals();
    whole.add(&predictions, &targets).unwrap();
    let mut pieces = RegressionMetrics::with_intervals();
    pieces.add(&targets, &predictions).unwrap();
    pieces.reset();
    assert!(pieces.scores().is_empty() && pieces.residuals().is_none());
    for (predictions, targets) in predictions.chunks(33).zip(targets.chunks(33)) {
        pieces.add(predictions, targets).unwrap();
    }
    assert_eq!(pieces.scores(), whole.scores());
    assert_eq!(pieces.intervals(), whole.intervals());
    assert_eq!(pieces.residuals(), whole.residuals());
}

#[test]
fn memory_is_bounded_and_areas_of_very_many_examples_are_within_their_stated_bound() {
    let (probabilities, targets) = classification_golden(5, 3);
    let mut metrics = ClassificationMetrics::new(5);
    let times = (2 << 20) / 5 / 500 + 1;
    (0..times).for_each(|_| metrics.add(&probabilities, &targets).unwrap());
    assert_eq!(metrics.examples(), times * 500);
    assert!(metrics.memory_bytes() < 6 << 20, "{}", metrics.memory_bytes());
    let exact = classify(5, &probabilities, &targets).scores().get("roc_auc").unwrap();
    let bound = metrics.roc_auc_error_bound().unwrap();
    assert!(bound > 0.0 && bound < 2e-3, "{bound}");
    assert!((metrics.scores().get("roc_auc").unwrap() - exact).abs() <= bound + 1e-9);
    (0..20).for_each(|_| metrics.add(&probabilities, &targets).unwrap());
    assert!(metrics.memory_bytes() < 6 << 20);
    for classes in [1, 2, 10, 100, 1000] {
        assert!(ClassificationMetrics::new(classes).memory_bytes() < 6 << 20, "{classes}");
    }
}

#[test]
fn nothing_has_no_scores() {
    for metrics in [ClassificationMetrics::new(3), ClassificationMetrics::with_intervals(3), classify(0, &[], &[])] {
        assert!(metrics.scores().is_empty());
        assert!(metrics.intervals().is_empty());
        assert_eq!(metrics.roc_auc_error_bound(), None);
    }
    let metrics = RegressionMetrics::with_intervals();
    assert!(metrics.scores().is_empty());
    assert!(metrics.intervals().is_empty());
    assert!(metrics.residuals().is_none());
}

#[test]
fn one_class_alone_leaves_out_what_is_undefined() {
    let metrics = classify(2, &[0.9, 0.1, 0.8, 0.2], &[0, 0]);
    let scores = metrics.scores();
    assert_eq!(scores.get("accuracy"), Some(1.0));
    assert_eq!(scores.get("balanced_accuracy"), Some(1.0));
    assert_eq!((scores.get("roc_auc"), scores.get("f1")), (None, None));
    assert_eq!((metrics.intervals().get("roc_auc"), metrics.intervals().get("f1")), (None, None));

    // Of three classes only the last occurs, and the first is predicted once: F1 of 0 and of 2/3.
    let metrics = classify(3, &[0.9, 0.0, 0.1, 0.1, 0.0, 0.9], &[2, 2]);
    let scores = metrics.scores();
    assert_eq!(scores.get("balanced_accuracy"), Some(0.5));
    assert!((scores.get("f1").unwrap() - 1.0 / 3.0).abs() < 1e-12);
    assert_eq!(scores.get("roc_auc"), None);

    let metrics = classify(1, &[1.0, 1.0], &[0, 0]);
    assert_eq!(metrics.scores().get("f1"), Some(1.0));
}

#[test]
fn a_constant_target_has_no_r2() {
    let mut metrics = RegressionMetrics::with_intervals();
    metrics.add(&[1.0, 2.0, 3.0], &[0.1, 0.1, 0.1]).unwrap();
    assert_eq!(metrics.scores().get("r2"), None);
    assert_eq!(metrics.intervals().get("r2"), None);
    assert!(metrics.scores().get("rmse").is_some());
    metrics.reset();
    metrics.add(&[1.0], &[2.0]).unwrap();
    assert_scores(&metrics.scores(), &[("mae", 1.0, 0.0), ("rmse", 1.0, 0.0)]);
    assert!(metrics.intervals().is_empty());
}

#[test]
fn bad_values_are_errors_that_name_the_row_and_count_nothing() {
    let mut metrics = ClassificationMetrics::new(2);
    metrics.add(&[0.5, 0.5, 0.2, 0.8], &[0, 1]).unwrap();
    let before = metrics.scores();
    let good = [0.5, 0.5];
    let with = |row: [f32; 2]| [good[0], good[1], row[0], row[1]];

    let error = metrics.add(&with([f32::NAN, 0.5]), &[0, 1]).unwrap_err();
    assert!(matches!(error, MetricError::NotFinite { what: "probability", row: 4, value } if value.is_nan()));
    assert!(error.to_string().contains("row 4"), "{error}");
    let error = metrics.add(&with([f32::INFINITY, 0.5]), &[0, 1]).unwrap_err();
    assert!(matches!(error, MetricError::NotFinite { row: 4, .. }));
    let error = metrics.add(&with([3.5, -2.5]), &[0, 1]).unwrap_err();
    assert_eq!(error, MetricError::NotAProbability { row: 4, class: 0, value: 3.5 });
    let error = metrics.add(&with([0.5, 0.25]), &[0, 1]).unwrap_err();
    assert_eq!(error, MetricError::NotNormalised { row: 4, sum: 0.75 });
    for target in [2, -1] {
        let error = metrics.add(&with([0.5, 0.5]), &[0, target]).unwrap_err();
        assert_eq!(error, MetricError::TargetOutOfRange { row: 4, target, classes: 2 });
    }
    let error = metrics.add(&good, &[0, 1]).unwrap_err();
    assert_eq!(error, MetricError::WrongLength { what: "probabilities", targets: 2, expected: 4, given: 2 });
    assert_eq!(metrics.scores(), before);

    let mut metrics = RegressionMetrics::new();
    let error = metrics.add(&[1.0, f32::NEG_INFINITY], &[1.0, 1.0]).unwrap_err();
    assert_eq!(error, MetricError::NotFinite { what: "prediction", row: 2, value: f32::NEG_INFINITY });
    let error = metrics.add(&[1.0], &[f32::NAN]).unwrap_err();
    assert!(matches!(error, MetricError::NotFinite { what: "target", row: 1, .. }));
    assert!(metrics.add(&[1.0], &[]).is_err());
    assert!(metrics.scores().is_empty());
}

#[test]
fn extreme_predictions_score_finite_numbers() {
    let mut metrics = RegressionMetrics::with_intervals();
    metrics.add(&[f32::MAX, -f32::MAX, 0.0], &[-f32::MAX, f32::MAX, 1.0]).unwrap();
    assert!(metrics.scores().iter().all(|(_, value)| value.is_finite()));
    assert!(metrics.intervals().iter().all(|(_, limits)| limits.iter().all(|limit| limit.is_finite())));
}

#[test]
fn more_classes_than_a_confusion_matrix_shows_are_scored() {
    let classes = 201;
    let mut probabilities = vec![0.5 / 200.0; classes * classes];
    (0..classes).for_each(|class| probabilities[class * classes + class] = 0.5);
    let metrics = classify(classes, &probabilities, &(0..classes as i32).collect::<Vec<_>>());
    assert_eq!(metrics.confusion(), None);
    assert_eq!(metrics.scores().get("f1"), Some(1.0));
    assert_eq!(metrics.scores().get("roc_auc"), Some(1.0));
    assert_eq!(metrics.class_counts().len(), classes);
}

#[test]
fn ten_thousand_examples_of_ten_classes_take_less_than_ten_milliseconds() {
    let (probabilities, targets) = simulate(&mut Random(4), 10, 10_000, 2.0, 1.0);
    let mut metrics = ClassificationMetrics::new(10);
    let run = |_| {
        let start = std::time::Instant::now();
        metrics.reset();
        metrics.add(&probabilities, &targets).unwrap();
        assert_eq!(metrics.scores().len(), 7);
        start.elapsed().as_secs_f64()
    };
    // The fastest of many, since other programs share the machine.
    let fastest = (0..30).map(run).fold(f64::INFINITY, f64::min);
    println!("{fastest}");
    assert!(fastest < 10e-3, "{fastest} s");
}
