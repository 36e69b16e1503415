//! How a run begins: settings and paths are found good, the data is opened and split.

use std::path::{Path, PathBuf};

use deepfit_data::{Dataset, OpenOptions, SplitOptions};
use deepfit_zoo::ModelConfig;

use super::Job;
use crate::error::{Result, TrainError};
use crate::recipe::Recipe;
use crate::run_folder::RunFolder;
use crate::settings::Settings;

/// Opens the data, splits it, chooses what the settings leave open, builds the network and plans its memory. Writes
/// nothing.
///
/// # Errors
/// If the data or a setting is wrong, or the output folder is in use.
pub fn prepare(settings: Settings, out: Option<PathBuf>) -> Result<Job> {
    settings.validate()?;
    for (key, path) in [
        ("data", Some(&settings.data)),
        ("labels", settings.labels.as_ref()),
        ("validation", settings.validation.as_ref()),
        ("test", settings.test.as_ref()),
    ] {
        path.map_or(Ok(()), |path| require_utf8(key, path).and_then(|()| require_lasting(path)))?;
    }
    out.as_ref().map_or(Ok(()), |out| require_utf8("out", out))?;
    if settings.data.join("settings.toml").is_file() && settings.data.join("checkpoint").is_dir() {
        let problem = "is a run folder, not data; continue it with --resume, or give the data that it was trained on";
        return Err(TrainError::run(&settings.data, problem));
    }
    let automatic = out.is_none();
    let folder = out.map_or_else(|| RunFolder::next_for(&settings.data), RunFolder::at);
    if folder.settings().exists() {
        let problem = "holds a run already; choose another folder with --out, or continue it with --resume";
        return Err(TrainError::run(folder.root(), problem));
    }
    let data = open(&settings)?;
    let shares = SplitOptions { seed: settings.seed, validation: settings.validation_share, test: settings.test_share };
    let split = data.split(&shares)?;
    let mut job = Job::plan(data, split, settings, folder, None, true)?;
    job.automatic = automatic;
    Ok(job)
}

/// Data is read more than once: by the run, and by one that resumes it.
fn require_lasting(path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() && !found.is_dir() => {
            let problem = "is a pipe or a device, which can be read once at most; save the data in a file";
            Err(TrainError::run(path, problem))
        }
        // What does not exist is explained where the data is opened.
        _ => Ok(()),
    }
}

/// Settings and reports are text, and hold the paths that they name in full.
fn require_utf8(key: &str, path: &Path) -> Result<()> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    if whole.to_str().is_some() {
        return Ok(());
    }
    let problem = format!(
        "the path '{}' is not UTF-8 text, so that a run cannot note it; rename it, or link to it by another name",
        whole.display()
    );
    Err(TrainError::setting(key, problem))
}

pub(super) fn open(settings: &Settings) -> Result<Dataset> {
    let options = OpenOptions {
        target: settings.target.clone(),
        task: settings.task,
        image_size: settings.image_size,
        channels: settings.channels,
        scaling: settings.scaling.unwrap_or_default(),
        threads: settings.threads,
        labels: settings.labels.clone(),
        validation: settings.validation.clone(),
        test: settings.test.clone(),
        ..OpenOptions::default()
    };
    Ok(deepfit_data::open(&settings.data, &options)?)
}

/// What would be trained on data: its description, the recipe and the network.
pub(crate) fn choose(settings: Settings) -> Result<(Vec<String>, Recipe, ModelConfig)> {
    let data = open(&settings)?;
    let shares = SplitOptions { seed: settings.seed, validation: settings.validation_share, test: settings.test_share };
    let split = data.split(&shares)?;
    let (recipe, _) = Recipe::resolve(settings, &data, &split)?;
    let prepared = data.prepare(&split.train)?;
    let model = recipe.model(&prepared, &split.train)?;
    Ok((data.describe(), recipe, model))
}
