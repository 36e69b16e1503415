//! The training loop.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use deepfit_data::{Loader, PairLabel, Source, Task};
use deepfit_nn::Schedule;

use crate::data_times::DataTimes;
use crate::decision::{MOST_BYTES, Record, Records};
use crate::error::{Result, TrainError};
use crate::event::{Event, Flow, Observer};
use crate::learner::{Learner, Place};
use crate::measure::{Goal, measure_keeping};
use crate::metrics::{Scores, higher_is_better};
use crate::overfitting::{EpochLosses, EvaluatedLosses, sample_of};
use crate::progress::{self, EpochRecord, Progress};
use crate::recipe::Recipe;
use crate::run_folder::Durability;
use crate::stage::{Purpose, Stage};
use crate::tensors::Owned;

/// Checkpoints are at most this far apart.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);

/// A checkpoint follows the end of an epoch if the last one is so old: that of a small network takes as long as a step or two.
pub(crate) const EPOCH_INTERVAL: Duration = Duration::from_millis(500);

/// Checkpoints are written through to the disk at most this often.
const SYNC_INTERVAL: Duration = Duration::from_secs(10);

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It went as far as it should.
    Finished,
    /// The observer asked to stop; a checkpoint was written.
    Interrupted,
}

/// What is known after the validation of an epoch.
#[derive(Default)]
struct Validated {
    scores: Scores,
    /// What was predicted of the validation rows, if that is kept.
    predicted: Record,
    /// The losses of the validation rows, where rows have some.
    rows: Option<EvaluatedLosses>,
    losses: Option<EpochLosses>,
}

/// What a stage is trained with.
pub struct Fit<'a> {
    /// All settings.
    pub recipe: &'a Recipe,
    /// Rows and epochs.
    pub stage: &'a Stage,
    /// The network.
    pub learner: &'a mut Learner,
    /// Batches of the training rows, from where `progress` stands.
    pub loader: &'a mut Loader,
    /// Where the rows come from.
    pub source: std::sync::Arc<dyn Source>,
    /// Where checkpoints go.
    pub checkpoint: &'a Path,
    /// Weights of the best epoch, where they are kept.
    pub best_weights: &'a mut BTreeMap<String, Owned>,
    /// Where predictions of the validation rows are kept, if they are.
    pub held_out: Option<Records>,
    /// Where the losses of the validation rows are kept, if they are.
    pub losses: Option<Records>,
    /// The training rows that are measured after each epoch, as [`measured_of_training`] draws them.
    pub of_training: Vec<u32>,
    /// Seconds of training, over all processes, after which the stage stops.
    pub deadline: Option<f64>,
    /// Seconds that the end of an epoch takes, validation included, as far as it is known.
    pub ending: f64,
    /// Where epochs are listed.
    pub journal: &'a mut File,
    /// Its path, for messages.
    pub journal_path: &'a Path,
    /// When a checkpoint was last written through to the disk.
    pub last_synced: Instant,
    /// Whether no step has ended in this process yet.
    pub first_step: bool,
    /// What the data of all epochs that ended in this process cost.
    pub data: DataTimes,
}

impl Fit<'_> {
    /// Trains to the end of the stage.
    pub fn run(&mut self, progress: &mut Progress, observer: &mut dyn Observer) -> Result<End> {
        let steps = self.loader.steps_per_epoch();
        let started = (Instant::now(), progress.seconds, progress.epoch as f64 + progress.step as f64 / steps as f64);
        let mut last_checkpoint = Instant::now();
        let mut rows_done = 0;
        let is_new = progress.epoch == 0 && progress.step == 0 && progress.best.is_none();
        if is_new && self.recipe.is_useful_untrained() && !self.stage.validation.is_empty() {
            self.measure_untrained(progress, observer)?;
        }
        // An epoch that was cut short by the deadline still ends like any other.
        while progress.loss_rows > 0 || (progress.epoch < self.stage.epochs && !progress.stage_ended) {
            let (epoch_started, before) = (Instant::now(), self.loader.times());
            while progress.step < steps && !progress.stage_ended {
                let before = progress.seconds;
                rows_done += self.step(progress, steps)?;
                progress.seconds = started.1 + started.0.elapsed().as_secs_f64();
                if std::mem::take(&mut self.first_step) {
                    observer.event(&Event::FirstStep);
                }
                let flow = observer.event(&self.describe_step(progress, steps, rows_done, &started));
                // The next step would take as long as this one, and the epoch ends like any other.
                let next = 0.5 * (progress.seconds - before) + self.ending;
                if self.deadline.is_some_and(|deadline| progress.seconds + next > deadline) {
                    observer.event(&Event::Note("the time is used up: this stage ends here"));
                    progress.stage_ended = true;
                }
                // A decision made by the clock is saved at once, so that a resumed run repeats it.
                if flow == Flow::Stop || progress.stage_ended || last_checkpoint.elapsed() > CHECKPOINT_INTERVAL {
                    self.save(progress)?;
                    last_checkpoint = Instant::now();
                }
                if flow == Flow::Stop {
                    return Ok(End::Interrupted);
                }
            }
            let data = DataTimes::between(before, self.loader.times(), epoch_started.elapsed());
            self.data.add(data);
            let ending = Instant::now();
            let flow = self.end_epoch(progress, observer, epoch_started, data)?;
            progress.seconds = started.1 + started.0.elapsed().as_secs_f64();
            // The first one is there before numbers may stop being finite.
            let is_end = progress.epoch == 1 || progress.stage_ended || progress.epoch >= self.stage.epochs;
            if is_end || flow == Flow::Stop || last_checkpoint.elapsed() > EPOCH_INTERVAL {
                self.save(progress)?;
                last_checkpoint = Instant::now();
            }
            self.ending = ending.elapsed().as_secs_f64();
            if flow == Flow::Stop {
                return Ok(End::Interrupted);
            }
        }
        progress.stage_ended = true;
        self.tell_of_published(progress, observer);
        Ok(End::Finished)
    }

    /// One batch: forward, backward, and the update where a group of micro-batches is complete.
    fn step(&mut self, progress: &mut Progress, steps: u64) -> Result<usize> {
        let Some(batch) = self.loader.next()? else {
            return Err(TrainError::setting("epochs", "the loader ended before training did"));
        };
        let place = self.place(progress, steps, batch.len);
        let loss = match self.learner.step(&batch, place) {
            Ok(loss) => loss,
            Err(TrainError::Engine(deepfit_cpu::Error::NonFinite { operation, layer })) => {
                let met = if layer.is_empty() { operation } else { format!("`{operation}` of layer `{layer}`") };
                return Err(TrainError::NonFinite {
                    epoch: progress.epoch + 1,
                    step: progress.step + 1,
                    what: self.learner.find_non_finite(&batch, place).unwrap_or(met),
                    advice: self.advice(),
                });
            }
            Err(other) => return Err(other),
        };
        progress.loss_sum += loss * batch.len as f64;
        progress.loss_rows += batch.len as u64;
        progress.step += 1;
        progress.counter += 1;
        progress.total_steps += 1;
        progress.update += u64::from(place.last);
        Ok(batch.len)
    }

    /// What may help where numbers stop being finite.
    fn advice(&self) -> String {
        let settings = &self.recipe.settings;
        let rate = settings.lr.unwrap_or(1e-3) / 10.0;
        let clip = if settings.clip.is_none() { ", gradient clipping (clip=1)" } else { "" };
        let kept = if self.checkpoint.exists() { "; the last checkpoint is kept" } else { "" };
        format!("Try a smaller learning rate (lr={rate:.1e}){clip}, or look for extreme values in the data{kept}")
    }

    fn place(&self, progress: &Progress, steps: u64, rows: usize) -> Place {
        let group = self.recipe.settings.accumulate;
        let (start, last) = (progress.step / group * group, (progress.step / group + 1) * group);
        let last = last.min(steps);
        let full = self.recipe.batch() as u64;
        let all = self.stage.train.len() as u64;
        let group_rows: u64 = (start..last).map(|s| full.min(all - s * full)).sum();
        Place {
            rate: self.rate(progress.update, steps, progress.plateau.rate),
            update: progress.update + 1,
            counter: progress.counter,
            first: progress.step == start,
            last: progress.step + 1 == last,
            share: rows as f64 / group_rows as f64,
        }
    }

    fn rate_at_top(&self) -> f64 {
        self.recipe.settings.lr.unwrap_or(1e-3) * self.stage.trial.rate
    }

    fn rate(&self, update: u64, steps: u64, plateau: f64) -> f64 {
        let per_epoch = steps.div_ceil(self.recipe.settings.accumulate);
        let schedule: Schedule = self.recipe.schedule(per_epoch);
        let total = per_epoch * u64::from(self.stage.schedule_epochs);
        self.rate_at_top() * schedule.rate(update, total) * plateau
    }

    /// Lowers the rate where the metric, or without validation the training loss, no longer improves.
    fn observe_plateau(&self, progress: &mut Progress, metric: f64, observer: &mut dyn Observer) {
        let Some(schedule) = self.recipe.rates().plateau() else { return };
        // A refit has no validation: it follows the rates of the stages that had one.
        if let Some(rates) = &self.stage.rates {
            progress.plateau.rate = rates.get(progress.epoch as usize).or(rates.last()).copied().unwrap_or(1.0);
            return;
        }
        let before = progress.plateau.rate;
        let now = schedule.observe(&mut progress.plateau, metric);
        if now < before {
            let rate = self.rate_at_top() * now;
            observer.event(&Event::Note(&format!(
                "epoch {}: no improvement for more than {} epochs; the learning rate is {rate:.1e} from here on",
                progress.epoch, schedule.patience
            )));
        }
    }

    /// What the published weights reach: they are the result unless training makes them better.
    fn measure_untrained(&mut self, progress: &mut Progress, observer: &mut dyn Observer) -> Result<()> {
        let validation = self.validate(progress)?.scores;
        progress.best = self.recipe.monitored().of(&validation).map(|value| (0, value));
        if self.stage.keep_best {
            *self.best_weights = self.learner.weights()?;
        }
        let told: Vec<String> = validation.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
        observer.event(&Event::Note(&format!("before training, on validation: {}", told.join(", "))));
        let (stage, learning_rate, train_loss) = (progress.stage + 1, 0.0, 0.0);
        self.record(progress, EpochRecord { stage, epoch: 0, learning_rate, train_loss, validation, losses: None })
    }

    /// Says so where the published weights are the result.
    fn tell_of_published(&self, progress: &Progress, observer: &mut dyn Observer) {
        let Some((0, before)) = progress.best else { return };
        let monitored = self.recipe.monitored();
        let (metric, before) = (monitored.name, monitored.turned(before));
        let trained = progress.epochs_of(progress.stage).filter(|e| e.epoch > 0);
        let after = trained.filter_map(|e| monitored.of(&e.validation)).fold(f64::INFINITY, f64::min);
        let after = monitored.turned(after);
        observer.event(&Event::Note(&format!(
            "training did not help: the published weights are kept ({metric} on validation was {before:.4} before training, \
             and at best {after:.4} after an epoch)"
        )));
    }

    /// Notes an epoch in the journal.
    fn record(&mut self, progress: &mut Progress, record: EpochRecord) -> Result<()> {
        writeln!(self.journal, "{}", record.to_json()).map_err(|source| TrainError::Io {
            action: "write",
            path: self.journal_path.to_path_buf(),
            source,
        })?;
        progress.epochs.push(record);
        progress.recorded = progress.epochs.len();
        Ok(())
    }

    /// Validates, keeps the best weights, and decides whether to go on.
    fn end_epoch(
        &mut self,
        progress: &mut Progress,
        observer: &mut dyn Observer,
        started: Instant,
        data: DataTimes,
    ) -> Result<Flow> {
        progress.epoch += 1;
        let train_loss = progress.loss_sum / progress.loss_rows as f64;
        let Validated { scores: validation, predicted, rows, mut losses } = match self.stage.validation.is_empty() {
            true => Validated::default(),
            false => self.validate(progress)?,
        };
        let monitored = self.recipe.monitored();
        let value = monitored.of(&validation);
        let best = value.is_some_and(|v| progress.best.is_none_or(|(_, b)| v < b));
        if best {
            progress.best = value.map(|v| (progress.epoch, v));
            if self.stage.keep_best {
                // The old copy goes before the new one comes.
                self.best_weights.clear();
                *self.best_weights = self.learner.weights()?;
            }
        }
        if let Some(records) = self.held_out.as_mut().filter(|records| records.keeps_all() || best)
            && !predicted.rows.is_empty()
        {
            records.add(progress.epoch, &predicted)?;
        }
        if let (Some(records), Some(rows)) = (&mut self.losses, rows) {
            records.add(progress.epoch, &Record { rows: rows.rows, values: rows.losses })?;
        }
        let steps = self.loader.steps_per_epoch();
        let learning_rate = self.rate(progress.update.saturating_sub(1), steps, progress.plateau.rate);
        self.observe_plateau(progress, value.unwrap_or(train_loss), observer);
        let flow = observer.event(&Event::Epoch {
            epoch: progress.epoch,
            epochs: self.stage.epochs,
            train_loss,
            validation: (!self.stage.validation.is_empty()).then_some(&validation),
            monitored: value.map(|v| (monitored.name, monitored.turned(v))),
            best,
            seconds: started.elapsed().as_secs_f64(),
            data,
        });
        let (stage, epoch) = (progress.stage + 1, progress.epoch);
        let patience = self.recipe.patience(&self.stage.trial);
        let waited = progress.epoch - progress.best.map_or(progress.epoch, |(epoch, _)| epoch);
        let stops = patience > 0 && waited >= patience && progress.epoch < self.stage.epochs;
        let ends = stops || progress.stage_ended || progress.epoch >= self.stage.epochs;
        // What averaging gains is told of the epoch that is kept, which all folds choose together.
        if ends && (best || matches!(self.stage.purpose, Purpose::Fold(_))) {
            self.measure_unaveraged(progress, &mut losses)?;
        }
        self.record(progress, EpochRecord { stage, epoch, learning_rate, train_loss, validation, losses })?;
        (progress.step, progress.loss_sum, progress.loss_rows) = (0, 0.0, 0);
        if stops {
            progress.stage_ended = true;
            let note = format!("early stop: {} on validation has not improved for {waited} epochs", monitored.name);
            observer.event(&Event::Note(&note));
        }
        Ok(flow)
    }

    /// Metrics on the validation rows, what was predicted of them, and losses of these and of a sample of the training rows.
    fn validate(&mut self, progress: &mut Progress) -> Result<Validated> {
        let (source, rows) = (self.source.clone(), self.stage.validation.clone());
        let (task, scale) = (&self.recipe.task, self.stage.target_scale);
        let goal = Goal::of(self.recipe, scale);
        let mut predicted = Record::default();
        let keep = (self.held_out.is_some() || are_few(task, rows.len())).then_some(&mut predicted);
        let of_training = self.of_training.clone();
        let mut of_sample = None;
        let mut seconds = 0.0;
        let measured = self.learner.with_averaged(|using| {
            let measured = measure_keeping(using, source.clone(), rows, &goal, false, keep, None)?;
            let begun = Instant::now();
            if !of_training.is_empty() {
                let mut kept = Record::default();
                measure_keeping(using, source.clone(), of_training, &goal, false, Some(&mut kept), None)?;
                of_sample = EvaluatedLosses::of(task, &kept, &*source, scale);
            }
            seconds = begun.elapsed().as_secs_f64();
            Ok(measured)
        });
        progress.watch_seconds += seconds;
        match measured {
            Ok(measured) => {
                let rows = EvaluatedLosses::of(task, &predicted, &*self.source, scale);
                let weights = self.recipe.weights.as_deref();
                let losses = rows.as_ref().zip(of_sample).map(|(rows, sample)| {
                    let ((train, train_error), (validation, validation_error)) =
                        (sample.mean(weights), rows.mean(weights));
                    let constant = rows.constant;
                    EpochLosses { train, train_error, validation, validation_error, constant, unaveraged: None }
                });
                Ok(Validated { scores: measured.metrics.scores(), predicted, rows, losses })
            }
            Err(TrainError::Predictions { what }) => {
                let advice = self.advice();
                Err(TrainError::NonFinite { epoch: progress.epoch, step: progress.step, what, advice })
            }
            Err(other) => Err(other),
        }
    }

    /// What the metric that decides would be with the weights as they are, where what counts is their average.
    fn measure_unaveraged(&mut self, progress: &mut Progress, losses: &mut Option<EpochLosses>) -> Result<()> {
        let averages = self.recipe.settings.average.is_some_and(|decay| decay > 0.0);
        let (Some(losses), true, false) = (losses, averages, self.stage.validation.is_empty()) else { return Ok(()) };
        let begun = Instant::now();
        let goal = Goal::of(self.recipe, self.stage.target_scale);
        let (source, rows) = (self.source.clone(), self.stage.validation.clone());
        // Weights that are no longer finite are no result, and no error where they are not used.
        if let Ok(measured) = measure_keeping(self.learner.using(), source, rows, &goal, false, None, None) {
            losses.unaveraged = self.recipe.monitored().of(&measured.metrics.scores());
        }
        progress.watch_seconds += begun.elapsed().as_secs_f64();
        Ok(())
    }

    /// Writes a checkpoint; now and then also through to the disk, which can take longer than an epoch of a small network.
    fn save(&mut self, progress: &Progress) -> Result<()> {
        let due = self.last_synced.elapsed() > SYNC_INTERVAL;
        let durability = if due { Durability::Disk } else { Durability::Process };
        if due {
            // A checkpoint relies on the lines of the epochs that it knows.
            let synced = self.journal.sync_all();
            synced.map_err(|source| TrainError::Io {
                action: "write",
                path: self.journal_path.to_path_buf(),
                source,
            })?;
        }
        progress::save(self.checkpoint, durability, progress, self.learner, self.best_weights)?;
        if due {
            self.last_synced = Instant::now();
        }
        Ok(())
    }

    fn describe_step(
        &self,
        progress: &Progress,
        steps: u64,
        rows_done: usize,
        started: &(Instant, f64, f64),
    ) -> Event<'static> {
        let seconds = started.0.elapsed().as_secs_f64();
        let position = f64::from(progress.epoch) + progress.step as f64 / steps as f64;
        let per_epoch = seconds / (position - started.2).max(1e-9);
        Event::Step {
            epoch: progress.epoch + 1,
            epochs: self.stage.epochs,
            step: progress.step,
            steps,
            loss: progress.loss_sum / progress.loss_rows.max(1) as f64,
            samples_per_second: rows_done as f64 / seconds.max(1e-9),
            seconds_left: per_epoch * (f64::from(self.stage.epochs) - position),
        }
    }
}

/// Whether predictions of so many rows are few enough to be looked at row by row.
fn are_few(task: &Task, rows: usize) -> bool {
    (rows as u64).saturating_mul(4 * (task.outputs() as u64 + 1)) <= MOST_BYTES
}

/// The training rows that are measured after each epoch of a stage; none where the losses of its validation rows, to which
/// theirs are held, are not told one by one.
pub(crate) fn measured_of_training(recipe: &Recipe, stage: &Stage) -> Vec<u32> {
    let validation = stage.validation.len();
    let are_told = are_few(&recipe.task, validation) && !matches!(recipe.task, Task::Similarity { .. });
    if validation == 0 || !are_told {
        return Vec::new();
    }
    sample_of(&stage.train, validation, recipe.settings.seed)
}

/// The metric by which epochs and ways of training are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Monitored<'a> {
    /// Its name.
    pub name: &'a str,
}

impl Monitored<'_> {
    /// Its value so that less is better: the distance to 1, which no metric exceeds of which more is better.
    pub fn of(&self, scores: &Scores) -> Option<f64> {
        scores.get(self.name).map(|value| self.turned(value))
    }

    /// The value itself, from that of which less is better, and the other way round.
    pub fn turned(&self, value: f64) -> f64 {
        if higher_is_better(self.name) { 1.0 - value } else { value }
    }
}

/// The metric by which epochs are compared where none is asked for: a proper score, where accuracy would hide small changes.
pub fn monitored(task: &Task) -> &'static str {
    match task {
        Task::Classification { .. } | Task::MultiLabel { .. } | Task::Labels { .. } | Task::NextToken => "log_loss",
        Task::Regression => "rmse",
        Task::Similarity { label: PairLabel::Partners } => "log_loss",
        // The loss may fall while the order, which is what counts, becomes worse.
        Task::Similarity { .. } => "spearman",
    }
}
