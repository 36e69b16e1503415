//! The files of a published model.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Hints;
use super::preprocessing::ImagePreprocessing;
use crate::error::{Result, ZooError};
use crate::weights::Weights;

/// Names of the weights in a folder, best first.
const WEIGHTS: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
/// Other files of weights end so.
const ENDINGS: [&str; 4] = ["safetensors", "pth", "pt", "bin"];
/// A file of settings with a thousand long class names has about 100 KB.
const MOST_BYTES: u64 = 10_000_000;
/// In the name of a file that says which architecture it holds.
const FAMILIES: [&str; 6] = ["efficientnet", "mobilenet", "resnet", "convnext", "vit", "deit"];

/// What the files of a model say.
pub(super) struct Folder {
    pub(super) weights: Weights,
    pub(super) hints: Hints,
    pub(super) preprocessing: Option<ImagePreprocessing>,
    pub(super) classes: Option<Vec<String>>,
}

impl Folder {
    /// Opens a folder, or a file of weights with what lies beside it.
    pub(super) fn open(path: &Path) -> Result<Folder> {
        let metadata = std::fs::metadata(path).map_err(|error| ZooError::io("read", path, &error))?;
        let file = if metadata.is_dir() { weights_in(path)? } else { path.to_path_buf() };
        let folder = if metadata.is_dir() { Some(path) } else { weights_of(path) };
        let read = |name: &str| folder.map_or(Ok(Value::Null), |folder| read_settings(&folder.join(name)));
        let (config, preprocessor) = (read("config.json")?, read("preprocessor_config.json")?);
        let wrong = |name: &str, problem: String| {
            let path = folder.map_or_else(PathBuf::new, |folder| folder.join(name));
            ZooError::file(&path, format!("is wrong: {problem}"))
        };
        let preprocessing = match (&preprocessor, &config["pretrained_cfg"]) {
            (Value::Null, Value::Null) => None,
            (Value::Null, timm) => {
                Some(ImagePreprocessing::from_timm(timm).map_err(|problem| wrong("config.json", problem))?)
            }
            (preprocessor, _) => Some(
                ImagePreprocessing::from_json(preprocessor)
                    .map_err(|problem| wrong("preprocessor_config.json", problem))?,
            ),
        };
        let weights = Weights::open(&file)?;
        let named = config["architecture"].as_str().map(str::to_string);
        let stem = file.file_stem().map(|stem| stem.to_string_lossy().to_lowercase());
        let stem = stem.filter(|stem| FAMILIES.iter().any(|family| stem.contains(family)));
        let classes = classes(&config);
        let hints = Hints { architecture: named.or(stem), config };
        Ok(Folder { weights, hints, preprocessing, classes })
    }
}

/// The folder that a file of weights belongs to: one by a usual name belongs to its folder, any other stands for itself.
pub(super) fn weights_of(file: &Path) -> Option<&Path> {
    let usual = file.file_name().and_then(|name| name.to_str()).is_some_and(|name| WEIGHTS.contains(&name));
    file.parent().filter(|_| usual)
}

/// Whether a folder holds files of weights.
pub(super) fn holds_weights(folder: &Path) -> bool {
    candidates(folder).is_ok_and(|found| !found.is_empty())
}

/// Files in a folder that may be the weights; one by a usual name stands for all.
fn candidates(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    if let Some(known) = WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
        return Ok(vec![known]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if ENDINGS.contains(&ending) && path.is_file() {
            found.push(path);
        }
    }
    Ok(found)
}

/// The file of weights in a folder.
fn weights_in(folder: &Path) -> Result<PathBuf> {
    match &candidates(folder).map_err(|error| ZooError::io("read", folder, &error))?[..] {
        [only] => Ok(only.clone()),
        [] => Err(ZooError::file(folder, "holds no weights; a model's folder has a `model.safetensors`")),
        several => {
            let problem = format!("holds {} files of weights; give the one that is meant", several.len());
            Err(ZooError::file(folder, problem))
        }
    }
}

/// A file of settings; null if there is none.
pub(super) fn read_settings(path: &Path) -> Result<Value> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Value::Null),
        Err(error) => return Err(ZooError::io("read", path, &error)),
        Ok(metadata) if metadata.len() > MOST_BYTES => {
            return Err(ZooError::file(path, format!("is larger than the {MOST_BYTES} bytes of any such file")));
        }
        Ok(_) => {}
    }
    let text = std::fs::read(path).map_err(|error| ZooError::io("read", path, &error))?;
    serde_json::from_slice(&text).map_err(|error| ZooError::file(path, format!("is damaged: {error}")))
}

/// The names of the classes in `config.json`, if it has them: transformers' `id2label`, or timm's `label_names`.
fn classes(config: &Value) -> Option<Vec<String>> {
    if let Some(names) = config["label_names"].as_array() {
        return names.iter().map(|name| name.as_str().map(str::to_string)).collect();
    }
    let names = config["id2label"].as_object()?;
    let name = |id: usize| names.get(&id.to_string())?.as_str().map(str::to_string);
    (0..names.len()).map(name).collect()
}
