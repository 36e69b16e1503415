//! All operations, a file for each family.
//!
//! Each operation is a struct whose `impl Operation` holds its rule, derivative, reference and samples; the methods of
//! [`crate::Tensor`] that apply it stand in the same file.

mod arrange;
mod conv;
mod ctc;
mod custom;
mod dropout;
mod elementwise;
mod embedding;
mod fused;
mod index;
mod leaf;
mod loss;
mod matmul;
mod norm;
mod order;
mod pool;
mod random;
mod reduce;
mod rows;
mod segment;
mod shape;
mod softmax;
mod update;

pub use conv::{Conv2d, Conv2dAttributes, Conv2dInputGrad, Conv2dWeightGrad};
pub use ctc::{Ctc, CtcGrad, CtcTargets};
pub use custom::{Custom, CustomOperation};
pub use dropout::Dropout;
pub use elementwise::{Binary, BinaryKind, Convert, Select, Unary, UnaryKind};
pub use embedding::{Embedding, EmbeddingGrad};
pub(crate) use fused::suits_epilogue;
pub use fused::{Fused, Instruction, Operand, Program};
pub use index::{Arange, Gather, OneHot, Scatter, ScatterAdd};
pub use leaf::{Constant, Input, Parameter};
pub use loss::{CrossEntropy, CrossEntropyGrad, IGNORE};
pub use matmul::MatMul;
pub use norm::{BatchNorm, BatchNormGrad, LayerNorm, LayerNormGrad};
pub use order::{CumSum, Flip, TopK};
pub use pool::{AvgPool2d, AvgPool2dGrad, MaxPool2d, MaxPool2dGrad, Window};
pub use random::RandomUniform;
pub use reduce::{Reduce, ReduceKind};
pub use rows::{AdamRows, CoalescedGrad, RowGradient, SgdRows};
pub use segment::{BagMode, BagNumbers, Bags, SegmentMax, SegmentMaxGrad};
pub use shape::{AxisLength, BroadcastTo, Concat, Pad, Permute, Reshape, Slice};
pub use softmax::{Softmax, SoftmaxGrad};
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
