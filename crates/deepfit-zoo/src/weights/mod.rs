//! Weights by name from the files in which models are published: safetensors, and what PyTorch's `torch.save` writes.
//!
//! Nothing in a file is trusted: no code of it is run, sizes are held against the file before memory is taken, and what is
//! not understood is an error that names it.

mod dtype;
mod pickle;
mod safetensors;
mod sharded;
mod torch;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::{Result, ZooError};

pub use dtype::ElementType;

/// Why something in a file cannot be used; the path is added where it is known.
type Parsed<T> = std::result::Result<T, String>;

/// A tensor that was read, as f32.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Array {
    /// Axis lengths.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

/// Something with positions to read from: a file, or bytes.
trait Source: Read + Seek + Send {}
impl<T: Read + Seek + Send> Source for T {}

/// Where a tensor is and what it looks like.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    dtype: ElementType,
    shape: Vec<usize>,
    /// Position of the first element in its file.
    start: u64,
    /// Distances of neighbours along each axis in elements; none if they lie one after another.
    strides: Option<Vec<usize>>,
}

impl Entry {
    /// Number of elements.
    fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of elements from the first to the last, those between them included.
    fn span(&self) -> usize {
        match &self.strides {
            None => self.elements(),
            Some(_) if self.shape.contains(&0) => 0,
            Some(strides) => self.shape.iter().zip(strides).map(|(n, stride)| (n - 1) * stride).sum::<usize>() + 1,
        }
    }
}

/// What one file holds.
#[derive(Debug, Default)]
struct Listing {
    entries: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
    notes: Vec<String>,
}

/// Weights of a model in their files: names, types and shapes are known, values are read when they are asked for.
pub struct Weights {
    files: Vec<(PathBuf, Box<dyn Source>)>,
    entries: BTreeMap<String, (usize, Entry)>,
    metadata: BTreeMap<String, String>,
    notes: Vec<String>,
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let paths: Vec<&PathBuf> = self.files.iter().map(|(path, _)| path).collect();
        f.debug_struct("Weights").field("files", &paths).field("tensors", &self.entries.len()).finish()
    }
}

impl Weights {
    /// Opens a file of weights: safetensors, PyTorch's `.pth`, `.pt` or `.bin` in its newer (zip) or older form, or the
    /// `.index.json` of a model in several such files. The content decides, not the ending.
    ///
    /// # Errors
    /// If the file cannot be read, is of none of these kinds, or is damaged; or if it holds Python objects other than
    /// weights, naming the first.
    pub fn open(path: &Path) -> Result<Weights> {
        let io = |source: std::io::Error| ZooError::io("read", path, &source);
        let mut file = File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.is_dir() {
            return Err(ZooError::file(path, "is a folder; give the file of weights in it"));
        }
        let mut head = Vec::new();
        (&mut file).take(16).read_to_end(&mut head).map_err(io)?;
        if head.trim_ascii_start().first() == Some(&b'{') {
            return sharded::open(path);
        }
        file.rewind().map_err(io)?;
        Weights::of(vec![(path.to_path_buf(), Box::new(file) as Box<dyn Source>)])
    }

    /// Weights in the bytes of a file; `name` stands for its path in messages.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn from_bytes(bytes: impl AsRef<[u8]> + Send + 'static, name: &str) -> Result<Weights> {
        Weights::of(vec![(PathBuf::from(name), Box::new(Cursor::new(bytes)) as Box<dyn Source>)])
    }

    fn of(files: Vec<(PathBuf, Box<dyn Source>)>) -> Result<Weights> {
        let mut all =
            Weights { files: Vec::new(), entries: BTreeMap::new(), metadata: BTreeMap::new(), notes: Vec::new() };
        for (index, (path, mut source)) in files.into_iter().enumerate() {
            let listing = list(&mut *source).map_err(|problem| ZooError::file(&path, problem))?;
            for (name, entry) in listing.entries {
                if let Some((other, _)) = all.entries.insert(name.clone(), (index, entry)) {
                    let other = all.files.get(other).map_or_else(String::new, |(path, _)| path.display().to_string());
                    return Err(ZooError::file(&path, format!("holds `{name}`, which '{other}' holds, too")));
                }
            }
            all.metadata.extend(listing.metadata);
            all.notes.extend(listing.notes);
            all.files.push((path, source));
        }
        Ok(all)
    }

    /// Names, types and shapes of all tensors, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, ElementType, &[usize])> {
        self.entries.iter().map(|(name, (_, entry))| (&name[..], entry.dtype, &entry.shape[..]))
    }

    /// Axis lengths of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|(_, entry)| &entry.shape[..])
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the header of a safetensors file says beside its tensors.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// What is worth knowing about how the files were understood, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The file, or the first of several.
    pub fn path(&self) -> &Path {
        self.files.first().map_or(Path::new(""), |(path, _)| path)
    }

    /// Reads one tensor; other types become f32.
    ///
    /// # Errors
    /// If there is no tensor of this name, or the file cannot be read any more.
    pub fn read(&mut self, name: &str) -> Result<Array> {
        let Some((index, entry)) = self.entries.get(name) else {
            return Err(ZooError::file(self.path(), format!("holds no tensor `{name}`")));
        };
        let (path, source) = &mut self.files[*index];
        let mut bytes = vec![0; entry.span() * entry.dtype.bytes()];
        let read = source.seek(SeekFrom::Start(entry.start)).and_then(|_| source.read_exact(&mut bytes));
        read.map_err(|source| ZooError::io("read", path, &source))?;
        let values = match &entry.strides {
            None => entry.dtype.values(&bytes),
            Some(strides) => gather(entry, strides, &bytes),
        };
        Ok(Array { shape: entry.shape.clone(), values })
    }
}

/// Elements in row-major order that lie at other distances.
fn gather(entry: &Entry, strides: &[usize], bytes: &[u8]) -> Vec<f32> {
    let (count, size) = (entry.elements(), entry.dtype.bytes());
    let mut values = Vec::with_capacity(count);
    let (mut index, mut place) = (vec![0; entry.shape.len()], 0);
    for _ in 0..count {
        values.push(entry.dtype.value(&bytes[place * size..]));
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            place += strides[axis];
            if index[axis] < entry.shape[axis] {
                break;
            }
            place -= strides[axis] * entry.shape[axis];
            index[axis] = 0;
        }
    }
    values
}

/// The tensors of a file, whose kind its first bytes tell.
fn list(source: &mut dyn Source) -> Parsed<Listing> {
    let io = |error: std::io::Error| format!("cannot be read: {error}");
    let length = source.seek(SeekFrom::End(0)).map_err(io)?;
    source.rewind().map_err(io)?;
    let mut head = Vec::new();
    source.take(16).read_to_end(&mut head).map_err(io)?;
    source.rewind().map_err(io)?;
    match &head[..] {
        [] => Err("is empty; download or copy it again".to_string()),
        // Before the others: the length with which the header begins may look like one of them.
        [_, _, _, _, 0, 0, 0, 0, b'{' | b' ', ..] => safetensors::list(source, length),
        [b'P', b'K', 3 | 5, ..] => torch::list_zip(source, length),
        // A pickle of protocol 2 or newer begins with the protocol.
        [0x80, 2..=5, ..] => torch::list_older(source, length),
        _ if head.starts_with(b"version https://") => {
            let what = "is a pointer that Git LFS left in place of the file; fetch the file itself with `git lfs pull`";
            Err(what.to_string())
        }
        _ if head.starts_with(b"\x89HDF") => Err(
            "is an HDF5 file of TensorFlow or Keras, which is not read; get the model's safetensors or PyTorch file"
                .to_string(),
        ),
        _ => Err("is neither safetensors nor a file of `torch.save`; give the model's `model.safetensors` or `.pth`"
            .to_string()),
    }
}

/// Fails if all tensors together are much larger than their file: many views of one storage.
fn check_total(listing: &Listing, length: u64) -> Parsed<()> {
    // Bytes of 8-bit numbers grow fourfold as f32, and a few weights may be tied.
    let most = (length as u128) * 16 + 1_000_000;
    let total: u128 = listing.entries.values().map(|entry| entry.elements() as u128 * 4).sum();
    if total > most {
        let problem = format!("is damaged: its tensors would need {total} bytes, of a file of {length} bytes");
        return Err(problem);
    }
    Ok(())
}
