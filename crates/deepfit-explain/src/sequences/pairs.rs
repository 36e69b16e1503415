//! How near two texts are: which of their words make them near.

use std::path::Path;

use deepfit_data::{Array, PairLabel, Passage, Preprocessor, Task, TextPreprocessor};
use deepfit_train::{PairModel, PredictionValue};

use super::networks::Nearness;
use super::{Found, Opened, Piece, Read, Told};
use crate::error::{ExplainError, Result};
use crate::explainer::Inputs;
use crate::rows::Rows;
use crate::subject::{Subject, Unit};
use crate::texts::holder;

pub(super) fn open(path: &Path, threads: usize) -> Result<Opened> {
    let (model, (network, engine, notes)) = PairModel::open(path, threads)?;
    let task = Task::Similarity { label: PairLabel::Partners };
    let form = &model.form;
    let preprocessor = TextPreprocessor::published(form.tokenizer.clone(), task.clone(), form.most_tokens);
    let preprocessor = Preprocessor::Text(Box::new(preprocessor));
    let subject = Subject::of_sequences(Box::new(Nearness(network)), task, preprocessor, engine);
    Ok((subject, Some(Told::Nearness(model)), notes))
}

/// Reads pairs of texts, and gives each with how near both are.
pub(super) fn read(
    subject: &mut Subject,
    model: &PairModel,
    inputs: Inputs<'_>,
    threads: usize,
    found: Found<'_>,
) -> Result<Vec<(String, String)>> {
    let mut failed = Vec::new();
    for (name, pair) in pairs(model, inputs, threads)? {
        match beside(model, &pair) {
            Ok((row, parts)) => {
                let logits = subject.logits(&row)?.swap_remove(0);
                let prediction = PredictionValue::Value(subject.score(&logits, 0, Unit::Similarity));
                found(subject, Read { name, of: None, row, parts, prediction, class: None, output: 0 })?;
            }
            Err(reason) => failed.push((name, reason)),
        }
    }
    Ok(failed)
}

/// The pairs of tables, or of lines with a tabulator between both texts, with their names.
fn pairs(model: &PairModel, inputs: Inputs<'_>, threads: usize) -> Result<Vec<(String, [String; 2])>> {
    let mut pairs = Vec::new();
    match inputs {
        Inputs::Paths(paths) => {
            for path in paths {
                let prefix = if paths.len() > 1 { format!("{}:", path.display()) } else { String::new() };
                let rows = model.read(path, threads)?;
                pairs.extend(rows.into_iter().map(|(row, texts)| (format!("{prefix}{row}"), texts)));
            }
        }
        Inputs::Reader(reader, name) => {
            let mut all = String::new();
            let unreadable = |e: std::io::Error| ExplainError::asked(format!("{name} cannot be read as text: {e}"));
            reader.read_to_string(&mut all).map_err(unreadable)?;
            for (row, line) in all.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let Some((first, second)) = line.split_once('\t') else {
                    let problem = format!(
                        "{name}, line {}: the model tells how near two texts are, and there is no tabulator between two; give a \
                         table with two columns of texts",
                        row + 1
                    );
                    return Err(ExplainError::asked(problem));
                };
                pairs.push((row.to_string(), [first.to_string(), second.to_string()]));
            }
        }
    }
    Ok(pairs)
}

/// What the network sees of a pair, and the words of both texts.
fn beside(model: &PairModel, pair: &[String; 2]) -> Result<(Rows, Vec<Piece>), String> {
    let form = &model.form;
    let (mut tokens, mut positions, mut second) = (Vec::new(), Vec::new(), 0);
    let mut parts = Vec::new();
    for (side, text) in pair.iter().enumerate() {
        let ids = form.tokenizer.encode(text, form.most_tokens)?.ids;
        if ids.is_empty() {
            return Err("has a text without any token".to_string());
        }
        let begin = tokens.len();
        if side == 1 {
            second = begin as i32;
        }
        let passage = Passage { text: text.clone(), second: None };
        let places = form.tokenizer.places(&passage, form.most_tokens)?;
        // A word is a part of the text, whose place the addresses of both tell.
        let from = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        let words: Vec<std::ops::Range<usize>> =
            text.split_whitespace().map(|word| from(word)..from(word) + word.len()).collect();
        let first = parts.len();
        let piece = |word: &str| Piece { written: word.to_string(), side: Some(side), tokens: Vec::new() };
        parts.extend(text.split_whitespace().map(piece));
        for (token, place) in places.iter().enumerate() {
            let of = place.as_ref().and_then(|(_, bytes)| holder(words.iter().enumerate(), bytes));
            if let Some(word) = of {
                parts[first + word].tokens.push(begin + token);
            }
        }
        positions.extend(0..ids.len() as i32);
        tokens.extend(ids.into_iter().map(|id| id as i32));
    }
    let length = tokens.len();
    let numbers = [tokens, positions, vec![length as i32], vec![second]];
    Ok((Rows { len: 1, sequence: length, inputs: numbers.map(Array::I32).into() }, parts))
}
