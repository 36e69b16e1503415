//! Products of few rows by a matrix with contiguous columns: dot products read both where they are.
//!
//! A linear layer applied to a handful of rows is one (its weights are stored output by output); packing the
//! weights would cost more than multiplying them.

use super::Gemm;
use crate::kernels::Compute;
use crate::pool::SharedMut;
use crate::simd::Simd;

/// The most rows of A for which this is faster than packing. It needs no scratch memory.
pub(crate) const MAX_ROWS: usize = 8;

/// Columns of a task.
const COLUMNS: usize = 32;

/// Rows (of A) and columns (of B) computed together.
const R: usize = 4;
const C: usize = 4;

pub(super) fn run(g: &Gemm, cx: &Compute, a: (&[f32], usize), b: (&[f32], usize), c: &mut [f32], ldc: usize) {
    let c = SharedMut::new(c);
    cx.pool.run(g.n.div_ceil(COLUMNS), &|task, _| {
        let col0 = task * COLUMNS;
        let cols = COLUMNS.min(g.n - col0);
        for row0 in (0..g.m).step_by(R) {
            let rows = R.min(g.m - row0);
            for col in (col0..col0 + cols).step_by(C) {
                let width = C.min(col0 + cols - col);
                // Rows and columns beyond the edge repeat the last one; their results are dropped.
                let rows_of_a: [&[f32]; R] = std::array::from_fn(|i| {
                    let start = (row0 + i.min(rows - 1)) * a.1;
                    &a.0[start..start + g.k]
                });
                let columns_of_b: [&[f32]; C] = std::array::from_fn(|j| {
                    let start = (col + j.min(width - 1)) * b.1;
                    &b.0[start..start + g.k]
                });
                let mut sums = [[0.0; C]; R];
                if rows == 1 {
                    let mut one = [[0.0; C]; 1];
                    dots_1(cx.isa, &[rows_of_a[0]], &columns_of_b, &mut one);
                    sums[0] = one[0];
                } else {
                    dots_4(cx.isa, &rows_of_a, &columns_of_b, &mut sums);
                }
                for i in 0..rows {
                    // SAFETY: tasks have different columns, so no two touch the same part of a row.
                    let out = unsafe { c.slice((row0 + i) * ldc + col, width) };
                    for j in 0..width {
                        out[j] = if g.accumulate { out[j] + sums[i][j] } else { sums[i][j] };
                    }
                }
            }
        }
        if let Some(epilogue) = g.epilogue {
            // SAFETY: this task alone owns these columns, inside of C by the check of its length.
            unsafe { epilogue.apply(0, col0, g.m, cols, c.as_mut_ptr().add(col0), ldc) };
        }
    });
}

#[inline(always)]
fn dots<S: Simd, const N: usize>(s: S, a: &[&[f32]; N], b: &[&[f32]; C], out: &mut [[f32; C]; N]) {
    let k = a[0].len();
    let mut sums = [[s.zero(); C]; N];
    let mut at = 0;
    while at < k {
        let mut columns = [s.zero(); C];
        for j in 0..C {
            columns[j] = s.load_at(b[j], at);
        }
        for i in 0..N {
            let x = s.load_at(a[i], at);
            for j in 0..C {
                sums[i][j] = s.mul_add(x, columns[j], sums[i][j]);
            }
        }
        at += S::LANES;
    }
    for i in 0..N {
        for j in 0..C {
            out[i][j] = s.sum(sums[i][j]);
        }
    }
}

#[inline(always)]
fn dots_1_body<S: Simd>(s: S, a: &[&[f32]; 1], b: &[&[f32]; C], out: &mut [[f32; C]; 1]) {
    dots(s, a, b, out);
}
#[inline(always)]
fn dots_4_body<S: Simd>(s: S, a: &[&[f32]; R], b: &[&[f32]; C], out: &mut [[f32; C]; R]) {
    dots(s, a, b, out);
}
crate::simd_kernel! {
    fn dots_1(a: &[&[f32]; 1], b: &[&[f32]; C], out: &mut [[f32; C]; 1]) = dots_1_body;
}
crate::simd_kernel! {
    fn dots_4(a: &[&[f32]; R], b: &[&[f32]; C], out: &mut [[f32; C]; R]) = dots_4_body;
}
