//! Texts whose words have labels: named entities, slots, parts of speech.

mod read;
mod scheme;
mod sentences;
mod set;
mod source;
mod words;

pub(crate) use read::Files;
pub use sentences::Sentences;
pub(crate) use set::{LabelSet, measured, open, predicted};
pub(crate) use source::slots;
pub use words::WordSplit;
