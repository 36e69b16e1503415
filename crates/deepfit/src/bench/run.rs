//! A workload, compiled: its losses, its gradients, its time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use deepfit_cpu::{Engine, ProgramId, View};
use deepfit_graph::{DType, Extents, Graph, HostData, Op, sample};
use deepfit_nn::step::{self, StepKind, Traced, Training, evaluation_graph, step_graph};
use deepfit_nn::{Declaration, Role, Scope};
use deepfit_train::Owned;

use super::files::{Batch, Gradient};
use super::workload::Workload;

/// Steps before the clock starts.
const WARM_UP: usize = 3;
/// Prefix of the outputs that hold gradients.
const GRADIENT: &str = "gradient.";
/// Output of a network in use.
const LOGITS: &str = "logits";

/// A workload that is ready to run.
pub struct Bench {
    workload: &'static Workload,
    engine: Engine,
    program: ProgramId,
    declarations: Vec<Declaration>,
    wanted: Vec<(String, Vec<usize>, DType)>,
    operations: u64,
    updates: u32,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Median time of a step, milliseconds.
    pub median: f64,
    /// Shortest time of a step, milliseconds.
    pub shortest: f64,
    /// Number of steps.
    pub steps: usize,
}

impl Bench {
    /// Builds and compiles; weights get their first values. With `gradients` those of the loss can be read after a step.
    ///
    /// # Errors
    /// If the network cannot be compiled.
    pub fn new(workload: &'static Workload, threads: usize, gradients: bool) -> Result<Bench> {
        let scope = Scope::root();
        let network = workload.build(&scope)?;
        // The optimisers of the workloads know one group of parameters: all decay.
        let mut declarations = scope.declarations();
        declarations.iter_mut().filter(|d| d.role.is_trained()).for_each(|d| d.role = Role::Weight);
        let mut slots = network.inputs();
        let graph = match &workload.optimizer {
            Some((optimizer, _)) => {
                slots.push(workload.target());
                let training = Training::new(*optimizer);
                let mut graph = step_graph(&declarations, &training, StepKind::Plain, |tracer| {
                    let inputs: Vec<_> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
                    let logits = network.forward(&inputs)?;
                    Ok(Traced { loss: workload.loss(tracer, &logits)?, outputs: Vec::new() })
                })?;
                if gradients {
                    name_gradients(&mut graph);
                }
                graph
            }
            None => evaluation_graph(|tracer| {
                let inputs: Vec<_> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
                Ok(vec![(LOGITS.to_string(), network.forward(&inputs)?)])
            })?,
        };
        let extents = Extents::batch(workload.batch);
        let operations = graph.cost(&extents).operations;
        let mut engine = Engine::new(threads)?;
        let program = engine.compile(&graph, extents)?;
        for declaration in &declarations {
            engine.set_parameter(&declaration.name, &declaration.shape, &declaration.values(0))?;
        }
        let whole = |shape: &[usize]| [&[workload.batch], shape].concat();
        let wanted = slots.into_iter().map(|slot| (slot.name, whole(&slot.shape), slot.dtype)).collect();
        Ok(Bench { workload, engine, program, declarations, wanted, operations, updates: 0 })
    }

    /// Name, shape and type of each input of a whole batch.
    pub fn inputs(&self) -> &[(String, Vec<usize>, DType)] {
        &self.wanted
    }

    /// Floating-point operations of a step by the textbook, before any optimisation.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Bytes of the arena, the parameters and the optimiser's state.
    pub fn planned_bytes(&self) -> usize {
        self.engine.arena_bytes() + self.engine.parameter_bytes()
    }

    /// A batch of random values: pixels, tokens and classes uniform, numbers between -1 and 1.
    pub fn random_batch(&self, seed: u64) -> Batch {
        let mut batch = Batch::new();
        for (name, shape, dtype) in &self.wanted {
            let below = if name == super::workload::TARGET { self.workload.classes } else { self.workload.tokens() };
            let values = match dtype {
                DType::U8 => sample::bytes(shape, seed),
                DType::I32 => sample::integers(shape, below as i32, seed),
                DType::F32 => sample::uniform(shape, -1.0, 1.0, seed),
            };
            batch.insert(name.clone(), values.data);
        }
        batch
    }

    /// Replaces all weights.
    ///
    /// # Errors
    /// If one is missing, unknown, or has another shape.
    pub fn set_weights(&mut self, mut weights: BTreeMap<String, Owned>) -> Result<()> {
        for declaration in &self.declarations {
            let name = &declaration.name;
            let Owned { shape, values } =
                weights.remove(name).with_context(|| format!("the weights have no `{name}`"))?;
            ensure!(shape == declaration.shape, "weight `{name}` has shape {shape:?}, not {:?}", declaration.shape);
            self.engine.set_parameter(name, &shape, &values)?;
        }
        if let Some(name) = weights.keys().next() {
            bail!("{} has no parameter `{name}`", self.workload.name);
        }
        Ok(())
    }

    /// One step; gives the loss, or the mean of the logits of a network in use.
    ///
    /// # Errors
    /// If a value stops being finite or a token is out of range.
    pub fn step(&mut self, batch: &Batch) -> Result<f64> {
        self.updates += 1;
        let rate = [self.workload.optimizer.map_or(0.0, |(_, rate)| rate) as f32];
        let update = [self.updates as f32];
        let mut views: Vec<(&str, View<'_>)> = batch.iter().map(|(name, values)| (&name[..], view(values))).collect();
        views.push((step::LEARNING_RATE, View::F32(&rate)));
        views.push((step::STEP, View::F32(&update)));
        self.engine.run(self.program, Extents::batch(self.workload.batch), &views)?;
        if self.workload.optimizer.is_some() {
            return Ok(f64::from(self.engine.output(self.program, step::LOSS)?[0]));
        }
        let logits = self.engine.output(self.program, LOGITS)?;
        Ok(logits.iter().map(|&v| f64::from(v)).sum::<f64>() / logits.len() as f64)
    }

    /// Gradients of the last step by the names of their parameters.
    ///
    /// # Errors
    /// If the workload does not train or was not made for it.
    pub fn gradients(&self) -> Result<Vec<Gradient<'_>>> {
        let trained = self.declarations.iter().filter(|d| d.role.is_trained());
        trained
            .map(|d| {
                Ok((&d.name[..], &d.shape[..], self.engine.output(self.program, &format!("{GRADIENT}{}", d.name))?))
            })
            .collect()
    }

    /// Logits of the last step of a network in use.
    ///
    /// # Errors
    /// If the workload trains.
    pub fn logits(&self) -> Result<&[f32]> {
        Ok(self.engine.output(self.program, LOGITS)?)
    }

    /// Steps for at least the given time, after a few that are not counted.
    ///
    /// # Errors
    /// As [`Bench::step`].
    pub fn time(&mut self, batch: &Batch, at_least: Duration) -> Result<Timing> {
        for _ in 0..WARM_UP {
            self.step(batch)?;
        }
        let start = Instant::now();
        let mut times = Vec::new();
        while times.len() < 5 || start.elapsed() < at_least {
            let start = Instant::now();
            self.step(batch)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        Ok(Timing { median: times[times.len() / 2], shortest: times[0], steps: times.len() })
    }
}

fn view(values: &HostData) -> View<'_> {
    match values {
        HostData::F32(values) => View::F32(values),
        HostData::U8(values) => View::U8(values),
        HostData::I32(values) => View::I32(values),
    }
}

/// Makes the gradient that each update reads an output of the graph.
fn name_gradients(graph: &mut Graph) {
    let mut found = Vec::new();
    for node in graph.nodes() {
        if let (Op::Sgd(_) | Op::Adam(_), [parameter, gradient, ..]) = (&node.op, &node.inputs[..])
            && let Op::Parameter(parameter) = &graph.nodes()[parameter.node].op
        {
            found.push((format!("{GRADIENT}{}", parameter.name), *gradient));
        }
    }
    for (name, value) in found {
        graph.push_output(&name, value);
    }
}
