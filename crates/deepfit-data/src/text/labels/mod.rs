//! Texts whose words have labels: named entities, slots, parts of speech.

mod files;
mod inputs;
mod read;
mod scheme;
mod sentences;
mod set;
mod source;
mod words;

pub(crate) use inputs::{Unlabelled, measured, predicted};
pub use sentences::Sentences;
pub(crate) use set::{Files, LabelSet, open};
pub(crate) use source::slots;
pub use words::{LabelForm, WordSplit};
