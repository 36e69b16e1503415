//! What is made of a network's outputs before anybody sees them: calibrated probabilities, sets and intervals that hold what is
//! true as often as was asked for, and decisions that cost little. All of it is fitted to rows that the network which predicted
//! them had not learned from, and saved with the model (`decision` in `config.json`); weights stay as they are.

mod calibrate;
mod conformal;
mod costs;
mod familiarity;
mod held_out;
mod isotonic;
mod measured;
#[cfg(test)]
mod tests;

use deepfit_data::{Array, Source, TargetScale, Task};
use serde::{Deserialize, Serialize};

use crate::metrics::{LABEL_THRESHOLD, largest};

pub use calibrate::{Calibration, CalibrationReport, Compared, FEWEST_OF_CLASS, Quality};
pub use conformal::{Conformal, ConformalReport, Covered};
pub use costs::{CostReport, Costs};
pub use familiarity::{Familiarity, FamiliarityReport};
pub use held_out::{HeldOut, MOST_BYTES, Record, Records};
pub use isotonic::Isotonic;
pub use measured::DecisionMetrics;

use calibrate::Outputs;

/// What is made of a network's outputs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Decision {
    /// Number of rows that it was fitted to.
    pub rows: usize,
    /// Of probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Sets of classes, or intervals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conformal: Option<Conformal>,
    /// What errors cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub costs: Option<Costs>,
}

/// What a network's outputs for one row come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Probability of each class or label.
    pub probabilities: Vec<f32>,
    /// The class that is predicted.
    pub class: usize,
}

impl Decision {
    /// Whether outputs stay as they are.
    pub fn is_empty(&self) -> bool {
        self.calibration.is_none() && self.conformal.is_none() && self.costs.is_none()
    }

    /// Probabilities and class, from the probabilities that a network gives.
    pub fn judge(&self, raw: &[f32], task: &Task) -> Judged {
        let mut probabilities = raw.to_vec();
        if let (Some(calibration), Some(outputs)) = (&self.calibration, outputs_of(task)) {
            calibration.apply(&mut probabilities, outputs);
        }
        let class = match (&self.costs, &self.calibration) {
            (Some(costs), _) => costs.decide(&probabilities),
            (None, Some(Calibration::Isotonic { .. })) => largest(&probabilities),
            // Rounding may make equal what a temperature brings near to each other.
            _ => largest(raw),
        };
        Judged { probabilities, class }
    }

    /// Of labels, the probability of each from which on it is predicted.
    pub fn thresholds(&self, labels: usize) -> Vec<f32> {
        let by_costs = self.costs.as_ref().and_then(Costs::thresholds);
        by_costs.unwrap_or_else(|| vec![LABEL_THRESHOLD; labels])
    }

    /// What is wrong with a decision that was read from a file, for a task.
    pub fn problem(&self, task: &Task) -> Option<&'static str> {
        let outputs = task.outputs();
        if self.calibration.as_ref().is_some_and(|c| outputs_of(task).is_none() || !c.is_sound(outputs)) {
            return Some("the calibration is none of this task");
        }
        if self.conformal.as_ref().is_some_and(|c| !c.is_sound(task)) {
            return Some("the conformal prediction is none of this task");
        }
        let of_labels = matches!(task, Task::MultiLabel { .. });
        let of_task = |c: &Costs| (task.is_classification() || of_labels) && c.false_alarm.is_some() == of_labels;
        if self.costs.as_ref().is_some_and(|c| !of_task(c) || !c.is_sound(outputs)) {
            return Some("the costs are none of this task");
        }
        None
    }
}

/// What probabilities of a task are of.
fn outputs_of(task: &Task) -> Option<Outputs> {
    match task {
        Task::Classification { .. } => Some(Outputs::Classes),
        Task::MultiLabel { .. } => Some(Outputs::Labels),
        _ => None,
    }
}

/// What is fitted, and how.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// `auto`, `none`, `temperature` or `isotonic`.
    pub calibration: &'a str,
    /// Share of sets and intervals that are to hold what is true.
    pub coverage: f64,
    /// Whether sets of classes have more where a row is hard, rather than the fewest on average.
    pub adaptive: bool,
    /// What errors cost, without a threshold so far.
    pub costs: Option<Costs>,
}

/// What was found while a decision was fitted, for the report.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    /// Of a classification.
    pub calibration: Option<CalibrationReport>,
    /// Of classes or a number.
    pub conformal: Option<ConformalReport>,
    /// Where errors have costs.
    pub costs: Option<CostReport>,
}

impl Findings {
    /// Takes over what was measured on other rows.
    pub fn take_measured(&mut self, other: &Findings) {
        if let (Some(own), Some(other)) = (&mut self.calibration, &other.calibration) {
            own.measured = other.measured;
            own.reliability_before.clone_from(&other.reliability_before);
            own.reliability.clone_from(&other.reliability);
        }
        if let (Some(own), Some(other)) = (&mut self.conformal, &other.conformal) {
            own.measured = other.measured;
        }
        if let (Some(own), Some(other)) = (&mut self.costs, &other.costs) {
            own.measured = other.measured;
        }
    }
}

/// Fits a decision to predictions of rows that were not learned from.
pub fn fit(wanted: &Wanted<'_>, held: &HeldOut, task: &Task) -> (Decision, Findings) {
    let (mut decision, mut findings) = (Decision { rows: held.len(), ..Decision::default() }, Findings::default());
    let coverage = wanted.coverage;
    if *task == Task::Regression {
        if coverage > 0.0 {
            let (conformal, report) = conformal::intervals(held, coverage);
            (decision.conformal, findings.conformal) = (conformal, Some(report));
        }
        return (decision, findings);
    }
    let Some(kind) = outputs_of(task) else { return (decision, findings) };
    let outputs = task.outputs();
    let all = Held { outputs, kind, values: &held.values, targets: &held.targets, of: held };
    let (calibration, report) = calibrate::calibrate(wanted.calibration, &all);
    (decision.calibration, findings.calibration) = (calibration, Some(report));
    let calibrated: Vec<Vec<f32>> =
        held.values.chunks_exact(outputs.max(1)).map(|row| decision.judge(row, task).probabilities).collect();
    if kind == Outputs::Labels {
        if let Some(costs) = &wanted.costs {
            let (fitted, report) = costs.clone().fit_labels(&calibrated, held, task.classes());
            (decision.costs, findings.costs) = (Some(fitted), Some(report));
        }
        return (decision, findings);
    }
    if coverage > 0.0 {
        let (conformal, report) = conformal::sets(&calibrated, held, coverage, wanted.adaptive);
        (decision.conformal, findings.conformal) = (conformal, Some(report));
    }
    if let Some(costs) = &wanted.costs {
        let (fitted, report) = costs.clone().fit(&calibrated, held, task.classes());
        (decision.costs, findings.costs) = (Some(fitted), Some(report));
    }
    (decision, findings)
}

/// Whether isotonic regression would have enough rows of each class among some.
pub fn enough_for_isotonic(counts: &[usize]) -> bool {
    let all: usize = counts.iter().sum();
    counts.iter().all(|&count| count >= FEWEST_OF_CLASS && all - count >= FEWEST_OF_CLASS)
}

/// Held-out probabilities with what is true.
struct Held<'a> {
    outputs: usize,
    kind: Outputs,
    /// `[rows, outputs]`.
    values: &'a [f32],
    /// Classes `[rows]`, or 1 and 0 for each label `[rows, outputs]`.
    targets: &'a [f32],
    of: &'a HeldOut,
}

impl Held<'_> {
    fn len(&self) -> usize {
        self.of.len()
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.outputs..][..self.outputs]
    }

    fn class(&self, row: usize) -> usize {
        self.targets[row] as usize
    }

    fn is(&self, row: usize, output: usize) -> bool {
        match self.kind {
            Outputs::Classes => self.class(row) == output,
            Outputs::Labels => self.targets[row * self.outputs + output] >= 0.5,
        }
    }

    fn weight(&self, row: usize) -> f64 {
        self.of.weight(row)
    }

    /// A number that rows of identical inputs share.
    fn part(&self, row: usize) -> usize {
        self.of.groups.get(row).map_or(row, |&group| group as usize)
    }
}

/// Targets of rows: classes, values in original units, or 1 and 0 for each label.
pub(crate) fn targets(source: &dyn Source, rows: &[u32], scale: Option<TargetScale>) -> Vec<f32> {
    match source.targets_of(rows) {
        Array::I32(classes) => classes.into_iter().map(|class| class as f32).collect(),
        Array::F32(values) => values.into_iter().map(|x| scale.map_or(x, |s| s.inverse(f64::from(x)) as f32)).collect(),
        Array::U8(_) => Vec::new(),
    }
}
