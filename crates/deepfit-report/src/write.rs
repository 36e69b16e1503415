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
    let failed = |source: std::io::Error| ReportError::Write { path: path.to_path_buf(), source };
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(failed(std::io::ErrorKind::IsADirectory.into())),
        // A device or a pipe, which another file must not take the place of.
        Ok(found) if !found.is_file() => {
            let mut there = std::fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
            return there.write_all(bytes).map_err(failed);
        }
        _ => {}
    }
    let written =
        write_atomically(path, Durability::Process, |temporary| std::fs::File::create(temporary)?.write_all(bytes));
    written.map_err(|error| match error {
        TrainError::Io { path, source, .. } => ReportError::Write { path, source },
        other => other.into(),
    })
}
