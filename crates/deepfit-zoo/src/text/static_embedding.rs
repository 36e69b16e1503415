//! A vector for each token, whatever stands beside it (Model2Vec, Tulkens and van Dongen, 2024).

use deepfit_graph::Tensor;
use deepfit_nn::layers::Embedding;
use deepfit_nn::{Module, Scope};
use serde::{Deserialize, Serialize};

use super::context::Context;
use super::post_norm::NORMAL;
use super::{Body, Pooling, TextHead, TextNetwork, TextSizes, pooled};
use crate::error::{Result, require_lengths};

const MODEL: &str = "static_embedding";

/// Settings of a network that is nothing but a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticEmbeddingConfig {
    /// Number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the vectors.
    pub hidden_size: usize,
}

impl StaticEmbeddingConfig {
    /// Makes the network and declares its parameter: `embeddings.weight` `[vocab_size, hidden_size]`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<TextNetwork> {
        let StaticEmbeddingConfig { vocab_size, hidden_size } = *self;
        require_lengths(&[vocab_size, hidden_size], MODEL, "vocab_size, hidden_size")?;
        let table = Embedding::with(&scope.child("embeddings"), vocab_size, hidden_size, NORMAL);
        let sizes = TextSizes {
            vocabulary: vocab_size,
            positions: usize::MAX >> 16,
            width: hidden_size,
            head: TextHead::None,
            cache: None,
        };
        Ok(TextNetwork::new(sizes, StaticEmbedding { table }))
    }
}

struct StaticEmbedding {
    table: Embedding,
}

impl Body for StaticEmbedding {
    fn layers(&self) -> usize {
        0
    }

    fn hidden(&self, tokens: &Tensor, _context: &Context, _layers: usize) -> deepfit_nn::Result<Tensor> {
        self.table.forward(tokens)
    }

    fn features(&self, hidden: &Tensor, lengths: &Tensor) -> deepfit_nn::Result<Tensor> {
        pooled(Pooling::Mean, hidden, lengths)
    }

    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        Ok(features.clone())
    }
}
