//! Layer and root mean square normalisation: each row is normalised over its columns.

use super::{chunk_rows, combine, most_partial_sums, partial_sums};
use crate::kernels::Compute;
use crate::kernels::context::rows_per_task;
use crate::pool::SharedMut;
use crate::simd::Simd;

/// How many `f32` of scratch [`layer_norm_backward`] needs.
pub fn layer_norm_scratch(rows: usize, cols: usize) -> usize {
    most_partial_sums(rows, cols)
}

/// `y = (x - mean) * inv_std * gamma + beta` with each row's own mean and `inv_std = 1 / sqrt(var + eps)` (biased
/// variance), which are written too (length `rows`). `gamma` and `beta` have `cols` numbers.
pub fn layer_norm(
    cx: &Compute,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    eps: f32,
    y: &mut [f32],
    mean: &mut [f32],
    inv_std: &mut [f32],
    rows: usize,
    cols: usize,
) {
    assert!(x.len() == rows * cols && y.len() == rows * cols && mean.len() == rows && inv_std.len() == rows);
    assert!(gamma.len() == cols && beta.len() == cols);
    normalise(cx, x, gamma, beta, eps, y, Some(mean), inv_std, rows, cols);
}

/// `y = x * inv_rms * gamma` with each row's own `inv_rms = 1 / sqrt(mean of squares + eps)`, which is written too
/// (length `rows`). `gamma` has `cols` numbers.
pub fn rms_norm(
    cx: &Compute,
    x: &[f32],
    gamma: &[f32],
    eps: f32,
    y: &mut [f32],
    inv_rms: &mut [f32],
    rows: usize,
    cols: usize,
) {
    assert!(x.len() == rows * cols && y.len() == rows * cols && inv_rms.len() == rows && gamma.len() == cols);
    normalise(cx, x, gamma, &[], eps, y, None, inv_rms, rows, cols);
}

/// Either normalisation: rows are centred if there is a place for their means; an empty `beta` is zero.
fn normalise(
    cx: &Compute,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    eps: f32,
    y: &mut [f32],
    mean: Option<&mut [f32]>,
    inv_std: &mut [f32],
    rows: usize,
    cols: usize,
) {
    let step = rows_per_task(cols);
    let (y, mean, inv_std) = (SharedMut::new(y), mean.map(SharedMut::new), SharedMut::new(inv_std));
    cx.pool.run(rows.div_ceil(step), &|task, _| {
        let (row, n) = (task * step, step.min(rows - task * step));
        // SAFETY: tasks have different rows.
        unsafe {
            let (y, inv_std) = (y.slice(row * cols, n * cols), inv_std.slice(row, n));
            let mean = mean.as_ref().map(|mean| mean.slice(row, n));
            normalise_rows(cx.isa, &x[row * cols..][..n * cols], gamma, beta, eps, y, mean, inv_std);
        }
    });
}

#[inline(always)]
fn normalise_body<S: Simd>(
    s: S,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    eps: f32,
    y: &mut [f32],
    mut mean: Option<&mut [f32]>,
    inv_std: &mut [f32],
) {
    let cols = gamma.len();
    for row in 0..inv_std.len() {
        let (x, y) = (&x[row * cols..][..cols], &mut y[row * cols..][..cols]);
        let mut center = 0.0;
        if let Some(mean) = &mut mean {
            let mut sum = s.zero();
            let mut i = 0;
            while i < cols {
                sum = s.add(sum, s.load_at(x, i));
                i += S::LANES;
            }
            center = s.sum(sum) / cols as f32;
            mean[row] = center;
        }
        let mut squares = s.zero();
        let mut i = 0;
        while i < cols {
            let d = s.sub(s.load_at_or(x, i, center), s.splat(center));
            squares = s.mul_add(d, d, squares);
            i += S::LANES;
        }
        let inv = 1.0 / (s.sum(squares) / cols as f32 + eps).sqrt();
        inv_std[row] = inv;
        let mut i = 0;
        while i < cols {
            let z = s.mul(s.sub(s.load_at(x, i), s.splat(center)), s.splat(inv));
            let v = s.mul_add(z, s.load_at(gamma, i), s.load_at(beta, i));
            s.store_at(y, i, v);
            i += S::LANES;
        }
    }
}
crate::simd_kernel! {
    fn normalise_rows(
        x: &[f32], gamma: &[f32], beta: &[f32], eps: f32, y: &mut [f32], mean: Option<&mut [f32]>, inv_std: &mut [f32],
    ) = normalise_body;
}

/// Gradients of [`layer_norm`] from its input, statistics and the gradient `dy` of its result: with the normalised
/// input `z` and `g = dy * gamma`, `dx = inv_std * (g - mean(g) - z * mean(g * z))` over each row, and column sums
/// `dgamma = sum(dy * z)`, `dbeta = sum(dy)`.
pub fn layer_norm_backward(
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
    assert!(mean.len() == rows && inv_std.len() == rows);
    assert!(gamma.len() == cols && dgamma.len() == cols && dbeta.len() == cols);
    backward(cx, x, gamma, Some(mean), inv_std, dy, dx, rows, cols, scratch);
    for col in 0..cols {
        dbeta[col] = combine(&scratch[..partial_sums(rows, cols)], 0, col, cols) as f32;
        dgamma[col] = combine(&scratch[..partial_sums(rows, cols)], 1, col, cols) as f32;
    }
}

/// Gradients of [`rms_norm`] as those of [`layer_norm`] with means of zero; needs as much scratch.
pub fn rms_norm_backward(
    cx: &Compute,
    x: &[f32],
    gamma: &[f32],
    inv_rms: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dgamma: &mut [f32],
    rows: usize,
    cols: usize,
    scratch: &mut [f32],
) {
    assert!(x.len() == rows * cols && dy.len() == rows * cols && dx.len() == rows * cols);
    assert!(inv_rms.len() == rows && gamma.len() == cols && dgamma.len() == cols);
    backward(cx, x, gamma, None, inv_rms, dy, dx, rows, cols, scratch);
    for col in 0..cols {
        dgamma[col] = combine(&scratch[..partial_sums(rows, cols)], 1, col, cols) as f32;
    }
}

/// Either normalisation's `dx`, and the chunks' column sums into `scratch`.
fn backward(
    cx: &Compute,
    x: &[f32],
    gamma: &[f32],
    mean: Option<&[f32]>,
    inv_std: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    rows: usize,
    cols: usize,
    scratch: &mut [f32],
) {
    let step = chunk_rows(rows, cols);
    let partial = &mut scratch[..partial_sums(rows, cols)];
    let dx = SharedMut::new(dx);
    cx.pool.for_each_chunk(partial, 2 * cols, |chunk, sums| {
        let (row, n) = (chunk * step, step.min(rows - chunk * step));
        let range = row * cols..(row + n) * cols;
        // SAFETY: chunks have different rows.
        let dx = unsafe { dx.slice(range.start, range.len()) };
        let mean = mean.map(|mean| &mean[row..][..n]);
        backward_rows(cx.isa, &x[range.clone()], gamma, mean, &inv_std[row..][..n], &dy[range], dx, sums);
    });
}

#[inline(always)]
fn backward_body<S: Simd>(
    s: S,
    x: &[f32],
    gamma: &[f32],
    mean: Option<&[f32]>,
    inv_std: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    sums: &mut [f32],
) {
    let cols = gamma.len();
    sums.fill(0.0);
    let (sum_dy, sum_dyz) = sums.split_at_mut(cols);
    for row in 0..inv_std.len() {
        let (x, dy) = (&x[row * cols..][..cols], &dy[row * cols..][..cols]);
        let dx = &mut dx[row * cols..][..cols];
        let (center, inv) = (s.splat(mean.map_or(0.0, |mean| mean[row])), s.splat(inv_std[row]));
        let (mut sum_g, mut sum_gz) = (s.zero(), s.zero());
        let mut i = 0;
        while i < cols {
            let z = s.mul(s.sub(s.load_at(x, i), center), inv);
            let d = s.load_at(dy, i);
            let g = s.mul(d, s.load_at(gamma, i));
            sum_g = s.add(sum_g, g);
            sum_gz = s.mul_add(g, z, sum_gz);
            let (a, b) = (s.add(s.load_at(sum_dy, i), d), s.mul_add(d, z, s.load_at(sum_dyz, i)));
            s.store_at(sum_dy, i, a);
            s.store_at(sum_dyz, i, b);
            i += S::LANES;
        }
        let mean_g = if mean.is_some() { s.splat(s.sum(sum_g) / cols as f32) } else { s.zero() };
        let mean_gz = s.splat(s.sum(sum_gz) / cols as f32);
        let mut i = 0;
        while i < cols {
            let z = s.mul(s.sub(s.load_at(x, i), center), inv);
            let g = s.mul(s.load_at(dy, i), s.load_at(gamma, i));
            let v = s.mul(inv, s.sub(s.sub(g, mean_g), s.mul(z, mean_gz)));
            s.store_at(dx, i, v);
            i += S::LANES;
        }
    }
}
crate::simd_kernel! {
    fn backward_rows(
        x: &[f32], gamma: &[f32], mean: Option<&[f32]>, inv_std: &[f32], dy: &[f32], dx: &mut [f32], sums: &mut [f32],
    ) = backward_body;
}
