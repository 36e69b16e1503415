//! The innermost loops: 32 rows of A by a panel of B.

use super::pairs::{Pairs, pairs_kernel};
use super::{NARROW, PAIRS, SIDE, Unit};
use crate::simd::Simd;

/// A panel of A times a panel of B, into a tile of C.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// `steps` tiles of 32 rows of 16 pairs.
    pub a: *const f32,
    /// 16 rows of `width` pairs for each step.
    pub b: *const f32,
    pub steps: usize,
    /// Columns of the panel of B: 32 or 16.
    pub width: usize,
    pub c: *mut f32,
    pub ldc: usize,
    /// Rows and columns of C that exist, not 0; the others are computed, of whatever the panels hold, and dropped.
    pub rows: usize,
    pub cols: usize,
    /// Whether C already holds the sum of earlier blocks.
    pub accumulate: bool,
}

/// Rows that are multiplied together by vectors.
const ROWS: usize = 8;

/// # Safety
/// As [`tile`], for [`ROWS`] rows from `first` on and `NV` vectors from column `col` on.
#[inline(always)]
unsafe fn dots<P: Pairs, const NV: usize>(p: P, t: &Tile, first: usize, col: usize) {
    let s = p.simd();
    let lanes = P::S::LANES;
    let mut sums = [[s.zero(); NV]; ROWS];
    // SAFETY: the panels have so many tiles, each with 32 rows of A and 16 of B.
    unsafe {
        for step in 0..t.steps {
            let a = t.a.add((step * SIDE + first) * PAIRS);
            let b = t.b.add(step * PAIRS * t.width + col);
            for pair in 0..PAIRS {
                let mut row = [s.zero(); NV];
                for j in 0..NV {
                    row[j] = s.load(b.add(pair * t.width + j * lanes));
                }
                for i in 0..ROWS {
                    let x = s.splat(*a.add(i * PAIRS + pair));
                    for j in 0..NV {
                        sums[i][j] = p.dot(sums[i][j], x, row[j]);
                    }
                }
            }
        }
        for i in 0..ROWS.min(t.rows - first) {
            for j in 0..NV {
                let n = t.cols.saturating_sub(col + j * lanes);
                if n > 0 {
                    let at = t.c.add((first + i) * t.ldc + col + j * lanes);
                    let v = if t.accumulate { s.add(s.load_partial(at, n), sums[i][j]) } else { sums[i][j] };
                    s.store_partial(at, n, v);
                }
            }
        }
    }
}

/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn vectors_body<P: Pairs>(p: P, t: &Tile) {
    for first in (0..t.rows).step_by(ROWS) {
        let mut col = 0;
        while col < t.width {
            // SAFETY: rows and columns are those of the panels.
            unsafe {
                if t.width - col >= 2 * P::S::LANES {
                    dots::<P, 2>(p, t, first, col);
                    col += 2 * P::S::LANES;
                } else {
                    dots::<P, 1>(p, t, first, col);
                    col += P::S::LANES;
                }
            }
        }
    }
}
pairs_kernel! {
    unsafe fn vectors(t: &Tile) = vectors_body;
}

/// Adds numbers of a block, `width` a row, to a tile of C, or puts them there.
///
/// # Safety
/// The block must have as many rows of `width` numbers as C, and C's tile must be the caller's.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[inline(always)]
unsafe fn absorb_body<P: Pairs>(p: P, t: &Tile, block: &[f32; SIDE * SIDE], width: usize) {
    let s = p.simd();
    for (i, row) in block.chunks_exact(width).take(t.rows).enumerate() {
        for col in (0..t.cols).step_by(P::S::LANES) {
            let n = t.cols - col;
            // SAFETY: no more than the columns that exist, of a row that exists.
            unsafe {
                let at = t.c.add(i * t.ldc + col);
                let v = s.load_at(row, col);
                let v = if t.accumulate { s.add(s.load_partial(at, n), v) } else { v };
                s.store_partial(at, n, v);
            }
        }
    }
}
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pairs_kernel! {
    unsafe fn absorb(t: &Tile, block: &[f32; SIDE * SIDE], width: usize) = absorb_body;
}

/// Multiplies a panel of A by a panel of B.
///
/// # Safety
/// The panels must be readable as [`Tile`] says, and C's tile of `rows` x `cols` writable and used by nobody else. For a unit
/// of tiles, this thread must have [prepared](Prepared) it.
pub(super) unsafe fn tile(unit: Unit, t: Tile) {
    debug_assert!(t.width == SIDE || t.width == NARROW);
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if unit.kind() == super::unit::Kind::Tiles {
        let whole = |count: usize| count.is_multiple_of(NARROW);
        if whole(t.rows) && t.cols == t.width {
            // SAFETY: the caller's promise.
            unsafe { super::amx::multiply(&t, t.c, t.ldc) };
        } else {
            let mut block = [0.0; SIDE * SIDE];
            let fresh = Tile { accumulate: false, ..t };
            // SAFETY: the block has room for all rows and columns of the panels.
            unsafe {
                super::amx::multiply(&fresh, block.as_mut_ptr(), t.width);
                absorb(unit, &t, &block, t.width);
            }
        }
        return;
    }
    // SAFETY: the caller's promise.
    unsafe { vectors(unit, &t) };
}

/// While it lives, this thread may multiply with its unit.
pub(super) struct Prepared(Unit);

impl Prepared {
    pub(super) fn new(unit: Unit) -> Prepared {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if unit.kind() == super::unit::Kind::Tiles {
            // SAFETY: the unit proves the instructions.
            unsafe { super::amx::configure() };
        }
        Prepared(unit)
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if self.0.kind() == super::unit::Kind::Tiles {
            // SAFETY: the unit proves the instructions.
            unsafe { super::amx::release() };
        }
    }
}
