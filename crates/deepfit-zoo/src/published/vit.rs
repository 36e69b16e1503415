//! Vision transformers and DeiT as torchvision, timm and transformers name their parts.

use super::naming::{Rule, rename};
use super::preprocessing::{ImagePreprocessing, Interpolation};
use super::tensors::Shapes;
use super::{Hints, Recognised};
use crate::{Distillation, ModelConfig, VitConfig};

/// Names of timm and those here, torchvision's.
const TIMM: &[Rule] = &[
    ("cls_token", "class_token"),
    ("dist_token", "dist_token"),
    ("pos_embed", "encoder.pos_embedding"),
    ("patch_embed.proj.*", "conv_proj.*"),
    ("blocks.{l}.norm1.*", "encoder.layers.encoder_layer_{l}.ln_1.*"),
    ("blocks.{l}.attn.qkv.*", "encoder.layers.encoder_layer_{l}.self_attention.in_proj_*"),
    ("blocks.{l}.attn.proj.*", "encoder.layers.encoder_layer_{l}.self_attention.out_proj.*"),
    ("blocks.{l}.norm2.*", "encoder.layers.encoder_layer_{l}.ln_2.*"),
    ("blocks.{l}.mlp.fc1.*", "encoder.layers.encoder_layer_{l}.mlp.0.*"),
    ("blocks.{l}.mlp.fc2.*", "encoder.layers.encoder_layer_{l}.mlp.3.*"),
    ("norm.*", "encoder.ln.*"),
    ("head.*", "heads.head.*"),
    ("head_dist.*", "heads.head_dist.*"),
];
/// Names of transformers: as they are published, and as newer versions have them in memory. Three matrices are one here,
/// query, key and value in the order of the rules.
const TRANSFORMERS: &[Rule] = &[
    ("embeddings.cls_token", "class_token"),
    ("embeddings.distillation_token", "dist_token"),
    ("embeddings.position_embeddings", "encoder.pos_embedding"),
    ("embeddings.patch_embeddings.projection.*", "conv_proj.*"),
    ("encoder.layer.{l}.layernorm_before.*", "encoder.layers.encoder_layer_{l}.ln_1.*"),
    ("encoder.layer.{l}.attention.attention.query.*", "encoder.layers.encoder_layer_{l}.self_attention.in_proj_*"),
    ("encoder.layer.{l}.attention.attention.key.*", "encoder.layers.encoder_layer_{l}.self_attention.in_proj_*"),
    ("encoder.layer.{l}.attention.attention.value.*", "encoder.layers.encoder_layer_{l}.self_attention.in_proj_*"),
    ("encoder.layer.{l}.attention.output.dense.*", "encoder.layers.encoder_layer_{l}.self_attention.out_proj.*"),
    ("encoder.layer.{l}.layernorm_after.*", "encoder.layers.encoder_layer_{l}.ln_2.*"),
    ("encoder.layer.{l}.intermediate.dense.*", "encoder.layers.encoder_layer_{l}.mlp.0.*"),
    ("encoder.layer.{l}.output.dense.*", "encoder.layers.encoder_layer_{l}.mlp.3.*"),
    ("layers.{l}.layernorm_before.*", "encoder.layers.encoder_layer_{l}.ln_1.*"),
    ("layers.{l}.attention.q_proj.*", "encoder.layers.encoder_layer_{l}.self_attention.in_proj_*"),
    ("layers.{l}.attention.k_proj.*", "encoder.layers.encoder_layer_{l}.self_attention.in_proj_*"),
    ("layers.{l}.attention.v_proj.*", "encoder.layers.encoder_layer_{l}.self_attention.in_proj_*"),
    ("layers.{l}.attention.o_proj.*", "encoder.layers.encoder_layer_{l}.self_attention.out_proj.*"),
    ("layers.{l}.layernorm_after.*", "encoder.layers.encoder_layer_{l}.ln_2.*"),
    ("layers.{l}.mlp.fc1.*", "encoder.layers.encoder_layer_{l}.mlp.0.*"),
    ("layers.{l}.mlp.fc2.*", "encoder.layers.encoder_layer_{l}.mlp.3.*"),
    ("layernorm.*", "encoder.ln.*"),
    ("classifier.*", "heads.head.*"),
    ("cls_classifier.*", "heads.head.*"),
    ("distillation_classifier.*", "heads.head_dist.*"),
];

/// Parts that play no role in classifying: a layer for other tasks, and a token for hidden patches.
const UNUSED: [&str; 3] = ["pooler.", "embeddings.mask_token", "mask_token"];

/// Gives the names here to those of an implementation, with the order of those that become one.
type Rename = fn(&str) -> Option<(usize, String)>;

/// The network, if it is one of these.
pub(super) fn recognise(shapes: &Shapes, hints: &Hints) -> Option<Result<Recognised, String>> {
    let is_one = |shapes: &Shapes| {
        shapes.has("class_token") && shapes.has("encoder.pos_embedding") && shapes.has("conv_proj.weight")
    };
    fn plain(name: &str) -> &str {
        name.strip_prefix("vit.").or_else(|| name.strip_prefix("deit.")).unwrap_or(name)
    }
    let namings: [(&str, Rename); 3] = [
        ("torchvision", |name| Some((0, name.to_string()))),
        ("timm", |name| rename(TIMM, name)),
        ("transformers", |name| rename(TRANSFORMERS, plain(name))),
    ];
    let new = |rename: Rename| move |name: &str| rename(name).map(|(_, name)| name);
    let (naming, rename) = namings.into_iter().find(|(_, rename)| is_one(&shapes.renamed(new(*rename))))?;
    let names = shapes.renamed(new(rename));
    Some(config(&names, hints, naming).map(|(config, preprocessing)| {
        let family = if config.distillation == Distillation::None { "ViT" } else { "DeiT" };
        let mut notes = Vec::new();
        if hints.number("num_attention_heads").is_none() {
            notes.push(format!("it was taken to have {} heads, as is usual for its width", config.heads));
        }
        let recognised = Recognised::new(family, naming, ModelConfig::Vit(config), preprocessing, "heads.");
        let unused = |name: &str| UNUSED.iter().any(|part| plain(name).starts_with(part));
        recognised.ordered(shapes, rename).ignoring(shapes, unused).noted(notes)
    }))
}

fn config(shapes: &Shapes, hints: &Hints, naming: &str) -> Result<(VitConfig, ImagePreprocessing), String> {
    let axis = |name: &str, axis| shapes.axis(name, axis).unwrap_or(0);
    let (width, patch) = (axis("conv_proj.weight", 0), axis("conv_proj.weight", 2));
    let distillation = match (shapes.has("dist_token"), shapes.has("heads.head_dist.weight")) {
        (false, _) => Distillation::None,
        (true, false) => Distillation::Token,
        (true, true) => Distillation::Head,
    };
    let tokens = if distillation == Distillation::None { 1 } else { 2 };
    let patches = axis("encoder.pos_embedding", 1).saturating_sub(tokens);
    let across = patches.isqrt();
    if across * across != patches || patches == 0 || patch == 0 {
        return Err(format!("is like a vision transformer, but its {patches} positions are no square of patches"));
    }
    let depth = shapes.count("encoder.layers.encoder_layer_");
    let hidden = axis("encoder.layers.encoder_layer_0.mlp.0.weight", 0);
    if let Some(activation) = hints.text("hidden_act").filter(|activation| *activation != "gelu") {
        return Err(format!("is a vision transformer with the activation '{activation}', which is not read"));
    }
    let heads = match (hints.number("num_attention_heads"), width) {
        (Some(heads), _) if (1.0..=10_000.0).contains(&heads) => heads as usize,
        // The huge and the giant network; all others have heads of 64.
        (_, 1280 | 1408 | 1664) => 16,
        _ => (width / 64).max(1),
    };
    let epsilon = if naming == "transformers" { hints.number("layer_norm_eps").unwrap_or(1e-12) } else { 1e-6 };
    let side = across * patch;
    let preprocessing = match (naming, distillation) {
        ("timm" | "transformers", Distillation::None) => {
            ImagePreprocessing::imagenet(side * 10 / 9, side, Interpolation::Bicubic).around(0.5, 0.5)
        }
        ("torchvision", _) => ImagePreprocessing::imagenet(side * 8 / 7, side, Interpolation::Bilinear),
        _ => ImagePreprocessing::imagenet(side * 8 / 7, side, Interpolation::Bicubic),
    };
    let config = VitConfig {
        image: preprocessing.image(),
        outputs: shapes.axis("heads.head.weight", 0).unwrap_or(1),
        patch,
        width,
        depth,
        heads,
        hidden,
        epsilon: epsilon as f32,
        distillation,
    };
    Ok((config, preprocessing))
}
