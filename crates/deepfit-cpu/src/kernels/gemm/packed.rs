//! Right operands that are packed once and multiplied often: weights that do not change between runs. See
//! [`Gemm::packed`](super::Gemm::packed).

use std::ops::Range;

use super::blocking::Blocking;
use super::{PackB, drive};
use crate::kernels::Compute;

/// How many `f32` the panels of a `k` x `n` operand take.
pub fn size(cx: &Compute, k: usize, n: usize) -> usize {
    Blocking::of_operand(n, k, cx.isa, cx.caches).packed_b()
}

/// Whether the panels hold all rows of an operand of `k` rows together: then the panel that begins with column `j` begins
/// at `j * k`, and has a row of whole vectors for each row of the operand.
pub fn is_one_block(cx: &Compute, k: usize) -> bool {
    Blocking::of_operand(1, k, cx.isa, cx.caches).kc >= k
}

/// The columns of each panel.
pub fn panels(cx: &Compute, n: usize) -> impl Iterator<Item = Range<usize>> {
    let blocking = Blocking::of_operand(n, 1, cx.isa, cx.caches);
    (0..blocking.panels(n)).map(move |panel| {
        let first = blocking.panel_start(n, panel);
        first..(first + blocking.panel_columns(n - first)).min(n)
    })
}

/// Packs an operand, with all threads.
///
/// # Panics
/// If there is less room than [`size`].
pub fn pack(cx: &Compute, operand: &dyn PackB, k: usize, n: usize, panels: &mut [f32]) {
    let blocking = Blocking::of_operand(n, k, cx.isa, cx.caches);
    drive::pack(cx, &blocking, operand, k, n, &mut panels[..blocking.packed_b()]);
}
