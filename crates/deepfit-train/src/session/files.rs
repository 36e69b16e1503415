//! Parameters by name, and safetensors files.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors};

use super::{Session, Values};
use crate::error::{Result, TrainError};
use crate::run_folder::{Durability, write_atomically};
use crate::tensors::Borrowed;

const UPDATES: &str = "updates";

impl Session {
    /// The values of a parameter or of a running statistic, by its name or by one that is tied to it.
    pub fn parameter(&self, name: &str) -> Option<&[f32]> {
        self.engine.parameter(&self.declaration(name)?.name)
    }

    /// Axis lengths of a parameter.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.declaration(name).map(|d| &d.shape[..])
    }

    /// Sets a parameter.
    ///
    /// # Errors
    /// If there is no such parameter, or the values do not fill its shape.
    pub fn set_parameter(&mut self, name: &str, values: &[f32]) -> Result<()> {
        let wrong = |problem| TrainError::Parameter { name: name.to_string(), problem };
        let Some(declaration) = self.declaration(name) else {
            let names: Vec<&str> = self.declarations.iter().take(8).map(|d| &d.name[..]).collect();
            return Err(wrong(format!("does not exist; those that do begin with {}", names.join(", "))));
        };
        if values.len() != declaration.elements() {
            return Err(wrong(format!(
                "has the shape {:?}, which {} values do not fill",
                declaration.shape,
                values.len()
            )));
        }
        let (name, shape) = (declaration.name.clone(), declaration.shape.clone());
        Ok(self.engine.set_parameter(&name, &shape, values)?)
    }

    /// A copy of all parameters and running statistics by name, as PyTorch's `state_dict`. Tied names are left out.
    pub fn state_dict(&self) -> BTreeMap<String, Values> {
        let copy = |d: &deepfit_nn::Declaration| {
            let values = self.engine.parameter(&d.name)?.to_vec();
            Some((d.name.clone(), Values { shape: d.shape.clone(), values }))
        };
        self.declarations.iter().filter_map(copy).collect()
    }

    /// Sets all parameters and running statistics. A tied parameter may be given under either name or both.
    ///
    /// # Errors
    /// If one is missing, unknown, has another shape, or is given twice with different values. Then nothing is changed.
    pub fn load_state_dict(&mut self, state: &BTreeMap<String, Values>) -> Result<()> {
        let mut found: BTreeMap<String, (&str, &Values)> = BTreeMap::new();
        for (name, values) in state {
            let wrong = |problem| TrainError::Parameter { name: name.clone(), problem };
            let Some(declaration) = self.declaration(name) else {
                return Err(wrong("is not part of this network".to_string()));
            };
            if values.shape != declaration.shape || values.values.len() != declaration.elements() {
                return Err(wrong(format!(
                    "has the shape {:?} there, but {:?} in this network",
                    values.shape, declaration.shape
                )));
            }
            if let Some((other, before)) = found.insert(declaration.name.clone(), (name, values))
                && before != values
            {
                return Err(wrong(format!("is tied to `{other}`, which has other values there")));
            }
        }
        if let Some(missing) = self.declarations.iter().find(|d| !found.contains_key(&d.name[..])) {
            let problem = "is missing there".to_string();
            return Err(TrainError::Parameter { name: missing.name.clone(), problem });
        }
        for (name, (_, values)) in found {
            self.engine.set_parameter(&name, &values.shape, &values.values)?;
        }
        Ok(())
    }

    /// Writes all parameters and running statistics to a safetensors file, under PyTorch's names.
    ///
    /// # Errors
    /// If the file cannot be written; an older one is then still there.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let named = |name: &str| self.declarations.iter().any(|d| d.name == name);
        let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
        self.write(path.as_ref(), named, metadata)
    }

    /// Reads what [`Session::save`] wrote, or a safetensors file of the equivalent PyTorch module, in f32, f64, f16 or
    /// bf16. PyTorch's `num_batches_tracked` is ignored.
    ///
    /// # Errors
    /// If the file cannot be read, or as [`Session::load_state_dict`].
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let (state, _) = read(path.as_ref())?;
        self.load_state_dict(&state)
    }

    /// Writes everything that training changes, from which [`Session::resume`] goes on with the same bits.
    ///
    /// # Errors
    /// If the file cannot be written; an older one is then still there.
    pub fn checkpoint(&self, path: impl AsRef<Path>) -> Result<()> {
        let metadata = HashMap::from([(UPDATES.to_string(), self.updates.to_string())]);
        self.write(path.as_ref(), |_| true, metadata)
    }

    /// Reads what [`Session::checkpoint`] of a session with the same network and optimiser wrote.
    ///
    /// # Errors
    /// If the file cannot be read or belongs to another network or optimiser. Then nothing is changed.
    pub fn resume(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let (state, metadata) = read(path)?;
        let updates = metadata.get(UPDATES).and_then(|text| text.parse().ok());
        let updates = updates.ok_or_else(|| TrainError::run(path, "is no checkpoint: `load` reads weights alone"))?;
        let known: BTreeMap<&str, &[usize]> = self.engine.parameters().map(|(name, shape, _)| (name, shape)).collect();
        for (name, shape) in &known {
            if state.get(*name).is_none_or(|values| &values.shape != shape) {
                let problem = format!("holds no `{name}` of shape {shape:?}: it is of another network or optimiser");
                return Err(TrainError::run(path, problem));
            }
        }
        if let Some(name) = state.keys().find(|name| !known.contains_key(&name[..])) {
            return Err(TrainError::run(path, format!("holds `{name}`: it is of another network or optimiser")));
        }
        for (name, values) in &state {
            self.engine.set_parameter(name, &values.shape, &values.values)?;
        }
        self.updates = updates;
        Ok(())
    }

    fn write(&self, path: &Path, wanted: impl Fn(&str) -> bool, metadata: HashMap<String, String>) -> Result<()> {
        let tensors: BTreeMap<&str, Borrowed<'_>> = self
            .engine
            .parameters()
            .filter(|(name, ..)| wanted(name))
            .map(|(name, shape, values)| (name, Borrowed { shape, values }))
            .collect();
        write_atomically(path, Durability::Disk, |temporary| {
            safetensors::serialize_to_file(tensors, Some(metadata), temporary).map_err(|error| match error {
                safetensors::SafeTensorError::IoError(source) => source,
                other => std::io::Error::other(other.to_string()),
            })
        })
    }
}

/// The tensors of a safetensors file as f32, and its metadata.
fn read(path: &Path) -> Result<(BTreeMap<String, Values>, HashMap<String, String>)> {
    let bytes = fs::read(path).map_err(|source| TrainError::Io { action: "read", path: path.to_path_buf(), source })?;
    let damaged = |problem: String| TrainError::run(path, format!("is no readable safetensors file: {problem}"));
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(e.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        let data = view.data();
        let pairs = || data.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let values = match view.dtype() {
            Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            Dtype::F64 => {
                let wide = |b: &[u8]| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32;
                data.chunks_exact(8).map(wide).collect()
            }
            Dtype::BF16 => pairs().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect(),
            Dtype::F16 => pairs().map(half).collect(),
            other => return Err(damaged(format!("`{name}` is of type {other:?}, not floating point"))),
        };
        tensors.insert(name.to_string(), Values { shape: view.shape().to_vec(), values });
    }
    Ok((tensors, header.metadata().clone().unwrap_or_default()))
}

/// The value of a half-precision number (IEEE 754 binary16).
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}
