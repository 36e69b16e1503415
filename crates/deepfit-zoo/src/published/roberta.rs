//! RoBERTa as transformers names its parts.

use super::bert::settings;
use super::text::Family;
use crate::{ModelConfig, RobertaConfig};

pub(super) const FAMILY: Family = Family {
    architecture: "RoBERTa",
    model_types: &["roberta", "xlm-roberta", "camembert"],
    prefix: "roberta.",
    body: &["embeddings.", "encoder."],
    heads: &["classifier.", "lm_head.", "qa_outputs."],
    // The pooler is trained for nothing.
    is_unused: |name| name == "embeddings.position_ids" || name.starts_with("pooler."),
    config: |shapes, hints| {
        let bert = settings(shapes, hints, "classifier.out_proj.weight")?;
        Ok(ModelConfig::Roberta(RobertaConfig { bert, pad_token_id: hints.length("pad_token_id", 1)? }))
    },
};
