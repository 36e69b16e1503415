//! Softmax, log-softmax and cross-entropy over the last axis of `[rows, cols]`.
//!
//! The largest logit is subtracted first, so nothing overflows. Errors: softmax `3e-6` relative for rows of up to
//! 65,536 columns; log-softmax and cross-entropy `1e-6 * (1 + |result| + range of the logits)`. NaN in a row makes the
//! row NaN, and so does a row of `-inf` alone, as in PyTorch.

use super::Compute;
use super::context::rows_per_task;
use crate::math;
use crate::pool::SharedMut;
use crate::simd::Simd;

fn check(rows: usize, cols: usize, lengths: &[usize]) {
    assert!(
        lengths.iter().all(|&n| n == rows * cols),
        "softmax: operands of {lengths:?} numbers, {rows} x {cols} needed"
    );
}

/// Calls `f(first row, rows)` for the ranges that tasks share.
pub(super) fn over_rows(cx: &Compute, rows: usize, cols: usize, f: impl Fn(usize, usize) + Sync) {
    let step = rows_per_task(cols);
    cx.pool.run(rows.div_ceil(step), &|task, _| f(task * step, step.min(rows - task * step)));
}

/// The largest number of a row (any of them if there is a NaN).
#[inline(always)]
pub(super) fn largest<S: Simd>(s: S, x: &[f32]) -> f32 {
    let mut best = s.splat(f32::NEG_INFINITY);
    let mut i = 0;
    while i < x.len() {
        best = s.max(s.load_at_or(x, i, f32::NEG_INFINITY), best);
        i += S::LANES;
    }
    s.reduce_max(best)
}

/// Sum of `e^(x - shift)`, each written to `y` if there is one.
#[inline(always)]
pub(super) fn sum_of_exponentials<S: Simd>(s: S, x: &[f32], shift: f32, mut y: Option<&mut [f32]>) -> f32 {
    let mut sum = s.zero();
    let mut i = 0;
    while i < x.len() {
        let e = math::exp(s, s.sub(s.load_at_or(x, i, f32::NEG_INFINITY), s.splat(shift)));
        if let Some(y) = &mut y {
            s.store_at(y, i, e);
        }
        sum = s.add(sum, e);
        i += S::LANES;
    }
    s.sum(sum)
}

/// Softmax of each row of `x` into `y`.
pub fn softmax(cx: &Compute, x: &[f32], y: &mut [f32], rows: usize, cols: usize) {
    check(rows, cols, &[x.len(), y.len()]);
    let y = SharedMut::new(y);
    over_rows(cx, rows, cols, |row, n| {
        // SAFETY: tasks have different rows.
        softmax_rows(cx.isa, &x[row * cols..][..n * cols], unsafe { y.slice(row * cols, n * cols) }, cols);
    });
}

#[inline(always)]
fn softmax_body<S: Simd>(s: S, x: &[f32], y: &mut [f32], cols: usize) {
    if cols == 0 {
        return;
    }
    for (x, y) in x.chunks_exact(cols).zip(y.chunks_exact_mut(cols)) {
        let shift = largest(s, x);
        let sum = s.splat(sum_of_exponentials(s, x, shift, Some(y)));
        let mut i = 0;
        while i < cols {
            let v = s.div(s.load_at(y, i), sum);
            s.store_at(y, i, v);
            i += S::LANES;
        }
    }
}
crate::simd_kernel! {
    fn softmax_rows(x: &[f32], y: &mut [f32], cols: usize) = softmax_body;
}

/// Gradient of softmax from its result `y`: `dx = y * (dy - sum(y * dy))`.
pub fn softmax_backward(cx: &Compute, y: &[f32], dy: &[f32], dx: &mut [f32], rows: usize, cols: usize) {
    check(rows, cols, &[y.len(), dy.len(), dx.len()]);
    let dx = SharedMut::new(dx);
    over_rows(cx, rows, cols, |row, n| {
        let range = row * cols..(row + n) * cols;
        // SAFETY: tasks have different rows.
        softmax_backward_rows(cx.isa, &y[range.clone()], &dy[range], unsafe { dx.slice(row * cols, n * cols) }, cols);
    });
}

#[inline(always)]
fn softmax_backward_body<S: Simd>(s: S, y: &[f32], dy: &[f32], dx: &mut [f32], cols: usize) {
    if cols == 0 {
        return;
    }
    for ((y, dy), dx) in y.chunks_exact(cols).zip(dy.chunks_exact(cols)).zip(dx.chunks_exact_mut(cols)) {
        let mut sum = s.zero();
        let mut i = 0;
        while i < cols {
            sum = s.mul_add(s.load_at(y, i), s.load_at(dy, i), sum);
            i += S::LANES;
        }
        let sum = s.splat(s.sum(sum));
        let mut i = 0;
        while i < cols {
            let v = s.mul(s.load_at(y, i), s.sub(s.load_at(dy, i), sum));
            s.store_at(dx, i, v);
            i += S::LANES;
        }
    }
}
crate::simd_kernel! {
    fn softmax_backward_rows(y: &[f32], dy: &[f32], dx: &mut [f32], cols: usize) = softmax_backward_body;
}

/// Natural logarithm of the softmax of each row of `x` into `y`.
pub fn log_softmax(cx: &Compute, x: &[f32], y: &mut [f32], rows: usize, cols: usize) {
    check(rows, cols, &[x.len(), y.len()]);
    let y = SharedMut::new(y);
    over_rows(cx, rows, cols, |row, n| {
        // SAFETY: tasks have different rows.
        log_softmax_rows(cx.isa, &x[row * cols..][..n * cols], unsafe { y.slice(row * cols, n * cols) }, cols);
    });
}

#[inline(always)]
fn log_softmax_body<S: Simd>(s: S, x: &[f32], y: &mut [f32], cols: usize) {
    if cols == 0 {
        return;
    }
    for (x, y) in x.chunks_exact(cols).zip(y.chunks_exact_mut(cols)) {
        let shift = largest(s, x);
        let log_sum = s.splat(sum_of_exponentials(s, x, shift, None).ln());
        let mut i = 0;
        while i < cols {
            let v = s.sub(s.sub(s.load_at(x, i), s.splat(shift)), log_sum);
            s.store_at(y, i, v);
            i += S::LANES;
        }
    }
}
crate::simd_kernel! {
    fn log_softmax_rows(x: &[f32], y: &mut [f32], cols: usize) = log_softmax_body;
}

/// Gradient of log-softmax from its result `y`: `dx = dy - e^y * sum(dy)`.
pub fn log_softmax_backward(cx: &Compute, y: &[f32], dy: &[f32], dx: &mut [f32], rows: usize, cols: usize) {
    check(rows, cols, &[y.len(), dy.len(), dx.len()]);
    let dx = SharedMut::new(dx);
    over_rows(cx, rows, cols, |row, n| {
        let range = row * cols..(row + n) * cols;
        // SAFETY: tasks have different rows.
        log_softmax_backward_rows(
            cx.isa,
            &y[range.clone()],
            &dy[range],
            unsafe { dx.slice(row * cols, n * cols) },
            cols,
        );
    });
}

#[inline(always)]
fn log_softmax_backward_body<S: Simd>(s: S, y: &[f32], dy: &[f32], dx: &mut [f32], cols: usize) {
    if cols == 0 {
        return;
    }
    for ((y, dy), dx) in y.chunks_exact(cols).zip(dy.chunks_exact(cols)).zip(dx.chunks_exact_mut(cols)) {
        let mut sum = s.zero();
        let mut i = 0;
        while i < cols {
            sum = s.add(s.load_at(dy, i), sum);
            i += S::LANES;
        }
        let sum = s.splat(-s.sum(sum));
        let mut i = 0;
        while i < cols {
            let v = s.mul_add(math::exp(s, s.load_at(y, i)), sum, s.load_at(dy, i));
            s.store_at(dx, i, v);
            i += S::LANES;
        }
    }
}
crate::simd_kernel! {
    fn log_softmax_backward_rows(y: &[f32], dy: &[f32], dx: &mut [f32], cols: usize) = log_softmax_backward_body;
}

/// How the classes count in a cross-entropy, as in PyTorch's `cross_entropy`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClassWeighting<'a> {
    /// One weight a class; `None`: all one.
    pub weights: Option<&'a [f32]>,
    /// Label smoothing in [0, 1]: this share of the target is spread evenly over all classes.
    pub smoothing: f32,
    /// The class number whose rows have neither loss nor gradient.
    pub ignore: Option<i32>,
}

/// Cross-entropy of `logits` `[rows, cols]` with class numbers `targets` `[rows]`, one `loss` a row
/// (PyTorch's `cross_entropy(reduction="none")`):
/// `-(1 - smoothing) * w[t] * log p[t] - smoothing / cols * sum over c of w[c] * log p[c]`.
/// A target outside of `0..cols` gives NaN, the one to be ignored 0.
pub fn cross_entropy(
    cx: &Compute,
    logits: &[f32],
    targets: &[i32],
    how: ClassWeighting,
    loss: &mut [f32],
    rows: usize,
    cols: usize,
) {
    check(rows, cols, &[logits.len()]);
    assert!(targets.len() == rows && loss.len() == rows && how.weights.is_none_or(|w| w.len() == cols));
    let loss = SharedMut::new(loss);
    over_rows(cx, rows, cols, |row, n| {
        // SAFETY: tasks have different rows.
        let loss = unsafe { loss.slice(row, n) };
        cross_entropy_rows(cx.isa, &logits[row * cols..][..n * cols], &targets[row..][..n], how, loss, cols);
    });
}

/// Rows of up to so many numbers are computed side by side, a row in each lane, since a vector would hold little of one.
const FEW: usize = 16;
/// Most lanes of a vector.
const LANES: usize = 16;

/// Some rows of few numbers, side by side.
struct Few {
    /// `e^(x - shift)`, a vector for each column.
    exponentials: [[f32; LANES]; FEW],
    /// The largest number of each row.
    shift: [f32; LANES],
    /// The sum of each row's exponentials.
    sum: [f32; LANES],
    /// Its natural logarithm.
    log_sum: [f32; LANES],
}

impl Few {
    const EMPTY: Few =
        Few { exponentials: [[0.0; LANES]; FEW], shift: [0.0; LANES], sum: [0.0; LANES], log_sum: [0.0; LANES] };

    /// Computes all of it for up to a vector's number of rows of `cols` numbers.
    #[inline(always)]
    fn compute<S: Simd>(&mut self, s: S, x: &[f32], cols: usize) {
        for (lane, row) in x.chunks_exact(cols).enumerate() {
            for (column, &x) in self.exponentials.iter_mut().zip(row) {
                column[lane] = x;
            }
        }
        let columns = &mut self.exponentials[..cols];
        let shift = columns.iter().fold(s.splat(f32::NEG_INFINITY), |most, x| s.max(s.load_at(x, 0), most));
        let mut sum = s.zero();
        for x in columns {
            let e = math::exp(s, s.sub(s.load_at(x, 0), shift));
            s.store_at(x, 0, e);
            sum = s.add(sum, e);
        }
        s.store_at(&mut self.shift, 0, shift);
        s.store_at(&mut self.sum, 0, sum);
        s.store_at(&mut self.log_sum, 0, math::log(s, sum));
    }
}

#[inline(always)]
fn few_cross_entropy<S: Simd>(
    s: S,
    logits: &[f32],
    targets: &[i32],
    how: ClassWeighting,
    loss: &mut [f32],
    cols: usize,
) {
    let mut few = Few::EMPTY;
    let groups = logits.chunks(S::LANES * cols).zip(targets.chunks(S::LANES)).zip(loss.chunks_mut(S::LANES));
    for ((x, targets), loss) in groups {
        few.compute(s, x, cols);
        for (lane, (out, &target)) in loss.iter_mut().zip(targets).enumerate() {
            let x = &x[lane * cols..][..cols];
            let at = match usize::try_from(target) {
                _ if how.ignore == Some(target) => {
                    *out = 0.0;
                    continue;
                }
                Ok(at) if at < cols => at,
                _ => {
                    *out = f32::NAN;
                    continue;
                }
            };
            let surprise = |x: f32| few.log_sum[lane] - (x - few.shift[lane]);
            let weight = |class: usize| how.weights.map_or(1.0, |w| w[class]);
            let mut value = (1.0 - how.smoothing) * weight(at) * surprise(x[at]);
            if how.smoothing != 0.0 {
                let sum: f32 = x.iter().enumerate().map(|(class, &x)| weight(class) * surprise(x)).sum();
                value += how.smoothing / cols as f32 * sum;
            }
            *out = value;
        }
    }
}

#[inline(always)]
fn cross_entropy_body<S: Simd>(
    s: S,
    logits: &[f32],
    targets: &[i32],
    how: ClassWeighting,
    loss: &mut [f32],
    cols: usize,
) {
    if (1..=FEW).contains(&cols) {
        return few_cross_entropy(s, logits, targets, how, loss, cols);
    }
    for (row, (out, &target)) in loss.iter_mut().zip(targets).enumerate() {
        if target < 0 || target as usize >= cols || how.ignore == Some(target) {
            *out = if how.ignore == Some(target) { 0.0 } else { f32::NAN };
            continue;
        }
        let x = &logits[row * cols..][..cols];
        let shift = largest(s, x);
        let log_sum = sum_of_exponentials(s, x, shift, None).ln();
        let weight = how.weights.map_or(1.0, |w| w[target as usize]);
        let mut value = (1.0 - how.smoothing) * weight * (log_sum - (x[target as usize] - shift));
        if how.smoothing != 0.0 {
            let mut sum = s.zero();
            let mut i = 0;
            while i < cols {
                // Beyond the row, the logarithm of the probability is made zero.
                let logit = s.load_at_or(x, i, shift + log_sum);
                let surprise = s.sub(s.splat(log_sum), s.sub(logit, s.splat(shift)));
                let surprise = s.select(s.first(cols - i), surprise, s.zero());
                sum = match how.weights {
                    Some(w) => s.mul_add(surprise, s.load_at(w, i), sum),
                    None => s.add(sum, surprise),
                };
                i += S::LANES;
            }
            value += how.smoothing / cols as f32 * s.sum(sum);
        }
        *out = value;
    }
}
crate::simd_kernel! {
    fn cross_entropy_rows(
        logits: &[f32], targets: &[i32], how: ClassWeighting<'_>, loss: &mut [f32], cols: usize,
    ) = cross_entropy_body;
}

/// The weight of each row in a weighted mean of [`cross_entropy`]: that of its class, 0 if it is ignored, NaN for a target
/// outside of `0..cols`.
pub fn row_weights(targets: &[i32], how: ClassWeighting, weights: &mut [f32], cols: usize) {
    for (weight, &target) in weights.iter_mut().zip(targets) {
        *weight = if how.ignore == Some(target) {
            0.0
        } else if target < 0 || target as usize >= cols {
            f32::NAN
        } else {
            how.weights.map_or(1.0, |w| w[target as usize])
        };
    }
}

/// Gradient of [`cross_entropy`] with respect to the logits, given the gradient `dloss` `[rows]` of each row's loss:
/// `dlogits = dloss * (p * sum(q) - q)` with the weighted, smoothed target `q`. A target outside of `0..cols` makes the
/// row NaN.
pub fn cross_entropy_backward(
    cx: &Compute,
    logits: &[f32],
    targets: &[i32],
    how: ClassWeighting,
    dloss: &[f32],
    dlogits: &mut [f32],
    rows: usize,
    cols: usize,
) {
    check(rows, cols, &[logits.len(), dlogits.len()]);
    assert!(targets.len() == rows && dloss.len() == rows && how.weights.is_none_or(|w| w.len() == cols));
    let dlogits = SharedMut::new(dlogits);
    over_rows(cx, rows, cols, |row, n| {
        // SAFETY: tasks have different rows.
        let out = unsafe { dlogits.slice(row * cols, n * cols) };
        cross_entropy_backward_rows(
            cx.isa,
            &logits[row * cols..][..n * cols],
            &targets[row..][..n],
            how,
            &dloss[row..][..n],
            out,
            cols,
        );
    });
}

#[inline(always)]
fn cross_entropy_backward_body<S: Simd>(
    s: S,
    logits: &[f32],
    targets: &[i32],
    how: ClassWeighting,
    dloss: &[f32],
    dlogits: &mut [f32],
    cols: usize,
) {
    let spread = how.smoothing / cols as f32;
    let total: f64 = how.weights.map_or(cols as f64, |w| w.iter().map(|&w| w as f64).sum());
    let mut few = Few::EMPTY;
    for (row, (&target, &upstream)) in targets.iter().zip(dloss).enumerate() {
        let lane = row % S::LANES;
        if lane == 0 && (1..=FEW).contains(&cols) {
            let rows = S::LANES.min(targets.len() - row);
            few.compute(s, &logits[row * cols..][..rows * cols], cols);
        }
        let (x, out) = (&logits[row * cols..][..cols], &mut dlogits[row * cols..][..cols]);
        if target < 0 || target as usize >= cols || how.ignore == Some(target) {
            out.fill(if how.ignore == Some(target) { 0.0 } else { f32::NAN });
            continue;
        }
        let on_target = (1.0 - how.smoothing) * how.weights.map_or(1.0, |w| w[target as usize]);
        let mass = on_target + (spread as f64 * total) as f32;
        if cols <= FEW {
            let scale = upstream * mass / few.sum[lane];
            for (class, (out, column)) in out.iter_mut().zip(&few.exponentials).enumerate() {
                *out = column[lane] * scale - upstream * spread * how.weights.map_or(1.0, |w| w[class]);
            }
            out[target as usize] -= upstream * on_target;
            continue;
        }
        let shift = largest(s, x);
        let sum = sum_of_exponentials(s, x, shift, Some(out));
        let scale = s.splat(upstream * mass / sum);
        let each = s.splat(-upstream * spread);
        let mut i = 0;
        while i < cols {
            let q = match how.weights {
                Some(w) => s.mul(each, s.load_at(w, i)),
                None => each,
            };
            let v = s.mul_add(s.load_at(out, i), scale, q);
            s.store_at(out, i, v);
            i += S::LANES;
        }
        out[target as usize] -= upstream * on_target;
    }
}
crate::simd_kernel! {
    fn cross_entropy_backward_rows(
        logits: &[f32], targets: &[i32], how: ClassWeighting<'_>, dloss: &[f32], dlogits: &mut [f32], cols: usize,
    ) = cross_entropy_backward_body;
}
