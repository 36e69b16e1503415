//! A network as one of the ways: trained as `train` does it, within its share of the time.

use std::path::Path;

use super::classical::result;
use super::clock::{Clock, Cost, Watch};
use super::contest::Contest;
use super::way::{Network, Way};
use super::{CompareObserver, Ended, Ran};
use crate::error::{ErrorKind, Result, TrainError};
use crate::job::{Outcome, prepare};
use crate::settings::{Settings, Unfreeze};
use crate::transfer::SCRATCH;

/// What surrounds the training needs some of the time: compiling, measuring, saving.
const SHARE: f64 = 0.85;
/// A network that is trained for less than this share of the epochs that it should have has not learned.
const LEAST: f64 = 1.0 / 3.0;
/// A step forward and back takes about so many times as long as a step forward.
const BACKWARD: f64 = 3.0;

/// Trains, saves and measures the network.
pub(super) fn run(
    contest: &Contest,
    way: &Way,
    network: &Network,
    share: f64,
    run: &Path,
    clock: &Clock,
    observer: &mut dyn CompareObserver,
) -> Result<Ended> {
    let share = clock.left() * share;
    let too_little = |needed: f64, allowed: f64| {
        let (needed, allowed) = (words(needed), words(allowed.max(0.0)));
        let why = format!("it needs about {needed} or more, and has {allowed} beside what surrounds the training");
        Ended::Late(why, share)
    };
    let least = least_seconds(contest, network)?;
    if least > share {
        return Ok(too_little(least, share));
    }
    let cost = Cost::begin();
    let settings = settings(contest, network);
    let planned = |allowed: f64| prepare(Settings { time: Some(allowed), ..settings.clone() }, Some(run.to_path_buf()));
    let outcome = planned(share * SHARE).and_then(|job| {
        // What was planned with took time, and the end of the run will: all rows are predicted once more.
        let (train, validation, test) = job.description().rows;
        let each = job.description().seconds_per_epoch / (train + validation).max(1) as f64;
        let end = each * (contest.pool.len() + test) as f64 / 2.0;
        let allowed = (share - cost.seconds()) * SHARE - end;
        let fits = job.description().seconds_total <= allowed.max(0.0);
        if fits || allowed <= 0.1 { Ok((job, fits, allowed)) } else { Ok((planned(allowed)?, true, allowed)) }
    });
    let mut job = match outcome {
        Ok((job, true, _)) => job,
        Ok((job, false, allowed)) => return Ok(too_little(job.description().seconds_total, allowed)),
        Err(error @ TrainError::Io { .. }) => return Err(error),
        Err(error) if error.kind() == ErrorKind::Input => return Ok(Ended::NotRun(error.to_string())),
        Err(error) => return Err(error),
    };
    let (epochs, wanted) = (job.description().epochs, job.wanted_epochs);
    if f64::from(epochs) < f64::from(wanted) * LEAST {
        let why = format!("the time allows {epochs} of {wanted} epochs, in which it learns too little to be compared");
        return Ok(Ended::Late(why, share));
    }
    let note = (epochs < wanted).then(|| format!("the time allowed {epochs} of {wanted} epochs"));
    job.remembers = true;
    let data = job.description().model.clone();
    let mut watch = Watch::new(observer, clock);
    let outcome = job.run(&mut watch);
    let stopped = watch.asked();
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
    // What the run noted is in its own result.
    report.notes = note.into_iter().collect();
    let folds = match &report.metrics.validation_folds[..] {
        [] => vec![report.metrics.validation.clone()],
        folds => folds.to_vec(),
    };
    let Some(on_test) = report.on_test.take() else {
        return Err(TrainError::run(run, "has no test rows that were predicted"));
    };
    let source = contest.data.prepare(&contest.pool)?.source;
    let targets = source.targets_of(&on_test.predictions.rows);
    let rows = contest.single(&on_test.predictions, &targets);
    let chosen = format!("{data}, {} epochs", report.best_epoch);
    let mut train_seconds = report.seconds_per_epoch * f64::from(report.best_epoch);
    let mut predict_seconds = on_test.seconds;
    if let (Some(published), Network::LastLayer(_)) = (&contest.published, network) {
        // It was trained and measured on features that were known; those of new samples are not.
        let each = published.seconds_per_sample(&contest.pool)?;
        train_seconds += each * contest.pool.len() as f64;
        predict_seconds += each * rows.len() as f64;
    }
    let timed = (rows.len(), predict_seconds, train_seconds);
    let result = result(contest, way, &folds, &report, timed, &cost, chosen);
    Ok(Ended::Ran(Box::new(Ran { result, rows })))
}

/// Seconds that the way takes at least, by what is known before it is planned, which takes long for large networks.
fn least_seconds(contest: &Contest, network: &Network) -> Result<f64> {
    let (Some(published), Network::FineTuning(_)) = (&contest.published, network) else {
        // The data is opened once more.
        return Ok(contest.seconds);
    };
    let each = published.seconds_per_sample(&contest.pool)?;
    // Two epochs of each fold and of the final training.
    let epochs = 2.0 * (contest.folds.len() + 1) as f64;
    Ok(contest.seconds + BACKWARD * each * contest.pool.len() as f64 * epochs)
}

fn words(seconds: f64) -> String {
    crate::text::words::duration(seconds)
}

fn settings(contest: &Contest, network: &Network) -> Settings {
    // The data is the same for all ways; the run that follows the comparison looks at it.
    let settings = Settings { checks: false, ..contest.settings.clone() };
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
