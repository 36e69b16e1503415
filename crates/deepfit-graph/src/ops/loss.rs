//! Cross-entropy of logits against class numbers. Losses made of simpler operations stand among the layers.

use super::floating;
use super::softmax::log_softmax;
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, integers, uniform};
use crate::shape::{DType, Extents, Shape, TensorType};
use crate::trace::Tensor;

/// Cross-entropy of each row, as PyTorch's with `reduction='none'`.
///
/// Inputs: logits `[rows, classes]`, class numbers i32 `[rows]`, and optionally a weight for each class `[classes]`.
/// Outputs, both `[rows]`: the losses, and the weight of each row in a weighted mean, which is that of its class. With
/// smoothing `s`, the true class gets `1 - s + s / classes` of the probability and each other `s / classes`.
/// The class number to be ignored gives 0 in both, every other one out of range NaN; on the engine it stops the run with
/// an error.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossEntropy {
    /// Label smoothing, 0 to 1.
    pub smoothing: f32,
    /// The class number whose rows do not count.
    pub ignore: i32,
}

/// The class number that PyTorch ignores unless told otherwise.
pub const IGNORE: i32 = -100;

fn check(inputs: &[&TensorType], gradient: bool) -> Result<(), String> {
    let (logits, targets) = (inputs[0], inputs[1]);
    floating(&inputs[..1])?;
    if logits.shape.rank() != 2 || targets.dtype != DType::I32 || targets.shape.dims() != [logits.shape.dims()[0]] {
        return Err(format!("needs logits [rows, classes] and class numbers i32 [rows], not {logits} and {targets}"));
    }
    let rest = if gradient {
        floating(&inputs[2..3])?;
        super::same_shape("the rows and the gradient", targets, inputs[2])?;
        &inputs[3..]
    } else {
        &inputs[2..]
    };
    floating(rest)?;
    match rest {
        [] => Ok(()),
        [weights] if weights.shape.dims() == [logits.shape.dims()[1]] => Ok(()),
        [weights] => {
            Err(format!("class weights {} must have one value for each class of {}", weights.shape, logits.shape))
        }
        _ => Err(format!("has {} inputs too many", rest.len() - 1)),
    }
}

/// The weights of a row's log-probabilities: what is summed, with a minus sign, for its loss.
fn targets_of(classes: usize, target: f64, smoothing: f64, weights: Option<&Reference>) -> Option<Vec<f64>> {
    let weight = |c: usize| weights.map_or(1.0, |w| w.data[c]);
    let mut row: Vec<f64> =
        (0..classes).map(|c| if smoothing > 0.0 { smoothing / classes as f64 * weight(c) } else { 0.0 }).collect();
    let target = if target >= 0.0 { target as usize } else { usize::MAX };
    *row.get_mut(target)? += (1.0 - smoothing) * weight(target);
    Some(row)
}

impl Operation for CrossEntropy {
    fn name(&self) -> String {
        "cross_entropy".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        if !(2..=3).contains(&inputs.len()) {
            return Err(format!("takes 2 or 3 inputs, not {}", inputs.len()));
        }
        if !(0.0..=1.0).contains(&self.smoothing) {
            return Err(format!("label smoothing {} is not between 0 and 1", self.smoothing));
        }
        check(inputs, false)?;
        Ok(vec![TensorType::f32(inputs[1].shape.clone()); 2])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        if cx.inputs().len() == 3 && cx.wants(2) {
            return Err(cx.no_derivative());
        }
        let mut gradients = vec![None; cx.inputs().len()];
        // The weights of the rows, the second output, do not depend on the logits.
        let Some(upstream) = cx.upstream_of(0) else { return Ok(gradients) };
        let mut inputs = vec![cx.input(0), cx.input(1), upstream];
        inputs.extend(cx.inputs().get(2));
        let gradient =
            cx.tracer().apply_one(CrossEntropyGrad { smoothing: self.smoothing, ignore: self.ignore }, &inputs)?;
        gradients[0] = Some(gradient);
        Ok(gradients)
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (logits, targets) = (cx.inputs[0], cx.inputs[1]);
        let classes = logits.shape[1];
        let weights = targets.data.iter().map(|&target| match cx.inputs.get(2) {
            _ if target == f64::from(self.ignore) => 0.0,
            _ if target < 0.0 || target as usize >= classes => f64::NAN,
            Some(weights) => weights.data[target as usize],
            None => 1.0,
        });
        let losses = targets.data.iter().enumerate().map(|(r, &target)| {
            if target == f64::from(self.ignore) {
                return 0.0;
            }
            let row = log_softmax(&logits.data[r * classes..(r + 1) * classes]);
            let wanted = targets_of(classes, target, f64::from(self.smoothing), cx.inputs.get(2).copied());
            wanted.map_or(f64::NAN, |w| {
                -row.iter().zip(&w).map(|(l, w)| if *w == 0.0 { 0.0 } else { l * w }).sum::<f64>()
            })
        });
        let weights = Reference::new(&targets.shape, weights.collect());
        vec![Reference::new(&targets.shape, losses.collect()), weights]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        (inputs[0].shape.count(extents) * 5) as u64
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for (rows, classes) in [(4, 3), (5, 10), (33, 17), (3, 1000), (0, 3), (2, 1)] {
            for (smoothing, weighted) in [(0.0, false), (0.1, false), (0.0, true), (0.2, true)] {
                let mut inputs = vec![uniform(&[rows, classes], -4.0, 4.0, 1), integers(&[rows], classes as i32, 2)];
                let mut batched = vec![true, true];
                if weighted {
                    inputs.push(uniform(&[classes], 0.5, 2.0, 3));
                    batched.push(false);
                }
                // Also where it is a class of its own, its rows do not count.
                let ignore = if rows == 33 { 3 } else { IGNORE };
                let sample = Sample::new(CrossEntropy { smoothing, ignore }, inputs).tolerance(8e-6).batched(&batched);
                samples.push(if rows * classes <= 50 { sample } else { sample.without_gradient() });
            }
        }
        samples
    }
}

/// Gradient of [`CrossEntropy`]. Inputs: logits, class numbers, gradient of each row's loss, and optionally class weights.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossEntropyGrad {
    /// Label smoothing.
    pub smoothing: f32,
    /// The class number whose rows have no gradient.
    pub ignore: i32,
}

impl Operation for CrossEntropyGrad {
    fn name(&self) -> String {
        "cross_entropy_grad".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        if !(3..=4).contains(&inputs.len()) {
            return Err(format!("takes 3 or 4 inputs, not {}", inputs.len()));
        }
        check(inputs, true)?;
        Ok(vec![inputs[0].clone()])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (logits, targets, up) = (cx.inputs[0], cx.inputs[1], cx.inputs[2]);
        let classes = logits.shape[1];
        let mut out = Vec::with_capacity(logits.data.len());
        for (r, &target) in targets.data.iter().enumerate() {
            if target == f64::from(self.ignore) {
                out.extend(vec![0.0; classes]);
                continue;
            }
            let row = log_softmax(&logits.data[r * classes..(r + 1) * classes]);
            match targets_of(classes, target, f64::from(self.smoothing), cx.inputs.get(3).copied()) {
                Some(wanted) => {
                    let total: f64 = wanted.iter().sum();
                    out.extend(row.iter().zip(&wanted).map(|(l, w)| up.data[r] * (l.exp() * total - w)));
                }
                None => out.extend(vec![f64::NAN; classes]),
            }
        }
        vec![Reference::new(&logits.shape, out)]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        (inputs[0].shape.count(extents) * 6) as u64
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for (rows, classes) in [(4, 3), (33, 17), (3, 1000), (0, 3)] {
            for (smoothing, weighted) in [(0.0, false), (0.1, true)] {
                let mut inputs = vec![
                    uniform(&[rows, classes], -4.0, 4.0, 1),
                    integers(&[rows], classes as i32, 2),
                    uniform(&[rows], -1.0, 1.0, 4),
                ];
                let mut batched = vec![true, true, true];
                if weighted {
                    inputs.push(uniform(&[classes], 0.5, 2.0, 3));
                    batched.push(false);
                }
                let ignore = if rows == 33 { 3 } else { IGNORE };
                let sample = Sample::new(CrossEntropyGrad { smoothing, ignore }, inputs);
                samples.push(sample.without_gradient().tolerance(8e-6).non_finite_may_spread().batched(&batched));
            }
        }
        samples
    }
}

impl Tensor {
    /// Cross-entropy of each row of logits `[rows, classes]` against class numbers i32 `[rows]`; [`IGNORE`] is ignored.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn cross_entropy(&self, targets: &Tensor, weights: Option<&Tensor>, smoothing: f32) -> Result<Tensor> {
        Ok(self.weighted_cross_entropy(targets, weights, smoothing, IGNORE)?.0)
    }

    /// [`Tensor::cross_entropy`] of each row, and the weight of each row in a mean: that of its class, and 0 where the
    /// class number is the one to be ignored.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn weighted_cross_entropy(
        &self,
        targets: &Tensor,
        weights: Option<&Tensor>,
        smoothing: f32,
        ignore: i32,
    ) -> Result<(Tensor, Tensor)> {
        let mut inputs = vec![self, targets];
        inputs.extend(weights);
        let mut outputs = self.tracer().apply(CrossEntropy { smoothing, ignore }, &inputs)?;
        let weights = outputs.swap_remove(1);
        Ok((outputs.swap_remove(0), weights))
    }

    /// Class weights looked up for class numbers: what a weighted mean divides by the sum of.
    ///
    /// # Errors
    /// If `self` is not a vector of weights.
    pub fn lookup(&self, classes: &Tensor) -> Result<Tensor> {
        let Some(n) = self.shape().fixed(0).filter(|_| self.shape().rank() == 1) else {
            return Err(self.error("lookup", format!("needs a vector, not {}", self.shape())));
        };
        let shape: Shape = classes.shape().clone();
        self.reshape([n, 1])?.embedding(classes)?.reshape(shape)
    }
}
