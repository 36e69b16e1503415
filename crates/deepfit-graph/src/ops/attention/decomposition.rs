//! Attention made of products and a softmax, which writes all weights.

use super::Attention;
use crate::error::Result;
use crate::ops::{ReduceKind, Softmax};
use crate::shape::{Dim, Shape};
use crate::trace::Tensor;

/// Score of a hidden key: its exponential beside any other is zero, and its own difference from itself is not NaN.
const HIDDEN: f32 = -1e30;

/// Query, key and value as `[batch, heads, length, width]`, key and value repeated for each head of their group.
fn heads_first(op: &Attention, inputs: &[Tensor]) -> Result<[Tensor; 3]> {
    let [query, key, value] = match op.packed {
        None => [inputs[0].clone(), inputs[1].clone(), inputs[2].clone()],
        Some(kv_heads) => {
            let all = &inputs[0];
            let heads = all.shape().fixed(2).unwrap_or(0).saturating_sub(2 * kv_heads);
            [all.slice(2, 0, heads)?, all.slice(2, heads, kv_heads)?, all.slice(2, heads + kv_heads, kv_heads)?]
        }
    };
    let heads = query.shape().dims()[2];
    let repeated = |x: &Tensor| {
        let x = x.permute(&[0, 2, 1, 3])?;
        let &[batch, own, length, width] = x.shape().dims() else { unreachable!("permuted four axes") };
        match heads.divide(own) {
            Some(group) if !group.is_one() => {
                let one = x.reshape(vec![batch, own, Dim::fixed(1), length, width])?;
                let each = one.broadcast_to(vec![batch, own, group, length, width])?;
                each.reshape(vec![batch, heads, length, width])
            }
            _ => Ok(x),
        }
    };
    Ok([query.permute(&[0, 2, 1, 3])?, repeated(&key)?, repeated(&value)?])
}

/// Not 0 where a key is hidden from a query, broadcasting to the scores; nothing if no key ever is.
fn hidden(op: &Attention, inputs: &[Tensor], scores: &Shape) -> Result<Option<Tensor>> {
    let tracer = inputs[0].tracer();
    let places = op.inputs();
    let &[batch, _, queries, keys] = scores.dims() else { unreachable!("scores have four axes") };
    let mut parts: Vec<Tensor> = Vec::new();
    for mask in &inputs[places.masks..][..op.masks] {
        parts.push(mask.to_f32()?);
    }
    if let Some(bias) = places.bias {
        parts.push(tracer.scalar(f32::MIN).greater(&inputs[bias])?);
    }
    if op.causal {
        let rows = tracer.arange(queries)?.to_f32()?.reshape(vec![queries, Dim::fixed(1)])?;
        parts.push(tracer.arange(keys)?.to_f32()?.greater(&rows)?);
    }
    if let Some(lengths) = places.lengths {
        let last = inputs[lengths].to_f32()?.add_scalar(-0.5)?;
        let last = last.reshape(vec![batch, Dim::fixed(1), Dim::fixed(1), Dim::fixed(1)])?;
        parts.push(tracer.arange(keys)?.to_f32()?.greater(&last)?);
    }
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else { return Ok(None) };
    parts.try_fold(first, |all, part| all.maximum(&part)).map(Some)
}

/// Everything up to the last product: the weights after dropout, the logarithms of their sums, the value.
struct Weights {
    weights: Tensor,
    log_sums: Tensor,
    value: Tensor,
}

fn parts(op: &Attention, inputs: &[Tensor]) -> Result<Weights> {
    let tracer = inputs[0].tracer();
    let places = op.inputs();
    let [query, key, value] = heads_first(op, inputs)?;
    let mut scores = query.matmul_with(&key, false, true)?.mul_scalar(op.scale)?;
    if let Some(bias) = places.bias {
        scores = scores.add(&inputs[bias])?;
    }
    let hidden = hidden(op, inputs, &scores.shape().clone())?;
    if let Some(hidden) = &hidden {
        scores = hidden.select(&tracer.scalar(HIDDEN), &scores)?;
    }
    let nothing = tracer.scalar(0.0);
    let shown = |x: Tensor| hidden.as_ref().map_or(Ok(x.clone()), |hidden| hidden.select(&nothing, &x));
    let weights = shown(tracer.apply_one(Softmax { log: false }, &[&scores])?)?;
    let largest = scores.reduce(ReduceKind::Max, &[3], true)?;
    let sums = shown(scores.sub(&largest)?.exp()?)?.reduce(ReduceKind::Sum, &[3], true)?;
    let log_sums = sums.log()?.add(&largest)?;
    let &[batch, heads, queries, _] = scores.shape().dims() else { unreachable!("scores have four axes") };
    let weights = match (&op.dropout, places.key) {
        (Some(dropout), Some(key)) => tracer.apply_one(dropout.clone(), &[&weights, &inputs[key]])?,
        _ => weights,
    };
    Ok(Weights { weights, log_sums: log_sums.reshape(vec![batch, heads, queries])?, value })
}

/// The weights `[batch, heads, T, S]` after dropout.
pub(super) fn weights(op: &Attention, inputs: &[Tensor]) -> Result<Tensor> {
    Ok(parts(op, inputs)?.weights)
}

/// Both outputs.
pub(super) fn outputs(op: &Attention, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    let Weights { weights, log_sums, value } = parts(op, inputs)?;
    Ok(vec![weights.matmul(&value)?.permute(&[0, 2, 1, 3])?, log_sums])
}
