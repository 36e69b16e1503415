//! ResNet as torchvision, timm and transformers name its parts.

use super::naming::{Rule, rename};
use super::preprocessing::{ImagePreprocessing, Interpolation};
use super::tensors::Shapes;
use super::{Hints, Recognised};
use crate::{Block, ModelConfig, ResnetConfig};

/// transformers' names and those here, torchvision's.
const TRANSFORMERS: &[Rule] = &[
    ("embedder.embedder.convolution.*", "conv1.*"),
    ("embedder.embedder.normalization.*", "bn1.*"),
    ("encoder.stages.{s}.layers.{b}.shortcut.convolution.*", "layer{s+1}.{b}.downsample.0.*"),
    ("encoder.stages.{s}.layers.{b}.shortcut.normalization.*", "layer{s+1}.{b}.downsample.1.*"),
    ("encoder.stages.{s}.layers.{b}.layer.{k}.convolution.*", "layer{s+1}.{b}.conv{k+1}.*"),
    ("encoder.stages.{s}.layers.{b}.layer.{k}.normalization.*", "layer{s+1}.{b}.bn{k+1}.*"),
    ("classifier.1.*", "fc.*"),
];

/// The network, if it is one of these.
pub(super) fn recognise(shapes: &Shapes, hints: &Hints) -> Option<Result<Recognised, String>> {
    let theirs = |name: &str| rename(TRANSFORMERS, name.strip_prefix("resnet.").unwrap_or(name)).map(|(_, name)| name);
    let (naming, names) = if shapes.has("conv1.weight") && shapes.has("layer1.0.conv1.weight") {
        ("torchvision and timm", shapes.clone())
    } else {
        let renamed = shapes.renamed(theirs);
        if !renamed.has("conv1.weight") || !renamed.has("layer1.0.conv1.weight") {
            return None;
        }
        ("transformers", renamed)
    };
    Some(config(&names, hints).map(|config| {
        let preprocessing = ImagePreprocessing::imagenet(256, 224, Interpolation::Bilinear);
        let (family, config) = (family(&config), ModelConfig::Resnet(config));
        let recognised = Recognised::new(family, naming, config, preprocessing, "fc");
        let same = naming != "transformers";
        recognised.named(shapes, |name| if same { Some(name.to_string()) } else { theirs(name) })
    }))
}

fn config(shapes: &Shapes, hints: &Hints) -> Result<ResnetConfig, String> {
    if hints.flag("downsample_in_first_stage") || hints.flag("downsample_in_bottleneck") {
        return Err("is a ResNet whose strides are in other places, which is not read".to_string());
    }
    let block = if shapes.has("layer1.0.conv3.weight") { Block::Bottleneck } else { Block::Basic };
    let (mut depths, mut widths) = (Vec::new(), Vec::new());
    for stage in 1.. {
        let depth = shapes.count(&format!("layer{stage}."));
        if depth == 0 {
            break;
        }
        let width = shapes.axis(&format!("layer{stage}.0.conv1.weight"), 0).unwrap_or(0);
        let middle = shapes.axis(&format!("layer{stage}.0.conv2.weight"), 1).unwrap_or(width);
        if middle != width {
            return Err("is a ResNeXt or another ResNet with groups of channels, which is not read".to_string());
        }
        if block == Block::Bottleneck
            && shapes.axis(&format!("layer{stage}.0.conv3.weight"), 0) != Some(width * block.expansion())
        {
            return Err("is a wide ResNet, which is not read".to_string());
        }
        depths.push(depth);
        widths.push(width);
    }
    let stem = shapes.axis("conv1.weight", 0).unwrap_or(0);
    if widths.first() != Some(&stem) {
        return Err(format!(
            "is like a ResNet, but has {stem} channels after the first convolution, and {widths:?} later"
        ));
    }
    let outputs = shapes.axis("fc.weight", 0).unwrap_or(1);
    let small_stem = shapes.axis("conv1.weight", 2) == Some(3);
    let image = crate::ImageConfig::new(224, 224, shapes.axis("conv1.weight", 1).unwrap_or(3));
    Ok(ResnetConfig { image, outputs, block, depths, widths, small_stem })
}

fn family(config: &ResnetConfig) -> &'static str {
    match (config.block, &config.depths[..]) {
        (Block::Basic, [2, 2, 2, 2]) => "ResNet-18",
        (Block::Basic, [3, 4, 6, 3]) => "ResNet-34",
        (Block::Bottleneck, [3, 4, 6, 3]) => "ResNet-50",
        (Block::Bottleneck, [3, 4, 23, 3]) => "ResNet-101",
        (Block::Bottleneck, [3, 8, 36, 3]) => "ResNet-152",
        _ => "ResNet",
    }
}
