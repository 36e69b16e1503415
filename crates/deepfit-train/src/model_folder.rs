//! The model folder: weights, and everything that is needed to use them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use deepfit_cpu::{Engine, Precision};
use deepfit_data::Preprocessor;
use deepfit_graph::Extents;
use deepfit_nn::{Declaration, Scope};
use deepfit_zoo::{ModelConfig, Network, Published};
use serde::{Deserialize, Serialize};

use crate::classical;
use crate::decision::Decision;
use crate::error::{Result, TrainError};
use crate::learner::Predicting;
use crate::progress::check_version;
use crate::published;
use crate::run_folder::{Durability, FORMAT_VERSION, RunFolder, of_comparison, read_text, write_text};
use crate::settings::Settings;
use crate::tensors::{self, Borrowed, Owned};
use crate::weights::{self, Misfit, not_finite};

const KEY: &str = "deepfit_model";

/// What to do where a file of a model cannot be used.
const MAKE_AGAIN: &str = "put back a whole copy, or, where it is the model of a run, delete the run's result.json and \
                          write the model again with `deepfit train --resume RUN`";

/// Adds to an error that says that a file is damaged what to do about it.
fn with_advice(error: TrainError) -> TrainError {
    match error {
        TrainError::Run { path, problem } if problem.starts_with("is damaged") => {
            TrainError::Run { path, problem: format!("{problem}; {MAKE_AGAIN}") }
        }
        TrainError::Io { path, source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            TrainError::Run { path, problem: format!("is missing; {MAKE_AGAIN}") }
        }
        other => other,
    }
}

/// `config.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelDescription {
    /// Version of the format.
    pub version: u32,
    /// The network.
    pub model: ModelConfig,
    /// Name of the model, as in the settings.
    pub name: String,
    /// How inputs become what the network takes.
    pub preprocessor: serde_json::Value,
    /// Whether its convolutions are plain sums of products, as they were in training.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
    /// Of two classes, the positive one; the second where it is not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive: Option<String>,
    /// Column by which rows counted in training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// What is made of the network's outputs.
    #[serde(default, skip_serializing_if = "Decision::is_empty")]
    pub decision: Decision,
}

/// A model that was read.
pub struct Model {
    /// `config.json`.
    pub description: ModelDescription,
    /// How inputs become what the network takes.
    pub preprocessor: Preprocessor,
    /// Weights by name.
    pub weights: BTreeMap<String, Owned>,
    /// The network of the description.
    pub network: Box<dyn Network>,
    /// Its parameters.
    pub declarations: Vec<Declaration>,
    /// What is worth knowing about it, a sentence each.
    pub notes: Vec<String>,
    /// Whether its last layer has weights: without there are features, but no predictions.
    pub has_head: bool,
    /// In which precision it multiplies matrices.
    pub precision: Precision,
}

/// Reads a model: that of a run folder, a model folder, a published model's folder or file, or one that is part of the
/// program, by its name.
///
/// # Errors
/// If it is none of these, or damaged.
pub fn open(path: &Path) -> Result<Model> {
    classical::refuse(path)?;
    match find(path) {
        Ok(folder) if !published::is_published(&folder) => load(&folder),
        Ok(folder) => published::open(&folder),
        // A folder that belongs to a run is none of another program.
        Err(error) if path.join("settings.toml").is_file() => Err(error),
        Err(_) if path.is_file() || Published::is_in(path) => published::open(path),
        Err(error) => published::bundled(path).unwrap_or(Err(error)),
    }
}

/// Reads any model that decides something, as [`open`] does, or a published one for texts.
///
/// # Errors
/// As [`open`]; of a published model for texts, if it has no classes.
pub fn open_any(path: &Path) -> Result<Model> {
    if crate::text_model::is_text_model(path) { published::open_text(path) } else { open(path) }
}

/// Writes weights and description.
pub fn save(
    folder: &Path,
    name: &str,
    model: &ModelConfig,
    of_samples: &Preprocessor,
    weights: &BTreeMap<String, Owned>,
    settings: &Settings,
    decision: &Decision,
) -> Result<()> {
    let damaged = |e: serde_json::Error| TrainError::run(folder, e.to_string());
    let preprocessor = serde_json::from_str(&of_samples.to_json()).map_err(damaged)?;
    let description = ModelDescription {
        version: FORMAT_VERSION,
        model: model.clone(),
        name: name.to_string(),
        preprocessor,
        exact: settings.exact,
        positive: settings.positive.clone(),
        weight: settings.weight.clone(),
        decision: decision.clone(),
    };
    let borrowed: BTreeMap<String, Borrowed<'_>> =
        weights.iter().map(|(name, tensor)| (name.clone(), tensor.borrowed())).collect();
    tensors::write(&folder.join("model.safetensors"), Durability::Disk, &borrowed, KEY, FORMAT_VERSION.to_string())?;
    for (name, content) in of_samples.files() {
        write_text(&folder.join(name), &content)?;
    }
    write_text(&folder.join("config.json"), &(serde_json::to_string_pretty(&description).map_err(damaged)? + "\n"))
}

/// The model folder of a run folder, or the folder itself if it is one.
pub fn find(path: &Path) -> Result<PathBuf> {
    for folder in [path.to_path_buf(), path.join("model")] {
        if folder.join("config.json").is_file() {
            return Ok(folder);
        }
    }
    if let Some(problem) = of_comparison(path) {
        return Err(TrainError::run(path, problem));
    }
    let problem = if !path.exists() {
        "does not exist; give the run folder that `deepfit train` printed"
    } else if RunFolder::at(path).is_being_trained() {
        "has no model yet: it is being trained by another process; wait until that has ended"
    } else if path.join("settings.toml").is_file() {
        "has no model yet: its training has not ended; continue it with `deepfit train --resume`"
    } else {
        "is neither a run folder nor a model folder; give the run folder that `deepfit train` printed (it holds \
         'settings.toml' and, after training, 'model'), or the folder or file of a published model"
    };
    Err(TrainError::run(path, problem))
}

/// Reads the description alone.
fn read_description(folder: &Path) -> Result<(ModelDescription, Preprocessor)> {
    let path = folder.join("config.json");
    let damaged = |e: serde_json::Error| TrainError::run(&path, format!("is damaged: {e}"));
    let value: serde_json::Value = serde_json::from_str(&read_text(&path)?).map_err(damaged)?;
    check_version(&path, value["version"].as_u64())?;
    let description: ModelDescription = serde_json::from_value(value).map_err(damaged)?;
    let preprocessor = Preprocessor::from_json(&description.preprocessor.to_string()).map_err(|error| match error {
        newer @ deepfit_data::Error::NewerVersion { .. } => TrainError::run(&path, newer.to_string()),
        other => TrainError::run(&path, format!("is damaged: {other}")),
    })?;
    let outputs = preprocessor.task().outputs();
    if description.model.outputs() != outputs {
        let problem =
            format!("is damaged: the network has {} outputs for {outputs} classes", description.model.outputs());
        return Err(TrainError::run(&path, problem));
    }
    if let Some(problem) = description.decision.problem(preprocessor.task()) {
        return Err(TrainError::run(&path, format!("is damaged: {problem}")));
    }
    Ok((description, preprocessor))
}

/// Weights that were written here, which are checked to be whole, or by another program, such as PyTorch.
fn read_weights(path: &Path) -> Result<BTreeMap<String, Owned>> {
    let (weights, metadata) = weights::read(path)?;
    if tensors::is_signed(&metadata) {
        return Ok(tensors::read(path, KEY)?.0);
    }
    Ok(weights)
}

/// Reads a model.
///
/// The weights may be those of the equivalent PyTorch module, saved under its names in f32, f64, f16 or bf16, with or
/// without its counters of batches.
///
/// # Errors
/// If a file is missing or damaged, or the weights are not those of the network, naming all that differ.
pub fn load(folder: &Path) -> Result<Model> {
    read_model(folder).map_err(with_advice)
}

fn read_model(folder: &Path) -> Result<Model> {
    let (description, preprocessor) = read_description(folder)?;
    let preprocessor = preprocessor.with_files(folder)?;
    let path = folder.join("model.safetensors");
    let weights = read_weights(&path)?;
    let scope = Scope::root();
    let network = deepfit_zoo::build(&description.model, &scope).map_err(|e| {
        TrainError::run(folder.join("config.json"), format!("describes a network that cannot be built: {e}"))
    })?;
    let declarations = scope.declarations();
    let shapes = weights.iter().map(|(name, tensor)| (&name[..], &tensor.shape[..]));
    if let Some(misfit) = Misfit::find(&declarations, shapes, str::to_string) {
        return Err(TrainError::Misfit { file: Some(path), misfit });
    }
    if let Some((name, what)) = weights.iter().find_map(|(name, tensor)| Some((name, not_finite(&tensor.values)?))) {
        return Err(TrainError::run(&path, format!("is damaged: `{name}` holds {what}")));
    }
    let slots: Vec<String> = preprocessor.slots().into_iter().map(|slot| slot.name).collect();
    let inputs: Vec<String> = network.inputs().into_iter().map(|slot| slot.name).collect();
    if slots != inputs {
        let problem = format!("is damaged: the network takes {inputs:?}, but {slots:?} are prepared");
        return Err(TrainError::run(folder.join("config.json"), problem));
    }
    let (notes, has_head) = (Vec::new(), true);
    let precision = Precision::F32;
    Ok(Model { description, preprocessor, weights, network, declarations, notes, has_head, precision })
}

impl Model {
    /// An engine with its weights.
    pub fn engine(&self, threads: usize) -> Result<Engine> {
        let engine = Engine::new(threads)?.exact(self.description.exact).precision(self.precision)?;
        let mut engine = engine.for_inference(true);
        for declaration in &self.declarations {
            // A last layer without weights is not used.
            if let Some(tensor) = self.weights.get(&declaration.name) {
                engine.set_parameter(&declaration.name, &tensor.shape, &tensor.values)?;
            }
        }
        Ok(engine)
    }

    /// Steps of the longest sequence that it takes; 1 of what is none.
    pub fn longest(&self) -> usize {
        if let Preprocessor::Text(text) = &self.preprocessor { text.most_tokens } else { 1 }
    }

    /// Rows at a time: fewer of large images, whose intermediate results take much memory.
    pub fn batch(&self) -> usize {
        const PIXELS: usize = 64 * 64 * 64;
        let pixels = self.description.model.image().map_or(1, |image| image.height * image.width);
        (PIXELS / pixels.max(1)).clamp(8, 64)
    }

    /// Compiles the model for use.
    pub(crate) fn into_predicting(self, threads: usize, batch: usize) -> Result<(Predicting, Preprocessor)> {
        if !self.has_head {
            let problem = "has no last layer: it gives features, by `deepfit embed`, but knows no classes".to_string();
            return Err(TrainError::run(&self.description.name, problem));
        }
        let engine = self.engine(threads)?;
        let largest = Extents { batch, sequence: self.longest() };
        Ok((Predicting::new(engine, &*self.network, self.preprocessor.task(), largest, true)?, self.preprocessor))
    }
}
