//! Products of the small blocks that attention works on, all of which lie in the caches: the left operand is read row by
//! row or transposed, so that only what must be contiguous along the result's columns has to be rearranged.

use crate::simd::{Isa, Simd};

/// `C = A B` or `C += A B` for an `m` x `k` by `k` x `n` product.
#[derive(Clone, Copy)]
pub(super) struct Product {
    /// Element (i, p) of A is at `i * a_row + p * a_col`; one of the two strides is 1.
    pub a: *const f32,
    pub a_row: usize,
    pub a_col: usize,
    /// Row `p` of B begins at `p * b_row`.
    pub b: *const f32,
    pub b_row: usize,
    /// Row `i` of C begins at `i * c_row`.
    pub c: *mut f32,
    pub c_row: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Add to what C holds.
    pub accumulate: bool,
}

/// `MR` rows and `NV` vectors of C, of which the last one has `last` numbers if it is `PARTIAL`.
///
/// # Safety
/// The operands must be readable, and the tile of C writable by this thread alone, as [`Product`] says.
#[inline(always)]
unsafe fn tile<S: Simd, const MR: usize, const NV: usize, const TRANSPOSED: bool, const PARTIAL: bool>(
    s: S,
    p: &Product,
    row: usize,
    col: usize,
    last: usize,
) {
    let mut sums = [[s.zero(); NV]; MR];
    let mut a = p.a.wrapping_add(row * p.a_row);
    let mut b = p.b.wrapping_add(col);
    let (step_i, step_p) = if TRANSPOSED { (1, p.a_col) } else { (p.a_row, 1) };
    // SAFETY: each of the k steps reads one column of A and one row of B, inside of the operands.
    unsafe {
        for _ in 0..p.k {
            let mut vectors = [s.zero(); NV];
            for j in 0..NV {
                let at = b.add(j * S::LANES);
                vectors[j] = if PARTIAL && j + 1 == NV { s.load_partial(at, last) } else { s.load(at) };
            }
            for i in 0..MR {
                let x = s.splat(*a.add(i * step_i));
                for j in 0..NV {
                    sums[i][j] = s.mul_add(x, vectors[j], sums[i][j]);
                }
            }
            a = a.wrapping_add(step_p);
            b = b.wrapping_add(p.b_row);
        }
        for i in 0..MR {
            for j in 0..NV {
                let at = p.c.add((row + i) * p.c_row + col + j * S::LANES);
                if PARTIAL && j + 1 == NV {
                    let sum = if p.accumulate { s.add(s.load_partial(at, last), sums[i][j]) } else { sums[i][j] };
                    s.store_partial(at, last, sum);
                } else {
                    let sum = if p.accumulate { s.add(s.load(at), sums[i][j]) } else { sums[i][j] };
                    s.store(at, sum);
                }
            }
        }
    }
}

/// All rows of one panel of columns, in tiles as high as the registers allow.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn panel<S: Simd, const NV: usize, const TRANSPOSED: bool, const PARTIAL: bool>(
    s: S,
    p: &Product,
    col: usize,
    last: usize,
) {
    let mut row = 0;
    // SAFETY: rows up to m, which exist.
    unsafe {
        while S::LANES == 16 && row + 12 <= p.m {
            tile::<S, 12, NV, TRANSPOSED, PARTIAL>(s, p, row, col, last);
            row += 12;
        }
        while S::LANES == 16 && row + 8 <= p.m {
            tile::<S, 8, NV, TRANSPOSED, PARTIAL>(s, p, row, col, last);
            row += 8;
        }
        while S::LANES == 8 && row + 6 <= p.m {
            tile::<S, 6, NV, TRANSPOSED, PARTIAL>(s, p, row, col, last);
            row += 6;
        }
        while row + 4 <= p.m {
            tile::<S, 4, NV, TRANSPOSED, PARTIAL>(s, p, row, col, last);
            row += 4;
        }
        while row < p.m {
            tile::<S, 1, NV, TRANSPOSED, PARTIAL>(s, p, row, col, last);
            row += 1;
        }
    }
}

/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn panels<S: Simd, const TRANSPOSED: bool>(s: S, p: &Product) {
    let mut col = 0;
    // SAFETY: panels of columns up to n, the last vector cut to what exists.
    unsafe {
        while col + 2 * S::LANES <= p.n {
            panel::<S, 2, TRANSPOSED, false>(s, p, col, S::LANES);
            col += 2 * S::LANES;
        }
        let left = p.n - col;
        if left > S::LANES {
            panel::<S, 2, TRANSPOSED, true>(s, p, col, left - S::LANES);
        } else if left == S::LANES {
            panel::<S, 1, TRANSPOSED, false>(s, p, col, S::LANES);
        } else if left > 0 {
            panel::<S, 1, TRANSPOSED, true>(s, p, col, left);
        }
    }
}

#[inline(always)]
fn body<S: Simd>(s: S, p: Product) {
    // SAFETY: `run` is the only caller, and its caller makes the promise.
    unsafe {
        if p.a_row == 1 {
            panels::<S, true>(s, &p);
        } else {
            panels::<S, false>(s, &p);
        }
    }
}

crate::simd_kernel! {
    fn dispatched(p: Product) = body;
}

/// Computes the product.
///
/// # Safety
/// The operands must be readable, and C writable by this thread alone, as [`Product`] says.
pub(super) unsafe fn run(isa: Isa, p: Product) {
    dispatched(isa, p);
}
