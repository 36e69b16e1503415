//! The hinge loss of many classes.

use deepfit_graph::{Dim, Tensor};

use super::classes::as_rows;
use super::{Reduction, check_class_weights, in_loss, sum_last};
use crate::error::{Result, require};

/// Settings of [`multi_margin`]; the defaults are PyTorch's.
#[derive(Debug, Clone)]
pub struct MultiMargin {
    /// Exponent, 1 or 2; 1 by default.
    pub p: u32,
    /// By how much the score of the true class must be the largest; 1 by default.
    pub margin: f32,
    /// Weight of each class, f32 `[classes]`; none by default.
    pub weights: Option<Tensor>,
    /// How the rows are combined.
    pub reduction: Reduction,
}

impl Default for MultiMargin {
    fn default() -> Self {
        MultiMargin { p: 1, margin: 1.0, weights: None, reduction: Reduction::Mean }
    }
}

/// Hinge loss of many classes: the mean over all classes of `max(0, margin - score of the true one + score)^p`, without
/// the true one's own; as PyTorch's `MultiMarginLoss`. Scores `[rows, classes]`, class numbers i32 `[rows]`.
///
/// # Errors
/// If the shapes do not fit or `p` is neither 1 nor 2. A class number out of range stops the run with an error.
pub fn multi_margin(scores: &Tensor, targets: &Tensor, settings: &MultiMargin) -> Result<Tensor> {
    let MultiMargin { p, margin, weights, reduction } = settings;
    require(matches!(p, 1 | 2), "multi_margin", "p", || format!("is {p}, but must be 1 or 2"))?;
    in_loss(scores, || {
        let (rows, numbers) = as_rows("multi_margin", scores, targets)?;
        check_class_weights("multi_margin", scores, weights.as_ref())?;
        let Some(classes) = rows.shape().fixed(1).filter(|_| scores.shape().rank() == 2) else {
            let problem = format!("needs scores [rows, classes] of a fixed number of classes, not {}", scores.shape());
            return Err(scores.error("multi_margin", problem).into());
        };
        let chosen = numbers.one_hot(classes)?;
        let column = vec![rows.shape().dims()[0], Dim::fixed(1)];
        let own = sum_last(&chosen.select(&rows, &rows.tracer().scalar(0.0))?)?.reshape(column.clone())?;
        let mut short = rows.sub(&own)?.add_scalar(*margin)?.relu()?;
        if *p == 2 {
            short = short.square()?;
        }
        if let Some(weights) = weights {
            short = short.mul(&sum_last(&chosen.mul(weights)?)?.reshape(column)?)?;
        }
        let losses = sum_last(&chosen.select(&rows.tracer().scalar(0.0), &short)?)?.mul_scalar(1.0 / classes as f32)?;
        reduction.of(&losses)
    })
}
