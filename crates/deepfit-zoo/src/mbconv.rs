//! The inverted residual block of MobileNetV2, MobileNetV3 and EfficientNet: few channels in, many within, few out.

use deepfit_graph::Tensor;
use deepfit_graph::ops::PaddingMode;
use deepfit_nn::init::{Fan, Init, RELU_GAIN};
use deepfit_nn::layers::{Activate, Activation, BatchNorm, Conv2d, Conv2dConfig};
use deepfit_nn::{Module, Scope};
use serde::{Deserialize, Serialize};

/// Settings of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MbConvConfig {
    /// Channels that a 1x1 convolution makes of the block's input; 0 leaves it out.
    pub expanded: usize,
    /// Height and width of the convolution channel by channel.
    pub kernel: usize,
    /// Its stride.
    pub stride: usize,
    /// Channels within the squeeze-and-excitation (Hu et al., 2018); 0 leaves it out.
    #[serde(default)]
    pub squeezed: usize,
    /// Channels of the block's output.
    pub channels: usize,
    /// Activation after the first convolutions; the last has none, since on few channels it would lose what they carry.
    pub activation: Activation,
}

/// Which pixels a convolution with a stride begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// The same border on all sides, as PyTorch's own models have it.
    #[default]
    Symmetric,
    /// TensorFlow's `SAME`, which models trained there need: one pixel more below and at the right where the border cannot
    /// be the same on all sides.
    Same,
}

/// What all convolutions of a network have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Style {
    pub(crate) padding: Padding,
    /// Added to variances.
    pub(crate) epsilon: f32,
}

/// A convolution that keeps the size but for its stride, its normalisation and perhaps an activation.
#[derive(Debug)]
pub(crate) struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
    activation: Option<Activate>,
    /// Kernel and stride, where the border depends on the size of the image.
    same: Option<(usize, usize)>,
}

/// Window of a convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernel {
    pub(crate) size: usize,
    pub(crate) stride: usize,
    pub(crate) groups: usize,
}

impl Kernel {
    pub(crate) fn full(size: usize, stride: usize) -> Self {
        Kernel { size, stride, groups: 1 }
    }
}

impl ConvNorm {
    /// `scopes` are those of convolution and normalisation.
    pub(crate) fn new(
        scopes: [&Scope; 2],
        (inputs, outputs): (usize, usize),
        kernel: Kernel,
        style: Style,
        activation: Option<Activation>,
    ) -> Self {
        let Kernel { size, stride, groups } = kernel;
        // Without a stride TensorFlow's border is the same on all sides, too.
        let same = (style.padding == Padding::Same && stride > 1).then_some((size, stride));
        let padding = if same.is_some() { 0 } else { size / 2 };
        let init = Init::KaimingNormal { fan: Fan::Out, gain: RELU_GAIN };
        let window = Conv2dConfig::square(size).stride(stride).padding(padding).no_bias().init(init);
        ConvNorm {
            conv: Conv2d::new(scopes[0], inputs, outputs, Conv2dConfig { groups, ..window }),
            norm: BatchNorm::with(scopes[1], outputs, 0.1, style.epsilon),
            activation: activation.map(|activation| Activate::new(&scopes[1].child("act"), activation)),
            same,
        }
    }
}

impl Module for ConvNorm {
    fn forward(&self, x: &Tensor) -> deepfit_nn::Result<Tensor> {
        let padded = match self.same {
            Some((kernel, stride)) => same_padding(x, kernel, stride)?,
            None => x.clone(),
        };
        let y = self.conv.normalised(&padded, &self.norm)?;
        match &self.activation {
            Some(activation) => activation.forward(&y),
            None => Ok(y),
        }
    }
}

/// An image with the border of TensorFlow's `SAME`: the output has `ceil(length / stride)` pixels along each axis.
fn same_padding(x: &Tensor, kernel: usize, stride: usize) -> deepfit_nn::Result<Tensor> {
    let (Some(height), Some(width)) = (x.shape().fixed(1), x.shape().fixed(2)) else {
        return Err(x.error("same_padding", format!("needs images of fixed size, not {}", x.shape())).into());
    };
    let border = |length: usize| {
        let covered = (length.div_ceil(stride).saturating_sub(1)) * stride + kernel;
        let total = covered.saturating_sub(length);
        [total / 2, total - total / 2].map(|side| side as isize)
    };
    let ([top, bottom], [left, right]) = (border(height), border(width));
    Ok(x.pad2d([top, bottom, left, right], PaddingMode::ZEROS)?)
}

/// Names of a block's parts, as one of the usual implementations has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartNames {
    /// timm: `conv_pw`, `bn1`, `conv_dw`, …
    Timm,
    /// torchvision's MobileNetV3 and EfficientNet: `block.0.0`, `block.0.1`, …
    Torchvision,
    /// torchvision's MobileNetV2: `conv.0.0`, `conv.0.1`, …
    TorchvisionV2,
    /// The packages efficientnet-pytorch and efficientnet-lite-pytorch: `_expand_conv`, `_bn0`, …
    EfficientnetPytorch,
}

/// Names of the parts of one block below its own: convolution and normalisation of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockNames {
    pub(crate) expand: Option<[String; 2]>,
    pub(crate) depthwise: [String; 2],
    /// Reducing and expanding convolution.
    pub(crate) squeeze: Option<[String; 2]>,
    pub(crate) project: [String; 2],
}

impl PartNames {
    /// The names of a block with or without its first convolution and its squeeze-and-excitation.
    pub(crate) fn of(self, expands: bool, squeezes: bool) -> BlockNames {
        let pair = |a: &str, b: &str| [a.to_string(), b.to_string()];
        match self {
            PartNames::Timm => BlockNames {
                expand: expands.then(|| pair("conv_pw", "bn1")),
                depthwise: pair("conv_dw", if expands { "bn2" } else { "bn1" }),
                squeeze: squeezes.then(|| pair("se.conv_reduce", "se.conv_expand")),
                project: if expands { pair("conv_pwl", "bn3") } else { pair("conv_pw", "bn2") },
            },
            PartNames::Torchvision => {
                let part = |k: usize, names: [&str; 2]| names.map(|name| format!("block.{k}.{name}"));
                let depthwise = usize::from(expands);
                BlockNames {
                    expand: expands.then(|| part(0, ["0", "1"])),
                    depthwise: part(depthwise, ["0", "1"]),
                    squeeze: squeezes.then(|| part(depthwise + 1, ["fc1", "fc2"])),
                    project: part(depthwise + 1 + usize::from(squeezes), ["0", "1"]),
                }
            }
            PartNames::TorchvisionV2 => {
                let k = usize::from(expands);
                BlockNames {
                    expand: expands.then(|| pair("conv.0.0", "conv.0.1")),
                    depthwise: [format!("conv.{k}.0"), format!("conv.{k}.1")],
                    squeeze: None,
                    project: [format!("conv.{}", k + 1), format!("conv.{}", k + 2)],
                }
            }
            PartNames::EfficientnetPytorch => BlockNames {
                expand: expands.then(|| pair("_expand_conv", "_bn0")),
                depthwise: pair("_depthwise_conv", "_bn1"),
                squeeze: squeezes.then(|| pair("_se_reduce", "_se_expand")),
                project: pair("_project_conv", "_bn2"),
            },
        }
    }
}

/// How a squeeze-and-excitation makes its gate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gate {
    /// Between its two convolutions.
    pub(crate) activation: Activation,
    /// Makes shares of the last one's result.
    pub(crate) gate: Activation,
}

/// Channels weighted by what the whole image shows (Hu et al., 2018).
#[derive(Debug)]
struct SqueezeExcitation {
    path: String,
    reduce: Conv2d,
    expand: Conv2d,
    gate: Gate,
}

impl Module for SqueezeExcitation {
    fn forward(&self, x: &Tensor) -> deepfit_nn::Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            let dims = x.shape().dims();
            let mean = x.global_avg_pool2d()?.reshape(vec![dims[0], 1.into(), 1.into(), dims[3]])?;
            let hidden = self.gate.activation.forward(&self.reduce.forward(&mean)?)?;
            let share = self.gate.gate.forward(&self.expand.forward(&hidden)?)?;
            Ok(x.mul(&share)?)
        })
    }
}

/// The block.
#[derive(Debug)]
pub(crate) struct MbConv {
    path: String,
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    squeeze: Option<SqueezeExcitation>,
    project: ConvNorm,
    adds_input: bool,
}

impl MbConv {
    pub(crate) fn new(
        scope: &Scope,
        inputs: usize,
        config: MbConvConfig,
        names: PartNames,
        gate: Gate,
        style: Style,
    ) -> Self {
        let MbConvConfig { expanded, kernel, stride, squeezed, channels, activation } = config;
        let names = names.of(expanded > 0, squeezed > 0);
        let within = if expanded > 0 { expanded } else { inputs };
        let layer = |[conv, norm]: &[String; 2], channels, kernel, activation| {
            ConvNorm::new([&scope.child(conv), &scope.child(norm)], channels, kernel, style, activation)
        };
        let point = Kernel::full(1, 1);
        let squeeze = names.squeeze.as_ref().map(|[reduce, expand]| {
            let point = Conv2dConfig::square(1);
            SqueezeExcitation {
                path: scope.child("se").path().to_string(),
                reduce: Conv2d::new(&scope.child(reduce), within, squeezed, point),
                expand: Conv2d::new(&scope.child(expand), squeezed, within, point),
                gate,
            }
        });
        MbConv {
            path: scope.path().to_string(),
            expand: names.expand.as_ref().map(|names| layer(names, (inputs, within), point, Some(activation))),
            depthwise: layer(
                &names.depthwise,
                (within, within),
                Kernel { size: kernel, stride, groups: within },
                Some(activation),
            ),
            squeeze,
            project: layer(&names.project, (within, channels), point, None),
            adds_input: stride == 1 && inputs == channels,
        }
    }
}

impl Module for MbConv {
    fn forward(&self, x: &Tensor) -> deepfit_nn::Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            let mut y = match &self.expand {
                Some(expand) => expand.forward(x)?,
                None => x.clone(),
            };
            y = self.depthwise.forward(&y)?;
            if let Some(squeeze) = &self.squeeze {
                y = squeeze.forward(&y)?;
            }
            y = self.project.forward(&y)?;
            Ok(if self.adds_input { y.add(x)? } else { y })
        })
    }
}
