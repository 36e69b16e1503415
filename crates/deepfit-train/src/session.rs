//! A network of one's own in a step loop of one's own.

use deepfit_cpu::{Engine, ProgramId, View};
use deepfit_graph::{Extents, RANDOM_KEY, Tensor, Tracer};
use deepfit_nn::step::{self, StepKind, Traced, Training};
use deepfit_nn::{Declaration, Scope};

use crate::error::Result;

/// Parameters in an engine, and the graphs compiled that train and use them.
///
/// ```
/// use deepfit_cpu::View;
/// use deepfit_graph::{DType, Extents, Shape, Tracer};
/// use deepfit_nn::step::{Traced, Training};
/// use deepfit_nn::{Module, Optimizer, Scope, layers::Linear, losses};
/// use deepfit_train::Session;
///
/// # fn main() -> deepfit_train::Result<()> {
/// let scope = Scope::root();
/// let layer = Linear::new(&scope, 2, 1);
/// let mut session = Session::new(&scope, 1, 0)?;
/// let input = |tracer: &Tracer, name, width| tracer.input(name, Shape::batch_of(&[width]), DType::F32);
/// let training = Training::new(Optimizer::adamw());
/// let program = session.compile_training(&training, Extents::batch(4), |tracer| {
///     let y = layer.forward(&input(tracer, "x", 2))?;
///     let loss = losses::mse(&y, &input(tracer, "y", 1), losses::Reduction::Mean)?;
///     Ok(Traced { loss, outputs: vec![] })
/// })?;
/// let (x, y) = ([0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 2.0]);
/// let batch = [("x", View::F32(&x)), ("y", View::F32(&y))];
/// let first = session.step(program, Extents::batch(4), 0.05, &batch)?;
/// let last = (0..200).try_fold(first, |_, _| session.step(program, Extents::batch(4), 0.05, &batch))?;
/// assert!(last < 0.1 * first);
/// # Ok(()) }
/// ```
pub struct Session {
    engine: Engine,
    declarations: Vec<Declaration>,
    seed: u64,
    steps: u64,
}

impl Session {
    /// A session with first values, drawn from the seed, for all parameters that layers have declared in the scope.
    ///
    /// # Errors
    /// If the environment asks for an instruction set that this processor does not have.
    pub fn new(scope: &Scope, threads: usize, seed: u64) -> Result<Session> {
        let (mut engine, declarations) = (Engine::new(threads)?, scope.declarations());
        for declaration in &declarations {
            engine.set_parameter(&declaration.name, &declaration.shape, &declaration.values(seed))?;
        }
        Ok(Session { engine, declarations, seed, steps: 0 })
    }

    /// Compiles a training step, for batches up to the given extents, from a closure that traces inputs to a loss.
    ///
    /// # Errors
    /// If a shape does not fit, a setting is out of range, or the loss does not depend on a parameter.
    pub fn compile_training(
        &mut self,
        training: &Training,
        maximum: Extents,
        forward: impl FnOnce(&Tracer) -> deepfit_nn::Result<Traced>,
    ) -> Result<ProgramId> {
        let graph = step::step_graph(&self.declarations, training, StepKind::Plain, forward)?;
        Ok(self.engine.compile(&graph, maximum)?)
    }

    /// Compiles the network as it is used, for batches up to the given extents: the closure names its results.
    ///
    /// # Errors
    /// If a shape does not fit.
    pub fn compile(
        &mut self,
        maximum: Extents,
        forward: impl FnOnce(&Tracer) -> deepfit_nn::Result<Vec<(String, Tensor)>>,
    ) -> Result<ProgramId> {
        let graph = step::evaluation_graph(forward)?;
        Ok(self.engine.compile(&graph, maximum)?)
    }

    /// Trains on one batch at a learning rate, and returns the loss before the update.
    ///
    /// # Errors
    /// If an input is missing or does not fit, or the loss is not finite: then no parameter has changed.
    pub fn step(
        &mut self,
        program: ProgramId,
        extents: Extents,
        rate: f64,
        inputs: &[(&str, View<'_>)],
    ) -> Result<f64> {
        let (rate, count) = ([rate as f32], [(self.steps + 1) as f32]);
        let mut inputs = inputs.to_vec();
        inputs.extend([(step::LEARNING_RATE, View::F32(&rate)), (step::STEP, View::F32(&count))]);
        self.run(program, extents, &inputs)?;
        self.steps += 1;
        Ok(f64::from(self.output(program, step::LOSS)?[0]))
    }

    /// Runs a program on one batch. Random operations draw by seed and number of updates.
    ///
    /// # Errors
    /// If an input is missing or does not fit.
    pub fn run(&mut self, program: ProgramId, extents: Extents, inputs: &[(&str, View<'_>)]) -> Result<()> {
        let words = [self.seed, self.steps].map(|n| [n as i32, (n >> 32) as i32]);
        let mut inputs = inputs.to_vec();
        inputs.push((RANDOM_KEY, View::I32(words.as_flattened())));
        Ok(self.engine.run(program, extents, &inputs)?)
    }

    /// A named result of the program that ran last.
    ///
    /// # Errors
    /// If there is no such result, or another program has run since.
    pub fn output(&self, program: ProgramId, name: &str) -> Result<&[f32]> {
        Ok(self.engine.output(program, name)?)
    }

    /// The engine, for parameters by name and whatever else it can do.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }
}
