//! What sentence-transformers stores beside a network: how a sentence becomes one vector.

use std::path::Path;

use serde_json::Value;

use super::folder::read_settings;
use crate::error::{Result, ZooError};
use crate::text::Pooling;

/// How a sentence becomes one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SentencePooling {
    /// Of the hidden states of its tokens.
    pub pooling: Pooling,
    /// Whether the vector is then made 1 long.
    pub normalise: bool,
    /// Most tokens of a sentence, if they are fewer than the network's positions.
    pub max_tokens: Option<usize>,
}

/// Poolings by the names of their settings.
const POOLINGS: [(&str, Pooling); 4] = [
    ("pooling_mode_cls_token", Pooling::Cls),
    ("pooling_mode_mean_tokens", Pooling::Mean),
    ("pooling_mode_max_tokens", Pooling::Max),
    ("pooling_mode_lasttoken", Pooling::Last),
];

/// What `modules.json` in a folder says; nothing without such a file.
pub(super) fn read(folder: &Path) -> Result<Option<SentencePooling>> {
    let file = folder.join("modules.json");
    let modules = read_settings(&file)?;
    if modules.is_null() {
        return Ok(None);
    }
    let wrong = |problem: &str| ZooError::file(&file, problem);
    let modules = modules.as_array().ok_or_else(|| wrong("is damaged: it must be a list of modules"))?;
    let mut found = SentencePooling::default();
    for module in modules {
        let kind = module["type"].as_str().unwrap_or_default();
        let path = folder.join(module["path"].as_str().unwrap_or_default());
        match kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" => {
                let settings = read_settings(&path.join("sentence_bert_config.json"))?;
                found.max_tokens = settings["max_seq_length"].as_u64().map(|length| length as usize);
            }
            "Pooling" => {
                let file = path.join("config.json");
                found.pooling = pooling(&read_settings(&file)?).map_err(|problem| ZooError::file(&file, problem))?;
            }
            "StaticEmbedding" => found.pooling = Pooling::Mean,
            "Normalize" => found.normalise = true,
            _ => {
                return Err(wrong(&format!(
                    "has a module `{kind}`, which is not read; its embeddings would be others"
                )));
            }
        }
    }
    Ok(Some(found))
}

fn pooling(settings: &Value) -> Result<Pooling, String> {
    if settings.is_null() {
        return Err("is missing, but `modules.json` names its folder".to_string());
    }
    if let Some(name) = settings["pooling_mode"].as_str() {
        let known =
            [("cls", Pooling::Cls), ("mean", Pooling::Mean), ("max", Pooling::Max), ("lasttoken", Pooling::Last)];
        let found = known.into_iter().find(|(known, _)| *known == name);
        return found.map(|(_, pooling)| pooling).ok_or_else(|| format!("has the pooling '{name}', which is not read"));
    }
    let object = settings.as_object().ok_or("is damaged: it must be an object")?;
    let chosen: Vec<&String> = object
        .iter()
        .filter(|(key, value)| key.starts_with("pooling_mode_") && value.as_bool() == Some(true))
        .map(|(key, _)| key)
        .collect();
    let known = match chosen[..] {
        [only] => POOLINGS.iter().find(|(name, _)| name == only),
        _ => None,
    };
    known
        .map(|(_, pooling)| *pooling)
        .ok_or_else(|| format!("has the poolings {chosen:?}, which are not read together"))
}
