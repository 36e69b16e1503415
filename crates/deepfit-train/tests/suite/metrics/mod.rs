//! Metrics against scikit-learn, in pieces, at the edges, and their intervals by simulation.

mod edges;
mod intervals;
mod scores;

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
