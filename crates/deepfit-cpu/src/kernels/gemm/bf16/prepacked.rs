//! A right operand that is packed once and multiplied by many small left ones, each on the thread that calls.

use super::blocking::{depth, packed, width};
use super::pack;
use super::tile::{Prepared, Tile, tile};
use super::{DEPTH, SIDE, TILE, Unit, drive, panel_columns};
use crate::kernels::Compute;
use crate::kernels::gemm::{PackA, PackB};
use crate::pool::SharedMut;

/// Panels of `k` x `n` numbers, as [`drive::pack`] lays them out.
#[derive(Clone, Copy)]
pub(crate) struct Prepacked<'a> {
    data: &'a [f32],
    k: usize,
    n: usize,
    unit: Unit,
}

impl<'a> Prepacked<'a> {
    /// How many `f32` [`pack`](Prepacked::pack) needs.
    pub fn size(k: usize, n: usize) -> usize {
        drive::packed_size(k, n)
    }

    pub fn pack(cx: &Compute<'_>, unit: Unit, b: &dyn PackB, k: usize, n: usize, data: &'a mut [f32]) -> Self {
        drive::pack(cx, unit, b, k, n, data);
        Prepacked { data, k, n, unit }
    }

    /// How many `f32` a packed left operand of up to `rows` rows needs, its tiles on whole cache lines.
    pub fn left_size(k: usize, rows: usize) -> usize {
        packed(rows.next_multiple_of(SIDE), k) + 15
    }

    /// Packs columns `k0..k0 + columns` of a left operand of `rows` rows, which are the columns of `source`. `k0` is a
    /// multiple of 32.
    pub fn pack_left(&self, source: &dyn PackA, rows: usize, k0: usize, columns: usize, left: &mut [f32]) {
        let (tiles, skip) = (self.k.div_ceil(DEPTH) * TILE, skipped(left));
        for (panel, row) in left[skip..].chunks_exact_mut(tiles).zip((0..rows).step_by(SIDE)) {
            for at in (0..columns).step_by(pack::DEEPEST) {
                let kc = pack::DEEPEST.min(columns - at);
                let dst = &mut panel[(k0 + at) / DEPTH * TILE..][..kc.div_ceil(DEPTH) * TILE];
                pack::left(self.unit, source, row, SIDE.min(rows - row), at, kc, dst);
            }
        }
    }

    /// `C = A B`, or `C += A B`, for a packed left operand; row `i` of C begins at `c[i * ldc]`.
    ///
    /// # Panics
    /// If an operand is too short.
    pub fn multiply(&self, left: &[f32], rows: usize, c: &mut [f32], ldc: usize, accumulate: bool) {
        if rows == 0 || self.n == 0 {
            return;
        }
        assert!(ldc >= self.n && c.len() >= (rows - 1) * ldc + self.n, "C of the product");
        let (left, tiles) = (&left[skipped(left)..], self.k.div_ceil(DEPTH));
        let (kc, width, c) = (depth(self.k), width(self.n), SharedMut::new(c));
        let _prepared = Prepared::new(self.unit);
        for k0 in (0..self.k).step_by(kc) {
            let steps = kc.min(self.k - k0).div_ceil(DEPTH);
            for col in (0..self.n).step_by(SIDE) {
                let panel = panel_columns(self.n - col);
                let pairs = steps * DEPTH / 2;
                let of_b = &self.data[k0 / 2 * width + col * pairs..][..panel * pairs];
                for row in (0..rows).step_by(SIDE) {
                    let of_a = &left[(row / SIDE * tiles + k0 / DEPTH) * TILE..][..steps * TILE];
                    let t = Tile {
                        a: of_a.as_ptr(),
                        b: of_b.as_ptr(),
                        steps,
                        width: panel,
                        c: c.as_mut_ptr().wrapping_add(row * ldc + col),
                        ldc,
                        rows: SIDE.min(rows - row),
                        cols: panel.min(self.n - col),
                        accumulate: accumulate || k0 > 0,
                    };
                    // SAFETY: the panels are as long as the tile says, and C, borrowed mutably, was checked above.
                    unsafe { tile(self.unit, t) };
                }
            }
        }
    }
}

/// Numbers up to the first that begins a cache line.
fn skipped(memory: &[f32]) -> usize {
    memory.as_ptr().align_offset(64).min(15).min(memory.len())
}
