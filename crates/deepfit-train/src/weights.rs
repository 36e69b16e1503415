//! Weights by name from files of any program, and whether they fit a network.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs;
use std::path::Path;

use deepfit_nn::Declaration;
use deepfit_zoo::{Array, Weights, ZooError};

use crate::error::{Result, TrainError};
use crate::tensors::Owned;

/// PyTorch's batch normalisation counts its batches under this name; only one without momentum depends on the count.
const COUNTER: &str = "num_batches_tracked";
/// As many names of a kind are told; of more, their number.
const TOLD: usize = 6;

/// How the tensors of a file differ from the parameters and running statistics of a network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Misfit {
    /// Those of another shape: name, shape there, shape in the network.
    pub shapes: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// Those that only the network has, with its shapes.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Those that only the file has, with its shapes.
    pub left_over: Vec<(String, Vec<usize>)>,
}

impl Misfit {
    /// Compares what is given with what a network declares; `known_as` gives the declared name of a tied one.
    pub(crate) fn find<'a>(
        declarations: &[Declaration],
        given: impl Iterator<Item = (&'a str, &'a [usize])>,
        known_as: impl Fn(&str) -> String,
    ) -> Option<Misfit> {
        let declared: HashMap<&str, &Declaration> = declarations.iter().map(|d| (&d.name[..], d)).collect();
        let (mut misfit, mut found) = (Misfit::default(), BTreeSet::new());
        for (name, shape) in given {
            match declared.get(&known_as(name)[..]) {
                None => misfit.left_over.push((name.to_string(), shape.to_vec())),
                Some(declaration) => {
                    found.insert(&declaration.name[..]);
                    if declaration.shape != shape {
                        misfit.shapes.push((name.to_string(), shape.to_vec(), declaration.shape.clone()));
                    }
                }
            }
        }
        let missing = declarations.iter().filter(|d| !found.contains(&d.name[..]));
        misfit.missing = missing.map(|d| (d.name.clone(), d.shape.clone())).collect();
        (misfit != Misfit::default()).then_some(misfit)
    }

    /// What all names there begin with, if they fit without it: programs that wrap a network add such a beginning.
    fn prefix(&self) -> Option<&str> {
        let (first, _) = self.left_over.first()?;
        let missing: BTreeSet<&str> = self.missing.iter().map(|(name, _)| &name[..]).collect();
        let ends = first.match_indices('.').map(|(i, _)| &first[..=i]);
        let fits = |prefix: &&str| {
            self.left_over.iter().all(|(name, _)| name.strip_prefix(prefix).is_some_and(|rest| missing.contains(rest)))
        };
        ends.into_iter().find(fits)
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shapes =
            self.shapes.iter().map(|(name, there, here)| format!("`{name}` is {there:?} there, but {here:?} here"));
        let missing = self.missing.iter().map(|(name, shape)| format!("`{name}` {shape:?} is missing there"));
        let left_over =
            self.left_over.iter().map(|(name, shape)| format!("`{name}` {shape:?} is not part of this network"));
        let mut told: Vec<String> = Vec::new();
        let mut tell = |all: &mut dyn Iterator<Item = String>, number: usize, more: &str| {
            told.extend(all.take(TOLD));
            if number > TOLD {
                told.push(format!("and {} more {more}", number - TOLD));
            }
        };
        tell(&mut shapes.into_iter(), self.shapes.len(), "have other shapes");
        tell(&mut missing.into_iter(), self.missing.len(), "are missing there");
        tell(&mut left_over.into_iter(), self.left_over.len(), "are not part of this network");
        write!(f, "the weights are not those of this network: {}", told.join("; "))?;
        match self.prefix() {
            Some(prefix) => write!(f, "; without the beginning `{prefix}` the names there would be found"),
            None => Ok(()),
        }
    }
}

/// The tensors of a file of weights as f32, and what the header of a safetensors file says: safetensors, or what PyTorch's
/// `torch.save` writes. Those of f64, f16 and bf16 are converted; PyTorch's counters of batches are left out.
///
/// # Errors
/// If the file cannot be read, or a tensor is not floating point.
pub fn read(path: &Path) -> Result<(BTreeMap<String, Owned>, HashMap<String, String>)> {
    read_known(path, |_| false)
}

/// As [`read`], with those counters of batches that the network knows.
pub(crate) fn read_known(
    path: &Path,
    knows: impl Fn(&str) -> bool,
) -> Result<(BTreeMap<String, Owned>, HashMap<String, String>)> {
    // What is missing or must not be read is told apart from what is damaged.
    fs::File::open(path).map_err(|source| TrainError::Io { action: "read", path: path.to_path_buf(), source })?;
    let mut file = Weights::open(path).map_err(|error| match error {
        ZooError::File { path, problem } => {
            TrainError::run(path, format!("is damaged: it is no readable file of weights: it {problem}"))
        }
        other => other.into(),
    })?;
    let counts = |name: &str| name.rsplit('.').next() == Some(COUNTER);
    let mut wanted = Vec::new();
    for (name, dtype, _) in file.iter().filter(|(name, ..)| !counts(name) || knows(name)) {
        if !dtype.is_float() && !counts(name) {
            let dtype = dtype.to_string().to_uppercase();
            let problem = format!("`{name}` is of type {dtype}; weights must be F32, F64, F16 or BF16");
            return Err(TrainError::run(path, problem));
        }
        wanted.push(name.to_string());
    }
    let mut tensors = BTreeMap::new();
    for name in wanted {
        let Array { shape, values } = file.read(&name)?;
        tensors.insert(name, Owned { shape, values });
    }
    Ok((tensors, file.metadata().clone().into_iter().collect()))
}

/// In words, which of the values is not finite, if one is.
pub(crate) fn not_finite(values: &[f32]) -> Option<String> {
    let (position, value) = values.iter().enumerate().find(|(_, value)| !value.is_finite())?;
    Some(format!("{value} at position {position} of {}", values.len()))
}
