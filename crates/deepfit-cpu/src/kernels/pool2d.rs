//! Maximum and average pooling of images `[n, h, w, c]` (NHWC); vectors run over channels.
//!
//! Maximum pooling is exact; average pooling errs by at most one rounding a pixel of the window.

use super::Compute;
use crate::pool::SharedMut;
use crate::simd::Simd;

/// Sizes of a pooling. The caller makes sure that kernel and strides are at least 1 and that each window overlaps the
/// image (padding smaller than the kernel).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool2dShape {
    /// Images.
    pub n: usize,
    /// Height, width and channels of an image.
    pub h: usize,
    pub w: usize,
    pub c: usize,
    /// Height and width of a window.
    pub kh: usize,
    pub kw: usize,
    /// Steps between windows, down and across.
    pub stride: [usize; 2],
    /// Pixels around the image that are not there: top, bottom, left, right.
    pub padding: [usize; 4],
}

impl Pool2dShape {
    /// Height of the output.
    pub fn out_h(&self) -> usize {
        (self.h + self.padding[0] + self.padding[1] + 1).saturating_sub(self.kh).div_ceil(self.stride[0])
    }

    /// Width of the output.
    pub fn out_w(&self) -> usize {
        (self.w + self.padding[2] + self.padding[3] + 1).saturating_sub(self.kw).div_ceil(self.stride[1])
    }

    /// Numbers in the input and in the output.
    pub fn sizes(&self) -> (usize, usize) {
        (self.n * self.h * self.w * self.c, self.n * self.out_h() * self.out_w() * self.c)
    }

    /// Pixels of an image that window (`oy`, `ox`) covers: first and end, down and across.
    #[inline(always)]
    fn window(&self, oy: usize, ox: usize) -> [usize; 4] {
        let along = |o: usize, stride: usize, padding: usize, kernel: usize, size: usize| {
            let start = o * stride;
            (start.saturating_sub(padding).min(size), (start + kernel).saturating_sub(padding).min(size))
        };
        let (y0, y1) = along(oy, self.stride[0], self.padding[0], self.kh, self.h);
        let (x0, x1) = along(ox, self.stride[1], self.padding[2], self.kw, self.w);
        [y0, y1, x0, x1]
    }

    /// Windows along one axis that cover pixel `i`: first and end.
    #[inline(always)]
    fn windows_over(i: usize, stride: usize, padding: usize, kernel: usize, outputs: usize) -> (usize, usize) {
        let shifted = i + padding;
        ((shifted + 1).saturating_sub(kernel).div_ceil(stride), (shifted / stride + 1).min(outputs))
    }
}

/// Largest number of each window into `y` `[n, out_h, out_w, c]`, and which pixel it came from (`row * w + column`)
/// into `winner`, the first of equal ones. A NaN wins, the last one of several, as in PyTorch. A window without any
/// pixel gives `-inf` and -1.
///
/// # Panics
/// If a slice has another length than the shape says.
pub fn max_pool(cx: &Compute, s: &Pool2dShape, x: &[f32], y: &mut [f32], winner: &mut [i32]) {
    let (sx, sy) = s.sizes();
    assert!(x.len() == sx && y.len() == sy && winner.len() == sy, "max_pool: operands do not match {s:?}");
    let (oh, line, image) = (s.out_h(), s.out_w() * s.c, s.h * s.w * s.c);
    let (y, winner) = (SharedMut::new(y), SharedMut::new(winner));
    cx.pool.run(s.n * oh, &|task, _| {
        // SAFETY: each task writes its own line.
        let (y, winner) = unsafe { (y.slice(task * line, line), winner.slice(task * line, line)) };
        max_line(cx.isa, s, &x[task / oh * image..][..image], task % oh, y, winner);
    });
}

#[inline(always)]
fn max_line_body<S: Simd>(s: S, shape: &Pool2dShape, image: &[f32], oy: usize, y: &mut [f32], winner: &mut [i32]) {
    let (w, c) = (shape.w, shape.c);
    for ox in 0..shape.out_w() {
        let [y0, y1, x0, x1] = shape.window(oy, ox);
        let (y, winner) = (&mut y[ox * c..][..c], &mut winner[ox * c..][..c]);
        let mut i = 0;
        while i < c {
            let mut best = s.splat(f32::NEG_INFINITY);
            let empty = y0 >= y1 || x0 >= x1;
            let mut from = s.splat_i(if empty { -1 } else { (y0 * w + x0) as i32 });
            for iy in y0..y1 {
                for ix in x0..x1 {
                    let v = s.load_at(&image[(iy * w + ix) * c..][..c], i);
                    let better = s.mask_or(s.lt(best, v), s.is_nan(v));
                    best = s.select(better, v, best);
                    from = s.select_i(better, s.splat_i((iy * w + ix) as i32), from);
                }
            }
            s.store_at(y, i, best);
            let mut lanes = [0i32; 16];
            // SAFETY: no vector has more than 16 lanes.
            unsafe { s.store_i(lanes.as_mut_ptr(), from) };
            let n = S::LANES.min(c - i);
            winner[i..i + n].copy_from_slice(&lanes[..n]);
            i += S::LANES;
        }
    }
}
crate::simd_kernel! {
    fn max_line(shape: &Pool2dShape, image: &[f32], oy: usize, y: &mut [f32], winner: &mut [i32]) = max_line_body;
}

/// Gradient of [`max_pool`]: each pixel gathers the `dy` of the windows it won.
///
/// # Panics
/// If a slice has another length than the shape says.
pub fn max_pool_backward(cx: &Compute, s: &Pool2dShape, dy: &[f32], winner: &[i32], dx: &mut [f32]) {
    let (sx, sy) = s.sizes();
    assert!(dx.len() == sx && dy.len() == sy && winner.len() == sy, "max_pool_backward: operands do not match {s:?}");
    let (line, out) = (s.w * s.c, s.out_h() * s.out_w() * s.c);
    cx.pool.for_each_chunk(dx, line, |task, dx| {
        let image = task / s.h * out;
        max_backward_line(cx.isa, s, &dy[image..][..out], &winner[image..][..out], task % s.h, dx);
    });
}

#[inline(always)]
fn max_backward_line_body<S: Simd>(s: S, shape: &Pool2dShape, dy: &[f32], winner: &[i32], iy: usize, dx: &mut [f32]) {
    let (oh, ow, c) = (shape.out_h(), shape.out_w(), shape.c);
    let (y0, y1) = Pool2dShape::windows_over(iy, shape.stride[0], shape.padding[0], shape.kh, oh);
    for ix in 0..shape.w {
        let (x0, x1) = Pool2dShape::windows_over(ix, shape.stride[1], shape.padding[2], shape.kw, ow);
        let me = s.splat_i((iy * shape.w + ix) as i32);
        let dx = &mut dx[ix * c..][..c];
        let mut i = 0;
        while i < c {
            let mut sum = s.zero();
            for oy in y0..y1 {
                for ox in x0..x1 {
                    let at = (oy * ow + ox) * c;
                    let from = &winner[at + i..at + c];
                    let from = if from.len() >= S::LANES {
                        // SAFETY: as many integers as the vector has lanes follow.
                        unsafe { s.load_i(from.as_ptr()) }
                    } else {
                        let mut lanes = [-1i32; 16];
                        lanes[..from.len()].copy_from_slice(from);
                        // SAFETY: no vector has more than 16 lanes.
                        unsafe { s.load_i(lanes.as_ptr()) }
                    };
                    let v = s.load_at(&dy[at..at + c], i);
                    sum = s.add(sum, s.select(s.eq_i(from, me), v, s.zero()));
                }
            }
            s.store_at(dx, i, sum);
            i += S::LANES;
        }
    }
}
crate::simd_kernel! {
    fn max_backward_line(shape: &Pool2dShape, dy: &[f32], winner: &[i32], iy: usize, dx: &mut [f32]) = max_backward_line_body;
}

/// What an average divides by.
#[inline(always)]
fn divisor(s: &Pool2dShape, oy: usize, ox: usize, count_padding: bool) -> f32 {
    let [y0, y1, x0, x1] = s.window(oy, ox);
    if count_padding { (s.kh * s.kw) as f32 } else { ((y1 - y0) * (x1 - x0)) as f32 }
}

/// Average of each window into `y` `[n, out_h, out_w, c]`. With `count_padding` a window counts as `kh * kw` pixels,
/// those outside of the image being zero (PyTorch's `count_include_pad`); without it only pixels of the image count.
///
/// # Panics
/// If a slice has another length than the shape says.
pub fn average_pool(cx: &Compute, s: &Pool2dShape, count_padding: bool, x: &[f32], y: &mut [f32]) {
    let (sx, sy) = s.sizes();
    assert!(x.len() == sx && y.len() == sy, "average_pool: operands do not match {s:?}");
    let (oh, image) = (s.out_h(), s.h * s.w * s.c);
    cx.pool.for_each_chunk(y, s.out_w() * s.c, |task, y| {
        average_line(cx.isa, s, count_padding, &x[task / oh * image..][..image], task % oh, y);
    });
}

#[inline(always)]
fn average_line_body<S: Simd>(s: S, shape: &Pool2dShape, count_padding: bool, image: &[f32], oy: usize, y: &mut [f32]) {
    let (w, c) = (shape.w, shape.c);
    for ox in 0..shape.out_w() {
        let [y0, y1, x0, x1] = shape.window(oy, ox);
        let count = s.splat(divisor(shape, oy, ox, count_padding));
        let y = &mut y[ox * c..][..c];
        let mut i = 0;
        while i < c {
            let mut sum = s.zero();
            for iy in y0..y1 {
                for ix in x0..x1 {
                    sum = s.add(sum, s.load_at(&image[(iy * w + ix) * c..][..c], i));
                }
            }
            s.store_at(y, i, s.div(sum, count));
            i += S::LANES;
        }
    }
}
crate::simd_kernel! {
    fn average_line(shape: &Pool2dShape, count_padding: bool, image: &[f32], oy: usize, y: &mut [f32]) = average_line_body;
}

/// Gradient of [`average_pool`].
///
/// # Panics
/// If a slice has another length than the shape says.
pub fn average_pool_backward(cx: &Compute, s: &Pool2dShape, count_padding: bool, dy: &[f32], dx: &mut [f32]) {
    let (sx, sy) = s.sizes();
    assert!(dx.len() == sx && dy.len() == sy, "average_pool_backward: operands do not match {s:?}");
    let out = s.out_h() * s.out_w() * s.c;
    cx.pool.for_each_chunk(dx, s.w * s.c, |task, dx| {
        average_backward_line(cx.isa, s, count_padding, &dy[task / s.h * out..][..out], task % s.h, dx);
    });
}

#[inline(always)]
fn average_backward_line_body<S: Simd>(
    s: S,
    shape: &Pool2dShape,
    count_padding: bool,
    dy: &[f32],
    iy: usize,
    dx: &mut [f32],
) {
    let (oh, ow, c) = (shape.out_h(), shape.out_w(), shape.c);
    let (y0, y1) = Pool2dShape::windows_over(iy, shape.stride[0], shape.padding[0], shape.kh, oh);
    for ix in 0..shape.w {
        let (x0, x1) = Pool2dShape::windows_over(ix, shape.stride[1], shape.padding[2], shape.kw, ow);
        let dx = &mut dx[ix * c..][..c];
        dx.fill(0.0);
        for oy in y0..y1 {
            for ox in x0..x1 {
                let count = s.splat(divisor(shape, oy, ox, count_padding));
                let dy = &dy[(oy * ow + ox) * c..][..c];
                let mut i = 0;
                while i < c {
                    let v = s.add(s.load_at(dx, i), s.div(s.load_at(dy, i), count));
                    s.store_at(dx, i, v);
                    i += S::LANES;
                }
            }
        }
    }
}
crate::simd_kernel! {
    fn average_backward_line(
        shape: &Pool2dShape, count_padding: bool, dy: &[f32], iy: usize, dx: &mut [f32],
    ) = average_backward_line_body;
}
