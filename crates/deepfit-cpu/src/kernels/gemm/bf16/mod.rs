//! The matrix product with operands that are rounded to bfloat16 where they are packed, products that are added up in f32,
//! and a result in f32.
//!
//! bfloat16 has the range of f32 and 8 bits of its 24. Numbers are packed in pairs of what follows each other along the depth
//! of the product, a pair in the 32 bits of an `f32`: memory of packed operands is memory for half as many `f32`. Panels of A
//! have 32 rows, cut along the depth into tiles of 32 x 16 pairs; panels of B have 32 or 16 columns, a row of them for each
//! pair. Depths are filled up with zeros to a multiple of 32.
//!
//! Error of an element: `2^-8 * sum |a_i b_i|` by the rounding of the operands, beside that of the product in f32. Numbers
//! that f32 keeps with fewer bits than 24 (below `2^-126`) count as zero. NaN and infinity propagate.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
mod blocking;
mod drive;
mod pack;
mod pairs;
mod prepacked;
mod rounded;
mod tile;
mod unit;

pub(super) use blocking::scratch;
pub(super) use drive::{pack, packed_size, run};
pub(super) use prepacked::Prepacked;
pub(crate) use rounded::{MOST_TILES, ZEROS, round, round_rows};
pub use rounded::{RoundedRows, Tiles};
pub use unit::Unit;

/// Rows of a panel of A, and the most columns of a panel of B.
const SIDE: usize = 32;
/// Columns of a narrow panel of B, and rows or columns that an accelerator's tile has.
const NARROW: usize = 16;
/// Numbers along the depth in a tile.
pub(crate) const DEPTH: usize = 32;
/// Pairs along the depth in a tile.
pub(crate) const PAIRS: usize = DEPTH / 2;
/// Numbers of a tile of A.
const TILE: usize = SIDE * PAIRS;

/// The fewest rows, the fewest columns and the least depth that are worth rounding and packing: with less, most of a tile is
/// empty, or f32 is as fast.
pub(super) const LEAST: [usize; 3] = [16, 16, 16];

/// Rows that are worth it where the right operand is packed only once.
const LEAST_PREPACKED: usize = 4;

/// Whether a product of so many rows, columns and depth is multiplied in bf16.
pub(crate) fn suits(m: usize, n: usize, k: usize) -> bool {
    m >= LEAST[0] && suits_operand(k, n)
}

/// Whether products by a right operand of `k` x `n` are, if they have rows enough.
pub(crate) fn suits_operand(k: usize, n: usize) -> bool {
    n >= LEAST[1] && k >= LEAST[2]
}

/// Whether a left operand of up to so many rows is multiplied in bf16 by a right one that is packed once and used often. Parts
/// of its columns that come from different places must not share a pair: a third or a quarter of the depth, as of gates, is a
/// whole number of tiles.
pub(super) fn suits_prepacked(rows: usize, n: usize, k: usize) -> bool {
    rows >= LEAST_PREPACKED && n >= LEAST[1] && k > 0 && k.is_multiple_of(DEPTH)
}

/// Columns of the panel that holds the first of `left` columns.
fn panel_columns(left: usize) -> usize {
    if left > NARROW { SIDE } else { NARROW }
}
