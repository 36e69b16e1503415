use deepfit_graph::Tensor;

use crate::error::Result;
use crate::module::Module;

/// Functions of whole rows `[..., width]`, along the last axis unless they name another. The shape stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Softmax {
    /// `exp(x)`, scaled so that each row sums to 1: PyTorch's `Softmax(dim=-1)`.
    Softmax,
    /// The logarithm of it: `LogSoftmax(dim=-1)`.
    LogSoftmax,
    /// It, of `-x`: `Softmin(dim=-1)`.
    Softmin,
    /// It over the channels of each place of images `[batch, height, width, channels]`: `Softmax2d`.
    Softmax2d,
    /// It along any axis: `Softmax(dim)`.
    SoftmaxAlong(usize),
    /// The logarithm of it along any axis: `LogSoftmax(dim)`.
    LogSoftmaxAlong(usize),
}

impl Module for Softmax {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Softmax::Softmax => x.softmax()?,
            Softmax::LogSoftmax => x.log_softmax()?,
            Softmax::Softmin => x.neg()?.softmax()?,
            Softmax::Softmax2d if !(3..=4).contains(&x.shape().rank()) => {
                let problem = format!("needs images [batch, height, width, channels], not {}", x.shape());
                return Err(x.error("softmax2d", problem).into());
            }
            Softmax::Softmax2d => x.softmax()?,
            Softmax::SoftmaxAlong(axis) => x.softmax_along(*axis)?,
            Softmax::LogSoftmaxAlong(axis) => x.log_softmax_along(*axis)?,
        })
    }
}
