//! The rows that a run has learned from, or was measured on, opened again for whoever compares or explains.

use std::collections::HashSet;
use std::path::{Component, Path};

use deepfit_data::{Opened, Preprocessor, RowId, SavedSplit};

use crate::error::{Result, TrainError};
use crate::fingerprint::has_changed;
use crate::run_folder::{RunFolder, read_text};
use crate::settings::Settings;

/// The training rows of a run, prepared as its model wants them, in [`Opened::rows`]; nothing if this is no run folder, such
/// as a model that was published.
///
/// # Errors
/// If the data is not where the run says, or is no longer what it was trained on.
pub fn training_rows(run: &Path, preprocessor: &Preprocessor, threads: usize) -> Result<Option<Opened>> {
    let Some(of_run) = of_run(run)? else { return Ok(None) };
    let OfRun { settings, split, .. } = &of_run;
    let mut opened = open(run, &of_run, &settings.data, preprocessor, threads)?;
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
    let Some(of_run) = of_run(run)? else {
        return Err(TrainError::run(run, "is not a run folder, and has no test rows"));
    };
    let OfRun { settings, split, .. } = &of_run;
    let data = settings.test.as_ref().unwrap_or(&settings.data);
    let mut opened = open(run, &of_run, data, preprocessor, threads)?;
    let (rows, ids): (Vec<u32>, Vec<RowId>) = found(&opened, data, &split.test).into_iter().unzip();
    if rows.is_empty() {
        return Err(TrainError::run(data, "has changed: none of the rows that the run was tested on is there"));
    }
    opened.rows = rows;
    Ok((opened, ids))
}

/// What to know of a model that is measured on the very data that its run has learned a part of, if that has changed since.
///
/// # Errors
/// If the settings of the run are damaged, or the data cannot be read.
pub fn changed_note(run: &Path, data: &Path) -> Result<Option<String>> {
    let settings = RunFolder::at(run).settings();
    if !settings.is_file() {
        return Ok(None);
    }
    let (settings, began_with) = Settings::of_run(&settings)?;
    let same = matches!((settings.data.canonicalize(), data.canonicalize()), (Ok(own), Ok(given)) if own == given);
    Ok((same && has_changed(&settings, began_with.as_deref())?).then(|| {
        format!(
            "'{}' is what the run has learned from, and has changed since: rows that it has learned from may be among these with \
             other values",
            data.display()
        )
    }))
}

/// What a run folder says of its data.
struct OfRun {
    settings: Settings,
    /// What the data was when the run began.
    began_with: Option<String>,
    split: SavedSplit,
}

/// Settings and split of a run folder; nothing if it is none.
fn of_run(run: &Path) -> Result<Option<OfRun>> {
    if !run.join("settings.toml").is_file() {
        return Ok(None);
    }
    let folder = RunFolder::open(run)?;
    let (settings, began_with) = Settings::of_run(&folder.settings())?;
    let damaged = |e: serde_json::Error| TrainError::run(folder.split(), format!("is damaged: {e}"));
    let split: SavedSplit = serde_json::from_str(&read_text(&folder.split())?).map_err(damaged)?;
    Ok(Some(OfRun { settings, began_with, split }))
}

/// Opens data that a run names, which must be what it was: else its rows are not those of the split.
fn open(run: &Path, of_run: &OfRun, data: &Path, preprocessor: &Preprocessor, threads: usize) -> Result<Opened> {
    let OfRun { settings, began_with, .. } = of_run;
    let labels = settings.labels.as_ref().filter(|_| data == settings.data);
    let missing = [Some(data), labels.map(|path| &**path)].into_iter().flatten().find(|path| !path.exists());
    if let Some(path) = missing {
        let problem = format!("names the data '{}', which is no longer there", path.display());
        return Err(TrainError::run(RunFolder::at(run).settings(), problem));
    }
    if data == settings.data && has_changed(settings, began_with.as_deref())? {
        let problem = "has changed since the run, so that its rows are not those that the run has learned from and was tested \
                       on; put it back as it was, or train again";
        return Err(TrainError::run(data, problem));
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
