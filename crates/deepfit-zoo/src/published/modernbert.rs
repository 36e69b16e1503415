//! ModernBERT as transformers names its parts.

use deepfit_nn::layers::Activation;

use super::Hints;
use super::text::{Family, classes};
use crate::text::Pooling;
use crate::{ModelConfig, ModernbertConfig};

pub(super) const FAMILY: Family = Family {
    architecture: "ModernBERT",
    model_types: &["modernbert"],
    prefix: "model.",
    body: &["embeddings.", "layers.", "final_norm."],
    heads: &["head.", "classifier.", "decoder."],
    is_unused: |_| false,
    config: |shapes, hints| {
        let layers = hints.length("num_hidden_layers", 22)?;
        if layers > 10_000 {
            return Err(format!("has {layers} for `num_hidden_layers`, more than any network"));
        }
        Ok(ModelConfig::Modernbert(ModernbertConfig {
            vocab_size: hints.length("vocab_size", 50_368)?,
            hidden_size: hints.length("hidden_size", 768)?,
            global_layers: global_layers(hints, layers)?,
            num_attention_heads: hints.length("num_attention_heads", 12)?,
            intermediate_size: hints.length("intermediate_size", 1152)?,
            hidden_activation: hints.activation("hidden_activation", Activation::Gelu)?,
            max_position_embeddings: hints.length("max_position_embeddings", 8192)?,
            norm_eps: hints.real("norm_eps", 1e-5)? as f32,
            norm_bias: hints.flag_or("norm_bias", false)?,
            attention_bias: hints.flag_or("attention_bias", false)?,
            mlp_bias: hints.flag_or("mlp_bias", false)?,
            local_attention: hints.length("local_attention", 128)?,
            global_rope_theta: theta(hints, "full_attention", "global_rope_theta", 160_000.0)?,
            local_rope_theta: theta(hints, "sliding_attention", "local_rope_theta", 10_000.0)?,
            classifier_pooling: match hints.text("classifier_pooling") {
                None | Some("cls") => Pooling::Cls,
                Some("mean") => Pooling::Mean,
                Some(other) => return Err(format!("has '{other}' for `classifier_pooling`, which is not read")),
            },
            classifier_bias: hints.flag_or("classifier_bias", false)?,
            classifier_activation: hints.activation("classifier_activation", Activation::Gelu)?,
            head: classes(shapes, hints, "classifier.weight"),
        }))
    },
};

/// For each layer whether it sees everything: a list, or every so many layers.
fn global_layers(hints: &Hints, layers: usize) -> Result<Vec<bool>, String> {
    let Some(kinds) = hints.config["layer_types"].as_array() else {
        let every = hints.length("global_attn_every_n_layers", 3)?.max(1);
        return Ok((0..layers).map(|layer| layer.is_multiple_of(every)).collect());
    };
    if kinds.len() != layers {
        return Err(format!("has {} `layer_types` for {layers} layers", kinds.len()));
    }
    let is_global = |kind: &serde_json::Value| match kind.as_str() {
        Some("full_attention") => Ok(true),
        Some("sliding_attention") => Ok(false),
        _ => Err(format!("has {kind} among its `layer_types`, which is not read")),
    };
    kinds.iter().map(is_global).collect()
}

/// The base of rotary positions, as newer or as older versions of transformers write it.
fn theta(hints: &Hints, kind: &str, older: &str, default: f64) -> Result<f64, String> {
    let rope = &hints.config["rope_parameters"][kind];
    if let Some(scaling) = rope["rope_type"].as_str().filter(|scaling| *scaling != "default") {
        return Err(format!("has rotary positions of the kind '{scaling}', which are not read"));
    }
    hints.refuse("rope_scaling", |_| false)?;
    match rope["rope_theta"].as_f64() {
        Some(theta) => Ok(theta),
        None => hints.real(older, default),
    }
}
