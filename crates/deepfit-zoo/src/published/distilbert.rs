//! DistilBERT as transformers names its parts.

use deepfit_nn::layers::Activation;

use super::text::{Family, classes};
use crate::{DistilbertConfig, ModelConfig};

pub(super) const FAMILY: Family = Family {
    architecture: "DistilBERT",
    model_types: &["distilbert"],
    prefix: "distilbert.",
    body: &["embeddings.", "transformer."],
    heads: &["pre_classifier.", "classifier.", "vocab_", "qa_outputs."],
    is_unused: |name| name == "embeddings.position_ids",
    config: |shapes, hints| {
        Ok(ModelConfig::Distilbert(DistilbertConfig {
            vocab_size: hints.length("vocab_size", 30_522)?,
            dim: hints.length("dim", 768)?,
            n_layers: hints.length("n_layers", 6)?,
            n_heads: hints.length("n_heads", 12)?,
            hidden_dim: hints.length("hidden_dim", 3072)?,
            activation: hints.activation("activation", Activation::Gelu)?,
            max_position_embeddings: hints.length("max_position_embeddings", 512)?,
            head: classes(shapes, hints, "classifier.weight"),
        }))
    },
};
