use deepfit_graph::Tensor;
use serde::{Deserialize, Serialize};

use crate::declaration::Parameter;
use crate::error::{Result, require};

/// Prefix of the names of averaged weights: `average.fc.weight`.
pub const AVERAGE: &str = "average";

/// Exponential moving average of the weights (Polyak and Juditsky, 1992), kept beside them as `average.<name>`.
///
/// The first update copies the weights, as PyTorch's `AveragedModel` does. Running statistics are not averaged: the
/// averaged weights go with the current ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MovingAverage {
    /// Share of the average that stays at each update, at least 0 and below 1.
    pub decay: f64,
    /// Whether the share is at most `(1 + step) / (10 + step)`, so that early weights are forgotten also in short runs. By
    /// default it is not.
    #[serde(default)]
    pub warmup: bool,
}

impl MovingAverage {
    /// Checks the settings.
    ///
    /// # Errors
    /// If the decay is out of range.
    pub fn validate(&self) -> Result<()> {
        let decay = self.decay;
        require((0.0..1.0).contains(&decay), "moving_average", "decay", || {
            format!("is {decay}, but must be at least 0 and below 1")
        })
    }

    /// Adds one update to the graph and returns the new average.
    ///
    /// `new_value` is what the optimiser made of the parameter; `step` the number of this update from 1, a scalar.
    ///
    /// # Errors
    /// If the decay is out of range or a shape does not fit.
    pub fn update(&self, parameter: &Parameter, new_value: &Tensor, step: &Tensor) -> Result<Tensor> {
        self.validate()?;
        let tracer = new_value.tracer();
        let average = tracer.parameter(&format!("{AVERAGE}.{}", parameter.name), &parameter.shape[..])?;
        let mut share = tracer.scalar((1.0 - self.decay) as f32);
        if self.warmup {
            // 1 - (1 + step) / (10 + step) = 9 / (10 + step)
            share = share.maximum(&step.add_scalar(10.0)?.recip()?.mul_scalar(9.0)?)?;
        }
        let moved = average.add(&new_value.sub(&average)?.mul(&share)?)?;
        let later = step.greater(&tracer.scalar(1.5))?;
        Ok(average.assign(&later.select(&moved, new_value)?)?)
    }
}
