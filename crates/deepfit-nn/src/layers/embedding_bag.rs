use deepfit_graph::Tensor;
use deepfit_graph::ops::{BagMode, Bags};

use crate::declaration::{Parameter, Role};
use crate::error::Result;
use crate::init::Init;
use crate::module::Module;
use crate::scope::Scope;

/// Learned vectors of categories, combined bag by bag, as PyTorch's `EmbeddingBag`.
///
/// As a [`Module`] it takes bags of equal length, i32 `[batch, length]`, and gives `[batch, width]`; shorter ones are
/// filled up with the padding category. A category out of range stops the run with an error.
#[derive(Debug, Clone)]
pub struct EmbeddingBag {
    path: String,
    weight: Parameter,
    mode: BagMode,
    padding: Option<usize>,
}

impl EmbeddingBag {
    /// A table `weight [categories, width]`, standard normal at first, whose rows are combined as the mode says.
    pub fn new(scope: &Scope, categories: usize, width: usize, mode: BagMode) -> Self {
        let init = Init::Normal { std: 1.0 };
        let weight = scope.parameter("weight", &[categories, width], init, Role::Weight);
        EmbeddingBag { path: scope.place("embedding_bag"), weight, mode, padding: None }
    }

    /// The same with a category that belongs to no bag: its row begins as zeros and gets no gradient.
    pub fn padded(scope: &Scope, categories: usize, width: usize, mode: BagMode, padding_idx: usize) -> Self {
        let init = Init::NormalButRow { std: 1.0, row: padding_idx };
        let weight = scope.parameter("weight", &[categories, width], init, Role::Weight);
        EmbeddingBag { path: scope.place("embedding_bag"), weight, mode, padding: Some(padding_idx) }
    }

    /// Bags of any length: categories i32 `[numbers]`, and where each bag begins among them, offsets i32 `[bags]`; or
    /// categories i32 `[batch, length]` without offsets. With weights, f32 of the categories' shape, a sum is weighted.
    ///
    /// # Errors
    /// If the shapes do not fit, or weights are given for another mode than the sum.
    pub fn of(&self, numbers: &Tensor, offsets: Option<&Tensor>, weights: Option<&Tensor>) -> Result<Tensor> {
        let tracer = numbers.tracer();
        tracer.in_layer(&self.path, || {
            let bags = Bags { numbers, offsets, weights, padding: self.padding };
            Ok(self.weight.on(tracer)?.embedding_bag(self.mode, bags)?)
        })
    }
}

impl Module for EmbeddingBag {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.of(x, None, None)
    }
}
