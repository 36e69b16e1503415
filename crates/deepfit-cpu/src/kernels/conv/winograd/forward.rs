//! The convolution itself, which is also the gradient of its input.
//!
//! With few channels, the points of a block of tiles fit the second-level cache next to a panel of filters: a task takes
//! such a block from its inputs to its outputs. With many, all threads go together from phase to phase: inputs of many
//! tiles to points, products, points to outputs; each transformed filter is then read for many tiles at once.

use super::filters::{FilterLayout, Taps, transform};
use super::product::{ByFilters, by_filters, tiles_together};
use super::tiles::{Grid, Part, Points, Sums, inputs, outputs};
use super::{ALIGNMENT, GAP, TileSize, aligned};
use crate::kernels::gemm::Epilogue;
use crate::kernels::{Caches, Compute};
use crate::pool::SharedMut;

/// Tasks that the tiles are cut into if there are enough of them.
const TASKS: usize = 16;

/// Rounds of the innermost loop over tiles that make reading all filters worthwhile.
const FEWEST: usize = 4;

/// Each output is the sum of inputs in a square of three by three, which for the first output begins at `offset`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Correlation {
    pub images: usize,
    /// Height, width and channels.
    pub input: [usize; 3],
    /// Height, width and channels.
    pub output: [usize; 3],
    pub offset: [isize; 2],
}

impl Correlation {
    /// The grid of what tiles see.
    pub fn seen(&self, size: TileSize) -> Grid {
        Grid { image: self.input, offset: self.offset, ..self.written(size) }
    }

    /// The grid of what tiles give.
    pub fn written(&self, size: TileSize) -> Grid {
        let step = size.outputs();
        let tiles = [self.output[0].div_ceil(step), self.output[1].div_ceil(step)];
        Grid { image: self.output, tiles, step, offset: [0, 0] }
    }

    /// Tiles of all images.
    pub fn tiles(&self, size: TileSize) -> usize {
        let step = size.outputs();
        self.images * self.output[0].div_ceil(step) * self.output[1].div_ceil(step)
    }
}

/// How a convolution is cut: a function of shape, instruction set and caches.
#[derive(Debug, Clone, Copy)]
struct Blocking {
    /// Whether a task takes a block of tiles from inputs to outputs.
    by_task: bool,
    /// Most tiles in a block.
    tiles: usize,
    points: usize,
    lanes: usize,
    /// Channels of the input in whole vectors.
    channels: usize,
    layout: FilterLayout,
}

impl Blocking {
    fn new(cx: &Compute, size: TileSize, c: &Correlation) -> Blocking {
        let together = tiles_together(cx.isa);
        let (points, lanes) = (size.points(), cx.isa.lanes());
        let layout = FilterLayout::new(cx.isa, c.input[2], c.output[2]);
        let channels = c.input[2].next_multiple_of(lanes);
        let all = c.tiles(size).next_multiple_of(together);
        let whole = |bytes: usize, numbers: usize| bytes / (4 * numbers) / together * together;

        let fit = whole(cx.caches.l2 / 4 * 3, points * (channels + layout.panel));
        let by_task = fit >= FEWEST * together;
        let tiles = if by_task {
            let even = c.tiles(size).div_ceil(TASKS).next_multiple_of(together);
            even.max(FEWEST * together).min(fit)
        } else {
            whole(shared_bytes(cx.caches), points * (channels + layout.width())).max(FEWEST * together)
        };
        Blocking { by_task, tiles: tiles.min(all), points, lanes, channels, layout }
    }

    /// Numbers that the transformed filters take.
    fn filters(&self) -> usize {
        (self.points * self.layout.point_stride()).next_multiple_of(16)
    }

    /// Numbers that the points of a block take.
    fn inputs(&self) -> usize {
        self.points * self.input_stride()
    }

    fn input_stride(&self) -> usize {
        self.channels * self.tiles + GAP
    }

    /// Columns of sums that are kept at a time.
    fn columns(&self) -> usize {
        if self.by_task { self.layout.panel } else { self.layout.width() }
    }

    fn sum_stride(&self) -> usize {
        (self.tiles * self.columns()).next_multiple_of(16) + GAP
    }

    /// Numbers that points and sums of a block take.
    fn block(&self) -> usize {
        (self.inputs() + self.points * self.sum_stride()).next_multiple_of(16)
    }
}

/// Bytes that all threads together may fill between two phases.
pub(super) fn shared_bytes(caches: Caches) -> usize {
    (caches.l3 / 4).clamp(1 << 20, 32 << 20)
}

/// How many `f32` of scratch [`run`] needs. Smaller images and fewer of them need no more.
pub(super) fn scratch(cx: &Compute, size: TileSize, c: &Correlation) -> usize {
    Blocking::new(cx, size, c).filters() + scratch_with_points(cx, size, c)
}

/// The same where the filters are given as points.
pub(super) fn scratch_with_points(cx: &Compute, size: TileSize, c: &Correlation) -> usize {
    let blocking = Blocking::new(cx, size, c);
    let blocks = if blocking.by_task { cx.pool.threads() } else { 1 };
    blocks * blocking.block() + ALIGNMENT
}

/// How many `f32` the transformed filters take.
pub(super) fn filters_size(cx: &Compute, size: TileSize, c: &Correlation) -> usize {
    size.points() * FilterLayout::new(cx.isa, c.input[2], c.output[2]).point_stride()
}

/// Transforms the filters for [`run`].
pub(super) fn prepare(cx: &Compute, size: TileSize, taps: &Taps, filters: &mut [f32]) {
    transform(cx, size, taps, &FilterLayout::new(cx.isa, taps.inputs, taps.outputs), filters);
}

/// Filters as they are given to [`run`].
#[derive(Clone, Copy)]
pub(super) enum Filters<'a> {
    /// Yet to be transformed.
    Taps(Taps<'a>),
    /// What [`prepare`] made of them.
    Points(&'a [f32]),
}

/// Everything that the tasks of one convolution need.
struct Convolution<'a> {
    cx: &'a Compute<'a>,
    size: TileSize,
    blocking: Blocking,
    data: &'a [f32],
    seen: Grid,
    written: Grid,
    filters: &'a [f32],
    out: SharedMut<'a, f32>,
    epilogue: Option<&'a dyn Epilogue>,
}

/// Computes all outputs; the filters have the channels of the inputs and outputs.
pub(super) fn run(
    cx: &Compute,
    size: TileSize,
    c: &Correlation,
    data: &[f32],
    filters: Filters,
    out: &mut [f32],
    epilogue: Option<&dyn Epilogue>,
    scratch: &mut [f32],
) {
    let tiles = c.tiles(size);
    if tiles == 0 || c.output[2] == 0 {
        return;
    }
    let blocking = Blocking::new(cx, size, c);
    let scratch = aligned(scratch);
    let (filters, own) = match filters {
        Filters::Points(points) => (points, scratch),
        Filters::Taps(taps) => {
            let (room, own) = scratch.split_at_mut(blocking.filters());
            prepare(cx, size, &taps, room);
            (&*room, own)
        }
    };
    let convolution = Convolution {
        cx,
        size,
        blocking,
        data,
        seen: c.seen(size),
        written: c.written(size),
        filters,
        out: SharedMut::new(out),
        epilogue,
    };
    // Blocks as even as whole tiles of the innermost loop allow.
    let even = tiles.div_ceil(tiles.div_ceil(blocking.tiles)).next_multiple_of(tiles_together(cx.isa));
    let own = SharedMut::new(own);
    if blocking.by_task {
        cx.pool.run(tiles.div_ceil(even), &|task, worker| {
            // SAFETY: each worker index is used by one thread at a time.
            let own = unsafe { own.slice(worker * blocking.block(), blocking.block()) };
            let first = task * even;
            convolution.block(first, even.min(tiles - first), own);
        });
    } else {
        for first in (0..tiles).step_by(even) {
            // SAFETY: the only user of this memory.
            let own = unsafe { own.slice(0, blocking.block()) };
            convolution.phases(first, even.min(tiles - first), own);
        }
    }
}

impl Convolution<'_> {
    /// One block of tiles, by the thread that calls.
    fn block(&self, first: usize, count: usize, own: &mut [f32]) {
        let bl = &self.blocking;
        let own = SharedMut::new(own);
        let (points, sums) = self.memory(own);
        let part = Part { first_tile: first, tiles: count, first_block: 0, blocks: bl.channels / bl.lanes };
        // SAFETY: the memory belongs to this task, and so do the outputs of these tiles.
        unsafe {
            inputs(self.cx.isa, self.size, self.data, &self.seen, part, points);
            for panel in 0..bl.layout.panels() {
                for point in 0..bl.points {
                    self.multiply(point, panel, count, points, sums, 0);
                }
                let column = panel * bl.layout.panel;
                let columns = column..column + bl.layout.columns(panel);
                outputs(self.cx.isa, self.size, sums, &self.written, first..first + count, columns, self.out);
            }
            self.finish(first, count);
        }
    }

    /// One block of tiles, by all threads.
    fn phases(&self, first: usize, count: usize, own: &mut [f32]) {
        let bl = &self.blocking;
        let own = SharedMut::new(own);
        let (points, sums) = self.memory(own);
        let pool = self.cx.pool;
        // Tiles of a task that transforms.
        let few = count.div_ceil(4 * TASKS).max(4);
        let groups = count.div_ceil(few);
        pool.run(groups, &|group, _| {
            let tiles = few.min(count - group * few);
            let part = Part { first_tile: first + group * few, tiles, first_block: 0, blocks: bl.channels / bl.lanes };
            let points = Points { first: points.first + group * few * bl.lanes, ..points };
            // SAFETY: each task writes the points of its own tiles.
            unsafe { inputs(self.cx.isa, self.size, self.data, &self.seen, part, points) };
        });
        // Half of the panels of a point to a task.
        let panels = bl.layout.panels().div_ceil(2);
        let halves = bl.layout.panels().div_ceil(panels);
        pool.run(bl.points * halves, &|task, _| {
            let (point, half) = (task / halves, task % halves);
            for panel in half * panels..((half + 1) * panels).min(bl.layout.panels()) {
                // SAFETY: each task writes the sums of its own panels and point, and nobody writes points meanwhile.
                unsafe { self.multiply(point, panel, count, points, sums, panel * bl.layout.panel) };
            }
        });
        pool.run(groups, &|group, _| {
            let start = group * few;
            let tiles = few.min(count - start);
            let sums = Sums { first: sums.first + start * sums.tile_stride, ..sums };
            // SAFETY: each task writes the outputs of its own tiles, and nobody writes sums meanwhile.
            unsafe {
                let range = first + start..first + start + tiles;
                outputs(self.cx.isa, self.size, sums, &self.written, range, 0..bl.layout.outputs, self.out);
                self.finish(first + start, tiles);
            }
        });
    }

    /// The memory of one block, cut into points and sums.
    fn memory<'m>(&self, own: SharedMut<'m, f32>) -> (Points<'m>, Sums<'m>) {
        let bl = &self.blocking;
        let points =
            Points { memory: own, first: 0, point_stride: bl.input_stride(), block_stride: bl.tiles * bl.lanes };
        let sums = Sums { memory: own, first: bl.inputs(), point_stride: bl.sum_stride(), tile_stride: bl.columns() };
        (points, sums)
    }

    /// The product of `count` tiles by one panel at one point; its sums begin at `column`.
    ///
    /// # Safety
    /// Nobody else may use these sums, or write the points, meanwhile.
    unsafe fn multiply(
        &self,
        point: usize,
        panel: usize,
        count: usize,
        points: Points<'_>,
        sums: Sums<'_>,
        column: usize,
    ) {
        let bl = &self.blocking;
        let (lanes, vectors) = (bl.lanes, bl.layout.vectors(panel));
        let input = points.first + point * points.point_stride;
        let sum = sums.first + point * sums.point_stride + column;
        let filters = &self.filters[bl.layout.start(point, panel)..][..bl.layout.inputs * vectors * lanes];
        assert!(input + bl.channels * bl.tiles <= points.memory.len() && count <= bl.tiles);
        assert!(sum + (count - 1) * sums.tile_stride + vectors * lanes <= sums.memory.len());
        let product = ByFilters {
            inputs: points.memory.as_mut_ptr().wrapping_add(input),
            block_stride: points.block_stride,
            channels: bl.layout.inputs,
            filters: filters.as_ptr(),
            vectors,
            sums: sums.memory.as_mut_ptr().wrapping_add(sum),
            sum_stride: sums.tile_stride,
            tiles: count,
        };
        // SAFETY: the lengths were checked above; the caller promised that the sums are its own.
        unsafe { by_filters(self.cx.isa, &product) }
    }

    /// Applies the epilogue to the outputs of some tiles.
    ///
    /// # Safety
    /// Nobody else may use these outputs meanwhile.
    unsafe fn finish(&self, first: usize, count: usize) {
        let Some(epilogue) = self.epilogue else { return };
        let channels = self.blocking.layout.outputs;
        self.written.lines(first, count, |pixel, pixels| {
            assert!((pixel + pixels) * channels <= self.out.len());
            // SAFETY: a line of pixels inside of the output, which the caller promised is its own.
            unsafe {
                let start = self.out.as_mut_ptr().add(pixel * channels);
                epilogue.apply(pixel, 0, pixels, channels, start, channels);
            }
        });
    }
}
