use std::path::{Path, PathBuf};

use deepfit_nn::NnError;
use thiserror::Error;

/// Everything that can go wrong while a network is made from its settings, or a published model is read.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ZooError {
    /// A layer or the graph refuses.
    #[error(transparent)]
    Nn(#[from] NnError),
    /// A setting of the network is impossible.
    #[error("{model}: `{setting}` {problem}")]
    Setting {
        /// Model type, such as `resnet`.
        model: &'static str,
        /// Name of the setting.
        setting: &'static str,
        /// What is wrong with its value and what would be right.
        problem: String,
    },
    /// A file or folder cannot be read.
    #[error("cannot {action} '{}': {problem}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason the operating system gives.
        problem: String,
    },
    /// A file or folder of a model is damaged, or not what is read.
    #[error("'{}' {problem}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, where, and what to do.
        problem: String,
    },
}

impl ZooError {
    pub(crate) fn io(action: &'static str, path: &Path, source: &std::io::Error) -> Self {
        ZooError::Io { action, path: path.to_path_buf(), problem: source.to_string() }
    }

    pub(crate) fn file(path: &Path, problem: impl Into<String>) -> Self {
        ZooError::File { path: path.to_path_buf(), problem: problem.into() }
    }
}

/// Result of making a network.
pub type Result<T, E = ZooError> = std::result::Result<T, E>;

/// Fails with [`ZooError::Setting`] unless `holds`.
pub(crate) fn require(
    holds: bool,
    model: &'static str,
    setting: &'static str,
    problem: impl FnOnce() -> String,
) -> Result<()> {
    if holds { Ok(()) } else { Err(ZooError::Setting { model, setting, problem: problem() }) }
}

/// Fails unless every length of a list is at least 1.
pub(crate) fn require_lengths(lengths: &[usize], model: &'static str, setting: &'static str) -> Result<()> {
    require(!lengths.contains(&0), model, setting, || format!("is {lengths:?}, but every number must be at least 1"))
}

/// Fails unless a probability of dropout is at least 0 and below 1.
pub(crate) fn require_dropout(dropout: f32, model: &'static str) -> Result<()> {
    require((0.0..1.0).contains(&dropout), model, "dropout", || {
        format!("is {dropout}, but must be at least 0 and below 1")
    })
}
