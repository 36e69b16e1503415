//! Parameters by name, and safetensors files.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::{Session, Values};
use crate::error::{Result, TrainError};
use crate::run_folder::{Durability, write_atomically};
use crate::tensors::{Borrowed, Owned};
use crate::weights::{self, Misfit};

const STEPS: &str = "steps";

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
    /// If one is missing, unknown, has another shape, or is given twice with different values; all that do not fit are
    /// told at once. Then nothing is changed.
    pub fn load_state_dict(&mut self, state: &BTreeMap<String, Values>) -> Result<()> {
        let shapes = state.iter().map(|(name, values)| (&name[..], &values.shape[..]));
        if let Some(misfit) = Misfit::find(&self.declarations, shapes, |name| self.declared_name(name)) {
            return Err(TrainError::Misfit { file: None, misfit });
        }
        let mut found: BTreeMap<String, (&str, &Values)> = BTreeMap::new();
        for (name, values) in state {
            let wrong = |problem| TrainError::Parameter { name: name.clone(), problem };
            if values.values.len() != values.shape.iter().product::<usize>() {
                let number = values.values.len();
                return Err(wrong(format!("has {number} values, which do not fill its shape {:?}", values.shape)));
            }
            if let Some((other, before)) = found.insert(self.declared_name(name), (name, values))
                && before != values
            {
                return Err(wrong(format!("is tied to `{other}`, which has other values there")));
            }
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
    /// bf16. PyTorch's `num_batches_tracked` is ignored where the network has none.
    ///
    /// # Errors
    /// If the file cannot be read, or as [`Session::load_state_dict`].
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let (state, _) = read(path.as_ref(), |name| self.declaration(name).is_some())?;
        self.load_state_dict(&state).map_err(|error| error.in_file(path.as_ref()))
    }

    /// Writes everything that training changes, from which [`Session::resume`] goes on with the same bits.
    ///
    /// # Errors
    /// If the file cannot be written; an older one is then still there.
    pub fn checkpoint(&self, path: impl AsRef<Path>) -> Result<()> {
        let metadata = HashMap::from([(STEPS.to_string(), self.steps.to_string())]);
        self.write(path.as_ref(), |_| true, metadata)
    }

    /// Reads what [`Session::checkpoint`] of a session with the same network and optimiser wrote.
    ///
    /// # Errors
    /// If the file cannot be read or belongs to another network or optimiser. Then nothing is changed.
    pub fn resume(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let (state, metadata) = read(path, |_| true)?;
        let steps = metadata.get(STEPS).and_then(|text| text.parse().ok());
        let steps = steps.ok_or_else(|| TrainError::run(path, "is no checkpoint: `load` reads weights alone"))?;
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
        self.steps = steps;
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

/// The tensors of a safetensors file, and its metadata; counters of batches as far as they are known.
fn read(path: &Path, knows: impl Fn(&str) -> bool) -> Result<(BTreeMap<String, Values>, HashMap<String, String>)> {
    let (tensors, metadata) = weights::read_known(path, knows)?;
    let values = |Owned { shape, values }: Owned| Values { shape, values };
    Ok((tensors.into_iter().map(|(name, tensor)| (name, values(tensor))).collect(), metadata))
}
