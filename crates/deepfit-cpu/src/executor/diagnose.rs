//! Where a number first stopped being finite.

use std::fmt;

use deepfit_graph::{DType, Extents, Graph, Node, Op};

use super::call::Raw;
use super::engine::{Engine, ProgramId, View};

/// The first thing in a run that is not finite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Culprit {
    /// An input, as given by the caller.
    Input {
        /// Its name.
        name: String,
        /// Position of the first such value.
        position: usize,
    },
    /// A parameter, before the run.
    Parameter {
        /// Its name.
        name: String,
        /// The operation that writes it in a program of this engine, and the layer it belongs to; `None` if none does.
        written_by: Option<(String, String)>,
    },
    /// The result of an operation whose inputs were all finite.
    Operation {
        /// Its name.
        operation: String,
        /// Path of its layer; empty outside of layers.
        layer: String,
        /// Position of the first such value in its first output that has one.
        position: usize,
    },
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Culprit::Input { name, position } => write!(f, "value {position} of the input `{name}`"),
            Culprit::Parameter { name, written_by: None } => write!(f, "the parameter `{name}`"),
            Culprit::Parameter { name, written_by: Some((operation, layer)) } => {
                write!(f, "the parameter `{name}`, written in an earlier step by the operation `{operation}`")?;
                if layer.is_empty() { Ok(()) } else { write!(f, " of layer `{layer}`,") }
            }
            Culprit::Operation { operation, layer, position } => {
                write!(f, "the operation `{operation}`")?;
                if !layer.is_empty() {
                    write!(f, " of layer `{layer}`")?;
                }
                match &operation[..] {
                    "ctc" => write!(
                        f,
                        ", in example {position} (infinite where labels need more frames than an example has: see \
                         `zero_infinity`)"
                    ),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl Engine {
    /// Runs a program without its effects and returns the first thing that is not finite, if there is one.
    pub fn find_non_finite(
        &mut self,
        program: ProgramId,
        extents: Extents,
        inputs: &[(&str, View<'_>)],
    ) -> Option<Culprit> {
        for (name, view) in inputs {
            if let View::F32(values) = view
                && let Some(position) = values.iter().position(|v| !v.is_finite())
            {
                return Some(Culprit::Input { name: name.to_string(), position });
            }
        }
        let plan = self.plan(program).clone();
        for (name, _) in &plan.parameters {
            if self.parameter(name).is_some_and(|values| values.iter().any(|v| !v.is_finite())) {
                return Some(Culprit::Parameter { name: name.clone(), written_by: self.writer(name) });
            }
        }
        let nodes = plan.graph.nodes();
        let runs = without_effects(&plan.graph);
        let mut found: Option<(usize, usize)> = None;
        let mut observe = |index: usize, done: bool, outputs: &[Raw]| {
            if !done {
                return found.is_none() && runs[index];
            }
            let wrong = |raw: &Raw| {
                // SAFETY: an output of the step that has just ended, of this type and length.
                let values = unsafe { std::slice::from_raw_parts(raw.start.cast::<f32>(), raw.len) };
                values.iter().position(|v| !v.is_finite())
            };
            if found.is_none() {
                let position = outputs.iter().filter(|raw| raw.dtype == DType::F32).find_map(wrong);
                found = position.map(|position| (index, position));
            }
            true
        };
        // An error of the run itself (a row number out of range) was reported before anybody looks for this.
        let _ = self.run_observed(program, extents, inputs, &mut observe);
        found.map(|(index, position)| {
            let node = &nodes[index];
            Culprit::Operation { operation: node.op.name(), layer: node.layer.clone(), position }
        })
    }
}

impl Engine {
    /// The operation that writes a parameter in any program, with its layer. An optimiser's update stands outside of
    /// layers, or under the parameter's own name: then it is the layer to which the parameter belongs.
    fn writer(&self, name: &str) -> Option<(String, String)> {
        self.graphs().find_map(|graph| {
            let nodes = graph.nodes();
            let writes = |node: &Node| {
                let named = |&(input, _): &(usize, usize)| match &nodes[node.inputs[input].node].op {
                    Op::Parameter(parameter) => parameter.name == name,
                    _ => false,
                };
                node.op.updates().iter().any(named)
            };
            let node = nodes.iter().find(|node| writes(node))?;
            let layer = match &node.layer[..] {
                layer if layer.is_empty() || layer == name => name.rsplit_once('.').map_or("", |(layer, _)| layer),
                layer => layer,
            };
            Some((node.op.name(), layer.to_string()))
        })
    }
}

/// For each node, whether it has no effect and does not read the result of one.
fn without_effects(graph: &Graph) -> Vec<bool> {
    let mut runs: Vec<bool> = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        runs.push(!node.op.has_effect() && node.inputs.iter().all(|v| runs[v.node]));
    }
    runs
}
