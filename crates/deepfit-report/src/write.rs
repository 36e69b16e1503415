//! Writing so that a file is either the old one or the new one.

use std::io::Write;
use std::path::Path;

use deepfit_train::{Durability, TrainError, write_atomically};

use crate::error::{ReportError, Result};

/// Writes a file atomically.
///
/// # Errors
/// If anything fails; an old file is then still there, and nothing half-written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.is_dir() {
        let source = std::io::Error::from(std::io::ErrorKind::IsADirectory);
        return Err(ReportError::Write { path: path.to_path_buf(), source });
    }
    let written =
        write_atomically(path, Durability::Process, |temporary| std::fs::File::create(temporary)?.write_all(bytes));
    written.map_err(|error| match error {
        TrainError::Io { path, source, .. } => ReportError::Write { path, source },
        other => other.into(),
    })
}
