//! BERT (Devlin et al., 2019), as whose smaller kin MiniLM (Wang et al., 2020) is published, too.

use deepfit_graph::Tensor;
use deepfit_nn::layers::{Activation, Linear};
use deepfit_nn::{Module, Scope};
use serde::{Deserialize, Serialize};

use super::context::Context;
use super::post_norm::{Embeddings, PartNames, PostNormLayer, PostNormSizes};
use super::{Body, Pooling, TextHead, TextNetwork, TextSizes, pooled};
use crate::error::{Result, require, require_lengths};

const MODEL: &str = "bert";
/// The parts of a layer, in RoBERTa as well.
pub(super) const PARTS: PartNames = PartNames {
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    out: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    output_norm: "output.LayerNorm",
};

/// Settings of BERT, by the names of transformers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BertConfig {
    /// Number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Number of heads, which divides the width.
    pub num_attention_heads: usize,
    /// Width between the two linear layers of each layer.
    pub intermediate_size: usize,
    /// Between them.
    pub hidden_act: Activation,
    /// Most tokens of a text.
    pub max_position_embeddings: usize,
    /// Kinds of segments, of which a text by itself has the first; 0 for none.
    pub type_vocab_size: usize,
    /// Added to variances.
    pub layer_norm_eps: f32,
    /// Whether there is a layer for the first token's hidden state, which the classes are made of.
    pub pooler: bool,
    /// What stands behind.
    pub head: TextHead,
}

impl BertConfig {
    /// Makes the network and declares its parameters by transformers' names: `bert.embeddings.word_embeddings.weight`,
    /// `bert.encoder.layer.0.attention.self.query.weight`, …, `bert.pooler.dense.weight`, `classifier.weight`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<TextNetwork> {
        let BertConfig { vocab_size, hidden_size, max_position_embeddings, head, .. } = *self;
        let sizes = post_norm(MODEL, self)?;
        require(head != TextHead::Vocabulary, MODEL, "head", || "cannot continue texts".to_string())?;
        let classes = match head {
            TextHead::Classes(classes) => classes,
            _ => 0,
        };
        let bert = scope.child("bert");
        let tables = [vocab_size, max_position_embeddings, self.type_vocab_size];
        let body = Bert {
            embeddings: Embeddings::new(&bert.child("embeddings"), tables, 0, &sizes),
            layers: layers(&bert, self.num_hidden_layers, sizes),
            pooler: self.pooler.then(|| Linear::new(&bert.child("pooler.dense"), hidden_size, hidden_size)),
            classifier: (classes > 0).then(|| Linear::new(&scope.child("classifier"), hidden_size, classes)),
        };
        let sizes = TextSizes {
            vocabulary: vocab_size,
            positions: max_position_embeddings,
            width: hidden_size,
            head,
            cache: None,
        };
        Ok(TextNetwork::new(sizes, body))
    }
}

/// Checks what BERT and RoBERTa have in common.
pub(super) fn post_norm(model: &'static str, config: &BertConfig) -> Result<PostNormSizes> {
    let BertConfig { vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size, .. } = *config;
    require_lengths(
        &[vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size],
        model,
        "vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size",
    )?;
    require_heads(model, hidden_size, num_attention_heads)?;
    require_lengths(&[config.max_position_embeddings], model, "max_position_embeddings")?;
    Ok(PostNormSizes {
        width: hidden_size,
        heads: num_attention_heads,
        hidden: intermediate_size,
        activation: config.hidden_act,
        epsilon: config.layer_norm_eps,
    })
}

/// Fails unless the heads divide the width.
pub(super) fn require_heads(model: &'static str, width: usize, heads: usize) -> Result<()> {
    require(heads > 0 && width.is_multiple_of(heads), model, "num_attention_heads", || {
        format!("is {heads}, which must divide the width {width}")
    })
}

/// The layers of BERT and RoBERTa.
pub(super) fn layers(scope: &Scope, count: usize, sizes: PostNormSizes) -> Vec<PostNormLayer> {
    (0..count).map(|l| PostNormLayer::new(&scope.child("encoder.layer").child(l), &PARTS, sizes)).collect()
}

struct Bert {
    embeddings: Embeddings,
    layers: Vec<PostNormLayer>,
    pooler: Option<Linear>,
    classifier: Option<Linear>,
}

impl Body for Bert {
    fn layers(&self) -> usize {
        self.layers.len()
    }

    fn hidden(&self, tokens: &Tensor, context: &Context, layers: usize) -> deepfit_nn::Result<Tensor> {
        let x = self.embeddings.forward(tokens, context)?;
        self.layers.iter().take(layers).try_fold(x, |x, layer| layer.forward(&x, context))
    }

    fn features(&self, hidden: &Tensor, lengths: &Tensor) -> deepfit_nn::Result<Tensor> {
        let first = pooled(Pooling::Cls, hidden, lengths)?;
        match &self.pooler {
            Some(pooler) => Ok(pooler.forward(&first)?.tanh()?),
            None => Ok(first),
        }
    }

    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        self.classifier.as_ref().map_or(Ok(features.clone()), |classifier| classifier.forward(features))
    }
}
