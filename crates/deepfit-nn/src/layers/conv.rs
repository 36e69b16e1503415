use deepfit_graph::Tensor;
use deepfit_graph::ops::{Conv1dAttributes, Conv2dAttributes, PaddingMode};

use crate::declaration::{Parameter, Role, product};
use crate::error::{Result, require};
use crate::init::Init;
use crate::layers::BatchNorm;
use crate::module::Module;
use crate::scope::Scope;

/// Settings of a [`Conv2d`]; pairs are (vertical, horizontal).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv2dConfig {
    /// Height and width of the window.
    pub kernel: (usize, usize),
    /// Steps between windows, at least 1; 1 by default.
    pub stride: (usize, usize),
    /// Border around the image on each side; none by default.
    pub padding: (usize, usize),
    /// Whether the border is as large as makes the output as large as the image, PyTorch's `padding='same'`: one more row
    /// below or column at the right where it cannot be the same on both sides. Needs stride 1, and no other padding; by
    /// default it is not.
    pub same: bool,
    /// What the border is filled with: zeros by default.
    pub padding_mode: PaddingMode,
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

impl Conv2dConfig {
    /// A square window at stride 1 without padding, with bias and PyTorch's default initialisation.
    pub fn square(kernel: usize) -> Self {
        Conv2dConfig {
            kernel: (kernel, kernel),
            stride: (1, 1),
            padding: (0, 0),
            same: false,
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

    /// With a border that keeps the size of the image.
    #[must_use]
    pub fn same(self) -> Self {
        Conv2dConfig { same: true, ..self }
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

/// What a convolution does along one axis.
struct Axis {
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
}

impl Axis {
    /// The border before and after.
    fn border(&self, place: &str, same: bool) -> Result<(usize, usize)> {
        let Axis { kernel, stride, padding, dilation } = *self;
        require(!same || stride == 1, place, "same", || format!("needs stride 1, not {stride}"))?;
        require(!same || padding == 0, place, "same", || format!("stands beside a padding of {padding}: choose one"))?;
        let whole = dilation.saturating_mul(kernel.saturating_sub(1));
        let (before, after) = if same { (whole / 2, whole - whole / 2) } else { (padding, padding) };
        let most = i32::MAX as usize;
        require(after <= most, place, "padding", || format!("is {after}, but can be {most} at most"))?;
        Ok((before, after))
    }
}

/// 2-D convolution of NHWC images, as PyTorch's `Conv2d`: `[batch, h, w, in]` becomes `[batch, h', w', out]` with
/// `h' = (h + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1`, rounded down.
#[derive(Debug, Clone)]
pub struct Conv2d {
    path: String,
    weight: Parameter,
    bias: Option<Parameter>,
    config: Conv2dConfig,
}

impl Conv2d {
    /// A layer with `weight [out, in / groups, height, width]` and, if wanted, `bias [out]`.
    pub fn new(scope: &Scope, inputs: usize, outputs: usize, config: Conv2dConfig) -> Self {
        // Numbers that do not fit are found when the layer is traced, where the message can name the image.
        let group = inputs / config.groups.max(1);
        let (height, width) = config.kernel;
        let weight = scope.parameter("weight", &[outputs, group, height, width], config.init, Role::Weight);
        let fan = product(&[group, height, width]);
        let bias = config.bias.then(|| scope.parameter("bias", &[outputs], Init::default_bias(fan), Role::NoDecay));
        Conv2d { path: scope.place("conv2d"), weight, bias, config }
    }
}

impl Conv2d {
    /// This convolution and the normalisation after it. In a part of a learning graph that normalises by its running
    /// statistics, these are part of the weights: one operation in place of two, also in the backward pass.
    ///
    /// # Errors
    /// If the shape of `x` does not fit, naming the layer.
    pub fn normalised(&self, x: &Tensor, norm: &BatchNorm) -> Result<Tensor> {
        match norm.within_weights(x.tracer())? {
            Some((scale, shift)) if self.bias.is_none() => Ok(self.scaled(x, Some(&scale))?.add(&shift)?),
            _ => norm.forward(&self.forward(x)?),
        }
    }

    /// The convolution, each of whose outputs is multiplied by a factor, without bias if there are any.
    fn scaled(&self, x: &Tensor, factors: Option<&Tensor>) -> Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            let Conv2dConfig { kernel, stride, padding, same, padding_mode, dilation, groups, .. } = self.config;
            let axis =
                |kernel, stride, padding, dilation| Axis { kernel, stride, padding, dilation }.border(&self.path, same);
            let (top, bottom) = axis(kernel.0, stride.0, padding.0, dilation.0)?;
            let (left, right) = axis(kernel.1, stride.1, padding.1, dilation.1)?;
            // The convolution itself makes a border of zeros that is the same on both sides.
            let itself = padding_mode == PaddingMode::ZEROS && (top, left) == (bottom, right);
            let border = [top, bottom, left, right].map(|width| width as isize);
            let x = if itself { x.clone() } else { x.pad2d(border, padding_mode)? };
            let padding = if itself { (top, left) } else { (0, 0) };
            let attributes = Conv2dAttributes { stride, padding, dilation, groups };
            let weight = self.weight.on(tracer)?;
            let Some(factors) = factors else {
                return with_bias(x.conv2d(&weight, attributes)?, self.bias.as_ref());
            };
            let outputs = factors.reshape(&[self.weight.shape[0], 1, 1, 1][..])?;
            Ok(x.conv2d(&weight.mul(&outputs)?, attributes)?)
        })
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.scaled(x, None)
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
    /// Steps between windows, at least 1; 1 by default.
    pub stride: usize,
    /// Border on each side of the sequence; none by default.
    pub padding: usize,
    /// Whether the border is as long as makes the output as long as the sequence, PyTorch's `padding='same'`: one more
    /// position at the end where it cannot be the same on both sides. Needs stride 1, and no other padding.
    pub same: bool,
    /// What the border is filled with: zeros by default.
    pub padding_mode: PaddingMode,
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

impl Conv1dConfig {
    /// A window at stride 1 without padding, with bias and PyTorch's default initialisation.
    pub fn of(kernel: usize) -> Self {
        Conv1dConfig {
            kernel,
            stride: 1,
            padding: 0,
            same: false,
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
///
/// Before a linear layer with PyTorch's weights the result is flattened by
/// [`Flatten::convolved`](super::Flatten::convolved).
#[derive(Debug, Clone)]
pub struct Conv1d {
    path: String,
    weight: Parameter,
    bias: Option<Parameter>,
    config: Conv1dConfig,
}

impl Conv1d {
    /// A layer with `weight [out, in / groups, length]` and, if wanted, `bias [out]`.
    pub fn new(scope: &Scope, inputs: usize, outputs: usize, config: Conv1dConfig) -> Self {
        let group = inputs / config.groups.max(1);
        let weight = scope.parameter("weight", &[outputs, group, config.kernel], config.init, Role::Weight);
        let fan = product(&[group, config.kernel]);
        let bias = config.bias.then(|| scope.parameter("bias", &[outputs], Init::default_bias(fan), Role::NoDecay));
        Conv1d { path: scope.place("conv1d"), weight, bias, config }
    }
}

impl Module for Conv1d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            let Conv1dConfig { kernel, stride, padding, same, padding_mode, dilation, groups, .. } = self.config;
            let (before, after) = Axis { kernel, stride, padding, dilation }.border(&self.path, same)?;
            let itself = padding_mode == PaddingMode::ZEROS && before == after;
            let x = if itself { x.clone() } else { x.pad(1, before as isize, after as isize, padding_mode)? };
            let padding = if itself { before } else { 0 };
            let attributes = Conv1dAttributes { stride, padding, dilation, groups };
            with_bias(x.conv1d(&self.weight.on(tracer)?, attributes)?, self.bias.as_ref())
        })
    }
}
