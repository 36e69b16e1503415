use std::path::{Path, PathBuf};

use thiserror::Error;

/// Everything that can go wrong with a hub.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HubError {
    /// The name is none.
    #[error("'{name}' is no name of a model: it must be OWNER/NAME, of letters, digits, '.', '_' and '-'")]
    Name {
        /// The name.
        name: String,
    },
    /// The hub does not answer, or not as a hub does.
    #[error("{endpoint}: {problem}")]
    Remote {
        /// Address of the hub.
        endpoint: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// What was fetched is not what the hub has.
    #[error("'{}' is damaged: its hash is {found}, and that of the hub's file {expected}; it was removed, fetch it again", path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// Its hash.
        found: String,
        /// The hash by which the hub knows it.
        expected: String,
    },
    /// The model is not kept here.
    #[error("'{name}' is not on this computer; fetch it with `deepfit models pull {name}`")]
    Absent {
        /// The model.
        name: String,
    },
    /// A file or folder cannot be read, written or removed.
    #[error("cannot {action} '{}': {problem}", path.display())]
    Io {
        /// `read`, `write` or `remove`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason the operating system gives.
        problem: String,
    },
}

impl HubError {
    pub(crate) fn io(action: &'static str, path: &Path, error: &std::io::Error) -> Self {
        HubError::Io { action, path: path.to_path_buf(), problem: error.to_string() }
    }
}

/// Result of this crate's functions.
pub type Result<T, E = HubError> = std::result::Result<T, E>;
