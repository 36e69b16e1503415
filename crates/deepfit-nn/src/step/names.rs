//! Names of what a training step adds to the graph of a network.

use deepfit_graph::{Op, RANDOM_KEY, Tracer};

use crate::error::{Result, require};

/// What the names of all inputs and outputs begin with that belong to the step itself. A network or a loss that gives
/// such a name to one of its own is refused, so that neither takes the place of the other.
pub const RESERVED: &str = "step:";
/// Input: the learning rate, f32 `[]`.
pub const LEARNING_RATE: &str = "step:learning_rate";
/// Input: the number of this update from 1, f32 `[]`.
pub const STEP: &str = "step:number";
/// Input: share of this micro-batch in the whole batch, f32 `[]`.
pub const LOSS_SCALE: &str = "step:loss_scale";
/// Input: whether the gradients accumulated so far count (1) or belong to an earlier batch (0), f32 `[]`.
pub const KEEP: &str = "step:keep";
/// Output: the loss of this (micro-)batch, not scaled, f32 `[]`.
pub const LOSS: &str = "step:loss";
/// Output where gradients are clipped by norm: their norm before, f32 `[]`.
pub const GRADIENT_NORM: &str = "step:gradient_norm";
/// Output: what a network in use gives, where whoever uses it names no outputs.
pub const OUTPUT: &str = "step:output";
/// Prefix of the names of outputs that are gradients: `step:gradient.fc.weight`.
pub const GRADIENT: &str = "step:gradient";
/// Prefix of the names of accumulated gradients, which are parameters: `accumulated.fc.weight`.
pub const ACCUMULATED: &str = "accumulated";

/// The name of the output that is the gradient of a parameter.
pub fn gradient_name(parameter: &str) -> String {
    format!("{GRADIENT}.{parameter}")
}

/// Whether a name belongs to a step itself, or to its random operations.
pub fn is_reserved(name: &str) -> bool {
    name.starts_with(RESERVED) || name == RANDOM_KEY
}

/// Fails if the network or the loss has given a reserved name to an input or an output.
pub(super) fn check(tracer: &Tracer, outputs: &[(String, deepfit_graph::Tensor)]) -> Result<()> {
    let graph = tracer.graph();
    let refuse = |what: &str, name: &str| {
        require(false, "network", what, || {
            format!("`{name}` has a name of the training step, whose own begin with `{RESERVED}`: choose another")
        })
    };
    let named = |node: &deepfit_graph::Node| match &node.op {
        Op::Input(input) => Some(input.name.clone()),
        _ => None,
    };
    for (position, name) in graph.nodes().iter().enumerate().filter_map(|(i, node)| Some((i, named(node)?))) {
        if name.starts_with(RESERVED) {
            return refuse("input", &name);
        }
        if name == RANDOM_KEY && tracer.random_key().value().node != position {
            return require(false, "network", "input", || {
                format!("`{name}` has the name of the key of random operations: choose another")
            });
        }
    }
    let own = graph.outputs().iter().map(|(name, _)| name).chain(outputs.iter().map(|(name, _)| name));
    match own.into_iter().find(|name| name.starts_with(RESERVED)) {
        Some(name) => refuse("output", name),
        None => Ok(()),
    }
}
