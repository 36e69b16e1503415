//! Tracing: a network's `forward` runs once on symbolic tensors and leaves a graph.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::{GraphError, Result};
use crate::graph::{self, Graph, Node, Value};
use crate::hazard::Effects;
use crate::host::HostTensor;
use crate::op::Op;
use crate::ops::{Constant, Guard, Input, Parameter};
use crate::shape::{DType, Shape, TensorType};
use crate::watch::{LayerResult, OUTPUT, Watches};

/// Whether the network is traced to learn or to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Dropout drops, batch normalisation uses and updates batch statistics.
    Train,
    /// Dropout passes, batch normalisation uses the running statistics.
    Evaluate,
}

/// Name of the input that holds the key of all random operations.
pub const RANDOM_KEY: &str = "random_key";

/// Most nodes of a graph: as many are optimised and planned in about half a minute on one core.
pub const MOST_NODES: usize = 500_000;

#[derive(Debug)]
struct Trace {
    graph: Graph,
    mode: Mode,
    /// The mode of the whole graph, of which a part may have another.
    whole: Mode,
    layer: String,
    inputs: HashMap<String, Value>,
    parameters: HashMap<String, Value>,
    random_key: Option<Value>,
    random_streams: u32,
    effects: Effects,
    watches: Watches,
}

/// Builds one graph. Cheap to clone; clones build the same graph.
#[derive(Debug, Clone)]
pub struct Tracer(Rc<RefCell<Trace>>);

/// A symbolic value of the graph under construction.
#[derive(Debug, Clone)]
pub struct Tensor {
    tracer: Tracer,
    value: Value,
    ty: TensorType,
}

impl Tracer {
    /// An empty graph.
    pub fn new(mode: Mode) -> Self {
        Tracer(Rc::new(RefCell::new(Trace {
            graph: Graph::default(),
            mode,
            whole: mode,
            layer: String::new(),
            inputs: HashMap::new(),
            parameters: HashMap::new(),
            random_key: None,
            random_streams: 0,
            effects: Effects::default(),
            watches: Watches::default(),
        })))
    }

    /// Whether the network learns or is used.
    pub fn mode(&self) -> Mode {
        self.0.borrow().mode
    }

    /// Whether the graph is one that learns, though the part that is being added may stay as it is: see [`Tracer::in_mode`].
    pub fn learns(&self) -> bool {
        self.0.borrow().whole == Mode::Train
    }

    /// Adds what `body` adds as if the whole graph were of this mode: a part of a network that stays as it is while the rest
    /// learns normalises by its running statistics and drops nothing.
    pub fn in_mode<T>(&self, mode: Mode, body: impl FnOnce() -> T) -> T {
        let before = std::mem::replace(&mut self.0.borrow_mut().mode, mode);
        let result = body();
        self.0.borrow_mut().mode = before;
        result
    }

    /// A value that the caller gives at each run.
    ///
    /// Asking twice for a name gives the same value. Another type than before is a mistake that [`Tracer::check`] tells.
    pub fn input(&self, name: &str, shape: impl Into<Shape>, dtype: DType) -> Tensor {
        let ty = TensorType { shape: shape.into(), dtype };
        self.leaf_or_mistake(Input { name: name.to_string(), ty: ty.clone() }.into(), ty)
    }

    /// A batch of examples that the caller gives at each run: `batch("x", &[28, 28], DType::F32)` is `[batch, 28, 28]`.
    pub fn batch(&self, name: &str, lengths: &[usize], dtype: DType) -> Tensor {
        self.input(name, Shape::batch_of(lengths), dtype)
    }

    /// A value that lives outside of the arena from run to run: a weight, a running statistic, an optimiser's state.
    ///
    /// Asking twice for a name gives the same value.
    ///
    /// # Errors
    /// If the name was used before with another shape, or the shape is too large for any memory.
    pub fn parameter(&self, name: &str, shape: impl Into<Shape>) -> Result<Tensor> {
        let ty = TensorType::f32(shape);
        self.leaf(Parameter { name: name.to_string(), ty: ty.clone() }.into(), ty)
    }

    /// An array whose values are part of the graph.
    pub fn constant(&self, data: HostTensor) -> Tensor {
        let ty = data.ty();
        self.leaf_or_mistake(Constant { data: Arc::new(data) }.into(), ty)
    }

    /// A constant scalar.
    pub fn scalar(&self, value: f32) -> Tensor {
        self.constant(HostTensor::f32(&[], vec![value]))
    }

    /// Applies an operation and returns its outputs.
    ///
    /// A parameter stands for its value from before the run wherever it is read, and is updated at most once.
    ///
    /// # Errors
    /// If a call before it made a mistake (see [`Tracer::check`]); if the graph has [`MOST_NODES`] nodes; if the shapes do
    /// not fit, have more than [`MOST_AXES`](crate::MOST_AXES) axes or are too large for any memory, naming the layer and the shapes; if a parameter is updated twice, or its old
    /// value is needed beside a new one in a way that no order of computation allows.
    pub fn apply(&self, op: impl Into<Op>, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let op = op.into();
        self.check()?;
        if !inputs.iter().all(|t| self.owns(t)) {
            let shapes = inputs.iter().map(|t| t.shape().to_string()).collect::<Vec<_>>().join(" and ");
            return Err(GraphError::ForeignValue { operation: op.name(), layer: self.layer_prefix(), shapes });
        }
        let nodes = self.0.borrow().graph.nodes().len();
        if nodes >= MOST_NODES {
            return Err(GraphError::Size { operation: op.name(), layer: self.layer_prefix(), nodes });
        }
        let types: Vec<&TensorType> = inputs.iter().map(|t| &t.ty).collect();
        let wrong = |problem| GraphError::Shape { operation: op.name(), layer: self.layer_prefix(), problem };
        let outputs = op.infer(&types).map_err(wrong)?;
        if let (true, [ty]) = (op.is_leaf(), &outputs[..]) {
            return Ok(vec![self.leaf(op, ty.clone())?]);
        }
        if let Some(problem) = outputs.iter().find_map(TensorType::problem) {
            let given = types.iter().map(|t| t.to_string()).collect::<Vec<_>>().join(" and ");
            return Err(wrong(format!("of {given}: {problem}")));
        }
        for (input, _) in op.updates() {
            let leaf = inputs[input].value;
            if !matches!(self.0.borrow().graph.nodes()[leaf.node].op, Op::Parameter(_)) {
                return Err(wrong(format!("input {input} is updated and must be a parameter")));
            }
        }
        let layer = self.0.borrow().layer.clone();
        let given: Vec<Value> = inputs.iter().map(|t| t.value).collect();
        let node = Node { op: op.clone(), inputs: given.clone(), outputs: outputs.clone(), layer };
        let conflict = {
            let Trace { graph, effects, .. } = &*self.0.borrow();
            effects.conflict(graph, &node).map(|parameter| graph.nodes()[parameter].op.name())
        };
        if let Some(parameter) = conflict {
            return Err(wrong(format!(
                "the parameter `{parameter}` has been updated already, and its old value cannot be used here, beside what \
                 was updated: use the value that the update returned"
            )));
        }
        let values = self.push(node);
        for name in op.intermediates() {
            self.offer(name, || {
                let given: Vec<Tensor> = given.iter().map(|&value| self.tensor(value)).collect();
                let missing = || wrong(format!("lists the intermediate `{name}` but does not compute it"));
                op.intermediate(name, &given)?.ok_or_else(missing)
            })?;
        }
        let tensors = values.into_iter().zip(outputs);
        Ok(tensors.map(|(value, ty)| Tensor { tracer: self.clone(), value, ty }).collect())
    }

    /// Applies an operation that has one output.
    ///
    /// # Errors
    /// As [`Tracer::apply`].
    pub fn apply_one(&self, op: impl Into<Op>, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok(self.apply(op, inputs)?.swap_remove(0))
    }

    /// Names a value as a result of the graph. A name that another result has, and a value of another graph, are mistakes
    /// that [`Tracer::check`] tells.
    pub fn output(&self, name: &str, tensor: &Tensor) {
        if !self.owns(tensor) {
            let (operation, shapes) = (format!("output `{name}`"), tensor.shape().to_string());
            return self.remember(GraphError::ForeignValue { operation, layer: self.layer_prefix(), shapes });
        }
        if self.with_graph(|graph| graph.output(name).is_some()) {
            return self.remember(graph::twice(name));
        }
        self.0.borrow_mut().graph.push_output(name, tensor.value);
    }

    /// Whether every call so far was right, those among them that cannot return an error: [`Tracer::input`],
    /// [`Tracer::batch`], [`Tracer::constant`] and [`Tracer::output`].
    ///
    /// Whoever makes a graph of a trace need not ask: [`Tracer::apply`] returns the same error from then on, and a graph
    /// with a mistake can be neither compiled nor interpreted.
    ///
    /// # Errors
    /// The first mistake: a name that stands for two things, a value of another graph, a size that no memory has.
    pub fn check(&self) -> Result<()> {
        self.with_graph(|graph| graph.problem().cloned().map_or(Ok(()), Err))
    }

    pub(crate) fn remember(&self, problem: GraphError) {
        self.0.borrow_mut().graph.set_problem(problem);
    }

    /// Whether a value belongs to this graph.
    pub(crate) fn owns(&self, tensor: &Tensor) -> bool {
        Rc::ptr_eq(&tensor.tracer.0, &self.0)
    }

    /// Stops the run with an error if the value is not finite; effects that come later do not happen.
    ///
    /// # Errors
    /// If the value is not floating point.
    pub fn guard(&self, tensor: &Tensor) -> Result<()> {
        self.apply(Guard, &[tensor]).map(|_| ())
    }

    /// Runs `body` with `layer` as the path that its nodes and errors carry, and by which what it returns, the layer's
    /// output, can be [watched](Tracer::watch).
    pub fn in_layer<T: LayerResult>(&self, layer: &str, body: impl FnOnce() -> T) -> T {
        let outer = self.enter(layer);
        let result = self.replaced(layer, body());
        self.enter(&outer);
        if let Some(output) = result.output()
            && self.note(layer, OUTPUT)
        {
            self.found(layer, OUTPUT, output);
        }
        result
    }

    /// The key of all random operations, an input named [`RANDOM_KEY`] of type i32 `[4]`: seed (low, high word), step
    /// (low, high word).
    pub fn random_key(&self) -> Tensor {
        let known = self.0.borrow().random_key;
        match known {
            Some(value) => self.tensor(value),
            None => {
                let key = self.input(RANDOM_KEY, [4], DType::I32);
                self.0.borrow_mut().random_key = Some(key.value);
                key
            }
        }
    }

    /// A number that no other random operation of this graph has.
    pub fn next_random_stream(&self) -> u32 {
        let mut trace = self.0.borrow_mut();
        trace.random_streams += 1;
        trace.random_streams - 1
    }

    /// A copy of the graph as traced so far.
    pub fn graph(&self) -> Graph {
        self.0.borrow().graph.clone()
    }

    pub(crate) fn tensor(&self, value: Value) -> Tensor {
        let ty = self.0.borrow().graph.type_of(value).clone();
        Tensor { tracer: self.clone(), value, ty }
    }

    pub(crate) fn with_graph<T>(&self, read: impl FnOnce(&Graph) -> T) -> T {
        read(&self.0.borrow().graph)
    }

    fn push(&self, node: Node) -> Vec<Value> {
        let Trace { graph, effects, .. } = &mut *self.0.borrow_mut();
        effects.push(graph, node)
    }

    /// The value of a leaf; that of the first one for inputs and parameters of the same name.
    fn leaf(&self, op: Op, ty: TensorType) -> Result<Tensor> {
        if let Some(problem) = ty.problem() {
            return Err(GraphError::Shape { operation: op.name(), layer: self.layer_prefix(), problem });
        }
        let (name, what, known) = match &op {
            Op::Input(Input { name, .. }) => (name, "an input", self.0.borrow().inputs.get(name).copied()),
            Op::Parameter(Parameter { name, .. }) => {
                (name, "a parameter", self.0.borrow().parameters.get(name).copied())
            }
            _ => return Ok(self.new_leaf(op, ty)),
        };
        let Some(known) = known.map(|value| self.tensor(value)) else { return Ok(self.new_leaf(op, ty)) };
        if known.ty == ty {
            return Ok(known);
        }
        let of = |ty: &TensorType| match ty.dtype {
            DType::F32 => format!("shape {}", ty.shape),
            _ => format!("type {ty}"),
        };
        let problem = format!("as {what} of {} and of {}", of(&known.ty), of(&ty));
        Err(GraphError::Name { name: name.clone(), problem })
    }

    /// A leaf for a call that returns no error: [`Tracer::check`] tells it.
    fn leaf_or_mistake(&self, op: Op, ty: TensorType) -> Tensor {
        self.leaf(op.clone(), ty.clone()).unwrap_or_else(|problem| {
            self.remember(problem);
            self.new_leaf(op, ty)
        })
    }

    fn new_leaf(&self, op: Op, ty: TensorType) -> Tensor {
        let node = Node { op: op.clone(), inputs: Vec::new(), outputs: vec![ty.clone()], layer: String::new() };
        let value = self.push(node)[0];
        let Trace { inputs, parameters, .. } = &mut *self.0.borrow_mut();
        match op {
            Op::Input(input) => inputs.insert(input.name, value),
            Op::Parameter(parameter) => parameters.insert(parameter.name, value),
            _ => None,
        };
        Tensor { tracer: self.clone(), value, ty }
    }

    /// Makes `layer` the path of the nodes that follow; returns the one before.
    pub(crate) fn enter(&self, layer: &str) -> String {
        std::mem::replace(&mut self.0.borrow_mut().layer, layer.to_string())
    }

    pub(crate) fn layer(&self) -> String {
        self.0.borrow().layer.clone()
    }

    pub(crate) fn with_watches<T>(&self, f: impl FnOnce(&mut Watches) -> T) -> T {
        f(&mut self.0.borrow_mut().watches)
    }

    pub(crate) fn layer_prefix(&self) -> String {
        let layer = &self.0.borrow().layer;
        if layer.is_empty() { String::new() } else { format!("{layer}: ") }
    }
}

impl Tensor {
    /// The graph that it belongs to.
    pub fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Its place in the graph.
    pub fn value(&self) -> Value {
        self.value
    }

    /// Its shape and element type.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// Its shape.
    pub fn shape(&self) -> &Shape {
        &self.ty.shape
    }

    /// Its element type.
    pub fn dtype(&self) -> DType {
        self.ty.dtype
    }

    /// An error about this tensor in the current layer, for checks that a layer makes itself.
    pub fn error(&self, operation: &str, problem: String) -> GraphError {
        GraphError::Shape { operation: operation.to_string(), layer: self.tracer.layer_prefix(), problem }
    }
}
