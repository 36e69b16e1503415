//! A right operand that is packed once and multiplied often: weights that do not change between runs.

use std::ops::Range;

use super::blocking::Blocking;
use super::{PackB, drive};
use crate::kernels::Compute;

/// A right operand together with all of its packed panels. A product that would pack them reads them instead, and one that
/// would read the operand without packing still does: results are the same to the last bit.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    operand: &'a dyn PackB,
    panels: &'a [f32],
}

impl<'a> Packed<'a> {
    /// An operand of `k` x `n` and what [`pack`](Packed::pack) made of it.
    ///
    /// # Panics
    /// If the panels are not as many as they must be.
    pub fn new(cx: &Compute, operand: &'a dyn PackB, k: usize, n: usize, panels: &'a [f32]) -> Packed<'a> {
        let size = Self::size(cx, k, n);
        assert!(panels.len() >= size, "the packed operand has {} of {size} numbers", panels.len());
        Packed { operand, panels: &panels[..size] }
    }

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
    /// If there is less room than [`size`](Packed::size).
    pub fn pack(cx: &Compute, operand: &dyn PackB, k: usize, n: usize, panels: &mut [f32]) {
        let blocking = Blocking::of_operand(n, k, cx.isa, cx.caches);
        drive::pack(cx, &blocking, operand, k, n, &mut panels[..blocking.packed_b()]);
    }
}

impl PackB for Packed<'_> {
    fn pack(&self, k0: usize, kc: usize, col0: usize, cols: usize, nr: usize, dst: &mut [f32]) {
        self.operand.pack(k0, kc, col0, cols, nr, dst);
    }

    fn contiguous_rows(&self) -> Option<(&[f32], usize)> {
        self.operand.contiguous_rows()
    }

    fn contiguous_columns(&self) -> Option<(&[f32], usize)> {
        self.operand.contiguous_columns()
    }

    fn packed(&self) -> Option<&[f32]> {
        Some(self.panels)
    }
}
