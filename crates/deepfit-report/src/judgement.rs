//! Whether stated probabilities come true: one judgement, by the test rows, which the page, its plot and its advice share.

use deepfit_data::Task;
use deepfit_train::RunRecord;
use deepfit_train::text::words;

use crate::plots::{bins, percent};

/// Up to this calibration error probabilities can be taken at their word.
const WORD: f64 = 0.03;
/// Up to this one with care.
const CARE: f64 = 0.08;

/// How far probabilities can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// They come true as often as they say.
    Word,
    /// They are off by a little.
    Care,
    /// They are off by much.
    Not,
}

/// What the test rows say of the probabilities.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judgement {
    /// How far they can be trusted.
    pub(crate) trust: Trust,
    /// By how much they are off on average.
    pub(crate) error: f64,
    /// The 95 % interval of that.
    interval: Option<[f64; 2]>,
    /// What was said on average, and the share that came true.
    means: Option<[f64; 2]>,
}

impl Judgement {
    /// Of a run that has ended and states probabilities; nothing of others.
    pub(crate) fn of(run: &RunRecord) -> Option<Judgement> {
        let report = run.report.as_ref()?;
        let bins = match (&run.task, &run.predictions) {
            (Some(task), Some(predictions)) if stated(task) && !predictions.ids.is_empty() => bins(task, predictions),
            _ => Vec::new(),
        };
        let count = bins.iter().map(|bin| bin.count).sum::<u64>() as f64;
        let sum = |of: &dyn Fn(&crate::Bin) -> f64| bins.iter().map(of).sum::<f64>() / count;
        let of_bins = (count > 0.0).then(|| sum(&|bin| (bin.right as f64 - bin.confidence).abs()));
        // The metric is of all test rows, and of some of them alone where only these are kept.
        let error = report.metrics.test.get("ece").or(of_bins)?;
        let trust = match error {
            e if e < WORD => Trust::Word,
            e if e < CARE => Trust::Care,
            _ => Trust::Not,
        };
        let means = (count > 0.0).then(|| [sum(&|bin| bin.confidence), sum(&|bin| bin.right as f64)]);
        Some(Judgement { trust, error, interval: report.metrics.test_intervals.get("ece"), means })
    }

    /// The judgement in a sentence.
    pub(crate) fn sentence(&self) -> String {
        let sure = self.interval.map_or(String::new(), |[low, high]| {
            format!(" (95 % interval {} to {})", words::number(low), words::number(high))
        });
        let verdict = match self.trust {
            Trust::Word => "they can be taken at their word",
            Trust::Care => "take them with some care",
            Trust::Not => {
                "do not take them at their word, and look at the order that they give rather than at their values"
            }
        };
        let lean = match (self.trust, self.means) {
            (Trust::Word, _) | (_, None) => String::new(),
            (_, Some([said, so])) => {
                let lean = match said - so {
                    d if d > WORD => "surer of itself than it should be",
                    d if d < -WORD => "less sure of itself than it could be",
                    _ => "too sure of itself in some cases and too careful in others",
                };
                format!("; the model is {lean} (it said {} on average, and {} came true)", percent(said), percent(so))
            }
        };
        format!("Stated probabilities are off by {} on average{sure}: {verdict}{lean}.", words::number(self.error))
    }
}

/// Whether what is predicted are probabilities.
fn stated(task: &Task) -> bool {
    matches!(task, Task::Classification { .. } | Task::MultiLabel { .. } | Task::Labels { .. })
}
