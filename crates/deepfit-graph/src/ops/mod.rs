//! All operations, a file for each family.
//!
//! Each operation is a struct whose `impl Operation` holds its rule, derivative, reference and samples; the methods of
//! [`crate::Tensor`] that apply it stand in the same file.

mod along;
mod arrange;
mod attention;
mod border;
mod conv;
mod conv_transpose;
mod ctc;
mod custom;
mod dropout;
mod elementwise;
mod embedding;
mod fused;
mod group_norm;
mod index;
mod interpolate;
mod leaf;
mod linear_loss;
mod loss;
mod matmul;
mod norm;
mod order;
mod pool;
mod random;
mod recurrent;
mod reduce;
mod relative_buckets;
mod resample;
mod rms_norm;
mod rows;
mod rule;
mod scatter_reduce;
mod segment;
mod sequence;
mod shape;
mod softmax;
mod stop_gradient;
mod unfold;
mod update;

pub use attention::{Attention, AttentionGrad, AttentionInputs, AttentionOptions};
pub use border::PaddingMode;
pub use conv::{Conv2d, Conv2dAttributes, Conv2dInputGrad, Conv2dWeightGrad};
pub use conv_transpose::ConvTranspose2dAttributes;
pub use ctc::{Ctc, CtcGrad, CtcTargets};
pub use custom::{Custom, CustomOperation};
pub use dropout::Dropout;
pub use elementwise::{Binary, BinaryKind, Convert, Select, Unary, UnaryKind};
pub use embedding::{Embedding, EmbeddingGrad};
pub(crate) use fused::suits_epilogue;
pub use fused::{Fused, Instruction, Operand, Program};
pub use group_norm::{GroupNorm, GroupNormGrad};
pub use index::{Arange, Gather, OneHot, Scatter, ScatterAdd};
pub use interpolate::Interpolation;
pub use leaf::{Constant, Input, Parameter};
pub use linear_loss::{LinearCrossEntropy, LinearCrossEntropyGrad};
pub use loss::{CrossEntropy, CrossEntropyGrad, IGNORE};
pub use matmul::MatMul;
pub use norm::{BatchNorm, BatchNormGrad, LayerNorm, LayerNormGrad};
pub use order::{CumSum, Flip, TopK};
pub use pool::{AvgPool2d, AvgPool2dGrad, Divisor, FractionalMaxPool2d, MaxPool2d, MaxPool2dGrad, Regions, Window};
pub use random::RandomUniform;
pub use recurrent::{Recurrent, RecurrentAttributes, RecurrentGrad, RecurrentKind, RecurrentOutputs, RecurrentState};
pub use reduce::{Reduce, ReduceKind};
pub use relative_buckets::RelativeBuckets;
pub use resample::{Resample, Taps};
pub use rms_norm::{RmsNorm, RmsNormGrad};
pub use rows::{AdamRows, CoalescedGrad, RowGradient, SgdRows};
pub use rule::{Rule, Update};
pub use scatter_reduce::{ScatterKind, ScatterReduce, ScatterReduction};
pub use segment::{BagMode, BagNumbers, Bags, SegmentMax, SegmentMaxGrad};
pub use sequence::{Conv1dAttributes, Window1d};
pub use shape::{AxisLength, BroadcastTo, Concat, Pad, Permute, Reshape, Slice};
pub use softmax::{Softmax, SoftmaxGrad};
pub use stop_gradient::StopGradient;
pub use update::{Adam, Assign, Guard, Sgd};

use crate::shape::{DType, TensorType};

/// Checks the number of inputs.
fn arity(inputs: &[&TensorType], expected: usize) -> Result<(), String> {
    if inputs.len() == expected { Ok(()) } else { Err(format!("takes {expected} inputs, not {}", inputs.len())) }
}

/// Checks that the given inputs are floating point.
fn floating(inputs: &[&TensorType]) -> Result<(), String> {
    match inputs.iter().position(|t| t.dtype != DType::F32) {
        None => Ok(()),
        Some(i) => Err(format!("input {i} is {}, but must be f32: convert it with `to_f32`", inputs[i])),
    }
}

/// Checks that two inputs have the same shape.
fn same_shape(what: &str, a: &TensorType, b: &TensorType) -> Result<(), String> {
    if a.shape == b.shape { Ok(()) } else { Err(format!("{what} differ in shape: {} and {}", a.shape, b.shape)) }
}
