//! A network with everything that trains it, for programs that define both themselves.

mod examples;
mod extents;
mod files;
mod gradients;
mod inspect;
mod memory;
mod outputs;
mod predict;
mod search;

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use deepfit_cpu::{Culprit, Engine, Precision, Profile, ProgramId, View};
use deepfit_graph::{Extents, Graph, Op, RANDOM_KEY, Tensor, TensorType, Tracer};
use deepfit_nn::optim::{AVERAGE, STATE};
use deepfit_nn::step::{self, OUTPUT, Traced, Training};
use deepfit_nn::{Declaration, Optimizer, Parameter, Scope};

use crate::error::{Result, TrainError};
use crate::stepper::{Place, StepOptions, Stepper, with_scalars};

pub use examples::{Epoch, Examples, Fit};
pub use outputs::Outputs;
use outputs::prediction_graph;

/// More threads than any machine has cores are a mistake.
const MOST_THREADS: usize = 1024;

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
    /// Batches whose gradients are averaged before an update.
    pub accumulate: u64,
    /// Threads; 0 for as many as there are cores. They change no result.
    pub threads: usize,
    /// Whether convolutions are plain sums of products. Otherwise those of three by three taps take fewer multiplications
    /// and round a little more: by about 3e-7 in the forward pass of training, relative to the whole result, and 5e-6
    /// elsewhere.
    pub exact: bool,
    /// In which precision matrices are multiplied: see [`Engine::precision`].
    pub precision: Precision,
    /// From which first values and dropout are drawn.
    pub seed: u64,
    /// Most bytes for the values of one step; the backward pass then computes again what does not fit.
    pub memory_limit: Option<usize>,
}

/// AdamW.
impl Default for SessionOptions {
    fn default() -> Self {
        SessionOptions::new(Optimizer::adamw())
    }
}

impl SessionOptions {
    /// Options for an optimiser at its usual rate, batches of at most 32, and sequences of at most 1.
    pub fn new(optimizer: Optimizer) -> Self {
        SessionOptions {
            training: Training::new(optimizer),
            learning_rate: optimizer.default_rate(),
            batch: 32,
            sequence: 1,
            accumulate: 1,
            threads: 0,
            exact: false,
            precision: Precision::F32,
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

    /// With sequences of at most this many steps.
    #[must_use]
    pub fn sequence(self, sequence: usize) -> Self {
        SessionOptions { sequence, ..self }
    }

    /// With another seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        SessionOptions { seed, ..self }
    }

    /// With convolutions that are plain sums of products, or else as fast as possible.
    #[must_use]
    pub fn exact(self, exact: bool) -> Self {
        SessionOptions { exact, ..self }
    }

    /// With matrices that are multiplied in another precision.
    #[must_use]
    pub fn precision(self, precision: Precision) -> Self {
        SessionOptions { precision, ..self }
    }

    fn validate(&self) -> Result<()> {
        for (key, value) in
            [("batch", self.batch as u64), ("sequence", self.sequence as u64), ("accumulate", self.accumulate)]
        {
            if value == 0 {
                return Err(TrainError::setting(key, "is 0, but must be at least 1"));
            }
        }
        if self.threads > MOST_THREADS {
            return Err(TrainError::setting(
                "threads",
                format!("is {}, but must be at most {MOST_THREADS}", self.threads),
            ));
        }
        let rate = self.learning_rate;
        if !(rate.is_finite() && rate >= 0.0) {
            return Err(TrainError::setting("learning_rate", format!("is {rate}, but must not be negative")));
        }
        Ok(())
    }

    fn engine(&self) -> Result<Engine> {
        let threads = match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        Ok(Engine::new(threads)?.exact(self.exact).precision(self.precision)?)
    }

    fn maximum(&self) -> Extents {
        Extents { batch: self.batch, sequence: self.sequence }
    }
}

/// What safetensors calls the header in which it describes a file.
const HEADER: &str = "__metadata__";

/// An array of numbers that has left the engine; bytes and integers, such as class numbers, as the f32 that they equal.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// Axis lengths.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

/// Traces the network to its outputs.
type Network = Rc<dyn Fn(&Tracer) -> deepfit_nn::Result<Vec<Tensor>>>;
/// Traces the network and its loss.
type Loss = Box<dyn Fn(&Tracer) -> deepfit_nn::Result<Tensor>>;

/// A network that is trained step by step: its parameters, its optimiser's state, and the programs that use them.
///
/// Inputs are given by the names under which the closures asked for them: `&[("x", View::F32(&x))]`. The number of
/// examples is found from their lengths. The same options give the same bits, on any number of threads.
///
/// ```
/// use deepfit_graph::DType;
/// use deepfit_nn::losses::Reduction;
/// use deepfit_nn::{Module, Scope, layers, losses};
/// use deepfit_train::{Examples, Fit, Session, SessionOptions};
///
/// # fn main() -> deepfit_train::Result<()> {
/// // y = 2 x + 1 is learned from eight points.
/// let x: Vec<f32> = (0..8).map(|i| i as f32 / 4.0 - 1.0).collect();
/// let y = x.iter().map(|x| 2.0 * x + 1.0).collect();
/// let examples = Examples::new(8).f32("x", x)?.f32("y", y)?;
/// let scope = Scope::root();
/// let line = layers::Linear::new(&scope.child("line"), 1, 1);
/// let mut session = Session::new(
///     &scope,
///     SessionOptions::default().learning_rate(0.1).batch(8),
///     move |t| line.forward(&t.batch("x", &[1], DType::F32)),
///     |t, output| losses::mse(output, &t.batch("y", &[1], DType::F32), Reduction::Mean),
/// )?;
/// let losses = session.fit(&examples, &Fit::epochs(100))?;
/// assert!(losses[99] < losses[0] / 10.0);
/// # Ok(()) }
/// ```
pub struct Session {
    engine: Engine,
    declarations: Vec<Declaration>,
    aliases: BTreeMap<String, String>,
    options: SessionOptions,
    network: Network,
    /// All that the network and the loss ask for, by name.
    inputs: BTreeMap<String, TensorType>,
    /// What trains it; a session that only predicts has none.
    learning: Option<Learning>,
    /// Compiled when first asked for.
    predicting: Option<ProgramId>,
    /// The program whose results are still there.
    last: Option<ProgramId>,
    /// Batches so far, of which `accumulate` make an update.
    steps: u64,
    /// Runs so far that were no steps, such as predictions.
    asides: u64,
    /// Sequence steps of a batch whose inputs do not tell.
    sequence: Option<usize>,
    /// Floating-point operations on a full batch, by the textbook.
    operations: u64,
}

struct Learning {
    stepper: Stepper,
    loss: Loss,
    /// Compiled when first asked for.
    evaluating: Option<ProgramId>,
    differentiating: Option<ProgramId>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("parameters", &self.declarations.len())
            .field("updates", &self.updates())
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Compiles a network and its loss.
    ///
    /// `scope` is where the layers declared their parameters. `network` asks its [`Tracer`] for inputs and returns its
    /// output, or [several](Outputs); `loss` asks for targets and makes a scalar of them and the output. Both run a few times,
    /// never on data.
    ///
    /// # Errors
    /// If shapes do not fit, a setting is out of range, a parameter is not used, or the memory limit cannot be kept.
    pub fn new<O: Outputs>(
        scope: &Scope,
        options: SessionOptions,
        network: impl Fn(&Tracer) -> deepfit_nn::Result<O> + 'static,
        loss: impl Fn(&Tracer, &O) -> deepfit_nn::Result<Tensor> + 'static,
    ) -> Result<Session> {
        options.validate()?;
        scope.validate()?;
        let network = Rc::new(network);
        let of_both = Rc::clone(&network);
        // The loss has a layer, by which errors, costs and watches know it.
        let loss: Loss = Box::new(move |tracer| {
            let output = of_both(tracer)?;
            tracer.in_layer("loss", || loss(tracer, &output))
        });
        let network: Network = Rc::new(move |tracer| Ok(network(tracer)?.tensors()));
        // What is wrong in use alone is told now, too.
        let used = prediction_graph(&network)?;
        memory::check(&scope.declarations(), Some(&options))?;
        let mut engine = options.engine()?;
        let step = StepOptions {
            maximum: options.maximum(),
            accumulates: options.accumulate > 1,
            memory_limit: options.memory_limit,
            seed: options.seed,
        };
        let stepper = Stepper::new(&mut engine, scope.declarations(), options.training.clone(), step, |tracer| {
            Ok(Traced { loss: loss(tracer)?, outputs: Vec::new() })
        })?;
        let mut session = Session::with(engine, scope, options, network);
        session.know_inputs(&used);
        let plan = session.engine.plan(stepper.program(true));
        let asked: Vec<(String, TensorType)> = plan.inputs.clone();
        session.inputs.extend(asked.into_iter().filter(|(name, _)| !is_given(name)));
        session.operations = stepper.operations();
        session.learning = Some(Learning { stepper, loss, evaluating: None, differentiating: None });
        session.check_parameters()?;
        Ok(session)
    }

    /// Compiles a network for use alone: it has no loss, and no memory for what training needs.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn inference<O: Outputs>(
        scope: &Scope,
        options: SessionOptions,
        network: impl Fn(&Tracer) -> deepfit_nn::Result<O> + 'static,
    ) -> Result<Session> {
        options.validate()?;
        scope.validate()?;
        memory::check(&scope.declarations(), None)?;
        let (engine, seed) = (options.engine()?.for_inference(true), options.seed);
        let declarations = scope.declarations();
        let network: Network = Rc::new(move |tracer| Ok(network(tracer)?.tensors()));
        let used = prediction_graph(&network)?;
        let mut session = Session::with(engine, scope, options, network);
        session.know_inputs(&used);
        // First values are drawn when it is known that there is memory for them.
        session.predicting()?;
        for declaration in &declarations {
            session.engine.set_parameter(&declaration.name, &declaration.shape, &declaration.values(seed))?;
        }
        session.check_parameters()?;
        Ok(session)
    }

    fn with(engine: Engine, scope: &Scope, options: SessionOptions, network: Network) -> Session {
        Session {
            engine,
            declarations: scope.declarations(),
            aliases: scope.aliases(),
            sequence: None,
            options,
            network,
            inputs: BTreeMap::new(),
            learning: None,
            predicting: None,
            last: None,
            steps: 0,
            asides: 0,
            operations: 0,
        }
    }

    fn know_inputs(&mut self, graph: &Graph) {
        let inputs = graph.nodes().iter().filter_map(|node| match &node.op {
            Op::Input(input) if !is_given(&input.name) => Some((input.name.clone(), input.ty.clone())),
            _ => None,
        });
        self.inputs.extend(inputs);
    }

    /// A parameter that a closure asked the tracer for, and not a scope, would be zeros and never saved.
    fn check_parameters(&self) -> Result<()> {
        if let Some(declaration) = self.declarations.iter().find(|d| d.name == HEADER) {
            let problem = "has the name of the header in files of weights: choose another".to_string();
            return Err(TrainError::Parameter { name: declaration.name.clone(), problem });
        }
        let own = |name: &str| {
            let prefixes = [STATE, AVERAGE, step::ACCUMULATED];
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

    fn learning(&self) -> Result<&Learning> {
        self.learning.as_ref().ok_or_else(|| {
            TrainError::setting("session", "was made by `Session::inference`, which cannot train: use `Session::new`")
        })
    }

    /// Trains on one batch and returns its loss, as it was before the step.
    ///
    /// A step whose loss is not finite changes nothing. Where the loss is finite and a gradient is not, its parameter stays
    /// as it is, and others may have moved; with [`Clip::Norm`](deepfit_nn::Clip::Norm), which looks at all gradients
    /// first, nothing changes there either.
    ///
    /// # Errors
    /// If an input is missing, unknown or does not fit, if the learning rate is negative, or if a number is not finite.
    pub fn step(&mut self, batch: &[(&str, View<'_>)]) -> Result<f64> {
        self.options.validate()?;
        let count = self.options.accumulate;
        let place = Place {
            rate: self.options.learning_rate,
            update: self.steps / count + 1,
            counter: self.steps + 1,
            first: self.steps.is_multiple_of(count),
            last: (self.steps + 1).is_multiple_of(count),
            share: 1.0 / count as f64,
        };
        let program = self.learning()?.stepper.program(place.last);
        let loss = self.run_at(program, batch, place).and_then(|()| self.scalar(program, step::LOSS))?;
        self.steps += 1;
        Ok(loss)
    }

    /// The loss of one batch with the network in use: without dropout, with running statistics.
    ///
    /// # Errors
    /// As [`Session::step`].
    pub fn loss(&mut self, batch: &[(&str, View<'_>)]) -> Result<f64> {
        let learning = self.learning()?;
        let program = match learning.evaluating {
            Some(program) => program,
            None => {
                let loss = |tracer: &Tracer| Ok(vec![(step::LOSS.to_string(), (learning.loss)(tracer)?)]);
                let graph = step::evaluation_graph(loss)?;
                let program = self.engine.compile(&graph, self.options.maximum())?;
                self.learning.as_mut().map_or(program, |learning| *learning.evaluating.insert(program))
            }
        };
        self.run(program, batch)?;
        self.scalar(program, step::LOSS)
    }

    fn predicting(&mut self) -> Result<ProgramId> {
        if let Some(program) = self.predicting {
            return Ok(program);
        }
        let graph = prediction_graph(&self.network)?;
        if self.learning.is_none() {
            self.operations = graph.cost(&self.options.maximum()).operations;
        }
        Ok(*self.predicting.insert(self.engine.compile(&graph, self.options.maximum())?))
    }

    /// Another result of the latest step, loss or prediction, that the network or the loss named by [`Tracer::output`] or
    /// asked for by [`Tracer::watch`]: the state of a recurrent layer that the next window of a text begins with, say.
    /// `None` if that run, which must not have failed, gave nothing of this name.
    pub fn output(&self, name: &str) -> Option<Values> {
        let program = self.last?;
        let shape = self.engine.output_shape(program, name)?;
        Some(Values { shape, values: self.engine.output_view(program, name).ok()?.to_f32() })
    }

    fn trained(&self) -> Vec<Parameter> {
        self.learning.as_ref().map_or(Vec::new(), |learning| learning.stepper.trained())
    }

    fn scalar(&self, program: ProgramId, name: &str) -> Result<f64> {
        Ok(f64::from(self.engine.output(program, name)?.first().copied().unwrap_or(f32::NAN)))
    }

    fn run(&mut self, program: ProgramId, batch: &[(&str, View<'_>)]) -> Result<()> {
        let place = self.place_aside();
        self.run_at(program, batch, place)
    }

    /// The place of the next run that is no step: its random numbers are others than those of all steps and all such runs.
    fn place_aside(&mut self) -> Place {
        self.asides += 1;
        Place::aside(self.options.learning_rate, self.steps, self.asides)
    }

    fn run_at(&mut self, program: ProgramId, batch: &[(&str, View<'_>)], place: Place) -> Result<()> {
        self.check_names(batch)?;
        let extents = self.extents(batch)?;
        self.check_extents(extents)?;
        self.run_with(program, extents, batch, place)
    }

    fn run_with(
        &mut self,
        program: ProgramId,
        extents: Extents,
        batch: &[(&str, View<'_>)],
        place: Place,
    ) -> Result<()> {
        self.last = None;
        let (seed, engine) = (self.options.seed, &mut self.engine);
        with_scalars(seed, batch, place, |views| match engine.run(program, extents, views) {
            Err(deepfit_cpu::Error::NonFinite { .. }) => {
                let culprit = engine.find_non_finite(program, extents, views);
                if let Some(Culprit::Input { name, position }) = culprit {
                    let problem = format!("holds a value, number {position} from 0, that is NaN or infinite");
                    return Err(deepfit_cpu::Error::Input { name, problem }.into());
                }
                let what = culprit.map_or_else(|| "a gradient".to_string(), |culprit| culprit.to_string());
                Err(TrainError::Step { step: place.number(), what })
            }
            result => Ok(result?),
        })?;
        self.last = Some(program);
        Ok(())
    }

    /// Runs `body` with the moving average of the weights in place of the weights, if the training keeps one: to predict,
    /// to measure, to save. A step in there would train the average.
    ///
    /// # Errors
    /// If there has been no step yet: then there is no average.
    pub fn with_average<T>(&mut self, body: impl FnOnce(&mut Session) -> T) -> Result<T> {
        if self.options.training.moving_average.is_none() || self.learning.is_none() {
            return Ok(body(self));
        }
        if self.updates() == 0 {
            return Err(TrainError::setting("moving_average", "is empty before the first step"));
        }
        self.swap_average()?;
        let result = body(self);
        self.swap_average()?;
        Ok(result)
    }

    fn swap_average(&mut self) -> Result<()> {
        match &self.learning {
            Some(learning) => learning.stepper.swap_average(&mut self.engine),
            None => Ok(()),
        }
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
    /// axis: rows and steps could not be told apart, and without this a batch is refused.
    pub fn set_sequence(&mut self, steps: usize) {
        self.sequence = Some(steps);
    }

    /// Number of updates so far.
    pub fn updates(&self) -> u64 {
        self.steps / self.options.accumulate
    }

    /// Records the time of each operation from now on.
    pub fn record(&mut self) {
        self.engine.record();
    }

    /// What was recorded since [`Session::record`], which ends with it; [`profile::text`](crate::profile::text) shows it.
    pub fn profile(&mut self) -> Option<Profile> {
        self.engine.profile()
    }

    /// Bytes for the values of a step, or of a prediction if the session does not train, and of all that outlives it.
    pub fn planned_bytes(&self) -> (usize, usize) {
        let program = self.learning.as_ref().map(|learning| learning.stepper.program(true)).or(self.predicting);
        let arena = program.map_or(0, |program| self.engine.plan(program).arena_bytes);
        (arena, self.engine.parameter_bytes())
    }

    /// Floating-point operations of a step on a full batch, or of a prediction if the session does not train: as a textbook
    /// counts them, before any optimisation.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Bytes that the operations of a step on a full batch read and write, or those of a prediction if the session does not
    /// train: of the program as it runs, every operation by itself, as if no value stayed in a cache between two of them.
    pub fn moved_bytes(&self) -> u64 {
        let program = self.learning.as_ref().map(|learning| learning.stepper.program(true)).or(self.predicting);
        program.map_or(0, |program| self.engine.plan(program).graph.cost(&self.options.maximum()).bytes)
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

/// Whether a program gets an input of this name from the session itself.
fn is_given(name: &str) -> bool {
    name == RANDOM_KEY || step::is_reserved(name)
}
