//! How well words are labelled: by spans, as conlleval counts them, and by words.

use super::bootstrap::SpanReplicates;
use super::multi_label::LabelScores;
use super::scores::{Intervals, Scores};
use crate::tagging::Tags;

/// Replicates of the bootstrap.
const REPLICATES: usize = 200;

/// Metrics of labels of words, streamed sentence by sentence.
///
/// A span is right if its first and last word and its label are. Without spans every word is one.
#[derive(Debug)]
pub struct TaggingMetrics {
    tags: Tags,
    /// Of each label: true spans, predicted ones, and those that are right.
    counts: Vec<[u64; 3]>,
    words: u64,
    right: u64,
    nats: f64,
    sentences: u64,
    replicates: Option<SpanReplicates>,
}

impl TaggingMetrics {
    /// Of the names of a task's outputs; perhaps with intervals.
    pub fn new(labels: &[String], spans: bool, intervals: bool) -> Self {
        let tags = Tags::new(labels, spans);
        let counts = vec![[0; 3]; tags.labels.len()];
        let replicates = intervals.then(|| SpanReplicates::new(REPLICATES));
        TaggingMetrics { tags, counts, words: 0, right: 0, nats: 0.0, sentences: 0, replicates }
    }

    /// Adds a sentence: probabilities `[words, outputs]` and the right output of each word.
    pub fn add(&mut self, probabilities: &[f32], targets: &[usize], outputs: usize) {
        let predicted = self.tags.decode(probabilities);
        for ((values, &target), &tag) in probabilities.chunks_exact(outputs).zip(targets).zip(&predicted) {
            self.words += 1;
            self.right += u64::from(tag == target);
            self.nats -= f64::from(values[target]).max(1e-30).ln();
        }
        let (truth, found) = (self.tags.spans(targets), self.tags.spans(&predicted));
        let mut sums = [truth.len() as u64, found.len() as u64, 0];
        truth.iter().for_each(|(_, label)| self.counts[*label][0] += 1);
        for span in &found {
            let right = truth.contains(span);
            self.counts[span.1][1] += 1;
            self.counts[span.1][2] += u64::from(right);
            sums[2] += u64::from(right);
        }
        if let Some(replicates) = &mut self.replicates {
            replicates.add(self.sentences, sums);
        }
        self.sentences += 1;
    }

    /// Metrics by name: `precision`, `recall` and `f1` over all spans, `token_accuracy` and `log_loss` over all words.
    pub fn scores(&self) -> Scores {
        let sum = |of: usize| self.counts.iter().map(|counts| counts[of]).sum();
        let [precision, recall, f1] = shares([sum(0), sum(1), sum(2)]);
        let mut scores = Scores::default();
        scores.insert_defined("precision", precision);
        scores.insert_defined("recall", recall);
        scores.insert_defined("f1", f1);
        if self.words > 0 {
            scores.insert("token_accuracy", self.right as f64 / self.words as f64);
            scores.insert("log_loss", self.nats / self.words as f64);
        }
        scores
    }

    /// 95 % interval of F1, by drawing sentences.
    pub fn intervals(&self) -> Intervals {
        let mut intervals = Intervals::default();
        intervals.insert_defined("f1", self.replicates.as_ref().and_then(SpanReplicates::f1));
        intervals
    }

    /// How each label is recognised.
    pub fn label_scores(&self) -> Vec<LabelScores> {
        let of = |(label, &counts): (&String, &[u64; 3])| {
            let [precision, recall, f1] = shares(counts);
            let [actual, predicted, _] = counts;
            LabelScores { label: label.clone(), actual, predicted, precision, recall, f1, average_precision: None }
        };
        self.tags.labels.iter().zip(&self.counts).map(of).collect()
    }
}

/// Precision, recall and F1 of true, predicted and right spans.
fn shares([truth, predicted, right]: [u64; 3]) -> [Option<f64>; 3] {
    let share = |of: u64| (of > 0).then(|| right as f64 / of as f64);
    let f1 = (truth + predicted > 0).then(|| 2.0 * right as f64 / (truth + predicted) as f64);
    [share(predicted), share(truth), f1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_right_with_their_ends_and_their_label() {
        let names: Vec<String> = ["O", "B-A", "I-A", "B-B", "I-B"].map(str::to_string).to_vec();
        let mut metrics = TaggingMetrics::new(&names, true, true);
        let sure = |tags: &[usize]| -> Vec<f32> {
            tags.iter().flat_map(|&tag| (0..5).map(move |t| if t == tag { 0.96 } else { 0.01 })).collect()
        };
        // One of A is right, one is too short, one of B has the wrong label.
        metrics.add(&sure(&[1, 0, 1, 0, 1]), &[1, 0, 1, 2, 3], 5);
        metrics.add(&sure(&[0, 3, 4]), &[0, 3, 4], 5);
        let scores = metrics.scores();
        // By hand: 4 true, 4 predicted, 2 right; words: 6 of 8.
        assert_eq!([scores.get("precision"), scores.get("recall"), scores.get("f1")], [Some(0.5); 3]);
        assert_eq!(scores.get("token_accuracy"), Some(0.75));
        let of_a = &metrics.label_scores()[0];
        assert_eq!((of_a.actual, of_a.predicted, of_a.precision), (2, 3, Some(1.0 / 3.0)));
        assert!(metrics.intervals().get("f1").is_some());
        assert!(TaggingMetrics::new(&names, true, false).scores().get("f1").is_none());
    }
}
