//! A network's metrics on rows, streamed: neither logits nor predictions are kept.

use std::sync::Arc;

use deepfit_data::{Array, Loader, LoaderOptions, Source, TargetScale, Task};

use crate::error::{Result, TrainError};
use crate::learner::Predicting;
use crate::metrics::{ClassificationMetrics, Intervals, RegressionMetrics, ResidualSummary, Scores};

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

/// Metrics of either task.
#[derive(Debug)]
pub enum Measured {
    /// Of a classification.
    Classes(Box<ClassificationMetrics>),
    /// Of a regression.
    Values(RegressionMetrics),
}

impl Measured {
    /// Metrics by name.
    pub fn scores(&self) -> Scores {
        match self {
            Measured::Classes(m) => m.scores(),
            Measured::Values(m) => m.scores(),
        }
    }

    /// 95 % intervals by name, if they were asked for.
    pub fn intervals(&self) -> Intervals {
        match self {
            Measured::Classes(m) => m.intervals(),
            Measured::Values(m) => m.intervals(),
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
            Measured::Values(_) => None,
        }
    }

    /// How far the predictions are off.
    pub fn residuals(&self) -> Option<ResidualSummary> {
        match self {
            Measured::Classes(_) => None,
            Measured::Values(m) => m.residuals(),
        }
    }
}

/// Predicts rows and compares with their targets.
pub fn measure(
    using: &mut Predicting,
    source: Arc<dyn Source>,
    rows: Vec<u32>,
    task: &Task,
    scale: Option<TargetScale>,
    intervals: bool,
) -> Result<Measurement> {
    let mut metrics = match (task, intervals) {
        (Task::Classification { classes }, true) => {
            Measured::Classes(Box::new(ClassificationMetrics::with_intervals(classes.len())))
        }
        (Task::Classification { classes }, false) => {
            Measured::Classes(Box::new(ClassificationMetrics::new(classes.len())))
        }
        (Task::Regression, true) => Measured::Values(RegressionMetrics::with_intervals()),
        (Task::Regression, false) => Measured::Values(RegressionMetrics::new()),
    };
    // Data held in memory as numbers is prepared faster than a thread is started.
    let workers = usize::from(source.scratch_bytes() > 0);
    let mut loader = Loader::new(source, rows, LoaderOptions::evaluate(using.batch, workers))?;
    // Values in original units; reused from batch to batch.
    let (mut values, mut truths) = (Vec::new(), Vec::new());
    let mut count = 0;
    while let Some(batch) = loader.next()? {
        count += batch.len;
        let predictions = using.predict(&batch)?;
        match (&mut metrics, &batch.targets) {
            (Measured::Classes(classes), Array::I32(targets)) => classes.add(predictions, targets)?,
            (Measured::Values(regression), Array::F32(targets)) => {
                let original = |x: f32| scale.map_or(x, |s| s.inverse(f64::from(x)) as f32);
                values.clear();
                values.extend(predictions.iter().map(|&x| original(x)));
                truths.clear();
                truths.extend(targets.iter().map(|&x| original(x)));
                regression.add(&values, &truths)?;
            }
            _ => {
                return Err(TrainError::setting(
                    "data",
                    "the targets are of another kind than the model was trained for",
                ));
            }
        }
    }
    // The loader's own list: batches of which no row could be read never arrive here.
    let failures = loader.failures().map(|f| (f.name.clone(), f.reason.clone())).collect();
    Ok(Measurement { metrics, rows: count, failures })
}
