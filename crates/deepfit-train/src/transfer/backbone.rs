//! The network that a transfer begins with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use deepfit_graph::{Graph, Node, Op};
use deepfit_nn::{Declaration, Scope};
use deepfit_zoo::{ImageConfig, ImagePreprocessing, ModelConfig, Network, Published, Resize};
use xxhash_rust::xxh3::Xxh3;

use crate::error::{Result, TrainError};
use crate::published;
use crate::tensors::Owned;

/// The value of the setting `from` that declines a transfer.
pub const SCRATCH: &str = "scratch";

/// A published network, and what belongs to it.
pub struct Backbone {
    /// Its name or path, as it was asked for.
    pub name: String,
    /// The network, with the outputs that its weights are for.
    pub config: ModelConfig,
    /// How images become what it takes.
    pub preprocessing: ImagePreprocessing,
    /// Weights by name.
    pub weights: BTreeMap<String, Owned>,
    /// What was found in its files, a sentence each.
    pub notes: Vec<String>,
    /// Of all weights and the settings: by this, features are found again.
    digest: u128,
}

impl Backbone {
    /// Reads a published model, or the one that is part of the program, by its name.
    ///
    /// # Errors
    /// As [`Published::load`], or if its architecture cannot be cut in two.
    pub fn load(from: &str) -> Result<Backbone> {
        let Published { config, preprocessing, weights, report, .. } = published::published_model(Path::new(from))?;
        let notes = vec![format!("{from}: {report}; its last layer is replaced")];
        let mut hasher = Xxh3::new();
        hasher.update(serde_json::to_string(&config).unwrap_or_default().as_bytes());
        let mut owned = BTreeMap::new();
        for (name, array) in weights {
            hasher.update(name.as_bytes());
            hasher.update(bytemuck::cast_slice(&array.values));
            owned.insert(name, Owned { shape: array.shape, values: array.values });
        }
        let digest = hasher.digest128();
        let backbone = Backbone { name: from.to_string(), config, preprocessing, weights: owned, notes, digest };
        if backbone.blocks()? == 0 {
            let problem = format!("'{from}' is a {}, which cannot be fine-tuned", backbone.config.model_type());
            return Err(TrainError::setting("from", problem));
        }
        Ok(backbone)
    }

    /// The same network on images of another size.
    ///
    /// # Errors
    /// If it takes images of its own size alone.
    pub fn for_images_of(mut self, side: Option<usize>) -> Result<Backbone> {
        let (height, width) = self.preprocessing.crop;
        if height != width {
            let problem = format!("'{}' takes images of {height}x{width} pixels; they must be squares", self.name);
            return Err(TrainError::setting("from", problem));
        }
        let Some(side) = side.filter(|&side| side != height) else { return Ok(self) };
        if matches!(self.config, ModelConfig::Vit(_)) {
            let problem = format!("is {side}, but '{}' knows positions in images of {height} pixels alone", self.name);
            return Err(TrainError::setting("image_size", problem));
        }
        let scaled = |length: usize| (length * side).div_ceil(height);
        self.preprocessing.resize = match self.preprocessing.resize {
            Resize::ShortestEdge(length) => Resize::ShortestEdge(scaled(length)),
            Resize::Exact(h, w) => Resize::Exact(scaled(h), scaled(w)),
        };
        self.preprocessing.crop = (side, side);
        if let Some(image) = self.config.image().cloned() {
            self.config = self.config.with_image(ImageConfig { height: side, width: side, ..image });
        }
        Ok(self)
    }

    /// The network with its parameters, as it was published.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn network(&self) -> Result<(Box<dyn Network>, Vec<Declaration>)> {
        self.with_outputs(self.config.outputs())
    }

    /// The network with other outputs, and its parameters.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn with_outputs(&self, outputs: usize) -> Result<(Box<dyn Network>, Vec<Declaration>)> {
        let scope = Scope::root();
        let network = deepfit_zoo::build(&self.config.clone().with_outputs(outputs), &scope)?;
        Ok((network, scope.declarations()))
    }

    /// Number of blocks after each of which it can be cut.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn blocks(&self) -> Result<usize> {
        Ok(self.network()?.0.blocks())
    }

    /// Names of the parameters whose shape depends on the number of outputs: those of the last layer.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn last_layer(&self) -> Result<BTreeSet<String>> {
        let shapes = |outputs| -> Result<BTreeSet<(String, Vec<usize>)>> {
            Ok(self.with_outputs(outputs)?.1.into_iter().map(|d| (d.name, d.shape)).collect())
        };
        Ok(shapes(2)?.difference(&shapes(3)?).map(|(name, _)| name.clone()).collect())
    }

    /// By this number, features after so many blocks are found again.
    pub fn key(&self, blocks: usize) -> u128 {
        let mut hasher = Xxh3::new();
        hasher.update(&self.digest.to_le_bytes());
        hasher.update(format!("{:?} {blocks}", self.preprocessing).as_bytes());
        hasher.digest128()
    }

    /// The weights that a network declares, without those of the last layer.
    ///
    /// # Errors
    /// If the network cannot be built.
    pub fn weights_for(&self, declarations: &[Declaration]) -> Result<BTreeMap<String, Owned>> {
        let last = self.last_layer()?;
        let of = |d: &Declaration| {
            let tensor = self.weights.get(&d.name).filter(|_| !last.contains(&d.name))?;
            Some((d.name.clone(), tensor.clone()))
        };
        Ok(declarations.iter().filter_map(of).collect())
    }
}

/// Names of the parameters that a graph reads.
pub(super) fn parameters_of(graph: &Graph) -> BTreeSet<String> {
    let name = |node: &Node| match &node.op {
        Op::Parameter(parameter) => Some(parameter.name.clone()),
        _ => None,
    };
    graph.nodes().iter().filter_map(name).collect()
}
