//! Metrics against scikit-learn, in pieces, at the edges, and their intervals by simulation.

use deepfit_train::metrics::{
    CLASSIFICATION_METRICS, ClassCounts, ClassificationMetrics, Intervals, MULTI_LABEL_METRICS, MetricError,
    MultiLabelMetrics, REGRESSION_METRICS, RegressionMetrics, Scores, TWO_CLASS_METRICS, higher_is_better,
};

/// Random numbers of the simulations: a counter through the finaliser of SplitMix64.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// The generator of the goldens, simple enough to be the same in Python:
///
/// ```python
/// def stream(s):
///     while True:
///         s = (s * 1103515245 + 12345) % 2**31
///         yield s >> 11
/// ```
struct Stream(u64);

impl Stream {
    fn next(&mut self) -> u64 {
        self.0 = (self.0 * 1_103_515_245 + 12345) % (1 << 31);
        self.0 >> 11
    }
}

/// 500 rows of probabilities and targets that agree with them more often than by chance.
///
/// ```python
/// def make(n, k, seed):
///     g = stream(seed); P = np.zeros((n, k), np.float32); y = np.zeros(n, int)
///     for i in range(n):
///         w = [1 + next(g) % 1000 for _ in range(k)]
///         t = next(g) % (k + 2)
///         y[i] = t if t < k else np.argmax(w)
///         P[i] = [np.float32(v) / np.float32(sum(w)) for v in w]
///     return P, y
/// ```
fn classification_golden(classes: usize, seed: u64) -> (Vec<f32>, Vec<i32>) {
    let mut stream = Stream(seed);
    let (mut probabilities, mut targets) = (Vec::new(), Vec::new());
    for _ in 0..500 {
        let weights: Vec<u64> = (0..classes).map(|_| 1 + stream.next() % 1000).collect();
        let drawn = (stream.next() % (classes as u64 + 2)) as usize;
        let largest = (0..classes).rev().max_by_key(|&class| weights[class]).unwrap();
        targets.push(if drawn < classes { drawn } else { largest } as i32);
        let sum: u64 = weights.iter().sum();
        probabilities.extend(weights.iter().map(|&weight| weight as f32 / sum as f32));
    }
    (probabilities, targets)
}

/// 400 targets around 1050 and predictions that are too large by 0.5 on average and up to 10.99 away.
///
/// ```python
/// g = stream(5)
/// t = np.array([next(g) % 10000 / 100 for _ in range(400)], np.float32) + np.float32(1000)
/// p = np.array([v + np.float32((next(g) % 2000 - 900) / 100) for v in t], np.float32)
/// ```
fn regression_golden() -> (Vec<f32>, Vec<f32>) {
    let mut stream = Stream(5);
    let targets: Vec<f32> = (0..400).map(|_| ((stream.next() % 10000) as f64 / 100.0) as f32 + 1000.0).collect();
    let noise = |stream: &mut Stream| ((stream.next() as i64 % 2000 - 900) as f64 / 100.0) as f32;
    let predictions = targets.iter().map(|target| target + noise(&mut stream)).collect();
    (predictions, targets)
}

fn classify(classes: usize, probabilities: &[f32], targets: &[i32]) -> ClassificationMetrics {
    let mut metrics = ClassificationMetrics::with_intervals(classes);
    metrics.add(probabilities, targets).unwrap();
    metrics
}

#[track_caller]
fn assert_scores(scores: &Scores, expected: &[(&str, f64, f64)]) {
    assert_eq!(scores.len(), expected.len(), "{scores:?}");
    for &(name, value, tolerance) in expected {
        let score = scores.get(name).unwrap_or_else(|| panic!("no {name}"));
        assert!((score - value).abs() <= tolerance, "{name}: {score} instead of {value}");
    }
}

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
fn a_probability_of_zero_costs_a_finite_logarithm() {
    let metrics = classify(2, &[1.0, 0.0, 1.0, 0.0, 0.0, 1.0], &[0, 1, 1]);
    // log_loss([0, 1, 1], np.array([[1, 0], [1, 0], [0, 1]], np.float32))
    assert!((metrics.scores().get("log_loss").unwrap() - 5.314128398895264).abs() < 1e-6);
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

/// Examples of classes whose features are normal around `separation` times a unit vector each, with the true posterior
/// probabilities raised to a power: 1 is calibrated.
fn simulate(random: &mut Random, classes: usize, examples: usize, separation: f64, power: f64) -> (Vec<f32>, Vec<i32>) {
    let (mut probabilities, mut targets) = (Vec::new(), Vec::new());
    for _ in 0..examples {
        let target = (random.uniform() * classes as f64) as usize;
        let feature = |class| random.normal() + if class == target { separation } else { 0.0 };
        let odds: Vec<f64> = (0..classes).map(feature).map(|x| (power * separation * x).exp()).collect();
        let sum: f64 = odds.iter().sum();
        probabilities.extend(odds.iter().map(|odds| (odds / sum) as f32));
        targets.push(target as i32);
    }
    (probabilities, targets)
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

#[test]
fn ten_thousand_examples_of_ten_classes_take_less_than_five_milliseconds() {
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
    assert!(fastest < 5e-3, "{fastest} s");
}
