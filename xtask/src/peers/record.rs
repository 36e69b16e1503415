//! What a run measured, as it is stored.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// A run: nothing in BENCHMARKS.md comes from anywhere else.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub machine: Machine,
    pub commit: String,
    /// Whether the working tree had changes.
    pub dirty: bool,
    pub date: String,
    pub threads: usize,
    /// Seconds that a workload was measured for, each time.
    pub seconds: f64,
    pub rounds: usize,
    /// Version of the compiler of deepfit and of the peers in Rust.
    pub rustc: String,
    /// Size of the command, MB.
    pub binary_mb: f64,
    /// Whole processes that made one step of `mlp_small`, milliseconds.
    pub startup_ms: Vec<f64>,
    /// What the machine can do, a few times.
    pub peaks: Vec<Peak>,
    pub measurements: Vec<Measurement>,
    /// Engines that were left out, with the reason.
    pub absent: BTreeMap<String, String>,
    /// Workloads that an engine cannot do, with the reason.
    pub cannot: BTreeMap<String, BTreeMap<String, String>>,
    pub correctness: Vec<Checked>,
    /// Why the steps were not compared with PyTorch's, if they were not.
    pub unchecked: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    pub processor: String,
    /// Instruction sets that matter for speed.
    pub features: Vec<String>,
    /// A line for each level.
    pub caches: Vec<String>,
    /// Caches that no other core shares, of all threads of the run together.
    pub private_cache_mb: f64,
    pub cores: usize,
    pub memory_gb: f64,
}

/// Figures that one engine found; what it did not measure is 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Peak {
    pub engine: String,
    pub fma_gflops: f64,
    pub matmul_gflops: f64,
    pub copy_gb_s: f64,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    pub round: usize,
    pub engine: String,
    pub workload: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub figures: Option<Figures>,
    /// Why there are no figures.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<String>,
}

/// What a process tells in its line; what only deepfit tells is 0 for others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// Median, milliseconds.
    pub ms: f64,
    pub min_ms: f64,
    pub n: usize,
    /// From the start of the process to the end of the first step.
    pub first_s: f64,
    /// Peak resident set.
    pub rss_mb: f64,
    /// Resident set when everything is loaded and nothing is built.
    pub base_mb: f64,
    pub planned_mb: f64,
    /// All values, parameters and the optimiser's state.
    pub working_mb: f64,
    /// Floating-point operations of a step by the textbook.
    pub flops: f64,
    /// Bytes that the operations of a step read and write, each by itself.
    pub bytes: f64,
    pub versions: BTreeMap<String, String>,
}

/// A workload's step beside that of PyTorch in f64, as `scripts/bench-check.py --json` tells it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checked {
    pub workload: String,
    pub first_loss: Option<f64>,
    pub gradients: Option<f64>,
    pub losses: Option<f64>,
    pub logits: Option<f64>,
    /// The gradients of PyTorch itself in f32.
    pub peer_gradients: Option<f64>,
    pub remark: String,
    pub good: bool,
}

impl Record {
    /// Reads a stored run.
    ///
    /// # Errors
    /// If the file cannot be read or is no run.
    pub fn read(path: &Path) -> Result<Record> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is no stored run", path.display()))
    }

    /// Stores the run; whoever reads at any moment finds a whole file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write(path, &(serde_json::to_string_pretty(self)? + "\n"))
    }
}

/// Writes beside the place and renames.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let mut part = path.as_os_str().to_os_string();
    part.push(".part");
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(&part, text)
        .and_then(|()| fs::rename(&part, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
