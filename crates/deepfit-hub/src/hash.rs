//! The hashes by which a hub knows its files: SHA-256 of large ones, and of small ones git's SHA-1.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::error::{HubError, Result};

/// Whether a text is a hash of one of the two kinds, and nothing that could lead anywhere as a path.
pub(crate) fn is_hash(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Fails unless a file has this hash.
pub(crate) fn check(path: &Path, expected: &str) -> Result<()> {
    let read = |error: std::io::Error| HubError::io("read", path, &error);
    let mut file = File::open(path).map_err(read)?;
    let length = file.metadata().map_err(read)?.len();
    let found = if expected.len() == 64 {
        hex(&digest(&mut file, Sha256::new()).map_err(read)?)
    } else {
        hex(&digest(&mut file, Sha1::new_with_prefix(format!("blob {length}\0"))).map_err(read)?)
    };
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(HubError::Hash { path: path.to_path_buf(), found, expected: expected.to_string() })
}

fn digest<D: Digest>(file: &mut File, mut digest: D) -> std::io::Result<Vec<u8>> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(digest.finalize().to_vec()),
            count => digest.update(&buffer[..count]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_either_hash() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        std::fs::write(&path, "hello\n").expect("a file");
        // `git hash-object` and `sha256sum`.
        check(&path, "ce013625030ba8dba906f756967f9e9ca394464a").expect("git's hash");
        check(&path, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03").expect("a SHA-256");
        assert!(matches!(check(&path, &"0".repeat(64)), Err(HubError::Hash { .. })));
        assert!(!is_hash("../../../../../../../../../../../etc/passwd") && !is_hash("ce01"));
    }
}
