//! Constants: what is known when the graph is built is computed then, and what changes nothing is dropped.

use std::sync::Arc;

use crate::graph::{Graph, Node, Value};
use crate::host::{HostData, HostTensor, Reference};
use crate::op::{Op, ReferenceContext};
use crate::ops::{Binary, BinaryKind, Constant, Unary, UnaryKind};
use crate::shape::{DType, Extents, TensorType};

/// Larger results stay computed: a constant takes memory for as long as the graph lives.
const LARGEST_FOLDED: usize = 65_536;

/// Folds constant expressions; scalars become part of the operation; `x * 1`, `x + 0`, equal reshapes and ends of
/// gradients become `x`;
/// operations that broadcast read what was broadcast for them.
pub(super) fn run(graph: &Graph) -> Graph {
    graph.rewritten(|new, _, mut node| {
        if let Some(folded) = fold(new, &node) {
            return folded.into_iter().map(|constant| push_constant(new, constant)).collect();
        }
        absorb_broadcast(new, &mut node);
        absorb_scalar(new, &mut node);
        match identity(new, &node) {
            Some(value) => vec![value],
            None => new.push_values(node),
        }
    })
}

fn constant(graph: &Graph, value: Value) -> Option<&Arc<HostTensor>> {
    match &graph.nodes()[value.node].op {
        Op::Constant(Constant { data }) => Some(data),
        _ => None,
    }
}

fn push_constant(graph: &mut Graph, data: HostTensor) -> Value {
    let ty = data.ty();
    let op = Constant { data: Arc::new(data) }.into();
    graph.push_values(Node { op, inputs: Vec::new(), outputs: vec![ty], layer: String::new() })[0]
}

/// The outputs of a node whose inputs are all constants and whose outputs have fixed, small shapes.
fn fold(graph: &Graph, node: &Node) -> Option<Vec<HostTensor>> {
    // A constant that was only repeated would take memory for nothing.
    if node.op.is_leaf() || node.op.has_effect() || node.inputs.is_empty() || matches!(node.op, Op::BroadcastTo(_)) {
        return None;
    }
    let inputs: Option<Vec<Reference>> =
        node.inputs.iter().map(|&v| constant(graph, v).map(|data| data.to_reference())).collect();
    let inputs = inputs?;
    let mut shapes = Vec::new();
    for output in &node.outputs {
        let lengths: Option<Vec<usize>> = output.shape.dims().iter().map(|d| d.as_fixed()).collect();
        let lengths = lengths.filter(|l| l.iter().product::<usize>() <= LARGEST_FOLDED)?;
        if output.dtype != DType::F32 {
            return None;
        }
        shapes.push(lengths);
    }
    let inputs: Vec<&Reference> = inputs.iter().collect();
    let outputs = node.op.reference(&ReferenceContext { inputs: &inputs, shapes: &shapes, extents: Extents::batch(1) });
    let round = |r: Reference| HostTensor::f32(&r.shape, r.data.iter().map(|&x| x as f32).collect());
    Some(outputs.into_iter().map(round).collect())
}

/// Reads the sources of broadcasts, as far as the operation broadcasts them by itself to the same result.
fn absorb_broadcast(graph: &Graph, node: &mut Node) {
    if !matches!(node.op, Op::Binary(_) | Op::Select(_)) {
        return;
    }
    for i in 0..node.inputs.len() {
        let producer = &graph.nodes()[node.inputs[i].node];
        // The old value of a parameter stays read where it was: past its update it may not be read.
        if !matches!(producer.op, Op::BroadcastTo(_)) || graph.old_parameter(producer.inputs[0]).is_some() {
            continue;
        }
        let repeated = std::mem::replace(&mut node.inputs[i], producer.inputs[0]);
        let types: Vec<&TensorType> = node.inputs.iter().map(|&v| graph.type_of(v)).collect();
        if node.op.infer(&types).as_ref() != Ok(&node.outputs) {
            node.inputs[i] = repeated;
        }
    }
}

/// Turns `x + c`, `x - c`, `x * c` with a constant scalar into an operation of one input.
fn absorb_scalar(graph: &Graph, node: &mut Node) {
    let Op::Binary(Binary { kind }) = node.op else { return };
    let scalar = |value: Value| match constant(graph, value).map(|c| c.data()) {
        Some(HostData::F32(values)) if values.len() == 1 => Some(values[0]),
        _ => None,
    };
    let (a, b) = (node.inputs[0], node.inputs[1]);
    let (x, unary) = match (kind, scalar(a), scalar(b)) {
        (BinaryKind::Add, None, Some(c)) => (a, UnaryKind::AddScalar(c)),
        (BinaryKind::Add, Some(c), None) => (b, UnaryKind::AddScalar(c)),
        (BinaryKind::Sub, None, Some(c)) => (a, UnaryKind::AddScalar(-c)),
        (BinaryKind::Mul, None, Some(c)) => (a, UnaryKind::MulScalar(c)),
        (BinaryKind::Mul, Some(c), None) => (b, UnaryKind::MulScalar(c)),
        _ => return,
    };
    if graph.type_of(x) == &node.outputs[0] {
        node.op = Unary { kind: unary }.into();
        node.inputs = vec![x];
    }
}

/// The input that the node's only output equals, if it does.
fn identity(graph: &Graph, node: &Node) -> Option<Value> {
    let &[input] = &node.inputs[..] else { return None };
    if graph.old_parameter(input).is_some() && !node.op.is_view() {
        // It keeps the old value for those who read it after an update.
        return None;
    }
    let same = match &node.op {
        Op::Unary(Unary { kind: UnaryKind::MulScalar(c) }) => *c == 1.0,
        Op::Unary(Unary { kind: UnaryKind::AddScalar(c) }) => *c == 0.0,
        Op::Reshape(_) | Op::BroadcastTo(_) | Op::StopGradient(_) => graph.type_of(input) == &node.outputs[0],
        _ => false,
    };
    same.then_some(input)
}
