//! Tokens of texts, as a published model's own tokenizer makes them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::files;
use crate::error::{Error, Result};

/// A tokenizer that was published with a model.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    path: PathBuf,
    notes: Vec<String>,
}

/// The tokens of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Their numbers, those that stand at every text's beginning and end among them.
    pub ids: Vec<u32>,
    /// How many there were before the text was cut.
    pub whole: usize,
}

impl Tokenizer {
    /// Reads the tokenizer in a model's folder: `tokenizer.json`, or what older models have in its place, `vocab.txt`
    /// (BERT's) or `vocab.json` with `merges.txt` (GPT-2's and RoBERTa's).
    ///
    /// # Errors
    /// If there is none of these, or it is damaged.
    pub fn open(folder: &Path) -> Result<Tokenizer> {
        let (path, json, notes) = files::read(folder)?;
        let wrong = |problem: String| Error::Tokenizer { path: path.clone(), problem };
        let mut inner =
            tokenizers::Tokenizer::from_bytes(&json).map_err(|error| wrong(format!("is damaged: {error}")))?;
        // How texts are cut and filled up is decided by who encodes them.
        inner.with_truncation(None).map_err(|error| wrong(error.to_string()))?;
        inner.with_padding(None);
        Ok(Tokenizer { inner, path, notes })
    }

    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is worth knowing about it, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// One more than the largest number of a token of the vocabulary itself, to which a model may have added others.
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab(false).into_values().max().map_or(0, |largest| largest as usize + 1)
    }

    /// The token of a number.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The tokens of a text, of which those in the middle are left out that make them more than `most`: what the model
    /// puts at the end of every text stays.
    ///
    /// # Errors
    /// The tokenizer's reason, if it refuses.
    pub fn encode(&self, text: &str, most: usize) -> Result<Encoded, String> {
        let encoding = self.inner.encode_fast(text, true).map_err(|error| format!("has no tokens: {error}"))?;
        let mut ids = encoding.get_ids().to_vec();
        let whole = ids.len();
        if whole > most {
            let added = encoding.get_special_tokens_mask().iter().rev().take_while(|&&added| added == 1).count();
            let end = ids.split_off(whole - added.min(most));
            ids.truncate(most - end.len());
            ids.extend(end);
        }
        Ok(Encoded { ids, whole })
    }

    /// The tokens of several texts, made by several threads.
    pub fn encode_all(&self, texts: &[&str], most: usize, threads: usize) -> Vec<Result<Encoded, String>> {
        let share = texts.len().div_ceil(threads.max(1)).max(1);
        let encode = |texts: &[&str]| texts.iter().map(|text| self.encode(text, most)).collect::<Vec<_>>();
        if texts.len() <= share {
            return encode(texts);
        }
        std::thread::scope(|scope| {
            let workers: Vec<_> = texts.chunks(share).map(|part| scope.spawn(move || encode(part))).collect();
            let joined = workers.into_iter().map(|worker| worker.join());
            joined.flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }

    /// The text of tokens, without those that only mark its beginning and end.
    ///
    /// # Errors
    /// If the tokenizer refuses.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(|error| self.refused(&error.to_string()))
    }

    /// What makes text of tokens that come one after another: each call gives what its token adds, as soon as its letters
    /// are whole.
    pub fn decoder(&self) -> impl FnMut(u32) -> Result<Option<String>> {
        let mut stream = self.inner.decode_stream(true);
        move |id| stream.step(id).map_err(|error| self.refused(&error.to_string()))
    }

    fn refused(&self, problem: &str) -> Error {
        Error::Tokenizer { path: self.path.clone(), problem: format!("cannot make a text of tokens: {problem}") }
    }
}

/// A file of settings; null if there is none.
pub(super) fn settings(path: &Path) -> Result<Value> {
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Value::Null),
        read => read.map_err(|source| Error::io(path, source))?,
    };
    serde_json::from_slice(&text)
        .map_err(|error| Error::Tokenizer { path: path.to_path_buf(), problem: format!("is damaged: {error}") })
}
