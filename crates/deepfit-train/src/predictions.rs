//! What a run predicted for its test rows: `predictions.safetensors` in the run folder, for whoever looks at it afterwards.
//!
//! Of many rows a sample is kept, so that the file stays small. The worst mistakes are found among all rows, and kept with
//! what these rows are, so that they can be shown without the data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use deepfit_data::{Dataset, Preprocessor, RowId, Sample, Source, Task};
use deepfit_graph::philox::Stream;
use serde::{Deserialize, Serialize};

use crate::baseline::Baseline;
use crate::error::{Result, TrainError};
use crate::metrics::{LABEL_THRESHOLD, SimilarityMetrics};
use crate::progress::check_version;
use crate::run_folder::{Durability, FORMAT_VERSION};
use crate::tagging::{Gathered, Tags};
use crate::tensors::{self, Borrowed};

/// Most rows that are kept; of labelled words, most words.
pub const MOST_ROWS: usize = 10_000;
/// Most numbers that are kept, so that fewer rows are where there are many classes.
const MOST_VALUES: usize = 1 << 20;
/// Worst mistakes that are kept.
const WORST: usize = 12;
const KEY: &str = "deepfit_predictions";
const PREDICTED: &str = "test.predicted";
const TRUTHS: &str = "test.truths";

/// What a run predicted for its test rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predictions {
    /// Version of the format.
    pub version: u32,
    /// Test rows that were measured; of labelled words, sentences.
    pub measured: usize,
    /// Where each of the rows that are kept comes from; of labelled words, the sentence of each word.
    pub ids: Vec<RowId>,
    /// What a method reaches that learns next to nothing.
    pub baseline: Option<Baseline>,
    /// The worst mistakes of all test rows, the worst first.
    pub worst: Vec<Mistake>,
    /// Numbers of each row in `predicted`.
    #[serde(skip)]
    pub outputs: usize,
    /// Of each row that is kept, the probability of each class or label, or the value in the target's unit. Of texts that
    /// are continued, the mean loss of a window; of pairs of texts, the rank of the partner or, with scores, the cosine.
    #[serde(skip)]
    pub predicted: Vec<f32>,
    /// Of each row the number of its class, 1 or 0 for each label, or its value. Of texts that are continued, the bytes of
    /// a window; of partners the cosine of both texts, of pairs with scores the score.
    #[serde(skip)]
    pub truths: Vec<f32>,
}

/// A row that was predicted badly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// Where it comes from.
    pub id: RowId,
    /// The file that it is, if a table names files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// How bad it is: the logarithmic loss, the distance from the true value, or the rank.
    pub loss: f64,
    /// As [`Predictions::predicted`]; of labelled words the number of the tag that each word was given.
    pub predicted: Vec<f32>,
    /// As [`Predictions::truths`]; of labelled words the number of the tag of each word.
    pub truths: Vec<f32>,
    /// What the row is, where it can be shown.
    pub sample: Option<Sample>,
}

impl Predictions {
    /// What is predicted of one row.
    pub fn row(&self, row: usize) -> (&[f32], &[f32]) {
        let width = self.truths.len() / self.ids.len().max(1);
        (&self.predicted[row * self.outputs..][..self.outputs], &self.truths[row * width..][..width])
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let rows = self.ids.len();
        let (predicted, truths) = ([rows, self.outputs], [rows, self.truths.len() / rows.max(1)]);
        let named = BTreeMap::from([
            (PREDICTED.to_string(), Borrowed { shape: &predicted, values: &self.predicted }),
            (TRUTHS.to_string(), Borrowed { shape: &truths, values: &self.truths }),
        ]);
        let content = serde_json::to_string(self).map_err(|e| TrainError::run(path, e.to_string()))?;
        tensors::write(path, Durability::Process, &named, KEY, content)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// If it is damaged, or of a newer version.
    pub(crate) fn load(path: &Path) -> Result<Predictions> {
        let (mut tensors, content) = tensors::read(path, KEY)?;
        let damaged = |problem: String| TrainError::run(path, format!("is damaged: {problem}"));
        let value: serde_json::Value = serde_json::from_str(&content).map_err(|e| damaged(e.to_string()))?;
        check_version(path, value["version"].as_u64())?;
        let mut found: Predictions = serde_json::from_value(value).map_err(|e| damaged(e.to_string()))?;
        let mut take = |name: &str| {
            let tensor = tensors.remove(name).filter(|tensor| tensor.shape.first() == Some(&found.ids.len()));
            tensor.ok_or_else(|| damaged(format!("`{name}` is missing or of another length")))
        };
        let (predicted, truths) = (take(PREDICTED)?, take(TRUTHS)?);
        found.outputs = predicted.shape.get(1).copied().unwrap_or(0);
        (found.predicted, found.truths) = (predicted.values, truths.values);
        Ok(found)
    }
}

/// Keeps predictions while they are measured.
pub(crate) struct Keeper {
    chosen: Chosen,
    outputs: usize,
    rows: Vec<u32>,
    predicted: Vec<f32>,
    truths: Vec<f32>,
    worst: Vec<Bad>,
    /// Of labelled words, the rows that are windows of each sentence, of those among the worst.
    windows: BTreeMap<u32, Vec<u32>>,
    measured: usize,
}

/// Which rows are kept.
enum Chosen {
    All,
    These(BTreeSet<u32>),
}

struct Bad {
    loss: f64,
    row: u32,
    predicted: Vec<f32>,
    truths: Vec<f32>,
}

impl Keeper {
    /// For rows of a source, of a task of so many outputs.
    pub(crate) fn new(task: &Task, source: &dyn Source, rows: &[u32], outputs: usize) -> Keeper {
        let values = match task {
            Task::Similarity { .. } | Task::NextToken | Task::Regression => 1,
            _ => outputs,
        };
        let most = MOST_ROWS.min(MOST_VALUES / values.max(1)).max(1);
        // Sentences are chosen as wholes, by their words.
        let weight = |row: u32| match task {
            Task::Labels { .. } => {
                let piece = source.piece_of(row);
                (piece.sample, if piece.first == 0 { piece.all } else { 0 })
            }
            _ => (row, 1),
        };
        let all: usize = rows.iter().map(|&row| weight(row).1).sum();
        let chosen = if all <= most {
            Chosen::All
        } else {
            let mut stream = Stream::new(0, "predictions");
            let (mut left, mut wanted, mut these) = (all as u64, most as u64, BTreeSet::new());
            for (sample, weight) in rows.iter().map(|&row| weight(row)).filter(|(_, weight)| *weight > 0) {
                // Each with the same probability, and in the end as many as are wanted (Fan, Muller and Rezucha, 1962).
                let drawn = (u64::from(stream.next_u32()) * left) >> 32;
                if drawn < wanted {
                    these.insert(sample);
                    wanted = wanted.saturating_sub(weight as u64);
                }
                left -= weight as u64;
            }
            Chosen::These(these)
        };
        let (rows, predicted, truths, worst) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Keeper { chosen, outputs: values, rows, predicted, truths, worst, windows: BTreeMap::new(), measured: 0 }
    }

    fn is_chosen(&self, row: u32) -> bool {
        match &self.chosen {
            Chosen::All => true,
            Chosen::These(rows) => rows.contains(&row),
        }
    }

    /// Adds rows of predictions `[rows, outputs]` and truths `[rows, width]`, with what makes a row a mistake, and how bad
    /// it is.
    pub(crate) fn add(
        &mut self,
        rows: &[u32],
        predicted: &[f32],
        truths: &[f32],
        loss: impl Fn(&[f32], &[f32]) -> Option<f64>,
    ) {
        let width = truths.len() / rows.len().max(1);
        self.measured += rows.len();
        let each = predicted.chunks_exact(self.outputs).zip(truths.chunks_exact(width.max(1)));
        for (&row, (predicted, truths)) in rows.iter().zip(each) {
            if self.is_chosen(row) {
                self.rows.push(row);
                self.predicted.extend_from_slice(predicted);
                self.truths.extend_from_slice(truths);
            }
            if let Some(loss) = loss(predicted, truths) {
                self.note(loss, row, predicted, truths);
            }
        }
    }

    /// Adds predictions of classes.
    pub(crate) fn add_classes(&mut self, rows: &[u32], predicted: &[f32], truths: &[i32]) {
        let truths: Vec<f32> = truths.iter().map(|&class| class as f32).collect();
        self.add(rows, predicted, &truths, |predicted, truths| {
            let own = predicted[truths[0] as usize];
            // As the metrics count: the first of equal ones is predicted.
            let best = first_largest(predicted);
            (best != truths[0] as usize).then(|| -f64::from(own).max(1e-30).ln())
        });
    }

    /// Adds predictions of labels.
    pub(crate) fn add_labels(&mut self, rows: &[u32], predicted: &[f32], truths: &[f32]) {
        self.add(rows, predicted, truths, |predicted, truths| {
            let wrong = predicted.iter().zip(truths).any(|(p, t)| (*p >= LABEL_THRESHOLD) != (*t >= 0.5));
            let loss = |(p, t): (&f32, &f32)| -f64::from(if *t >= 0.5 { *p } else { 1.0 - p }).max(1e-30).ln();
            wrong.then(|| predicted.iter().zip(truths).map(loss).sum())
        });
    }

    /// Adds values.
    pub(crate) fn add_values(&mut self, rows: &[u32], predicted: &[f32], truths: &[f32]) {
        self.add(rows, predicted, truths, |predicted, truths| Some(f64::from(predicted[0] - truths[0]).abs()));
    }

    /// Adds windows of a text, with their losses and bytes.
    pub(crate) fn add_windows(&mut self, rows: &[u32], losses: &[f32], bytes: &[f32]) {
        self.add(rows, losses, bytes, |losses, _| Some(f64::from(losses[0])));
    }

    /// Notes which rows are windows of which sentence.
    pub(crate) fn add_pieces(&mut self, rows: &[u32], source: &dyn Source) {
        for &row in rows {
            self.windows.entry(source.piece_of(row).sample).or_default().push(row);
        }
    }

    /// Adds a sentence whose words have labels.
    pub(crate) fn add_sentence(&mut self, sentence: u32, one: &Gathered) {
        self.measured += 1;
        let truths: Vec<f32> = one.targets.iter().map(|&tag| tag as f32).collect();
        let words = || one.probabilities.chunks_exact(self.outputs).zip(&one.targets);
        let wrong = words().any(|(values, &tag)| first_largest(values) != tag);
        let loss = words().map(|(values, &tag)| -f64::from(values[tag]).max(1e-30).ln()).sum();
        if self.is_chosen(sentence) {
            self.rows.extend(std::iter::repeat_n(sentence, one.targets.len()));
            self.predicted.extend_from_slice(&one.probabilities);
            self.truths.extend_from_slice(&truths);
        }
        if wrong {
            self.note(loss, sentence, &one.probabilities, &truths);
        }
    }

    /// Adds all pairs of texts, in the order in which their rows came.
    pub(crate) fn add_pairs(&mut self, rows: &[u32], metrics: &SimilarityMetrics) {
        for (&row, outcome) in rows.iter().zip(metrics.outcomes()) {
            self.add(&[row], &[outcome.found], &[outcome.truth], |_, _| outcome.loss);
        }
    }

    fn note(&mut self, loss: f64, row: u32, predicted: &[f32], truths: &[f32]) {
        let place = self.worst.partition_point(|bad| bad.loss >= loss);
        if place < WORST {
            self.worst.truncate(WORST - 1);
            self.worst.insert(place, Bad { loss, row, predicted: predicted.to_vec(), truths: truths.to_vec() });
        }
    }

    /// All that was kept, with what the worst rows are.
    pub(crate) fn finish(
        mut self,
        data: &Dataset,
        source: &dyn Source,
        preprocessor: &Preprocessor,
        baseline: Option<Baseline>,
    ) -> Predictions {
        let tags = match data.task() {
            Task::Labels { labels, spans } => Some(Tags::new(labels, *spans)),
            _ => None,
        };
        let id = |row: u32| if tags.is_some() { RowId::Row(u64::from(row)) } else { data.row_id(row) };
        let worst = std::mem::take(&mut self.worst).into_iter().map(|bad| {
            let sample = match &tags {
                Some(_) => self.words(source, preprocessor, bad.row),
                None => Sample::of(source, preprocessor, bad.row),
            };
            let predicted = match &tags {
                Some(tags) => tags.decode(&bad.predicted).into_iter().map(|tag| tag as f32).collect(),
                None => bad.predicted,
            };
            let id = id(bad.row);
            let is_path = tags.is_some() || matches!(id, RowId::Path(_));
            let file = if is_path { None } else { data.file_of(bad.row).map(str::to_string) };
            Mistake { id, file, loss: bad.loss, predicted, truths: bad.truths, sample }
        });
        let worst = worst.collect();
        // Rows of sequences came by their lengths; words of a sentence stay in their order.
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|&at| self.rows[at]);
        let width = self.truths.len() / self.rows.len().max(1);
        let ordered = |values: &[f32], width: usize| -> Vec<f32> {
            order.iter().flat_map(|&at| values[at * width..][..width].iter().copied()).collect()
        };
        Predictions {
            version: FORMAT_VERSION,
            measured: self.measured,
            ids: order.iter().map(|&at| id(self.rows[at])).collect(),
            baseline,
            worst,
            outputs: self.outputs,
            predicted: ordered(&self.predicted, self.outputs),
            truths: ordered(&self.truths, width),
        }
    }

    /// The words of a sentence, of all its windows.
    fn words(&self, source: &dyn Source, preprocessor: &Preprocessor, sentence: u32) -> Option<Sample> {
        let mut windows = self.windows.get(&sentence)?.clone();
        windows.sort_by_key(|&row| source.piece_of(row).first);
        let mut all = Vec::new();
        for row in windows {
            match Sample::of(source, preprocessor, row)? {
                Sample::Words { words } => all.extend(words),
                _ => return None,
            }
        }
        Some(Sample::Words { words: all })
    }
}

/// The place of the largest value, the first of equal ones.
pub(crate) fn first_largest(values: &[f32]) -> usize {
    (1..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}
