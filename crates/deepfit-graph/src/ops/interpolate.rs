//! Images and sequences at another resolution.

use super::Taps;
use super::resample::MOST_TAPS;
use crate::error::Result;
use crate::trace::Tensor;

/// How values between positions are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// The position at `floor(i * step)`, PyTorch's `nearest`.
    Nearest,
    /// The position at `floor((i + 0.5) * step)`, the one whose middle is nearest: PyTorch's `nearest-exact`.
    NearestExact,
    /// The mean of all positions that an output covers: PyTorch's `area`, which takes no notice of a scale but for the
    /// length.
    Area,
    /// Linear along each axis: PyTorch's `linear` and `bilinear`.
    Linear {
        /// Whether the outermost positions stay in place; if not, the borders of the outermost pixels do.
        align_corners: bool,
    },
    /// Cubic convolution along each axis (Keys, 1981) with a = -0.75: PyTorch's `bicubic`.
    Cubic {
        /// As for [`Interpolation::Linear`].
        align_corners: bool,
    },
}

impl Interpolation {
    /// The matrix from `inputs` to `outputs` positions, both at least 1. `step` is the distance of outputs measured in
    /// inputs if a scale factor was given, which need not be the quotient of the lengths.
    fn taps(self, inputs: usize, outputs: usize, step: Option<f64>) -> Taps {
        let ratio = step.unwrap_or(inputs as f64 / outputs as f64);
        let last = inputs as isize - 1;
        let clamp = |i: isize| i.clamp(0, last) as usize;
        let place = |i: usize, align_corners: bool| match align_corners {
            true if outputs == 1 => 0.0,
            true => i as f64 * last as f64 / (outputs - 1) as f64,
            false => (i as f64 + 0.5) * ratio - 0.5,
        };
        // Which position is nearest is found in f32, as PyTorch finds it: rounding decides between neighbours.
        let step = step.map_or(inputs as f32 / outputs as f32, |step| step as f32);
        let row = |i: usize| match self {
            Interpolation::Nearest => vec![(clamp((i as f32 * step).floor() as isize), 1.0)],
            Interpolation::NearestExact => {
                let x = step.mul_add(i as f32 + 0.5, -0.5).max(0.0);
                vec![(clamp((x + 0.5).floor() as isize), 1.0)]
            }
            Interpolation::Area => {
                let range = i * inputs / outputs..((i + 1) * inputs).div_ceil(outputs);
                range.clone().map(|from| (from, 1.0 / range.len() as f64)).collect()
            }
            Interpolation::Linear { align_corners } => {
                let x = place(i, align_corners).max(0.0);
                let t = x - x.floor();
                let first = x.floor() as isize;
                let taps = [(clamp(first), 1.0 - t), (clamp(first + 1), t)];
                taps.into_iter().filter(|&(_, weight)| weight != 0.0).collect()
            }
            Interpolation::Cubic { align_corners } => {
                let x = place(i, align_corners);
                let t = x - x.floor();
                let first = x.floor() as isize;
                (-1..3).map(|k| (clamp(first + k), cubic((t - k as f64).abs()))).filter(|&(_, w)| w != 0.0).collect()
            }
        };
        Taps::new(inputs, (0..outputs).map(row))
    }
}

/// The kernel of the cubic convolution at distance `x >= 0`.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.75;
    if x <= 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
    } else {
        0.0
    }
}

impl Tensor {
    /// The given axis at another length. `scale` is how many outputs there are for an input, if that is not to be the
    /// quotient of the lengths, as in PyTorch when a layer is given a `scale_factor`.
    ///
    /// # Errors
    /// If the axis is not fixed, or it or the new length is 0, or the scale is not positive.
    pub fn interpolate(&self, axis: usize, length: usize, scale: Option<f64>, how: Interpolation) -> Result<Tensor> {
        let shape = self.shape();
        let inputs = match shape.fixed(axis) {
            Some(inputs) if inputs > 0 && length > 0 && inputs.max(length) <= MOST_TAPS => inputs,
            _ => {
                let problem = format!(
                    "axis {axis} of {shape} must be fixed and cannot become {length} long: both lengths must be in 1..={MOST_TAPS}"
                );
                return Err(self.error("interpolate", problem));
            }
        };
        if scale.is_some_and(|s| !(s.is_finite() && s > 0.0)) {
            return Err(self.error("interpolate", format!("the scale {scale:?} must be positive")));
        }
        if inputs == length && (scale.is_none_or(|s| s == 1.0) || how == Interpolation::Area) {
            return Ok(self.clone());
        }
        self.resample(axis, how.taps(inputs, length, scale.map(f64::recip)))
    }

    /// `[batch, h, w, c*r*r]` becomes `[batch, h*r, w*r, c]` (Shi et al., 2016), channels in PyTorch's order.
    ///
    /// # Errors
    /// If the channels are not a multiple of `r*r`.
    pub fn pixel_shuffle(&self, r: usize) -> Result<Tensor> {
        match self.shape().dims() {
            &[n, h, w, c] if r > 0 && c.divide((r * r).into()).is_some() => {
                let channels = c.divide((r * r).into()).unwrap_or(c);
                let parts = vec![n, h, w, channels, r.into(), r.into()];
                let pixels = self.reshape(parts)?.permute(&[0, 1, 4, 2, 5, 3])?;
                pixels.reshape(vec![n, h * r.into(), w * r.into(), channels])
            }
            _ => Err(self.error(
                "pixel_shuffle",
                format!(
                    "images must be [batch, height, width, channels] with channels a multiple of {r}x{r}, not {}",
                    self.shape()
                ),
            )),
        }
    }

    /// The inverse of [`Tensor::pixel_shuffle`].
    ///
    /// # Errors
    /// If height and width are not multiples of `r`.
    pub fn pixel_unshuffle(&self, r: usize) -> Result<Tensor> {
        match self.shape().dims() {
            &[n, h, w, c] if r > 0 && h.divide(r.into()).is_some() && w.divide(r.into()).is_some() => {
                let (rows, columns) = (h.divide(r.into()).unwrap_or(h), w.divide(r.into()).unwrap_or(w));
                let parts = vec![n, rows, r.into(), columns, r.into(), c];
                let pixels = self.reshape(parts)?.permute(&[0, 1, 3, 5, 2, 4])?;
                pixels.reshape(vec![n, rows, columns, c * (r * r).into()])
            }
            _ => Err(self.error(
                "pixel_unshuffle",
                format!(
                    "images must be [batch, height, width, channels] with height and width multiples of {r}, not {}",
                    self.shape()
                ),
            )),
        }
    }
}
