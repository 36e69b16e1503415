use deepfit_graph::Tensor;

use crate::error::Result;
use crate::init::Init;
use crate::module::Module;
use crate::scope::{Parameter, Role, Scope};

/// A learned vector for each of a number of categories, as PyTorch's `Embedding`: i32 `[...]` becomes `[..., width]`.
///
/// A category out of range stops the run with an error.
#[derive(Debug, Clone)]
pub struct Embedding {
    path: String,
    weight: Parameter,
}

impl Embedding {
    /// A table `weight [categories, width]`, standard normal at first.
    pub fn new(scope: &Scope, categories: usize, width: usize) -> Self {
        Self::with(scope, categories, width, Init::Normal { std: 1.0 })
    }

    /// A table with the given initialisation.
    pub fn with(scope: &Scope, categories: usize, width: usize, init: Init) -> Self {
        let weight = scope.parameter("weight", &[categories, width], init, Role::Weight);
        Embedding { path: scope.path().to_string(), weight }
    }
}

impl Module for Embedding {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || Ok(self.weight.on(tracer)?.embedding(x)?))
    }
}
