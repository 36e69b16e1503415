//! How well a network embeds texts, measured on pairs of them that belong together or have scores.

use std::path::Path;

use deepfit_cpu::{Engine, Profile};
use deepfit_data::{OpenOptions, open_pairs};
use deepfit_graph::Extents;

use crate::error::{Result, TrainError};
use crate::learner::Predicting;
use crate::measure::{Goal, measure};
use crate::predictor::Evaluation;
use crate::settings::Settings;
use crate::transfer::{Backbone, Takes};

/// Pairs at a time.
const BATCH: usize = 32;

/// Metrics of a published network for texts, or of a run that has trained one to embed them, on a table of pairs; a run knows
/// the columns. Perhaps with the time of its operations.
///
/// # Errors
/// If the network cannot be read, or the table has no two columns of texts.
pub fn evaluate_pairs(
    model: &Path,
    data: &Path,
    threads: usize,
    record: bool,
) -> Result<(Evaluation, Option<Profile>)> {
    let name = model.to_string_lossy();
    let backbone = Backbone::load(&name, false)?.for_similarity()?;
    let Takes::Texts(form) = &backbone.takes else {
        return Err(TrainError::run(model, "embeds no texts"));
    };
    let of_run = [Some(model), model.parent()].into_iter().flatten().map(|folder| folder.join("settings.toml"));
    let settings = match of_run.into_iter().find(|file| file.is_file()) {
        Some(file) => Settings::of_run(&file)?.0,
        None => Settings::default(),
    };
    let Settings { text, target, .. } = settings;
    let options = OpenOptions { text, target, threads, text_form: Some(form.clone()), ..OpenOptions::default() };
    let (opened, task) = open_pairs(data, &options)?;
    let (network, declarations) = backbone.network()?;
    let mut engine = Engine::new(threads)?.for_inference(true);
    for (name, tensor) in backbone.weights_for(&declarations) {
        engine.set_parameter(&name, &tensor.shape, &tensor.values)?;
    }
    if record {
        engine.record();
    }
    let largest = Extents { batch: BATCH, sequence: opened.source.longest() };
    let mut using = Predicting::new(engine, &*network, &task, largest, false)?;
    let goal = Goal { task: &task, scale: None, positive: 1, decision: None, weights: None, by: None };
    let measured = measure(&mut using, opened.source, opened.rows, &goal, true)?;
    let evaluation = Evaluation {
        metrics: measured.metrics.scores(),
        intervals: measured.metrics.intervals(),
        rows: measured.rows,
        confusion: None,
        residuals: None,
        labels: None,
        calibration: None,
        conformal: None,
        costs: None,
        subgroups: None,
        familiarity: None,
        positive: None,
        classes: Vec::new(),
        skipped: measured.failures,
        notes: opened.notes,
    };
    Ok((evaluation, using.engine.profile()))
}
