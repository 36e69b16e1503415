//! Texts: read from tables, lines and files, and cut into tokens.

mod files;
mod reader;
mod tokenizer;

pub use reader::{TextRow, Texts};
pub use tokenizer::{Encoded, Tokenizer};
