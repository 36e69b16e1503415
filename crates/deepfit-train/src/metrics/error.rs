//! Values that no metric can be computed from.

use thiserror::Error;

/// Why a batch was refused. Nothing of a refused batch is counted.
///
/// Rows are counted from 1, in the order in which they were given since the metrics were made or reset.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum MetricError {
    /// A value is NaN or infinite.
    #[error(
        "metrics: the {what} of row {row} is {value}; training may have diverged (try a smaller learning rate), or \
         the input has extreme values"
    )]
    NotFinite {
        /// `probability`, `prediction` or `target`.
        what: &'static str,
        /// The row.
        row: u64,
        /// The value.
        value: f32,
    },
    /// A probability is below 0 or above 1.
    #[error("metrics: row {row} gives class {class} the probability {value}; give softmax outputs, not logits")]
    NotAProbability {
        /// The row.
        row: u64,
        /// The class, counted from 0.
        class: usize,
        /// The value.
        value: f32,
    },
    /// The probabilities of a row do not sum to 1.
    #[error("metrics: the probabilities of row {row} sum to {sum} instead of 1; give softmax outputs, not logits")]
    NotNormalised {
        /// The row.
        row: u64,
        /// Their sum.
        sum: f64,
    },
    /// A target is not the index of a class.
    #[error("metrics: the target of row {row} is {target}, but there are {classes} classes, counted from 0")]
    TargetOutOfRange {
        /// The row.
        row: u64,
        /// The target.
        target: i32,
        /// Number of classes.
        classes: usize,
    },
    /// The numbers of values do not fit together.
    #[error("metrics: {targets} targets need {expected} {what}, but {given} were given")]
    WrongLength {
        /// `probabilities` or `predictions`.
        what: &'static str,
        /// Number of targets.
        targets: usize,
        /// Number of values that belong to so many targets.
        expected: usize,
        /// Number of values given.
        given: usize,
    },
}
