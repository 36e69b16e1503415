//! Losses. Each gives a scalar, or the values that it would combine.

use deepfit_graph::ops::ReduceKind;
use deepfit_graph::{Result as GraphResult, Tensor};

use crate::error::{Result, require};

/// What costs and errors name as the layer of a loss.
const LAYER: &str = "loss";

/// How the losses of single elements or rows are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reduction {
    /// Their mean; for cross-entropy with class weights the weighted mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// Not at all.
    None,
}

impl Reduction {
    fn of(self, losses: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Reduction::Mean => losses.mean()?,
            Reduction::Sum => losses.sum()?,
            Reduction::None => losses.clone(),
        })
    }
}

/// Settings of [`cross_entropy`].
#[derive(Debug, Clone, Default)]
pub struct CrossEntropy {
    /// Share of the probability that is spread over all classes, 0 to 1 (label smoothing; Szegedy et al., 2016).
    pub smoothing: f32,
    /// Weight of each class, f32 `[classes]`.
    pub weights: Option<Tensor>,
    /// How the rows are combined. The mean with class weights divides by the sum of the rows' weights, as PyTorch does.
    pub reduction: Reduction,
}

impl CrossEntropy {
    fn rows(&self, logits: &Tensor, targets: &Tensor) -> GraphResult<Tensor> {
        logits.cross_entropy(targets, self.weights.as_ref(), self.smoothing)
    }

    /// Combines the rows' losses, where `row_weights` gives the weight of each.
    fn combine(&self, losses: &Tensor, row_weights: impl FnOnce(&Tensor) -> GraphResult<Tensor>) -> Result<Tensor> {
        match (&self.weights, self.reduction) {
            (Some(weights), Reduction::Mean) => Ok(losses.sum()?.div(&row_weights(weights)?.sum()?)?),
            _ => self.reduction.of(losses),
        }
    }
}

/// Cross-entropy of logits `[rows, classes]` and class numbers i32 `[rows]`, as PyTorch's `CrossEntropyLoss`.
///
/// # Errors
/// If the shapes do not fit or the smoothing is not between 0 and 1.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor, settings: &CrossEntropy) -> Result<Tensor> {
    logits.tracer().in_layer(LAYER, || {
        let losses = settings.rows(logits, targets)?;
        settings.combine(&losses, |weights| weights.lookup(targets))
    })
}

/// Cross-entropy of rows that are mixtures of two (mixup, Zhang et al., 2018; CutMix, Yun et al., 2019):
/// `share * ce(first) + (1 - share) * ce(second)` for each row.
///
/// Logits are `[rows, classes]`, both class numbers i32 `[rows]`, shares f32 `[rows]`, 0 to 1.
///
/// # Errors
/// If the shapes do not fit or the smoothing is not between 0 and 1.
pub fn mixed_cross_entropy(
    logits: &Tensor,
    first: &Tensor,
    second: &Tensor,
    share: &Tensor,
    settings: &CrossEntropy,
) -> Result<Tensor> {
    same_shape("mixed_cross_entropy", share, first)?;
    let mix = |a: &Tensor, b: &Tensor| share.mul(a)?.add(&share.neg()?.add_scalar(1.0)?.mul(b)?);
    logits.tracer().in_layer(LAYER, || {
        let losses = mix(&settings.rows(logits, first)?, &settings.rows(logits, second)?)?;
        settings.combine(&losses, |weights| mix(&weights.lookup(first)?, &weights.lookup(second)?))
    })
}

/// Squared difference, as PyTorch's `MSELoss`.
///
/// # Errors
/// If the shapes differ.
pub fn mse(prediction: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    same_shape("mse", prediction, target)?;
    prediction.tracer().in_layer(LAYER, || {
        let difference = prediction.sub(target)?;
        if reduction == Reduction::Sum {
            let axes: Vec<usize> = (0..difference.shape().rank()).collect();
            return Ok(difference.reduce(ReduceKind::SumSquares, &axes, false)?);
        }
        reduction.of(&difference.square()?)
    })
}

/// Absolute difference, as PyTorch's `L1Loss`.
///
/// # Errors
/// If the shapes differ.
pub fn l1(prediction: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    same_shape("l1", prediction, target)?;
    prediction.tracer().in_layer(LAYER, || reduction.of(&prediction.sub(target)?.abs()?))
}

/// Huber's loss (1964): half of the squared difference up to `delta`, beyond it `delta * (|difference| - delta / 2)`; as
/// PyTorch's `HuberLoss`.
///
/// # Errors
/// If the shapes differ or `delta` is not positive.
pub fn huber(prediction: &Tensor, target: &Tensor, delta: f32, reduction: Reduction) -> Result<Tensor> {
    same_shape("huber", prediction, target)?;
    require(delta > 0.0, "huber", "delta", || format!("is {delta}, but must be positive"))?;
    prediction.tracer().in_layer(LAYER, || {
        let size = prediction.sub(target)?.abs()?;
        // With c = min(|d|, delta), c * (|d| - c / 2) is both branches in one, and squares nothing large.
        let inner = size.clamp(0.0, delta)?;
        reduction.of(&inner.mul(&size.sub(&inner.mul_scalar(0.5)?)?)?)
    })
}

/// [`huber`] divided by its threshold, here called `beta`: slope 1 far out; as PyTorch's `SmoothL1Loss`.
///
/// # Errors
/// If the shapes differ or `beta` is negative.
pub fn smooth_l1(prediction: &Tensor, target: &Tensor, beta: f32, reduction: Reduction) -> Result<Tensor> {
    if beta == 0.0 {
        return l1(prediction, target, reduction);
    }
    require(beta > 0.0, "smooth_l1", "beta", || format!("is {beta}, but must not be negative"))?;
    let losses = huber(prediction, target, beta, Reduction::None)?;
    prediction.tracer().in_layer(LAYER, || reduction.of(&losses.mul_scalar(1.0 / beta)?))
}

/// Broadcasting a target over predictions is nearly always a mistake, so it is one here.
fn same_shape(loss: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.shape() == b.shape() {
        return Ok(());
    }
    let problem = format!("{} and {} must be equal; reshape one of them", a.shape(), b.shape());
    Err(a.error(loss, problem).into())
}
