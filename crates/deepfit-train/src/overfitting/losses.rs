//! Losses of single rows, with the network as it is in use.

use deepfit_data::{Array, Source, TargetScale, Task};
use serde::{Deserialize, Serialize};

use crate::checks::sample;
use crate::decision::Record;
use crate::metrics::Moments;

/// Most training rows that are measured after an epoch, and the share of them that is: a step forward takes a third of one of
/// training, so that this is some 3 % of the time.
const MOST_SAMPLED: usize = 1_000;
const SHARE: usize = 10;
/// Of few rows more are measured, since fewer tell nothing.
const FEWEST_SAMPLED: usize = 128;
/// Probabilities below this count as this.
const LEAST: f64 = 1e-7;
/// Predictions that differ by no more than this are equal.
const EQUAL: f32 = 1e-6;

/// Mean losses after an epoch, with the network as it is in use: without dropout, augmentation and smoothing. A loss is the
/// negative natural logarithm of what the true class was given, or the squared error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochLosses {
    /// Over a sample of the training rows.
    pub train: f64,
    /// Standard error of that mean.
    pub train_error: f64,
    /// Over the validation rows.
    pub validation: f64,
    /// Standard error of that mean.
    pub validation_error: f64,
    /// Whether all validation rows were predicted alike.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub constant: bool,
    /// After the last epoch of a stage, where it may be the one that is kept, the metric that decides, with the weights as they were and not their average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unaveraged: Option<f64>,
}

/// The losses of some rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct EvaluatedLosses {
    /// The rows.
    pub(crate) rows: Vec<u32>,
    /// Their losses.
    pub(crate) losses: Vec<f32>,
    /// Whether all were predicted alike.
    pub(crate) constant: bool,
}

impl EvaluatedLosses {
    /// Of predictions as the network gives them, of values in original units; nothing for tasks whose rows have no losses of
    /// their own.
    pub(crate) fn of(task: &Task, predicted: &Record, source: &dyn Source, scale: Option<TargetScale>) -> Option<Self> {
        let rows = predicted.rows.len();
        if rows == 0 {
            return None;
        }
        let outputs = predicted.values.len() / rows;
        let measured = matches!(task, Task::NextToken | Task::Labels { .. });
        let targets = source.targets_of(if measured { &[] } else { &predicted.rows });
        let given = |probability: f32| -f64::from(probability).max(LEAST).ln();
        let of_rows = predicted.values.chunks_exact(outputs.max(1));
        let losses: Vec<f32> = match (task, &targets) {
            (Task::Classification { .. }, Array::I32(classes)) => {
                of_rows.zip(classes).map(|(p, &class)| given(*p.get(class as usize).unwrap_or(&0.0)) as f32).collect()
            }
            (Task::MultiLabel { .. }, Array::F32(labels)) => of_rows
                .zip(labels.chunks_exact(outputs.max(1)))
                .map(|(p, truth)| {
                    let one = |(&p, &t): (&f32, &f32)| given(if t > 0.5 { p } else { 1.0 - p });
                    (p.iter().zip(truth).map(one).sum::<f64>() / outputs as f64) as f32
                })
                .collect(),
            (Task::Regression, Array::F32(values)) => of_rows
                .zip(values)
                .map(|(p, &truth)| {
                    let truth = scale.map_or(truth, |s| s.inverse(f64::from(truth)) as f32);
                    (p[0] - truth).powi(2)
                })
                .collect(),
            // Of a window or a sentence the mean over its tokens, as it was measured.
            (Task::NextToken | Task::Labels { .. }, _) => predicted.values.clone(),
            _ => return None,
        };
        if losses.len() != rows || losses.iter().any(|loss| !loss.is_finite()) {
            return None;
        }
        let first = &predicted.values[..outputs];
        let size = first.iter().fold(1.0f32, |size, value| size.max(value.abs()));
        let same = |row: &[f32]| row.iter().zip(first).all(|(a, b)| (a - b).abs() <= EQUAL * size);
        let constant = rows > 1 && !measured && predicted.values.chunks_exact(outputs).all(same);
        Some(EvaluatedLosses { rows: predicted.rows.clone(), losses, constant })
    }

    /// Mean and its standard error, perhaps with weights of all rows of the source.
    pub(crate) fn mean(&self, weights: Option<&[f64]>) -> (f64, f64) {
        let weighted: Vec<f64> = match weights {
            None => self.losses.iter().map(|&loss| f64::from(loss)).collect(),
            Some(weights) => {
                let of = |row: &u32| weights.get(*row as usize).copied().unwrap_or(1.0);
                let all: f64 = self.rows.iter().map(of).sum::<f64>() / self.rows.len() as f64;
                let one = |(row, &loss): (&u32, &f32)| f64::from(loss) * of(row) / all.max(f64::MIN_POSITIVE);
                self.rows.iter().zip(&self.losses).map(one).collect()
            }
        };
        mean_and_error(&weighted)
    }
}

/// The mean of values and its standard error, which is 0 of one value.
pub(crate) fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let mut moments = Moments::default();
    values.iter().for_each(|&value| moments.add(value));
    (moments.mean().unwrap_or(0.0), moments.standard_error().unwrap_or(0.0))
}

/// How many of so many training rows are measured after each epoch, beside so many of validation.
pub(crate) fn sample_size(train: usize, validation: usize) -> usize {
    let least = FEWEST_SAMPLED.min(train.div_ceil(2));
    (train / SHARE).max(least).min(MOST_SAMPLED).min(validation.max(least))
}

/// The training rows that are measured after each epoch, by the seed alone.
pub(crate) fn sample_of(train: &[u32], validation: usize, seed: u64) -> Vec<u32> {
    sample(train, sample_size(train.len(), validation), seed).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_small_and_the_same_for_a_seed() {
        let train: Vec<u32> = (0..5_000).collect();
        let sample = sample_of(&train, 400, 7);
        assert_eq!(sample.len(), 400);
        assert_eq!(sample, sample_of(&train, 400, 7));
        assert_ne!(sample, sample_of(&train, 400, 8));
        assert!(sample.is_sorted() && sample_of(&train[..10], 3, 1).len() == 5);
        assert_eq!(sample_of(&(0..100_000).collect::<Vec<_>>(), 10_000, 1).len(), MOST_SAMPLED);
    }

    #[test]
    fn errors_of_means_are_those_of_the_textbook() {
        let (mean, error) = mean_and_error(&[1.0, 2.0, 3.0, 4.0]);
        assert!((mean - 2.5).abs() < 1e-12 && (error - (5.0f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
        assert_eq!(mean_and_error(&[3.0]), (3.0, 0.0));
        let losses = EvaluatedLosses { rows: vec![0, 1], losses: vec![1.0, 3.0], constant: false };
        assert_eq!(losses.mean(Some(&[3.0, 1.0])).0, 1.5);
    }
}
