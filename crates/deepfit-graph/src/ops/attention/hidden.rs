//! Queries that see no key, as far as that is known when the graph is built.

use super::Attention;
use crate::constant_value::constant_value;
use crate::error::Result;
use crate::host::Reference;
use crate::op::Operation;
use crate::shape::Dim;
use crate::trace::Tensor;

/// Most pairs of a query and a key that are looked at: more are left to the run.
const MOST_PAIRS: usize = 1 << 26;

/// Refuses an attention in which constant masks, bias and numbers of keys hide every key from a query.
///
/// # Errors
/// If they do and the attention does not allow it, naming the query.
pub(super) fn check(op: &Attention, inputs: &[Tensor]) -> Result<()> {
    if op.allow_hidden {
        return Ok(());
    }
    let types: Vec<_> = inputs.iter().map(Tensor::ty).collect();
    let wrong = |problem: String| inputs[0].error(&op.name(), problem);
    let axes = op.check(&types).map_err(wrong)?;
    let places = op.inputs();
    let value = |place: usize| constant_value(&inputs[place]).map(four_axes);
    let masks: Vec<Reference> = (places.masks..places.masks + op.masks).filter_map(value).collect();
    let bias = places.bias.and_then(value);
    let lengths = places.lengths.and_then(|place| constant_value(&inputs[place]));
    let all = || masks.iter().chain(&bias);
    // Along an axis that none of the arrays varies over, one position stands for all.
    let length = |axis: usize| all().map(|array| array.shape[axis]).max().unwrap_or(1);
    let fixed = |dim: Dim, axis: usize| dim.as_fixed().unwrap_or(1).max(length(axis));
    let (heads, queries, keys) = (length(1), fixed(axes.queries, 2), fixed(axes.keys, 3));
    let examples = length(0).max(lengths.as_ref().map_or(1, |lengths| lengths.data.len()));
    let most = axes.keys.as_fixed().map_or(f64::INFINITY, |keys| keys as f64);
    let few = |lengths: &Reference| lengths.data.iter().position(|&n| n < 1.0 || n > most);
    if let Some((lengths, example)) = lengths.as_ref().and_then(|lengths| Some((lengths, few(lengths)?))) {
        let number = lengths.data[example];
        return Err(wrong(format!(
            "the number of keys of example {example} is {number}, but must be in 1..={}",
            axes.keys
        )));
    }
    let pairs = [examples, heads, queries, keys].into_iter().try_fold(1usize, usize::checked_mul);
    if (all().next().is_none() && lengths.is_none()) || pairs.is_none_or(|pairs| pairs > MOST_PAIRS) {
        return Ok(());
    }
    let is_hidden = |index: [usize; 4]| {
        masks.iter().any(|mask| mask.at_broadcast(&index) != 0.0)
            || bias.as_ref().is_some_and(|bias| bias.at_broadcast(&index) == f64::NEG_INFINITY)
            || lengths.as_ref().is_some_and(|lengths| index[3] as f64 >= lengths.data[index[0]])
    };
    for (b, h) in (0..examples).flat_map(|b| (0..heads).map(move |h| (b, h))) {
        for i in 0..queries {
            let seen = if op.causal { keys.min(i + 1) } else { keys };
            if (0..seen).all(|j| is_hidden([b, h, i, j])) {
                let of = if examples > 1 { format!(" of example {b}") } else { String::new() };
                return Err(wrong(format!(
                    "the masks hide all keys from query {i}{of} in head {h}; allow it with `allow_hidden`, by which it gets zeros"
                )));
            }
        }
    }
    Ok(())
}

/// The same values with axes of length 1 in front, up to four.
fn four_axes(array: Reference) -> Reference {
    let mut shape = vec![1; 4usize.saturating_sub(array.shape.len())];
    shape.extend(&array.shape);
    Reference { shape, data: array.data }
}
