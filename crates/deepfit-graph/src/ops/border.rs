//! Borders around images and sequences: padding in PyTorch's modes.

use super::Taps;
use super::shape::{Pad, Slice};
use crate::error::Result;
use crate::shape::Dim;
use crate::trace::Tensor;

/// What a border is filled with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PaddingMode {
    /// One value.
    Constant(f32),
    /// The values within, mirrored at the outermost one, which is not repeated.
    Reflect,
    /// The outermost value.
    Replicate,
    /// The values of the other end.
    Circular,
}

impl PaddingMode {
    /// Zeros: PyTorch's `padding_mode="zeros"`.
    pub const ZEROS: PaddingMode = PaddingMode::Constant(0.0);

    /// PyTorch's name.
    pub fn name(self) -> &'static str {
        match self {
            PaddingMode::Constant(0.0) => "zeros",
            PaddingMode::Constant(_) => "constant",
            PaddingMode::Reflect => "reflect",
            PaddingMode::Replicate => "replicate",
            PaddingMode::Circular => "circular",
        }
    }

    /// The position that stands at `i`, counted from the first one within, on an axis of length `n`.
    fn source(self, i: isize, n: isize) -> usize {
        let within = match self {
            PaddingMode::Reflect if i < 0 => -i,
            PaddingMode::Reflect if i >= n => 2 * (n - 1) - i,
            PaddingMode::Circular => i.rem_euclid(n),
            _ => i.clamp(0, n - 1),
        };
        within as usize
    }
}

impl Tensor {
    /// A border of `before` and `after` positions along one axis; negative numbers cut positions off.
    ///
    /// # Errors
    /// If the axis is not fixed, if more is cut off than there is, or if a border is longer than its mode can fill:
    /// [`PaddingMode::Reflect`] needs more positions than the border has, [`PaddingMode::Circular`] as many.
    pub fn pad(&self, axis: usize, before: isize, after: isize, mode: PaddingMode) -> Result<Tensor> {
        if (before, after) == (0, 0) {
            return Ok(self.clone());
        }
        let shape = self.shape();
        let name = format!("pad ({})", mode.name());
        let Some(length) = shape.fixed(axis) else {
            return Err(self.error(&name, format!("{shape} has no axis {axis} of fixed length")));
        };
        let n = length as isize;
        let padded = n + before + after;
        let left = n + before.min(0) + after.min(0);
        if padded < 0 || left < 0 {
            return Err(self.error(&name, format!("{before} and {after} cut more off axis {axis} than {shape} has")));
        }
        let most = match mode {
            PaddingMode::Constant(_) => isize::MAX,
            PaddingMode::Reflect => n - 1,
            PaddingMode::Replicate => {
                if n > 0 {
                    isize::MAX
                } else {
                    0
                }
            }
            PaddingMode::Circular => n,
        };
        if before.max(after) > most {
            return Err(self.error(
                &name,
                format!(
                    "borders of {before} and {after} are more than {shape} can fill along axis {axis}, at most {most}"
                ),
            ));
        }
        let PaddingMode::Constant(value) = mode else {
            let rows = (-before..n + after).map(|i| vec![(mode.source(i, n), 1.0)]);
            return self.resample(axis, Taps::new(length, rows));
        };
        let (start, kept) = ((-before).max(0) as usize, left as usize);
        let within = if kept == length {
            self.clone()
        } else {
            self.tracer().apply_one(Slice { axis, start, length: kept }, &[self])?
        };
        let (before, after) = (before.max(0) as usize, after.max(0) as usize);
        if (before, after) == (0, 0) {
            return Ok(within);
        }
        if value == 0.0 {
            return self.tracer().apply_one(Pad { axis, before, after }, &[&within]);
        }
        let border = |length: usize| {
            let mut dims = shape.dims().to_vec();
            dims[axis] = Dim::fixed(length);
            self.tracer().scalar(value).broadcast_to(dims)
        };
        border(before)?.concat(&[&within, &border(after)?], axis)
    }

    /// A border around NHWC images: rows above and below, columns left and right.
    ///
    /// # Errors
    /// As [`Tensor::pad`]; if the tensor has not four axes.
    pub fn pad2d(&self, [top, bottom, left, right]: [isize; 4], mode: PaddingMode) -> Result<Tensor> {
        if self.shape().rank() != 4 {
            return Err(
                self.error("pad", format!("images must be [batch, height, width, channels], not {}", self.shape()))
            );
        }
        self.pad(1, top, bottom, mode)?.pad(2, left, right, mode)
    }
}
