//! A network that embeds texts, written as sentence-transformers writes one.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use deepfit_zoo::{ModelConfig, Pooling, SentencePairsConfig};
use safetensors::tensor::{Dtype, View};
use serde_json::{Value, json};

use crate::error::{Result, TrainError};
use crate::run_folder::{Durability, write_atomically, write_text};
use crate::tensors::Owned;
use crate::transfer::{Backbone, Takes};

/// Files that say more of a tokenizer or a network, and stay as they were published.
const KEPT: [&str; 7] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "config_sentence_transformers.json",
];
const FOLDER_OF_POOLING: &str = "1_Pooling";
const FOLDER_OF_LENGTH: &str = "2_Normalize";

/// Writes a network with other weights into a folder, which is then a published model like the one that it was.
///
/// # Errors
/// If a file cannot be read or written.
pub(crate) fn save(folder: &Path, backbone: &Backbone, weights: &BTreeMap<String, Owned>) -> Result<()> {
    let (ModelConfig::SentencePairs(SentencePairsConfig { backbone: network, pooling }), Takes::Texts(form)) =
        (&backbone.config, &backbone.takes)
    else {
        return Err(TrainError::run(folder, "is to hold a network that embeds texts, and this is none"));
    };
    write_text(&folder.join("tokenizer.json"), &form.tokenizer.to_json())?;
    let module = |number: usize, path: &str, kind: &str| json!({"idx": number, "name": number.to_string(), "path": path, "type": format!("sentence_transformers.models.{kind}")});
    let pretty = |value: &Value| format!("{value:#}\n");
    if let ModelConfig::StaticEmbedding(table) = &**network {
        let config = json!({
            "model_type": "static_embedding", "vocab_size": table.vocab_size, "hidden_size": table.hidden_size,
        });
        let modules = json!([module(0, "", "StaticEmbedding"), module(1, FOLDER_OF_LENGTH, "Normalize")]);
        write_text(&folder.join("modules.json"), &pretty(&modules))?;
        make(&folder.join(FOLDER_OF_LENGTH))?;
        write_weights(
            folder,
            weights.iter().map(|(name, tensor)| (name.replace("embeddings.", "embedding."), tensor)),
        )?;
        return write_text(&folder.join("config.json"), &pretty(&config));
    }
    let read = |name: &str| -> Result<Option<String>> {
        let path = backbone.folder.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(TrainError::Io { action: "read", path, source }),
        }
    };
    for name in KEPT {
        if let Some(text) = read(name)? {
            write_text(&folder.join(name), &text)?;
        }
    }
    let width = deepfit_zoo::build(network, &deepfit_nn::Scope::root())?.text().map_or(0, |text| text.sizes().width);
    let mode = |own: Pooling| *pooling == own;
    let of_pooling = json!({
        "word_embedding_dimension": width,
        "pooling_mode_cls_token": mode(Pooling::Cls),
        "pooling_mode_mean_tokens": mode(Pooling::Mean),
        "pooling_mode_max_tokens": mode(Pooling::Max),
        "pooling_mode_lasttoken": mode(Pooling::Last),
    });
    let modules = json!([
        module(0, "", "Transformer"),
        module(1, FOLDER_OF_POOLING, "Pooling"),
        module(2, FOLDER_OF_LENGTH, "Normalize"),
    ]);
    make(&folder.join(FOLDER_OF_POOLING))?;
    make(&folder.join(FOLDER_OF_LENGTH))?;
    write_text(&folder.join(FOLDER_OF_POOLING).join("config.json"), &pretty(&of_pooling))?;
    let lengths = json!({"max_seq_length": form.most_tokens, "do_lower_case": false});
    write_text(&folder.join("sentence_bert_config.json"), &pretty(&lengths))?;
    write_text(&folder.join("modules.json"), &pretty(&modules))?;
    let plain = plain_names(weights.keys().map(String::as_str));
    write_weights(folder, weights.iter().map(|(name, tensor)| (name[plain..].to_string(), tensor)))?;
    let name = backbone.folder.join("config.json");
    let text = read("config.json")?.unwrap_or_default();
    let mut config: Value =
        serde_json::from_str(&text).map_err(|error| TrainError::run(&name, format!("is damaged: {error}")))?;
    if let Some(settings) = config.as_object_mut() {
        // The last layer of another task is gone, and weights are numbers of 32 bits.
        for key in ["architectures", "id2label", "label2id", "problem_type", "dtype"] {
            settings.remove(key);
        }
        settings.insert("torch_dtype".to_string(), json!("float32"));
    }
    // Last: with it, the folder is a model.
    write_text(&folder.join("config.json"), &pretty(&config))
}

/// How much of all names is the name of the network that they are in, such as `bert.`: by itself it has none.
fn plain_names<'a>(mut names: impl Iterator<Item = &'a str>) -> usize {
    let first = names.next().and_then(|name| name.split_once('.')).map_or("", |(first, _)| first);
    let is_within = |name: &str| name.strip_prefix(first).is_some_and(|rest| rest.starts_with('.'));
    if !first.is_empty() && names.all(is_within) { first.len() + 1 } else { 0 }
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|source| TrainError::Io { action: "write", path: folder.to_path_buf(), source })
}

/// A tensor as it is written.
struct Written<'a>(&'a Owned);

impl View for Written<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match cfg!(target_endian = "little") {
            true => Cow::Borrowed(bytemuck::cast_slice(&self.0.values)),
            false => Cow::Owned(self.0.values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        }
    }

    fn data_len(&self) -> usize {
        4 * self.0.values.len()
    }
}

/// Writes weights as other programs read them.
fn write_weights<'a>(folder: &Path, weights: impl Iterator<Item = (String, &'a Owned)>) -> Result<()> {
    let path = folder.join("model.safetensors");
    let all: Vec<(String, Written<'_>)> = weights.map(|(name, tensor)| (name, Written(tensor))).collect();
    let format = HashMap::from([("format".to_string(), "pt".to_string())]);
    write_atomically(&path, Durability::Disk, |temporary| {
        safetensors::serialize_to_file(all, Some(format), temporary).map_err(std::io::Error::other)
    })
}
