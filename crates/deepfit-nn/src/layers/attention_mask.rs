use deepfit_graph::ops::AttentionOptions;
use deepfit_graph::{DType, Dim, Tensor, Tracer};

use crate::error::Result;

/// Which keys a query sees, and what is added to its scores. By default it sees all.
///
/// A query that sees no key is an error, unless [`AttentionMask::allow_hidden`] is set: then it gets zeros from the
/// attention, so that the layer gives the bias of its output projection. PyTorch gives NaN.
#[derive(Debug, Clone, Default)]
pub struct AttentionMask {
    /// Whether query `i` sees keys `0..=i` alone.
    pub causal: bool,
    /// u8, not 0 where a key is hidden, or f32, which is added: `[T, S]`, `[batch * heads, T, S]` as in PyTorch, or
    /// whatever broadcasts to `[batch, heads, T, S]`.
    pub attn_mask: Option<Tensor>,
    /// u8 `[batch, S]`, not 0 where a key is padding, or f32, which is added.
    pub key_padding_mask: Option<Tensor>,
    /// Number of keys of each example, i32 `[batch]`, at least 1 (or 0, where there are keys beside those given, as by
    /// `add_zero_attn`): cheaper than a mask where the padding is at the end.
    pub lengths: Option<Tensor>,
    /// Whether a query may see no key, and an example have none.
    pub allow_hidden: bool,
    /// Added to the scores, such as relative positions; broadcasts to `[batch, heads, T, S]`.
    pub bias: Option<Tensor>,
}

/// Keys behind those that masks are about, which all queries see.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExtraKeys<'a> {
    /// The layer that has them.
    pub layer: &'a str,
    /// Keys that the masks are about.
    pub keys: usize,
    /// Number of those behind them.
    pub extra: usize,
}

impl AttentionMask {
    /// Query `i` sees keys `0..=i`.
    pub fn causal() -> Self {
        AttentionMask { causal: true, ..Self::default() }
    }

    /// Keys are hidden where `key_padding_mask`, u8 `[batch, S]`, is not 0.
    pub fn padding(key_padding_mask: &Tensor) -> Self {
        AttentionMask { key_padding_mask: Some(key_padding_mask.clone()), ..Self::default() }
    }

    /// What the attention operation is given.
    pub(super) fn options(&self, batch: Dim, heads: usize, dropout: f32) -> Result<AttentionOptions> {
        let (causal, allow_hidden) = (self.causal, self.allow_hidden);
        let mut options =
            AttentionOptions { causal, lengths: self.lengths.clone(), allow_hidden, dropout, ..Default::default() };
        let mut biases: Vec<Tensor> = self.bias.iter().cloned().collect();
        let mut given = Vec::new();
        if let Some(mask) = &self.attn_mask {
            given.push(match *mask.shape().dims() {
                [all, t, s] if all == batch * Dim::fixed(heads) => {
                    mask.reshape(vec![batch, Dim::fixed(heads), t, s])?
                }
                _ => mask.clone(),
            });
        }
        if let Some(mask) = &self.key_padding_mask {
            let &[batch, keys] = mask.shape().dims() else {
                let problem = format!("the key padding mask must be [batch, keys], not {}", mask.shape());
                return Err(mask.error("attention", problem).into());
            };
            given.push(mask.reshape(vec![batch, Dim::fixed(1), Dim::fixed(1), keys])?);
        }
        for mask in given {
            if mask.dtype() == DType::F32 { biases.push(mask) } else { options.masks.push(mask) }
        }
        let mut biases = biases.into_iter();
        if let Some(first) = biases.next() {
            options.bias = Some(biases.try_fold(first, |sum, bias| sum.add(&bias))?);
        }
        Ok(options)
    }

    /// What the attention operation is given where there are more keys than those that this is about.
    pub(super) fn options_with(
        &self,
        tracer: &Tracer,
        [batch, queries]: [Dim; 2],
        ExtraKeys { layer, keys, extra }: ExtraKeys<'_>,
        heads: usize,
        dropout: f32,
    ) -> Result<AttentionOptions> {
        let AttentionOptions { causal, bias, masks, lengths, .. } = self.options(batch, heads, dropout)?;
        // All becomes one bias, which can be made longer by zeros.
        let (nothing, hidden) = (tracer.scalar(0.0), tracer.scalar(f32::NEG_INFINITY));
        let places = || tracer.arange(keys)?.to_f32();
        let mut parts: Vec<Tensor> = bias.into_iter().collect();
        for mask in masks {
            if mask.dtype() != DType::U8 {
                let problem = format!("a mask must be u8, 1 where a key is hidden, or f32, not {}", mask.ty());
                return Err(mask.error("attention", problem).into());
            }
            parts.push(mask.to_f32()?.select(&hidden, &nothing)?);
        }
        if let Some(lengths) = lengths {
            // Looked up in a table of all numbers there may be, so that others are errors.
            let lengths = tracer.in_layer(&format!("{layer}.lengths"), || {
                let possible = tracer.arange(keys + 1)?.to_f32()?.reshape([keys + 1, 1])?;
                possible.embedding(&lengths)?.reshape(vec![batch, 1.into(), 1.into(), 1.into()])
            })?;
            parts.push(lengths.greater(&places()?)?.select(&nothing, &hidden)?);
        }
        if causal {
            let rows = tracer.arange(queries)?.to_f32()?.reshape(vec![queries, 1.into()])?;
            parts.push(places()?.greater(&rows)?.select(&hidden, &nothing)?);
        }
        let mut options = AttentionOptions { dropout, ..AttentionOptions::default() };
        let mut parts = parts.into_iter();
        if let Some(first) = parts.next() {
            let sum = parts.try_fold(first, |sum, part| sum.add(&part))?;
            let axes = sum.shape().dims().split_last().map(|(_, lead)| lead.to_vec()).unwrap_or_default();
            let of = |length: usize| [&axes[..], &[Dim::fixed(length)]].concat();
            let beside = nothing.broadcast_to(of(extra))?;
            options.bias = Some(sum.broadcast_to(of(keys))?.concat(&[&beside], axes.len())?);
        }
        Ok(options)
    }
}
