//! Static embeddings of tokens, distilled from all-MiniLM-L6-v2: a table with 256 numbers a token, and the tokenizer. A text
//! is the mean of its tokens' rows. Where they are from, and their licence, tells the README beside this file.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

/// The table, a safetensors file: `embeddings.weight`, I8 `[vocabulary, 256]`, whose row times its number in
/// `embeddings.scale`, F32 `[vocabulary]`, is the embedding of a token. The row of what is unknown is zero.
pub static WEIGHTS: &[u8] = include_bytes!("../model.safetensors");

/// The tokenizer, a `tokenizer.json`: WordPiece on lower-case letters. Numbers of tokens are numbers of rows; nothing is put
/// around a text.
pub const TOKENIZER: &str = include_str!("../tokenizer.json");
