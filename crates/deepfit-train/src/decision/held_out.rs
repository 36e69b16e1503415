//! Predictions of rows that a stage did not learn from, kept until it is known which epoch and way validation chooses.
//!
//! They lie in a file for each stage beside the checkpoint: of folds those of each epoch, since all folds together choose one;
//! else those of the best epoch so far. A run that is resumed computes again what it had computed, so that records of epochs
//! which its checkpoint does not know are right, and stay.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Result, TrainError};
use crate::run_folder::{Durability, HELD_OUT, LOSSES, write_atomically};

/// Bytes before the numbers of a record: epoch, rows, outputs, and a checksum of what follows.
const HEADER: usize = 20;
/// Most bytes that the records of a stage may take.
pub const MOST_BYTES: u64 = 256 << 20;

/// Predictions of rows that were not learned from, with what is true.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeldOut {
    /// The rows.
    pub rows: Vec<u32>,
    /// Probabilities `[rows, outputs]`, or values in original units.
    pub values: Vec<f32>,
    /// Classes, values in original units, or 1 and 0 for each label.
    pub targets: Vec<f32>,
    /// Weight of each row; all are 1 if there are none.
    pub weights: Vec<f64>,
    /// A number for each row that those of identical inputs share.
    pub groups: Vec<u32>,
}

#[allow(clippy::len_without_is_empty)]
impl HeldOut {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Weight of a row.
    pub fn weight(&self, row: usize) -> f64 {
        self.weights.get(row).copied().unwrap_or(1.0)
    }
}

/// What was predicted in one epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// The rows, in the order of their predictions.
    pub rows: Vec<u32>,
    /// `[rows, outputs]`.
    pub values: Vec<f32>,
}

impl Record {
    fn bytes(&self, epoch: u32) -> Vec<u8> {
        let outputs = self.values.len() / self.rows.len().max(1);
        let mut content = Vec::with_capacity(4 * (self.rows.len() + self.values.len()));
        self.rows.iter().for_each(|row| content.extend(row.to_le_bytes()));
        self.values.iter().for_each(|value| content.extend(value.to_le_bytes()));
        let mut bytes = Vec::with_capacity(HEADER + content.len());
        for number in [epoch, self.rows.len() as u32, outputs as u32] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(xxh3_64(&content).to_le_bytes());
        bytes.extend(content);
        bytes
    }
}

/// The records of a stage.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    /// Whether those of all epochs stay.
    all: bool,
    /// Opened when the first is added in this process; what a killed process had written in part is cut off.
    file: Option<File>,
}

impl Records {
    /// The records of a stage, numbered from 0, beside a checkpoint.
    pub fn new(checkpoint: &Path, stage: usize, all: bool) -> Records {
        Records { path: checkpoint.with_file_name(format!("{HELD_OUT}{}.bin", stage + 1)), all, file: None }
    }

    /// Losses of validation rows after all epochs of a stage, numbered from 0, beside a checkpoint.
    pub fn of_losses(checkpoint: &Path, stage: usize) -> Records {
        Records { path: checkpoint.with_file_name(format!("{LOSSES}{}.bin", stage + 1)), all: true, file: None }
    }

    /// Whether those of all epochs stay.
    pub fn keeps_all(&self) -> bool {
        self.all
    }

    /// Adds what an epoch has predicted, or puts it in the place of what was there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, epoch: u32, record: &Record) -> Result<()> {
        let bytes = record.bytes(epoch);
        if !self.all {
            return write_atomically(&self.path, Durability::Process, |path| File::create(path)?.write_all(&bytes));
        }
        let fail = |source| TrainError::Io { action: "write", path: self.path.clone(), source };
        let mut file = match self.file.take() {
            Some(file) => file,
            None => {
                let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
                let mut file = options.open(&self.path).map_err(fail)?;
                let whole = scan(&mut file, |_, _| false).map_err(fail)?.1;
                file.set_len(whole).and_then(|()| file.seek(SeekFrom::End(0))).map_err(fail)?;
                file
            }
        };
        file.write_all(&bytes).map_err(fail)?;
        self.file = Some(file);
        Ok(())
    }

    /// What was predicted in an epoch or, if the stage ended before it, in the last one before that; `None` if that is not
    /// there, or damaged.
    pub fn read(&self, epoch: u32) -> Option<Record> {
        let mut file = File::open(&self.path).ok()?;
        let mut nearest = 0;
        scan(&mut file, |of, _| {
            nearest = if of <= epoch { nearest.max(of) } else { nearest };
            false
        })
        .ok()?;
        file.seek(SeekFrom::Start(0)).ok()?;
        scan(&mut file, |of, _| of == nearest).ok()?.0
    }
}

/// Goes through the records of a file: the last whole one that is wanted, and where the last whole one ends.
fn scan(file: &mut File, mut wanted: impl FnMut(u32, usize) -> bool) -> std::io::Result<(Option<Record>, u64)> {
    let length = file.metadata()?.len();
    let (mut found, mut end) = (None, 0);
    loop {
        let mut header = [0; HEADER];
        if length - end < HEADER as u64 {
            return Ok((found, end));
        }
        file.read_exact(&mut header)?;
        let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (epoch, rows, outputs) = (number(0), number(4) as usize, number(8) as usize);
        let checksum = u64::from(number(12)) | u64::from(number(16)) << 32;
        let size = (rows as u64).saturating_mul(outputs as u64 + 1).saturating_mul(4);
        if length - end - (HEADER as u64) < size {
            return Ok((found, end));
        }
        if wanted(epoch, rows) {
            let mut content = vec![0; size as usize];
            file.read_exact(&mut content)?;
            if xxh3_64(&content) == checksum {
                let word = |bytes: &[u8]| [bytes[0], bytes[1], bytes[2], bytes[3]];
                let (of_rows, of_values) = content.split_at(4 * rows);
                found = Some(Record {
                    rows: of_rows.chunks_exact(4).map(|bytes| u32::from_le_bytes(word(bytes))).collect(),
                    values: of_values.chunks_exact(4).map(|bytes| f32::from_le_bytes(word(bytes))).collect(),
                });
            }
        } else {
            file.seek(SeekFrom::Current(size as i64))?;
        }
        end += HEADER as u64 + size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: f32) -> Record {
        Record { rows: vec![3, 1], values: vec![value, 1.0 - value, 0.5, 0.5] }
    }

    #[test]
    fn records_are_found_by_their_epoch_also_behind_one_that_was_cut_off() {
        let folder = std::env::temp_dir().join(format!("deepfit-held-out-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let checkpoint = folder.join("state.safetensors");
        let mut records = Records::new(&checkpoint, 0, true);
        assert_eq!(records.read(1), None);
        (1..=3).for_each(|epoch| records.add(epoch, &record(epoch as f32 / 10.0)).unwrap());
        assert_eq!(records.read(2), Some(record(0.2)));
        assert_eq!(records.read(9), Some(record(0.3)), "the stage ended early");
        // A process that was killed while it wrote, and the next one.
        let path = folder.join("held-out-1.bin");
        let length = std::fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 5).unwrap();
        let mut records = Records::new(&checkpoint, 0, true);
        assert_eq!(records.read(3), Some(record(0.2)));
        records.add(3, &record(0.3)).unwrap();
        assert_eq!((records.read(3), records.read(2)), (Some(record(0.3)), Some(record(0.2))));
        // Of the best epoch alone.
        let mut best = Records::new(&checkpoint, 1, false);
        best.add(4, &record(0.4)).unwrap();
        best.add(6, &record(0.6)).unwrap();
        assert_eq!((best.read(6), best.read(5)), (Some(record(0.6)), None));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
