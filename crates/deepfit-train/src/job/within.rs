//! Limits of memory and time: what of a run is given up so that it keeps within them.

use std::path::PathBuf;
use std::time::Instant;

use deepfit_data::Split;

use super::Job;
use super::begin::{Begun, open, prepare};
use crate::budget::{self, Kind, Rung};
use crate::error::{Result, TrainError};
use crate::fingerprint::Stamp;
use crate::forecast::Description;
use crate::recipe::Recipe;
use crate::run_folder::RunFolder;
use crate::settings::Settings;
use crate::text::words;
use crate::transfer::SCRATCH;

/// A published network is not begun with if its features take more than this share of the time.
const MOST_OF_TIME: f64 = 0.6;
/// A model for which the time allows fewer epochs than this, and than it should have, gives way to a faster one.
const FEWEST_EPOCHS: u32 = 5;
/// A run is rounded to bfloat16 only if that gives it so many times the epochs: less may be chance.
const WORTH_ROUNDING: f64 = 1.2;
/// How often a larger limit is tried, before it is told what would do.
const MOST_TRIES: usize = 6;

/// The run as the settings ask for it, or what of that fits into the limits of memory and time.
/// `roughly` tries slow steps on few rows alone.
pub(super) fn fitted(asked: &Settings, folder: &RunFolder, given: Option<&PathBuf>, roughly: bool) -> Result<Job> {
    let mut first = Start::new(asked)?;
    first.begun.roughly = roughly;
    let is_open = first.begun.reason.is_some() && first.begun.backbone.is_some();
    let rungs = budget::smaller(asked, &first.begun.data);
    let job = match first.plan(asked, folder) {
        Err(TrainError::Budget { needed, limit }) => {
            return descend(asked, folder, first, rungs, (needed, limit));
        }
        planned => planned?,
    };
    let Some(time) = asked.time_of_each() else { return Ok(job) };
    let late = |job: &Job| is_open && job.description.seconds_features > MOST_OF_TIME * time;
    if late(&job) {
        let seconds = job.description.seconds_features;
        let slow = format!("features of a published network would take {seconds:.0} s of {time:.0} s");
        drop(job);
        if let Some(rung) = budget::rounded(asked) {
            let mut job = first.plan(&rung.apply(asked)?, folder)?;
            if !late(&job) {
                job.description.notes.insert(0, format!("{rung}: {slow} in f32"));
                return Ok(job);
            }
        }
        // Time is better spent on a network of its own, which begins at once.
        let why = format!("begins from scratch: {slow}");
        drop(first);
        let mut job = prepare(Settings { from: Some(SCRATCH.to_string()), ..asked.clone() }, given.cloned())?;
        job.description.notes.insert(0, why);
        return Ok(job);
    }
    if job.description.epochs >= FEWEST_EPOCHS.min(job.wanted_epochs) {
        return Ok(job);
    }
    quicken(asked, folder, first, job, time)
}

/// The first of ever smaller models that fits into the limit of memory.
fn descend(
    asked: &Settings,
    folder: &RunFolder,
    first: Start,
    rungs: Vec<Rung>,
    (needed, limit): (u64, u64),
) -> Result<Job> {
    let (at, mut least) = (first.begun.at, (needed, Rung::default()));
    let mut start = Some(first);
    for rung in rungs {
        let changed = rung.apply(asked)?;
        if rung.reopens() {
            // What was opened before goes first: it counts, too.
            drop(start.take());
        }
        let start = opened(&mut start, &changed, at)?;
        match start.plan(&changed, folder) {
            Err(TrainError::Budget { needed, .. }) => {
                if needed < least.0 {
                    least = (needed, rung);
                }
            }
            planned => {
                let mut job = planned?;
                let memory = words::bytes(limit);
                job.description.notes.insert(0, format!("{rung}: what the data would get does not fit into {memory}"));
                return Ok(job);
            }
        }
    }
    // What is refused early was not planned to its end: a limit is told only once the run was planned within it.
    drop(start);
    for _ in 0..MOST_TRIES {
        let more = Settings { memory: Some(least.0), ..least.1.apply(asked)? };
        match Start::new(&more)?.plan(&more, folder) {
            Err(TrainError::Budget { needed, .. }) => least.0 = needed.max(least.0 + 1),
            planned => {
                planned?;
                break;
            }
        }
    }
    Err(budget::too_small(limit, least.0, &least.1))
}

/// The first of ever faster ways for which the time allows enough epochs, or the one with the largest share of them.
fn quicken(asked: &Settings, folder: &RunFolder, first: Start, job: Job, time: f64) -> Result<Job> {
    let share = |job: &Job| f64::from(job.description.epochs) / f64::from(job.wanted_epochs.max(1));
    let is_enough = |job: &Job| job.description.epochs >= FEWEST_EPOCHS.min(job.wanted_epochs);
    let at = job.begun.0;
    let Description { epochs, model, .. } = &job.description;
    let slow = format!("the time allows {epochs} of {} epochs of {model}", job.wanted_epochs);
    let rounded = budget::rounded(asked);
    let rungs: Vec<Rung> = rounded.iter().cloned().chain(budget::faster(asked, &job.data)).collect();
    let mut best = (share(&job), Rung::default());
    // What was planned goes before something else is: both would count as memory.
    let mut current = Some((Rung::default(), job));
    let mut start = Some(first);
    for rung in rungs {
        if at.elapsed().as_secs_f64() > 0.3 * time {
            break;
        }
        drop(current.take());
        let changed = rung.apply(asked)?;
        if rung.reopens() {
            drop(start.take());
        }
        let own = opened(&mut start, &changed, at)?;
        let mut other = own.plan(&changed, folder)?;
        let least = if rounded.as_ref() == Some(&rung) { WORTH_ROUNDING * best.0 } else { best.0 };
        let is_better = share(&other) > least;
        if is_better {
            best = (share(&other), rung.clone());
        }
        let ends = is_better && is_enough(&other);
        other.description.notes.insert(0, format!("{rung}: {slow}"));
        current = Some((rung, other));
        if ends {
            break;
        }
    }
    match current {
        Some((rung, job)) if rung == best.1 => Ok(job),
        other => {
            drop(other);
            let changed = best.1.apply(asked)?;
            drop(start.take());
            let mut job = opened(&mut start, &changed, at)?.plan(&changed, folder)?;
            if best.1 != Rung::default() {
                job.description.notes.insert(0, format!("{}: {slow}", best.1));
            }
            Ok(job)
        }
    }
}

/// What is open already, or is opened now, in a run that began then.
fn opened<'a>(start: &'a mut Option<Start>, settings: &Settings, at: Instant) -> Result<&'a Start> {
    if start.is_none() {
        let mut own = Start::new(settings)?;
        own.begun.at = at;
        *start = Some(own);
    }
    Ok(start.as_ref().expect("it was opened just now"))
}

/// Data that was opened and split, from which runs are planned.
struct Start {
    begun: Begun,
    split: Split,
    /// What the settings of the data became when it was opened.
    from: Option<String>,
    test_share: f64,
}

impl Start {
    fn new(asked: &Settings) -> Result<Start> {
        let at = Instant::now();
        let stamp = Stamp::of(asked.paths());
        let mut settings = asked.clone();
        let opened = open(&mut settings)?;
        let split = opened.data.split(&settings.split_options())?;
        let begun = Begun::new(opened, at, stamp);
        if let Some(time) = asked.time_of_each().filter(|&time| at.elapsed().as_secs_f64() > time) {
            let seconds = at.elapsed().as_secs_f64();
            let problem = format!(
                "is {time} s, and reading the data alone took {seconds:.1} s; allow more, such as --time {:.0}s",
                (10.0 * seconds).ceil()
            );
            return Err(TrainError::setting("time", problem));
        }
        Ok(Start { begun, split, from: settings.from, test_share: settings.test_share })
    }

    /// Plans a run; within a limit of memory, with the largest batch that fits.
    fn plan(&self, asked: &Settings, folder: &RunFolder) -> Result<Job> {
        let settings = Settings { from: self.from.clone(), test_share: self.test_share, ..asked.clone() };
        let plan =
            |settings: Settings| Job::plan(&self.begun, self.split.clone(), settings, folder.clone(), None, true, None);
        let Some(limit) = asked.memory else { return plan(settings) };
        let (mut needed, over) = match plan(settings.clone()) {
            Err(TrainError::Budget { needed, .. }) => (needed, needed),
            planned => return planned,
        };
        let Begun { data, backbone, .. } = &self.begun;
        let (recipe, _) = Recipe::resolve(settings.clone(), data, &self.split, backbone.as_deref())?;
        for rung in budget::smaller_batches(asked, &recipe, Kind::of(data)) {
            match plan(rung.apply(&settings)?) {
                Err(TrainError::Budget { needed: other, .. }) => needed = needed.min(other),
                planned => {
                    let mut job = planned?;
                    let more = over.div_ceil(1_000_000);
                    let rows = recipe.batch();
                    job.description.notes.insert(
                        0,
                        format!(
                            "{rung}: batches of {rows} rows would need --memory {more}MB; updates see as many rows"
                        ),
                    );
                    return Ok(job);
                }
            }
        }
        Err(TrainError::Budget { needed, limit })
    }
}
