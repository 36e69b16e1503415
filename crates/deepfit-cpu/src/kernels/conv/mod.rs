//! Two-dimensional convolution of images `[n, h, w, c]` (NHWC) with weights `[o, c / groups, kh, kw]` (PyTorch's
//! OIHW), and its two gradients.
//!
//! A convolution is a product of patches by weights, with the patches gathered while the product packs them
//! (implicit GEMM), with the error of the matrix product. Depth-wise convolutions have loops of their own that run over
//! channels, images of few channels are multiplied where they lie, and convolutions of three by three taps have fewer
//! multiplications where [`Algorithms`] lets them.

mod backward;
mod choice;
mod depthwise;
mod direct;
mod patches;
mod rounded;
mod shape;
mod winograd;

pub use backward::{conv2d_input_gradient, conv2d_input_gradient_scratch};
pub use backward::{conv2d_weight_gradient, conv2d_weight_gradient_scratch};
pub use choice::Algorithms;
pub use shape::Conv2dShape;
pub use winograd::TileSize;

use super::Compute;
use super::gemm::{Epilogue, Gemm, Matrix, bf16, packed};
use choice::Pass;
use patches::{Patches, Weights};
use rounded::{RoundedFilters, RoundedPatches};

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
    let product = match direct::suits(cx, s) {
        true => direct::scratch(cx, s, false),
        false => {
            let product = Gemm::new(s.out_pixels(), s.group_out(), s.kh * s.kw * s.group_in()).scratch(cx);
            let rounded = rounded::unit(cx, s, s.group_in(), s.group_out());
            let (x, weights, _) = s.sizes();
            product + rounded.map_or(0, |_| rounded::size(x) + rounded::size(weights) + 15)
        }
    };
    let tiles = choice::tile_size(cx, Pass::Forward, s).map(|size| winograd::forward_scratch(cx, size, s));
    product.max(tiles.unwrap_or(0))
}

/// How many `f32` of scratch [`conv2d`] needs with prepared weights.
pub fn conv2d_prepared_scratch(cx: &Compute, s: &Conv2dShape) -> usize {
    match choice::tile_size(cx, Pass::Forward, s) {
        Some(size) => winograd::prepared_forward_scratch(cx, size, s),
        None if !s.is_depthwise() && direct::suits(cx, s) => direct::scratch(cx, s, true),
        None => conv2d_scratch(cx, s),
    }
}

/// Weights `[o, c / groups, kh, kw]` and what [`conv2d_prepare`] made of them, if it did.
#[derive(Debug, Clone, Copy)]
pub struct ConvWeights<'a> {
    /// The weights.
    pub plain: &'a [f32],
    /// Their prepared form, for the same shape or one with another number of images.
    pub prepared: Option<&'a [f32]>,
}

impl<'a> From<&'a [f32]> for ConvWeights<'a> {
    fn from(plain: &'a [f32]) -> Self {
        ConvWeights { plain, prepared: None }
    }
}

/// How many `f32` [`conv2d_prepare`] makes; `None` if [`conv2d`] reads these weights as they are.
pub fn conv2d_prepared_size(cx: &Compute, s: &Conv2dShape) -> Option<usize> {
    if let Some(size) = choice::tile_size(cx, Pass::Forward, s) {
        return Some(winograd::prepared_size(cx, size, s));
    }
    (s.groups == 1 && !s.is_depthwise()).then(|| packed::size(&of_packed(cx, s), s.kh * s.kw * s.c, s.o))
}

/// In which precision weights are packed: images of few channels are multiplied in f32.
fn of_packed<'a>(cx: &Compute<'a>, s: &Conv2dShape) -> Compute<'a> {
    if direct::suits(cx, s) { cx.in_f32() } else { *cx }
}

/// Brings weights into the form in which [`conv2d`] reads them, which it does at each call otherwise. The results are the
/// same to the last bit.
///
/// # Panics
/// If a slice is shorter than it must be.
pub fn conv2d_prepare(cx: &Compute, s: &Conv2dShape, weights: &[f32], prepared: &mut [f32]) {
    match choice::tile_size(cx, Pass::Forward, s) {
        Some(size) => winograd::prepare(cx, size, s, weights, prepared),
        None => packed::pack(&of_packed(cx, s), &filters(s, weights, 0), s.kh * s.kw * s.c, s.o, prepared),
    }
}

/// The weights of a group as the right operand of a product.
fn filters<'a>(s: &Conv2dShape, weights: &'a [f32], group: usize) -> Weights<'a> {
    let depth = s.kh * s.kw * s.group_in();
    Weights {
        data: &weights[group * s.group_out() * depth..],
        taps_across: s.kw,
        channels: s.group_in(),
        tap_strides: [s.kw, 1],
        channel_stride: s.kh * s.kw,
        column_stride: depth,
    }
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
    weights: ConvWeights,
    y: &mut [f32],
    epilogue: Option<&dyn Epilogue>,
    scratch: &mut [f32],
) {
    let ConvWeights { plain, prepared } = weights;
    s.check(x.len(), plain.len(), y.len());
    if s.out_pixels() == 0 || s.o == 0 {
        return;
    }
    if s.is_depthwise() {
        return depthwise::forward(cx, s, x, plain, y, epilogue, scratch);
    }
    if let Some(size) = choice::tile_size(cx, Pass::Forward, s) {
        return winograd::forward(cx, size, s, x, weights, y, epilogue, scratch);
    }
    if direct::suits(cx, s) {
        return direct::forward(cx, s, x, &filters(s, plain, 0), prepared, y, epilogue, scratch);
    }
    let depth = s.kh * s.kw * s.group_in();
    let gemm = Gemm::new(s.out_pixels(), s.group_out(), depth).packed(prepared);
    if s.is_pointwise() {
        let gemm = gemm.epilogue(epilogue);
        return gemm.run(cx, &Matrix::row_major(x, s.c), &Matrix::new(plain, 1, s.c), y, s.o, scratch);
    }
    let unit = rounded::unit(cx, s, s.group_in(), s.group_out());
    let (rounded, scratch) = match unit {
        Some(unit) => {
            let (numbers, of_weights, _) = s.sizes();
            let (pixels, rest) = rounded::take(scratch, rounded::size(numbers));
            let (weights, rest) = rest.split_at_mut(rounded::size(of_weights));
            bf16::round(cx, unit, &x[..numbers], pixels);
            if prepared.is_none() {
                RoundedFilters::round(cx, unit, s, plain, weights);
            }
            (Some((&*pixels, &*weights)), rest)
        }
        None => (None, scratch),
    };
    for g in 0..s.groups {
        let patches = Patches::of_input(s, x, g);
        let weights = filters(s, plain, g);
        let first_column = g * s.group_out();
        let shifted = epilogue.map(|inner| GroupEpilogue { inner, first_column });
        let gemm = gemm.epilogue(shifted.as_ref().map(|e| e as &dyn Epilogue));
        let y = &mut y[first_column..];
        match rounded {
            Some((pixels, filters)) => {
                let patches = RoundedPatches { patches, pairs: pixels };
                let filters = RoundedFilters::of_outputs(s, weights, &filters[first_column * depth / 2..]);
                gemm.run(cx, &patches, &filters, y, s.o, scratch);
            }
            None => gemm.run(cx, &patches, &weights, y, s.o, scratch),
        }
    }
}
