//! Losses of numbers against numbers.

use deepfit_graph::Tensor;
use deepfit_graph::ops::ReduceKind;

use super::{Reduction, in_loss, same_shape, straight_through};
use crate::error::{Result, require};

/// Squared difference of two arrays of one shape, as PyTorch's `MSELoss`.
///
/// # Errors
/// If the shapes differ.
pub fn mse(prediction: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    in_loss(prediction, || {
        same_shape("mse", prediction, target)?;
        let difference = prediction.sub(target)?;
        if reduction == Reduction::Sum {
            let axes: Vec<usize> = (0..difference.shape().rank()).collect();
            return Ok(difference.reduce(ReduceKind::SumSquares, &axes, false)?);
        }
        reduction.of(&difference.square()?)
    })
}

/// Absolute difference of two arrays of one shape, as PyTorch's `L1Loss`.
///
/// # Errors
/// If the shapes differ.
pub fn l1(prediction: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    in_loss(prediction, || {
        same_shape("l1", prediction, target)?;
        reduction.of(&prediction.sub(target)?.abs()?)
    })
}

/// Huber's loss (1964): half of the squared difference up to `delta`, beyond it `delta * (|difference| - delta / 2)`; as
/// PyTorch's `HuberLoss`, whose default is a `delta` of 1. Both arrays have one shape.
///
/// # Errors
/// If the shapes differ or `delta` is not positive.
pub fn huber(prediction: &Tensor, target: &Tensor, delta: f32, reduction: Reduction) -> Result<Tensor> {
    require(delta > 0.0, "huber", "delta", || format!("is {delta}, but must be positive"))?;
    in_loss(prediction, || {
        same_shape("huber", prediction, target)?;
        let size = prediction.sub(target)?.abs()?;
        // With c = min(|d|, delta), c * (|d| - c / 2) is both branches in one, and squares nothing large.
        let inner = size.clamp(0.0, delta)?;
        reduction.of(&inner.mul(&size.sub(&inner.mul_scalar(0.5)?)?)?)
    })
}

/// [`huber`] divided by its threshold, here called `beta`: slope 1 far out; as PyTorch's `SmoothL1Loss`, whose default
/// is a `beta` of 1. Both arrays have one shape.
///
/// # Errors
/// If the shapes differ or `beta` is negative.
pub fn smooth_l1(prediction: &Tensor, target: &Tensor, beta: f32, reduction: Reduction) -> Result<Tensor> {
    if beta == 0.0 {
        return l1(prediction, target, reduction);
    }
    require(beta > 0.0, "smooth_l1", "beta", || format!("is {beta}, but must not be negative"))?;
    let losses = huber(prediction, target, beta, Reduction::None)?;
    in_loss(prediction, || reduction.of(&losses.mul_scalar(1.0 / beta)?))
}

/// Settings of [`poisson_nll`]; the defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoissonNll {
    /// Whether the prediction is the logarithm of the rate; it is by default.
    pub log_input: bool,
    /// Whether Stirling's approximation of the term that depends on the target alone is added, where the target is
    /// above 1; by default it is not.
    pub full: bool,
    /// Added to a rate before its logarithm is taken; 1e-8 by default.
    pub eps: f32,
    /// How the elements are combined.
    pub reduction: Reduction,
}

impl Default for PoissonNll {
    fn default() -> Self {
        PoissonNll { log_input: true, full: false, eps: 1e-8, reduction: Reduction::Mean }
    }
}

/// Negative log-likelihood of counts under Poisson distributions, as PyTorch's `PoissonNLLLoss`. Both arrays have one
/// shape.
///
/// # Errors
/// If the shapes differ.
pub fn poisson_nll(prediction: &Tensor, target: &Tensor, settings: &PoissonNll) -> Result<Tensor> {
    in_loss(prediction, || {
        same_shape("poisson_nll", prediction, target)?;
        let mut losses = if settings.log_input {
            prediction.exp()?.sub(&target.mul(prediction)?)?
        } else {
            prediction.sub(&target.mul(&prediction.add_scalar(settings.eps)?.log()?)?)?
        };
        if settings.full {
            let one = target.tracer().scalar(1.0);
            // The logarithms are also computed where they are not selected, and must be finite there.
            let count = target.maximum(&one)?;
            let half = count.mul_scalar(std::f32::consts::TAU)?.log()?.mul_scalar(0.5)?;
            let stirling = count.mul(&count.log()?)?.sub(&count)?.add(&half)?;
            losses = losses.add(&target.greater(&one)?.mul(&stirling)?)?;
        }
        settings.reduction.of(&losses)
    })
}

/// Settings of [`gaussian_nll`]; the defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GaussianNll {
    /// Whether the constant term is added; by default it is not.
    pub full: bool,
    /// Least variance, above 0; 1e-6 by default.
    pub eps: f32,
    /// How the elements are combined.
    pub reduction: Reduction,
}

impl Default for GaussianNll {
    fn default() -> Self {
        GaussianNll { full: false, eps: 1e-6, reduction: Reduction::Mean }
    }
}

/// Negative log-likelihood under normal distributions of predicted mean and variance, as PyTorch's `GaussianNLLLoss`.
///
/// The variance has the prediction's shape, or one that broadcasts to it. A variance below `eps` counts as `eps`, and has
/// the gradient that one of `eps` has.
///
/// # Errors
/// If the shapes do not fit or `eps` is not positive.
pub fn gaussian_nll(prediction: &Tensor, target: &Tensor, variance: &Tensor, settings: &GaussianNll) -> Result<Tensor> {
    let GaussianNll { full, eps, reduction } = *settings;
    require(eps > 0.0, "gaussian_nll", "eps", || format!("is {eps}, but must be positive"))?;
    in_loss(prediction, || {
        same_shape("gaussian_nll", prediction, target)?;
        if prediction.shape().broadcast(variance.shape()).as_ref() != Some(prediction.shape()) {
            let problem = format!("the variance {} does not broadcast to {}", variance.shape(), prediction.shape());
            return Err(prediction.error("gaussian_nll", problem).into());
        }
        let variance = straight_through(&variance.clamp(eps, f32::INFINITY)?, variance)?;
        let scaled = prediction.sub(target)?.square()?.div(&variance)?;
        let mut losses = variance.log()?.add(&scaled)?.mul_scalar(0.5)?;
        if full {
            losses = losses.add_scalar(0.5 * std::f32::consts::TAU.ln())?;
        }
        reduction.of(&losses)
    })
}
