//! A model in several files, named by an index: `model.safetensors.index.json` or `pytorch_model.bin.index.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Component, Path};

use serde::Deserialize;

use super::{Source, Weights};
use crate::error::{Result, ZooError};

/// An index of a hundred thousand tensors has about 10 MB.
const MOST_BYTES: u64 = 100_000_000;
const MOST_FILES: usize = 10_000;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Opens all files of an index, which lie beside it.
pub(super) fn open(path: &Path) -> Result<Weights> {
    let io = |source: std::io::Error| ZooError::io("read", path, &source);
    let wrong = |problem: String| ZooError::file(path, problem);
    if std::fs::metadata(path).map_err(io)?.len() > MOST_BYTES {
        return Err(wrong(format!(
            "begins as JSON, but is larger than the {MOST_BYTES} bytes of any index of weights"
        )));
    }
    let text = std::fs::read(path).map_err(io)?;
    let index: Index = serde_json::from_slice(&text).map_err(|error| {
        wrong(format!("is JSON, but no index of weights ({error}); give the file of weights or the model's folder"))
    })?;
    let names: BTreeSet<&String> = index.weight_map.values().collect();
    if names.len() > MOST_FILES {
        return Err(wrong(format!("names {} files, but at most {MOST_FILES} are read", names.len())));
    }
    let mut files = Vec::new();
    for name in names {
        // A model may not reach outside of its folder.
        let mut parts = Path::new(name).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
            return Err(wrong(format!("names the file '{name}', which is not beside it; its files must be")));
        }
        let part = path.with_file_name(name);
        let file = File::open(&part).map_err(|source| ZooError::io("read", &part, &source))?;
        files.push((part, Box::new(file) as Box<dyn Source>));
    }
    let mut weights = Weights::of(files)?;
    for (name, file) in &index.weight_map {
        match weights.entries.get(name) {
            None => return Err(wrong(format!("says that '{file}' holds `{name}`, but it does not"))),
            Some((held, _)) if weights.files[*held].0 != path.with_file_name(file) => {
                let other = weights.files[*held].0.display();
                return Err(wrong(format!("says that '{file}' holds `{name}`, but '{other}' does")));
            }
            Some(_) => {}
        }
    }
    weights.entries.retain(|name, _| index.weight_map.contains_key(name));
    Ok(weights)
}
