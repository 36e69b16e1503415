use deepfit_graph::Tensor;
use deepfit_graph::ops::Conv2dAttributes;

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
    /// Zeros around the image on each side.
    pub padding: (usize, usize),
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
        let attributes = Conv2dAttributes {
            stride: config.stride,
            padding: config.padding,
            dilation: config.dilation,
            groups: config.groups,
        };
        Conv2d { path: scope.path().to_string(), weight, bias, attributes }
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            let result = x.conv2d(&self.weight.on(tracer)?, self.attributes)?;
            match &self.bias {
                Some(bias) => Ok(result.add(&bias.on(tracer)?)?),
                None => Ok(result),
            }
        })
    }
}
