//! Fetching a model's files.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Repo, RepoType};
use serde_json::Value;

use crate::error::{HubError, Result};
use crate::hash;
use crate::{Hub, check_name};

/// What lies beside the weights and is used.
const BESIDE: [&str; 11] = [
    "config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "generation_config.json",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
];
/// Weights, best first; an index names further files.
const WEIGHTS: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
/// The newest version.
const REVISION: &str = "main";

impl Hub {
    /// Fetches the newest version of a model, as far as it is not there already; what was begun is continued. `told` gets a
    /// sentence for each file. Returns the folder of its files.
    ///
    /// # Errors
    /// If there is no such model, it needs a token, it has no weights, the hub does not answer, or what it sends is not what it
    /// announced.
    pub fn pull(&self, name: &str, told: &mut dyn FnMut(&str)) -> Result<PathBuf> {
        check_name(name)?;
        let builder = ApiBuilder::new().with_endpoint(self.endpoint.clone()).with_cache_dir(self.cache.clone());
        let builder = builder.with_token(self.token.clone()).with_progress(false).with_retries(2);
        let api = builder.build().map_err(|error| self.remote(name, &error))?;
        let repo = api.repo(Repo::with_revision(name.to_string(), RepoType::Model, REVISION.to_string()));
        let info = repo.info().map_err(|error| self.remote(name, &error))?;
        let files: Vec<&str> = info.siblings.iter().map(|file| &file.rfilename[..]).collect();
        let Some(weights) = WEIGHTS.into_iter().find(|file| files.contains(file)) else {
            let problem = format!("`{name}` has none of the files that are read: {}", WEIGHTS.join(", "));
            return Err(HubError::Remote { endpoint: self.endpoint.clone(), problem });
        };
        for file in BESIDE.into_iter().filter(|file| files.contains(file)) {
            self.fetch(name, &api, &repo, file, told)?;
        }
        let path = self.fetch(name, &api, &repo, weights, told)?;
        if weights.ends_with(".index.json") {
            for part in parts(&path)? {
                if !files.contains(&&part[..]) {
                    let problem = format!("`{name}` lacks '{part}', which its index names");
                    return Err(HubError::Remote { endpoint: self.endpoint.clone(), problem });
                }
                self.fetch(name, &api, &repo, &part, told)?;
            }
        }
        self.find(name).ok_or_else(|| HubError::Absent { name: name.to_string() })
    }

    /// Fetches one file, unless it is there, and holds it against its hash.
    fn fetch(&self, name: &str, api: &Api, repo: &ApiRepo, file: &str, told: &mut dyn FnMut(&str)) -> Result<PathBuf> {
        let remote = |error: ApiError| self.remote(name, &error);
        let metadata = api.metadata(&repo.url(file)).map_err(remote)?;
        // Both become parts of paths.
        if !hash::is_hash(metadata.etag()) || !hash::is_hash(metadata.commit_hash()) {
            let problem = format!("announces '{file}' by what is no hash; this is not a hub of models");
            return Err(HubError::Remote { endpoint: self.endpoint.clone(), problem });
        }
        let there = self.home(name).join("snapshots").join(metadata.commit_hash()).join(file);
        let bytes = metadata.size() as u64;
        let whole = std::fs::metadata(&there).is_ok_and(|found| found.len() == bytes);
        if whole && self.find(name).is_some_and(|folder| folder.ends_with(metadata.commit_hash())) {
            told(&format!("{file}: {bytes} bytes, there already"));
            return Ok(there);
        }
        told(&format!("{file}: {bytes} bytes"));
        let path = repo.download(file).map_err(remote)?;
        if let Err(error) = hash::check(&path, metadata.etag()) {
            // The next attempt begins anew: of what is wrong nothing can be continued.
            let blob = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            for damaged in [&blob, &path] {
                let _ = std::fs::remove_file(damaged);
            }
            return Err(error);
        }
        Ok(path)
    }

    /// What an error of the connection means.
    fn remote(&self, name: &str, error: &ApiError) -> HubError {
        let told = error.to_string();
        let status = |code: u16| told.contains(&format!("http status: {code}"));
        let problem = if status(404) {
            format!("there is no model `{name}`, or not for everyone; check its name")
        } else if status(401) || status(403) {
            format!("`{name}` is not open to everyone; agree to its terms there, and set HF_TOKEN to a token of yours")
        } else {
            format!("`{name}` cannot be fetched: {told}; check the connection, or set HF_ENDPOINT to a mirror")
        };
        HubError::Remote { endpoint: self.endpoint.clone(), problem }
    }
}

/// The files that an index names, each in the same folder.
fn parts(index: &Path) -> Result<Vec<String>> {
    let text = std::fs::read(index).map_err(|error| HubError::io("read", index, &error))?;
    let value: Value = serde_json::from_slice(&text).unwrap_or_default();
    let mut names: Vec<String> =
        value["weight_map"].as_object().into_iter().flat_map(|map| map.values()).filter_map(name).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// The plain name of a file.
fn name(value: &Value) -> Option<String> {
    let name = value.as_str()?;
    (!name.contains(['/', '\\']) && !name.starts_with('.')).then(|| name.to_string())
}
