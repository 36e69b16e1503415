//! What can go wrong when a run is told about.

use std::path::PathBuf;

use deepfit_explain::ExplainError;
use deepfit_train::TrainError;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The run folder is none, or is damaged.
    #[error(transparent)]
    Run(#[from] TrainError),
    /// The model or the data cannot be looked at.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// The data cannot be read again.
    #[error(transparent)]
    Data(#[from] deepfit_data::Error),
    /// There is no such plot, or none of this run.
    #[error("{0}")]
    Asked(String),
    /// A file cannot be written.
    #[error("cannot write '{}': {source}{}", path.display(), remedy(path, source))]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason the operating system gives.
        source: std::io::Error,
    },
}

fn remedy(path: &std::path::Path, source: &std::io::Error) -> String {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match (source.kind(), folder) {
        (std::io::ErrorKind::NotFound, Some(folder)) if !folder.is_dir() => {
            format!("; there is no folder '{}': make it, or choose another place with --out", folder.display())
        }
        (std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::FileTooLarge, _) => {
            "; free some space, or choose another place with --out".to_string()
        }
        _ => "; choose another place with --out".to_string(),
    }
}

impl ReportError {
    /// Whether what was asked for or given is wrong, rather than something that happened.
    pub fn is_input(&self) -> bool {
        match self {
            ReportError::Run(error) => error.kind() == deepfit_train::ErrorKind::Input,
            ReportError::Explain(error) => error.kind() == deepfit_train::ErrorKind::Input,
            ReportError::Data(_) | ReportError::Asked(_) => true,
            ReportError::Write { source, .. } => matches!(
                source.kind(),
                std::io::ErrorKind::NotFound
                    | std::io::ErrorKind::PermissionDenied
                    | std::io::ErrorKind::ReadOnlyFilesystem
                    | std::io::ErrorKind::NotADirectory
                    | std::io::ErrorKind::IsADirectory
            ),
        }
    }
}

/// Result of this crate's functions.
pub type Result<T, E = ReportError> = std::result::Result<T, E>;
