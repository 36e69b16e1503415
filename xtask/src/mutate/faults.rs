//! Which faults there are, and which operations cannot have one.

use deepfit_graph::passes::PASSES;
use deepfit_graph::sample::Sample;
use deepfit_graph::{DType, GraphError, Mode, Op, Tensor, TensorType, Tracer, gradients};

/// What is made wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The sign of an operation's derivative.
    Derivative,
    /// The outputs of an operation's kernel, by a thousandth.
    Kernel,
    /// A pass of the optimiser, which is left out.
    Pass,
}

/// One fault.
#[derive(Debug, Clone)]
pub struct Fault {
    /// What is made wrong.
    pub place: Place,
    /// The kind of the operation, or the name of the pass.
    pub name: &'static str,
    /// Why the fault cannot be planted, if it cannot.
    pub absent: Option<String>,
}

impl Fault {
    /// The fault as the environment variable `DEEPFIT_MUTATE` names it.
    pub fn code(&self) -> String {
        let place = match self.place {
            Place::Derivative => "derivative",
            Place::Kernel => "kernel",
            Place::Pass => "pass",
        };
        format!("{place}:{}", self.name)
    }
}

/// All faults: each operation's derivative, each operation's kernel, each pass.
pub fn all() -> Vec<Fault> {
    let operations = Op::all_samples();
    let derivatives = operations.iter().map(|(kind, samples)| Fault {
        place: Place::Derivative,
        name: kind,
        absent: no_derivative(kind, samples),
    });
    let kernels = operations.iter().map(|(kind, samples)| Fault {
        place: Place::Kernel,
        name: kind,
        absent: no_kernel(kind, samples),
    });
    let passes = PASSES.iter().map(|pass| Fault { place: Place::Pass, name: pass.name, absent: None });
    derivatives.chain(kernels).chain(passes).collect()
}

/// Operations that compute nothing have no samples.
fn computes_nothing(kind: &str) -> Option<&'static str> {
    match kind {
        "Input" | "Parameter" | "Constant" => Some("stands for memory that exists before the run"),
        "Guard" => Some("has no output"),
        _ => None,
    }
}

/// Why there is no derivative whose sign could be flipped. The reason is looked for only where the operation has none.
fn no_derivative(kind: &str, samples: &[Sample]) -> Option<String> {
    if let Some(reason) = computes_nothing(kind) {
        return Some(reason.to_string());
    }
    if kind == "StopGradient" {
        return Some("is there to have none".to_string());
    }
    if samples.iter().any(has_derivative) {
        return None;
    }
    let every = |property: fn(&Sample) -> bool| samples.iter().all(property);
    let reason = if every(|s| s.inputs.is_empty()) {
        "has no inputs"
    } else if every(|s| s.inputs.iter().all(|input| input.data().dtype() != DType::F32)) {
        "its inputs are integers"
    } else if every(|s| !s.op.updates().is_empty()) {
        "writes parameters, after the loss"
    } else if kind.ends_with("Grad") {
        "belongs to the backward pass; there are no second derivatives"
    } else {
        // Planted all the same, so that the campaign ends with a fault that nobody notices.
        return None;
    };
    Some(reason.to_string())
}

/// Whether the first output can be differentiated with respect to an input.
fn has_derivative(sample: &Sample) -> bool {
    let attempt = || -> Result<bool, GraphError> {
        let tracer = Tracer::new(Mode::Train);
        let mut inputs: Vec<Tensor> = Vec::new();
        for (i, host) in sample.inputs.iter().enumerate() {
            let name = format!("input{i}");
            inputs.push(match host.data().dtype() {
                DType::F32 => tracer.parameter(&name, host.shape())?,
                other => tracer.input(&name, host.shape(), other),
            });
        }
        let given: Vec<&Tensor> = inputs.iter().collect();
        let outputs = tracer.apply(sample.op.clone(), &given)?;
        let loss = outputs[0].sum()?;
        let found = |input: &Tensor| gradients(&loss, std::slice::from_ref(input)).is_ok();
        Ok(inputs.iter().filter(|input| input.dtype() == DType::F32).any(found))
    };
    attempt().unwrap_or(false)
}

/// Why there is no kernel whose output could be perturbed.
fn no_kernel(kind: &str, samples: &[Sample]) -> Option<String> {
    if let Some(reason) = computes_nothing(kind) {
        return Some(reason.to_string());
    }
    if samples.iter().all(|sample| sample.op.is_view()) {
        return Some("a view: its output is the input's memory".to_string());
    }
    let integers = |sample: &Sample| {
        let types: Vec<TensorType> =
            sample.inputs.iter().map(|i| TensorType { shape: i.shape().into(), dtype: i.data().dtype() }).collect();
        let types: Vec<&TensorType> = types.iter().collect();
        sample.op.infer(&types).is_ok_and(|outputs| outputs.iter().all(|output| output.dtype != DType::F32))
    };
    samples.iter().all(integers).then(|| "all of its outputs are integers".to_string())
}
