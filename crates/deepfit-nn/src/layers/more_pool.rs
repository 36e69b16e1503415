use deepfit_graph::Tensor;
use deepfit_graph::ops::{Window, Window1d};

use crate::error::{Result, require};
use crate::module::Module;
use crate::scope::Scope;

/// The norm `(sum of x^p)^(1/p)` of each window of NHWC images, as PyTorch's `LPPool2d`.
#[derive(Debug, Clone)]
pub struct LpPool2d {
    path: String,
    norm_type: f32,
    window: Window,
}

impl LpPool2d {
    /// A layer with the given power `p` and window, which has no padding and no dilation.
    pub fn new(scope: &Scope, norm_type: f32, window: Window) -> Self {
        LpPool2d { path: scope.place("lp_pool2d"), norm_type, window }
    }
}

impl Module for LpPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || Ok(x.lp_pool2d(self.window, self.norm_type)?))
    }
}

/// The norm `(sum of x^p)^(1/p)` of each window of sequences `[batch, length, channels]`, as PyTorch's `LPPool1d` with
/// channels last.
#[derive(Debug, Clone)]
pub struct LpPool1d {
    path: String,
    norm_type: f32,
    window: Window1d,
}

impl LpPool1d {
    /// A layer with the given power `p` and window, which has no padding and no dilation.
    pub fn new(scope: &Scope, norm_type: f32, window: Window1d) -> Self {
        LpPool1d { path: scope.place("lp_pool1d"), norm_type, window }
    }
}

impl Module for LpPool1d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || Ok(x.lp_pool1d(self.window, self.norm_type)?))
    }
}

/// How large the result of a [`FractionalMaxPool2d`] is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FractionalOutput {
    /// Height and width.
    Size(usize, usize),
    /// Height and width as shares of the image's, each between 0 and 1, rounded down.
    Ratio(f64, f64),
}

/// Largest value of each window of NHWC images, where windows lie at random distances (Graham, 2014), as PyTorch's
/// `FractionalMaxPool2d`.
///
/// In training each channel of each example draws its distances anew in each step, from the random numbers of the graph;
/// in evaluation all take 0.5 for the random number, so that predictions do not change from call to call (PyTorch draws
/// there, too). [`FractionalMaxPool2d::pool`] takes given ones.
#[derive(Debug, Clone)]
pub struct FractionalMaxPool2d {
    path: String,
    kernel: (usize, usize),
    output: FractionalOutput,
}

impl FractionalMaxPool2d {
    /// A layer with the given height and width of the window.
    pub fn new(scope: &Scope, kernel: (usize, usize), output: FractionalOutput) -> Self {
        FractionalMaxPool2d { path: scope.place("fractional_max_pool2d"), kernel, output }
    }

    /// The largest values and their places i32, `row * width + column`, for given `samples` `[batch, channels, 2]` in
    /// [0, 1), PyTorch's `_random_samples`, if there are any.
    ///
    /// # Errors
    /// If the windows do not fit, or the samples have another shape.
    pub fn pool(&self, x: &Tensor, samples: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
        x.tracer().in_layer(&self.path, || {
            let size = match self.output {
                FractionalOutput::Size(height, width) => (height, width),
                FractionalOutput::Ratio(vertical, horizontal) => {
                    let length = |axis: usize, ratio: f64| -> Result<usize> {
                        require(ratio > 0.0 && ratio < 1.0, &self.path, "output_ratio", || {
                            format!("is {ratio}, which must be between 0 and 1")
                        })?;
                        Ok((x.shape().fixed(axis).unwrap_or(0) as f64 * ratio) as usize)
                    };
                    (length(1, vertical)?, length(2, horizontal)?)
                }
            };
            Ok(x.fractional_max_pool2d(self.kernel, size, samples)?)
        })
    }
}

impl Module for FractionalMaxPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.pool(x, None)?.0)
    }
}

/// Values back at the places where a maximum pooling found them, zeros elsewhere, as PyTorch's `MaxUnpool2d`.
#[derive(Debug, Clone)]
pub struct MaxUnpool2d {
    path: String,
    output_size: (usize, usize),
}

impl MaxUnpool2d {
    /// A layer that gives images of the given height and width, those of the image that was pooled.
    pub fn new(scope: &Scope, output_size: (usize, usize)) -> Self {
        MaxUnpool2d { path: scope.place("max_unpool2d"), output_size }
    }

    /// Puts `x` at `places`, both `[batch, height, width, channels]`, as [`MaxPool2d::pool`](super::MaxPool2d::pool) gives
    /// them.
    ///
    /// # Errors
    /// If they differ in shape. A place outside of the image stops the run with an error.
    pub fn unpool(&self, x: &Tensor, places: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || Ok(x.max_unpool2d(places, self.output_size)?))
    }
}
