//! What can go wrong while a prediction is explained.

use deepfit_train::{ErrorKind, TrainError};
use thiserror::Error;

/// Errors of explanations.
#[derive(Debug, Error)]
pub enum ExplainError {
    /// What was asked for does not fit the model or the input; the message says what to do.
    #[error("{problem}")]
    Asked {
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The model or the data cannot be used.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A picture cannot be written.
    #[error("cannot write '{}': {source}", path.display())]
    Write {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The result of an explanation.
pub type Result<T, E = ExplainError> = std::result::Result<T, E>;

impl ExplainError {
    pub(crate) fn asked(problem: impl Into<String>) -> ExplainError {
        ExplainError::Asked { problem: problem.into() }
    }

    /// Whether somebody can do something about it, for exit codes.
    pub fn kind(&self) -> ErrorKind {
        match self {
            ExplainError::Asked { .. } | ExplainError::Write { .. } => ErrorKind::Input,
            ExplainError::Train(error) => error.kind(),
        }
    }
}

macro_rules! through_train_error {
    ($($error:ty),*) => {
        $(impl From<$error> for ExplainError {
            fn from(error: $error) -> ExplainError {
                ExplainError::Train(error.into())
            }
        })*
    };
}

through_train_error!(deepfit_data::Error, deepfit_nn::NnError, deepfit_zoo::ZooError, deepfit_cpu::Error);
