//! A network's metrics on rows, streamed: neither logits nor predictions are kept, unless a keeper keeps them.

use std::sync::Arc;

use deepfit_data::{Array, Loader, LoaderOptions, Source, Subgroups, TargetScale, Task};
use serde::{Deserialize, Serialize};

use crate::decision::{Decision, DecisionMetrics, Findings, Record};
use crate::error::{Result, TrainError};
use crate::metrics::{
    ClassificationMetrics, Intervals, LabelScores, LanguageMetrics, MultiLabelMetrics, RegressionMetrics,
    ResidualSummary, Scores, SimilarityMetrics, TaggingMetrics, largest,
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
    /// What the decision was worth; nothing without one.
    pub findings: Findings,
    /// The same metrics by the values of a column, if they were asked for.
    pub subgroups: Option<SubgroupScores>,
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
    /// What is made of the outputs; they stay as they are without.
    pub decision: Option<&'a Decision>,
    /// Weight of each row of the source, if they do not all count alike.
    pub weights: Option<&'a [f64]>,
    /// Rows of the source that are also measured by themselves.
    pub by: Option<&'a Subgroups>,
}

impl<'a> Goal<'a> {
    /// What a run's predictions are measured by.
    pub fn of(recipe: &'a Recipe, scale: Option<TargetScale>) -> Goal<'a> {
        let positive = positive(&recipe.task, recipe.settings.positive.as_deref());
        let weights = recipe.weights.as_deref();
        Goal { task: &recipe.task, scale, positive, decision: None, weights, by: None }
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
    Values(Box<RegressionMetrics>),
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

    /// Of nothing so far, perhaps with intervals.
    fn new(goal: &Goal<'_>, intervals: bool) -> Measured {
        match (goal.task, intervals) {
            (Task::Classification { classes }, true) => {
                let metrics = ClassificationMetrics::with_intervals(classes.len());
                Measured::Classes(Box::new(metrics.positive(goal.positive)))
            }
            (Task::Classification { classes }, false) => {
                Measured::Classes(Box::new(ClassificationMetrics::new(classes.len()).positive(goal.positive)))
            }
            (Task::MultiLabel { classes }, intervals) => {
                let labels = classes.len();
                let metrics = match intervals {
                    true => MultiLabelMetrics::with_intervals(labels),
                    false => MultiLabelMetrics::new(labels),
                };
                let thresholds = goal.decision.map(|decision| decision.thresholds(labels));
                Measured::Labels(Box::new(match thresholds {
                    Some(thresholds) => metrics.thresholds(thresholds),
                    None => metrics,
                }))
            }
            (Task::Regression, true) => Measured::Values(Box::new(RegressionMetrics::with_intervals())),
            (Task::Regression, false) => Measured::Values(Box::default()),
            (Task::Labels { labels, spans }, _) => {
                Measured::Words(Box::new(TaggingMetrics::new(labels, *spans, intervals)))
            }
            (Task::NextToken, _) => Measured::Tokens(LanguageMetrics::default()),
            (Task::Similarity { label }, _) => Measured::Pairs(SimilarityMetrics::new(*label)),
        }
    }

    /// Adds rows of classes, labels or values.
    fn add(&mut self, scored: &Scored) -> Result<()> {
        let Scored { values, classes, targets, weights } = scored;
        let weights = (!weights.is_empty()).then_some(&weights[..]);
        match self {
            Measured::Classes(metrics) => {
                let targets: Vec<i32> = targets.iter().map(|&class| class as i32).collect();
                metrics.add_with(values, &targets, Some(classes), weights)?;
            }
            Measured::Labels(metrics) => metrics.add_with(values, targets, weights)?,
            Measured::Values(metrics) => metrics.add_with(values, targets, weights)?,
            Measured::Words(_) | Measured::Tokens(_) | Measured::Pairs(_) => return Err(other_targets()),
        }
        Ok(())
    }

    /// Number of rows of classes, labels or values.
    fn examples(&self) -> u64 {
        match self {
            Measured::Classes(m) => m.examples(),
            Measured::Labels(m) => m.examples(),
            Measured::Values(m) => m.examples(),
            Measured::Words(_) | Measured::Tokens(_) | Measured::Pairs(_) => 0,
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
///
/// # Errors
/// If a row cannot be predicted.
pub fn measure(
    using: &mut dyn Predicts,
    source: Arc<dyn Source>,
    rows: Vec<u32>,
    goal: &Goal<'_>,
    intervals: bool,
) -> Result<Measurement> {
    measure_keeping(using, source, rows, goal, intervals, None, None)
}

/// As [`measure`]; `keep` also takes what was predicted, as the network gives it, of values in original units, and a keeper
/// sees all predictions as they are measured.
///
/// # Errors
/// As [`measure`].
pub fn measure_keeping(
    using: &mut dyn Predicts,
    source: Arc<dyn Source>,
    rows: Vec<u32>,
    goal: &Goal<'_>,
    intervals: bool,
    mut keep: Option<&mut Record>,
    mut keeper: Option<&mut Keeper>,
) -> Result<Measurement> {
    let decision = goal.decision.filter(|decision| !decision.is_empty());
    let mut decided = decision.map(|decision| DecisionMetrics::new(decision, goal.task));
    let mut metrics = Measured::new(goal, intervals);
    let names = goal.by.map_or(&[][..], |by| &by.names[..]);
    let mut of_groups: Vec<Measured> = names.iter().map(|_| Measured::new(goal, intervals)).collect();
    // Data held in memory as numbers is prepared faster than a thread is started.
    let workers = usize::from(source.scratch_bytes() > 0);
    let mut gathered = Sentences::new(source.clone(), using.outputs());
    let mut of_pairs = Vec::new();
    let mut loader = Loader::new(source.clone(), rows, LoaderOptions::evaluate(using.batch(), workers))?;
    let mut scored = Scored::default();
    let mut one = Scored::default();
    let mut count = 0;
    while let Some(batch) = loader.next()? {
        count += batch.len;
        let outputs = using.outputs();
        let predictions = using.predict(&batch)?;
        match (&mut metrics, &batch.targets) {
            (Measured::Words(words), Array::I32(targets)) => {
                gathered.add(&batch.rows, predictions, targets, batch.sequence);
                if let Some(keeper) = &mut keeper {
                    keeper.add_pieces(&batch.rows, &*source);
                }
                for (sentence, one) in gathered.take_whole() {
                    words.add(&one.probabilities, &one.targets, outputs);
                    if let Some(kept) = keep.as_deref_mut() {
                        kept.rows.push(sentence);
                        kept.values.push(one.loss(outputs));
                    }
                    if let Some(keeper) = &mut keeper {
                        keeper.add_sentence(sentence, &one);
                    }
                }
            }
            (Measured::Tokens(tokens), Array::F32(bytes)) => {
                tokens.add(predictions, bytes, batch.sequence);
                if let Some(kept) = keep.as_deref_mut() {
                    kept.rows.extend_from_slice(&batch.rows);
                    kept.values.extend_from_slice(predictions);
                }
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
            (Measured::Classes(_), Array::I32(_)) | (Measured::Labels(_) | Measured::Values(_), Array::F32(_)) => {
                scored.fill(predictions, &batch.targets, &batch.rows, goal, decided.as_mut(), keep.as_deref_mut());
                metrics.add(&scored)?;
                if let Some(keeper) = &mut keeper {
                    match (&metrics, &batch.targets) {
                        (Measured::Classes(_), Array::I32(targets)) => {
                            keeper.add_classes(&batch.rows, &scored.values, targets);
                        }
                        (Measured::Labels(_), _) => keeper.add_labels(&batch.rows, &scored.values, &scored.targets),
                        _ => keeper.add_values(&batch.rows, &scored.values, &scored.targets),
                    }
                }
                if let Some(by) = goal.by {
                    for (at, &row) in batch.rows.iter().enumerate() {
                        one.take(&scored, at, batch.rows.len());
                        of_groups[by.of[row as usize] as usize].add(&one)?;
                    }
                }
            }
            _ => return Err(other_targets()),
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
    let mut findings = decision.map(|decision| decision.findings(goal.task)).unwrap_or_default();
    if let Some(decided) = &decided {
        decided.complete(&mut findings);
    }
    let subgroups = goal.by.map(|by| SubgroupScores::of(by, &of_groups));
    Ok(Measurement { metrics, rows: count, failures, findings, subgroups })
}

fn other_targets() -> TrainError {
    TrainError::setting("data", "the targets are of another kind than the model was trained for")
}

/// Predictions of some rows as they are measured: probabilities, or values in original units.
#[derive(Debug, Default)]
struct Scored {
    values: Vec<f32>,
    /// Class that is predicted, of classes.
    classes: Vec<usize>,
    targets: Vec<f32>,
    /// None where all rows count alike.
    weights: Vec<f64>,
}

impl Scored {
    fn fill(
        &mut self,
        predictions: &[f32],
        targets: &Array,
        rows: &[u32],
        goal: &Goal<'_>,
        mut decided: Option<&mut DecisionMetrics<'_>>,
        keep: Option<&mut Record>,
    ) {
        self.values.clear();
        self.classes.clear();
        self.targets.clear();
        self.weights.clear();
        self.weights.extend(goal.weights.iter().flat_map(|weights| rows.iter().map(|&row| weights[row as usize])));
        let original = |x: f32| goal.scale.map_or(x, |s| s.inverse(f64::from(x)) as f32);
        let of_values = *goal.task == Task::Regression;
        match targets {
            Array::I32(classes) => self.targets.extend(classes.iter().map(|&class| class as f32)),
            Array::F32(values) if of_values => self.targets.extend(values.iter().map(|&x| original(x))),
            Array::F32(values) => self.targets.extend_from_slice(values),
            Array::U8(_) => {}
        }
        let weight = |weights: &[f64], at: usize| weights.get(at).copied().unwrap_or(1.0);
        if of_values {
            self.values.extend(predictions.iter().map(|&x| original(x)));
            if let Some(decided) = &mut decided {
                for (at, (&value, &truth)) in self.values.iter().zip(&self.targets).enumerate() {
                    decided.add_value(value, truth, weight(&self.weights, at));
                }
            }
        } else if let (Some(decision), Some(decided)) = (goal.decision, decided) {
            let outputs = predictions.len() / rows.len().max(1);
            let width = self.targets.len() / rows.len().max(1);
            for (at, row) in predictions.chunks_exact(outputs.max(1)).enumerate() {
                let judged = decision.judge(row, goal.task);
                decided.add(row, &judged, &self.targets[at * width..][..width], weight(&self.weights, at));
                self.values.extend_from_slice(&judged.probabilities);
                self.classes.push(judged.class);
            }
        } else {
            self.values.extend_from_slice(predictions);
            let outputs = predictions.len() / rows.len().max(1);
            self.classes.extend(predictions.chunks_exact(outputs.max(1)).map(largest));
        }
        if let Some(kept) = keep {
            kept.rows.extend_from_slice(rows);
            kept.values.extend_from_slice(if of_values { &self.values } else { predictions });
        }
    }

    /// One row of others, so many.
    fn take(&mut self, all: &Scored, at: usize, rows: usize) {
        fn part<T>(of: &[T], at: usize, rows: usize) -> &[T] {
            let width = of.len() / rows;
            &of[at * width..][..width]
        }
        let Scored { values, classes, targets, weights } = all;
        for (own, of) in [(&mut self.values, values), (&mut self.targets, targets)] {
            own.clear();
            own.extend_from_slice(part(of, at, rows));
        }
        self.classes.clear();
        self.classes.extend_from_slice(part(classes, at, rows));
        self.weights.clear();
        self.weights.extend_from_slice(part(weights, at, rows));
    }
}

/// Metrics of the rows of a subgroup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubgroupRow {
    /// The value that its rows have.
    pub name: String,
    /// Number of its rows.
    pub rows: u64,
    /// Whether they are too few to tell anything for sure: fewer than [`SubgroupScores::FEW`].
    pub few: bool,
    /// Metrics by name.
    pub metrics: Scores,
    /// 95 % intervals by name.
    pub intervals: Intervals,
}

/// Metrics by the values of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubgroupScores {
    /// The column.
    pub column: String,
    /// Subgroups that have rows, in the order of their values.
    pub groups: Vec<SubgroupRow>,
}

impl SubgroupScores {
    /// Subgroups of fewer rows are said to be of few.
    pub const FEW: u64 = 30;

    fn of(by: &Subgroups, measured: &[Measured]) -> SubgroupScores {
        let group = |(name, one): (&String, &Measured)| {
            let rows = one.examples();
            let few = rows < SubgroupScores::FEW;
            let (metrics, intervals) = (one.scores(), one.intervals());
            SubgroupRow { name: name.clone(), rows, few, metrics, intervals }
        };
        let groups = by.names.iter().zip(measured).map(group).filter(|group| group.rows > 0).collect();
        SubgroupScores { column: by.column.clone(), groups }
    }
}
