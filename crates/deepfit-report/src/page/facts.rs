//! What sentences about a run are made of.

use deepfit_data::Sample;
use deepfit_train::{Report, RunRecord};

/// What sentences about a run are made of.
pub(super) struct Facts {
    /// Name of the data.
    pub name: String,
    /// What a row is called.
    pub one: &'static str,
    /// What rows are called.
    pub many: &'static str,
    /// What has learned: a network, or of classical runs a model.
    pub learner: &'static str,
    /// The metric that says most.
    pub main: Option<&'static str>,
    /// In how many parts the rows were cut, each of which was held out of one training; nothing if one part was.
    pub folds: Option<usize>,
}

impl Facts {
    pub(super) fn of(run: &RunRecord) -> Facts {
        let data = &run.settings.data;
        let name = data.file_stem().map_or_else(|| "A run".to_string(), |name| name.to_string_lossy().into_owned());
        let sample = run.predictions.iter().flat_map(|p| &p.worst).find_map(|mistake| mistake.sample.as_ref());
        let task = run.report.as_ref().map(|report| &report.task[..]);
        let (one, many) = match (task, run.input.as_deref(), sample) {
            (Some("next_token"), ..) => ("window of text", "windows of text"),
            (Some("similarity"), ..) => ("pair of texts", "pairs of texts"),
            (Some("labels"), ..) => ("sentence", "sentences"),
            (_, Some("image"), _) | (_, _, Some(Sample::Picture { .. })) => ("picture", "pictures"),
            (_, Some("text"), _) => ("text", "texts"),
            _ => ("row", "rows"),
        };
        let folds = run.settings.folds.filter(|folds| *folds > 1);
        let learner = if run.is_classical() { "model" } else { "network" };
        Facts { name, one, many, learner, folds, main: run.report.as_ref().and_then(main_metric) }
    }
}

/// The metric that says most about a run.
pub(super) fn main_metric(report: &Report) -> Option<&'static str> {
    let candidates: &[&str] = match &report.task[..] {
        "classification" => &["accuracy"],
        "multi_label" => &["f1_micro", "subset_accuracy"],
        "regression" => &["mae"],
        "labels" => &["f1", "token_accuracy"],
        "next_token" => &["bits_per_byte"],
        "similarity" => &["mrr", "spearman"],
        _ => &[],
    };
    candidates.iter().find(|name| report.metrics.test.get(name).is_some()).copied()
}
