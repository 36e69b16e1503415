//! A fingerprint of the data, by which a resumed run notices that it has changed.

use std::fs;
use std::io::Read;
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use crate::error::{Result, TrainError};

/// Key of the fingerprint in `settings.toml`.
pub const FINGERPRINT: &str = "data_fingerprint";

/// Of a file, a hash of its content; of a folder, of the names and sizes of the files in it.
pub fn fingerprint(path: &Path) -> Result<String> {
    let fail = |source| TrainError::Io { action: "read", path: path.to_path_buf(), source };
    let mut hasher = Xxh3::new();
    if path.is_dir() {
        add_folder(path, &mut hasher).map_err(fail)?;
    } else {
        let mut file = fs::File::open(path).map_err(fail)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer).map_err(fail)? {
                0 => break,
                n => hasher.update(&buffer[..n]),
            }
        }
    }
    Ok(format!("{:032x}", hasher.digest128()))
}

fn add_folder(folder: &Path, hasher: &mut Xxh3) -> std::io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        hasher.update(entry.file_name().as_encoded_bytes());
        let metadata = fs::metadata(entry.path())?;
        if metadata.is_dir() {
            hasher.update(b"/");
            add_folder(&entry.path(), hasher)?;
        } else {
            hasher.update(&metadata.len().to_le_bytes());
        }
    }
    Ok(())
}
