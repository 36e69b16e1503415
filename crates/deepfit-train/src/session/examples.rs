//! Examples in memory, and the plain loop over them.

use deepfit_cpu::View;
use deepfit_data::{Array, Batch, Pass, Source};
use deepfit_graph::HostData;
use deepfit_graph::philox::Stream;
use deepfit_nn::Schedule;

use super::Session;
use crate::error::{Result, TrainError};
use crate::event::Flow;
use crate::learner::TARGET;

/// Examples in memory: for each input by name, the same number of rows.
#[derive(Debug, Clone, Default)]
pub struct Examples {
    rows: usize,
    columns: Vec<(String, HostData)>,
}

impl Examples {
    /// Room for this many examples, without inputs yet.
    pub fn new(rows: usize) -> Self {
        Examples { rows, columns: Vec::new() }
    }

    /// With an input of floating-point numbers, row after row.
    ///
    /// # Errors
    /// If the number of values is no multiple of the rows, or the name is taken.
    pub fn f32(self, name: &str, values: Vec<f32>) -> Result<Self> {
        self.with(name, HostData::F32(values))
    }

    /// With an input of integers: classes, tokens.
    ///
    /// # Errors
    /// As [`Examples::f32`].
    pub fn i32(self, name: &str, values: Vec<i32>) -> Result<Self> {
        self.with(name, HostData::I32(values))
    }

    /// With an input of bytes: pictures.
    ///
    /// # Errors
    /// As [`Examples::f32`].
    pub fn u8(self, name: &str, values: Vec<u8>) -> Result<Self> {
        self.with(name, HostData::U8(values))
    }

    /// Rows of a data set: its inputs under their names (`image`, `numeric`, `categories`) and, where they are known, the
    /// classes or values as `target`.
    ///
    /// # Errors
    /// If none of the rows can be read; those that cannot are left out.
    pub fn from_source(source: &dyn Source, rows: &[u32]) -> Result<Self> {
        let mut batch = Batch::new();
        source.fill(rows, Pass::Evaluate, &mut batch)?;
        let values = |array: &Array| match array {
            Array::U8(values) => HostData::U8(values.clone()),
            Array::I32(values) => HostData::I32(values.clone()),
            Array::F32(values) => HostData::F32(values.clone()),
        };
        let mut examples = Examples::new(batch.len);
        for (slot, array) in source.slots().iter().zip(&batch.inputs) {
            examples = examples.with(&slot.name, values(array))?;
        }
        if source.has_targets() { examples.with(TARGET, values(&batch.targets)) } else { Ok(examples) }
    }

    fn with(mut self, name: &str, values: HostData) -> Result<Self> {
        if self.rows == 0 || !values.len().is_multiple_of(self.rows) {
            let problem = format!("has {} values, which do not make {} rows", values.len(), self.rows);
            return Err(TrainError::setting(name, problem));
        }
        if self.columns.iter().any(|(known, _)| known == name) {
            return Err(TrainError::setting(name, "is given twice"));
        }
        self.columns.push((name.to_string(), values));
        Ok(self)
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The given rows, in the given order; rows that do not exist are left out.
    pub fn rows(&self, rows: &[usize]) -> Examples {
        let rows: Vec<usize> = rows.iter().copied().filter(|&row| row < self.rows).collect();
        fn pick<T: Copy>(values: &[T], of: usize, rows: &[usize]) -> Vec<T> {
            let width = values.len() / of.max(1);
            rows.iter().flat_map(|&row| values[row * width..][..width].iter().copied()).collect()
        }
        let columns = self.columns.iter().map(|(name, values)| {
            let values = match values {
                HostData::F32(v) => HostData::F32(pick(v, self.rows, &rows)),
                HostData::U8(v) => HostData::U8(pick(v, self.rows, &rows)),
                HostData::I32(v) => HostData::I32(pick(v, self.rows, &rows)),
            };
            (name.clone(), values)
        });
        Examples { rows: rows.len(), columns: columns.collect() }
    }

    /// All of them as one batch, as a [`Session`] takes it.
    pub fn views(&self) -> Vec<(&str, View<'_>)> {
        self.columns.iter().map(|(name, values)| (&name[..], View::from(values))).collect()
    }

    /// The rows in an order that depends on seed and epoch alone, cut into batches of at most `size` rows: an epoch of a
    /// step loop of one's own.
    pub fn batches(&self, seed: u64, epoch: u64, size: usize) -> impl Iterator<Item = Examples> + '_ {
        let mut order: Vec<usize> = (0..self.rows).collect();
        let mut stream = Stream::new(seed, &format!("order.{epoch}"));
        for i in (1..order.len()).rev() {
            let draw = u64::from(stream.next_u32()) << 32 | u64::from(stream.next_u32());
            order.swap(i, (draw % (i as u64 + 1)) as usize);
        }
        let batches: Vec<Vec<usize>> = order.chunks(size.max(1)).map(<[usize]>::to_vec).collect();
        batches.into_iter().map(|rows| self.rows(&rows))
    }
}

/// How [`Session::fit`] goes over the examples.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// Times that every example is seen.
    pub epochs: u64,
    /// How the learning rate changes from step to step, as a factor of the session's.
    pub schedule: Schedule,
}

impl Fit {
    /// This many epochs at a constant rate.
    pub fn epochs(epochs: u64) -> Self {
        Fit { epochs, schedule: Schedule::constant() }
    }

    /// With another schedule.
    #[must_use]
    pub fn schedule(self, schedule: Schedule) -> Self {
        Fit { schedule, ..self }
    }
}

/// An epoch of [`Session::fit`] that has ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// Its number, from 1.
    pub number: u64,
    /// Its mean loss over the examples, each as it was before the step that learned from it.
    pub loss: f64,
}

impl Session {
    /// Trains for some epochs in batches of shuffled examples and returns the mean loss of each epoch.
    ///
    /// # Errors
    /// If the schedule is impossible, there are no examples, or as [`Session::step`]. The learning rate is then, and in
    /// the end, what it was before.
    pub fn fit(&mut self, examples: &Examples, fit: &Fit) -> Result<Vec<f64>> {
        self.fit_watched(examples, fit, |_, _| Ok(Flow::Continue))
    }

    /// Like [`Session::fit`]; after each epoch `watch` is told of it, and may end the training. It is given the session, to
    /// measure its loss on other examples or to save it.
    ///
    /// # Errors
    /// As [`Session::fit`], and those of `watch`.
    pub fn fit_watched(
        &mut self,
        examples: &Examples,
        fit: &Fit,
        mut watch: impl FnMut(&mut Session, Epoch) -> Result<Flow>,
    ) -> Result<Vec<f64>> {
        fit.schedule.validate()?;
        if examples.is_empty() {
            return Err(TrainError::setting("examples", "are none"));
        }
        let rate = self.learning_rate();
        let losses = self.fit_from(rate, examples, fit, &mut watch);
        self.set_learning_rate(rate);
        losses
    }

    fn fit_from(
        &mut self,
        rate: f64,
        examples: &Examples,
        fit: &Fit,
        watch: &mut dyn FnMut(&mut Session, Epoch) -> Result<Flow>,
    ) -> Result<Vec<f64>> {
        let size = self.options.batch;
        let total = fit.epochs * examples.len().div_ceil(size) as u64;
        let (mut step, mut losses) = (0, Vec::new());
        for number in 1..=fit.epochs {
            let mut sum = 0.0;
            for batch in examples.batches(self.options.seed, number, size) {
                self.set_learning_rate(rate * fit.schedule.rate(step, total));
                sum += self.step(&batch.views())? * batch.len() as f64;
                step += 1;
            }
            let loss = sum / examples.len() as f64;
            losses.push(loss);
            if watch(self, Epoch { number, loss })? == Flow::Stop {
                break;
            }
        }
        Ok(losses)
    }
}
