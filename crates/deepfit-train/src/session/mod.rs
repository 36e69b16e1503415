//! A network with everything that trains it, for programs that define both themselves.

mod examples;
mod files;
mod search;

use std::collections::BTreeMap;
use std::fmt;

use deepfit_cpu::{Engine, ProgramId, View};
use deepfit_graph::{Extents, Graph, Mode, RANDOM_KEY, Tensor, Tracer, gradients};
use deepfit_nn::step::{self, StepKind, Traced, Training};
use deepfit_nn::{Declaration, NnError, Optimizer, Parameter, Role, Scope, optim};

use crate::error::{Result, TrainError};

pub use examples::{Examples, Fit};

const OUTPUT: &str = "output";

/// How a [`Session`] trains and runs.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionOptions {
    /// Optimiser, clipping, moving average, frozen parameters, parameter groups.
    pub training: Training,
    /// The learning rate; [`Session::set_learning_rate`] changes it.
    pub learning_rate: f64,
    /// Most examples of a batch.
    pub batch: usize,
    /// Most steps of a sequence; 1 where the network has no sequence axis.
    pub sequence: usize,
    /// Threads; 0 for as many as there are cores. They change no result.
    pub threads: usize,
    /// From which first values and dropout are drawn.
    pub seed: u64,
    /// Most bytes for the values of one step; the backward pass then computes again what does not fit.
    pub memory_limit: Option<usize>,
}

impl SessionOptions {
    /// Options for an optimiser at its usual rate, batches of at most 32, and sequences of at most 1.
    pub fn new(optimizer: Optimizer) -> Self {
        SessionOptions {
            training: Training::new(optimizer),
            learning_rate: optimizer.default_rate(),
            batch: 32,
            sequence: 1,
            threads: 0,
            seed: 0,
            memory_limit: None,
        }
    }

    /// With another learning rate.
    #[must_use]
    pub fn learning_rate(self, learning_rate: f64) -> Self {
        SessionOptions { learning_rate, ..self }
    }

    /// With batches of at most this many examples.
    #[must_use]
    pub fn batch(self, batch: usize) -> Self {
        SessionOptions { batch, ..self }
    }
}

/// An array of floating-point numbers that has left the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// Axis lengths.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

type Network = Box<dyn Fn(&Tracer) -> deepfit_nn::Result<Tensor>>;
type Loss = Box<dyn Fn(&Tracer, &Tensor) -> deepfit_nn::Result<Tensor>>;

/// A network that is trained step by step: its parameters, its optimiser's state, and the programs that use them.
///
/// Inputs are given by the names under which the closures asked for them: `&[("x", View::F32(&x))]`. The number of
/// examples is found from their lengths. The same options give the same bits, on any number of threads.
pub struct Session {
    engine: Engine,
    declarations: Vec<Declaration>,
    aliases: BTreeMap<String, String>,
    options: SessionOptions,
    network: Network,
    loss: Loss,
    stepping: ProgramId,
    predicting: ProgramId,
    /// Compiled when first asked for.
    evaluating: Option<ProgramId>,
    differentiating: Option<ProgramId>,
    /// The program whose results are still there.
    last: Option<ProgramId>,
    updates: u64,
    /// Sequence steps of a batch whose inputs do not tell.
    sequence: usize,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("parameters", &self.declarations.len())
            .field("updates", &self.updates)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Compiles a network and its loss.
    ///
    /// `scope` is where the layers declared their parameters. `network` asks its [`Tracer`] for inputs and returns the
    /// output; `loss` asks for targets and makes a scalar of them and the output. Both run a few times, never on data.
    ///
    /// # Errors
    /// If shapes do not fit, a setting is out of range, a parameter is not used, or the memory limit cannot be kept.
    pub fn new(
        scope: &Scope,
        options: SessionOptions,
        network: impl Fn(&Tracer) -> deepfit_nn::Result<Tensor> + 'static,
        loss: impl Fn(&Tracer, &Tensor) -> deepfit_nn::Result<Tensor> + 'static,
    ) -> Result<Session> {
        let setting = |key: &str, problem: &str| Err(TrainError::setting(key, problem));
        if options.batch == 0 || options.sequence == 0 {
            return setting("batch", "and `sequence` must be at least 1");
        }
        if !(options.learning_rate.is_finite() && options.learning_rate >= 0.0) {
            return setting("learning_rate", "must be a number that is not negative");
        }
        let declarations = scope.declarations();
        let graph = step::step_graph(&declarations, &options.training, StepKind::Plain, |tracer| {
            let output = network(tracer)?;
            Ok(Traced { loss: loss(tracer, &output)?, outputs: Vec::new() })
        })?;
        let used = step::evaluation_graph(|tracer| Ok(vec![(OUTPUT.to_string(), network(tracer)?)]))?;
        let threads = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let mut engine = Engine::new(threads)?;
        for declaration in &declarations {
            engine.set_parameter(&declaration.name, &declaration.shape, &declaration.values(options.seed))?;
        }
        let stepping = compile(&mut engine, &graph, &options)?;
        let predicting = engine.compile(&used, extents_of(&options))?;
        let sequence = options.sequence;
        let mut session = Session {
            engine,
            declarations,
            aliases: scope.aliases(),
            options,
            network: Box::new(network),
            loss: Box::new(loss),
            stepping,
            predicting,
            evaluating: None,
            differentiating: None,
            last: None,
            updates: 0,
            sequence,
        };
        session.check_parameters()?;
        Ok(session)
    }

    /// A parameter that a closure asked the tracer for, and not a scope, would be zeros and never saved.
    fn check_parameters(&mut self) -> Result<()> {
        let own = |name: &str| {
            let prefixes = [optim::STATE, optim::AVERAGE];
            prefixes.iter().any(|p| name.strip_prefix(p).is_some_and(|rest| rest.starts_with('.')))
        };
        let undeclared = self.engine.parameters().find(|(name, ..)| !own(name) && self.declaration(name).is_none());
        match undeclared {
            None => Ok(()),
            Some((name, ..)) => Err(TrainError::Parameter {
                name: name.to_string(),
                problem: "is used in the network, but was not declared: use `Scope::parameter`".to_string(),
            }),
        }
    }

    /// Trains on one batch and returns its loss, as it was before the step.
    ///
    /// A step whose loss is not finite changes nothing. Where the loss is finite and a gradient is not, its parameter stays
    /// as it is, and others may have moved; with [`Clip::Norm`](deepfit_nn::Clip::Norm), which looks at all gradients
    /// first, nothing changes there either.
    ///
    /// # Errors
    /// If an input is missing or does not fit, or a number is not finite.
    pub fn step(&mut self, batch: &[(&str, View<'_>)]) -> Result<f64> {
        self.updates += 1;
        let loss = self.run(self.stepping, batch).and_then(|()| self.scalar(self.stepping, step::LOSS));
        if loss.is_err() {
            self.updates -= 1;
        }
        loss
    }

    /// The loss of one batch with the network in use: without dropout, with running statistics.
    ///
    /// # Errors
    /// As [`Session::step`].
    pub fn loss(&mut self, batch: &[(&str, View<'_>)]) -> Result<f64> {
        let program = match self.evaluating {
            Some(program) => program,
            None => {
                let graph = step::evaluation_graph(|tracer| {
                    let output = (self.network)(tracer)?;
                    Ok(vec![(step::LOSS.to_string(), (self.loss)(tracer, &output)?)])
                })?;
                *self.evaluating.insert(self.engine.compile(&graph, extents_of(&self.options))?)
            }
        };
        self.run(program, batch)?;
        self.scalar(program, step::LOSS)
    }

    /// What the network makes of one batch.
    ///
    /// # Errors
    /// If an input is missing or does not fit.
    pub fn predict(&mut self, batch: &[(&str, View<'_>)]) -> Result<Values> {
        self.run(self.predicting, batch)?;
        let shape = self.engine.output_shape(self.predicting, OUTPUT).unwrap_or_default();
        Ok(Values { shape, values: self.engine.output(self.predicting, OUTPUT)?.to_vec() })
    }

    /// Another result of the latest step, loss or prediction, that the network or the loss named by [`Tracer::output`] or
    /// asked for by [`Tracer::watch`]: the state of a recurrent layer that the next window of a text begins with, say.
    /// `None` if that run, which must not have failed, gave nothing of this name.
    pub fn output(&self, name: &str) -> Option<Values> {
        let program = self.last?;
        let shape = self.engine.output_shape(program, name)?;
        Some(Values { shape, values: self.engine.output(program, name).ok()?.to_vec() })
    }

    /// The gradient of one batch's loss for each trained parameter, by name, as a step from here would see it before
    /// clipping. Nothing changes.
    ///
    /// # Errors
    /// As [`Session::step`].
    pub fn gradients(&mut self, batch: &[(&str, View<'_>)]) -> Result<BTreeMap<String, Values>> {
        Ok(self.loss_and_gradients(batch)?.1)
    }

    fn loss_and_gradients(&mut self, batch: &[(&str, View<'_>)]) -> Result<(f64, BTreeMap<String, Values>)> {
        let program = match self.differentiating {
            Some(program) => program,
            None => {
                let graph = self.gradient_graph()?;
                *self.differentiating.insert(compile(&mut self.engine, &graph, &self.options)?)
            }
        };
        let statistics = self.copy_of(|d| d.role == Role::Buffer);
        self.updates += 1;
        let run = self.run(program, batch);
        self.updates -= 1;
        self.put_back(&statistics);
        run?;
        let mut found = BTreeMap::new();
        for parameter in self.trained() {
            let values = self.engine.output(program, &gradient_name(&parameter.name))?.to_vec();
            found.insert(parameter.name, Values { shape: parameter.shape, values });
        }
        Ok((self.scalar(program, step::LOSS)?, found))
    }

    fn gradient_graph(&self) -> Result<Graph> {
        let tracer = Tracer::new(Mode::Train);
        let output = (self.network)(&tracer)?;
        let loss = (self.loss)(&tracer, &output)?;
        tracer.output(step::LOSS, &loss);
        tracer.guard(&loss).map_err(NnError::from)?;
        let parameters = self.trained();
        let values = parameters.iter().map(|p| p.on(&tracer)).collect::<deepfit_nn::Result<Vec<_>>>()?;
        let found = gradients(&loss, &values).map_err(NnError::from)?;
        for (parameter, gradient) in parameters.iter().zip(&found) {
            tracer.output(&gradient_name(&parameter.name), gradient);
        }
        Ok(tracer.graph())
    }

    fn trained(&self) -> Vec<Parameter> {
        self.options.training.trained(&self.declarations)
    }

    fn scalar(&self, program: ProgramId, name: &str) -> Result<f64> {
        Ok(f64::from(self.engine.output(program, name)?.first().copied().unwrap_or(f32::NAN)))
    }

    fn run(&mut self, program: ProgramId, batch: &[(&str, View<'_>)]) -> Result<()> {
        let extents = self.extents(program, batch)?;
        let (seed, step) = (self.options.seed, self.updates);
        let key = [seed as i32, (seed >> 32) as i32, step as i32, (step >> 32) as i32];
        let (rate, number) = ([self.options.learning_rate as f32], [step as f32]);
        let mut views = batch.to_vec();
        views.push((RANDOM_KEY, View::I32(&key)));
        views.push((step::LEARNING_RATE, View::F32(&rate)));
        views.push((step::STEP, View::F32(&number)));
        self.last = None;
        match self.engine.run(program, extents, &views) {
            Err(deepfit_cpu::Error::NonFinite { .. }) => {
                let culprit = self.engine.find_non_finite(program, extents, &views);
                let what = culprit.map_or_else(|| "a gradient".to_string(), |culprit| culprit.to_string());
                Err(TrainError::Step { step: self.updates, what })
            }
            result => {
                self.last = result.is_ok().then_some(program);
                Ok(result?)
            }
        }
    }

    /// The number of examples, and of steps of a sequence, that make the given lengths.
    fn extents(&self, program: ProgramId, batch: &[(&str, View<'_>)]) -> Result<Extents> {
        let mut found: [Option<usize>; 2] = [None, None];
        let known = |found: [Option<usize>; 2]| Extents {
            batch: found[0].unwrap_or(self.options.batch),
            sequence: found[1].unwrap_or(self.sequence),
        };
        // The batch from inputs that have no sequence axis, then the sequence from the others.
        for axis in [0, 1] {
            for (name, ty) in &self.engine.plan(program).inputs {
                let Some((_, view)) = batch.iter().find(|(given, _)| given == name) else { continue };
                let length = |batch, sequence| ty.shape.count(&Extents { batch, sequence });
                let grows = [length(2, 1) != length(1, 1), length(1, 2) != length(1, 1)];
                if !grows[axis] || (axis == 0 && grows[1]) || found[axis].is_some() {
                    continue;
                }
                // Where no input is without a sequence axis, the steps are what they were set to; but where there can be
                // one example only, they are what is given.
                if axis == 1 && found[0].is_none() && grows[0] {
                    if self.options.batch == 1 {
                        found[0] = Some(1);
                    } else {
                        found[1] = Some(self.sequence);
                    }
                }
                let (axis, one) = match found {
                    [Some(batch), _] => (axis, length(batch, 1)),
                    [None, Some(sequence)] => (0, length(1, sequence)),
                    [None, None] => (axis, length(1, 1)),
                };
                let len = view_length(view);
                if len == 0 {
                    let problem = format!("has no values: a batch of {} without examples teaches nothing", ty.shape);
                    return Err(deepfit_cpu::Error::Input { name: name.clone(), problem }.into());
                }
                if one == 0 || !len.is_multiple_of(one) {
                    let problem = format!("has {len} values, which do not make a whole number of rows of {}", ty.shape);
                    return Err(deepfit_cpu::Error::Input { name: name.clone(), problem }.into());
                }
                found[axis] = Some(len / one);
            }
        }
        Ok(known(found))
    }

    /// Runs `body` with the moving average of the weights in place of the weights, if the training keeps one: to predict,
    /// to measure, to save. A step in there would train the average.
    ///
    /// # Errors
    /// If there has been no step yet: then there is no average.
    pub fn with_average<T>(&mut self, body: impl FnOnce(&mut Session) -> T) -> Result<T> {
        if self.options.training.moving_average.is_none() {
            return Ok(body(self));
        }
        if self.updates == 0 {
            return Err(TrainError::setting("moving_average", "is empty before the first step"));
        }
        self.swap_average()?;
        let result = body(self);
        self.swap_average()?;
        Ok(result)
    }

    fn swap_average(&mut self) -> Result<()> {
        for parameter in self.trained() {
            self.engine.swap_parameters(&parameter.name, &format!("{}.{}", optim::AVERAGE, parameter.name))?;
        }
        Ok(())
    }

    /// The learning rate of the next steps.
    pub fn learning_rate(&self) -> f64 {
        self.options.learning_rate
    }

    /// Sets the learning rate of the next steps.
    pub fn set_learning_rate(&mut self, rate: f64) {
        self.options.learning_rate = rate;
    }

    /// Sets the number of sequence steps of the next batches, for networks none of whose inputs is without a sequence
    /// axis: rows and steps could not be told apart. At first it is the planned maximum.
    pub fn set_sequence(&mut self, steps: usize) {
        self.sequence = steps;
    }

    /// Number of steps so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Bytes for the values of a step, and of all that outlives it.
    pub fn planned_bytes(&self) -> (usize, usize) {
        (self.engine.plan(self.stepping).arena_bytes, self.engine.parameter_bytes())
    }

    fn declaration(&self, name: &str) -> Option<&Declaration> {
        let name = self.declared_name(name);
        self.declarations.iter().find(|d| d.name == name)
    }

    /// The name under which a tied parameter is declared; any other name as it is.
    fn declared_name(&self, name: &str) -> String {
        self.aliases.get(name).map_or(name, |target| target).to_string()
    }

    fn copy_of(&self, wanted: impl Fn(&Declaration) -> bool) -> Vec<(String, Vec<f32>)> {
        let wanted = self.declarations.iter().filter(|d| wanted(d));
        wanted.filter_map(|d| Some((d.name.clone(), self.engine.parameter(&d.name)?.to_vec()))).collect()
    }

    fn put_back(&mut self, copy: &[(String, Vec<f32>)]) {
        for (name, values) in copy {
            if let Some(place) = self.engine.parameter_mut(name) {
                place.copy_from_slice(values);
            }
        }
    }
}

fn extents_of(options: &SessionOptions) -> Extents {
    Extents { batch: options.batch, sequence: options.sequence }
}

fn compile(engine: &mut Engine, graph: &Graph, options: &SessionOptions) -> Result<ProgramId> {
    let maximum = extents_of(options);
    Ok(match options.memory_limit {
        Some(limit) => engine.compile_within(graph, step::LOSS, maximum, limit)?,
        None => engine.compile(graph, maximum)?,
    })
}

fn gradient_name(parameter: &str) -> String {
    format!("gradient.{parameter}")
}

fn view_length(view: &View<'_>) -> usize {
    match view {
        View::F32(values) => values.len(),
        View::U8(values) => values.len(),
        View::I32(values) => values.len(),
    }
}
