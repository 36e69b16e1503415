//! What was found when a model was loaded.

use std::fmt;

/// How the tensors of a file fit a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadReport {
    /// The architecture, such as `EfficientNet-Lite0`.
    pub architecture: String,
    /// Whose names the tensors have, such as `torchvision`.
    pub naming: String,
    /// Number of the network's tensors whose values are from the file.
    pub matched: usize,
    /// Those that the file lacks, with their shapes: the last layer of a model that was published without.
    pub new: Vec<(String, Vec<usize>)>,
    /// Tensors of the file that the network lacks, with their shapes.
    pub left_over: Vec<(String, Vec<usize>)>,
    /// What was assumed, and what else is worth knowing, a sentence each.
    pub notes: Vec<String>,
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LoadReport { architecture, naming, matched, new, left_over, .. } = self;
        let (new, left_over) = (new.len(), left_over.len());
        write!(
            f,
            "{architecture} with the names of {naming}: {matched} tensors matched, {new} new, {left_over} left over"
        )
    }
}

/// As many names of a kind are told.
const TOLD: usize = 6;

/// What is wrong with a file that a network was recognised in: tensors of another shape, missing or left over.
pub(super) fn wrong(
    report: &LoadReport,
    shapes: &[(String, Vec<usize>, Vec<usize>)],
    missing: &[&(String, Vec<usize>)],
) -> Option<String> {
    let mut told = Vec::new();
    let mut tell = |all: Vec<String>, more: &str| {
        let count = all.len();
        told.extend(all.into_iter().take(TOLD));
        if count > TOLD {
            told.push(format!("and {} more {more}", count - TOLD));
        }
    };
    let shape = |(name, there, here): &(String, Vec<usize>, Vec<usize>)| {
        format!("`{name}` is {there:?} in the file, but must be {here:?}")
    };
    tell(shapes.iter().map(shape).collect(), "have other shapes");
    let lacking = |(name, shape): &&(String, Vec<usize>)| format!("what becomes `{name}` {shape:?} is missing");
    tell(missing.iter().map(lacking).collect(), "are missing");
    let extra = |(name, shape): &(String, Vec<usize>)| format!("`{name}` {shape:?} has no place in it");
    tell(report.left_over.iter().map(extra).collect(), "have no place in it");
    if told.is_empty() {
        return None;
    }
    let (architecture, naming) = (&report.architecture, &report.naming);
    Some(format!(
        "is like a {architecture} with the names of {naming}, but differs: {}; it is damaged, or a variant that is not read",
        told.join("; ")
    ))
}
