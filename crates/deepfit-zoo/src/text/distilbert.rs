//! DistilBERT (Sanh et al., 2019): BERT with half of the layers and without segments.

use deepfit_graph::Tensor;
use deepfit_nn::layers::{Activation, Linear};
use deepfit_nn::{Module, Scope};
use serde::{Deserialize, Serialize};

use super::bert::require_heads;
use super::context::Context;
use super::post_norm::{Embeddings, PartNames, PostNormLayer, PostNormSizes};
use super::{Body, Pooling, TextHead, TextNetwork, TextSizes, pooled};
use crate::error::{Result, require, require_lengths};

const MODEL: &str = "distilbert";
const PARTS: PartNames = PartNames {
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    out: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    output_norm: "output_layer_norm",
};
/// Added to variances; it is no setting.
const EPSILON: f32 = 1e-12;

/// Settings of DistilBERT, by the names of transformers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistilbertConfig {
    /// Number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub dim: usize,
    /// Number of layers.
    pub n_layers: usize,
    /// Number of heads, which divides the width.
    pub n_heads: usize,
    /// Width between the two linear layers of each layer.
    pub hidden_dim: usize,
    /// Between them.
    pub activation: Activation,
    /// Most tokens of a text.
    pub max_position_embeddings: usize,
    /// What stands behind.
    pub head: TextHead,
}

impl DistilbertConfig {
    /// Makes the network and declares its parameters by transformers' names:
    /// `distilbert.embeddings.word_embeddings.weight`, `distilbert.transformer.layer.0.attention.q_lin.weight`, …,
    /// `pre_classifier.weight`, `classifier.weight`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<TextNetwork> {
        let DistilbertConfig { vocab_size, dim, n_layers, n_heads, hidden_dim, max_position_embeddings, head, .. } =
            *self;
        require_lengths(
            &[vocab_size, dim, n_layers, n_heads, hidden_dim, max_position_embeddings],
            MODEL,
            "vocab_size, dim, n_layers, n_heads, hidden_dim, max_position_embeddings",
        )?;
        require_heads(MODEL, dim, n_heads)?;
        require(head != TextHead::Vocabulary, MODEL, "head", || "cannot continue texts".to_string())?;
        let sizes = PostNormSizes {
            width: dim,
            heads: n_heads,
            hidden: hidden_dim,
            activation: self.activation,
            epsilon: EPSILON,
        };
        let body = scope.child("distilbert");
        let layer = |l| PostNormLayer::new(&body.child("transformer.layer").child(l), &PARTS, sizes);
        let linear = |name: &str, outputs| Linear::new(&scope.child(name), dim, outputs);
        let body = Distilbert {
            embeddings: Embeddings::new(&body.child("embeddings"), [vocab_size, max_position_embeddings, 0], 0, &sizes),
            layers: (0..n_layers).map(layer).collect(),
            classifier: match head {
                TextHead::Classes(classes) => Some([linear("pre_classifier", dim), linear("classifier", classes)]),
                _ => None,
            },
        };
        let sizes =
            TextSizes { vocabulary: vocab_size, positions: max_position_embeddings, width: dim, head, cache: None };
        Ok(TextNetwork::new(sizes, body))
    }
}

struct Distilbert {
    embeddings: Embeddings,
    layers: Vec<PostNormLayer>,
    classifier: Option<[Linear; 2]>,
}

impl Body for Distilbert {
    fn layers(&self) -> usize {
        self.layers.len()
    }

    fn hidden(&self, tokens: &Tensor, context: &Context, layers: usize) -> deepfit_nn::Result<Tensor> {
        let x = self.embeddings.forward(tokens, context)?;
        self.layers.iter().take(layers).try_fold(x, |x, layer| layer.forward(&x, context))
    }

    fn features(&self, hidden: &Tensor, lengths: &Tensor) -> deepfit_nn::Result<Tensor> {
        let first = pooled(Pooling::Cls, hidden, lengths)?;
        match &self.classifier {
            Some([before, _]) => Ok(before.forward(&first)?.relu()?),
            None => Ok(first),
        }
    }

    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        self.classifier.as_ref().map_or(Ok(features.clone()), |[_, output]| output.forward(features))
    }
}
