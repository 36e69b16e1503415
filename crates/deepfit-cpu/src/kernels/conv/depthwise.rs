//! Depth-wise convolution: each output channel sees one input channel, so vectors run over channels.
//!
//! With a multiplier `m`, output channel `c * m + j` belongs to input channel `c`. Weights are first laid out as
//! `[tap][j][c]`; a pixel of the output is handled as `[j][c]` and re-ordered on the way if `m > 1`.

use super::Conv2dShape;
use crate::kernels::Compute;
use crate::kernels::gemm::Epilogue;
use crate::pool::SharedMut;
use crate::simd::Simd;

/// Chunks that the pixels are split into for the gradient of the weights.
const CHUNKS: usize = 16;

fn multiplier(s: &Conv2dShape) -> usize {
    s.o / s.c
}

pub(super) fn forward_scratch(cx: &Compute, s: &Conv2dShape) -> usize {
    s.kh * s.kw * s.o + cx.pool.threads() * s.o
}

pub(super) fn input_gradient_scratch(cx: &Compute, s: &Conv2dShape) -> usize {
    forward_scratch(cx, s)
}

pub(super) fn weight_gradient_scratch(cx: &Compute, s: &Conv2dShape) -> usize {
    CHUNKS * s.kh * s.kw * s.o + cx.pool.threads() * s.out_w() * s.o
}

/// Weights `[o, 1, kh, kw]` as `[tap][j][c]`.
fn arrange(s: &Conv2dShape, weights: &[f32], out: &mut [f32]) {
    let (m, taps) = (multiplier(s), s.kh * s.kw);
    for tap in 0..taps {
        for j in 0..m {
            for c in 0..s.c {
                out[(tap * m + j) * s.c + c] = weights[(c * m + j) * taps + tap];
            }
        }
    }
}

/// `sum[i] += x[i] * y[i]`.
#[inline(always)]
fn add_product<S: Simd>(s: S, x: &[f32], y: &[f32], sum: &mut [f32]) {
    let mut i = 0;
    while i < sum.len() {
        let v = s.mul_add(s.load_at(x, i), s.load_at(y, i), s.load_at(sum, i));
        s.store_at(sum, i, v);
        i += S::LANES;
    }
}

/// The position that tap `k` reads for output `y`, if it lies in the image.
#[inline(always)]
fn source(y: usize, k: usize, stride: usize, dilation: usize, padding: usize, size: usize) -> Option<usize> {
    (y * stride + k * dilation).checked_sub(padding).filter(|&i| i < size)
}

/// The output that meets input `i` through tap `k`, if there is one.
#[inline(always)]
fn target(i: usize, k: usize, stride: usize, dilation: usize, padding: usize, size: usize) -> Option<usize> {
    let shifted = (i + padding).checked_sub(k * dilation)?;
    Some(shifted / stride).filter(|&y| shifted % stride == 0 && y < size)
}

pub(super) fn forward(
    cx: &Compute,
    s: &Conv2dShape,
    x: &[f32],
    weights: &[f32],
    y: &mut [f32],
    epilogue: Option<&dyn Epilogue>,
    scratch: &mut [f32],
) {
    let (oh, ow) = (s.out_h(), s.out_w());
    let (arranged, own) = scratch.split_at_mut(s.kh * s.kw * s.o);
    arrange(s, weights, arranged);
    let (arranged, own, y) = (&*arranged, SharedMut::new(own), SharedMut::new(y));
    cx.pool.run(s.n * oh, &|line, worker| {
        let image = &x[line / oh * s.h * s.w * s.c..][..s.h * s.w * s.c];
        // SAFETY: each task writes its own line of the output and its worker's buffer.
        let (out, buffer) = unsafe { (y.slice(line * ow * s.o, ow * s.o), own.slice(worker * s.o, s.o)) };
        forward_line(cx.isa, s, image, line % oh, arranged, buffer, out);
        if let Some(epilogue) = epilogue {
            // SAFETY: the line is this task's own.
            unsafe { epilogue.apply(line * ow, 0, ow, s.o, out.as_mut_ptr(), s.o) };
        }
    });
}

/// Outputs whose tap `k` lies in the image: first and end.
#[inline(always)]
fn outputs_inside(
    k: usize,
    stride: usize,
    dilation: usize,
    padding: usize,
    size: usize,
    outputs: usize,
) -> (usize, usize) {
    let first = padding.saturating_sub(k * dilation).div_ceil(stride);
    let end = (size + padding).saturating_sub(k * dilation).div_ceil(stride);
    (first.min(outputs), end.min(outputs))
}

/// Vectors of channels that are computed together: enough to hide the latency of a multiply-add.
const VECTORS: usize = 4;

/// One output pixel for `N` vectors of channels from `c` on; they stay in registers over all taps.
#[inline(always)]
fn pixel_channels<S: Simd, const N: usize>(
    v: S,
    s: &Conv2dShape,
    image: &[f32],
    [oy, ox]: [usize; 2],
    weights: &[f32],
    j: usize,
    c: usize,
    out: &mut [f32],
) {
    let m = multiplier(s);
    let mut sums = [v.zero(); N];
    for ky in 0..s.kh {
        let Some(iy) = source(oy, ky, s.stride[0], s.dilation[0], s.padding[0], s.h) else { continue };
        for kx in 0..s.kw {
            let Some(ix) = source(ox, kx, s.stride[1], s.dilation[1], s.padding[2], s.w) else { continue };
            let input = &image[(iy * s.w + ix) * s.c..][..s.c];
            let filter = &weights[((ky * s.kw + kx) * m + j) * s.c..][..s.c];
            for i in 0..N {
                let at = c + i * S::LANES;
                sums[i] = v.mul_add(v.load_at(input, at), v.load_at(filter, at), sums[i]);
            }
        }
    }
    for i in 0..N {
        v.store_at(out, c + i * S::LANES, sums[i]);
    }
}

#[inline(always)]
fn forward_line_body<S: Simd>(
    v: S,
    s: &Conv2dShape,
    image: &[f32],
    oy: usize,
    weights: &[f32],
    buffer: &mut [f32],
    out: &mut [f32],
) {
    let m = multiplier(s);
    for ox in 0..s.out_w() {
        let pixel = &mut out[ox * s.o..][..s.o];
        for j in 0..m {
            let out = if m == 1 { &mut *pixel } else { &mut buffer[j * s.c..][..s.c] };
            let mut c = 0;
            while c + (VECTORS - 1) * S::LANES < s.c {
                pixel_channels::<S, VECTORS>(v, s, image, [oy, ox], weights, j, c, out);
                c += VECTORS * S::LANES;
            }
            while c < s.c {
                pixel_channels::<S, 1>(v, s, image, [oy, ox], weights, j, c, out);
                c += S::LANES;
            }
        }
        if m > 1 {
            for c in 0..s.c {
                for j in 0..m {
                    pixel[c * m + j] = buffer[j * s.c + c];
                }
            }
        }
    }
}
crate::simd_kernel! {
    fn forward_line(s: &Conv2dShape, image: &[f32], oy: usize, weights: &[f32], buffer: &mut [f32], out: &mut [f32]) = forward_line_body;
}

pub(super) fn input_gradient(
    cx: &Compute,
    s: &Conv2dShape,
    dy: &[f32],
    weights: &[f32],
    dx: &mut [f32],
    scratch: &mut [f32],
) {
    let (oh, ow) = (s.out_h(), s.out_w());
    let (arranged, own) = scratch.split_at_mut(s.kh * s.kw * s.o);
    arrange(s, weights, arranged);
    let (arranged, own, dx) = (&*arranged, SharedMut::new(own), SharedMut::new(dx));
    cx.pool.run(s.n * s.h, &|line, worker| {
        let image = &dy[line / s.h * oh * ow * s.o..][..oh * ow * s.o];
        // SAFETY: each task writes its own line of the gradient and its worker's buffer.
        let (out, buffer) = unsafe { (dx.slice(line * s.w * s.c, s.w * s.c), own.slice(worker * s.o, s.o)) };
        input_gradient_line(cx.isa, s, image, line % s.h, arranged, buffer, out);
    });
}

/// A pixel `[c][j]` as `[j][c]`; itself if there is one `j`.
#[inline(always)]
fn by_multiplier<'a>(s: &Conv2dShape, pixel: &'a [f32], buffer: &'a mut [f32]) -> &'a [f32] {
    let m = multiplier(s);
    if m == 1 {
        return pixel;
    }
    for c in 0..s.c {
        for j in 0..m {
            buffer[j * s.c + c] = pixel[c * m + j];
        }
    }
    buffer
}

#[inline(always)]
fn input_gradient_line_body<S: Simd>(
    v: S,
    s: &Conv2dShape,
    image: &[f32],
    iy: usize,
    weights: &[f32],
    buffer: &mut [f32],
    out: &mut [f32],
) {
    let (m, oh, ow) = (multiplier(s), s.out_h(), s.out_w());
    for ix in 0..s.w {
        let pixel = &mut out[ix * s.c..][..s.c];
        pixel.fill(0.0);
        for ky in 0..s.kh {
            let Some(oy) = target(iy, ky, s.stride[0], s.dilation[0], s.padding[0], oh) else { continue };
            for kx in 0..s.kw {
                let Some(ox) = target(ix, kx, s.stride[1], s.dilation[1], s.padding[2], ow) else { continue };
                let gradient = by_multiplier(s, &image[(oy * ow + ox) * s.o..][..s.o], buffer);
                let filter = &weights[(ky * s.kw + kx) * s.o..][..s.o];
                for j in 0..m {
                    add_product(v, &gradient[j * s.c..][..s.c], &filter[j * s.c..][..s.c], pixel);
                }
            }
        }
    }
}
crate::simd_kernel! {
    fn input_gradient_line(
        s: &Conv2dShape, image: &[f32], iy: usize, weights: &[f32], buffer: &mut [f32], out: &mut [f32],
    ) = input_gradient_line_body;
}

pub(super) fn weight_gradient(
    cx: &Compute,
    s: &Conv2dShape,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    scratch: &mut [f32],
) {
    let (oh, ow, m, taps) = (s.out_h(), s.out_w(), multiplier(s), s.kh * s.kw);
    let size = taps * s.o;
    let lines = s.n * oh;
    let chunk = lines.div_ceil(CHUNKS).max(1);
    let chunks = lines.div_ceil(chunk);
    let (partial, own) = scratch.split_at_mut(CHUNKS * size);
    {
        let (partial, own) = (SharedMut::new(partial), SharedMut::new(own));
        cx.pool.run(chunks, &|task, worker| {
            // SAFETY: each task has its own sums, each worker its own buffer.
            let (sums, buffer) = unsafe { (partial.slice(task * size, size), own.slice(worker * ow * s.o, ow * s.o)) };
            sums.fill(0.0);
            for line in task * chunk..lines.min((task + 1) * chunk) {
                let image = &x[line / oh * s.h * s.w * s.c..][..s.h * s.w * s.c];
                let gradient = &dy[line * ow * s.o..][..ow * s.o];
                weight_gradient_line(cx.isa, s, image, line % oh, gradient, buffer, sums);
            }
        });
    }
    for tap in 0..taps {
        for j in 0..m {
            for c in 0..s.c {
                let mut sum = 0.0;
                for part in 0..chunks {
                    sum += partial[part * size + (tap * m + j) * s.c + c];
                }
                dw[(c * m + j) * taps + tap] = sum;
            }
        }
    }
}

#[inline(always)]
fn weight_gradient_line_body<S: Simd>(
    v: S,
    s: &Conv2dShape,
    image: &[f32],
    oy: usize,
    gradient: &[f32],
    buffer: &mut [f32],
    sums: &mut [f32],
) {
    let (m, ow) = (multiplier(s), s.out_w());
    if m > 1 {
        for ox in 0..ow {
            by_multiplier(s, &gradient[ox * s.o..][..s.o], &mut buffer[ox * s.o..][..s.o]);
        }
    }
    let gradient = if m > 1 { &*buffer } else { gradient };
    for ky in 0..s.kh {
        let Some(iy) = source(oy, ky, s.stride[0], s.dilation[0], s.padding[0], s.h) else { continue };
        for kx in 0..s.kw {
            for j in 0..m {
                let sums = &mut sums[((ky * s.kw + kx) * m + j) * s.c..][..s.c];
                let line = &image[iy * s.w * s.c..][..s.w * s.c];
                let gradient = &gradient[j * s.c..];
                let mut c = 0;
                while c + (VECTORS - 1) * S::LANES < s.c {
                    tap_channels::<S, VECTORS>(v, s, line, gradient, kx, c, sums);
                    c += VECTORS * S::LANES;
                }
                while c < s.c {
                    tap_channels::<S, 1>(v, s, line, gradient, kx, c, sums);
                    c += S::LANES;
                }
            }
        }
    }
}

/// Adds what one line of outputs gives to tap `kx` for `N` vectors of channels from `c` on.
#[inline(always)]
fn tap_channels<S: Simd, const N: usize>(
    v: S,
    s: &Conv2dShape,
    line: &[f32],
    gradient: &[f32],
    kx: usize,
    c: usize,
    sums: &mut [f32],
) {
    let mut acc = [v.zero(); N];
    for i in 0..N {
        acc[i] = v.load_at(sums, c + i * S::LANES);
    }
    let (first, end) = outputs_inside(kx, s.stride[1], s.dilation[1], s.padding[2], s.w, s.out_w());
    for ox in first..end {
        let ix = ox * s.stride[1] + kx * s.dilation[1] - s.padding[2];
        let (input, dy) = (&line[ix * s.c..][..s.c], &gradient[ox * s.o..][..s.c]);
        for i in 0..N {
            let at = c + i * S::LANES;
            acc[i] = v.mul_add(v.load_at(input, at), v.load_at(dy, at), acc[i]);
        }
    }
    for i in 0..N {
        v.store_at(sums, c + i * S::LANES, acc[i]);
    }
}
crate::simd_kernel! {
    fn weight_gradient_line(
        s: &Conv2dShape, image: &[f32], oy: usize, gradient: &[f32], buffer: &mut [f32], sums: &mut [f32],
    ) = weight_gradient_line_body;
}
