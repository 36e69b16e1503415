//! Whether a network overfits, underfits, or cannot be told to do either, and what is done about it.
//!
//! After each epoch `fit.rs` measures the losses of the validation rows, and of a sample of the training rows, with the network
//! as it is in use ([`EpochLosses`]): without dropout, augmentation and smoothing, which make the loss of training another
//! number. The losses of single validation rows are kept beside the checkpoint, so that two epochs are compared row by row.
//! When the run ends, [`judge()`] makes a [`FitReport`] of them, and says what was done and what it gained.

mod counter;
mod judge;
mod losses;
mod verdict;

use serde::{Deserialize, Serialize};

pub(crate) use counter::{Attempt, stronger};
pub(crate) use judge::{curves_of, judge};
pub use losses::EpochLosses;
pub(crate) use losses::{EvaluatedLosses, sample_of, sample_size};
pub use verdict::Verdict;

/// Something that was done so that the network fits what it has not seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Countermeasure {
    /// What was done, in words.
    pub action: String,
    /// The metric on validation rows that tells what it gained.
    pub metric: String,
    /// The metric without it.
    pub before: f64,
    /// The metric with it.
    pub after: f64,
    /// How much better the metric is with it; below 0 where it is worse.
    pub gained: f64,
    /// Whether the result has it.
    pub kept: bool,
}

/// How far validation is from training, at the epoch that was chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// What the figures are of: `log_loss` or `rmse`, of the network as it is in use.
    pub metric: String,
    /// On a sample of the training rows.
    pub train: f64,
    /// On the validation rows.
    pub validation: f64,
    /// Validation less training.
    pub gap: f64,
    /// 95 % interval of that.
    pub interval: [f64; 2],
}

impl Gap {
    /// In a sentence without its end.
    pub fn told(&self) -> String {
        let [low, high, gap] = [self.interval[0], self.interval[1], self.gap].map(crate::text::words::number);
        format!("{} on validation less that on training rows: {gap} (95 % interval {low} to {high})", self.metric)
    }
}

/// What is found out about a run's fit, by rows that it did not learn from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitReport {
    /// What happens.
    pub verdict: Verdict,
    /// The same in a sentence, with its figures.
    pub sentence: String,
    /// Its figures, where rows have losses of their own.
    #[serde(flatten)]
    pub figures: Option<Gap>,
    /// Of a network that overfits, the epoch from which on validation became worse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_epoch: Option<u32>,
    /// How much worse validation was after the last epoch than after its best, and the 95 % interval of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worse_by: Option<[f64; 3]>,
    /// Validation rows that say so.
    pub rows: usize,
    /// What was done, and what it gained.
    #[serde(default)]
    pub actions: Vec<Countermeasure>,
    /// Seconds that it took to watch, at most a fifth of the training.
    #[serde(default)]
    pub seconds: f64,
}

impl FitReport {
    /// Whether a note of the run says no more than this.
    pub fn tells(&self, note: &str) -> bool {
        note == self.sentence || counter::is_of_fit(note)
    }

    /// What was done, a sentence each.
    pub fn told(&self) -> Vec<String> {
        let shown = crate::text::words::number;
        let of = |done: &Countermeasure| {
            let Countermeasure { action, metric, before, after, gained, kept } = done;
            let (before, after) = (shown(*before), shown(*after));
            match (*gained > 0.0, kept) {
                (true, true) => {
                    format!("{action}: {metric} on validation {after} instead of {before} (gained {})", shown(*gained))
                }
                (false, true) => {
                    format!("{action}: gained nothing ({metric} on validation {after}, without it {before})")
                }
                (true, false) => {
                    format!(
                        "{action}: too little was gained to keep it ({metric} on validation {after} instead of {before})"
                    )
                }
                (false, false) => {
                    format!(
                        "{action}: gained nothing, and is not kept ({metric} on validation {after} instead of {before})"
                    )
                }
            }
        };
        self.actions.iter().map(of).collect()
    }
}
