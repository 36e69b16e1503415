//! Sentences with their words, cut into windows of tokens.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::text::samples::{Ragged, TextForm};

/// Sentences, their words, and perhaps the label of each word.
#[derive(Debug, Default)]
pub struct Sentences {
    pub(super) names: Vec<String>,
    pub(super) texts: Vec<String>,
    /// Bytes of each text that are its words.
    pub(super) words: Vec<Vec<Range<usize>>>,
    /// A label for each word; empty where they are not known.
    pub(super) labels: Vec<Vec<u32>>,
}

impl Sentences {
    /// Number of sentences.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// What a sentence is called: the number of its line, or its path.
    pub fn name(&self, sentence: usize) -> &str {
        &self.names[sentence]
    }

    /// The text.
    pub fn text(&self, sentence: usize) -> &str {
        &self.texts[sentence]
    }

    /// Bytes of the text that are its words.
    pub fn words(&self, sentence: usize) -> &[Range<usize>] {
        &self.words[sentence]
    }

    pub(super) fn push(&mut self, name: String, text: String, words: Vec<Range<usize>>, labels: Vec<u32>) {
        self.names.push(name);
        self.texts.push(text);
        self.words.push(words);
        self.labels.push(labels);
    }

    /// The words with a space between them, as they are cut into tokens: in the same way, however the text was written.
    pub(super) fn joined(&self, sentence: usize) -> (String, Vec<Range<usize>>) {
        let text = &self.texts[sentence];
        let mut joined = String::with_capacity(text.len());
        let place = |word: &Range<usize>| {
            if !joined.is_empty() {
                joined.push(' ');
            }
            let begin = joined.len();
            joined.push_str(&text[word.clone()]);
            begin..joined.len()
        };
        let places = self.words[sentence].iter().map(place).collect();
        (joined, places)
    }
}

/// A part of a sentence that a network sees at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) sentence: u32,
    /// Its first word, and their number.
    pub(super) first: u32,
    pub(super) words: u32,
}

/// All sentences as windows of at most so many tokens.
#[derive(Debug, Default)]
pub(super) struct Windows {
    pub(super) rows: Vec<Window>,
    pub(super) tokens: Ragged,
    /// Where in a window each of its words begins.
    pub(super) places: Ragged,
    pub(super) longest: usize,
    /// Sentences of several windows.
    pub(super) cut: usize,
    /// Words of which tokens are left out.
    pub(super) shortened: usize,
}

impl Windows {
    /// Cuts sentences where words begin; sentences without words have no window. Of a word of more tokens than a window
    /// takes, those behind are left out, and the word keeps its label.
    ///
    /// # Errors
    /// The number of a sentence and the tokenizer's reason, if it refuses.
    pub(super) fn new(sentences: &Sentences, form: &TextForm, threads: usize) -> Result<Windows, (usize, String)> {
        let (before, after) = form.tokenizer.around().map_err(|problem| (0, problem))?;
        let room = form.most_tokens.saturating_sub(before.len() + after.len()).max(1);
        let joined: Vec<(String, Vec<Range<usize>>)> = (0..sentences.len()).map(|one| sentences.joined(one)).collect();
        let encoded = form.tokenizer.encode_words(&joined, threads);
        let mut windows = Windows { longest: 1, ..Windows::default() };
        for (sentence, words) in encoded.into_iter().enumerate() {
            let words = words.map_err(|problem| (sentence, problem))?;
            let begun = windows.rows.len();
            let mut first = 0;
            while first < words.len() {
                let (mut tokens, mut places, mut used) = (before.clone(), Vec::new(), 0);
                for word in &words[first..] {
                    let length = word.len().min(room);
                    windows.shortened += usize::from(places.is_empty() && length < word.len());
                    if used + length > room {
                        break;
                    }
                    places.push(tokens.len() as u32);
                    tokens.extend(&word[..length]);
                    used += length;
                }
                tokens.extend(&after);
                windows.longest = windows.longest.max(tokens.len());
                let count = places.len();
                windows.rows.push(Window { sentence: sentence as u32, first: first as u32, words: count as u32 });
                windows.tokens.push(tokens);
                windows.places.push(places);
                first += count;
            }
            windows.cut += usize::from(windows.rows.len() > begun + 1);
        }
        Ok(windows)
    }
}

/// Sentences with their windows.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub(super) sentences: Arc<Sentences>,
    pub(super) windows: Arc<Windows>,
}

impl Cut {
    /// Cuts sentences into windows.
    ///
    /// # Errors
    /// If the tokenizer refuses one.
    pub(super) fn new(sentences: Sentences, form: &TextForm, threads: usize) -> Result<Cut> {
        let windows = Windows::new(&sentences, form, threads).map_err(|(sentence, problem)| Error::Tokenizer {
            path: form.tokenizer.path().to_path_buf(),
            problem: format!("{problem}, in sentence {}", sentences.names.get(sentence).map_or("", String::as_str)),
        })?;
        Ok(Cut { sentences: Arc::new(sentences), windows: Arc::new(windows) })
    }

    /// What a reader should know about sentences of more than so many tokens.
    pub(super) fn notes(&self, most: usize) -> Vec<String> {
        let mut notes = Vec::new();
        let Windows { cut, shortened, .. } = *self.windows;
        if cut > 0 {
            let has = if cut == 1 { "sentence has" } else { "sentences have" };
            let all = self.sentences.len();
            notes.push(format!(
                "{cut} of {all} {has} more than {most} tokens, and {} read in parts, each without what the others say",
                if cut == 1 { "is" } else { "are" }
            ));
        }
        if shortened > 0 {
            let has = if shortened == 1 { "word has" } else { "words have" };
            notes.push(format!("{shortened} {has} more tokens by itself, of which those behind are left out"));
        }
        notes
    }

    /// A number and a name of each window's sentence.
    pub(super) fn names(&self) -> Vec<String> {
        self.windows.rows.iter().map(|row| self.sentences.name(row.sentence as usize).to_string()).collect()
    }
}
