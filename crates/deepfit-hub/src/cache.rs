//! Models that are kept on this computer.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{HubError, Result};
use crate::{Hub, check_name, is_name};

/// A model on this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// Its name at the hub.
    pub name: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// The folder with the files of its newest version.
    pub folder: PathBuf,
}

/// Models are kept in folders of names that begin so.
const PREFIX: &str = "models--";

impl Hub {
    /// Folder of everything that belongs to a model.
    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.cache.join(format!("{PREFIX}{}", name.replace('/', "--")))
    }

    /// The folder of a model's files, if it was fetched; no connection is opened.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        if !is_name(name) {
            return None;
        }
        let home = self.home(name);
        let commit = fs::read_to_string(home.join("refs").join("main")).ok()?;
        let commit = commit.trim();
        let folder = home.join("snapshots").join(commit);
        (crate::hash::is_hash(commit) && folder.is_dir()).then_some(folder)
    }

    /// All models that were fetched, by name.
    ///
    /// # Errors
    /// If the folder in which they are kept cannot be read.
    pub fn cached(&self) -> Result<Vec<Cached>> {
        let entries = match fs::read_dir(&self.cache) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(HubError::io("read", &self.cache, &error)),
        };
        let mut found = Vec::new();
        for entry in entries.filter_map(std::result::Result::ok) {
            let folder = entry.file_name();
            let Some(name) = folder.to_str().and_then(|folder| folder.strip_prefix(PREFIX)) else { continue };
            let name = name.replacen("--", "/", 1);
            if let Some(folder) = self.find(&name) {
                found.push(Cached { bytes: size(&entry.path().join("blobs")), name, folder });
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Removes a model from this computer, and returns the bytes that this frees.
    ///
    /// # Errors
    /// If it is not there, or cannot be removed.
    pub fn remove(&self, name: &str) -> Result<u64> {
        check_name(name)?;
        let home = self.home(name);
        if !home.is_dir() {
            return Err(HubError::Absent { name: name.to_string() });
        }
        let bytes = size(&home.join("blobs"));
        fs::remove_dir_all(&home).map_err(|error| HubError::io("remove", &home, &error))?;
        Ok(bytes)
    }
}

/// Bytes of the files in a folder.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(std::result::Result::ok);
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}
