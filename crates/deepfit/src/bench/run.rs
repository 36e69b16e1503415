//! A workload in a session: its losses, its gradients, its time.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use deepfit_cpu::{Precision, Profile, View};
use deepfit_graph::{DType, sample};
use deepfit_nn::optim::Optimizer;
use deepfit_nn::step::{Group, gradient_name};
use deepfit_nn::{Role, Scope};
use deepfit_train::{Session, SessionOptions, Values};

use super::files::Batch;
use super::workload::Workload;

/// Steps before the clock starts.
const WARM_UP: usize = 3;
/// Fewest steps that are timed.
const LEAST: usize = 5;

/// A workload that is ready to run.
pub struct Bench {
    workload: Workload,
    session: Session,
    parameters: Vec<String>,
    wanted: Vec<(String, Vec<usize>, DType)>,
    /// What a network in use made of the last batch.
    logits: Option<Values>,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Median time of a step, milliseconds.
    pub median: f64,
    /// Shortest time of a step, milliseconds.
    pub shortest: f64,
    /// Median time that processors worked on a step, all threads together, milliseconds.
    pub worked: f64,
    /// Number of steps.
    pub steps: usize,
}

impl Bench {
    /// Builds and compiles; weights get their first values. With `gradients` those of the loss can be read after a step;
    /// with `exact` convolutions are plain sums of products, and matrices are multiplied in a precision.
    ///
    /// # Errors
    /// If the network cannot be compiled.
    pub fn new(workload: Workload, threads: usize, gradients: bool, rounding: (bool, Precision)) -> Result<Bench> {
        let scope = Scope::root();
        let network = workload.build(&scope)?;
        let declarations = scope.declarations();
        let trained = declarations.iter().filter(|d| d.role != Role::Buffer);
        let parameters = trained.map(|d| d.name.clone()).collect();
        let mut slots = network.inputs();
        let forward = move |tracer: &deepfit_graph::Tracer| {
            let inputs: Vec<_> = network.inputs().iter().map(|slot| slot.on(tracer)).collect();
            network.forward(&inputs)
        };
        let (optimizer, rate) = workload.optimizer.unwrap_or((Optimizer::adamw(), 0.0));
        let (exact, precision) = rounding;
        let options = SessionOptions::new(optimizer).learning_rate(rate).batch(workload.batch);
        let mut options = options.exact(exact).precision(precision);
        options.threads = threads;
        options.training.keep_gradients = gradients;
        // The optimisers of the workloads know one group of parameters: all decay.
        options.training.groups = vec![Group { weight_decay: Some(optimizer.weight_decay()), ..Group::new("*", 1.0) }];
        let session = if workload.optimizer.is_some() {
            slots.push(workload.target());
            let loss = workload.clone();
            Session::new(&scope, options, forward, move |tracer, logits| loss.loss(tracer, logits))?
        } else {
            Session::inference(&scope, options, forward)?
        };
        let whole = |shape: &[usize]| [&[workload.batch], shape].concat();
        let wanted = slots.into_iter().map(|slot| (slot.name, whole(&slot.shape), slot.dtype)).collect();
        Ok(Bench { workload, session, parameters, wanted, logits: None })
    }

    /// Name, shape and type of each input of a whole batch.
    pub fn inputs(&self) -> &[(String, Vec<usize>, DType)] {
        &self.wanted
    }

    /// Floating-point operations of a step by the textbook, before any optimisation.
    pub fn operations(&self) -> u64 {
        self.session.operations()
    }

    /// Bytes that the operations of a step read and write, each by itself.
    pub fn moved_bytes(&self) -> u64 {
        self.session.moved_bytes()
    }

    /// Bytes of the arena, the parameters and the optimiser's state.
    pub fn planned_bytes(&self) -> usize {
        let (arena, parameters) = self.session.planned_bytes();
        arena + parameters
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
            batch.insert(name.clone(), values.into_data());
        }
        batch
    }

    /// Replaces all weights by those of a safetensors file.
    ///
    /// # Errors
    /// If it cannot be read, or a weight is missing, unknown, or has another shape.
    pub fn load(&mut self, path: &Path) -> Result<()> {
        Ok(self.session.load(path)?)
    }

    /// One step; gives the loss, or the first logit of a network in use.
    ///
    /// # Errors
    /// If a value stops being finite or a token is out of range.
    pub fn step(&mut self, batch: &[(&str, View<'_>)]) -> Result<f64> {
        if self.workload.optimizer.is_some() {
            return Ok(self.session.step(batch)?);
        }
        let logits = self.logits.insert(self.session.predict(batch)?);
        Ok(logits.values.first().map_or(f64::NAN, |&v| f64::from(v)))
    }

    /// Gradients of the last step by the names of their parameters.
    ///
    /// # Errors
    /// If the workload does not train or was not made for it.
    pub fn gradients(&self) -> Result<Vec<(&str, Values)>> {
        let of = |name: &String| self.session.output(&gradient_name(name));
        let gradients = self.parameters.iter().map(|name| of(name).map(|gradient| (&name[..], gradient)));
        gradients.collect::<Option<_>>().context("the gradients of this workload are not kept")
    }

    /// Logits of the last step of a network in use.
    pub fn logits(&self) -> &[f32] {
        self.logits.as_ref().map_or(&[], |logits| &logits.values)
    }

    /// Records the time of operations from now on.
    pub fn record(&mut self) {
        self.session.record();
    }

    /// What was recorded.
    pub fn profile(&mut self) -> Option<Profile> {
        self.session.profile()
    }

    /// A few steps that are not counted.
    ///
    /// # Errors
    /// As [`Bench::step`].
    pub fn warm_up(&mut self, batch: &[(&str, View<'_>)]) -> Result<()> {
        (0..WARM_UP).try_for_each(|_| self.step(batch).map(drop))
    }

    /// Steps for at least the given time, after one that is not counted.
    ///
    /// # Errors
    /// As [`Bench::step`].
    pub fn time(&mut self, batch: &[(&str, View<'_>)], at_least: Duration) -> Result<Timing> {
        self.step(batch)?;
        let start = Instant::now();
        let (mut times, mut worked) = (Vec::new(), Vec::new());
        while times.len() < LEAST || start.elapsed() < at_least {
            let (before, start) = (deepfit_train::cpu_seconds(), Instant::now());
            self.step(batch)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            worked.push((deepfit_train::cpu_seconds() - before) * 1e3);
        }
        let (shortest, steps) = (times.iter().copied().fold(f64::INFINITY, f64::min), times.len());
        Ok(Timing { median: median(times), shortest, worked: median(worked), steps })
    }
}

/// The value in the middle, the upper one of two; NaN of nothing.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A batch as a step takes it.
pub fn views(batch: &Batch) -> Vec<(&str, View<'_>)> {
    batch.iter().map(|(name, values)| (&name[..], View::from(values))).collect()
}
