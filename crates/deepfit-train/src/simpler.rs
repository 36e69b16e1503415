//! What needs no network, measured beside each run: the same prediction for every row, and for tables a linear model.

use std::sync::Arc;
use std::time::Instant;

use deepfit_classical::{ClassicalError, Learner, Target, Work, fit};
use deepfit_data::{Array, Dataset, Slot, Source, Task};

use crate::baseline::Baseline;
use crate::budget;
use crate::classical::{Encoder, Features};
use crate::error::{Result, TrainError};
use crate::forecast::OVERHEAD_BYTES;
use crate::job::Job;
use crate::measure::Goal;
use crate::metrics::{ClassificationMetrics, Intervals, RegressionMetrics, Scores};
use crate::settings::Settings;

/// A linear model may take this share of the time that the network took to train, and this many seconds in any case.
const SHARE: f64 = 0.2;
const SECONDS: f64 = 0.1;
/// Of more rows than so many bytes hold, in so many copies on their way to the linear model, it learns from some.
const MOST_BYTES: u64 = 24 << 20;
const COPIES: usize = 3;
/// Fewer of many teach it nothing.
const FEWEST_ROWS: usize = 100;

/// Whether a linear model is measured beside a run.
pub(crate) fn compares_with_linear(data: &Dataset, task: &Task) -> bool {
    data.is_table() && !matches!(task, Task::MultiLabel { .. })
}

/// Bytes that a linear model of so many rows takes at most, under a limit of memory no more than is left beside `planned` bytes.
pub(crate) fn bytes(source: &dyn Source, rows: usize, settings: &Settings, planned: u64) -> u64 {
    let left = settings.memory.map_or(u64::MAX, |limit| budget::usable(limit).saturating_sub(planned));
    // Whole megabytes, so that rows hardly depend on how the process came to its memory.
    let left = left >> 20 << 20;
    (rows as u64 * bytes_of_row(source)).min(MOST_BYTES).min(left)
}

/// Numbers of a row, words of categories each by itself, in some copies.
fn bytes_of_row(source: &dyn Source) -> u64 {
    let of = |slot: &Slot| slot.values() + slot.cardinalities.iter().sum::<usize>();
    let width: usize = source.slots().iter().map(of).sum();
    (COPIES * 4 * width.max(1) + 16) as u64
}

/// What simpler ways reach that a run's rows `train` teach, on its test rows; none of tasks that have no such.
///
/// # Errors
/// If rows cannot be read.
pub(crate) fn ways(
    job: &Job,
    source: &Arc<dyn Source>,
    preprocessor: &deepfit_data::Preprocessor,
    train: &[u32],
) -> Result<Vec<Baseline>> {
    let (task, test) = (&job.recipe.task, &job.split.test[..]);
    if test.is_empty() || train.is_empty() {
        return Ok(Vec::new());
    }
    let goal = Goal::of(&job.recipe, preprocessor.target_scale());
    let targets = |rows: &[u32]| source.targets_of(rows);
    let same = match task {
        // Whatever the errors are like, their absolute values are smallest around the median.
        Task::Regression => match median(&targets(train)) {
            Some(median) => {
                let metrics = scores(&goal, &vec![median; test.len()], &targets(test))?;
                Some(Baseline { method: "the median of the training rows for every row".to_string(), metrics })
            }
            None => None,
        },
        Task::Classification { .. } | Task::MultiLabel { .. } => {
            Baseline::of(task, &**source, train, test, goal.scale, goal.positive)?
        }
        Task::Labels { .. } | Task::NextToken | Task::Similarity { .. } => None,
    };
    let mut found: Vec<Baseline> = same.into_iter().collect();
    if compares_with_linear(&job.data, task) {
        found.extend(linear(job, source, preprocessor, train, &goal)?);
    }
    Ok(found)
}

/// The value that half of the targets exceed.
fn median(targets: &Array) -> Option<f32> {
    let mut sorted = targets.as_f32()?.to_vec();
    sorted.sort_by(f32::total_cmp);
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(0.5 * (low + high))
}

/// Metrics of predictions.
fn scores(goal: &Goal<'_>, predictions: &[f32], targets: &Array) -> Result<Scores> {
    match (goal.task, targets) {
        (Task::Classification { classes }, Array::I32(targets)) => {
            let mut metrics = ClassificationMetrics::new(classes.len()).positive(goal.positive);
            metrics.add(predictions, targets)?;
            Ok(metrics.scores())
        }
        (_, targets) => {
            let original = |x: &f32| goal.scale.map_or(*x, |scale| scale.inverse(f64::from(*x)) as f32);
            let mut metrics = RegressionMetrics::new();
            let values: Vec<f32> = predictions.iter().map(original).collect();
            let truths: Vec<f32> = targets.as_f32().unwrap_or_default().iter().map(original).collect();
            metrics.add(&values, &truths)?;
            Ok(metrics.scores())
        }
    }
}

/// A linear model of a table; nothing if it takes too long.
fn linear(
    job: &Job,
    source: &Arc<dyn Source>,
    preprocessor: &deepfit_data::Preprocessor,
    train: &[u32],
    goal: &Goal<'_>,
) -> Result<Option<Baseline>> {
    let begun = Instant::now();
    let most = (SHARE * job.progress.seconds).max(SECONDS).min(job.time_left().unwrap_or(f64::INFINITY));
    let stop = || begun.elapsed().as_secs_f64() > most;
    let settings = &job.recipe.settings;
    let encoder = Encoder::new(Features::OneHot, preprocessor)?;
    let bytes = bytes(&**source, train.len().max(job.split.test.len()), settings, job.base_bytes + OVERHEAD_BYTES);
    let most_rows = (bytes / bytes_of_row(&**source)).max(1) as usize;
    let step = train.len().div_ceil(most_rows).max(1);
    let some: Vec<u32> = train.iter().copied().step_by(step).collect();
    if step > 1 && some.len() < FEWEST_ROWS {
        return Ok(None);
    }
    let outcome = (|| {
        let learned = encoder.encode_all(source, &some, &stop)?;
        let target = match &learned.targets {
            Array::F32(values) => Target::Values(values.iter().map(|&value| f64::from(value)).collect()),
            other => {
                let of = other.as_i32().unwrap_or_default().iter().map(|&class| class.unsigned_abs()).collect();
                Target::Classes { classes: goal.task.outputs(), of }
            }
        };
        let work = Work { threads: settings.threads, seed: settings.seed, stop: &stop };
        let fitted = fit(Learner::Linear(Default::default()), &learned.matrix, &target, work)?;
        drop(learned);
        let (mut predictions, mut rows) = (Vec::new(), Vec::new());
        for part in job.split.test.chunks(most_rows) {
            let tested = encoder.encode_all(source, part, &stop)?;
            predictions.extend(fitted.predict(&tested.matrix, settings.threads)?);
            rows.extend(tested.rows);
        }
        let targets = source.targets_of(&rows);
        scores(goal, &predictions, &targets)
    })();
    match outcome {
        Ok(metrics) => {
            let name = if goal.task.is_classification() { "logistic regression" } else { "ridge regression" };
            let of = if step > 1 { format!(" on {} of the training rows", some.len()) } else { String::new() };
            Ok(Some(Baseline { method: format!("{name}{of}"), metrics }))
        }
        Err(TrainError::Classical(ClassicalError::Stopped | ClassicalError::Rows(_))) => Ok(None),
        Err(other) => Err(other),
    }
}

/// A way without a network that did better on the test rows than a network.
#[derive(Debug, Clone, PartialEq)]
pub struct SimplerWay {
    /// What it is.
    pub method: String,
    /// The metric by which it did, and what both reached.
    pub metric: &'static str,
    /// What the network reached.
    pub own: f64,
    /// What this way did.
    pub theirs: f64,
    /// Whether chance explains the difference: what this way reached lies in the interval of what the network did.
    pub by_chance: bool,
}

impl SimplerWay {
    /// Says so of what has learned, from what, such as "network" and "rows".
    pub fn told(&self, learner: &str, many: &str) -> String {
        let shown = crate::text::words::number;
        let SimplerWay { method, metric, .. } = self;
        let figures = format!("{metric} {} against {}", shown(self.own), shown(self.theirs));
        if self.by_chance {
            return format!(
                "a way that needs no network ({method}) does as well on the test {many}, within what chance explains, and is \
                 simpler: {figures}; `deepfit compare` tells what to use"
            );
        }
        format!(
            "the {learner} is worse on the test {many} than a way that needs none ({method}): {figures}; `deepfit compare` tells what \
             to use"
        )
    }
}

/// Ways without a network that did better on the test rows than the network.
pub(crate) fn better(baselines: &[Baseline], test: &Scores, intervals: &Intervals) -> Vec<SimplerWay> {
    let mut found = Vec::new();
    for Baseline { method, metrics: simple } in baselines {
        // Of errors the first is what the network was trained to make small.
        let compared = [("accuracy", true), ("f1_micro", true), ("mae", false)];
        let Some((metric, higher)) = compared.into_iter().find(|(metric, _)| simple.get(metric).is_some()) else {
            continue;
        };
        let (Some(own), Some(theirs)) = (test.get(metric), simple.get(metric)) else { continue };
        if (higher && own < theirs) || (!higher && own > theirs) {
            let by_chance = intervals.get(metric).is_some_and(|[low, high]| (low..=high).contains(&theirs));
            found.push(SimplerWay { method: method.clone(), metric, own, theirs, by_chance });
        }
    }
    found
}

/// Says so, a sentence each, where a network is worth no more than what needs none.
pub(crate) fn warnings(better: &[SimplerWay]) -> Vec<String> {
    better.iter().map(|way| way.told("network", "rows")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_exceeded_by_half() {
        assert_eq!(median(&Array::F32(vec![9.0, 1.0, 2.0])), Some(2.0));
        assert_eq!(median(&Array::F32(vec![9.0, 1.0, 2.0, 4.0])), Some(3.0));
        assert_eq!(median(&Array::F32(Vec::new())), None);
    }

    #[test]
    fn a_network_that_is_worse_than_the_median_is_told() {
        let scores = |mae: f64| {
            let mut scores = Scores::default();
            scores.insert("mae", mae);
            scores
        };
        let median = [Baseline { method: "the median".to_string(), metrics: scores(2.0) }];
        let told = |mae: f64, interval: [f64; 2]| {
            let mut intervals = Intervals::default();
            intervals.insert("mae", interval);
            warnings(&better(&median, &scores(mae), &intervals))
        };
        assert!(told(1.9, [1.8, 2.0]).is_empty());
        let worse = told(2.5, [2.3, 2.7]);
        assert!(worse[0].contains("worse") && worse[0].contains("the median") && worse[0].contains("2.5"), "{worse:?}");
        let alike = told(2.5, [1.9, 2.7]);
        assert!(alike[0].contains("does as well") && !alike[0].contains("worse"), "{alike:?}");
    }
}
