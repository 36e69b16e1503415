//! Fusion of epilogues: bias, activation and residual are applied to a product while its tile is in cache.

use super::elementwise::{Merged, as_program, user_counts};
use crate::graph::{Graph, Node, Value};
use crate::hazard::Effects;
use crate::op::Op;
use crate::ops::{Conv2d, MatMul, Operand, Program, suits_epilogue};
use crate::shape::DType;

/// Moves element-wise operations into the matrix product or convolution whose result they alone read.
pub(super) fn run(graph: &Graph) -> Graph {
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
