//! Matrix product `C = A B`, blocked for the caches and packed (Goto and van de Geijn, *Anatomy of
//! High-Performance Matrix Multiplication*, ACM TOMS 34(3), 2008).
//!
//! B is packed into panels of a few vectors' width, A into panels of a few rows; a micro-kernel multiplies two
//! panels with the whole tile of C in registers. The operands come through [`PackA`] and [`PackB`], so that a
//! convolution multiplies patches that never exist as a matrix.
//!
//! Error of an element: at most `(k + 8) * 2^-24 * sum |a_i b_i|`, in practice far less. NaN and infinity
//! propagate: nothing is skipped for being zero.

pub mod bf16;
mod blocking;
mod dot;
mod drive;
mod micro;
mod pack;
pub mod packed;
mod prepacked;
mod transpose;

pub(crate) use blocking::KC_MAX;
pub(crate) use dot::MAX_ROWS as UNPACKED_ROWS;
pub(crate) use micro::prefetch_row;
pub use pack::Matrix;
pub(crate) use pack::transpose_rows;
pub(crate) use prepacked::Prepacked;
pub(crate) use transpose::transpose;

use crate::kernels::{Compute, Products};
use bf16::RoundedRows;

/// The left operand, `m` rows of `k`, as the product wants to read it.
pub trait PackA: Sync {
    /// Writes rows `row0..row0 + rows` (`rows <= mr`) of columns `k0..k0 + kc` as `dst[k * mr + row]`, with zeros in
    /// place of the rows from `rows` to `mr`. `dst` has `kc * mr` elements; `kc` is at most 512.
    fn pack(&self, row0: usize, rows: usize, k0: usize, kc: usize, mr: usize, dst: &mut [f32]);

    /// The operand as a plain matrix with contiguous rows (data, row stride), if it is one.
    fn contiguous_rows(&self) -> Option<(&[f32], usize)> {
        None
    }

    /// The operand as a plain matrix with contiguous columns (data, column stride), if it is one.
    fn contiguous_columns(&self) -> Option<(&[f32], usize)> {
        None
    }

    /// Whether [`gather_row`](PackA::gather_row) gives parts of a row sooner than `pack` gives panels.
    fn gathers_rows(&self) -> bool {
        false
    }

    /// The rows in pairs, if they were rounded before: of a matrix whose columns are a multiple of 32.
    fn rounded_rows(&self) -> Option<&dyn RoundedRows> {
        None
    }

    /// Writes columns `k0..k0 + dst.len()` of a row.
    fn gather_row(&self, row: usize, k0: usize, dst: &mut [f32]) {
        dst.chunks_mut(KC_MAX).enumerate().for_each(|(i, dst)| self.pack(row, 1, k0 + i * KC_MAX, dst.len(), 1, dst));
    }
}

/// The right operand, `k` rows of `n`, as the product wants to read it.
pub trait PackB: Sync {
    /// Writes rows `k0..k0 + kc` of columns `col0..col0 + cols` (`cols <= nr`) as `dst[k * nr + col]`, with zeros in
    /// place of the columns from `cols` to `nr`. `dst` has `kc * nr` elements.
    fn pack(&self, k0: usize, kc: usize, col0: usize, cols: usize, nr: usize, dst: &mut [f32]);

    /// The operand as a plain matrix with contiguous rows (data, row stride), if it is one.
    fn contiguous_rows(&self) -> Option<(&[f32], usize)> {
        None
    }

    /// The operand as a plain matrix with contiguous columns (data, column stride), if it is one.
    fn contiguous_columns(&self) -> Option<(&[f32], usize)> {
        None
    }

    /// Whether [`gather_row`](PackB::gather_row) gives parts of a row sooner than `pack` gives panels.
    fn gathers_rows(&self) -> bool {
        false
    }

    /// The rows in pairs of neighbours, if they were rounded before: of a matrix whose columns are a multiple of 32.
    fn rounded_rows(&self) -> Option<&dyn RoundedRows> {
        None
    }

    /// The columns in pairs, if they were rounded before: of a matrix whose rows are a multiple of 32.
    fn rounded_columns(&self) -> Option<&dyn RoundedRows> {
        None
    }

    /// Writes columns `col0..col0 + dst.len()` of row `k`.
    fn gather_row(&self, k: usize, col0: usize, dst: &mut [f32]) {
        self.pack(k, 1, col0, dst.len(), dst.len(), dst);
    }
}

/// What is done to a tile of the product while it is still in the cache: bias, activation, residual.
pub trait Epilogue: Sync {
    /// Changes in place the finished tile of rows `row..row + rows` and columns `col..col + cols`; row `i` of it begins
    /// at `c + i * ldc`. Each element is handed over exactly once.
    ///
    /// # Safety
    /// The caller passes a tile that nobody else reads or writes meanwhile.
    unsafe fn apply(&self, row: usize, col: usize, rows: usize, cols: usize, c: *mut f32, ldc: usize);
}

/// A matrix product of `m` x `k` by `k` x `n`.
#[derive(Clone, Copy)]
pub struct Gemm<'a> {
    /// Rows of A and of the result.
    pub m: usize,
    /// Columns of B and of the result.
    pub n: usize,
    /// Columns of A, which are the rows of B.
    pub k: usize,
    /// Add to what C holds instead of replacing it.
    pub accumulate: bool,
    /// What is made of the product's tiles while they are in the cache.
    pub epilogue: Option<&'a dyn Epilogue>,
    /// The panels of B, if [`packed::pack`] made them before.
    pub packed: Option<&'a [f32]>,
}

impl<'a> Gemm<'a> {
    /// A product that replaces C.
    pub fn new(m: usize, n: usize, k: usize) -> Gemm<'a> {
        Gemm { m, n, k, accumulate: false, epilogue: None, packed: None }
    }

    /// Adds to C instead of replacing it.
    pub fn accumulate(self, accumulate: bool) -> Gemm<'a> {
        Gemm { accumulate, ..self }
    }

    /// Where tasks have summed chunks of the depth, one product of `m` x `n` after the other: adds these up in their order, so
    /// that no result depends on threads, and finishes C, whose tasks must be done.
    fn add_chunks(&self, sums: &[f32], c: &mut [f32], ldc: usize) {
        for i in 0..self.m {
            let row = &mut c[i * ldc..i * ldc + self.n];
            if !self.accumulate {
                row.fill(0.0);
            }
            for chunk in sums.chunks_exact(self.m * self.n) {
                let own = &chunk[i * self.n..][..self.n];
                row.iter_mut().zip(own).for_each(|(sum, more)| *sum += more);
            }
        }
        if let Some(epilogue) = self.epilogue {
            // SAFETY: C is this thread's alone.
            unsafe { epilogue.apply(0, 0, self.m, self.n, c.as_mut_ptr(), ldc) };
        }
    }

    /// Applies `epilogue` to each finished tile.
    pub fn epilogue(self, epilogue: Option<&'a dyn Epilogue>) -> Gemm<'a> {
        Gemm { epilogue, ..self }
    }

    /// With the panels that [`packed::pack`] made of B. A product that would pack B reads them instead, and one that would
    /// read B without packing still does: results are the same to the last bit.
    pub fn packed(self, packed: Option<&'a [f32]>) -> Gemm<'a> {
        Gemm { packed, ..self }
    }

    /// How many `f32` of scratch are enough for [`run`](Gemm::run), also with smaller sizes.
    pub fn scratch(&self, cx: &Compute) -> usize {
        let &Gemm { m, n, k, .. } = self;
        let threads = cx.pool.threads();
        let in_f32 = |m: usize, n: usize, k: usize| {
            blocking::Blocking::new(m, n, k, cx.isa, cx.caches, threads).scratch(m, n, k, cx.caches, threads)
        };
        match cx.products {
            Products::Bf16(_) if bf16::suits(m, n, k) => {
                // A smaller product may be one that is computed in f32.
                let smaller = bf16::LEAST.map(|least| least - 1);
                let few = [(m.min(smaller[0]), n, k), (m, n.min(smaller[1]), k), (m, n, k.min(smaller[2]))];
                let of_few = few.into_iter().map(|(m, n, k)| in_f32(m, n, k)).max().unwrap_or(0);
                bf16::scratch(m, n, k, cx.caches, threads).max(of_few)
            }
            _ => in_f32(m, n, k),
        }
    }

    /// Computes `C = A B` (or `C += A B`); row `i` of C begins at `c[i * ldc]`.
    ///
    /// # Panics
    /// If C or the scratch is too short, or a plain or packed operand is.
    pub fn run(&self, cx: &Compute, a: &dyn PackA, b: &dyn PackB, c: &mut [f32], ldc: usize, scratch: &mut [f32]) {
        if self.m == 0 || self.n == 0 {
            return;
        }
        assert!(ldc >= self.n && c.len() >= (self.m - 1) * ldc + self.n, "C of the product is too short");
        match cx.products {
            Products::Bf16(unit) if bf16::suits(self.m, self.n, self.k) => {
                bf16::run(self, cx, unit, a, b, c, ldc, scratch);
            }
            // What is packed of B may be in bf16, for products with more rows.
            Products::Bf16(_) if bf16::suits_operand(self.k, self.n) => {
                drive::run(&self.packed(None), cx, a, b, c, ldc, scratch);
            }
            _ => drive::run(self, cx, a, b, c, ldc, scratch),
        }
    }
}
