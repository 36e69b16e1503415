//! Texts: read from tables, lines, files and folders, cut into tokens, and made into batches to learn from.

mod files;
mod labels;
mod language;
mod open;
mod preprocessor;
mod reader;
mod samples;
mod terms;
mod tokenizer;
mod windows;

pub(crate) use labels::{Files as LabelFiles, LabelSet, open as open_labels};
pub use labels::{Sentences, WordSplit};
pub(crate) use language::{LanguageSet, open_language};
pub use open::{TextColumns, TextSurvey};
pub(crate) use open::{TextSet, TextTable, holds_texts, is_text_file, open, recognise};
pub use preprocessor::TextPreprocessor;
pub use reader::{TextRow, Texts};
pub use samples::TextForm;
pub use terms::Terms;
pub use tokenizer::{Encoded, Tokenizer};
