//! Operands of the matrix product that a convolution is: patches of an image, and weights in tap order.

use super::Conv2dShape;
use crate::kernels::gemm::{KC_MAX, PackA, PackB, transpose_rows};

/// Patches of images as a matrix: a row for each position of a grid over the images, a column for each tap and
/// channel (channel fastest). Tap `(j, i)` at grid position `(y, x)` reads the pixel
/// `(y * stride[0] + offset[0] + j * tap_step[0], x * stride[1] + offset[1] + i * tap_step[1])`, or zero outside.
pub(super) struct Patches<'a> {
    pub data: &'a [f32],
    /// Height and width of the images.
    pub image: [usize; 2],
    /// Channels of a pixel, and those that are read.
    pub pixel: usize,
    pub first_channel: usize,
    pub channels: usize,
    /// Positions, down and across.
    pub grid: [usize; 2],
    pub stride: [usize; 2],
    pub offset: [isize; 2],
    pub taps: [usize; 2],
    pub tap_step: [isize; 2],
}

impl<'a> Patches<'a> {
    /// What the outputs of group `g` see of the input.
    pub fn of_input(s: &Conv2dShape, x: &'a [f32], g: usize) -> Patches<'a> {
        Patches {
            data: x,
            image: [s.h, s.w],
            pixel: s.c,
            first_channel: g * s.group_in(),
            channels: s.group_in(),
            grid: [s.out_h(), s.out_w()],
            stride: s.stride,
            offset: [-(s.padding[0] as isize), -(s.padding[2] as isize)],
            taps: [s.kh, s.kw],
            tap_step: s.dilation.map(|d| d as isize),
        }
    }

    /// Writes columns `col0..col0 + dst.len()` of row `row`.
    fn gather(&self, row: usize, col0: usize, dst: &mut [f32]) {
        let gx = row % self.grid[1];
        let gy = row / self.grid[1] % self.grid[0];
        let image = row / self.grid[1] / self.grid[0];
        let [height, width] = self.image;
        let y0 = (gy * self.stride[0]) as isize + self.offset[0];
        let x0 = (gx * self.stride[1]) as isize + self.offset[1];
        let line_columns = self.taps[1] * self.channels;
        let (mut j, mut within) = (col0 / line_columns, col0 % line_columns);
        let mut done = 0;
        while done < dst.len() {
            let n = (line_columns - within).min(dst.len() - done);
            let out = &mut dst[done..done + n];
            let y = y0 + j as isize * self.tap_step[0];
            if y < 0 || y >= height as isize {
                out.fill(0.0);
            } else {
                let line = &self.data[(image * height + y as usize) * width * self.pixel..][..width * self.pixel];
                self.gather_line(line, x0, within, out);
            }
            done += n;
            within = 0;
            j += 1;
        }
    }

    /// The columns from `from` on of one line of taps.
    #[inline]
    fn gather_line(&self, line: &[f32], x0: isize, from: usize, out: &mut [f32]) {
        if self.tap_step[1] == 1 && self.channels == self.pixel {
            // Neighbouring taps are neighbours in memory: one copy, cut at the edges of the image.
            let start = x0 * self.pixel as isize + from as isize;
            let left = (-start).clamp(0, out.len() as isize) as usize;
            let inside = (line.len() as isize - start).clamp(left as isize, out.len() as isize) as usize;
            out[..left].fill(0.0);
            if inside > left {
                let first = (start + left as isize) as usize;
                out[left..inside].copy_from_slice(&line[first..first + inside - left]);
            }
            out[inside..].fill(0.0);
            return;
        }
        let (mut i, mut channel) = (from / self.channels, from % self.channels);
        let mut done = 0;
        while done < out.len() {
            let n = (self.channels - channel).min(out.len() - done);
            let x = x0 + i as isize * self.tap_step[1];
            let part = &mut out[done..done + n];
            if x >= 0 && x < self.image[1] as isize {
                let first = x as usize * self.pixel + self.first_channel + channel;
                part.copy_from_slice(&line[first..first + n]);
            } else {
                part.fill(0.0);
            }
            done += n;
            channel = 0;
            i += 1;
        }
    }
}

impl PackA for Patches<'_> {
    fn pack(&self, row0: usize, rows: usize, k0: usize, kc: usize, mr: usize, dst: &mut [f32]) {
        if kc == 0 {
            return;
        }
        let mut gathered = [[0.0; KC_MAX]; 4];
        for first in (0..mr).step_by(4) {
            let lanes = (mr - first).min(4);
            for (lane, line) in gathered[..lanes].iter_mut().enumerate() {
                if first + lane < rows {
                    self.gather(row0 + first + lane, k0, &mut line[..kc]);
                } else {
                    line[..kc].fill(0.0);
                }
            }
            let [a, b, c, d] = &gathered;
            transpose_rows([&a[..kc], &b[..kc], &c[..kc], &d[..kc]], lanes, mr, &mut dst[first..]);
        }
    }

    fn gathers_rows(&self) -> bool {
        true
    }

    fn gather_row(&self, row: usize, k0: usize, dst: &mut [f32]) {
        self.gather(row, k0, dst);
    }
}

impl PackB for Patches<'_> {
    fn pack(&self, k0: usize, kc: usize, col0: usize, cols: usize, nr: usize, dst: &mut [f32]) {
        for (k, row) in dst.chunks_exact_mut(nr).take(kc).enumerate() {
            self.gather(k0 + k, col0, &mut row[..cols]);
            row[cols..].fill(0.0);
        }
    }

    fn gathers_rows(&self) -> bool {
        true
    }

    fn gather_row(&self, k: usize, col0: usize, dst: &mut [f32]) {
        self.gather(k, col0, dst);
    }
}

/// Weights as a matrix: a row for each tap and channel (channel fastest), in the order of [`Patches`]' columns.
pub(super) struct Weights<'a> {
    pub data: &'a [f32],
    /// Taps in a line of the kernel.
    pub taps_across: usize,
    pub channels: usize,
    /// Distance in memory between taps, down and across.
    pub tap_strides: [usize; 2],
    pub channel_stride: usize,
    pub column_stride: usize,
}

impl PackB for Weights<'_> {
    fn pack(&self, k0: usize, kc: usize, col0: usize, cols: usize, nr: usize, dst: &mut [f32]) {
        for (k, row) in dst.chunks_exact_mut(nr).take(kc).enumerate() {
            let (tap, channel) = ((k0 + k) / self.channels, (k0 + k) % self.channels);
            let (j, i) = (tap / self.taps_across, tap % self.taps_across);
            let start = j * self.tap_strides[0] + i * self.tap_strides[1] + channel * self.channel_stride;
            for (col, out) in row[..cols].iter_mut().enumerate() {
                *out = self.data[start + (col0 + col) * self.column_stride];
            }
            row[cols..].fill(0.0);
        }
    }
}
