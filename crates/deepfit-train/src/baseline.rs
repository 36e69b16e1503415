//! What a method reaches that learns next to nothing: the measure of whether training was worth it.

use deepfit_data::{Array, Batch, IGNORED, PairLabel, Pass, Source, TargetScale, Task};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::metrics::{ClassificationMetrics, MultiLabelMetrics, RegressionMetrics, Scores};

/// Rows whose targets are looked at together.
const AT_ONCE: usize = 4096;
/// Windows of a text that are looked at.
const WINDOWS: usize = 4096;

/// A method that looks at no input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// What it does, in words: "always says 'no', the most common class".
    pub method: String,
    /// Its metrics on the test rows.
    pub metrics: Scores,
}

impl Baseline {
    /// Learns from the targets of the training rows and is measured on the test rows; nothing where either is empty.
    ///
    /// # Errors
    /// If targets cannot be read, or are of another kind than the task.
    pub(crate) fn of(
        task: &Task,
        source: &dyn Source,
        train: &[u32],
        test: &[u32],
        scale: Option<TargetScale>,
        positive: usize,
    ) -> Result<Option<Baseline>> {
        if train.is_empty() || test.is_empty() {
            return Ok(None);
        }
        let original = |x: f32| scale.map_or(x, |s| s.inverse(f64::from(x)) as f32);
        Ok(Some(match task {
            Task::Classification { classes } => {
                let shares = shares(source, train, classes.len());
                let most = (0..shares.len()).fold(0, |most, at| if shares[at] > shares[most] { at } else { most });
                let mut metrics = ClassificationMetrics::new(classes.len()).positive(positive);
                for_targets(source, test, |targets| {
                    let Array::I32(targets) = targets else { return Ok(()) };
                    Ok(metrics.add(&shares.repeat(targets.len()), targets)?)
                })?;
                let method = format!("always says '{}', the most common class of the training rows", classes[most]);
                Baseline { method, metrics: metrics.scores() }
            }
            Task::MultiLabel { classes } => {
                let mut sums = vec![0.0f64; classes.len()];
                for_targets(source, train, |targets| {
                    let Array::F32(targets) = targets else { return Ok(()) };
                    for row in targets.chunks_exact(classes.len()) {
                        sums.iter_mut().zip(row).for_each(|(sum, one)| *sum += f64::from(*one));
                    }
                    Ok(())
                })?;
                let shares: Vec<f32> = sums.iter().map(|sum| (sum / train.len() as f64) as f32).collect();
                let mut metrics = MultiLabelMetrics::new(classes.len());
                for_targets(source, test, |targets| {
                    let Array::F32(targets) = targets else { return Ok(()) };
                    Ok(metrics.add(&shares.repeat(targets.len() / classes.len().max(1)), targets)?)
                })?;
                let method = "gives each label the share that it has among the training rows".to_string();
                Baseline { method, metrics: metrics.scores() }
            }
            Task::Regression => {
                let mut sum = 0.0f64;
                for_targets(source, train, |targets| {
                    let Array::F32(targets) = targets else { return Ok(()) };
                    sum += targets.iter().map(|&target| f64::from(original(target))).sum::<f64>();
                    Ok(())
                })?;
                let mean = (sum / train.len() as f64) as f32;
                let mut metrics = RegressionMetrics::new();
                for_targets(source, test, |targets| {
                    let Array::F32(targets) = targets else { return Ok(()) };
                    let truths: Vec<f32> = targets.iter().map(|&target| original(target)).collect();
                    Ok(metrics.add(&vec![mean; truths.len()], &truths)?)
                })?;
                let method = format!(
                    "always says {}, the mean of the training rows",
                    crate::text::words::number(f64::from(mean))
                );
                Baseline { method, metrics: metrics.scores() }
            }
            Task::Labels { labels, spans } => {
                let of_train = counts(source, train, labels.len());
                let most = (0..labels.len()).fold(0, |most, at| if of_train[at] > of_train[most] { at } else { most });
                let of_test = counts(source, test, labels.len());
                let mut metrics = Scores::default();
                let all: u64 = of_test.iter().sum();
                metrics.insert_defined("token_accuracy", (all > 0).then(|| of_test[most] as f64 / all as f64));
                if *spans && labels[most] == "O" {
                    // What finds nothing is right about nothing.
                    metrics.insert("recall", 0.0);
                    metrics.insert("f1", 0.0);
                }
                let method =
                    format!("gives each word the label '{}', the most common of the training words", labels[most]);
                Baseline { method, metrics }
            }
            Task::NextToken => {
                let metrics = tokens(source, train, test)?;
                Baseline {
                    method: "knows how often each token occurs, and nothing of what stands before it".to_string(),
                    metrics,
                }
            }
            Task::Similarity { label: PairLabel::Partners } => {
                let (all, mut metrics) = (test.len() as f64, Scores::default());
                metrics.insert("recall_at_1", 1.0 / all);
                metrics.insert("recall_at_10", (10.0 / all).min(1.0));
                metrics.insert("mrr", (1..=test.len()).map(|rank| 1.0 / rank as f64).sum::<f64>() / all);
                Baseline { method: "puts the texts in a random order".to_string(), metrics }
            }
            Task::Similarity { .. } => {
                let mut metrics = Scores::default();
                metrics.insert("spearman", 0.0);
                metrics.insert("pearson", 0.0);
                Baseline { method: "puts the pairs in a random order".to_string(), metrics }
            }
        }))
    }
}

/// Gives the targets of rows, some at a time.
fn for_targets(source: &dyn Source, rows: &[u32], mut each: impl FnMut(&Array) -> Result<()>) -> Result<()> {
    let mut targets = Array::empty(source.target_dtype());
    for rows in rows.chunks(AT_ONCE) {
        source.targets(rows, &mut targets);
        each(&targets)?;
    }
    Ok(())
}

/// How often each class is the target.
fn counts(source: &dyn Source, rows: &[u32], classes: usize) -> Vec<u64> {
    let mut counts = vec![0; classes];
    let mut targets = Array::empty(source.target_dtype());
    for rows in rows.chunks(AT_ONCE) {
        source.targets(rows, &mut targets);
        let known = targets.as_i32().unwrap_or_default().iter().filter(|&&target| target != IGNORED);
        known.for_each(|&target| counts[target as usize] += 1);
    }
    counts
}

/// The share of each class among the targets.
fn shares(source: &dyn Source, rows: &[u32], classes: usize) -> Vec<f32> {
    counts(source, rows, classes).into_iter().map(|count| (count as f64 / rows.len() as f64) as f32).collect()
}

/// How well tokens are foreseen by how often they occur in the training windows, each once more than that.
fn tokens(source: &dyn Source, train: &[u32], test: &[u32]) -> Result<Scores> {
    let place = source.slots().iter().position(|slot| slot.name == deepfit_zoo::NEXT);
    let each = |rows: &[u32], of: &mut dyn FnMut(&[i32], &[f32])| -> Result<()> {
        let mut batch = Batch::new();
        for rows in rows.chunks(64) {
            source.fill(rows, Pass::Evaluate, &mut batch)?;
            let next = place.and_then(|place| batch.inputs[place].as_i32());
            of(next.unwrap_or_default(), batch.targets.as_f32().unwrap_or_default());
        }
        Ok(())
    };
    let some =
        |rows: &[u32]| -> Vec<u32> { rows.iter().copied().step_by(rows.len().div_ceil(WINDOWS).max(1)).collect() };
    let (mut counts, mut all) = (Vec::<u64>::new(), 0u64);
    each(&some(train), &mut |tokens, _| {
        for &token in tokens {
            let token = token as usize;
            if token >= counts.len() {
                counts.resize(token + 1, 0);
            }
            counts[token] += 1;
            all += 1;
        }
    })?;
    let kinds = counts.len() as f64 + 1.0;
    let (mut nats, mut number, mut bytes) = (0.0f64, 0.0f64, 0.0f64);
    each(&some(test), &mut |tokens, of_windows| {
        for &token in tokens {
            let count = counts.get(token as usize).copied().unwrap_or(0);
            nats -= ((count as f64 + 1.0) / (all as f64 + kinds)).ln();
            number += 1.0;
        }
        bytes += of_windows.iter().map(|&bytes| f64::from(bytes)).sum::<f64>();
    })?;
    let mut metrics = Scores::default();
    if number > 0.0 && bytes > 0.0 {
        metrics.insert("log_loss", nats / number);
        metrics.insert("perplexity", (nats / number).exp());
        metrics.insert("bits_per_byte", nats / std::f64::consts::LN_2 / bytes);
    }
    Ok(metrics)
}
