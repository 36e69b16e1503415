//! The step that trains a network, whoever calls it: a run, a session, the benchmark.

use deepfit_cpu::{Engine, Error, ProgramId, View};
use deepfit_graph::{Extents, Graph, GraphError, Op, RANDOM_KEY, Tracer};
use deepfit_nn::optim::AVERAGE;
use deepfit_nn::step::{self, StepKind, Traced, Training};
use deepfit_nn::{Declaration, NnError, Parameter, Result as NnResult};

use crate::error::Result;

/// How a step is compiled.
#[derive(Debug, Clone, Copy)]
pub struct StepOptions {
    /// Largest batch, and longest sequence.
    pub maximum: Extents,
    /// Whether gradients of several batches are added up before an update.
    pub accumulates: bool,
    /// Most bytes for the values of a step; the backward pass then computes again what does not fit.
    pub memory_limit: Option<usize>,
    /// From which first values and random numbers are drawn.
    pub seed: u64,
}

/// Set in the counter of runs that are no steps of the training.
const ASIDE: u64 = 1 << 63;

/// A batch's place in the training.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Learning rate.
    pub rate: f64,
    /// Number of the update, from 1.
    pub update: u64,
    /// Number of the batch over the whole training: the counter of its random numbers.
    pub counter: u64,
    /// Whether it is the first of its update.
    pub first: bool,
    /// Whether the update happens after it.
    pub last: bool,
    /// Its share of the rows of the update.
    pub share: f64,
}

impl Place {
    /// The place of a batch that makes an update by itself.
    pub fn alone(rate: f64, update: u64) -> Place {
        Place { rate, update, counter: update, first: true, last: true, share: 1.0 }
    }

    /// The number by which errors call it.
    pub fn number(&self) -> u64 {
        if self.counter & ASIDE == 0 { self.counter } else { self.update }
    }

    /// The place of a run that is no step of the training, such as a prediction: its random numbers are those of no step.
    pub fn aside(rate: f64, update: u64, run: u64) -> Place {
        Place { counter: ASIDE | run, ..Place::alone(rate, update) }
    }
}

/// The programs of a training step, in an engine that its owner keeps.
#[derive(Debug)]
pub struct Stepper {
    declarations: Vec<Declaration>,
    training: Training,
    seed: u64,
    programs: Programs,
    /// Floating-point operations of a step on a full batch, by the textbook.
    operations: u64,
}

#[derive(Debug, Clone, Copy)]
enum Programs {
    Plain(ProgramId),
    Accumulating { adding: ProgramId, updating: ProgramId },
}

impl Stepper {
    /// Traces and compiles the step of a network, and gives its parameters their first values.
    pub fn new(
        engine: &mut Engine,
        declarations: Vec<Declaration>,
        training: Training,
        options: StepOptions,
        forward: impl Fn(&Tracer) -> NnResult<Traced>,
    ) -> Result<Stepper> {
        // All errors of the network come before memory is taken.
        let trace = |kind| step::step_graph(&declarations, &training, kind, &forward);
        let kinds: &[StepKind] = match options.accumulates {
            false => &[StepKind::Plain],
            true => &[StepKind::Accumulate, StepKind::AccumulateAndUpdate],
        };
        let graphs = kinds.iter().map(|&kind| trace(kind)).collect::<NnResult<Vec<Graph>>>()?;
        graphs.iter().try_for_each(|graph| check_rows(graph, &options.maximum))?;
        let operations = graphs.last().map_or(0, |graph| graph.cost(&options.maximum).operations);
        let mut compiled = Vec::new();
        for graph in &graphs {
            compiled.push(compile(engine, graph, options.maximum, options.memory_limit)?);
        }
        let programs = match compiled[..] {
            [adding, updating] => Programs::Accumulating { adding, updating },
            _ => Programs::Plain(compiled[0]),
        };
        let stepper = Stepper { declarations, training, seed: options.seed, programs, operations };
        stepper.first_values(engine)?;
        Ok(stepper)
    }

    /// First values for the weights, zeros for everything else.
    pub fn reset(&self, engine: &mut Engine) -> Result<()> {
        let names: Vec<String> = engine.parameters().map(|(name, ..)| name.to_string()).collect();
        for name in names {
            engine.parameter_mut(&name).into_iter().for_each(|values| values.fill(0.0));
        }
        self.first_values(engine)
    }

    fn first_values(&self, engine: &mut Engine) -> Result<()> {
        for declaration in &self.declarations {
            engine.set_parameter(&declaration.name, &declaration.shape, &declaration.values(self.seed))?;
        }
        Ok(())
    }

    /// The parameters that gradients train.
    pub fn trained(&self) -> Vec<Parameter> {
        self.training.trained(&self.declarations)
    }

    /// Floating-point operations of a step on a full batch, by the textbook.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// The program of a step that is, or is not, the last of its update.
    pub fn program(&self, last: bool) -> ProgramId {
        match self.programs {
            Programs::Plain(program) => program,
            Programs::Accumulating { adding, updating } => {
                if last {
                    updating
                } else {
                    adding
                }
            }
        }
    }

    /// Trains on one batch and returns its loss, as it was before the step.
    pub fn step(
        &self,
        engine: &mut Engine,
        extents: Extents,
        batch: &[(&str, View<'_>)],
        place: Place,
    ) -> Result<f64, Error> {
        let program = self.program(place.last);
        with_scalars(self.seed, batch, place, |views| engine.run(program, extents, views))?;
        Ok(f64::from(engine.output(program, step::LOSS)?[0]))
    }

    /// In words, what in a batch or in the network is not finite first.
    pub fn find_non_finite(
        &self,
        engine: &mut Engine,
        extents: Extents,
        batch: &[(&str, View<'_>)],
        place: Place,
    ) -> Option<String> {
        let program = self.program(place.last);
        let culprit = with_scalars(self.seed, batch, place, |views| engine.find_non_finite(program, extents, views));
        culprit.map(|culprit| culprit.to_string())
    }

    /// Exchanges the weights with their moving average, if the training keeps one.
    pub fn swap_average(&self, engine: &mut Engine) -> Result<()> {
        if self.training.moving_average.is_some() {
            for parameter in self.trained() {
                engine.swap_parameters(&parameter.name, &format!("{AVERAGE}.{}", parameter.name))?;
            }
        }
        Ok(())
    }
}

/// Refuses a batch normalisation that learns from one row at a time, of which it can know no variance.
fn check_rows(graph: &Graph, maximum: &Extents) -> NnResult<()> {
    for node in graph.nodes().iter().filter(|node| matches!(node.op, Op::BatchNorm(_))) {
        let shape = &node.outputs[0].shape;
        let rows: usize = shape.dims().iter().rev().skip(1).map(|dim| dim.length(maximum)).product();
        if rows <= 1 {
            let problem = format!(
                "needs more than 1 value per channel to learn from, but {shape} has one row where a batch has at most \
                 {} examples",
                maximum.batch
            );
            let (operation, layer) = (node.op.name(), format!("{}: ", node.layer));
            return Err(NnError::Graph(GraphError::Shape { operation, layer, problem }));
        }
    }
    Ok(())
}

/// Compiles a graph that ends with a backward pass, within a limit of memory if there is one.
pub fn compile(engine: &mut Engine, graph: &Graph, maximum: Extents, limit: Option<usize>) -> Result<ProgramId, Error> {
    match limit {
        Some(limit) => engine.compile_within(graph, step::LOSS, maximum, limit),
        None => engine.compile(graph, maximum),
    }
}

/// Runs `body` on a batch and the scalars that every program of a training may ask for.
pub fn with_scalars<T>(
    seed: u64,
    batch: &[(&str, View<'_>)],
    place: Place,
    body: impl FnOnce(&[(&str, View<'_>)]) -> T,
) -> T {
    let key = [seed as i32, (seed >> 32) as i32, place.counter as i32, (place.counter >> 32) as i32];
    let scalars = [place.rate as f32, place.update as f32, place.share as f32, f32::from(u8::from(!place.first))];
    let names = [step::LEARNING_RATE, step::STEP, step::LOSS_SCALE, step::KEEP];
    let mut views = Vec::with_capacity(batch.len() + 1 + names.len());
    views.extend_from_slice(batch);
    views.push((RANDOM_KEY, View::I32(&key)));
    for (name, scalar) in names.iter().zip(&scalars) {
        views.push((name, View::F32(std::slice::from_ref(scalar))));
    }
    body(&views)
}
