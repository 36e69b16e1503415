//! Filters to points, and points to the gradient of filters.

use super::TileSize;
use super::product::panel_vectors;
use super::transform::{FilterGradients, Filters, Linear, both};
use crate::kernels::Compute;
use crate::kernels::gemm::transpose_rows;
use crate::pool::SharedMut;
use crate::simd::{Isa, Simd};

/// Taps of a filter.
const TAPS: usize = 9;

/// Channels of the input that one task transforms.
const CHANNELS: usize = 16;

/// Room for the taps of a vector of filters and [`CHANNELS`] channels, of vectors of up to 16 lanes.
const GATHERED: usize = CHANNELS * TAPS * 16;

/// Filters of three by three taps: those of input channel `k` for output channel `o` begin at
/// `k * input_stride + o * output_stride`.
#[derive(Clone, Copy)]
pub(super) struct Taps<'a> {
    pub data: &'a [f32],
    pub inputs: usize,
    pub outputs: usize,
    pub input_stride: usize,
    pub output_stride: usize,
    /// Whether the filters are turned by half a turn.
    pub turned: bool,
}

impl Taps<'_> {
    /// `out[(k * 9 + tap) * lanes + lane]` for the channels `first..first + count` and filters `output..output + lanes`, with
    /// zeros for filters that do not exist.
    fn gather(&self, first: usize, count: usize, output: usize, lanes: usize, out: &mut [f32]) {
        // Where the channels of a filter are neighbours, they are one row.
        let (runs, length) = if self.input_stride == TAPS { (1, count * TAPS) } else { (count, TAPS) };
        static ZEROS: [f32; CHANNELS * TAPS] = [0.0; CHANNELS * TAPS];
        for run in 0..runs {
            let out = &mut out[run * TAPS * lanes..];
            for lane in (0..lanes).step_by(4) {
                let rows: [&[f32]; 4] = std::array::from_fn(|i| {
                    let o = output + lane + i;
                    let start = (first + run) * self.input_stride + o * self.output_stride;
                    if o < self.outputs { &self.data[start..start + length] } else { &ZEROS[..length] }
                });
                transpose_rows(rows, 4, lanes, &mut out[lane..]);
            }
        }
    }
}

/// How transformed filters lie in memory: point by point, in each a panel of a few vectors of outputs after the other, in
/// each a row for each channel of the input.
#[derive(Debug, Clone, Copy)]
pub(super) struct FilterLayout {
    pub inputs: usize,
    pub outputs: usize,
    lanes: usize,
    /// Columns of a panel; the last may be narrower.
    pub panel: usize,
}

impl FilterLayout {
    pub fn new(isa: Isa, inputs: usize, outputs: usize) -> FilterLayout {
        let lanes = isa.lanes();
        FilterLayout { inputs, outputs, lanes, panel: panel_vectors(isa) * lanes }
    }

    pub fn panels(&self) -> usize {
        self.outputs.div_ceil(self.panel)
    }

    /// Columns of a panel that exist.
    pub fn columns(&self, panel: usize) -> usize {
        self.panel.min(self.outputs - panel * self.panel)
    }

    /// Vectors of a panel.
    pub fn vectors(&self, panel: usize) -> usize {
        self.columns(panel).div_ceil(self.lanes)
    }

    /// Columns of all panels.
    pub fn width(&self) -> usize {
        self.outputs.next_multiple_of(self.lanes)
    }

    /// Distance between points: a little more than the filters, so that points do not fall on the same sets of a cache.
    pub fn point_stride(&self) -> usize {
        self.inputs * self.width() + super::GAP
    }

    /// Where a panel of a point begins.
    pub fn start(&self, point: usize, panel: usize) -> usize {
        point * self.point_stride() + panel * self.panel * self.inputs
    }
}

/// Transforms all filters into `out`, which holds [`FilterLayout::point_stride`] numbers for each point.
pub(super) fn transform(cx: &Compute, size: TileSize, taps: &Taps, layout: &FilterLayout, out: &mut [f32]) {
    let points = size.points();
    assert!(out.len() >= points * layout.point_stride(), "no room for the filters");
    let out = SharedMut::new(out);
    let (lanes, groups) = (layout.lanes, taps.inputs.div_ceil(CHANNELS));
    cx.pool.run(layout.panels() * groups, &|task, _| {
        let (panel, first) = (task / groups, task % groups * CHANNELS);
        let count = CHANNELS.min(taps.inputs - first);
        let vectors = layout.vectors(panel);
        let mut gathered = [0.0; GATHERED];
        for vector in 0..vectors {
            let gathered = &mut gathered[..count * TAPS * lanes];
            taps.gather(first, count, panel * layout.panel + vector * lanes, lanes, gathered);
            let target = Target {
                memory: out,
                first: layout.start(0, panel) + (first * vectors + vector) * lanes,
                point_stride: layout.point_stride(),
                row_stride: vectors * lanes,
            };
            // The rows of this task's channels in its panel belong to it alone.
            match size {
                TileSize::Two => filters_2(cx.isa, Filters, gathered, taps.turned, target),
                TileSize::Four => filters_4(cx.isa, Filters, gathered, taps.turned, target),
            }
        }
    });
}

/// Where a vector of filters goes: one row for each channel of the input.
#[derive(Clone, Copy)]
struct Target<'a> {
    memory: SharedMut<'a, f32>,
    first: usize,
    point_stride: usize,
    row_stride: usize,
}

#[inline(always)]
fn filters_body<S: Simd, L: Linear<3, A>, const A: usize>(s: S, _: L, taps: &[f32], turned: bool, target: Target<'_>) {
    for (channel, taps) in taps.chunks_exact(TAPS * S::LANES).enumerate() {
        let mut filter = [[s.zero(); 3]; 3];
        for i in 0..3 {
            for j in 0..3 {
                let tap = if turned { TAPS - 1 - (3 * i + j) } else { 3 * i + j };
                filter[i][j] = s.load_at(taps, tap * S::LANES);
            }
        }
        let points = both::<S, L, 3, A>(s, &filter);
        for i in 0..A {
            for j in 0..A {
                let at = target.first + (i * A + j) * target.point_stride + channel * target.row_stride;
                // SAFETY: no other task writes this row of this panel.
                s.store_at(unsafe { target.memory.slice(at, S::LANES) }, 0, points[i][j]);
            }
        }
    }
}
crate::simd_kernel! {
    fn filters_2(map: Filters<2>, taps: &[f32], turned: bool, target: Target<'_>) = filters_body;
}
crate::simd_kernel! {
    fn filters_4(map: Filters<4>, taps: &[f32], turned: bool, target: Target<'_>) = filters_body;
}

/// Sums of products at each point, in a few parts that are to be added: those of output channel `o` and input channel `k`
/// at `part * part_stride + point * point_stride + o * row_stride + k`.
#[derive(Clone, Copy)]
pub(super) struct PointSums<'a> {
    pub data: &'a [f32],
    pub parts: usize,
    pub part_stride: usize,
    pub point_stride: usize,
    pub row_stride: usize,
}

/// The gradient of weights `[outputs, inputs, 3, 3]` from the sums at the points, part after part.
pub(super) fn gradients(
    cx: &Compute,
    size: TileSize,
    sums: &PointSums,
    outputs: usize,
    inputs: usize,
    weights: &mut [f32],
) {
    let weights = &mut weights[..outputs * inputs * TAPS];
    cx.pool.for_each_chunk(weights, inputs * TAPS, |output, filters| {
        for (vector, filters) in filters.chunks_mut(cx.isa.lanes() * TAPS).enumerate() {
            let mut taps = [0.0; TAPS * 16];
            let (first, lanes) = (output * sums.row_stride + vector * cx.isa.lanes(), cx.isa.lanes());
            match size {
                TileSize::Two => gradients_2(cx.isa, FilterGradients, sums, first, &mut taps),
                TileSize::Four => gradients_4(cx.isa, FilterGradients, sums, first, &mut taps),
            }
            let count = filters.len() / TAPS;
            let row = |tap: usize| &taps[tap * lanes..tap * lanes + count];
            transpose_rows([row(0), row(1), row(2), row(3)], 4, TAPS, filters);
            transpose_rows([row(4), row(5), row(6), row(7)], 4, TAPS, &mut filters[4..]);
            transpose_rows([row(8); 4], 1, TAPS, &mut filters[8..]);
        }
    });
}

#[inline(always)]
fn gradients_body<S: Simd, L: Linear<A, 3>, const A: usize>(
    s: S,
    _: L,
    sums: &PointSums<'_>,
    first: usize,
    taps: &mut [f32],
) {
    let mut points = [[s.zero(); A]; A];
    for part in 0..sums.parts {
        for i in 0..A {
            for j in 0..A {
                let at = part * sums.part_stride + (i * A + j) * sums.point_stride + first;
                points[i][j] = s.add(points[i][j], s.load_at(&sums.data[at..at + S::LANES], 0));
            }
        }
    }
    let filter = both::<S, L, A, 3>(s, &points);
    for i in 0..3 {
        for j in 0..3 {
            s.store_at(taps, (3 * i + j) * S::LANES, filter[i][j]);
        }
    }
}
crate::simd_kernel! {
    fn gradients_2(map: FilterGradients<2>, sums: &PointSums<'_>, first: usize, taps: &mut [f32]) = gradients_body;
}
crate::simd_kernel! {
    fn gradients_4(map: FilterGradients<4>, sums: &PointSums<'_>, first: usize, taps: &mut [f32]) = gradients_body;
}
