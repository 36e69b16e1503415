//! How a run that ended early is opened again, and what it must still agree with.

use std::path::Path;
use std::time::Instant;

use deepfit_data::SavedSplit;

use super::Job;
use super::begin::{Begun, open};
use crate::classical;
use crate::error::{Result, TrainError};
use crate::fingerprint::{Stamp, has_changed, with_model};
use crate::finish::shell_word;
use crate::learner::Learner;
use crate::progress::{self, Saved};
use crate::run_folder::{RunFolder, read_text};
use crate::settings::Settings;

/// Opens a run that was interrupted, or killed.
///
/// # Errors
/// If it is no run folder, a file in it is damaged, or the data has changed or is gone.
pub fn resume(run: &Path) -> Result<Job> {
    resume_with(run, None)
}

/// Like [`resume`], perhaps with another number of threads, which does not change the result.
///
/// # Errors
/// As [`resume`], or if the number of threads is out of range.
pub fn resume_with(run: &Path, threads: Option<usize>) -> Result<Job> {
    let at = Instant::now();
    let folder = RunFolder::open(run)?;
    classical::refuse(run)?;
    // Before anything is read; the lock that counts is taken when training begins.
    drop(folder.lock()?);
    let (mut settings, began_with) = Settings::of_run(&folder.settings())?;
    if let Some(threads) = threads {
        settings.threads = threads;
        settings.validate()?;
    }
    require_data(&folder, &settings)?;
    if has_changed(&settings, began_with.as_deref())? {
        let problem = "has changed since the run began, which cannot be resumed on other data; start a new run";
        return Err(TrainError::run(&settings.data, problem));
    }
    let again = || {
        let settings = shell_word(&folder.settings().to_string_lossy());
        format!("start a new run, which splits as this one did: deepfit train --config {settings}")
    };
    if !folder.split().is_file() {
        let problem = format!("is missing: it tells which rows are for training and which for the test; {}", again());
        return Err(TrainError::run(folder.split(), problem));
    }
    let damaged = |e: serde_json::Error| TrainError::run(folder.split(), format!("is damaged: {e}; {}", again()));
    let saved_split: SavedSplit = serde_json::from_str(&read_text(&folder.split())?).map_err(damaged)?;
    let checkpoint = folder.checkpoint();
    let exists = checkpoint.try_exists();
    let saved = if exists.map_err(|source| TrainError::Io { action: "read", path: checkpoint.clone(), source })? {
        Some(progress::load(&folder.checkpoint(), &folder.metrics())?)
    } else {
        None
    };
    if let Some(began) = saved.as_ref().and_then(|saved| saved.progress.settings.as_deref()) {
        require_same_settings(&folder, &settings, began)?;
    }
    let stamp = Stamp::of(settings.paths());
    let opened = open(&mut settings)?;
    stamp.check()?;
    if let (Some(backbone), Some(then)) = (&opened.backbone, &began_with)
        && then.contains('-')
        && *then != with_model(then.split('-').next().unwrap_or_default(), backbone.digest)
    {
        let problem = "holds other weights than when the run began, which cannot be resumed with them; put back the \
                       model that it began with, or start a new run";
        return Err(TrainError::run(&backbone.name, problem));
    }
    let split = opened.data.restore_split(&saved_split).map_err(|error| match error {
        newer @ deepfit_data::Error::NewerVersion { .. } => TrainError::run(folder.split(), newer.to_string()),
        other => TrainError::run(folder.split(), format!("cannot be used: {other}; {}", again())),
    })?;
    Job::plan(&Begun::new(opened, at, stamp), split, settings, folder, saved, false, None)
}

/// The data of a run must still be where its settings say.
fn require_data(folder: &RunFolder, settings: &Settings) -> Result<()> {
    let places = [
        ("data", Some(&settings.data)),
        ("labels", settings.labels.as_ref()),
        ("validation", settings.validation.as_ref()),
        ("test", settings.test.as_ref()),
    ];
    for (key, path) in places {
        if let Some(path) = path.filter(|path| !path.exists()) {
            let problem = format!(
                "its setting `{key}` names '{}', which does not exist: put the data back there, or change this setting to \
                 where it is now",
                path.display()
            );
            return Err(TrainError::run(folder.settings(), problem));
        }
    }
    Ok(())
}

/// Settings that a run may go on with changed: where things are, and what the result does not depend on.
const CHANGEABLE: [&str; 6] = ["data", "labels", "validation", "test", "threads", "memory"];

/// A network that has learned with some settings cannot go on with others.
fn require_same_settings(folder: &RunFolder, now: &Settings, began: &str) -> Result<()> {
    let path = folder.settings();
    let mut then = Settings::default();
    then.merge_toml(began, &folder.checkpoint())?;
    let table = |settings: &Settings| toml::Table::try_from(settings);
    let (Ok(now), Ok(then)) = (table(now), table(&then)) else { return Ok(()) };
    let shown = |value: Option<&toml::Value>| value.map_or("not set".to_string(), toml::Value::to_string);
    let changed: Vec<String> = Settings::KEYS
        .iter()
        .map(|(key, _)| *key)
        .filter(|key| !CHANGEABLE.contains(key) && now.get(*key) != then.get(*key))
        .map(|key| format!("`{key}` is {} and was {}", shown(now.get(key)), shown(then.get(key))))
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let problem = format!(
        "has changed since the run began: {}. A run goes on with the settings that it began with: put them back, or start \
         a new run with these: deepfit train --config {}",
        changed.join(", "),
        shell_word(&path.to_string_lossy())
    );
    Err(TrainError::run(path, problem))
}

/// The parameters of a checkpoint must be those of the network, by name and shape.
pub(super) fn require_fit(folder: &RunFolder, learner: &Learner, saved: &Saved) -> Result<()> {
    let problem = learner
        .state()
        .find_map(|(name, tensor)| match saved.state.get(name) {
            None => Some(format!("has no `{name}`")),
            Some(other) if other.shape != tensor.shape => {
                Some(format!("has `{name}` of shape {:?}, not {:?}", other.shape, tensor.shape))
            }
            Some(_) => None,
        })
        .or_else(|| {
            let known = |name: &String| learner.state().any(|(known, _)| known == name);
            saved.state.keys().find(|name| !known(name)).map(|name| format!("has `{name}`, which is not needed"))
        });
    problem.map_or(Ok(()), |problem| {
        let told = format!(
            "is not of the network that settings.toml describes: it {problem}. A run goes on with the settings that it \
             began with: put them back, or start a new run with `deepfit train --config` and that file"
        );
        Err(TrainError::run(folder.checkpoint(), told))
    })
}
