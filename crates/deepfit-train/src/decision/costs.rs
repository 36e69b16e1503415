//! Decisions that cost little, where errors cost differently much (C. Elkan, "The foundations of cost-sensitive learning",
//! 2001).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::HeldOut;
use crate::metrics::{LABEL_THRESHOLD, largest};

/// What errors cost, and when a class is predicted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Of each class or label, what it costs not to recognise it.
    pub missed: Vec<f64>,
    /// Of labels, what it costs to tell one that is not there; nothing of classes, of which one is missed where another is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub false_alarm: Option<f64>,
    /// Of two classes, the positive one.
    pub positive: usize,
    /// Of two classes, the probability of the positive one from which on it is predicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
}

/// Mean costs of a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanCosts {
    /// Of predicting the most probable class, or each label of a probability of one half and more.
    pub before: f64,
    /// Of what is predicted.
    pub after: f64,
    /// 95 % interval of the latter, from two rows on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
}

/// What costs did to decisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostReport {
    /// Of each class or label, what it costs not to recognise it.
    pub missed: BTreeMap<String, f64>,
    /// Of labels, what it costs to tell one that is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub false_alarm: Option<f64>,
    /// Of each label, the probability from which on it is predicted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub thresholds: BTreeMap<String, f64>,
    /// Of two classes, the probability of the positive one from which on it is predicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// How the threshold was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// On the rows that it was chosen by; no fair measure of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<MeanCosts>,
    /// On the test rows, or those that are evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<MeanCosts>,
}

impl Costs {
    /// The class that is predicted.
    pub fn decide(&self, probabilities: &[f32]) -> usize {
        if let ([_, _], Some(threshold)) = (probabilities, self.threshold) {
            let is_positive = f64::from(probabilities[self.positive]) >= threshold;
            return if is_positive { self.positive } else { 1 - self.positive };
        }
        let saved: Vec<f32> = probabilities.iter().zip(&self.missed).map(|(&p, &cost)| p * cost as f32).collect();
        largest(&saved)
    }

    /// Of labels, the probability of each from which on it is predicted: that at which both errors cost the same on average.
    pub fn thresholds(&self) -> Option<Vec<f32>> {
        let alarm = self.false_alarm?;
        let of = |&missed: &f64| if missed + alarm > 0.0 { (alarm / (missed + alarm)) as f32 } else { LABEL_THRESHOLD };
        Some(self.missed.iter().map(of).collect())
    }

    /// What labels cost that are predicted from a probability on, as they cost now and with one half for each.
    fn of_labels(&self, probabilities: &[f32], truth: &[f32]) -> [f64; 2] {
        let (thresholds, alarm) = (self.thresholds().unwrap_or_default(), self.false_alarm.unwrap_or(0.0));
        let mut costs = [0.0; 2];
        for (label, (&p, &has)) in probabilities.iter().zip(truth).enumerate() {
            for (cost, threshold) in costs.iter_mut().zip([LABEL_THRESHOLD, thresholds[label]]) {
                *cost += match (has >= 0.5, p >= threshold) {
                    (true, false) => self.missed[label],
                    (false, true) => alarm,
                    _ => 0.0,
                };
            }
        }
        costs
    }

    /// Measures labels on the rows that calibrated them; their thresholds follow from the costs alone.
    pub(super) fn fit_labels(self, rows: &[Vec<f32>], held: &HeldOut, labels: &[String]) -> (Costs, CostReport) {
        let mut measured = MeanCostsOf::default();
        for (row, (probabilities, truth)) in rows.iter().zip(held.targets.chunks_exact(labels.len().max(1))).enumerate()
        {
            measured.add_labels(&self, probabilities, truth, held.weight(row));
        }
        let report = CostReport {
            chosen: Some("by the costs".to_string()),
            validation: measured.result(),
            ..self.report(labels)
        };
        (self, report)
    }

    /// What a prediction costs.
    pub fn of(&self, truth: usize, predicted: usize) -> f64 {
        if truth == predicted { 0.0 } else { self.missed[truth] }
    }

    /// Whether there is a cost for each of so many classes.
    pub fn is_sound(&self, classes: usize) -> bool {
        let threshold = self.threshold.is_none_or(|t| classes == 2 && (0.0..=1.0).contains(&t));
        let cost = |cost: &f64| cost.is_finite() && *cost >= 0.0;
        let alarm = self.false_alarm.as_ref().is_none_or(cost);
        self.missed.len() == classes
            && self.missed.iter().all(cost)
            && alarm
            && self.positive < classes.max(2)
            && threshold
    }

    /// Chooses the threshold of two classes. Right probabilities ask for one that follows from the costs alone; another is
    /// taken where it costs less on these rows, by more than the standard error of the difference.
    pub(super) fn fit(mut self, rows: &[Vec<f32>], held: &HeldOut, classes: &[String]) -> (Costs, CostReport) {
        let mut chosen = None;
        let truth = |row: usize| held.targets[row] as usize;
        if classes.len() == 2 {
            let [positive, other] = [self.missed[self.positive], self.missed[1 - self.positive]];
            // Without a cost of either error all of one class cost nothing.
            let by_costs = if positive + other > 0.0 { other / (positive + other) } else { 0.5 };
            self.threshold = Some(by_costs);
            chosen = Some("by the costs".to_string());
            let p = |row: usize| f64::from(rows[row][self.positive]);
            let mut order: Vec<usize> = (0..held.len()).collect();
            order.sort_by(|&a, &b| p(b).total_cmp(&p(a)));
            // From above all probabilities downwards, each row that is passed becomes a positive one.
            let mut cost: f64 =
                order.iter().filter(|&&row| truth(row) == self.positive).map(|&row| held.weight(row) * positive).sum();
            let mut best = (cost, 1.0);
            for (i, &row) in order.iter().enumerate() {
                cost += held.weight(row) * if truth(row) == self.positive { -positive } else { other };
                let next = order.get(i + 1).map_or(0.0, |&next| p(next));
                let tried = 0.5 * (p(row) + next);
                let nearer = (tried - by_costs).abs() < (best.1 - by_costs).abs();
                if next < p(row) && (cost < best.0 - 1e-12 || (cost <= best.0 + 1e-12 && nearer)) {
                    best = (cost, tried);
                }
            }
            let at = |threshold: f64| Costs { threshold: Some(threshold), ..self.clone() };
            let [first, second] = [at(by_costs), at(best.1)].map(|costs| {
                let of = |row: usize| held.weight(row) * costs.of(truth(row), costs.decide(&rows[row]));
                (0..held.len()).map(of).collect::<Vec<f64>>()
            });
            let gains: Vec<f64> = first.iter().zip(&second).map(|(a, b)| a - b).collect();
            let gain: f64 = gains.iter().sum();
            let mean = gain / gains.len().max(1) as f64;
            if gain > gains.iter().map(|g| (g - mean).powi(2)).sum::<f64>().sqrt() {
                self.threshold = Some(best.1);
                chosen = Some("by the validation rows".to_string());
            }
        }
        let mut measured = MeanCostsOf::default();
        for (row, probabilities) in rows.iter().enumerate() {
            measured.add(&self, truth(row), largest(probabilities), self.decide(probabilities), held.weight(row));
        }
        let report = CostReport { chosen, validation: measured.result(), ..self.report(classes) };
        (self, report)
    }

    /// A report of nothing but the costs.
    pub(super) fn report(&self, classes: &[String]) -> CostReport {
        CostReport {
            missed: classes.iter().cloned().zip(self.missed.iter().copied()).collect(),
            false_alarm: self.false_alarm,
            thresholds: {
                let of_labels = self.thresholds().unwrap_or_default().into_iter().map(f64::from);
                classes.iter().cloned().zip(of_labels).collect()
            },
            threshold: self.threshold,
            chosen: None,
            validation: None,
            measured: None,
        }
    }
}

/// Sums of costs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MeanCostsOf {
    before: crate::metrics::Moments,
    after: crate::metrics::Moments,
}

impl MeanCostsOf {
    pub(super) fn add(&mut self, costs: &Costs, truth: usize, probable: usize, predicted: usize, weight: f64) {
        if weight > 0.0 {
            self.before.add_weighted(costs.of(truth, probable), weight);
            self.after.add_weighted(costs.of(truth, predicted), weight);
        }
    }

    pub(super) fn add_labels(&mut self, costs: &Costs, probabilities: &[f32], truth: &[f32], weight: f64) {
        if weight > 0.0 {
            let [before, after] = costs.of_labels(probabilities, truth);
            self.before.add_weighted(before, weight);
            self.after.add_weighted(after, weight);
        }
    }

    pub(super) fn result(&self) -> Option<MeanCosts> {
        let after = self.after.mean()?;
        let interval = self.after.standard_error().map(|error| crate::metrics::positive_mean(after, error));
        // Without an error there is no variance to tell by.
        Some(MeanCosts { before: self.before.mean()?, after, interval: interval.filter(|_| after > 0.0) })
    }
}
