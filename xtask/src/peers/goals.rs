//! The workloads, and how much faster than others each is meant to be.

use super::summary::Summary;

/// A workload with its goals.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    pub name: &'static str,
    /// How many times faster than the fastest of [`PYTORCH`].
    pub pytorch: f64,
    /// Likewise for JAX.
    pub jax: Option<f64>,
    /// Likewise for the faster of ONNX Runtime and OpenVINO.
    pub runtime: Option<f64>,
}

const fn trained(name: &'static str, pytorch: f64, jax: Option<f64>) -> Workload {
    Workload { name, pytorch, jax, runtime: None }
}

const fn used(name: &'static str, pytorch: f64) -> Workload {
    Workload { name, pytorch, jax: None, runtime: Some(1.0) }
}

/// All workloads in the order of tables.
pub const WORKLOADS: [Workload; 11] = [
    trained("mlp_small", 20.0, Some(3.0)),
    trained("mlp", 2.0, Some(1.1)),
    trained("lenet", 2.0, None),
    trained("resnet18_cifar", 1.4, None),
    trained("resnet18_224", 1.5, None),
    used("resnet18_224_infer", 1.6),
    trained("dwconv", 2.0, None),
    trained("lstm", 1.4, None),
    trained("minilm", 1.4, None),
    used("minilm_infer", 1.2),
    trained("gpt", 1.5, None),
];

/// The ways to run PyTorch.
pub const PYTORCH: [&str; 3] = ["pytorch", "pytorch-channels-last", "pytorch-compile"];
/// What compiles or serves networks of others.
pub const COMPILERS: [&str; 3] = ["jax", "onnxruntime", "openvino"];
/// What only serves them.
pub const RUNTIMES: [&str; 2] = ["onnxruntime", "openvino"];
/// The peers in Rust.
pub const RUST: [&str; 2] = ["burn", "candle"];

/// Share of the machine's peak at which a goal against PyTorch is met, whatever PyTorch does.
pub const ENOUGH_OF_PEAK: f64 = 0.85;
/// Against the better of burn and candle: geometric mean, and least.
pub const RUST_MEAN: f64 = 3.0;
pub const RUST_LEAST: f64 = 1.8;
/// Memory as a share of PyTorch's.
pub const MEMORY: f64 = 0.5;
/// Start of the process to the first step, milliseconds.
pub const STARTUP_MS: f64 = 50.0;
/// Size of the command, MB.
pub const BINARY_MB: f64 = 30.0;

/// A goal and how far it is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    pub subject: String,
    pub wanted: String,
    /// Empty where nothing was measured.
    pub reached: String,
    /// `None` where nothing was measured.
    pub met: Option<bool>,
}

/// All goals.
pub fn all(summary: &Summary) -> Vec<Goal> {
    let mut goals = Vec::new();
    let ratio = |ratio: f64| format!("{ratio:.2}x");
    let mut faster = |subject: String, wanted: f64, found: Option<f64>| {
        let (reached, met) = (found.map(ratio).unwrap_or_default(), found.map(|found| found >= wanted));
        goals.push(Goal { subject, wanted: format!("at least {wanted}x"), reached, met });
    };
    for workload in &WORKLOADS {
        if let Some(wanted) = workload.jax {
            faster(format!("{} against JAX", workload.name), wanted, summary.ratio(workload.name, &["jax"]));
        }
        if let Some(wanted) = workload.runtime {
            let subject = format!("{} against ONNX Runtime and OpenVINO", workload.name);
            faster(subject, wanted, summary.ratio(workload.name, &RUNTIMES));
        }
    }
    let rust = summary.ratios(&RUST);
    let least = rust.iter().copied().reduce(f64::min);
    faster("burn and candle, geometric mean".to_string(), RUST_MEAN, geometric_mean(&rust));
    faster("burn and candle, least".to_string(), RUST_LEAST, least);
    let memory: Vec<f64> = WORKLOADS.iter().filter_map(|w| summary.memory_share(w.name)).collect();
    let most = memory.into_iter().reduce(f64::max);
    goals.push(at_most("memory as a share of PyTorch's, the largest", MEMORY, "", most));
    goals.push(at_most("start to first step of mlp_small", STARTUP_MS, " ms", summary.startup_ms()));
    let binary = summary.record.binary_mb;
    goals.push(at_most("size of the command", BINARY_MB, " MB", (binary > 0.0).then_some(binary)));
    goals
}

fn at_most(subject: &str, limit: f64, unit: &str, found: Option<f64>) -> Goal {
    Goal {
        subject: subject.to_string(),
        wanted: format!("at most {limit}{unit}"),
        reached: found.map(|found| format!("{found:.2}{unit}")).unwrap_or_default(),
        met: found.map(|found| found <= limit),
    }
}

/// Whether a workload's goal against PyTorch is met: by the ratio, or by enough of the peak without being slower.
pub fn beats_pytorch(workload: &Workload, ratio: f64, share_of_peak: Option<f64>) -> bool {
    ratio >= workload.pytorch || (ratio >= 1.0 && share_of_peak.is_some_and(|share| share >= ENOUGH_OF_PEAK))
}

/// The geometric mean, if there is anything.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logarithms: f64 = values.iter().map(|v| v.ln()).sum();
    (!values.is_empty()).then(|| (logarithms / values.len() as f64).exp())
}
