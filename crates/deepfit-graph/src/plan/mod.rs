//! The memory plan: an order of the nodes and a place in one arena for every value, known before the first step.

mod arena;
mod lifetime;
mod schedule;

use std::collections::HashSet;

use crate::graph::{Graph, Node, Value};
use crate::op::Op;
use crate::ops::{BroadcastTo, Concat, Permute};
use crate::shape::{DType, Extents, TensorType};

/// Where a value lives while the plan runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the caller's array: position in [`Plan::inputs`].
    Input(usize),
    /// Outside of the arena: position in [`Plan::parameters`].
    Parameter(usize),
    /// In the constant node at this position of the graph.
    Constant(usize),
    /// At this byte offset of the arena, a multiple of [`ALIGNMENT`].
    Arena(usize),
}

/// Alignment in bytes of everything in the arena: a cache line, and the widest vector register.
pub const ALIGNMENT: usize = 64;

/// An order of computation and a place for every value.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is computed.
    pub graph: Graph,
    /// Largest extents that the plan serves.
    pub maximum: Extents,
    /// Nodes in the order in which they run, without leaves and views.
    pub order: Vec<usize>,
    /// For each node, the place of each output.
    pub places: Vec<Vec<Place>>,
    /// For each node, byte offset and length of its scratch memory.
    pub scratch: Vec<(usize, usize)>,
    /// Inputs by name.
    pub inputs: Vec<(String, TensorType)>,
    /// Parameters by name.
    pub parameters: Vec<(String, TensorType)>,
    /// Bytes of the arena.
    pub arena_bytes: usize,
}

impl Plan {
    /// Plans a graph for extents up to `maximum`; `scratch` tells how many bytes a node's kernel needs while it runs.
    pub fn new(graph: Graph, maximum: Extents, scratch: impl Fn(&Graph, &Node) -> usize) -> Plan {
        let graph = with_results_kept(graph);
        let roots = roots(&graph);
        let order = schedule::order(&graph, &roots);
        let sizes: Vec<usize> = graph.nodes().iter().map(|n| scratch(&graph, n)).collect();
        let buffers = lifetime::buffers(&graph, &roots, &order, &sizes, &maximum);
        let (offsets, arena_bytes) = arena::place(&buffers);

        let (mut inputs, mut parameters) = (Vec::new(), Vec::new());
        let mut places: Vec<Vec<Place>> = Vec::with_capacity(graph.nodes().len());
        let mut scratch_places = vec![(0, 0); graph.nodes().len()];
        let mut arena_places: Vec<Vec<Option<usize>>> =
            graph.nodes().iter().map(|n| vec![None; n.outputs.len()]).collect();
        for (buffer, offset) in buffers.iter().zip(offsets) {
            for owner in &buffer.owners {
                match *owner {
                    lifetime::Owner::Value(value) => arena_places[value.node][value.port] = Some(offset),
                    lifetime::Owner::Scratch(node) => scratch_places[node] = (offset, sizes[node]),
                }
            }
        }
        for (i, node) in graph.nodes().iter().enumerate() {
            let place = |port: usize, places: &[Vec<Place>]| {
                let root = roots[i][port];
                if root != (Value { node: i, port }) {
                    return places[root.node][root.port];
                }
                Place::Arena(arena_places[i][port].unwrap_or(0))
            };
            let node_places = match &node.op {
                Op::Input(op) => {
                    inputs.push((op.name.clone(), op.ty.clone()));
                    vec![Place::Input(inputs.len() - 1)]
                }
                Op::Parameter(op) => {
                    parameters.push((op.name.clone(), op.ty.clone()));
                    vec![Place::Parameter(parameters.len() - 1)]
                }
                Op::Constant(_) => vec![Place::Constant(i)],
                _ => (0..node.outputs.len()).map(|port| place(port, &places)).collect(),
            };
            places.push(node_places);
        }
        Plan { graph, maximum, order, places, scratch: scratch_places, inputs, parameters, arena_bytes }
    }

    /// Place of a value.
    pub fn place(&self, value: Value) -> Place {
        self.places[value.node][value.port]
    }
}

/// The graph with a copy of each result whose memory is not the plan's when the run is over: of an input, which is the
/// caller's, and of a parameter that is updated, whose memory then holds the new value.
fn with_results_kept(graph: Graph) -> Graph {
    let updated: HashSet<usize> =
        graph.nodes().iter().flat_map(|n| n.op.updates().into_iter().map(|(input, _)| n.inputs[input].node)).collect();
    let is_lost = |v: Value| {
        let is_input = matches!(graph.nodes()[graph.source(v).node].op, Op::Input(_));
        is_input || graph.old_parameter(v).is_some_and(|p| updated.contains(&p))
    };
    if !graph.outputs().iter().any(|&(_, v)| is_lost(v)) {
        return graph;
    }
    let mut kept = Graph::default();
    for node in graph.nodes() {
        let position = kept.push(node.clone());
        if graph.is_late(position) {
            kept.mark_late(position);
        }
    }
    for &(ref name, value) in graph.outputs() {
        let result = if is_lost(value) {
            let ty = graph.type_of(value).clone();
            let op = copy_of(&ty);
            let layer = graph.nodes()[value.node].layer.clone();
            Value { node: kept.push(Node { op, inputs: vec![value], outputs: vec![ty], layer }), port: 0 }
        } else {
            value
        };
        kept.push_output(name, result);
    }
    kept
}

/// An operation that copies a value of this type.
fn copy_of(ty: &TensorType) -> Op {
    match (ty.dtype, ty.shape.rank()) {
        (DType::F32, _) => BroadcastTo { shape: ty.shape.clone() }.into(),
        (_, 0) => Permute { order: Vec::new() }.into(),
        _ => Concat { axis: 0 }.into(),
    }
}

/// For each value, the value whose memory it is: itself, the source of a view, or the parameter that is updated.
fn roots(graph: &Graph) -> Vec<Vec<Value>> {
    let mut roots: Vec<Vec<Value>> = Vec::with_capacity(graph.nodes().len());
    for (i, node) in graph.nodes().iter().enumerate() {
        let mut own: Vec<Value> = (0..node.outputs.len()).map(|port| Value { node: i, port }).collect();
        if node.op.is_view() {
            own[0] = roots[node.inputs[0].node][node.inputs[0].port];
        }
        for (input, output) in node.op.updates() {
            let source = node.inputs[input];
            own[output] = roots[source.node][source.port];
        }
        roots.push(own);
    }
    roots
}
