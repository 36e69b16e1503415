//! Plain matrices as operands, and the transposition that packing rows needs.

use super::micro::prefetch;
use super::transpose::transpose;
use super::{PackA, PackB};

/// A matrix inside of a slice: element (i, j) is `data[i * row_stride + j * col_stride]`. Swapping the strides
/// transposes it.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Element (i, j) is `data[i * row_stride + j * col_stride]`.
    pub fn new(data: &'a [f32], row_stride: usize, col_stride: usize) -> Matrix<'a> {
        Matrix { data, row_stride, col_stride }
    }

    /// Rows of `row_stride` numbers one after the other.
    pub fn row_major(data: &'a [f32], row_stride: usize) -> Matrix<'a> {
        Matrix::new(data, row_stride, 1)
    }

    /// The same matrix with rows and columns exchanged.
    pub fn transposed(self) -> Matrix<'a> {
        Matrix::new(self.data, self.col_stride, self.row_stride)
    }

    /// Panics unless elements up to (`rows - 1`, `cols - 1`) exist.
    fn check(&self, rows: usize, cols: usize) {
        if rows > 0 && cols > 0 {
            let last = (rows - 1) * self.row_stride + (cols - 1) * self.col_stride;
            assert!(
                last < self.data.len(),
                "operand of the product is too short: {} numbers, element {last} needed",
                self.data.len()
            );
        }
    }
}

impl PackA for Matrix<'_> {
    fn pack(&self, row0: usize, rows: usize, k0: usize, kc: usize, mr: usize, dst: &mut [f32]) {
        self.check(row0 + rows, k0 + kc);
        let start = row0 * self.row_stride + k0 * self.col_stride;
        pack_panel(&self.data[start.min(self.data.len())..], self.row_stride, self.col_stride, rows, kc, mr, dst);
    }

    fn contiguous_rows(&self) -> Option<(&[f32], usize)> {
        (self.col_stride == 1).then_some((self.data, self.row_stride))
    }

    fn contiguous_columns(&self) -> Option<(&[f32], usize)> {
        (self.row_stride == 1).then_some((self.data, self.col_stride))
    }
}

impl PackB for Matrix<'_> {
    fn pack(&self, k0: usize, kc: usize, col0: usize, cols: usize, nr: usize, dst: &mut [f32]) {
        self.check(k0 + kc, col0 + cols);
        let start = k0 * self.row_stride + col0 * self.col_stride;
        pack_panel(&self.data[start.min(self.data.len())..], self.col_stride, self.row_stride, cols, kc, nr, dst);
    }

    fn contiguous_rows(&self) -> Option<(&[f32], usize)> {
        (self.col_stride == 1).then_some((self.data, self.row_stride))
    }

    fn contiguous_columns(&self) -> Option<(&[f32], usize)> {
        (self.row_stride == 1).then_some((self.data, self.col_stride))
    }
}

/// `dst[k * width + i] = src[i * across + k * along]` for `i < valid`, zero for the rest of `width`.
fn pack_panel(src: &[f32], across: usize, along: usize, valid: usize, kc: usize, width: usize, dst: &mut [f32]) {
    if kc == 0 {
        return;
    }
    if across == 1 {
        // Copies of a length that the compiler knows are a few instructions each.
        match (width, valid == width) {
            (32, true) => copy_rows::<32>(src, along, kc, dst),
            (16, true) => copy_rows::<16>(src, along, kc, dst),
            (12, true) => copy_rows::<12>(src, along, kc, dst),
            (8, true) => copy_rows::<8>(src, along, kc, dst),
            (6, true) => copy_rows::<6>(src, along, kc, dst),
            (4, true) => copy_rows::<4>(src, along, kc, dst),
            _ => {
                for (k, row) in dst.chunks_exact_mut(width).take(kc).enumerate() {
                    row[..valid].copy_from_slice(&src[k * along..k * along + valid]);
                    row[valid..].fill(0.0);
                }
            }
        }
    } else if along == 1 {
        transpose(src, across, valid, kc, width, dst);
    } else {
        for (k, row) in dst.chunks_exact_mut(width).take(kc).enumerate() {
            for i in 0..valid {
                row[i] = src[i * across + k * along];
            }
            row[valid..].fill(0.0);
        }
    }
}

/// Rows that are asked for before they are copied.
const AHEAD: usize = 12;

/// `dst[k * N + i] = src[k * along + i]` for `kc` rows.
fn copy_rows<const N: usize>(src: &[f32], along: usize, kc: usize, dst: &mut [f32]) {
    for (k, row) in dst.as_chunks_mut::<N>().0.iter_mut().take(kc).enumerate() {
        // Rows far apart are no pattern that the processor would foresee.
        let ahead = src.as_ptr().wrapping_add((k + AHEAD) * along);
        for line in (0..N).step_by(16) {
            prefetch(ahead.wrapping_add(line));
        }
        prefetch(ahead.wrapping_add(N - 1));
        if let Some(from) = src[k * along..].first_chunk::<N>() {
            *row = *from;
        }
    }
}

/// `dst[k * stride + lane] = rows[lane][k]` for the first `lanes` of four rows of equal length.
pub(crate) fn transpose_rows(rows: [&[f32]; 4], lanes: usize, stride: usize, dst: &mut [f32]) {
    let kc = rows[0].len();
    assert!(rows.iter().all(|r| r.len() == kc) && lanes <= 4);
    if kc == 0 {
        return;
    }
    assert!(dst.len() >= (kc - 1) * stride + lanes);
    #[allow(unused_mut)]
    let mut k = 0;
    #[cfg(target_arch = "x86_64")]
    if lanes == 4 {
        use std::arch::x86_64::*;
        while k + 4 <= kc {
            // SAFETY: SSE2 is part of x86-64; each row has four numbers from k on, and dst four at each of the rows
            // k..k + 4, both asserted above.
            unsafe {
                let mut a = _mm_loadu_ps(rows[0].as_ptr().add(k));
                let mut b = _mm_loadu_ps(rows[1].as_ptr().add(k));
                let mut c = _mm_loadu_ps(rows[2].as_ptr().add(k));
                let mut d = _mm_loadu_ps(rows[3].as_ptr().add(k));
                _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
                let p = dst.as_mut_ptr().add(k * stride);
                _mm_storeu_ps(p, a);
                _mm_storeu_ps(p.add(stride), b);
                _mm_storeu_ps(p.add(2 * stride), c);
                _mm_storeu_ps(p.add(3 * stride), d);
            }
            k += 4;
        }
    }
    for k in k..kc {
        for lane in 0..lanes {
            dst[k * stride + lane] = rows[lane][k];
        }
    }
}
