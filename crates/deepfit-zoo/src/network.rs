use deepfit_graph::{DType, Shape, Tensor, Tracer};
use deepfit_nn::{NnError, Scope};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::{CnnConfig, MlpConfig, MobilenetV2Config, ResnetConfig};

/// Settings of a network: all that is needed to make it again, but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model_type", rename_all = "snake_case")]
pub enum ModelConfig {
    /// Layers of neurons, for tables.
    Mlp(MlpConfig),
    /// A small convolutional network, for small images.
    Cnn(CnnConfig),
    /// A residual network, for images.
    Resnet(ResnetConfig),
    /// A network of depth-wise convolutions, for images and few operations.
    MobilenetV2(MobilenetV2Config),
}

impl ModelConfig {
    /// The value of `model_type`.
    pub fn model_type(&self) -> &'static str {
        match self {
            ModelConfig::Mlp(_) => "mlp",
            ModelConfig::Cnn(_) => "cnn",
            ModelConfig::Resnet(_) => "resnet",
            ModelConfig::MobilenetV2(_) => "mobilenet_v2",
        }
    }

    /// Number of outputs for each example.
    pub fn outputs(&self) -> usize {
        match self {
            ModelConfig::Mlp(config) => config.outputs,
            ModelConfig::Cnn(config) => config.outputs,
            ModelConfig::Resnet(config) => config.outputs,
            ModelConfig::MobilenetV2(config) => config.outputs,
        }
    }
}

/// Something that a network wants of each example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSlot {
    /// Name of the graph's input.
    pub name: String,
    /// Axis lengths for one example.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
}

impl InputSlot {
    pub(crate) fn new(name: &str, shape: &[usize], dtype: DType) -> Self {
        InputSlot { name: name.to_string(), shape: shape.to_vec(), dtype }
    }

    /// The input of a graph: a batch of such examples.
    pub fn on(&self, tracer: &Tracer) -> Tensor {
        tracer.input(&self.name, Shape::batch_of(&self.shape), self.dtype)
    }
}

/// A whole network.
pub trait Network: Send + Sync {
    /// What it wants of each example, in the order in which [`Network::forward`] takes it.
    fn inputs(&self) -> Vec<InputSlot>;

    /// Number of outputs for each example: classes, or values of a regression.
    fn outputs(&self) -> usize;

    /// Adds the network to the graph of its inputs. Returns logits, or values, f32 `[batch, outputs]`.
    ///
    /// # Errors
    /// If the inputs are not those of [`Network::inputs`].
    fn forward(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor>;
}

/// Makes a network and declares its parameters in `scope`.
///
/// # Errors
/// If a setting is impossible, naming it.
pub fn build(config: &ModelConfig, scope: &Scope) -> Result<Box<dyn Network>> {
    Ok(match config {
        ModelConfig::Mlp(config) => Box::new(config.build(scope)?),
        ModelConfig::Cnn(config) => Box::new(config.build(scope)?),
        ModelConfig::Resnet(config) => Box::new(config.build(scope)?),
        ModelConfig::MobilenetV2(config) => Box::new(config.build(scope)?),
    })
}

/// The inputs as an array, or an error that names what was expected.
pub(crate) fn take<const N: usize>(network: &dyn Network, inputs: &[Tensor]) -> deepfit_nn::Result<[Tensor; N]> {
    inputs.to_vec().try_into().map_err(|_| wrong_inputs(network, inputs.len()))
}

/// The error for a wrong number of inputs.
pub(crate) fn wrong_inputs(network: &dyn Network, given: usize) -> NnError {
    let names: Vec<String> = network.inputs().into_iter().map(|slot| slot.name).collect();
    NnError::Setting {
        place: "network".to_string(),
        setting: "inputs".to_string(),
        problem: format!("must be {}, but {given} were given", names.join(", ")),
    }
}
