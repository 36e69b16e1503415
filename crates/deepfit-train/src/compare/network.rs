//! A network as one of the ways: trained as `train` does it, within its share of the time.

use std::path::Path;

use super::classical::result;
use super::clock::{Clock, Cost};
use super::contest::Contest;
use super::way::{Network, Way};
use super::{CompareEvent, CompareObserver, Ended, Ran};
use crate::error::{ErrorKind, Result, TrainError};
use crate::event::{Event, Flow, Observer};
use crate::job::{Outcome, prepare};
use crate::settings::{Settings, Unfreeze};
use crate::transfer::SCRATCH;

/// What surrounds the training needs some of the time: compiling, measuring, saving.
const SHARE: f64 = 0.85;
/// With fewer epochs than this, and fewer than the half of those that it should have, a network has not learned.
const FEWEST_EPOCHS: u32 = 5;

/// Trains, saves and measures the network.
pub(super) fn run(
    contest: &Contest,
    way: &Way,
    network: &Network,
    later: usize,
    run: &Path,
    clock: &Clock,
    observer: &mut dyn CompareObserver,
) -> Result<Ended> {
    let share = clock.left() / (later + 1) as f64;
    let cost = Cost::begin();
    let settings = settings(contest, network);
    let asked = |time: Option<f64>| Settings { time, ..settings.clone() };
    // Without a limit, so that it is known how long it should take.
    let whole = match prepare(asked(None), Some(run.to_path_buf())) {
        Ok(job) => job,
        Err(error @ TrainError::Io { .. }) => return Err(error),
        Err(error) if error.kind() == ErrorKind::Input => return Ok(Ended::NotRun(error.to_string())),
        Err(error) => return Err(error),
    };
    let (wanted, needed) = (whole.description().epochs, whole.description().seconds_total);
    let allowed = (share - cost.seconds()) * SHARE;
    let (mut job, mut note) = (whole, None);
    if needed > allowed {
        drop(job);
        let too_little =
            |allowed: f64| format!("it needs about {} of training, and has {}", words(needed), words(allowed.max(0.0)));
        if allowed <= 0.1 {
            return Ok(Ended::NotRun(too_little(allowed)));
        }
        job = prepare(asked(Some(allowed)), Some(run.to_path_buf()))?;
        let epochs = job.description().epochs;
        if epochs < FEWEST_EPOCHS.min(wanted) && 2 * epochs < wanted {
            return Ok(Ended::NotRun(format!("{}, which is {epochs} of {wanted} epochs", too_little(allowed))));
        }
        note = (epochs < wanted).then(|| format!("the time allowed {epochs} of {wanted} epochs"));
    }
    job.remembers = true;
    let data = job.description().model.clone();
    let mut watch = Watch { inner: observer, end: clock, asked: false };
    let outcome = job.run(&mut watch);
    let stopped = watch.asked;
    let mut report = match outcome {
        Ok(Outcome::Finished(report)) => report,
        Ok(Outcome::Interrupted { .. }) if stopped => return Ok(Ended::Stopped),
        Ok(Outcome::Interrupted { .. }) => {
            return Ok(Ended::NotRun("it had not ended when the time was used up".to_string()));
        }
        Err(error @ (TrainError::NonFinite { .. } | TrainError::Predictions { .. })) => {
            return Ok(Ended::NotRun(error.to_string()));
        }
        Err(error) => return Err(error),
    };
    report.notes.extend(note);
    let folds = match &report.metrics.validation_folds[..] {
        [] => vec![report.metrics.validation.clone()],
        folds => folds.to_vec(),
    };
    let Some(on_test) = report.on_test.take() else {
        return Err(TrainError::run(run, "has no test rows that were predicted"));
    };
    let source = contest.data.prepare(&contest.pool)?.source;
    let mut targets = deepfit_data::Array::empty(source.target_dtype());
    source.targets(&on_test.predictions.rows, &mut targets);
    let rows = contest.single(&on_test.predictions, &targets);
    let chosen = format!("{data}, {} epochs", report.best_epoch);
    let train_seconds = report.seconds_per_epoch * f64::from(report.best_epoch);
    let timed = (rows.len(), on_test.seconds, train_seconds);
    let result = result(contest, way, &folds, &report, timed, &cost, chosen);
    Ok(Ended::Ran(Box::new(Ran { result, rows })))
}

fn words(seconds: f64) -> String {
    crate::text::words::duration(seconds)
}

fn settings(contest: &Contest, network: &Network) -> Settings {
    let settings = contest.settings.clone();
    match network {
        Network::Scratch if contest.data.is_table() => Settings { from: None, ..settings },
        Network::Scratch => Settings { from: Some(SCRATCH.to_string()), unfreeze: None, lora: None, ..settings },
        Network::LastLayer(from) => {
            let unfreeze = Some(Unfreeze::Blocks(0));
            Settings { from: Some(from.clone()), unfreeze, lora: None, model: "auto".to_string(), ..settings }
        }
        Network::FineTuning(from) => {
            let unfreeze = if settings.lora.is_some() { None } else { Some(Unfreeze::All) };
            Settings { from: Some(from.clone()), unfreeze, model: "auto".to_string(), ..settings }
        }
    }
}

/// Passes events on, and stops when the time is used up.
struct Watch<'a> {
    inner: &'a mut dyn CompareObserver,
    end: &'a Clock,
    /// Whether it was the observer who asked to stop.
    asked: bool,
}

impl Observer for Watch<'_> {
    fn event(&mut self, event: &Event<'_>) -> Flow {
        if self.inner.event(&CompareEvent::Training(event)) == Flow::Stop {
            self.asked = true;
            return Flow::Stop;
        }
        if self.end.left() < 0.0 { Flow::Stop } else { Flow::Continue }
    }
}
