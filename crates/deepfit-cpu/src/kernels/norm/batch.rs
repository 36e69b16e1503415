//! Batch normalisation: each column is normalised over all rows (rows: images times pixels; columns: channels).

use super::{chunk_rows, combine, most_partial_sums, partial_sums};
use crate::kernels::Compute;
use crate::kernels::context::rows_per_task;
use crate::pool::SharedMut;
use crate::simd::Simd;

/// How many `f32` of scratch [`batch_norm`] and [`batch_norm_backward`] need.
pub fn batch_norm_scratch(rows: usize, cols: usize) -> usize {
    most_partial_sums(rows, cols) + 2 * cols
}

/// Training forward: `y = (x - mean) * inv_std * gamma + beta` with each column's own `mean`, biased variance `var` and
/// `inv_std = 1 / sqrt(var + eps)`, which are written too (all of length `cols`).
pub fn batch_norm(
    cx: &Compute,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    eps: f32,
    y: &mut [f32],
    mean: &mut [f32],
    var: &mut [f32],
    inv_std: &mut [f32],
    rows: usize,
    cols: usize,
    scratch: &mut [f32],
) {
    assert!(x.len() == rows * cols && mean.len() == cols && var.len() == cols && inv_std.len() == cols);
    let step = chunk_rows(rows, cols);
    let partial = &mut scratch[..partial_sums(rows, cols)];
    cx.pool.for_each_chunk(partial, 2 * cols, |chunk, sums| {
        let (first, n) = (chunk * step, step.min(rows - chunk * step));
        let (means, squares) = sums.split_at_mut(cols);
        chunk_moments(cx.isa, &x[first * cols..][..n * cols], means, squares);
    });
    for col in 0..cols {
        let counts = (0..rows).step_by(step).map(|first| step.min(rows - first) as f64);
        let chunks = || counts.clone().zip(partial.chunks_exact(2 * cols));
        let center = chunks().map(|(n, sums)| n * sums[col] as f64).sum::<f64>() / rows.max(1) as f64;
        let squares: f64 =
            chunks().map(|(n, sums)| sums[cols + col] as f64 + n * (sums[col] as f64 - center).powi(2)).sum();
        let variance = squares / rows.max(1) as f64;
        mean[col] = center as f32;
        var[col] = variance as f32;
        inv_std[col] = (1.0 / (variance + eps as f64).sqrt()) as f32;
    }
    batch_norm_apply(cx, x, mean, inv_std, gamma, beta, y, rows, cols);
}

/// Means and sums of squared deviations of the columns of a chunk of rows.
#[inline(always)]
pub(super) fn chunk_moments_body<S: Simd>(s: S, x: &[f32], means: &mut [f32], squares: &mut [f32]) {
    let cols = means.len();
    means.fill(0.0);
    squares.fill(0.0);
    let mut rows = 0;
    for row in x.chunks_exact(cols) {
        rows += 1;
        let mut i = 0;
        while i < cols {
            // Relative to the first row, so that a large mean does not cost the sum its last digits.
            let d = s.sub(s.load_at(row, i), s.load_at(&x[..cols], i));
            let v = s.add(s.load_at(means, i), d);
            s.store_at(means, i, v);
            i += S::LANES;
        }
    }
    let count = s.splat(rows as f32);
    let mut i = 0;
    while i < cols {
        let v = s.add(s.load_at(&x[..cols], i), s.div(s.load_at(means, i), count));
        s.store_at(means, i, v);
        i += S::LANES;
    }
    for row in x.chunks_exact(cols) {
        let mut i = 0;
        while i < cols {
            let d = s.sub(s.load_at(row, i), s.load_at(means, i));
            let v = s.mul_add(d, d, s.load_at(squares, i));
            s.store_at(squares, i, v);
            i += S::LANES;
        }
    }
}
crate::simd_kernel! {
    fn chunk_moments(x: &[f32], means: &mut [f32], squares: &mut [f32]) = chunk_moments_body;
}

/// Inference forward: `y = (x - mean) * inv_std * gamma + beta` with given statistics of length `cols`.
pub fn batch_norm_apply(
    cx: &Compute,
    x: &[f32],
    mean: &[f32],
    inv_std: &[f32],
    gamma: &[f32],
    beta: &[f32],
    y: &mut [f32],
    rows: usize,
    cols: usize,
) {
    assert!(x.len() == rows * cols && y.len() == rows * cols);
    assert!([mean, inv_std, gamma, beta].iter().all(|p| p.len() == cols));
    let step = rows_per_task(cols);
    cx.pool.for_each_chunk(y, step * cols, |task, y| {
        apply_rows(cx.isa, &x[task * step * cols..][..y.len()], mean, inv_std, gamma, beta, y);
    });
}

#[inline(always)]
pub(super) fn apply_body<S: Simd>(
    s: S,
    x: &[f32],
    mean: &[f32],
    inv_std: &[f32],
    gamma: &[f32],
    beta: &[f32],
    y: &mut [f32],
) {
    let cols = mean.len();
    for (x, y) in x.chunks_exact(cols).zip(y.chunks_exact_mut(cols)) {
        let mut i = 0;
        while i < cols {
            let d = s.sub(s.load_at(x, i), s.load_at(mean, i));
            let scale = s.mul(s.load_at(inv_std, i), s.load_at(gamma, i));
            let v = s.mul_add(d, scale, s.load_at(beta, i));
            s.store_at(y, i, v);
            i += S::LANES;
        }
    }
}
crate::simd_kernel! {
    fn apply_rows(x: &[f32], mean: &[f32], inv_std: &[f32], gamma: &[f32], beta: &[f32], y: &mut [f32]) = apply_body;
}

/// Gradients of [`batch_norm`] from its input, statistics and the gradient `dy` of its result: `dgamma = sum(dy * z)`,
/// `dbeta = sum(dy)` and `dx = gamma * inv_std * (dy - mean(dy) - z * mean(dy * z))` with the normalised input `z`.
pub fn batch_norm_backward(
    cx: &Compute,
    x: &[f32],
    gamma: &[f32],
    mean: &[f32],
    inv_std: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dgamma: &mut [f32],
    dbeta: &mut [f32],
    rows: usize,
    cols: usize,
    scratch: &mut [f32],
) {
    assert!(x.len() == rows * cols && dy.len() == rows * cols && dx.len() == rows * cols);
    assert!(dgamma.len() == cols && dbeta.len() == cols && [gamma, mean, inv_std].iter().all(|p| p.len() == cols));
    if cols == 0 {
        return;
    }
    let step = chunk_rows(rows, cols);
    let (partial, rest) = scratch.split_at_mut(partial_sums(rows, cols));
    cx.pool.for_each_chunk(partial, 2 * cols, |chunk, sums| {
        let range = chunk * step * cols..rows.min((chunk + 1) * step) * cols;
        chunk_gradients(cx.isa, &x[range.clone()], &dy[range], mean, inv_std, sums);
    });
    let (mean_dy, mean_dyz) = rest[..2 * cols].split_at_mut(cols);
    for col in 0..cols {
        let (sum_dy, sum_dyz) = (combine(partial, 0, col, cols), combine(partial, 1, col, cols));
        dbeta[col] = sum_dy as f32;
        dgamma[col] = sum_dyz as f32;
        mean_dy[col] = (sum_dy / rows as f64) as f32;
        mean_dyz[col] = (sum_dyz / rows as f64) as f32;
    }
    let step = rows_per_task(cols);
    let dx = SharedMut::new(dx);
    cx.pool.run(rows.div_ceil(step), &|task, _| {
        let range = task * step * cols..rows.min((task + 1) * step) * cols;
        // SAFETY: tasks have different rows.
        let dx = unsafe { dx.slice(range.start, range.len()) };
        input_gradient(cx.isa, &x[range.clone()], &dy[range], [gamma, mean, inv_std, &*mean_dy, &*mean_dyz], dx);
    });
}

/// Column sums of `dy` and of `dy * z`.
#[inline(always)]
pub(super) fn chunk_gradients_body<S: Simd>(
    s: S,
    x: &[f32],
    dy: &[f32],
    mean: &[f32],
    inv_std: &[f32],
    sums: &mut [f32],
) {
    let cols = mean.len();
    sums.fill(0.0);
    let (sum_dy, sum_dyz) = sums.split_at_mut(cols);
    for (x, dy) in x.chunks_exact(cols).zip(dy.chunks_exact(cols)) {
        let mut i = 0;
        while i < cols {
            let z = s.mul(s.sub(s.load_at(x, i), s.load_at(mean, i)), s.load_at(inv_std, i));
            let g = s.load_at(dy, i);
            let (a, b) = (s.add(s.load_at(sum_dy, i), g), s.mul_add(g, z, s.load_at(sum_dyz, i)));
            s.store_at(sum_dy, i, a);
            s.store_at(sum_dyz, i, b);
            i += S::LANES;
        }
    }
}
crate::simd_kernel! {
    fn chunk_gradients(x: &[f32], dy: &[f32], mean: &[f32], inv_std: &[f32], sums: &mut [f32]) = chunk_gradients_body;
}

#[inline(always)]
fn input_gradient_body<S: Simd>(s: S, x: &[f32], dy: &[f32], columns: [&[f32]; 5], dx: &mut [f32]) {
    let [gamma, mean, inv_std, mean_dy, mean_dyz] = columns;
    let cols = mean.len();
    for ((x, dy), dx) in x.chunks_exact(cols).zip(dy.chunks_exact(cols)).zip(dx.chunks_exact_mut(cols)) {
        let mut i = 0;
        while i < cols {
            let inv = s.load_at(inv_std, i);
            let z = s.mul(s.sub(s.load_at(x, i), s.load_at(mean, i)), inv);
            let centered = s.sub(s.load_at(dy, i), s.load_at(mean_dy, i));
            let inner = s.sub(centered, s.mul(z, s.load_at(mean_dyz, i)));
            let v = s.mul(s.mul(s.load_at(gamma, i), inv), inner);
            s.store_at(dx, i, v);
            i += S::LANES;
        }
    }
}
crate::simd_kernel! {
    fn input_gradient(x: &[f32], dy: &[f32], columns: [&[f32]; 5], dx: &mut [f32]) = input_gradient_body;
}
