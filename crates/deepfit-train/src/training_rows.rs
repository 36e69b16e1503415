//! The rows that a run has learned from, or was measured on, opened again for whoever compares or explains.

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
    let Some((settings, split)) = of_run(run)? else { return Ok(None) };
    let mut opened = open(run, &settings, &settings.data, preprocessor, threads)?;
    opened.rows = found(&opened, &settings.data, &split.train).into_iter().map(|(row, _)| row).collect();
    if opened.rows.is_empty() {
        let problem = "has changed: none of the rows that the run has learned from is there";
        return Err(TrainError::run(&settings.data, problem));
    }
    Ok(Some(opened))
}

/// The test rows of a run, prepared as its model wants them, in [`Opened::rows`], with where each of these comes from.
///
/// # Errors
/// As [`training_rows`]; also if this is no run folder.
pub fn test_rows(run: &Path, preprocessor: &Preprocessor, threads: usize) -> Result<(Opened, Vec<RowId>)> {
    let Some((settings, split)) = of_run(run)? else {
        return Err(TrainError::run(run, "is not a run folder, and has no test rows"));
    };
    let data = settings.test.as_ref().unwrap_or(&settings.data);
    let mut opened = open(run, &settings, data, preprocessor, threads)?;
    let (rows, ids): (Vec<u32>, Vec<RowId>) = found(&opened, data, &split.test).into_iter().unzip();
    if rows.is_empty() {
        return Err(TrainError::run(data, "has changed: none of the rows that the run was tested on is there"));
    }
    opened.rows = rows;
    Ok((opened, ids))
}

/// Settings and split of a run folder; nothing if it is none.
fn of_run(run: &Path) -> Result<Option<(Settings, SavedSplit)>> {
    if !run.join("settings.toml").is_file() {
        return Ok(None);
    }
    let folder = RunFolder::open(run)?;
    let (settings, _) = Settings::of_run(&folder.settings())?;
    let damaged = |e: serde_json::Error| TrainError::run(folder.split(), format!("is damaged: {e}"));
    let split: SavedSplit = serde_json::from_str(&read_text(&folder.split())?).map_err(damaged)?;
    Ok(Some((settings, split)))
}

/// Opens data that a run names.
fn open(run: &Path, settings: &Settings, data: &Path, preprocessor: &Preprocessor, threads: usize) -> Result<Opened> {
    let labels = settings.labels.as_ref().filter(|_| data == settings.data);
    let missing = [Some(data), labels.map(|path| &**path)].into_iter().flatten().find(|path| !path.exists());
    if let Some(path) = missing {
        let problem = format!("names the data '{}', which is no longer there", path.display());
        return Err(TrainError::run(RunFolder::at(run).settings(), problem));
    }
    Ok(match labels {
        Some(labels) => preprocessor.open_images_with(data, labels, threads)?,
        None => preprocessor.open_labelled(data, threads)?,
    })
}

/// The rows that are named in a part of a split, with their names there.
fn found(opened: &Opened, data: &Path, part: &[RowId]) -> Vec<(u32, RowId)> {
    let part: HashSet<&RowId> = part.iter().collect();
    let numbered = part.iter().all(|id| matches!(id, RowId::Row(_)));
    let id = |row: u32| {
        let name = &opened.names[row as usize];
        match name.parse() {
            Ok(number) if numbered => RowId::Row(number),
            // A table of images tells rows by their number, and names are paths.
            _ if numbered => {
                let of_table = opened.table_rows().and_then(|rows| rows.get(row as usize).copied());
                RowId::Row(u64::from(of_table.unwrap_or(row)))
            }
            _ => RowId::Path(inside(name, data)),
        }
    };
    (0..opened.source.len() as u32).map(|row| (row, id(row))).filter(|(_, id)| part.contains(id)).collect()
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
