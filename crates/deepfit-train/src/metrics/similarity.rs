//! How well embeddings tell which texts belong together.

use std::cell::OnceCell;

use deepfit_data::PairLabel;

use super::correlation::{pearson, ranks};
use super::interval;
use super::moments::Moments;
use super::scores::{Intervals, Scores};

/// What cosines are multiplied by in losses: the inverse of a temperature of 0.05.
pub const SCALE: f32 = 20.0;
/// Texts that are told apart at once.
const BLOCK: usize = 8;

/// Metrics of embeddings of pairs, which are all kept: each text is compared with all others.
///
/// [`Self::scores`] gives, of pairs that belong together, for the second text of each among those of all pairs,
///
/// - `mrr`: the mean of 1 divided by its rank by its cosine to the first text;
/// - `recall_at_1` and `recall_at_10`: the share of pairs in which the rank is at most that;
/// - `log_loss`: the mean of the negative logarithm of its share in the sum of the exponentials of 20 times the cosines.
///
/// Texts that are the same as one of the pair's do not compete. Of pairs with scores
///
/// - `spearman` and `pearson`: correlation of the cosines, or of their ranks, with the scores;
/// - `roc_auc`: of scores of 1 and 0, the probability that a related pair has the larger cosine;
/// - `rank_loss`: the logarithm of 1 plus the mean of `exp(20 (cosine_j - cosine_i))` over all two pairs in which the score of
///   i is the larger, so that it compares parts of any size.
#[derive(Debug, Clone)]
pub struct SimilarityMetrics {
    label: PairLabel,
    first: Vec<f32>,
    second: Vec<f32>,
    texts: Vec<[i32; 2]>,
    scores: Vec<f32>,
    ranked: OnceCell<Vec<Ranked>>,
}

/// How a partner does among all texts.
#[derive(Debug, Clone, Copy)]
struct Ranked {
    /// 1 where no other text is as near.
    rank: usize,
    /// Sum over all texts of the exponential of 20 times how much nearer each is than the partner.
    sum: f64,
    /// Of both texts.
    cosine: f32,
}

/// What became of a pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PairOutcome {
    /// The rank of the partner; of pairs with scores the cosine.
    pub(crate) found: f32,
    /// The cosine; of pairs with scores the score.
    pub(crate) truth: f32,
    /// The rank where it is not the first; of pairs with scores the distance between the ranks of cosine and score, as a
    /// share of all.
    pub(crate) loss: Option<f64>,
}

impl SimilarityMetrics {
    /// Of no pairs so far.
    pub fn new(label: PairLabel) -> SimilarityMetrics {
        SimilarityMetrics {
            label,
            first: Vec::new(),
            second: Vec::new(),
            texts: Vec::new(),
            scores: Vec::new(),
            ranked: OnceCell::new(),
        }
    }

    fn add(&mut self, embeddings: &[f32], pairs: usize) {
        self.ranked = OnceCell::new();
        let width = embeddings.len() / (2 * pairs.max(1));
        for pair in embeddings.chunks_exact((2 * width).max(1)) {
            self.first.extend_from_slice(&pair[..width]);
            self.second.extend_from_slice(&pair[width..]);
        }
    }

    /// Adds embeddings `[pairs, 2 width]` of partners, each 1 long, with the numbers of their texts `[pairs, 2]`.
    pub fn add_partners(&mut self, embeddings: &[f32], texts: &[i32]) {
        self.add(embeddings, texts.len() / 2);
        self.texts.extend(texts.chunks_exact(2).map(|pair| [pair[0], pair[1]]));
    }

    /// Adds embeddings `[pairs, 2 width]`, each 1 long, with the scores of the pairs.
    pub fn add_scored(&mut self, embeddings: &[f32], scores: &[f32]) {
        self.add(embeddings, scores.len());
        self.scores.extend_from_slice(scores);
    }

    /// Metrics by name.
    pub fn scores(&self) -> Scores {
        match self.label {
            PairLabel::Partners => self.retrieval().0,
            _ => self.correlation(),
        }
    }

    /// 95 % intervals by name, by how the pairs differ.
    pub fn intervals(&self) -> Intervals {
        if self.label == PairLabel::Partners { self.retrieval().1 } else { Intervals::default() }
    }

    /// What became of each pair, in the order in which they were added.
    pub(crate) fn outcomes(&self) -> Vec<PairOutcome> {
        if self.label == PairLabel::Partners {
            let outcome = |one: &Ranked| PairOutcome {
                found: one.rank as f32,
                truth: one.cosine,
                loss: (one.rank > 1).then_some(one.rank as f64),
            };
            return self.ranked().iter().map(outcome).collect();
        }
        let (cosines, truths) = self.cosines();
        let (of_cosines, of_truths) = (ranks(&cosines), ranks(&truths));
        let all = cosines.len().max(1) as f64;
        let outcome = |at: usize| PairOutcome {
            found: cosines[at] as f32,
            truth: self.scores[at],
            loss: Some((of_cosines[at] - of_truths[at]).abs() / all),
        };
        (0..cosines.len()).map(outcome).collect()
    }

    /// Cosines and scores of pairs with scores.
    fn cosines(&self) -> (Vec<f64>, Vec<f64>) {
        let width = (self.first.len() / self.scores.len().max(1)).max(1);
        let both = self.first.chunks_exact(width).zip(self.second.chunks_exact(width));
        let cosines = both.map(|(a, b)| f64::from(dot(a, b))).collect();
        (cosines, self.scores.iter().map(|&score| f64::from(score)).collect())
    }

    /// How each partner does among all texts.
    fn ranked(&self) -> &[Ranked] {
        self.ranked.get_or_init(|| self.rank())
    }

    fn rank(&self) -> Vec<Ranked> {
        let pairs = self.texts.len();
        let width = self.first.len() / pairs.max(1);
        let mut ranked = Vec::with_capacity(pairs);
        // The texts of a block of pairs stay in the cache while all second texts pass by.
        for begin in (0..pairs).step_by(BLOCK) {
            let block = begin..(begin + BLOCK).min(pairs);
            let row = |texts: &[f32], pair: usize| texts[pair * width..][..width].to_vec();
            let queries: Vec<Vec<f32>> = block.clone().map(|pair| row(&self.first, pair)).collect();
            let own: Vec<f32> =
                block.clone().map(|pair| dot(&queries[pair - begin], &self.second[pair * width..][..width])).collect();
            let (mut above, mut sums) = (vec![0usize; own.len()], vec![1.0f64; own.len()]);
            for (other, candidate) in self.second.chunks_exact(width.max(1)).enumerate() {
                for pair in block.clone() {
                    let [a, b] = self.texts[pair];
                    let [other_a, other_b] = self.texts[other];
                    if a == other_a || b == other_b {
                        continue;
                    }
                    let at = pair - begin;
                    let more = dot(&queries[at], candidate) - own[at];
                    // What is as near as the partner was not told apart from it.
                    above[at] += usize::from(more >= 0.0);
                    sums[at] += f64::from(SCALE * more).exp();
                }
            }
            let each = above.into_iter().zip(sums).zip(own);
            ranked.extend(each.map(|((above, sum), cosine)| Ranked { rank: above + 1, sum, cosine }));
        }
        ranked
    }

    fn retrieval(&self) -> (Scores, Intervals) {
        let (mut ranks, mut first, mut tenth, mut losses) =
            (Moments::default(), Moments::default(), Moments::default(), Moments::default());
        for one in self.ranked() {
            ranks.add(1.0 / one.rank as f64);
            first.add(f64::from(u8::from(one.rank == 1)));
            tenth.add(f64::from(u8::from(one.rank <= 10)));
            losses.add(one.sum.ln());
        }
        let (mut scores, mut intervals) = (Scores::default(), Intervals::default());
        for (name, moments) in
            [("mrr", &ranks), ("recall_at_1", &first), ("recall_at_10", &tenth), ("log_loss", &losses)]
        {
            let Some(mean) = moments.mean() else { continue };
            scores.insert(name, mean);
            if let Some(error) = moments.standard_error() {
                let [low, high] = interval::positive_mean(mean, error);
                intervals.insert(name, [low, if name == "log_loss" { high } else { high.min(1.0) }]);
            }
        }
        (scores, intervals)
    }

    fn correlation(&self) -> Scores {
        let (cosines, truths) = self.cosines();
        let mut scores = Scores::default();
        scores.insert_defined("pearson", pearson(&cosines, &truths));
        scores.insert_defined("spearman", pearson(&ranks(&cosines), &ranks(&truths)));
        scores.insert_defined("rank_loss", rank_loss(&cosines, &truths));
        if self.label == PairLabel::Related {
            scores.insert_defined("roc_auc", roc_auc(&ranks(&cosines), &truths));
        }
        scores
    }
}

/// The sum of products in eight partial sums, which the compiler makes one vector.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (blocks_a, blocks_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = blocks_a.remainder().iter().zip(blocks_b.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in blocks_a.zip(blocks_b) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// The share of pairs of a positive (1) and a negative (0) in which the positive has the higher rank, ties being half.
fn roc_auc(ranks: &[f64], truths: &[f64]) -> Option<f64> {
    let positives = truths.iter().filter(|&&truth| truth > 0.5).count() as f64;
    let negatives = truths.len() as f64 - positives;
    let sum: f64 = ranks.iter().zip(truths).filter(|(_, truth)| **truth > 0.5).map(|(rank, _)| rank).sum();
    (positives * negatives > 0.0).then(|| (sum - positives * (positives - 1.0) / 2.0) / (positives * negatives))
}

/// See [`SimilarityMetrics`]. From the smallest score upwards, the exponentials of all smaller ones are summed up.
fn rank_loss(cosines: &[f64], scores: &[f64]) -> Option<f64> {
    let scale = f64::from(SCALE);
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let (mut below, mut sum, mut count) = (0.0, 0.0, 0.0);
    let mut smaller = 0.0;
    for equal in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        sum += equal.iter().map(|&at| (-scale * cosines[at]).exp() * below).sum::<f64>();
        count += smaller * equal.len() as f64;
        below += equal.iter().map(|&at| (scale * cosines[at]).exp()).sum::<f64>();
        smaller += equal.len() as f64;
    }
    (count > 0.0).then(|| (1.0 + sum / count).ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partners_are_ranked_among_all_and_the_same_text_is_no_rival() {
        let mut metrics = SimilarityMetrics::new(PairLabel::Partners);
        // The second pair's partner is behind that of the first; the third has the first pair's second text.
        let (x, y, z) = ([1.0f32, 0.0], [0.8f32, 0.6], [0.6f32, 0.8]);
        let pairs = [[x, x], [y, z], [x, x]].concat().concat();
        metrics.add_partners(&pairs, &[0, 1, 2, 3, 4, 1]);
        let scores = metrics.scores();
        // Of the second: its partner has 0.96, the text of the others 0.8.
        assert_eq!(scores.get("recall_at_1"), Some(1.0));
        metrics.add_partners(&[y, x].concat(), &[5, 6]);
        let scores = metrics.scores();
        // Of the fourth: 0.8 for its own, 0.8 for the first and third, 0.96 for the second: rank 4. Its text is the equal of
        // the first's and third's partners, which come behind it.
        assert!((scores.get("mrr").unwrap() - (0.5 + 1.0 + 0.5 + 0.25) / 4.0).abs() < 1e-9, "{scores:?}");
        let expected = (1.0f64 + 1.0 + (20.0f64 * -0.4).exp()).ln();
        let rest: f64 = [(1.0 + 2.0 * (20.0f64 * -0.16).exp() + (20.0f64 * -0.16).exp()).ln()].iter().sum();
        let fourth = (1.0 + 2.0 + (20.0f64 * 0.16).exp()).ln();
        assert!((scores.get("log_loss").unwrap() - (2.0 * expected + rest + fourth) / 4.0).abs() < 1e-5, "{scores:?}");
    }

    #[test]
    fn what_became_of_pairs_is_what_the_scores_are_made_of() {
        let mut metrics = SimilarityMetrics::new(PairLabel::Partners);
        let (x, y, z) = ([1.0f32, 0.0], [0.8f32, 0.6], [0.0f32, 1.0]);
        metrics.add_partners(&[[x, y], [y, z], [z, x]].concat().concat(), &[0, 1, 2, 3, 4, 5]);
        let outcomes = metrics.outcomes();
        let mean = outcomes.iter().map(|one| 1.0 / f64::from(one.found)).sum::<f64>() / 3.0;
        assert!((mean - metrics.scores().get("mrr").unwrap()).abs() < 1e-12);
        // The first is second to the third's text, and the second and third are told apart worst.
        assert_eq!(outcomes.iter().map(|one| one.found).collect::<Vec<_>>(), [2.0, 3.0, 3.0]);
        assert_eq!((outcomes[0].truth, outcomes[0].loss), (0.8, Some(2.0)));
        // What is added later is ranked, too.
        metrics.add_partners(&[z, z].concat(), &[6, 7]);
        assert_eq!(metrics.outcomes().len(), 4);
        let mut scored = SimilarityMetrics::new(PairLabel::Score);
        scored.add_scored(&[[x, x], [x, z]].concat().concat(), &[1.0, 5.0]);
        let losses: Vec<f64> = scored.outcomes().iter().filter_map(|one| one.loss).collect();
        assert_eq!(losses, [0.5, 0.5]);
    }

    #[test]
    fn the_rank_loss_and_the_area_equal_their_definitions() {
        let (cosines, scores) = ([0.9_f64, 0.1, 0.4, 0.4], [5.0_f64, 1.0, 1.0, 3.0]);
        let slow: Vec<f64> = (0..4)
            .flat_map(|i| (0..4).map(move |j| (i, j)))
            .filter(|&(i, j)| scores[i] > scores[j])
            .map(|(i, j)| (20.0 * (cosines[j] - cosines[i])).exp())
            .collect();
        let mean = slow.iter().sum::<f64>() / slow.len() as f64;
        assert!((rank_loss(&cosines, &scores).unwrap() - (1.0 + mean).ln()).abs() < 1e-12);
        // Of four pairs of a positive and a negative, three are in order and one is a tie.
        assert_eq!(roc_auc(&ranks(&cosines), &[1.0, 0.0, 0.0, 1.0]), Some(0.875));
    }

    #[test]
    fn sums_of_products_take_every_element() {
        let a: Vec<f32> = (0..19).map(|i| i as f32).collect();
        assert_eq!(dot(&a, &a), (0..19).map(|i| (i * i) as f32).sum::<f32>());
    }
}
