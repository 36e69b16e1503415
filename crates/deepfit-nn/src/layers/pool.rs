use deepfit_graph::Tensor;
use deepfit_graph::ops::Window;

use crate::error::Result;
use crate::module::Module;
use crate::scope::Scope;

/// Largest value of each window of NHWC images, as PyTorch's `MaxPool2d`.
#[derive(Debug, Clone)]
pub struct MaxPool2d {
    path: String,
    window: Window,
}

impl MaxPool2d {
    /// A layer with the given window.
    pub fn new(scope: &Scope, window: Window) -> Self {
        MaxPool2d { path: scope.path().to_string(), window }
    }
}

impl Module for MaxPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || Ok(x.max_pool2d(self.window)?))
    }
}

/// Mean of each window of NHWC images, as PyTorch's `AvgPool2d`.
#[derive(Debug, Clone)]
pub struct AvgPool2d {
    path: String,
    window: Window,
    count_include_pad: bool,
}

impl AvgPool2d {
    /// A layer with the given window. With `count_include_pad`, PyTorch's default, the border counts as zeros; without,
    /// the mean is over the pixels inside of the image.
    pub fn new(scope: &Scope, window: Window, count_include_pad: bool) -> Self {
        AvgPool2d { path: scope.path().to_string(), window, count_include_pad }
    }
}

impl Module for AvgPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || Ok(x.avg_pool2d(self.window, self.count_include_pad)?))
    }
}

/// Mean over height and width: `[batch, h, w, c]` becomes `[batch, c]`.
#[derive(Debug, Clone)]
pub struct GlobalAvgPool2d {
    path: String,
}

impl GlobalAvgPool2d {
    /// The layer.
    pub fn new(scope: &Scope) -> Self {
        GlobalAvgPool2d { path: scope.path().to_string() }
    }
}

impl Module for GlobalAvgPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || Ok(x.global_avg_pool2d()?))
    }
}
