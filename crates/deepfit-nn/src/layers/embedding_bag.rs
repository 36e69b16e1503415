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
    include_last_offset: bool,
}

impl EmbeddingBag {
    /// A table `weight [categories, width]`, standard normal at first, whose rows are combined as the mode says:
    /// PyTorch's default is the mean.
    pub fn new(scope: &Scope, categories: usize, width: usize, mode: BagMode) -> Self {
        Self::declared(scope, categories, width, mode, None)
    }

    /// The same with a category that belongs to no bag: its row begins as zeros and gets no gradient.
    pub fn padded(scope: &Scope, categories: usize, width: usize, mode: BagMode, padding_idx: usize) -> Self {
        Self::declared(scope, categories, width, mode, Some(padding_idx))
    }

    fn declared(scope: &Scope, categories: usize, width: usize, mode: BagMode, padding: Option<usize>) -> Self {
        let init = match padding {
            Some(row) => Init::NormalButRow { std: 1.0, row },
            None => Init::Normal { std: 1.0 },
        };
        let weight = scope.parameter("weight", &[categories, width], init, Role::Weight);
        EmbeddingBag { path: scope.place("embedding_bag"), weight, mode, padding, include_last_offset: false }
    }

    /// The same layer for offsets `[bags + 1]` whose last one is where the last bag ends, as PyTorch's
    /// `include_last_offset`: categories from there on belong to no bag. By default offsets are `[bags]`.
    #[must_use]
    pub fn include_last_offset(self) -> Self {
        EmbeddingBag { include_last_offset: true, ..self }
    }

    /// Bags of any length: categories i32 `[numbers]`, and where each bag begins among them, offsets i32 `[bags]`; or
    /// categories i32 `[batch, length]` without offsets. With weights, f32 of the categories' shape, a sum is weighted.
    /// Gives `[bags, width]` or `[batch, width]`; a bag without categories gives zeros.
    ///
    /// # Errors
    /// If the shapes do not fit, or weights are given for another mode than the sum. With
    /// [`EmbeddingBag::include_last_offset`] the number of offsets must be fixed.
    pub fn of(&self, numbers: &Tensor, offsets: Option<&Tensor>, weights: Option<&Tensor>) -> Result<Tensor> {
        let tracer = numbers.tracer();
        tracer.in_layer(&self.path, || {
            let bags = Bags { numbers, offsets, weights, padding: self.padding };
            let found = self.weight.on(tracer)?.embedding_bag(self.mode, bags)?;
            let (true, Some(offsets)) = (self.include_last_offset, offsets) else { return Ok(found) };
            // What begins at the last offset makes one bag more, which is left out.
            match offsets.shape().fixed(0) {
                Some(all @ 1..) => Ok(found.slice(0, 0, all - 1)?),
                _ => {
                    let problem = format!(
                        "needs a fixed number of offsets, at least 1, to leave the last out, not {}",
                        offsets.ty()
                    );
                    Err(numbers.error("embedding_bag", problem).into())
                }
            }
        })
    }
}

impl Module for EmbeddingBag {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.of(x, None, None)
    }
}
