//! Predictions that are all the same: the model has found nothing in the inputs, or nothing that outweighs a frequent class.

use deepfit_data::{Dataset, Task};

use super::{Evidence, Finding, FindingKind, Severity};
use crate::predictions::{Predictions, first_largest};

/// With fewer test rows, all of them may well be predicted to be the same.
const FEWEST: usize = 20;
/// Values that are apart by no more than this share of what is true are the same.
const SAME: f64 = 1e-6;

pub(super) fn find(data: &Dataset, test: &Predictions) -> Option<Finding> {
    let rows = test.ids.len();
    if rows < FEWEST {
        return None;
    }
    let evidence = Evidence::figures([("rows", rows as f64)]);
    let finding = |what: String, advice: &str| {
        let (kind, severity) = (FindingKind::SamePredictions, Severity::Warning);
        Some(Finding { kind, severity, what, advice: advice.to_string(), evidence: evidence.clone() })
    };
    match data.task() {
        Task::Classification { classes } => {
            let class = |row: usize| first_largest(test.row(row).0);
            let first = class(0);
            let varied = (1..rows).any(|row| test.row(row).1 != test.row(0).1);
            if !varied || (1..rows).any(|row| class(row) != first) {
                return None;
            }
            finding(
                format!("all {rows} test rows are predicted to be '{}', whatever their inputs are", classes[first]),
                "look whether the inputs can tell what is asked for; try class_weights=true where a class is rare, another \
                 learning rate (find_lr=true) or more epochs",
            )
        }
        Task::Regression => {
            let range = |values: &[f32]| {
                let least = values.iter().copied().fold(f32::INFINITY, f32::min);
                let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                f64::from(most) - f64::from(least)
            };
            let of_truths = range(&test.truths);
            if of_truths <= 0.0 || range(&test.predicted) > SAME * of_truths {
                return None;
            }
            let value = crate::text::words::number(f64::from(test.predicted[0]));
            finding(
                format!("all {rows} test rows are predicted to be {value}, whatever their inputs are"),
                "look whether the inputs can tell what is asked for; try another learning rate (find_lr=true), scaling or more \
                 epochs",
            )
        }
        _ => None,
    }
}
