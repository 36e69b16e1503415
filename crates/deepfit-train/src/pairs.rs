//! How well a network embeds texts, measured on pairs of them that belong together or have scores.

use std::path::Path;

use deepfit_cpu::{Engine, Profile};
use deepfit_data::{OpenOptions, TextForm, open_pairs, pair_columns, read_pairs};
use deepfit_graph::Extents;
use deepfit_zoo::Network;

use crate::error::{Result, TrainError};
use crate::learner::Predicting;
use crate::measure::{Goal, measure};
use crate::predictor::Evaluation;
use crate::settings::Settings;
use crate::transfer::{Backbone, Takes};

/// Pairs at a time.
const BATCH: usize = 32;

/// How a network that embeds both texts of pairs, one beside the other, reads them.
pub struct PairModel {
    /// How texts are cut.
    pub form: TextForm,
    /// The columns that were learned from, if they were named.
    options: OpenOptions,
}

/// A network, an engine with its weights, and what is worth knowing about it.
type Opened = (Box<dyn Network>, Engine, Vec<String>);

impl PairModel {
    /// Opens a published network for texts, or a run that has trained one to embed them: how it reads pairs, and the network,
    /// an engine with its weights and what is worth knowing about it.
    ///
    /// # Errors
    /// If it cannot be read, or takes no texts.
    pub fn open(model: &Path, threads: usize) -> Result<(PairModel, Opened)> {
        let backbone = Backbone::load(&model.to_string_lossy(), false)?.for_similarity()?;
        let Takes::Texts(form) = &backbone.takes else {
            return Err(TrainError::run(model, "embeds no texts"));
        };
        let of_run = [Some(model), model.parent()].into_iter().flatten().map(|folder| folder.join("settings.toml"));
        let settings = match of_run.into_iter().find(|file| file.is_file()) {
            Some(file) => Settings::of_run(&file)?.0,
            None => Settings::default(),
        };
        let Settings { mut text, target, data, header, .. } = settings;
        if text.is_none() && data.is_file() {
            // A run that was not told its columns has found them in its data: other tables have to have the same.
            let named = OpenOptions { target: target.clone(), header, threads, ..OpenOptions::default() };
            let columns = pair_columns(&data, &named).filter(|columns| columns.iter().all(|name| !name.contains(',')));
            text = columns.map(|columns| columns.join(","));
        }
        let (network, declarations) = backbone.network()?;
        let mut engine = Engine::new(threads)?.for_inference(true);
        for (name, tensor) in backbone.weights_for(&declarations) {
            engine.set_parameter(&name, &tensor.shape, &tensor.values)?;
        }
        let (form, options) = (form.clone(), OpenOptions { text, target, header, ..OpenOptions::default() });
        Ok((PairModel { form, options }, (network, engine, backbone.notes)))
    }

    /// Pairs of texts in a table, each with the number of its row.
    ///
    /// # Errors
    /// As [`read_pairs`].
    pub fn read(&self, data: &Path, threads: usize) -> Result<Vec<(u32, [String; 2])>> {
        Ok(read_pairs(data, &OpenOptions { threads, ..self.options.clone() })?)
    }
}

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
    let (PairModel { form, options }, (network, mut engine, _)) = PairModel::open(model, threads)?;
    let options = OpenOptions { threads, text_form: Some(form), ..options };
    let (opened, task) = open_pairs(data, &options)?;
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
