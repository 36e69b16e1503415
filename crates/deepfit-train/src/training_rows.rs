//! The rows that a run has learned from, opened again for whoever compares new ones with them.

use std::collections::HashSet;
use std::path::{Component, Path};

use deepfit_data::{Opened, Preprocessor, RowId, SavedSplit};

use crate::error::{Result, TrainError};
use crate::run_folder::{RunFolder, read_text};
use crate::settings::Settings;

/// The training rows of a run, prepared as its model wants them, in [`Opened::rows`]; nothing if this is no run folder, such
/// as a model that was published.
///
/// # Errors
/// If the data is not where the run says, or is no longer what it was trained on.
pub fn training_rows(run: &Path, preprocessor: &Preprocessor, threads: usize) -> Result<Option<Opened>> {
    if !run.join("settings.toml").is_file() {
        return Ok(None);
    }
    let folder = RunFolder::open(run)?;
    let (settings, _) = Settings::of_run(&folder.settings())?;
    let missing = [Some(&settings.data), settings.labels.as_ref()].into_iter().flatten().find(|path| !path.exists());
    if let Some(path) = missing {
        let problem = format!("names the training data '{}', which is no longer there", path.display());
        return Err(TrainError::run(folder.settings(), problem));
    }
    let damaged = |e: serde_json::Error| TrainError::run(folder.split(), format!("is damaged: {e}"));
    let split: SavedSplit = serde_json::from_str(&read_text(&folder.split())?).map_err(damaged)?;
    let mut opened = match &settings.labels {
        Some(labels) => preprocessor.open_images_with(&settings.data, labels, threads)?,
        None => preprocessor.open_labelled(&settings.data, threads)?,
    };
    let rows: HashSet<u64> =
        split.train.iter().filter_map(|id| if let RowId::Row(row) = id { Some(*row) } else { None }).collect();
    let paths: HashSet<&str> =
        split.train.iter().filter_map(|id| if let RowId::Path(path) = id { Some(&path[..]) } else { None }).collect();
    let learned = |row: u32| {
        let name = &opened.names[row as usize];
        match name.parse() {
            Ok(number) if paths.is_empty() => rows.contains(&number),
            // A table of images tells rows by their number, and names are paths.
            _ if paths.is_empty() => rows.contains(&u64::from(row)),
            _ => paths.contains(&inside(name, &settings.data)[..]),
        }
    };
    let known: Vec<u32> = (0..opened.source.len() as u32).filter(|&row| learned(row)).collect();
    if known.is_empty() {
        let problem = "has changed: none of the rows that the run has learned from is there";
        return Err(TrainError::run(&settings.data, problem));
    }
    opened.rows = known;
    Ok(Some(opened))
}

/// A file's path relative to the data that it is part of, as a split names it.
fn inside(name: &str, data: &Path) -> String {
    let path = Path::new(name);
    let relative = path.strip_prefix(data).unwrap_or(path);
    let parts = relative.components().filter_map(|part| match part {
        Component::Normal(part) => Some(part.to_string_lossy()),
        _ => None,
    });
    parts.collect::<Vec<_>>().join("/")
}
