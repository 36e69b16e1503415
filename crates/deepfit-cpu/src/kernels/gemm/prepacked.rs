//! A right operand that is packed once and multiplied by many small left ones, each on the thread that calls.

use super::blocking::KC_MAX;
use super::micro::{Tile, tile};
use super::{Matrix, PackA, PackB, bf16};
use crate::kernels::{Compute, Products};
use crate::pool::SharedMut;
use crate::simd::Isa;

/// `k` x `n` numbers, packed in the precision of products.
#[derive(Clone, Copy)]
pub(crate) enum Prepacked<'a> {
    F32(Panels<'a>),
    Bf16(bf16::Prepacked<'a>),
}

/// What multiplies left operands of up to `rows` rows by one of `k` x `n`, if that is in bf16.
fn in_bf16(cx: &Compute<'_>, k: usize, n: usize, rows: usize) -> Option<bf16::Unit> {
    match cx.products {
        Products::Bf16(unit) if bf16::suits_prepacked(rows, n, k) => Some(unit),
        _ => None,
    }
}

impl<'a> Prepacked<'a> {
    /// How many `f32` [`pack`](Prepacked::pack) needs.
    pub fn size(cx: &Compute<'_>, k: usize, n: usize, rows: usize) -> usize {
        match in_bf16(cx, k, n, rows) {
            Some(_) => bf16::Prepacked::size(k, n),
            None => Panels::size(cx.isa, k, n, rows),
        }
    }

    /// Packs `b` for left operands of up to `rows` rows, with all threads.
    pub fn pack(cx: &Compute<'_>, b: &dyn PackB, k: usize, n: usize, rows: usize, data: &'a mut [f32]) -> Self {
        match in_bf16(cx, k, n, rows) {
            Some(unit) => Prepacked::Bf16(bf16::Prepacked::pack(cx, unit, b, k, n, data)),
            None => Prepacked::F32(Panels::pack(cx, b, k, n, rows, data)),
        }
    }

    /// How many `f32` a packed left operand of up to `rows` rows needs at most.
    pub fn left_size(cx: &Compute<'_>, k: usize, n: usize, rows: usize) -> usize {
        match in_bf16(cx, k, n, rows) {
            Some(_) => bf16::Prepacked::left_size(k, rows),
            None => Panels::left_size(cx.isa, k, rows),
        }
    }

    /// Packs columns `k0..k0 + columns` of a left operand of `rows` rows, which are the columns of `source`.
    pub fn pack_left(&self, source: &Matrix<'_>, rows: usize, k0: usize, columns: usize, left: &mut [f32]) {
        match self {
            Prepacked::F32(panels) => panels.pack_left(source, rows, k0, columns, left),
            Prepacked::Bf16(panels) => panels.pack_left(source, rows, k0, columns, left),
        }
    }

    /// `C = A B`, or `C += A B`, for a packed left operand; row `i` of C begins at `c[i * ldc]`.
    ///
    /// # Panics
    /// If an operand is too short.
    pub fn multiply(&self, left: &[f32], rows: usize, c: &mut [f32], ldc: usize, accumulate: bool) {
        match self {
            Prepacked::F32(panels) => panels.multiply(left, rows, c, ldc, accumulate),
            Prepacked::Bf16(panels) => panels.multiply(left, rows, c, ldc, accumulate),
        }
    }
}

/// Numbers in f32 in panels of a few vectors' width, each panel with all of its rows together.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a> {
    data: &'a [f32],
    k: usize,
    n: usize,
    isa: Isa,
    /// Most rows of the left operand in one product, on which the width of the panels depends.
    rows: usize,
}

/// Rows of the largest tile.
fn tile_limit(isa: Isa) -> usize {
    match isa {
        Isa::Portable => 4,
        Isa::Avx2 => 6,
        Isa::Avx512 => 12,
    }
}

/// Rows of each tile that `rows` are cut into: as even as the sizes of tiles allow.
fn tile_rows(isa: Isa, rows: usize) -> usize {
    let limit = tile_limit(isa);
    let even = rows.max(1).div_ceil(rows.max(1).div_ceil(limit));
    [1, 2, 4, 6, 8, 12].into_iter().find(|&height| height >= even && suits(isa, height)).unwrap_or(limit)
}

/// Whether there is a tile of this height.
fn suits(isa: Isa, height: usize) -> bool {
    match height {
        6 => isa == Isa::Avx2,
        8 | 12 => isa == Isa::Avx512,
        _ => true,
    }
}

/// Vectors in a panel: a single row keeps few sums, so it is multiplied by more columns at a time.
fn vectors(isa: Isa, rows: usize) -> usize {
    match isa {
        _ if rows == 1 => 8,
        Isa::Portable => 1,
        Isa::Avx2 | Isa::Avx512 => 2,
    }
}

impl<'a> Panels<'a> {
    /// How many `f32` [`pack`](Panels::pack) needs.
    fn size(isa: Isa, k: usize, n: usize, rows: usize) -> usize {
        k * n.next_multiple_of(vectors(isa, rows) * isa.lanes())
    }

    /// Packs `b` for left operands of up to `rows` rows, with all threads.
    fn pack(cx: &Compute<'_>, b: &dyn PackB, k: usize, n: usize, rows: usize, data: &'a mut [f32]) -> Self {
        let isa = cx.isa;
        let data = &mut data[..Self::size(isa, k, n, rows)];
        let panel = vectors(isa, rows) * isa.lanes();
        cx.pool.for_each_chunk(data, (k * panel).max(1), |index, dst| {
            let left = n - index * panel;
            let width = panel_width(isa, panel, left);
            for k0 in (0..k).step_by(KC_MAX) {
                let kc = KC_MAX.min(k - k0);
                b.pack(k0, kc, index * panel, left.min(width), width, &mut dst[k0 * width..][..kc * width]);
            }
        });
        Panels { data, k, n, isa, rows }
    }

    /// How many `f32` a packed left operand of up to `rows` rows needs at most.
    fn left_size(isa: Isa, k: usize, rows: usize) -> usize {
        k * (rows + tile_limit(isa) - 1)
    }

    /// Packs columns `k0..k0 + columns` of a left operand of `rows` rows, which are the columns of `source`.
    fn pack_left(&self, source: &Matrix<'_>, rows: usize, k0: usize, columns: usize, left: &mut [f32]) {
        let height = tile_rows(self.isa, rows);
        for row in (0..rows).step_by(height) {
            let tile = &mut left[row * self.k..][..height * self.k];
            for at in (0..columns).step_by(KC_MAX) {
                let kc = KC_MAX.min(columns - at);
                let dst = &mut tile[(k0 + at) * height..][..kc * height];
                PackA::pack(source, row, height.min(rows - row), at, kc, height, dst);
            }
        }
    }

    /// `C = A B`, or `C += A B`, for a packed left operand; row `i` of C begins at `c[i * ldc]`.
    ///
    /// # Panics
    /// If an operand is too short.
    fn multiply(&self, left: &[f32], rows: usize, c: &mut [f32], ldc: usize, accumulate: bool) {
        if rows == 0 || self.n == 0 {
            return;
        }
        assert!(rows <= self.rows && ldc >= self.n && c.len() >= (rows - 1) * ldc + self.n, "C of the product");
        let (height, lanes) = (tile_rows(self.isa, rows), self.isa.lanes());
        assert!(left.len() >= self.k * rows.next_multiple_of(height), "packed rows of the product");
        let panel = vectors(self.isa, self.rows) * lanes;
        let c = SharedMut::new(c);
        for col in (0..self.n).step_by(panel) {
            let width = panel_width(self.isa, panel, self.n - col);
            let mut k0 = 0;
            loop {
                let kc = KC_MAX.min(self.k - k0);
                for row in (0..rows).step_by(height) {
                    let tile_of_c = Tile {
                        a: left[row * self.k + k0 * height..].as_ptr(),
                        a_rows: None,
                        b: self.data[col * self.k + k0 * width..].as_ptr(),
                        b_stride: width,
                        kc,
                        c: c.as_mut_ptr().wrapping_add(row * ldc + col),
                        ldc,
                        rows: height.min(rows - row),
                        cols: width.min(self.n - col),
                        accumulate: accumulate || k0 > 0,
                        next: std::ptr::null(),
                        next_lines: 0,
                    };
                    // SAFETY: the lengths of all operands were checked above, and C is borrowed mutably.
                    unsafe { tile(self.isa, height, width / lanes, tile_of_c) };
                }
                k0 += kc;
                if k0 >= self.k {
                    break;
                }
            }
        }
    }
}

/// Columns of the panel that holds `left` columns or the first of them.
fn panel_width(isa: Isa, panel: usize, left: usize) -> usize {
    let lanes = isa.lanes();
    [lanes, 2 * lanes].into_iter().find(|&width| width >= left && width <= panel).unwrap_or(panel)
}
