//! MobileNetV2 (Sandler et al., 2018), with torchvision's names and shapes.

use deepfit_graph::Tensor;
use deepfit_nn::init::{Fan, Init, RELU_GAIN};
use deepfit_nn::layers::{Activate, Activation, BatchNorm, Conv2d, Conv2dConfig, Dropout, GlobalAvgPool2d, Linear};
use deepfit_nn::{Module, Scope, Sequential};
use serde::{Deserialize, Serialize};

use crate::error::{Result, require, require_dropout, require_lengths};
use crate::image::{ImageConfig, ImageNetwork};

const MODEL: &str = "mobilenet_v2";

/// Settings of a MobileNetV2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MobilenetV2Config {
    /// The images.
    pub image: ImageConfig,
    /// Number of outputs.
    pub outputs: usize,
    /// Channels of the first convolution, which halves height and width.
    pub stem: usize,
    /// The blocks.
    pub blocks: Vec<InvertedResidualConfig>,
    /// Channels of a last 1x1 convolution; without it the last block's are averaged.
    pub last: Option<usize>,
    /// Probability of dropout before the outputs.
    #[serde(default)]
    pub dropout: f32,
}

/// Settings of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvertedResidualConfig {
    /// How many times as many channels the 3x3 convolution has as the block's input; 1 leaves out the 1x1 convolution
    /// before it.
    pub expansion: usize,
    /// Channels of the block's output.
    pub channels: usize,
    /// Stride of the 3x3 convolution.
    pub stride: usize,
}

impl MobilenetV2Config {
    /// The published network of width 1.0.
    pub fn standard(image: ImageConfig, outputs: usize) -> Self {
        // Table 2 of the paper: expansion, channels, repetitions, stride of the first.
        let table =
            [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];
        let blocks = table.into_iter().flat_map(|(expansion, channels, repetitions, first)| {
            (0..repetitions).map(move |i| InvertedResidualConfig {
                expansion,
                channels,
                stride: if i == 0 { first } else { 1 },
            })
        });
        MobilenetV2Config { image, outputs, stem: 32, blocks: blocks.collect(), last: Some(1280), dropout: 0.2 }
    }

    /// Makes the network and declares its parameters: `features.0.0` for the first convolution, `features.1.conv` for the
    /// first block, …, `classifier.1`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<ImageNetwork> {
        self.image.validate(MODEL)?;
        require_lengths(&[self.outputs], MODEL, "outputs")?;
        require_lengths(&[self.stem, self.last.unwrap_or(1)], MODEL, "stem and last")?;
        let lengths: Vec<usize> = self.blocks.iter().flat_map(|b| [b.expansion, b.channels, b.stride]).collect();
        require_lengths(&lengths, MODEL, "blocks")?;
        require_dropout(self.dropout, MODEL)?;
        require(!self.blocks.is_empty(), MODEL, "blocks", || "is empty, but must have one block at least".to_string())?;
        let features = scope.child("features");
        let mut layers = Sequential::new();
        push_convolution(&mut layers, &features.child(0), self.image.channels, self.stem, Window::full(3, 2));
        let mut channels = self.stem;
        for (i, block) in self.blocks.iter().enumerate() {
            layers.push(InvertedResidual::new(&features.child(i + 1), channels, *block));
            channels = block.channels;
        }
        if let Some(last) = self.last {
            push_convolution(&mut layers, &features.child(self.blocks.len() + 1), channels, last, Window::full(1, 1));
            channels = last;
        }
        layers.push(GlobalAvgPool2d::new(&scope.child("avgpool")));
        let dropout = Dropout::new(&scope.child("classifier").child(0), self.dropout);
        let output = Linear::new(&scope.child("classifier").child(1), channels, self.outputs);
        let head = Sequential::new().with(dropout).with(output);
        Ok(ImageNetwork::new(&self.image, self.outputs, layers, head))
    }
}

/// Window of a convolution that keeps the size but for its stride.
#[derive(Clone, Copy)]
struct Window {
    kernel: usize,
    stride: usize,
    groups: usize,
}

impl Window {
    fn full(kernel: usize, stride: usize) -> Self {
        Window { kernel, stride, groups: 1 }
    }

    fn config(self) -> Conv2dConfig {
        let init = Init::KaimingNormal { fan: Fan::Out, gain: RELU_GAIN };
        let config = Conv2dConfig::square(self.kernel).stride(self.stride).padding(self.kernel / 2).no_bias();
        Conv2dConfig { groups: self.groups, ..config.init(init) }
    }
}

/// A convolution, its normalisation and the activation, named `0`, `1` and `2`.
fn push_convolution(layers: &mut Sequential, scope: &Scope, inputs: usize, outputs: usize, window: Window) {
    layers.push(Conv2d::new(&scope.child(0), inputs, outputs, window.config()));
    layers.push(BatchNorm::new(&scope.child(1), outputs));
    layers.push(Activate::new(&scope.child(2), Activation::Relu6));
}

/// Few channels in, many within, few out: a 1x1 convolution, a 3x3 one channel by channel, and a 1x1 one without
/// activation, since an activation on few channels would lose what they carry.
#[derive(Debug)]
struct InvertedResidual {
    path: String,
    layers: Sequential,
    adds_input: bool,
}

impl InvertedResidual {
    fn new(scope: &Scope, inputs: usize, config: InvertedResidualConfig) -> Self {
        let conv = scope.child("conv");
        let mut layers = Sequential::new();
        let hidden = inputs * config.expansion;
        let mut number = 0;
        if config.expansion != 1 {
            push_convolution(&mut layers, &conv.child(0), inputs, hidden, Window::full(1, 1));
            number = 1;
        }
        let each_channel = Window { kernel: 3, stride: config.stride, groups: hidden };
        push_convolution(&mut layers, &conv.child(number), hidden, hidden, each_channel);
        layers.push(Conv2d::new(&conv.child(number + 1), hidden, config.channels, Window::full(1, 1).config()));
        layers.push(BatchNorm::new(&conv.child(number + 2), config.channels));
        let adds_input = config.stride == 1 && inputs == config.channels;
        InvertedResidual { path: scope.path().to_string(), layers, adds_input }
    }
}

impl Module for InvertedResidual {
    fn forward(&self, x: &Tensor) -> deepfit_nn::Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            let y = self.layers.forward(x)?;
            Ok(if self.adds_input { y.add(x)? } else { y })
        })
    }
}
