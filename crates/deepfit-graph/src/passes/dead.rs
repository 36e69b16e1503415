//! Dead code: nodes that no output and no effect depends on.

use crate::graph::{Graph, Value};
use crate::op::Op;

/// Drops what nobody reads. Inputs stay, since the caller gives them.
pub(super) fn run(graph: &Graph) -> Graph {
    let mut position = vec![0; graph.nodes().len()];
    let mut kept = Graph::default();
    for (i, (node, alive)) in graph.nodes().iter().zip(alive(graph)).enumerate() {
        if alive || matches!(node.op, Op::Input(_)) {
            let mut node = node.clone();
            node.inputs.iter_mut().for_each(|v| v.node = position[v.node]);
            position[i] = kept.push(node);
        }
    }
    for (name, value) in graph.outputs() {
        kept.push_output(name, Value { node: position[value.node], port: value.port });
    }
    kept
}

/// For each node, whether an output or an effect depends on it.
pub(super) fn alive(graph: &Graph) -> Vec<bool> {
    let nodes = graph.nodes();
    let mut alive: Vec<bool> = nodes.iter().map(|n| n.op.has_effect()).collect();
    for (_, value) in graph.outputs() {
        alive[value.node] = true;
    }
    for i in (0..nodes.len()).rev() {
        if alive[i] {
            for input in &nodes[i].inputs {
                alive[input.node] = true;
            }
        }
    }
    alive
}
