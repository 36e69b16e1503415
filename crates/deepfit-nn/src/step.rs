//! The graph of a training step, from a closure that traces inputs to a loss.

use std::collections::BTreeSet;

use deepfit_graph::ops::RowGradient;
use deepfit_graph::{DType, Graph, Mode, Op, Shape, Tensor, Tracer, Value, gradients};

use crate::declaration::{Declaration, Parameter, Role};
use crate::error::{Result, require};
use crate::optim::{Clip, MovingAverage, Optimizer, clip_by_global_norm, clip_by_value};
use crate::pattern;

/// Input: the learning rate, f32 `[]`.
pub const LEARNING_RATE: &str = "learning_rate";
/// Input: the number of this update from 1, f32 `[]`.
pub const STEP: &str = "step";
/// Input: share of this micro-batch in the whole batch, f32 `[]`.
pub const LOSS_SCALE: &str = "loss_scale";
/// Input: whether the gradients accumulated so far count (1) or belong to an earlier batch (0), f32 `[]`.
pub const KEEP: &str = "keep";
/// Output: the loss of this (micro-)batch, not scaled, f32 `[]`.
pub const LOSS: &str = "loss";
/// Output where gradients are clipped by norm: their norm before, f32 `[]`.
pub const GRADIENT_NORM: &str = "gradient_norm";
/// Prefix of the names of accumulated gradients: `accumulated.fc.weight`.
pub const ACCUMULATED: &str = "accumulated";
/// Prefix of the names of outputs that are gradients: `gradient.fc.weight`.
pub const GRADIENT: &str = "gradient";

/// How parameters are trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Limit of the gradients.
    pub clip: Option<Clip>,
    /// Moving average of the weights.
    pub moving_average: Option<MovingAverage>,
    /// Names of parameters that stay as they are: they get no gradient nodes.
    pub frozen: BTreeSet<String>,
    /// Settings of their own for some parameters: the first group whose pattern fits a name counts.
    pub groups: Vec<Group>,
    /// Names of tables of which a step updates only the rows that its batch has used: their gradients are never made as
    /// large as the tables. See [`Optimizer::update_rows`].
    pub rows_only: BTreeSet<String>,
    /// Whether a step gives its gradients, before they are limited, as outputs [`GRADIENT`]`.<name>`. Their memory is then not
    /// used for anything else.
    pub keep_gradients: bool,
}

/// Settings of the parameters whose names fit a pattern, as PyTorch's parameter groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// A name in which each `*` stands for any letters, dots among them: `backbone.*`, `*.bias`.
    pub pattern: String,
    /// What their learning rate is multiplied by, not negative.
    pub rate_factor: f64,
    /// Their weight decay, if it is not the optimiser's. It applies whatever the role of the parameter.
    pub weight_decay: Option<f64>,
}

impl Group {
    /// A group that learns at a share of the rate: `Group::new("backbone.*", 0.1)`.
    pub fn new(pattern: &str, rate_factor: f64) -> Self {
        Group { pattern: pattern.to_string(), rate_factor, weight_decay: None }
    }

    /// Whether a name fits the pattern.
    pub fn fits(&self, name: &str) -> bool {
        pattern::fits(&self.pattern, name)
    }
}

impl Training {
    /// Training of everything by the given optimiser alone.
    pub fn new(optimizer: Optimizer) -> Self {
        let (frozen, rows_only) = (BTreeSet::new(), BTreeSet::new());
        let (groups, keep_gradients) = (Vec::new(), false);
        Training { optimizer, clip: None, moving_average: None, frozen, groups, rows_only, keep_gradients }
    }

    /// The parameters that gradients train, in the order of their declarations.
    pub fn trained(&self, declarations: &[Declaration]) -> Vec<Parameter> {
        let trained = |d: &&Declaration| d.role.is_trained() && !self.frozen.contains(&d.name);
        declarations.iter().filter(trained).map(Declaration::parameter).collect()
    }

    /// Adds the update of one parameter, or of the rows that have a gradient, to the graph and returns its new value.
    fn update(
        &self,
        parameter: &Parameter,
        gradient: &Tensor,
        rows: Option<&RowGradient>,
        rate: &Tensor,
        step: &Tensor,
    ) -> Result<Tensor> {
        let group = self.groups.iter().find(|g| g.fits(&parameter.name));
        let rate = &match group {
            Some(group) if group.rate_factor != 1.0 => rate.mul_scalar(group.rate_factor as f32)?,
            _ => rate.clone(),
        };
        if let Some(rows) = rows {
            return self.optimizer.update_rows(parameter, rows, rate, step);
        }
        match group.and_then(|group| group.weight_decay) {
            None => self.optimizer.update(parameter, gradient, rate, step),
            Some(share) => {
                let parameter = Parameter { role: Role::Weight, ..parameter.clone() };
                self.optimizer.with_weight_decay(share).update(&parameter, gradient, rate, step)
            }
        }
    }

    /// Checks all settings.
    ///
    /// # Errors
    /// If one is out of range, if a pattern fits nothing, if a frozen name is no parameter, or if nothing is left to train.
    pub fn validate(&self, declarations: &[Declaration]) -> Result<()> {
        self.optimizer.validate()?;
        declarations.iter().try_for_each(Declaration::validate)?;
        self.clip.iter().try_for_each(Clip::validate)?;
        self.moving_average.iter().try_for_each(MovingAverage::validate)?;
        for name in &self.frozen {
            let known = declarations.iter().any(|d| &d.name == name);
            require(known, "training", "frozen", || format!("names `{name}`, which is no parameter of the network"))?;
        }
        for group in &self.groups {
            let Group { pattern, rate_factor, weight_decay } = group;
            require(declarations.iter().any(|d| group.fits(&d.name)), "training", "groups", || {
                format!("has the pattern `{pattern}`, which fits no parameter of the network")
            })?;
            require(rate_factor.is_finite() && *rate_factor >= 0.0, "training", "groups", || {
                format!("gives `{pattern}` the rate factor {rate_factor}, which must not be negative")
            })?;
            weight_decay.map_or(Ok(()), |share| self.optimizer.with_weight_decay(share).validate())?;
        }
        for name in &self.rows_only {
            let known = declarations.iter().any(|d| &d.name == name);
            require(known, "training", "rows_only", || {
                format!("names `{name}`, which is no parameter of the network")
            })?;
            self.optimizer.validate_rows_only()?;
        }
        require(!self.trained(declarations).is_empty(), "training", "frozen", || {
            "leaves no parameter to train".to_string()
        })
    }
}

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
/// statistic or accumulated gradient is written. State that this adds (`optimizer.`, `accumulated.`, `average.`) starts at
/// zero.
///
/// # Errors
/// If `forward` fails, a setting is out of range, the loss is not a scalar, it does not depend on a parameter that is
/// not frozen, or no layer offers what is watched.
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
    let tracer = Tracer::new(Mode::Train);
    let Traced { loss, outputs } = forward(&tracer)?;
    tracer.output(LOSS, &loss);
    for (name, tensor) in &outputs {
        tracer.output(name, tensor);
    }
    tracer.guard(&loss)?;
    let parameters = training.trained(declarations);
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
        let mut rows = row_gradients(training, &parameters, &grads)?;
        for (gradient, rows) in grads.iter_mut().zip(&rows) {
            // Row by row from here on: what is left of the whole gradient has no reader.
            *gradient = rows.as_ref().map_or(gradient.clone(), |r| r.rows.clone());
        }
        grads = tracer.in_layer("clip", || clipped(&tracer, training.clip, grads))?;
        for (rows, gradient) in rows.iter_mut().zip(&grads) {
            rows.iter_mut().for_each(|r| r.rows = gradient.clone());
        }
        let (rate, step) = (scalar(LEARNING_RATE), scalar(STEP));
        for ((parameter, gradient), rows) in parameters.iter().zip(&grads).zip(&rows) {
            tracer.in_layer(&parameter.name, || {
                let new = training.update(parameter, gradient, rows.as_ref(), &rate, &step)?;
                training.moving_average.iter().try_for_each(|a| a.update(parameter, &new, &step).map(|_| ()))
            })?;
        }
    }
    tracer.check_watches()?;
    Ok(effects_behind_guards(&tracer.graph()))
}

/// The name of the output that is the gradient of a parameter.
pub fn gradient_name(parameter: &str) -> String {
    format!("{GRADIENT}.{parameter}")
}

/// The graph of a network in use: what `forward` returns, by name, and what it [watches](Tracer::watch).
///
/// # Errors
/// If `forward` fails, or no layer offers what is watched.
pub fn evaluation_graph(forward: impl FnOnce(&Tracer) -> Result<Vec<(String, Tensor)>>) -> Result<Graph> {
    let tracer = Tracer::new(Mode::Evaluate);
    for (name, tensor) in forward(&tracer)? {
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

/// The gradients of those tables of which single rows are updated, as rows.
fn row_gradients(training: &Training, parameters: &[Parameter], grads: &[Tensor]) -> Result<Vec<Option<RowGradient>>> {
    let of = |(parameter, gradient): (&Parameter, &Tensor)| {
        if !training.rows_only.contains(&parameter.name) {
            return Ok(None);
        }
        gradient.tracer().in_layer(&parameter.name, || {
            let rows = gradient.row_gradient()?;
            // Limits are those of sums; an update adds rows up by itself.
            Ok(Some(if training.clip.is_some() { rows.coalesced()? } else { rows }))
        })
    };
    parameters.iter().zip(grads).map(of).collect()
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
