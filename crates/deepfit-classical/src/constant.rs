//! The same prediction for every row: how frequent each class is, or the mean. Whatever learns must be better.

use crate::bytes::{Reader, Writer};
use crate::error::Result;
use crate::target::Target;

/// The same prediction for every row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Constant {
    pub(crate) prediction: Vec<f32>,
}

/// Shares of the classes, none of which is 0: each is as if it had been seen once more.
pub(crate) fn shares(counts: &[usize]) -> Vec<f64> {
    let all = (counts.iter().sum::<usize>() + counts.len()) as f64;
    counts.iter().map(|&count| (count + 1) as f64 / all).collect()
}

/// The mean of values.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

impl Constant {
    pub(crate) fn fit(target: &Target) -> Constant {
        let prediction = match target {
            Target::Classes { .. } => shares(&target.counts()).into_iter().map(|share| share as f32).collect(),
            Target::Values(values) => vec![mean(values) as f32],
        };
        Constant { prediction }
    }

    pub(crate) fn predict(&self, rows: usize) -> Vec<f32> {
        self.prediction.repeat(rows)
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        to.floats(&self.prediction);
    }

    pub(crate) fn read(from: &mut Reader<'_>, outputs: usize) -> Result<Constant> {
        let prediction = from.floats()?;
        from.require(prediction.len() == outputs, "it predicts another number of classes")?;
        Ok(Constant { prediction })
    }
}
