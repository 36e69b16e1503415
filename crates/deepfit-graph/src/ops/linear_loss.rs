//! Cross-entropy of a linear layer with so many outputs that they must not all be there at once.

use super::{arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, integers, uniform};
use crate::shape::{DType, Extents, TensorType};
use crate::trace::Tensor;

/// Classes whose logits are computed at a time: of some thousand rows, some tens of megabytes.
const BLOCK: usize = 2048;

/// Cross-entropy of each row of `x · weightᵀ`, whose logits are computed in blocks of classes and not kept; the backward pass
/// computes them again, from the logarithm of the sum of each row's exponentials (as Milakov and Gimelshein, 2018, sum it up
/// in one pass).
///
/// Inputs: `x` `[rows, width]`, `weight` `[classes, width]`, class numbers i32 `[rows]`. Outputs, both `[rows]`: the losses,
/// and the logarithm of the sum of the exponentials of the logits. A class number out of range gives NaN; on the engine it
/// stops the run with an error.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearCrossEntropy {
    /// Classes at a time.
    pub block: usize,
}

fn check(inputs: &[&TensorType]) -> Result<(), String> {
    let [x, weight, targets] = inputs else { return Err(format!("takes 3 inputs, not {}", inputs.len())) };
    floating(&[x, weight])?;
    let fits = x.shape.rank() == 2
        && weight.shape.rank() == 2
        && x.shape.dims()[1] == weight.shape.dims()[1]
        && targets.dtype == DType::I32
        && targets.shape.dims() == &x.shape.dims()[..1];
    match fits {
        true => Ok(()),
        false => Err(format!(
            "needs x [rows, width], a weight [classes, width] and class numbers i32 [rows], not {x}, {weight} and {targets}"
        )),
    }
}

/// The logits of each row.
fn logits<'a>(x: &'a Reference, weight: &'a Reference) -> impl Iterator<Item = Vec<f64>> + 'a {
    let width = x.shape[1];
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    (0..x.shape[0]).map(move |row| {
        let row = &x.data[row * width..][..width];
        (0..weight.shape[0]).map(|class| dot(row, &weight.data[class * width..][..width])).collect()
    })
}

impl Operation for LinearCrossEntropy {
    fn name(&self) -> String {
        "linear_cross_entropy".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        check(inputs)?;
        if self.block == 0 {
            return Err("blocks of no classes lead nowhere".to_string());
        }
        Ok(vec![TensorType::f32(inputs[2].shape.clone()); 2])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        // Of the loss, the gradient of a logit is the class's probability, less 1 at the target; of the logarithm of the sum it
        // is the probability.
        let (of_loss, of_sum) = (cx.upstream_of(0), cx.upstream_of(1));
        let (all, own) = match (of_loss, of_sum) {
            (None, None) => return Ok(vec![None, None, None]),
            (Some(loss), None) => (loss.clone(), loss.clone()),
            (None, Some(sum)) => (sum.clone(), sum.mul_scalar(0.0)?),
            (Some(loss), Some(sum)) => (loss.add(sum)?, loss.clone()),
        };
        let gradient = LinearCrossEntropyGrad { block: self.block, of_weight: cx.wants(1) };
        let inputs = [cx.input(0), cx.input(1), cx.input(2), cx.output(1), &all, &own];
        let mut made = cx.tracer().apply(gradient, &inputs)?.into_iter().map(Some);
        let of_x = made.next().flatten().filter(|_| cx.wants(0));
        Ok(vec![of_x, made.next().flatten(), None])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (x, weight, targets) = (cx.inputs[0], cx.inputs[1], cx.inputs[2]);
        let (mut losses, mut sums) = (Vec::new(), Vec::new());
        for (logits, &target) in logits(x, weight).zip(&targets.data) {
            let most = logits.iter().fold(f64::NEG_INFINITY, |most, &x| if x > most || x.is_nan() { x } else { most });
            let sum = match most == f64::NEG_INFINITY {
                true => most,
                false => most + logits.iter().map(|x| (x - most).exp()).sum::<f64>().ln(),
            };
            let own = if target < 0.0 { None } else { logits.get(target as usize) };
            losses.push(own.map_or(f64::NAN, |own| sum - own));
            sums.push(sum);
        }
        vec![Reference::new(&targets.shape, losses), Reference::new(&targets.shape, sums)]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        product(inputs, extents)
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for (rows, width, classes, block) in
            [(4, 3, 5, 5), (3, 4, 11, 4), (33, 17, 70, 32), (5, 9, 1000, 400), (1, 1, 1, 9)]
        {
            let inputs = vec![
                uniform(&[rows, width], -2.0, 2.0, 1),
                uniform(&[classes, width], -1.0, 1.0, 2),
                integers(&[rows], classes as i32, 3),
            ];
            let sample =
                Sample::new(LinearCrossEntropy { block }, inputs).tolerance(8e-6).batched(&[true, false, true]);
            samples.push(if rows * classes <= 50 { sample } else { sample.without_gradient() });
        }
        samples
    }
}

/// Floating-point operations of the product and the exponentials.
fn product(inputs: &[&TensorType], extents: &Extents) -> u64 {
    let classes = inputs[1].shape.dims()[0].length(extents) as u64;
    2 * inputs[0].shape.count(extents) as u64 * classes + 5 * inputs[2].shape.count(extents) as u64 * classes
}

/// Gradient of [`LinearCrossEntropy`]. Inputs: x, weight, class numbers, the logarithms of the sums of exponentials, and for
/// each row what its probabilities are multiplied by, and what is then taken away at its class. Outputs: the gradient of x,
/// and perhaps that of the weight.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearCrossEntropyGrad {
    /// Classes at a time.
    pub block: usize,
    /// Whether the gradient of the weight is wanted.
    pub of_weight: bool,
}

impl Operation for LinearCrossEntropyGrad {
    fn name(&self) -> String {
        "linear_cross_entropy_grad".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 6)?;
        check(&inputs[..3])?;
        floating(&inputs[3..])?;
        if self.block == 0 {
            return Err("blocks of no classes lead nowhere".to_string());
        }
        for row in &inputs[3..] {
            super::same_shape("the rows and what belongs to them", inputs[2], row)?;
        }
        let outputs = if self.of_weight { 2 } else { 1 };
        Ok(inputs[..outputs].iter().map(|&input| input.clone()).collect())
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (x, weight, targets) = (cx.inputs[0], cx.inputs[1], cx.inputs[2]);
        let (sums, all, own) = (cx.inputs[3], cx.inputs[4], cx.inputs[5]);
        let width = x.shape[1];
        let (mut of_x, mut of_weight) = (vec![0.0; x.data.len()], vec![0.0; weight.data.len()]);
        for (row, logits) in logits(x, weight).enumerate() {
            for (class, logit) in logits.into_iter().enumerate() {
                let is_own = targets.data[row] == class as f64;
                let slope = all.data[row] * (logit - sums.data[row]).exp() - if is_own { own.data[row] } else { 0.0 };
                for i in 0..width {
                    of_x[row * width + i] += slope * weight.data[class * width + i];
                    of_weight[class * width + i] += slope * x.data[row * width + i];
                }
            }
        }
        let mut outputs = vec![Reference::new(&x.shape, of_x)];
        if self.of_weight {
            outputs.push(Reference::new(&weight.shape, of_weight));
        }
        outputs
    }

    fn operations(&self, inputs: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        // The logits once more, and a product for each gradient.
        (1 + outputs.len() as u64) * product(inputs, extents)
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for (rows, width, classes, block) in [(4, 3, 5, 5), (3, 4, 11, 4), (33, 17, 70, 32), (0, 3, 4, 2)] {
            for of_weight in [true, false] {
                let inputs = vec![
                    uniform(&[rows, width], -2.0, 2.0, 1),
                    uniform(&[classes, width], -1.0, 1.0, 2),
                    integers(&[rows], classes as i32, 3),
                    uniform(&[rows], 3.0, 6.0, 4),
                    uniform(&[rows], -1.0, 1.0, 5),
                    uniform(&[rows], -1.0, 1.0, 6),
                ];
                let sample = Sample::new(LinearCrossEntropyGrad { block, of_weight }, inputs).without_gradient();
                let batched = [true, false, true, true, true, true];
                samples.push(sample.tolerance(8e-6).non_finite_may_spread().batched(&batched));
            }
        }
        samples
    }
}

impl Tensor {
    /// Cross-entropy of each row of `self · weightᵀ` against class numbers i32 `[rows]`, for `self` `[rows, width]` and a
    /// weight `[classes, width]` of so many classes that the logits would take too much memory: see [`LinearCrossEntropy`].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn linear_cross_entropy(&self, weight: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let outputs = self.tracer().apply(LinearCrossEntropy { block: BLOCK }, &[self, weight, targets])?;
        Ok(outputs[0].clone())
    }
}
