use deepfit_graph::Tensor;

use crate::error::Result;
use crate::init::Init;
use crate::module::Module;
use crate::scope::{Parameter, Role, Scope};

/// Layer normalisation over the last axis (Ba, Kiros and Hinton, 2016), as PyTorch's `LayerNorm`.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    path: String,
    weight: Parameter,
    bias: Parameter,
    epsilon: f32,
}

impl LayerNorm {
    /// A layer for the given length of the last axis with PyTorch's default epsilon, 1e-5.
    pub fn new(scope: &Scope, channels: usize) -> Self {
        Self::with(scope, channels, 1e-5)
    }

    /// A layer with the given number added to the variance.
    pub fn with(scope: &Scope, channels: usize, epsilon: f32) -> Self {
        LayerNorm {
            path: scope.path().to_string(),
            weight: scope.parameter("weight", &[channels], Init::Ones, Role::NoDecay),
            bias: scope.parameter("bias", &[channels], Init::Zeros, Role::NoDecay),
            epsilon,
        }
    }
}

impl Module for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            Ok(x.layer_norm(&self.weight.on(tracer)?, &self.bias.on(tracer)?, self.epsilon)?)
        })
    }
}
