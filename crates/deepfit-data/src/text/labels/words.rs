//! How a line is cut into words where nothing says what its words are.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

/// What a model that labels words knows of the form of its training data, so that it reads other data as that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelForm {
    /// How lines are cut into words.
    pub split: WordSplit,
    /// Names of the fields of JSON Lines that hold words or texts, and their tags or spans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<[String; 2]>,
}

/// How a line is cut into words. A letter that is written as several characters, such as a family of emoji or a letter with
/// an accent behind it, is never cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WordSplit {
    /// At spaces alone.
    Spaces,
    /// At spaces; what is neither letter nor digit at a word's beginning or end is a word by itself, character by character.
    Apart,
    /// Letters and digits side by side are a word; all else is, character by character.
    Pieces,
}

impl WordSplit {
    /// The way in which words have been cut: at spaces, if marks hang on words more often than they stand alone; in pieces,
    /// if no word has a mark inside although hyphens or apostrophes stand alone; else with the marks around words apart.
    pub(crate) fn of<'a>(words: impl Iterator<Item = &'a str>) -> WordSplit {
        let (mut alone, mut attached, mut inside, mut joins) = (0_u64, 0_u64, 0_u64, 0_u64);
        for word in words {
            let is_word: Vec<bool> = word.graphemes(true).map(is_word).collect();
            match is_word.as_slice() {
                [false] => {
                    alone += 1;
                    joins += u64::from(matches!(word, "-" | "'" | "’"));
                }
                [first, .., last] => {
                    attached += u64::from((!first || !last) && is_word.contains(&true));
                    inside += u64::from(*first && *last && is_word.contains(&false));
                }
                _ => {}
            }
        }
        match (attached > alone, inside == 0 && joins > 0) {
            (true, _) => WordSplit::Spaces,
            (false, true) => WordSplit::Pieces,
            (false, false) => WordSplit::Apart,
        }
    }

    /// Bytes of a text that are its words, in their order.
    pub fn words(self, text: &str) -> Vec<Range<usize>> {
        let mut words = Vec::new();
        let mut chunk: Vec<(usize, &str)> = Vec::new();
        for (at, letter) in text.grapheme_indices(true) {
            if letter.chars().all(|c| c.is_whitespace() || c.is_control()) {
                self.cut(&chunk, &mut words);
                chunk.clear();
            } else {
                chunk.push((at, letter));
            }
        }
        self.cut(&chunk, &mut words);
        words
    }

    /// Cuts what stands between two spaces.
    fn cut(self, chunk: &[(usize, &str)], words: &mut Vec<Range<usize>>) {
        let range = |part: &[(usize, &str)]| match part {
            [] => None,
            [(begin, _), ..] => part.last().map(|(at, letter)| *begin..at + letter.len()),
        };
        let singles = |part: &[(usize, &str)], words: &mut Vec<Range<usize>>| {
            words.extend(part.iter().map(|(at, letter)| *at..at + letter.len()));
        };
        match self {
            WordSplit::Spaces => words.extend(range(chunk)),
            WordSplit::Apart => {
                let begin = chunk.iter().position(|(_, letter)| is_word(letter)).unwrap_or(chunk.len());
                let end = chunk.iter().rposition(|(_, letter)| is_word(letter)).map_or(begin, |last| last + 1);
                singles(&chunk[..begin], words);
                words.extend(range(&chunk[begin..end]));
                singles(&chunk[end..], words);
            }
            WordSplit::Pieces => {
                for part in chunk.chunk_by(|(_, a), (_, b)| is_word(a) && is_word(b)) {
                    words.extend(range(part));
                }
            }
        }
    }
}

/// Whether a letter belongs to words.
fn is_word(letter: &str) -> bool {
    letter.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// Whether a text may be cut there without cutting a letter.
pub(super) fn is_between_letters(text: &str, at: usize) -> bool {
    use unicode_segmentation::GraphemeCursor;
    let mut cursor = GraphemeCursor::new(at, text.len(), true);
    cursor.is_boundary(text, 0).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(split: WordSplit, text: &str) -> Vec<&str> {
        split.words(text).into_iter().map(|word| &text[word]).collect()
    }

    #[test]
    fn lines_are_cut_as_words_of_training_data_were() {
        let line = "  (Zoë's co-op, 3.5 km) 👨‍👩‍👧!? e\u{301}a";
        assert_eq!(cut(WordSplit::Spaces, line), ["(Zoë's", "co-op,", "3.5", "km)", "👨‍👩‍👧!?", "e\u{301}a"]);
        let apart = ["(", "Zoë's", "co-op", ",", "3.5", "km", ")", "👨‍👩‍👧", "!", "?", "e\u{301}a"];
        assert_eq!(cut(WordSplit::Apart, line), apart);
        assert_eq!(cut(WordSplit::Pieces, "Zoë's co-op"), ["Zoë", "'", "s", "co", "-", "op"]);
        assert_eq!(WordSplit::of(["Yes,", "she", "did."].into_iter()), WordSplit::Spaces);
        assert_eq!(WordSplit::of(["Yes", ",", "co-op", "-"].into_iter()), WordSplit::Apart);
        assert_eq!(WordSplit::of(["don", "'", "t"].into_iter()), WordSplit::Pieces);
        assert_eq!(WordSplit::of(["on"].into_iter()), WordSplit::Apart);
        assert!(cut(WordSplit::Apart, " \t ").is_empty());
    }
}
