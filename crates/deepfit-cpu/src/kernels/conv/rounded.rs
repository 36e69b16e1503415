//! Operands of a convolution that is a product in bf16, rounded once: each pixel of an image is read for every tap that meets
//! it, and weights, which lie filter by filter with the taps of a channel together, would be read again for each tap.

use std::ops::Range;

use super::Conv2dShape;
use super::patches::{Patches, Weights};
use crate::kernels::gemm::bf16::{self, DEPTH, PAIRS, RoundedRows, Tiles, Unit, ZEROS};
use crate::kernels::gemm::{PackA, PackB};
use crate::kernels::{Compute, Products};

/// Whether patches of so many channels, for a product with so many others, are rounded before.
pub(super) fn unit(cx: &Compute, s: &Conv2dShape, channels: usize, others: usize) -> Option<Unit> {
    match cx.products {
        Products::Bf16(unit)
            if s.kh * s.kw > 1 && channels.is_multiple_of(DEPTH) && bf16::suits_operand(channels, others) =>
        {
            Some(unit)
        }
        _ => None,
    }
}

/// Numbers of memory that hold so many in pairs, and let what comes behind begin on a cache line if they do.
pub(super) fn size(numbers: usize) -> usize {
    numbers.div_ceil(2).next_multiple_of(16)
}

/// Takes memory of a [`size`] that begins on a cache line, for which 15 numbers more are there; and what is left.
pub(super) fn take(memory: &mut [f32], size: usize) -> (&mut [f32], &mut [f32]) {
    let skip = memory.as_ptr().align_offset(64).min(15).min(memory.len());
    memory[skip..].split_at_mut(size)
}

/// Patches of an image whose channels are in pairs. A multiple of 32 channels is read.
pub(super) struct RoundedPatches<'a> {
    pub patches: Patches<'a>,
    pub pairs: &'a [f32],
}

impl RoundedRows for RoundedPatches<'_> {
    fn find<'a>(&'a self, rows: Range<usize>, col0: usize, count: usize, take: &mut dyn FnMut(&Tiles<'a>)) {
        let p = &self.patches;
        let [height, width] = p.image.map(|n| n as isize);
        let of_tap = p.channels / DEPTH;
        let (tap, first) = (col0 / DEPTH / of_tap, col0 / DEPTH % of_tap);
        let start = [(tap / p.taps[1]) as isize, (tap % p.taps[1]) as isize];
        let mut gx = rows.start % p.grid[1];
        let mut gy = rows.start / p.grid[1] % p.grid[0];
        let mut image = rows.start / p.grid[1] / p.grid[0];
        let mut tiles = [&ZEROS; bf16::MOST_TILES];
        for _ in rows {
            let y0 = (gy * p.stride[0]) as isize + p.offset[0];
            let x0 = (gx * p.stride[1]) as isize + p.offset[1];
            let ([mut j, mut i], mut from, mut at) = (start, first, 0);
            while at < count {
                let (y, x) = (y0 + j * p.tap_step[0], x0 + i * p.tap_step[1]);
                let n = (of_tap - from).min(count - at);
                if (0..height).contains(&y) && (0..width).contains(&x) {
                    let pixel = (image * p.image[0] + y as usize) * p.image[1] + x as usize;
                    let channel = pixel * p.pixel + p.first_channel;
                    let there = &self.pairs[channel / 2 + from * PAIRS..][..n * PAIRS];
                    tiles[at..at + n].iter_mut().zip(there.as_chunks().0).for_each(|(tile, there)| *tile = there);
                } else {
                    tiles[at..at + n].fill(&ZEROS);
                }
                (at, from, i) = (at + n, 0, i + 1);
                if i == p.taps[1] as isize {
                    (i, j) = (0, j + 1);
                }
            }
            take(&tiles);
            gx += 1;
            if gx == p.grid[1] {
                (gx, gy) = (0, gy + 1);
                if gy == p.grid[0] {
                    (gy, image) = (0, image + 1);
                }
            }
        }
    }
}

impl PackA for RoundedPatches<'_> {
    fn pack(&self, row0: usize, rows: usize, k0: usize, kc: usize, mr: usize, dst: &mut [f32]) {
        PackA::pack(&self.patches, row0, rows, k0, kc, mr, dst);
    }

    fn rounded_rows(&self) -> Option<&dyn RoundedRows> {
        Some(self)
    }
}

impl PackB for RoundedPatches<'_> {
    fn pack(&self, k0: usize, kc: usize, col0: usize, cols: usize, nr: usize, dst: &mut [f32]) {
        PackB::pack(&self.patches, k0, kc, col0, cols, nr, dst);
    }

    fn rounded_rows(&self) -> Option<&dyn RoundedRows> {
        Some(self)
    }
}

/// Filters of a group with their taps one after the other, each with its channels, a multiple of 32, in pairs.
pub(super) struct RoundedFilters<'a> {
    plain: Weights<'a>,
    pairs: &'a [f32],
    shape: Conv2dShape,
    /// Columns are channels, and rows taps and filters, of the taps that begin here and are so far apart, down and across; else
    /// columns are filters, and rows taps and channels.
    inputs: Option<[[usize; 2]; 2]>,
}

impl<'a> RoundedFilters<'a> {
    /// As the outputs see them.
    pub fn of_outputs(s: &Conv2dShape, plain: Weights<'a>, pairs: &'a [f32]) -> Self {
        RoundedFilters { plain, pairs, shape: *s, inputs: None }
    }

    /// As those inputs see them that are met by the taps from `first` on, `step` apart.
    pub fn of_inputs(
        s: &Conv2dShape,
        plain: Weights<'a>,
        pairs: &'a [f32],
        first: [usize; 2],
        step: [usize; 2],
    ) -> Self {
        RoundedFilters { plain, pairs, shape: *s, inputs: Some([first, step]) }
    }

    /// Brings the weights `[o, c / groups, kh, kw]` of all groups into this form.
    pub fn round(cx: &Compute, unit: Unit, s: &Conv2dShape, weights: &[f32], pairs: &mut [f32]) {
        let (taps, channels) = (s.kh * s.kw, s.group_in());
        let depth = taps * channels;
        cx.pool.for_each_chunk(&mut pairs[..s.o * depth / 2], depth / 2, |filter, pairs| {
            let filter = &weights[filter * depth..][..depth];
            let mut some = [0.0; DEPTH];
            for (tile, pairs) in pairs.chunks_exact_mut(PAIRS).enumerate() {
                let (tap, channel) = (tile * DEPTH / channels, tile * DEPTH % channels);
                let of_tap = filter[channel * taps + tap..].iter().step_by(taps);
                some.iter_mut().zip(of_tap).for_each(|(to, from)| *to = *from);
                bf16::round_rows(unit, &some, pairs);
            }
        });
    }
}

impl RoundedRows for RoundedFilters<'_> {
    fn find<'a>(&'a self, rows: Range<usize>, col0: usize, count: usize, take: &mut dyn FnMut(&Tiles<'a>)) {
        let s = &self.shape;
        let mut tiles = [&ZEROS; bf16::MOST_TILES];
        for row in rows {
            let line = match self.inputs {
                None => row * s.kh * s.kw,
                Some([first, step]) => {
                    let (tap, filter) = (row / s.group_out(), row % s.group_out());
                    let (j, i) = (tap / self.plain.taps_across, tap % self.plain.taps_across);
                    (filter * s.kh + first[0] + j * step[0]) * s.kw + first[1] + i * step[1]
                }
            };
            let there = &self.pairs[(line * s.group_in() + col0) / 2..][..count * PAIRS];
            tiles.iter_mut().zip(there.as_chunks().0).for_each(|(tile, there)| *tile = there);
            take(&tiles);
        }
    }
}

impl PackB for RoundedFilters<'_> {
    fn pack(&self, k0: usize, kc: usize, col0: usize, cols: usize, nr: usize, dst: &mut [f32]) {
        self.plain.pack(k0, kc, col0, cols, nr, dst);
    }

    fn rounded_rows(&self) -> Option<&dyn RoundedRows> {
        self.inputs.is_some().then_some(self as &dyn RoundedRows)
    }

    fn rounded_columns(&self) -> Option<&dyn RoundedRows> {
        self.inputs.is_none().then_some(self as &dyn RoundedRows)
    }
}
