//! Published models from a hub: fetched when that is asked for, and then found without a network.
//!
//! Files lie where Hugging Face's own tools keep them, so that what one of them fetched is there for all. Each is held against
//! the hash by which the hub knows it.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod cache;
mod error;
mod hash;
mod pull;

use std::path::{Path, PathBuf};

pub use cache::Cached;
pub use error::{HubError, Result};

/// Where models are fetched from and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hub {
    endpoint: String,
    cache: PathBuf,
    token: Option<String>,
}

/// Hugging Face's hub.
const ENDPOINT: &str = "https://huggingface.co";

impl Hub {
    /// As the environment says: `HF_ENDPOINT`, `HF_TOKEN`, and of `HF_HUB_CACHE` or `HF_HOME` where files are kept, by
    /// default below `~/.cache/huggingface`. No connection is opened.
    pub fn from_environment() -> Hub {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let default = hf_hub::Cache::default();
        let cache = variable("HF_HUB_CACHE")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(variable("HF_HOME")?).join("hub")))
            .unwrap_or_else(|| default.path().clone());
        let kept = hf_hub::Cache::new(cache.clone()).token();
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_string());
        Hub::new(&endpoint, &cache, variable("HF_TOKEN").or(kept))
    }

    /// A hub at an address, with a folder to keep files in, and perhaps a token for models that need one.
    pub fn new(endpoint: &str, cache: &Path, token: Option<String>) -> Hub {
        Hub { endpoint: endpoint.trim_end_matches('/').to_string(), cache: cache.to_path_buf(), token }
    }

    /// Its address.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

/// Fails unless a text is the name of a model, `OWNER/NAME` or `NAME`.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if is_name(name) { Ok(()) } else { Err(HubError::Name { name: name.to_string() }) }
}

/// Whether a text may be the name of a model: it then cannot lead out of the folder in which models are kept.
pub fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        (1..=96).contains(&part.len())
            && part.chars().all(fine)
            && !part.starts_with(['.', '-'])
            && !part.contains("--")
    };
    let parts: Vec<&str> = name.split('/').collect();
    matches!(parts.len(), 1 | 2) && parts.into_iter().all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_be_paths() {
        for name in ["timm/resnet18.a1_in1k", "gpt2", "a-b/c_d.e"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "/", "a/", "/a", "../a", "a/..", "a/b/c", "a\\b", "a b", "a--b/c", ".hidden", "-x", "a/b\n"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
