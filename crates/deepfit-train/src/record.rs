//! What a run folder tells of a run, whether it has ended or not.

use std::path::{Path, PathBuf};

use deepfit_data::{SavedSplit, Task};
use serde::Deserialize;

use crate::classical::ClassicalModel;
use crate::error::{Result, TrainError};
use crate::finish::shell_word;
use crate::predictions::Predictions;
use crate::progress::EpochRecord;
use crate::report::Report;
use crate::run_folder::{RunFolder, read_text};
use crate::settings::Settings;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has ended.
    Finished,
    /// Another process trains it.
    Running,
    /// It was stopped before its end.
    Stopped,
}

/// What a run folder tells.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// The run folder.
    pub root: PathBuf,
    /// How far the run is.
    pub state: State,
    /// Its settings.
    pub settings: Settings,
    /// Epochs that have ended, of all stages.
    pub epochs: Vec<EpochRecord>,
    /// The result, once the run has ended.
    pub report: Option<Report>,
    /// What was predicted for the test rows, of a run that has ended.
    pub predictions: Option<Predictions>,
    /// Number of rows for training, validation and test.
    pub rows: Option<[usize; 3]>,
    /// What is learned, of a run that has ended.
    pub task: Option<Task>,
    /// What the network takes: `image`, `text` or `table`; of a run that has ended and decides something.
    pub input: Option<String>,
    /// Names of the columns that a table's rows are predicted by, and that of the target.
    pub columns: Option<(Vec<String>, String)>,
    /// Bytes of the model's weights.
    pub model_bytes: u64,
    /// What could not be read of it, one sentence each.
    pub notes: Vec<String>,
}

impl RunRecord {
    /// Whether it is a classical learner, which `deepfit compare` has saved: it has ended without an epoch.
    pub fn is_classical(&self) -> bool {
        self.report.is_some() && self.epochs.is_empty() && ClassicalModel::is_in(&self.root)
    }

    /// Reads a run folder.
    ///
    /// # Errors
    /// If it is none, or its settings, epochs or result are damaged or of a newer version.
    pub fn open(root: &Path) -> Result<RunRecord> {
        let folder = RunFolder::open(root)?;
        let (settings, _) = Settings::of_run(&folder.settings())?;
        let mut notes = Vec::new();
        let report: Option<Report> = match folder.result().is_file() {
            true => Some(serde_json::from_str(&read_text(&folder.result())?).map_err(|e| {
                let again = shell_word(&root.to_string_lossy());
                let advice = format!("delete it, then make it again with `deepfit train --resume {again}`");
                TrainError::run(folder.result(), format!("is damaged: {e}; {advice}"))
            })?),
            false => None,
        };
        let state = match &report {
            Some(_) => State::Finished,
            None if folder.is_being_trained() => State::Running,
            None => State::Stopped,
        };
        let epochs = read_epochs(&folder.metrics(), state)?;
        if report.is_some() && !ClassicalModel::is_in(root) && !folder.metrics().is_file() {
            notes.push("metrics.jsonl is missing, which tells of each epoch, so that there are no curves".to_string());
        }
        let mut predictions = None;
        if report.is_some() {
            if folder.predictions().is_file() {
                match Predictions::load(&folder.predictions()) {
                    Ok(found) => predictions = Some(found),
                    Err(error) => notes.push(format!("what was predicted for the test rows cannot be read: {error}")),
                }
            } else {
                notes.push("what was predicted for the test rows is not kept in this run folder".to_string());
            }
        }
        let split = read_text(&folder.split()).ok().and_then(|text| serde_json::from_str::<SavedSplit>(&text).ok());
        let rows = split.map(|split| [split.train.len(), split.validation.len(), split.test.len()]);
        let saved = read_text(&folder.model().join("config.json")).ok();
        let saved = saved.and_then(|text| serde_json::from_str::<SavedModel>(&text).ok());
        let of_table = |saved: &SavedModel| {
            let columns = saved.preprocessor.columns.as_array()?;
            let names = columns.iter().filter_map(|column| Some(column.get("name")?.as_str()?.to_string())).collect();
            Some((names, saved.preprocessor.target.clone()?))
        };
        // A classical learner may have both: its own, and those of the network that makes its features.
        let files = ["model.safetensors", "classical.bin"].map(|name| std::fs::metadata(folder.model().join(name)));
        Ok(RunRecord {
            root: root.to_path_buf(),
            state,
            settings,
            epochs,
            report,
            predictions,
            rows,
            input: saved.as_ref().map(|saved| saved.preprocessor.input.clone()),
            columns: saved.as_ref().and_then(of_table),
            task: saved.and_then(|saved| saved.preprocessor.task),
            model_bytes: files.iter().flatten().map(std::fs::Metadata::len).sum(),
            notes,
        })
    }

    /// Where the page of the run is.
    pub fn page(&self) -> PathBuf {
        RunFolder::at(&self.root).report()
    }
}

/// The part of a saved model that is told.
#[derive(Deserialize)]
struct SavedModel {
    preprocessor: SavedPreprocessor,
}

#[derive(Deserialize)]
struct SavedPreprocessor {
    input: String,
    #[serde(default)]
    task: Option<Task>,
    #[serde(default)]
    target: Option<String>,
    #[serde(default)]
    columns: serde_json::Value,
}

/// The epochs of a journal; the last line of a run that is being trained may be on its way.
fn read_epochs(path: &Path, state: State) -> Result<Vec<EpochRecord>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = read_text(path)?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut epochs = Vec::with_capacity(lines.len());
    for (number, line) in lines.iter().enumerate() {
        match serde_json::from_str(line) {
            Ok(epoch) => epochs.push(epoch),
            Err(_) if state != State::Finished && number + 1 == lines.len() => {}
            Err(error) => {
                let problem = format!("is damaged in line {}: {error}; put back a whole copy", number + 1);
                return Err(TrainError::run(path, problem));
            }
        }
    }
    Ok(epochs)
}
