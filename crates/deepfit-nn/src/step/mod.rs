//! The graph of a training step, from a closure that traces inputs to a loss.

mod names;
mod training;

pub use names::{
    ACCUMULATED, GRADIENT, GRADIENT_NORM, KEEP, LEARNING_RATE, LOSS, LOSS_SCALE, OUTPUT, RESERVED, STEP, gradient_name,
    is_reserved,
};
pub use training::{Group, Training};

use deepfit_graph::ops::RowGradient;
use deepfit_graph::{DType, Graph, Mode, Op, Shape, Tensor, Tracer, Value, gradients};

use crate::declaration::{Declaration, Parameter};
use crate::error::{Result, require};
use crate::optim::{Clip, clip_by_global_norm, clip_by_value};

/// What a step does with its gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepKind {
    /// Updates the parameters. Inputs: [`LEARNING_RATE`], [`STEP`].
    Plain,
    /// Adds them, scaled, to `accumulated.<name>`. Inputs: [`LOSS_SCALE`], [`KEEP`].
    Accumulate,
    /// Adds them, scaled, to what was accumulated and updates the parameters. Inputs: all four.
    AccumulateAndUpdate,
}

/// What the closure of a training step returns.
#[derive(Debug, Clone)]
pub struct Traced {
    /// The loss, a scalar: the mean over the (micro-)batch.
    pub loss: Tensor,
    /// Other results wanted of each step, by name.
    pub outputs: Vec<(String, Tensor)>,
}

/// The graph of one training step.
///
/// Inputs are those that `forward` asks for (with dropout also [`RANDOM_KEY`](deepfit_graph::RANDOM_KEY)) and those of
/// the kind; outputs are [`LOSS`], those of `forward`, gradients if they are kept, and [`GRADIENT_NORM`] where an update
/// clips by norm. The loss, and that norm, are guarded: if one is not finite, the run stops before any parameter, running
/// statistic or accumulated gradient is written. State that this adds (`optimizer.`, `accumulated.`, `average.`) starts
/// at zero.
///
/// # Errors
/// If `forward` fails, a setting is out of range, the loss is not a scalar, it does not depend on a parameter that is
/// not frozen, an input or an output has a name that begins with [`RESERVED`], or no layer offers what is watched.
pub fn step_graph(
    declarations: &[Declaration],
    training: &Training,
    kind: StepKind,
    forward: impl FnOnce(&Tracer) -> Result<Traced>,
) -> Result<Graph> {
    training.validate(declarations)?;
    require(training.rows_only.is_empty() || kind == StepKind::Plain, "training", "rows_only", || {
        "cannot be combined with gradients accumulated over several micro-batches, which are whole ones".to_string()
    })?;
    let limited = training.trained_declarations(declarations).find(|d| d.max_norm.is_some());
    require(limited.is_none() || kind == StepKind::Plain, limited.map_or("", |d| &d.name), "max_norm", || {
        "cannot be combined with gradients accumulated over several micro-batches: only the rows of the last would be \
         scaled down"
            .to_string()
    })?;
    let tracer = Tracer::new(Mode::Train);
    let Traced { loss, outputs } = forward(&tracer)?;
    names::check(&tracer, &outputs)?;
    tracer.output(LOSS, &loss);
    for (name, tensor) in &outputs {
        tracer.output(name, tensor);
    }
    tracer.guard(&loss)?;
    let trained: Vec<&Declaration> = training.trained_declarations(declarations).collect();
    let parameters: Vec<Parameter> = trained.iter().map(|d| d.parameter()).collect();
    let values = parameters.iter().map(|p| p.on(&tracer)).collect::<Result<Vec<_>>>()?;
    let scalar = |name| tracer.input(name, Shape::scalar(), DType::F32);
    let mut grads = match kind {
        StepKind::Plain => gradients(&loss, &values)?,
        StepKind::Accumulate | StepKind::AccumulateAndUpdate => {
            let scaled = loss.mul(&scalar(LOSS_SCALE))?;
            let keep = scalar(KEEP);
            let fresh = gradients(&scaled, &values)?;
            parameters.iter().zip(&fresh).map(|(p, g)| accumulate(p, g, &keep, kind)).collect::<Result<_>>()?
        }
    };
    if training.keep_gradients {
        for (parameter, gradient) in parameters.iter().zip(&grads) {
            tracer.output(&gradient_name(&parameter.name), gradient);
        }
    }
    if kind != StepKind::Accumulate {
        let mut rows = row_gradients(training, &trained, &grads)?;
        let by_row = |d: &Declaration| training.rows_only.contains(&d.name);
        for ((declaration, gradient), rows) in trained.iter().zip(&mut grads).zip(&rows) {
            // Row by row from here on: what is left of the whole gradient has no reader.
            let whole = rows.as_ref().filter(|_| by_row(declaration));
            *gradient = whole.map_or(gradient.clone(), |r| r.rows.clone());
        }
        grads = tracer.in_layer("clip", || clipped(&tracer, training.clip, grads))?;
        for ((declaration, rows), gradient) in trained.iter().zip(&mut rows).zip(&grads) {
            rows.iter_mut().filter(|_| by_row(declaration)).for_each(|r| r.rows = gradient.clone());
        }
        let (rate, step) = (scalar(LEARNING_RATE), scalar(STEP));
        for (((declaration, parameter), gradient), rows) in trained.iter().zip(&parameters).zip(&grads).zip(&rows) {
            tracer.in_layer(&parameter.name, || {
                let new = training.update(declaration, gradient, rows.as_ref(), &rate, &step)?;
                training.moving_average.iter().try_for_each(|a| a.update(parameter, &new, &step).map(|_| ()))
            })?;
        }
    }
    tracer.check_watches()?;
    Ok(effects_behind_guards(&tracer.graph()))
}

/// The graph of a network in use: what `forward` returns, by name, and what it [watches](Tracer::watch).
///
/// # Errors
/// If `forward` fails, names an input or an output of its graph so that it begins with [`RESERVED`] (what it returns may
/// have any name), or no layer offers what is watched.
pub fn evaluation_graph(forward: impl FnOnce(&Tracer) -> Result<Vec<(String, Tensor)>>) -> Result<Graph> {
    let tracer = Tracer::new(Mode::Evaluate);
    let outputs = forward(&tracer)?;
    names::check(&tracer, &[])?;
    for (name, tensor) in outputs {
        tracer.output(&name, &tensor);
    }
    tracer.check_watches()?;
    Ok(tracer.graph())
}

/// The sum of a fresh gradient and what was accumulated before; written back unless it is used up at once.
fn accumulate(parameter: &Parameter, gradient: &Tensor, keep: &Tensor, kind: StepKind) -> Result<Tensor> {
    let tracer = gradient.tracer();
    tracer.in_layer(&parameter.name, || {
        let sum = tracer.parameter(&format!("{ACCUMULATED}.{}", parameter.name), &parameter.shape[..])?;
        // Selected, not multiplied by 0: what an earlier batch left may be NaN.
        let total = keep.select(&sum, &tracer.scalar(0.0))?.add(gradient)?;
        Ok(if kind == StepKind::Accumulate { sum.assign(&total)? } else { total })
    })
}

/// The gradients, as rows, of those tables of which single rows are updated, or scaled down when they are looked up.
fn row_gradients(training: &Training, trained: &[&Declaration], grads: &[Tensor]) -> Result<Vec<Option<RowGradient>>> {
    let of = |(declaration, gradient): (&&Declaration, &Tensor)| {
        let by_row = training.rows_only.contains(&declaration.name);
        if !by_row && declaration.max_norm.is_none() {
            return Ok(None);
        }
        gradient.tracer().in_layer(&declaration.name, || {
            let rows = gradient.row_gradient()?;
            // Limits are those of sums; an update adds rows up by itself.
            Ok(Some(if by_row && training.clip.is_some() { rows.coalesced()? } else { rows }))
        })
    };
    trained.iter().zip(grads).map(of).collect()
}

fn clipped(tracer: &Tracer, clip: Option<Clip>, gradients: Vec<Tensor>) -> Result<Vec<Tensor>> {
    match clip {
        None => Ok(gradients),
        Some(Clip::Value(limit)) => clip_by_value(&gradients, limit as f32),
        Some(Clip::Norm(limit)) => {
            let (gradients, norm) = clip_by_global_norm(&gradients, limit as f32)?;
            // An infinite norm would scale finite gradients to zero and pass unseen.
            tracer.guard(&norm)?;
            tracer.output(GRADIENT_NORM, &norm);
            Ok(gradients)
        }
    }
}

/// The same graph with every effect behind all guards.
///
/// An effect waits for the guards before it, and running statistics are updated by layers, which come before the loss is
/// known. What a guarded value itself is made of stays where it is.
fn effects_behind_guards(graph: &Graph) -> Graph {
    let nodes = graph.nodes();
    let is_guard = |i: &usize| matches!(nodes[*i].op, Op::Guard(_));
    let Some(guard) = (0..nodes.len()).rfind(is_guard) else { return graph.clone() };
    let mut needed: Vec<bool> = (0..=guard).map(|i| is_guard(&i)).collect();
    for i in (0..=guard).rev() {
        if needed[i] {
            nodes[i].inputs.iter().for_each(|v| needed[v.node] = true);
        }
    }
    let mut moved = vec![false; nodes.len()];
    for i in 0..guard {
        moved[i] = !needed[i] && (!nodes[i].op.updates().is_empty() || nodes[i].inputs.iter().any(|v| moved[v.node]));
    }
    let order =
        (0..=guard).filter(|&i| !moved[i]).chain((0..guard).filter(|&i| moved[i])).chain(guard + 1..nodes.len());
    let mut position = vec![0; nodes.len()];
    let mut result = Graph::default();
    for i in order {
        let mut node = nodes[i].clone();
        node.inputs.iter_mut().for_each(|v| v.node = position[v.node]);
        position[i] = result.push(node);
    }
    for (name, value) in graph.outputs() {
        result.push_output(name, Value { node: position[value.node], port: value.port });
    }
    result
}
