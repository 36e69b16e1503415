use deepfit_graph::Tensor;

use crate::error::Result;
use crate::module::Module;
use crate::scope::Scope;

/// All axes but the first as one, so that the weights of a linear layer behind it are PyTorch's.
///
/// Images `[batch, h, w, c]` become `[batch, c*h*w]`, channels outermost. Of three axes there are two kinds, which look
/// the same: sequences that were convolved, `[batch, length, channels]` where PyTorch has `[batch, channels, length]`,
/// are flattened by [`Flatten::convolved`]; others, of an embedding, a recurrent layer or attention, have PyTorch's own
/// order `[batch, length, width]`, and [`Flatten::new`] keeps it.
#[derive(Debug, Clone)]
pub struct Flatten {
    path: String,
    convolved: bool,
}

impl Flatten {
    /// A layer for images, and for anything else whose axes are ordered as in PyTorch: `[batch, length, width]` becomes
    /// `[batch, length*width]`.
    ///
    /// Behind a convolution or pooling of sequences, take [`Flatten::convolved`].
    pub fn new(scope: &Scope) -> Self {
        Flatten { path: scope.place("flatten"), convolved: false }
    }

    /// A layer for what convolutions, poolings and their normalisations give: `[batch, length, channels]` becomes
    /// `[batch, channels*length]`, as PyTorch's `Flatten` of `[batch, channels, length]`; images as [`Flatten::new`] has
    /// them.
    pub fn convolved(scope: &Scope) -> Self {
        Flatten { convolved: true, ..Flatten::new(scope) }
    }
}

impl Module for Flatten {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            let order: &[usize] = match x.shape().rank() {
                4 => &[0, 3, 1, 2],
                3 if self.convolved => &[0, 2, 1],
                _ => &[],
            };
            // One pixel, or one channel, is in the same order either way.
            let dims = x.shape().dims();
            let moves = order.len() >= 3 && !dims[order.len() - 1].is_one();
            let moves = moves && dims[1..order.len() - 1].iter().any(|d| !d.is_one());
            let x = if moves { x.permute(order)? } else { x.clone() };
            Ok(x.flatten()?)
        })
    }
}
