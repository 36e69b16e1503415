//! What is read of a row: a text, or two that are compared.

use xxhash_rust::xxh3::Xxh3;

/// Between the texts of several columns that are read as one.
const BETWEEN: &str = "\n";

/// A text, or two of which it is learned how they relate: a question and an answer, a sentence and another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passage {
    /// The text, or the first of two.
    pub text: String,
    /// The second of two.
    pub second: Option<String>,
}

impl Passage {
    /// The texts of some columns: two that are compared, or all of them one after the other.
    pub(crate) fn of_columns<S: AsRef<str>>(columns: &[S], pairs: bool) -> Passage {
        match columns {
            [first, second] if pairs => {
                Passage { text: first.as_ref().to_string(), second: Some(second.as_ref().to_string()) }
            }
            _ => {
                let parts: Vec<&str> = columns.iter().map(AsRef::as_ref).collect();
                Passage { text: parts.join(BETWEEN), second: None }
            }
        }
    }

    /// Its texts.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.text).chain(&self.second).map(String::as_str)
    }

    /// Bytes of its texts.
    pub(crate) fn len(&self) -> usize {
        self.texts().map(str::len).sum()
    }

    /// Whether there is nothing in it but white space.
    pub(crate) fn is_blank(&self) -> bool {
        self.texts().all(|text| text.trim().is_empty())
    }

    /// A number for its content.
    pub(crate) fn content(&self) -> u128 {
        let mut hasher = Xxh3::new();
        hasher.update(self.text.as_bytes());
        if let Some(second) = &self.second {
            // No text holds this byte.
            hasher.update(&[0xFF]);
            hasher.update(second.as_bytes());
        }
        hasher.digest128()
    }
}

impl From<String> for Passage {
    fn from(text: String) -> Passage {
        Passage { text, second: None }
    }
}
