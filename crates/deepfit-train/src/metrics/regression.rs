//! Metrics of predicted numbers.

use super::bootstrap::RegressionReplicates;
use super::error::MetricError;
use super::interval::{self, Z};
use super::moments::Moments;
use super::residuals::{ResidualSummary, Residuals};
use super::scores::{Intervals, Scores};

const REPLICATES: usize = 200;

/// Metrics of a regression, streamed, in the units of the predictions and targets that are added.
///
/// [`Self::scores`] gives
///
/// - `mae`: mean absolute error;
/// - `rmse`: root of the mean squared error;
/// - `r2`: coefficient of determination, 1 minus the squared error relative to that of the targets' mean. 1 is
///   perfect, 0 no better than the mean. Absent if all targets are equal, or of one example.
///
/// Sums are kept in f64 in a way that does not lose digits to a large mean. Memory is constant.
#[derive(Debug, Clone)]
pub struct RegressionMetrics {
    absolute_errors: Moments,
    squared_errors: Moments,
    targets: Moments,
    residuals: Residuals,
    replicates: Option<RegressionReplicates>,
}

impl Default for RegressionMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl RegressionMetrics {
    /// Metrics. [`Self::intervals`] leaves out that of `r2`, which needs bootstrap replicates.
    pub fn new() -> Self {
        RegressionMetrics {
            absolute_errors: Moments::default(),
            squared_errors: Moments::default(),
            targets: Moments::default(),
            residuals: Residuals::new(),
            replicates: None,
        }
    }

    /// Metrics with all intervals. Adding is slower: every example is counted in 200 replicates.
    pub fn with_intervals() -> Self {
        RegressionMetrics { replicates: Some(RegressionReplicates::new(REPLICATES)), ..Self::new() }
    }

    /// Number of examples added since the start or the last reset.
    pub fn examples(&self) -> u64 {
        self.targets.count()
    }

    /// Bytes of memory that are held, whatever the number of examples.
    pub fn memory_bytes(&self) -> usize {
        let replicates = self.replicates.as_ref().map_or(0, RegressionReplicates::bytes);
        size_of::<Self>() + self.residuals.bytes() + replicates
    }

    /// Adds examples: `predictions` and `targets` are `[n]`, in original units.
    ///
    /// # Errors
    /// If a value is not finite or the lengths differ. Then nothing is added.
    pub fn add(&mut self, predictions: &[f32], targets: &[f32]) -> Result<(), MetricError> {
        self.add_with(predictions, targets, None)
    }

    /// The same, perhaps with the weight of each example, 0 or more, which all metrics and intervals go by; what has no weight
    /// is not counted at all.
    ///
    /// # Errors
    /// As [`Self::add`].
    ///
    /// # Panics
    /// If there are fewer weights than examples.
    pub fn add_with(
        &mut self,
        predictions: &[f32],
        targets: &[f32],
        weights: Option<&[f64]>,
    ) -> Result<(), MetricError> {
        if predictions.len() != targets.len() {
            let (given, targets) = (predictions.len(), targets.len());
            return Err(MetricError::WrongLength { what: "predictions", targets, expected: targets, given });
        }
        for (at, (&prediction, &target)) in predictions.iter().zip(targets).enumerate() {
            let row = self.examples() + at as u64 + 1;
            for (what, value) in [("prediction", prediction), ("target", target)] {
                if !value.is_finite() {
                    return Err(MetricError::NotFinite { what, row, value });
                }
            }
        }
        for (at, (&prediction, &target)) in predictions.iter().zip(targets).enumerate() {
            let weight = weights.map_or(1.0, |weights| weights[at]);
            if weight <= 0.0 {
                continue;
            }
            let residual = f64::from(target) - f64::from(prediction);
            if let Some(replicates) = &mut self.replicates {
                replicates.add(self.targets.count(), residual * residual, f64::from(target), weight);
            }
            self.absolute_errors.add_weighted(residual.abs(), weight);
            self.squared_errors.add_weighted(residual * residual, weight);
            self.targets.add_weighted(f64::from(target), weight);
            self.residuals.add(residual, weight);
        }
        Ok(())
    }

    /// The metrics of the examples so far; empty without examples.
    pub fn scores(&self) -> Scores {
        let mut scores = Scores::default();
        scores.insert_defined("mae", self.absolute_errors.mean());
        scores.insert_defined("rmse", self.squared_errors.mean().map(f64::sqrt));
        scores.insert_defined("r2", self.r2());
        scores
    }

    fn r2(&self) -> Option<f64> {
        let spread = self.targets.sum_of_squares();
        let error = self.squared_errors.mean()? * self.targets.weight();
        (spread > 0.0).then(|| 1.0 - error / spread)
    }

    /// 95 % intervals of the metrics, from two examples on. For examples drawn independently:
    ///
    /// - `mae`: normal theory;
    /// - `rmse`: normal theory for the logarithm of the mean squared error;
    /// - `r2`: percentiles of Poisson bootstrap replicates (only if made by [`Self::with_intervals`]).
    pub fn intervals(&self) -> Intervals {
        let mut intervals = Intervals::default();
        if let (Some(mean), Some(error)) = (self.absolute_errors.mean(), self.absolute_errors.standard_error()) {
            intervals.insert("mae", [(mean - Z * error).max(0.0), mean + Z * error]);
        }
        if let (Some(mean), Some(error)) = (self.squared_errors.mean(), self.squared_errors.standard_error()) {
            intervals.insert("rmse", interval::positive_mean(mean, error).map(f64::sqrt));
        }
        if self.r2().is_some() {
            intervals.insert_defined("r2", self.replicates.as_ref().and_then(RegressionReplicates::r2));
        }
        intervals
    }

    /// How the residuals are distributed; `None` without examples.
    pub fn residuals(&self) -> Option<ResidualSummary> {
        self.residuals.summary()
    }

    /// Forgets all examples and keeps the memory.
    pub fn reset(&mut self) {
        self.absolute_errors = Moments::default();
        self.squared_errors = Moments::default();
        self.targets = Moments::default();
        self.residuals.reset();
        if let Some(replicates) = &mut self.replicates {
            replicates.reset();
        }
    }
}
