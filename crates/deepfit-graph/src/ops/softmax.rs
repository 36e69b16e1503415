//! Softmax and its logarithm over the last axis.

use super::{arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, uniform};
use crate::shape::{Extents, TensorType};
use crate::trace::Tensor;

/// `exp(x) / sum(exp(x))` over the last axis, or its logarithm.
#[derive(Debug, Clone, PartialEq)]
pub struct Softmax {
    /// Whether the logarithm is wanted.
    pub log: bool,
}

impl Operation for Softmax {
    fn name(&self) -> String {
        if self.log { "log_softmax" } else { "softmax" }.to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        floating(inputs)?;
        if inputs[0].shape.rank() == 0 {
            return Err("a scalar has no axis to normalise over".to_string());
        }
        Ok(vec![inputs[0].clone()])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(cx.tracer().apply_one(SoftmaxGrad { log: self.log }, &[cx.output(0), cx.upstream()?])?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let x = cx.inputs[0];
        let c = x.shape.last().copied().unwrap_or(1).max(1);
        let mut out = Vec::with_capacity(x.data.len());
        for row in x.data.chunks(c) {
            let log_probabilities = log_softmax(row);
            out.extend(log_probabilities.iter().map(|&l| if self.log { l } else { l.exp() }));
        }
        vec![Reference::new(&x.shape, out)]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        (inputs[0].shape.count(extents) * 5) as u64
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for log in [false, true] {
            for (shape, gradient) in [
                (&[3, 5][..], true),
                (&[2, 2, 4], true),
                (&[1, 1], true),
                (&[70, 17], false),
                (&[5, 1025], false),
                (&[0, 3], false),
            ] {
                let sample =
                    Sample::new(Softmax { log }, vec![uniform(shape, -6.0, 6.0, 1)]).tolerance(4e-6).batched(&[true]);
                samples.push(if gradient { sample } else { sample.without_gradient() });
            }
        }
        samples
    }
}

/// Logarithm of the softmax of a row.
pub(super) fn log_softmax(row: &[f64]) -> Vec<f64> {
    let largest =
        row.iter().fold(f64::NEG_INFINITY, |m, &v| if m.is_nan() || v.is_nan() { f64::NAN } else { m.max(v) });
    let log_sum = row.iter().map(|v| (v - largest).exp()).sum::<f64>().ln();
    row.iter().map(|v| v - largest - log_sum).collect()
}

/// Gradient of [`Softmax`]. Inputs: its result, the gradient of the result.
#[derive(Debug, Clone, PartialEq)]
pub struct SoftmaxGrad {
    /// Whether the logarithm was taken.
    pub log: bool,
}

impl Operation for SoftmaxGrad {
    fn name(&self) -> String {
        if self.log { "log_softmax_grad" } else { "softmax_grad" }.to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 2)?;
        floating(inputs)?;
        super::same_shape("the result and its gradient", inputs[0], inputs[1])?;
        Ok(vec![inputs[0].clone()])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (y, up) = (cx.inputs[0], cx.inputs[1]);
        let c = y.shape.last().copied().unwrap_or(1).max(1);
        let mut out = Vec::with_capacity(y.data.len());
        for (y, up) in y.data.chunks(c).zip(up.data.chunks(c)) {
            if self.log {
                let sum: f64 = up.iter().sum();
                out.extend(y.iter().zip(up).map(|(y, u)| u - y.exp() * sum));
            } else {
                let dot: f64 = y.iter().zip(up).map(|(y, u)| y * u).sum();
                out.extend(y.iter().zip(up).map(|(y, u)| y * (u - dot)));
            }
        }
        vec![Reference::new(&y.shape, out)]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        (inputs[0].shape.count(extents) * 4) as u64
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for log in [false, true] {
            let range = if log { (-4.0, -0.1) } else { (0.01, 0.9) };
            for shape in [&[3, 5][..], &[2, 2, 4], &[70, 17], &[5, 1025], &[0, 3]] {
                let inputs = vec![uniform(shape, range.0, range.1, 1), uniform(shape, -1.0, 1.0, 2)];
                let sample = Sample::new(SoftmaxGrad { log }, inputs).without_gradient();
                samples.push(sample.tolerance(8e-6).batched(&[true, true]));
            }
        }
        samples
    }
}

impl Tensor {
    /// Softmax over the last axis.
    ///
    /// # Errors
    /// If the tensor is a scalar or not floating point.
    pub fn softmax(&self) -> Result<Tensor> {
        self.tracer().apply_one(Softmax { log: false }, &[self])
    }

    /// Logarithm of the softmax over the last axis.
    ///
    /// # Errors
    /// If the tensor is a scalar or not floating point.
    pub fn log_softmax(&self) -> Result<Tensor> {
        self.tracer().apply_one(Softmax { log: true }, &[self])
    }
}
