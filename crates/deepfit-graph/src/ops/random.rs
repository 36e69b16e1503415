//! Uniform random numbers from counters.

use super::arity;
use crate::error::Result;
use crate::host::{HostTensor, Reference};
use crate::op::{Operation, ReferenceContext};
use crate::philox::philox4x32;
use crate::sample::Sample;
use crate::shape::{DType, Dim, Extents, Shape, TensorType};
use crate::trace::{Tensor, Tracer};

/// Numbers uniform in [0, 1), multiples of 2⁻²⁴.
///
/// Input: the random key i32 `[4]`: seed (low, high), step (low, high). Element `i` is a function of key, stream and `i`
/// alone.
#[derive(Debug, Clone, PartialEq)]
pub struct RandomUniform {
    /// Shape of the result.
    pub shape: Shape,
    /// Tells this operation's random numbers from those of others in the graph.
    pub stream: u32,
}

impl Operation for RandomUniform {
    fn name(&self) -> String {
        "random_uniform".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        if inputs[0].dtype != DType::I32 || inputs[0].shape.dims() != [Dim::fixed(4)] {
            return Err(format!("the random key must be i32 [4], not {}", inputs[0]));
        }
        Ok(vec![TensorType::f32(self.shape.clone())])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let word = |i: usize| cx.inputs[0].data[i] as i32 as u32;
        let count: usize = cx.shapes[0].iter().product();
        let data = (0..count).map(|i| {
            let counter = [(i / 4) as u32, ((i / 4) >> 32) as u32, self.stream, word(2)];
            let words = philox4x32(counter, [word(0), word(1) ^ word(3)]);
            f64::from(words[i % 4] >> 8) / 16_777_216.0
        });
        vec![Reference::new(&cx.shapes[0], data.collect())]
    }

    fn operations(&self, _: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        (outputs[0].shape.count(extents) * 10) as u64
    }

    fn samples() -> Vec<Sample> {
        [0, 1, 5, 64, 65, 4097]
            .into_iter()
            .map(|n| {
                let key = HostTensor::i32(&[4], vec![7, -3, 12, 1]);
                Sample::new(RandomUniform { shape: [n].into(), stream: 5 }, vec![key]).without_gradient()
            })
            .collect()
    }
}

impl Tracer {
    /// Numbers uniform in [0, 1), others at each step.
    ///
    /// # Errors
    /// Never, at present.
    pub fn random_uniform(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        let key = self.random_key();
        let stream = self.next_random_stream();
        self.apply_one(RandomUniform { shape: shape.into(), stream }, &[&key])
    }

    /// Numbers from the standard normal distribution, others at each step (Box and Muller, 1958).
    ///
    /// # Errors
    /// Never, at present.
    pub fn random_normal(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        // 1 - u is in (0, 1], whose logarithm is finite.
        let radius = self.random_uniform(shape.clone())?.neg()?.add_scalar(1.0)?.log()?.mul_scalar(-2.0)?.sqrt()?;
        radius.mul(&self.random_uniform(shape)?.mul_scalar(std::f32::consts::TAU)?.cos()?)
    }
}
