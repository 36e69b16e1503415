//! A small convolutional network for small images.

use deepfit_graph::ops::Window;
use deepfit_nn::layers::{
    Activate, Activation, BatchNorm, Conv2d, Conv2dConfig, Dropout, Flatten, GlobalAvgPool2d, Linear, MaxPool2d,
};
use deepfit_nn::{Scope, Sequential};
use serde::{Deserialize, Serialize};

use crate::error::{Result, require, require_dropout, require_lengths};
use crate::image::{ImageConfig, ImageNetwork};

const MODEL: &str = "cnn";

/// Settings of a small convolutional network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CnnConfig {
    /// The images.
    pub image: ImageConfig,
    /// Number of outputs.
    pub outputs: usize,
    /// Channels of the 3x3 convolutions of each stage; between stages, pooling halves height and width.
    pub stages: Vec<Vec<usize>>,
    /// How the last stage becomes a row of numbers.
    #[serde(default)]
    pub head: Head,
    /// Neurons of a layer before the outputs; 0 for none.
    #[serde(default)]
    pub hidden: usize,
    /// Activation of all layers.
    #[serde(default = "default_activation")]
    pub activation: Activation,
    /// Probability of dropout before the outputs.
    #[serde(default)]
    pub dropout: f32,
}

fn default_activation() -> Activation {
    Activation::Relu
}

/// How images of features become a row of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// The mean over all pixels: what is seen counts, not where.
    #[default]
    GlobalAverage,
    /// A last pooling, then every pixel for itself: for images whose subject fills them.
    Flatten,
}

impl CnnConfig {
    /// A network for images of about 8 to 64 pixels that a processor trains in seconds: few channels at the full
    /// resolution, where each costs most, and stages until less than 8 pixels are left.
    pub fn for_images(image: ImageConfig, outputs: usize) -> Self {
        let mut side = image.height.min(image.width);
        let mut stages = vec![vec![16, 32]];
        while side >= 8 {
            side /= 2;
            stages.push(vec![if stages.len() < 3 { 64 } else { 128 }]);
        }
        // The head pools once more, if there is something to pool.
        let head = if side >= 2 { Head::Flatten } else { Head::GlobalAverage };
        CnnConfig { image, outputs, stages, head, hidden: 0, activation: default_activation(), dropout: 0.25 }
    }

    /// Makes the network and declares its parameters: `conv1`, `bn1`, `conv2`, …, `hidden`, `fc`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<ImageNetwork> {
        self.image.validate(MODEL)?;
        require_lengths(&[self.outputs], MODEL, "outputs")?;
        require_lengths(&self.stages.concat(), MODEL, "stages")?;
        require_dropout(self.dropout, MODEL)?;
        require(!self.stages.is_empty() && self.stages.iter().all(|s| !s.is_empty()), MODEL, "stages", || {
            format!("is {:?}, but must have stages with at least one convolution each", self.stages)
        })?;
        let poolings = self.stages.len() - 1 + usize::from(self.head == Head::Flatten);
        let (mut height, mut width) = (self.image.height, self.image.width);
        let enough =
            u32::try_from(poolings).ok().and_then(|n| 1usize.checked_shl(n)).is_some_and(|n| height.min(width) >= n);
        require(enough, MODEL, "stages", || {
            format!("and `head` pool {poolings} times, which images of {height}x{width} pixels are too small for")
        })?;

        let mut layers = Sequential::new();
        let mut channels = self.image.channels;
        let mut number = 0;
        for (stage, widths) in self.stages.iter().enumerate() {
            for &to in widths {
                number += 1;
                let child = |name: &str| scope.child(format!("{name}{number}"));
                let window = Conv2dConfig::square(3).padding(1).no_bias();
                layers.push(Conv2d::new(&child("conv"), channels, to, window));
                layers.push(BatchNorm::new(&child("bn"), to));
                layers.push(Activate::new(&child("activation"), self.activation));
                channels = to;
            }
            if stage < poolings {
                layers.push(MaxPool2d::new(&scope.child(format!("pool{}", stage + 1)), Window::square(2)));
                (height, width) = (height / 2, width / 2);
            }
        }
        let mut features = channels;
        match self.head {
            Head::GlobalAverage => layers.push(GlobalAvgPool2d::new(&scope.child("avgpool"))),
            Head::Flatten => {
                layers.push(Flatten::new(&scope.child("flatten")));
                features = channels * height * width;
            }
        }
        if self.hidden > 0 {
            layers.push(Linear::new(&scope.child("hidden"), features, self.hidden));
            layers.push(Activate::new(&scope.child("activation"), self.activation));
            features = self.hidden;
        }
        let dropout = Dropout::new(&scope.child("dropout"), self.dropout);
        let output = Linear::new(&scope.child("fc"), features, self.outputs);
        let head = Sequential::new().with(dropout).with(output);
        Ok(ImageNetwork::new(&self.image, self.outputs, layers, head))
    }
}
