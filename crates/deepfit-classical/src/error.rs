//! What can go wrong.

use thiserror::Error;

/// Errors of classical learners.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ClassicalError {
    /// It was asked to stop, as when the time is used up.
    #[error("stopped before it was trained")]
    Stopped,
    /// The rows cannot be learned from.
    #[error("{0}")]
    Rows(String),
    /// The bytes are no model, or a damaged one.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// The bytes were written by a newer version.
    #[error("is of version {found}, and this program knows versions up to {known}")]
    NewerVersion {
        /// Version of the bytes.
        found: u32,
        /// The newest one that is known.
        known: u32,
    },
}

/// Results of classical learners.
pub type Result<T> = std::result::Result<T, ClassicalError>;
