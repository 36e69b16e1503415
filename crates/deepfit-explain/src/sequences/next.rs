//! The token that comes next: which of those before it speak for it.

use std::sync::Arc;

use deepfit_data::{Array, Passage, Preprocessor, Task, TextPreprocessor, TextRow, Texts, Tokenizer};
use deepfit_train::Continuing;

use super::networks::NextWord;
use super::{Found, Opened, Piece, Read, Told};
use crate::error::Result;
use crate::explainer::Inputs;
use crate::rows::Rows;
use crate::subject::Subject;

/// Most tokens that are explained: those before them are left out.
const MOST: usize = 128;

/// A model that continues texts.
pub(crate) struct Next {
    tokenizer: Arc<Tokenizer>,
    most: usize,
}

pub(super) fn open(model: Continuing) -> Result<Opened> {
    let Continuing { network, tokenizer, positions, engine, notes } = model;
    let words = network.outputs();
    let name = |id: u32| match tokenizer.decode(&[id]) {
        Ok(text) if !text.is_empty() && !text.contains('\u{fffd}') => text,
        _ => tokenizer.token(id).unwrap_or_else(|| format!("[{id}]")),
    };
    let task = Task::Classification { classes: (0..words as u32).map(name).collect() };
    let preprocessor = TextPreprocessor::published(tokenizer.clone(), Task::NextToken, positions);
    let preprocessor = Preprocessor::Text(Box::new(preprocessor));
    let subject = Subject::of_sequences(Box::new(NextWord(network)), task, preprocessor, engine);
    Ok((subject, Some(Told::Next(Next { tokenizer, most: positions.min(MOST) })), notes))
}

/// Reads texts, and gives them with the token that comes next.
pub(super) fn read(
    subject: &mut Subject,
    next: &Next,
    inputs: Inputs<'_>,
    class: Option<&str>,
    notes: &mut Vec<String>,
    found: Found<'_>,
) -> Result<Vec<(String, String)>> {
    // A token often holds the space before its word.
    let wanted =
        class.map(|class| subject.class(&format!(" {class}")).or_else(|_| subject.class(class))).transpose()?;
    let (mut failed, mut cut) = (Vec::new(), Vec::new());
    let mut each = |row: TextRow| -> Result<()> {
        let (ids, written, left) = match row.text.and_then(|text| next.tokens(&text)) {
            Ok(read) => read,
            Err(reason) => {
                failed.push((row.name, reason));
                return Ok(());
            }
        };
        if left > 0 {
            cut.push(format!(
                "{}: its last {} tokens are looked at, and {left} before them are not",
                row.name,
                ids.len()
            ));
        }
        let length = ids.len();
        let tokens = Array::I32(ids.into_iter().map(|id| id as i32).collect());
        let one = Rows { len: 1, sequence: length, inputs: vec![tokens, Array::I32(vec![length as i32])] };
        let logits = subject.logits(&one)?.swap_remove(0);
        let (prediction, predicted) = subject.prediction(&logits);
        let output = wanted.unwrap_or(predicted);
        let class = Some((subject.task().classes()[output].clone(), subject.probabilities(&logits)[output]));
        let part = |(token, written): (usize, String)| Piece { written, side: None, tokens: vec![token] };
        let parts = written.into_iter().enumerate().map(part).collect();
        found(subject, Read { name: row.name, of: None, row: one, parts, prediction, class, output })
    };
    let texts = Texts::default();
    let read = match inputs {
        Inputs::Paths(paths) => texts.read(paths, &mut each)?,
        Inputs::Reader(reader, name) => texts.read_from(reader, name, &mut each)?,
    };
    notes.extend(read.into_iter().chain(cut));
    Ok(failed)
}

impl Next {
    /// The tokens of a text with their letters, no more than the network takes; and how many are left out before them.
    fn tokens(&self, text: &str) -> Result<(Vec<u32>, Vec<String>, usize), String> {
        let all = self.tokenizer.encode(text, usize::MAX)?.ids;
        if all.is_empty() {
            return Err("is empty, and the model puts nothing before it".to_string());
        }
        let passage = Passage { text: text.to_string(), second: None };
        let places = self.tokenizer.places(&passage, usize::MAX)?;
        let left = all.len().saturating_sub(self.most);
        let written = |(id, place): (&u32, Option<(usize, std::ops::Range<usize>)>)| {
            let letters = place.filter(|(_, bytes)| !bytes.is_empty()).and_then(|(_, bytes)| text.get(bytes));
            let letters = letters.map(|letters| match letters.trim() {
                "" if letters.contains('\n') => "↵".to_string(),
                "" => "␣".to_string(),
                trimmed => trimmed.to_string(),
            });
            letters.or_else(|| self.tokenizer.token(*id)).unwrap_or_default()
        };
        let places = places.into_iter().chain(std::iter::repeat(None));
        let letters: Vec<String> = all.iter().zip(places).map(written).collect();
        Ok((all[left..].to_vec(), letters[left..].to_vec(), left))
    }
}
