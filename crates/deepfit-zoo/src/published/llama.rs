//! LLaMA, Mistral, Qwen2 and Qwen3 as transformers names their parts.

use deepfit_nn::layers::Activation;
use serde_json::Value;

use super::Hints;
use super::text::{Family, decoder_head};
use crate::{LlamaConfig, ModelConfig, RotaryScaling};

pub(super) const FAMILY: Family = Family {
    architecture: "LLaMA",
    model_types: &["llama", "mistral", "qwen2", "qwen3"],
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
            head_dim: match hints.text("model_type") {
                Some("qwen3") => hints.length("head_dim", 128)?,
                _ => hints.length("head_dim", width / heads.max(1))?,
            },
            hidden_act: hints.activation("hidden_act", Activation::Silu)?,
            max_position_embeddings: hints.length("max_position_embeddings", 2048)?,
            rms_norm_eps: hints.real("rms_norm_eps", 1e-6)? as f32,
            rope_theta: match hints.config["rope_parameters"]["rope_theta"].as_f64() {
                Some(theta) => theta,
                None => hints.real("rope_theta", 10_000.0)?,
            },
            rope_scaling: scaling(hints)?,
            projection_bias: has("self_attn.q_proj"),
            qk_norm: shapes.has("model.layers.0.self_attn.q_norm.weight"),
            output_bias: has("self_attn.o_proj"),
            mlp_bias: has("mlp.up_proj"),
            sliding_window: window(hints)?,
            tie_word_embeddings: tied,
            head: decoder_head(shapes, hints, tied),
        }))
    },
};

/// The window of Mistral; Qwen2 and Qwen3 have one in some layers, if it is asked to use it.
fn window(hints: &Hints) -> Result<Option<usize>, String> {
    if matches!(hints.text("model_type"), Some("qwen2" | "qwen3")) {
        hints.refuse("use_sliding_window", |uses| uses == false)?;
        return Ok(None);
    }
    Ok(if hints.config["sliding_window"].is_null() { None } else { Some(hints.length("sliding_window", 0)?) })
}

/// What stretches the positions, as newer or as older versions of transformers write it.
///
/// Positions of the kind `dynamic` are stretched for texts longer than `max_position_embeddings`, by how much longer they are;
/// texts are never longer here, so that they are as without.
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
        "default" | "dynamic" => RotaryScaling::None,
        "linear" => RotaryScaling::Linear { factor: number("factor")? },
        "llama3" => RotaryScaling::Llama3 {
            factor: number("factor")?,
            low_freq_factor: number("low_freq_factor")?,
            high_freq_factor: number("high_freq_factor")?,
            original_positions: number("original_max_position_embeddings")? as usize,
        },
        "yarn" => yarn(hints, settings)?,
        other => return Err(format!("has rotary positions of the kind '{other}', which are not read")),
    })
}

/// The settings of YaRN, with those that need not be given as its paper has them.
fn yarn(hints: &Hints, settings: &Value) -> Result<RotaryScaling, String> {
    // What is not given, and what is null or 0 where transformers takes that for the same.
    let given = |key: &str| settings[key].as_f64().filter(|&number| number != 0.0);
    let original = given("original_max_position_embeddings");
    let original = original
        .or_else(|| hints.config["original_max_position_embeddings"].as_f64())
        .map_or_else(|| hints.length("max_position_embeddings", 2048), |number| Ok(number as usize))?;
    let factor = match given("factor") {
        Some(factor) => factor,
        None => hints.length("max_position_embeddings", 2048)? as f64 / original.max(1) as f64,
    };
    let sharper = |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
    let attention_factor = match (settings["attention_factor"].as_f64(), given("mscale"), given("mscale_all_dim")) {
        (Some(attention_factor), ..) => attention_factor,
        (None, Some(one), Some(all)) => sharper(one) / sharper(all),
        _ => sharper(1.0),
    };
    Ok(RotaryScaling::Yarn {
        factor,
        attention_factor,
        beta_fast: given("beta_fast").unwrap_or(32.0),
        beta_slow: given("beta_slow").unwrap_or(1.0),
        original_positions: original,
        truncate: settings["truncate"].as_bool().unwrap_or(true),
    })
}
