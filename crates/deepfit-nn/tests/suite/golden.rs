//! Reads golden files made with PyTorch, and compares.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use deepfit_graph::interpret::Environment;
use deepfit_graph::{Extents, Graph, Reference, Shape, Symbol};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// The arrays and the settings of one case.
pub struct Golden {
    pub name: String,
    pub config: Value,
    arrays: BTreeMap<String, Reference>,
    integers: BTreeSet<String>,
}

fn folder() -> PathBuf {
    // Also the tests of other crates read these files.
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../deepfit-nn/tests/goldens"))
}

impl Golden {
    /// Reads the case of the given name.
    pub fn read(name: &str) -> Golden {
        let path = folder().join(format!("{name}.safetensors"));
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("a valid header");
        let config = &header.metadata().as_ref().expect("metadata")["config"];
        let config = serde_json::from_str(config).expect("settings in JSON");
        let file = SafeTensors::deserialize(&bytes).expect("a valid file");
        let arrays = file.iter().map(|(name, view)| {
            let bytes = view.data();
            let data: Vec<f64> = match view.dtype() {
                Dtype::F32 => bytes.chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect(),
                Dtype::F64 => bytes.chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
                Dtype::I64 => bytes.chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
                Dtype::U8 => bytes.iter().map(|&b| f64::from(b)).collect(),
                other => panic!("unexpected type {other:?}"),
            };
            (name.to_string(), Reference::new(view.shape(), data))
        });
        let integers = file.iter().filter(|(_, view)| view.dtype() == Dtype::I64).map(|(name, _)| name.to_string());
        Golden { name: name.to_string(), config, arrays: arrays.collect(), integers: integers.collect() }
    }

    /// All cases whose names begin so, at least one.
    #[allow(dead_code, reason = "the other crates that include this file read cases by name")]
    pub fn all(prefix: &str) -> Vec<Golden> {
        let entries = std::fs::read_dir(folder()).expect("the folder of goldens");
        let mut names: Vec<String> = entries
            .filter_map(|e| Some(e.ok()?.path().file_stem()?.to_str()?.to_string()))
            .filter(|n| n.starts_with(prefix))
            .collect();
        names.sort();
        assert!(!names.is_empty(), "no golden begins with {prefix}");
        names.iter().map(|n| Golden::read(n)).collect()
    }

    /// An array that must be there.
    pub fn get(&self, name: &str) -> &Reference {
        self.arrays.get(name).unwrap_or_else(|| panic!("{} has no `{name}`", self.name))
    }

    /// Whether an array holds integers.
    #[allow(dead_code, reason = "the other crates that include this file know what theirs hold")]
    pub fn is_integer(&self, name: &str) -> bool {
        self.integers.contains(name)
    }

    /// Arrays whose names begin so, without that beginning.
    pub fn under(&self, prefix: &str) -> Vec<(String, &Reference)> {
        self.arrays.iter().filter_map(|(n, a)| Some((n.strip_prefix(prefix)?.to_string(), a))).collect()
    }

    /// A number of the settings.
    #[allow(dead_code, reason = "the other crates that include this file read their settings elsewhere")]
    pub fn number(&self, key: &str) -> f64 {
        self.config[key].as_f64().unwrap_or_else(|| panic!("{}: `{key}` is no number", self.name))
    }

    /// Fails unless `actual` equals the array to within `tolerance` of its largest element.
    #[track_caller]
    pub fn compare(&self, name: &str, actual: &Reference, tolerance: f64) {
        close(&format!("{} {name}", self.name), actual, self.get(name), tolerance);
    }
}

/// Fails unless both are equal to within `tolerance` of the largest element of `expected`.
#[track_caller]
pub fn close(what: &str, actual: &Reference, expected: &Reference, tolerance: f64) {
    assert_eq!(actual.shape, expected.shape, "{what}");
    let scale = expected.data.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    for (i, (a, e)) in actual.data.iter().zip(&expected.data).enumerate() {
        let error = (a - e).abs() / scale;
        assert!(error <= tolerance, "{what}[{i}]: {a} instead of {e} (error {error:.1e} of the largest)");
    }
}

/// The shape of a batch: the first axis symbolic.
#[allow(dead_code, reason = "the other crates that include this file take shapes from their slots")]
pub fn batch_shape(array: &Reference) -> Shape {
    let mut dims = vec![Symbol::Batch.into()];
    dims.extend(array.shape[1..].iter().map(|&n| deepfit_graph::Dim::fixed(n)));
    Shape::from(dims)
}

/// One run of a graph in f64; returns the named outputs.
pub fn run(
    graph: &Graph,
    batch: usize,
    inputs: &Environment,
    parameters: &mut Environment,
) -> BTreeMap<String, Reference> {
    let values =
        deepfit_graph::interpret::run(graph, Extents::batch(batch), inputs, parameters).expect("the graph runs");
    graph.outputs().iter().map(|(name, value)| (name.clone(), values.get(*value).clone())).collect()
}
