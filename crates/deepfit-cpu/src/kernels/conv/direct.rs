//! Images of few channels, as the first layer sees them: pixels are multiplied where they lie.
//!
//! A product of patches writes each pixel once for every tap that meets it, and where few channels go in and few come out
//! that takes longer than multiplying. Here a band of lines is copied once, with its margin of zeros, and the innermost loop
//! takes the numbers of neighbouring outputs from it, a stride of pixels apart. Each output is the same sum in the same
//! order as in the product of patches.

use super::Conv2dShape;
use super::patches::Weights;
use crate::kernels::Compute;
use crate::kernels::gemm::{Epilogue, packed};
use crate::pool::SharedMut;
use crate::simd::{Isa, Simd};

/// Channels of a pixel from which on a product of patches is as fast.
const MOST_CHANNELS: usize = 4;

/// Tasks that the lines of all images are cut into if there are enough of them.
const TASKS: usize = 16;

/// Most outputs that are computed together.
const TOGETHER: usize = 12;

/// Whether a convolution is one of those that this is for.
pub(super) fn suits(cx: &Compute, s: &Conv2dShape) -> bool {
    s.groups == 1 && s.c <= MOST_CHANNELS && s.kh * s.kw > 1 && packed::is_one_block(cx, s.kh * s.kw * s.c)
}

/// How the outputs are cut into bands of lines, and how a band's pixels lie in memory.
#[derive(Debug, Clone, Copy)]
struct Bands {
    /// Most output lines of a band.
    lines: usize,
    /// Bands of an image.
    bands: usize,
    /// Numbers of a copied line: its pixels, its margin, and what outputs beyond the last would see.
    width: usize,
    /// Numbers that the copy of a band takes.
    size: usize,
}

impl Bands {
    fn new(cx: &Compute, s: &Conv2dShape) -> Bands {
        let width = ((s.out_w() + TOGETHER - 1) * s.stride[1] + (s.kw - 1) * s.dilation[1] + 1) * s.c;
        let seen = |lines: usize| (lines - 1) * s.stride[0] + (s.kh - 1) * s.dilation[0] + 1;
        let even = s.out_h().div_ceil(TASKS.div_ceil(s.n.max(1)));
        // A quarter of the second-level cache holds the copy.
        let fit = (cx.caches.l2 / 16 / width).saturating_sub(seen(1)) / s.stride[0] + 1;
        let lines = even.min(fit).max(1);
        let size = (seen(lines) * width).next_multiple_of(16);
        Bands { lines, bands: s.out_h().div_ceil(lines), width, size }
    }
}

/// How many `f32` of scratch [`forward`] needs for the copies, and without prepared weights for these.
pub(super) fn scratch(cx: &Compute, s: &Conv2dShape, prepared: bool) -> usize {
    let weights = if prepared { 0 } else { packed::size(&cx.in_f32(), s.kh * s.kw * s.c, s.o) };
    weights + cx.pool.threads() * Bands::new(cx, s).size + 16
}

/// Outputs `[rows, columns]` of a line, from the copied pixels.
#[derive(Clone, Copy)]
struct Tile {
    /// What the first output sees first.
    pixels: *const f32,
    /// From an output to the next.
    stride: usize,
    /// Lines of taps, and the distance between them.
    lines: usize,
    line_step: usize,
    /// Runs of neighbouring numbers in a line of taps, and the distance between them.
    runs: usize,
    run_step: usize,
    run: usize,
    /// A row of `vectors` vectors for each number.
    filters: *const f32,
    vectors: usize,
    out: *mut f32,
    /// From an output to the next.
    out_stride: usize,
    rows: usize,
    columns: usize,
}

/// # Safety
/// As [`line`], for `MR` outputs and `NV` vectors.
#[inline(always)]
unsafe fn outputs<S: Simd, const MR: usize, const NV: usize>(s: S, t: &Tile, first: usize) {
    let mut sums = [[s.zero(); NV]; MR];
    let (stride, twice) = (t.stride, 2 * t.stride);
    // SAFETY: the caller promised the pixels, the filters and the outputs.
    unsafe {
        let (start, mut filters) = (t.pixels.add(first * stride), t.filters);
        for line in 0..t.lines {
            for run in 0..t.runs {
                let mut p = start.add(line * t.line_step + run * t.run_step);
                for _ in 0..t.run {
                    let mut row = [s.zero(); NV];
                    for j in 0..NV {
                        row[j] = s.load(filters.add(j * S::LANES));
                    }
                    // Three outputs from one address: the processor adds a distance once or twice by itself.
                    let mut group = p;
                    for i in 0..MR {
                        let x = s.splat(match i % 3 {
                            0 => *group,
                            1 => *group.add(stride),
                            _ => *group.add(twice),
                        });
                        if i % 3 == 2 {
                            group = group.wrapping_add(3 * stride);
                        }
                        for j in 0..NV {
                            sums[i][j] = s.mul_add(x, row[j], sums[i][j]);
                        }
                    }
                    p = p.add(1);
                    filters = filters.add(NV * S::LANES);
                }
            }
        }
        for i in 0..MR {
            for j in 0..NV {
                let n = t.columns.saturating_sub(j * S::LANES);
                let p = t.out.wrapping_add((first + i) * t.out_stride + j * S::LANES);
                if n >= S::LANES {
                    s.store(p, sums[i][j]);
                } else if n > 0 {
                    s.store_partial(p, n, sums[i][j]);
                }
            }
        }
    }
}

/// # Safety
/// As [`line`].
#[inline(always)]
unsafe fn rows<S: Simd, const NV: usize>(s: S, t: &Tile) {
    let mut first = 0;
    while first < t.rows {
        let left = t.rows - first;
        // SAFETY: as many outputs as are left.
        first += unsafe {
            match left {
                12.. if S::LANES == 16 && NV < 3 => {
                    outputs::<S, 12, NV>(s, t, first);
                    12
                }
                8.. if S::LANES == 16 => {
                    outputs::<S, 8, NV>(s, t, first);
                    8
                }
                6.. if NV < 3 => {
                    outputs::<S, 6, NV>(s, t, first);
                    6
                }
                4.. => {
                    outputs::<S, 4, NV>(s, t, first);
                    4
                }
                2.. => {
                    outputs::<S, 2, NV>(s, t, first);
                    2
                }
                _ => {
                    outputs::<S, 1, NV>(s, t, first);
                    1
                }
            }
        };
    }
}

#[inline(always)]
fn line_body<S: Simd>(s: S, t: &Tile) {
    // SAFETY: `line` is the only caller, and its caller makes the promise.
    unsafe {
        match t.vectors {
            1 => rows::<S, 1>(s, t),
            2 => rows::<S, 2>(s, t),
            3 => rows::<S, 3>(s, t),
            n => unreachable!("no panel of {n} vectors"),
        }
    }
}
crate::simd_kernel! {
    fn dispatched(t: &Tile) = line_body;
}

/// Some columns of a line of outputs.
///
/// # Safety
/// All operands must be as long as [`Tile`] says, and the outputs used by nobody else.
unsafe fn line(isa: Isa, t: &Tile) {
    dispatched(isa, t);
}

/// Convolution of `x` into `y`; `weights` are packed into panels if no `prepared` ones are given.
pub(super) fn forward(
    cx: &Compute,
    s: &Conv2dShape,
    x: &[f32],
    weights: &Weights,
    prepared: Option<&[f32]>,
    y: &mut [f32],
    epilogue: Option<&dyn Epilogue>,
    scratch: &mut [f32],
) {
    let cx = &cx.in_f32();
    let (depth, bands) = (s.kh * s.kw * s.c, Bands::new(cx, s));
    let skip = scratch.as_ptr().align_offset(64).min(15).min(scratch.len());
    let scratch = &mut scratch[skip..];
    let (panels, copies) = match prepared {
        Some(panels) => (&panels[..packed::size(cx, depth, s.o)], scratch),
        None => {
            let (panels, copies) = scratch.split_at_mut(packed::size(cx, depth, s.o));
            packed::pack(cx, weights, depth, s.o, panels);
            (&*panels, copies)
        }
    };
    let (y, copies) = (SharedMut::new(y), SharedMut::new(copies));
    let (height, width) = (s.out_h(), s.out_w());
    cx.pool.run(s.n * bands.bands, &|task, worker| {
        let (image, first) = (task / bands.bands, task % bands.bands * bands.lines);
        let lines = bands.lines.min(height - first);
        // SAFETY: each worker index is used by one thread at a time.
        let copy = unsafe { copies.slice(worker * bands.size, bands.size) };
        copy_lines(s, &bands, x, image, first, lines, copy);
        for l in 0..lines {
            let pixel = (image * height + first + l) * width;
            // SAFETY: this task alone writes this line of outputs.
            let out = unsafe { y.slice(pixel * s.o, width * s.o) };
            for columns in packed::panels(cx, s.o) {
                let pixels = &copy[l * s.stride[0] * bands.width..];
                let (runs, run) = if s.dilation[1] == 1 { (1, s.kw * s.c) } else { (s.kw, s.c) };
                let vectors = columns.len().div_ceil(cx.isa.lanes());
                let filters = &panels[columns.start * depth..][..depth * vectors * cx.isa.lanes()];
                assert!(pixels.len() >= ((s.kh - 1) * s.dilation[0] + 1) * bands.width);
                let tile = Tile {
                    pixels: pixels.as_ptr(),
                    stride: s.stride[1] * s.c,
                    lines: s.kh,
                    line_step: s.dilation[0] * bands.width,
                    runs,
                    run_step: s.dilation[1] * s.c,
                    run,
                    filters: filters.as_ptr(),
                    vectors,
                    out: out[columns.start..].as_mut_ptr(),
                    out_stride: s.o,
                    rows: width,
                    columns: columns.len(),
                };
                // SAFETY: the copied lines reach as far as the taps of the last output, asserted above; the panel has a row
                // for each number that an output sees, and the columns lie inside of the line of outputs.
                unsafe { line(cx.isa, &tile) };
            }
            if let Some(epilogue) = epilogue {
                // SAFETY: this task's own line of outputs.
                unsafe { epilogue.apply(pixel, 0, width, s.o, out.as_mut_ptr(), s.o) };
            }
        }
    });
}

/// Copies what output lines `first..first + lines` of an image see, with zeros outside of the image.
fn copy_lines(s: &Conv2dShape, bands: &Bands, x: &[f32], image: usize, first: usize, lines: usize, copy: &mut [f32]) {
    let seen = (lines - 1) * s.stride[0] + (s.kh - 1) * s.dilation[0] + 1;
    let left = (s.padding[2] * s.c).min(bands.width);
    let inside = (s.w * s.c).min(bands.width - left);
    for (i, line) in copy.chunks_exact_mut(bands.width).take(seen).enumerate() {
        let from = first * s.stride[0] + i;
        match from.checked_sub(s.padding[0]).filter(|&y| y < s.h) {
            Some(y) => {
                line[..left].fill(0.0);
                line[left..left + inside].copy_from_slice(&x[(image * s.h + y) * s.w * s.c..][..inside]);
                line[left + inside..].fill(0.0);
            }
            None => line.fill(0.0),
        }
    }
}
