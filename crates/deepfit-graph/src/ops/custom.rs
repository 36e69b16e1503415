//! Operations that a user of the library defines.

use std::fmt;
use std::sync::Arc;

use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, uniform};
use crate::shape::{DType, Extents, TensorType};
use crate::trace::Tensor;

/// Most outputs of a user's operation.
const MOST_OUTPUTS: usize = 62;

/// An operation that a user of the library defines: the same contract as [`Operation`], behind a trait object.
pub trait CustomOperation: fmt::Debug + Send + Sync {
    /// Name shown by `inspect` and in error messages.
    fn name(&self) -> String;
    /// Types of the outputs, or in words what does not fit: by default, one input, and one output of its type.
    ///
    /// Outputs are f32, at least one and at most 62, and depend on the inputs' types alone.
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        super::arity(inputs, 1)?;
        super::floating(inputs)?;
        Ok(vec![inputs[0].clone()])
    }
    /// Gradients of the inputs, built from graph nodes.
    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        Err(cx.no_derivative())
    }
    /// The outputs in f64, of the shapes that the context names; others stop a run with an error.
    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference>;
    /// The kernel: fills the outputs from the inputs and returns true.
    ///
    /// Where it returns false (the default), the reference is computed instead, which is right but slow.
    fn compute(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], shapes: &[&[usize]]) -> bool {
        let _ = (inputs, outputs, shapes);
        false
    }
    /// Floating-point operations of one run.
    fn operations(&self, inputs: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        let _ = inputs;
        outputs.first().map_or(0, |t| t.shape.count(extents) as u64)
    }
}

/// The variant of [`Op`](crate::Op) that holds a user's operation; equal only to itself.
#[derive(Debug, Clone)]
pub struct Custom(pub Arc<dyn CustomOperation>);

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Operation for Custom {
    fn name(&self) -> String {
        self.0.name()
    }
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        let outputs = self.0.infer(inputs)?;
        if outputs.is_empty() || outputs.len() > MOST_OUTPUTS {
            return Err(format!("has {} outputs, but must have 1 to {MOST_OUTPUTS}", outputs.len()));
        }
        match outputs.iter().position(|ty| ty.dtype != DType::F32) {
            None => Ok(outputs),
            Some(i) => Err(format!("output {i} is {}, but must be f32", outputs[i])),
        }
    }
    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        self.0.derivative(cx)
    }
    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        self.0.reference(cx)
    }
    fn operations(&self, inputs: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        self.0.operations(inputs, outputs, extents)
    }
    fn samples() -> Vec<Sample> {
        [true, false]
            .into_iter()
            .map(|with_kernel| {
                let op = Custom(Arc::new(Charbonnier { with_kernel }));
                Sample::new(op, vec![uniform(&[3, 7], -2.0, 2.0, 1)]).batched(&[true])
            })
            .collect()
    }
}

/// `sqrt(1 + x²)`, a smooth absolute value (Charbonnier), with or without a kernel of its own: on these the suite tests
/// what stands behind the trait object.
#[derive(Debug)]
struct Charbonnier {
    with_kernel: bool,
}

impl CustomOperation for Charbonnier {
    fn name(&self) -> String {
        "charbonnier".to_string()
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(cx.upstream()?.mul(&cx.input(0).div(cx.output(0))?)?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let data = cx.inputs[0].data.iter().map(|x| (1.0 + x * x).sqrt()).collect();
        vec![Reference::new(&cx.shapes[0], data)]
    }

    fn compute(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], _: &[&[usize]]) -> bool {
        if self.with_kernel {
            for (y, x) in outputs[0].iter_mut().zip(inputs[0]) {
                *y = (1.0 + x * x).sqrt();
            }
        }
        self.with_kernel
    }
}
