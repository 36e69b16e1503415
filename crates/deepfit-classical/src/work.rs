//! How much a learner may use.

use crate::error::{ClassicalError, Result};

/// Threads, the seed of what is drawn, and whether to go on.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// Threads, at least 1; results do not depend on them.
    pub threads: usize,
    /// Of folds and of the columns that trees see.
    pub seed: u64,
    /// Asked often, from any thread: whether to give up.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

impl Work<'static> {
    /// Work that nobody stops.
    pub fn unlimited(threads: usize, seed: u64) -> Work<'static> {
        Work { threads, seed, stop: &|| false }
    }
}

impl Work<'_> {
    /// The same on so many threads.
    pub(crate) fn on(self, threads: usize) -> Self {
        Work { threads: threads.max(1), ..self }
    }

    /// An error once it is time to give up.
    pub(crate) fn go_on(&self) -> Result<()> {
        if (self.stop)() { Err(ClassicalError::Stopped) } else { Ok(()) }
    }
}
