//! Recurrent layers over whole sequences.
//!
//! The rows of a batch do not depend on each other, so each task takes a few of them through all steps. The recurrent
//! weights are packed once a call; a step of a task is one small product and one pass over its gates.
//!
//! Error of `h`: a few ulp of each gate, carried on by the recurrence; below `1e-5` after hundreds of steps where the
//! recurrence does not amplify.

mod backward;
mod cells;
mod forward;

pub use backward::{Gradients, Upstream, recurrent_backward, recurrent_backward_scratch};
pub use cells::Cell;
pub use forward::{Given, Results, recurrent, recurrent_scratch};

use crate::error::Error;

/// A batch of sequences of the same planned length.
#[derive(Debug, Clone, Copy)]
pub struct Sequences<'a> {
    /// What a step computes.
    pub cell: Cell,
    /// From the last step to the first.
    pub reverse: bool,
    /// Arrays are `[steps, batch, ...]`, not `[batch, steps, ...]`.
    pub time_first: bool,
    /// Rows.
    pub batch: usize,
    /// Steps of the longest row.
    pub steps: usize,
    /// Units: numbers in `h`.
    pub hidden: usize,
    /// Number of steps of each row.
    pub lengths: Option<&'a [i32]>,
}

impl Sequences<'_> {
    /// Checks that every length is among the steps.
    ///
    /// # Errors
    /// [`Error::SequenceLength`], naming the first row that does not fit.
    pub fn check(&self) -> Result<(), Error> {
        let fits = |length: i32| length >= 1 && length as usize <= self.steps;
        match self.lengths.and_then(|lengths| lengths.iter().position(|&l| !fits(l)).map(|row| (lengths[row], row))) {
            Some((length, row)) => Err(Error::SequenceLength { length, row, steps: self.steps }),
            None => Ok(()),
        }
    }

    /// Number of a row and step in an array.
    fn place(&self, row: usize, step: usize) -> usize {
        if self.time_first { step * self.batch + row } else { row * self.steps + step }
    }

    /// From one row of a step to the next, in an array.
    fn row_stride(&self) -> usize {
        if self.time_first { 1 } else { self.steps }
    }

    /// Steps of a row.
    fn length(&self, row: usize) -> usize {
        self.lengths.map_or(self.steps, |lengths| lengths[row] as usize)
    }

    /// The step before `step` in the order of the recurrence; `None` where a row begins.
    fn before(&self, row: usize, step: usize) -> Option<usize> {
        if self.reverse { (step + 1 < self.length(row)).then_some(step + 1) } else { step.checked_sub(1) }
    }

    /// The step at a position of the recurrence.
    fn step_at(&self, position: usize) -> usize {
        if self.reverse { self.steps - 1 - position } else { position }
    }

    /// Rows of a task.
    fn task_rows(&self) -> usize {
        // The weights are read once a step by each task: with sixteen rows, multiplying takes longer than reading. A
        // small batch is cut into smaller tasks, or it would keep one thread only; sixteen tasks are enough for a
        // large one.
        let least = if self.batch >= 32 { 16 } else { 8 };
        self.batch.div_ceil(16).next_multiple_of(least).min(self.batch).max(1)
    }

    fn tasks(&self) -> usize {
        self.batch.div_ceil(self.task_rows())
    }

    /// Whether a row of the task has a step.
    fn any_has(&self, rows: std::ops::Range<usize>, step: usize) -> bool {
        rows.into_iter().any(|row| step < self.length(row))
    }
}
