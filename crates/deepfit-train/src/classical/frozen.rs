//! A published network that stays as it is, whose features a classical learner has learned.

use std::collections::BTreeMap;
use std::path::Path;

use deepfit_cpu::{Engine, ProgramId};
use deepfit_data::{Batch, Preprocessor};
use deepfit_graph::{Extents, Tensor};
use deepfit_nn::{Scope, step};
use deepfit_zoo::ModelConfig;
use serde::{Deserialize, Serialize};

use crate::error::{Result, TrainError};
use crate::learner::{extents, views};
use crate::run_folder::Durability;
use crate::tensors::{self, Borrowed, Shared};
use crate::transfer::{Backbone, FEATURES};
use crate::weights::not_finite;

const FILE: &str = "model.safetensors";
const KEY: &str = "deepfit_backbone";
/// Samples at a time; of texts, tokens at a time.
const BATCH: usize = 8;
const TOKENS: usize = 4096;
const TEXTS: usize = 128;
/// More features than any network makes.
const MOST_WIDTH: usize = 1 << 20;

/// The network, as `config.json` has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FrozenConfig {
    /// The network, whose last layer is not used.
    model: ModelConfig,
    /// Its blocks that make the features.
    blocks: usize,
    /// Numbers that they make of a sample.
    width: usize,
    /// Whether its convolutions are plain sums of products.
    exact: bool,
}

/// The network with its weights.
#[derive(Clone)]
pub(crate) struct Frozen {
    pub(super) config: FrozenConfig,
    weights: Shared,
}

impl Frozen {
    /// All blocks of a backbone.
    pub(crate) fn new(backbone: &Backbone, width: usize, exact: bool) -> Result<Frozen> {
        let blocks = backbone.blocks()?;
        let (_, declarations) = backbone.network()?;
        let weights = backbone.weights_for(&declarations);
        Ok(Frozen { config: FrozenConfig { model: backbone.config.clone(), blocks, width, exact }, weights })
    }

    pub(super) fn width(&self) -> usize {
        self.config.width
    }

    /// Writes the weights.
    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        let borrowed: BTreeMap<String, Borrowed<'_>> =
            self.weights.iter().map(|(name, tensor)| (name.clone(), tensor.borrowed())).collect();
        tensors::write(&folder.join(FILE), Durability::Disk, &borrowed, KEY, "1".to_string())
    }

    /// Reads the weights of a network.
    pub(super) fn open(folder: &Path, config: FrozenConfig) -> Result<Frozen> {
        if config.width > MOST_WIDTH {
            let problem = format!("is damaged: it tells of {} features", config.width);
            return Err(TrainError::run(folder.join("config.json"), problem));
        }
        let path = folder.join(FILE);
        let (weights, _) = tensors::read(&path, KEY)?;
        if let Some((name, what)) = weights.iter().find_map(|(name, t)| Some((name, not_finite(&t.values)?))) {
            return Err(TrainError::run(&path, format!("is damaged: `{name}` holds {what}")));
        }
        let weights = weights.into_iter().map(|(name, tensor)| (name, std::sync::Arc::new(tensor))).collect();
        Ok(Frozen { config, weights })
    }

    /// Compiles the network for what a preprocessor prepares.
    ///
    /// # Errors
    /// If they do not fit together.
    pub(super) fn runner(&self, folder: &Path, preprocessor: &Preprocessor, threads: usize) -> Result<Runner> {
        let damaged = |problem: String| TrainError::run(folder.join("config.json"), format!("is damaged: {problem}"));
        let scope = Scope::root();
        let network = deepfit_zoo::build(&self.config.model, &scope).map_err(|e| damaged(e.to_string()))?;
        let longest = if let Preprocessor::Text(text) = preprocessor { text.most_tokens } else { 1 };
        let batch = if longest > 1 { (TOKENS / longest).clamp(1, TEXTS) } else { BATCH };
        let mut engine = Engine::new(threads)?.exact(self.config.exact).for_inference(true);
        for declaration in scope.declarations() {
            let Some(tensor) = self.weights.get(&declaration.name) else { continue };
            if tensor.shape != declaration.shape {
                return Err(damaged(format!("`{}` has another shape than the network's", declaration.name)));
            }
            engine.set_parameter(&declaration.name, &tensor.shape, &tensor.values)?;
        }
        let graph = step::evaluation_graph(|tracer| {
            let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
            Ok(vec![(FEATURES.to_string(), network.up_to(&inputs, self.config.blocks)?)])
        })?;
        let program = engine.compile(&graph, Extents { batch, sequence: longest })?;
        if let Some((name, ..)) = engine.parameters().find(|(name, ..)| !self.weights.contains_key(*name)) {
            return Err(damaged(format!("the weights `{name}` are missing")));
        }
        let inputs: Vec<String> = network.inputs().into_iter().map(|slot| slot.name).collect();
        let prepared: Vec<String> = preprocessor.slots().into_iter().map(|slot| slot.name).collect();
        if !prepared.starts_with(&inputs) {
            return Err(damaged(format!("the network takes {inputs:?}, but {prepared:?} are prepared")));
        }
        Ok(Runner { engine, program, inputs, width: self.config.width, batch })
    }
}

/// The network in use.
pub(super) struct Runner {
    engine: Engine,
    program: ProgramId,
    inputs: Vec<String>,
    width: usize,
    pub(super) batch: usize,
}

impl Runner {
    /// Features of a batch, `[rows, width]`.
    pub(super) fn run(&mut self, batch: &Batch) -> Result<&[f32]> {
        self.engine.run(self.program, extents(batch), &views(&self.inputs, batch))?;
        let made = self.engine.output(self.program, FEATURES)?;
        if made.len() != batch.len * self.width {
            return Err(TrainError::setting("model", "makes another number of features than was learned"));
        }
        Ok(made)
    }
}
