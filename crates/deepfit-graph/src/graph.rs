//! The graph: nodes are operations, edges are values with known shape and element type.

use std::collections::HashMap;

use crate::error::{GraphError, Result};
use crate::op::Op;
use crate::shape::{Extents, TensorType};

/// One output of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value {
    /// Position of the node in [`Graph::nodes`].
    pub node: usize,
    /// Which of the node's outputs.
    pub port: usize,
}

/// An operation applied to values.
#[derive(Debug, Clone)]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// Its inputs; each belongs to an earlier node.
    pub inputs: Vec<Value>,
    /// Type of each output.
    pub outputs: Vec<TensorType>,
    /// Path of the layer that asked for it; empty outside of layers.
    pub layer: String,
}

/// A list of nodes in an order in which they can be computed, and what is wanted of them.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    outputs: Vec<(String, Value)>,
    /// Nodes that must not run before their place in the list, in rising order.
    late: Vec<usize>,
    /// The first mistake of a call that could not return it.
    problem: Option<GraphError>,
}

impl Graph {
    /// The nodes; inputs come before their users.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Names of the parameters that it reads.
    pub fn parameter_names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter_map(|node| if let Op::Parameter(p) = &node.op { Some(&p.name[..]) } else { None })
    }

    /// The named results.
    pub fn outputs(&self) -> &[(String, Value)] {
        &self.outputs
    }

    /// The result of the given name.
    pub fn output(&self, name: &str) -> Option<Value> {
        self.outputs.iter().find(|(n, _)| n == name).map(|&(_, v)| v)
    }

    /// Type of a value.
    pub fn type_of(&self, value: Value) -> &TensorType {
        &self.nodes[value.node].outputs[value.port]
    }

    /// The value whose memory a value is, looking through views.
    pub(crate) fn source(&self, mut value: Value) -> Value {
        while self.nodes[value.node].op.is_view() {
            value = self.nodes[value.node].inputs[0];
        }
        value
    }

    /// The parameter whose value from before the run a value is, if it is one, as a parameter or a view of it.
    pub(crate) fn old_parameter(&self, value: Value) -> Option<usize> {
        let source = self.source(value).node;
        matches!(self.nodes[source].op, Op::Parameter(_)).then_some(source)
    }

    /// The first mistake made while the graph was traced, in a call that returns no error: see
    /// [`Tracer::check`](crate::Tracer::check).
    pub fn problem(&self) -> Option<&GraphError> {
        self.problem.as_ref()
    }

    pub(crate) fn set_problem(&mut self, problem: GraphError) {
        self.problem.get_or_insert(problem);
    }

    /// Checks what whoever runs the graph relies on: no mistake was made when it was traced, every value that is read
    /// exists, every operation has the outputs that it infers, names stand for one thing each, and a memory could hold
    /// every value at the extents `maximum`.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn check(&self, maximum: &Extents) -> Result<()> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let mut names: HashMap<(bool, &str), &TensorType> = HashMap::new();
        for (i, node) in self.nodes.iter().enumerate() {
            let wrong = |problem| GraphError::Shape { operation: node.op.name(), layer: node.layer_prefix(), problem };
            if node.inputs.iter().any(|v| v.node >= i || self.nodes[v.node].outputs.len() <= v.port) {
                return Err(wrong("reads a value that no node before it computes".to_string()));
            }
            let given: Vec<&TensorType> = node.inputs.iter().map(|&v| self.type_of(v)).collect();
            if node.op.infer(&given).map_err(wrong)? != node.outputs {
                return Err(wrong("its outputs are not of the types that it infers".to_string()));
            }
            if let Some(problem) = node.outputs.iter().find_map(TensorType::problem) {
                return Err(wrong(problem));
            }
            if let Some(large) = node.outputs.iter().find(|t| !t.is_addressable_at(maximum)) {
                let megabytes = large.megabytes(maximum);
                return Err(wrong(format!("a value {large} has {megabytes:.0} MB at {maximum}: more than any memory")));
            }
            let name = match &node.op {
                Op::Input(op) => (true, &op.name[..]),
                Op::Parameter(op) => (false, &op.name[..]),
                _ => continue,
            };
            if names.insert(name, &node.outputs[0]).is_some() {
                return Err(GraphError::Name { name: name.1.to_string(), problem: "by two nodes".to_string() });
            }
        }
        for (i, (name, value)) in self.outputs.iter().enumerate() {
            if self.nodes.get(value.node).is_none_or(|n| n.outputs.len() <= value.port) {
                let problem = "as an output, and is no value of the graph".to_string();
                return Err(GraphError::Name { name: name.clone(), problem });
            }
            if self.outputs[..i].iter().any(|(other, _)| other == name) {
                return Err(twice(name));
            }
        }
        Ok(())
    }

    /// Appends a node and returns its position.
    pub fn push(&mut self, node: Node) -> usize {
        debug_assert!(node.inputs.iter().all(|v| v.node < self.nodes.len()));
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Names a value as a result.
    pub fn push_output(&mut self, name: &str, value: Value) {
        self.outputs.push((name.to_string(), value));
    }

    /// Whether a node must not run before its place in the list: it computes something again to save memory.
    pub fn is_late(&self, node: usize) -> bool {
        self.late.binary_search(&node).is_ok()
    }

    /// Marks the node that was appended last, or a later one than those marked before, as one that runs in its place.
    pub(crate) fn mark_late(&mut self, node: usize) {
        debug_assert!(self.late.last().is_none_or(|&last| last < node));
        self.late.push(node);
    }

    /// Number of uses of each value by nodes and outputs, as `[node][port]`.
    pub fn use_counts(&self) -> Vec<Vec<usize>> {
        let mut counts: Vec<Vec<usize>> = self.nodes.iter().map(|n| vec![0; n.outputs.len()]).collect();
        let uses = self.nodes.iter().flat_map(|n| &n.inputs).chain(self.outputs.iter().map(|(_, v)| v));
        for value in uses {
            counts[value.node][value.port] += 1;
        }
        counts
    }

    /// What running the graph needs, before memory is shared: see [`Cost`].
    pub fn cost(&self, extents: &Extents) -> Cost {
        let mut cost = Cost::default();
        for node in &self.nodes {
            if node.op.is_leaf() {
                continue;
            }
            cost.nodes += 1;
            let (operations, bytes) = self.node_cost(node, extents);
            cost.operations += operations;
            cost.bytes += bytes;
        }
        cost
    }

    /// Floating-point operations of one node, and bytes that it reads and writes.
    pub fn node_cost(&self, node: &Node, extents: &Extents) -> (u64, u64) {
        let inputs: Vec<&TensorType> = node.inputs.iter().map(|&v| self.type_of(v)).collect();
        let reads: usize = inputs.iter().map(|t| t.bytes(extents)).sum();
        let writes: usize = node.outputs.iter().map(|t| t.bytes(extents)).sum();
        let bytes = match &node.op {
            op if op.is_view() => 0,
            // Of a table, only the rows that are named.
            Op::Embedding(_) | Op::Gather(_) => 2 * writes + inputs[1].bytes(extents),
            Op::SgdRows(_) | Op::AdamRows(_) => {
                inputs[1].bytes(extents) + inputs[2].bytes(extents) * (1 + 2 * node.outputs.len())
            }
            _ => reads + writes,
        };
        (node.op.operations(&inputs, &node.outputs, extents), bytes as u64)
    }

    /// A copy in which every node has been replaced by what `rewrite` makes of it.
    ///
    /// `rewrite` is given the graph under construction and the node with its inputs already renamed, and returns
    /// the values that stand for the node's outputs.
    pub fn rewritten(&self, mut rewrite: impl FnMut(&mut Graph, usize, Node) -> Vec<Value>) -> Graph {
        let mut new = Graph::default();
        let mut renamed: Vec<Vec<Value>> = Vec::with_capacity(self.nodes.len());
        for (index, node) in self.nodes.iter().enumerate() {
            let mut node = node.clone();
            for input in &mut node.inputs {
                *input = renamed[input.node][input.port];
            }
            renamed.push(rewrite(&mut new, index, node));
        }
        for (name, value) in &self.outputs {
            new.push_output(name, renamed[value.node][value.port]);
        }
        new
    }

    /// Appends a node and returns all of its outputs as values.
    pub fn push_values(&mut self, node: Node) -> Vec<Value> {
        let ports = node.outputs.len();
        let node = self.push(node);
        (0..ports).map(|port| Value { node, port }).collect()
    }
}

impl Node {
    /// The layer as errors begin with it.
    fn layer_prefix(&self) -> String {
        if self.layer.is_empty() { String::new() } else { format!("{}: ", self.layer) }
    }
}

/// The error for an output whose name another has.
pub(crate) fn twice(name: &str) -> GraphError {
    GraphError::Name { name: name.to_string(), problem: "as the name of two outputs".to_string() }
}

/// Work of one run at given extents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Nodes that compute something.
    pub nodes: usize,
    /// Bytes that the nodes read and write.
    pub bytes: u64,
    /// Floating-point operations; a multiplication and an addition are two.
    pub operations: u64,
}
