//! Attention of tensors.

use super::{Attention, decomposition, hidden};
use crate::error::Result;
use crate::ops::Dropout;
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
    /// Number of keys of each example, i32 `[batch]`, in `1..=S`; the others are hidden.
    pub lengths: Option<Tensor>,
    /// Whether a query may see no key, and an example have none: it gets zeros. If not, it is an error, when the graph is
    /// built if masks or bias are constants, else when it runs.
    pub allow_hidden: bool,
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
        let (bias, masks, lengths) = (self.bias.is_some(), self.masks.len(), self.lengths.is_some());
        let (causal, allow_hidden) = (self.causal, self.allow_hidden);
        let op = Attention { packed, scale, causal, bias, masks, lengths, allow_hidden, dropout };
        hidden::check(&op, &inputs)?;
        Ok((op, inputs))
    }
}

impl Tensor {
    /// Attention of this query `[batch, T, heads, d]` over a key `[batch, S, kv_heads, d]` and a value
    /// `[batch, S, kv_heads, e]`; gives `[batch, T, heads, e]`.
    ///
    /// # Errors
    /// If shapes or types do not fit, or masks and bias that are constants hide all keys from a query. Other masks, a bias
    /// or numbers of keys that do so stop the run with an error; see [`AttentionOptions::allow_hidden`].
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
