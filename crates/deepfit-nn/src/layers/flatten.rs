use deepfit_graph::Tensor;

use crate::error::Result;
use crate::module::Module;
use crate::scope::Scope;

/// All axes but the first as one, in PyTorch's order: images `[batch, h, w, c]` become `[batch, c*h*w]` with channels
/// outermost, so that the weights of a linear layer behind it fit.
#[derive(Debug, Clone)]
pub struct Flatten {
    path: String,
}

impl Flatten {
    /// The layer.
    pub fn new(scope: &Scope) -> Self {
        Flatten { path: scope.place("flatten") }
    }
}

impl Module for Flatten {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            let dims = x.shape().dims();
            // One pixel, or one channel, is in the same order either way.
            let moves = dims.len() == 4 && !dims[3].is_one() && !(dims[1].is_one() && dims[2].is_one());
            let x = if moves { x.permute(&[0, 3, 1, 2])? } else { x.clone() };
            Ok(x.flatten()?)
        })
    }
}
