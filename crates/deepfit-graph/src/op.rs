//! What an operation is: one struct with its rule, derivative, reference and samples, and one row in the list below.

use std::fmt;

use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::sample::Sample;
use crate::shape::{Extents, TensorType};
use crate::trace::Tensor;

/// An operation of the graph.
///
/// Implementors are small structs that hold the attributes of the operation; see `ops/` for all of them.
pub trait Operation: Clone + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// Name shown by `inspect` and in error messages.
    fn name(&self) -> String;

    /// Types of the outputs, or in words what does not fit.
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String>;

    /// Gradients of the inputs, built from graph nodes; `None` for inputs that have none.
    ///
    /// Unless overridden, the derivative is that of the decomposition, and without one there is none.
    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        match self.decompose(cx.inputs())? {
            Some(outputs) => cx.through(&outputs),
            None => Err(cx.no_derivative()),
        }
    }

    /// The outputs in f64, by the plainest possible loops.
    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference>;

    /// The same outputs made of simpler operations.
    fn decompose(&self, inputs: &[Tensor]) -> Result<Option<Vec<Tensor>>> {
        let _ = inputs;
        Ok(None)
    }

    /// Names of values inside of the operation that can be asked for with [`Tracer::watch`](crate::Tracer::watch).
    fn intermediates(&self) -> &'static [&'static str] {
        &[]
    }

    /// The value inside of the operation that has this name, one of [`Operation::intermediates`], computed from the
    /// inputs by simpler operations.
    fn intermediate(&self, name: &str, inputs: &[Tensor]) -> Result<Option<Tensor>> {
        let _ = (name, inputs);
        Ok(None)
    }

    /// Floating-point operations; by default one for each element of the first output.
    fn operations(&self, inputs: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        let _ = inputs;
        outputs.first().map_or(0, |t| t.shape.count(extents) as u64)
    }

    /// Pairs (input, output) where the output is written over the input, which must be a parameter.
    fn updates(&self) -> Vec<(usize, usize)> {
        Vec::new()
    }

    /// Whether the first output may share the memory of an input with the same number of bytes that is not used later.
    fn in_place(&self) -> bool {
        false
    }

    /// Inputs worth testing, on which the generic suite runs every check.
    fn samples() -> Vec<Sample>
    where
        Self: Sized;
}

/// What a reference evaluation is given.
#[derive(Debug)]
pub struct ReferenceContext<'a> {
    /// The inputs.
    pub inputs: &'a [&'a Reference],
    /// Axis lengths of each output.
    pub shapes: &'a [Vec<usize>],
    /// The extents of this run.
    pub extents: Extents,
}

/// The list of all operations. Calls the macro `$callback` with their names.
///
/// To add an operation, add its struct to a file in `ops/`, its kernel to the executor's `bind/`, and a row here.
#[macro_export]
macro_rules! for_each_operation {
    ($callback:ident) => {
        $callback! {
            Input, Parameter, Constant,
            Unary, Binary, Select, Convert, Fused,
            Reshape, Permute, BroadcastTo, Concat, Slice, Pad, AxisLength, RelativeBuckets,
            Reduce,
            MatMul,
            Conv2d, Conv2dInputGrad, Conv2dWeightGrad,
            MaxPool2d, MaxPool2dGrad, AvgPool2d, AvgPool2dGrad, FractionalMaxPool2d,
            Resample,
            BatchNorm, BatchNormGrad, LayerNorm, LayerNormGrad,
            GroupNorm, GroupNormGrad, RmsNorm, RmsNormGrad,
            Softmax, SoftmaxGrad,
            Attention, AttentionGrad,
            CrossEntropy, CrossEntropyGrad, LinearCrossEntropy, LinearCrossEntropyGrad,
            Embedding, EmbeddingGrad, BagNumbers, SegmentMax, SegmentMaxGrad,
            Gather, ScatterAdd, Scatter, ScatterReduce, OneHot, Arange,
            TopK, CumSum, Flip,
            Ctc, CtcGrad,
            Dropout, RandomUniform,
            Recurrent, RecurrentGrad,
            Assign, Guard, Sgd, Adam, Update, SgdRows, AdamRows, CoalescedGrad,
            StopGradient,
            Custom,
        }
    };
}

macro_rules! define_op {
    ($($name:ident),* $(,)?) => {
        use crate::ops::{$($name),*};

        /// Every operation that a node can hold.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Op {
            $(#[doc = concat!("See [`crate::ops::", stringify!($name), "`].")] $name($name)),*
        }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Self {
                Op::$name(op)
            }
        })*

        impl Op {
            /// Name of the variant: the family that a kernel, a derivative and a suite row belong to.
            pub fn kind(&self) -> &'static str {
                match self { $(Op::$name(_) => stringify!($name)),* }
            }
            /// See [`Operation::name`].
            pub fn name(&self) -> String {
                match self { $(Op::$name(op) => op.name()),* }
            }
            /// See [`Operation::infer`].
            pub fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
                match self { $(Op::$name(op) => op.infer(inputs)),* }
            }
            /// See [`Operation::derivative`].
            pub fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
                match self { $(Op::$name(op) => op.derivative(cx)),* }
            }
            /// See [`Operation::reference`].
            pub fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
                match self { $(Op::$name(op) => op.reference(cx)),* }
            }
            /// See [`Operation::decompose`].
            pub fn decompose(&self, inputs: &[Tensor]) -> Result<Option<Vec<Tensor>>> {
                match self { $(Op::$name(op) => op.decompose(inputs)),* }
            }
            /// See [`Operation::intermediates`].
            pub fn intermediates(&self) -> &'static [&'static str] {
                match self { $(Op::$name(op) => op.intermediates()),* }
            }
            /// See [`Operation::intermediate`].
            pub fn intermediate(&self, name: &str, inputs: &[Tensor]) -> Result<Option<Tensor>> {
                match self { $(Op::$name(op) => op.intermediate(name, inputs)),* }
            }
            /// See [`Operation::operations`].
            pub fn operations(&self, inputs: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
                match self { $(Op::$name(op) => op.operations(inputs, outputs, extents)),* }
            }
            /// See [`Operation::updates`].
            pub fn updates(&self) -> Vec<(usize, usize)> {
                match self { $(Op::$name(op) => op.updates()),* }
            }
            /// See [`Operation::in_place`].
            pub fn in_place(&self) -> bool {
                match self { $(Op::$name(op) => op.in_place()),* }
            }
            /// Samples of every operation, as (kind, samples).
            pub fn all_samples() -> Vec<(&'static str, Vec<Sample>)> {
                vec![$((stringify!($name), $name::samples())),*]
            }
        }
    };
}
for_each_operation!(define_op);

impl Op {
    /// Whether the node stands for memory that exists before the run: an input, a parameter or a constant.
    pub fn is_leaf(&self) -> bool {
        matches!(self, Op::Input(_) | Op::Parameter(_) | Op::Constant(_))
    }

    /// Whether the output is the input's memory, perhaps under another shape.
    pub fn is_view(&self) -> bool {
        matches!(self, Op::Reshape(_) | Op::StopGradient(_))
    }

    /// Whether the node must run even if nobody reads its outputs.
    pub fn has_effect(&self) -> bool {
        matches!(self, Op::Guard(_)) || !self.updates().is_empty()
    }
}
