//! Convolutions of three by three taps with fewer multiplications: Winograd's minimal filtering.
//!
//! After Lavin and Gray, *Fast Algorithms for Convolutional Neural Networks* (CVPR 2016). The outputs are cut into tiles of
//! 2 x 2 or 4 x 4. What a tile sees, 4 x 4 or 6 x 6 inputs, is transformed to as many *points*, and so are the filters; at
//! each point a product of tiles by filters over the channels is left, and its results are transformed to the tile. That
//! takes 4 multiplications an output and channel, or 2.25, in place of 9. The gradient of the inputs is a convolution with
//! the filters turned; that of the weights is a sum over tiles at each point.
//!
//! The transforms add numbers of different size, so results may be rounded more than a plain sum. Measured against f64,
//! relative to the whole result, for 16 to 512 channels: products of patches 4e-7, tiles of 2 x 2 at most 7e-7, tiles of
//! 4 x 4 at most 5e-6. A NaN or an infinity spreads to the whole tile. Each result is added up in an order that depends on the channels alone, or, for the gradient
//! of the weights, on the shape and the caches.

mod filters;
mod forward;
mod product;
mod tiles;
mod transform;
mod weight_gradient;

use super::{Conv2dShape, ConvWeights};
use crate::kernels::Compute;
use crate::kernels::gemm::Epilogue;
use filters::Taps;
use forward::{Correlation, Filters};

/// How many outputs are computed together, in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TileSize {
    /// F(2 x 2, 3 x 3): 16 points for 4 outputs.
    Two,
    /// F(4 x 4, 3 x 3): 36 points for 16 outputs.
    Four,
}

impl TileSize {
    /// Outputs, down or across.
    pub(super) fn outputs(self) -> usize {
        match self {
            TileSize::Two => 2,
            TileSize::Four => 4,
        }
    }

    fn points(self) -> usize {
        (self.outputs() + 2) * (self.outputs() + 2)
    }
}

/// Numbers left free between points: a page and a cache line, lest the points of a tile, which are often a power of two
/// apart, fall on the same sets of the caches and of the translation look-aside buffer.
const GAP: usize = 1024 + 16;

/// Numbers left free before the first, so that it begins on a cache line.
const ALIGNMENT: usize = 16;

/// Whether a convolution is one of those that this is for: three by three taps, no stride, dilation or groups.
pub(super) fn suits(s: &Conv2dShape) -> bool {
    (s.kh, s.kw, s.groups) == (3, 3, 1) && s.stride == [1, 1] && s.dilation == [1, 1]
}

/// Scratch memory from the first cache line on.
fn aligned(scratch: &mut [f32]) -> &mut [f32] {
    let skip = scratch.as_ptr().align_offset(64).min(ALIGNMENT - 1).min(scratch.len());
    &mut scratch[skip..]
}

fn forward_correlation(s: &Conv2dShape) -> Correlation {
    Correlation {
        images: s.n,
        input: [s.h, s.w, s.c],
        output: [s.out_h(), s.out_w(), s.o],
        offset: [-(s.padding[0] as isize), -(s.padding[2] as isize)],
    }
}

/// The input's gradient sees the output's two pixels further up and left for a padding of zero: the filter, turned, ends
/// where it began.
fn input_correlation(s: &Conv2dShape) -> Correlation {
    Correlation {
        images: s.n,
        input: [s.out_h(), s.out_w(), s.o],
        output: [s.h, s.w, s.c],
        offset: [s.padding[0] as isize - 2, s.padding[2] as isize - 2],
    }
}

pub(super) fn forward_scratch(cx: &Compute, size: TileSize, s: &Conv2dShape) -> usize {
    forward::scratch(cx, size, &forward_correlation(s))
}

fn forward_taps<'a>(s: &Conv2dShape, weights: &'a [f32]) -> Taps<'a> {
    Taps { data: weights, inputs: s.c, outputs: s.o, input_stride: 9, output_stride: 9 * s.c, turned: false }
}

/// How many `f32` [`prepare`] makes.
pub(super) fn prepared_size(cx: &Compute, size: TileSize, s: &Conv2dShape) -> usize {
    forward::filters_size(cx, size, &forward_correlation(s))
}

/// Transforms the filters of [`forward`].
pub(super) fn prepare(cx: &Compute, size: TileSize, s: &Conv2dShape, weights: &[f32], prepared: &mut [f32]) {
    forward::prepare(cx, size, &forward_taps(s, weights), prepared);
}

/// How many `f32` of scratch [`forward`] needs with prepared filters.
pub(super) fn prepared_forward_scratch(cx: &Compute, size: TileSize, s: &Conv2dShape) -> usize {
    forward::scratch_with_points(cx, size, &forward_correlation(s))
}

pub(super) fn forward(
    cx: &Compute,
    size: TileSize,
    s: &Conv2dShape,
    x: &[f32],
    weights: ConvWeights,
    y: &mut [f32],
    epilogue: Option<&dyn Epilogue>,
    scratch: &mut [f32],
) {
    let filters = match weights.prepared {
        Some(prepared) => Filters::Points(prepared),
        None => Filters::Taps(forward_taps(s, weights.plain)),
    };
    forward::run(cx, size, &forward_correlation(s), x, filters, y, epilogue, scratch);
}

pub(super) fn input_gradient_scratch(cx: &Compute, size: TileSize, s: &Conv2dShape) -> usize {
    forward::scratch(cx, size, &input_correlation(s))
}

pub(super) fn input_gradient(
    cx: &Compute,
    size: TileSize,
    s: &Conv2dShape,
    dy: &[f32],
    weights: &[f32],
    dx: &mut [f32],
    scratch: &mut [f32],
) {
    let taps = Taps { data: weights, inputs: s.o, outputs: s.c, input_stride: 9 * s.c, output_stride: 9, turned: true };
    forward::run(cx, size, &input_correlation(s), dy, Filters::Taps(taps), dx, None, scratch);
}

pub(super) fn weight_gradient_scratch(cx: &Compute, size: TileSize, s: &Conv2dShape) -> usize {
    weight_gradient::scratch(cx, size, &forward_correlation(s))
}

pub(super) fn weight_gradient(
    cx: &Compute,
    size: TileSize,
    s: &Conv2dShape,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    scratch: &mut [f32],
) {
    weight_gradient::run(cx, size, &forward_correlation(s), x, dy, dw, scratch);
}
