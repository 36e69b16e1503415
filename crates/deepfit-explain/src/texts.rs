//! Texts: words that are left out, and what tokens and weighted terms say of words.

use std::collections::HashMap;
use std::ops::Range;

use deepfit_data::{Array, Batch, Pass, Passage, Preprocessor, Terms, TextPreprocessor};
use deepfit_zoo::{TERMS, TOKENS};

use crate::error::{ExplainError, Result};
use crate::removal::Removal;
use crate::rows::Rows;
use crate::subject::{Subject, Unit};

/// Variants that are prepared together.
const AT_ONCE: usize = 64;

/// What special tokens are called that a tokenizer puts around every text.
pub(crate) const AROUND: &str = "[beginning and end]";

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Which of two texts that are compared, 0 or 1.
    pub text: usize,
    /// Its bytes there.
    pub bytes: Range<usize>,
}

/// A text in words, with the inputs that the network sees of it.
pub struct Reading<'a> {
    /// How texts become inputs.
    pub preprocessor: &'a TextPreprocessor,
    /// The text, or two.
    pub passage: Passage,
    /// Its words, in order.
    pub words: Vec<Word>,
    /// Columns beside the text, with the number of inputs of each: the last of those that stand for terms.
    pub columns: Vec<(String, usize)>,
    /// The inputs.
    pub row: Rows,
}

/// What the values of the inputs say.
pub struct Shares {
    /// Of each word.
    pub words: Vec<f64>,
    /// Of each column beside the text.
    pub columns: Vec<f64>,
    /// Of what is neither, by name: tokens that stand at every text's beginning and end, what two texts have in common.
    pub others: Vec<(String, f64)>,
}

/// A text by its number in a passage.
fn text_of(passage: &Passage, text: usize) -> &str {
    if text == 0 { &passage.text } else { passage.second.as_deref().unwrap_or_default() }
}

impl<'a> Reading<'a> {
    /// A text whose inputs are known.
    pub fn of(preprocessor: &'a TextPreprocessor, passage: Passage, row: Rows) -> Reading<'a> {
        let mut words = Vec::new();
        for text in 0..1 + usize::from(passage.second.is_some()) {
            let whole = text_of(&passage, text);
            for word in whole.split_whitespace() {
                // The word is a part of the text, whose place the addresses of both tell.
                let begin = word.as_ptr() as usize - whole.as_ptr() as usize;
                words.push(Word { text, bytes: begin..begin + word.len() });
            }
        }
        let columns = preprocessor.beside.as_ref().map(|beside| beside.parts()).unwrap_or_default();
        let mut reading = Reading { preprocessor, passage, words, columns, row };
        if reading.words.len() < 2 {
            // A script without spaces between words: its tokens are what can be told apart.
            let tokens = reading.places().into_iter().flatten().filter(|(_, bytes)| !bytes.is_empty());
            let tokens = tokens.map(|(text, bytes)| Word { text, bytes });
            let mut tokens: Vec<Word> = tokens.collect();
            tokens.dedup_by(|a, b| a == b);
            if tokens.len() > reading.words.len() {
                reading.words = tokens;
            }
        }
        reading
    }

    /// Its letters.
    pub fn written(&self, word: usize) -> &str {
        let Word { text, bytes } = &self.words[word];
        &text_of(&self.passage, *text)[bytes.clone()]
    }

    /// Which of two texts that are compared a word is in.
    pub fn side(&self, word: usize) -> Option<usize> {
        self.passage.second.as_ref().map(|_| self.words[word].text)
    }

    /// Names of the words, and of the columns beside them, for people and programs: a word that stands there again has its
    /// number behind it.
    pub fn names(&self) -> Vec<String> {
        let words = named((0..self.words.len()).map(|word| (self.written(word), self.side(word))));
        words.into_iter().chain(self.columns.iter().map(|(column, _)| column.clone())).collect()
    }

    /// For each token of the input the text and the bytes that it stands for.
    fn places(&self) -> Vec<Option<(usize, Range<usize>)>> {
        let tokens = self.preprocessor.tokenizer();
        let places = tokens.map(|tokens| tokens.places(&self.passage, self.preprocessor.most_tokens));
        places.and_then(std::result::Result::ok).unwrap_or_default()
    }

    /// What the values of the inputs say of words and columns.
    pub fn shares(&self, names: &[String], inputs: &[Vec<f64>]) -> Shares {
        let (mut of_words, mut of_columns) = (vec![0.0; self.words.len()], vec![0.0; self.columns.len()]);
        let mut others: Vec<(String, f64)> = Vec::new();
        let mut other = |name: String, value: f64| match others.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += value,
            None => others.push((name, value)),
        };
        for (name, values) in names.iter().zip(inputs) {
            if name == TOKENS {
                let places = self.places();
                for (token, value) in values.iter().enumerate() {
                    let word = places.get(token).cloned().flatten().and_then(|(text, bytes)| {
                        let words = self.words.iter().enumerate().filter(|(_, word)| word.text == text);
                        holder(words.map(|(at, word)| (at, &word.bytes)), &bytes)
                    });
                    match (word, places.get(token)) {
                        (Some(word), _) => of_words[word] += value,
                        (None, Some(None)) => other(AROUND.to_string(), *value),
                        (None, _) => other("[other tokens]".to_string(), *value),
                    }
                }
            }
            if name == TERMS {
                let terms = self.preprocessor.terms.as_ref();
                let words = terms.filter(|terms| !terms.hidden).map_or(&[][..], |terms| &terms.words[..]);
                let in_common = terms.map_or(0, |terms| terms.in_common.len());
                // Each term's share goes to the words that hold it.
                let mut holders: HashMap<String, Vec<usize>> = HashMap::new();
                for word in 0..self.words.len() {
                    Terms::words_of(self.written(word)).for_each(|term| holders.entry(term).or_default().push(word));
                }
                for (term, value) in words.iter().zip(values).filter(|(_, value)| **value != 0.0) {
                    match holders.get(term) {
                        Some(found) => found.iter().for_each(|&word| of_words[word] += value / found.len() as f64),
                        None => other("[other words]".to_string(), *value),
                    }
                }
                let mut place = words.len();
                let mut sum = |length: usize| {
                    let end = (place + length).min(values.len());
                    let sum: f64 = values[place.min(end)..end].iter().sum();
                    place = end;
                    sum
                };
                if in_common > 0 {
                    other("[words in common]".to_string(), sum(in_common));
                }
                for (of_column, (_, length)) in of_columns.iter_mut().zip(&self.columns) {
                    *of_column += sum(*length);
                }
            }
        }
        others.retain(|(_, value)| *value != 0.0);
        Shares { words: of_words, columns: of_columns, others }
    }

    /// The passage with some words alone.
    fn keeping(&self, kept: &[bool]) -> Passage {
        let left = |text: usize| {
            let whole = text_of(&self.passage, text);
            let (mut left, mut at) = (String::with_capacity(whole.len()), 0);
            for (word, _) in self.words.iter().zip(kept).filter(|(word, kept)| word.text == text && !**kept) {
                left.push_str(&whole[at..word.bytes.start]);
                at = word.bytes.end;
            }
            left.push_str(&whole[at..]);
            left
        };
        Passage { text: left(0), second: self.passage.second.as_ref().map(|_| left(1)) }
    }

    /// A row without any word: where numbers begin that are inputs beside the tokens.
    pub fn baseline(&self) -> Rows {
        let mut baseline = self.row.clone();
        for array in &mut baseline.inputs {
            if let Array::F32(values) = array {
                values.fill(0.0);
            }
        }
        baseline
    }
}

/// Which of some words, in their order, a token is of that stands for these bytes. Offsets may begin with the space before a word,
/// and one that stands for a space alone belongs to the word that follows, or to the last one.
pub(crate) fn holder<'a>(
    words: impl Iterator<Item = (usize, &'a Range<usize>)> + Clone,
    bytes: &Range<usize>,
) -> Option<usize> {
    let within = |word: &Range<usize>| word.end > bytes.start && word.start < bytes.end;
    let at = |is: &dyn Fn(&Range<usize>) -> bool| words.clone().find(|(_, word)| is(word)).map(|(at, _)| at);
    at(&within).or_else(|| at(&|word| word.start >= bytes.end)).or_else(|| words.clone().last().map(|(at, _)| at))
}

/// Words as names: those of two texts tell which of them they are in, and one that stands there again has its number behind it.
pub(crate) fn named<'a>(words: impl Iterator<Item = (&'a str, Option<usize>)>) -> Vec<String> {
    let mut times: HashMap<(&str, Option<usize>), usize> = HashMap::new();
    let name = |(written, side): (&'a str, Option<usize>)| {
        let times = times.entry((written, side)).or_insert(0);
        *times += 1;
        let text = side.map(|side| if side == 0 { "first text" } else { "second text" });
        let again = (*times > 1).then(|| times.to_string());
        let told: Vec<&str> = text.into_iter().chain(again.as_deref()).collect();
        if told.is_empty() { written.to_string() } else { format!("{written} ({})", told.join(", ")) }
    };
    words.map(name).collect()
}

/// The text preprocessor of a subject.
///
/// # Errors
/// If it takes no texts.
pub fn preprocessor(subject: &Subject) -> Result<TextPreprocessor> {
    match subject.preprocessor() {
        Preprocessor::Text(text) => Ok(TextPreprocessor::clone(text)),
        _ => Err(ExplainError::asked("the model takes no texts")),
    }
}

/// A text whose words are left out, and the columns beside it: such a one then says what it says on average.
pub struct OfText<'a, 'b> {
    /// The network.
    pub subject: &'a mut Subject,
    /// The text.
    pub reading: &'a Reading<'b>,
    /// What is explained.
    pub output: usize,
    /// In which unit.
    pub unit: Unit,
}

impl Removal for OfText<'_, '_> {
    fn parts(&self) -> usize {
        self.reading.words.len() + self.reading.columns.len()
    }

    fn scores(&mut self, kept: &[Vec<bool>]) -> Result<Vec<f64>> {
        let reading = self.reading;
        let terms = self.subject.names().iter().position(|name| name == TERMS);
        let beside: usize = reading.columns.iter().map(|(_, length)| length).sum();
        let mut scores = Vec::with_capacity(kept.len());
        for kept in kept.chunks(AT_ONCE) {
            let passages = kept.iter().map(|kept| reading.keeping(kept)).collect();
            let opened = reading.preprocessor.open_passages(passages, 1)?;
            let mut batch = Batch::new();
            let all: Vec<u32> = (0..kept.len() as u32).collect();
            opened.source.fill(&all, Pass::Evaluate, &mut batch)?;
            let mut rows = Rows::of(&batch);
            if let (Some(input), true) = (terms, beside > 0) {
                let own = reading.row.numbers(input);
                let width = own.len();
                if let Array::F32(values) = &mut rows.inputs[input] {
                    for (row, kept) in values.chunks_exact_mut(width).zip(kept) {
                        let mut place = width - beside;
                        for ((_, length), kept) in reading.columns.iter().zip(&kept[reading.words.len()..]) {
                            let of_column = place..place + length;
                            // Their inputs are centred: 0 is the mean of the training rows.
                            match kept {
                                true => row[of_column.clone()].copy_from_slice(&own[of_column]),
                                false => row[of_column].fill(0.0),
                            }
                            place += length;
                        }
                    }
                }
            }
            scores.extend(self.subject.scores(&rows, self.output, self.unit)?);
        }
        Ok(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::{holder, named};

    #[test]
    fn a_space_belongs_to_the_word_that_follows() {
        let words = [0..3, 4..9];
        let of = |bytes: std::ops::Range<usize>| holder(words.iter().enumerate(), &bytes);
        assert_eq!([of(0..2), of(3..9), of(3..4), of(0..0), of(9..10)], [Some(0), Some(1), Some(1), Some(0), Some(1)]);
        assert_eq!(holder([].iter().enumerate(), &(0..1)), None);
    }

    #[test]
    fn words_tell_which_text_they_are_in_and_how_often_they_were_there() {
        let alone = ["a", "b", "a"].map(|word| (word, None));
        assert_eq!(named(alone.into_iter()), ["a", "b", "a (2)"]);
        let pair = [("a", Some(0)), ("a", Some(0)), ("a", Some(1))];
        assert_eq!(named(pair.into_iter()), ["a (first text)", "a (first text, 2)", "a (second text)"]);
    }
}
