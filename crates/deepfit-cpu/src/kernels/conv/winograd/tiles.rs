//! Tiles of an image to points, and points to tiles of an image.

use std::ops::Range;

use super::TileSize;
use super::transform::{Inputs, Linear, OutputGradients, Outputs, both};
use crate::pool::SharedMut;
use crate::simd::{Isa, Simd};

/// How images `[n, h, w, c]` are cut into tiles. Tiles are numbered across, then down, then image by image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    /// Height, width and channels of an image.
    pub image: [usize; 3],
    /// Tiles of an image, down and across.
    pub tiles: [usize; 2],
    /// Pixels from tile to tile.
    pub step: usize,
    /// Where the first tile begins, down and across.
    pub offset: [isize; 2],
}

/// A tile of the grid: its image and its first pixel, which may lie outside.
#[derive(Clone, Copy)]
struct Position {
    image: usize,
    y: isize,
    x: isize,
}

impl Grid {
    #[inline(always)]
    fn position(&self, tile: usize) -> Position {
        let (across, line) = (tile % self.tiles[1], tile / self.tiles[1]);
        Position {
            image: line / self.tiles[0],
            y: (line % self.tiles[0] * self.step) as isize + self.offset[0],
            x: (across * self.step) as isize + self.offset[1],
        }
    }

    /// Calls `f(first pixel, pixels)` for each line of pixels of tiles `first..first + count`, counted over all images.
    pub fn lines(&self, first: usize, count: usize, mut f: impl FnMut(usize, usize)) {
        let [height, width, _] = self.image;
        let mut tile = first;
        while tile < first + count {
            let (across, line) = (tile % self.tiles[1], tile / self.tiles[1]);
            let n = (self.tiles[1] - across).min(first + count - tile);
            let (image, down) = (line / self.tiles[0], line % self.tiles[0]);
            let (left, right) = (across * self.step, ((across + n) * self.step).min(width));
            for y in down * self.step..((down + 1) * self.step).min(height) {
                f((image * height + y) * width + left, right - left);
            }
            tile += n;
        }
    }
}

/// Memory for the points of some tiles: tile `t` and channel `c` at
/// `first + point * point_stride + c / LANES * block_stride + t * LANES + c % LANES`.
#[derive(Clone, Copy)]
pub(super) struct Points<'a> {
    pub memory: SharedMut<'a, f32>,
    pub first: usize,
    pub point_stride: usize,
    pub block_stride: usize,
}

/// Memory for the sums of some tiles: tile `t` and column `c` at `first + point * point_stride + t * tile_stride + c`.
#[derive(Clone, Copy)]
pub(super) struct Sums<'a> {
    pub memory: SharedMut<'a, f32>,
    pub first: usize,
    pub point_stride: usize,
    pub tile_stride: usize,
}

/// Some tiles and some blocks of channels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub first_tile: usize,
    pub tiles: usize,
    pub first_block: usize,
    pub blocks: usize,
}

/// The pixels of one tile for a vector of channels; zeros outside of the image and beyond its channels.
#[inline(always)]
fn read<S: Simd, const N: usize>(s: S, data: &[f32], grid: &Grid, at: Position, channel: usize) -> [[S::F; N]; N] {
    let [height, width, channels] = grid.image;
    let image = &data[at.image * height * width * channels..][..height * width * channels];
    let mut tile = [[s.zero(); N]; N];
    let inside = at.y >= 0 && at.x >= 0 && at.y as usize + N <= height && at.x as usize + N <= width;
    if inside && channel + S::LANES <= channels {
        let first = (at.y as usize * width + at.x as usize) * channels + channel;
        for i in 0..N {
            for j in 0..N {
                // SAFETY: the tile and the vector of channels lie inside of the image, checked above.
                tile[i][j] = unsafe { s.load(image.as_ptr().add(first + (i * width + j) * channels)) };
            }
        }
        return tile;
    }
    let left = channels.saturating_sub(channel);
    for i in 0..N {
        let y = at.y + i as isize;
        if y < 0 || y >= height as isize {
            continue;
        }
        for j in 0..N {
            let x = at.x + j as isize;
            if x >= 0 && x < width as isize {
                let first = (y as usize * width + x as usize) * channels + channel;
                tile[i][j] = s.load_at(&image[first..first + left.min(S::LANES)], 0);
            }
        }
    }
    tile
}

#[inline(always)]
fn to_points_body<S: Simd, L: Linear<N, A>, const N: usize, const A: usize>(
    s: S,
    _: L,
    data: &[f32],
    grid: &Grid,
    part: Part,
    points: Points<'_>,
) {
    if part.tiles == 0 || part.blocks == 0 {
        return;
    }
    let last = points.first + (A * A - 1) * points.point_stride + (part.blocks - 1) * points.block_stride;
    assert!(last + part.tiles * S::LANES <= points.memory.len(), "no room for the points");
    for block in 0..part.blocks {
        let channel = (part.first_block + block) * S::LANES;
        for t in 0..part.tiles {
            let tile = read::<S, N>(s, data, grid, grid.position(part.first_tile + t), channel);
            let of_tile = both::<S, L, N, A>(s, &tile);
            let first = points.first + block * points.block_stride + t * S::LANES;
            for i in 0..A {
                for j in 0..A {
                    let at = first + (i * A + j) * points.point_stride;
                    // SAFETY: the last point lies inside of the memory, asserted above; the caller promised that nobody
                    // else uses it.
                    unsafe { s.store(points.memory.as_mut_ptr().add(at), of_tile[i][j]) };
                }
            }
        }
    }
}

crate::simd_kernel! {
    fn inputs_2(
        map: Inputs<2>, data: &[f32], grid: &Grid, part: Part, points: Points<'_>,
    ) = to_points_body;
}
crate::simd_kernel! {
    fn inputs_4(
        map: Inputs<4>, data: &[f32], grid: &Grid, part: Part, points: Points<'_>,
    ) = to_points_body;
}
crate::simd_kernel! {
    fn gradients_2(
        map: OutputGradients<2>, data: &[f32], grid: &Grid, part: Part, points: Points<'_>,
    ) = to_points_body;
}
crate::simd_kernel! {
    fn gradients_4(
        map: OutputGradients<4>, data: &[f32], grid: &Grid, part: Part, points: Points<'_>,
    ) = to_points_body;
}

/// Transforms tiles of inputs; the first tile and block of `part` are the first in `points`.
///
/// # Safety
/// Nobody else may use the points of these tiles and channels meanwhile.
pub(super) unsafe fn inputs(isa: Isa, size: TileSize, data: &[f32], grid: &Grid, part: Part, points: Points<'_>) {
    match size {
        TileSize::Two => inputs_2(isa, Inputs, data, grid, part, points),
        TileSize::Four => inputs_4(isa, Inputs, data, grid, part, points),
    }
}

/// Transforms tiles of gradients of outputs; the first tile and block of `part` are the first in `points`.
///
/// # Safety
/// Nobody else may use the points of these tiles and channels meanwhile.
pub(super) unsafe fn gradients(isa: Isa, size: TileSize, data: &[f32], grid: &Grid, part: Part, points: Points<'_>) {
    match size {
        TileSize::Two => gradients_2(isa, OutputGradients, data, grid, part, points),
        TileSize::Four => gradients_4(isa, OutputGradients, data, grid, part, points),
    }
}

#[inline(always)]
fn to_outputs_body<S: Simd, L: Linear<A, M>, const A: usize, const M: usize>(
    s: S,
    _: L,
    sums: Sums<'_>,
    grid: &Grid,
    tiles: Range<usize>,
    columns: Range<usize>,
    out: SharedMut<'_, f32>,
) {
    let [height, width, channels] = grid.image;
    if tiles.is_empty() || columns.is_empty() {
        return;
    }
    let padded = columns.len().next_multiple_of(S::LANES);
    let last = sums.first + (A * A - 1) * sums.point_stride + (tiles.len() - 1) * sums.tile_stride;
    assert!(last + padded <= sums.memory.len(), "the sums are too short");
    let images = (tiles.end - 1) / (grid.tiles[0] * grid.tiles[1]) + 1;
    assert!(columns.end <= channels && images * height * width * channels <= out.len(), "the output is too short");
    for t in tiles.clone() {
        let at = grid.position(t);
        let (y0, x0) = (at.y as usize, at.x as usize);
        let first = sums.first + (t - tiles.start) * sums.tile_stride;
        let mut column = 0;
        while column < columns.len() {
            let mut points = [[s.zero(); A]; A];
            for i in 0..A {
                for j in 0..A {
                    let at = first + (i * A + j) * sums.point_stride + column;
                    // SAFETY: the last vector of the last point lies inside of the memory, asserted above; the caller
                    // promised that nobody writes it.
                    points[i][j] = unsafe { s.load(sums.memory.as_mut_ptr().add(at)) };
                }
            }
            let pixels = both::<S, L, A, M>(s, &points);
            let left = columns.len() - column;
            let start = ((at.image * height + y0) * width + x0) * channels + columns.start + column;
            for i in 0..M.min(height - y0) {
                for j in 0..M.min(width - x0) {
                    let at = start + (i * width + j) * channels;
                    // SAFETY: the pixel lies inside of its image and the columns inside of the pixel, so the numbers
                    // written lie inside of the output, whose length was asserted; the caller promised that nobody else
                    // uses them.
                    unsafe {
                        let p = out.as_mut_ptr().add(at);
                        if left >= S::LANES { s.store(p, pixels[i][j]) } else { s.store_partial(p, left, pixels[i][j]) }
                    }
                }
            }
            column += S::LANES;
        }
    }
}

crate::simd_kernel! {
    fn outputs_2(
        map: Outputs<2>, sums: Sums<'_>, grid: &Grid, tiles: Range<usize>, columns: Range<usize>,
        out: SharedMut<'_, f32>,
    ) = to_outputs_body;
}
crate::simd_kernel! {
    fn outputs_4(
        map: Outputs<4>, sums: Sums<'_>, grid: &Grid, tiles: Range<usize>, columns: Range<usize>,
        out: SharedMut<'_, f32>,
    ) = to_outputs_body;
}

/// Writes the outputs of some tiles and columns; the first of them are the first in `sums`. The grid has offset zero.
///
/// # Safety
/// Nobody else may write these sums or use these outputs meanwhile.
pub(super) unsafe fn outputs(
    isa: Isa,
    size: TileSize,
    sums: Sums<'_>,
    grid: &Grid,
    tiles: Range<usize>,
    columns: Range<usize>,
    out: SharedMut<'_, f32>,
) {
    assert_eq!(grid.offset, [0, 0]);
    match size {
        TileSize::Two => outputs_2(isa, Outputs, sums, grid, tiles, columns, out),
        TileSize::Four => outputs_4(isa, Outputs, sums, grid, tiles, columns, out),
    }
}
