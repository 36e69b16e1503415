//! Operands of f32 numbers, in whatever order they lie, rounded into panels of pairs.

use std::ops::Range;

use super::pairs::{Pairs, pairs_kernel};
use super::rounded::{MOST_TILES, RoundedRows, Tiles, ZEROS};
use super::{DEPTH, NARROW, PAIRS, SIDE, TILE, Unit};
use crate::kernels::gemm::{PackA, PackB, transpose};
use crate::simd::Simd;

/// The deepest block of a panel.
pub(super) const DEEPEST: usize = 512;

/// Columns of B that are packed together.
pub(super) const GROUP: usize = 512;

/// Columns of B that are read together where they are gathered row by row.
const GATHERED: usize = 128;

/// Tiles of columns that are transposed together.
const TOGETHER: usize = 4;

/// `count` numbers that follow each other, each 32 of them as 16 pairs, which begin `step` numbers apart.
///
/// # Safety
/// `from` must be valid for `count` numbers, `to` for 16 at each place, of which there are `count / 32`, rounded up.
#[inline(always)]
unsafe fn along_body<P: Pairs>(p: P, from: *const f32, count: usize, to: *mut f32, step: usize) {
    let (s, lanes) = (p.simd(), P::S::LANES);
    for block in 0..count.div_ceil(DEPTH) {
        let (start, left) = (block * DEPTH, count - block * DEPTH);
        for at in (0..DEPTH).step_by(2 * lanes) {
            // SAFETY: no more numbers are read than there are, and the pairs have their place.
            unsafe {
                let from = from.wrapping_add(start + at);
                let (low, high) = if left >= DEPTH {
                    (s.load(from), s.load(from.add(lanes)))
                } else {
                    let left = left.saturating_sub(at);
                    let high = from.wrapping_add(lanes);
                    (s.load_partial(from, left), s.load_partial(high, left.saturating_sub(lanes)))
                };
                s.store(to.add(block * step + at / 2), p.neighbours(low, high));
            }
        }
    }
}
pairs_kernel! {
    unsafe fn along(from: *const f32, count: usize, to: *mut f32, step: usize) = along_body;
}

/// Of `depth` rows (at most 32) of `columns` numbers, `stride` apart, 16 rows of pairs of what is above each other, `width`
/// apart. Rows that are not there are zeros.
///
/// # Safety
/// `from` must be valid for the rows, `to` for 16 rows of `columns` numbers, rounded up to whole vectors.
#[inline(always)]
unsafe fn above_body<P: Pairs>(
    p: P,
    from: *const f32,
    stride: usize,
    depth: usize,
    columns: usize,
    to: *mut f32,
    width: usize,
) {
    let s = p.simd();
    for pair in 0..PAIRS {
        let (first, rows) = (from.wrapping_add(2 * pair * stride), depth.saturating_sub(2 * pair));
        for col in (0..columns).step_by(P::S::LANES) {
            let (mut both, n) = ([s.zero(); 2], columns - col);
            // SAFETY: columns and rows that are there.
            unsafe {
                for row in 0..rows.min(2) {
                    both[row] = s.load_partial(first.add(row * stride + col), n);
                }
                s.store(to.add(pair * width + col), p.above(both[0], both[1]));
            }
        }
    }
}
pairs_kernel! {
    unsafe fn above(from: *const f32, stride: usize, depth: usize, columns: usize, to: *mut f32, width: usize) = above_body;
}

/// Of pairs of neighbours in two rows the pairs of what is above each other, as row `row` of each panel.
///
/// # Safety
/// Each panel must have the row, of 32 pairs, and there must be as many of each row as there are panels.
#[inline(always)]
unsafe fn weave_body<P: Pairs>(p: P, rows: [&Tiles; 2], panels: &mut [Panel], row: usize) {
    let (s, lanes) = (p.simd(), P::S::LANES);
    for (i, panel) in panels.iter_mut().enumerate() {
        for at in (0..PAIRS).step_by(lanes) {
            // SAFETY: 16 pairs of each row become 32 of the panel's.
            unsafe {
                let (first, second) = (s.load(rows[0][i].as_ptr().add(at)), s.load(rows[1][i].as_ptr().add(at)));
                let (low, high) = p.woven(first, second);
                let to = panel.pairs.as_mut_ptr().add(row * SIDE + 2 * at);
                s.store(to, low);
                s.store(to.add(lanes), high);
            }
        }
    }
}
pairs_kernel! {
    unsafe fn weave(rows: [&Tiles; 2], panels: &mut [Panel], row: usize) = weave_body;
}

/// Rounds numbers that follow each other: each 32 into 16 pairs, `step` apart.
pub(super) fn neighbours(unit: Unit, from: &[f32], to: &mut [f32], step: usize) {
    let blocks = from.len().div_ceil(DEPTH);
    assert!(blocks == 0 || to.len() >= (blocks - 1) * step + PAIRS, "the panel is too short");
    // SAFETY: the lengths are those asked for.
    unsafe { along(unit, from.as_ptr(), from.len(), to.as_mut_ptr(), step) };
}

/// Rounds up to 32 rows of up to 32 numbers, `stride` apart, into 16 rows of pairs, `width` apart.
fn stacked(unit: Unit, from: &[f32], stride: usize, depth: usize, columns: usize, to: &mut [f32], width: usize) {
    assert!(
        (1..=DEPTH).contains(&depth) && from.len() >= (depth - 1) * stride + columns,
        "an operand of the product is too short"
    );
    assert!(to.len() >= (PAIRS - 1) * width + columns.next_multiple_of(NARROW), "the panel is too short");
    // SAFETY: the lengths are those asked for; a vector has at most 16 numbers.
    unsafe { above(unit, from.as_ptr(), stride, depth, columns, to.as_mut_ptr(), width) };
}

/// Packs rows `row0..row0 + rows` (at most 32) of columns `k0..k0 + kc` of A as tiles of 32 rows of 16 pairs, one after the
/// other; what is in rows that are not there is arbitrary.
pub(super) fn left(unit: Unit, a: &dyn PackA, row0: usize, rows: usize, k0: usize, kc: usize, panel: &mut [f32]) {
    if let Some(rounded) = a.rounded_rows() {
        place(rounded, row0..row0 + rows, k0, panel);
        return;
    }
    if let Some((data, stride)) = a.contiguous_rows() {
        for row in 0..rows {
            let from = (row0 + row) * stride + k0;
            neighbours(unit, &data[from..from + kc], &mut panel[row * PAIRS..], TILE);
        }
        return;
    }
    if a.gathers_rows() {
        let mut line = [0.0; DEEPEST];
        for row in 0..rows {
            a.gather_row(row0 + row, k0, &mut line[..kc]);
            neighbours(unit, &line[..kc], &mut panel[row * PAIRS..], TILE);
        }
        return;
    }
    let (mut pairs, mut block) = ([0.0; TILE], [0.0; DEPTH * SIDE]);
    for (tile, at) in panel.chunks_exact_mut(TILE).zip((0..kc).step_by(DEPTH)) {
        let depth = DEPTH.min(kc - at);
        match a.contiguous_columns() {
            Some((data, stride)) => {
                stacked(unit, &data[(k0 + at) * stride + row0..], stride, depth, rows, &mut pairs, SIDE);
            }
            None => {
                a.pack(row0, rows, k0 + at, depth, SIDE, &mut block[..depth * SIDE]);
                stacked(unit, &block, SIDE, depth, rows, &mut pairs, SIDE);
            }
        }
        transpose(&pairs, SIDE, PAIRS, rows, PAIRS, tile);
    }
}

/// Copies rows that were rounded before into tiles, as many as the panel has.
fn place(rounded: &dyn RoundedRows, rows: Range<usize>, col0: usize, panel: &mut [f32]) {
    let (count, mut row) = (panel.len() / TILE, 0);
    rounded.find(rows, col0, count, &mut |tiles| {
        for (from, to) in tiles.iter().zip(panel.chunks_exact_mut(TILE)) {
            to[row * PAIRS..][..PAIRS].copy_from_slice(&from[..]);
        }
        row += 1;
    });
}

/// Packs rows of B that were rounded before into panels of 32 columns.
fn weave_rows(unit: Unit, rounded: &dyn RoundedRows, rows: Range<usize>, col0: usize, panels: &mut [Panel<'_>]) {
    let (count, pairs) = (rows.len(), rows.len().next_multiple_of(DEPTH) / 2);
    assert!(panels.len() <= MOST_TILES, "more panels than are packed together");
    assert!(
        panels.iter().all(|panel| panel.width == SIDE && panel.pairs.len() >= pairs * SIDE),
        "the panel is too short"
    );
    let (mut upper, mut row) = ([&ZEROS; MOST_TILES], 0);
    rounded.find(rows, col0, panels.len(), &mut |tiles| {
        if row % 2 == 0 {
            upper = *tiles;
        } else {
            // SAFETY: the panels have so many rows.
            unsafe { weave(unit, [&upper, tiles], panels, row / 2) };
        }
        row += 1;
    });
    if count % 2 == 1 {
        // SAFETY: as above.
        unsafe { weave(unit, [&upper, &[&ZEROS; MOST_TILES]], panels, count / 2) };
    }
    for panel in panels {
        panel.pairs[count.div_ceil(2) * SIDE..pairs * SIDE].fill(0.0);
    }
}

/// A panel of B in memory: rows of `width` pairs.
pub(super) struct Panel<'a> {
    pub width: usize,
    pub pairs: &'a mut [f32],
}

/// Packs rows `k0..k0 + kc` of columns `col0..col0 + cols` of B into panels of 32 columns each but the last; `cols` is at most
/// [`GROUP`], and what is in columns that are not there is arbitrary.
pub(super) fn right(
    unit: Unit,
    b: &dyn PackB,
    k0: usize,
    kc: usize,
    col0: usize,
    cols: usize,
    panels: &mut [Panel<'_>],
) {
    if let Some(rounded) = b.rounded_rows() {
        weave_rows(unit, rounded, k0..k0 + kc, col0, panels);
        return;
    }
    if let Some(rounded) = b.rounded_columns() {
        let mut tiles = [0.0; TOGETHER * TILE];
        for (first, panel) in panels.iter_mut().enumerate().map(|(i, panel)| (i * SIDE, panel)) {
            let columns = SIDE.min(cols - first);
            for at in (0..kc).step_by(TOGETHER * DEPTH) {
                let together = &mut tiles[..TOGETHER.min((kc - at).div_ceil(DEPTH)) * TILE];
                place(rounded, col0 + first..col0 + first + columns, k0 + at, together);
                turn(together, columns, &mut panel.pairs[at / 2 * panel.width..], panel.width);
            }
        }
        return;
    }
    if let Some((data, stride)) = b.contiguous_rows() {
        for at in (0..kc).step_by(DEPTH) {
            for (first, panel) in panels.iter_mut().enumerate().map(|(i, panel)| (i * SIDE, panel)) {
                let (from, columns) = ((k0 + at) * stride + col0 + first, SIDE.min(cols - first));
                let to = &mut panel.pairs[at / 2 * panel.width..];
                stacked(unit, &data[from..], stride, DEPTH.min(kc - at), columns, to, panel.width);
            }
        }
        return;
    }
    if let Some((data, stride)) = b.contiguous_columns() {
        for (first, panel) in panels.iter_mut().enumerate().map(|(i, panel)| (i * SIDE, panel)) {
            let mut tiles = [0.0; TOGETHER * TILE];
            for at in (0..kc).step_by(TOGETHER * DEPTH) {
                let (depth, columns) = ((TOGETHER * DEPTH).min(kc - at), SIDE.min(cols - first));
                for col in 0..columns {
                    let from = (col0 + first + col) * stride + k0 + at;
                    neighbours(unit, &data[from..from + depth], &mut tiles[col * PAIRS..], TILE);
                }
                let together = &tiles[..depth.div_ceil(DEPTH) * TILE];
                turn(together, columns, &mut panel.pairs[at / 2 * panel.width..], panel.width);
            }
        }
        return;
    }
    let mut block = [0.0; DEPTH * GATHERED];
    for (at, some) in panels.chunks_mut(GATHERED / SIDE).enumerate().map(|(i, some)| (i * GATHERED, some)) {
        let (col0, cols) = (col0 + at, GATHERED.min(cols - at));
        for at in (0..kc).step_by(DEPTH) {
            let depth = DEPTH.min(kc - at);
            if b.gathers_rows() {
                for (k, row) in block.chunks_exact_mut(GATHERED).take(depth).enumerate() {
                    b.gather_row(k0 + at + k, col0, &mut row[..cols]);
                }
            }
            for (first, panel) in some.iter_mut().enumerate().map(|(i, panel)| (i * SIDE, panel)) {
                let (columns, to) = (SIDE.min(cols - first), &mut panel.pairs[at / 2 * panel.width..]);
                if b.gathers_rows() {
                    stacked(unit, &block[first..], GATHERED, depth, columns, to, panel.width);
                } else {
                    let of_panel = &mut block[..depth * panel.width];
                    b.pack(k0 + at, depth, col0 + first, columns, panel.width, of_panel);
                    stacked(unit, of_panel, panel.width, depth, columns, to, panel.width);
                }
            }
        }
    }
}

/// Turns tiles of columns, each with its pairs together, into rows of `width` pairs.
fn turn(tiles: &[f32], columns: usize, rows: &mut [f32], width: usize) {
    for (tile, rows) in tiles.chunks_exact(TILE).zip(rows.chunks_exact_mut(PAIRS * width)) {
        transpose(tile, PAIRS, columns.min(width), PAIRS, width, rows);
    }
}
