//! Borders around images and sequences: padding in PyTorch's modes.

use super::Taps;
use super::resample::MOST_TAPS;
use super::shape::{Pad, Slice};
use crate::error::Result;
use crate::shape::{Dim, MOST_BYTES};
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

    /// Whether what the border is filled with is moved there from within.
    fn moves(self) -> bool {
        !matches!(self, PaddingMode::Constant(_))
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
    /// A border of `before` and `after` positions along one axis; negative numbers cut positions off. A circular border
    /// repeats what is left after that, the others what there was, as in PyTorch.
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
        let cut = |end: isize| end.min(0).unsigned_abs();
        let Some(left) = length.checked_sub(cut(before)).and_then(|left| left.checked_sub(cut(after))) else {
            return Err(self.error(&name, format!("{before} and {after} cut more off axis {axis} than {shape} has")));
        };
        let most = match mode {
            PaddingMode::Constant(_) => MOST_BYTES,
            PaddingMode::Reflect => length.saturating_sub(1),
            PaddingMode::Replicate if length == 0 => 0,
            PaddingMode::Replicate => MOST_TAPS,
            PaddingMode::Circular => left,
        };
        let (more_before, more_after) = (before.max(0) as usize, after.max(0) as usize);
        if more_before.max(more_after) > most {
            return Err(self.error(
                &name,
                format!(
                    "borders of {before} and {after} are more than {shape} can fill along axis {axis}, at most {most}"
                ),
            ));
        }
        if mode.moves() && length.max(left + more_before + more_after) > MOST_TAPS {
            let problem =
                format!("borders of {before} and {after} make {shape} longer than {MOST_TAPS} along axis {axis}");
            return Err(self.error(&name, problem));
        }
        let within = |x: &Tensor| match left == length {
            true => Ok(x.clone()),
            false => x.tracer().apply_one(Slice::fixed(axis, cut(before), left), &[x]),
        };
        if mode == PaddingMode::Circular && left != length {
            // What is repeated is what is left, not what was cut off.
            return within(self)?.pad(axis, before.max(0), after.max(0), mode);
        }
        let PaddingMode::Constant(value) = mode else {
            let n = length as isize;
            let rows = (-before..n + after).map(|i| vec![(mode.source(i, n), 1.0)]);
            return self.resample(axis, Taps::new(length, rows));
        };
        let within = within(self)?;
        let (before, after) = (more_before, more_after);
        if (before, after) == (0, 0) {
            return Ok(within);
        }
        if value == 0.0 {
            return self.tracer().apply_one(Pad::fixed(axis, before, after), &[&within]);
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
