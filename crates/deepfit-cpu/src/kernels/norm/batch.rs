//! Batch normalisation: each column is normalised over all rows (rows: images times pixels; columns: channels).

use super::{chunk_rows, combine, most_partial_sums, partial_sums};
use crate::kernels::Compute;
use crate::kernels::context::rows_per_task;
use crate::kernels::gemm::Epilogue;
use crate::pool::SharedMut;
use crate::simd::Simd;

/// How many `f32` of scratch [`batch_norm`] and [`batch_norm_backward`] need.
pub fn batch_norm_scratch(rows: usize, cols: usize) -> usize {
    most_partial_sums(rows, cols) + 2 * cols
}

/// Training forward: `y = (x - mean) * inv_std * gamma + beta` with each column's own `mean`, biased variance `var` and
/// `inv_std = 1 / sqrt(var + eps)`, which are written too (all of length `cols`). The epilogue changes some rows of `y` at a
/// time while they are in cache.
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
    epilogue: Option<&dyn Epilogue>,
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
    apply(cx, x, [mean, inv_std, gamma, beta], y, rows, cols, epilogue);
}

/// Calls a function for strips of columns: four vectors wide, two, one, and a part of one. In a strip, what belongs to the
/// columns stays in registers while the rows go by.
macro_rules! in_strips {
    ($simd:ty, $cols:expr, $strip:ident($($argument:expr),*)) => {{
        let (cols, lanes) = ($cols, <$simd>::LANES);
        let mut at = 0;
        while at + 4 * lanes <= cols {
            $strip::<$simd, 4, false>($($argument,)* at, lanes);
            at += 4 * lanes;
        }
        while at + 2 * lanes <= cols {
            $strip::<$simd, 2, false>($($argument,)* at, lanes);
            at += 2 * lanes;
        }
        while at + lanes <= cols {
            $strip::<$simd, 1, false>($($argument,)* at, lanes);
            at += lanes;
        }
        if at < cols {
            $strip::<$simd, 1, true>($($argument,)* at, cols - at);
        }
    }};
}

/// `N` vectors, each by an expression of its number. (A closure would not be compiled for the instruction set.)
macro_rules! vectors {
    ($s:ident, $n:ident, $j:ident => $value:expr) => {{
        let mut found = [$s.zero(); $n];
        for $j in 0..$n {
            found[$j] = $value;
        }
        found
    }};
}

/// `N` vectors of a row from `at` on; of a part of one, so many numbers.
#[inline(always)]
fn load<S: Simd, const N: usize, const PART: bool>(s: S, row: &[f32], at: usize, part: usize) -> [S::F; N] {
    let row = &row[at..at + if PART { part } else { N * S::LANES }];
    vectors!(s, N, j => {
        // SAFETY: the row has just been cut to what is read.
        unsafe {
            let p = row.as_ptr().add(j * S::LANES);
            if PART { s.load_partial(p, part) } else { s.load(p) }
        }
    })
}

/// The opposite of [`load`].
#[inline(always)]
fn store<S: Simd, const N: usize, const PART: bool>(s: S, row: &mut [f32], at: usize, part: usize, v: [S::F; N]) {
    let row = &mut row[at..at + if PART { part } else { N * S::LANES }];
    for (j, v) in v.into_iter().enumerate() {
        // SAFETY: the row has just been cut to what is written.
        unsafe {
            let p = row.as_mut_ptr().add(j * S::LANES);
            if PART { s.store_partial(p, part, v) } else { s.store(p, v) }
        }
    }
}

#[inline(always)]
fn moments_strip<S: Simd, const N: usize, const PART: bool>(
    s: S,
    x: &[f32],
    means: &mut [f32],
    squares: &mut [f32],
    at: usize,
    part: usize,
) {
    let cols = means.len();
    let (mut sums, mut rows) = ([s.zero(); N], 0);
    // Relative to the first row, so that a large mean does not cost the sum its last digits.
    let origin = if x.is_empty() { sums } else { load::<S, N, PART>(s, x, at, part) };
    for row in x.chunks_exact(cols) {
        let v = load::<S, N, PART>(s, row, at, part);
        sums = vectors!(s, N, j => s.add(sums[j], s.sub(v[j], origin[j])));
        rows += 1;
    }
    let count = s.splat(rows as f32);
    let center: [S::F; N] = vectors!(s, N, j => s.add(origin[j], s.div(sums[j], count)));
    let mut sums = [s.zero(); N];
    for row in x.chunks_exact(cols) {
        let v = load::<S, N, PART>(s, row, at, part);
        sums = vectors!(s, N, j => {
            let d = s.sub(v[j], center[j]);
            s.mul_add(d, d, sums[j])
        });
    }
    store::<S, N, PART>(s, means, at, part, center);
    store::<S, N, PART>(s, squares, at, part, sums);
}

/// Means and sums of squared deviations of the columns of a chunk of rows.
#[inline(always)]
pub(super) fn chunk_moments_body<S: Simd>(s: S, x: &[f32], means: &mut [f32], squares: &mut [f32]) {
    in_strips!(S, means.len(), moments_strip(s, x, means, squares));
}
crate::simd_kernel! {
    fn chunk_moments(x: &[f32], means: &mut [f32], squares: &mut [f32]) = chunk_moments_body;
}

/// `y = (x - mean) * inv_std * gamma + beta` with given statistics of length `cols`.
fn apply(
    cx: &Compute,
    x: &[f32],
    [mean, inv_std, gamma, beta]: [&[f32]; 4],
    y: &mut [f32],
    rows: usize,
    cols: usize,
    epilogue: Option<&dyn Epilogue>,
) {
    assert!(x.len() == rows * cols && y.len() == rows * cols);
    assert!([mean, inv_std, gamma, beta].iter().all(|p| p.len() == cols));
    let step = rows_per_task(cols);
    cx.pool.for_each_chunk(y, step * cols, |task, y| {
        apply_rows(cx.isa, &x[task * step * cols..][..y.len()], mean, inv_std, gamma, beta, y);
        if let Some(epilogue) = epilogue {
            // SAFETY: these rows are this task's alone.
            unsafe { epilogue.apply(task * step, 0, y.len() / cols, cols, y.as_mut_ptr(), cols) };
        }
    });
}

#[inline(always)]
fn apply_strip<S: Simd, const N: usize, const PART: bool>(
    s: S,
    x: &[f32],
    columns: [&[f32]; 4],
    y: &mut [f32],
    at: usize,
    part: usize,
) {
    let cols = columns[0].len();
    let [mean, inv_std, gamma, beta] = columns;
    let (mean, beta) = (load::<S, N, PART>(s, mean, at, part), load::<S, N, PART>(s, beta, at, part));
    let (inv_std, gamma) = (load::<S, N, PART>(s, inv_std, at, part), load::<S, N, PART>(s, gamma, at, part));
    let scale: [S::F; N] = vectors!(s, N, j => s.mul(inv_std[j], gamma[j]));
    for (x, y) in x.chunks_exact(cols).zip(y.chunks_exact_mut(cols)) {
        let v = load::<S, N, PART>(s, x, at, part);
        let v = vectors!(s, N, j => s.mul_add(s.sub(v[j], mean[j]), scale[j], beta[j]));
        store::<S, N, PART>(s, y, at, part, v);
    }
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
    in_strips!(S, mean.len(), apply_strip(s, x, [mean, inv_std, gamma, beta], y));
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

#[inline(always)]
fn gradients_strip<S: Simd, const N: usize, const PART: bool>(
    s: S,
    x: &[f32],
    dy: &[f32],
    columns: [&[f32]; 2],
    sums: &mut [f32],
    at: usize,
    part: usize,
) {
    let cols = columns[0].len();
    let (mean, inv_std) = (load::<S, N, PART>(s, columns[0], at, part), load::<S, N, PART>(s, columns[1], at, part));
    let (mut of_dy, mut of_dyz) = ([s.zero(); N], [s.zero(); N]);
    for (x, dy) in x.chunks_exact(cols).zip(dy.chunks_exact(cols)) {
        let (x, g) = (load::<S, N, PART>(s, x, at, part), load::<S, N, PART>(s, dy, at, part));
        of_dy = vectors!(s, N, j => s.add(of_dy[j], g[j]));
        of_dyz = vectors!(s, N, j => {
            let z = s.mul(s.sub(x[j], mean[j]), inv_std[j]);
            s.mul_add(g[j], z, of_dyz[j])
        });
    }
    let (sum_dy, sum_dyz) = sums.split_at_mut(cols);
    store::<S, N, PART>(s, sum_dy, at, part, of_dy);
    store::<S, N, PART>(s, sum_dyz, at, part, of_dyz);
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
    in_strips!(S, mean.len(), gradients_strip(s, x, dy, [mean, inv_std], sums));
}
crate::simd_kernel! {
    fn chunk_gradients(x: &[f32], dy: &[f32], mean: &[f32], inv_std: &[f32], sums: &mut [f32]) = chunk_gradients_body;
}

#[inline(always)]
fn input_gradient_strip<S: Simd, const N: usize, const PART: bool>(
    s: S,
    x: &[f32],
    dy: &[f32],
    columns: [&[f32]; 5],
    dx: &mut [f32],
    at: usize,
    part: usize,
) {
    let cols = columns[0].len();
    let [gamma, mean, inv, mean_dy, mean_dyz] = columns;
    let (gamma, inv) = (load::<S, N, PART>(s, gamma, at, part), load::<S, N, PART>(s, inv, at, part));
    let (mean, mean_dy) = (load::<S, N, PART>(s, mean, at, part), load::<S, N, PART>(s, mean_dy, at, part));
    let mean_dyz = load::<S, N, PART>(s, mean_dyz, at, part);
    let scale: [S::F; N] = vectors!(s, N, j => s.mul(gamma[j], inv[j]));
    for ((x, dy), dx) in x.chunks_exact(cols).zip(dy.chunks_exact(cols)).zip(dx.chunks_exact_mut(cols)) {
        let (x, g) = (load::<S, N, PART>(s, x, at, part), load::<S, N, PART>(s, dy, at, part));
        let v = vectors!(s, N, j => {
            let z = s.mul(s.sub(x[j], mean[j]), inv[j]);
            s.mul(scale[j], s.sub(s.sub(g[j], mean_dy[j]), s.mul(z, mean_dyz[j])))
        });
        store::<S, N, PART>(s, dx, at, part, v);
    }
}

#[inline(always)]
fn input_gradient_body<S: Simd>(s: S, x: &[f32], dy: &[f32], columns: [&[f32]; 5], dx: &mut [f32]) {
    in_strips!(S, columns[0].len(), input_gradient_strip(s, x, dy, columns, dx));
}
crate::simd_kernel! {
    fn input_gradient(x: &[f32], dy: &[f32], columns: [&[f32]; 5], dx: &mut [f32]) = input_gradient_body;
}
