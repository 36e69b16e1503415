//! What a run could still gain, and what it stands on: more data, right labels, a network that does not merely memorise.
//!
//! Three questions, each of which takes trainings of its own (`piece.rs`): how the error falls with the number of rows
//! (`curve.rs`), which labels are probably wrong (`checks/confident.rs`, by networks that have not learned from them), and what
//! is left when labels are shuffled (C. Zhang et al., "Understanding deep learning requires rethinking generalization", 2017).
//! Each training is kept when it has ended, so that a diagnosis that was stopped goes on.

mod curve;
mod labels;
mod piece;
mod sizes;

use std::path::{Path, PathBuf};
use std::time::Instant;

use deepfit_data::{SavedSplit, Task};
use serde::{Deserialize, Serialize};

pub use curve::PowerLaw;
pub use labels::{LabelErrors, SuspectRow};
pub use sizes::{CurvePoint, DataCurve, GoalReport, HeldBack};

use crate::classical;
use crate::error::{Result, TrainError};
use crate::event::{Event, Flow, Observer};
use crate::fingerprint::has_changed;
use crate::metrics::higher_is_better;
use crate::report::Report;
use crate::run_folder::{FORMAT_VERSION, RunFolder, read_text, write_text};
use crate::settings::Settings;
use crate::text::words;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct DiagnoseOptions {
    /// The metric on test rows that is to be reached.
    pub goal: Option<f64>,
    /// Seconds after which no other training is begun.
    pub time: Option<f64>,
    /// Threads, if not those of the run.
    pub threads: Option<usize>,
}

/// What shuffled labels leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// `accuracy` or `r2`.
    pub metric: String,
    /// On the rows that it learned from, with their shuffled labels, after the last epoch.
    pub train: f64,
    /// On rows that it did not learn from, with theirs.
    pub test: f64,
    /// 95 % interval of that, if it is known.
    pub interval: Option<[f64; 2]>,
    /// What a network reaches that knows nothing.
    pub chance: f64,
    /// Whether no more than that is reached.
    pub falls_to_chance: bool,
    /// Whether the shuffled labels were learned by heart.
    pub memorises: bool,
    /// The same in words.
    pub sentence: String,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Version of this format.
    pub version: u32,
    /// The run folder.
    pub run: PathBuf,
    /// What is counted: `pictures`, `rows` or `texts`.
    pub unit: String,
    /// The learning curve over sizes of the data.
    pub curve: Option<DataCurve>,
    /// Labels that are probably wrong.
    pub label_errors: Option<LabelErrors>,
    /// What shuffled labels leave.
    pub control: Option<Control>,
    /// What was left out, and why.
    pub notes: Vec<String>,
    /// Trainings that were made, those of earlier calls too.
    pub trainings: usize,
    /// Seconds of all these trainings.
    pub seconds: f64,
}

impl Diagnosis {
    /// The diagnosis in a run folder, if there is one.
    ///
    /// # Errors
    /// If it is damaged, or of a newer version.
    pub fn of_run(run: &Path) -> Result<Option<Diagnosis>> {
        let path = run.join(FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let damaged = |e: serde_json::Error| {
            TrainError::run(&path, format!("is damaged: {e}; delete it, and diagnose the run again"))
        };
        let found: Diagnosis = serde_json::from_str(&read_text(&path)?).map_err(damaged)?;
        crate::progress::check_version(&path, Some(u64::from(found.version)))?;
        Ok(Some(found))
    }
}

/// How a diagnosis ended.
#[derive(Debug)]
pub enum DiagnoseOutcome {
    /// It is complete, or its time is used up.
    Finished(Box<Diagnosis>),
    /// It was asked to stop; what has ended is kept.
    Interrupted,
}

/// Name of the file in the run folder.
const FILE: &str = "diagnosis.json";
/// Where its trainings are.
const FOLDER: &str = "diagnosis";
/// With fewer rows for training and validation nothing can be told of sizes.
const FEWEST: usize = 60;
/// Rows of a validation part that is drawn from others: one in so many.
pub(super) const VALIDATION: usize = 8;

/// What all parts of a diagnosis have in common.
struct Patient {
    settings: Settings,
    report: Report,
    split: SavedSplit,
    folder: PathBuf,
    unit: &'static str,
    task: Task,
    begun: Instant,
    time: Option<f64>,
    notes: Vec<String>,
    trainings: usize,
    seconds: f64,
}

impl Patient {
    /// Makes a training; nothing if there is no time left. With [`Flow::Stop`] it was asked to stop.
    fn train(
        &mut self,
        order: piece::Order<'_>,
        observer: &mut dyn Observer,
    ) -> Result<std::result::Result<Option<piece::Piece>, Flow>> {
        if self.time.is_some_and(|time| self.begun.elapsed().as_secs_f64() > time) {
            let told = format!("left out, since the time is used up: {}", order.name);
            self.note(told);
            return Ok(Ok(None));
        }
        if observer.event(&Event::Stage { number: self.trainings + 1, of: 0, purpose: &order.name, epochs: 0 })
            == Flow::Stop
        {
            return Ok(Err(Flow::Stop));
        }
        let name = order.name.clone();
        let mut quiet = Quiet { inner: observer };
        let Some(made) = piece::make(&self.folder, order, &mut quiet)? else { return Ok(Err(Flow::Stop)) };
        self.trainings += 1;
        self.seconds += made.seconds;
        if let Some(problem) = &made.problem {
            self.note(format!("left out: {name}: {problem}"));
            return Ok(Ok(None));
        }
        Ok(Ok(Some(made)))
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// Passes on whether to stop, and nothing else: many trainings would tell much.
struct Quiet<'a> {
    inner: &'a mut dyn Observer,
}

impl Observer for Quiet<'_> {
    fn event(&mut self, event: &Event<'_>) -> Flow {
        match event {
            Event::Step { .. } | Event::Features { .. } => self.inner.event(event),
            _ => Flow::Continue,
        }
    }
}

/// Diagnoses a run that has ended.
///
/// # Errors
/// If this is no run folder of such a run, its data is gone or has changed, or it is of a kind that cannot be diagnosed.
pub fn diagnose(run: &Path, options: &DiagnoseOptions, observer: &mut dyn Observer) -> Result<DiagnoseOutcome> {
    let mut patient = examine(run, options)?;
    let classes = matches!(patient.task, Task::Classification { .. });
    let all = patient.split.train.len() + patient.split.validation.len();
    // Rounds from what tells most to what makes it surer, so that a limit of time leaves the most.
    let mut curve = sizes::Sizes::new(&patient, options.goal)?;
    if all < FEWEST {
        let told = format!(
            "how much more data would help cannot be told from {} for training and validation: there must be {FEWEST} or more",
            words::plural(all as u64, "row")
        );
        patient.note(told);
    } else if let Err(Flow::Stop) = curve.first_round(&mut patient, observer)? {
        return Ok(DiagnoseOutcome::Interrupted);
    }
    let label_errors = if classes {
        match labels::find(&mut patient, observer)? {
            Ok(found) => found,
            Err(_) => return Ok(DiagnoseOutcome::Interrupted),
        }
    } else {
        patient.note("wrong labels are looked for among classes alone".to_string());
        None
    };
    let control = match control(&mut patient, observer)? {
        Ok(control) => control,
        Err(_) => return Ok(DiagnoseOutcome::Interrupted),
    };
    if all >= FEWEST
        && let Err(Flow::Stop) = curve.other_rounds(&mut patient, observer)?
    {
        return Ok(DiagnoseOutcome::Interrupted);
    }
    let curve = curve.finish(&mut patient);
    let found = Diagnosis {
        version: FORMAT_VERSION,
        run: run.to_path_buf(),
        unit: patient.unit.to_string(),
        curve,
        label_errors,
        control,
        notes: patient.notes,
        trainings: patient.trainings,
        seconds: patient.seconds,
    };
    let path = run.join(FILE);
    let text = serde_json::to_string_pretty(&found).map_err(|e| TrainError::run(&path, e.to_string()))?;
    write_text(&path, &(text + "\n"))?;
    Ok(DiagnoseOutcome::Finished(Box::new(found)))
}

/// Reads what is known of a run, and refuses those that cannot be diagnosed.
fn examine(run: &Path, options: &DiagnoseOptions) -> Result<Patient> {
    let own = RunFolder::open(run)?;
    classical::refuse(run)?;
    let (mut settings, began_with) = Settings::of_run(&own.settings())?;
    if !own.result().is_file() {
        let problem = "has not ended: go on with `deepfit train --resume`, and diagnose it then";
        return Err(TrainError::run(run, problem));
    }
    let damaged = |path: PathBuf| move |e: serde_json::Error| TrainError::run(&path, format!("is damaged: {e}"));
    let report: Report = serde_json::from_str(&read_text(&own.result())?).map_err(damaged(own.result()))?;
    let split: SavedSplit = serde_json::from_str(&read_text(&own.split())?).map_err(damaged(own.split()))?;
    for path in [Some(&settings.data), settings.labels.as_ref(), settings.validation.as_ref(), settings.test.as_ref()] {
        if let Some(path) = path.filter(|path| !path.exists()) {
            let problem = format!("names the data '{}', which is no longer there", path.display());
            return Err(TrainError::run(own.settings(), problem));
        }
    }
    if has_changed(&settings, began_with.as_deref())? {
        let problem =
            "has changed since the run, so that its rows are not those that the run has learned from; train again";
        return Err(TrainError::run(&settings.data, problem));
    }
    let task = match &report.task[..] {
        "classification" => Task::Classification { classes: report.classes.clone() },
        "multi_label" => Task::MultiLabel { classes: report.classes.clone() },
        "regression" => Task::Regression,
        other => {
            let problem = format!(
                "is a run of the task {other}; a diagnosis is for classes, labels and numbers that are predicted of pictures, \
                 texts or rows of a table"
            );
            return Err(TrainError::run(run, problem));
        }
    };
    settings.repeats = 1;
    settings.time = None;
    settings.find_lr = false;
    settings.threads = options.threads.unwrap_or(settings.threads);
    // What stronger regularisation gains is another question.
    settings.regularise = Some(false);
    let folder = run.join(FOLDER);
    std::fs::create_dir_all(&folder).map_err(|source| TrainError::Io {
        action: "write",
        path: folder.clone(),
        source,
    })?;
    let unit = match (settings.augment.is_some() || settings.image_size.is_some(), settings.max_tokens.is_some()) {
        _ if is_of(&own, "image") => "pictures",
        _ if is_of(&own, "text") => "texts",
        (true, _) => "pictures",
        (_, true) => "texts",
        _ => "rows",
    };
    let (notes, begun) = (Vec::new(), Instant::now());
    let time = options.time;
    Ok(Patient { settings, report, split, folder, unit, task, begun, time, notes, trainings: 0, seconds: 0.0 })
}

/// Whether the model of a run takes such inputs.
fn is_of(run: &RunFolder, input: &str) -> bool {
    let text = read_text(&run.model().join("config.json")).unwrap_or_default();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    config["preprocessor"]["input"] == input
}

/// Trains on shuffled labels, to the last epoch.
fn control(patient: &mut Patient, observer: &mut dyn Observer) -> Result<std::result::Result<Option<Control>, Flow>> {
    let settings = Settings {
        folds: Some(1),
        refit: Some(false),
        patience: Some(0),
        calibration: "none".to_string(),
        coverage: 0.0,
        cost: None,
        ..patient.settings.clone()
    };
    let (split, seed) = (patient.split.clone(), patient.settings.seed);
    let divide = |data: &deepfit_data::Dataset| {
        let split = data.restore_split(&split)?;
        let mut of: Vec<u32> = (0..data.len() as u32).collect();
        let mut random = curve::Random(seed);
        for part in [&split.train, &split.validation, &split.test] {
            let mut others = part.clone();
            random.shuffle(&mut others);
            part.iter().zip(others).for_each(|(&row, other)| of[row as usize] = other);
        }
        Ok((split, Some(of.into())))
    };
    let order = piece::Order {
        name: "shuffled-labels".to_string(),
        settings,
        to_the_end: true,
        predictions: false,
        divide: &divide,
    };
    let made = match patient.train(order, observer)? {
        Ok(Some(made)) => made,
        Ok(None) => return Ok(Ok(None)),
        Err(stop) => return Ok(Err(stop)),
    };
    let (metric, chance) = match patient.task {
        Task::Classification { .. } => {
            let (all, most) = (made.classes.iter().sum::<u64>(), made.classes.iter().max().copied().unwrap_or(0));
            ("accuracy", most as f64 / all.max(1) as f64)
        }
        Task::Regression => ("r2", 0.0),
        _ => {
            patient.note("shuffled labels tell something of classes and numbers alone".to_string());
            return Ok(Ok(None));
        }
    };
    let (Some(train), Some(test)) = (made.train.get(metric), made.test.get(metric)) else { return Ok(Ok(None)) };
    let interval = made.intervals.get(metric);
    Ok(Ok(Some(judged(metric, train, test, interval, chance))))
}

/// What figures of shuffled labels mean.
fn judged(metric: &str, train: f64, test: f64, interval: Option<[f64; 2]>, chance: f64) -> Control {
    let falls_to_chance = interval.map_or(test, |[low, _]| low) <= chance + 0.01;
    // By so much of what is left above chance.
    let memorises = (train - chance) / (1.0 - chance).max(1e-9) > 0.8;
    let shown = words::number;
    let mut sentence = if falls_to_chance {
        format!(
            "with shuffled labels {metric} on new rows falls to {} (a network that knows nothing: {}), as it must",
            shown(test),
            shown(chance)
        )
    } else {
        format!(
            "with shuffled labels {metric} on new rows is {}, above the {} of a network that knows nothing: the rows of the test \
             are not apart from those of training, or what is measured is not what was meant",
            shown(test),
            shown(chance)
        )
    };
    sentence += &if memorises {
        format!(
            "; on the rows with shuffled labels that it learned from it is {}: the network can learn them by heart, so that what it \
             reaches on training rows says nothing",
            shown(train)
        )
    } else {
        format!(
            "; on the rows with shuffled labels that it learned from it is {}: the network does not learn them by heart",
            shown(train)
        )
    };
    Control { metric: metric.to_string(), train, test, interval, chance, falls_to_chance, memorises, sentence }
}

/// The metric by which sizes are compared.
fn metric_of(patient: &Patient) -> String {
    let test = &patient.report.metrics.test;
    let asked = patient.settings.metric.clone().filter(|name| test.get(name).is_some());
    asked.unwrap_or_else(|| {
        let usual = match patient.task {
            Task::Classification { .. } => "accuracy",
            Task::MultiLabel { .. } => "f1_micro",
            _ => "rmse",
        };
        usual.to_string()
    })
}

/// A metric as an error, and the other way round: the distance to 1 of one of which more is better.
fn as_error(metric: &str, value: f64) -> f64 {
    if higher_is_better(metric) { 1.0 - value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffled_labels_that_are_foretold_are_an_alarm() {
        let fine = judged("accuracy", 0.99, 0.52, Some([0.45, 0.6]), 0.5);
        assert!(fine.falls_to_chance && fine.memorises && fine.sentence.contains("by heart"));
        let leak = judged("accuracy", 0.6, 0.8, Some([0.7, 0.9]), 0.5);
        assert!(!leak.falls_to_chance && !leak.memorises && leak.sentence.contains("not apart"), "{}", leak.sentence);
    }
}
