//! Gradient of attention.

use super::reference::Rows;
use super::{Attention, samples};
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::Sample;
use crate::shape::{Extents, TensorType};

/// Gradient of [`Attention`], which computes the weights again from the logarithms of their sums (Dao et al.,
/// *FlashAttention*, 2022).
///
/// Inputs: those of the attention, then its result, its logarithms of sums and the gradient of the result. Outputs: the
/// gradients of query, key and value, or of the packed input; then that of the bias if it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionGrad {
    /// The attention.
    pub attention: Attention,
    /// Whether the gradient of the bias is an output.
    pub bias_gradient: bool,
}

impl AttentionGrad {
    /// Number of outputs before the gradient of the bias.
    pub fn floats(&self) -> usize {
        if self.attention.packed.is_some() { 1 } else { 3 }
    }
}

impl Operation for AttentionGrad {
    fn name(&self) -> String {
        format!("{}_grad", self.attention.name())
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        let count = self.attention.inputs().count;
        super::super::arity(inputs, count + 3)?;
        let outputs = self.attention.infer(&inputs[..count])?;
        for (i, (given, expected)) in inputs[count..].iter().zip([&outputs[0], &outputs[1], &outputs[0]]).enumerate() {
            if *given != expected {
                return Err(format!("input {} must be {expected}, not {given}", count + i));
            }
        }
        let mut gradients: Vec<TensorType> = inputs[..self.floats()].iter().map(|&t| t.clone()).collect();
        match self.attention.inputs().bias {
            Some(bias) if self.bias_gradient => gradients.push(inputs[bias].clone()),
            None if self.bias_gradient => return Err("there is no bias".to_string()),
            _ => {}
        }
        Ok(gradients)
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let count = self.attention.inputs().count;
        let rows = Rows::new(&self.attention, &cx.inputs[..count]);
        let [result, log_sums, up] = cx.inputs[count..] else { unreachable!("checked by infer") };
        let scale = f64::from(self.attention.scale);
        let mut gradients: Vec<Reference> = cx.shapes.iter().map(|shape| Reference::full(shape, 0.0)).collect();
        rows.for_each(|b, h, i| {
            let log_sum = log_sums.at(&[b, h, i]);
            if log_sum == f64::NEG_INFINITY {
                return;
            }
            let inner: f64 = (0..rows.e).map(|c| up.at(&[b, i, h, c]) * result.at(&[b, i, h, c])).sum();
            for (j, score) in rows.scores(b, h, i) {
                let (weight, kept) = ((score - log_sum).exp(), rows.kept(b, h, i, j));
                let of_weight: f64 = (0..rows.e).map(|c| up.at(&[b, i, h, c]) * rows.value(b, h, j, c)).sum();
                let of_score = weight * (kept * of_weight - inner);
                let mut add = |(input, index): (usize, &[usize]), value: f64| {
                    let at = gradients[input].offset(index);
                    gradients[input].data[at] += value;
                };
                for c in 0..rows.d {
                    add((0, &[b, i, h, c]), scale * of_score * rows.key(b, h, j, c));
                    let (input, index) = rows.key_at(b, h, j, c);
                    add((input, &index), scale * of_score * rows.query(b, h, i, c));
                }
                for c in 0..rows.e {
                    let (input, index) = rows.value_at(b, h, j, c);
                    add((input, &index), weight * kept * up.at(&[b, i, h, c]));
                }
                if self.bias_gradient {
                    let shape = cx.shapes[self.floats()].clone();
                    let index = [b, h, i, j];
                    let lead = 4 - shape.len();
                    let index: Vec<usize> =
                        shape.iter().zip(&index[lead..]).map(|(&n, &i)| if n == 1 { 0 } else { i }).collect();
                    add((self.floats(), &index), of_score);
                }
            }
        });
        gradients
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        // Scores and three gradients of width d, two products of width e: five where the forward pass has two.
        5 * self.attention.multiplications(inputs, extents)
    }

    fn samples() -> Vec<Sample> {
        samples::backward()
    }
}
