//! The models that data may be learned by, for whoever compares what they cost.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Kind;
use crate::error::{ErrorKind, Result, TrainError};
use crate::job::{Job, prepare_roughly};
use crate::published::{BUNDLED, BUNDLED_TEXT, HAS_BUNDLED};
use crate::settings::Settings;
use crate::transfer::SCRATCH;

/// What a run with one model would cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The model's name, or that of the published network that it begins with.
    pub model: String,
    /// The model in words, with its shape; empty of one that is too large.
    pub shape: String,
    /// Number of trained values.
    pub parameters: usize,
    /// Rows in a batch.
    pub batch: usize,
    /// Batches of an update.
    pub accumulate: u64,
    /// Precision in which matrices are multiplied.
    pub precision: String,
    /// Bytes of the whole process at most.
    pub memory_bytes: u64,
    /// What they are made of.
    pub memory: Vec<(String, u64)>,
    /// Seconds to open the data and to plan.
    pub seconds_before: f64,
    /// Seconds for features of a published network.
    pub seconds_features: f64,
    /// Seconds of an epoch, validation included.
    pub seconds_per_epoch: f64,
    /// Most epochs of a stage.
    pub epochs: u32,
    /// Number of stages: folds or a selection, and what is trained again with what they chose; of all repeats.
    pub stages: usize,
    /// Epochs of all stages at most.
    pub total_epochs: u64,
    /// Epochs that it would have if the time allowed.
    pub wanted_epochs: u32,
    /// Seconds of the whole run, if no stage ends early.
    pub seconds: f64,
    /// Why it was chosen, what was made smaller.
    pub notes: Vec<String>,
    /// Why it cannot be trained so.
    pub problem: Option<String>,
}

impl Cost {
    /// What a job would cost.
    pub fn of(job: &Job) -> Cost {
        let told = job.description();
        let (batch, accumulate) = told.batch;
        let settings = &job.recipe.settings;
        let begins_with = settings.from.clone().filter(|_| job.recipe.transfer.is_some());
        Cost {
            model: begins_with.unwrap_or_else(|| settings.model.clone()),
            shape: told.model.clone(),
            parameters: told.parameters,
            batch,
            accumulate,
            precision: settings.precision.clone(),
            memory_bytes: told.planned_memory_bytes,
            memory: told.memory.clone(),
            seconds_before: told.seconds_before,
            seconds_features: told.seconds_features,
            seconds_per_epoch: told.seconds_per_epoch,
            epochs: told.epochs,
            stages: told.stages * settings.repeats,
            total_epochs: told.total_epochs * settings.repeats as u64,
            wanted_epochs: job.wanted_epochs,
            seconds: (told.seconds_before + told.seconds_total + told.seconds_after) * settings.repeats as f64,
            notes: told.notes.clone(),
            problem: None,
        }
    }

    /// One of which nothing could be found out.
    pub fn unknown(settings: &Settings, problem: String) -> Cost {
        Cost { problem: Some(problem), ..Cost::refused(settings, &TrainError::setting("model", "")) }
    }

    /// What one that cannot be trained would need, as far as that is known.
    fn refused(settings: &Settings, error: &TrainError) -> Cost {
        let needed = match error {
            TrainError::Budget { needed, .. } => *needed,
            TrainError::MemoryLimit { needed_mb, .. } | TrainError::Memory { needed_mb, .. } => needed_mb * 1_000_000,
            _ => 0,
        };
        let begins_with = settings.from.clone().filter(|from| from != SCRATCH);
        Cost {
            model: begins_with.unwrap_or_else(|| settings.model.clone()),
            shape: String::new(),
            parameters: 0,
            batch: 0,
            accumulate: 1,
            precision: settings.multiplies_in().name().to_string(),
            memory_bytes: needed,
            memory: Vec::new(),
            seconds_before: 0.0,
            seconds_features: 0.0,
            seconds_per_epoch: 0.0,
            epochs: 0,
            stages: 0,
            total_epochs: 0,
            wanted_epochs: 0,
            seconds: 0.0,
            notes: Vec::new(),
            problem: Some(error.to_string()),
        }
    }
}

/// What a run with these settings would cost; nothing is written. Steps that take long are tried on few rows.
///
/// # Errors
/// If the data is wrong. A model that does not suit it, or does not fit into memory, is a [`Cost`] with a problem.
pub fn cost(settings: Settings) -> Result<Cost> {
    let nowhere = PathBuf::from("runs").join(format!("plan-{}", std::process::id()));
    match prepare_roughly(settings.clone(), Some(nowhere), true) {
        Ok(job) => Ok(Cost::of(&job)),
        Err(error @ TrainError::Data(_)) => Err(error),
        Err(error) if error.kind() == ErrorKind::Input => Ok(Cost::refused(&settings, &error)),
        Err(error) => Err(error),
    }
}

/// Settings of each model that suits the data of a job, the job's own left out. Models that the settings ask for have no
/// others.
///
/// # Errors
/// If the settings suit none of them.
pub fn ways(asked: &Settings, job: &Job) -> Result<Vec<Settings>> {
    // Where nothing is to be begun with, there are those that begin with nothing.
    let scratch = asked.from.as_deref() == Some(SCRATCH);
    if asked.model != "auto" || (asked.from.is_some() && !scratch) {
        return Ok(Vec::new());
    }
    let own = &job.recipe.settings.model;
    let kind = Kind::of(&job.data);
    let transfers = job.recipe.transfer.is_some();
    let (bundled, models): (Option<&str>, &[&str]) = match kind {
        Kind::Table => (None, &["tabm", "mlp"]),
        Kind::Images => (Some(BUNDLED), &["cnn", "mobilenet_v2", "resnet18", "resnet34", "resnet50"]),
        Kind::Texts => (Some(BUNDLED_TEXT), &["gru", "lstm", "rnn", "transformer"]),
        Kind::Labels => (None, &["lstm", "gru", "rnn", "transformer"]),
        Kind::Language => (None, &["transformer", "lstm", "gru", "rnn"]),
        Kind::Similarity => (None, &[]),
    };
    let mut found = Vec::new();
    if let Some(bundled) = bundled.filter(|_| HAS_BUNDLED && !transfers && !scratch) {
        found.push(Settings { from: Some(bundled.to_string()), ..asked.clone() });
    }
    for &model in models.iter().filter(|&&model| transfers || *own != model) {
        // Members are of one model alone, and other models would only note that.
        let of_tabm = asked.members.filter(|_| model == "tabm");
        let from = if kind == Kind::Table { None } else { Some(SCRATCH.to_string()) };
        let settings = Settings { model: model.to_string(), from, members: of_tabm, ..asked.clone() };
        // Blocks are those of a published network.
        found.push(Settings { unfreeze: None, lora: None, ..settings });
    }
    found.iter().try_for_each(Settings::validate)?;
    Ok(found)
}
