//! A fingerprint of the data, by which a resumed run notices that it has changed.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use crate::error::{Result, TrainError};
use crate::settings::Settings;

/// Key of the fingerprint in `settings.toml`.
pub const FINGERPRINT: &str = "data_fingerprint";

/// Folders of up to this many bytes are read whole.
const WHOLE: u64 = 64 << 20;
/// Bytes read at the start and at the end of each file of a larger folder.
const PIECE: u64 = 4 << 10;

/// A hash by which changed data is told from the same data, wherever it lies and whenever it was copied.
///
/// Of a file, the content. Of a folder, names and sizes of all files that are not hidden, and their content: all of it
/// if that is 64 MiB at most, else the first and last 4 KiB of each file. Images that are replaced by others of the
/// same size differ there (headers, checksums, the first rows of pixels); reading all of a large folder would delay
/// every start by as much as an epoch of reading. Modification times are not looked at: they change with a copy.
///
/// The table of labels belongs to the data, where there is one.
pub fn fingerprint(path: &Path, labels: Option<&Path>) -> Result<String> {
    let mut hasher = Xxh3::new();
    add(path, &mut hasher)?;
    labels.map_or(Ok(()), |labels| add(labels, &mut hasher))?;
    Ok(format!("{:032x}", hasher.digest128()))
}

/// Whether the data of a run is other than when the run began, by the fingerprint that its settings hold; without one nobody
/// knows.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn has_changed(settings: &Settings, then: Option<&str>) -> Result<bool> {
    let Some(then) = then else { return Ok(false) };
    let now = fingerprint(&settings.data, settings.labels.as_deref())?;
    // Behind the data's stands that of the published network that the run began with.
    Ok(then.split('-').next() != Some(&now[..]))
}

fn add(path: &Path, hasher: &mut Xxh3) -> Result<()> {
    let fail = |source| TrainError::Io { action: "read", path: path.to_path_buf(), source };
    if path.is_dir() {
        let mut files = Vec::new();
        list(path, OsStr::new(""), &mut files).map_err(fail)?;
        let total = files.iter().fold(0_u64, |sum, (_, _, size)| sum.saturating_add(*size));
        let piece = if total <= WHOLE { u64::MAX } else { PIECE };
        for (name, file, size) in files {
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_encoded_bytes());
            hasher.update(&size.to_le_bytes());
            let fail = |source| TrainError::Io { action: "read", path: file.clone(), source };
            add_content(&file, size, piece, hasher).map_err(fail)?;
        }
    } else {
        add_content(path, 0, u64::MAX, hasher).map_err(fail)?;
    }
    Ok(())
}

/// What files looked like from outside when a run began to read them: names, sizes and times of change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp(Vec<(PathBuf, u128)>);

impl Stamp {
    /// Of these files and folders; what cannot be looked at is told by whoever reads it.
    pub(crate) fn of<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Stamp {
        Stamp(paths.into_iter().map(|path| (path.clone(), look(path).unwrap_or(0))).collect())
    }

    /// Refuses to go on with files that have changed since.
    ///
    /// # Errors
    /// If one has; it is named, or the folder that it is in.
    pub(crate) fn check(&self) -> Result<()> {
        match self.0.iter().find(|(path, then)| look(path).unwrap_or(0) != *then) {
            None => Ok(()),
            Some((path, _)) => {
                let place = newest(path).unwrap_or_else(|| path.clone());
                let problem = "has changed while it was being read, so that nobody knows what would be learned from; wait until \
                               nothing writes there any more, or copy the data, and start again";
                Err(TrainError::run(place, problem))
            }
        }
    }
}

/// A hash of names, sizes and times of change.
fn look(path: &Path) -> std::io::Result<u128> {
    let mut hasher = Xxh3::new();
    let mut add = |path: &Path, size: u64| -> std::io::Result<()> {
        let changed = fs::metadata(path)?.modified()?;
        let since = changed.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update(&size.to_le_bytes());
        hasher.update(&since.to_le_bytes());
        Ok(())
    };
    if path.is_dir() {
        let mut files = Vec::new();
        list(path, OsStr::new(""), &mut files)?;
        files.iter().try_for_each(|(_, file, size)| add(file, *size))?;
    } else {
        add(path, fs::metadata(path)?.len())?;
    }
    Ok(hasher.digest128())
}

/// The file that was changed last.
fn newest(path: &Path) -> Option<PathBuf> {
    if !path.is_dir() {
        return None;
    }
    let mut files = Vec::new();
    list(path, OsStr::new(""), &mut files).ok()?;
    let changed = |file: &PathBuf| fs::metadata(file).and_then(|metadata| metadata.modified()).ok();
    files.into_iter().map(|(_, file, _)| file).max_by_key(changed)
}

/// The fingerprint of data and of the published network that a run on it begins with.
pub fn with_model(data: &str, model: u128) -> String {
    format!("{data}-{model:032x}")
}

/// The first `piece` bytes of a file of `size` bytes, and the last where they are not among them.
fn add_content(path: &Path, size: u64, piece: u64, hasher: &mut Xxh3) -> std::io::Result<()> {
    let mut file = fs::File::open(path)?;
    add_bytes(&mut (&mut file).take(piece), hasher)?;
    if size > piece {
        file.seek(SeekFrom::Start(piece.max(size - piece)))?;
        add_bytes(&mut file.take(piece), hasher)?;
    }
    Ok(())
}

fn add_bytes(from: &mut impl Read, hasher: &mut Xxh3) -> std::io::Result<()> {
    let mut buffer = [0; 1 << 14];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// Name relative to the folder, path and size of each file, in the order of their names.
fn list(folder: &Path, prefix: &OsStr, files: &mut Vec<(OsString, PathBuf, u64)>) -> std::io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        // What file managers leave behind is no data.
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let mut name = prefix.to_os_string();
        name.push(entry.file_name());
        let metadata = fs::metadata(entry.path())?;
        if metadata.is_dir() {
            name.push("/");
            list(&entry.path(), &name, files)?;
        } else {
            files.push((name, entry.path(), metadata.len()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_change_are_noticed_by_size_and_by_time() {
        let folder = Folder::new("stamp");
        fs::create_dir_all(folder.0.join("a")).unwrap();
        let (file, other) = (folder.0.join("a/1.txt"), folder.0.join("a/2.txt"));
        fs::write(&file, "one").unwrap();
        fs::write(&other, "two").unwrap();
        // Files that are written one right after the other may have the same time.
        let earlier = fs::metadata(&other).unwrap().modified().unwrap() - std::time::Duration::from_secs(60);
        fs::File::options().write(true).open(&other).unwrap().set_modified(earlier).unwrap();
        let stamp = Stamp::of([&folder.0]);
        assert!(stamp.check().is_ok());
        fs::write(&file, "more").unwrap();
        let told = stamp.check().unwrap_err().to_string();
        assert!(told.contains("1.txt") && told.contains("has changed while it was being read"), "{told}");
        let stamp = Stamp::of([&other]);
        let later = fs::metadata(&other).unwrap().modified().unwrap() + std::time::Duration::from_secs(5);
        fs::File::options().write(true).open(&other).unwrap().set_modified(later).unwrap();
        assert!(stamp.check().unwrap_err().to_string().contains("2.txt"));
        fs::remove_file(&other).unwrap();
        assert!(stamp.check().is_err());
    }

    /// An empty folder that goes with the value.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("deepfit-fingerprint-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn content_names_and_sizes_count_and_copies_are_the_same() {
        let made = |files: &[(&str, &[u8])]| {
            let folder = Folder::new("small");
            for (name, bytes) in files {
                let path = folder.0.join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
            }
            fingerprint(&folder.0, None).unwrap()
        };
        let first = made(&[("a/1.png", b"one"), ("b/2.png", b"two")]);
        assert_eq!(first, made(&[("b/2.png", b"two"), ("a/1.png", b"one"), (".DS_Store", b"x")]));
        assert_ne!(first, made(&[("a/1.png", b"own"), ("b/2.png", b"two")]));
        assert_ne!(first, made(&[("a/1.png", b"two"), ("b/2.png", b"one")]));
        assert_ne!(first, made(&[("a/1.png", b"one"), ("c/2.png", b"two")]));
    }

    #[test]
    fn large_files_are_compared_at_both_ends() {
        let folder = Folder::new("large");
        let large = folder.0.join("large");
        let size = WHOLE + 10;
        fs::File::create(&large).unwrap().set_len(size).unwrap();
        let zeros = fingerprint(&folder.0, None).unwrap();
        assert_eq!(zeros, fingerprint(&folder.0, None).unwrap());
        for at in [0, PIECE - 1, size - PIECE, size - 1] {
            let mut file = fs::OpenOptions::new().write(true).open(&large).unwrap();
            file.seek(SeekFrom::Start(at)).unwrap();
            std::io::Write::write_all(&mut file, b"1").unwrap();
            assert_ne!(zeros, fingerprint(&folder.0, None).unwrap(), "at {at}");
            file.seek(SeekFrom::Start(at)).unwrap();
            std::io::Write::write_all(&mut file, b"\0").unwrap();
        }
    }
}
