//! A network with everything that trains it: its graphs compiled, its parameters in an engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deepfit_cpu::{Engine, Profile, ProgramId, View};
use deepfit_data::{Array, Batch, PairLabel, Task};
use deepfit_graph::ops::ReduceKind;
use deepfit_graph::{DType, Dim, Extents, Graph, HostTensor, Mode, Shape, Symbol, Tensor, Tracer};
use deepfit_nn::losses::{self, BceWithLogits, CrossEntropy, Reduction};
use deepfit_nn::step::{self, StepKind, Traced, Training};
use deepfit_nn::{Declaration, Scope};
use deepfit_zoo::{ModelConfig, NEXT, Network};

use crate::budget;
use crate::error::{Result, TrainError};
use crate::metrics::SCALE;
use crate::process::available_bytes;
use crate::recipe::Recipe;
pub use crate::stepper::Place;
use crate::stepper::{StepOptions, Stepper};
use crate::tensors::{Borrowed, Owned, Shared};

/// Output of the graph in use: probabilities `[batch, classes]`, of labels each by itself, or values `[batch, 1]`.
pub const PREDICTION: &str = "prediction";
/// Output of the graph in use, if it is asked for: what the last layer gives, `[batch, outputs]`.
const LOGITS: &str = "logits";
/// Input of the graph of a step: classes or values, i32 or f32 `[batch]`, or labels, f32 `[batch, labels]`.
pub const TARGET: &str = "target";
const PARTNER: &str = "partner";
const SHARE: &str = "share";
/// How much each row counts in the loss, f32 `[batch]`.
const WEIGHT: &str = "weight";

/// Rows at a time when the network of a run is used: no more than in training of sequences, whose rows are many steps.
pub fn evaluation_batch(recipe: &Recipe) -> usize {
    if recipe.longest > 1 { recipe.batch() } else { recipe.batch().max(64) }
}

/// A network that can be used: for evaluation and prediction.
pub struct Predicting {
    pub(crate) engine: Engine,
    pub(crate) program: ProgramId,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: usize,
    pub(crate) batch: usize,
}

impl Predicting {
    /// Compiles a network for use, in an engine that may hold its parameters already; perhaps with its logits.
    pub(crate) fn new(
        mut engine: Engine,
        network: &dyn Network,
        task: &Task,
        maximum: Extents,
        logits_too: bool,
    ) -> Result<Predicting> {
        let graph = evaluation_with(network, task, logits_too)?;
        let program = engine.compile(&graph, maximum)?;
        let inputs = network.inputs().into_iter().map(|slot| slot.name).collect();
        Ok(Predicting { engine, program, inputs, outputs: network.outputs(), batch: maximum.batch })
    }

    /// What the last layer gave for the batch that was predicted last, if the network was compiled for that.
    pub fn logits(&self) -> Option<&[f32]> {
        self.engine.output(self.program, LOGITS).ok()
    }

    /// Probabilities of each class, or values, for each row of a batch. All of them are finite.
    pub fn predict(&mut self, batch: &Batch) -> Result<&[f32]> {
        let (views, extents) = (views(&self.inputs, batch), extents(batch));
        self.engine.run(self.program, extents, &views)?;
        if !self.engine.output(self.program, PREDICTION)?.iter().all(|p| p.is_finite()) {
            let culprit = self.engine.find_non_finite(self.program, extents, &views);
            let what = culprit.map_or_else(|| "a prediction".to_string(), |culprit| culprit.to_string());
            return Err(TrainError::Predictions { what });
        }
        Ok(self.engine.output(self.program, PREDICTION)?)
    }
}

/// The graph of a network in use.
pub fn evaluation(network: &dyn Network, task: &Task) -> Result<Graph> {
    evaluation_with(network, task, false)
}

/// The graph of a network in use, perhaps with what its predictions are made of.
fn evaluation_with(network: &dyn Network, task: &Task, logits_too: bool) -> Result<Graph> {
    Ok(step::evaluation_graph(|tracer| {
        let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
        let logits = network.forward(&inputs)?;
        let prediction = match task {
            Task::Classification { .. } | Task::Labels { .. } => logits.softmax()?,
            Task::MultiLabel { .. } => logits.sigmoid()?,
            Task::Regression | Task::NextToken | Task::Similarity { .. } => logits.clone(),
        };
        let mut outputs = vec![(PREDICTION.to_string(), prediction)];
        if logits_too {
            outputs.push((LOGITS.to_string(), logits));
        }
        Ok(outputs)
    })?)
}

/// What a learner is made of.
pub struct Blueprint {
    /// The network.
    pub network: Box<dyn Network>,
    /// Its parameters.
    pub declarations: Vec<Declaration>,
    /// How they are trained.
    pub training: Training,
    /// First values of those that do not begin with values drawn by the seed.
    pub values: Shared,
}

impl Blueprint {
    /// A network that begins with nothing but its architecture.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn from_scratch(recipe: &Recipe, model: &ModelConfig) -> Result<Blueprint> {
        let scope = Scope::root();
        let network = deepfit_zoo::build(model, &scope).map_err(|e| TrainError::setting("model", e.to_string()))?;
        let (declarations, training) = (scope.declarations(), recipe.training());
        Ok(Blueprint { network, declarations, training, values: BTreeMap::new() })
    }
}

/// A network that learns from batches of a data set.
pub struct Learner {
    using: Predicting,
    stepper: Stepper,
    mixes: bool,
    /// How much each row of the data counts in the loss, if they do not all count alike.
    weights: Option<Arc<[f32]>>,
    values: Shared,
    /// What training changes: all but the weights that stay as they are.
    changing: Vec<Declaration>,
    /// Whether an update has happened, before which there is no average of the weights.
    updated: bool,
}

impl Learner {
    /// Compiles; parameters get their first values, from the blueprint or the seed. Where the settings limit the memory,
    /// `planned` bytes of it are for other things, and the backward pass computes again what does not fit.
    ///
    /// # Errors
    /// If the network cannot be compiled, or does not fit into the memory that there is or is allowed.
    pub fn new(recipe: &Recipe, blueprint: Blueprint, threads: usize, planned: u64) -> Result<Learner> {
        let Blueprint { network, declarations, training, values } = blueprint;
        let batch = recipe.batch();
        let bytes = |d: &Declaration| (d.elements() as u64).saturating_mul(4);
        let all = declarations.iter().map(bytes).fold(0, u64::saturating_add);
        // Weights that are trained have gradients' averages, the moving average, and a copy to keep the best.
        let copies = 1 + training.optimizer.state_kinds().len() + usize::from(training.moving_average.is_some());
        let trained = training.trained(&declarations);
        let names: BTreeSet<&str> = trained.iter().map(|p| &p.name[..]).collect();
        let changes = |d: &&Declaration| !d.role.is_trained() || names.contains(&d.name[..]);
        let changing: Vec<Declaration> = declarations.iter().filter(changes).cloned().collect();
        let trained = trained.iter().map(|p| 4 * p.shape.iter().product::<usize>() as u64).fold(0, u64::saturating_add);
        let state = all.saturating_add(trained.saturating_mul(copies as u64));
        require_memory("the weights and the optimiser", state)?;
        let (accumulates, settings) = (recipe.settings.accumulate > 1, &recipe.settings);
        // Gradients that are added up, and the copy that is kept of the best weights, which is counted among the copies.
        let kept = state.saturating_add(if accumulates { trained } else { 0 }).saturating_add(planned);
        let room = budget::left(settings, kept);
        let within = |found: usize| budget::require(settings, kept.saturating_add(found as u64));
        let mut engine = Engine::new(threads)?.exact(settings.exact).precision(settings.multiplies_in())?;
        let options = StepOptions {
            maximum: Extents { batch, sequence: recipe.longest },
            accumulates,
            memory_limit: room.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            seed: recipe.settings.seed,
        };
        let stepper =
            Stepper::new(&mut engine, declarations, training, options, |tracer| traced(recipe, &*network, tracer));
        let stepper = match stepper {
            Err(TrainError::Engine(error @ deepfit_cpu::Error::MemoryLimit { smallest, .. })) => {
                // The error tells all that would do: predictions share the arena with steps.
                let fewest = Extents { batch: batch.min(evaluation_batch(recipe)), sequence: recipe.longest };
                let predicting = engine.planned_bytes(&evaluation(&*network, &recipe.task)?, fewest)?;
                return Err(within(smallest.max(predicting)).err().unwrap_or(TrainError::Engine(error)));
            }
            stepper => stepper?,
        };
        let mut largest = Extents { batch: evaluation_batch(recipe), sequence: recipe.longest };
        if settings.memory.is_some() {
            let graph = evaluation(&*network, &recipe.task)?;
            if within(engine.planned_bytes(&graph, largest)?).is_err() {
                largest.batch = batch.min(largest.batch);
                within(engine.planned_bytes(&graph, largest)?)?;
            }
        }
        let using = Predicting::new(engine, &*network, &recipe.task, largest, false)?;
        require_memory("activations and gradients", using.engine.arena_bytes() as u64)?;
        let (mixes, weights) = (recipe.mixes(), recipe.loss_weights.clone());
        let mut learner = Learner { using, stepper, mixes, weights, values, changing, updated: false };
        learner.set_first_values()?;
        Ok(learner)
    }

    /// First values for the weights, zeros for everything else.
    pub fn reset(&mut self) -> Result<()> {
        self.stepper.reset(&mut self.using.engine)?;
        self.updated = false;
        self.set_first_values()
    }

    fn set_first_values(&mut self) -> Result<()> {
        for (name, tensor) in &self.values {
            self.using.engine.set_parameter(name, &tensor.shape, &tensor.values)?;
        }
        Ok(())
    }

    /// Other first values for some of the parameters that are trained, which they take at once.
    pub fn begin_with(&mut self, mut values: BTreeMap<String, Owned>) -> Result<()> {
        let own = self.changing.iter().filter_map(|d| Some((d.name.clone(), Arc::new(values.remove(&d.name)?))));
        self.values.extend(own);
        self.set_first_values()
    }

    /// The network in use, with the weights as they are.
    pub fn using(&mut self) -> &mut Predicting {
        &mut self.using
    }

    /// Number of trained values.
    pub fn parameters(&self) -> usize {
        self.stepper.trained().iter().map(|p| p.shape.iter().product::<usize>()).sum()
    }

    /// Bytes of the arena, and of all that outlives a step.
    pub fn planned_bytes(&self) -> (u64, u64) {
        (self.using.engine.arena_bytes() as u64, self.using.engine.parameter_bytes() as u64)
    }

    /// Records the time of operations from now on.
    pub fn record(&mut self) {
        self.using.engine.record();
    }

    /// What was recorded.
    pub fn profile(&mut self) -> Option<Profile> {
        self.using.engine.profile()
    }

    /// Trains on one batch and returns its loss.
    pub fn step(&mut self, batch: &Batch, place: Place) -> Result<f64> {
        let Learner { using: Predicting { engine, inputs, .. }, stepper, mixes, weights, .. } = self;
        let step = |views: &[(&str, View<'_>)]| stepper.step(engine, extents(batch), views, place);
        let loss = with_targets(inputs, batch, *mixes, weights.as_deref(), step)?;
        self.updated |= place.last;
        Ok(loss)
    }

    /// In words, what in a batch or in the network is not finite first.
    pub fn find_non_finite(&mut self, batch: &Batch, place: Place) -> Option<String> {
        let Learner { using: Predicting { engine, inputs, .. }, stepper, mixes, weights, .. } = self;
        let find = |views: &[(&str, View<'_>)]| stepper.find_non_finite(engine, extents(batch), views, place);
        with_targets(inputs, batch, *mixes, weights.as_deref(), find)
    }

    /// Runs `body` with the weights that count: their moving average, if there is one by now.
    pub fn with_averaged<T>(&mut self, body: impl FnOnce(&mut Predicting) -> Result<T>) -> Result<T> {
        if !self.updated {
            return body(&mut self.using);
        }
        self.stepper.swap_average(&mut self.using.engine)?;
        let result = body(&mut self.using);
        self.stepper.swap_average(&mut self.using.engine)?;
        result
    }

    /// A copy of the weights that count, and of the running statistics; without weights that stay as they are.
    pub fn weights(&mut self) -> Result<BTreeMap<String, Owned>> {
        let declarations = self.changing.clone();
        self.with_averaged(|using| {
            let copy = |d: &Declaration| {
                let values = using.engine.parameter(&d.name).unwrap_or_default().to_vec();
                (d.name.clone(), Owned { shape: d.shape.clone(), values })
            };
            Ok(declarations.iter().map(copy).collect())
        })
    }

    /// Everything that training changes: weights, statistics, optimiser, averages, accumulated gradients.
    pub fn state(&self) -> impl Iterator<Item = (&str, Borrowed<'_>)> {
        self.using.engine.parameters().map(|(name, shape, values)| (name, Borrowed { shape, values }))
    }

    /// Sets parameters by name.
    pub fn restore<'a>(&mut self, tensors: impl Iterator<Item = (&'a str, &'a Owned)>) -> Result<()> {
        for (name, tensor) in tensors {
            self.using.engine.set_parameter(name, &tensor.shape, &tensor.values)?;
        }
        // What is restored has been trained.
        self.updated = true;
        Ok(())
    }

    /// The network in use, with the given weights from now on.
    pub fn into_predicting(mut self, weights: &BTreeMap<String, Owned>) -> Result<Predicting> {
        self.restore(weights.iter().map(|(name, tensor)| (&name[..], tensor)))?;
        Ok(self.using)
    }
}

/// Runs `body` on the inputs and the targets of a batch, by name.
fn with_targets<T>(
    names: &[String],
    batch: &Batch,
    mixes: bool,
    weights: Option<&[f32]>,
    body: impl FnOnce(&[(&str, View<'_>)]) -> T,
) -> T {
    let mut views = views(names, batch);
    // What comes next is an input.
    if !names.iter().any(|name| name == NEXT) {
        views.push((TARGET, view(&batch.targets)));
    }
    // A batch that was not mixed is its own partner.
    let ones: Vec<f32>;
    if mixes {
        match &batch.mix {
            Some(mix) => {
                views.push((PARTNER, View::I32(&mix.partner)));
                views.push((SHARE, View::F32(&mix.weight)));
            }
            None => {
                ones = vec![1.0; batch.len];
                views.push((PARTNER, view(&batch.targets)));
                views.push((SHARE, View::F32(&ones)));
            }
        }
    }
    let of_rows: Vec<f32>;
    if let Some(weights) = weights {
        of_rows = batch.rows.iter().map(|&row| weights[row as usize]).collect();
        views.push((WEIGHT, View::F32(&of_rows)));
    }
    body(&views)
}

/// Refuses what does not fit into the memory that is free now.
fn require_memory(purpose: &'static str, needed: u64) -> Result<()> {
    match available_bytes() {
        Some(available) if needed > available => {
            Err(TrainError::Memory { purpose, needed_mb: needed >> 20, available_mb: available >> 20 })
        }
        _ => Ok(()),
    }
}

/// How large a batch is.
pub(crate) fn extents(batch: &Batch) -> Extents {
    Extents { batch: batch.len, sequence: batch.sequence }
}

/// The inputs of a network in a batch, by name.
pub(crate) fn views<'a>(names: &'a [String], batch: &'a Batch) -> Vec<(&'a str, View<'a>)> {
    names.iter().zip(&batch.inputs).map(|(name, array)| (&name[..], view(array))).collect()
}

fn view(array: &Array) -> View<'_> {
    match array {
        Array::U8(values) => View::U8(values),
        Array::I32(values) => View::I32(values),
        Array::F32(values) => View::F32(values),
    }
}

/// The graph of a training step of a network under a recipe.
pub fn training_graph(
    recipe: &Recipe,
    network: &dyn Network,
    declarations: &[Declaration],
    training: &Training,
    kind: StepKind,
) -> Result<Graph> {
    Ok(step::step_graph(declarations, training, kind, |tracer| traced(recipe, network, tracer))?)
}

fn traced(recipe: &Recipe, network: &dyn Network, tracer: &Tracer) -> deepfit_nn::Result<Traced> {
    let inputs: Vec<Tensor> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
    let output = network.forward(&inputs)?;
    Ok(Traced { loss: tracer.in_layer("loss", || loss(recipe, tracer, &output))?, outputs: Vec::new() })
}

fn loss(recipe: &Recipe, tracer: &Tracer, output: &Tensor) -> deepfit_nn::Result<Tensor> {
    debug_assert_eq!(tracer.mode(), Mode::Train);
    let rows = || Shape::new(&[Symbol::Batch]);
    let weight = recipe.loss_weights.as_ref().map(|_| tracer.input(WEIGHT, rows(), DType::F32));
    // Rows that count differently are combined after their losses are known.
    let reduction = if weight.is_some() { Reduction::None } else { Reduction::Mean };
    if let Task::Regression = recipe.task {
        let target = tracer.input(TARGET, rows(), DType::F32);
        let (value, target) = match members(output) {
            Some(members) => {
                let shape = Shape::from(vec![output.shape().dims()[0], members]);
                (output.reshape(shape.clone())?, target.unsqueeze(1)?.broadcast_to(shape)?)
            }
            None => (output.reshape(rows())?, target),
        };
        let loss = match recipe.settings.loss.as_deref() {
            Some("absolute") => losses::l1(&value, &target, reduction),
            Some("huber") => losses::huber(&value, &target, 1.0, reduction),
            _ => losses::mse(&value, &target, reduction),
        };
        return weighted_mean(loss?, weight.as_ref());
    }
    if let Task::Similarity { label } = recipe.task {
        let width = output.shape().fixed(1).unwrap_or(0) / 2;
        let (first, second) = (output.slice(1, 0, width)?, output.slice(1, width, width)?);
        if label == PairLabel::Partners {
            let texts = tracer.batch(TARGET, &[2], DType::I32).to_f32()?;
            return losses::in_batch_negatives(&first, &second, &texts, SCALE);
        }
        let scores = tracer.input(TARGET, rows(), DType::F32);
        let cosines = first.mul(&second)?.reduce(ReduceKind::Sum, &[1], false)?;
        return match recipe.settings.loss.as_deref() {
            Some("squared") => losses::mse(&cosines, &scores, Reduction::Mean),
            _ => losses::similarity_ranking(&cosines, &scores, SCALE),
        };
    }
    if let Task::NextToken = recipe.task {
        // The network tells the loss of each row.
        return Ok(output.mean()?);
    }
    let smoothing = recipe.settings.label_smoothing.unwrap_or(0.0);
    if let Task::Labels { .. } = recipe.task {
        // Places of no label of their own do not count.
        let target = tracer.input(TARGET, Shape::new(&[Symbol::Batch, Symbol::Sequence]), DType::I32);
        let settings = CrossEntropy { smoothing, ..CrossEntropy::default() };
        return losses::cross_entropy(output, &target, &settings);
    }
    let weights = recipe.class_weights().map(|w| tracer.constant(HostTensor::f32(&[w.len()], w)));
    if let Task::MultiLabel { .. } = recipe.task {
        let dims = output.shape().dims();
        let (batch, labels) = (dims[0], dims[dims.len() - 1]);
        let target = tracer.input(TARGET, Shape::from(vec![batch, labels]), DType::F32);
        // Each label is a choice between two, and each member learns from each row.
        let target = target.mul_scalar(1.0 - smoothing)?.add_scalar(smoothing / 2.0)?;
        let settings = BceWithLogits { pos_weight: weights, reduction, ..Default::default() };
        let Some(members) = members(output) else {
            return weighted_mean(losses::bce_with_logits(output, &target, &settings)?, weight.as_ref());
        };
        let target = target.unsqueeze(1)?.broadcast_to(output.shape().clone())?;
        let loss = losses::bce_with_logits(output, &target, &settings)?;
        return match &weight {
            Some(_) => weighted_mean(loss.reshape(vec![batch, members * labels])?, weight.as_ref()),
            None => Ok(loss),
        };
    }
    let settings = CrossEntropy { smoothing, weights, reduction, ..CrossEntropy::default() };
    let target = tracer.input(TARGET, rows(), DType::I32);
    if recipe.mixes() {
        let partner = tracer.input(PARTNER, rows(), DType::I32);
        let share = tracer.input(SHARE, rows(), DType::F32);
        return losses::mixed_cross_entropy(output, &target, &partner, &share, &settings);
    }
    let Some(members) = members(output) else {
        return weighted_mean(losses::cross_entropy(output, &target, &settings)?, weight.as_ref());
    };
    // Each member learns from each row.
    let batch = output.shape().dims()[0];
    let rows = batch * members;
    let logits = output.reshape(vec![rows, output.shape().dims()[2]])?;
    let column = target.unsqueeze(1)?;
    let others = vec![&column; members.as_fixed().unwrap_or(1) - 1];
    let loss = losses::cross_entropy(&logits, &column.concat(&others, 1)?.reshape(vec![rows])?, &settings)?;
    match &weight {
        Some(_) => weighted_mean(loss.reshape(vec![batch, members])?, weight.as_ref()),
        None => Ok(loss),
    }
}

/// The mean of losses `[batch]` or `[batch, any]`, each times the weight of its row; without weights they are combined already.
fn weighted_mean(losses: Tensor, weight: Option<&Tensor>) -> deepfit_nn::Result<Tensor> {
    let Some(weight) = weight else { return Ok(losses) };
    if losses.shape().rank() == 1 {
        return Ok(losses.mul(weight)?.mean()?);
    }
    Ok(losses.mul(&weight.unsqueeze(1)?.broadcast_to(losses.shape().clone())?)?.mean()?)
}

/// The axis of members of an output `[batch, members, outputs]`.
fn members(output: &Tensor) -> Option<Dim> {
    (output.shape().dims().len() == 3).then(|| output.shape().dims()[1])
}
