//! RoBERTa (Liu et al., 2019): BERT with another vocabulary, positions behind that of the padding, and a deeper head.

use deepfit_graph::Tensor;
use deepfit_nn::layers::Linear;
use deepfit_nn::{Module, Scope};
use serde::{Deserialize, Serialize};

use super::bert::{BertConfig, layers, post_norm};
use super::context::Context;
use super::post_norm::{Embeddings, PostNormLayer};
use super::{Body, Pooling, TextHead, TextNetwork, TextSizes, pooled};
use crate::error::{Result, require};

const MODEL: &str = "roberta";

/// Settings of RoBERTa: those of BERT, and where positions begin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobertaConfig {
    /// What it has in common with BERT; the table of positions has the rows up to that of the padding, too.
    pub bert: BertConfig,
    /// The token that stands for nothing; the first position has the row behind its number.
    pub pad_token_id: usize,
}

impl RobertaConfig {
    /// Makes the network and declares its parameters by transformers' names: `roberta.embeddings.word_embeddings.weight`,
    /// `roberta.encoder.layer.0.attention.self.query.weight`, …, `classifier.dense.weight`, `classifier.out_proj.weight`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<TextNetwork> {
        let RobertaConfig { bert: config, pad_token_id } = self;
        let BertConfig { vocab_size, hidden_size, max_position_embeddings, head, .. } = *config;
        let sizes = post_norm(MODEL, config)?;
        require(head != TextHead::Vocabulary, MODEL, "head", || "cannot continue texts".to_string())?;
        let first = pad_token_id.saturating_add(1);
        require(first < max_position_embeddings, MODEL, "max_position_embeddings", || {
            format!("is {max_position_embeddings}, which leaves no position behind `pad_token_id` {pad_token_id}")
        })?;
        let roberta = scope.child("roberta");
        let tables = [vocab_size, max_position_embeddings, config.type_vocab_size];
        let linear = |scope: &Scope, outputs| Linear::new(scope, hidden_size, outputs);
        let classifier = scope.child("classifier");
        let body = Roberta {
            embeddings: Embeddings::new(&roberta.child("embeddings"), tables, first, &sizes),
            layers: layers(&roberta, config.num_hidden_layers, sizes),
            classifier: match head {
                TextHead::Classes(classes) => Some([
                    linear(&classifier.child("dense"), hidden_size),
                    linear(&classifier.child("out_proj"), classes),
                ]),
                _ => None,
            },
        };
        let sizes = TextSizes {
            vocabulary: vocab_size,
            positions: max_position_embeddings - first,
            width: hidden_size,
            head,
            cache: None,
        };
        Ok(TextNetwork::new(sizes, body))
    }
}

struct Roberta {
    embeddings: Embeddings,
    layers: Vec<PostNormLayer>,
    classifier: Option<[Linear; 2]>,
}

impl Body for Roberta {
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
            Some([dense, _]) => Ok(dense.forward(&first)?.tanh()?),
            None => Ok(first),
        }
    }

    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        self.classifier.as_ref().map_or(Ok(features.clone()), |[_, output]| output.forward(features))
    }
}
