//! Where image files lie: in a folder, in a zip archive, or named one by one.
//!
//! Archives are read in place, entry by entry; nothing is ever extracted to disk.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flate2::Crc;
use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use crate::error::{Error, Result};

/// Largest entry of an archive that is read, uncompressed.
const MAX_ENTRY: u64 = 512 << 20;
/// An entry above this size must not shrink by more than `MAX_RATIO`. Image formats are compressed
/// themselves; deflate reaches 1032 only on constant data.
const RATIO_FROM: u64 = 16 << 20;
const MAX_RATIO: u64 = 200;
/// The same for all entries together, above this size.
const MAX_TOTAL: u64 = 1 << 30;

/// One file of a container.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Path relative to the container, with `/` between its parts.
    pub(crate) name: String,
    /// Bytes of the file, uncompressed.
    pub(crate) size: u64,
    /// Number of the entry in its archive.
    index: u32,
    /// Whether it is a symbolic link of an archive, which is never followed: it could lead anywhere.
    pub(crate) link: bool,
}

/// Files that belong together.
pub(crate) enum Container {
    /// A folder with everything below it; the empty path stands for files named one by one.
    Folder(PathBuf),
    /// A zip archive.
    Archive {
        /// Where it is.
        path: PathBuf,
        /// Its directory; cloned for each reading thread, which shares the directory itself.
        archive: ZipArchive<SharedFile>,
    },
}

impl Container {
    /// Lists a folder or archive, sorted by name. Hidden files and those that operating systems leave
    /// behind are counted, not listed.
    ///
    /// # Errors
    /// If it cannot be read, or an archive's entry is dangerous: see [`Error::Archive`].
    pub(crate) fn open(path: &Path) -> Result<(Container, Vec<Entry>, usize)> {
        let metadata = std::fs::metadata(path).map_err(|source| Error::io(path, source))?;
        let (container, mut entries) = if metadata.is_dir() {
            (Container::Folder(path.to_path_buf()), list_folder(path)?)
        } else {
            list_archive(path)?
        };
        let before = entries.len();
        entries.retain(|entry| !is_hidden(&entry.name));
        let hidden = before - entries.len();
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok((container, entries, hidden))
    }

    /// Files named one by one.
    pub(crate) fn files(paths: &[PathBuf]) -> Result<(Container, Vec<Entry>)> {
        let mut entries = Vec::new();
        for path in paths {
            let metadata = std::fs::metadata(path).map_err(|source| Error::io(path, source))?;
            let name = path.to_string_lossy().into_owned();
            entries.push(Entry { name, size: metadata.len(), index: 0, link: false });
        }
        Ok((Container::Folder(PathBuf::new()), entries))
    }

    /// A file of a folder by its path in it; `None` if there is none, and for archives, whose files are known.
    pub(crate) fn file(&self, name: &str) -> Option<Entry> {
        let Container::Folder(root) = self else { return None };
        let metadata = std::fs::metadata(root.join(name)).ok().filter(|found| found.is_file())?;
        Some(Entry { name: name.to_string(), size: metadata.len(), index: 0, link: false })
    }

    /// The folder or archive.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Container::Folder(path) | Container::Archive { path, .. } => path,
        }
    }

    /// Path of a file as a person finds it again: the folder or archive as it was given, and the path in it.
    pub(crate) fn full_name(&self, entry: &Entry) -> String {
        self.path().join(&entry.name).to_string_lossy().into_owned()
    }

    /// Reads at most the first `limit` bytes of a file into `buffer`, replacing what is there.
    ///
    /// # Errors
    /// [`Error::Image`] if this one file cannot be read; [`Error::Archive`] if it lies about its size.
    pub(crate) fn read(&self, entry: &Entry, limit: u64, buffer: &mut Vec<u8>) -> Result<()> {
        buffer.clear();
        let unreadable = |source: io::Error| Error::Image { name: self.full_name(entry), reason: source.to_string() };
        if entry.link {
            return Err(unreadable(io::Error::other("a symbolic link in an archive, which is not followed")));
        }
        buffer.reserve_exact(entry.size.min(limit) as usize + 1);
        match self {
            Container::Folder(root) => {
                let file = File::open(root.join(&entry.name)).map_err(unreadable)?;
                file.take(limit).read_to_end(buffer).map_err(unreadable)?;
            }
            Container::Archive { path, archive } => {
                let mut archive = archive.clone();
                let file = archive.by_index_raw(entry.index as usize).map_err(|e| unreadable(io::Error::other(e)))?;
                let (method, checksum) = (file.compression(), file.crc32());
                // One byte more than declared is enough to catch an entry that lies about its size.
                let most = limit.min(entry.size + 1);
                let result = match method {
                    CompressionMethod::Stored => file.take(most).read_to_end(buffer),
                    CompressionMethod::Deflated => DeflateDecoder::new(file).take(most).read_to_end(buffer),
                    _ => Err(io::Error::other("its compression is not supported; use deflate")),
                };
                if buffer.len() as u64 > entry.size {
                    let problem = "it holds more than the archive's directory declares (a zip bomb)".to_string();
                    return Err(Error::Archive { path: path.clone(), entry: entry.name.clone(), problem });
                }
                result.map_err(unreadable)?;
                if limit > entry.size {
                    let mut sum = Crc::new();
                    sum.update(buffer);
                    if sum.sum() != checksum {
                        return Err(unreadable(io::Error::other("its checksum is wrong, the archive is damaged")));
                    }
                }
            }
        }
        Ok(())
    }

    /// Bytes held for `entries` files: what the zip directory keeps in memory.
    pub(crate) fn resident_bytes(&self) -> usize {
        match self {
            Container::Folder(_) => 0,
            // Measured with 20,000 entries of short names.
            Container::Archive { archive, .. } => archive.len() * 620,
        }
    }
}

fn is_hidden(name: &str) -> bool {
    name.split('/')
        .any(|part| part.starts_with('.') || part == "__MACOSX" || part == "Thumbs.db" || part == "desktop.ini")
}

fn list_folder(root: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for found in walkdir::WalkDir::new(root).follow_links(true).min_depth(1) {
        let found = found.map_err(|problem| {
            let path = problem.path().unwrap_or(root).to_path_buf();
            let source =
                problem.into_io_error().unwrap_or_else(|| io::Error::other("a link leads back to its own folder"));
            Error::Io { path, source }
        })?;
        if !found.file_type().is_file() {
            continue;
        }
        let relative = found.path().strip_prefix(root).unwrap_or(found.path());
        let parts: Option<Vec<&str>> = relative.iter().map(|part| part.to_str()).collect();
        let Some(parts) = parts else {
            let source = io::Error::new(io::ErrorKind::InvalidData, "the file name is not UTF-8; rename the file");
            return Err(Error::Io { path: found.path().to_path_buf(), source });
        };
        let size = found.metadata().map_err(|e| Error::io(found.path(), e.into()))?.len();
        entries.push(Entry { name: parts.join("/"), size, index: 0, link: false });
    }
    Ok(entries)
}

fn list_archive(path: &Path) -> Result<(Container, Vec<Entry>)> {
    let broken = |problem: String| Error::NotAnArchive { path: path.to_path_buf(), problem };
    let file = File::open(path).map_err(|source| Error::io(path, source))?;
    let length = file.metadata().map_err(|source| Error::io(path, source))?.len();
    let archive = ZipArchive::new(SharedFile::new(file, length)).map_err(|e| broken(e.to_string()))?;
    let mut entries = Vec::new();
    let (mut stored, mut total) = (0u64, 0u64);
    for index in 0..archive.len() {
        let file = archive.by_index_data(index).map_err(|e| broken(e.to_string()))?;
        let name = file.name().map_err(|e| broken(e.to_string()))?.replace('\\', "/");
        let refuse =
            |problem: &str| Error::Archive { path: path.to_path_buf(), entry: name.clone(), problem: problem.into() };
        let drive = name.as_bytes().get(1) == Some(&b':');
        if name.starts_with('/') || drive || name.split('/').any(|part| part == "..") || name.contains('\0') {
            return Err(refuse("its path leads outside of the archive"));
        }
        if file.is_dir() || name.ends_with('/') {
            continue;
        }
        if file.is_symlink() {
            entries.push(Entry { name, size: 0, index: index as u32, link: true });
            continue;
        }
        if file.encrypted() {
            return Err(refuse("it is encrypted"));
        }
        let (size, compressed) = (file.size(), file.compressed_size());
        if size > MAX_ENTRY {
            return Err(refuse("it declares more than 512 MiB"));
        }
        if size > RATIO_FROM && size / MAX_RATIO > compressed {
            return Err(refuse("it would grow more than 200 times when uncompressed (a zip bomb)"));
        }
        total = total.saturating_add(size);
        if total > MAX_TOTAL && total / MAX_RATIO > length {
            return Err(refuse("with it the archive would grow more than 200 times when uncompressed (a zip bomb)"));
        }
        stored = stored.saturating_add(compressed);
        if stored > length {
            return Err(refuse("the entries overlap: together they are larger than the archive (a zip bomb)"));
        }
        entries.push(Entry { name, size, index: index as u32, link: false });
    }
    Ok((Container::Archive { path: path.to_path_buf(), archive }, entries))
}

/// A file read from many threads, each with a position of its own.
#[derive(Clone)]
pub(crate) struct SharedFile {
    file: Arc<Mutex<File>>,
    length: u64,
    position: u64,
}

impl SharedFile {
    fn new(file: File, length: u64) -> SharedFile {
        SharedFile { file: Arc::new(Mutex::new(file)), length, position: 0 }
    }
}

impl Read for SharedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Held for one system call and a copy of some kilobytes; decoding takes far longer.
        let mut file = self.file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        file.seek(SeekFrom::Start(self.position))?;
        let count = file.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for SharedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
            SeekFrom::End(delta) => self.length.checked_add_signed(delta),
        };
        self.position = target.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the start"))?;
        Ok(self.position)
    }
}

/// Whether a file begins as zip archives do.
pub(crate) fn looks_like_zip(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}
