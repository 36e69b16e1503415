//! Runs plans in f64 on a simulated arena, and watches over every piece of memory while doing so.
//!
//! Nothing here is shared with the planner: that a plan is right is judged by what its order and places do.

use deepfit_graph::interpret::Environment;
use deepfit_graph::plan::{ALIGNMENT, Place, Plan};
use deepfit_graph::{Extents, Op, Reference, ReferenceContext, Value};

use super::setup::{assert_close, interpret};

/// What a block of the arena holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Content {
    Nothing,
    Value(Value),
    Scratch(usize),
}

struct Memory<'a> {
    plan: &'a Plan,
    extents: Extents,
    /// One number for each byte of the arena; an element's value stands at its first byte.
    arena: Vec<f64>,
    content: Vec<Content>,
    given: &'a Environment,
    parameters: Vec<Reference>,
    updated: Vec<bool>,
}

/// The named results and the parameters after a run of a plan.
///
/// Panics if the plan reads what it has overwritten, overlaps what must be apart, updates a parameter before its
/// readers or guards, or leaves out an effect.
pub fn simulate(plan: &Plan, extents: Extents, given: &Environment) -> (Vec<(String, Reference)>, Environment) {
    assert!(extents.within(&plan.maximum));
    let nodes = plan.graph.nodes();
    let mut memory = Memory {
        plan,
        extents,
        arena: vec![f64::NAN; plan.arena_bytes],
        content: vec![Content::Nothing; plan.arena_bytes.div_ceil(ALIGNMENT)],
        given,
        parameters: plan.parameters.iter().map(|(name, _)| given[name].clone()).collect(),
        updated: vec![false; plan.parameters.len()],
    };
    let mut ran = vec![false; nodes.len()];
    for &i in &plan.order {
        let node = &nodes[i];
        assert!(!std::mem::replace(&mut ran[i], true), "node {i} runs twice");
        assert!(!node.op.is_leaf() && !node.op.is_view(), "node {i} computes nothing");
        let (offset, bytes) = plan.scratch[i];
        memory.take(offset, bytes, Content::Scratch(i));
        memory.check_overlaps(i);
        let inputs: Vec<Reference> = node.inputs.iter().map(|&v| memory.read(v)).collect();
        let inputs: Vec<&Reference> = inputs.iter().collect();
        let shapes: Vec<Vec<usize>> = node.outputs.iter().map(|t| t.shape.resolve(&extents)).collect();
        let outputs = node.op.reference(&ReferenceContext { inputs: &inputs, shapes: &shapes, extents });
        if !node.op.updates().is_empty() {
            for guard in (0..i).filter(|&g| matches!(nodes[g].op, Op::Guard(_))) {
                assert!(ran[guard], "node {i} updates before guard {guard}");
            }
        }
        for (port, output) in outputs.iter().enumerate() {
            memory.write(Value { node: i, port }, output);
        }
        memory.expect(offset, bytes, Content::Scratch(i), "scratch memory");
    }
    for (i, node) in nodes.iter().enumerate() {
        assert!(ran[i] || !node.op.has_effect(), "effect {i} ({}) never happens", node.op.name());
    }
    let outputs = plan.graph.outputs().iter().map(|(name, v)| (name.clone(), memory.read(*v))).collect();
    let mut parameters = given.clone();
    for ((name, _), value) in plan.parameters.iter().zip(memory.parameters) {
        parameters.insert(name.clone(), value);
    }
    (outputs, parameters)
}

impl Memory<'_> {
    /// The value that a view looks at, and whether it is the new value of a parameter.
    fn source(&self, mut value: Value) -> (Value, bool) {
        let nodes = self.plan.graph.nodes();
        while nodes[value.node].op.is_view() {
            value = nodes[value.node].inputs[0];
        }
        let updates = nodes[value.node].op.updates();
        (value, updates.iter().any(|&(_, output)| output == value.port))
    }

    fn read(&self, value: Value) -> Reference {
        let ty = self.plan.graph.type_of(value);
        let shape = ty.shape.resolve(&self.extents);
        let (source, is_new) = self.source(value);
        match self.plan.place(value) {
            Place::Input(i) => Reference::new(&shape, self.given[&self.plan.inputs[i].0].data.clone()),
            Place::Constant(i) => match &self.plan.graph.nodes()[i].op {
                Op::Constant(constant) => Reference::new(&shape, constant.data.to_reference().data),
                other => panic!("{} is no constant", other.name()),
            },
            Place::Parameter(i) => {
                assert_eq!(
                    self.updated[i], is_new,
                    "`{}`: {value:?} is read at the wrong time",
                    self.plan.parameters[i].0
                );
                Reference::new(&shape, self.parameters[i].data.clone())
            }
            Place::Arena(offset) => {
                let size = ty.dtype.size();
                self.expect(offset, ty.bytes(&self.extents), Content::Value(source), "a value");
                let count: usize = shape.iter().product();
                Reference::new(&shape, (0..count).map(|j| self.arena[offset + j * size]).collect())
            }
        }
    }

    fn write(&mut self, value: Value, data: &Reference) {
        let size = self.plan.graph.type_of(value).dtype.size();
        match self.plan.place(value) {
            Place::Parameter(i) => {
                assert!(self.source(value).1, "{value:?} is written over `{}`", self.plan.parameters[i].0);
                assert!(
                    !std::mem::replace(&mut self.updated[i], true),
                    "`{}` is updated twice",
                    self.plan.parameters[i].0
                );
                self.parameters[i] = data.clone();
            }
            Place::Arena(offset) => {
                self.take(offset, data.data.len() * size, Content::Value(value));
                for (j, &x) in data.data.iter().enumerate() {
                    self.arena[offset + j * size..][..size].fill(f64::NAN);
                    self.arena[offset + j * size] = x;
                }
            }
            other => panic!("{value:?} is written to {other:?}"),
        }
    }

    fn take(&mut self, offset: usize, bytes: usize, content: Content) {
        assert_eq!(offset % ALIGNMENT, 0);
        assert!(offset + bytes <= self.plan.arena_bytes, "{content:?} lies outside of the arena");
        self.content[offset / ALIGNMENT..(offset + bytes).div_ceil(ALIGNMENT)].fill(content);
    }

    fn expect(&self, offset: usize, bytes: usize, content: Content, what: &str) {
        for block in offset / ALIGNMENT..(offset + bytes).div_ceil(ALIGNMENT) {
            assert_eq!(self.content[block], content, "{what} was overwritten at {}", block * ALIGNMENT);
        }
    }

    /// A kernel writes while it reads: an output may lie over an input only where the plan is allowed to put it there,
    /// and then exactly, with the same type, for element-wise operations.
    fn check_overlaps(&self, i: usize) {
        let graph = &self.plan.graph;
        let node = &graph.nodes()[i];
        let range = |v: Value, extents: &Extents| match self.plan.place(v) {
            Place::Arena(offset) => Some((offset, offset + graph.type_of(v).bytes(extents))),
            _ => None,
        };
        for port in 0..node.outputs.len() {
            let output = Value { node: i, port };
            for &input in &node.inputs {
                let (Some(o), Some(x)) = (range(output, &self.plan.maximum), range(input, &self.plan.maximum)) else {
                    continue;
                };
                if o.0 < x.1 && x.0 < o.1 {
                    let shared = node.op.in_place() && port == 0 && o == x;
                    let alike = graph.type_of(input) == graph.type_of(output);
                    assert!(
                        shared && alike,
                        "{}: output {port} at {o:?} overlaps input {input:?} at {x:?}",
                        node.op.name()
                    );
                }
            }
            for other in 0..port {
                let other = Value { node: i, port: other };
                if let (Some(a), Some(b)) = (range(output, &self.plan.maximum), range(other, &self.plan.maximum)) {
                    assert!(a.1 <= b.0 || b.1 <= a.0, "outputs of {} overlap", node.op.name());
                }
            }
        }
    }
}

/// Asserts that a plan computes what the interpreter computes on the given graph: results and updated parameters.
pub fn assert_plan_equals(
    plan: &Plan,
    graph: &deepfit_graph::Graph,
    extents: Extents,
    given: &Environment,
    tolerance: f64,
) {
    let (outputs, parameters) = simulate(plan, extents, given);
    let (values, expected) = interpret(graph, extents, given);
    assert_eq!(outputs.len(), graph.outputs().len());
    for ((name, actual), (expected_name, value)) in outputs.iter().zip(graph.outputs()) {
        assert_eq!(name, expected_name);
        assert_close(name, actual, values.get(*value), tolerance);
    }
    for (name, value) in &expected {
        assert_close(name, &parameters[name], value, tolerance);
    }
}
