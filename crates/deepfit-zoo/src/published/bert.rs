//! BERT as transformers names its parts.

use deepfit_nn::layers::Activation;

use super::Hints;
use super::tensors::Shapes;
use super::text::{Family, classes};
use crate::text::TextHead;
use crate::{BertConfig, ModelConfig};

pub(super) const FAMILY: Family = Family {
    architecture: "BERT",
    model_types: &["bert"],
    prefix: "bert.",
    body: &["embeddings.", "encoder.", "pooler."],
    heads: &["classifier.", "cls.", "qa_outputs."],
    is_unused: |name| name == "embeddings.position_ids",
    config: |shapes, hints| {
        let mut config = settings(shapes, hints, "classifier.weight")?;
        config.pooler = shapes.has("bert.pooler.dense.weight") || config.head != TextHead::None;
        Ok(ModelConfig::Bert(config))
    },
};

/// The settings of BERT and RoBERTa. Whether there is a pooler is left open.
pub(super) fn settings(shapes: &Shapes, hints: &Hints, output: &str) -> Result<BertConfig, String> {
    hints.refuse("position_embedding_type", |kind| kind == "absolute")?;
    hints.refuse("is_decoder", |is| is == false)?;
    hints.refuse("add_cross_attention", |has| has == false)?;
    Ok(BertConfig {
        vocab_size: hints.length("vocab_size", 30_522)?,
        hidden_size: hints.length("hidden_size", 768)?,
        num_hidden_layers: hints.length("num_hidden_layers", 12)?,
        num_attention_heads: hints.length("num_attention_heads", 12)?,
        intermediate_size: hints.length("intermediate_size", 3072)?,
        hidden_act: hints.activation("hidden_act", Activation::Gelu)?,
        max_position_embeddings: hints.length("max_position_embeddings", 512)?,
        type_vocab_size: hints.length("type_vocab_size", 2)?,
        layer_norm_eps: hints.real("layer_norm_eps", 1e-12)? as f32,
        pooler: false,
        head: classes(shapes, hints, output),
    })
}
