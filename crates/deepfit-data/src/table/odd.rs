//! Values that are not what their column holds: counted, the first remembered, told to the user.

use std::collections::HashSet;

use super::infer::ColumnKind;
use super::rows::{Base, Place};
use crate::codes::{Codes, MISSING};
use crate::error::{Error, Result};

/// What was odd in one column of one file.
#[derive(Default)]
pub(crate) struct Tally {
    /// Values that are not missing.
    pub(crate) present: u64,
    /// Where the first value of each word that was new lies.
    pub(crate) places: Vec<Place>,
    count: u64,
    /// First odd value and its place.
    first: Option<(String, Place)>,
}

impl Tally {
    /// A value that is not of the column's kind.
    pub(crate) fn add(&mut self, text: &str, place: impl FnOnce() -> Place) {
        self.count += 1;
        if self.first.is_none() {
            self.first = Some((text.to_string(), place()));
        }
    }

    /// Adds what was odd in a later part of the file. (Which words are new is told elsewhere.)
    pub(crate) fn append(&mut self, later: Tally, base: Base) {
        self.present += later.present;
        self.count += later.count;
        self.first = self.first.take().or(later.first.map(|(text, place)| (text, place.behind(base))));
    }

    /// Counts the values whose word a model does not know.
    pub(crate) fn find_unknown(&mut self, codes: &Codes, words: &[String], known: &[String]) {
        let known: HashSet<&str> = known.iter().map(String::as_str).collect();
        let unknown: Vec<bool> = words.iter().map(|word| !known.contains(word.as_str())).collect();
        self.count = codes.iter().filter(|&code| code != MISSING && unknown[code as usize]).count() as u64;
        // Words are in order of appearance.
        let first = unknown.iter().position(|&unknown| unknown);
        self.first = first.and_then(|word| Some((words[word].clone(), *self.places.get(word)?)));
    }

    /// What to tell about it.
    ///
    /// # Errors
    /// If no value of the column is readable: that is another column than the one trained with, or another way to
    /// write it, and predictions from it would mean nothing. Unknown words are no error.
    pub(crate) fn finish(&self, name: &str, column: &str, kind: ColumnKind) -> Result<Option<String>> {
        let Some((value, place)) = &self.first else { return Ok(None) };
        let (count, present) = (self.count, self.present);
        if kind == ColumnKind::Category {
            let what = if count == 1 { "value was" } else { "values were" };
            return Ok(Some(format!(
                "'{name}', column '{column}': {count} {what} not among the words known from training and taken as \
                 unknown, first '{value}' ({place})"
            )));
        }
        let kind = kind.singular();
        if count == present {
            let (name, column, value) = (name.to_string(), column.to_string(), value.clone());
            return Err(Error::UnreadableColumn { name, column, count, kind, value, place: place.to_string() });
        }
        Ok(Some(format!(
            "'{name}', column '{column}': {count} of {present} values {} not {kind} and counted as missing, first \
             '{value}' ({place})",
            if count == 1 { "is" } else { "are" }
        )))
    }
}
