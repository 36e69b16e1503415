//! ConvNeXt as torchvision, timm and transformers name its parts.

use super::naming::{Rule, rename};
use super::preprocessing::{ImagePreprocessing, Interpolation};
use super::tensors::Shapes;
use super::{Hints, Recognised};
use crate::{ConvnextConfig, ModelConfig};

/// Names of timm and those here, torchvision's.
const TIMM: &[Rule] = &[
    ("stem.{k}.*", "features.0.{k}.*"),
    ("stages.{s}.downsample.{k}.*", "features.{2s}.{k}.*"),
    ("stages.{s}.blocks.{b}.gamma", "features.{2s+1}.{b}.layer_scale"),
    ("stages.{s}.blocks.{b}.conv_dw.*", "features.{2s+1}.{b}.block.0.*"),
    ("stages.{s}.blocks.{b}.norm.*", "features.{2s+1}.{b}.block.2.*"),
    ("stages.{s}.blocks.{b}.mlp.fc1.*", "features.{2s+1}.{b}.block.3.*"),
    ("stages.{s}.blocks.{b}.mlp.fc2.*", "features.{2s+1}.{b}.block.5.*"),
    ("head.norm.*", "classifier.0.*"),
    ("head.fc.*", "classifier.2.*"),
];
/// Names of transformers.
const TRANSFORMERS: &[Rule] = &[
    ("embeddings.patch_embeddings.*", "features.0.0.*"),
    ("embeddings.layernorm.*", "features.0.1.*"),
    ("encoder.stages.{s}.downsampling_layer.{k}.*", "features.{2s}.{k}.*"),
    ("encoder.stages.{s}.layers.{b}.layer_scale_parameter", "features.{2s+1}.{b}.layer_scale"),
    ("encoder.stages.{s}.layers.{b}.dwconv.*", "features.{2s+1}.{b}.block.0.*"),
    ("encoder.stages.{s}.layers.{b}.layernorm.*", "features.{2s+1}.{b}.block.2.*"),
    ("encoder.stages.{s}.layers.{b}.pwconv1.*", "features.{2s+1}.{b}.block.3.*"),
    ("encoder.stages.{s}.layers.{b}.pwconv2.*", "features.{2s+1}.{b}.block.5.*"),
    ("layernorm.*", "classifier.0.*"),
    ("classifier.*", "classifier.2.*"),
];

/// Gives the names here to those of an implementation.
type Rename = Box<dyn Fn(&str) -> Option<String>>;

/// The network, if it is one of these.
pub(super) fn recognise(shapes: &Shapes, hints: &Hints) -> Option<Result<Recognised, String>> {
    let is_one = |shapes: &Shapes| {
        shapes.has("features.1.0.layer_scale") && shapes.has("features.0.0.weight") && shapes.has("classifier.0.weight")
    };
    let theirs = |rules: &'static [Rule], prefix: &'static str| {
        move |name: &str| rename(rules, name.strip_prefix(prefix).unwrap_or(name)).map(|(_, name)| name)
    };
    let namings: [(&str, Rename); 3] = [
        ("torchvision", Box::new(|name| Some(name.to_string()))),
        ("timm", Box::new(theirs(TIMM, ""))),
        ("transformers", Box::new(theirs(TRANSFORMERS, "convnext."))),
    ];
    let (naming, rename) = namings.into_iter().find(|(_, rename)| is_one(&shapes.renamed(rename)))?;
    let names = shapes.renamed(&rename);
    let (mut depths, mut widths) = (Vec::new(), Vec::new());
    for stage in 0.. {
        let depth = names.count(&format!("features.{}.", 2 * stage + 1));
        if depth == 0 {
            break;
        }
        depths.push(depth);
        widths.push(names.axis(&format!("features.{}.0.block.0.weight", 2 * stage + 1), 0).unwrap_or(0));
    }
    let family = match (&depths[..], widths.first()) {
        ([3, 3, 9, 3], Some(96)) => "ConvNeXt-Tiny",
        ([3, 3, 27, 3], Some(96)) => "ConvNeXt-Small",
        ([3, 3, 27, 3], Some(128)) => "ConvNeXt-Base",
        ([3, 3, 27, 3], Some(192)) => "ConvNeXt-Large",
        _ => "ConvNeXt",
    };
    // transformers normalises last with another number than all before.
    let epsilon = if naming == "transformers" { hints.number("layer_norm_eps").unwrap_or(1e-12) } else { 1e-6 };
    let preprocessing = match naming {
        "torchvision" => ImagePreprocessing::imagenet(236, 224, Interpolation::Bilinear),
        _ => ImagePreprocessing::imagenet(256, 224, Interpolation::Bicubic),
    };
    let config = ModelConfig::Convnext(ConvnextConfig {
        image: preprocessing.image(),
        outputs: names.axis("classifier.2.weight", 0).unwrap_or(1),
        patch: names.axis("features.0.0.weight", 2).unwrap_or(4),
        depths,
        widths,
        epsilon: epsilon as f32,
    });
    Some(Ok(Recognised::new(family, naming, config, preprocessing, "classifier.2").named(shapes, rename)))
}
