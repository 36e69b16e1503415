//! Old and new values of parameters: what keeps a graph computable although updates write in place.
//!
//! A parameter stands for its value from before the run, so its update runs after everything that reads it. That is
//! possible as long as nothing that depends on an update reads the old value of a parameter updated before: then the
//! waiting of updates for readers never closes a circle. Tracing refuses what would, and no pass may bring it about.

use std::collections::HashSet;

use crate::graph::{Graph, Node, Value};

/// The updates of a graph under construction.
#[derive(Debug, Clone, Default)]
pub(crate) struct Effects {
    /// Parameters that have been updated.
    updated: HashSet<usize>,
    /// For each node, whether it is an update or depends on one.
    behind: Vec<bool>,
}

impl Effects {
    /// Appends a node to the graph.
    pub(crate) fn push(&mut self, graph: &mut Graph, node: Node) -> Vec<Value> {
        let behind = self.is_behind(&node);
        for (input, _) in node.op.updates() {
            self.updated.insert(node.inputs[input].node);
        }
        self.behind.push(behind);
        graph.push_values(node)
    }

    /// A parameter whose old value the node cannot be given, because it also needs what comes after an update.
    pub(crate) fn conflict(&self, graph: &Graph, node: &Node) -> Option<usize> {
        if self.updated.is_empty() || !self.is_behind(node) {
            return None;
        }
        node.inputs.iter().find_map(|&v| graph.old_parameter(v).filter(|p| self.updated.contains(p)))
    }

    /// Whether a node is an update or depends on one.
    pub(crate) fn is_behind(&self, node: &Node) -> bool {
        !node.op.updates().is_empty() || node.inputs.iter().any(|v| self.behind[v.node])
    }
}
