//! The seam between data and training: rows in, batches out.

use crate::batch::{Array, Batch, DType, Slot};
use crate::error::Result;
use crate::image::augment::Augment;

/// What a batch is prepared for.
#[derive(Clone, Copy, Debug)]
pub enum Pass<'a> {
    /// Samples as they are.
    Evaluate,
    /// Samples augmented by a function of (seed, epoch, row) alone.
    Train {
        /// Seed of the run.
        seed: u64,
        /// Epoch, counted from 0.
        epoch: u32,
        /// What may be changed, and how much.
        augment: &'a Augment,
    },
}

/// A value of a table as it stands there.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing.
    Missing,
    /// A number, a truth value as 1 or 0, or days since 1970-01-01.
    Number(f64),
    /// A word of a category.
    Word(String),
}

/// The label of a place that has none of its own: it counts neither in the loss nor in metrics.
pub const IGNORED: i32 = -100;

/// What a row is of its sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Number of the sample.
    pub sample: u32,
    /// The first of the sample's words that the row has.
    pub first: usize,
    /// Number of the sample's words.
    pub all: usize,
}

/// Rows that can be turned into batches, from many threads at once.
pub trait Source: Send + Sync {
    /// Number of rows; rows are numbered from 0.
    fn len(&self) -> usize;

    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The inputs of a batch, in the order of [`Batch::inputs`].
    fn slots(&self) -> &[Slot];

    /// `I32` for class ids, `F32` for regression values and labels.
    fn target_dtype(&self) -> DType;

    /// Numbers of a sample's target: one, or one a label.
    fn target_width(&self) -> usize {
        1
    }

    /// Whether targets are known (they are not when new rows are predicted).
    fn has_targets(&self) -> bool;

    /// Replaces `out` with the samples of `rows`, in that order.
    ///
    /// # Errors
    /// When none of the rows, or too large a part of all rows seen so far, can be read.
    fn fill(&self, rows: &[u32], pass: Pass<'_>, out: &mut Batch) -> Result<()>;

    /// Replaces `out` with the targets of `rows`, in that order, as [`Source::fill`] gives them, without reading a sample.
    fn targets(&self, rows: &[u32], out: &mut Array);

    /// The targets of `rows`, in that order, as [`Source::targets`] gives them.
    fn targets_of(&self, rows: &[u32]) -> Array {
        let mut targets = Array::empty(self.target_dtype());
        self.targets(rows, &mut targets);
        targets
    }

    /// Of rows that are parts of longer samples, which part; others are samples of one word.
    fn piece_of(&self, row: u32) -> Piece {
        Piece { sample: row, first: 0, all: 1 }
    }

    /// Inputs that go to the last layer beside the features that a network's first blocks make.
    fn beside_slots(&self) -> &[Slot] {
        &[]
    }

    /// Appends to `out` what of each row goes to the last layer beside the features that a network's first blocks make.
    ///
    /// # Errors
    /// If a row cannot be read.
    fn beside(&self, rows: &[u32], out: &mut Array) -> Result<()> {
        let _ = (rows, out);
        Ok(())
    }

    /// Steps of a row's sequences, by which batches are made of rows of similar lengths; nothing where no input is a
    /// sequence.
    fn length_of(&self, row: u32) -> Option<usize> {
        let _ = row;
        None
    }

    /// Steps of the longest sequence; 1 where no input is a sequence.
    fn longest(&self) -> usize {
        1
    }

    /// A number that stands for the content of a row, by which what was made of it is found again; nothing where there is
    /// none, or it cannot be read.
    fn content_of(&self, row: u32) -> Option<u128> {
        let _ = row;
        None
    }

    /// Of a table what stands in a row, in the column of that place among those that the model uses.
    fn cell(&self, row: u32, column: usize) -> Option<Cell> {
        let _ = (row, column);
        None
    }

    /// Whether a picture is larger than what the network sees of it, so that its edges along two sides are cut away.
    fn is_cut(&self, row: u32) -> bool {
        let _ = row;
        false
    }

    /// Bytes the source holds as long as it lives.
    fn resident_bytes(&self) -> usize;

    /// Bytes one thread needs beside its batch while it fills it.
    fn scratch_bytes(&self) -> usize;

    /// Bytes of a batch of `batch` rows.
    fn batch_bytes(&self, batch: usize) -> usize {
        let steps = |slot: &Slot| if slot.sequence { self.longest() } else { 1 };
        let sample: usize = self.slots().iter().map(|slot| slot.bytes() * steps(slot)).sum();
        // Target, row number, and the two numbers of a mixed label.
        batch * (sample + 4 * self.target_width() + 4 + 8)
    }
}
