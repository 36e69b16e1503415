//! Lifetimes: from when to when each piece of the arena is needed, and which values can share one.

use crate::graph::{Graph, Value};
use crate::shape::Extents;

/// What a buffer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// A value of the graph.
    Value(Value),
    /// Scratch memory of the node at this position.
    Scratch(usize),
}

/// A piece of the arena and the steps during which it is needed.
#[derive(Debug, Clone)]
pub(super) struct Buffer {
    /// Values that share it, one after another in place.
    pub(super) owners: Vec<Owner>,
    /// Bytes.
    pub(super) size: usize,
    /// First step that writes it.
    pub(super) start: usize,
    /// Last step that reads it.
    pub(super) end: usize,
}

/// All buffers of a graph that runs in the given order.
pub(super) fn buffers(
    graph: &Graph,
    roots: &[Vec<Value>],
    order: &[usize],
    scratch: &[usize],
    maximum: &Extents,
) -> Vec<Buffer> {
    let nodes = graph.nodes();
    let root = |v: Value| roots[v.node][v.port];
    let mut last_use: Vec<Vec<usize>> = nodes.iter().map(|n| vec![0; n.outputs.len()]).collect();
    for (step, &i) in order.iter().enumerate() {
        for port in 0..nodes[i].outputs.len() {
            let r = root(Value { node: i, port });
            last_use[r.node][r.port] = last_use[r.node][r.port].max(step);
        }
        for &input in &nodes[i].inputs {
            let r = root(input);
            last_use[r.node][r.port] = last_use[r.node][r.port].max(step);
        }
    }
    for &(_, value) in graph.outputs() {
        let r = root(value);
        last_use[r.node][r.port] = usize::MAX;
    }
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut buffer_of: Vec<Vec<Option<usize>>> = nodes.iter().map(|n| vec![None; n.outputs.len()]).collect();
    for (step, &i) in order.iter().enumerate() {
        let node = &nodes[i];
        for port in 0..node.outputs.len() {
            let value = Value { node: i, port };
            if root(value) != value {
                continue;
            }
            let end = last_use[i][port];
            let shared = (port == 0 && node.op.in_place()).then(|| {
                node.inputs.iter().find_map(|&input| {
                    let r = root(input);
                    let buffer = buffer_of[r.node][r.port]?;
                    // Every reading of that memory by this node must be element by element.
                    let aligned = node.inputs.iter().all(|&v| root(v) != r || graph.type_of(v) == &node.outputs[0]);
                    (last_use[r.node][r.port] == step && aligned).then_some(buffer)
                })
            });
            let buffer = match shared.flatten() {
                Some(buffer) => {
                    buffers[buffer].end = end;
                    buffers[buffer].owners.push(Owner::Value(value));
                    buffer
                }
                None => {
                    let size = node.outputs[port].bytes(maximum);
                    buffers.push(Buffer { owners: vec![Owner::Value(value)], size, start: step, end });
                    buffers.len() - 1
                }
            };
            buffer_of[i][port] = Some(buffer);
        }
        if scratch[i] > 0 {
            buffers.push(Buffer { owners: vec![Owner::Scratch(i)], size: scratch[i], start: step, end: step });
        }
    }
    buffers
}
