//! Where differentiation ends.

use super::{arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, uniform};
use crate::shape::{Extents, TensorType};
use crate::trace::Tensor;

/// The same values, which the loss takes as given: no gradient passes, as through PyTorch's `detach`. A view.
#[derive(Debug, Clone, PartialEq)]
pub struct StopGradient;

impl Operation for StopGradient {
    fn name(&self) -> String {
        "stop_gradient".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        floating(inputs)?;
        Ok(vec![inputs[0].clone()])
    }

    fn derivative(&self, _: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        vec![cx.inputs[0].clone()]
    }

    fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &Extents) -> u64 {
        0
    }

    fn samples() -> Vec<Sample> {
        vec![
            Sample::new(StopGradient, vec![uniform(&[3, 5], -1.0, 1.0, 1)]).without_gradient(),
            Sample::new(StopGradient, vec![uniform(&[0], -1.0, 1.0, 1)]).without_gradient(),
        ]
    }
}

impl Tensor {
    /// The same values, through which no gradient passes.
    ///
    /// # Errors
    /// If the tensor is not floating point.
    pub fn stop_gradient(&self) -> Result<Tensor> {
        self.tracer().apply_one(StopGradient, &[self])
    }
}
