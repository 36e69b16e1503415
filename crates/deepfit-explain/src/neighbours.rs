//! The training examples that are most like an input to the network: nearest by what its last layer sees.

use std::sync::Arc;

use deepfit_data::{Array, Loader, LoaderOptions, Opened, Sample, Source};
use deepfit_nn::step::evaluation_graph;
use deepfit_train::text::words;
use deepfit_train::{Embedding, Gallery, Neighbour};
use serde::Serialize;

use crate::error::Result;
use crate::rows::Rows;
use crate::subject::{LOGITS, Subject};

/// Neighbours that are shown.
const SHOWN: usize = 5;
/// Rows that are embedded together.
const AT_ONCE: usize = 64;

/// A training example that is like an input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Like {
    /// Its path, or the number of its row.
    pub input: String,
    /// Cosine of the angle between what the last layer sees of both, -1 to 1.
    pub similarity: f32,
    /// What it was trained as.
    pub target: String,
    /// What it is, in short: the beginning of a text, the first columns of a row; nothing of pictures, which their path tells.
    pub shown: Option<String>,
}

/// All training examples, as the last layer sees them.
pub struct Known {
    gallery: Gallery,
    examples: Vec<Example>,
    source: Arc<dyn Source>,
}

/// A training example.
struct Example {
    name: String,
    target: String,
    row: u32,
}

/// Columns of a row, and letters of a text, that are shown.
const COLUMNS: usize = 4;
const LETTERS: usize = 80;

/// What a row is, in a line.
fn in_short(sample: Sample) -> Option<String> {
    let line = |text: &str| words::shortened(&text.split_whitespace().collect::<Vec<_>>().join(" "), LETTERS);
    match sample {
        Sample::Picture { .. } => None,
        Sample::Cells { cells } => {
            let mut shown: Vec<String> =
                cells.iter().take(COLUMNS).map(|(column, cell)| format!("{column} = {cell}")).collect();
            shown.extend((cells.len() > COLUMNS).then(|| "…".to_string()));
            Some(shown.join(", "))
        }
        Sample::Texts { texts } => Some(texts.iter().map(|text| line(text)).collect::<Vec<_>>().join(" | ")),
        Sample::Words { words } => Some(line(&words.join(" "))),
    }
}

/// What the last layer sees of rows, one after the other.
fn features(subject: &mut Subject, rows: &Rows) -> Result<Vec<Vec<f32>>> {
    let compiled = subject.program("features", rows, |subject| {
        Ok(evaluation_graph(|tracer| {
            let features = subject.network().features(&subject.inputs(tracer))?;
            Ok(vec![(LOGITS.to_string(), features)])
        })?)
    })?;
    let mut all = Vec::with_capacity(rows.len);
    for begin in (0..rows.len).step_by(compiled.batch) {
        let part = rows.slice(begin, rows.len.min(begin + compiled.batch));
        subject.run(compiled, &part, &[])?;
        let values = subject.output(compiled, LOGITS)?;
        all.extend(values.chunks_exact(values.len() / part.len).map(<[f32]>::to_vec));
    }
    Ok(all)
}

/// What the last layer sees of all rows of data that has been opened, with their numbers.
pub(crate) fn all_features(subject: &mut Subject, opened: &Opened) -> Result<Vec<(u32, Vec<f32>)>> {
    let options = LoaderOptions::evaluate(AT_ONCE, 1);
    let mut loader = Loader::new(opened.source.clone(), opened.rows.clone(), options)?;
    let mut all = Vec::with_capacity(opened.rows.len());
    while let Some(batch) = loader.next()? {
        let rows = Rows::of(&batch);
        all.extend(batch.rows.iter().copied().zip(features(subject, &rows)?));
    }
    all.sort_by_key(|(row, _)| *row);
    Ok(all)
}

fn embedding(input: String, values: Vec<f32>) -> Embedding {
    Embedding { input, text: None, embedding: Some(values), logits: None, hidden: None }
}

impl Known {
    /// Those of a run.
    ///
    /// # Errors
    /// If they cannot be read, or the network knows no features.
    pub fn of(subject: &mut Subject, training: &Opened) -> Result<Known> {
        let scale = subject.preprocessor().target_scale();
        let task = subject.task().clone();
        let (mut gallery, mut examples) = (Gallery::default(), Vec::new());
        let options = LoaderOptions::evaluate(AT_ONCE, 1);
        let mut loader = Loader::new(training.source.clone(), training.rows.clone(), options)?;
        while let Some(batch) = loader.next()? {
            let rows = Rows::of(&batch);
            let width = batch.targets.len() / batch.len.max(1);
            for (i, values) in features(subject, &rows)?.into_iter().enumerate() {
                let target = match &batch.targets {
                    Array::I32(classes) => task.classes().get(classes[i] as usize).cloned().unwrap_or_default(),
                    Array::F32(values) if task.classes().is_empty() => {
                        let value = f64::from(values[i]);
                        format!("{:.4}", scale.map_or(value, |scale| scale.inverse(value)))
                    }
                    Array::F32(values) => {
                        let own = values[i * width..(i + 1) * width].iter().zip(task.classes());
                        own.filter(|(label, _)| **label > 0.5)
                            .map(|(_, name)| name.clone())
                            .collect::<Vec<_>>()
                            .join(", ")
                    }
                    Array::U8(_) => String::new(),
                };
                // A file that is asked about is not its own neighbour; rows of tables have but a number.
                let name = training.names[batch.rows[i] as usize].clone();
                gallery.add(&embedding(name.clone(), values));
                examples.push(Example { name, target, row: batch.rows[i] });
            }
        }
        Ok(Known { gallery, examples, source: training.source.clone() })
    }

    /// Those most like a row, the most similar first.
    ///
    /// # Errors
    /// If the network cannot run.
    pub fn nearest(&self, subject: &mut Subject, input: &str, row: &Rows) -> Result<Vec<Like>> {
        let values = features(subject, row)?.swap_remove(0);
        // The number of a row is no name: another table's row has the same.
        let name = if input.parse::<u64>().is_ok() { String::new() } else { input.to_string() };
        let found = self.gallery.nearest(&embedding(name, values), SHOWN).nearest;
        let like = |one: Neighbour| {
            let example = self.examples.iter().find(|example| example.name == one.input);
            let sample = example.and_then(|own| Sample::of(&*self.source, subject.preprocessor(), own.row));
            Like {
                target: example.map(|example| example.target.clone()).unwrap_or_default(),
                similarity: one.similarity,
                shown: sample.and_then(in_short),
                input: one.input,
            }
        };
        Ok(found.into_iter().map(like).collect())
    }

    /// The share of all training examples that were trained as something.
    pub fn share(&self, target: &str) -> f64 {
        let same = self.examples.iter().filter(|example| example.target == target).count();
        same as f64 / self.examples.len().max(1) as f64
    }
}
