//! What decisions are worth on rows whose truth is known.

use deepfit_data::Task;

use super::calibrate::{Compared, Probabilities};
use super::conformal::Covered;
use super::costs::MeanCostsOf;
use super::{Decision, Findings, Judged, outputs_of};
use crate::decision::{CalibrationReport, ConformalReport};
use crate::metrics::{Moments, Tally, largest, wilson};

/// Measures what a decision adds to a network: calibration before and after, coverage, costs.
#[derive(Debug)]
pub struct DecisionMetrics<'a> {
    decision: &'a Decision,
    probabilities: Option<[Probabilities; 2]>,
    covered: (Tally, f64),
    sizes: Moments,
    costs: MeanCostsOf,
}

impl<'a> DecisionMetrics<'a> {
    /// Of no rows so far.
    pub fn new(decision: &'a Decision, task: &Task) -> DecisionMetrics<'a> {
        let outputs = task.outputs();
        let probabilities =
            outputs_of(task).map(|kind| [Probabilities::new(outputs, kind), Probabilities::new(outputs, kind)]);
        DecisionMetrics {
            decision,
            probabilities,
            covered: (Tally::default(), 0.0),
            sizes: Moments::default(),
            costs: MeanCostsOf::default(),
        }
    }

    /// Adds a row by its class, or its labels as 1 and 0.
    pub fn add(&mut self, raw: &[f32], judged: &Judged, target: &[f32], weight: f64) {
        if weight <= 0.0 {
            return;
        }
        if let Some([before, after]) = &mut self.probabilities {
            before.add(raw, target, 0, weight);
            after.add(&judged.probabilities, target, 0, weight);
        }
        let truth = target.first().map_or(0, |&class| class as usize);
        if let Some(conformal) = &self.decision.conformal {
            let set = conformal.set(&judged.probabilities);
            self.cover(set.contains(&truth), set.len() as f64, weight);
        }
        if let Some(costs) = self.decision.costs.as_ref().filter(|costs| costs.false_alarm.is_some()) {
            self.costs.add_labels(costs, &judged.probabilities, target, weight);
        } else if let Some(costs) = &self.decision.costs {
            self.costs.add(costs, truth, largest(&judged.probabilities), judged.class, weight);
        }
    }

    /// Adds a predicted number, in original units.
    pub fn add_value(&mut self, value: f32, truth: f32, weight: f64) {
        let interval = self.decision.conformal.as_ref().and_then(|conformal| conformal.interval(f64::from(value)));
        if let Some([low, high]) = interval.filter(|_| weight > 0.0) {
            self.cover((low..=high).contains(&f64::from(truth)), high - low, weight);
        }
    }

    fn cover(&mut self, holds: bool, size: f64, weight: f64) {
        self.covered.0.add(weight);
        self.covered.1 += if holds { weight } else { 0.0 };
        self.sizes.add_weighted(size, weight);
    }

    /// Adds what was measured to what was found when the decision was fitted.
    pub fn complete(&self, findings: &mut Findings) {
        if let (Some([before, after]), Some(report)) = (&self.probabilities, &mut findings.calibration) {
            report.measured = Some(Compared { before: before.quality(), after: after.quality() });
            report.reliability_before = before.reliability();
            report.reliability = after.reliability();
        }
        if let (Some(report), Some(interval)) = (&mut findings.conformal, wilson(self.covered.1, &self.covered.0)) {
            let coverage = self.covered.0.share(self.covered.1).unwrap_or(0.0);
            report.measured = Some(Covered { coverage, interval, mean_size: self.sizes.mean().unwrap_or(0.0) });
        }
        if let Some(report) = &mut findings.costs {
            report.measured = self.costs.result();
        }
    }
}

impl Decision {
    /// What is known of a decision that was read with a model.
    pub fn findings(&self, task: &Task) -> Findings {
        let of_classes = outputs_of(task).is_some();
        let calibration = of_classes.then(|| CalibrationReport::of(self.calibration.as_ref(), self.rows));
        let conformal = self.conformal.as_ref().map(|conformal| ConformalReport::of(conformal, self.rows));
        let costs = self.costs.as_ref().map(|costs| costs.report(task.classes()));
        Findings { calibration, conformal, costs }
    }
}
