//! How well what comes next in a text is foreseen.

use super::interval;
use super::moments::Moments;
use super::scores::{Intervals, Scores};

/// Metrics of a language model, streamed.
///
/// [`Self::scores`] gives
///
/// - `log_loss`: mean over the tokens of the negative natural logarithm of their probability;
/// - `perplexity`: its exponential, as if so many tokens were equally likely; none where that is beyond all numbers;
/// - `bits_per_byte`: bits that a byte of the text would take if it were compressed by these probabilities, which compares
///   networks of different vocabularies.
#[derive(Debug, Clone, Default)]
pub struct LanguageMetrics {
    /// Of the windows' means.
    losses: Moments,
    nats: f64,
    bytes: f64,
}

impl LanguageMetrics {
    /// Adds windows of so many tokens: the mean loss of each, and the bytes that it stands for.
    pub fn add(&mut self, losses: &[f32], bytes: &[f32], tokens: usize) {
        for (&loss, &bytes) in losses.iter().zip(bytes) {
            self.losses.add(f64::from(loss));
            self.nats += f64::from(loss) * tokens as f64;
            self.bytes += f64::from(bytes);
        }
    }

    /// Metrics by name.
    pub fn scores(&self) -> Scores {
        let mut scores = Scores::default();
        if let Some(loss) = self.losses.mean() {
            scores.insert("log_loss", loss);
            scores.insert_defined("perplexity", Some(loss.exp()).filter(|value| value.is_finite()));
        }
        if self.bytes > 0.0 {
            scores.insert("bits_per_byte", self.nats / std::f64::consts::LN_2 / self.bytes);
        }
        scores
    }

    /// 95 % intervals by name, by how the windows differ.
    pub fn intervals(&self) -> Intervals {
        let mut intervals = Intervals::default();
        if let (Some(mean), Some(error)) = (self.losses.mean(), self.losses.standard_error()) {
            let [low, high] = interval::positive_mean(mean, error);
            intervals.insert("log_loss", [low, high]);
            let perplexity = [low.exp(), high.exp()];
            intervals.insert_defined("perplexity", Some(perplexity).filter(|[_, high]| high.is_finite()));
        }
        intervals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coin_for_each_byte_is_a_bit() {
        let mut metrics = LanguageMetrics::default();
        let coin = std::f32::consts::LN_2;
        metrics.add(&[coin, coin], &[8.0, 8.0], 8);
        let scores = metrics.scores();
        assert!((scores.get("bits_per_byte").unwrap() - 1.0).abs() < 1e-6);
        assert!((scores.get("perplexity").unwrap() - 2.0).abs() < 1e-6);
        // A token of four bytes takes a quarter for each.
        let mut longer = LanguageMetrics::default();
        longer.add(&[coin], &[32.0], 8);
        assert!((longer.scores().get("bits_per_byte").unwrap() - 0.25).abs() < 1e-6);
        assert!(LanguageMetrics::default().scores().get("log_loss").is_none());
        // JSON, and so a run's journal, knows no infinity.
        let mut lost = LanguageMetrics::default();
        lost.add(&[1e4, 1e4], &[8.0, 8.0], 8);
        assert!(lost.scores().get("perplexity").is_none() && lost.intervals().get("perplexity").is_none());
    }
}
