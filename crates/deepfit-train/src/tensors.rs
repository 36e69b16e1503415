//! Named tensors in safetensors files, with a checksum.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Dtype, SafeTensors, View};

use crate::error::{Result, TrainError};
use crate::run_folder::{Durability, write_atomically};

/// A tensor to be written, borrowed from where it lives.
#[derive(Debug, Clone, Copy)]
pub struct Borrowed<'a> {
    /// Axis lengths.
    pub shape: &'a [usize],
    /// Values in row-major order.
    pub values: &'a [f32],
}

impl View for Borrowed<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(bytemuck::cast_slice(self.values))
    }
    fn data_len(&self) -> usize {
        self.values.len() * 4
    }
}

/// A tensor that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Owned {
    /// Axis lengths.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

impl Owned {
    /// The same, borrowed.
    pub fn borrowed(&self) -> Borrowed<'_> {
        Borrowed { shape: &self.shape, values: &self.values }
    }
}

/// Tensors by name, which are in memory once however many hold them.
pub type Shared = BTreeMap<String, Arc<Owned>>;

const CHECKSUM: &str = "checksum";

/// Of everything that a file says: a damaged name or shape must not pass as another tensor.
fn checksum<'a>(content: &str, tensors: impl Iterator<Item = (&'a str, Borrowed<'a>)>) -> String {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(content.as_bytes());
    for (name, tensor) in tensors {
        hasher.update(format!("\n{name} {:?}\n", tensor.shape).as_bytes());
        hasher.update(bytemuck::cast_slice(tensor.values));
    }
    format!("{:032x}", hasher.digest128())
}

/// Writes tensors and metadata atomically. There is no time stamp inside: equal contents give equal bytes.
///
/// # Errors
/// If the file cannot be written.
pub fn write(
    path: &Path,
    durability: Durability,
    tensors: &BTreeMap<String, Borrowed<'_>>,
    key: &str,
    metadata: String,
) -> Result<()> {
    let sum = checksum(&metadata, tensors.iter().map(|(name, t)| (&name[..], *t)));
    // One key: a map of several would be written in arbitrary order.
    let text = serde_json::json!({ CHECKSUM: sum, "content": metadata }).to_string();
    let metadata = HashMap::from([(key.to_string(), text)]);
    write_atomically(path, durability, |temporary| {
        safetensors::serialize_to_file(tensors.iter().map(|(name, t)| (name, *t)), Some(metadata), temporary).map_err(
            |error| match error {
                safetensors::SafeTensorError::IoError(source) => source,
                other => std::io::Error::other(other.to_string()),
            },
        )
    })
}

/// Whether metadata speaks of a checksum: a file that was written here, perhaps damaged, and not by another program.
pub fn is_signed(metadata: &HashMap<String, String>) -> bool {
    metadata.values().any(|text| text.contains(CHECKSUM))
}

/// Reads what [`write`] wrote, and checks that it is whole.
///
/// # Errors
/// If the file is missing, damaged, or has other content.
pub fn read(path: &Path, key: &str) -> Result<(BTreeMap<String, Owned>, String)> {
    let bytes = fs::read(path).map_err(|source| TrainError::Io { action: "read", path: path.to_path_buf(), source })?;
    let damaged = |problem: &str| TrainError::run(path, format!("is damaged: {problem}"));
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(&e.to_string()))?;
    let text =
        header.metadata().as_ref().and_then(|m| m.get(key)).ok_or_else(|| damaged("its description is missing"))?;
    let text: serde_json::Value = serde_json::from_str(text).map_err(|e| damaged(&e.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(&e.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(damaged(&format!("`{name}` is not f32")));
        }
        let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        tensors.insert(name.to_string(), Owned { shape: view.shape().to_vec(), values });
    }
    let content = text["content"].as_str().ok_or_else(|| damaged("its description is missing"))?;
    let sum = checksum(content, tensors.iter().map(|(name, t)| (&name[..], t.borrowed())));
    if text[CHECKSUM].as_str() != Some(&sum) {
        return Err(damaged("its checksum does not match; it was changed or only partly written"));
    }
    Ok((tensors, content.to_string()))
}
