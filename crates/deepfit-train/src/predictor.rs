//! Using a trained model: evaluation on labelled data, predictions for new inputs.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use deepfit_cpu::{Precision, Profile};
use deepfit_data::{Array, Loader, LoaderOptions, Opened, Preprocessor, Task};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::decision::{CalibrationReport, ConformalReport, CostReport, Decision, Familiarity, FamiliarityReport};
use crate::error::{Result, TrainError};
use crate::in_order::InOrder;
use crate::learned;
use crate::measure::{Goal, SubgroupScores, measure, positive};
use crate::metrics::{Intervals, LabelScores, ResidualSummary, Scores};
use crate::model_folder;
use crate::predicts::{self, Predicts};
use crate::tagging::{Entity, Sentences, Tags};

/// A trained model in use.
///
/// ```no_run
/// use deepfit_train::Predictor;
///
/// # fn main() -> deepfit_train::Result<()> {
/// let mut predictor = Predictor::open("runs/digits-1".as_ref(), 2)?;
/// predictor.predict_paths(&["digit.png".into()], &mut |prediction| {
///     println!("{prediction:?}");
///     Ok(())
/// })?;
/// # Ok(()) }
/// ```
pub struct Predictor {
    using: Box<dyn Predicts + Send>,
    preprocessor: Preprocessor,
    threads: usize,
    notes: Vec<String>,
    /// Of two classes, the positive one.
    positive: usize,
    decision: Decision,
    /// Column by which rows counted in training.
    weight: Option<String>,
    /// Column by which they count in evaluation, where that was asked for.
    weight_asked: Option<String>,
    /// Column by whose values rows are also measured by themselves.
    by: Option<String>,
    /// Where the model was found, if that is a folder.
    folder: Option<PathBuf>,
    familiarity: Option<Familiarity>,
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
    /// How each label is recognised, for several labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<LabelScores>>,
    /// How probabilities are calibrated, and what that is worth on these rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationReport>,
    /// Sets of classes or intervals, and how often they hold what is true in these rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conformal: Option<ConformalReport>,
    /// What errors cost in these rows, where they have costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub costs: Option<CostReport>,
    /// How many of these rows of a table are unlike those of training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub familiarity: Option<FamiliarityReport>,
    /// Metrics by the values of a column, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subgroups: Option<SubgroupScores>,
    /// Of two classes, the one that sensitivity, specificity and F1 are of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positive: Option<String>,
    /// Names of the classes or labels.
    pub classes: Vec<String>,
    /// Inputs that could not be read, and why.
    pub skipped: Vec<(String, String)>,
    /// Worth knowing.
    pub notes: Vec<String>,
}

/// What was predicted: the name of a class, labels, or a value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PredictionValue {
    /// The most probable class.
    Class(String),
    /// All labels of a probability of one half and more, or of that from which on each is predicted where errors have costs.
    Labels(Vec<String>),
    /// The value of a regression.
    Value(f64),
    /// The spans of a text, or all of its words where each has a label.
    Entities(Vec<Entity>),
}

/// The prediction for one input. As JSON it is an object of `input`, `prediction` (for several labels `labels`), and
/// `probabilities` or `value`, with `set` or `interval` where the model has them.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The input: its path, or the number of its row from 0.
    pub input: String,
    /// What was predicted.
    pub prediction: PredictionValue,
    /// Probability of each class or label.
    pub probabilities: Option<Vec<(String, f64)>>,
    /// The value of a regression.
    pub value: Option<f64>,
    /// The results of the last layer, unless the prediction is a value.
    pub logits: Option<Vec<f32>>,
    /// Classes among which the true one is with the probability that training was asked for, the most probable first.
    pub set: Option<Vec<String>>,
    /// Between which numbers the true one is with that probability.
    pub interval: Option<[f64; 2]>,
    /// Whether a row of a table is unlike all that the model was trained on.
    pub unlike_training: Option<bool>,
}

impl Serialize for Prediction {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("input", &self.input)?;
        let name = match self.prediction {
            PredictionValue::Labels(_) => "labels",
            PredictionValue::Entities(_) => "entities",
            PredictionValue::Class(_) | PredictionValue::Value(_) => "prediction",
        };
        map.serialize_entry(name, &self.prediction)?;
        if let Some(probabilities) = &self.probabilities {
            map.serialize_entry("probabilities", &Pairs(probabilities))?;
        }
        if let Some(value) = self.value {
            map.serialize_entry("value", &value)?;
        }
        if let Some(set) = &self.set {
            map.serialize_entry("set", set)?;
        }
        if let Some(interval) = &self.interval {
            map.serialize_entry("interval", interval)?;
        }
        if let Some(unlike) = self.unlike_training {
            map.serialize_entry("unlike_training", &unlike)?;
        }
        if let Some(logits) = &self.logits {
            map.serialize_entry("logits", logits)?;
        }
        map.end()
    }
}

/// Names and numbers, as one object in their order.
struct Pairs<'a>(&'a [(String, f64)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Predictor {
    /// Opens a run folder, a model folder, a published model's folder or file, or a model that is part of the program, by
    /// its name.
    ///
    /// # Errors
    /// If it holds no model, or a damaged one, or one of a newer version.
    pub fn open(path: &Path, threads: usize) -> Result<Predictor> {
        Predictor::open_in(path, threads, Precision::F32)
    }

    /// Like [`Predictor::open`], for a network that multiplies matrices in another precision.
    ///
    /// # Errors
    /// As there, or if the processor does not multiply in this precision.
    pub fn open_in(path: &Path, threads: usize, precision: Precision) -> Result<Predictor> {
        let predicts::InUse { using, preprocessor, positive: named, decision, weight, notes } =
            predicts::open(path, threads, precision)?;
        let positive = positive(preprocessor.task(), named.as_deref());
        let folder = model_folder::find(path).ok();
        let familiarity = match &folder {
            Some(folder) => Familiarity::load(folder, &preprocessor)?,
            None => None,
        };
        let (weight_asked, by) = (None, None);
        Ok(Predictor {
            using,
            preprocessor,
            threads,
            notes,
            positive,
            decision,
            weight,
            weight_asked,
            by,
            folder,
            familiarity,
        })
    }

    /// Rows count by a column, when it evaluates a table; without, by that of training, if there was one.
    pub fn weighted_by(self, column: Option<String>) -> Predictor {
        Predictor { weight_asked: column, ..self }
    }

    /// Also measures the rows of each value of a column by themselves, when it evaluates a table.
    pub fn by(self, column: Option<String>) -> Predictor {
        Predictor { by: column, ..self }
    }

    /// Records the time of each operation from now on.
    pub fn record(&mut self) {
        self.using.record();
    }

    /// What was recorded; `None` without [`Predictor::record`].
    pub fn profile(&mut self) -> Option<Profile> {
        self.using.profile()
    }

    /// Classes, labels or regression.
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
        self.evaluate_opened(opened, data)
    }

    /// Metrics on images of a folder or archive, with a table that names them and says what is on them.
    ///
    /// # Errors
    /// If the data does not fit the model.
    pub fn evaluate_with_labels(&mut self, images: &Path, labels: &Path) -> Result<Evaluation> {
        let opened = self.preprocessor.open_images_with(images, labels, self.threads)?;
        self.evaluate_opened(opened, labels)
    }

    fn evaluate_opened(&mut self, mut opened: Opened, table: &Path) -> Result<Evaluation> {
        let task = self.preprocessor.task().clone();
        let (scale, decision) = (self.preprocessor.target_scale(), Some(&self.decision));
        if let Some(folder) = &self.folder {
            opened.notes.extend(learned::note(folder, &*opened.source, &opened.rows)?);
        }
        let weights = match (&self.weight_asked, &self.weight) {
            (Some(column), _) => {
                let Some(weights) = opened.weights(table, column, self.threads)? else {
                    let problem = format!("names '{column}', and '{}' is no table with such a column", table.display());
                    return Err(TrainError::setting("weight", problem));
                };
                opened.notes.push(format!("rows count by '{column}'"));
                Some(weights)
            }
            (None, Some(column)) => {
                let weights = opened.weights(table, column, self.threads)?;
                opened.notes.push(match weights {
                    Some(_) => format!("rows count by '{column}', as in training"),
                    None => {
                        format!("there is no column '{column}', by which rows counted in training: all count alike")
                    }
                });
                weights
            }
            (None, None) => None,
        };
        let by = self.by.as_ref().map(|column| opened.subgroups(table, column, self.threads)).transpose()?;
        let (weights, by) = (weights.as_deref(), by.as_ref());
        let familiarity = match &self.familiarity {
            Some(familiarity) => familiarity.report(&opened.source, &opened.rows, weights)?,
            None => None,
        };
        let goal = Goal { task: &task, scale, positive: self.positive, decision, weights, by };
        let measured = measure(&mut *self.using, opened.source, opened.rows, &goal, true)?;
        let mut skipped = opened.failed;
        skipped.extend(measured.failures);
        let (rows, findings, subgroups) = (measured.rows, measured.findings, measured.subgroups);
        let measured = measured.metrics;
        Ok(Evaluation {
            metrics: measured.scores(),
            intervals: measured.intervals(),
            rows,
            confusion: measured.confusion(),
            residuals: measured.residuals(),
            labels: measured.labels(task.classes()),
            calibration: findings.calibration,
            conformal: findings.conformal,
            costs: findings.costs,
            subgroups,
            familiarity,
            positive: (task.is_classification() && task.classes().len() == 2)
                .then(|| task.classes()[self.positive].clone()),
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
        let task = self.preprocessor.task().clone();
        let conformal = self.decision.conformal.clone();
        let names = self.preprocessor.task().classes().to_vec();
        let several = matches!(self.preprocessor.task(), Task::MultiLabel { .. });
        let thresholds = self.decision.thresholds(names.len());
        if let (Task::Labels { labels, spans }, Some(sentences)) = (self.preprocessor.task(), opened.sentences.clone())
        {
            let tags = Tags::new(labels, *spans);
            return self.label(opened, &sentences, &tags, each);
        }
        let mut failed = opened.failed;
        self.notes.extend(opened.notes);
        if opened.rows.is_empty() {
            return Ok(failed);
        }
        let mut given = InOrder::new(&*opened.source, &opened.rows);
        let mut loader = Loader::new(opened.source, opened.rows, LoaderOptions::evaluate(self.using.batch(), 1))?;
        while let Some(batch) = loader.next()? {
            let outputs = self.using.outputs();
            let unlike = self.familiarity.as_ref().map(|familiarity| familiarity.unlike(&batch)).transpose()?;
            let values = self.using.predict(&batch)?.to_vec();
            let logits = self.using.logits().unwrap_or_default();
            for (at, ((row, values), logits)) in
                batch.rows.iter().zip(values.chunks_exact(outputs)).zip(logits.chunks_exact(outputs)).enumerate()
            {
                let unlike_training = unlike.as_ref().map(|unlike| unlike[at]);
                let input = opened.names[*row as usize].clone();
                let one = if names.is_empty() {
                    let value = f64::from(values[0]);
                    let value = scale.map_or(value, |s| s.inverse(value));
                    Prediction {
                        input,
                        prediction: PredictionValue::Value(value),
                        probabilities: None,
                        value: Some(value),
                        logits: None,
                        set: None,
                        interval: conformal.as_ref().and_then(|conformal| conformal.interval(value)),
                        unlike_training,
                    }
                } else {
                    let judged = self.decision.judge(values, &task);
                    let values = &judged.probabilities;
                    let pairs = names.iter().cloned().zip(values.iter().map(|&p| f64::from(p))).collect();
                    let prediction = if several {
                        let predicted = (0..outputs).filter(|&label| values[label] >= thresholds[label]);
                        PredictionValue::Labels(predicted.map(|label| names[label].clone()).collect())
                    } else {
                        PredictionValue::Class(names[judged.class].clone())
                    };
                    Prediction {
                        input,
                        prediction,
                        probabilities: Some(pairs),
                        value: None,
                        logits: Some(logits.to_vec()),
                        set: conformal.as_ref().map(|conformal| {
                            conformal.set(values).into_iter().map(|class| names[class].clone()).collect()
                        }),
                        interval: None,
                        unlike_training,
                    }
                };
                given.give(*row, one, each)?;
            }
        }
        given.finish(each)?;
        // The loader's own list: batches of which no row could be read never arrive here.
        failed.extend(loader.failures().map(|f| (f.name.clone(), f.reason.clone())));
        Ok(failed)
    }

    /// Labels the words of texts, in order.
    fn label(
        &mut self,
        opened: Opened,
        sentences: &deepfit_data::Sentences,
        tags: &Tags,
        each: &mut dyn FnMut(Prediction) -> Result<()>,
    ) -> Result<Vec<(String, String)>> {
        let mut gathered = Sentences::new(opened.source.clone(), self.using.outputs());
        let mut found = BTreeMap::new();
        self.notes.extend(opened.notes);
        if !opened.rows.is_empty() {
            let options = LoaderOptions::evaluate(self.using.batch(), 1);
            let mut loader = Loader::new(opened.source, opened.rows, options)?;
            while let Some(batch) = loader.next()? {
                let probabilities = self.using.predict(&batch)?;
                if let Array::I32(targets) = &batch.targets {
                    gathered.add(&batch.rows, probabilities, targets, batch.sequence);
                }
                for (sentence, one) in gathered.take_whole() {
                    let (number, sentence) = (sentence, sentence as usize);
                    let (text, words) = (sentences.text(sentence), sentences.words(sentence));
                    found.insert(number, tags.entities(text, words, &one.probabilities));
                }
            }
        }
        for sentence in 0..sentences.len() {
            // Those without words have no row.
            let entities = found.remove(&(sentence as u32)).unwrap_or_default();
            each(Prediction {
                input: sentences.name(sentence).to_string(),
                prediction: PredictionValue::Entities(entities),
                probabilities: None,
                value: None,
                logits: None,
                set: None,
                interval: None,
                unlike_training: None,
            })?;
        }
        Ok(opened.failed)
    }
}
