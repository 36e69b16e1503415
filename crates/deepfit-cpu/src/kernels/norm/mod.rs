//! Batch, group, layer and root mean square normalisation over `[rows, cols]`.
//!
//! Means and variances take two passes over each chunk of rows (no difference of large sums), and chunks are
//! combined in f64 in a fixed order. Errors against f64: results and gradients within `1e-5 * (1 + |result|)` for
//! inputs whose spread is not below `1e-3` of their mean; parameter gradients within `1e-6 * sum |terms|`.

mod batch;
mod group;
mod layer;

pub use batch::{batch_norm, batch_norm_backward, batch_norm_scratch};
pub use group::{GroupNormShape, group_norm, group_norm_backward, group_norm_scratch};
pub use layer::{layer_norm, layer_norm_backward, layer_norm_scratch, rms_norm, rms_norm_backward};

/// The most chunks that the rows are cut into.
const MOST_CHUNKS: usize = 128;

/// Rows whose column sums are taken together: some 64 KB of input, and not so few rows that the chunks' sums weigh.
fn chunk_rows(rows: usize, cols: usize) -> usize {
    ((1 << 14) / cols.max(1)).clamp(16, 256).max(rows.div_ceil(MOST_CHUNKS))
}

/// Numbers in the two column sums of all chunks.
fn partial_sums(rows: usize, cols: usize) -> usize {
    2 * cols * rows.div_ceil(chunk_rows(rows, cols))
}

/// Numbers that suffice for the column sums of up to so many rows: fewer rows may be more chunks, if these are smaller.
fn most_partial_sums(rows: usize, cols: usize) -> usize {
    2 * cols * rows.div_ceil(chunk_rows(1, cols)).min(MOST_CHUNKS)
}

/// Adds one of the two sums of all chunks for column `col`.
fn combine(partial: &[f32], which: usize, col: usize, cols: usize) -> f64 {
    partial[which * cols + col..].iter().step_by(2 * cols).map(|&v| v as f64).sum()
}
