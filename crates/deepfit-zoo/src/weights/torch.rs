//! What `torch.save` writes: a zip archive, or before PyTorch 1.6 pickles with the storages behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Read, SeekFrom};

use zip::{CompressionMethod, ZipArchive};

use super::pickle::{Machine, Node, Storage, StorageView, Storages, Value};
use super::{Entry, Listing, Parsed, Source, check_total};

/// Dictionaries of weights have one of these names where a file holds more than the weights, best first.
const DICTIONARIES: [&str; 9] =
    ["state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "teacher", "state_dict_ema"];
/// Letters of the name of a tensor; longer ones are not looked at.
const MOST_LETTERS: usize = 1_000;
/// Versions of `torch.save`'s older form that have been seen.
const OLDER_PROTOCOL: i64 = 1001;

/// The zip form: `…/data.pkl` describes the tensors, `…/data/0` and so on hold the storages.
pub(super) fn list_zip(source: &mut dyn Source, length: u64) -> Parsed<Listing> {
    let damaged = |problem: String| format!("is a damaged zip archive: {problem}; download or copy it again");
    let mut archive = ZipArchive::new(source).map_err(|error| damaged(error.to_string()))?;
    let mut files: BTreeMap<String, usize> = BTreeMap::new();
    for index in 0..archive.len() {
        let file = archive.by_index_data(index).map_err(|error| damaged(error.to_string()))?;
        let name = file.name().map_err(|error| damaged(error.to_string()))?.into_owned();
        files.insert(name, index);
    }
    let pickle = files.iter().find(|(name, _)| *name == "data.pkl" || name.ends_with("/data.pkl"));
    let Some((name, &index)) = pickle else {
        return Err("is a zip archive without a `data.pkl`, so not of `torch.save`; give a file of weights".to_string());
    };
    let root = name.trim_end_matches("data.pkl").to_string();
    if files.contains_key(&format!("{root}constants.pkl")) {
        let what = "is a TorchScript program, not weights alone; save them by `torch.save(model.state_dict(), …)`";
        return Err(what.to_string());
    }
    if let Some(&index) = files.get(&format!("{root}byteorder")) {
        let mut order = String::new();
        let file = archive.by_index(index).map_err(|error| damaged(error.to_string()))?;
        file.take(16).read_to_string(&mut order).map_err(|error| damaged(error.to_string()))?;
        if order.trim() != "little" {
            return Err(big_endian());
        }
    }
    let mut run = {
        let file = archive.by_index(index).map_err(|error| damaged(error.to_string()))?;
        if file.compression() != CompressionMethod::Stored {
            return Err(compressed("data.pkl"));
        }
        Run::of(BufReader::new(file))?
    };
    let mut starts = Vec::new();
    for (key, bytes) in run.storages() {
        let name = format!("{root}data/{key}");
        let Some(&index) = files.get(&name) else {
            return Err(format!("is damaged: the storage '{name}' is missing; download or copy it again"));
        };
        let file = archive.by_index(index).map_err(|error| damaged(error.to_string()))?;
        if file.compression() != CompressionMethod::Stored {
            return Err(compressed(&name));
        }
        if u128::from(file.size()) < bytes {
            return Err(format!("is damaged: the storage '{name}' has {} bytes of {bytes}", file.size()));
        }
        let start = file.data_start().ok_or_else(|| damaged(format!("'{name}' has no place")))?;
        if u128::from(start) + bytes > u128::from(length) {
            return Err(damaged(format!("'{name}' reaches beyond the end")));
        }
        starts.push(start);
    }
    run.listing(&starts, length)
}

/// The older form: a magic number, a version, a description of the machine, the object, the names of the storages, each in
/// a pickle of its own; then the storages, each after its number of elements.
pub(super) fn list_older(source: &mut dyn Source, length: u64) -> Parsed<Listing> {
    let what = "is a pickle, but not one of `torch.save`; give a file of weights";
    let (mut run, keys, mut position) = {
        let mut machine = Machine::new(BufReader::new(&mut *source));
        if machine.run().map_err(|problem| format!("{what}: it {problem}"))? != (Value::Long { magic: true }) {
            return Err(what.to_string());
        }
        match machine.run()? {
            Value::Int(OLDER_PROTOCOL) => {}
            other => return Err(format!("is of an unknown version of `torch.save`: {other:?}")),
        }
        let about = machine.run()?;
        if let Some(Node::Dict(items)) = machine.node(about)
            && items
                .iter()
                .any(|&(key, value)| machine.text(key) == Some("little_endian") && value == Value::Bool(false))
        {
            return Err(big_endian());
        }
        let root = machine.run()?;
        let found = Run::find(&machine, root)?;
        let keys = machine.run()?;
        let Some(Node::List(items)) = machine.node(keys) else {
            return Err("is damaged: it has no list of its storages".to_string());
        };
        let keys: Option<Vec<String>> = items.iter().map(|&key| machine.text(key).map(str::to_string)).collect();
        let keys = keys.ok_or_else(|| "is damaged: the name of a storage is no string".to_string())?;
        (found, keys, machine.position())
    };
    let mut places: BTreeMap<String, u64> = BTreeMap::new();
    let known: BTreeMap<String, (u64, u128)> =
        run.storages.iter().map(|s| (s.key.clone(), (s.elements, s.bytes))).collect();
    for key in keys {
        let Some(&(elements, bytes)) = known.get(&key) else {
            return Err(format!("is damaged: no tensor uses the storage `{key}`"));
        };
        let mut count = [0; 8];
        source.seek(SeekFrom::Start(position)).map_err(|error| format!("cannot be read: {error}"))?;
        source.read_exact(&mut count).map_err(|_| cut_off(&key))?;
        let count = u64::from_le_bytes(count);
        if count != elements {
            return Err(format!("is damaged: the storage `{key}` has {count} elements, but {elements} are described"));
        }
        position += 8;
        if u128::from(position) + bytes > u128::from(length) {
            return Err(cut_off(&key));
        }
        places.insert(key, position);
        position += bytes as u64;
    }
    let starts: Parsed<Vec<u64>> =
        run.storages.iter().map(|s| places.get(&s.key).copied().ok_or_else(|| cut_off(&s.key))).collect();
    run.listing(&starts?, length)
}

fn big_endian() -> String {
    "was written on a big-endian machine, which is not read; save it again on another, or as safetensors".to_string()
}

fn compressed(name: &str) -> String {
    format!("is a zip archive whose '{name}' is compressed, which `torch.save` never does; save it again")
}

fn cut_off(key: &str) -> String {
    format!("is cut off: it ends before the storage `{key}` does; download or copy it again")
}

/// A storage as far as its place in the file matters.
struct StorageSize {
    key: String,
    elements: u64,
    bytes: u128,
}

/// The tensors of a pickle that was run.
struct Run {
    tensors: BTreeMap<String, StorageView>,
    storages: Vec<StorageSize>,
    notes: Vec<String>,
}

impl Run {
    /// Runs the only pickle of `input`.
    fn of(input: impl std::io::BufRead) -> Parsed<Run> {
        let mut machine = Machine::new(input);
        let root = machine.run()?;
        Run::find(&machine, root)
    }

    /// Finds the dictionary of weights in the value of a pickle.
    fn find<R: std::io::BufRead>(machine: &Machine<R>, root: Value) -> Parsed<Run> {
        let Some(Node::Dict(_)) = machine.node(root) else {
            return Err("holds no dictionary of weights; save `model.state_dict()`".to_string());
        };
        let mut notes = Vec::new();
        let mut chosen = root;
        // A dictionary of weights may lie in another one, and that in a third.
        for _ in 0..3 {
            if !tensors_of(machine, chosen).is_empty() {
                break;
            }
            let inner: Vec<(&str, Value)> = dictionaries_of(machine, chosen);
            let best = DICTIONARIES.iter().find_map(|name| inner.iter().find(|(known, _)| known == name));
            let best = best.or(if let [only] = &inner[..] { Some(only) } else { None });
            let Some((name, dictionary)) = best else {
                let names: BTreeSet<&str> = inner.iter().map(|(name, _)| *name).take(8).collect();
                let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
                return Err(if names.is_empty() {
                    "holds a dictionary, but no tensors; save `model.state_dict()`".to_string()
                } else {
                    let names = names.join(", ");
                    format!(
                        "holds the dictionaries {names}, and which one the weights are is not known; save one of them"
                    )
                });
            };
            notes.push(format!("the weights are those under `{name}` in the file"));
            chosen = *dictionary;
        }
        let tensors = tensors_of(machine, chosen);
        if tensors.is_empty() {
            return Err("holds no tensors; save `model.state_dict()`".to_string());
        }
        Ok(Run { tensors, storages: sizes(machine.storages()), notes })
    }

    /// Name and bytes of each storage.
    fn storages(&self) -> impl Iterator<Item = (&str, u128)> {
        self.storages.iter().map(|storage| (&storage.key[..], storage.bytes))
    }

    /// The tensors with their places, given where the storages begin.
    fn listing(&mut self, starts: &[u64], length: u64) -> Parsed<Listing> {
        let mut entries = BTreeMap::new();
        for (name, view) in std::mem::take(&mut self.tensors) {
            let place = starts.get(view.storage as usize).zip(self.storages.get(view.storage as usize));
            let (start, storage) = place.ok_or_else(|| format!("is damaged: `{name}` has no storage"))?;
            let StorageView { dtype, offset, shape, strides, .. } = view;
            // What lies outside of the storage was refused before; this is about the storage itself.
            let first = offset as u128 * dtype.bytes() as u128;
            if first > storage.bytes && !shape.contains(&0) {
                return Err(format!("is damaged: `{name}` begins outside of its storage"));
            }
            let strides = (!is_contiguous(&shape, &strides)).then_some(strides);
            let empty = shape.contains(&0);
            let start = if empty { *start } else { start + first as u64 };
            entries.insert(name, Entry { dtype, shape, start, strides: strides.filter(|_| !empty) });
        }
        let listing = Listing { entries, metadata: BTreeMap::new(), notes: std::mem::take(&mut self.notes) };
        check_total(&listing, length)?;
        Ok(listing)
    }
}

fn sizes(storages: &Storages) -> Vec<StorageSize> {
    let of = |storage: &Storage| StorageSize {
        key: storage.key.clone(),
        elements: storage.elements as u64,
        bytes: storage.elements as u128 * storage.dtype.bytes() as u128,
    };
    storages.iter().map(of).collect()
}

/// Whether elements lie in row-major order one after another. Strides of axes of length 1 say nothing.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(&length, &stride)| {
        let fits = length == 1 || stride == expected;
        expected *= length;
        fits
    })
}

/// The tensors of a dictionary by their names.
fn tensors_of<R: std::io::BufRead>(machine: &Machine<R>, dictionary: Value) -> BTreeMap<String, StorageView> {
    let Some(Node::Dict(items)) = machine.node(dictionary) else { return BTreeMap::new() };
    let tensor = |&(key, value): &(Value, Value)| match (machine.text(key), machine.node(value)) {
        (Some(name), Some(Node::Tensor(view))) if name.len() <= MOST_LETTERS => Some((name.to_string(), view.clone())),
        _ => None,
    };
    items.iter().filter_map(tensor).collect()
}

/// The dictionaries in a dictionary by their names.
fn dictionaries_of<R: std::io::BufRead>(machine: &Machine<R>, dictionary: Value) -> Vec<(&str, Value)> {
    let Some(Node::Dict(items)) = machine.node(dictionary) else { return Vec::new() };
    let inner = |&(key, value): &(Value, Value)| match (machine.text(key), machine.node(value)) {
        (Some(name), Some(Node::Dict(items))) if name.len() <= MOST_LETTERS && !items.is_empty() => Some((name, value)),
        _ => None,
    };
    items.iter().filter_map(inner).collect()
}
