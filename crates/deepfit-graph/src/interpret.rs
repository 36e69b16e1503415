//! The f64 interpreter: runs a graph by the operations' references. Slow, plain, and the measure of right.

use std::collections::HashMap;

use crate::graph::{Graph, Value};
use crate::host::Reference;
use crate::op::{Op, ReferenceContext};
use crate::shape::Extents;

/// What is given to a run by name: inputs and parameters.
pub type Environment = HashMap<String, Reference>;

/// Every value of one run.
#[derive(Debug)]
pub struct Values(Vec<Vec<Reference>>);

impl Values {
    /// The array of a value.
    pub fn get(&self, value: Value) -> &Reference {
        &self.0[value.node][value.port]
    }
}

/// Runs a graph in f64 and returns all of its values. Parameters that the graph updates are changed in `parameters`.
///
/// # Errors
/// If an input or a parameter is missing or has the wrong shape, or the graph is not right: see [`Graph::check`].
pub fn run(
    graph: &Graph,
    extents: Extents,
    inputs: &Environment,
    parameters: &mut Environment,
) -> Result<Values, String> {
    graph.check(&extents).map_err(|error| error.to_string())?;
    let mut values: Vec<Vec<Reference>> = Vec::with_capacity(graph.nodes().len());
    let mut updates: Vec<(String, Reference)> = Vec::new();
    for node in graph.nodes() {
        let shapes: Vec<Vec<usize>> = node.outputs.iter().map(|t| t.shape.resolve(&extents)).collect();
        let given = match &node.op {
            Op::Input(input) => Some((&input.name, inputs.get(&input.name))),
            Op::Parameter(parameter) => Some((&parameter.name, parameters.get(&parameter.name))),
            _ => None,
        };
        if let Some((name, array)) = given {
            let array = array.ok_or_else(|| format!("`{name}` is not given"))?;
            if array.shape != shapes[0] {
                return Err(format!("`{name}` has shape {:?}, not {:?}", array.shape, shapes[0]));
            }
            values.push(vec![array.clone()]);
            continue;
        }
        let arrays: Vec<&Reference> = node.inputs.iter().map(|v| &values[v.node][v.port]).collect();
        let outputs = node.op.reference(&ReferenceContext { inputs: &arrays, shapes: &shapes, extents });
        for (input, output) in node.op.updates() {
            if let Op::Parameter(parameter) = &graph.nodes()[node.inputs[input].node].op {
                updates.push((parameter.name.clone(), outputs[output].clone()));
            }
        }
        values.push(outputs);
    }
    parameters.extend(updates);
    Ok(Values(values))
}
