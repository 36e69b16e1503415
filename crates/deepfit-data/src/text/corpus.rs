//! Documents of which a network learns what comes next: a file, or the files of a folder, divided into parts.

use std::path::Path;

use super::reader::text_of;
use super::windows::read;
use crate::error::{Error, Result};
use crate::folder::text_files;
use crate::image;
use crate::rng::{Purpose, Rng};
use crate::split::Part;

/// Whole documents are set apart if they make up the shares that were asked for, or so much less or more of them.
const NEAR: [f64; 2] = [0.5, 1.6];

/// A text of its own.
struct Document {
    text: String,
    part: Option<Part>,
}

/// What was read.
pub(crate) struct Corpus {
    documents: Vec<Document>,
    /// Files that cannot be used, with the reason.
    pub(crate) failed: Vec<(String, String)>,
}

/// The text of each part.
pub(crate) struct Division {
    pub(crate) train: String,
    pub(crate) validation: String,
    pub(crate) test: String,
    /// How it came about, in words.
    pub(crate) note: String,
}

impl Corpus {
    /// Reads a file, or the `.txt` files of a folder, side by side or below `train`, `val` and `test`, in the order of their
    /// names.
    ///
    /// # Errors
    /// If a file by itself cannot be read, or no file of a folder can.
    pub(crate) fn read(path: &Path) -> Result<Corpus> {
        if !path.is_dir() {
            return Ok(Corpus { documents: vec![Document { text: read(path)?, part: None }], failed: Vec::new() });
        }
        let (mut documents, mut failed) = (Vec::new(), Vec::new());
        for entry in text_files(path) {
            let entry = entry.map_err(|error| Error::io(path, error.into()))?;
            let below = entry.path().strip_prefix(path).unwrap_or(entry.path());
            let name = below.to_string_lossy().into_owned();
            let folder = below.parent().and_then(Path::to_str).unwrap_or_default();
            match std::fs::read(entry.path()).map_err(|error| format!("cannot be read: {error}")).and_then(text_of) {
                Ok(text) if text.trim().is_empty() => failed.push((name, "is empty".to_string())),
                Ok(text) => documents.push(Document { text, part: image::part_of(folder) }),
                Err(problem) => failed.push((name, problem)),
            }
        }
        if documents.is_empty() {
            let problem = match failed.first() {
                Some((name, problem)) => format!("has no text that can be used: '{name}' {problem}"),
                None => "is a folder without .txt files".to_string(),
            };
            return Err(Error::Table { name: path.to_string_lossy().into_owned(), problem });
        }
        Ok(Corpus { documents, failed })
    }

    /// Number of documents.
    pub(crate) fn len(&self) -> usize {
        self.documents.len()
    }

    /// Bytes of all.
    pub(crate) fn bytes(&self) -> usize {
        self.documents.iter().map(|document| document.text.len()).sum()
    }

    /// All documents, one behind the other.
    pub(crate) fn whole(&self) -> String {
        joined(self.documents.iter().map(|document| &document.text[..]))
    }

    /// Divides the documents, shares of which are for validation and test where these are not given: whole ones, chosen by
    /// the seed, or, where these are too few or too unequal, the end of each. What is foreseen must not stand between what was
    /// learned.
    pub(crate) fn divide(&self, (validation, test): (f64, f64), seed: u64) -> Division {
        let given = |part| self.documents.iter().any(|document| document.part == Some(part));
        let validation = if given(Part::Validation) { 0.0 } else { validation };
        let test = if given(Part::Test) { 0.0 } else { test };
        let mut parts: Vec<Part> = self.documents.iter().map(|d| d.part.unwrap_or(Part::Train)).collect();
        if self.set_apart(&mut parts, [(Part::Test, test), (Part::Validation, validation)], seed) {
            let of = |part: Part| {
                joined(self.documents.iter().zip(&parts).filter(|(_, of)| **of == part).map(|(d, _)| &d.text[..]))
            };
            let count = |part: Part| parts.iter().filter(|of| **of == part).count();
            let note = format!(
                "{} documents: {} to learn from, {} for validation, {} for the test",
                self.len(),
                count(Part::Train),
                count(Part::Validation),
                count(Part::Test)
            );
            return Division { train: of(Part::Train), validation: of(Part::Validation), test: of(Part::Test), note };
        }
        let mut texts = [Vec::new(), Vec::new(), Vec::new()];
        for document in &self.documents {
            let (learned, between, last) = match document.part {
                Some(Part::Validation) => ("", &document.text[..], ""),
                Some(Part::Test) => ("", "", &document.text[..]),
                _ => {
                    let (learned, after) = cut(&document.text, 1.0 - validation - test);
                    let (between, last) = cut(after, validation / (validation + test).max(f64::MIN_POSITIVE));
                    (learned, between, last)
                }
            };
            for (part, text) in texts.iter_mut().zip([learned, between, last]) {
                if !text.is_empty() {
                    part.push(text);
                }
            }
        }
        let note = match self.len() {
            1 => "the last parts of the text are for validation and test".to_string(),
            count => format!(
                "{count} documents, too few or too unequal to set whole ones apart: the last parts of each are for \
                 validation and test"
            ),
        };
        let [train, validation, test] = texts.map(|part| joined(part.into_iter()));
        Division { train, validation, test, note }
    }

    /// Gives documents that are learned from to other parts, until these have their shares of all bytes; tells whether they
    /// have, nearly.
    fn set_apart(&self, parts: &mut [Part], wanted: [(Part, f64); 2], seed: u64) -> bool {
        let all: usize =
            self.documents.iter().zip(&*parts).filter(|(_, p)| **p == Part::Train).map(|(d, _)| d.text.len()).sum();
        let mut order: Vec<usize> = (0..parts.len()).filter(|&i| parts[i] == Part::Train).collect();
        Rng::new(seed, Purpose::Split, 0, 0).shuffle(&mut order);
        wanted.into_iter().filter(|(_, share)| *share > 0.0).all(|(part, share)| {
            let want = share * all as f64;
            let mut left = want;
            order.retain(|&document| {
                let size = self.documents[document].text.len() as f64;
                // A document is taken if that brings the part nearer to its share.
                let fits = size <= 2.0 * left;
                if fits {
                    parts[document] = part;
                    left -= size;
                }
                !fits
            });
            let got = (want - left) / want;
            !order.is_empty() && (NEAR[0]..NEAR[1]).contains(&got)
        })
    }
}

/// Documents one behind the other, with an empty line between.
fn joined<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut all = String::new();
    for text in texts {
        if !all.is_empty() {
            all.push_str(if all.ends_with('\n') { "\n" } else { "\n\n" });
        }
        all.push_str(text);
    }
    all
}

/// A text in two, where a line ends.
fn cut(text: &str, share: f64) -> (&str, &str) {
    let mut at = ((text.len() as f64 * share) as usize).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at = text[at..].find('\n').map_or(at, |line| at + line + 1);
    text.split_at(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(sizes: &[usize]) -> Corpus {
        let document = |(i, &size): (usize, &usize)| Document { text: format!("{i:04}\n").repeat(size), part: None };
        Corpus { documents: sizes.iter().enumerate().map(document).collect(), failed: Vec::new() }
    }

    fn lines(text: &str) -> std::collections::BTreeSet<&str> {
        text.lines().filter(|line| !line.is_empty()).collect()
    }

    #[test]
    fn whole_documents_are_set_apart_where_there_are_enough() {
        let sizes: Vec<usize> = (0..60).map(|i| 20 + i * 7 % 31).collect();
        let many = corpus(&sizes);
        let parts = many.divide((0.1, 0.2), 3);
        let (train, validation, test) = (lines(&parts.train), lines(&parts.validation), lines(&parts.test));
        assert_eq!(train.len() + validation.len() + test.len(), 60);
        assert!(train.is_disjoint(&validation) && train.is_disjoint(&test) && validation.is_disjoint(&test));
        let share = |part: &str| part.len() as f64 / many.bytes() as f64;
        assert!((share(&parts.validation) - 0.1).abs() < 0.03 && (share(&parts.test) - 0.2).abs() < 0.03);
        // The seed chooses, and nothing else.
        assert_eq!(many.divide((0.1, 0.2), 3).test, parts.test);
        assert_ne!(many.divide((0.1, 0.2), 4).test, parts.test);
    }

    #[test]
    fn few_or_unequal_documents_are_cut_each() {
        for sizes in [&[100, 100, 100][..], &[5_000, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10]] {
            let few = corpus(sizes);
            let parts = few.divide((0.1, 0.1), 1);
            assert!(parts.note.contains("the last parts of each"), "{}", parts.note);
            let share = |part: &str| part.len() as f64 / few.bytes() as f64;
            assert!((share(&parts.validation) - 0.1).abs() < 0.02 && (share(&parts.test) - 0.1).abs() < 0.02);
            assert_eq!(lines(&parts.train).len(), sizes.len());
        }
        let one = corpus(&[100]);
        let parts = one.divide((0.1, 0.1), 1);
        assert_eq!([parts.train, parts.validation, parts.test].concat(), one.whole());
    }

    #[test]
    fn parts_that_folders_name_stay() {
        let mut given = corpus(&[50; 40]);
        given.documents[7].part = Some(Part::Test);
        given.documents[9].part = Some(Part::Train);
        let parts = given.divide((0.1, 0.1), 1);
        assert_eq!(lines(&parts.test), ["0007"].into());
        assert!((3..=5).contains(&lines(&parts.validation).len()), "{}", parts.note);
    }
}
