//! What all ways have in common: the data, its splits, the metric.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use deepfit_classical::{Fitted, Learner, Matrix, Target, Work, fit, fit_labels};
use deepfit_data::{Array, Dataset, Part, Split, TargetScale, Task};

use super::published::{PublishedNetwork, require_same};
use crate::classical::Encoded;
use crate::error::{Result, TrainError};
use crate::job::{Opened, open};
use crate::measure::positive;
use crate::metrics::{
    ClassificationMetrics, LABEL_THRESHOLD, MultiLabelMetrics, RegressionMetrics, Scores, higher_is_better,
};
use crate::predicts::Remembered;
use crate::published::{BUNDLED, BUNDLED_TEXT, HAS_BUNDLED};
use crate::recipe::choose_positive;
use crate::settings::Settings;
use crate::transfer::{Backbone, SCRATCH};

/// Up to so many rows ways are compared in five folds, and in three; of more, one part that is held out tells enough.
const FIVE_FOLDS: usize = 5_000;
const THREE_FOLDS: usize = 20_000;

/// Metrics that can be compared by; the first is the default.
const OF_CLASSES: [&str; 5] = ["accuracy", "balanced_accuracy", "f1", "roc_auc", "log_loss"];
const OF_LABELS: [&str; 5] = ["f1_micro", "f1_macro", "mean_average_precision", "subset_accuracy", "log_loss"];
const OF_VALUES: [&str; 3] = ["rmse", "mae", "r2"];

/// The data as those see it that begin with nothing, and as a published network does. Which network that is, the settings
/// say then.
fn views(settings: &mut Settings) -> Result<(Dataset, Option<PublishedNetwork>)> {
    let asked = settings.from.clone();
    let mut own = settings.clone();
    let first = open(&mut own)?;
    let (images, texts) = (first.data.is_images(), first.data.is_texts());
    let task = first.data.task();
    let comparable = matches!(task, Task::Classification { .. } | Task::MultiLabel { .. } | Task::Regression);
    if !comparable || !(images || texts) {
        return Ok((first.data, None));
    }
    let with = |from: &str| -> Result<(Dataset, Option<Arc<Backbone>>)> {
        let mut other = Settings { from: Some(from.to_string()), ..settings.clone() };
        let Opened { data, backbone, .. } = open(&mut other)?;
        Ok((data, backbone))
    };
    let network = |data: Dataset, backbone: Arc<Backbone>| PublishedNetwork::new(data, backbone, settings.clone());
    // Words of texts are weighted where the table of words is begun with; pixels are as they are where nothing is.
    let plain = if images { SCRATCH } else { BUNDLED_TEXT };
    let of_bundled = if images { BUNDLED } else { BUNDLED_TEXT };
    let (data, published) = match (first.backbone, asked.as_deref()) {
        (None, Some(SCRATCH)) if images || !HAS_BUNDLED => (first.data, None),
        (None, Some(SCRATCH)) => (with(plain)?.0, None),
        (None, _) if !HAS_BUNDLED => (first.data, None),
        (None, _) => {
            let (other, backbone) = with(of_bundled)?;
            let published = backbone.map(|backbone| network(other, backbone));
            (if images { first.data } else { with(plain)?.0 }, published)
        }
        (Some(backbone), _) => {
            let data = if images || HAS_BUNDLED { with(plain)?.0 } else { with(SCRATCH)?.0 };
            (data, Some(network(first.data, backbone)))
        }
    };
    if let Some(published) = &published {
        require_same(&data, &published.data)?;
        settings.from = Some(published.name().to_string());
    }
    Ok((data, published))
}

/// The data, its splits, the metric.
pub(super) struct Contest {
    pub(super) settings: Settings,
    /// As learners see it that begin with nothing.
    pub(super) data: Dataset,
    /// As a published network takes it, if there is one for it.
    pub(super) published: Option<PublishedNetwork>,
    pub(super) split: Split,
    /// Rows that are learned from in the end.
    pub(super) pool: Vec<u32>,
    /// (learned from, held out); one for each fold, or the training and the validation part.
    pub(super) folds: Vec<(Vec<u32>, Vec<u32>)>,
    pub(super) metric: String,
    pub(super) notes: Vec<String>,
    /// Of two classes, the positive one.
    pub(super) positive: usize,
    /// Seconds that opening the data took.
    pub(super) seconds: f64,
    /// Histograms of all images, once they are known: they are the same in all folds.
    pub(super) histograms: OnceCell<Encoded>,
}

impl Contest {
    /// Opens the data and divides it.
    pub(super) fn open(settings: Settings, metric: Option<String>) -> Result<Contest> {
        let mut settings = settings;
        for (key, given, why) in [
            ("weight", settings.weight.is_some(), "rows of all ways but networks would count alike"),
            ("repeats", settings.repeats > 1, "all ways are compared on one split"),
        ] {
            if given {
                let problem = format!("is for `deepfit train`: {why}; leave it away");
                return Err(TrainError::setting(key, problem));
            }
        }
        let begun = Instant::now();
        let (data, published) = views(&mut settings)?;
        let seconds = begun.elapsed().as_secs_f64();
        let known: &[&str] = match data.task() {
            Task::Classification { .. } => &OF_CLASSES,
            Task::MultiLabel { .. } => &OF_LABELS,
            Task::Regression => &OF_VALUES,
            other => {
                let problem = format!(
                    "is for {}, and only ways to foretell a class, labels or a number are compared; use `deepfit train`",
                    other.name().replace('_', " ")
                );
                return Err(TrainError::setting("data", problem));
            }
        };
        let metric = match metric {
            None => known[0].to_string(),
            Some(asked) if known.contains(&&asked[..]) => asked,
            Some(asked) => {
                let problem = format!("is {asked}, but {} is compared by {}", data.task().name(), known.join(", "));
                return Err(TrainError::setting("metric", problem));
            }
        };
        let split = data.split(&settings.split_options())?;
        let mut notes = split.notes.clone();
        let own_validation =
            settings.validation.is_some() || (settings.split.is_some() && data.has_part(Part::Validation));
        let mut pool = split.train.clone();
        if !own_validation {
            pool.extend_from_slice(&split.validation);
            pool.sort_unstable();
        }
        let by_rows = match pool.len() {
            rows if rows <= FIVE_FOLDS => 5,
            rows if rows <= THREE_FOLDS => 3,
            _ => 1,
        };
        let most = data.most_folds(&pool).min(pool.len() / 2);
        let count = match settings.folds {
            Some(asked) => asked,
            None if own_validation => 1,
            None => by_rows.min(most),
        };
        let folds = if count > 1 {
            if count < by_rows && settings.folds.is_none() {
                notes.push(format!("{count} folds: there are too few different rows for {by_rows}"));
            }
            data.folds(&pool, count, settings.seed)?
        } else {
            vec![(split.train.clone(), split.validation.clone())]
        };
        settings.folds = Some(folds.len());
        choose_positive(&mut settings, &data, &split.train)?;
        let positive = positive(data.task(), settings.positive.as_deref());
        let mut contest = Contest {
            settings,
            data,
            published,
            split,
            pool,
            folds,
            metric,
            notes,
            positive,
            seconds,
            histograms: OnceCell::new(),
        };
        contest.look_at_targets();
        Ok(contest)
    }

    /// Notes what makes a comparison worth little.
    fn look_at_targets(&mut self) {
        let classes = self.data.task().classes().len();
        if classes > 0 {
            let mut counts = vec![0_usize; classes];
            for &row in &self.pool {
                self.data.class_of(row).into_iter().for_each(|class| counts[class as usize] += 1);
                self.data.labels_of(row).iter().for_each(|&label| counts[label as usize] += 1);
            }
            let rare: Vec<&String> = (0..classes)
                .filter(|&class| counts[class] < self.folds.len().max(2))
                .map(|class| &self.data.task().classes()[class])
                .collect();
            if !rare.is_empty() {
                let shown: Vec<String> = rare.iter().take(3).map(|name| format!("'{name}'")).collect();
                let more = if rare.len() > 3 { ", ..." } else { "" };
                let what = if self.is_classification() { "classes" } else { "labels" };
                self.notes.push(format!(
                    "{} of {classes} {what} have fewer rows than there are folds ({}{more}): they are held out without \
                     having been learned, or the other way round",
                    rare.len(),
                    shown.join(", ")
                ));
            }
        }
        if self.split.test.len() < 30 {
            let rows = self.split.test.len();
            self.notes.push(format!("the test has {rows} rows, which tell little: look at the intervals"));
        }
    }

    /// The rows that all ways learn from in the end, and those of the test.
    pub(super) fn all_rows(&self) -> Vec<u32> {
        let mut rows = self.pool.clone();
        rows.extend_from_slice(&self.split.test);
        rows
    }

    pub(super) fn is_classification(&self) -> bool {
        self.data.task().is_classification()
    }

    /// Whether rows have any number of labels.
    pub(super) fn is_of_labels(&self) -> bool {
        matches!(self.data.task(), Task::MultiLabel { .. })
    }

    /// Whether a larger value of [`single`](Self::single) is a better one.
    pub(super) fn single_rises(&self) -> bool {
        *self.data.task() != Task::Regression && self.metric != "log_loss"
    }

    /// Whether a larger value of the metric is a better one.
    pub(super) fn higher_is_better(&self) -> bool {
        higher_is_better(&self.metric)
    }

    /// What was found in the data, a line each.
    pub(super) fn description(&self) -> Vec<String> {
        let mut lines = self.data.describe();
        lines.push(format!("rows: {} to learn from and to choose by, {} test", self.pool.len(), self.split.test.len()));
        lines
    }

    /// How ways are compared, in words.
    pub(super) fn how(&self) -> String {
        let of = if self.folds.len() > 1 {
            format!("{}-fold cross-validation", self.folds.len())
        } else {
            format!("{} rows that are held out", self.folds[0].1.len())
        };
        format!("{} in {of}", self.metric)
    }

    /// Metrics of predictions, `[rows, outputs]`.
    pub(super) fn scores(&self, predictions: &[f32], targets: &Array, scale: Option<TargetScale>) -> Result<Scores> {
        if let (Task::Classification { classes }, Array::I32(targets)) = (self.data.task(), targets) {
            let mut metrics = ClassificationMetrics::new(classes.len()).positive(self.positive);
            metrics.add(predictions, targets)?;
            return Ok(metrics.scores());
        }
        if let (Task::MultiLabel { classes }, Array::F32(targets)) = (self.data.task(), targets) {
            let mut metrics = MultiLabelMetrics::new(classes.len());
            metrics.add(predictions, targets)?;
            return Ok(metrics.scores());
        }
        let original = |x: &f32| scale.map_or(*x, |scale| scale.inverse(f64::from(*x)) as f32);
        let values: Vec<f32> = predictions.iter().map(original).collect();
        let truths: Vec<f32> = targets.as_f32().unwrap_or_default().iter().map(original).collect();
        let mut metrics = RegressionMetrics::new();
        metrics.add(&values, &truths)?;
        Ok(metrics.scores())
    }

    /// Of each row that was predicted how good that is, in the order of the rows: whether it is right, the share of its labels
    /// that are, its log loss, or its squared or absolute error, standardised.
    pub(super) fn single(&self, remembered: &Remembered, targets: &Array) -> Vec<f32> {
        let outputs = self.data.task().outputs();
        let mut scored: Vec<(u32, f32)> = Vec::with_capacity(remembered.rows.len());
        for (i, &row) in remembered.rows.iter().enumerate() {
            let own = &remembered.predictions[i * outputs..][..outputs];
            let score = match targets {
                Array::I32(classes) => {
                    let class = usize::try_from(classes[i]).unwrap_or(0);
                    let best = (0..outputs).fold(0, |best, other| if own[other] > own[best] { other } else { best });
                    if self.metric == "log_loss" {
                        -own[class].max(f32::EPSILON).ln()
                    } else {
                        f32::from(u8::from(best == class))
                    }
                }
                Array::F32(labels) if self.is_of_labels() => {
                    self.single_of_labels(own, &labels[i * outputs..][..outputs])
                }
                Array::F32(values) if self.metric == "mae" => (own[0] - values[i]).abs(),
                Array::F32(values) => (own[0] - values[i]).powi(2),
                Array::U8(_) => 0.0,
            };
            scored.push((row, score));
        }
        scored.sort_by_key(|(row, _)| *row);
        scored.into_iter().map(|(_, score)| score).collect()
    }

    /// How good the prediction of labels of a row is.
    fn single_of_labels(&self, own: &[f32], labels: &[f32]) -> f32 {
        let each = || own.iter().zip(labels);
        let right = each().filter(|(p, has)| (**p >= LABEL_THRESHOLD) == (**has >= 0.5)).count();
        match &self.metric[..] {
            "log_loss" => {
                let of = |p: f32, has: f32| -(if has >= 0.5 { p } else { 1.0 - p }).max(f32::EPSILON).ln();
                each().map(|(&p, &has)| of(p, has)).sum::<f32>() / own.len().max(1) as f32
            }
            "subset_accuracy" => f32::from(u8::from(right == own.len())),
            _ => right as f32 / own.len().max(1) as f32,
        }
    }

    /// Trains a learner on rows with what is to be learned of them; of labels, one for each.
    pub(super) fn fit(&self, learner: Learner, matrix: &Matrix, targets: &Array, work: Work<'_>) -> Result<Fitted> {
        if let (Task::MultiLabel { classes }, Array::F32(targets)) = (self.data.task(), targets) {
            let of = |label: usize| targets.iter().skip(label).step_by(classes.len()).map(|&has| has >= 0.5).collect();
            let labels: Vec<Vec<bool>> = (0..classes.len()).map(of).collect();
            return Ok(fit_labels(learner, matrix, &labels, work)?);
        }
        Ok(fit(learner, matrix, &self.target(targets), work)?)
    }

    /// What classes or values are to be learned as.
    fn target(&self, targets: &Array) -> Target {
        match targets {
            Array::F32(values) => Target::Values(values.iter().map(|&value| f64::from(value)).collect()),
            other => {
                let of = other.as_i32().unwrap_or_default().iter().map(|&class| class.unsigned_abs()).collect();
                Target::Classes { classes: self.data.task().outputs(), of }
            }
        }
    }

    /// Settings as a run on the same data has them, with whole paths.
    pub(super) fn settings_of_run(&self) -> Result<Settings> {
        let absolute = |path: &PathBuf| {
            std::path::absolute(path).map_err(|source| TrainError::Io { action: "read", path: path.clone(), source })
        };
        let mut settings = self.settings.clone();
        settings.data = absolute(&settings.data)?;
        settings.labels = settings.labels.as_ref().map(absolute).transpose()?;
        settings.validation = settings.validation.as_ref().map(absolute).transpose()?;
        settings.test = settings.test.as_ref().map(absolute).transpose()?;
        Ok(settings)
    }
}
