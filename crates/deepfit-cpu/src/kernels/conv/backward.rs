//! Gradients of the convolution with respect to its input and to its weights.

use super::choice::{Pass, tile_size};
use super::patches::{Patches, Weights};
use super::rounded::{self, RoundedFilters, RoundedPatches};
use super::{Conv2dShape, depthwise, winograd};
use crate::kernels::Compute;
use crate::kernels::gemm::{Gemm, Matrix, bf16};
use crate::pool::SharedMut;

/// The taps that reach the input pixels `phase, phase + stride, ...` of one axis.
///
/// Output `y` meets input `i` through tap `k` where `i + padding = y * stride + k * dilation`. For the pixels of one
/// phase this holds for every `step`-th tap, and then `y` moves by one from pixel to pixel: a convolution with
/// stride 1 and no zeros in between.
struct Phase {
    first_tap: usize,
    taps: usize,
    /// Distance between the taps in the kernel.
    step: usize,
    /// The output that the first tap meets at the first pixel.
    offset: isize,
    /// By how much the output moves from tap to tap (backwards).
    tap_step: isize,
    /// Input pixels of the phase.
    pixels: usize,
}

impl Phase {
    fn new(phase: usize, size: usize, kernel: usize, stride: usize, padding: usize, dilation: usize) -> Phase {
        let step = stride / greatest_common_divisor(stride, dilation);
        let pixels = size.saturating_sub(phase).div_ceil(stride);
        let position = (phase + padding) as isize;
        let meets = |k: usize| (position - (k * dilation) as isize).rem_euclid(stride as isize) == 0;
        match (0..kernel.min(step)).find(|&k| meets(k)) {
            Some(first) => Phase {
                first_tap: first,
                taps: (kernel - first).div_ceil(step),
                step,
                offset: (position - (first * dilation) as isize).div_euclid(stride as isize),
                tap_step: -((step * dilation / stride) as isize),
                pixels,
            },
            None => Phase { first_tap: 0, taps: 0, step, offset: 0, tap_step: 0, pixels },
        }
    }

    fn of(s: &Conv2dShape, axis: usize, phase: usize) -> Phase {
        let (size, kernel) = if axis == 0 { (s.h, s.kh) } else { (s.w, s.kw) };
        Phase::new(phase, size, kernel, s.stride[axis], s.padding[2 * axis], s.dilation[axis])
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// How many `f32` of scratch [`conv2d_input_gradient`] needs.
pub fn conv2d_input_gradient_scratch(cx: &Compute, s: &Conv2dShape) -> usize {
    if s.is_depthwise() {
        return depthwise::input_gradient_scratch(cx, s);
    }
    let tiles = tile_size(cx, Pass::InputGradient, s).map(|size| winograd::input_gradient_scratch(cx, size, s));
    let mut most = tiles.unwrap_or(0);
    for py in 0..s.stride[0] {
        for px in 0..s.stride[1] {
            let (y, x) = (Phase::of(s, 0, py), Phase::of(s, 1, px));
            let rows = s.n * y.pixels * x.pixels;
            let product = Gemm::new(rows, s.group_in(), y.taps * x.taps * s.group_out()).scratch(cx);
            let gathered = if s.stride == [1, 1] { 0 } else { rows * s.group_in() };
            most = most.max(product + gathered);
        }
    }
    let (_, weights, outputs) = s.sizes();
    most + rounded_for_inputs(cx, s).map_or(0, |_| rounded::size(outputs) + rounded::size(weights) + 15)
}

/// What rounds gradients of outputs and weights before they are multiplied.
fn rounded_for_inputs(cx: &Compute, s: &Conv2dShape) -> Option<bf16::Unit> {
    rounded::unit(cx, s, s.group_out(), s.group_in()).filter(|_| s.group_in().is_multiple_of(bf16::DEPTH))
}

/// Gradient with respect to the input: from `dy` `[n, out_h, out_w, o]` and `weights` to `dx` `[n, h, w, c]`.
///
/// With a stride, the pixels that share a position modulo the stride are computed together, so that no product is
/// spent on the zeros between the outputs.
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn conv2d_input_gradient(
    cx: &Compute,
    s: &Conv2dShape,
    dy: &[f32],
    weights: &[f32],
    dx: &mut [f32],
    scratch: &mut [f32],
) {
    s.check(dx.len(), weights.len(), dy.len());
    if s.is_depthwise() {
        return depthwise::input_gradient(cx, s, dy, weights, dx, scratch);
    }
    if let Some(size) = tile_size(cx, Pass::InputGradient, s) {
        return winograd::input_gradient(cx, size, s, dy, weights, dx, scratch);
    }
    if s.is_pointwise() {
        let gemm = Gemm::new(s.out_pixels(), s.c, s.o);
        return gemm.run(cx, &Matrix::row_major(dy, s.o), &Matrix::row_major(weights, s.c), dx, s.c, scratch);
    }
    let kernel = s.kh * s.kw;
    let (rounded, scratch) = match rounded_for_inputs(cx, s) {
        Some(unit) => {
            let (_, of_weights, numbers) = s.sizes();
            let (pixels, rest) = rounded::take(scratch, rounded::size(numbers));
            let (filters, rest) = rest.split_at_mut(rounded::size(of_weights));
            bf16::round(cx, unit, &dy[..numbers], pixels);
            RoundedFilters::round(cx, unit, s, weights, filters);
            (Some((&*pixels, &*filters)), rest)
        }
        None => (None, scratch),
    };
    for g in 0..s.groups {
        for py in 0..s.stride[0] {
            for px in 0..s.stride[1] {
                let (y, x) = (Phase::of(s, 0, py), Phase::of(s, 1, px));
                let rows = s.n * y.pixels * x.pixels;
                if rows == 0 {
                    continue;
                }
                let outputs = Patches {
                    data: dy,
                    image: [s.out_h(), s.out_w()],
                    pixel: s.o,
                    first_channel: g * s.group_out(),
                    channels: s.group_out(),
                    grid: [y.pixels, x.pixels],
                    stride: [1, 1],
                    offset: [y.offset, x.offset],
                    taps: [y.taps, x.taps],
                    tap_step: [y.tap_step, x.tap_step],
                };
                let filters = Weights {
                    data: &weights[g * s.group_out() * s.group_in() * kernel + y.first_tap * s.kw + x.first_tap..],
                    taps_across: x.taps,
                    channels: s.group_out(),
                    tap_strides: [y.step * s.kw, x.step],
                    channel_stride: s.group_in() * kernel,
                    column_stride: kernel,
                };
                let gemm = Gemm::new(rows, s.group_in(), y.taps * x.taps * s.group_out());
                let first_channel = g * s.group_in();
                let run = |dx: &mut [f32], stride: usize, scratch: &mut [f32]| match rounded {
                    Some((pixels, pairs)) => {
                        let outputs = RoundedPatches { patches: outputs, pairs: pixels };
                        let of_group = &pairs[g * s.group_out() * s.group_in() * kernel / 2..];
                        let (first, step) = ([y.first_tap, x.first_tap], [y.step, x.step]);
                        let filters = RoundedFilters::of_inputs(s, filters, of_group, first, step);
                        gemm.run(cx, &outputs, &filters, dx, stride, scratch);
                    }
                    None => gemm.run(cx, &outputs, &filters, dx, stride, scratch),
                };
                if s.stride == [1, 1] {
                    run(&mut dx[first_channel..], s.c, scratch);
                    continue;
                }
                let (gathered, scratch) = scratch.split_at_mut(rows * s.group_in());
                run(gathered, s.group_in(), scratch);
                scatter(cx, s, gathered, dx, [py, px], [y.pixels, x.pixels], first_channel);
            }
        }
    }
}

/// Puts the pixels of one phase where they belong.
fn scatter(
    cx: &Compute,
    s: &Conv2dShape,
    from: &[f32],
    dx: &mut [f32],
    phase: [usize; 2],
    pixels: [usize; 2],
    channel: usize,
) {
    let dx = SharedMut::new(dx);
    let channels = s.group_in();
    cx.pool.run(s.n * pixels[0], &|line, _| {
        let y = (line / pixels[0]) * s.h + line % pixels[0] * s.stride[0] + phase[0];
        for i in 0..pixels[1] {
            let x = i * s.stride[1] + phase[1];
            // SAFETY: each task writes other lines of the image.
            let pixel = unsafe { dx.slice((y * s.w + x) * s.c + channel, channels) };
            pixel.copy_from_slice(&from[(line * pixels[1] + i) * channels..][..channels]);
        }
    });
}

/// How many `f32` of scratch [`conv2d_weight_gradient`] needs.
pub fn conv2d_weight_gradient_scratch(cx: &Compute, s: &Conv2dShape) -> usize {
    if s.is_depthwise() {
        return depthwise::weight_gradient_scratch(cx, s);
    }
    let depth = s.kh * s.kw * s.group_in();
    let gemm = Gemm::new(s.group_out(), depth, s.out_pixels());
    let product = gemm.scratch(cx) + if s.is_pointwise() { 0 } else { s.group_out() * depth };
    let rounded = rounded::unit(cx, s, s.group_in(), s.group_out()).map_or(0, |_| rounded::size(s.sizes().0) + 15);
    let product = product + rounded;
    let tiles = tile_size(cx, Pass::WeightGradient, s).map(|size| winograd::weight_gradient_scratch(cx, size, s));
    product.max(tiles.unwrap_or(0))
}

/// Gradient with respect to the weights: from `x` `[n, h, w, c]` and `dy` `[n, out_h, out_w, o]` to `dw`
/// `[o, c / groups, kh, kw]`. The pixels are split into chunks as their number says, and the chunks added in order.
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn conv2d_weight_gradient(
    cx: &Compute,
    s: &Conv2dShape,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    scratch: &mut [f32],
) {
    s.check(x.len(), dw.len(), dy.len());
    if s.is_depthwise() {
        return depthwise::weight_gradient(cx, s, x, dy, dw, scratch);
    }
    if let Some(size) = tile_size(cx, Pass::WeightGradient, s) {
        return winograd::weight_gradient(cx, size, s, x, dy, dw, scratch);
    }
    let kernel = s.kh * s.kw;
    let depth = kernel * s.group_in();
    let gemm = Gemm::new(s.group_out(), depth, s.out_pixels());
    if s.is_pointwise() {
        return gemm.run(cx, &Matrix::new(dy, 1, s.o), &Matrix::row_major(x, s.c), dw, s.c, scratch);
    }
    let (rounded, scratch) = match rounded::unit(cx, s, s.group_in(), s.group_out()) {
        Some(unit) => {
            let (numbers, ..) = s.sizes();
            let (pixels, rest) = rounded::take(scratch, rounded::size(numbers));
            bf16::round(cx, unit, &x[..numbers], pixels);
            (Some(&*pixels), rest)
        }
        None => (None, scratch),
    };
    for g in 0..s.groups {
        let (by_tap, scratch) = scratch.split_at_mut(s.group_out() * depth);
        let outputs = Matrix::new(&dy[(g * s.group_out()).min(dy.len())..], 1, s.o);
        let patches = Patches::of_input(s, x, g);
        match rounded {
            Some(pairs) => gemm.run(cx, &outputs, &RoundedPatches { patches, pairs }, by_tap, depth, scratch),
            None => gemm.run(cx, &outputs, &patches, by_tap, depth, scratch),
        }
        // From [o, kh, kw, c] to [o, c, kh, kw].
        let of_group = &mut dw[g * s.group_out() * depth..(g + 1) * s.group_out() * depth];
        cx.pool.for_each_chunk(of_group, depth, |filter, of_filter| {
            let taps = &by_tap[filter * depth..][..depth];
            for tap in 0..kernel {
                for channel in 0..s.group_in() {
                    of_filter[channel * kernel + tap] = taps[tap * s.group_in() + channel];
                }
            }
        });
    }
}
