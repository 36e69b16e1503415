//! The plots of a run, one file each (or a few that read the same numbers).

mod calibration;
mod classes;
mod colours;
mod confusion;
mod data;
mod dependence;
mod features;
mod importance;
mod language;
mod learning;
mod ranking;
mod regression;
mod similarity;
mod ways;

use deepfit_data::Task;
use deepfit_train::{Predictions, RunRecord};

use crate::judgement::Judgement;
use crate::plot::Plot;

pub use calibration::{Bin, bins};
pub use colours::coloured;
pub use data::sizes;
pub use dependence::dependence;
pub use features::{features, project};
pub use importance::importance;
pub use ranking::{Curves, curves};
pub use ways::{ways, ways_table};

/// Names of plots that need the model and the data again.
pub const DEEPER: [(&str, &str); 3] = [
    ("importance", "how much worse a table is predicted without each column"),
    ("partial-dependence", "what is predicted on average by the value of each column that counts most"),
    ("features", "the test rows as the last layer sees them, in two dimensions"),
];

/// All plots that the files of a run give, in the order in which they are looked at.
pub fn of_run(run: &RunRecord) -> Vec<Plot> {
    let mut plots = learning::plots(run);
    let judgement = Judgement::of(run);
    if let Some(report) = &run.report {
        plots.extend(confusion::confusion(report));
        plots.extend(classes::plots(report));
    }
    if let (Some(predictions), Some(task)) = (&run.predictions, run.task.as_ref().or(of_pairs(run).as_ref()))
        && !predictions.ids.is_empty()
    {
        match task {
            Task::Classification { .. } | Task::MultiLabel { .. } => {
                plots.extend(calibration::reliability(task, predictions, judgement.as_ref()));
                plots.extend(ranking::plots(run, task, predictions));
            }
            Task::Labels { labels, .. } => {
                plots.extend(confusion::of_words(labels, predictions));
                plots.extend(calibration::reliability(task, predictions, judgement.as_ref()));
            }
            Task::Regression => plots.extend(regression::plots(run, predictions)),
            Task::NextToken => plots.extend(language::bits(predictions)),
            Task::Similarity { label } => plots.extend(similarity::plot(*label, predictions)),
        }
    }
    plots
}

/// The task of a run that embeds texts, whose model is saved as others save it, and so does not say.
fn of_pairs(run: &RunRecord) -> Option<Task> {
    let report = run.report.as_ref().filter(|report| report.task == "similarity")?;
    let label = match report.metrics.test.get("mrr") {
        Some(_) => deepfit_data::PairLabel::Partners,
        None => deepfit_data::PairLabel::Score,
    };
    Some(Task::Similarity { label })
}

/// What a number of rows is, where only some are kept.
fn of_rows(predictions: &Predictions, unit: &str) -> String {
    // Words of a sentence follow each other, and share its name.
    let kept = predictions.ids.chunk_by(|a, b| a == b).count();
    let measured = predictions.measured;
    let count = |n: usize| deepfit_train::text::words::count(n as u64);
    if kept < measured {
        format!("{} of the {} {unit}, drawn by chance", count(kept), count(measured))
    } else {
        format!("all {} {unit}", count(measured))
    }
}

/// A share in per cent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Wilson's 95 % interval of a share.
fn wilson(successes: f64, trials: f64) -> [f64; 2] {
    const Z: f64 = 1.959_963_984_540_054;
    let (p, scale) = (successes / trials, 1.0 / (1.0 + Z * Z / trials));
    let centre = scale * (p + Z * Z / (2.0 * trials));
    let half = scale * Z * (p * (1.0 - p) / trials + Z * Z / (4.0 * trials * trials)).sqrt();
    [(centre - half).max(0.0), (centre + half).min(1.0)]
}
