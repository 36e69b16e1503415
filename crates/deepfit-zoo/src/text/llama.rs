//! LLaMA (Touvron et al., 2023) and decoders like it: rotary positions, root mean square normalisation, heads that share
//! keys in groups, gated layers. Mistral and Qwen2 differ from it in a window and in biases, Qwen3 in normalised queries and keys.

use std::f64::consts::TAU;

use deepfit_graph::Tensor;
use deepfit_nn::layers::{Activation, Embedding, Linear, RmsNorm, RotaryPairs, RotaryPositions, RotaryTurns};
use deepfit_nn::{Module, Scope};
use serde::{Deserialize, Serialize};

use super::context::{Context, Sight, split_heads};
use super::gpt2::head_layer;
use super::modernbert::linear;
use super::post_norm::NORMAL;
use super::{Body, CacheSizes, Pooling, TextHead, TextNetwork, TextSizes, pooled};
use crate::error::{Result, require, require_lengths};

const MODEL: &str = "llama";

/// Settings of LLaMA, by the names of transformers where it has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LlamaConfig {
    /// Number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Width between the linear layers of each layer.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Number of heads.
    pub num_attention_heads: usize,
    /// Number of heads of keys and values, which divides the number of heads.
    pub num_key_value_heads: usize,
    /// Width of a head, an even number.
    pub head_dim: usize,
    /// Of the gate.
    pub hidden_act: Activation,
    /// Most tokens of a text.
    pub max_position_embeddings: usize,
    /// Added to mean squares.
    pub rms_norm_eps: f32,
    /// Base of the rotary positions.
    pub rope_theta: f64,
    /// What changes them for longer texts.
    pub rope_scaling: RotaryScaling,
    /// Whether query, key and value have biases.
    pub projection_bias: bool,
    /// Whether each head of queries and keys is normalised before it is turned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub qk_norm: bool,
    /// Whether the result of an attention has a bias.
    pub output_bias: bool,
    /// Whether the other linear layers have biases.
    pub mlp_bias: bool,
    /// With a number, a token sees so many, itself among them.
    pub sliding_window: Option<usize>,
    /// Whether the layer that tells the next word has the weights of the table of words.
    pub tie_word_embeddings: bool,
    /// What stands behind.
    pub head: TextHead,
}

/// How rotary positions of a model are stretched for texts longer than those that it was trained on first.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotaryScaling {
    /// Not at all.
    #[default]
    None,
    /// All by the same factor (Chen et al., 2023).
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Slow turns by a factor, fast ones not at all, those between by less, as in LLaMA 3.1.
    Llama3 {
        /// The factor.
        factor: f64,
        /// Turns over the original positions up to which a pair is slow.
        low_freq_factor: f64,
        /// Turns over the original positions from which a pair is fast.
        high_freq_factor: f64,
        /// Positions that the model was trained on first.
        original_positions: usize,
    },
    /// YaRN (Peng et al., 2024): pairs by how often they turn over the original positions, those of many turns not at all, those
    /// of few by a factor, with a ramp over the pairs between; and attention that is a little sharper.
    Yarn {
        /// The factor.
        factor: f64,
        /// By how much queries and keys grow.
        attention_factor: f64,
        /// Turns over the original positions from which on a pair stays as it is.
        beta_fast: f64,
        /// Turns over the original positions up to which it is stretched by the whole factor.
        beta_slow: f64,
        /// Positions that the model was trained on first.
        original_positions: usize,
        /// Whether the ramp begins and ends at whole pairs.
        truncate: bool,
    },
}

impl RotaryScaling {
    /// By how much each pair of a head turns from one position to the next.
    fn frequencies(self, width: usize, theta: f64) -> Vec<f64> {
        let mut frequencies = RotaryPositions::frequencies(width, theta);
        match self {
            RotaryScaling::None => {}
            RotaryScaling::Linear { factor } => frequencies.iter_mut().for_each(|frequency| *frequency /= factor),
            RotaryScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_positions } => {
                for frequency in &mut frequencies {
                    let turns = original_positions as f64 * *frequency / TAU;
                    let fast = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    *frequency = mixed(*frequency, factor, 1.0 - fast);
                }
            }
            RotaryScaling::Yarn { factor, beta_fast, beta_slow, original_positions, truncate, .. } => {
                // The pair, not always a whole one, that turns so often over the original positions.
                let pair =
                    |turns: f64| width as f64 * (original_positions as f64 / (turns * TAU)).ln() / (2.0 * theta.ln());
                let (low, high) = (pair(beta_fast), pair(beta_slow));
                let (low, high) = if truncate { (low.floor(), high.ceil()) } else { (low, high) };
                let (low, high) = (low.max(0.0), high.min(width as f64 - 1.0));
                // As others do it where both are the same.
                let high = if low == high { high + 0.001 } else { high };
                for (pair, frequency) in frequencies.iter_mut().enumerate() {
                    *frequency = mixed(*frequency, factor, (pair as f64 - low) / (high - low));
                }
            }
        }
        frequencies
    }

    /// By how much the products of queries and keys grow.
    fn sharpness(self) -> f32 {
        match self {
            RotaryScaling::Yarn { attention_factor, .. } => (attention_factor * attention_factor) as f32,
            _ => 1.0,
        }
    }

    fn validate(self) -> Result<()> {
        let sound = match self {
            RotaryScaling::None => true,
            RotaryScaling::Linear { factor } => factor > 0.0,
            RotaryScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_positions } => {
                factor > 0.0 && low_freq_factor > 0.0 && high_freq_factor > low_freq_factor && original_positions > 0
            }
            RotaryScaling::Yarn { factor, attention_factor, beta_fast, beta_slow, original_positions, .. } => {
                factor > 0.0
                    && (0.0..=1e3).contains(&attention_factor)
                    && beta_slow > 0.0
                    && beta_fast > beta_slow
                    && beta_fast.is_finite()
                    && original_positions > 0
            }
        };
        require(sound, MODEL, "rope_scaling", || format!("is {self:?}, whose factors must be above 0 and ascend"))
    }
}

/// A frequency, of which a share is stretched by a factor.
fn mixed(frequency: f64, factor: f64, share: f64) -> f64 {
    let share = share.clamp(0.0, 1.0);
    share * frequency / factor + (1.0 - share) * frequency
}

impl LlamaConfig {
    /// Makes the network and declares its parameters by transformers' names: `model.embed_tokens.weight`,
    /// `model.layers.0.self_attn.q_proj.weight`, …, `model.norm.weight`, `lm_head.weight` or `score.weight`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<TextNetwork> {
        let LlamaConfig { vocab_size, hidden_size, num_attention_heads: heads, num_key_value_heads, head_dim, .. } =
            *self;
        let positions = self.max_position_embeddings;
        require_lengths(
            &[vocab_size, hidden_size, self.intermediate_size, self.num_hidden_layers, heads, head_dim, positions],
            MODEL,
            "vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, head_dim, \
             max_position_embeddings",
        )?;
        require(
            num_key_value_heads > 0 && heads.is_multiple_of(num_key_value_heads),
            MODEL,
            "num_key_value_heads",
            || format!("is {num_key_value_heads}, which must divide the {heads} heads"),
        )?;
        require(self.sliding_window != Some(0), MODEL, "sliding_window", || "is 0, but must be at least 1".into())?;
        require(self.rope_theta > 1.0, MODEL, "rope_theta", || format!("is {}, not above 1", self.rope_theta))?;
        self.rope_scaling.validate()?;
        let body = scope.child("model");
        let words = "model.embed_tokens.weight";
        let tied = self.tie_word_embeddings.then_some(words);
        let head = head_layer(scope, self.head, tied, hidden_size, vocab_size)?;
        let frequencies = self.rope_scaling.frequencies(head_dim, self.rope_theta);
        let rotary = body.child("rotary_emb");
        let network = Llama {
            words: Embedding::with(&body.child("embed_tokens"), vocab_size, hidden_size, NORMAL),
            rotary: RotaryPositions::with_frequencies(&rotary, positions, frequencies, RotaryPairs::Halves)?,
            layers: (0..self.num_hidden_layers).map(|l| Layer::new(&body.child("layers").child(l), self)).collect(),
            norm: self.norm(&body.child("norm")),
            head,
        };
        let (layers, heads) = (self.num_hidden_layers, num_key_value_heads);
        let cache = CacheSizes { layers, heads, width: head_dim, each_token: true };
        let sizes =
            TextSizes { vocabulary: vocab_size, positions, width: hidden_size, head: self.head, cache: Some(cache) };
        Ok(TextNetwork::new(sizes, network))
    }

    fn norm(&self, scope: &Scope) -> RmsNorm {
        RmsNorm::over(scope, &[self.hidden_size], self.rms_norm_eps, true)
    }

    /// The normalisation of each head of queries or keys, if they have one.
    fn head_norm(&self, scope: &Scope) -> Option<RmsNorm> {
        self.qk_norm.then(|| RmsNorm::over(scope, &[self.head_dim], self.rms_norm_eps, true))
    }
}

struct Layer {
    path: String,
    heads: [usize; 3],
    width: usize,
    activation: Activation,
    sight: Sight,
    input_norm: RmsNorm,
    projections: [Linear; 3],
    /// Of queries and of keys.
    head_norms: [Option<RmsNorm>; 2],
    /// By how much the products of queries and keys grow.
    sharpness: f32,
    attn_out: Linear,
    mlp_norm: RmsNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl Layer {
    fn new(scope: &Scope, config: &LlamaConfig) -> Self {
        let LlamaConfig { hidden_size, intermediate_size, head_dim, projection_bias, output_bias, mlp_bias, .. } =
            *config;
        let (own, shared) = (config.num_attention_heads, config.num_key_value_heads);
        let linear = |name: &str, inputs, outputs, bias| linear(&scope.child(name), inputs, outputs, bias);
        let project = |name: &str, heads: usize| linear(name, hidden_size, heads * head_dim, projection_bias);
        Layer {
            path: scope.path().to_string(),
            heads: [own, shared, shared],
            width: head_dim,
            activation: config.hidden_act,
            sight: Sight { causal: true, window: config.sliding_window.map(|window| window - 1) },
            input_norm: config.norm(&scope.child("input_layernorm")),
            projections: [
                project("self_attn.q_proj", own),
                project("self_attn.k_proj", shared),
                project("self_attn.v_proj", shared),
            ],
            head_norms: ["q_norm", "k_norm"].map(|name| config.head_norm(&scope.child("self_attn").child(name))),
            sharpness: config.rope_scaling.sharpness(),
            attn_out: linear("self_attn.o_proj", own * head_dim, hidden_size, output_bias),
            mlp_norm: config.norm(&scope.child("post_attention_layernorm")),
            gate: linear("mlp.gate_proj", hidden_size, intermediate_size, mlp_bias),
            up: linear("mlp.up_proj", hidden_size, intermediate_size, mlp_bias),
            down: linear("mlp.down_proj", intermediate_size, hidden_size, mlp_bias),
        }
    }

    fn forward(
        &self,
        x: &Tensor,
        rotary: &RotaryPositions,
        turns: &RotaryTurns,
        context: &Context,
    ) -> deepfit_nn::Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            let seen = self.input_norm.forward(x)?;
            let part = |i: usize| split_heads(&self.projections[i].forward(&seen)?, self.heads[i], self.width);
            let (query, key, value) = (part(0)?, part(1)?, part(2)?);
            let norm = |i: usize, x: Tensor| match &self.head_norms[i] {
                Some(norm) => norm.forward(&x),
                None => Ok(x),
            };
            let (query, key) = (rotary.turn(&norm(0, query)?, turns)?, rotary.turn(&norm(1, key)?, turns)?);
            let query = if self.sharpness == 1.0 { query } else { query.mul_scalar(self.sharpness)? };
            let seen = context.attend(&query, &key, &value, self.sight)?;
            let x = x.add(&self.attn_out.forward(&seen)?)?;
            let y = self.mlp_norm.forward(&x)?;
            let y = self.activation.forward(&self.gate.forward(&y)?)?.mul(&self.up.forward(&y)?)?;
            Ok(x.add(&self.down.forward(&y)?)?)
        })
    }
}

struct Llama {
    words: Embedding,
    rotary: RotaryPositions,
    layers: Vec<Layer>,
    norm: RmsNorm,
    head: Option<Linear>,
}

impl Body for Llama {
    fn layers(&self) -> usize {
        self.layers.len()
    }

    fn hidden(&self, tokens: &Tensor, context: &Context, layers: usize) -> deepfit_nn::Result<Tensor> {
        let turns = self.rotary.turns(context.positions())?;
        let x = self.words.forward(tokens)?;
        let x =
            self.layers.iter().take(layers).try_fold(x, |x, layer| layer.forward(&x, &self.rotary, &turns, context))?;
        if layers < self.layers.len() { Ok(x) } else { self.norm.forward(&x) }
    }

    fn features(&self, hidden: &Tensor, lengths: &Tensor) -> deepfit_nn::Result<Tensor> {
        pooled(Pooling::Last, hidden, lengths)
    }

    fn words(&self) -> Option<&Linear> {
        self.head.as_ref()
    }

    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        self.head.as_ref().map_or(Ok(features.clone()), |head| head.forward(features))
    }
}
