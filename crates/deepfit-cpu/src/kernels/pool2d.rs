//! Maximum and average pooling of images `[n, h, w, c]` (NHWC); vectors run over channels.
//!
//! Maximum pooling is exact; average pooling errs by at most one rounding a pixel of the window.

use super::Compute;
use crate::pool::SharedMut;
use crate::simd::Simd;

/// Which pixels along one axis each output is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// Windows of `kernel` taps `dilation` pixels apart, at every `stride` pixels, the first one `padding` pixels before
    /// the image. Pixels in the padding on either side may count in an average, those further out never do.
    Windows {
        /// Taps of a window.
        kernel: usize,
        /// Pixels from a window to the next.
        stride: usize,
        /// Pixels before the image at which the first window begins.
        padding: usize,
        /// Pixels from a tap to the next.
        dilation: usize,
    },
    /// Output `i` of `n` reaches from pixel `floor(i * size / n)` to `ceil((i + 1) * size / n)`.
    Adaptive,
}

/// One axis of a pooling. The caller makes sure that kernel, stride, dilation, size and outputs are at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolAxis {
    /// Pixels.
    pub size: usize,
    /// Outputs.
    pub outputs: usize,
    /// What lies between them.
    pub spacing: Spacing,
}

impl PoolAxis {
    /// First pixel that output `o` is made of, and the end of them; between them they are [`PoolAxis::step`] apart.
    #[inline(always)]
    fn window(&self, o: usize) -> (usize, usize) {
        match self.spacing {
            Spacing::Windows { kernel, stride, padding, dilation } => {
                let start = o * stride;
                let outside = padding.saturating_sub(start).div_ceil(dilation);
                let end = (start + (kernel - 1) * dilation + 1).saturating_sub(padding);
                ((start + outside * dilation).saturating_sub(padding), end.min(self.size))
            }
            Spacing::Adaptive => (o * self.size / self.outputs, ((o + 1) * self.size).div_ceil(self.outputs)),
        }
    }

    /// The width of windows that stand side by side from the first pixel on, if they do.
    fn tile(&self) -> Option<usize> {
        match self.spacing {
            Spacing::Windows { kernel, stride, padding: 0, dilation: 1 }
                if kernel == stride && self.outputs * kernel <= self.size && self.outputs > 0 =>
            {
                Some(kernel)
            }
            _ => None,
        }
    }

    /// Distance between the pixels of a window.
    #[inline(always)]
    fn step(&self) -> usize {
        match self.spacing {
            Spacing::Windows { dilation, .. } => dilation,
            Spacing::Adaptive => 1,
        }
    }

    /// Positions of window `o` in the image and, if that counts, in the padding.
    #[inline(always)]
    fn counted(&self, o: usize, count_padding: bool) -> usize {
        match self.spacing {
            Spacing::Windows { kernel, stride, padding, .. } if count_padding => {
                (o * stride + kernel).min(self.size + 2 * padding) - o * stride
            }
            _ => {
                let (first, end) = self.window(o);
                end - first
            }
        }
    }

    /// First output whose window reaches over pixel `i`, and the end of them.
    #[inline(always)]
    fn windows_over(&self, i: usize) -> (usize, usize) {
        match self.spacing {
            Spacing::Windows { kernel, stride, padding, dilation } => {
                let shifted = i + padding;
                let span = (kernel - 1) * dilation + 1;
                ((shifted + 1).saturating_sub(span).div_ceil(stride), (shifted / stride + 1).min(self.outputs))
            }
            Spacing::Adaptive => (i * self.outputs / self.size, ((i + 1) * self.outputs).div_ceil(self.size)),
        }
    }
}

/// What the sum of a window is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Divisor {
    /// Its pixels of the image.
    Pixels,
    /// Its pixels of the image and of the padding, which count as zeros (PyTorch's `count_include_pad`).
    WithPadding,
    /// One number for all windows.
    Fixed(usize),
}

impl Divisor {
    #[inline(always)]
    fn of(self, axes: [PoolAxis; 2], oy: usize, ox: usize) -> f32 {
        let count = |padding: bool| axes[0].counted(oy, padding) * axes[1].counted(ox, padding);
        match self {
            Divisor::Pixels => count(false) as f32,
            Divisor::WithPadding => count(true) as f32,
            Divisor::Fixed(n) => n as f32,
        }
    }
}

/// Sizes of a pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool2dShape {
    /// Images.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Down and across.
    pub axes: [PoolAxis; 2],
}

impl Pool2dShape {
    /// Numbers in the input and in the output.
    pub fn sizes(&self) -> (usize, usize) {
        let [down, across] = self.axes;
        (self.n * down.size * across.size * self.c, self.n * down.outputs * across.outputs * self.c)
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
    let [down, across] = s.axes;
    let (oh, line, image) = (down.outputs, across.outputs * s.c, down.size * across.size * s.c);
    let (y, winner) = (SharedMut::new(y), SharedMut::new(winner));
    cx.pool.run(s.n * oh, &|task, _| {
        // SAFETY: each task writes its own line.
        let (y, winner) = unsafe { (y.slice(task * line, line), winner.slice(task * line, line)) };
        max_line(cx.isa, s, &x[task / oh * image..][..image], task % oh, y, winner);
    });
}

/// The first integers as a vector, with -1 behind them if they are too few.
#[inline(always)]
fn load_integers<S: Simd>(s: S, from: &[i32]) -> S::I {
    const { assert!(S::LANES <= 16) };
    if from.len() >= S::LANES {
        // SAFETY: as many integers as the vector has lanes are there.
        return unsafe { s.load_i(from.as_ptr()) };
    }
    let mut lanes = [-1i32; 16];
    lanes[..from.len()].copy_from_slice(from);
    // SAFETY: no vector has more than 16 lanes.
    unsafe { s.load_i(lanes.as_ptr()) }
}

/// Writes as many lanes as there is room for.
#[inline(always)]
fn store_integers<S: Simd>(s: S, to: &mut [i32], v: S::I) {
    const { assert!(S::LANES <= 16) };
    if to.len() >= S::LANES {
        // SAFETY: there is room for all lanes.
        return unsafe { s.store_i(to.as_mut_ptr(), v) };
    }
    let mut lanes = [0i32; 16];
    // SAFETY: no vector has more than 16 lanes.
    unsafe { s.store_i(lanes.as_mut_ptr(), v) };
    to.copy_from_slice(&lanes[..to.len()]);
}

#[inline(always)]
fn max_line_body<S: Simd>(s: S, shape: &Pool2dShape, image: &[f32], oy: usize, y: &mut [f32], winner: &mut [i32]) {
    let ([down, across], c) = (shape.axes, shape.c);
    let w = across.size;
    let (y0, y1) = down.window(oy);
    for ox in 0..across.outputs {
        let (x0, x1) = across.window(ox);
        let (y, winner) = (&mut y[ox * c..][..c], &mut winner[ox * c..][..c]);
        let mut i = 0;
        while i < c {
            let mut best = s.splat(f32::NEG_INFINITY);
            let empty = y0 >= y1 || x0 >= x1;
            let mut from = s.splat_i(if empty { -1 } else { (y0 * w + x0) as i32 });
            let mut iy = y0;
            while iy < y1 {
                let mut ix = x0;
                while ix < x1 {
                    let v = s.load_at(&image[(iy * w + ix) * c..][..c], i);
                    let better = s.mask_or(s.lt(best, v), s.is_nan(v));
                    best = s.select(better, v, best);
                    from = s.select_i(better, s.splat_i((iy * w + ix) as i32), from);
                    ix += across.step();
                }
                iy += down.step();
            }
            s.store_at(y, i, best);
            store_integers(s, &mut winner[i..], from);
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
    let [down, across] = s.axes;
    if dx.is_empty() {
        return;
    }
    let (line, out) = (across.size * s.c, down.outputs * across.outputs * s.c);
    if let (Some(high), Some(wide)) = (down.tile(), across.tile()) {
        let dx = SharedMut::new(dx);
        return cx.pool.run(s.n * down.outputs, &|task, _| {
            let (image, oy) = (task / down.outputs, task % down.outputs);
            let last = oy + 1 == down.outputs;
            let rows = oy * high..if last { down.size } else { (oy + 1) * high };
            // SAFETY: tasks have different lines of pixels.
            let dx = unsafe { dx.slice((image * down.size + rows.start) * line, rows.len() * line) };
            let from = task * across.outputs * s.c..(task + 1) * across.outputs * s.c;
            max_backward_tiles(cx.isa, s, [high, wide], &dy[from.clone()], &winner[from], oy, dx);
        });
    }
    cx.pool.for_each_chunk(dx, line, |task, dx| {
        let image = task / down.size * out;
        max_backward_line(cx.isa, s, &dy[image..][..out], &winner[image..][..out], task % down.size, dx);
    });
}

/// The gradient where each pixel belongs to at most one window, for one line of windows of `high` by `wide` pixels.
#[inline(always)]
fn max_backward_tiles_body<S: Simd>(
    s: S,
    shape: &Pool2dShape,
    [high, wide]: [usize; 2],
    dy: &[f32],
    winner: &[i32],
    oy: usize,
    dx: &mut [f32],
) {
    let (c, w) = (shape.c, shape.axes[1].size);
    for (ox, (dy, winner)) in dy.chunks_exact(c).zip(winner.chunks_exact(c)).enumerate() {
        let mut i = 0;
        while i < c {
            let (v, from) = (s.load_at(dy, i), load_integers(s, &winner[i..]));
            for y in 0..high {
                for x in 0..wide {
                    let pixel = y * w + ox * wide + x;
                    let won = s.eq_i(from, s.splat_i((oy * high * w + pixel) as i32));
                    s.store_at(&mut dx[pixel * c..][..c], i, s.select(won, v, s.zero()));
                }
            }
            i += S::LANES;
        }
    }
    // No window reaches over what is left.
    let seen = dy.len() / c * wide;
    for (y, line) in dx.chunks_exact_mut(w * c).enumerate() {
        line[if y < high { seen * c } else { 0 }..].fill(0.0);
    }
}
crate::simd_kernel! {
    fn max_backward_tiles(
        shape: &Pool2dShape,
        tile: [usize; 2],
        dy: &[f32],
        winner: &[i32],
        oy: usize,
        dx: &mut [f32],
    ) = max_backward_tiles_body;
}

#[inline(always)]
fn max_backward_line_body<S: Simd>(s: S, shape: &Pool2dShape, dy: &[f32], winner: &[i32], iy: usize, dx: &mut [f32]) {
    let ([down, across], c) = (shape.axes, shape.c);
    let ow = across.outputs;
    let (y0, y1) = down.windows_over(iy);
    for ix in 0..across.size {
        let (x0, x1) = across.windows_over(ix);
        let me = s.splat_i((iy * across.size + ix) as i32);
        let dx = &mut dx[ix * c..][..c];
        let mut i = 0;
        while i < c {
            let mut sum = s.zero();
            for oy in y0..y1 {
                for ox in x0..x1 {
                    let at = (oy * ow + ox) * c;
                    let from = load_integers(s, &winner[at + i..at + c]);
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

/// Sum of each window, divided as the divisor says, into `y` `[n, out_h, out_w, c]`.
///
/// # Panics
/// If a slice has another length than the shape says, or windows are dilated.
pub fn average_pool(cx: &Compute, s: &Pool2dShape, divisor: Divisor, x: &[f32], y: &mut [f32]) {
    let (sx, sy) = s.sizes();
    assert!(x.len() == sx && y.len() == sy, "average_pool: operands do not match {s:?}");
    assert!(s.axes.iter().all(|axis| axis.step() == 1), "average_pool: dilated windows");
    let [down, across] = s.axes;
    let (oh, image) = (down.outputs, down.size * across.size * s.c);
    cx.pool.for_each_chunk(y, across.outputs * s.c, |task, y| {
        average_line(cx.isa, s, divisor, &x[task / oh * image..][..image], task % oh, y);
    });
}

#[inline(always)]
fn average_line_body<S: Simd>(s: S, shape: &Pool2dShape, divisor: Divisor, image: &[f32], oy: usize, y: &mut [f32]) {
    let ([down, across], c) = (shape.axes, shape.c);
    let w = across.size;
    let (y0, y1) = down.window(oy);
    for ox in 0..across.outputs {
        let (x0, x1) = across.window(ox);
        let count = s.splat(divisor.of(shape.axes, oy, ox));
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
    fn average_line(shape: &Pool2dShape, divisor: Divisor, image: &[f32], oy: usize, y: &mut [f32]) = average_line_body;
}

/// Gradient of [`average_pool`].
///
/// # Panics
/// If a slice has another length than the shape says.
pub fn average_pool_backward(cx: &Compute, s: &Pool2dShape, divisor: Divisor, dy: &[f32], dx: &mut [f32]) {
    let (sx, sy) = s.sizes();
    assert!(dx.len() == sx && dy.len() == sy, "average_pool_backward: operands do not match {s:?}");
    assert!(s.axes.iter().all(|axis| axis.step() == 1), "average_pool_backward: dilated windows");
    let [down, across] = s.axes;
    let out = down.outputs * across.outputs * s.c;
    cx.pool.for_each_chunk(dx, across.size * s.c, |task, dx| {
        let image = task / down.size * out;
        average_backward_line(cx.isa, s, divisor, &dy[image..][..out], task % down.size, dx);
    });
}

#[inline(always)]
fn average_backward_line_body<S: Simd>(
    s: S,
    shape: &Pool2dShape,
    divisor: Divisor,
    dy: &[f32],
    iy: usize,
    dx: &mut [f32],
) {
    let ([down, across], c) = (shape.axes, shape.c);
    let ow = across.outputs;
    let (y0, y1) = down.windows_over(iy);
    for ix in 0..across.size {
        let (x0, x1) = across.windows_over(ix);
        let dx = &mut dx[ix * c..][..c];
        dx.fill(0.0);
        for oy in y0..y1 {
            for ox in x0..x1 {
                let count = s.splat(divisor.of(shape.axes, oy, ox));
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
        shape: &Pool2dShape, divisor: Divisor, dy: &[f32], iy: usize, dx: &mut [f32],
    ) = average_backward_line_body;
}
