//! The gradient of the weights: at each point, the sum over tiles of the output's gradient times the input.
//!
//! With few channels, the sums of all points stay in the second-level cache: a task adds up the tiles of one part, and the
//! parts are added in order. With many, all threads go together from phase to phase, and the sums of a point belong to one
//! task.

use super::filters::{PointSums, gradients as to_filters};
use super::forward::{Correlation, shared_bytes};
use super::product::{OverTiles, over_tiles, panel_vectors};
use super::tiles::{Grid, Part, Points, gradients, inputs};
use super::{ALIGNMENT, GAP, TileSize, aligned};
use crate::kernels::Compute;
use crate::pool::SharedMut;

/// Parts that the tiles are cut into if there are enough of them.
const PARTS: usize = 16;

/// Tiles that are worth reading and writing the sums for.
const FEWEST: usize = 32;

/// Tiles that are worth a part of the sums, which must be added to the others.
const FEWEST_OF_PART: usize = 96;

/// How the sum is cut: a function of shape, instruction set and caches.
#[derive(Debug, Clone, Copy)]
struct Blocking {
    /// Parts that tasks add up by themselves; 0 if all threads go together.
    parts: usize,
    /// Most tiles in a block.
    tiles: usize,
    points: usize,
    lanes: usize,
    /// Channels of input and output in whole vectors.
    inputs: usize,
    outputs: usize,
}

impl Blocking {
    fn new(cx: &Compute, size: TileSize, c: &Correlation) -> Blocking {
        let (points, lanes) = (size.points(), cx.isa.lanes());
        let (inputs, outputs) = (c.input[2].next_multiple_of(lanes), c.output[2].next_multiple_of(lanes));
        let of_tile = 4 * points * (inputs + outputs);
        let all = c.tiles(size);
        let fit = (cx.caches.l2 / 8 * 5).saturating_sub(4 * points * inputs * outputs) / of_tile / 2 * 2;
        let (parts, tiles) = if fit >= FEWEST {
            ((all / FEWEST_OF_PART).clamp(1, PARTS), fit)
        } else {
            (0, (shared_bytes(cx.caches) / of_tile / 2 * 2).max(FEWEST))
        };
        Blocking { parts, tiles: tiles.min(all.next_multiple_of(2)), points, lanes, inputs, outputs }
    }

    fn point_stride(&self) -> usize {
        self.inputs * self.outputs + GAP
    }

    /// Numbers that the sums of a part take.
    fn sums(&self) -> usize {
        self.points * self.point_stride()
    }

    fn input_stride(&self) -> usize {
        self.inputs * self.tiles + GAP
    }

    fn output_stride(&self) -> usize {
        self.outputs * self.tiles + GAP
    }

    /// Numbers that the points of a block take.
    fn block(&self) -> usize {
        self.points * (self.input_stride() + self.output_stride())
    }
}

/// How many `f32` of scratch [`run`] needs. Smaller images and fewer of them need no more.
pub(super) fn scratch(cx: &Compute, size: TileSize, c: &Correlation) -> usize {
    let blocking = Blocking::new(cx, size, c);
    let blocks = if blocking.parts > 0 { cx.pool.threads() } else { 1 };
    blocking.parts.max(1) * blocking.sums() + blocks * blocking.block() + ALIGNMENT
}

/// Everything that the tasks of one gradient need.
struct Gradient<'a> {
    cx: &'a Compute<'a>,
    size: TileSize,
    blocking: Blocking,
    x: &'a [f32],
    dy: &'a [f32],
    seen: Grid,
    written: Grid,
    sums: SharedMut<'a, f32>,
}

/// Computes the gradient of weights `[outputs, inputs, 3, 3]` from the inputs and the gradient of the outputs.
pub(super) fn run(
    cx: &Compute,
    size: TileSize,
    c: &Correlation,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    scratch: &mut [f32],
) {
    let tiles = c.tiles(size);
    if tiles == 0 {
        dw[..c.output[2] * c.input[2] * 9].fill(0.0);
        return;
    }
    let blocking = Blocking::new(cx, size, c);
    let parts = blocking.parts.max(1);
    let (sums, own) = aligned(scratch).split_at_mut(parts * blocking.sums());
    let own = SharedMut::new(own);
    let gradient = Gradient {
        cx,
        size,
        blocking,
        x,
        dy,
        seen: c.seen(size),
        written: c.written(size),
        sums: SharedMut::new(sums),
    };
    if blocking.parts > 0 {
        let most = tiles.div_ceil(parts);
        cx.pool.run(parts, &|part, worker| {
            // SAFETY: each worker index is used by one thread at a time.
            let own = unsafe { own.slice(worker * blocking.block(), blocking.block()) };
            let first = (part * most).min(tiles);
            gradient.part(part, first, most.min(tiles - first), own);
        });
    } else {
        // SAFETY: the only user of this memory.
        let own = unsafe { own.slice(0, blocking.block()) };
        for first in (0..tiles).step_by(blocking.tiles) {
            gradient.phases(first, blocking.tiles.min(tiles - first), own);
        }
    }
    let sums = PointSums {
        data: sums,
        parts,
        part_stride: blocking.sums(),
        point_stride: blocking.point_stride(),
        row_stride: blocking.inputs,
    };
    to_filters(cx, size, &sums, c.output[2], c.input[2], dw);
}

impl Gradient<'_> {
    /// The memory of one block, cut into points of the inputs and of the gradient.
    fn memory<'m>(&self, own: SharedMut<'m, f32>) -> (Points<'m>, Points<'m>) {
        let bl = &self.blocking;
        let of_inputs =
            Points { memory: own, first: 0, point_stride: bl.input_stride(), block_stride: bl.tiles * bl.lanes };
        let first = bl.points * bl.input_stride();
        (of_inputs, Points { first, point_stride: bl.output_stride(), ..of_inputs })
    }

    /// Adds up one part, by the thread that calls.
    fn part(&self, part: usize, first: usize, count: usize, own: &mut [f32]) {
        let bl = &self.blocking;
        let own = SharedMut::new(own);
        let (of_inputs, of_gradient) = self.memory(own);
        let blocks = |channels: usize| channels / bl.lanes;
        for start in (0..count.max(1)).step_by(bl.tiles) {
            let tiles = bl.tiles.min(count - start);
            let of = |channels| Part { first_tile: first + start, tiles, first_block: 0, blocks: blocks(channels) };
            // SAFETY: the memory and the sums of this part belong to this task.
            unsafe {
                inputs(self.cx.isa, self.size, self.x, &self.seen, of(bl.inputs), of_inputs);
                gradients(self.cx.isa, self.size, self.dy, &self.written, of(bl.outputs), of_gradient);
                for point in 0..bl.points {
                    self.add(part, point, 0..blocks(bl.outputs), tiles, start > 0, of_inputs, of_gradient);
                }
            }
        }
    }

    /// Adds one block of tiles to the sums, by all threads.
    fn phases(&self, first: usize, count: usize, own: &mut [f32]) {
        let bl = &self.blocking;
        let own = SharedMut::new(own);
        let (of_inputs, of_gradient) = self.memory(own);
        let few = count.div_ceil(4 * PARTS).max(4);
        let blocks = |channels: usize| channels / bl.lanes;
        self.cx.pool.run(2 * count.div_ceil(few), &|task, _| {
            let start = task / 2 * few;
            let tiles = few.min(count - start);
            let of = |channels| Part { first_tile: first + start, tiles, first_block: 0, blocks: blocks(channels) };
            let of_inputs = Points { first: of_inputs.first + start * bl.lanes, ..of_inputs };
            let of_gradient = Points { first: of_gradient.first + start * bl.lanes, ..of_gradient };
            // SAFETY: each task writes the points of its own tiles, of the inputs or of the gradient.
            unsafe {
                if task % 2 == 0 {
                    inputs(self.cx.isa, self.size, self.x, &self.seen, of(bl.inputs), of_inputs);
                } else {
                    gradients(self.cx.isa, self.size, self.dy, &self.written, of(bl.outputs), of_gradient);
                }
            }
        });
        // Half of the gradient's channels of a point to a task.
        let half = blocks(bl.outputs).div_ceil(2);
        self.cx.pool.run(2 * bl.points, &|task, _| {
            let (point, start) = (task / 2, task % 2 * half);
            let range = start..(start + half).min(blocks(bl.outputs));
            // SAFETY: each task changes the sums of its own point and channels, and nobody writes points meanwhile.
            unsafe { self.add(0, point, range, count, first > 0, of_inputs, of_gradient) };
        });
    }

    /// Adds `tiles` tiles to the sums of a part at one point, for some vectors of the gradient's channels and all channels
    /// of the input.
    ///
    /// # Safety
    /// Nobody else may use these sums, or write the points, meanwhile.
    unsafe fn add(
        &self,
        part: usize,
        point: usize,
        rows: std::ops::Range<usize>,
        tiles: usize,
        accumulate: bool,
        of_inputs: Points<'_>,
        of_gradient: Points<'_>,
    ) {
        let bl = &self.blocking;
        let memory = of_inputs.memory;
        let (input, gradient) =
            (of_inputs.first + point * of_inputs.point_stride, of_gradient.first + point * of_gradient.point_stride);
        let sums = part * bl.sums() + point * bl.point_stride();
        assert!(tiles <= bl.tiles && rows.end * bl.lanes <= bl.outputs);
        assert!(input + bl.inputs * bl.tiles <= memory.len() && gradient + bl.outputs * bl.tiles <= memory.len());
        assert!(sums + bl.inputs * bl.outputs <= self.sums.len());
        let panel = panel_vectors(self.cx.isa) * bl.lanes;
        for row in rows {
            for column in (0..bl.inputs).step_by(panel) {
                let start = sums + row * bl.lanes * bl.inputs + column;
                let product = OverTiles {
                    gradients: memory.as_mut_ptr().wrapping_add(gradient + row * of_gradient.block_stride),
                    inputs: memory.as_mut_ptr().wrapping_add(input + column / bl.lanes * of_inputs.block_stride),
                    block_stride: of_inputs.block_stride,
                    vectors: panel.min(bl.inputs - column) / bl.lanes,
                    tiles,
                    sums: self.sums.as_mut_ptr().wrapping_add(start),
                    sum_stride: bl.inputs,
                    accumulate,
                };
                // SAFETY: the lengths were checked above; the caller promised that the sums are its own.
                unsafe { over_tiles(self.cx.isa, &product) };
            }
        }
    }
}
