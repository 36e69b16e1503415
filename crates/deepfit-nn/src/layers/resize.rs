use deepfit_graph::Tensor;
use deepfit_graph::ops::{Conv2dAttributes, Interpolation, PaddingMode};

use crate::error::{Result, require};
use crate::module::Module;
use crate::scope::Scope;

/// Border around NHWC images, as PyTorch's `ZeroPad2d`, `ConstantPad2d`, `ReflectionPad2d`, `ReplicationPad2d` and
/// `CircularPad2d`, of which the mode says which: `[batch, h, w, c]` becomes
/// `[batch, top + h + bottom, left + w + right, c]`. Negative numbers cut pixels off.
#[derive(Debug, Clone)]
pub struct Pad2d {
    path: String,
    padding: [isize; 4],
    mode: PaddingMode,
}

impl Pad2d {
    /// A border of columns left and right, and rows above and below: PyTorch's order.
    pub fn new(scope: &Scope, [left, right, top, bottom]: [isize; 4], mode: PaddingMode) -> Self {
        Pad2d { path: scope.place("pad2d"), padding: [top, bottom, left, right], mode }
    }
}

impl Module for Pad2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || Ok(x.pad2d(self.padding, self.mode)?))
    }
}

/// Border at both ends of sequences `[batch, length, channels]`, as PyTorch's `ZeroPad1d`, `ConstantPad1d`,
/// `ReflectionPad1d`, `ReplicationPad1d` and `CircularPad1d` with channels last: they become
/// `[batch, before + length + after, channels]`. Negative numbers cut positions off.
#[derive(Debug, Clone)]
pub struct Pad1d {
    path: String,
    padding: [isize; 2],
    mode: PaddingMode,
}

impl Pad1d {
    /// A border of positions before and after.
    pub fn new(scope: &Scope, padding: [isize; 2], mode: PaddingMode) -> Self {
        Pad1d { path: scope.place("pad1d"), padding, mode }
    }
}

impl Module for Pad1d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || Ok(x.pad(1, self.padding[0], self.padding[1], self.mode)?))
    }
}

/// How large the result of an [`Upsample`] is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Resize {
    /// Height and width; of sequences the second one is the length.
    Size(usize, usize),
    /// So many times the height and the width, rounded down; of sequences the second one counts.
    Scale(f64, f64),
}

/// Images `[batch, h, w, c]` or sequences `[batch, length, c]` at another resolution, as PyTorch's `Upsample` and
/// `functional.interpolate` with channels last; batch and channels stay.
#[derive(Debug, Clone)]
pub struct Upsample {
    path: String,
    resize: Resize,
    mode: Interpolation,
}

impl Upsample {
    /// A layer with the given size or scale. PyTorch's default is [`Interpolation::Nearest`].
    pub fn new(scope: &Scope, resize: Resize, mode: Interpolation) -> Self {
        Upsample { path: scope.place("upsample"), resize, mode }
    }
}

impl Module for Upsample {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            let rank = x.shape().rank();
            require(rank == 3 || rank == 4, &self.path, "input", || {
                format!("must be [batch, height, width, channels] or [batch, length, channels], not {}", x.shape())
            })?;
            let mut result = x.clone();
            // Columns first: then there are fewer rows to make them for.
            for axis in (1..rank - 1).rev() {
                let is_last = axis == rank - 2;
                let (length, scale) = match self.resize {
                    Resize::Size(height, width) => (if is_last { width } else { height }, None),
                    Resize::Scale(vertical, horizontal) => {
                        let scale = if is_last { horizontal } else { vertical };
                        let length = x.shape().fixed(axis).unwrap_or(0) as f64 * scale;
                        require(scale.is_finite() && scale > 0.0 && length < 1e9, &self.path, "scale_factor", || {
                            format!("is {scale}, which must be positive, and must leave images of an ordinary size")
                        })?;
                        (length.floor() as usize, Some(scale))
                    }
                };
                result = result.interpolate(axis, length, scale, self.mode)?;
            }
            Ok(result)
        })
    }
}

/// Channels become pixels, as PyTorch's `PixelShuffle`: `[batch, h, w, c*r*r]` becomes `[batch, h*r, w*r, c]`.
#[derive(Debug, Clone)]
pub struct PixelShuffle {
    path: String,
    upscale_factor: usize,
}

impl PixelShuffle {
    /// A layer that makes `upscale_factor` squared pixels of each.
    pub fn new(scope: &Scope, upscale_factor: usize) -> Self {
        PixelShuffle { path: scope.place("pixel_shuffle"), upscale_factor }
    }
}

impl Module for PixelShuffle {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || Ok(x.pixel_shuffle(self.upscale_factor)?))
    }
}

/// Pixels become channels, as PyTorch's `PixelUnshuffle`: `[batch, h*r, w*r, c]` becomes `[batch, h, w, c*r*r]`, the
/// inverse of [`PixelShuffle`].
#[derive(Debug, Clone)]
pub struct PixelUnshuffle {
    path: String,
    downscale_factor: usize,
}

impl PixelUnshuffle {
    /// A layer that makes one pixel of `downscale_factor` squared.
    pub fn new(scope: &Scope, downscale_factor: usize) -> Self {
        PixelUnshuffle { path: scope.place("pixel_unshuffle"), downscale_factor }
    }
}

impl Module for PixelUnshuffle {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || Ok(x.pixel_unshuffle(self.downscale_factor)?))
    }
}

/// Windows of NHWC images as rows, as PyTorch's `Unfold` with channels last: `[batch, h, w, c]` becomes
/// `[batch, windows, c*height*width]`, each row in PyTorch's order.
#[derive(Debug, Clone)]
pub struct Unfold {
    path: String,
    kernel: (usize, usize),
    attributes: Conv2dAttributes,
}

impl Unfold {
    /// A layer with the given height and width of the window, dilation, padding with zeros, and stride. PyTorch's
    /// defaults are a dilation of 1, no padding and a stride of 1.
    pub fn new(
        scope: &Scope,
        kernel: (usize, usize),
        dilation: (usize, usize),
        padding: (usize, usize),
        stride: (usize, usize),
    ) -> Self {
        let attributes = Conv2dAttributes { stride, padding, dilation, groups: 1 };
        Unfold { path: scope.place("unfold"), kernel, attributes }
    }
}

impl Module for Unfold {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || Ok(x.unfold2d(self.kernel, self.attributes)?))
    }
}

/// Images as the sums of windows, as PyTorch's `Fold` with channels last: `[batch, windows, c*height*width]`, rows as
/// [`Unfold`] gives them, becomes `[batch, h, w, c]`.
#[derive(Debug, Clone)]
pub struct Fold {
    path: String,
    output_size: (usize, usize),
    kernel: (usize, usize),
    attributes: Conv2dAttributes,
}

impl Fold {
    /// A layer that gives images of the given height and width, with the windows of an [`Unfold`].
    pub fn new(
        scope: &Scope,
        output_size: (usize, usize),
        kernel: (usize, usize),
        dilation: (usize, usize),
        padding: (usize, usize),
        stride: (usize, usize),
    ) -> Self {
        let attributes = Conv2dAttributes { stride, padding, dilation, groups: 1 };
        Fold { path: scope.place("fold"), output_size, kernel, attributes }
    }
}

impl Module for Fold {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || Ok(x.fold2d(self.output_size, self.kernel, self.attributes)?))
    }
}
