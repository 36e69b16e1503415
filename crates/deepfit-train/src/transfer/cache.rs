//! Features on disk, found again by the content of the file, the backbone, its preprocessing and the cut.
//!
//! Each process adds files of its own and changes none, each whole or not there (`write_atomically`): so two processes may
//! add to one cache at once, at worst the same features twice. A file that is damaged is removed and made again. What has
//! not been used for longest goes when there is too much.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::run_folder::{Durability, write_atomically};

/// Names the folder of the cache, or, empty, that there is none.
const VARIABLE: &str = "DEEPFIT_CACHE";
/// Most bytes of all features.
const MOST_BYTES: u64 = 1 << 30;
const MAGIC: &[u8; 16] = b"deepfit-feature1";
/// Bytes before the first row: the mark of the format, and how many features a row has.
const HEAD: usize = 24;
const EXTENSION: &str = "features";

/// Features of one backbone, preprocessing and cut.
pub struct Cache {
    folder: Option<PathBuf>,
    key: u128,
    width: usize,
    most_bytes: u64,
}

impl Cache {
    /// The cache of this user; one that holds nothing, if the system names no folder for it.
    pub fn of_user(key: u128, width: usize) -> Cache {
        let folder = match std::env::var_os(VARIABLE) {
            Some(folder) => (!folder.is_empty()).then(|| PathBuf::from(folder)),
            None => user_folder(),
        };
        Cache { folder, key, width, most_bytes: MOST_BYTES }
    }

    /// Gives the features of the wanted contents that are known to `take`; those that are not stay wanted.
    pub fn load(&self, wanted: &mut HashSet<u128>, take: &mut dyn FnMut(u128, &[f32])) {
        for path in self.files() {
            match read(&path, self.width, wanted, take) {
                Ok(true) => {
                    // What was used stays longest. If that cannot be noted, it goes a little earlier.
                    let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
                }
                Ok(false) => {}
                // It is made again: a damaged cache costs time, not a run.
                Err(_) => drop(fs::remove_file(&path)),
            }
        }
    }

    /// Adds features, if there is a place for them.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn add(&self, features: &[(u128, &[f32])]) -> crate::error::Result<()> {
        let Some(folder) = self.folder.as_ref().filter(|_| !features.is_empty()) else { return Ok(()) };
        let fail = |source| crate::TrainError::Io { action: "write", path: folder.clone(), source };
        fs::create_dir_all(folder).map_err(fail)?;
        let mut names = Xxh3::new();
        features.iter().for_each(|(content, _)| names.update(&content.to_le_bytes()));
        let path = folder.join(format!("{:032x}-{:016x}.{EXTENSION}", self.key, names.digest()));
        write_atomically(&path, Durability::Process, |temporary| {
            let mut bytes = Vec::with_capacity(32 + features.len() * (16 + 4 * self.width));
            bytes.extend_from_slice(MAGIC);
            bytes.extend_from_slice(&(self.width as u64).to_le_bytes());
            for (content, values) in features {
                bytes.extend_from_slice(&content.to_le_bytes());
                bytes.extend_from_slice(bytemuck::cast_slice(values));
            }
            let sum = xxh3_64(&bytes);
            bytes.extend_from_slice(&sum.to_le_bytes());
            File::create(temporary)?.write_all(&bytes)
        })?;
        self.make_room(folder);
        Ok(())
    }

    fn files(&self) -> Vec<PathBuf> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let beginning = format!("{:032x}-", self.key);
        let mut files: Vec<PathBuf> = all_files(folder).into_iter().map(|(path, ..)| path).collect();
        files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&beginning)));
        files.sort();
        files
    }

    /// Removes what was not used for longest until the rest is small enough.
    fn make_room(&self, folder: &Path) {
        let mut files = all_files(folder);
        files.sort_by_key(|(_, _, used)| *used);
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (path, bytes, _) in files {
            if total <= self.most_bytes {
                break;
            }
            total -= bytes;
            let _ = fs::remove_file(path);
        }
    }
}

/// Files of features with their size and when they were last used.
fn all_files(folder: &Path) -> Vec<(PathBuf, u64, SystemTime)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let known = entries.filter(|entry| entry.path().extension().is_some_and(|e| e == EXTENSION));
    let described = known.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        Some((entry.path(), metadata.len(), metadata.modified().ok()?))
    });
    described.collect()
}

/// Gives the wanted features of a file to `take`; tells whether there were any. Row by row, since the file may be large, and
/// after all of it has been found whole.
fn read(path: &Path, width: usize, wanted: &mut HashSet<u128>, take: &mut dyn FnMut(u128, &[f32])) -> io::Result<bool> {
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let row = 16 + 4 * width;
    let body = length.checked_sub(HEAD as u64 + 8).filter(|body| body % row as u64 == 0).ok_or_else(damaged)?;
    let (mut hasher, mut buffer) = (Xxh3::new(), vec![0; row.max(1 << 16)]);
    let mut left = body + HEAD as u64;
    while left > 0 {
        let part = &mut buffer[..left.min(1 << 16) as usize];
        file.read_exact(part)?;
        hasher.update(part);
        left -= part.len() as u64;
    }
    let mut sum = [0; 8];
    file.read_exact(&mut sum)?;
    file.seek(io::SeekFrom::Start(0))?;
    let mut file = io::BufReader::new(file);
    let mut head = [0; HEAD];
    file.read_exact(&mut head)?;
    if u64::from_le_bytes(sum) != hasher.digest() || &head[..16] != MAGIC || head[16..] != (width as u64).to_le_bytes()
    {
        return Err(damaged());
    }
    let (mut any, mut values) = (false, vec![0.0; width]);
    for _ in 0..body / row as u64 {
        let bytes = &mut buffer[..row];
        file.read_exact(bytes)?;
        let content = u128::from_le_bytes(bytes[..16].try_into().map_err(|_| damaged())?);
        if wanted.remove(&content) {
            for (value, b) in values.iter_mut().zip(bytes[16..].chunks_exact(4)) {
                *value = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            }
            take(content, &values);
            any = true;
        }
    }
    Ok(any)
}

/// Where programs keep what they can make again.
fn user_folder() -> Option<PathBuf> {
    let variables: BTreeMap<&str, PathBuf> = ["XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"]
        .into_iter()
        .filter_map(|name| Some((name, PathBuf::from(std::env::var_os(name).filter(|value| !value.is_empty())?))))
        .collect();
    let base = if cfg!(windows) {
        variables.get("LOCALAPPDATA").cloned()
    } else if cfg!(target_os = "macos") {
        variables.get("HOME").map(|home| home.join("Library/Caches"))
    } else {
        variables.get("XDG_CACHE_HOME").cloned().or_else(|| variables.get("HOME").map(|home| home.join(".cache")))
    };
    base.map(|base| base.join("deepfit").join("features"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(name: &str, most_bytes: u64) -> Cache {
        let folder = std::env::temp_dir().join(format!("deepfit-features-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        Cache { folder: Some(folder), key: 7, width: 3, most_bytes }
    }

    /// What is found of some contents, of which the rest must stay wanted.
    fn found(cache: &Cache, contents: &[u128]) -> BTreeMap<u128, Vec<f32>> {
        let (mut wanted, mut found) = (contents.iter().copied().collect::<HashSet<u128>>(), BTreeMap::new());
        cache.load(&mut wanted, &mut |content, values| {
            found.insert(content, values.to_vec());
        });
        assert!(contents.iter().all(|content| wanted.contains(content) != found.contains_key(content)));
        found
    }

    #[test]
    fn features_are_found_by_content_and_key() {
        let cache = cache("found", MOST_BYTES);
        assert!(found(&cache, &[1]).is_empty());
        cache.add(&[(1, &[1.0, 2.0, 3.0]), (2, &[4.0, 5.0, 6.0])]).unwrap();
        cache.add(&[(3, &[7.0, 8.0, 9.0])]).unwrap();
        let known = found(&cache, &[1, 3, 4]);
        assert_eq!(known, BTreeMap::from([(1, vec![1.0, 2.0, 3.0]), (3, vec![7.0, 8.0, 9.0])]));
        let other = Cache { key: 8, folder: cache.folder.clone(), ..cache };
        assert!(found(&other, &[1, 2, 3]).is_empty());
        fs::remove_dir_all(other.folder.unwrap()).unwrap();
    }

    #[test]
    fn what_is_damaged_is_removed_and_the_rest_still_found() {
        let cache = cache("damaged", MOST_BYTES);
        cache.add(&[(1, &[1.0; 3])]).unwrap();
        let first = cache.files();
        cache.add(&[(2, &[2.0; 3])]).unwrap();
        for change in [|b: &mut Vec<u8>| b[30] ^= 1, |b: &mut Vec<u8>| b.truncate(20), |b: &mut Vec<u8>| b.clear()] {
            cache.add(&[(1, &[1.0; 3])]).unwrap();
            let mut bytes = fs::read(&first[0]).unwrap();
            change(&mut bytes);
            fs::write(&first[0], bytes).unwrap();
            assert_eq!(found(&cache, &[1, 2]).into_keys().collect::<Vec<_>>(), [2]);
            assert!(!first[0].exists());
        }
        fs::remove_dir_all(cache.folder.unwrap()).unwrap();
    }

    #[test]
    fn the_longest_unused_goes_when_there_is_too_much() {
        let cache = cache("room", 200);
        for content in 1..=4 {
            cache.add(&[(content, &[0.5; 3])]).unwrap();
            // Times of files may be coarse.
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let known = found(&cache, &[1, 2, 3, 4]);
        assert!(known.contains_key(&4) && !known.contains_key(&1), "{known:?}");
        fs::remove_dir_all(cache.folder.unwrap()).unwrap();
    }

    #[test]
    fn processes_may_add_at_once() {
        let cache = cache("at-once", MOST_BYTES);
        std::thread::scope(|scope| {
            for thread in 0..4_u128 {
                let cache = &cache;
                scope.spawn(move || {
                    for i in 0..20 {
                        cache.add(&[(thread * 100 + i, &[i as f32; 3])]).unwrap();
                    }
                });
            }
        });
        let all: Vec<u128> = (0..4).flat_map(|t| (0..20).map(move |i| t * 100 + i)).collect();
        assert_eq!(found(&cache, &all).len(), 80);
        fs::remove_dir_all(cache.folder.unwrap()).unwrap();
    }
}
