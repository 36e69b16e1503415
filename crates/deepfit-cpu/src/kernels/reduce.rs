//! Sum, mean, maximum and sum of squares over any axes of a contiguous tensor.
//!
//! Sums are taken over chunks in f32 and the chunks added in f64, in an order that depends on the shape alone; the
//! error is at most `300 * 2^-24 * sum |terms|` and in practice near one rounding. The maximum is exact, and NaN if
//! there is one, as in PyTorch. Without any element the sum is 0, the mean NaN and the maximum `-inf`.

use super::Compute;
use crate::pool::SharedMut;
use crate::simd::Simd;

/// What to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// The sum.
    Sum,
    /// The sum divided by the number of elements.
    Mean,
    /// The largest element; NaN if one is.
    Max,
    /// The sum of the squares.
    SumOfSquares,
}

/// The most axes of a tensor.
pub const MAX_RANK: usize = 8;

/// Numbers of one contiguous chunk.
const CONTIGUOUS: usize = 4096;

/// A tensor as alternating kept and reduced axes, neighbours of a kind merged: `outer, reduce, inner, ...`, the first kept.
struct Merged {
    sizes: [usize; MAX_RANK + 2],
    count: usize,
}

fn merge(dims: &[usize], reduced: &[bool]) -> Merged {
    assert!(dims.len() == reduced.len() && dims.len() <= MAX_RANK, "reduce: at most {MAX_RANK} axes");
    let mut m = Merged { sizes: [1; MAX_RANK + 2], count: 1 };
    for (&size, &reduce) in dims.iter().zip(reduced) {
        if size == 1 {
            continue;
        }
        // Even places are kept axes, odd ones reduced.
        if m.count.is_multiple_of(2) != reduce {
            m.count += 1;
        }
        m.sizes[m.count - 1] *= size;
    }
    m
}

/// Rows of a chunk of `[reduce, inner]`.
fn chunk_rows(inner: usize) -> usize {
    if inner == 1 { CONTIGUOUS } else { ((1 << 14) / inner.max(1)).clamp(16, 256) }
}

/// How many `f32` of scratch [`reduce`] needs.
pub fn reduce_scratch(dims: &[usize], reduced: &[bool]) -> usize {
    let m = merge(dims, reduced);
    match m.count {
        1..=3 => m.sizes[0] * m.sizes[2] * m.sizes[1].div_ceil(chunk_rows(m.sizes[2])),
        _ => 0,
    }
}

/// Reduces the axes of `x` (sizes `dims`, last axis contiguous) where `reduced` is true; `y` has the elements of the
/// other axes in their order.
///
/// # Panics
/// If a slice does not match the shape, or there are more than [`MAX_RANK`] axes.
pub fn reduce(
    cx: &Compute,
    how: Reduction,
    x: &[f32],
    dims: &[usize],
    reduced: &[bool],
    y: &mut [f32],
    scratch: &mut [f32],
) {
    let m = merge(dims, reduced);
    let kept: usize = m.sizes.iter().step_by(2).product();
    let count: usize = m.sizes.iter().skip(1).step_by(2).product();
    assert!(x.len() == kept * count && y.len() == kept, "reduce: operands do not match {dims:?}");
    if m.count <= 3 {
        reduce_middle(cx, how, x, [m.sizes[0], m.sizes[1], m.sizes[2]], y, scratch);
    } else {
        reduce_strided(cx, how, x, &m, y);
    }
}

/// Folds the chunks' results of one element.
fn finish(how: Reduction, count: usize, chunks: impl Iterator<Item = f32>) -> f32 {
    match how {
        Reduction::Max => chunks.fold(f32::NEG_INFINITY, |best, v| if v > best || v.is_nan() { v } else { best }),
        Reduction::Mean => (chunks.map(|v| v as f64).sum::<f64>() / count as f64) as f32,
        Reduction::Sum | Reduction::SumOfSquares => chunks.map(|v| v as f64).sum::<f64>() as f32,
    }
}

/// `[outer, reduce, inner]` to `[outer, inner]`.
fn reduce_middle(
    cx: &Compute,
    how: Reduction,
    x: &[f32],
    [outer, count, inner]: [usize; 3],
    y: &mut [f32],
    scratch: &mut [f32],
) {
    if outer * inner == 0 {
        return;
    }
    let step = chunk_rows(inner);
    let chunks = count.div_ceil(step);
    let partial = SharedMut::new(&mut scratch[..outer * chunks * inner]);
    // Small chunks share a task.
    let together = (1usize << 14).div_ceil(step.min(count.max(1)) * inner);
    let parts = outer * chunks;
    cx.pool.run(parts.div_ceil(together), &|task, _| {
        for part in task * together..parts.min((task + 1) * together) {
            let (o, first) = (part / chunks, part % chunks * step);
            let rows = step.min(count - first);
            // SAFETY: parts have different results.
            let out = unsafe { partial.slice(part * inner, inner) };
            reduce_chunk(cx.isa, how, &x[(o * count + first) * inner..][..rows * inner], out);
        }
    });
    for o in 0..outer {
        let sums = &scratch[o * chunks * inner..(o + 1) * chunks * inner];
        for i in 0..inner {
            y[o * inner + i] = finish(how, count, sums.iter().skip(i).step_by(inner).copied());
        }
    }
}

/// One vector more into a sum or a maximum.
#[inline(always)]
fn step<S: Simd>(s: S, how: Reduction, sum: S::F, v: S::F) -> S::F {
    match how {
        Reduction::Sum | Reduction::Mean => s.add(sum, v),
        Reduction::SumOfSquares => s.mul_add(v, v, sum),
        // `max` keeps a NaN in its second operand; one in the first is chosen by hand.
        Reduction::Max => s.select(s.is_nan(v), v, s.max(v, sum)),
    }
}

#[inline(always)]
fn chunk_body<S: Simd>(s: S, how: Reduction, x: &[f32], out: &mut [f32]) {
    const CHAINS: usize = 4;
    let neutral = if how == Reduction::Max { f32::NEG_INFINITY } else { 0.0 };
    let inner = out.len();
    if inner > 1 {
        let mut i = 0;
        while i < inner {
            // Several chains: none waits for the sum before it, and each rounds less.
            let mut sums = [s.splat(neutral); CHAINS];
            let mut groups = x.chunks_exact(CHAINS * inner);
            for group in &mut groups {
                for chain in 0..CHAINS {
                    sums[chain] = step(s, how, sums[chain], s.load_at(&group[chain * inner..][..inner], i));
                }
            }
            for row in groups.remainder().chunks_exact(inner) {
                sums[0] = step(s, how, sums[0], s.load_at(row, i));
            }
            let mut sum = sums[0];
            for other in &sums[1..] {
                sum = if how == Reduction::Max { step(s, how, sum, *other) } else { s.add(sum, *other) };
            }
            s.store_at(out, i, sum);
            i += S::LANES;
        }
        return;
    }
    let mut sums = [s.splat(neutral); CHAINS];
    let mut i = 0;
    while i < x.len() {
        for sum in &mut sums {
            *sum = step(s, how, *sum, s.load_at_or(x, i, neutral));
            i += S::LANES;
        }
    }
    let mut lanes = [neutral; 16 * CHAINS];
    for (at, sum) in sums.into_iter().enumerate() {
        s.store_at(&mut lanes[at * S::LANES..(at + 1) * S::LANES], 0, sum);
    }
    let lanes = &lanes[..CHAINS * S::LANES];
    // The lanes of squares are sums already.
    out[0] = finish(if how == Reduction::Max { Reduction::Max } else { Reduction::Sum }, 1, lanes.iter().copied());
}
crate::simd_kernel! {
    fn reduce_chunk(how: Reduction, x: &[f32], out: &mut [f32]) = chunk_body;
}

/// Kept and reduced axes that alternate more often: each result walks over its elements.
fn reduce_strided(cx: &Compute, how: Reduction, x: &[f32], m: &Merged, y: &mut [f32]) {
    let mut strides = [0; MAX_RANK + 2];
    let mut stride = 1;
    for axis in (0..m.count).rev() {
        strides[axis] = stride;
        stride *= m.sizes[axis];
    }
    let count: usize = m.sizes.iter().skip(1).step_by(2).product();
    // Where element `index` of the axes of one parity (0: kept, 1: reduced) lies.
    let offset = |mut index: usize, parity: usize| {
        let mut at = 0;
        for axis in (0..m.count).rev().filter(|axis| axis % 2 == parity) {
            at += index % m.sizes[axis] * strides[axis];
            index /= m.sizes[axis];
        }
        at
    };
    let per_task = (1usize << 12).div_ceil(count.max(1));
    cx.pool.for_each_chunk(y, per_task, |task, y| {
        for (i, out) in y.iter_mut().enumerate() {
            let base = offset(task * per_task + i, 0);
            let elements = (0..count).map(|k| x[base + offset(k, 1)]);
            *out = match how {
                Reduction::SumOfSquares => elements.map(|v| v as f64 * v as f64).sum::<f64>() as f32,
                _ => finish(how, count, elements),
            };
        }
    });
}
