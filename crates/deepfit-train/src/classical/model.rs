//! The model folder of a classical learner: `config.json` says what it is and how rows become features, `classical.bin` holds
//! what was learned.

use std::fs;
use std::path::{Path, PathBuf};

use deepfit_classical::{ClassicalError, Fitted, Matrix};
use deepfit_data::{Batch, Preprocessor, Task};
use serde::{Deserialize, Serialize};

use super::features::{Encoder, Features};
use super::frozen::{Frozen, FrozenConfig, Runner};
use crate::error::{Result, TrainError};
use crate::predicts::Predicts;
use crate::progress::check_version;
use crate::run_folder::{Durability, FORMAT_VERSION, read_text, write_atomically, write_text};

/// The key of `config.json` by which such a folder is known.
const KEY: &str = "classical";
/// What was learned.
const FILE: &str = "classical.bin";
/// Probabilities of 0 have this in place of a logarithm.
const LEAST: f32 = 1e-30;

/// `config.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Description {
    version: u32,
    classical: Classical,
    /// Name of the model.
    name: String,
    preprocessor: serde_json::Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    positive: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Classical {
    features: Features,
    /// The network that makes them, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frozen: Option<FrozenConfig>,
}

/// A classical model: a learner that has learned, and how rows become its features.
pub struct ClassicalModel {
    name: String,
    preprocessor: Preprocessor,
    positive: Option<String>,
    encoder: Encoder,
    frozen: Option<Frozen>,
    fitted: Fitted,
}

/// The model folder of a run, or the folder itself, if it holds a classical model.
pub(crate) fn find(path: &Path) -> Option<PathBuf> {
    [path.to_path_buf(), path.join("model")].into_iter().find(|folder| folder.join(FILE).is_file())
}

/// Says of a classical model that it is no network.
///
/// # Errors
/// Always, if it is one.
pub(crate) fn refuse(path: &Path) -> Result<()> {
    let Some(folder) = find(path) else { return Ok(()) };
    let name =
        read_description(&folder).map_or_else(|_| "a classical model".to_string(), |description| description.name);
    let problem = format!(
        "holds no network, but {name}, a classical model, which has no layers and no gradients: it is used by `deepfit \
         predict` and `deepfit evaluate`, and `deepfit explain` tells what it goes by"
    );
    Err(TrainError::run(path, problem))
}

fn read_description(folder: &Path) -> Result<Description> {
    let path = folder.join("config.json");
    let damaged = |e: serde_json::Error| TrainError::run(&path, format!("is damaged: {e}"));
    let value: serde_json::Value = serde_json::from_str(&read_text(&path)?).map_err(damaged)?;
    check_version(&path, value["version"].as_u64())?;
    if value.get(KEY).is_none() {
        let problem = format!("is damaged: it does not belong to the {FILE} beside it");
        return Err(TrainError::run(&path, problem));
    }
    serde_json::from_value(value).map_err(damaged)
}

impl ClassicalModel {
    /// A model of what was learned of features that an encoder makes.
    pub(crate) fn new(
        name: &str,
        preprocessor: Preprocessor,
        positive: Option<String>,
        (encoder, frozen): (Encoder, Option<Frozen>),
        fitted: Fitted,
    ) -> ClassicalModel {
        ClassicalModel { name: name.to_string(), preprocessor, positive, encoder, frozen, fitted }
    }

    /// Whether a model folder, or a run folder, holds a classical model.
    pub fn is_in(path: &Path) -> bool {
        find(path).is_some()
    }

    /// Opens the model folder, or the run folder that holds it.
    ///
    /// # Errors
    /// If it holds no classical model, or a file in it is damaged, or of a newer version.
    pub fn open(path: &Path) -> Result<ClassicalModel> {
        let folder = find(path).ok_or_else(|| TrainError::run(path, "holds no classical model"))?;
        let description = read_description(&folder)?;
        let config = folder.join("config.json");
        let preprocessor =
            Preprocessor::from_json(&description.preprocessor.to_string()).map_err(|error| match error {
                newer @ deepfit_data::Error::NewerVersion { .. } => TrainError::run(&config, newer.to_string()),
                other => TrainError::run(&config, format!("is damaged: {other}")),
            })?;
        let preprocessor = preprocessor.with_files(&folder)?;
        let file = folder.join(FILE);
        let read = fs::read(&file);
        let bytes = read.map_err(|source| TrainError::Io { action: "read", path: file.clone(), source })?;
        let fitted = Fitted::from_bytes(&bytes).map_err(|error| match error {
            ClassicalError::Damaged(_) => {
                TrainError::run(&file, format!("{error}; put back a whole copy, or compare again"))
            }
            other => TrainError::run(&file, other.to_string()),
        })?;
        let frozen = match description.classical.frozen.clone() {
            Some(config) => Some(Frozen::open(&folder, config)?),
            None => None,
        };
        let encoder = match &frozen {
            Some(frozen) => Encoder::of_frozen(frozen.width()),
            None => Encoder::new(description.classical.features, &preprocessor)?,
        };
        let outputs = preprocessor.task().outputs();
        if (fitted.width(), fitted.outputs()) != (encoder.width(), outputs) {
            let problem = format!(
                "is damaged: it takes {} features for {} outputs, and {} are made for {outputs}",
                fitted.width(),
                fitted.outputs(),
                encoder.width()
            );
            return Err(TrainError::run(&file, problem));
        }
        let Description { name, positive, .. } = description;
        Ok(ClassicalModel { name, preprocessor, positive, encoder, frozen, fitted })
    }

    /// Writes the model folder.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        let damaged = |e: serde_json::Error| TrainError::run(folder, e.to_string());
        let description = Description {
            version: FORMAT_VERSION,
            classical: Classical {
                features: self.encoder.features(),
                frozen: self.frozen.as_ref().map(|frozen| frozen.config.clone()),
            },
            name: self.name.clone(),
            preprocessor: serde_json::from_str(&self.preprocessor.to_json()).map_err(damaged)?,
            positive: self.positive.clone(),
        };
        if let Some(frozen) = &self.frozen {
            frozen.save(folder)?;
        }
        let bytes = self.fitted.to_bytes();
        write_atomically(&folder.join(FILE), Durability::Disk, |path| fs::write(path, &bytes))?;
        for (name, content) in self.preprocessor.files() {
            write_text(&folder.join(name), &content)?;
        }
        let text = serde_json::to_string_pretty(&description).map_err(damaged)?;
        write_text(&folder.join("config.json"), &(text + "\n"))
    }

    /// Name of the learner and of its features.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How rows are prepared.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.preprocessor
    }

    /// Of two classes, the positive one, where it is named.
    pub(crate) fn positive(&self) -> Option<&str> {
        self.positive.as_deref()
    }

    /// How much it goes by each feature, the most important first: for a linear model the size of weights of standardised
    /// features, for trees how much splits lowered the loss. Nothing where features have no weights.
    pub fn importances(&self) -> Option<Vec<(String, f64)>> {
        let weights = self.fitted.importances()?;
        let mut named: Vec<(String, f64)> = self.encoder.names().iter().cloned().zip(weights).collect();
        named.sort_by(|a, b| b.1.total_cmp(&a.1));
        Some(named)
    }

    /// Whether it says the same of every row.
    pub fn is_constant(&self) -> bool {
        self.fitted.is_constant()
    }

    /// The model for whoever asks it for many variants of rows; the folder, of the model or of its run, is for messages.
    ///
    /// # Errors
    /// If the network that makes its features cannot be used.
    pub fn into_predictor(self, folder: &Path, threads: usize) -> Result<ClassicalPredictor> {
        Ok(ClassicalPredictor(self.into_using(folder, threads)?))
    }

    /// The model in use, on what its preprocessor prepares; the folder is for messages.
    pub(crate) fn into_using(self, folder: &Path, threads: usize) -> Result<Using> {
        let ClassicalModel { preprocessor, encoder, frozen, fitted, .. } = self;
        let told = Told::of(preprocessor.task());
        let runner = frozen.map(|frozen| frozen.runner(folder, &preprocessor, threads)).transpose()?;
        Ok(Using { encoder, runner, fitted, threads, told, values: Vec::new(), logits: Vec::new() })
    }

    /// The model in use on features that its network has made before.
    pub(crate) fn into_using_of_features(self, threads: usize) -> Using {
        let told = Told::of(self.preprocessor.task());
        let ClassicalModel { encoder, fitted, .. } = self;
        Using { encoder, runner: None, fitted, threads, told, values: Vec::new(), logits: Vec::new() }
    }
}

/// What is predicted.
#[derive(Clone, Copy)]
enum Told {
    Values,
    Classes,
    Labels,
}

impl Told {
    fn of(task: &Task) -> Told {
        match task {
            Task::MultiLabel { .. } => Told::Labels,
            task if task.classes().is_empty() => Told::Values,
            _ => Told::Classes,
        }
    }
}

/// A classical model in use, by itself.
pub struct ClassicalPredictor(Using);

impl ClassicalPredictor {
    /// Most rows that it takes at once.
    pub fn batch(&self) -> usize {
        self.0.batch()
    }

    /// What stands for logits, of each row one after the other: the logarithms of probabilities, or standardised values.
    ///
    /// # Errors
    /// If the rows are prepared in another way than those that it has learned from.
    pub fn logits(&mut self, batch: &Batch) -> Result<&[f32]> {
        self.0.predict(batch)?;
        Ok(&self.0.logits)
    }
}

/// A classical model in use.
pub(crate) struct Using {
    encoder: Encoder,
    /// The network that makes its features, if one does.
    runner: Option<Runner>,
    fitted: Fitted,
    threads: usize,
    told: Told,
    values: Vec<f32>,
    logits: Vec<f32>,
}

impl Predicts for Using {
    fn outputs(&self) -> usize {
        self.fitted.outputs()
    }

    fn batch(&self) -> usize {
        self.runner.as_ref().map_or(self.encoder.batch(), |runner| runner.batch)
    }

    fn predict(&mut self, batch: &Batch) -> Result<&[f32]> {
        let matrix = match &mut self.runner {
            Some(runner) => {
                let made = runner.run(batch)?;
                if let Some(at) = made.iter().position(|value| !value.is_finite()) {
                    let what = format!("feature {} of the network", at % self.fitted.width().max(1));
                    return Err(TrainError::Predictions { what });
                }
                Matrix::dense(self.fitted.width(), made.to_vec())
            }
            None => self.encoder.encode(batch)?,
        };
        self.values = self.fitted.predict(&matrix, self.threads)?;
        if !self.values.iter().all(|value| value.is_finite()) {
            return Err(TrainError::Predictions { what: "a prediction".to_string() });
        }
        self.logits.clear();
        let told = self.told;
        let logits = self.values.iter().map(|&p| match told {
            Told::Values => p,
            Told::Classes => p.max(LEAST).ln(),
            Told::Labels => p.max(LEAST).ln() - (1.0 - p).max(LEAST).ln(),
        });
        self.logits.extend(logits);
        Ok(&self.values)
    }

    /// Of probabilities of classes their logarithms, which a softmax makes what they were, of those of labels the logarithms of
    /// their odds.
    fn logits(&self) -> Option<&[f32]> {
        Some(&self.logits)
    }
}
