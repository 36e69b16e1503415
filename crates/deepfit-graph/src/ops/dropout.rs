//! Dropout with counter-based random numbers.

use super::{arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::{HostTensor, Reference};
use crate::op::{Operation, ReferenceContext};
use crate::philox::philox4x32;
use crate::sample::{Sample, uniform};
use crate::shape::{DType, Dim, Extents, TensorType};
use crate::trace::Tensor;

/// Sets each element to zero with a probability and scales the others up (Srivastava et al., 2014).
///
/// Inputs: values, and the random key i32 `[4]`: seed (low, high), step (low, high). Whether element `i` stays is a
/// function of key, stream and `i` alone, so the same operation applied to the gradient is its derivative.
#[derive(Debug, Clone, PartialEq)]
pub struct Dropout {
    /// Probability that an element becomes zero, 0 to 1.
    pub probability: f32,
    /// Tells this operation's random numbers from those of others in the graph.
    pub stream: u32,
}

impl Dropout {
    /// An element is dropped if its random word is below this.
    pub fn threshold(&self) -> u64 {
        (f64::from(self.probability) * 2f64.powi(32)) as u64
    }

    /// What kept elements are multiplied by.
    pub fn scale(&self) -> f32 {
        if self.probability < 1.0 { 1.0 / (1.0 - self.probability) } else { 0.0 }
    }

    /// What element `i` is multiplied by under a random key.
    pub(super) fn factor(&self, key: &Reference, i: usize) -> f64 {
        let word = |i: usize| key.data[i] as i32 as u32;
        let counter = [(i / 4) as u32, ((i / 4) >> 32) as u32, self.stream, word(2)];
        let words = philox4x32(counter, [word(0), word(1) ^ word(3)]);
        if u64::from(words[i % 4]) < self.threshold() { 0.0 } else { f64::from(self.scale()) }
    }
}

impl Operation for Dropout {
    fn name(&self) -> String {
        "dropout".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 2)?;
        floating(&inputs[..1])?;
        if inputs[1].dtype != DType::I32 || inputs[1].shape.dims() != [Dim::fixed(4)] {
            return Err(format!("the random key must be i32 [4], not {}", inputs[1]));
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(format!("probability {} is not between 0 and 1", self.probability));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(cx.tracer().apply_one(self.clone(), &[cx.upstream()?, cx.input(1)])?), None])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let data = cx.inputs[0].data.iter().enumerate().map(|(i, &x)| x * self.factor(cx.inputs[1], i));
        vec![Reference::new(&cx.shapes[0], data.collect())]
    }

    fn operations(&self, _: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        (outputs[0].shape.count(extents) * 12) as u64
    }

    fn samples() -> Vec<Sample> {
        let key = || HostTensor::i32(&[4], vec![7, -3, 12, 0]);
        let sample = |probability, shape: &[usize]| {
            Sample::new(Dropout { probability, stream: 5 }, vec![uniform(shape, 0.5, 2.0, 1), key()])
        };
        let mut samples = vec![
            sample(0.5, &[4, 9]).batched(&[true, false]),
            sample(0.1, &[35]),
            sample(0.0, &[5]),
            sample(1.0, &[5]).without_gradient(),
        ];
        for n in [0, 1, 3, 4, 5, 15, 16, 17, 63, 65, 4097] {
            samples.push(sample(0.3, &[n]).without_gradient());
        }
        samples
    }
}

impl Tensor {
    /// Dropout with the given probability, whether the graph is traced to learn or not.
    ///
    /// # Errors
    /// If the probability is not between 0 and 1.
    pub fn dropout(&self, probability: f32) -> Result<Tensor> {
        let key = self.tracer().random_key();
        let stream = self.tracer().next_random_stream();
        self.tracer().apply_one(Dropout { probability, stream }, &[self, &key])
    }
}
