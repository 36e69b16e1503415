//! A model in use, whatever it is made of.

use std::path::Path;

use deepfit_cpu::{Precision, Profile};
use deepfit_data::{Batch, Preprocessor};

use crate::classical;
use crate::decision::Decision;
use crate::error::Result;
use crate::learner::Predicting;
use crate::model_folder;

/// What predicts batches.
pub(crate) trait Predicts {
    /// Numbers of a row's prediction: a probability for each class or label, or a value.
    fn outputs(&self) -> usize;

    /// Most rows of a batch.
    fn batch(&self) -> usize;

    /// Probabilities or values of the rows of a batch, `[rows, outputs]`, all of them finite.
    ///
    /// # Errors
    /// If one would not be.
    fn predict(&mut self, batch: &Batch) -> Result<&[f32]>;

    /// What the latest probabilities were made of, if that is known.
    fn logits(&self) -> Option<&[f32]>;

    /// Records the time of each operation from now on, where there are some.
    fn record(&mut self) {}

    /// What was recorded.
    fn profile(&mut self) -> Option<Profile> {
        None
    }
}

impl Predicts for Predicting {
    fn outputs(&self) -> usize {
        self.outputs
    }
    fn batch(&self) -> usize {
        self.batch
    }
    fn predict(&mut self, batch: &Batch) -> Result<&[f32]> {
        Predicting::predict(self, batch)
    }
    fn logits(&self) -> Option<&[f32]> {
        Predicting::logits(self)
    }
    fn record(&mut self) {
        self.engine.record();
    }
    fn profile(&mut self) -> Option<Profile> {
        self.engine.profile()
    }
}

/// A model that was opened to be used.
pub(crate) struct InUse {
    /// What predicts.
    pub(crate) using: Box<dyn Predicts + Send>,
    /// How inputs become what it takes.
    pub(crate) preprocessor: Preprocessor,
    /// Of two classes, the positive one, where it is named.
    pub(crate) positive: Option<String>,
    /// What is made of its outputs.
    pub(crate) decision: Decision,
    /// The column by which rows counted in training.
    pub(crate) weight: Option<String>,
    /// What is worth knowing about it.
    pub(crate) notes: Vec<String>,
}

/// Opens a network, or a classical model.
///
/// # Errors
/// If it holds no model, or a damaged one, or one of a newer version.
pub(crate) fn open(path: &Path, threads: usize, precision: Precision) -> Result<InUse> {
    if let Some(folder) = classical::find(path) {
        let model = classical::ClassicalModel::open(&folder)?;
        let (preprocessor, positive) = (model.preprocessor().clone(), model.positive().map(str::to_string));
        let told =
            format!("the precision {} has no effect: this model was made by a classical learner", precision.name());
        return Ok(InUse {
            using: Box::new(model.into_using(&folder, threads)?),
            preprocessor,
            positive,
            decision: Decision::default(),
            weight: None,
            notes: Vec::from_iter((precision != Precision::F32).then_some(told)),
        });
    }
    let mut model = model_folder::open(path)?;
    model.precision = precision;
    let (batch, notes, positive) = (model.batch(), model.notes.clone(), model.description.positive.clone());
    let (decision, weight) = (model.description.decision.clone(), model.description.weight.clone());
    let (using, preprocessor) = model.into_predicting(threads, batch)?;
    Ok(InUse { using: Box::new(using), preprocessor, positive, decision, weight, notes })
}

/// Predictions of rows, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Remembered {
    /// The rows.
    pub(crate) rows: Vec<u32>,
    /// Their predictions, `[rows, outputs]`.
    pub(crate) predictions: Vec<f32>,
}

/// A model that remembers what it has predicted.
pub(crate) struct Remembering<'a> {
    inner: &'a mut dyn Predicts,
    so_far: &'a mut Remembered,
}

impl<'a> Remembering<'a> {
    /// Adds what `inner` predicts from now on to `so_far`.
    pub(crate) fn new(inner: &'a mut dyn Predicts, so_far: &'a mut Remembered) -> Self {
        Remembering { inner, so_far }
    }
}

impl Predicts for Remembering<'_> {
    fn outputs(&self) -> usize {
        self.inner.outputs()
    }
    fn batch(&self) -> usize {
        self.inner.batch()
    }
    fn predict(&mut self, batch: &Batch) -> Result<&[f32]> {
        let made = self.inner.predict(batch)?;
        self.so_far.rows.extend_from_slice(&batch.rows);
        self.so_far.predictions.extend_from_slice(made);
        Ok(made)
    }
    fn logits(&self) -> Option<&[f32]> {
        self.inner.logits()
    }
}
