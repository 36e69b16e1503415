//! Operands that were rounded before they are packed, since what they hold is read several times.

use std::ops::Range;

use super::pack::{DEEPEST, neighbours};
use super::{DEPTH, PAIRS, Unit};
use crate::kernels::Compute;
use crate::kernels::context::ELEMENTS_PER_TASK;

/// A matrix whose rows are in pairs of neighbours, 16 of which lie together wherever a multiple of 32 columns begins.
pub trait RoundedRows: Sync {
    /// Tells `take`, for one of `rows` after the other, where `count` times 32 columns from `col0` on lie; `col0` is a multiple
    /// of 32, and `count` at most 16.
    fn find<'a>(&'a self, rows: Range<usize>, col0: usize, count: usize, take: &mut dyn FnMut(&Tiles<'a>));
}

/// Most times 32 columns that are asked for together.
pub(crate) const MOST_TILES: usize = DEEPEST / DEPTH;

/// Where 16 pairs each of a row lie.
pub type Tiles<'a> = [&'a [f32; PAIRS]; MOST_TILES];

/// 32 numbers that are zero.
pub(crate) static ZEROS: [f32; PAIRS] = [0.0; PAIRS];

/// Rounds numbers to pairs of neighbours, with all threads. Their count is a multiple of 32, or what is left of the last 32
/// becomes zeros.
///
/// # Panics
/// If there is no room for half as many.
pub(crate) fn round(cx: &Compute, unit: Unit, numbers: &[f32], pairs: &mut [f32]) {
    const _: () = assert!(ELEMENTS_PER_TASK.is_multiple_of(DEPTH));
    let pairs = &mut pairs[..numbers.len().div_ceil(DEPTH) * PAIRS];
    cx.pool.for_each_chunk(pairs, ELEMENTS_PER_TASK / 2, |task, pairs| {
        let from = &numbers[task * ELEMENTS_PER_TASK..];
        neighbours(unit, &from[..from.len().min(ELEMENTS_PER_TASK)], pairs, PAIRS);
    });
}

/// Rounds numbers on this thread, as many as fill the pairs.
pub(crate) fn round_rows(unit: Unit, numbers: &[f32], pairs: &mut [f32]) {
    neighbours(unit, &numbers[..2 * pairs.len()], pairs, PAIRS);
}
