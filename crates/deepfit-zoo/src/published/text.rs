//! Published networks for texts, as transformers writes them: `config.json` says what they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use deepfit_nn::layers::Activation;
use deepfit_nn::{Declaration, Scope};

use super::folder::{Folder, read_settings, weights_of};
use super::tensors::Shapes;
use super::{
    Hints, LoadReport, Recognised, bert, distilbert, gpt2, imagenet, llama, modernbert, roberta, static_embedding,
};
use super::{SentencePooling, compare, read_values, sentence};
use crate::error::{Result, ZooError};
use crate::network::{ModelConfig, build};
use crate::text::TextHead;
use crate::weights::{Array, Weights};

/// How the networks of an architecture are published.
pub(super) struct Family {
    /// The architecture.
    pub(super) architecture: &'static str,
    /// Values of `model_type` in `config.json`.
    pub(super) model_types: &'static [&'static str],
    /// What stands before the names of the network where there is more than it in a file.
    pub(super) prefix: &'static str,
    /// Beginnings of these names.
    pub(super) body: &'static [&'static str],
    /// Beginnings of the names of layers behind the network.
    pub(super) heads: &'static [&'static str],
    /// Whether a name, without prefix, is that of something that plays no role.
    pub(super) is_unused: fn(&str) -> bool,
    /// The settings of the network with these tensors, by the names here.
    pub(super) config: fn(&Shapes, &Hints) -> Result<ModelConfig, String>,
}

const FAMILIES: [&Family; 7] = [
    &bert::FAMILY,
    &distilbert::FAMILY,
    &roberta::FAMILY,
    &modernbert::FAMILY,
    &gpt2::FAMILY,
    &llama::FAMILY,
    &static_embedding::FAMILY,
];

/// What is read, for messages.
pub(super) const KNOWN: &str =
    "BERT, DistilBERT, RoBERTa, ModernBERT, GPT-2, LLaMA, Mistral, Qwen2 and Qwen3, with the names of transformers";

impl Family {
    /// The family of a value of `model_type`.
    fn of(model_type: &str) -> Option<&'static Family> {
        FAMILIES.into_iter().find(|family| family.model_types.contains(&model_type))
    }

    /// The name here of a tensor in a file.
    fn rename(&self, name: &str) -> Option<String> {
        let plain = name.strip_prefix(self.prefix).unwrap_or(name);
        if (self.is_unused)(plain) {
            return None;
        }
        if self.body.iter().any(|part| plain.starts_with(part)) {
            return Some(format!("{}{}", self.prefix, renewed(plain)));
        }
        self.heads.iter().any(|head| name.starts_with(head)).then(|| renewed(name))
    }
}

/// The name of a table of words by itself, or of a parameter of a normalisation that was converted from TensorFlow long ago.
fn renewed(name: &str) -> String {
    if name == static_embedding::TABLE {
        return "embeddings.weight".to_string();
    }
    match (name.strip_suffix("LayerNorm.gamma"), name.strip_suffix("LayerNorm.beta")) {
        (Some(start), _) => format!("{start}LayerNorm.weight"),
        (_, Some(start)) => format!("{start}LayerNorm.bias"),
        _ => name.to_string(),
    }
}

/// A published network for texts, ready for use; its tokenizer is in the same folder.
#[derive(Debug, Clone)]
pub struct PublishedText {
    /// The network.
    pub config: ModelConfig,
    /// What stands behind the hidden states.
    pub head: TextHead,
    /// Names of its classes in the order of the outputs, numbers where none are known; none without classes.
    pub classes: Vec<String>,
    /// Whether a text may have several of the classes at once.
    pub multi_label: bool,
    /// How a sentence becomes one vector, where the model says so.
    pub sentence: Option<SentencePooling>,
    /// Weights by the names that the network declares.
    pub weights: BTreeMap<String, Array>,
    /// What was found in the files.
    pub report: LoadReport,
    /// Tokens with which a text ends.
    pub end_tokens: Vec<u32>,
    /// The folder of its files.
    pub folder: PathBuf,
}

impl PublishedText {
    /// Whether a folder, or the folder of a file by one of the usual names, says in its `config.json` that it holds a
    /// network for texts that is read here.
    pub fn is_in(path: &Path) -> bool {
        let folder = if path.is_dir() { Some(path) } else { weights_of(path) };
        let config = folder.and_then(|folder| read_settings(&folder.join("config.json")).ok());
        // What is written here says `version`.
        let config = config.filter(|config| config.get("version").is_none());
        config.is_some_and(|config| config["model_type"].as_str().is_some_and(|name| Family::of(name).is_some()))
    }

    /// Reads a model: a folder in Hugging Face's layout with `config.json` and `model.safetensors` or what
    /// [`Weights::open`] reads in its place.
    ///
    /// # Errors
    /// If a file cannot be read or is damaged, `config.json` is wrong or describes a variant that is not read, a tensor
    /// has a wrong shape or is missing, or one is left over; all such tensors are named.
    pub fn load(path: &Path) -> Result<PublishedText> {
        let Folder { mut weights, hints, classes, .. } = Folder::open(path)?;
        let folder = if path.is_dir() { path } else { weights_of(path).unwrap_or(path) };
        let config_file = folder.join("config.json");
        let family = hints.text("model_type").and_then(Family::of).ok_or_else(|| {
            let found = hints.text("model_type").unwrap_or("none");
            ZooError::file(&config_file, format!("has the `model_type` {found}; known are {KNOWN}"))
        })?;
        let read = read(&mut weights, family, &hints, &config_file)?;
        let (config, head, weights, mut report) = read;
        let classes = match (head, classes) {
            (TextHead::Classes(outputs), Some(names)) if names.len() == outputs => names,
            (TextHead::Classes(outputs), names) => {
                if let Some(names) = names {
                    let count = names.len();
                    report.notes.push(format!("`config.json` names {count} classes, but there are {outputs} outputs"));
                }
                imagenet::numbered(outputs)
            }
            _ => Vec::new(),
        };
        let sentence = sentence::read(folder)?;
        let multi_label = hints.text("problem_type") == Some("multi_label_classification");
        let end_tokens = end_tokens(folder, &hints)?;
        let folder = folder.to_path_buf();
        Ok(PublishedText { config, head, classes, multi_label, sentence, weights, report, end_tokens, folder })
    }
}

/// Recognises the network, holds all tensors against it and reads them.
fn read(
    weights: &mut Weights,
    family: &'static Family,
    hints: &Hints,
    config_file: &Path,
) -> Result<(ModelConfig, TextHead, BTreeMap<String, Array>, LoadReport)> {
    let path = weights.path().to_path_buf();
    let (shapes, prefix) = Shapes::of(weights);
    let names = shapes.renamed(|name| family.rename(name));
    let wrong = |problem: String| ZooError::file(config_file, problem);
    let config = (family.config)(&names, hints).map_err(wrong)?;
    let scope = Scope::root();
    let network = build(&config, &scope).map_err(|error| wrong(format!("describes what cannot be built: {error}")))?;
    let head = network.text().map_or(TextHead::None, |network| network.sizes().head);
    let declarations = scope.declarations();
    let declared: BTreeSet<&str> = declarations.iter().map(|declaration| &declaration.name[..]).collect();
    let of_head = |name: &str| family.heads.iter().any(|head| name.starts_with(head));
    let unused = |name: &str| (family.is_unused)(name.strip_prefix(family.prefix).unwrap_or(name));
    let idle = |name: &str| of_head(name) && !declared.contains(&renewed(name)[..]);
    let mut notes = Vec::new();
    let idle_head = |name: &&str| idle(name) && !is_tied(&declarations, name);
    if let (Some(name), Some(task)) = (shapes.names().find(idle_head), task(hints)) {
        notes.push(format!("what it has for {task}, such as `{name}`, is not used"));
    }
    let recognised = Recognised::new(family.architecture, "transformers", config, (), "")
        .named(&shapes, |name| family.rename(name))
        .ignoring(&shapes, |name| unused(name) || idle(name))
        .noted(notes);
    let (report, values) = {
        let (report, differences) = compare(&shapes, &recognised, &declarations, weights.notes());
        let missing = report.new.iter().collect::<Vec<_>>();
        if let Some(problem) = super::report::wrong(&report, &differences.shapes, &missing) {
            return Err(ZooError::file(&path, problem));
        }
        (report, read_values(weights, &prefix, &recognised.names, &declarations)?)
    };
    Ok((recognised.config, head, values, report))
}

/// Whether a tensor is another name of one that is declared.
fn is_tied(declarations: &[Declaration], name: &str) -> bool {
    declarations.iter().any(|declaration| declaration.aliases.iter().any(|alias| alias == name))
}

/// What a model was trained for, such as `SequenceClassification`, where `config.json` says so.
fn task(hints: &Hints) -> Option<&str> {
    hints.config["architectures"][0].as_str()?.split_once("For").map(|(_, task)| task)
}

/// The classes of a model with such a last layer, unless that is for single tokens or other tasks.
pub(super) fn classes(shapes: &Shapes, hints: &Hints, output: &str) -> TextHead {
    let for_texts = task(hints).is_none_or(|task| task == "SequenceClassification");
    match shapes.axis(output, 0).filter(|_| for_texts) {
        Some(classes) => TextHead::Classes(classes),
        None => TextHead::None,
    }
}

/// The last layer of a decoder: classes, the vocabulary if its weights are there or those of the table of words, or none.
pub(super) fn decoder_head(shapes: &Shapes, hints: &Hints, tied: bool) -> TextHead {
    match classes(shapes, hints, "score.weight") {
        TextHead::None if tied || shapes.has("lm_head.weight") => TextHead::Vocabulary,
        head => head,
    }
}

/// The tokens with which a text ends, from `generation_config.json`, else `config.json`.
fn end_tokens(folder: &Path, hints: &Hints) -> Result<Vec<u32>> {
    let own = read_settings(&folder.join("generation_config.json"))?;
    let given = [&own["eos_token_id"], &hints.config["eos_token_id"]].into_iter().find(|value| !value.is_null());
    let number = |value: &serde_json::Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    Ok(match given {
        Some(serde_json::Value::Array(ids)) => ids.iter().filter_map(number).collect(),
        Some(id) => number(id).into_iter().collect(),
        None => Vec::new(),
    })
}

/// No network has a setting of more.
const LARGEST: u64 = 1 << 32;

impl Hints {
    /// A number of something, or `default` where nothing is said.
    pub(super) fn length(&self, key: &str, default: usize) -> Result<usize, String> {
        match &self.config[key] {
            serde_json::Value::Null => Ok(default),
            value => match value.as_u64().filter(|&length| length <= LARGEST) {
                Some(length) => Ok(length as usize),
                None => Err(format!("has {value} for `{key}`, which must be a whole number")),
            },
        }
    }

    /// A number that need not be whole, or `default` where nothing is said.
    pub(super) fn real(&self, key: &str, default: f64) -> Result<f64, String> {
        match &self.config[key] {
            serde_json::Value::Null => Ok(default),
            value => value.as_f64().ok_or_else(|| format!("has {value} for `{key}`, which must be a number")),
        }
    }

    /// Whether something is so, or `default` where nothing is said.
    pub(super) fn flag_or(&self, key: &str, default: bool) -> Result<bool, String> {
        match &self.config[key] {
            serde_json::Value::Null => Ok(default),
            value => value.as_bool().ok_or_else(|| format!("has {value} for `{key}`, which must be true or false")),
        }
    }

    /// An activation function by its name in transformers, or `default` where nothing is said.
    pub(super) fn activation(&self, key: &str, default: Activation) -> Result<Activation, String> {
        match &self.config[key] {
            serde_json::Value::Null => Ok(default),
            value => match value.as_str().unwrap_or_default() {
                "gelu" | "gelu_python" => Ok(Activation::Gelu),
                "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" | "gelu_accurate" => Ok(Activation::GeluTanh),
                "relu" => Ok(Activation::Relu),
                "silu" | "swish" => Ok(Activation::Silu),
                "tanh" => Ok(Activation::Tanh),
                _ => Err(format!("has the activation {value} for `{key}`, which is not read")),
            },
        }
    }

    /// Fails where a setting asks for a variant that is not read.
    pub(super) fn refuse(&self, key: &str, is_read: impl FnOnce(&serde_json::Value) -> bool) -> Result<(), String> {
        match &self.config[key] {
            serde_json::Value::Null => Ok(()),
            value if is_read(value) => Ok(()),
            value => Err(format!("has {value} for `{key}`, a variant that is not read")),
        }
    }
}
