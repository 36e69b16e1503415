//! Settings of the networks that were found: what shapes tell, and what follows from whose names they are.

use deepfit_nn::Activation;

use super::super::preprocessing::{ImagePreprocessing, Interpolation};
use super::super::tensors::Shapes;
use super::super::{Hints, Recognised};
use super::{Block, Found};
use crate::efficientnet::STRIDES;
use crate::mbconv::{MbConvConfig, Padding, PartNames};
use crate::mobilenet_v3::{LARGE, SMALL};
use crate::{EfficientnetConfig, InvertedResidualConfig, MobilenetV2Config, MobilenetV3Config, ModelConfig};

/// Repetitions in the stages of MobileNetV2, where names do not tell.
const V2_DEPTHS: [usize; 7] = [1, 2, 3, 4, 3, 3, 1];

/// Whether the weights came from TensorFlow, and what is added to variances.
fn style(found: &Found, hints: &Hints, otherwise: f32) -> (Padding, f32) {
    let from_tensorflow = found.naming.parts == PartNames::EfficientnetPytorch
        || hints.architecture.as_deref().is_some_and(|name| name.starts_with("tf_"));
    if from_tensorflow { (Padding::Same, 1e-3) } else { (Padding::Symmetric, otherwise) }
}

fn outputs(found: &Found, shapes: &Shapes) -> usize {
    shapes.axis(&format!("{}.weight", found.naming.classifier), 0).unwrap_or(1)
}

/// A note where names leave open which of timm's variants it is.
fn variant_note(found: &Found, hints: &Hints) -> Vec<String> {
    if found.naming.name != "timm" || hints.architecture.is_some() {
        return Vec::new();
    }
    let told = "it was taken as PyTorch's variant: of one from TensorFlow (`tf_…` in timm) borders and epsilon differ; keep \
                timm's `config.json` beside the weights, or its name in the file's, to tell them apart";
    vec![told.to_string()]
}

pub(super) fn mobilenet_v2(found: &Found, shapes: &Shapes, hints: &Hints) -> Result<Recognised, String> {
    let mut places = found.places();
    if found.blocks.iter().all(|block| block.stage.is_none()) && found.blocks.len() == V2_DEPTHS.iter().sum::<usize>() {
        // Narrow variants may have stages of the same channels.
        places = V2_DEPTHS.iter().enumerate().flat_map(|(s, &n)| (0..n).map(move |i| (s, i))).collect();
    }
    let mut inputs = found.stem;
    let mut blocks = Vec::new();
    for (block, (stage, within)) in found.blocks.iter().zip(places) {
        let MbConvConfig { expanded, kernel, channels, .. } = block.config;
        let expansion = if expanded == 0 { 1 } else { expanded / inputs.max(1) };
        if kernel != 3 || (expanded != 0 && expanded != expansion * inputs) {
            return Err(format!("is like a MobileNetV2, but `{}` is none of its blocks", block.place));
        }
        let stride = if within == 0 { stride_of(stage)? } else { 1 };
        blocks.push(InvertedResidualConfig { expansion, channels, stride });
        inputs = channels;
    }
    if hints.architecture.as_deref().is_some_and(|name| name.starts_with("tf_")) {
        return Err("is a MobileNetV2 from TensorFlow, which is not read; use the one of PyTorch".to_string());
    }
    let count = found.blocks.len();
    let last = [0, 1].map(|i| format!("features.{}.{i}", count + 1));
    let place = |n: usize| format!("features.{}", n + 1);
    let pairs = found
        .pairs(["features.0.0", "features.0.1"], place, PartNames::TorchvisionV2, last)
        .one(found.naming.classifier, "classifier.1");
    let timm = found.naming.name == "timm";
    let interpolation = if timm { Interpolation::Bicubic } else { Interpolation::Bilinear };
    let preprocessing = ImagePreprocessing::imagenet(256, 224, interpolation);
    let config = MobilenetV2Config {
        image: preprocessing.image(),
        outputs: outputs(found, shapes),
        stem: found.stem,
        blocks,
        last: Some(found.last.1),
        dropout: 0.2,
    };
    let config = ModelConfig::MobilenetV2(config);
    Ok(Recognised::new("MobileNetV2", found.naming.name, config, preprocessing, "classifier.1")
        .named(shapes, |name| pairs.rename(name)))
}

fn stride_of(stage: usize) -> Result<usize, String> {
    let problem = || format!("has more than the {} stages whose strides are known", STRIDES.len());
    STRIDES.get(stage).copied().ok_or_else(problem)
}

pub(super) fn mobilenet_v3(found: &Found, shapes: &Shapes, hints: &Hints) -> Result<Recognised, String> {
    let unseen = match found.blocks.len() {
        n if n == LARGE.len() => &LARGE[..],
        n if n == SMALL.len() => &SMALL[..],
        n => {
            return Err(format!(
                "is like a MobileNetV3, but has {n} blocks, where 15 (large) and 11 (small) are known"
            ));
        }
    };
    let block = |(block, &(stride, cheaper)): (&Block, &(usize, bool))| {
        let activation = if cheaper { Activation::Relu } else { Activation::Hardswish };
        MbConvConfig { stride, activation, ..block.config }
    };
    let blocks = found.blocks.iter().zip(unseen).map(block).collect();
    let hidden = found.naming.hidden.unwrap_or_default();
    let (padding, epsilon) = style(found, hints, if found.naming.name == "timm" { 1e-5 } else { 1e-3 });
    let last = [0, 1].map(|i| format!("features.{}.{i}", found.blocks.len() + 1));
    let place = |n: usize| format!("features.{}", n + 1);
    let pairs = found
        .pairs(["features.0.0", "features.0.1"], place, PartNames::Torchvision, last)
        .one(hidden, "classifier.0")
        .one(found.naming.classifier, "classifier.3");
    let timm = found.naming.name == "timm";
    let interpolation = if timm { Interpolation::Bicubic } else { Interpolation::Bilinear };
    let preprocessing = ImagePreprocessing::imagenet(256, 224, interpolation);
    let config = MobilenetV3Config {
        image: preprocessing.image(),
        outputs: outputs(found, shapes),
        stem: found.stem,
        blocks,
        last: found.last.1,
        hidden: shapes.axis(&format!("{hidden}.weight"), 0).unwrap_or(0),
        padding,
        epsilon,
        dropout: 0.2,
    };
    let config = ModelConfig::MobilenetV3(config);
    Ok(Recognised::new("MobileNetV3", found.naming.name, config, preprocessing, "classifier.3")
        .named(shapes, |name| pairs.rename(name))
        .noted(variant_note(found, hints)))
}

/// Number of blocks, channels after them, and side of the images of the variants of EfficientNet.
const VARIANTS: [(usize, usize, &str, usize); 8] = [
    (16, 320, "EfficientNet-B0", 224),
    (23, 320, "EfficientNet-B1", 240),
    (23, 352, "EfficientNet-B2", 260),
    (26, 384, "EfficientNet-B3", 300),
    (32, 448, "EfficientNet-B4", 380),
    (39, 512, "EfficientNet-B5", 456),
    (45, 576, "EfficientNet-B6", 528),
    (55, 640, "EfficientNet-B7", 600),
];
/// The same of EfficientNet-Lite.
const LITE: [(usize, usize, &str, usize); 5] = [
    (16, 320, "EfficientNet-Lite0", 224),
    (21, 320, "EfficientNet-Lite1", 240),
    (21, 352, "EfficientNet-Lite2", 260),
    (24, 384, "EfficientNet-Lite3", 280),
    (30, 448, "EfficientNet-Lite4", 300),
];

pub(super) fn efficientnet(
    found: &Found,
    shapes: &Shapes,
    hints: &Hints,
    squeezes: bool,
) -> Result<Recognised, String> {
    let activation = if squeezes { Activation::Silu } else { Activation::Relu6 };
    let places = found.places();
    let mut stages: Vec<Vec<MbConvConfig>> = Vec::new();
    for (block, &(stage, within)) in found.blocks.iter().zip(&places) {
        if within == 0 {
            stages.push(Vec::new());
        }
        let stride = if within == 0 { stride_of(stage)? } else { 1 };
        let config = MbConvConfig { stride, activation, ..block.config };
        stages.last_mut().into_iter().for_each(|blocks| blocks.push(config));
    }
    if stages.len() != STRIDES.len() {
        return Err(format!("is like an EfficientNet, but has {} stages instead of {}", stages.len(), STRIDES.len()));
    }
    let channels = found.blocks.last().map_or(0, |block| block.config.channels);
    let table = if squeezes { &VARIANTS[..] } else { &LITE[..] };
    let known = table.iter().find(|(blocks, last, ..)| (*blocks, *last) == (found.blocks.len(), channels));
    let family = if squeezes { "EfficientNet" } else { "EfficientNet-Lite" };
    let (architecture, side) = known.map_or((family, 224), |&(_, _, name, side)| (name, side));
    // torchvision's B5, B6 and B7 were converted from TensorFlow, but for their borders.
    let (padding, epsilon) =
        style(found, hints, if found.naming.name == "torchvision" && found.last.1 >= 2048 { 1e-3 } else { 1e-5 });
    let place = |n: usize| places.get(n).map_or_else(String::new, |(s, i)| format!("blocks.{s}.{i}"));
    let last = ["conv_head".to_string(), "bn2".to_string()];
    let pairs =
        found.pairs(["conv_stem", "bn1"], place, PartNames::Timm, last).one(found.naming.classifier, "classifier");
    let preprocessing = ImagePreprocessing::imagenet(side + 32, side, Interpolation::Bicubic);
    let preprocessing = match (squeezes, padding) {
        (true, _) => preprocessing,
        // As the paper's own code, which subtracts 127 and divides by 128; timm rounds.
        (false, Padding::Same) if found.naming.name != "timm" => preprocessing.around(127.0 / 255.0, 128.0 / 255.0),
        (false, Padding::Same) => preprocessing.around(0.5, 0.5),
        (false, Padding::Symmetric) => preprocessing,
    };
    let config = EfficientnetConfig {
        image: preprocessing.image(),
        outputs: outputs(found, shapes),
        stem: found.stem,
        stages,
        last: found.last.1,
        activation,
        padding,
        epsilon,
        dropout: 0.2,
    };
    let config = ModelConfig::Efficientnet(config);
    Ok(Recognised::new(architecture, found.naming.name, config, preprocessing, "classifier")
        .named(shapes, |name| pairs.rename(name))
        .noted(variant_note(found, hints)))
}
