//! Metrics of class probabilities.

use serde::{Deserialize, Serialize};

use super::bootstrap::ClassificationReplicates;
use super::calibration::{Calibration, ReliabilityBin};
use super::error::MetricError;
use super::interval;
use super::moments::{Moments, Tally};
use super::ranking::{Area, KEPT_SCORES, Ranks};
use super::scores::{Intervals, Scores};

/// Most classes for which a confusion matrix is kept.
pub const MAX_CONFUSION_CLASSES: usize = 200;

/// How far the sum of a row may be from 1: above the rounding of any softmax, below what logits sum to.
const SUM_TOLERANCE: f64 = 1e-2;

/// How far a probability may be outside of 0 to 1 by rounding.
const RANGE_TOLERANCE: f32 = 1e-4;

/// Variance taken for the mean of one-against-rest areas, relative to independent ones. Simulated intervals of
/// 95 % cover 88 to 94 % with 1 and 97 to 99 % with 2.
const AREA_INFLATION: f64 = 2.0;

/// How often a class was predicted and was the truth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCounts {
    /// Examples of this class that were predicted to be of it.
    pub true_positives: u64,
    /// Examples of this class (the support).
    pub actual: u64,
    /// Examples predicted to be of this class.
    pub predicted: u64,
}

impl ClassCounts {
    /// Share of the class's examples that were recognised; `None` if there are none.
    pub fn recall(&self) -> Option<f64> {
        (self.actual > 0).then(|| self.true_positives as f64 / self.actual as f64)
    }

    /// Share of the predictions of the class that were right; `None` if there are none.
    pub fn precision(&self) -> Option<f64> {
        (self.predicted > 0).then(|| self.true_positives as f64 / self.predicted as f64)
    }

    /// Harmonic mean of precision and recall; `None` if the class was neither seen nor predicted.
    pub fn f1(&self) -> Option<f64> {
        let occurrences = self.actual + self.predicted;
        (occurrences > 0).then(|| 2.0 * self.true_positives as f64 / occurrences as f64)
    }
}

/// The same by the weights of the examples.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ClassWeights {
    right: Tally,
    actual: Tally,
    predicted: Tally,
    /// Examples of the class, or predicted to be.
    either: Tally,
}

impl ClassWeights {
    /// Counts an example that is of the class, or predicted to be, or both.
    pub(super) fn add(&mut self, actual: bool, predicted: bool, weight: f64) {
        for (tally, counts) in [
            (&mut self.right, actual && predicted),
            (&mut self.actual, actual),
            (&mut self.predicted, predicted),
            (&mut self.either, actual || predicted),
        ] {
            if counts {
                tally.add(weight);
            }
        }
    }

    /// See [`ClassCounts::recall`].
    pub(super) fn recall(&self) -> Option<f64> {
        self.actual.share(self.right.sum)
    }

    /// See [`ClassCounts::precision`].
    pub(super) fn precision(&self) -> Option<f64> {
        self.predicted.share(self.right.sum)
    }

    /// See [`ClassCounts::f1`].
    pub(super) fn f1(&self) -> Option<f64> {
        let occurrences = self.actual.sum + self.predicted.sum;
        (occurrences > 0.0).then(|| 2.0 * self.right.sum / occurrences)
    }

    /// What was found of several classes taken together.
    pub(super) fn sums(self) -> [f64; 3] {
        [self.right.sum, self.actual.sum, self.predicted.sum]
    }

    fn recall_interval(&self) -> Option<[f64; 2]> {
        interval::wilson(self.right.sum, &self.actual)
    }

    /// Interval of `f1`. F1 is 2 J / (1 + J), where J is the share of true positives among the examples that are
    /// of the class or predicted to be: a proportion, so its Wilson interval is transformed.
    pub(super) fn f1_interval(&self) -> Option<[f64; 2]> {
        Some(interval::wilson(self.right.sum, &self.either)?.map(|share| 2.0 * share / (1.0 + share)))
    }

    /// The share that was recognised, as so many examples tell it.
    fn recalled(&self) -> (f64, f64) {
        let trials = self.actual.effective();
        (self.recall().unwrap_or(0.0) * trials, trials)
    }
}

/// Metrics of a classification, streamed.
///
/// The prediction is the class of the largest probability, the first one of equal ones, unless [`Self::add_with`] is told
/// another. Examples may have weights, which all metrics and intervals go by; counts and confusion do not. [`Self::scores`]
/// gives
///
/// - `accuracy`: share of correct predictions;
/// - `balanced_accuracy`: mean recall of the classes that occur in the targets;
/// - `sensitivity` and `specificity`, of two classes: the recall of the positive class (the second, as in scikit-learn, or
///   what [`Self::positive`] says) and of the other;
/// - `f1`: of two classes, the F1 score of the positive one; of more, the unweighted mean over the classes that occur in the targets or the predictions (macro F1).
///   Absent if no such class occurs;
/// - `roc_auc`: of two classes, the area under the ROC curve of the probability of the second one; of more, the mean
///   over classes of the area of each against the rest, over classes that have examples on both sides.
///   Exact, by ranks; of more than two million probabilities from a histogram of them, see
///   [`Self::roc_auc_error_bound`]. Absent if no class has both;
/// - `log_loss`: mean negative natural logarithm of the probability of the target, which is clipped to
///   [e, 1 - e] with e = [`f32::EPSILON`], as in scikit-learn for this type: a logarithm is at most 15.9;
/// - `brier`: the mean squared distance of the probabilities to 1 for the true class and 0 for all others (G. W. Brier,
///   "Verification of forecasts expressed in terms of probability", 1950), of two classes of that of the second, as in
///   scikit-learn;
/// - `ece`: expected calibration error, the mean distance between confidence (the largest probability) and
///   accuracy over 15 bins of equal width, weighted by their examples (M. P. Naeini, G. F. Cooper and M. Hauskrecht,
///   2015; C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural networks", 2017).
///
/// Memory grows with the number of classes, and up to 16 MB with that of examples: see [`Self::memory_bytes`].
#[derive(Debug, Clone)]
pub struct ClassificationMetrics {
    classes: usize,
    /// Of two classes, the positive one.
    positive: usize,
    examples: u64,
    counts: Vec<ClassCounts>,
    weights: Vec<ClassWeights>,
    all: Tally,
    right: f64,
    /// `[classes, classes]`, rows are the truth; empty for too many classes.
    confusion: Vec<u64>,
    log_losses: Moments,
    briers: Moments,
    calibration: Calibration,
    /// Of class 1 for two classes, else of every class.
    ranks: Vec<Ranks>,
    replicates: Option<ClassificationReplicates>,
}

impl ClassificationMetrics {
    /// Metrics of that many classes. [`Self::intervals`] leaves out that of `f1` where it needs bootstrap replicates.
    pub fn new(classes: usize) -> Self {
        // The more classes, the more histograms, and the less one pair in one bin of one of them weighs.
        let (ranked, resolution) = match classes {
            0..=2 => (usize::from(classes == 2), 10),
            3..=32 => (classes, 7),
            33..=MAX_CONFUSION_CLASSES => (classes, 4),
            _ => (classes, 2),
        };
        let cells = if classes <= MAX_CONFUSION_CLASSES { classes * classes } else { 0 };
        ClassificationMetrics {
            classes,
            positive: 1,
            examples: 0,
            counts: vec![ClassCounts::default(); classes],
            weights: vec![ClassWeights::default(); classes],
            all: Tally::default(),
            right: 0.0,
            confusion: vec![0; cells],
            log_losses: Moments::default(),
            briers: Moments::default(),
            calibration: Calibration::default(),
            ranks: vec![Ranks::new(KEPT_SCORES / ranked.max(1), resolution); ranked],
            replicates: None,
        }
    }

    /// Metrics of that many classes, with all intervals. Of more than two classes, adding is slower: every example is
    /// counted in 200 replicates (50 for more than 1000 classes).
    pub fn with_intervals(classes: usize) -> Self {
        let replicates = if classes <= 1000 { 200 } else { 50 };
        // The F1 of two classes has a formula.
        let replicates = (classes > 2).then(|| ClassificationReplicates::new(replicates, classes));
        ClassificationMetrics { replicates, ..Self::new(classes) }
    }

    /// The same, with the positive one of two classes, which is the second otherwise.
    pub fn positive(self, positive: usize) -> Self {
        ClassificationMetrics { positive: positive.min(1), ..self }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of examples added since the start or the last reset.
    pub fn examples(&self) -> u64 {
        self.examples
    }

    /// Bytes of memory that are held.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + size_of_val(self.counts.as_slice())
            + size_of_val(self.weights.as_slice())
            + size_of_val(self.confusion.as_slice())
            + self.ranks.iter().map(Ranks::bytes).sum::<usize>()
            + self.replicates.as_ref().map_or(0, ClassificationReplicates::bytes)
    }

    /// Adds examples: `probabilities` are `[n, classes]`, row by row, each row summing to 1; `targets` are `[n]`, the
    /// index of the true class.
    ///
    /// # Errors
    /// If a probability is not finite, a row is not a distribution, a target is not a class, or the lengths
    /// differ. Then nothing is added.
    pub fn add(&mut self, probabilities: &[f32], targets: &[i32]) -> Result<(), MetricError> {
        self.add_with(probabilities, targets, None, None)
    }

    /// The same, perhaps with the class that each example is predicted to be of, and with its weight, 0 or more; what has no
    /// weight is not counted at all.
    ///
    /// # Errors
    /// As [`Self::add`].
    ///
    /// # Panics
    /// If there are not as many predictions or weights as targets.
    pub fn add_with(
        &mut self,
        probabilities: &[f32],
        targets: &[i32],
        predictions: Option<&[usize]>,
        weights: Option<&[f64]>,
    ) -> Result<(), MetricError> {
        self.check(probabilities, targets)?;
        for (at, (row, &target)) in probabilities.chunks_exact(self.classes.max(1)).zip(targets).enumerate() {
            let weight = weights.map_or(1.0, |weights| weights[at]);
            let predicted = predictions.map_or_else(|| largest(row), |predictions| predictions[at]);
            if weight > 0.0 {
                self.add_example(row, target as usize, predicted, weight);
            }
        }
        Ok(())
    }

    fn check(&self, probabilities: &[f32], targets: &[i32]) -> Result<(), MetricError> {
        let classes = self.classes;
        let expected = targets.len().saturating_mul(classes);
        if probabilities.len() != expected {
            let (targets, given) = (targets.len(), probabilities.len());
            return Err(MetricError::WrongLength { what: "probabilities", targets, expected, given });
        }
        for (at, &target) in targets.iter().enumerate() {
            let row = self.examples + at as u64 + 1;
            if usize::try_from(target).map_or(true, |target| target >= classes) {
                return Err(MetricError::TargetOutOfRange { row, target, classes });
            }
            let values = &probabilities[at * classes..][..classes];
            let allowed = -RANGE_TOLERANCE..=1.0 + RANGE_TOLERANCE;
            if let Some(class) = values.iter().position(|value| !allowed.contains(value)) {
                let value = values[class];
                return Err(if value.is_finite() {
                    MetricError::NotAProbability { row, class, value }
                } else {
                    MetricError::NotFinite { what: "probability", row, value }
                });
            }
            let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
            if (sum - 1.0).abs() > SUM_TOLERANCE {
                return Err(MetricError::NotNormalised { row, sum });
            }
        }
        Ok(())
    }

    fn add_example(&mut self, row: &[f32], target: usize, predicted: usize, weight: f64) {
        let correct = predicted == target;
        self.all.add(weight);
        if correct {
            self.right += weight;
        }
        self.counts[target].actual += 1;
        self.counts[predicted].predicted += 1;
        self.counts[target].true_positives += u64::from(correct);
        self.weights[target].add(true, correct, weight);
        if !correct {
            self.weights[predicted].add(false, true, weight);
        }
        if !self.confusion.is_empty() {
            self.confusion[target * self.classes + predicted] += 1;
        }

        let clip = f64::from(f32::EPSILON);
        self.log_losses.add_weighted(-f64::from(row[target]).clamp(clip, 1.0 - clip).ln(), weight);
        self.briers.add_weighted(brier(row, target), weight);
        self.calibration.add(f64::from(row[predicted]).clamp(0.0, 1.0), correct, weight);

        if let [of_second] = self.ranks.as_mut_slice() {
            of_second.add(row[1], target == 1, weight);
        } else {
            for (class, (ranks, &probability)) in self.ranks.iter_mut().zip(row).enumerate() {
                ranks.add(probability, class == target, weight);
            }
        }

        if let Some(replicates) = &mut self.replicates {
            replicates.add(self.examples, target, predicted, weight);
        }
        self.examples += 1;
    }

    /// The metrics of the examples so far; empty without examples.
    pub fn scores(&self) -> Scores {
        let mut scores = Scores::default();
        if self.examples == 0 {
            return scores;
        }
        scores.insert_defined("accuracy", self.all.share(self.right));
        scores.insert_defined("balanced_accuracy", mean(self.weights.iter().filter_map(ClassWeights::recall)));
        if let Some([positive, other]) = self.two() {
            scores.insert_defined("sensitivity", positive.recall());
            scores.insert_defined("specificity", other.recall());
        }
        scores.insert_defined("f1", self.f1());
        scores.insert_defined("roc_auc", mean(self.areas().iter().map(|area| area.value)));
        scores.insert_defined("log_loss", self.log_losses.mean());
        scores.insert_defined("brier", self.briers.mean());
        scores.insert_defined("ece", self.calibration.error());
        scores
    }

    /// 95 % intervals of the metrics; empty without examples. For examples drawn independently, which count, where they have
    /// weights, as many as tell as much without (Kish):
    ///
    /// - `accuracy`, `sensitivity` and `specificity`: Wilson's score interval;
    /// - `balanced_accuracy`: Wilson's, with as many trials as a share of the same variance would have;
    /// - `f1` of two classes: Wilson's, transformed; of more: Poisson bootstrap (only if made by
    ///   [`Self::with_intervals`]), or the limits of `balanced_accuracy` if there is no error to resample;
    /// - `roc_auc`: Hanley and McNeil 1982 with Newcombe's 2006 score limits; of more than two classes, combined by
    ///   the method of Zou and Donner with twice the variance of independent areas, since one example that is
    ///   ranked wrongly mostly counts in the areas of two classes;
    /// - `log_loss` and `brier`: normal theory for the logarithm (from two examples on). Too narrow if a handful of
    ///   confident mistakes make up most of the loss;
    /// - `ece`: the errors of which the measured one would not be surprising, taking off what noise adds to it: 0 is
    ///   in the interval of a calibrated network.
    pub fn intervals(&self) -> Intervals {
        let mut intervals = Intervals::default();
        if self.examples == 0 {
            return intervals;
        }
        intervals.insert_defined("accuracy", interval::wilson(self.right, &self.all));

        let recalls: Vec<_> = self.weights.iter().map(ClassWeights::recalled).collect();
        let balanced_accuracy = interval::mean_proportion(&recalls);
        intervals.insert_defined("balanced_accuracy", balanced_accuracy);

        if let Some([positive, other]) = self.two() {
            for (name, weights) in [("sensitivity", positive), ("specificity", other)] {
                intervals.insert_defined(name, weights.recall_interval());
            }
        }
        let f1 = if let Some([positive, _]) = self.two() {
            positive.f1_interval()
        } else if self.counts.iter().map(|count| count.true_positives).sum::<u64>() == self.examples {
            balanced_accuracy
        } else {
            self.replicates.as_ref().and_then(ClassificationReplicates::macro_f1)
        };
        intervals.insert_defined("f1", f1);

        // Of each class, or of the second of two, the examples of it and all others.
        let sides: Vec<[f64; 2]> = match self.two() {
            Some(_) => vec![[self.weights[1].actual.effective(), self.weights[0].actual.effective()]],
            None => {
                let all: Vec<f64> = self.weights.iter().map(|weights| weights.actual.effective()).collect();
                let sum: f64 = all.iter().sum();
                all.iter().map(|&of_class| [of_class, sum - of_class]).collect()
            }
        };
        let area = |(ranks, [positives, negatives]): (&Ranks, [f64; 2])| {
            let value = ranks.area()?.value;
            Some((value, interval::roc_auc(value, positives, negatives)))
        };
        let areas: Vec<_> = self.ranks.iter().zip(sides).filter_map(area).collect();
        let inflation = if areas.len() > 1 { AREA_INFLATION } else { 1.0 };
        let roc_auc = interval::of_mean(&areas, inflation);
        intervals.insert_defined("roc_auc", roc_auc.map(|limits| limits.map(|limit| limit.clamp(0.0, 1.0))));

        for (name, moments) in [("log_loss", &self.log_losses), ("brier", &self.briers)] {
            if let (Some(mean), Some(error)) = (moments.mean(), moments.standard_error()) {
                intervals.insert(name, interval::positive_mean(mean, error));
            }
        }
        intervals.insert_defined("ece", self.calibration.interval());
        intervals
    }

    /// How far `roc_auc` can be from the exact value at most: half the share of (positive, negative) pairs that fall
    /// in one bin of the histogram, the mean over classes; 0 where it is exact. `None` where `roc_auc` is absent.
    pub fn roc_auc_error_bound(&self) -> Option<f64> {
        mean(self.areas().iter().map(|area| area.error_bound))
    }

    /// The confusion matrix `[classes, classes]`, rows are the true class, columns the predicted one. `None` for more
    /// than [`MAX_CONFUSION_CLASSES`] classes.
    pub fn confusion(&self) -> Option<&[u64]> {
        (self.classes <= MAX_CONFUSION_CLASSES).then_some(self.confusion.as_slice())
    }

    /// Counts of each class.
    pub fn class_counts(&self) -> &[ClassCounts] {
        &self.counts
    }

    /// Forgets all examples and keeps the memory.
    pub fn reset(&mut self) {
        self.examples = 0;
        self.counts.fill(ClassCounts::default());
        self.weights.fill(ClassWeights::default());
        (self.all, self.right) = (Tally::default(), 0.0);
        self.confusion.fill(0);
        self.log_losses = Moments::default();
        self.briers = Moments::default();
        self.calibration = Calibration::default();
        self.ranks.iter_mut().for_each(Ranks::reset);
        if let Some(replicates) = &mut self.replicates {
            replicates.reset();
        }
    }

    fn f1(&self) -> Option<f64> {
        match self.two() {
            Some([positive, _]) => positive.f1(),
            None => mean(self.weights.iter().filter_map(ClassWeights::f1)),
        }
    }

    /// Weights of the positive class and of the other, if there are two.
    fn two(&self) -> Option<[ClassWeights; 2]> {
        (self.classes == 2).then(|| [self.weights[self.positive], self.weights[1 - self.positive]])
    }

    /// The reliability diagram: how often predictions of each confidence are right.
    pub fn reliability(&self) -> Vec<ReliabilityBin> {
        self.calibration.table()
    }

    fn areas(&self) -> Vec<Area> {
        self.ranks.iter().filter_map(Ranks::area).collect()
    }
}

/// The class of the largest probability, the first of equal ones.
pub(crate) fn largest(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best })
}

/// Squared distance of probabilities to what is true, halved of two classes.
pub(crate) fn brier(row: &[f32], target: usize) -> f64 {
    let distance = |(class, &p): (usize, &f32)| (f64::from(p) - f64::from(u8::from(class == target))).powi(2);
    let sum: f64 = row.iter().enumerate().map(distance).sum();
    if row.len() == 2 { sum / 2.0 } else { sum }
}

/// The mean of some values; `None` of nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}
