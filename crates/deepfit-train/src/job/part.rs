//! A run on some of the rows of another, perhaps with its labels shuffled.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use deepfit_data::{Array, Batch, Cell, DType, Dataset, Pass, Piece, Slot, Source, Split};

use super::Job;
use super::begin::{Begun, open};
use crate::error::Result;
use crate::fingerprint::Stamp;
use crate::run_folder::RunFolder;
use crate::settings::Settings;

/// For each row of the data the row whose target it has.
pub(crate) type Permutation = Arc<[u32]>;

/// Opens the data, and plans a run on the rows that `divide` chooses.
///
/// # Errors
/// As [`prepare`](super::prepare).
pub(crate) fn prepare_part(
    mut settings: Settings,
    out: PathBuf,
    divide: impl FnOnce(&Dataset) -> Result<(Split, Option<Permutation>)>,
) -> Result<Job> {
    settings.validate()?;
    let (at, stamp) = (Instant::now(), Stamp::of(settings.paths()));
    let opened = open(&mut settings)?;
    let (split, permutation) = divide(&opened.data)?;
    Job::plan(&Begun::new(opened, at, stamp), split, settings, RunFolder::at(out), None, true, permutation)
}

/// Rows with the targets of others.
pub(super) struct Permuted {
    pub(super) inner: Arc<dyn Source>,
    pub(super) of: Permutation,
}

impl Permuted {
    fn others(&self, rows: &[u32]) -> Vec<u32> {
        rows.iter().map(|&row| self.of.get(row as usize).copied().unwrap_or(row)).collect()
    }
}

impl Source for Permuted {
    fn len(&self) -> usize {
        self.inner.len()
    }
    fn slots(&self) -> &[Slot] {
        self.inner.slots()
    }
    fn target_dtype(&self) -> DType {
        self.inner.target_dtype()
    }
    fn target_width(&self) -> usize {
        self.inner.target_width()
    }
    fn has_targets(&self) -> bool {
        self.inner.has_targets()
    }
    fn fill(&self, rows: &[u32], pass: Pass<'_>, out: &mut Batch) -> deepfit_data::Result<()> {
        self.inner.fill(rows, pass, out)?;
        let others = self.others(&out.rows);
        self.inner.targets(&others, &mut out.targets);
        Ok(())
    }
    fn targets(&self, rows: &[u32], out: &mut Array) {
        self.inner.targets(&self.others(rows), out);
    }
    fn piece_of(&self, row: u32) -> Piece {
        self.inner.piece_of(row)
    }
    fn beside_slots(&self) -> &[Slot] {
        self.inner.beside_slots()
    }
    fn beside(&self, rows: &[u32], out: &mut Array) -> deepfit_data::Result<()> {
        self.inner.beside(rows, out)
    }
    fn length_of(&self, row: u32) -> Option<usize> {
        self.inner.length_of(row)
    }
    fn longest(&self) -> usize {
        self.inner.longest()
    }
    fn content_of(&self, row: u32) -> Option<u128> {
        self.inner.content_of(row)
    }
    fn cell(&self, row: u32, column: usize) -> Option<Cell> {
        self.inner.cell(row, column)
    }
    fn resident_bytes(&self) -> usize {
        self.inner.resident_bytes()
    }
    fn scratch_bytes(&self) -> usize {
        self.inner.scratch_bytes()
    }
    fn batch_bytes(&self, batch: usize) -> usize {
        self.inner.batch_bytes(batch)
    }
}
