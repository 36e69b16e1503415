//! The recurrence made of simpler operations, step by step, for a number of steps that is known when the graph is built.

use super::{Recurrent, RecurrentKind};
use crate::error::Result;
use crate::ops::UnaryKind;
use crate::shape::Dim;
use crate::trace::Tensor;

/// All outputs of the recurrence; `None` where the number of steps is not fixed or zero.
pub(super) fn unroll(op: &Recurrent, inputs: &[Tensor]) -> Result<Option<Vec<Tensor>>> {
    let (kind, attributes) = (op.attributes.kind, op.attributes);
    let (projected, weight) = (&inputs[0], &inputs[1]);
    let axes = match attributes.axes(projected.shape(), weight.shape()) {
        Ok(axes) => axes,
        Err(problem) => return Err(projected.error(kind.name(), problem)),
    };
    let axis = usize::from(!attributes.time_first);
    let Some(steps) = axes.steps.as_fixed().filter(|&n| n > 0) else { return Ok(None) };
    let (tracer, hidden) = (projected.tracer(), axes.hidden);
    let gates = kind.gates();
    let bias = op.bias.then(|| &inputs[2]);
    let mut optional = inputs[op.first_optional()..].iter();
    let lengths = if attributes.lengths { optional.next() } else { None };
    let zero = || tracer.scalar(0.0).broadcast_to(vec![axes.batch, Dim::fixed(hidden)]);
    let mut h = optional.next().cloned().map_or_else(zero, Ok)?;
    let mut c = if kind.has_cell() { Some(optional.next().cloned().map_or_else(zero, Ok)?) } else { None };
    let nothing = tracer.scalar(0.0);
    let mut found: Vec<Vec<Tensor>> = vec![Vec::new(); steps];
    let order: Vec<usize> = if attributes.reverse { (0..steps).rev().collect() } else { (0..steps).collect() };
    for step in order {
        let a = projected.slice(axis, step, 1)?.reshape(vec![axes.batch, Dim::fixed(gates * hidden)])?;
        let product = h.matmul_with(weight, false, true)?;
        let product = bias.map_or(Ok(product.clone()), |bias| product.add(bias))?;
        let part = |t: &Tensor, gate: usize| t.slice(1, gate * hidden, hidden);
        let (mut new_c, mut saved) = (None, Vec::new());
        let new_h = match kind {
            RecurrentKind::Tanh => a.add(&product)?.tanh()?,
            RecurrentKind::Relu => a.add(&product)?.relu()?,
            RecurrentKind::Lstm => {
                let x = a.add(&product)?;
                let (i, f) = (part(&x, 0)?.sigmoid()?, part(&x, 1)?.sigmoid()?);
                let (g, o) = (part(&x, 2)?.tanh()?, part(&x, 3)?.sigmoid()?);
                let kept = c.as_ref().map_or_else(zero, |c| f.mul(c))?;
                let cell = kept.add(&i.mul(&g)?)?;
                let new = o.mul(&cell.tanh()?)?;
                new_c = Some(cell.clone());
                saved = vec![i.concat(&[&f, &g, &o], 1)?, cell];
                new
            }
            RecurrentKind::Gru => {
                let gate = |g| part(&a, g)?.add(&part(&product, g)?)?.sigmoid();
                let (r, z, q) = (gate(0)?, gate(1)?, part(&product, 2)?);
                let n = part(&a, 2)?.add(&r.mul(&q)?)?.tanh()?;
                saved = vec![r.concat(&[&z, &n, &q], 1)?];
                n.add(&z.mul(&h.sub(&n)?)?)?
            }
        };
        let mut results = vec![new_h.clone()];
        results.extend(saved);
        if let Some(lengths) = lengths {
            // 1 in the rows that have this step.
            let inside = lengths.to_f32()?.unary(UnaryKind::Inside(step as f32, f32::INFINITY))?;
            let inside = inside.reshape(vec![axes.batch, Dim::fixed(1)])?;
            h = inside.select(&new_h, &h)?;
            c = match (new_c, c) {
                (Some(new), Some(old)) => Some(inside.select(&new, &old)?),
                _ => None,
            };
            results = results.iter().map(|t| inside.select(t, &nothing)).collect::<Result<_>>()?;
        } else {
            h = new_h;
            c = new_c;
        }
        found[step] = results;
    }
    let sequence = |which: usize| -> Result<Tensor> {
        let steps: Vec<Tensor> = found
            .iter()
            .map(|results| {
                let dims = results[which].shape().dims();
                let mut with_step = dims.to_vec();
                with_step.insert(axis, Dim::fixed(1));
                results[which].reshape(with_step)
            })
            .collect::<Result<_>>()?;
        steps[0].concat(&steps[1..].iter().collect::<Vec<_>>(), axis)
    };
    let mut outputs = vec![sequence(0)?, h];
    outputs.extend(c);
    if op.saves {
        for which in 1..found[0].len() {
            outputs.push(sequence(which)?);
        }
    }
    Ok(Some(outputs))
}
