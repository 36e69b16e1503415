//! Reverse-mode differentiation (backpropagation), from graph to graph.

use std::collections::{HashMap, HashSet};

use crate::error::{GraphError, Result};
use crate::graph::{Node, Value};
use crate::mutation;
use crate::op::Operation;
use crate::shape::DType;
use crate::trace::{Tensor, Tracer};

/// What an operation's derivative is built from.
#[derive(Debug)]
pub struct Derivative<'a> {
    tracer: &'a Tracer,
    name: String,
    inputs: &'a [Tensor],
    outputs: &'a [Tensor],
    upstream: &'a [Option<Tensor>],
    wanted: &'a [bool],
}

impl Derivative<'_> {
    /// The graph to which the backward nodes are added.
    pub fn tracer(&self) -> &Tracer {
        self.tracer
    }

    /// An input of the operation.
    pub fn input(&self, i: usize) -> &Tensor {
        &self.inputs[i]
    }

    /// All inputs of the operation.
    pub fn inputs(&self) -> &[Tensor] {
        self.inputs
    }

    /// An output of the operation.
    pub fn output(&self, port: usize) -> &Tensor {
        &self.outputs[port]
    }

    /// Whether the gradient of input `i` leads to something trained.
    pub fn wants(&self, i: usize) -> bool {
        self.wanted[i]
    }

    /// Gradient of the loss with respect to the first output, which must be the only one that the loss depends on.
    ///
    /// # Errors
    /// If the loss depends on another output, or not on the first.
    pub fn upstream(&self) -> Result<&Tensor> {
        match self.upstream {
            [Some(gradient), rest @ ..] if rest.iter().all(Option::is_none) => Ok(gradient),
            _ => Err(self.no_derivative()),
        }
    }

    /// Gradient of the loss with respect to one of several outputs, if the loss depends on it.
    pub fn upstream_of(&self, port: usize) -> Option<&Tensor> {
        self.upstream.get(port).and_then(Option::as_ref)
    }

    /// The error for an operation without derivative on a path to something trained.
    pub fn no_derivative(&self) -> GraphError {
        GraphError::NoDerivative {
            operation: self.name.clone(),
            layer: self.tracer.layer_prefix(),
            input: self.wanted.iter().position(|&w| w).unwrap_or(0),
        }
    }

    /// Derivative through the simpler operations that an operation is made of.
    ///
    /// # Errors
    /// If it is not made of any, or one of these has no derivative.
    pub fn through_decomposition(&self, op: &impl Operation) -> Result<Vec<Option<Tensor>>> {
        let outputs = op.decompose(self.inputs())?.ok_or_else(|| self.no_derivative())?;
        self.through(&outputs)
    }

    /// Derivative through other values that equal the outputs, such as a decomposition.
    ///
    /// It ends at the inputs, also where one of them is made of another: the path between those is not this operation's.
    ///
    /// # Errors
    /// If one of the operations on the way has no derivative.
    pub fn through(&self, outputs: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
        let seeds: Vec<(Tensor, Tensor)> = outputs
            .iter()
            .zip(self.upstream)
            .filter_map(|(output, upstream)| Some((output.clone(), upstream.clone()?)))
            .collect();
        let wanted: Vec<Tensor> =
            self.inputs.iter().zip(self.wanted).filter(|(_, w)| **w).map(|(t, _)| t.clone()).collect();
        let mut found = backward(self.tracer, &seeds, &wanted, End::AtWanted)?.into_iter();
        Ok(self.wanted.iter().map(|&w| if w { found.next().flatten() } else { None }).collect())
    }
}

/// Gradients of a scalar loss with respect to `wanted`, appended to the loss's graph.
///
/// Parts of the graph on which none of `wanted` has an influence get no backward nodes.
///
/// ```
/// use deepfit_graph::interpret::{self, Environment};
/// use deepfit_graph::{Extents, Mode, Reference, Tracer, gradients};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tracer = Tracer::new(Mode::Train);
/// let x = tracer.parameter("x", [2])?;
/// let loss = x.square()?.sum()?;
/// tracer.output("gradient", &gradients(&loss, &[x])?[0]);
/// let graph = tracer.graph();
/// let mut parameters = Environment::from([("x".to_string(), Reference::new(&[2], vec![3.0, -1.0]))]);
/// let values = interpret::run(&graph, Extents::batch(1), &Environment::new(), &mut parameters)?;
/// assert_eq!(values.get(graph.output("gradient").ok_or("no output")?).data, [6.0, -2.0]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// If the loss is not a scalar, does not depend on one of `wanted`, one of these belongs to another graph, or an operation
/// on the way has no derivative.
pub fn gradients(loss: &Tensor, wanted: &[Tensor]) -> Result<Vec<Tensor>> {
    if let Some(foreign) = wanted.iter().find(|t| !loss.tracer().owns(t)) {
        let shapes = format!("{} and {}", loss.shape(), foreign.shape());
        let operation = format!("gradient with respect to `{}`", describe(foreign));
        return Err(GraphError::ForeignValue { operation, layer: String::new(), shapes });
    }
    if loss.shape().rank() != 0 {
        return Err(loss.error("gradient", format!("the loss must be a scalar, but its shape is {}", loss.shape())));
    }
    let tracer = loss.tracer();
    let found = backward(tracer, &[(loss.clone(), tracer.scalar(1.0))], wanted, End::AtLeaves)?;
    found
        .into_iter()
        .zip(wanted)
        .map(|(gradient, tensor)| gradient.ok_or_else(|| GraphError::Unreachable { name: describe(tensor) }))
        .collect()
}

fn describe(tensor: &Tensor) -> String {
    tensor.tracer().with_graph(|g| g.nodes()[tensor.value().node].op.name())
}

/// Where differentiation ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It goes on through a wanted value to others that this is made of: total derivatives.
    AtLeaves,
    /// It takes the wanted values as independent of each other: partial derivatives.
    AtWanted,
}

/// Gradients with respect to `wanted`, given the gradients of some values; `None` where there is no path.
fn backward(tracer: &Tracer, seeds: &[(Tensor, Tensor)], wanted: &[Tensor], end: End) -> Result<Vec<Option<Tensor>>> {
    let nodes: Vec<Node> = tracer.with_graph(|g| {
        let last = seeds.iter().map(|(t, _)| t.value().node + 1).max().unwrap_or(0);
        g.nodes()[..last].to_vec()
    });
    // A node matters if one of its inputs leads back to something wanted.
    let wanted_nodes: HashSet<usize> = wanted.iter().map(|t| t.value().node).collect();
    let mut matters = vec![false; nodes.len()];
    for (i, node) in nodes.iter().enumerate() {
        matters[i] = wanted_nodes.contains(&i) || node.inputs.iter().any(|v| matters[v.node]);
    }
    let mut found: HashMap<Value, Tensor> = HashMap::new();
    for (tensor, gradient) in seeds {
        accumulate(&mut found, tensor.value(), gradient.clone())?;
    }
    for (i, node) in nodes.iter().enumerate().rev() {
        if !matters[i] || node.inputs.is_empty() {
            continue;
        }
        if end == End::AtWanted && wanted_nodes.contains(&i) {
            continue;
        }
        let outputs: Vec<Tensor> = (0..node.outputs.len()).map(|port| tracer.tensor(Value { node: i, port })).collect();
        let upstream: Vec<Option<Tensor>> = outputs.iter().map(|t| found.get(&t.value()).cloned()).collect();
        if upstream.iter().all(Option::is_none) {
            continue;
        }
        let inputs: Vec<Tensor> = node.inputs.iter().map(|&v| tracer.tensor(v)).collect();
        let wants: Vec<bool> = inputs.iter().map(|t| matters[t.value().node] && t.dtype() == DType::F32).collect();
        if !wants.contains(&true) {
            continue;
        }
        let name = node.op.name();
        let gradients = tracer.behind_layer(&node.layer, || {
            let cx =
                Derivative { tracer, name, inputs: &inputs, outputs: &outputs, upstream: &upstream, wanted: &wants };
            let gradients = node.op.derivative(&cx)?;
            check(&cx, &gradients)?;
            mutation::flip_derivative(node.op.kind(), gradients)
        })?;
        for ((input, gradient), wants) in inputs.iter().zip(gradients).zip(wants) {
            if let Some(gradient) = gradient.filter(|_| wants) {
                tracer.behind_layer(&node.layer, || accumulate(&mut found, input.value(), gradient))?;
            }
        }
    }
    Ok(wanted.iter().map(|t| found.get(&t.value()).cloned()).collect())
}

/// Holds a derivative, possibly a library user's own, to its contract.
fn check(cx: &Derivative<'_>, gradients: &[Option<Tensor>]) -> Result<()> {
    let wrong = |problem| GraphError::Shape {
        operation: format!("derivative of {}", cx.name),
        layer: cx.tracer.layer_prefix(),
        problem,
    };
    if gradients.len() != cx.inputs.len() {
        return Err(wrong(format!("gives {} gradients for {} inputs", gradients.len(), cx.inputs.len())));
    }
    for (i, (input, gradient)) in cx.inputs.iter().zip(gradients).enumerate() {
        if gradient.as_ref().is_some_and(|g| !cx.tracer.owns(g)) {
            return Err(wrong(format!("the gradient of input {i} belongs to another graph")));
        }
        if let Some(gradient) = gradient.as_ref().filter(|g| cx.wanted[i] && g.ty() != input.ty()) {
            let problem = format!("the gradient of input {i} is {}, but the input is {}", gradient.ty(), input.ty());
            return Err(wrong(problem));
        }
    }
    Ok(())
}

fn accumulate(found: &mut HashMap<Value, Tensor>, value: Value, gradient: Tensor) -> Result<()> {
    let sum = match found.get(&value) {
        Some(sum) => sum.add(&gradient)?,
        None => gradient,
    };
    found.insert(value, sum);
    Ok(())
}
