//! Tokens of texts, as a published model's own tokenizer makes them.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::{AddedToken, DecoderWrapper, PreTokenizerWrapper};

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
        Ok(Tokenizer { notes, ..Tokenizer::from_json(&json, &path)? })
    }

    /// A tokenizer from the content of a `tokenizer.json`; `path` stands for it in messages.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn from_json(json: &[u8], path: &Path) -> Result<Tokenizer> {
        let path = path.to_path_buf();
        let wrong = |problem: String| Error::Tokenizer { path: path.clone(), problem };
        let mut inner =
            tokenizers::Tokenizer::from_bytes(json).map_err(|error| wrong(format!("is damaged: {error}")))?;
        // How texts are cut and filled up is decided by who encodes them.
        inner.with_truncation(None).map_err(|error| wrong(error.to_string()))?;
        inner.with_padding(None);
        Ok(Tokenizer { inner, path, notes: Vec::new() })
    }

    /// Learns pairs of letters that stand together often, again and again, until there are so many tokens: byte pair
    /// encoding (Sennrich et al., 2016) on bytes, so that every text has tokens. The first token, 0, stands for nothing.
    ///
    /// # Errors
    /// If the vocabulary is too small for all bytes.
    pub fn train<'a>(texts: impl Iterator<Item = &'a str> + Send, vocabulary: usize) -> Result<Tokenizer> {
        const BYTES: usize = 256;
        if vocabulary <= BYTES {
            let problem = format!("is {vocabulary}; it must be more than {BYTES}, the number of bytes and one");
            return Err(Error::Setting { setting: "vocabulary", problem });
        }
        let path = PathBuf::from("the trained tokenizer");
        let wrong = |error: tokenizers::Error| Error::Tokenizer { path: path.clone(), problem: error.to_string() };
        let bytes = ByteLevel::new(false, true, true);
        let mut inner = tokenizers::Tokenizer::new(BPE::default());
        inner.with_pre_tokenizer(Some(PreTokenizerWrapper::ByteLevel(bytes)));
        inner.with_decoder(Some(DecoderWrapper::ByteLevel(bytes)));
        let trainer = BpeTrainer::builder()
            .vocab_size(vocabulary)
            .show_progress(false)
            .min_frequency(2)
            .special_tokens(vec![AddedToken::from("<|endoftext|>".to_string(), true)])
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        inner.train(&mut TrainerWrapper::BpeTrainer(trainer), texts).map_err(wrong)?;
        Ok(Tokenizer { inner, path, notes: Vec::new() })
    }

    /// As the content of a `tokenizer.json`.
    pub fn to_json(&self) -> String {
        // Tables of words and numbers cannot fail to be written.
        self.inner.to_string(false).unwrap_or_default()
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

    /// The tokens of a text without what is put around each, with the bytes of the text that each stands for.
    ///
    /// # Errors
    /// The tokenizer's reason, if it refuses.
    pub fn encode_with_bytes(&self, text: &str) -> Result<Vec<(u32, usize)>, String> {
        let encoding = self.inner.encode(text, false).map_err(|error| format!("has no tokens: {error}"))?;
        let mut told = 0;
        let of = |(&id, &(_, end)): (&u32, &(usize, usize))| {
            // Several tokens may share a letter, and what stands between tokens counts for the one after it.
            let bytes = end.saturating_sub(told);
            told = told.max(end);
            (id, bytes)
        };
        Ok(encoding.get_ids().iter().zip(encoding.get_offsets()).map(of).collect())
    }

    /// The tokens of each word of a text, without what is put around texts. A word that has none is the token of unknown ones.
    ///
    /// # Errors
    /// The tokenizer's reason, if it refuses.
    pub(crate) fn encode_words(&self, text: &str, words: &[Range<usize>]) -> Result<Vec<Vec<u32>>, String> {
        let encoding = self.inner.encode(text, false).map_err(|error| format!("has no tokens: {error}"))?;
        let mut tokens = vec![Vec::new(); words.len()];
        for (&id, &(begin, end)) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
            // Many tokens have the space before them, so that the last byte tells the word.
            let last = end.max(begin + 1) - 1;
            if let Some(of_word) = tokens.get_mut(words.partition_point(|word| word.end <= last)) {
                of_word.push(id);
            }
        }
        let unknown = ["[UNK]", "<unk>"].iter().find_map(|token| self.inner.token_to_id(token)).unwrap_or(0);
        tokens.iter_mut().filter(|of_word| of_word.is_empty()).for_each(|of_word| of_word.push(unknown));
        Ok(tokens)
    }

    /// The tokens that stand at every text's beginning, and at its end.
    ///
    /// # Errors
    /// The tokenizer's reason, if it refuses.
    pub(crate) fn around(&self) -> Result<(Vec<u32>, Vec<u32>), String> {
        let only = tokenizers::Token::new(0, String::new(), (0, 1));
        let text = tokenizers::Encoding::from_tokens(vec![only], 0);
        let encoding = self.inner.post_process(text, None, true).map_err(|error| error.to_string())?;
        let place = encoding.get_special_tokens_mask().iter().position(|&added| added == 0).unwrap_or(0);
        let ids = encoding.get_ids();
        Ok((ids[..place].to_vec(), ids.get(place + 1..).unwrap_or_default().to_vec()))
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

    /// The tokens of the vocabulary, those that a model has added among them, in the order of their numbers.
    pub fn tokens(&self) -> Vec<(u32, String)> {
        let mut tokens: Vec<_> = self.inner.get_vocab(true).into_iter().map(|(token, id)| (id, token)).collect();
        tokens.sort_unstable();
        tokens
    }

    /// One token as if it were a whole text: with the tokens that stand at every text's beginning and end.
    ///
    /// # Errors
    /// The tokenizer's reason, if it refuses.
    pub fn alone(&self, id: u32, token: &str) -> Result<Vec<u32>, String> {
        let only = tokenizers::Token::new(id, token.to_string(), (0, token.len()));
        let text = tokenizers::Encoding::from_tokens(vec![only], 0);
        let encoding = self.inner.post_process(text, None, true).map_err(|error| error.to_string())?;
        Ok(encoding.get_ids().to_vec())
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
