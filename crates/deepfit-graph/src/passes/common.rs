//! Common sub-expressions: the same operation on the same inputs is computed once.

use std::collections::HashMap;

use crate::graph::{Graph, Value};

/// Merges nodes without effect whose operation and inputs are equal.
pub(super) fn run(graph: &Graph) -> Graph {
    let mut seen: HashMap<(String, Vec<Value>), Vec<Vec<Value>>> = HashMap::new();
    graph.rewritten(|new, _, node| {
        if node.op.has_effect() || node.outputs.is_empty() {
            return new.push_values(node);
        }
        // The debug form narrows the search. What decides is equality: a user's operation may print less than it is.
        let alike = seen.entry((format!("{:?}", node.op), node.inputs.clone())).or_default();
        if let Some(known) = alike.iter().find(|values| new.nodes()[values[0].node].op == node.op) {
            return known.clone();
        }
        let values = new.push_values(node);
        alike.push(values.clone());
        values
    })
}
