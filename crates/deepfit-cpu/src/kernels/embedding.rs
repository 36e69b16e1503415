//! Rows of a table by index, and the gradient of the table.
//!
//! The look-up is exact; a row of the gradient is summed in the order of the indices, with at most
//! `count * 2^-24 * sum |terms|` error.

use super::Compute;
use super::context::rows_per_task;
use crate::error::Error;
use crate::simd::Simd;

/// Tasks that the rows of the gradient are cut into; each looks at all indices.
const TASKS: usize = 16;

pub(super) fn check(indices: &[i32], rows: usize) -> Result<(), Error> {
    match indices.iter().position(|&i| i < 0 || i as usize >= rows) {
        Some(position) => Err(Error::IndexOutOfRange { index: indices[position], position, rows }),
        None => Ok(()),
    }
}

/// Copies row `indices[i]` of `table` `[rows, width]` to row `i` of `y` `[indices, width]`.
///
/// # Errors
/// [`Error::IndexOutOfRange`], before anything is written.
pub fn embedding(
    cx: &Compute,
    table: &[f32],
    indices: &[i32],
    y: &mut [f32],
    rows: usize,
    width: usize,
) -> Result<(), Error> {
    assert!(table.len() == rows * width && y.len() == indices.len() * width);
    check(indices, rows)?;
    let step = rows_per_task(width);
    cx.pool.for_each_chunk(y, step * width, |task, y| {
        for (row, &index) in y.chunks_exact_mut(width.max(1)).zip(&indices[task * step..]) {
            row.copy_from_slice(&table[index as usize * width..][..width]);
        }
    });
    Ok(())
}

/// Gradient of the table: row `r` of `dtable` `[rows, width]` is the sum of the rows of `dy` `[indices, width]` whose
/// index is `r`, zero if there is none or `r` is the padding row.
///
/// # Errors
/// [`Error::IndexOutOfRange`], before anything is written.
pub fn embedding_backward(
    cx: &Compute,
    dy: &[f32],
    indices: &[i32],
    dtable: &mut [f32],
    rows: usize,
    width: usize,
    padding: Option<usize>,
) -> Result<(), Error> {
    assert!(dtable.len() == rows * width && dy.len() == indices.len() * width);
    check(indices, rows)?;
    if width == 0 {
        return Ok(());
    }
    // Each task owns a range of the table's rows, so that the order of a sum does not depend on threads.
    let step = rows.div_ceil(TASKS).max(1);
    cx.pool.for_each_chunk(dtable, step * width, |task, part| add_rows(cx.isa, dy, indices, task * step, width, part));
    if let Some(row) = padding.filter(|&row| row < rows) {
        dtable[row * width..][..width].fill(0.0);
    }
    Ok(())
}

#[inline(always)]
fn add_rows_body<S: Simd>(s: S, dy: &[f32], indices: &[i32], first: usize, width: usize, part: &mut [f32]) {
    part.fill(0.0);
    let count = part.len() / width;
    for (&index, dy) in indices.iter().zip(dy.chunks_exact(width)) {
        let row = (index as usize).wrapping_sub(first);
        if row < count {
            let sum = &mut part[row * width..][..width];
            let mut i = 0;
            while i < width {
                let v = s.add(s.load_at(sum, i), s.load_at(dy, i));
                s.store_at(sum, i, v);
                i += S::LANES;
            }
        }
    }
}
crate::simd_kernel! {
    fn add_rows(dy: &[f32], indices: &[i32], first: usize, width: usize, part: &mut [f32]) = add_rows_body;
}
