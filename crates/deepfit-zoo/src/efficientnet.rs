//! EfficientNet (Tan and Le, 2019) and EfficientNet-Lite, with timm's names and shapes.

use deepfit_nn::layers::{Activation, Dropout, GlobalAvgPool2d, Linear};
use deepfit_nn::{Scope, Sequential};
use serde::{Deserialize, Serialize};

use crate::error::{Result, require, require_dropout, require_lengths};
use crate::image::{ImageConfig, ImageNetwork};
use crate::mbconv::{ConvNorm, Gate, Kernel, MbConv, MbConvConfig, Padding, PartNames, Style};

const MODEL: &str = "efficientnet";

/// Settings of an EfficientNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EfficientnetConfig {
    /// The images.
    pub image: ImageConfig,
    /// Number of outputs.
    pub outputs: usize,
    /// Channels of the first convolution, which halves height and width.
    pub stem: usize,
    /// The blocks of each stage.
    pub stages: Vec<Vec<MbConvConfig>>,
    /// Channels of the last 1x1 convolution, whose means over the image are the features.
    pub last: usize,
    /// Activation of the first and the last convolution, and within squeeze-and-excitations.
    pub activation: Activation,
    /// Borders of convolutions with a stride.
    #[serde(default)]
    pub padding: Padding,
    /// Added to variances.
    pub epsilon: f32,
    /// Probability of dropout before the outputs.
    #[serde(default)]
    pub dropout: f32,
}

/// Kernel, stride of the first block, expansion, channels and repetitions of each stage of B0 (table 1 of the paper).
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
];

/// Strides of the first block of each stage.
pub(crate) const STRIDES: [usize; 7] = [1, 2, 2, 2, 1, 2, 1];

impl EfficientnetConfig {
    /// EfficientNet-Lite0, without squeeze-and-excitations and with ReLU6, as trained in TensorFlow.
    pub fn lite0(image: ImageConfig, outputs: usize) -> Self {
        let activation = Activation::Relu6;
        let mut inputs = 32;
        let stages = STAGES.map(|(kernel, first, expansion, channels, repetitions)| {
            let block = |i: usize| {
                let expanded = if expansion > 1 { inputs * expansion } else { 0 };
                inputs = channels;
                let stride = if i == 0 { first } else { 1 };
                MbConvConfig { expanded, kernel, stride, squeezed: 0, channels, activation }
            };
            (0..repetitions).map(block).collect()
        });
        EfficientnetConfig {
            image,
            outputs,
            stem: 32,
            stages: stages.into(),
            last: 1280,
            activation,
            padding: Padding::Same,
            epsilon: 1e-3,
            dropout: 0.2,
        }
    }

    /// Makes the network and declares its parameters: `conv_stem`, `bn1`, `blocks.0.0.conv_dw`, …, `conv_head`, `bn2`,
    /// `classifier`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<ImageNetwork> {
        self.image.validate(MODEL)?;
        require_lengths(&[self.outputs], MODEL, "outputs")?;
        require_lengths(&[self.stem, self.last], MODEL, "stem and last")?;
        check_stages(&self.stages, MODEL)?;
        require_dropout(self.dropout, MODEL)?;
        let style = Style { padding: self.padding, epsilon: self.epsilon };
        let child = |name: &str| scope.child(name);
        let layer = |names: [&str; 2], channels, kernel| {
            ConvNorm::new([&child(names[0]), &child(names[1])], channels, kernel, style, Some(self.activation))
        };
        let mut layers = Sequential::new();
        layers.push(layer(["conv_stem", "bn1"], (self.image.channels, self.stem), Kernel::full(3, 2)));
        let gate = Gate { activation: self.activation, gate: Activation::Sigmoid };
        let mut channels = self.stem;
        for (stage, blocks) in self.stages.iter().enumerate() {
            for (i, block) in blocks.iter().enumerate() {
                let place = child("blocks").child(stage).child(i);
                layers.push(MbConv::new(&place, channels, *block, PartNames::Timm, gate, style));
                channels = block.channels;
            }
        }
        layers.push(layer(["conv_head", "bn2"], (channels, self.last), Kernel::full(1, 1)));
        layers.push(GlobalAvgPool2d::new(&child("global_pool")));
        let dropout = Dropout::new(&child("dropout"), self.dropout);
        let classifier = Linear::new(&child("classifier"), self.last, self.outputs);
        let head = Sequential::new().with(dropout).with(classifier);
        Ok(ImageNetwork::new(&self.image, self.outputs, layers, head))
    }
}

/// Fails unless there are stages with blocks, whose numbers are possible.
pub(crate) fn check_stages(stages: &[Vec<MbConvConfig>], model: &'static str) -> Result<()> {
    require(!stages.is_empty() && stages.iter().all(|blocks| !blocks.is_empty()), model, "stages", || {
        "must have stages with at least one block each".to_string()
    })?;
    let lengths: Vec<usize> = stages.iter().flatten().flat_map(|b| [b.kernel, b.stride, b.channels]).collect();
    require_lengths(&lengths, model, "stages")?;
    require(stages.iter().flatten().all(|block| block.kernel % 2 == 1), model, "stages", || {
        "has a kernel of even size, but the border must be the same on both sides".to_string()
    })
}
