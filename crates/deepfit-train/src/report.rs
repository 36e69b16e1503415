//! What a run has reached.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::baseline::Baseline;
use crate::checks::Finding;
use crate::data_times::DataTimes;
use crate::decision::{CalibrationReport, ConformalReport, CostReport, FamiliarityReport, Quality};
use crate::measure::SubgroupScores;
use crate::metrics::{Intervals, LabelScores, ResidualSummary, Scores};
use crate::overfitting::FitReport;
use crate::predicts::Remembered;
use crate::repeats::RepeatsReport;
use crate::simpler::{self, SimplerWay};

/// Metrics of the three parts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportMetrics {
    /// On the training rows.
    pub train: Scores,
    /// On the validation rows: of the best epoch before a refit; with folds, the mean over these.
    pub validation: Scores,
    /// On the validation rows of each fold, at the same epoch, where there are folds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validation_folds: Vec<Scores>,
    /// On the test rows, which nothing was chosen by.
    pub test: Scores,
    /// On the test rows before training, of a published network that has the same use already.
    #[serde(default, skip_serializing_if = "Scores::is_empty")]
    pub published: Scores,
    /// On the validation rows before training, of such a network.
    #[serde(default, skip_serializing_if = "Scores::is_empty")]
    pub published_validation: Scores,
    /// 95 % intervals of the test's metrics.
    pub test_intervals: Intervals,
}

/// The outcome of a run, as `result.json` and `train --json` have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The run folder.
    pub run: PathBuf,
    /// `classification`, `multi_label`, `regression`, `next_token` or `similarity`.
    pub task: String,
    /// Name of the model.
    pub model: String,
    /// Number of trained values.
    pub parameters: usize,
    /// Metrics of the three parts.
    pub metrics: ReportMetrics,
    /// What simpler ways reach on the test rows: the same prediction for every row, and of tables a linear model, if it takes
    /// a fifth of the time at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baselines: Vec<Baseline>,
    /// Names of the classes or labels; empty for a regression.
    pub classes: Vec<String>,
    /// Test rows by true class (outer) and predicted class (inner).
    pub confusion: Option<Vec<Vec<u64>>>,
    /// How far the test's predictions are off, for a regression.
    pub residuals: Option<ResidualSummary>,
    /// How each label is recognised in the test rows, for several labels.
    #[serde(default)]
    pub labels: Option<Vec<LabelScores>>,
    /// How probabilities were calibrated, and what that is worth on the test rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationReport>,
    /// Sets of classes or intervals, and how often they hold what is true in the test rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conformal: Option<ConformalReport>,
    /// What errors cost in the test rows, where they have costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub costs: Option<CostReport>,
    /// How many of the test rows of a table are unlike those of training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub familiarity: Option<FamiliarityReport>,
    /// Metrics of the test rows by the values of a column, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subgroups: Option<SubgroupScores>,
    /// Of two classes, the one that sensitivity, specificity and F1 are of.
    #[serde(default)]
    pub positive: Option<String>,
    /// Whether the network overfits, and what was done about it; not in results of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<FitReport>,
    /// What the same reached with other splits, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<RepeatsReport>,
    /// Steps that had been made when the run was resumed.
    pub resumed_at_step: Option<u64>,
    /// Memory of the whole process as planned before the first step.
    pub planned_memory_bytes: u64,
    /// Most memory that the process has occupied.
    pub peak_memory_bytes: u64,
    /// Epochs that the final weights were trained for.
    pub epochs: u32,
    /// The best epoch on validation; 0 where the published weights were better than all that training made of them.
    pub best_epoch: u32,
    /// Seconds from the start of the process to its end.
    pub seconds: f64,
    /// Seconds from the start of the process to the end of its first step; `None` if it made no step.
    pub first_step_seconds: Option<f64>,
    /// Seconds that an epoch took, on average.
    pub seconds_per_epoch: f64,
    /// Seconds that an epoch was expected to take.
    pub planned_seconds_per_epoch: f64,
    /// How long training waited for its data, and how long processors worked on it, in this process; not in results of
    /// earlier versions.
    #[serde(default)]
    pub data: DataTimes,
    /// What was learned from: `image`, `text` or `table`; not in results of earlier versions.
    #[serde(default)]
    pub input: String,
    /// What was found in the data, before and after training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Worth knowing: what was skipped, why training ended.
    pub notes: Vec<String>,
    /// What to do next.
    pub next: Vec<String>,
    /// What a comparison needs of the test rows.
    #[serde(skip)]
    pub on_test: Option<OnTest>,
}

impl Report {
    /// Metrics on the validation rows that can be held against those on the training and test rows. Probabilities are measured
    /// there after calibration, and while epochs were compared there was none yet: so those on validation are replaced by
    /// what they are after a calibration that was fitted to the other four fifths of these rows.
    pub fn comparable_validation(&self) -> Scores {
        let mut scores = self.metrics.validation.clone();
        if let Some(after) = self.calibrated_validation() {
            let made = [("log_loss", Some(after.log_loss)), ("brier", Some(after.brier)), ("ece", after.ece)];
            for (name, value) in made.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                if scores.get(name).is_some() {
                    scores.insert(name, value);
                }
            }
        }
        scores
    }

    /// What is worth knowing beside what the report of the fit says already.
    pub fn other_notes(&self) -> Vec<&String> {
        let told = |note: &str| self.fit.as_ref().is_some_and(|fit| fit.tells(note));
        self.notes.iter().filter(|note| !told(note)).collect()
    }

    /// How good probabilities are on the validation rows after calibration, if there is one.
    pub fn calibrated_validation(&self) -> Option<Quality> {
        let found = self.calibration.as_ref().filter(|found| found.method != "none")?;
        found.validation.map(|compared| compared.after)
    }

    /// Ways without a network that did better on the test rows.
    pub fn simpler_ways(&self) -> Vec<SimplerWay> {
        simpler::better(&self.baselines, &self.metrics.test, &self.metrics.test_intervals)
    }

    /// Says so, a sentence each, where simpler ways did better on the test rows.
    pub fn worse_than_simpler(&self) -> Vec<String> {
        simpler::warnings(&self.simpler_ways())
    }
}

/// What was predicted for the test rows.
#[derive(Debug, Clone, PartialEq)]
pub struct OnTest {
    /// The predictions.
    pub(crate) predictions: Remembered,
    /// Seconds that they took.
    pub(crate) seconds: f64,
}
