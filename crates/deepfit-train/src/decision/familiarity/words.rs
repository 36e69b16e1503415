//! Texts: how surprising their tokens are to whoever knows how frequent each is in the texts of training.

use std::sync::Arc;

use deepfit_data::{Batch, Slot, Source};

use super::{Sizes, each_batch};
use crate::error::{Result, TrainError};
use crate::metrics::Moments;
use crate::tensors::Owned;

/// Frequencies need many texts.
pub(super) const SIZES: Sizes = Sizes { known: 20_000, others: 1_000 };
/// Where all tokens are as frequent.
const LEAST_DEVIATION: f64 = 1e-6;

/// How frequent each token is.
#[derive(Debug, Clone)]
pub(super) struct Words {
    /// Of each token, up to the last that was met.
    counts: Vec<f32>,
    all: f64,
    /// Mean and deviation of the surprise of tokens of texts that had no part in the counts.
    mean: f64,
    deviation: f64,
    /// The inputs of a batch.
    slots: Vec<Slot>,
}

impl Words {
    /// Counts the tokens of some texts, and sees how surprising those of others are; nothing if there are none.
    pub(super) fn fit(source: &Arc<dyn Source>, known: &[u32], others: &[u32]) -> Result<Option<Words>> {
        let slots = source.slots().to_vec();
        if !are_texts(&slots) {
            return Ok(None);
        }
        let mut counts: Vec<f32> = Vec::new();
        each_batch(source, known.to_vec(), &mut |batch| {
            for text in texts(batch, &slots)? {
                for &token in text {
                    let token = usize::try_from(token).unwrap_or(0);
                    if counts.len() <= token {
                        counts.resize(token + 1, 0.0);
                    }
                    counts[token] += 1.0;
                }
            }
            Ok(true)
        })?;
        let mut words = Words::new(counts, [0.0, 1.0], slots);
        let mut moments = Moments::default();
        each_batch(source, others.to_vec(), &mut |batch| {
            for text in texts(batch, &words.slots)? {
                text.iter().for_each(|&token| moments.add(words.surprise_of(token)));
            }
            Ok(true)
        })?;
        let (Some(mean), Some(deviation)) = (moments.mean(), moments.sd()) else { return Ok(None) };
        (words.mean, words.deviation) = (mean, deviation.max(LEAST_DEVIATION));
        Ok(Some(words))
    }

    fn new(counts: Vec<f32>, [mean, deviation]: [f64; 2], slots: Vec<Slot>) -> Words {
        let all = counts.iter().map(|&count| f64::from(count)).sum();
        Words { counts, all, mean, deviation, slots }
    }

    /// As [`Words::tensor`] and [`Words::surprise`] gave them.
    pub(super) fn read(counts: Owned, surprise: [f64; 2], slots: &[Slot]) -> Option<Words> {
        let fits = surprise[0].is_finite() && surprise[1] > 0.0;
        (fits && are_texts(slots)).then(|| Words::new(counts.values, surprise, slots.to_vec()))
    }

    pub(super) fn tensor(&self) -> Owned {
        Owned { shape: vec![self.counts.len()], values: self.counts.clone() }
    }

    pub(super) fn surprise(&self) -> [f64; 2] {
        [self.mean, self.deviation]
    }

    /// Of each text, how many deviations the mean surprise of its tokens is above the usual one: of longer texts, less counts.
    pub(super) fn distances(&self, batch: &Batch) -> Result<Vec<f64>> {
        let of = |text: &[i32]| {
            let count = text.len().max(1) as f64;
            let mean = text.iter().map(|&token| self.surprise_of(token)).sum::<f64>() / count;
            (mean - self.mean) / self.deviation * count.sqrt()
        };
        Ok(texts(batch, &self.slots)?.map(of).collect())
    }

    /// The negative logarithm of a token's probability, all of them met once more than they were (P.-S. Laplace's rule).
    fn surprise_of(&self, token: i32) -> f64 {
        let count = usize::try_from(token).ok().and_then(|token| self.counts.get(token)).copied().unwrap_or(0.0);
        let all = self.all + self.counts.len() as f64 + 1.0;
        (all / (f64::from(count) + 1.0)).ln()
    }
}

/// Whether batches with these inputs are texts.
fn are_texts(slots: &[Slot]) -> bool {
    ["tokens", "lengths"].iter().all(|name| slots.iter().any(|slot| slot.name == *name))
}

/// The tokens of each text of a batch.
fn texts<'a>(batch: &'a Batch, slots: &'a [Slot]) -> Result<impl Iterator<Item = &'a [i32]>> {
    let other = || TrainError::setting("data", "is prepared in another way than the model was trained on");
    batch.texts(slots).ok_or_else(other)
}
