use deepfit_graph::Tensor;
use deepfit_graph::ops::{Conv1dAttributes, Conv2dAttributes, PaddingMode};

use crate::error::Result;
use crate::init::Init;
use crate::module::Module;
use crate::scope::{Parameter, Role, Scope};

/// Settings of a [`Conv2d`]; pairs are (vertical, horizontal).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv2dConfig {
    /// Height and width of the window.
    pub kernel: (usize, usize),
    /// Steps between windows.
    pub stride: (usize, usize),
    /// Border around the image on each side.
    pub padding: (usize, usize),
    /// What the border is filled with: zeros by default.
    pub padding_mode: PaddingMode,
    /// Distance between neighbouring taps of a window.
    pub dilation: (usize, usize),
    /// Groups of channels convolved apart from each other; both numbers of channels must be multiples of it.
    pub groups: usize,
    /// Whether a number is added to each output channel.
    pub bias: bool,
    /// How the weight's first values are drawn.
    pub init: Init,
}

impl Conv2dConfig {
    /// A square window at stride 1 without padding, with bias and PyTorch's default initialisation.
    pub fn square(kernel: usize) -> Self {
        Conv2dConfig {
            kernel: (kernel, kernel),
            stride: (1, 1),
            padding: (0, 0),
            padding_mode: PaddingMode::ZEROS,
            dilation: (1, 1),
            groups: 1,
            bias: true,
            init: Init::default_weight(),
        }
    }

    /// With the same stride in both directions.
    #[must_use]
    pub fn stride(self, stride: usize) -> Self {
        Conv2dConfig { stride: (stride, stride), ..self }
    }

    /// With the same padding on all sides.
    #[must_use]
    pub fn padding(self, padding: usize) -> Self {
        Conv2dConfig { padding: (padding, padding), ..self }
    }

    /// Without bias, as before a normalisation, which would take it away.
    #[must_use]
    pub fn no_bias(self) -> Self {
        Conv2dConfig { bias: false, ..self }
    }

    /// With the given initialisation of the weight.
    #[must_use]
    pub fn init(self, init: Init) -> Self {
        Conv2dConfig { init, ..self }
    }
}

/// 2-D convolution of NHWC images, as PyTorch's `Conv2d`: `[batch, h, w, in]` becomes `[batch, h', w', out]`.
#[derive(Debug, Clone)]
pub struct Conv2d {
    path: String,
    weight: Parameter,
    bias: Option<Parameter>,
    attributes: Conv2dAttributes,
    /// Border that is made before the convolution, where that cannot make it itself.
    border: Option<((usize, usize), PaddingMode)>,
}

impl Conv2d {
    /// A layer with `weight [out, in / groups, height, width]` and, if wanted, `bias [out]`.
    pub fn new(scope: &Scope, inputs: usize, outputs: usize, config: Conv2dConfig) -> Self {
        // Numbers that do not fit are found when the layer is traced, where the message can name the image.
        let group = inputs / config.groups.max(1);
        let (height, width) = config.kernel;
        let weight = scope.parameter("weight", &[outputs, group, height, width], config.init, Role::Weight);
        let bias = config
            .bias
            .then(|| scope.parameter("bias", &[outputs], Init::default_bias(group * height * width), Role::NoDecay));
        let zeros = config.padding_mode == PaddingMode::ZEROS;
        let attributes = Conv2dAttributes {
            stride: config.stride,
            padding: if zeros { config.padding } else { (0, 0) },
            dilation: config.dilation,
            groups: config.groups,
        };
        let border = (!zeros).then_some((config.padding, config.padding_mode));
        Conv2d { path: scope.path().to_string(), weight, bias, attributes, border }
    }
}

/// A border as the padding takes it; what is too large for that is too large for any image.
fn signed(padding: usize) -> isize {
    isize::try_from(padding).unwrap_or(isize::MAX)
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            let padded = match self.border {
                Some(((vertical, horizontal), mode)) => {
                    let (v, h) = (signed(vertical), signed(horizontal));
                    x.pad2d([v, v, h, h], mode)?
                }
                None => x.clone(),
            };
            with_bias(padded.conv2d(&self.weight.on(tracer)?, self.attributes)?, self.bias.as_ref())
        })
    }
}

/// Adds the bias to each channel, if there is one.
pub(super) fn with_bias(result: Tensor, bias: Option<&Parameter>) -> Result<Tensor> {
    match bias {
        Some(bias) => Ok(result.add(&bias.on(result.tracer())?)?),
        None => Ok(result),
    }
}

/// Settings of a [`Conv1d`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv1dConfig {
    /// Length of the window.
    pub kernel: usize,
    /// Steps between windows.
    pub stride: usize,
    /// Border on each side of the sequence.
    pub padding: usize,
    /// What the border is filled with: zeros by default.
    pub padding_mode: PaddingMode,
    /// Distance between neighbouring taps of a window.
    pub dilation: usize,
    /// Groups of channels convolved apart from each other; both numbers of channels must be multiples of it.
    pub groups: usize,
    /// Whether a number is added to each output channel.
    pub bias: bool,
    /// How the weight's first values are drawn.
    pub init: Init,
}

impl Conv1dConfig {
    /// A window at stride 1 without padding, with bias and PyTorch's default initialisation.
    pub fn of(kernel: usize) -> Self {
        Conv1dConfig {
            kernel,
            stride: 1,
            padding: 0,
            padding_mode: PaddingMode::ZEROS,
            dilation: 1,
            groups: 1,
            bias: true,
            init: Init::default_weight(),
        }
    }
}

/// 1-D convolution of sequences with channels last, as PyTorch's `Conv1d`: `[batch, length, in]` becomes
/// `[batch, length', out]`, where PyTorch has `[batch, in, length]`. The weight is PyTorch's.
#[derive(Debug, Clone)]
pub struct Conv1d {
    path: String,
    weight: Parameter,
    bias: Option<Parameter>,
    attributes: Conv1dAttributes,
    border: Option<(usize, PaddingMode)>,
}

impl Conv1d {
    /// A layer with `weight [out, in / groups, length]` and, if wanted, `bias [out]`.
    pub fn new(scope: &Scope, inputs: usize, outputs: usize, config: Conv1dConfig) -> Self {
        let group = inputs / config.groups.max(1);
        let weight = scope.parameter("weight", &[outputs, group, config.kernel], config.init, Role::Weight);
        let bias = config
            .bias
            .then(|| scope.parameter("bias", &[outputs], Init::default_bias(group * config.kernel), Role::NoDecay));
        let zeros = config.padding_mode == PaddingMode::ZEROS;
        let attributes = Conv1dAttributes {
            stride: config.stride,
            padding: if zeros { config.padding } else { 0 },
            dilation: config.dilation,
            groups: config.groups,
        };
        let border = (!zeros).then_some((config.padding, config.padding_mode));
        Conv1d { path: scope.path().to_string(), weight, bias, attributes, border }
    }
}

impl Module for Conv1d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            let padded = match self.border {
                Some((padding, mode)) => x.pad(1, signed(padding), signed(padding), mode)?,
                None => x.clone(),
            };
            with_bias(padded.conv1d(&self.weight.on(tracer)?, self.attributes)?, self.bias.as_ref())
        })
    }
}
