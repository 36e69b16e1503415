//! Attention of tensors.

use super::{Attention, decomposition};
use crate::error::Result;
use crate::host::HostData;
use crate::op::Op;
use crate::ops::{Constant, Dropout};
use crate::trace::Tensor;

/// What attention does beside the product: see [`Attention`]. By default nothing, with the scale `1 / sqrt(d)`.
#[derive(Debug, Clone, Default)]
pub struct AttentionOptions {
    /// Factor of the products of queries and keys, in place of `1 / sqrt(d)`.
    pub scale: Option<f32>,
    /// Whether query `i` sees keys `0..=i` alone.
    pub causal: bool,
    /// Added to the scores; broadcasts to `[batch, heads, T, S]`.
    pub bias: Option<Tensor>,
    /// u8, not 0 where a key is hidden; each broadcasts to `[batch, heads, T, S]`.
    pub masks: Vec<Tensor>,
    /// Number of keys of each example, i32 `[batch]`; the others are hidden.
    pub lengths: Option<Tensor>,
    /// Probability, 0 to 1, that a weight is dropped, whether the graph is traced to learn or not.
    pub dropout: f32,
}

impl AttentionOptions {
    /// The operation and its inputs for a query of width `d`.
    fn operation(&self, mut inputs: Vec<Tensor>, packed: Option<usize>) -> Result<(Attention, Vec<Tensor>)> {
        let tracer = inputs[0].tracer().clone();
        let d = inputs[0].shape().dims().last().and_then(|d| d.as_fixed()).unwrap_or(1);
        let scale = self.scale.unwrap_or(1.0 / (d.max(1) as f32).sqrt());
        inputs.extend(self.bias.iter().chain(&self.masks).chain(&self.lengths).cloned());
        let dropout =
            (self.dropout != 0.0).then(|| Dropout { probability: self.dropout, stream: tracer.next_random_stream() });
        if dropout.is_some() {
            inputs.push(tracer.random_key());
        }
        for mask in &self.masks {
            if let Some(row) = hides_all(mask, self.causal) {
                return Err(mask.error("attention", format!("the mask hides all keys from query {row}")));
            }
        }
        let (bias, masks, lengths) = (self.bias.is_some(), self.masks.len(), self.lengths.is_some());
        Ok((Attention { packed, scale, causal: self.causal, bias, masks, lengths, dropout }, inputs))
    }
}

/// The first query from which a mask whose values are part of the graph hides all keys.
fn hides_all(mask: &Tensor, causal: bool) -> Option<usize> {
    let data = mask.tracer().with_graph(|graph| match &graph.nodes()[graph.source(mask.value()).node].op {
        Op::Constant(Constant { data }) => Some(data.clone()),
        _ => None,
    })?;
    let HostData::U8(values) = data.data() else { return None };
    let lengths: Vec<usize> = mask.shape().dims().iter().filter_map(|d| d.as_fixed()).collect();
    let keys = lengths.last().copied().unwrap_or(1);
    let queries = if lengths.len() > 1 { lengths[lengths.len() - 2] } else { 1 };
    let hidden = |(row, values): (usize, &[u8])| {
        // A single value stands for all keys.
        let seen = if causal { keys.min(row % queries + 1) } else { keys };
        values[..seen].iter().all(|&hidden| hidden != 0)
    };
    values.chunks(keys.max(1)).enumerate().position(hidden).map(|row| row % queries)
}

impl Tensor {
    /// Attention of this query `[batch, T, heads, d]` over a key `[batch, S, kv_heads, d]` and a value
    /// `[batch, S, kv_heads, e]`; gives `[batch, T, heads, e]`. A query from which all keys are hidden gets zeros.
    ///
    /// # Errors
    /// If shapes or types do not fit, or a mask that is a constant hides all keys from a query.
    pub fn attention(&self, key: &Tensor, value: &Tensor, options: &AttentionOptions) -> Result<Tensor> {
        let (op, inputs) = options.operation(vec![self.clone(), key.clone(), value.clone()], None)?;
        Ok(self.tracer().apply(op, &inputs.iter().collect::<Vec<_>>())?.swap_remove(0))
    }

    /// Attention of `[batch, T, heads + 2 * kv_heads, d]` within itself: the heads of the query, of the key and of the
    /// value one after the other, as one projection gives them. Gives `[batch, T, heads, d]`.
    ///
    /// # Errors
    /// As [`Tensor::attention`].
    pub fn self_attention(&self, kv_heads: usize, options: &AttentionOptions) -> Result<Tensor> {
        let (op, inputs) = options.operation(vec![self.clone()], Some(kv_heads))?;
        Ok(self.tracer().apply(op, &inputs.iter().collect::<Vec<_>>())?.swap_remove(0))
    }

    /// As [`Tensor::attention`], and the weights `[batch, heads, T, S]` after dropout, which are computed a second time
    /// and written.
    ///
    /// # Errors
    /// As [`Tensor::attention`].
    pub fn attention_with_weights(
        &self,
        key: &Tensor,
        value: &Tensor,
        options: &AttentionOptions,
    ) -> Result<(Tensor, Tensor)> {
        let (op, inputs) = options.operation(vec![self.clone(), key.clone(), value.clone()], None)?;
        let result = self.tracer().apply(op.clone(), &inputs.iter().collect::<Vec<_>>())?.swap_remove(0);
        Ok((result, decomposition::weights(&op, &inputs)?))
    }

    /// [`Tensor::self_attention`] and its weights, as [`Tensor::attention_with_weights`] gives them.
    ///
    /// # Errors
    /// As [`Tensor::attention`].
    pub fn self_attention_with_weights(&self, kv_heads: usize, options: &AttentionOptions) -> Result<(Tensor, Tensor)> {
        let (op, inputs) = options.operation(vec![self.clone()], Some(kv_heads))?;
        let result = self.tracer().apply(op.clone(), &inputs.iter().collect::<Vec<_>>())?.swap_remove(0);
        Ok((result, decomposition::weights(&op, &inputs)?))
    }
}
