//! A network's metrics on rows, streamed: neither logits nor predictions are kept, unless a keeper keeps them.

use std::sync::Arc;

use deepfit_data::{Array, Loader, LoaderOptions, Source, TargetScale, Task};

use crate::error::{Result, TrainError};
use crate::metrics::{
    ClassificationMetrics, Intervals, LabelScores, LanguageMetrics, MultiLabelMetrics, RegressionMetrics,
    ResidualSummary, Scores, SimilarityMetrics, TaggingMetrics,
};
use crate::predictions::Keeper;
use crate::predicts::Predicts;
use crate::recipe::Recipe;
use crate::tagging::Sentences;

/// What was measured on some rows.
#[derive(Debug)]
pub struct Measurement {
    /// The metrics.
    pub metrics: Measured,
    /// Number of rows that were predicted.
    pub rows: usize,
    /// Inputs that could not be read, and why.
    pub failures: Vec<(String, String)>,
}

/// What predictions are measured by.
#[derive(Debug, Clone, Copy)]
pub struct Goal<'a> {
    /// What is predicted.
    pub task: &'a Task,
    /// From standardised to original values of a regression's target.
    pub scale: Option<TargetScale>,
    /// Of two classes, the one that sensitivity and specificity are of.
    pub positive: usize,
}

impl<'a> Goal<'a> {
    /// What a run's predictions are measured by.
    pub fn of(recipe: &'a Recipe, scale: Option<TargetScale>) -> Goal<'a> {
        Goal { task: &recipe.task, scale, positive: positive(&recipe.task, recipe.settings.positive.as_deref()) }
    }
}

/// Index of the positive class: the second, where none is named.
pub fn positive(task: &Task, name: Option<&str>) -> usize {
    name.and_then(|name| task.classes().iter().position(|class| class == name)).unwrap_or(1)
}

/// Metrics of any task.
#[derive(Debug)]
pub enum Measured {
    /// Of a classification.
    Classes(Box<ClassificationMetrics>),
    /// Of several labels.
    Labels(Box<MultiLabelMetrics>),
    /// Of a regression.
    Values(RegressionMetrics),
    /// Of labels of words.
    Words(Box<TaggingMetrics>),
    /// Of what comes next in a text.
    Tokens(LanguageMetrics),
    /// Of embeddings of pairs.
    Pairs(SimilarityMetrics),
}

impl Measured {
    /// Metrics by name.
    pub fn scores(&self) -> Scores {
        match self {
            Measured::Classes(m) => m.scores(),
            Measured::Labels(m) => m.scores(),
            Measured::Values(m) => m.scores(),
            Measured::Words(m) => m.scores(),
            Measured::Tokens(m) => m.scores(),
            Measured::Pairs(m) => m.scores(),
        }
    }

    /// 95 % intervals by name, if they were asked for.
    pub fn intervals(&self) -> Intervals {
        match self {
            Measured::Classes(m) => m.intervals(),
            Measured::Labels(m) => m.intervals(),
            Measured::Values(m) => m.intervals(),
            Measured::Words(m) => m.intervals(),
            Measured::Tokens(m) => m.intervals(),
            Measured::Pairs(m) => m.intervals(),
        }
    }

    /// Rows by true and predicted class.
    pub fn confusion(&self) -> Option<Vec<Vec<u64>>> {
        match self {
            Measured::Classes(m) => {
                let counts = m.confusion()?;
                let classes = counts.len().isqrt();
                Some(counts.chunks(classes.max(1)).map(<[u64]>::to_vec).collect())
            }
            Measured::Labels(_)
            | Measured::Values(_)
            | Measured::Words(_)
            | Measured::Tokens(_)
            | Measured::Pairs(_) => None,
        }
    }

    /// How far the predictions are off.
    pub fn residuals(&self) -> Option<ResidualSummary> {
        match self {
            Measured::Classes(_)
            | Measured::Labels(_)
            | Measured::Words(_)
            | Measured::Tokens(_)
            | Measured::Pairs(_) => None,
            Measured::Values(m) => m.residuals(),
        }
    }

    /// How each label is recognised, with the names of all labels.
    pub fn labels(&self, names: &[String]) -> Option<Vec<LabelScores>> {
        match self {
            Measured::Labels(m) => Some(m.label_scores(names)),
            Measured::Words(m) => Some(m.label_scores()),
            Measured::Classes(_) | Measured::Values(_) | Measured::Tokens(_) | Measured::Pairs(_) => None,
        }
    }
}

/// Predicts rows and compares with their targets.
pub fn measure(
    using: &mut dyn Predicts,
    source: Arc<dyn Source>,
    rows: Vec<u32>,
    goal: &Goal<'_>,
    intervals: bool,
) -> Result<Measurement> {
    measure_and_keep(using, source, rows, goal, intervals, None)
}

/// As [`measure`]; a keeper sees all predictions.
pub(crate) fn measure_and_keep(
    using: &mut dyn Predicts,
    source: Arc<dyn Source>,
    rows: Vec<u32>,
    goal: &Goal<'_>,
    intervals: bool,
    mut keeper: Option<&mut Keeper>,
) -> Result<Measurement> {
    let scale = goal.scale;
    let mut metrics = match (goal.task, intervals) {
        (Task::Classification { classes }, true) => {
            Measured::Classes(Box::new(ClassificationMetrics::with_intervals(classes.len()).positive(goal.positive)))
        }
        (Task::Classification { classes }, false) => {
            Measured::Classes(Box::new(ClassificationMetrics::new(classes.len()).positive(goal.positive)))
        }
        (Task::MultiLabel { classes }, true) => {
            Measured::Labels(Box::new(MultiLabelMetrics::with_intervals(classes.len())))
        }
        (Task::MultiLabel { classes }, false) => Measured::Labels(Box::new(MultiLabelMetrics::new(classes.len()))),
        (Task::Regression, true) => Measured::Values(RegressionMetrics::with_intervals()),
        (Task::Regression, false) => Measured::Values(RegressionMetrics::new()),
        (Task::Labels { labels, spans }, _) => {
            Measured::Words(Box::new(TaggingMetrics::new(labels, *spans, intervals)))
        }
        (Task::NextToken, _) => Measured::Tokens(LanguageMetrics::default()),
        (Task::Similarity { label }, _) => Measured::Pairs(SimilarityMetrics::new(*label)),
    };
    // Data held in memory as numbers is prepared faster than a thread is started.
    let workers = usize::from(source.scratch_bytes() > 0);
    let mut gathered = Sentences::new(source.clone(), using.outputs());
    let mut of_pairs = Vec::new();
    let mut loader = Loader::new(source.clone(), rows, LoaderOptions::evaluate(using.batch(), workers))?;
    // Values in original units; reused from batch to batch.
    let (mut values, mut truths) = (Vec::new(), Vec::new());
    let mut count = 0;
    while let Some(batch) = loader.next()? {
        count += batch.len;
        let outputs = using.outputs();
        let predictions = using.predict(&batch)?;
        match (&mut metrics, &batch.targets) {
            (Measured::Classes(classes), Array::I32(targets)) => {
                classes.add(predictions, targets)?;
                if let Some(keeper) = &mut keeper {
                    keeper.add_classes(&batch.rows, predictions, targets);
                }
            }
            (Measured::Words(words), Array::I32(targets)) => {
                gathered.add(&batch.rows, predictions, targets, batch.sequence);
                if let Some(keeper) = &mut keeper {
                    keeper.add_pieces(&batch.rows, &*source);
                }
                for (sentence, one) in gathered.take_whole() {
                    words.add(&one.probabilities, &one.targets, outputs);
                    if let Some(keeper) = &mut keeper {
                        keeper.add_sentence(sentence, &one);
                    }
                }
            }
            (Measured::Tokens(tokens), Array::F32(bytes)) => {
                tokens.add(predictions, bytes, batch.sequence);
                if let Some(keeper) = &mut keeper {
                    keeper.add_windows(&batch.rows, predictions, bytes);
                }
            }
            (Measured::Pairs(pairs), Array::I32(texts)) => {
                pairs.add_partners(predictions, texts);
                of_pairs.extend_from_slice(&batch.rows);
            }
            (Measured::Pairs(pairs), Array::F32(scores)) => {
                pairs.add_scored(predictions, scores);
                of_pairs.extend_from_slice(&batch.rows);
            }
            (Measured::Labels(labels), Array::F32(targets)) => {
                labels.add(predictions, targets)?;
                if let Some(keeper) = &mut keeper {
                    keeper.add_labels(&batch.rows, predictions, targets);
                }
            }
            (Measured::Values(regression), Array::F32(targets)) => {
                let original = |x: f32| scale.map_or(x, |s| s.inverse(f64::from(x)) as f32);
                values.clear();
                values.extend(predictions.iter().map(|&x| original(x)));
                truths.clear();
                truths.extend(targets.iter().map(|&x| original(x)));
                regression.add(&values, &truths)?;
                if let Some(keeper) = &mut keeper {
                    keeper.add_values(&batch.rows, &values, &truths);
                }
            }
            _ => {
                return Err(TrainError::setting(
                    "data",
                    "the targets are of another kind than the model was trained for",
                ));
            }
        }
    }
    if let (Measured::Pairs(pairs), Some(keeper)) = (&metrics, &mut keeper) {
        keeper.add_pairs(&of_pairs, pairs);
    }
    // The loader's own list: batches of which no row could be read never arrive here.
    let failures = loader.failures().map(|f| (f.name.clone(), f.reason.clone())).collect();
    if let Measured::Words(words) = &metrics {
        // A sentence may be several rows.
        count = words.sentences() as usize;
    }
    Ok(Measurement { metrics, rows: count, failures })
}
