//! Connectionist temporal classification: the likelihood of a label sequence without known positions.

use super::floating;
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::{HostData, HostTensor, Reference};
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, integers, uniform};
use crate::shape::{DType, Extents, TensorType};
use crate::trace::Tensor;

/// Negative log-likelihood of each label sequence under all its alignments with the frames (Graves et al., 2006).
///
/// Inputs: log-probabilities f32 `[batch, time, classes]`, labels i32 `[batch, labels]`, then, where the flags say so, the
/// number of frames i32 `[batch]` and the number of labels i32 `[batch]` of each example; output f32 `[batch]`. Without
/// them all frames and all labels count. Labels i32 `[labels]` are those of all examples one after another, as their
/// numbers say, which then must be given; what is behind the last one does not count. A sequence that needs more frames
/// than there are has the loss infinity. A length out of range, and a label that is the blank or no class, stop the run
/// with an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Ctc {
    /// The class of "no label".
    pub blank: usize,
    /// Whether an infinite loss becomes 0, and so does its gradient.
    pub zero_infinity: bool,
    /// Whether numbers of frames are given.
    pub input_lengths: bool,
    /// Whether numbers of labels are given.
    pub target_lengths: bool,
}

impl Ctc {
    fn check(&self, inputs: &[&TensorType]) -> Result<(), String> {
        let expected = 2 + usize::from(self.input_lengths) + usize::from(self.target_lengths);
        super::arity(inputs, expected)?;
        floating(&inputs[..1])?;
        let (scores, targets) = (&inputs[0].shape, &inputs[1].shape);
        let batch = scores.dims().first();
        let fits = scores.rank() == 3
            && match targets.rank() {
                1 => self.target_lengths,
                rank => rank == 2 && targets.dims().first() == batch,
            }
            && inputs[1..].iter().all(|t| t.dtype == DType::I32)
            && inputs[2..].iter().all(|t| t.shape.rank() == 1 && t.shape.dims().first() == batch);
        if !fits {
            let given: Vec<String> = inputs.iter().map(ToString::to_string).collect();
            return Err(format!(
                "needs log-probabilities [batch, time, classes], labels i32 [batch, labels], or [labels] with their numbers, and \
                 lengths i32 [batch], not {}",
                given.join(", ")
            ));
        }
        if let Some(classes) = scores.fixed(2).filter(|&c| self.blank >= c) {
            return Err(format!("the blank {} is none of the {classes} classes of {scores}", self.blank));
        }
        match (scores.fixed(1), targets.fixed(1)) {
            (Some(0), _) => Err(format!("log-probabilities {scores} have no frames")),
            (Some(time), Some(labels)) if !self.target_lengths && labels > time => Err(format!(
                "{labels} labels of {targets} cannot be aligned with {time} frames of {scores}: give the labels' lengths, or \
                 more frames"
            )),
            _ => Ok(()),
        }
    }

    /// Frames, and labels with blanks around each, of one example. Lengths out of range are cut, labels out of range
    /// become the blank: the reference cannot stop a run.
    fn example(&self, cx: &ReferenceContext<'_>, n: usize) -> (usize, Vec<usize>) {
        let (scores, targets) = (cx.inputs[0], cx.inputs[1]);
        let (time, classes) = (scores.shape[1], scores.shape[2]);
        let cut = |length: f64, longest: usize| (length.max(0.0) as usize).min(longest);
        let frames = if self.input_lengths { cut(cx.inputs[2].data[n], time) } else { time };
        let lengths = cx.inputs.get(2 + usize::from(self.input_lengths)).filter(|_| self.target_lengths);
        let row = match (targets.shape.len(), lengths) {
            (1, Some(lengths)) => {
                let before: f64 = lengths.data[..n].iter().sum();
                &targets.data[cut(before, targets.data.len())..]
            }
            _ => &targets.data[n * targets.shape[1]..][..targets.shape[1]],
        };
        let labels = lengths.map_or(row.len(), |l| cut(l.data[n], row.len()));
        let mut states = vec![self.blank];
        for &label in &row[..labels] {
            let known = label >= 0.0 && (label as usize) < classes;
            states.extend([if known { label as usize } else { self.blank }, self.blank]);
        }
        (frames, states)
    }

    /// Whether state `s` can follow the one before the last: a label after another label.
    fn skips(&self, states: &[usize], s: usize) -> bool {
        s >= 2 && states[s] != self.blank && states[s] != states[s - 2]
    }

    /// `alpha[t][s]`: logarithm of the probability of all beginnings that are in state `s` at time `t`.
    fn forward(&self, score: &dyn Fn(usize, usize) -> f64, frames: usize, states: &[usize]) -> Vec<Vec<f64>> {
        let mut alpha = vec![vec![f64::NEG_INFINITY; states.len()]; frames];
        for t in 0..frames {
            for s in 0..states.len() {
                let ways = if t == 0 {
                    if s < 2 { 0.0 } else { f64::NEG_INFINITY }
                } else {
                    let before = |back: usize| alpha[t - 1][s - back];
                    let mut ways = vec![before(0)];
                    if s >= 1 {
                        ways.push(before(1));
                    }
                    if self.skips(states, s) {
                        ways.push(before(2));
                    }
                    log_sum_exp(&ways)
                };
                alpha[t][s] = ways + score(t, states[s]);
            }
        }
        alpha
    }

    /// `beta[t][s]`: logarithm of the probability of all endings after time `t` from state `s`.
    fn backward(&self, score: &dyn Fn(usize, usize) -> f64, frames: usize, states: &[usize]) -> Vec<Vec<f64>> {
        let mut beta = vec![vec![f64::NEG_INFINITY; states.len()]; frames];
        for t in (0..frames).rev() {
            for s in 0..states.len() {
                beta[t][s] = if t + 1 == frames {
                    if s + 2 >= states.len() { 0.0 } else { f64::NEG_INFINITY }
                } else {
                    let after = |on: usize| beta[t + 1][s + on] + score(t + 1, states[s + on]);
                    let mut ways = vec![after(0)];
                    if s + 1 < states.len() {
                        ways.push(after(1));
                    }
                    if s + 2 < states.len() && self.skips(states, s + 2) {
                        ways.push(after(2));
                    }
                    log_sum_exp(&ways)
                };
            }
        }
        beta
    }
}

fn log_sum_exp(x: &[f64]) -> f64 {
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return x.iter().sum();
    }
    largest + x.iter().map(|v| (v - largest).exp()).sum::<f64>().ln()
}

/// Logarithm of the likelihood of the whole sequence.
fn likelihood(alpha: &[Vec<f64>], states: usize) -> f64 {
    match alpha.last() {
        Some(last) => log_sum_exp(&last[states.saturating_sub(2)..]),
        // No frame: certain for no label, impossible for any.
        None if states == 1 => 0.0,
        None => f64::NEG_INFINITY,
    }
}

impl Operation for Ctc {
    fn name(&self) -> String {
        "ctc".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        self.check(inputs)?;
        Ok(vec![TensorType::f32(vec![inputs[0].shape.dims()[0]])])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let mut inputs = vec![cx.upstream()?];
        inputs.extend(cx.inputs());
        let mut gradients = vec![None; cx.inputs().len()];
        gradients[0] = Some(cx.tracer().apply_one(CtcGrad { loss: self.clone() }, &inputs)?);
        Ok(gradients)
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let scores = cx.inputs[0];
        let losses = (0..scores.shape[0]).map(|n| {
            let (frames, states) = self.example(cx, n);
            let alpha = self.forward(&|t, c| scores.at(&[n, t, c]), frames, &states);
            let loss = -likelihood(&alpha, states.len());
            if self.zero_infinity && loss == f64::INFINITY { 0.0 } else { loss }
        });
        vec![Reference::new(&cx.shapes[0], losses.collect())]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        states_visited(inputs, extents) * 10
    }

    fn samples() -> Vec<Sample> {
        samples_of(|op, inputs| {
            let small = inputs[0].shape().iter().product::<usize>() <= 200;
            let batched = batched(&inputs, 1);
            let sample = Sample::new(op, inputs).non_finite_may_spread().batched(&batched);
            if small { sample } else { sample.without_gradient() }
        })
    }
}

fn states_visited(inputs: &[&TensorType], extents: &Extents) -> u64 {
    let (scores, targets) = (inputs[0].shape.resolve(extents), inputs[1].shape.resolve(extents));
    let longest = targets.last().copied().unwrap_or(0) as u64;
    (scores[0] as u64).saturating_mul(scores[1] as u64).saturating_mul(2 * longest + 1)
}

/// Samples with and without lengths, with repeated labels, without labels, and too long for their frames.
fn samples_of(make: impl Fn(Ctc, Vec<HostTensor>) -> Sample) -> Vec<Sample> {
    let list = |values: &[i32]| HostTensor::i32(&[values.len()], values.to_vec());
    let scores = |shape: [usize; 3]| uniform(&shape, -3.0, -0.2, 1);
    // Any class but the blank, 0.
    let labels = |shape: &[usize], classes: i32, seed| {
        let HostData::I32(numbers) = integers(shape, classes - 1, seed).into_data() else { unreachable!("integers") };
        HostTensor::i32(shape, numbers.iter().map(|n| n + 1).collect())
    };
    let plain = Ctc { blank: 0, zero_infinity: false, input_lengths: false, target_lengths: false };
    let both = Ctc { input_lengths: true, target_lengths: true, ..plain };
    let repeated = HostTensor::i32(&[3, 3], vec![1, 1, 2, 2, 1, 2, 3, 3, 3]);
    vec![
        make(plain.clone(), vec![scores([3, 6, 4]), repeated.clone()]),
        make(both.clone(), vec![scores([3, 6, 4]), repeated.clone(), list(&[6, 4, 5]), list(&[3, 0, 2])]),
        make(
            Ctc { blank: 3, target_lengths: true, ..plain },
            vec![scores([2, 5, 4]), integers(&[2, 2], 3, 2), list(&[2, 1])],
        ),
        make(
            Ctc { zero_infinity: true, ..both.clone() },
            vec![scores([3, 6, 4]), repeated, list(&[6, 3, 4]), list(&[3, 3, 3])],
        ),
        make(plain.clone(), vec![scores([2, 60, 20]), labels(&[2, 17], 20, 3)]),
        make(plain, vec![scores([0, 4, 3]), labels(&[0, 2], 3, 3)]),
        // All labels in one row, and one more.
        make(both, vec![scores([3, 6, 4]), list(&[1, 1, 2, 3, 2, 1]), list(&[6, 4, 5]), list(&[3, 0, 2])]),
    ]
}

/// Which inputs have a batch axis: all but labels in one row.
fn batched(inputs: &[HostTensor], labels: usize) -> Vec<bool> {
    inputs.iter().enumerate().map(|(i, input)| i != labels || input.shape().len() > 1).collect()
}

/// Gradient of [`Ctc`] with respect to the log-probabilities. Inputs: gradient of each loss, then those of the loss.
#[derive(Debug, Clone, PartialEq)]
pub struct CtcGrad {
    /// The loss.
    pub loss: Ctc,
}

impl Operation for CtcGrad {
    fn name(&self) -> String {
        "ctc_grad".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        let Some((up, rest)) = inputs.split_first() else { return Err("needs a gradient".to_string()) };
        self.loss.check(rest)?;
        floating(&[up])?;
        if up.shape.dims() != &rest[0].shape.dims()[..1] {
            return Err(format!("the gradient {up} must have one value for each example of {}", rest[0]));
        }
        Ok(vec![rest[0].clone()])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (up, scores) = (cx.inputs[0], cx.inputs[1]);
        let inner = ReferenceContext { inputs: &cx.inputs[1..], shapes: cx.shapes, extents: cx.extents };
        let mut out = Reference::full(&cx.shapes[0], 0.0);
        for n in 0..scores.shape[0] {
            let (frames, states) = self.loss.example(&inner, n);
            let score = |t: usize, c: usize| scores.at(&[n, t, c]);
            let alpha = self.loss.forward(&score, frames, &states);
            let beta = self.loss.backward(&score, frames, &states);
            let total = likelihood(&alpha, states.len());
            if self.loss.zero_infinity && total == f64::NEG_INFINITY {
                continue;
            }
            for t in 0..frames {
                for (s, &class) in states.iter().enumerate() {
                    let at = out.offset(&[n, t, class]);
                    out.data[at] -= up.data[n] * (alpha[t][s] + beta[t][s] - total).exp();
                }
            }
        }
        vec![out]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        states_visited(&inputs[1..], extents) * 24
    }

    fn samples() -> Vec<Sample> {
        samples_of(|loss, mut inputs| {
            inputs.insert(0, uniform(&inputs[0].shape()[..1], -1.0, 1.0, 9));
            let batched = batched(&inputs, 2);
            Sample::new(CtcGrad { loss }, inputs).without_gradient().non_finite_may_spread().batched(&batched)
        })
    }
}

/// What a [connectionist temporal classification](Tensor::ctc) is given beside the log-probabilities.
#[derive(Debug, Clone, Copy)]
pub struct CtcTargets<'a> {
    /// Labels i32 `[batch, labels]`; what stands beyond an example's number of labels does not count. Or i32 `[labels]`,
    /// those of all examples one after another, with their numbers.
    pub labels: &'a Tensor,
    /// Number of frames of each example i32 `[batch]`; all, if not given.
    pub input_lengths: Option<&'a Tensor>,
    /// Number of labels of each example i32 `[batch]`; all, if not given.
    pub target_lengths: Option<&'a Tensor>,
}

impl Tensor {
    /// Negative log-likelihood f32 `[batch]` of each label sequence under these log-probabilities `[batch, time, classes]`;
    /// see [`Ctc`].
    ///
    /// # Errors
    /// If the shapes do not fit, or no target can fit into the frames. A label or length out of range stops the run with
    /// an error.
    pub fn ctc(&self, targets: CtcTargets<'_>, blank: usize, zero_infinity: bool) -> Result<Tensor> {
        let CtcTargets { labels, input_lengths, target_lengths } = targets;
        let op = Ctc {
            blank,
            zero_infinity,
            input_lengths: input_lengths.is_some(),
            target_lengths: target_lengths.is_some(),
        };
        let mut inputs = vec![self, labels];
        inputs.extend(input_lengths);
        inputs.extend(target_lengths);
        self.tracer().apply_one(op, &inputs)
    }
}
