//! Residual networks (He et al., 2016), with torchvision's names and shapes.

use deepfit_graph::Tensor;
use deepfit_graph::ops::Window;
use deepfit_nn::init::{Fan, Init, RELU_GAIN};
use deepfit_nn::layers::{Activate, Activation, BatchNorm, Conv2d, Conv2dConfig, GlobalAvgPool2d, Linear, MaxPool2d};
use deepfit_nn::{Module, Scope, Sequential};
use serde::{Deserialize, Serialize};

use crate::error::{Result, require, require_lengths};
use crate::image::{ImageConfig, ImageNetwork};

const MODEL: &str = "resnet";

/// Settings of a residual network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResnetConfig {
    /// The images.
    pub image: ImageConfig,
    /// Number of outputs.
    pub outputs: usize,
    /// Kind of the blocks.
    pub block: Block,
    /// Number of blocks of each stage; each stage but the first halves height and width.
    pub depths: Vec<usize>,
    /// Channels within the blocks of each stage; the stem has those of the first.
    pub widths: Vec<usize>,
    /// Whether the stem keeps the resolution, for images below about 64 pixels: a 3x3 convolution instead of a 7x7 one
    /// that skips every other pixel, and no pooling.
    #[serde(default)]
    pub small_stem: bool,
}

/// Kind of a residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// A 3x3 convolution between two 1x1 ones, the last of which has four times the channels.
    Bottleneck,
}

impl Block {
    /// Output channels for each of the stage's width.
    pub fn expansion(self) -> usize {
        match self {
            Block::Basic => 1,
            Block::Bottleneck => 4,
        }
    }
}

impl ResnetConfig {
    fn standard(image: ImageConfig, outputs: usize, block: Block, depths: [usize; 4]) -> Self {
        let small_stem = image.height.min(image.width) < 64;
        ResnetConfig { image, outputs, block, depths: depths.to_vec(), widths: vec![64, 128, 256, 512], small_stem }
    }

    /// ResNet-18; with the small stem for images below 64 pixels.
    pub fn resnet18(image: ImageConfig, outputs: usize) -> Self {
        Self::standard(image, outputs, Block::Basic, [2, 2, 2, 2])
    }

    /// ResNet-34; with the small stem for images below 64 pixels.
    pub fn resnet34(image: ImageConfig, outputs: usize) -> Self {
        Self::standard(image, outputs, Block::Basic, [3, 4, 6, 3])
    }

    /// ResNet-101; with the small stem for images below 64 pixels.
    pub fn resnet101(image: ImageConfig, outputs: usize) -> Self {
        Self::standard(image, outputs, Block::Bottleneck, [3, 4, 23, 3])
    }

    /// ResNet-152; with the small stem for images below 64 pixels.
    pub fn resnet152(image: ImageConfig, outputs: usize) -> Self {
        Self::standard(image, outputs, Block::Bottleneck, [3, 8, 36, 3])
    }

    /// ResNet-50; with the small stem for images below 64 pixels.
    pub fn resnet50(image: ImageConfig, outputs: usize) -> Self {
        Self::standard(image, outputs, Block::Bottleneck, [3, 4, 6, 3])
    }

    /// Makes the network and declares its parameters: `conv1`, `bn1`, `layer1.0.conv1`, …, `fc`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<ImageNetwork> {
        self.image.validate(MODEL)?;
        require_lengths(&[self.outputs], MODEL, "outputs")?;
        require_lengths(&self.depths, MODEL, "depths")?;
        require_lengths(&self.widths, MODEL, "widths")?;
        require(!self.depths.is_empty(), MODEL, "depths", || "is empty, but must have one number a stage".to_string())?;
        require(self.depths.len() == self.widths.len(), MODEL, "widths", || {
            format!("has {} numbers, but `depths` has {}", self.widths.len(), self.depths.len())
        })?;
        let stem = self.widths[0];
        let window = if self.small_stem { convolution(3, 1) } else { convolution(7, 2) };
        let mut first = Sequential::new()
            .with(Conv2d::new(&scope.child("conv1"), self.image.channels, stem, window))
            .with(BatchNorm::new(&scope.child("bn1"), stem))
            .with(Activate::new(&scope.child("relu"), Activation::Relu));
        if !self.small_stem {
            let pool = Window { stride: (2, 2), padding: (1, 1), ..Window::square(3) };
            first.push(MaxPool2d::new(&scope.child("maxpool"), pool));
        }
        let mut layers = Sequential::new().with(first);
        let mut channels = stem;
        for (stage, (&depth, &width)) in self.depths.iter().zip(&self.widths).enumerate() {
            let layer = scope.child(format!("layer{}", stage + 1));
            for i in 0..depth {
                let stride = if stage > 0 && i == 0 { 2 } else { 1 };
                layers.push(ResidualBlock::new(&layer.child(i), self.block, channels, width, stride));
                channels = width * self.block.expansion();
            }
        }
        layers.push(GlobalAvgPool2d::new(&scope.child("avgpool")));
        let head = Sequential::new().with(Linear::new(&scope.child("fc"), channels, self.outputs));
        Ok(ImageNetwork::new(&self.image, self.outputs, layers, head))
    }
}

/// A square convolution without bias that keeps the size but for its stride, drawn as torchvision does.
fn convolution(kernel: usize, stride: usize) -> Conv2dConfig {
    let init = Init::KaimingNormal { fan: Fan::Out, gain: RELU_GAIN };
    Conv2dConfig::square(kernel).stride(stride).padding(kernel / 2).no_bias().init(init)
}

/// Convolutions, each with its normalisation, beside a path that leaves the input as it is or fits it to the output.
#[derive(Debug)]
struct ResidualBlock {
    path: String,
    layers: Vec<(Conv2d, BatchNorm)>,
    downsample: Option<(Conv2d, BatchNorm)>,
}

impl ResidualBlock {
    fn new(scope: &Scope, block: Block, inputs: usize, width: usize, stride: usize) -> Self {
        let outputs = width * block.expansion();
        let plan = match block {
            Block::Basic => vec![(inputs, width, 3, stride), (width, width, 3, 1)],
            // The stride is in the 3x3 convolution, as in torchvision, where no pixel is skipped unseen.
            Block::Bottleneck => vec![(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)],
        };
        let layers = plan.into_iter().enumerate().map(|(i, (from, to, kernel, stride))| {
            let conv = Conv2d::new(&scope.child(format!("conv{}", i + 1)), from, to, convolution(kernel, stride));
            (conv, BatchNorm::new(&scope.child(format!("bn{}", i + 1)), to))
        });
        let layers = layers.collect();
        let downsample = (stride != 1 || inputs != outputs).then(|| {
            let fit = scope.child("downsample");
            let conv = Conv2d::new(&fit.child(0), inputs, outputs, convolution(1, stride));
            (conv, BatchNorm::new(&fit.child(1), outputs))
        });
        ResidualBlock { path: scope.path().to_string(), layers, downsample }
    }
}

impl Module for ResidualBlock {
    fn forward(&self, x: &Tensor) -> deepfit_nn::Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            let mut y = x.clone();
            for (i, (conv, norm)) in self.layers.iter().enumerate() {
                y = conv.normalised(&y, norm)?;
                if i + 1 < self.layers.len() {
                    y = y.relu()?;
                }
            }
            let straight = match &self.downsample {
                Some((conv, norm)) => conv.normalised(x, norm)?,
                None => x.clone(),
            };
            Ok(y.add(&straight)?.relu()?)
        })
    }
}
