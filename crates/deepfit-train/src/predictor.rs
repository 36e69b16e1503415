//! Using a trained model: evaluation on labelled data, predictions for new inputs.

use std::io::Read;
use std::path::{Path, PathBuf};

use deepfit_cpu::Profile;
use deepfit_data::{Loader, LoaderOptions, Opened, Preprocessor, Task};
use serde::{Serialize, Serializer};

use crate::error::Result;
use crate::learner::Predicting;
use crate::measure::measure;
use crate::metrics::{Intervals, ResidualSummary, Scores};
use crate::model_folder;

/// A trained model in use.
pub struct Predictor {
    using: Predicting,
    preprocessor: Preprocessor,
    threads: usize,
    notes: Vec<String>,
}

/// Metrics on labelled data.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    /// Metrics by name.
    pub metrics: Scores,
    /// 95 % intervals by name.
    pub intervals: Intervals,
    /// Number of rows.
    pub rows: usize,
    /// Rows by true and predicted class.
    pub confusion: Option<Vec<Vec<u64>>>,
    /// How far predictions are off, for a regression.
    pub residuals: Option<ResidualSummary>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Inputs that could not be read, and why.
    pub skipped: Vec<(String, String)>,
    /// Worth knowing.
    pub notes: Vec<String>,
}

/// What was predicted: the name of a class, or a value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PredictionValue {
    /// The most probable class.
    Class(String),
    /// The value of a regression.
    Value(f64),
}

/// The prediction for one input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The input: its path, or the number of its row from 0.
    pub input: String,
    /// What was predicted.
    pub prediction: PredictionValue,
    /// Probability of each class.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_object")]
    pub probabilities: Option<Vec<(String, f64)>>,
    /// The value of a regression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The results of the last layer, of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logits: Option<Vec<f32>>,
}

fn as_object<S: Serializer>(pairs: &Option<Vec<(String, f64)>>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().flatten().map(|(name, value)| (name, value)))
}

impl Predictor {
    /// Opens a run folder, a model folder, a published model's folder or file, or a model that is part of the program, by
    /// its name.
    ///
    /// # Errors
    /// If it holds no model, or a damaged one, or one of a newer version.
    pub fn open(path: &Path, threads: usize) -> Result<Predictor> {
        let model = model_folder::open(path)?;
        let (batch, notes) = (model.batch(), model.notes.clone());
        let (using, preprocessor) = model.into_predicting(threads, batch)?;
        Ok(Predictor { using, preprocessor, threads, notes })
    }

    /// Records the time of each operation from now on.
    pub fn record(&mut self) {
        self.using.engine.record();
    }

    /// What was recorded; `None` without [`Predictor::record`].
    pub fn profile(&mut self) -> Option<Profile> {
        self.using.engine.profile()
    }

    /// Classes or regression.
    pub fn task(&self) -> &Task {
        self.preprocessor.task()
    }

    /// What is worth knowing about the inputs predicted so far, one sentence each; such as values that could not be read
    /// and were taken as missing. Each is given once.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Metrics on labelled data.
    ///
    /// # Errors
    /// If the data does not fit the model.
    pub fn evaluate(&mut self, data: &Path) -> Result<Evaluation> {
        let opened = self.preprocessor.open_labelled(data, self.threads)?;
        let task = self.preprocessor.task().clone();
        let scale = self.preprocessor.target_scale();
        let measured = measure(&mut self.using, opened.source, opened.rows, &task, scale, true)?;
        let mut skipped = opened.failed;
        skipped.extend(measured.failures);
        let (rows, measured) = (measured.rows, measured.metrics);
        Ok(Evaluation {
            metrics: measured.scores(),
            intervals: measured.intervals(),
            rows,
            confusion: measured.confusion(),
            residuals: measured.residuals(),
            classes: task.classes().to_vec(),
            skipped,
            notes: opened.notes,
        })
    }

    /// Predicts files and folders, in order, and gives each prediction to `each`. Returns the inputs that failed, by their
    /// paths, with the reason.
    ///
    /// # Errors
    /// If there is nothing but one input and it cannot be opened, if the inputs are not what the model was trained on,
    /// or `each` fails.
    pub fn predict_paths(
        &mut self,
        inputs: &[PathBuf],
        each: &mut dyn FnMut(Prediction) -> Result<()>,
    ) -> Result<Vec<(String, String)>> {
        let opened = self.preprocessor.open_inputs(inputs, self.threads)?;
        self.predict(opened, each)
    }

    /// Predicts the rows of a table that is read from somewhere.
    ///
    /// # Errors
    /// If it is not a table that the model was trained for, or `each` fails.
    pub fn predict_reader(
        &mut self,
        reader: impl Read,
        name: &str,
        each: &mut dyn FnMut(Prediction) -> Result<()>,
    ) -> Result<Vec<(String, String)>> {
        let opened = self.preprocessor.read_inputs(reader, name)?;
        self.predict(opened, each)
    }

    fn predict(
        &mut self,
        opened: Opened,
        each: &mut dyn FnMut(Prediction) -> Result<()>,
    ) -> Result<Vec<(String, String)>> {
        let scale = self.preprocessor.target_scale();
        let names = self.preprocessor.task().classes().to_vec();
        let mut failed = opened.failed;
        self.notes.extend(opened.notes);
        if opened.rows.is_empty() {
            return Ok(failed);
        }
        let mut loader = Loader::new(opened.source, opened.rows, LoaderOptions::evaluate(self.using.batch, 1))?;
        while let Some(batch) = loader.next()? {
            let outputs = self.using.outputs;
            let values = self.using.predict(&batch)?;
            for (row, values) in batch.rows.iter().zip(values.chunks_exact(outputs)) {
                let input = opened.names[*row as usize].clone();
                each(if names.is_empty() {
                    let value = f64::from(values[0]);
                    let value = scale.map_or(value, |s| s.inverse(value));
                    Prediction {
                        input,
                        prediction: PredictionValue::Value(value),
                        probabilities: None,
                        value: Some(value),
                        logits: None,
                    }
                } else {
                    let best = (0..outputs).max_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap_or(0);
                    let pairs = names.iter().cloned().zip(values.iter().map(|&p| f64::from(p))).collect();
                    let prediction = PredictionValue::Class(names[best].clone());
                    Prediction { input, prediction, probabilities: Some(pairs), value: None, logits: None }
                })?;
            }
        }
        // The loader's own list: batches of which no row could be read never arrive here.
        failed.extend(loader.failures().map(|f| (f.name.clone(), f.reason.clone())));
        Ok(failed)
    }
}
