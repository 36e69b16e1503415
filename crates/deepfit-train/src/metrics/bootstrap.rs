//! Bootstrap replicates of a stream.
//!
//! Instead of drawing examples with replacement, each replicate gives each example a weight from the Poisson
//! distribution of mean 1, so that replicates are kept up to date while examples pass by (F. Chamandy, O. Muralidharan,
//! A. Najmi and S. Naidu, "Estimating uncertainty for massive data streams", 2012). Weights are a function of
//! the example's position and the replicate alone: the same examples give the same intervals.

use super::interval::quantile;

/// Chances that a Poisson variable of mean 1 is at most 0, 1, ..., 7, in units of 2^-16.
const AT_MOST: [u16; 8] = [24109, 48219, 60273, 64292, 65296, 65497, 65531, 65535];

/// Weights of one example in all replicates.
#[derive(Debug, Clone)]
struct Weights(Vec<u8>);

impl Weights {
    fn draw(&mut self, example: u64) {
        for (group, weights) in self.0.chunks_mut(4).enumerate() {
            // A hash of a counter (the finaliser of G. Steele, D. Lea and C. Flood's SplitMix64, 2014); its four
            // 16-bit parts are four uniform numbers.
            let mut bits = example.wrapping_mul(0x0001_0000_0001_00b3).wrapping_add(group as u64 + 1);
            bits = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bits ^= bits >> 31;
            for (part, weight) in weights.iter_mut().enumerate() {
                let uniform = (bits >> (16 * part)) as u16;
                *weight = AT_MOST.iter().map(|&chance| u8::from(uniform >= chance)).sum();
            }
        }
    }
}

/// Limits between which 95 % of the replicates are.
fn percentiles(mut replicates: Vec<f64>) -> Option<[f64; 2]> {
    replicates.sort_by(f64::total_cmp);
    Some([quantile(&replicates, 0.025)?, quantile(&replicates, 0.975)?])
}

/// What is counted of labelled words, in a sentence or in many.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct SpanCounts {
    /// Spans that there are.
    pub(crate) actual: u64,
    /// Spans that were predicted.
    pub(crate) predicted: u64,
    /// Of these, those that are right.
    pub(crate) right: u64,
    /// Words.
    pub(crate) words: u64,
    /// Words with the right label.
    pub(crate) right_words: u64,
}

impl SpanCounts {
    /// Adds others, so many times.
    pub(crate) fn add(&mut self, other: &SpanCounts, times: u64) {
        self.actual += times * other.actual;
        self.predicted += times * other.predicted;
        self.right += times * other.right;
        self.words += times * other.words;
        self.right_words += times * other.right_words;
    }

    /// Precision, recall and F1 of spans, and the share of words that are right, where they are defined.
    pub(crate) fn scores(&self) -> [(&'static str, Option<f64>); 4] {
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        [
            ("precision", share(self.right, self.predicted)),
            ("recall", share(self.right, self.actual)),
            ("f1", share(2 * self.right, self.actual + self.predicted)),
            ("token_accuracy", share(self.right_words, self.words)),
        ]
    }
}

/// Replicates of what is counted of labelled words, by sentences.
#[derive(Debug, Clone)]
pub(crate) struct SpanReplicates {
    weights: Weights,
    sums: Vec<SpanCounts>,
}

impl SpanReplicates {
    pub(crate) fn new(replicates: usize) -> Self {
        SpanReplicates { weights: Weights(vec![0; replicates]), sums: vec![SpanCounts::default(); replicates] }
    }

    /// Adds what was counted of a sentence at a position of the stream.
    pub(crate) fn add(&mut self, example: u64, counts: &SpanCounts) {
        self.weights.draw(example);
        for (sums, &weight) in self.sums.iter_mut().zip(&self.weights.0) {
            sums.add(counts, u64::from(weight));
        }
    }

    /// Intervals of the scores: percentiles of the replicates in which they are defined.
    pub(crate) fn intervals(&self) -> Vec<(&'static str, Option<[f64; 2]>)> {
        let all: Vec<[(&str, Option<f64>); 4]> = self.sums.iter().map(SpanCounts::scores).collect();
        let names = SpanCounts::default().scores().map(|(name, _)| name);
        let of =
            |(place, name): (usize, _)| (name, percentiles(all.iter().filter_map(|scores| scores[place].1).collect()));
        names.into_iter().enumerate().map(of).collect()
    }
}

/// Replicates of what the macro F1 needs.
#[derive(Debug, Clone)]
pub(crate) struct ClassificationReplicates {
    weights: Weights,
    /// Sum of weights of correct predictions of a class, `[classes, replicates]`.
    correct: Vec<f64>,
    /// Sum of weights of the true and of the predicted examples of a class together, `[classes, replicates]`.
    occurrences: Vec<f64>,
}

impl ClassificationReplicates {
    pub(crate) fn new(replicates: usize, classes: usize) -> Self {
        ClassificationReplicates {
            weights: Weights(vec![0; replicates]),
            correct: vec![0.0; replicates * classes],
            occurrences: vec![0.0; replicates * classes],
        }
    }

    pub(crate) fn reset(&mut self) {
        self.correct.fill(0.0);
        self.occurrences.fill(0.0);
    }

    pub(crate) fn bytes(&self) -> usize {
        8 * (self.correct.len() + self.occurrences.len()) + self.weights.0.len()
    }

    /// Counts the example at a position of the stream, with a weight of its own.
    pub(crate) fn add(&mut self, example: u64, truth: usize, predicted: usize, own: f64) {
        self.weights.draw(example);
        let weights = &self.weights.0;
        let n = weights.len();
        add_weights(&mut self.occurrences[truth * n..][..n], weights, own);
        add_weights(&mut self.occurrences[predicted * n..][..n], weights, own);
        if truth == predicted {
            add_weights(&mut self.correct[truth * n..][..n], weights, own);
        }
    }

    /// Interval of the macro F1: percentiles of the replicates.
    pub(crate) fn macro_f1(&self) -> Option<[f64; 2]> {
        macro_f1(&self.correct, &self.occurrences, self.weights.0.len())
    }
}

/// Replicates of what the F1 of labels needs.
#[derive(Debug, Clone)]
pub(crate) struct LabelReplicates {
    weights: Weights,
    /// Sum of weights of the examples that have a label and were predicted to, `[labels, replicates]`.
    correct: Vec<f64>,
    /// Sum of weights of those that have it and of those that were predicted to, together, `[labels, replicates]`.
    occurrences: Vec<f64>,
}

impl LabelReplicates {
    pub(crate) fn new(replicates: usize, labels: usize) -> Self {
        LabelReplicates {
            weights: Weights(vec![0; replicates]),
            correct: vec![0.0; replicates * labels],
            occurrences: vec![0.0; replicates * labels],
        }
    }

    /// Draws the weights of the example at a position of the stream, whose labels are added next.
    pub(crate) fn begin(&mut self, example: u64) {
        self.weights.draw(example);
    }

    /// Counts one label of the example, which has a weight of its own.
    pub(crate) fn add(&mut self, label: usize, actual: bool, predicted: bool, own: f64) {
        let weights = &self.weights.0;
        let n = weights.len();
        for _ in 0..u8::from(actual) + u8::from(predicted) {
            add_weights(&mut self.occurrences[label * n..][..n], weights, own);
        }
        if actual && predicted {
            add_weights(&mut self.correct[label * n..][..n], weights, own);
        }
    }

    /// Interval of the mean F1 of the labels.
    pub(crate) fn macro_f1(&self) -> Option<[f64; 2]> {
        macro_f1(&self.correct, &self.occurrences, self.weights.0.len())
    }

    /// Interval of the F1 of all labels together.
    pub(crate) fn micro_f1(&self) -> Option<[f64; 2]> {
        let n = self.weights.0.len();
        let sum = |of: &[f64], replicate: usize| of.iter().skip(replicate).step_by(n).sum::<f64>();
        let share = |replicate| {
            let occurrences = sum(&self.occurrences, replicate);
            (occurrences > 0.0).then(|| 2.0 * sum(&self.correct, replicate) / occurrences)
        };
        percentiles((0..n).filter_map(share).collect())
    }
}

/// Percentiles of the mean F1 over those of `[classes, n]` that occur in a replicate.
fn macro_f1(correct: &[f64], occurrences: &[f64], n: usize) -> Option<[f64; 2]> {
    let classes = correct.len() / n;
    let of_replicate = |replicate: usize| {
        let occurring = (0..classes).map(|class| class * n + replicate).filter(|&at| occurrences[at] > 0.0);
        let (sum, count) =
            occurring.fold((0.0, 0u32), |(sum, count), at| (sum + 2.0 * correct[at] / occurrences[at], count + 1));
        (count > 0).then(|| sum / f64::from(count))
    };
    percentiles((0..n).filter_map(of_replicate).collect())
}

fn add_weights(sums: &mut [f64], weights: &[u8], own: f64) {
    for (sum, &weight) in sums.iter_mut().zip(weights) {
        *sum += own * f64::from(weight);
    }
}

/// Replicates of what R2 needs.
#[derive(Debug, Clone)]
pub(crate) struct RegressionReplicates {
    weights: Weights,
    /// The first target, taken off all of them so that their squares lose no digits to a large mean.
    pivot: Option<f64>,
    sums: Vec<TargetSums>,
}

/// Weighted sums of one replicate.
#[derive(Debug, Clone, Copy, Default)]
struct TargetSums {
    weight: f64,
    squared_error: f64,
    target: f64,
    squared_target: f64,
}

impl RegressionReplicates {
    pub(crate) fn new(replicates: usize) -> Self {
        let sums = vec![TargetSums::default(); replicates];
        RegressionReplicates { weights: Weights(vec![0; replicates]), pivot: None, sums }
    }

    pub(crate) fn reset(&mut self) {
        self.pivot = None;
        self.sums.fill(TargetSums::default());
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.sums.as_slice()) + self.weights.0.len()
    }

    /// Counts the example at a position of the stream, with a weight of its own.
    pub(crate) fn add(&mut self, example: u64, squared_error: f64, target: f64, own: f64) {
        self.weights.draw(example);
        let target = target - *self.pivot.get_or_insert(target);
        for (sums, &weight) in self.sums.iter_mut().zip(&self.weights.0) {
            let weight = own * f64::from(weight);
            sums.weight += weight;
            sums.squared_error += weight * squared_error;
            sums.target += weight * target;
            sums.squared_target += weight * target * target;
        }
    }

    /// Interval of R2: percentiles of the replicates.
    pub(crate) fn r2(&self) -> Option<[f64; 2]> {
        let of_replicate = |sums: &TargetSums| {
            let spread = sums.squared_target - sums.target * sums.target / sums.weight;
            // A replicate in which (nearly) one example alone has a weight has no spread but rounding.
            (sums.weight > 0.0 && spread > 1e-12 * sums.squared_target).then(|| 1.0 - sums.squared_error / spread)
        };
        percentiles(self.sums.iter().filter_map(of_replicate).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::Weights;

    #[test]
    fn weights_are_poisson_and_unrelated_between_replicates_and_examples() {
        let mut weights = Weights(vec![0; 200]);
        let mut counts = [0u32; 9];
        let (mut neighbours, mut successive) = (0.0, 0.0);
        let mut last = [0u8; 200];
        let examples = 10_000;
        for example in 0..examples {
            weights.draw(example);
            let distance = |w: u8| f64::from(w) - 1.0;
            for (replicate, &weight) in weights.0.iter().enumerate() {
                counts[usize::from(weight)] += 1;
                neighbours += distance(weight) * distance(weights.0[(replicate + 1) % 200]);
                successive += distance(weight) * distance(last[replicate]);
            }
            last.copy_from_slice(&weights.0);
        }
        let n = 200.0 * examples as f64;
        let mut chance = (-1.0f64).exp();
        for (weight, &count) in counts.iter().enumerate().take(6) {
            let expected = n * chance;
            assert!((f64::from(count) - expected).abs() < 5.0 * expected.sqrt(), "{weight}: {count} {expected}");
            chance /= weight as f64 + 1.0;
        }
        // Correlations of 2,000,000 independent pairs have a standard deviation of 0.0007.
        assert!((neighbours / n).abs() < 0.0035, "{}", neighbours / n);
        assert!((successive / n).abs() < 0.0035, "{}", successive / n);
    }
}
