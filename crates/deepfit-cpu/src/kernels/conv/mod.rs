//! Two-dimensional convolution of images `[n, h, w, c]` (NHWC) with weights `[o, c / groups, kh, kw]` (PyTorch's
//! OIHW), and its two gradients.
//!
//! A convolution is a product of patches by weights, with the patches gathered while the product packs them
//! (implicit GEMM), with the error of the matrix product. Depth-wise convolutions have loops of their own that run over
//! channels, and those of three by three taps have fewer multiplications where [`Algorithms`] lets them.

mod backward;
mod choice;
mod depthwise;
mod patches;
mod shape;
mod winograd;

pub use backward::{conv2d_input_gradient, conv2d_input_gradient_scratch};
pub use backward::{conv2d_weight_gradient, conv2d_weight_gradient_scratch};
pub use choice::Algorithms;
pub use shape::Conv2dShape;
pub use winograd::TileSize;

use super::Compute;
use super::gemm::{Epilogue, Gemm, Matrix};
use choice::Pass;
use patches::{Patches, Weights};

/// Shifts the columns of one group to where they are among all output channels.
struct GroupEpilogue<'a> {
    inner: &'a dyn Epilogue,
    first_column: usize,
}

impl Epilogue for GroupEpilogue<'_> {
    unsafe fn apply(&self, row: usize, col: usize, rows: usize, cols: usize, c: *mut f32, ldc: usize) {
        // SAFETY: the same tile is passed on.
        unsafe { self.inner.apply(row, self.first_column + col, rows, cols, c, ldc) }
    }
}

/// How many `f32` of scratch [`conv2d`] needs.
pub fn conv2d_scratch(cx: &Compute, s: &Conv2dShape) -> usize {
    if s.is_depthwise() {
        return depthwise::forward_scratch(cx, s);
    }
    let product = Gemm::new(s.out_pixels(), s.group_out(), s.kh * s.kw * s.group_in()).scratch(cx);
    let tiles = choice::tile_size(cx, Pass::Forward, s).map(|size| winograd::forward_scratch(cx, size, s));
    product.max(tiles.unwrap_or(0))
}

/// Convolution of `x` `[n, h, w, c]` with `weights` `[o, c / groups, kh, kw]` into `y` `[n, out_h, out_w, o]`.
///
/// The epilogue sees `y` as a matrix of `n * out_h * out_w` rows and `o` columns.
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn conv2d(
    cx: &Compute,
    s: &Conv2dShape,
    x: &[f32],
    weights: &[f32],
    y: &mut [f32],
    epilogue: Option<&dyn Epilogue>,
    scratch: &mut [f32],
) {
    s.check(x.len(), weights.len(), y.len());
    if s.out_pixels() == 0 || s.o == 0 {
        return;
    }
    if s.is_depthwise() {
        return depthwise::forward(cx, s, x, weights, y, epilogue, scratch);
    }
    if let Some(size) = choice::tile_size(cx, Pass::Forward, s) {
        return winograd::forward(cx, size, s, x, weights, y, epilogue, scratch);
    }
    let depth = s.kh * s.kw * s.group_in();
    let gemm = Gemm::new(s.out_pixels(), s.group_out(), depth);
    if s.is_pointwise() {
        let gemm = gemm.epilogue(epilogue);
        return gemm.run(cx, &Matrix::row_major(x, s.c), &Matrix::new(weights, 1, s.c), y, s.o, scratch);
    }
    for g in 0..s.groups {
        let patches = Patches::of_input(s, x, g);
        let filters = Weights {
            data: &weights[g * s.group_out() * depth..],
            taps_across: s.kw,
            channels: s.group_in(),
            tap_strides: [s.kw, 1],
            channel_stride: s.kh * s.kw,
            column_stride: depth,
        };
        let first_column = g * s.group_out();
        let shifted = epilogue.map(|inner| GroupEpilogue { inner, first_column });
        let gemm = gemm.epilogue(shifted.as_ref().map(|e| e as &dyn Epilogue));
        gemm.run(cx, &patches, &filters, &mut y[first_column..], s.o, scratch);
    }
}
