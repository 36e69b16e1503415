//! Fusion of epilogues: bias, activation and residual are applied to a product, or a normalised value, while it is in
//! cache.

use std::collections::HashMap;

use super::dead;
use super::elementwise::{Merged, as_program, program_of, user_counts};
use crate::graph::{Graph, Node, Value};
use crate::hazard::Effects;
use crate::op::Op;
use crate::ops::{BatchNorm, Conv2d, MatMul, Operand, Program, suits_epilogue};
use crate::shape::DType;

/// Moves element-wise operations into the matrix product, convolution or batch normalisation whose result they alone read.
pub(super) fn run(graph: &Graph) -> Graph {
    normalisations(&products(graph))
}

fn products(graph: &Graph) -> Graph {
    let users = user_counts(graph);
    let mut new_users: Vec<Vec<usize>> = Vec::new();
    let mut effects = Effects::default();
    graph.rewritten(|new, index, node| {
        let fused = fuse(new, &new_users, &node).filter(|fused| effects.conflict(new, fused).is_none());
        new_users.push(users[index].clone());
        effects.push(new, fused.unwrap_or(node))
    })
}

fn epilogue_of(op: &Op) -> Option<Option<&Program>> {
    match op {
        Op::MatMul(op) => Some(op.epilogue.as_ref()),
        Op::Conv2d(op) => Some(op.epilogue.as_ref()),
        _ => None,
    }
}

fn fuse(graph: &Graph, users: &[Vec<usize>], node: &Node) -> Option<Node> {
    let program = as_program(&node.op, node.inputs.len())?;
    let shape = &node.outputs[0].shape;
    let product = *node.inputs.iter().find(|&&v| {
        let producer = &graph.nodes()[v.node];
        epilogue_of(&producer.op).is_some() && users[v.node][v.port] == 1 && &producer.outputs[0].shape == shape
    })?;
    let fits = |v: &Value| {
        let ty = graph.type_of(*v);
        ty.dtype == DType::F32 && suits_epilogue(shape, &ty.shape)
    };
    let producer = &graph.nodes()[product.node];
    if !node.inputs.iter().all(fits) {
        return None;
    }
    // The product itself is input 0 of the epilogue; it keeps its place in the list of values until the end.
    let mut merged = Merged { inputs: vec![product], ..Merged::default() };
    let inner = epilogue_of(&producer.op)?.cloned().unwrap_or_default();
    let mut inner_inputs = vec![Operand::Input(0)];
    inner_inputs.extend(producer.inputs[2..].iter().map(|&v| merged.input(v)));
    let result = merged.append(&inner, &inner_inputs);
    let operands: Vec<Operand> =
        node.inputs.iter().map(|&v| if v == product { result } else { merged.input(v) }).collect();
    merged.append(&program, &operands);
    if merged.program.instructions.len() > Program::MOST_INSTRUCTIONS || merged.inputs.len() > Program::MOST_INPUTS {
        return None;
    }
    let epilogue = Some(merged.program);
    let op = match &producer.op {
        Op::MatMul(op) => MatMul { epilogue, ..op.clone() }.into(),
        Op::Conv2d(op) => Conv2d { epilogue, ..op.clone() }.into(),
        _ => return None,
    };
    let mut inputs = producer.inputs[..2].to_vec();
    inputs.extend_from_slice(&merged.inputs[1..]);
    // The layer of the product: that is where a person looks for its cost.
    Some(Node { op, inputs, outputs: node.outputs.clone(), layer: producer.layer.clone() })
}

/// A batch normalisation is computed where it stands, since others read its mean and variance: what is moved into it moves
/// to an earlier place.
fn normalisations(graph: &Graph) -> Graph {
    let users = user_counts(graph);
    let nodes = graph.nodes();
    // For each normalisation, the operation that becomes part of it.
    let mut joined: HashMap<usize, usize> = HashMap::new();
    let alive = dead::alive(graph);
    for (index, node) in nodes.iter().enumerate().filter(|&(index, _)| alive[index]) {
        if program_of(node).is_none() {
            continue;
        }
        let Some(last) = node.inputs.iter().max().filter(|last| last.port == 0 && users[last.node][0] == 1) else {
            continue;
        };
        let shape = &nodes[last.node].outputs[0].shape;
        let fits = |v: &Value| {
            let ty = graph.type_of(*v);
            ty.dtype == DType::F32 && suits_epilogue(shape, &ty.shape) && (v == last || v.node < last.node)
        };
        let plain = matches!(&nodes[last.node].op, Op::BatchNorm(BatchNorm { epilogue: None, .. }));
        if plain && &node.outputs[0].shape == shape && node.inputs.iter().all(fits) {
            joined.insert(last.node, index);
        }
    }
    let mut effects = Effects::default();
    let mut new = Graph::default();
    let mut renamed: Vec<Vec<Value>> = Vec::with_capacity(nodes.len());
    // What stands for the result of an operation that was moved.
    let mut moved: HashMap<usize, Value> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        if let Some(&value) = moved.get(&index) {
            renamed.push(vec![value]);
            continue;
        }
        let rename = |v: &Value, renamed: &[Vec<Value>]| renamed[v.node][v.port];
        let mut plain = node.clone();
        plain.inputs = node.inputs.iter().map(|v| rename(v, &renamed)).collect();
        let fused = joined.get(&index).and_then(|&next| {
            let result = Value { node: index, port: 0 };
            let given = |v: &Value| (*v != result).then(|| rename(v, &renamed));
            normalised(&plain, &nodes[next], &nodes[next].inputs.iter().map(given).collect::<Vec<_>>())
        });
        // Whoever reads mean and variance must not have to wait for an update because of what was moved here.
        let fused = fused.filter(|fused| {
            effects.conflict(&new, fused).is_none() && (effects.is_behind(&plain) || !effects.is_behind(fused))
        });
        let next = joined.get(&index).filter(|_| fused.is_some());
        let values = effects.push(&mut new, fused.unwrap_or(plain));
        if let Some(&next) = next {
            moved.insert(next, values[0]);
        }
        renamed.push(values);
    }
    for (name, value) in graph.outputs() {
        new.push_output(name, renamed[value.node][value.port]);
    }
    new
}

/// A normalisation with an element-wise operation inside, whose inputs are given, without the normalised values.
fn normalised(norm: &Node, next: &Node, inputs: &[Option<Value>]) -> Option<Node> {
    let Op::BatchNorm(op) = &norm.op else { return None };
    let program = program_of(next)?;
    // The normalised values themselves are input 0.
    let mut merged = Merged { inputs: vec![Value { node: usize::MAX, port: 0 }], ..Merged::default() };
    let operands: Vec<Operand> = inputs.iter().map(|v| v.map_or(Operand::Input(0), |v| merged.input(v))).collect();
    merged.append(&program, &operands);
    if merged.inputs.len() > Program::MOST_INPUTS {
        return None;
    }
    let inputs = [&norm.inputs[..], &merged.inputs[1..]].concat();
    let op = BatchNorm { epilogue: Some(merged.program), ..op.clone() }.into();
    let outputs = [&next.outputs[..1], &norm.outputs[1..]].concat();
    Some(Node { op, inputs, outputs, layer: norm.layer.clone() })
}
