//! Right operands that are packed once and multiplied often: weights that do not change between runs. See
//! [`Gemm::packed`](super::Gemm::packed).

use std::ops::Range;

use super::blocking::Blocking;
use super::{PackB, bf16, drive};
use crate::kernels::{Compute, Products};

/// How many `f32` the panels of a `k` x `n` operand take.
pub fn size(cx: &Compute, k: usize, n: usize) -> usize {
    if in_bf16(cx, k, n).is_some() {
        return bf16::packed_size(k, n);
    }
    Blocking::of_operand(n, k, cx.isa, cx.caches).packed_b()
}

/// What multiplies by the operand, if it is packed in bf16.
fn in_bf16(cx: &Compute, k: usize, n: usize) -> Option<bf16::Unit> {
    match cx.products {
        Products::Bf16(unit) if bf16::suits_operand(k, n) => Some(unit),
        _ => None,
    }
}

/// Whether the panels, in f32, hold all rows of an operand of `k` rows together: then the panel that begins with column `j` begins
/// at `j * k`, and has a row of whole vectors for each row of the operand.
pub fn is_one_block(cx: &Compute, k: usize) -> bool {
    Blocking::of_operand(1, k, cx.isa, cx.caches).kc >= k
}

/// The columns of each panel in f32.
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
    if let Some(unit) = in_bf16(cx, k, n) {
        return bf16::pack(cx, unit, operand, k, n, panels);
    }
    let blocking = Blocking::of_operand(n, k, cx.isa, cx.caches);
    drive::pack(cx, &blocking, operand, k, n, &mut panels[..blocking.packed_b()]);
}
