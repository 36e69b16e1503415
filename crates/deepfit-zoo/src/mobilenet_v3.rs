//! MobileNetV3 (Howard et al., 2019), with torchvision's names and shapes.

use deepfit_nn::layers::{Activate, Activation, Dropout, GlobalAvgPool2d, Linear};
use deepfit_nn::{Scope, Sequential};
use serde::{Deserialize, Serialize};

use crate::efficientnet::check_stages;
use crate::error::{Result, require_dropout, require_lengths};
use crate::image::{ImageConfig, ImageNetwork};
use crate::mbconv::{ConvNorm, Gate, Kernel, MbConv, MbConvConfig, Padding, PartNames, Style};

const MODEL: &str = "mobilenet_v3";

/// Settings of a MobileNetV3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MobilenetV3Config {
    /// The images.
    pub image: ImageConfig,
    /// Number of outputs.
    pub outputs: usize,
    /// Channels of the first convolution, which halves height and width.
    pub stem: usize,
    /// The blocks.
    pub blocks: Vec<MbConvConfig>,
    /// Channels of the last 1x1 convolution, which are averaged over the image.
    pub last: usize,
    /// Neurons of a layer before the outputs, which are the features.
    pub hidden: usize,
    /// Borders of convolutions with a stride.
    #[serde(default)]
    pub padding: Padding,
    /// Added to variances.
    pub epsilon: f32,
    /// Probability of dropout before the outputs.
    #[serde(default)]
    pub dropout: f32,
}

/// What shapes of weights do not tell of a block: its stride, and whether its activation is the cheaper ReLU.
pub(crate) type Unseen = (usize, bool);

/// Of the 15 blocks of MobileNetV3-Large (table 1 of the paper).
pub(crate) const LARGE: [Unseen; 15] = [
    (1, true),
    (2, true),
    (1, true),
    (2, true),
    (1, true),
    (1, true),
    (2, false),
    (1, false),
    (1, false),
    (1, false),
    (1, false),
    (1, false),
    (2, false),
    (1, false),
    (1, false),
];

/// Of the 11 blocks of MobileNetV3-Small (table 2 of the paper).
pub(crate) const SMALL: [Unseen; 11] = [
    (2, true),
    (2, true),
    (1, true),
    (2, false),
    (1, false),
    (1, false),
    (1, false),
    (1, false),
    (2, false),
    (1, false),
    (1, false),
];

impl MobilenetV3Config {
    /// Makes the network and declares its parameters: `features.0.0`, `features.1.block.0.0`, …, `classifier.0`,
    /// `classifier.3`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<ImageNetwork> {
        self.image.validate(MODEL)?;
        require_lengths(&[self.outputs], MODEL, "outputs")?;
        require_lengths(&[self.stem, self.last, self.hidden], MODEL, "stem, last and hidden")?;
        check_stages(std::slice::from_ref(&self.blocks), MODEL)?;
        require_dropout(self.dropout, MODEL)?;
        let style = Style { padding: self.padding, epsilon: self.epsilon };
        let features = scope.child("features");
        let layer = |place: usize, channels, kernel| {
            let scope = features.child(place);
            let scopes = [&scope.child(0), &scope.child(1)];
            ConvNorm::new(scopes, channels, kernel, style, Some(Activation::Hardswish))
        };
        let mut layers = Sequential::new();
        layers.push(layer(0, (self.image.channels, self.stem), Kernel::full(3, 2)));
        let gate = Gate { activation: Activation::Relu, gate: Activation::Hardsigmoid };
        let mut channels = self.stem;
        for (i, block) in self.blocks.iter().enumerate() {
            let place = features.child(i + 1);
            layers.push(MbConv::new(&place, channels, *block, PartNames::Torchvision, gate, style));
            channels = block.channels;
        }
        layers.push(layer(self.blocks.len() + 1, (channels, self.last), Kernel::full(1, 1)));
        layers.push(GlobalAvgPool2d::new(&scope.child("avgpool")));
        let classifier = scope.child("classifier");
        layers.push(Linear::new(&classifier.child(0), self.last, self.hidden));
        layers.push(Activate::new(&classifier.child(1), Activation::Hardswish));
        let dropout = Dropout::new(&classifier.child(2), self.dropout);
        let output = Linear::new(&classifier.child(3), self.hidden, self.outputs);
        let head = Sequential::new().with(dropout).with(output);
        Ok(ImageNetwork::new(&self.image, self.outputs, layers, head))
    }
}
