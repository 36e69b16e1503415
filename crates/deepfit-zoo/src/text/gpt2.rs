//! GPT-2 (Radford et al., 2019): a decoder with learned positions.

use deepfit_graph::Tensor;
use deepfit_nn::layers::{Activation, Embedding, LayerNorm, Linear};
use deepfit_nn::{Adapter, Init, Module, Parameter, Role, Scope};
use serde::{Deserialize, Serialize};

use super::bert::require_heads;
use super::context::{Context, Sight, learned_positions, split_heads};
use super::post_norm::NORMAL;
use super::{Body, CacheSizes, Pooling, TextHead, TextNetwork, TextSizes, pooled};
use crate::error::{Result, require_lengths};

const MODEL: &str = "gpt2";

/// Settings of GPT-2, by the names of transformers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpt2Config {
    /// Number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// Most tokens of a text.
    pub n_positions: usize,
    /// Width of the hidden states.
    pub n_embd: usize,
    /// Number of layers.
    pub n_layer: usize,
    /// Number of heads, which divides the width.
    pub n_head: usize,
    /// Width between the two linear layers of each layer.
    pub n_inner: usize,
    /// Between them.
    pub activation_function: Activation,
    /// Added to variances.
    pub layer_norm_epsilon: f32,
    /// Whether the layer that tells the next word has the weights of the table of words.
    pub tie_word_embeddings: bool,
    /// What stands behind.
    pub head: TextHead,
}

impl Gpt2Config {
    /// Makes the network and declares its parameters by transformers' names: `transformer.wte.weight`,
    /// `transformer.h.0.attn.c_attn.weight`, whose linear layers are `[in, out]`, …, `transformer.ln_f.weight`,
    /// `lm_head.weight` or `score.weight`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<TextNetwork> {
        let Gpt2Config { vocab_size, n_positions, n_embd, n_layer, n_head, n_inner, head, .. } = *self;
        require_lengths(
            &[vocab_size, n_positions, n_embd, n_layer, n_head, n_inner],
            MODEL,
            "vocab_size, n_positions, n_embd, n_layer, n_head, n_inner",
        )?;
        require_heads(MODEL, n_embd, n_head)?;
        let body = scope.child("transformer");
        let words = "transformer.wte.weight";
        let head_layer = head_layer(scope, head, self.tie_word_embeddings.then_some(words), n_embd, vocab_size)?;
        let layer = |l| Layer::new(&body.child("h").child(l), self);
        let network = Gpt2 {
            words: Embedding::with(&body.child("wte"), vocab_size, n_embd, NORMAL),
            positions: body.child("wpe").parameter("weight", &[n_positions, n_embd], NORMAL, Role::Weight),
            layers: (0..n_layer).map(layer).collect(),
            norm: LayerNorm::with(&body.child("ln_f"), n_embd, self.layer_norm_epsilon),
            head: head_layer,
        };
        let cache = CacheSizes { layers: n_layer, heads: n_head, width: n_embd / n_head, each_token: true };
        let sizes =
            TextSizes { vocabulary: vocab_size, positions: n_positions, width: n_embd, head, cache: Some(cache) };
        Ok(TextNetwork::new(sizes, network))
    }
}

/// The last layer of a decoder: `score` for classes, `lm_head` for words, whose weights may be those of a table of words.
pub(super) fn head_layer(
    scope: &Scope,
    head: TextHead,
    tied: Option<&str>,
    width: usize,
    vocabulary: usize,
) -> Result<Option<Linear>> {
    let linear = |name: &str, outputs| Linear::without_bias(&scope.child(name), width, outputs, NORMAL);
    Ok(match head {
        TextHead::None => None,
        TextHead::Classes(classes) => Some(linear("score", classes)),
        TextHead::Vocabulary => {
            if let Some(words) = tied {
                scope.tie("lm_head.weight", words)?;
            }
            Some(linear("lm_head", vocabulary))
        }
    })
}

/// A linear layer whose weight is `[in, out]`.
#[derive(Debug)]
struct Conv1d {
    path: String,
    weight: Parameter,
    bias: Parameter,
    adapter: Option<Adapter>,
}

impl Conv1d {
    fn new(scope: &Scope, inputs: usize, outputs: usize) -> Self {
        Conv1d {
            path: scope.path().to_string(),
            weight: scope.parameter("weight", &[inputs, outputs], NORMAL, Role::Weight),
            bias: scope.parameter("bias", &[outputs], Init::Zeros, Role::NoDecay),
            adapter: Adapter::new(scope, "weight", inputs, outputs),
        }
    }

    fn forward(&self, x: &Tensor) -> deepfit_nn::Result<Tensor> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            let mut product = x.matmul(&self.weight.on(tracer)?)?;
            if let Some(adapter) = &self.adapter {
                product = product.add(&adapter.on_transposed(x)?)?;
            }
            Ok(product.add(&self.bias.on(tracer)?)?)
        })
    }
}

struct Layer {
    path: String,
    heads: usize,
    activation: Activation,
    ln_1: LayerNorm,
    projections: Conv1d,
    attn_out: Conv1d,
    ln_2: LayerNorm,
    up: Conv1d,
    down: Conv1d,
}

impl Layer {
    fn new(scope: &Scope, config: &Gpt2Config) -> Self {
        let Gpt2Config { n_embd, n_inner, layer_norm_epsilon, .. } = *config;
        let linear = |name: &str, inputs, outputs| Conv1d::new(&scope.child(name), inputs, outputs);
        let norm = |name: &str| LayerNorm::with(&scope.child(name), n_embd, layer_norm_epsilon);
        Layer {
            path: scope.path().to_string(),
            heads: config.n_head,
            activation: config.activation_function,
            ln_1: norm("ln_1"),
            projections: linear("attn.c_attn", n_embd, 3 * n_embd),
            attn_out: linear("attn.c_proj", n_embd, n_embd),
            ln_2: norm("ln_2"),
            up: linear("mlp.c_fc", n_embd, n_inner),
            down: linear("mlp.c_proj", n_inner, n_embd),
        }
    }

    fn forward(&self, x: &Tensor, context: &Context) -> deepfit_nn::Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            let all = self.projections.forward(&self.ln_1.forward(x)?)?;
            let width = all.shape().fixed(2).unwrap_or(0) / 3 / self.heads;
            let all = split_heads(&all, 3 * self.heads, width)?;
            let part = |i: usize| all.slice(2, i * self.heads, self.heads);
            let sight = Sight { causal: true, window: None };
            let seen = context.attend(&part(0)?, &part(1)?, &part(2)?, sight)?;
            let x = x.add(&self.attn_out.forward(&seen)?)?;
            let y = self.activation.forward(&self.up.forward(&self.ln_2.forward(&x)?)?)?;
            Ok(x.add(&self.down.forward(&y)?)?)
        })
    }
}

struct Gpt2 {
    words: Embedding,
    positions: Parameter,
    layers: Vec<Layer>,
    norm: LayerNorm,
    head: Option<Linear>,
}

impl Body for Gpt2 {
    fn layers(&self) -> usize {
        self.layers.len()
    }

    fn hidden(&self, tokens: &Tensor, context: &Context, layers: usize) -> deepfit_nn::Result<Tensor> {
        let x = self.words.forward(tokens)?.add(&learned_positions(&self.positions, 0, context)?)?;
        let x = self.layers.iter().take(layers).try_fold(x, |x, layer| layer.forward(&x, context))?;
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
