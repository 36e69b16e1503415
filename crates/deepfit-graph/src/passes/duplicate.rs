//! Duplication of element-wise chains: what several fused operations read, and what they can compute from values that they
//! read anyway, is computed in each of them instead of being stored and loaded. GELU and SiLU keep their input alone for
//! the backward pass by this.

use std::collections::BTreeSet;

use super::dead;
use super::elementwise::{Merged, program_of};
use crate::graph::{Graph, Node, Value};
use crate::hazard::Effects;
use crate::ops::{Fused, Operand, Program};

/// Readers for which a value is computed again at most.
const MOST_READERS: usize = 3;

/// Replaces element-wise values, all of whose readers are element-wise and have what they are made of, by their programs
/// inside of these readers.
pub(super) fn run(graph: &Graph) -> Graph {
    let chosen = choose(graph);
    if chosen.is_empty() {
        return graph.clone();
    }
    let mut effects = Effects::default();
    let mut of_new: BTreeSet<Value> = BTreeSet::new();
    graph.rewritten(|new, index, node| {
        let node = inlined(new, &effects, &of_new, &node).unwrap_or(node);
        let values = effects.push(new, node);
        if chosen.contains(&index) {
            of_new.insert(values[0]);
        }
        values
    })
}

/// Nodes whose result is better computed again by each reader.
fn choose(graph: &Graph) -> BTreeSet<usize> {
    let nodes = graph.nodes();
    let mut inputs: Vec<Vec<Value>> = Vec::with_capacity(nodes.len());
    for (node, alive) in nodes.iter().zip(dead::alive(graph)) {
        inputs.push(if alive { node.inputs.clone() } else { Vec::new() });
    }
    let mut readers: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); nodes.len()];
    for (reader, given) in inputs.iter().enumerate() {
        for v in given {
            readers[v.node].insert(reader);
        }
    }
    let results: BTreeSet<usize> = graph.outputs().iter().map(|(_, v)| v.node).collect();
    let mut lengths: Vec<usize> = nodes.iter().map(|n| program_of(n).map_or(0, |p| p.instructions.len())).collect();
    let mut chosen = BTreeSet::new();
    // Later values first: once they are gone, their readers read what they were made of.
    for (index, node) in nodes.iter().enumerate().rev() {
        let value = Value { node: index, port: 0 };
        // What is stored in any case is no gain to make again, nor what many would make again.
        let may = |index: usize| readers[index].len() <= MOST_READERS && !results.contains(&index);
        if !may(index) || readers[index].len() < 2 || inputs[index].is_empty() || program_of(node).is_none() {
            continue;
        }
        let can = |&reader: &usize| {
            let others = inputs[reader].iter().filter(|&&v| v != value);
            let more = node.inputs.iter().filter(|v| !inputs[reader].contains(v));
            program_of(&nodes[reader]).is_some()
                && nodes[reader].outputs[0].shape == node.outputs[0].shape
                && lengths[reader] + lengths[index] <= Program::MOST_INSTRUCTIONS
                && others.count() + more.count() <= Program::MOST_INPUTS
                && at_hand(graph, &inputs[reader], &node.inputs, node, &may, &mut { Program::MOST_INSTRUCTIONS })
        };
        if readers[index].iter().all(can) {
            chosen.insert(index);
            for reader in std::mem::take(&mut readers[index]) {
                lengths[reader] += lengths[index];
                inputs[reader].retain(|&v| v != value);
                for &input in &node.inputs {
                    readers[input.node].insert(reader);
                    if !inputs[reader].contains(&input) {
                        inputs[reader].push(input);
                    }
                }
            }
            for input in std::mem::take(&mut inputs[index]) {
                readers[input.node].remove(&index);
            }
        }
    }
    chosen
}

/// Whether a reader of `given` has all that is wanted without reading more than it does, or can make it, in at most `steps`
/// operations, of what it has by values that `may` be made again.
fn at_hand(
    graph: &Graph,
    given: &[Value],
    wanted: &[Value],
    like: &Node,
    may: &dyn Fn(usize) -> bool,
    steps: &mut usize,
) -> bool {
    wanted.iter().all(|v| {
        let node = &graph.nodes()[v.node];
        given.contains(v)
            || program_of(node).is_some_and(|program| {
                let left = steps.checked_sub(program.instructions.len());
                *steps = left.unwrap_or(0);
                left.is_some()
                    && may(v.node)
                    && node.outputs[0].shape == like.outputs[0].shape
                    && at_hand(graph, given, &node.inputs, like, may, steps)
            })
    })
}

/// The node with the programs of the chosen values that it reads inside; `None` if there is none, or no room.
fn inlined(graph: &Graph, effects: &Effects, chosen: &BTreeSet<Value>, node: &Node) -> Option<Node> {
    if !node.inputs.iter().any(|v| chosen.contains(v)) {
        return None;
    }
    let program = program_of(node)?;
    let mut merged = Merged::default();
    let mut operands: Vec<(Value, Operand)> = Vec::with_capacity(node.inputs.len());
    for &input in &node.inputs {
        if operands.iter().any(|&(v, _)| v == input) {
            continue;
        }
        let operand = if chosen.contains(&input) {
            let producer = &graph.nodes()[input.node];
            let given: Vec<Operand> = producer.inputs.iter().map(|&v| merged.input(v)).collect();
            merged.append(&program_of(producer)?, &given)
        } else {
            merged.input(input)
        };
        operands.push((input, operand));
    }
    let of = |value: Value| operands.iter().find(|&&(v, _)| v == value).map(|&(_, operand)| operand);
    let given: Vec<Operand> = node.inputs.iter().filter_map(|&v| of(v)).collect();
    merged.append(&program, &given);
    let fits =
        merged.program.instructions.len() <= Program::MOST_INSTRUCTIONS && merged.inputs.len() <= Program::MOST_INPUTS;
    let made = Node { op: Fused { program: merged.program }.into(), inputs: merged.inputs, ..node.clone() };
    (fits && effects.conflict(graph, &made).is_none()).then_some(made)
}
