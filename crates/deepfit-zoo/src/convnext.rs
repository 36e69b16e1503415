//! ConvNeXt (Liu et al., 2022), with torchvision's names and shapes.

use deepfit_graph::Tensor;
use deepfit_nn::init::Init;
use deepfit_nn::layers::{Activate, Activation, Conv2d, Conv2dConfig, GlobalAvgPool2d, LayerNorm, Linear};
use deepfit_nn::{Module, Parameter, Role, Scope, Sequential};
use serde::{Deserialize, Serialize};

use crate::error::{Result, require, require_lengths};
use crate::image::{ImageConfig, ImageNetwork};

const MODEL: &str = "convnext";
/// Added to variances within the network.
const EPSILON: f32 = 1e-6;
const INIT: Init = Init::TruncatedNormal { std: 0.02 };

/// Settings of a ConvNeXt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvnextConfig {
    /// The images; height and width are multiples of 32 in published networks.
    pub image: ImageConfig,
    /// Number of outputs.
    pub outputs: usize,
    /// Height and width of the squares of pixels that the first convolution turns into one.
    pub patch: usize,
    /// Number of blocks of each stage; each stage but the first halves height and width.
    pub depths: Vec<usize>,
    /// Channels of each stage.
    pub widths: Vec<usize>,
    /// Added to the variance of the last normalisation.
    pub epsilon: f32,
}

impl ConvnextConfig {
    /// ConvNeXt-Tiny.
    pub fn tiny(image: ImageConfig, outputs: usize) -> Self {
        let (depths, widths) = (vec![3, 3, 9, 3], vec![96, 192, 384, 768]);
        ConvnextConfig { image, outputs, patch: 4, depths, widths, epsilon: EPSILON }
    }

    /// Makes the network and declares its parameters: `features.0.0`, `features.1.0.block.0`, …, `classifier.2`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<ImageNetwork> {
        self.image.validate(MODEL)?;
        require_lengths(&[self.outputs, self.patch], MODEL, "outputs and patch")?;
        require_lengths(&self.depths, MODEL, "depths")?;
        require_lengths(&self.widths, MODEL, "widths")?;
        require(!self.depths.is_empty(), MODEL, "depths", || "is empty, but must have one number a stage".to_string())?;
        require(self.depths.len() == self.widths.len(), MODEL, "widths", || {
            format!("has {} numbers, but `depths` has {}", self.widths.len(), self.depths.len())
        })?;
        let features = scope.child("features");
        let mut layers = Sequential::new();
        let mut channels = self.image.channels;
        for (stage, (&depth, &width)) in self.depths.iter().zip(&self.widths).enumerate() {
            let between = features.child(2 * stage);
            // The first stage normalises what the convolution makes of pixels, the others what it gets.
            let side = if stage == 0 { self.patch } else { 2 };
            let window = Conv2dConfig::square(side).stride(side).init(INIT);
            if stage == 0 {
                layers.push(Conv2d::new(&between.child(0), channels, width, window));
                layers.push(LayerNorm::with(&between.child(1), width, EPSILON));
            } else {
                layers.push(LayerNorm::with(&between.child(0), channels, EPSILON));
                layers.push(Conv2d::new(&between.child(1), channels, width, window));
            }
            for i in 0..depth {
                layers.push(Block::new(&features.child(2 * stage + 1).child(i), width));
            }
            channels = width;
        }
        layers.push(GlobalAvgPool2d::new(&scope.child("avgpool")));
        layers.push(LayerNorm::with(&scope.child("classifier").child(0), channels, self.epsilon));
        let output = Linear::new(&scope.child("classifier").child(2), channels, self.outputs);
        Ok(ImageNetwork::new(&self.image, self.outputs, layers, Sequential::new().with(output)))
    }
}

/// A convolution channel by channel, then two linear layers at each pixel, beside a path that leaves the input as it is.
#[derive(Debug)]
struct Block {
    path: String,
    layers: Sequential,
    scale: Parameter,
}

impl Block {
    fn new(scope: &Scope, channels: usize) -> Self {
        // A share of each channel that begins near zero; PyTorch's shape has axes for the pixels.
        let scale = scope.parameter("layer_scale", &[channels, 1, 1], Init::Constant(1e-6), Role::NoDecay);
        let block = scope.child("block");
        let window = Conv2dConfig { groups: channels, ..Conv2dConfig::square(7).padding(3).init(INIT) };
        let layers = Sequential::new()
            .with(Conv2d::new(&block.child(0), channels, channels, window))
            .with(LayerNorm::with(&block.child(2), channels, EPSILON))
            .with(Linear::new(&block.child(3), channels, 4 * channels))
            .with(Activate::new(&block.child(4), Activation::Gelu))
            .with(Linear::new(&block.child(5), 4 * channels, channels));
        Block { path: scope.path().to_string(), layers, scale }
    }
}

impl Module for Block {
    fn forward(&self, x: &Tensor) -> deepfit_nn::Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            let scale = self.scale.on(tracer)?.reshape([self.scale.shape[0]])?;
            Ok(self.layers.forward(x)?.mul(&scale)?.add(x)?)
        })
    }
}
