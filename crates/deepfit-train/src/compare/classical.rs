//! A classical learner as one of the ways.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use deepfit_classical::{ClassicalError, Fitted, Learner, Work};
use deepfit_data::{Prepared, Source};

use super::clock::{Clock, Cost};
use super::contest::Contest;
use super::published::{Features as Ready, Made as MadeFeatures, PublishedNetwork};
use super::way::Way;
use super::{CompareEvent, CompareObserver, Ended, Ran, WayResult};
use crate::classical::{ClassicalModel, Encoded, Encoder, Features};
use crate::data_times::DataTimes;
use crate::error::{Result, TrainError};
use crate::event::Flow;
use crate::fingerprint::{FINGERPRINT, fingerprint};
use crate::finish::next_commands;
use crate::learned;
use crate::measure::{Goal, measure};
use crate::metrics::Scores;
use crate::predicts::{Remembered, Remembering};
use crate::process;
use crate::report::{Report, ReportMetrics};
use crate::run_folder::{FORMAT_VERSION, RunFolder, write_text};

/// Each of its trainings may take so much more than an equal part of that.
const SLACK: f64 = 1.2;

/// Trains the learner in all folds and on all rows, saves and measures it.
pub(super) fn run(
    contest: &Contest,
    way: &Way,
    learner: Learner,
    features: Features,
    share: f64,
    run: &Path,
    clock: &Clock,
    observer: &mut dyn CompareObserver,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Ended> {
    let cost = Cost::begin();
    let published = contest.published.as_ref().filter(|_| features == Features::Frozen);
    let made = match published {
        Some(published) => match published.features(&contest.all_rows(), clock, observer)? {
            Ready::Stopped => return Ok(Ended::Stopped),
            Ready::None(why) => return Ok(Ended::Late(why, clock.left().max(0.0))),
            Ready::Made(made) => Some((published, made)),
        },
        None => None,
    };
    let share = if learner == Learner::Constant { 1.0 } else { share };
    let (begun, allowed) = (Instant::now(), clock.left() * share);
    // Whoever takes too long for the first fold will for all: what is left is better spent on something else.
    let (part, parts) = (AtomicUsize::new(0), contest.folds.len() + 1);
    let out_of_time = || {
        let due = (part.load(Ordering::Relaxed) + 1) as f64 / parts as f64;
        learner != Learner::Constant && begun.elapsed().as_secs_f64() > allowed * (SLACK * due).min(1.0)
    };
    // By the folds that are done, whether all trainings fit.
    let fits = |done: usize| {
        let all = begun.elapsed().as_secs_f64() / done.max(1) as f64 * parts as f64;
        learner == Learner::Constant || done == 0 || all <= allowed
    };
    let give_up = || stop() || out_of_time();
    let work = Work { threads: contest.settings.threads, seed: contest.settings.seed, stop: &give_up };
    let trial = Trial { contest, features, learner, work, made };
    match trial.carry_out(way, run, &cost, observer, &part, &fits) {
        Ok(Some(ran)) => Ok(Ended::Ran(Box::new(ran))),
        Ok(None) => Ok(Ended::Stopped),
        Err(TrainError::Classical(ClassicalError::Stopped)) if stop() => Ok(Ended::Stopped),
        Err(TrainError::Classical(ClassicalError::Stopped)) => {
            let why = format!(
                "all of its trainings would take more than {allowed:.1} s, its share of the time that was left"
            );
            Ok(Ended::Late(why, allowed))
        }
        Err(TrainError::Classical(ClassicalError::Rows(problem))) => Ok(Ended::NotRun(problem)),
        Err(other) => Err(other),
    }
}

struct Trial<'a> {
    contest: &'a Contest,
    features: Features,
    learner: Learner,
    work: Work<'a>,
    /// The published network whose features are learned from, and these.
    made: Option<(&'a PublishedNetwork, &'a MadeFeatures)>,
}

/// A learner with what made its features.
struct Made {
    prepared: Prepared,
    /// Where features are made of, or where they are.
    source: Arc<dyn Source>,
    encoder: Encoder,
    fitted: Fitted,
}

impl Trial<'_> {
    fn encoded(&self, encoder: &Encoder, source: &Arc<dyn Source>, rows: &[u32]) -> Result<Encoded> {
        if (self.work.stop)() {
            return Err(ClassicalError::Stopped.into());
        }
        if self.features != Features::Histograms {
            return encoder.encode_all(source, rows, self.work.stop);
        }
        let known = &self.contest.histograms;
        if known.get().is_none() {
            let all = encoder.encode_all(source, &self.contest.all_rows(), self.work.stop)?;
            let _ = known.set(all);
        }
        Ok(known.get().map(|all| all.select(rows, source)).ok_or(ClassicalError::Stopped)?)
    }

    fn train(&self, rows: &[u32]) -> Result<Made> {
        let data = self.made.map_or(&self.contest.data, |(published, _)| &published.data);
        let prepared = data.prepare(rows)?;
        let (source, encoder) = match self.made {
            Some((_, made)) => (made.source(&prepared), Encoder::of_frozen(made.width())),
            None => (prepared.source.clone(), Encoder::new(self.features, &prepared.preprocessor)?),
        };
        let encoded = self.encoded(&encoder, &source, rows)?;
        let fitted = self.contest.fit(self.learner, &encoded.matrix, &encoded.targets, self.work)?;
        Ok(Made { prepared, source, encoder, fitted })
    }

    /// Nothing if the observer asked to stop.
    fn carry_out(
        &self,
        way: &Way,
        run: &Path,
        cost: &Cost,
        observer: &mut dyn CompareObserver,
        part: &AtomicUsize,
        fits: &dyn Fn(usize) -> bool,
    ) -> Result<Option<Ran>> {
        let contest = self.contest;
        let parts = contest.folds.len() + 1;
        let mut of_folds = Vec::new();
        let mut notes = Vec::new();
        for (i, (train, held)) in contest.folds.iter().enumerate() {
            if observer.event(&CompareEvent::Part { number: i + 1, of: parts }) == Flow::Stop {
                return Ok(None);
            }
            if !fits(i) {
                return Err(ClassicalError::Stopped.into());
            }
            part.store(i, Ordering::Relaxed);
            let made = self.train(train)?;
            let encoded = self.encoded(&made.encoder, &made.source, held)?;
            let predictions = made.fitted.predict_within(&encoded.matrix, self.work)?;
            let scale = made.prepared.preprocessor.target_scale();
            of_folds.push(contest.scores(&predictions, &encoded.targets, scale)?);
        }
        part.store(parts - 1, Ordering::Relaxed);
        observer.event(&CompareEvent::Part { number: parts, of: parts });
        let training = Instant::now();
        let Made { prepared, source, encoder, fitted } = self.train(&contest.pool)?;
        let mut train_seconds = training.elapsed().as_secs_f64();
        let chosen = fitted.describe();
        let inputs = prepared.source.clone();
        let (scale, positive) = (prepared.preprocessor.target_scale(), contest.settings.positive.clone());
        let frozen = self.made.map(|(published, made)| published.frozen(made)).transpose()?;
        let parameters = fitted.to_bytes().len() / 4;
        let input = prepared.preprocessor.input();
        let model = ClassicalModel::new(&way.title, prepared.preprocessor, positive, (encoder, frozen), fitted);
        let folder = RunFolder::at(run);
        let _claim = folder.create()?;
        model.save(&folder.model())?;
        if !contest.data.is_images() {
            learned::save(&folder.model(), &*inputs, &contest.pool)?;
        }
        let mut using = match self.made {
            Some(_) => model.into_using_of_features(self.work.threads),
            None => model.into_using(&folder.model(), self.work.threads)?,
        };
        let (task, test) = (contest.data.task(), contest.split.test.clone());
        let positive = contest.positive;
        let goal = Goal { task, scale, positive, decision: None, weights: None, by: None };
        let mut remembered = Remembered::default();
        let predicting = Instant::now();
        let measured = measure(&mut Remembering::new(&mut using, &mut remembered), source.clone(), test, &goal, true)?;
        let mut predict_seconds = predicting.elapsed().as_secs_f64();
        if let Some((published, made)) = self.made {
            // Features that all ways share are a part of what each of them costs; of new samples nothing is known from before.
            let each = published.seconds_per_sample(&contest.pool)?;
            predict_seconds += each * measured.rows as f64;
            train_seconds += each * contest.pool.len() as f64;
            let words = crate::text::words::duration(made.seconds);
            notes.push(format!("the features of {} took {words}, for all ways that learn from them", published.name()));
        }
        notes.extend(measured.failures.iter().map(|(name, reason)| format!("not measured: {name}: {reason}")));
        let outputs = task.outputs();
        let first = remembered.predictions.get(..outputs);
        if self.learner != Learner::Constant
            && remembered.rows.len() > 1
            && remembered.predictions.chunks(outputs).all(|own| Some(own) == first)
        {
            notes.push("all predictions are equal: its features tell it nothing".to_string());
        }
        let targets = source.targets_of(&remembered.rows);
        let rows = contest.single(&remembered, &targets);
        let (scores, intervals) = (measured.metrics.scores(), measured.metrics.intervals());
        let report = Report {
            run: run.to_path_buf(),
            task: task.name().to_string(),
            model: way.title.clone(),
            parameters,
            metrics: ReportMetrics {
                validation: Scores::mean(of_folds.iter(), of_folds.len()),
                validation_folds: if of_folds.len() > 1 { of_folds.clone() } else { Vec::new() },
                test: scores.clone(),
                test_intervals: intervals.clone(),
                ..ReportMetrics::default()
            },
            baselines: Vec::new(),
            classes: task.classes().to_vec(),
            confusion: measured.metrics.confusion(),
            residuals: measured.metrics.residuals(),
            labels: measured.metrics.labels(task.classes()),
            calibration: None,
            conformal: None,
            costs: None,
            subgroups: None,
            familiarity: None,
            fit: None,
            repeats: None,
            positive: contest.settings.positive.clone(),
            resumed_at_step: None,
            planned_memory_bytes: process::peak_bytes(),
            peak_memory_bytes: process::peak_bytes(),
            epochs: 0,
            best_epoch: 0,
            seconds: cost.seconds(),
            first_step_seconds: None,
            seconds_per_epoch: 0.0,
            planned_seconds_per_epoch: 0.0,
            data: DataTimes::default(),
            input: input.to_string(),
            findings: Vec::new(),
            notes: notes.clone(),
            next: next_commands(run, &contest.data),
            on_test: None,
        };
        self.write(&folder, &report)?;
        let result =
            result(contest, way, &of_folds, &report, (rows.len(), predict_seconds, train_seconds), cost, chosen);
        Ok(Some(Ran { result, rows }))
    }

    /// What a run folder has beside its model.
    fn write(&self, folder: &RunFolder, report: &Report) -> Result<()> {
        let contest = self.contest;
        let text = |path: &Path, value: serde_json::Result<String>| {
            let text = value.map_err(|e| TrainError::run(path, e.to_string()))?;
            write_text(path, &(text + "\n"))
        };
        let mut split = contest.split.clone();
        if contest.pool.len() > split.train.len() {
            (split.train, split.validation) = (contest.pool.clone(), Vec::new());
        }
        text(&folder.split(), serde_json::to_string(&contest.data.save_split(&split)))?;
        let settings = contest.settings_of_run()?;
        let fingerprint = fingerprint(&settings.data, settings.labels.as_deref())?;
        let head = format!("version = {FORMAT_VERSION}\n{FINGERPRINT} = \"{fingerprint}\"\n");
        write_text(&folder.settings(), &(head + &settings.to_toml()?))?;
        text(&folder.result(), serde_json::to_string_pretty(report))
    }
}

/// What a way is told by, of its report and its cost.
pub(super) fn result(
    contest: &Contest,
    way: &Way,
    folds: &[Scores],
    report: &Report,
    (predict_rows, predict_seconds, train_seconds): (usize, f64, f64),
    cost: &Cost,
    chosen: String,
) -> WayResult {
    let metric = &contest.metric[..];
    let values: Vec<f64> = folds.iter().filter_map(|fold| fold.get(metric)).collect();
    let test = &report.metrics.test;
    let mut notes = report.notes.clone();
    if values.is_empty() {
        notes.push(format!("{metric} is not defined on the rows that were held out"));
    }
    WayResult {
        name: way.name.clone(),
        title: way.title.clone(),
        metric: metric.to_string(),
        selection_value: values.iter().sum::<f64>() / values.len().max(1) as f64,
        selection_values: values,
        value: test.get(metric),
        interval: report.metrics.test_intervals.get(metric),
        log_loss: test.get("log_loss"),
        ece: test.get("ece"),
        test: test.clone(),
        versus_recommended: None,
        train_seconds,
        total_seconds: cost.seconds(),
        predict_seconds,
        predict_rows,
        memory_bytes: process::peak_bytes(),
        size_bytes: folder_bytes(&report.run.join("model")),
        energy_joules: cost.joules(),
        chosen,
        notes,
        run: report.run.clone(),
    }
}

/// Bytes of the files of a folder.
fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .filter(|meta| meta.is_file())
        .map(|meta| meta.len())
        .sum()
}
