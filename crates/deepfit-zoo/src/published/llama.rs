//! LLaMA, Mistral and Qwen2 as transformers names their parts.

use deepfit_nn::layers::Activation;
use serde_json::Value;

use super::Hints;
use super::text::{Family, decoder_head};
use crate::{LlamaConfig, ModelConfig, RotaryScaling};

pub(super) const FAMILY: Family = Family {
    architecture: "LLaMA",
    model_types: &["llama", "mistral", "qwen2"],
    prefix: "model.",
    body: &["embed_tokens.", "layers.", "norm."],
    heads: &["lm_head.", "score.", "qa_outputs."],
    // Older versions stored the frequencies of the positions.
    is_unused: |name| name.ends_with(".rotary_emb.inv_freq"),
    config: |shapes, hints| {
        let heads = hints.length("num_attention_heads", 32)?;
        let width = hints.length("hidden_size", 4096)?;
        let tied = hints.flag_or("tie_word_embeddings", false)?;
        let has = |name: &str| shapes.has(&format!("model.layers.0.{name}.bias"));
        Ok(ModelConfig::Llama(LlamaConfig {
            vocab_size: hints.length("vocab_size", 32_000)?,
            hidden_size: width,
            intermediate_size: hints.length("intermediate_size", 11_008)?,
            num_hidden_layers: hints.length("num_hidden_layers", 32)?,
            num_attention_heads: heads,
            num_key_value_heads: hints.length("num_key_value_heads", heads)?,
            head_dim: hints.length("head_dim", width / heads.max(1))?,
            hidden_act: hints.activation("hidden_act", Activation::Silu)?,
            max_position_embeddings: hints.length("max_position_embeddings", 2048)?,
            rms_norm_eps: hints.real("rms_norm_eps", 1e-6)? as f32,
            rope_theta: match hints.config["rope_parameters"]["rope_theta"].as_f64() {
                Some(theta) => theta,
                None => hints.real("rope_theta", 10_000.0)?,
            },
            rope_scaling: scaling(hints)?,
            projection_bias: has("self_attn.q_proj"),
            output_bias: has("self_attn.o_proj"),
            mlp_bias: has("mlp.up_proj"),
            sliding_window: window(hints)?,
            tie_word_embeddings: tied,
            head: decoder_head(shapes, hints, tied),
        }))
    },
};

/// The window of Mistral; Qwen2 has one in some layers, if it is asked to use it.
fn window(hints: &Hints) -> Result<Option<usize>, String> {
    if hints.text("model_type") == Some("qwen2") {
        hints.refuse("use_sliding_window", |uses| uses == false)?;
        return Ok(None);
    }
    Ok(if hints.config["sliding_window"].is_null() { None } else { Some(hints.length("sliding_window", 0)?) })
}

/// What stretches the positions, as newer or as older versions of transformers write it.
fn scaling(hints: &Hints) -> Result<RotaryScaling, String> {
    let settings = match &hints.config["rope_parameters"] {
        Value::Null => &hints.config["rope_scaling"],
        newer => newer,
    };
    let number =
        |key: &str| settings[key].as_f64().ok_or_else(|| format!("has rotary positions without a number for `{key}`"));
    if let Some(share) = settings["partial_rotary_factor"].as_f64().filter(|share| *share != 1.0) {
        return Err(format!("has {share} for `partial_rotary_factor`, a variant that is not read"));
    }
    let kind = settings["rope_type"].as_str().or(settings["type"].as_str());
    Ok(match kind.unwrap_or("default") {
        "default" => RotaryScaling::None,
        "linear" => RotaryScaling::Linear { factor: number("factor")? },
        "llama3" => RotaryScaling::Llama3 {
            factor: number("factor")?,
            low_freq_factor: number("low_freq_factor")?,
            high_freq_factor: number("high_freq_factor")?,
            original_positions: number("original_max_position_embeddings")? as usize,
        },
        other => return Err(format!("has rotary positions of the kind '{other}', which are not read")),
    })
}
