//! How well words are labelled: by spans, as conlleval counts them, and by words.

use std::collections::HashSet;
use std::ops::Range;

use super::bootstrap::{SpanCounts, SpanReplicates};
use super::multi_label::LabelScores;
use super::scores::{Intervals, Scores};
use crate::tagging::Tags;

/// Replicates of the bootstrap.
const REPLICATES: usize = 200;

/// Metrics of labels of words, streamed sentence by sentence.
///
/// A span is right if its first and last word and its label are (Tjong Kim Sang and De Meulder, 2003). Without spans every
/// word is one.
#[derive(Debug)]
pub struct TaggingMetrics {
    tags: Tags,
    /// Of spans of each label.
    labels: Vec<SpanCounts>,
    all: SpanCounts,
    nats: f64,
    sentences: u64,
    replicates: Option<SpanReplicates>,
}

impl TaggingMetrics {
    /// Of the names of a task's outputs; perhaps with intervals.
    pub fn new(labels: &[String], spans: bool, intervals: bool) -> Self {
        let tags = Tags::new(labels, spans);
        let labels = vec![SpanCounts::default(); tags.labels.len()];
        let replicates = intervals.then(|| SpanReplicates::new(REPLICATES));
        TaggingMetrics { tags, labels, all: SpanCounts::default(), nats: 0.0, sentences: 0, replicates }
    }

    /// Adds a sentence: probabilities `[words, outputs]` and the right output of each word.
    pub fn add(&mut self, probabilities: &[f32], targets: &[usize], outputs: usize) {
        let predicted = self.tags.decode(probabilities);
        let mut counts = SpanCounts { words: targets.len() as u64, ..SpanCounts::default() };
        for ((values, &target), &tag) in probabilities.chunks_exact(outputs).zip(targets).zip(&predicted) {
            counts.right_words += u64::from(tag == target);
            self.nats -= f64::from(values[target]).max(1e-30).ln();
        }
        let actual: HashSet<(Range<usize>, usize)> = self.tags.spans(targets).into_iter().collect();
        for (_, label) in &actual {
            self.labels[*label].actual += 1;
        }
        for span in self.tags.spans(&predicted) {
            let right = u64::from(actual.contains(&span));
            let of_label = &mut self.labels[span.1];
            of_label.predicted += 1;
            of_label.right += right;
            counts.predicted += 1;
            counts.right += right;
        }
        counts.actual = actual.len() as u64;
        self.all.add(&counts, 1);
        if let Some(replicates) = &mut self.replicates {
            replicates.add(self.sentences, &counts);
        }
        self.sentences += 1;
    }

    /// Number of sentences so far.
    pub fn sentences(&self) -> u64 {
        self.sentences
    }

    /// Metrics by name: `precision`, `recall` and `f1` over all spans, `token_accuracy` and `log_loss` over all words.
    pub fn scores(&self) -> Scores {
        let mut scores = Scores::default();
        self.all.scores().into_iter().for_each(|(name, value)| scores.insert_defined(name, value));
        if self.all.words > 0 {
            scores.insert("log_loss", self.nats / self.all.words as f64);
        }
        scores
    }

    /// 95 % intervals, by drawing sentences.
    pub fn intervals(&self) -> Intervals {
        let mut intervals = Intervals::default();
        let all = self.replicates.iter().flat_map(SpanReplicates::intervals);
        all.for_each(|(name, interval)| intervals.insert_defined(name, interval));
        intervals
    }

    /// How each label is recognised.
    pub fn label_scores(&self) -> Vec<LabelScores> {
        let of = |(label, counts): (&String, &SpanCounts)| {
            let [(_, precision), (_, recall), (_, f1), _] = counts.scores();
            let SpanCounts { actual, predicted, .. } = *counts;
            LabelScores { label: label.clone(), actual, predicted, precision, recall, f1, average_precision: None }
        };
        self.tags.labels.iter().zip(&self.labels).map(of).collect()
    }
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
