use deepfit_graph::Tensor;
use deepfit_graph::ops::{Divisor, Regions, Window, Window1d};

use crate::error::Result;
use crate::module::Module;
use crate::scope::Scope;

/// Largest value of each window of NHWC images, as PyTorch's `MaxPool2d`: `[batch, h, w, c]` becomes `[batch, h', w', c]`
/// with `h' = (h + 2 * padding - dilation * (size - 1) - 1) / stride + 1`, rounded down or, in ceiling mode, up.
#[derive(Debug, Clone)]
pub struct MaxPool2d {
    path: String,
    window: Window,
}

impl MaxPool2d {
    /// A layer with the given window.
    pub fn new(scope: &Scope, window: Window) -> Self {
        MaxPool2d { path: scope.place("max_pool2d"), window }
    }

    /// The largest values, and their places i32, `row * width + column` in the image: PyTorch's `return_indices`.
    ///
    /// # Errors
    /// If the window does not fit.
    pub fn pool(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        x.tracer().in_layer(&self.path, || Ok(x.max_pool2d_with_places(self.window)?))
    }
}

impl Module for MaxPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || Ok(x.max_pool2d(self.window)?))
    }
}

/// Mean of each window of NHWC images, as PyTorch's `AvgPool2d`: `[batch, h, w, c]` becomes `[batch, h', w', c]` as by a
/// [`MaxPool2d`].
#[derive(Debug, Clone)]
pub struct AvgPool2d {
    path: String,
    window: Window,
    divisor: Divisor,
}

impl AvgPool2d {
    /// A layer with the given window. With `count_include_pad`, PyTorch's default, the border counts as zeros; without,
    /// the mean is over the pixels inside of the image.
    pub fn new(scope: &Scope, window: Window, count_include_pad: bool) -> Self {
        let divisor = if count_include_pad { Divisor::WithBorder } else { Divisor::Pixels };
        AvgPool2d { path: scope.place("avg_pool2d"), window, divisor }
    }

    /// A layer that divides the sum of each window by `divisor_override`.
    pub fn with_divisor(scope: &Scope, window: Window, divisor_override: usize) -> Self {
        AvgPool2d { path: scope.place("avg_pool2d"), window, divisor: Divisor::Fixed(divisor_override) }
    }
}

impl Module for AvgPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || Ok(x.avg_pool2d_by(self.window, self.divisor)?))
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
        GlobalAvgPool2d { path: scope.place("global_avg_pool2d") }
    }
}

impl Module for GlobalAvgPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || Ok(x.global_avg_pool2d()?))
    }
}

/// A layer without parameters that is one call.
macro_rules! layer {
    (
        $(#[$meta:meta])*
        $name:ident($kind:literal) { $($(#[$field_meta:meta])* $field:ident: $ty:ty),* } $x:ident => $call:expr
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub struct $name {
            path: String,
            $($field: $ty),*
        }

        impl $name {
            /// The layer with these settings.
            pub fn new(scope: &Scope, $($field: $ty),*) -> Self {
                $name { path: scope.place($kind), $($field),* }
            }
        }

        impl Module for $name {
            fn forward(&self, $x: &Tensor) -> Result<Tensor> {
                let $name { path, $($field),* } = self;
                $x.tracer().in_layer(path, || Ok($call?))
            }
        }
    };
}

layer! {
    /// Largest value of each window of sequences, as PyTorch's `MaxPool1d` with channels last:
    /// `[batch, length, channels]` becomes `[batch, length', channels]`, as long as by a [`MaxPool2d`].
    MaxPool1d("max_pool1d") { window: Window1d } x => x.max_pool1d(*window)
}
layer! {
    /// Mean of each window of sequences, as PyTorch's `AvgPool1d` with channels last: `[batch, length, channels]` becomes
    /// `[batch, length', channels]`, as long as by a [`MaxPool2d`]. With `count_include_pad`, PyTorch's default, the
    /// border counts as zeros.
    AvgPool1d("avg_pool1d") { window: Window1d, count_include_pad: bool } x => x.avg_pool1d(*window, *count_include_pad)
}
layer! {
    /// Largest value of each of `output_size` stretches that cover sequences `[batch, length, channels]`, as PyTorch's
    /// `AdaptiveMaxPool1d` with channels last: `[batch, output_size, channels]`.
    AdaptiveMaxPool1d("adaptive_max_pool1d") { output_size: usize } x => x.adaptive_max_pool1d(*output_size)
}
layer! {
    /// Mean of each of `output_size` stretches that cover sequences `[batch, length, channels]`, as PyTorch's
    /// `AdaptiveAvgPool1d` with channels last: `[batch, output_size, channels]`.
    AdaptiveAvgPool1d("adaptive_avg_pool1d") { output_size: usize } x => x.adaptive_avg_pool1d(*output_size)
}
layer! {
    /// Largest value of each of height times width regions that cover NHWC images, as PyTorch's `AdaptiveMaxPool2d`:
    /// `[batch, h, w, c]` becomes `[batch, height, width, c]`.
    AdaptiveMaxPool2d("adaptive_max_pool2d") { output_size: (usize, usize) } x =>
        x.max_pool2d(Regions::Adaptive(*output_size))
}
layer! {
    /// Mean of each of height times width regions that cover NHWC images, as PyTorch's `AdaptiveAvgPool2d`:
    /// `[batch, h, w, c]` becomes `[batch, height, width, c]`.
    AdaptiveAvgPool2d("adaptive_avg_pool2d") { output_size: (usize, usize) } x =>
        x.avg_pool2d(Regions::Adaptive(*output_size), false)
}
