//! Choice between two values, and conversion to floating point.

use super::super::{arity, floating};
use super::integers_as_f32;
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, bytes, integers, uniform};
use crate::shape::TensorType;
use crate::trace::Tensor;

/// Where the first input is not 0, the second, elsewhere the third; with broadcasting.
#[derive(Debug, Clone, PartialEq)]
pub struct Select;

impl Operation for Select {
    fn name(&self) -> String {
        "select".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 3)?;
        floating(inputs)?;
        let shape = inputs[0].shape.broadcast(&inputs[1].shape).and_then(|s| s.broadcast(&inputs[2].shape));
        let shape = shape.ok_or_else(|| {
            format!("{}, {} and {} do not broadcast", inputs[0].shape, inputs[1].shape, inputs[2].shape)
        })?;
        Ok(vec![TensorType::f32(shape)])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let (condition, upstream) = (cx.input(0), cx.upstream()?);
        let zero = cx.tracer().scalar(0.0);
        let taken = condition.select(upstream, &zero)?.sum_to(cx.input(1).shape())?;
        let other = condition.select(&zero, upstream)?.sum_to(cx.input(2).shape())?;
        Ok(vec![None, Some(taken), Some(other)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        vec![Reference::from_fn(&cx.shapes[0], |i| {
            let taken = cx.inputs[0].at_broadcast(i) != 0.0;
            cx.inputs[if taken { 1 } else { 2 }].at_broadcast(i)
        })]
    }

    fn in_place(&self) -> bool {
        true
    }

    fn samples() -> Vec<Sample> {
        let condition = integers_as_f32(&[4, 9], 2, 1);
        let row = integers_as_f32(&[9], 2, 2);
        let (a, b) = (uniform(&[4, 9], -1.0, 1.0, 3), uniform(&[4, 9], -1.0, 1.0, 4));
        vec![
            // The condition has no gradient, and central differences across its steps see none either.
            Sample::new(Select, vec![condition, a.clone(), b.clone()]).batched(&[true, true, true]),
            Sample::new(Select, vec![row, a, uniform(&[], -1.0, 1.0, 5)]),
        ]
    }
}

/// Bytes or integers as floating point, unscaled.
#[derive(Debug, Clone, PartialEq)]
pub struct Convert;

impl Operation for Convert {
    fn name(&self) -> String {
        "to_f32".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        Ok(vec![TensorType::f32(inputs[0].shape.clone())])
    }

    fn derivative(&self, _: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        vec![cx.inputs[0].clone()]
    }

    fn samples() -> Vec<Sample> {
        vec![
            Sample::new(Convert, vec![bytes(&[3, 43], 1)]).without_gradient().batched(&[true]),
            Sample::new(Convert, vec![integers(&[3, 43], 1000, 1)]).without_gradient().batched(&[true]),
            Sample::new(Convert, vec![bytes(&[0], 1)]).without_gradient(),
        ]
    }
}
