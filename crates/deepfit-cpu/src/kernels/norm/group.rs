//! Group normalisation: in each example, each group of neighbouring columns is normalised over all rows.

use super::batch::{apply_body, chunk_gradients_body, chunk_moments_body};
use super::chunk_rows;
use crate::kernels::Compute;
use crate::pool::SharedMut;
use crate::simd::Simd;

/// Vectors of one number a column that an example needs as working memory.
const VECTORS: usize = 8;

/// Sizes of a group normalisation over `[n, rows, cols]`; `groups` divides `cols`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupNormShape {
    /// Examples.
    pub n: usize,
    /// Rows (pixels) of an example.
    pub rows: usize,
    /// Columns (channels).
    pub cols: usize,
    /// Groups of neighbouring columns.
    pub groups: usize,
}

impl GroupNormShape {
    fn example(&self) -> usize {
        self.rows * self.cols
    }
}

/// How many `f32` of scratch [`group_norm`] and [`group_norm_backward`] need.
pub fn group_norm_scratch(s: &GroupNormShape) -> usize {
    s.n * VECTORS * s.cols
}

/// `y = (x - mean) / sqrt(var + eps) * gamma + beta` with the `mean` and biased variance `var` `[n, groups]` of each
/// example's groups, which are written too. `gamma` and `beta` have `cols` numbers.
///
/// Examples are the tasks: one alone runs on one thread.
pub fn group_norm(
    cx: &Compute,
    s: &GroupNormShape,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    eps: f32,
    y: &mut [f32],
    mean: &mut [f32],
    var: &mut [f32],
    scratch: &mut [f32],
) {
    assert!(x.len() == s.n * s.example() && y.len() == x.len() && mean.len() == s.n * s.groups);
    assert!(var.len() == mean.len() && gamma.len() == s.cols && beta.len() == s.cols);
    let vectors = SharedMut::new(&mut scratch[..group_norm_scratch(s)]);
    let (y, mean, var) = (SharedMut::new(y), SharedMut::new(mean), SharedMut::new(var));
    cx.pool.run(s.n, &|i, _| {
        // SAFETY: tasks have different examples.
        let (y, mean, var, vectors) = unsafe {
            (
                y.slice(i * s.example(), s.example()),
                mean.slice(i * s.groups, s.groups),
                var.slice(i * s.groups, s.groups),
                vectors.slice(i * VECTORS * s.cols, VECTORS * s.cols),
            )
        };
        let x = &x[i * s.example()..][..s.example()];
        let (moments, rest) = vectors.split_at_mut(2 * s.cols);
        moments_of_example(cx.isa, s, x, moments, rest);
        let (means, squares) = moments.split_at(s.cols);
        let width = s.cols / s.groups;
        let count = (s.rows * width) as f64;
        let (center, inverse) = rest[..2 * s.cols].split_at_mut(s.cols);
        for g in 0..s.groups {
            let columns = g * width..(g + 1) * width;
            let middle = means[columns.clone()].iter().map(|&m| m as f64).sum::<f64>() / width as f64;
            let spread = |c: usize| squares[c] as f64 + s.rows as f64 * (means[c] as f64 - middle).powi(2);
            let variance = columns.clone().map(spread).sum::<f64>() / count;
            (mean[g], var[g]) = (middle as f32, variance as f32);
            center[columns.clone()].fill(middle as f32);
            inverse[columns].fill((1.0 / (variance + eps as f64).sqrt()) as f32);
        }
        apply_to_example(cx.isa, x, center, inverse, gamma, beta, y);
    });
}

/// Mean and sum of squared deviations of each column of an example: chunks of rows, joined one after another by the
/// formula of Chan, Golub and LeVeque (1979).
#[inline(always)]
fn moments_body<S: Simd>(s: S, shape: &GroupNormShape, x: &[f32], moments: &mut [f32], rest: &mut [f32]) {
    let cols = shape.cols;
    moments.fill(0.0);
    let (means, squares) = moments.split_at_mut(cols);
    let (chunk_means, chunk_squares) = rest[..2 * cols].split_at_mut(cols);
    let step = chunk_rows(shape.rows, cols);
    let mut first = 0;
    while first < shape.rows {
        let rows = step.min(shape.rows - first);
        chunk_moments_body(s, &x[first * cols..][..rows * cols], chunk_means, chunk_squares);
        let all = (first + rows) as f32;
        let (share, weight) = (s.splat(rows as f32 / all), s.splat(first as f32 * (rows as f32 / all)));
        let mut i = 0;
        while i < cols {
            let mean = s.load_at(means, i);
            let delta = s.sub(s.load_at(chunk_means, i), mean);
            let sum = s.add(s.load_at(squares, i), s.load_at(chunk_squares, i));
            s.store_at(means, i, s.mul_add(delta, share, mean));
            s.store_at(squares, i, s.mul_add(s.mul(delta, delta), weight, sum));
            i += S::LANES;
        }
        first += rows;
    }
}
crate::simd_kernel! {
    fn moments_of_example(shape: &GroupNormShape, x: &[f32], moments: &mut [f32], rest: &mut [f32]) = moments_body;
}
crate::simd_kernel! {
    fn apply_to_example(
        x: &[f32], mean: &[f32], inv_std: &[f32], gamma: &[f32], beta: &[f32], y: &mut [f32],
    ) = apply_body;
}

/// Gradients of [`group_norm`] from its input, statistics and the gradient `dy` of its result: with the normalised input
/// `z` and `g = dy * gamma`, `dx = inv_std * (g - mean(g) - z * mean(g * z))` over each group, and sums over examples and
/// rows `dgamma = sum(dy * z)`, `dbeta = sum(dy)`.
pub fn group_norm_backward(
    cx: &Compute,
    s: &GroupNormShape,
    x: &[f32],
    gamma: &[f32],
    mean: &[f32],
    var: &[f32],
    eps: f32,
    dy: &[f32],
    dx: &mut [f32],
    dgamma: &mut [f32],
    dbeta: &mut [f32],
    scratch: &mut [f32],
) {
    assert!(x.len() == s.n * s.example() && dy.len() == x.len() && dx.len() == x.len());
    assert!(mean.len() == s.n * s.groups && var.len() == mean.len());
    assert!(gamma.len() == s.cols && dgamma.len() == s.cols && dbeta.len() == s.cols);
    let scratch = &mut scratch[..group_norm_scratch(s)];
    let vectors = SharedMut::new(&mut *scratch);
    let dx = SharedMut::new(dx);
    cx.pool.run(s.n, &|i, _| {
        // SAFETY: tasks have different examples.
        let (dx, vectors) =
            unsafe { (dx.slice(i * s.example(), s.example()), vectors.slice(i * VECTORS * s.cols, VECTORS * s.cols)) };
        let range = i * s.example()..(i + 1) * s.example();
        let (sums, rest) = vectors.split_at_mut(2 * s.cols);
        let (statistics, rest) = rest.split_at_mut(2 * s.cols);
        let (center, inverse) = statistics.split_at_mut(s.cols);
        let width = s.cols / s.groups;
        for g in 0..s.groups {
            let at = i * s.groups + g;
            center[g * width..(g + 1) * width].fill(mean[at]);
            inverse[g * width..(g + 1) * width].fill(1.0 / (var[at] + eps).sqrt());
        }
        sums_of_example(cx.isa, s, &x[range.clone()], &dy[range.clone()], center, inverse, sums, rest);
        let count = (s.rows * width) as f64;
        let (mean_g, mean_gz) = rest[..2 * s.cols].split_at_mut(s.cols);
        for g in 0..s.groups {
            let columns = g * width..(g + 1) * width;
            let over =
                |sums: &[f32]| (columns.clone().map(|c| gamma[c] as f64 * sums[c] as f64).sum::<f64>() / count) as f32;
            mean_g[columns.clone()].fill(over(&sums[..s.cols]));
            mean_gz[columns.clone()].fill(over(&sums[s.cols..]));
        }
        input_gradient(cx.isa, &x[range.clone()], &dy[range], [gamma, center, inverse, mean_g, mean_gz], dx);
    });
    for col in 0..s.cols {
        let over_examples =
            |at: usize| scratch[at..].iter().step_by(VECTORS * s.cols).map(|&v| v as f64).sum::<f64>() as f32;
        (dbeta[col], dgamma[col]) =
            if s.n == 0 { (0.0, 0.0) } else { (over_examples(col), over_examples(s.cols + col)) };
    }
}

/// Column sums of `dy` and of `dy * z` over an example.
#[inline(always)]
fn sums_body<S: Simd>(
    s: S,
    shape: &GroupNormShape,
    x: &[f32],
    dy: &[f32],
    mean: &[f32],
    inv_std: &[f32],
    sums: &mut [f32],
    rest: &mut [f32],
) {
    let cols = shape.cols;
    sums.fill(0.0);
    let part = &mut rest[..2 * cols];
    let step = chunk_rows(shape.rows, cols);
    let mut first = 0;
    while first < shape.rows {
        let rows = step.min(shape.rows - first);
        let (at, n) = (first * cols, rows * cols);
        chunk_gradients_body(s, &x[at..][..n], &dy[at..][..n], mean, inv_std, part);
        let mut i = 0;
        while i < 2 * cols {
            let v = s.add(s.load_at(sums, i), s.load_at(part, i));
            s.store_at(sums, i, v);
            i += S::LANES;
        }
        first += rows;
    }
}
crate::simd_kernel! {
    fn sums_of_example(
        shape: &GroupNormShape, x: &[f32], dy: &[f32], mean: &[f32], inv_std: &[f32], sums: &mut [f32],
        rest: &mut [f32],
    ) = sums_body;
}

#[inline(always)]
fn input_gradient_body<S: Simd>(s: S, x: &[f32], dy: &[f32], columns: [&[f32]; 5], dx: &mut [f32]) {
    let [gamma, mean, inv_std, mean_g, mean_gz] = columns;
    let cols = mean.len();
    for ((x, dy), dx) in x.chunks_exact(cols).zip(dy.chunks_exact(cols)).zip(dx.chunks_exact_mut(cols)) {
        let mut i = 0;
        while i < cols {
            let inv = s.load_at(inv_std, i);
            let z = s.mul(s.sub(s.load_at(x, i), s.load_at(mean, i)), inv);
            let centered = s.sub(s.mul(s.load_at(dy, i), s.load_at(gamma, i)), s.load_at(mean_g, i));
            let v = s.mul(inv, s.sub(centered, s.mul(z, s.load_at(mean_gz, i))));
            s.store_at(dx, i, v);
            i += S::LANES;
        }
    }
}
crate::simd_kernel! {
    fn input_gradient(x: &[f32], dy: &[f32], columns: [&[f32]; 5], dx: &mut [f32]) = input_gradient_body;
}
