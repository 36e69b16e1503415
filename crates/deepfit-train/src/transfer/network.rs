//! The network that a transfer trains: a published one whose first blocks stay as they are.

use std::collections::BTreeSet;

use deepfit_data::Task;
use deepfit_graph::{DType, Mode, Shape, Tensor};
use deepfit_nn::Declaration;
use deepfit_zoo::{InputSlot, Network, VALUE, first_blocks};

use super::backbone::Backbone;
use crate::error::{Result, TrainError};
use crate::learner::evaluation;
use crate::tensors::Shared;

/// Name of the input of networks that begin with features.
pub const FEATURES: &str = "features";

/// Where a network is cut, and what it is fed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Number of blocks that stay as they are.
    pub blocks: usize,
    /// Whether they have been applied to the inputs already, which are then [`FEATURES`].
    pub applied: bool,
}

/// A network whose first blocks stay as they are.
///
/// All blocks normalise by their running statistics, also those that are trained: statistics of small batches of a small
/// data set are worse than those of the many images that the backbone has seen.
pub struct Transferred {
    network: Box<dyn Network>,
    cut: Cut,
    /// Of the features of one sample.
    shape: Vec<usize>,
}

impl Transferred {
    /// A backbone for a task with so many outputs, whose last layer sees so many terms, too, with the parameters that are left of it, and their published values.
    ///
    /// # Errors
    /// If the network cannot be cut there.
    pub fn new(
        backbone: &Backbone,
        (outputs, terms): (usize, usize),
        cut: Cut,
        lora: Option<usize>,
    ) -> Result<(Transferred, Vec<Declaration>, Shared)> {
        let (network, mut declarations) = match lora {
            Some(rank) => backbone.adapted(outputs, terms, rank)?,
            None => backbone.with_outputs(outputs, terms)?,
        };
        let shape = if cut.applied { shape_after(&*network, cut.blocks)? } else { Vec::new() };
        let network = Transferred { network, cut, shape };
        let graph = evaluation(&network, &Task::Regression)?;
        let used: BTreeSet<&str> = graph.parameter_names().collect();
        declarations.retain(|d| used.contains(&d.name[..]));
        let values = backbone.weights_for(&declarations);
        Ok((network, declarations, values))
    }

    /// Names of the parameters of blocks that stay as they are.
    ///
    /// # Errors
    /// If the network cannot be traced.
    pub fn frozen(&self) -> Result<BTreeSet<String>> {
        if self.cut.applied || self.cut.blocks == 0 {
            return Ok(BTreeSet::new());
        }
        self.names_up_to(self.cut.blocks)
    }

    /// Names of the parameters of the first blocks, so many.
    fn names_up_to(&self, blocks: usize) -> Result<BTreeSet<String>> {
        Ok(first_blocks(&*self.network, blocks)?.parameter_names().map(str::to_string).collect())
    }

    /// Names of the parameters of the blocks that are trained, the last block first.
    ///
    /// # Errors
    /// If the network cannot be traced.
    pub fn trained_blocks(&self) -> Result<Vec<BTreeSet<String>>> {
        let mut names: Vec<BTreeSet<String>> = Vec::new();
        let mut below = self.names_up_to(self.cut.blocks)?;
        for blocks in self.cut.blocks + 1..=self.network.blocks() {
            let all = self.names_up_to(blocks)?;
            names.push(all.difference(&below).cloned().collect());
            below = all;
        }
        names.retain(|names| !names.is_empty());
        names.reverse();
        Ok(names)
    }
}

impl Network for Transferred {
    fn inputs(&self) -> Vec<InputSlot> {
        if self.cut.applied {
            let mut inputs = vec![InputSlot::new(FEATURES, &self.shape, DType::F32)];
            inputs.extend(self.network.beside());
            return inputs;
        }
        self.network.inputs()
    }

    fn outputs(&self) -> usize {
        self.network.outputs()
    }

    fn features(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        let Some(first) = inputs.first() else { return self.network.features(inputs) };
        first.tracer().in_mode(Mode::Evaluate, || {
            if self.cut.applied {
                let made = self.network.through(first, self.cut.blocks..self.network.blocks())?;
                self.network.joined(&made, &inputs[1..])
            } else {
                self.network.features(inputs)
            }
        })
    }

    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        self.network.head(features)
    }

    fn forward(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        match inputs.first() {
            Some(first) if !self.network.is_divided() => {
                first.tracer().in_mode(Mode::Evaluate, || self.network.forward(inputs))
            }
            _ => self.head(&self.features(inputs)?),
        }
    }
}

/// Shape of what the first blocks, so many, make of one sample.
pub(super) fn shape_after(network: &dyn Network, blocks: usize) -> Result<Vec<usize>> {
    let graph = first_blocks(network, blocks)?;
    let fixed = |shape: &Shape| (1..shape.dims().len()).map(|axis| shape.fixed(axis)).collect::<Option<Vec<usize>>>();
    let lengths = graph.output(VALUE).and_then(|value| fixed(&graph.type_of(value).shape));
    lengths.ok_or_else(|| TrainError::setting("from", "names a network whose features are of no fixed shape"))
}
