//! Fusion of element-wise chains: what is read by one operation only is computed inside of it.

use super::dead;
use crate::graph::{Graph, Node, Value};
use crate::hazard::Effects;
use crate::op::Op;
use crate::ops::{Binary, Fused, Instruction, Operand, Program, Select, Unary};
use crate::shape::DType;

/// A producer of which a fused consumer is the only user left can be fused in another round; more are not worth it.
const MOST_ROUNDS: usize = 3;

/// Inlines element-wise producers with one user and the same shape, and conversions, into their consumers.
pub(super) fn run(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for _ in 0..MOST_ROUNDS {
        let fused = dead::run(&round(&graph));
        let done = fused.nodes().len() == graph.nodes().len();
        graph = fused;
        if done {
            break;
        }
    }
    graph
}

fn round(graph: &Graph) -> Graph {
    let users = user_counts(graph);
    let mut effects = Effects::default();
    // Users of each value of the new graph; a value that the pass makes is used as often as the one it stands for.
    let mut new_users: Vec<Vec<usize>> = Vec::new();
    graph.rewritten(|new, index, node| {
        let node = match as_program(&node.op, node.inputs.len()) {
            Some(program) => inline_producers(new, &effects, &new_users, program, node),
            None => node,
        };
        new_users.push(users[index].clone());
        effects.push(new, node)
    })
}

/// For each value, the number of nodes and outputs that use it, without nodes that nobody reads.
pub(super) fn user_counts(graph: &Graph) -> Vec<Vec<usize>> {
    let mut counts: Vec<Vec<usize>> = graph.nodes().iter().map(|n| vec![0; n.outputs.len()]).collect();
    for (node, _) in graph.nodes().iter().zip(dead::alive(graph)).filter(|(_, alive)| *alive) {
        for (i, input) in node.inputs.iter().enumerate() {
            if !node.inputs[..i].contains(input) {
                counts[input.node][input.port] += 1;
            }
        }
    }
    for (_, value) in graph.outputs() {
        counts[value.node][value.port] += 1;
    }
    counts
}

/// The program of an element-wise operation.
pub(super) fn as_program(op: &Op, inputs: usize) -> Option<Program> {
    use Operand::Input;
    let instruction = match op {
        Op::Unary(Unary { kind }) => Instruction::Unary(*kind, Input(0)),
        Op::Binary(Binary { kind }) => Instruction::Binary(*kind, Input(0), Input(1)),
        Op::Select(Select) => Instruction::Select(Input(0), Input(1), Input(2)),
        // A program converts its inputs, so a conversion is a program without instructions.
        Op::Convert(_) => return Some(Program::default()),
        Op::Fused(Fused { program }) => return Some(program.clone()),
        _ => return None,
    };
    debug_assert!(inputs <= 3);
    Some(Program { instructions: vec![instruction] })
}

/// The program of a node that computes something element by element; a mere conversion does not.
pub(super) fn program_of(node: &Node) -> Option<Program> {
    as_program(&node.op, node.inputs.len()).filter(|program| !program.instructions.is_empty())
}

fn inline_producers(graph: &Graph, effects: &Effects, users: &[Vec<usize>], program: Program, node: Node) -> Node {
    let mut merged = Merged::default();
    let mut operands: Vec<Operand> = Vec::with_capacity(node.inputs.len());
    let mut length = program.instructions.len();
    let mut inlined = false;
    for (position, &input) in node.inputs.iter().enumerate() {
        if let Some(known) = node.inputs[..position].iter().position(|&v| v == input) {
            operands.push(operands[known]);
            continue;
        }
        let producer = &graph.nodes()[input.node];
        let inner = as_program(&producer.op, producer.inputs.len()).filter(|inner| {
            let conversion = inner.instructions.is_empty();
            let alone = users[input.node][input.port] == 1 && producer.outputs[0].shape == node.outputs[0].shape;
            let rest = node.inputs.len() - position - 1;
            let may_move = || {
                let moved = Node { inputs: [&producer.inputs[..], &node.inputs].concat(), ..node.clone() };
                effects.conflict(graph, &moved).is_none()
            };
            (conversion || alone)
                && length + inner.instructions.len() <= Program::MOST_INSTRUCTIONS
                && merged.inputs.len() + producer.inputs.len() + rest <= Program::MOST_INPUTS
                && may_move()
        });
        operands.push(match inner {
            Some(inner) => {
                inlined = true;
                length += inner.instructions.len();
                let inputs: Vec<Operand> = producer.inputs.iter().map(|&v| merged.input(v)).collect();
                merged.append(&inner, &inputs)
            }
            None => merged.input(input),
        });
    }
    if !inlined || (program.instructions.is_empty() && graph.type_of(node.inputs[0]).dtype != DType::F32) {
        return node;
    }
    merged.append(&program, &operands);
    Node { op: Fused { program: merged.program }.into(), inputs: merged.inputs, ..node }
}

/// A program under construction, with the values that its inputs stand for.
#[derive(Default)]
pub(super) struct Merged {
    pub(super) program: Program,
    pub(super) inputs: Vec<Value>,
}

impl Merged {
    /// The operand that reads a value.
    pub(super) fn input(&mut self, value: Value) -> Operand {
        let known = self.inputs.iter().position(|&v| v == value);
        Operand::Input(known.unwrap_or_else(|| {
            self.inputs.push(value);
            self.inputs.len() - 1
        }))
    }

    /// Appends a program whose input `i` is `inputs[i]`; returns the operand of its result.
    pub(super) fn append(&mut self, program: &Program, inputs: &[Operand]) -> Operand {
        let base = self.program.instructions.len();
        for instruction in &program.instructions {
            let renamed = instruction.map(|operand| match operand {
                Operand::Input(i) => inputs[i],
                Operand::Result(i) => Operand::Result(base + i),
            });
            self.program.instructions.push(renamed);
        }
        match program.instructions.len() {
            0 => inputs[0],
            n => Operand::Result(base + n - 1),
        }
    }
}
