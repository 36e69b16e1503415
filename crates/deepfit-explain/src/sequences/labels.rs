//! Labels of words: why a word has its label.

use std::ops::Range;

use deepfit_data::{Array, IGNORED, Loader, LoaderOptions, Preprocessor, Task, TextPreprocessor};
use deepfit_train::{Model, PredictionValue, Tags};

use super::networks::WordLabels;
use super::{Found, Opened, Piece, Read, Told};
use crate::error::{ExplainError, Result};
use crate::explainer::{Inputs, Request};
use crate::rows::Rows;
use crate::subject::Subject;

/// A model that labels words.
pub(crate) struct Labels {
    preprocessor: TextPreprocessor,
    /// Names of its outputs.
    names: Vec<String>,
    tags: Tags,
    /// Tokens at every text's end.
    after: usize,
}

/// A part of a sentence that the network sees at once.
struct Window {
    /// What it sees, but for the word that is asked for.
    row: Rows,
    /// The first of its words in the sentence.
    first: usize,
    /// The tokens of each word.
    words: Vec<Range<usize>>,
}

pub(super) fn open(model: Model, threads: usize) -> Result<Opened> {
    let engine = model.engine(threads)?;
    let Model { preprocessor, network, notes, .. } = model;
    let (Preprocessor::Text(text), Task::Labels { labels, spans }) = (&preprocessor, preprocessor.task()) else {
        return Err(ExplainError::asked("the model labels no words of texts"));
    };
    let names = labels.clone();
    let damaged = |problem: String| ExplainError::asked(format!("the model's tokenizer {problem}"));
    let after =
        text.tokenizer().map_or(Ok(0), |tokens| tokens.around().map(|(_, after)| after.len())).map_err(damaged)?;
    let told = Labels {
        preprocessor: TextPreprocessor::clone(text),
        tags: Tags::new(&names, *spans),
        names: names.clone(),
        after,
    };
    let network = Box::new(WordLabels(network));
    let subject = Subject::of_sequences(network, Task::Classification { classes: names }, preprocessor, engine);
    Ok((subject, Some(Told::Labels(told)), notes))
}

impl Labels {
    /// The outputs that a name stands for: a tag, or all tags of a label.
    fn outputs(&self, subject: &Subject, class: &str) -> Result<Vec<usize>> {
        if let Some(exact) = self.names.iter().position(|name| name == class) {
            return Ok(vec![exact]);
        }
        let is_of = |name: &String| ["B-", "I-"].iter().any(|tag| name.strip_prefix(tag) == Some(class));
        let found: Vec<usize> = (0..self.names.len()).filter(|&output| is_of(&self.names[output])).collect();
        // Its error names what there is.
        if found.is_empty() { subject.class(class).map(|output| vec![output]) } else { Ok(found) }
    }

    /// The windows of a sentence, by their rows.
    fn window(&self, opened: &deepfit_data::Opened, row: u32) -> Result<Option<Window>> {
        let mut loader = Loader::new(opened.source.clone(), vec![row], LoaderOptions::evaluate(1, 0))?;
        let Some(batch) = loader.next()? else { return Ok(None) };
        let Array::I32(targets) = &batch.targets else { return Ok(None) };
        let begins: Vec<usize> = (0..targets.len()).filter(|&token| targets[token] != IGNORED).collect();
        let ends = begins.iter().skip(1).copied().chain([targets.len().saturating_sub(self.after)]);
        let words = begins.iter().zip(ends).map(|(&begin, end)| begin..end.max(begin + 1)).collect();
        Ok(Some(Window { row: Rows::of(&batch), first: opened.source.piece_of(row).first, words }))
    }
}

impl Window {
    /// What the network sees when it is asked for some of the words.
    fn asking(&self, words: &[Range<usize>]) -> Rows {
        let mut rows = self.row.repeated(words.len());
        rows.inputs.push(Array::I32(words.iter().map(|word| word.start as i32 + 1).collect()));
        rows
    }
}

/// Reads sentences, and gives the words whose labels are explained: the first of each span, those at the places that are asked
/// for, or with a class, the word that is most probably of it.
pub(super) fn read(
    subject: &mut Subject,
    labels: &Labels,
    inputs: Inputs<'_>,
    request: &Request,
    threads: usize,
    notes: &mut Vec<String>,
    found: Found<'_>,
) -> Result<Vec<(String, String)>> {
    let wanted = request.class.as_deref().map(|class| labels.outputs(subject, class)).transpose()?;
    let opened = match inputs {
        Inputs::Paths(paths) => labels.preprocessor.open_inputs(paths, threads)?,
        Inputs::Reader(reader, name) => labels.preprocessor.read_inputs(reader, name)?,
    };
    notes.extend(opened.notes.iter().cloned());
    let Some(sentences) = opened.sentences.clone() else { return Ok(opened.failed) };
    let sample = |row: &u32| opened.source.piece_of(*row).sample;
    for rows in opened.rows.chunk_by(|a, b| sample(a) == sample(b)) {
        let sentence = sample(&rows[0]) as usize;
        let mut windows = Vec::new();
        for &row in rows {
            windows.extend(labels.window(&opened, row)?);
        }
        let mut probabilities = Vec::new();
        for window in windows.iter().filter(|window| !window.words.is_empty()) {
            for logits in subject.logits(&window.asking(&window.words))? {
                probabilities.push(subject.probabilities(&logits));
            }
        }
        let flat: Vec<f32> = probabilities.iter().flatten().map(|&p| p as f32).collect();
        let predicted = labels.tags.decode(&flat);
        let name = sentences.name(sentence).to_string();
        let chosen: Vec<(usize, usize)> = match (&wanted, &request.places) {
            (None, Some(places)) => {
                let there = places.iter().filter(|place| **place < predicted.len());
                there.map(|&word| (word, predicted[word])).collect()
            }
            (Some(outputs), _) => {
                let all = (0..predicted.len()).flat_map(|word| outputs.iter().map(move |&output| (word, output)));
                let probability = |&(word, output): &(usize, usize)| probabilities[word][output];
                all.max_by(|a, b| probability(a).total_cmp(&probability(b))).into_iter().collect()
            }
            (None, None) => labels
                .tags
                .spans(&predicted)
                .into_iter()
                .map(|(words, _)| (words.start, predicted[words.start]))
                .collect(),
        };
        if chosen.is_empty() {
            notes.push(format!(
                "{name}: no word of it has a label; --class NAME explains the word that is nearest to one"
            ));
        }
        for (word, output) in chosen {
            let of = |window: &&Window| (window.first..window.first + window.words.len()).contains(&word);
            let Some(window) = windows.iter().find(of) else { continue };
            let written = |word: usize| sentences.text(sentence)[sentences.words(sentence)[word].clone()].to_string();
            let part = |(at, tokens): (usize, &Range<usize>)| Piece {
                written: written(window.first + at),
                side: None,
                tokens: tokens.clone().collect(),
            };
            let read = Read {
                name: name.clone(),
                of: Some(written(word)),
                row: window.asking(&window.words[word - window.first..=word - window.first]),
                parts: window.words.iter().enumerate().map(part).collect(),
                prediction: PredictionValue::Class(labels.names[predicted[word]].clone()),
                class: Some((labels.names[output].clone(), probabilities[word][output])),
                output,
            };
            found(subject, read)?;
        }
    }
    Ok(opened.failed)
}
