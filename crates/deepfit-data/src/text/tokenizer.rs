//! Tokens of texts, as a published model's own tokenizer makes them.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::{Encoding, ModelWrapper, PostProcessor, TruncationDirection};

use super::files;
use super::passage::Passage;
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
    /// Of two texts that are compared, the place of the first token of the second: all before it belong to the first.
    pub second: Option<usize>,
}

/// Of a token the text that it is of, 0 or 1, and the bytes there that it stands for; nothing for those that stand at every
/// text's beginning and end. One that is put before a word for its space may stand for no bytes.
pub type Place = Option<(usize, Range<usize>)>;

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

    /// One that was made here; `path` stands for it in messages.
    pub(super) fn of(inner: tokenizers::Tokenizer, path: PathBuf) -> Tokenizer {
        Tokenizer { inner, path, notes: Vec::new() }
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

    /// The number of the token that stands for what is unknown; nothing where every text has tokens.
    pub fn unknown(&self) -> Option<u32> {
        let token = match self.inner.get_model() {
            ModelWrapper::WordLevel(model) => &model.unk_token,
            ModelWrapper::WordPiece(model) => &model.unk_token,
            ModelWrapper::BPE(model) => model.unk_token.as_ref()?,
            ModelWrapper::Unigram(_) => return None,
        };
        self.inner.token_to_id(token)
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
        Ok(Encoded { ids, whole, second: None })
    }

    /// The tokens of a text, or of two that are compared, put together as the model wants pairs. Of the longer one tokens
    /// are left out until there are no more than `most`.
    ///
    /// # Errors
    /// The tokenizer's reason, if it refuses.
    pub fn encode_passage(&self, passage: &Passage, most: usize) -> Result<Encoded, String> {
        let Some(second) = &passage.second else { return self.encode(&passage.text, most) };
        let bare = |text: &str| self.inner.encode_fast(text, false).map_err(|error| format!("has no tokens: {error}"));
        let (both, whole) = self.pair(bare(&passage.text)?, bare(second)?, most)?;
        let ids = both.get_ids().to_vec();
        let marked = both.get_type_ids().iter().position(|&kind| kind == 1);
        let place = marked.or_else(|| both.get_sequence_ids().iter().position(|&text| text == Some(1)));
        Ok(Encoded { second: Some(place.unwrap_or(ids.len())), ids, whole })
    }

    /// Two texts put together, cut to at most so many tokens; and how many there were.
    fn pair(&self, mut first: Encoding, mut second: Encoding, most: usize) -> Result<(Encoding, usize), String> {
        let added = self.inner.get_post_processor().map_or(0, |processor| processor.added_tokens(true));
        let whole = first.len() + second.len() + added;
        let room = most.saturating_sub(added);
        // The shorter one has what it needs, or half of the room.
        let (shorter, longer) =
            if first.len() > second.len() { (&mut second, &mut first) } else { (&mut first, &mut second) };
        let of_shorter = shorter.len().min(room / 2);
        shorter.truncate(of_shorter, 0, TruncationDirection::Right);
        longer.truncate(room - of_shorter, 0, TruncationDirection::Right);
        // What was cut off is kept beside the rest, and would be paired with all that was cut off the other.
        first.take_overflowing();
        second.take_overflowing();
        let both = self.inner.post_process(first, Some(second), true).map_err(|error| error.to_string())?;
        Ok((both, whole))
    }

    /// For each token of [`Tokenizer::encode_passage`] what it stands for.
    ///
    /// # Errors
    /// The tokenizer's reason, if it refuses.
    pub fn places(&self, passage: &Passage, most: usize) -> Result<Vec<Place>, String> {
        let of = |text: &str, added| self.inner.encode(text, added).map_err(|error| format!("has no tokens: {error}"));
        let place = |encoding: &Encoding, text: usize, token: usize| {
            let (begin, end) = encoding.get_offsets()[token];
            (encoding.get_special_tokens_mask()[token] == 0).then_some((text, begin..end.max(begin)))
        };
        let Some(second) = &passage.second else {
            let encoding = of(&passage.text, true)?;
            let whole = encoding.len();
            let added = encoding.get_special_tokens_mask().iter().rev().take_while(|&&added| added == 1).count();
            // Cut as `encode` cuts.
            let end = if whole > most { added.min(most) } else { 0 };
            let kept = (0..whole.min(most) - end).chain(whole - end..whole);
            return Ok(kept.map(|token| place(&encoding, 0, token)).collect());
        };
        let both = self.pair(of(&passage.text, false)?, of(second, false)?, most)?.0;
        let texts = both.get_sequence_ids();
        Ok((0..both.len()).map(|token| place(&both, texts[token].unwrap_or(0), token)).collect())
    }

    /// The tokens of a text without what is put around each, with the bytes of the text that each stands for. One that is
    /// unknown stands for none: that it comes says nothing of what it is. Where white space is left out of tokens, one byte of
    /// it between two words counts, as it is put there again.
    ///
    /// # Errors
    /// The tokenizer's reason, if it refuses.
    pub fn encode_with_bytes(&self, text: &str) -> Result<Vec<(u32, usize)>, String> {
        let encoding = self.inner.encode(text, false).map_err(|error| format!("has no tokens: {error}"))?;
        let unknown = self.unknown();
        let is_spaced = matches!(self.inner.get_model(), ModelWrapper::WordPiece(_));
        let mut told = 0;
        let of = |(&id, &(begin, end)): (&u32, &(usize, usize))| {
            // Several tokens may share a letter, and what stands between tokens counts for the one after it.
            let bytes = match is_spaced {
                true => (end - begin.max(told).min(end)) + usize::from(told > 0 && begin > told),
                false => end.saturating_sub(told),
            };
            told = told.max(end);
            (id, if Some(id) == unknown { 0 } else { bytes })
        };
        Ok(encoding.get_ids().iter().zip(encoding.get_offsets()).map(of).collect())
    }

    /// The tokens of each word of texts, by several threads: texts with the bytes that are their words. Without what is put
    /// around texts; a word that has no token is the unknown one.
    pub(crate) fn encode_words(
        &self,
        texts: &[(String, Vec<Range<usize>>)],
        threads: usize,
    ) -> Vec<Result<Vec<Vec<u32>>, String>> {
        let unknown = self.unknown().unwrap_or(0);
        by_several(texts, threads, |(text, words)| {
            let encoding = self.inner.encode(&text[..], false).map_err(|error| format!("has no tokens: {error}"))?;
            let mut tokens = vec![Vec::new(); words.len()];
            for (&id, &(begin, end)) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
                // Many tokens have the space before them, so that the last byte tells the word.
                let last = end.max(begin + 1) - 1;
                if let Some(of_word) = tokens.get_mut(words.partition_point(|word| word.end <= last)) {
                    of_word.push(id);
                }
            }
            tokens.iter_mut().filter(|of_word| of_word.is_empty()).for_each(|of_word| of_word.push(unknown));
            Ok(tokens)
        })
    }

    /// The tokens that stand at every text's beginning, and at its end.
    ///
    /// # Errors
    /// The tokenizer's reason, if it refuses.
    pub fn around(&self) -> Result<(Vec<u32>, Vec<u32>), String> {
        let only = tokenizers::Token::new(0, String::new(), (0, 1));
        let text = tokenizers::Encoding::from_tokens(vec![only], 0);
        let encoding = self.inner.post_process(text, None, true).map_err(|error| error.to_string())?;
        let place = encoding.get_special_tokens_mask().iter().position(|&added| added == 0).unwrap_or(0);
        let ids = encoding.get_ids();
        Ok((ids[..place].to_vec(), ids.get(place + 1..).unwrap_or_default().to_vec()))
    }

    /// The tokens of several texts, made by several threads.
    pub fn encode_all(&self, texts: &[&str], most: usize, threads: usize) -> Vec<Result<Encoded, String>> {
        by_several(texts, threads, |text| self.encode(text, most))
    }

    /// The tokens of several texts or pairs of texts, made by several threads.
    pub fn encode_passages(&self, all: &[Passage], most: usize, threads: usize) -> Vec<Result<Encoded, String>> {
        by_several(all, threads, |passage| self.encode_passage(passage, most))
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

/// What `of` makes of each, by several threads.
fn by_several<T: Sync, R: Send>(all: &[T], threads: usize, of: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let share = all.len().div_ceil(threads.max(1)).max(1);
    if all.len() <= share {
        return all.iter().map(of).collect();
    }
    let of = &of;
    std::thread::scope(|scope| {
        let each = |part: &[T]| part.iter().map(of).collect::<Vec<R>>();
        let workers: Vec<_> = all.chunks(share).map(|part| scope.spawn(move || each(part))).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined.flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
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
