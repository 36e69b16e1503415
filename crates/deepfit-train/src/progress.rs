//! Where training stands: saved with each checkpoint, so that a resumed run ends with the bits of one never stopped.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use deepfit_nn::schedule::Plateau;
use serde::{Deserialize, Serialize};

use crate::error::{Result, TrainError};
use crate::learner::Learner;
use crate::metrics::Scores;
use crate::overfitting::{Attempt, EpochLosses};
use crate::run_folder::{Durability, FORMAT_VERSION, read_text};
use crate::tensors::{self, Borrowed, Owned};

/// An epoch that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Stage, from 1.
    pub stage: usize,
    /// Epoch of the stage, from 1; 0 is a published network before its training.
    pub epoch: u32,
    /// Learning rate of its last update.
    pub learning_rate: f64,
    /// Mean loss over the training rows.
    pub train_loss: f64,
    /// Metrics on the validation rows; empty where the stage has none.
    pub validation: Scores,
    /// Losses of the network as it is in use, where the stage has validation rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub losses: Option<EpochLosses>,
}

impl EpochRecord {
    /// One line of `metrics.jsonl`.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and names can be written as JSON")
    }
}

/// What is worth knowing about a run, each once, over all processes that worked on it.
///
/// Clones share one list: what an observer hears inside of the loop is in the checkpoint that the loop writes next.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Notes(Arc<Mutex<Vec<String>>>);

impl From<Vec<String>> for Notes {
    fn from(notes: Vec<String>) -> Self {
        Notes(Arc::new(Mutex::new(notes)))
    }
}

impl From<Notes> for Vec<String> {
    fn from(notes: Notes) -> Self {
        notes.all()
    }
}

impl Notes {
    /// Adds a note that is not there yet; tells whether it is new.
    pub fn add(&self, note: &str) -> bool {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = !notes.iter().any(|known| known == note);
        if new {
            notes.push(note.to_string());
        }
        new
    }

    /// All of them, in the order in which they came.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl PartialEq for Notes {
    fn eq(&self, other: &Self) -> bool {
        self.all() == other.all()
    }
}

/// Where training stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Version of this format.
    pub version: u32,
    /// Stage in work, from 0.
    pub stage: usize,
    /// Epochs of the stage that have ended.
    pub epoch: u32,
    /// Steps of the current epoch that have ended.
    pub step: u64,
    /// Micro-batches of the stage that have ended.
    pub counter: u64,
    /// Updates of the stage that have happened.
    pub update: u64,
    /// Steps of all stages.
    pub total_steps: u64,
    /// Sum of the losses of the current epoch's rows.
    pub loss_sum: f64,
    /// Number of these rows.
    pub loss_rows: u64,
    /// Number of epochs that have ended, in all stages.
    pub recorded: usize,
    /// These epochs. They are lines of `metrics.jsonl`, and not written again with each checkpoint.
    #[serde(skip)]
    pub epochs: Vec<EpochRecord>,
    /// What a schedule that waits for a plateau has seen of the stage.
    #[serde(default)]
    pub plateau: Plateau,
    /// Best epoch of the stage, from 1, or 0 for the published weights, and its monitored metric.
    pub best: Option<(u32, f64)>,
    /// Epochs that the refit takes, once chosen.
    pub chosen_epochs: Option<u32>,
    /// Whether the stage has ended.
    pub stage_ended: bool,
    /// Seconds of training, over all processes, features included.
    pub seconds: f64,
    /// Seconds for features, over all processes.
    #[serde(default)]
    pub features_seconds: f64,
    /// Seconds for what only tells whether the network overfits, over all processes.
    #[serde(default)]
    pub watch_seconds: f64,
    /// What was tried against overfitting, once that is decided.
    #[serde(default)]
    pub attempt: Option<Attempt>,
    /// What the report will tell beside the metrics.
    #[serde(default)]
    pub notes: Notes,
    /// The settings that the run began with, resolved, as TOML: a run goes on with no others.
    #[serde(default)]
    pub settings: Option<String>,
}

impl Default for Progress {
    fn default() -> Self {
        Progress {
            version: FORMAT_VERSION,
            stage: 0,
            epoch: 0,
            step: 0,
            counter: 0,
            update: 0,
            total_steps: 0,
            loss_sum: 0.0,
            loss_rows: 0,
            recorded: 0,
            epochs: Vec::new(),
            plateau: Plateau::default(),
            best: None,
            chosen_epochs: None,
            stage_ended: false,
            seconds: 0.0,
            features_seconds: 0.0,
            watch_seconds: 0.0,
            attempt: None,
            notes: Notes::default(),
            settings: None,
        }
    }
}

impl Progress {
    /// Records of the stage in work, or any other, from 0.
    pub fn epochs_of(&self, stage: usize) -> impl Iterator<Item = &EpochRecord> {
        self.epochs.iter().filter(move |e| e.stage == stage + 1)
    }

    /// Goes on to the next stage.
    pub fn next_stage(&mut self) {
        *self = Progress {
            stage: self.stage + 1,
            total_steps: self.total_steps,
            recorded: self.recorded,
            epochs: std::mem::take(&mut self.epochs),
            chosen_epochs: self.chosen_epochs,
            seconds: self.seconds,
            features_seconds: self.features_seconds,
            watch_seconds: self.watch_seconds,
            attempt: self.attempt.take(),
            notes: self.notes.clone(),
            settings: self.settings.take(),
            ..Progress::default()
        };
    }
}

/// What to do where a checkpoint cannot be used.
const FROM_THE_START: &str =
    "put back a whole copy, or remove the folder `checkpoint` to train again from the first step";

const KEY: &str = "deepfit_checkpoint";
const BEST: &str = "best.";

/// Writes a checkpoint atomically: progress, all parameters, and the best weights so far.
pub fn save(
    path: &Path,
    durability: Durability,
    progress: &Progress,
    learner: &Learner,
    best: &BTreeMap<String, Owned>,
) -> Result<()> {
    let mut named: BTreeMap<String, Borrowed<'_>> = learner.state().map(|(n, t)| (n.to_string(), t)).collect();
    for (name, tensor) in best {
        named.insert(format!("{BEST}{name}"), Borrowed { shape: &tensor.shape, values: &tensor.values });
    }
    let progress = serde_json::to_string(progress).map_err(|e| TrainError::run(path, e.to_string()))?;
    tensors::write(path, durability, &named, KEY, progress)
}

/// What [`save`] wrote: progress, parameters, best weights.
pub struct Saved {
    /// Where training stands.
    pub progress: Progress,
    /// Parameters by name.
    pub state: BTreeMap<String, Owned>,
    /// Best weights by name.
    pub best: BTreeMap<String, Owned>,
}

/// Reads a checkpoint, and from the journal the epochs that had ended by then.
pub fn load(path: &Path, journal: &Path) -> Result<Saved> {
    let (tensors, text) = tensors::read(path, KEY).map_err(|error| match error {
        TrainError::Run { path, problem } => TrainError::Run { path, problem: format!("{problem}; {FROM_THE_START}") },
        other => other,
    })?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| TrainError::run(path, format!("is damaged: {e}; {FROM_THE_START}")))?;
    check_version(path, value["version"].as_u64())?;
    let mut progress: Progress = serde_json::from_value(value)
        .map_err(|e| TrainError::run(path, format!("is damaged: {e}; {FROM_THE_START}")))?;
    progress.epochs = read_journal(journal, progress.recorded)?;
    let (mut state, mut best) = (BTreeMap::new(), BTreeMap::new());
    for (name, tensor) in tensors {
        match name.strip_prefix(BEST) {
            Some(name) => best.insert(name.to_string(), tensor),
            None => state.insert(name, tensor),
        };
    }
    Ok(Saved { progress, state, best })
}

/// The first `count` lines of `metrics.jsonl`. Later ones belong to epochs that a checkpoint does not know.
fn read_journal(path: &Path, count: usize) -> Result<Vec<EpochRecord>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if !path.exists() {
        let problem = format!(
            "is missing: it lists the {count} epochs before the checkpoint, which the choice of the best one needs; put \
             it back, or remove the folder `checkpoint` beside it to train again from the first step"
        );
        return Err(TrainError::run(path, problem));
    }
    let text = read_text(path)?;
    let mut records = Vec::with_capacity(count);
    for (number, line) in text.lines().take(count).enumerate() {
        let record = serde_json::from_str(line);
        let damaged = |e| TrainError::run(path, format!("is damaged in line {}: {e}; {FROM_THE_START}", number + 1));
        records.push(record.map_err(damaged)?);
    }
    if records.len() < count {
        let found = records.len();
        let problem =
            format!("is damaged: it has {found} lines, but the checkpoint knows {count} epochs; {FROM_THE_START}");
        return Err(TrainError::run(path, problem));
    }
    Ok(records)
}

/// Refuses files of a newer program.
pub fn check_version(path: &Path, version: Option<u64>) -> Result<()> {
    match version {
        Some(version) if version <= u64::from(FORMAT_VERSION) => Ok(()),
        Some(version) => Err(TrainError::run(
            path,
            format!(
                "was written by a newer deepfit (format {version}, this one knows up to {FORMAT_VERSION}); update deepfit"
            ),
        )),
        None => Err(TrainError::run(path, "is damaged: its version is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_of_a_newer_program_are_refused() {
        let path = std::env::temp_dir().join(format!("deepfit-checkpoint-{}.safetensors", std::process::id()));
        let load_version = |version: u32| {
            let content = serde_json::to_string(&Progress { version, ..Progress::default() }).unwrap();
            tensors::write(&path, Durability::Process, &BTreeMap::new(), KEY, content).unwrap();
            load(&path, Path::new("no journal yet")).map(|saved| saved.progress.version)
        };
        assert_eq!(load_version(FORMAT_VERSION).unwrap(), FORMAT_VERSION);
        let told = load_version(FORMAT_VERSION + 1).unwrap_err().to_string();
        assert!(told.contains("newer deepfit") && told.contains(&*path.to_string_lossy()), "{told}");
        std::fs::remove_file(path).unwrap();
    }
}
