//! A table of words as sentence-transformers names it.

use super::text::Family;
use crate::{ModelConfig, StaticEmbeddingConfig};

/// Its only tensor.
pub(super) const TABLE: &str = "embedding.weight";

pub(super) const FAMILY: Family = Family {
    architecture: "table of words",
    model_types: &["static_embedding"],
    prefix: "",
    body: &[TABLE],
    heads: &[],
    is_unused: |_| false,
    config: |shapes, _| match (shapes.axis("embeddings.weight", 0), shapes.axis("embeddings.weight", 1)) {
        (Some(vocab_size), Some(hidden_size)) => {
            Ok(ModelConfig::StaticEmbedding(StaticEmbeddingConfig { vocab_size, hidden_size }))
        }
        _ => Err(format!("names a table of words, and there is no tensor `{TABLE}` of two axes")),
    },
};
