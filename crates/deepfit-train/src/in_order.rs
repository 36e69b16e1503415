//! Results in the order of their rows, although sequences are run by their lengths.

use std::collections::BTreeMap;

use deepfit_data::Source;

use crate::error::Result;

/// Gives results in the order of their rows.
pub struct InOrder<T> {
    /// Those that wait for others, by their place; nothing is kept where rows come in their order.
    waiting: Option<BTreeMap<usize, T>>,
    places: BTreeMap<u32, usize>,
}

impl<T> InOrder<T> {
    /// For rows of a source, in the order in which they are wanted.
    pub fn new(source: &dyn Source, rows: &[u32]) -> InOrder<T> {
        if source.longest() == 1 {
            return InOrder { waiting: None, places: BTreeMap::new() };
        }
        InOrder { waiting: Some(BTreeMap::new()), places: rows.iter().copied().zip(0..).collect() }
    }

    /// Takes the result of a row, and gives it at once if it need not wait.
    ///
    /// # Errors
    /// If `each` fails.
    pub fn give(&mut self, row: u32, result: T, each: &mut dyn FnMut(T) -> Result<()>) -> Result<()> {
        match &mut self.waiting {
            None => each(result),
            Some(waiting) => {
                waiting.insert(self.places.get(&row).copied().unwrap_or(usize::MAX), result);
                Ok(())
            }
        }
    }

    /// Gives those that have waited.
    ///
    /// # Errors
    /// If `each` fails.
    pub fn finish(self, each: &mut dyn FnMut(T) -> Result<()>) -> Result<()> {
        self.waiting.unwrap_or_default().into_values().try_for_each(each)
    }
}
