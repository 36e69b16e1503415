//! ModernBERT (Warner et al., 2024): an encoder with rotary positions, gated layers, and layers that see only what is near.

use deepfit_graph::Tensor;
use deepfit_nn::layers::{Activation, Embedding, LayerNorm, Linear, RotaryPairs, RotaryPositions, RotaryTurns};
use deepfit_nn::{Module, Scope};
use serde::{Deserialize, Serialize};

use super::bert::require_heads;
use super::context::{Context, Sight, split_heads};
use super::post_norm::NORMAL;
use super::{Body, Pooling, TextHead, TextNetwork, TextSizes, pooled};
use crate::error::{Result, require, require_lengths};

const MODEL: &str = "modernbert";

/// Settings of ModernBERT, by the names of transformers where it has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModernbertConfig {
    /// Number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// For each layer, whether it sees the whole text and not only what is near.
    pub global_layers: Vec<bool>,
    /// Number of heads, which divides the width into even numbers.
    pub num_attention_heads: usize,
    /// Width between the linear layers of each layer.
    pub intermediate_size: usize,
    /// Of one half of what is between them, by which the other is multiplied.
    pub hidden_activation: Activation,
    /// Most tokens of a text.
    pub max_position_embeddings: usize,
    /// Added to variances.
    pub norm_eps: f32,
    /// Whether normalisations have biases.
    pub norm_bias: bool,
    /// Whether projections of attentions have biases.
    pub attention_bias: bool,
    /// Whether the other linear layers have biases.
    pub mlp_bias: bool,
    /// Tokens that a layer sees which sees only what is near, half of them on each side.
    pub local_attention: usize,
    /// Base of the rotary positions of layers that see everything.
    pub global_rope_theta: f64,
    /// Base of those of the others.
    pub local_rope_theta: f64,
    /// What the classes are made of.
    pub classifier_pooling: Pooling,
    /// Whether the layer before the last has a bias.
    pub classifier_bias: bool,
    /// Behind that layer.
    pub classifier_activation: Activation,
    /// What stands behind.
    pub head: TextHead,
}

impl ModernbertConfig {
    /// Makes the network and declares its parameters by transformers' names: `model.embeddings.tok_embeddings.weight`,
    /// `model.layers.0.attn.Wqkv.weight`, …, `model.final_norm.weight`, `head.dense.weight`, `classifier.weight`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<TextNetwork> {
        let ModernbertConfig { vocab_size, hidden_size, num_attention_heads, intermediate_size, head, .. } = *self;
        let positions = self.max_position_embeddings;
        require_lengths(
            &[vocab_size, hidden_size, self.global_layers.len(), num_attention_heads, intermediate_size, positions],
            MODEL,
            "vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size, \
             max_position_embeddings",
        )?;
        require_heads(MODEL, hidden_size, num_attention_heads)?;
        require(head != TextHead::Vocabulary, MODEL, "head", || "cannot continue texts".to_string())?;
        let body = scope.child("model");
        let width = hidden_size / num_attention_heads;
        let rotary =
            |name: &str, base| RotaryPositions::new(&body.child(name), positions, width, base, RotaryPairs::Halves);
        let embeddings = body.child("embeddings");
        let layer = |(l, global): (usize, &bool)| Layer::new(&body.child("layers").child(l), self, *global, l > 0);
        let classifier = match head {
            TextHead::Classes(classes) => Some(Classifier {
                dense: linear(&scope.child("head.dense"), hidden_size, hidden_size, self.classifier_bias),
                norm: self.norm(&scope.child("head.norm")),
                output: Linear::new(&scope.child("classifier"), hidden_size, classes),
            }),
            _ => None,
        };
        let body = Modernbert {
            words: Embedding::with(&embeddings.child("tok_embeddings"), vocab_size, hidden_size, NORMAL),
            norm: self.norm(&embeddings.child("norm")),
            rotary: [rotary("local_rotary", self.local_rope_theta)?, rotary("global_rotary", self.global_rope_theta)?],
            layers: self.global_layers.iter().enumerate().map(layer).collect(),
            final_norm: self.norm(&body.child("final_norm")),
            pooling: self.classifier_pooling,
            activation: self.classifier_activation,
            classifier,
        };
        let sizes = TextSizes { vocabulary: vocab_size, positions, width: hidden_size, head, cache: None };
        Ok(TextNetwork::new(sizes, body))
    }

    fn norm(&self, scope: &Scope) -> LayerNorm {
        LayerNorm::over(scope, &[self.hidden_size], self.norm_eps, true, self.norm_bias)
    }
}

/// A linear layer, perhaps with a bias.
pub(super) fn linear(scope: &Scope, inputs: usize, outputs: usize, bias: bool) -> Linear {
    if bias { Linear::new(scope, inputs, outputs) } else { Linear::without_bias(scope, inputs, outputs, NORMAL) }
}

struct Modernbert {
    words: Embedding,
    norm: LayerNorm,
    /// For layers that see what is near, and for those that see everything.
    rotary: [RotaryPositions; 2],
    layers: Vec<Layer>,
    final_norm: LayerNorm,
    pooling: Pooling,
    activation: Activation,
    classifier: Option<Classifier>,
}

struct Classifier {
    dense: Linear,
    norm: LayerNorm,
    output: Linear,
}

struct Layer {
    path: String,
    global: bool,
    window: usize,
    heads: usize,
    hidden: usize,
    activation: Activation,
    /// The first layer has none: the embeddings are normalised already.
    attn_norm: Option<LayerNorm>,
    projections: Linear,
    attn_out: Linear,
    mlp_norm: LayerNorm,
    mlp_in: Linear,
    mlp_out: Linear,
}

impl Layer {
    fn new(scope: &Scope, config: &ModernbertConfig, global: bool, normalised: bool) -> Self {
        let ModernbertConfig { hidden_size, intermediate_size, attention_bias, mlp_bias, .. } = *config;
        let linear = |name: &str, inputs, outputs, bias| linear(&scope.child(name), inputs, outputs, bias);
        Layer {
            path: scope.path().to_string(),
            global,
            window: config.local_attention / 2,
            heads: config.num_attention_heads,
            hidden: intermediate_size,
            activation: config.hidden_activation,
            attn_norm: normalised.then(|| config.norm(&scope.child("attn_norm"))),
            projections: linear("attn.Wqkv", hidden_size, 3 * hidden_size, attention_bias),
            attn_out: linear("attn.Wo", hidden_size, hidden_size, attention_bias),
            mlp_norm: config.norm(&scope.child("mlp_norm")),
            mlp_in: linear("mlp.Wi", hidden_size, 2 * intermediate_size, mlp_bias),
            mlp_out: linear("mlp.Wo", intermediate_size, hidden_size, mlp_bias),
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
            let seen = self.attn_norm.as_ref().map_or(Ok(x.clone()), |norm| norm.forward(x))?;
            let all = self.projections.forward(&seen)?;
            let width = all.shape().fixed(2).unwrap_or(0) / 3 / self.heads;
            let all = split_heads(&all, 3 * self.heads, width)?;
            let part = |i: usize| all.slice(2, i * self.heads, self.heads);
            let (query, key, value) = (part(0)?, part(1)?, part(2)?);
            let (query, key) = (rotary.turn(&query, turns)?, rotary.turn(&key, turns)?);
            let sight = Sight { causal: false, window: (!self.global).then_some(self.window) };
            let x = x.add(&self.attn_out.forward(&context.attend(&query, &key, &value, sight)?)?)?;
            let both = self.mlp_in.forward(&self.mlp_norm.forward(&x)?)?;
            let (y, gate) = (both.slice(2, 0, self.hidden)?, both.slice(2, self.hidden, self.hidden)?);
            let y = self.activation.forward(&y)?.mul(&gate)?;
            Ok(x.add(&self.mlp_out.forward(&y)?)?)
        })
    }
}

impl Body for Modernbert {
    fn layers(&self) -> usize {
        self.layers.len()
    }

    fn hidden(&self, tokens: &Tensor, context: &Context, layers: usize) -> deepfit_nn::Result<Tensor> {
        let turns = [self.rotary[0].turns(context.positions())?, self.rotary[1].turns(context.positions())?];
        let x = self.norm.forward(&self.words.forward(tokens)?)?;
        let x = self.layers.iter().take(layers).try_fold(x, |x, layer| {
            let kind = usize::from(layer.global);
            layer.forward(&x, &self.rotary[kind], &turns[kind], context)
        })?;
        if layers < self.layers.len() { Ok(x) } else { self.final_norm.forward(&x) }
    }

    fn features(&self, hidden: &Tensor, lengths: &Tensor) -> deepfit_nn::Result<Tensor> {
        let one = pooled(self.pooling, hidden, lengths)?;
        match &self.classifier {
            Some(head) => head.norm.forward(&self.activation.forward(&head.dense.forward(&one)?)?),
            None => Ok(one),
        }
    }

    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        self.classifier.as_ref().map_or(Ok(features.clone()), |head| head.output.forward(features))
    }
}
