use deepfit_graph::Tensor;

use crate::declaration::{Parameter, Role};
use crate::error::Result;
use crate::init::Init;
use crate::module::Module;
use crate::scope::Scope;

/// A learned vector for each of a number of categories, as PyTorch's `Embedding`: i32 `[...]` becomes `[..., width]`.
///
/// A category out of range stops the run with an error. How the table is updated is a matter of training: densely, or
/// only in those rows that a batch has used ([`Training::rows_only`](crate::step::Training::rows_only)).
#[derive(Debug, Clone)]
pub struct Embedding {
    path: String,
    weight: Parameter,
    padding: Option<usize>,
}

impl Embedding {
    /// A table `weight [categories, width]`, standard normal at first.
    pub fn new(scope: &Scope, categories: usize, width: usize) -> Self {
        Self::with(scope, categories, width, Init::Normal { std: 1.0 })
    }

    /// A table with the given initialisation.
    pub fn with(scope: &Scope, categories: usize, width: usize, init: Init) -> Self {
        let weight = scope.parameter("weight", &[categories, width], init, Role::Weight);
        Embedding { path: scope.place("embedding"), weight, padding: None }
    }

    /// A table whose row `padding_idx` stands for nothing: it begins as zeros and gets no gradient.
    pub fn padded(scope: &Scope, categories: usize, width: usize, padding_idx: usize) -> Self {
        let init = Init::NormalButRow { std: 1.0, row: padding_idx };
        Embedding { padding: Some(padding_idx), ..Self::with(scope, categories, width, init) }
    }
}

impl Module for Embedding {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            let table = self.weight.on(tracer)?;
            Ok(match self.padding {
                Some(padding) => table.embedding_with_padding(x, padding)?,
                None => table.embedding(x)?,
            })
        })
    }
}
