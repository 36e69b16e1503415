//! Rows that a model has learned from, known again by hashes of their inputs: figures of them say nothing of new rows.

use std::fs;
use std::path::Path;

use deepfit_data::Source;

use crate::error::{Result, TrainError};
use crate::model_folder;
use crate::run_folder::{Durability, write_atomically};

/// In the model folder: hashes, 8 bytes each, little endian, ascending.
const FILE: &str = "learned-rows.bin";
/// Rows of larger data are not noted.
const MOST_ROWS: usize = 1 << 20;

/// Notes the rows that a model has learned from, where their inputs have hashes that cost no reading of files.
///
/// # Errors
/// If the file cannot be written.
pub fn save(folder: &Path, source: &dyn Source, rows: &[u32]) -> Result<()> {
    if rows.len() > MOST_ROWS {
        return Ok(());
    }
    let Some(mut hashes) = hashes(source, rows) else { return Ok(()) };
    hashes.sort_unstable();
    let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
    write_atomically(&folder.join(FILE), Durability::Process, |path| fs::write(path, &bytes))
}

fn hashes(source: &dyn Source, rows: &[u32]) -> Option<Vec<u64>> {
    rows.iter().map(|&row| source.content_of(row).map(|hash| hash as u64)).collect()
}

/// As [`note`], of the model folder of a run folder or of a model folder; nothing of what is neither.
///
/// # Errors
/// If what was noted is damaged.
pub fn learned_note(model: &Path, source: &dyn Source, rows: &[u32]) -> Result<Option<String>> {
    model_folder::find(model).map_or(Ok(None), |folder| note(&folder, source, rows))
}

/// What to know of rows that are looked at, if the model of a folder has learned from some of them.
///
/// # Errors
/// If what was noted is damaged.
pub fn note(folder: &Path, source: &dyn Source, rows: &[u32]) -> Result<Option<String>> {
    let path = folder.join(FILE);
    let Ok(bytes) = fs::read(&path) else { return Ok(None) };
    if bytes.len() % 8 != 0 {
        let problem = "is damaged: delete it, which costs no more than a warning of rows that were learned from";
        return Err(TrainError::run(path, problem));
    }
    let learned: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|hash| u64::from_le_bytes(*hash)).collect();
    let Some(hashes) = hashes(source, rows) else { return Ok(None) };
    let known = hashes.iter().filter(|hash| learned.binary_search(hash).is_ok()).count();
    Ok((known > 0).then(|| {
        format!(
            "the model has learned from {known} of these {} rows, or from rows with the same inputs: the figures are better \
             than those of new rows will be",
            rows.len()
        )
    }))
}
