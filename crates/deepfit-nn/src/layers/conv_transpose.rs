use deepfit_graph::Tensor;
use deepfit_graph::ops::{Conv1dAttributes, Conv2dAttributes, ConvTranspose2dAttributes};

use super::conv::with_bias;
use crate::declaration::{Parameter, Role, product};
use crate::error::Result;
use crate::init::Init;
use crate::module::Module;
use crate::scope::Scope;

/// Settings of a [`ConvTranspose2d`]; pairs are (vertical, horizontal).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConvTranspose2dConfig {
    /// Height and width of the window over which each pixel is spread.
    pub kernel: (usize, usize),
    /// Steps between the windows of neighbouring pixels, at least 1; 1 by default.
    pub stride: (usize, usize),
    /// Rows and columns cut off the output on each side; none by default.
    pub padding: (usize, usize),
    /// Rows and columns added below and at the right; less than stride or dilation, none by default.
    pub output_padding: (usize, usize),
    /// Distance between neighbouring taps of a window, at least 1; 1 by default.
    pub dilation: (usize, usize),
    /// Groups of channels convolved apart from each other; both numbers of channels must be multiples of it. 1 by
    /// default.
    pub groups: usize,
    /// Whether a number is added to each output channel; it is by default.
    pub bias: bool,
    /// How the weight's first values are drawn: uniform within `1 / sqrt(fan in)` by default, as the bias always.
    pub init: Init,
}

impl ConvTranspose2dConfig {
    /// A square window at stride 1 without padding, with bias and PyTorch's default initialisation.
    pub fn square(kernel: usize) -> Self {
        ConvTranspose2dConfig {
            kernel: (kernel, kernel),
            stride: (1, 1),
            padding: (0, 0),
            output_padding: (0, 0),
            dilation: (1, 1),
            groups: 1,
            bias: true,
            init: Init::default_weight(),
        }
    }
}

/// 2-D transposed convolution of NHWC images, as PyTorch's `ConvTranspose2d`: `[batch, h, w, in]` becomes
/// `[batch, h', w', out]` with `h' = (h - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1`.
#[derive(Debug, Clone)]
pub struct ConvTranspose2d {
    path: String,
    weight: Parameter,
    bias: Option<Parameter>,
    attributes: ConvTranspose2dAttributes,
}

impl ConvTranspose2d {
    /// A layer with `weight [in, out / groups, height, width]` and, if wanted, `bias [out]`.
    pub fn new(scope: &Scope, inputs: usize, outputs: usize, config: ConvTranspose2dConfig) -> Self {
        let (height, width) = config.kernel;
        let shape = [inputs, outputs / config.groups.max(1), height, width];
        let (weight, bias) = declare(scope, &shape, outputs, config.bias, config.init);
        let conv = Conv2dAttributes {
            stride: config.stride,
            padding: config.padding,
            dilation: config.dilation,
            groups: config.groups,
        };
        let attributes = ConvTranspose2dAttributes { conv, output_padding: config.output_padding };
        ConvTranspose2d { path: scope.place("conv_transpose2d"), weight, bias, attributes }
    }
}

/// Weight and bias; PyTorch counts the fan of a transposed weight from its second axis on, as that of any other.
fn declare(scope: &Scope, shape: &[usize], outputs: usize, bias: bool, init: Init) -> (Parameter, Option<Parameter>) {
    let weight = scope.parameter("weight", shape, init, Role::Weight);
    let fan = product(&shape[1..]);
    (weight, bias.then(|| scope.parameter("bias", &[outputs], Init::default_bias(fan), Role::NoDecay)))
}

impl Module for ConvTranspose2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            with_bias(x.conv_transpose2d(&self.weight.on(tracer)?, self.attributes)?, self.bias.as_ref())
        })
    }
}

/// Settings of a [`ConvTranspose1d`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConvTranspose1dConfig {
    /// Length of the window over which each position is spread.
    pub kernel: usize,
    /// Steps between the windows of neighbouring positions, at least 1; 1 by default.
    pub stride: usize,
    /// Positions cut off the output on each side; none by default.
    pub padding: usize,
    /// Positions added at the end; less than stride or dilation, none by default.
    pub output_padding: usize,
    /// Distance between neighbouring taps of a window, at least 1; 1 by default.
    pub dilation: usize,
    /// Groups of channels convolved apart from each other; both numbers of channels must be multiples of it. 1 by
    /// default.
    pub groups: usize,
    /// Whether a number is added to each output channel; it is by default.
    pub bias: bool,
    /// How the weight's first values are drawn: uniform within `1 / sqrt(fan in)` by default, as the bias always.
    pub init: Init,
}

impl ConvTranspose1dConfig {
    /// A window at stride 1 without padding, with bias and PyTorch's default initialisation.
    pub fn of(kernel: usize) -> Self {
        ConvTranspose1dConfig {
            kernel,
            stride: 1,
            padding: 0,
            output_padding: 0,
            dilation: 1,
            groups: 1,
            bias: true,
            init: Init::default_weight(),
        }
    }
}

/// 1-D transposed convolution of sequences with channels last, as PyTorch's `ConvTranspose1d`: `[batch, length, in]`
/// becomes `[batch, length', out]`, where PyTorch has the channels before the length, with
/// `length' = (length - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1`. The weight is
/// PyTorch's.
#[derive(Debug, Clone)]
pub struct ConvTranspose1d {
    path: String,
    weight: Parameter,
    bias: Option<Parameter>,
    attributes: Conv1dAttributes,
    output_padding: usize,
}

impl ConvTranspose1d {
    /// A layer with `weight [in, out / groups, length]` and, if wanted, `bias [out]`.
    pub fn new(scope: &Scope, inputs: usize, outputs: usize, config: ConvTranspose1dConfig) -> Self {
        let shape = [inputs, outputs / config.groups.max(1), config.kernel];
        let (weight, bias) = declare(scope, &shape, outputs, config.bias, config.init);
        let attributes = Conv1dAttributes {
            stride: config.stride,
            padding: config.padding,
            dilation: config.dilation,
            groups: config.groups,
        };
        let output_padding = config.output_padding;
        ConvTranspose1d { path: scope.place("conv_transpose1d"), weight, bias, attributes, output_padding }
    }
}

impl Module for ConvTranspose1d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            let result = x.conv_transpose1d(&self.weight.on(tracer)?, self.attributes, self.output_padding)?;
            with_bias(result, self.bias.as_ref())
        })
    }
}
