//! Metrics of labels that an example may have any number of.

use serde::{Deserialize, Serialize};

use super::bootstrap::LabelReplicates;
use super::classification::{ClassCounts, ClassWeights, mean};
use super::error::MetricError;
use super::interval;
use super::moments::{Moments, Tally};
use super::ranking::{KEPT_SCORES, Ranks};
use super::scores::{Intervals, Scores};

/// A label of this probability or more is predicted.
pub const LABEL_THRESHOLD: f32 = 0.5;

/// How far a probability may be outside of 0 to 1 by rounding.
const RANGE_TOLERANCE: f32 = 1e-4;

/// How one label is recognised. What is not defined, such as the precision of a label that was never predicted, is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelScores {
    /// The label.
    pub label: String,
    /// Examples that have it.
    pub actual: u64,
    /// Examples that it was predicted for.
    pub predicted: u64,
    /// Share of the predictions that were right.
    pub precision: Option<f64>,
    /// Share of the examples with the label that were recognised.
    pub recall: Option<f64>,
    /// Harmonic mean of both.
    pub f1: Option<f64>,
    /// Area under the curve of precision over recall.
    pub average_precision: Option<f64>,
}

/// Metrics of several labels, streamed.
///
/// A label is predicted where its probability is [`LABEL_THRESHOLD`] or more, or another threshold where it has one.
/// [`Self::scores`] gives
///
/// - `f1_macro`: the mean F1 of the labels that occur in the targets or the predictions;
/// - `f1_micro`: the F1 of all decisions about labels taken together;
/// - `mean_average_precision`: the mean over the labels that occur of the area under the curve of precision over recall, as
///   a sum of steps (scikit-learn's `average_precision_score`); of more than two million probabilities from a histogram;
/// - `subset_accuracy`: share of the examples of which all labels are right;
/// - `log_loss`: mean binary cross-entropy over examples and labels, by the natural logarithm, of probabilities that are
///   clipped to [e, 1 - e] with e = [`f32::EPSILON`].
#[derive(Debug, Clone)]
pub struct MultiLabelMetrics {
    labels: usize,
    /// Of each label, the probability from which on it is predicted.
    thresholds: Vec<f32>,
    examples: u64,
    all: Tally,
    /// Weight of the examples of which all labels are right, and whether all examples are such.
    exact: (f64, bool),
    counts: Vec<ClassCounts>,
    weights: Vec<ClassWeights>,
    /// Mean over the labels, of each example.
    log_losses: Moments,
    ranks: Vec<Ranks>,
    replicates: Option<LabelReplicates>,
}

impl MultiLabelMetrics {
    /// Metrics of that many labels, without the intervals that need bootstrap replicates: those of both F1.
    pub fn new(labels: usize) -> Self {
        let resolution = match labels {
            0..=32 => 7,
            33..=200 => 4,
            _ => 2,
        };
        MultiLabelMetrics {
            labels,
            thresholds: vec![LABEL_THRESHOLD; labels],
            examples: 0,
            all: Tally::default(),
            exact: (0.0, true),
            counts: vec![ClassCounts::default(); labels],
            weights: vec![ClassWeights::default(); labels],
            log_losses: Moments::default(),
            ranks: vec![Ranks::new(KEPT_SCORES / labels.max(1), resolution); labels],
            replicates: None,
        }
    }

    /// Metrics of that many labels, with intervals.
    pub fn with_intervals(labels: usize) -> Self {
        let replicates = Some(LabelReplicates::new(if labels <= 1000 { 200 } else { 50 }, labels));
        MultiLabelMetrics { replicates, ..Self::new(labels) }
    }

    /// The same; each label is predicted from a probability of its own on.
    ///
    /// # Panics
    /// If there are not as many as there are labels.
    pub fn thresholds(self, thresholds: Vec<f32>) -> Self {
        assert_eq!(thresholds.len(), self.labels, "a threshold for each label");
        MultiLabelMetrics { thresholds, ..self }
    }

    /// Number of examples added.
    pub fn examples(&self) -> u64 {
        self.examples
    }

    /// Adds examples: `probabilities` are `[n, labels]`, row by row; so are `targets`, 1 for each label that an example
    /// has and 0 for each other.
    ///
    /// # Errors
    /// If a probability or target is not one, or the lengths differ. Then nothing is added.
    pub fn add(&mut self, probabilities: &[f32], targets: &[f32]) -> Result<(), MetricError> {
        self.add_with(probabilities, targets, None)
    }

    /// The same, perhaps with the weight of each example, 0 or more, which all metrics and intervals go by; what has no weight
    /// is not counted at all.
    ///
    /// # Errors
    /// As [`Self::add`].
    ///
    /// # Panics
    /// If there are fewer weights than examples.
    pub fn add_with(
        &mut self,
        probabilities: &[f32],
        targets: &[f32],
        weights: Option<&[f64]>,
    ) -> Result<(), MetricError> {
        if probabilities.len() != targets.len() {
            let (targets, expected, given) = (targets.len(), targets.len(), probabilities.len());
            return Err(MetricError::WrongLength { what: "probabilities", targets, expected, given });
        }
        let labels = self.labels.max(1);
        let row_of = |at: usize| self.examples + (at / labels) as u64 + 1;
        if let Some(at) = targets.iter().position(|target| !target.is_finite()) {
            return Err(MetricError::NotFinite { what: "target", row: row_of(at), value: targets[at] });
        }
        let allowed = -RANGE_TOLERANCE..=1.0 + RANGE_TOLERANCE;
        if let Some(at) = probabilities.iter().position(|value| !allowed.contains(value)) {
            let (row, class, value) = (row_of(at), at % labels, probabilities[at]);
            return Err(if value.is_finite() {
                MetricError::NotAProbability { row, class, value }
            } else {
                MetricError::NotFinite { what: "probability", row, value }
            });
        }
        for (at, (row, targets)) in probabilities.chunks_exact(labels).zip(targets.chunks_exact(labels)).enumerate() {
            let weight = weights.map_or(1.0, |weights| weights[at]);
            if weight > 0.0 {
                self.add_example(row, targets, weight);
            }
        }
        Ok(())
    }

    fn add_example(&mut self, row: &[f32], targets: &[f32], weight: f64) {
        let clip = f64::from(f32::EPSILON);
        let (mut loss, mut exact) = (0.0, true);
        if let Some(replicates) = &mut self.replicates {
            replicates.begin(self.examples);
        }
        for (label, (&probability, &target)) in row.iter().zip(targets).enumerate() {
            let (actual, predicted) = (target >= 0.5, probability >= self.thresholds[label]);
            let counts = &mut self.counts[label];
            counts.actual += u64::from(actual);
            counts.predicted += u64::from(predicted);
            counts.true_positives += u64::from(actual && predicted);
            self.weights[label].add(actual, predicted, weight);
            exact &= actual == predicted;
            let p = f64::from(probability).clamp(clip, 1.0 - clip);
            loss -= if actual { p.ln() } else { (1.0 - p).ln() };
            self.ranks[label].add(probability, actual, weight);
            if let Some(replicates) = &mut self.replicates {
                replicates.add(label, actual, predicted, weight);
            }
        }
        self.all.add(weight);
        self.exact.0 += if exact { weight } else { 0.0 };
        self.exact.1 &= exact;
        self.log_losses.add_weighted(loss / self.labels.max(1) as f64, weight);
        self.examples += 1;
    }

    /// The metrics of the examples so far; empty without examples.
    pub fn scores(&self) -> Scores {
        let mut scores = Scores::default();
        if self.examples == 0 {
            return scores;
        }
        scores.insert_defined("f1_macro", mean(self.weights.iter().filter_map(ClassWeights::f1)));
        scores.insert_defined("f1_micro", self.micro_f1());
        let precisions = self.ranks.iter().filter_map(Ranks::average_precision);
        scores.insert_defined("mean_average_precision", mean(precisions));
        scores.insert_defined("subset_accuracy", self.all.share(self.exact.0));
        scores.insert_defined("log_loss", self.log_losses.mean());
        scores
    }

    /// 95 % intervals of the metrics for examples drawn independently: Wilson's of `subset_accuracy`, Poisson bootstrap of
    /// both F1 (only if made by [`Self::with_intervals`]; the limits of `subset_accuracy` if there is no error to resample,
    /// since fewer errors than none cannot be drawn), and normal theory for the logarithm of `log_loss`.
    pub fn intervals(&self) -> Intervals {
        let mut intervals = Intervals::default();
        if self.examples == 0 {
            return intervals;
        }
        let exact = interval::wilson(self.exact.0, &self.all);
        intervals.insert_defined("subset_accuracy", exact);
        if self.exact.1 {
            // Without any label there is no F1.
            let defined = self.scores();
            for name in ["f1_macro", "f1_micro"] {
                intervals.insert_defined(name, exact.filter(|_| defined.get(name).is_some()));
            }
        } else if let (Some(replicates), true) = (&self.replicates, self.examples > 1) {
            intervals.insert_defined("f1_macro", replicates.macro_f1());
            intervals.insert_defined("f1_micro", replicates.micro_f1());
        }
        if let (Some(mean), Some(error)) = (self.log_losses.mean(), self.log_losses.standard_error()) {
            intervals.insert("log_loss", interval::positive_mean(mean, error));
        }
        intervals
    }

    /// How each label is recognised, with the labels' names.
    pub fn label_scores(&self, names: &[String]) -> Vec<LabelScores> {
        let of =
            |(((label, counts), weights), ranks): (((&String, &ClassCounts), &ClassWeights), &Ranks)| LabelScores {
                label: label.clone(),
                actual: counts.actual,
                predicted: counts.predicted,
                precision: weights.precision(),
                recall: weights.recall(),
                f1: weights.f1(),
                average_precision: ranks.average_precision(),
            };
        names.iter().zip(&self.counts).zip(&self.weights).zip(&self.ranks).map(of).collect()
    }

    /// The F1 of all decisions about labels, as if about one.
    fn micro_f1(&self) -> Option<f64> {
        let add = |sums: [f64; 3], weights: &ClassWeights| {
            let more = weights.sums();
            [sums[0] + more[0], sums[1] + more[1], sums[2] + more[2]]
        };
        let [right, actual, predicted] = self.weights.iter().fold([0.0; 3], add);
        (actual + predicted > 0.0).then(|| 2.0 * right / (actual + predicted))
    }
}
