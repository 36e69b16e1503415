//! Names and shapes of a file, as the architectures look at them.

use std::collections::BTreeMap;

use crate::weights::Weights;

/// Names and shapes, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Shapes {
    by_name: BTreeMap<String, Vec<usize>>,
}

/// PyTorch's batch normalisation counts its batches under this name, which plays no part where a network is used.
const COUNTER: &str = "num_batches_tracked";

/// What programs that wrap a network put before all of its names.
const WRAPPERS: [&str; 5] = ["module.", "model.", "_orig_mod.", "encoder.", "backbone."];

impl Shapes {
    /// Those of a file, and what was taken away from the beginning of all names.
    pub(super) fn of(weights: &Weights) -> (Shapes, String) {
        let names: Vec<&str> = weights.iter().map(|(name, ..)| name).filter(|name| !is_counter(name)).collect();
        let mut prefix = String::new();
        while let Some(wrapper) = WRAPPERS.iter().find(|wrapper| {
            let begins = |name: &&str| name.strip_prefix(&prefix[..]).is_some_and(|rest| rest.starts_with(*wrapper));
            !names.is_empty() && names.iter().all(begins)
        }) {
            prefix += wrapper;
        }
        let shapes = weights.iter().filter(|(name, ..)| !is_counter(name));
        let by_name =
            shapes.map(|(name, _, shape)| (name.strip_prefix(&prefix[..]).unwrap_or(name).to_string(), shape.to_vec()));
        (Shapes { by_name: by_name.collect() }, prefix)
    }

    pub(super) fn get(&self, name: &str) -> Option<&[usize]> {
        self.by_name.get(name).map(|shape| &shape[..])
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(|name| &name[..])
    }

    /// Length of an axis of a tensor.
    pub(super) fn axis(&self, name: &str, axis: usize) -> Option<usize> {
        self.get(name)?.get(axis).copied()
    }

    /// The same tensors by other names; those without one are left out.
    pub(super) fn renamed(&self, rename: impl Fn(&str) -> Option<String>) -> Shapes {
        let by_name = self.by_name.iter().filter_map(|(name, shape)| Some((rename(name)?, shape.clone())));
        Shapes { by_name: by_name.collect() }
    }

    /// How many parts have a name of this beginning and a number, counted from 0.
    pub(super) fn count(&self, beginning: &str) -> usize {
        let has = |number: usize| {
            let start = format!("{beginning}{number}.");
            self.by_name.range(start.clone()..).next().is_some_and(|(name, _)| name.starts_with(&start))
        };
        (0..).take_while(|&number| has(number)).count()
    }
}

fn is_counter(name: &str) -> bool {
    name.rsplit('.').next() == Some(COUNTER)
}
