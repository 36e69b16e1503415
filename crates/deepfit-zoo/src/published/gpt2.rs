//! GPT-2 as transformers names its parts.

use deepfit_nn::layers::Activation;

use super::text::{Family, decoder_head};
use crate::{Gpt2Config, ModelConfig};

pub(super) const FAMILY: Family = Family {
    architecture: "GPT-2",
    model_types: &["gpt2"],
    prefix: "transformer.",
    body: &["wte.", "wpe.", "h.", "ln_f."],
    heads: &["lm_head.", "score.", "classifier.", "multiple_choice_head."],
    // Masks that older versions stored beside the weights.
    is_unused: |name| name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias"),
    config: |shapes, hints| {
        hints.refuse("scale_attn_weights", |is| is == true)?;
        hints.refuse("scale_attn_by_inverse_layer_idx", |is| is == false)?;
        hints.refuse("add_cross_attention", |has| has == false)?;
        let width = hints.length("n_embd", 768)?;
        let tied = hints.flag_or("tie_word_embeddings", true)?;
        Ok(ModelConfig::Gpt2(Gpt2Config {
            vocab_size: hints.length("vocab_size", 50_257)?,
            n_positions: hints.length("n_positions", 1024)?,
            n_embd: width,
            n_layer: hints.length("n_layer", 12)?,
            n_head: hints.length("n_head", 12)?,
            n_inner: hints.length("n_inner", width.saturating_mul(4))?,
            activation_function: hints.activation("activation_function", Activation::GeluTanh)?,
            layer_norm_epsilon: hints.real("layer_norm_epsilon", 1e-5)? as f32,
            tie_word_embeddings: tied,
            head: decoder_head(shapes, hints, tied),
        }))
    },
};
