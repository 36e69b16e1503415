//! Weighted sums of positions along one axis; vectors run over what lies inside of it.
//!
//! The error of a sum is that of its `k` products and additions, at most `k * 2^-24 * sum |terms|`.

use super::Compute;
use super::context::rows_per_task;
use crate::simd::Simd;

/// A sparse matrix: row `o` has the taps `starts[o]..starts[o + 1]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SparseRows {
    /// First tap of each row, and the number of all taps.
    pub starts: Vec<u32>,
    /// The position that each tap reads.
    pub from: Vec<u32>,
    /// The weight of each tap.
    pub weights: Vec<f32>,
}

impl SparseRows {
    /// Number of rows: positions of the result.
    pub fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }
}

/// From `x` `[outer, inputs, inner]` to `y` `[outer, rows, inner]`: each row is the weighted sum of what its taps read.
///
/// # Panics
/// If a tap reads a position that there is not, or `x` and `y` do not fit.
pub fn resample(cx: &Compute, matrix: &SparseRows, x: &[f32], y: &mut [f32], inputs: usize, inner: usize) {
    if y.is_empty() {
        return;
    }
    let step = rows_per_task(inner);
    cx.pool.for_each_chunk(y, step * inner, |task, y| {
        resample_rows(cx.isa, matrix, x, y, task * step, inputs, inner);
    });
}

#[inline(always)]
fn resample_body<S: Simd>(
    s: S,
    matrix: &SparseRows,
    x: &[f32],
    y: &mut [f32],
    first: usize,
    inputs: usize,
    inner: usize,
) {
    let rows = matrix.rows();
    for (r, y) in y.chunks_exact_mut(inner).enumerate() {
        let (outer, row) = ((first + r) / rows, (first + r) % rows);
        let x = &x[outer * inputs * inner..][..inputs * inner];
        let taps = matrix.starts[row] as usize..matrix.starts[row + 1] as usize;
        let (from, weights) = (&matrix.from[taps.clone()], &matrix.weights[taps]);
        let mut i = 0;
        while i < inner {
            let mut sum = s.zero();
            for (&from, &weight) in from.iter().zip(weights) {
                sum = s.mul_add(s.splat(weight), s.load_at(&x[from as usize * inner..][..inner], i), sum);
            }
            s.store_at(y, i, sum);
            i += S::LANES;
        }
    }
}
crate::simd_kernel! {
    fn resample_rows(
        matrix: &SparseRows, x: &[f32], y: &mut [f32], first: usize, inputs: usize, inner: usize,
    ) = resample_body;
}
