//! Texts: read from tables, lines, files and folders, cut into tokens, and made into batches to learn from.

mod columns;
mod corpus;
mod files;
mod labels;
mod language;
mod open;
mod partners;
mod passage;
mod preprocessor;
mod reader;
mod samples;
mod terms;
mod tied;
mod tokenizer;
mod trained;
mod windows;

pub use columns::ColumnTerms;
pub(crate) use labels::{Files as LabelFiles, LabelSet, open as open_labels};
pub use labels::{LabelForm, Sentences, WordSplit};
pub(crate) use language::{LanguageSet, open_language};
pub use open::{TextColumns, TextSurvey};
pub(crate) use open::{TextSet, TextTable, open, recognise};
pub use open::{is_continued, is_text_file};
pub use partners::{PairLabel, open_pairs, pair_columns, read_pairs};
pub(crate) use partners::{PairSet, PairTable, open as open_partners, recognise as recognise_partners};
pub use passage::Passage;
pub use preprocessor::TextPreprocessor;
pub use reader::{TextRow, Texts};
pub use samples::TextForm;
pub(crate) use samples::{LENGTHS, SECOND, TOKENS};
pub use terms::Terms;
pub use tokenizer::{Encoded, Tokenizer};
pub use trained::Tokens;
