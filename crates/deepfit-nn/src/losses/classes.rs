//! Losses of scores against one class, or a distribution over classes, for each row.

use deepfit_graph::ops::IGNORE;
use deepfit_graph::{DType, Dim, Result as GraphResult, Tensor};

use super::{Reduction, check_class_weights, in_loss, one_minus, same_shape, sum_last};
use crate::error::{Result, require};

/// Settings of [`cross_entropy`]; by default without smoothing and weights, as in PyTorch.
#[derive(Debug, Clone)]
pub struct CrossEntropy {
    /// Share of the probability that is spread over all classes, 0 to 1 (label smoothing; Szegedy et al., 2016).
    pub smoothing: f32,
    /// Weight of each class, f32 `[classes]`.
    pub weights: Option<Tensor>,
    /// The class number whose rows do not count: -100, as in PyTorch, unless set.
    pub ignore_index: i32,
    /// How the rows are combined. The mean divides by the number of rows that count, with class weights by the sum of
    /// their weights, as PyTorch does.
    pub reduction: Reduction,
}

impl Default for CrossEntropy {
    fn default() -> Self {
        CrossEntropy { smoothing: 0.0, weights: None, ignore_index: IGNORE, reduction: Reduction::Mean }
    }
}

impl CrossEntropy {
    /// Loss and weight of each row.
    fn rows(&self, logits: &Tensor, targets: &Tensor) -> GraphResult<(Tensor, Tensor)> {
        logits.weighted_cross_entropy(targets, self.weights.as_ref(), self.smoothing, self.ignore_index)
    }
}

/// Scores `[..., classes]` and class numbers `[...]` as rows.
pub(super) fn as_rows(loss: &str, scores: &Tensor, targets: &Tensor) -> GraphResult<(Tensor, Tensor)> {
    let fits = matches!(scores.shape().dims().split_last(), Some((_, lead)) if lead == targets.shape().dims());
    if !fits || targets.dtype() != DType::I32 {
        let problem = format!(
            "needs scores [..., classes] and class numbers i32 [...], not {} and {}",
            scores.ty(),
            targets.ty()
        );
        return Err(scores.error(loss, problem));
    }
    let rows = targets.shape().elements();
    let classes = scores.shape().dims()[targets.shape().rank()];
    Ok((scores.reshape(vec![rows, classes])?, targets.reshape(vec![rows])?))
}

/// Cross-entropy of logits `[..., classes]` and class numbers i32 `[...]`, as PyTorch's `CrossEntropyLoss`, whose classes
/// are the second axis: here they are the last, as in `[batch, sequence, classes]`.
///
/// # Errors
/// If the shapes do not fit or the smoothing is not between 0 and 1. A class number out of range stops the run with an
/// error.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor, settings: &CrossEntropy) -> Result<Tensor> {
    in_loss(logits, || {
        let (logits, numbers) = as_rows("cross_entropy", logits, targets)?;
        let (losses, weights) = settings.rows(&logits, &numbers)?;
        settings.reduction.weighted(&losses.reshape(targets.shape().clone())?, || Ok(weights))
    })
}

/// Cross-entropy of logits and target probabilities, both f32 `[..., classes]`: PyTorch's `CrossEntropyLoss` with
/// probabilities. The mean divides by the number of rows, whatever the weights; nothing is ignored.
///
/// # Errors
/// If the shapes differ or the smoothing is not between 0 and 1.
pub fn soft_cross_entropy(logits: &Tensor, targets: &Tensor, settings: &CrossEntropy) -> Result<Tensor> {
    let smoothing = settings.smoothing;
    require((0.0..=1.0).contains(&smoothing), "soft_cross_entropy", "smoothing", || {
        format!("is {smoothing}, but must be between 0 and 1")
    })?;
    in_loss(logits, || {
        same_shape("soft_cross_entropy", logits, targets)?;
        check_class_weights("soft_cross_entropy", logits, settings.weights.as_ref())?;
        let mut wanted = targets.clone();
        if smoothing > 0.0 {
            let each = wanted.length_of(last_axis(logits)?)?.recip()?.mul_scalar(smoothing)?;
            wanted = wanted.mul_scalar(1.0 - smoothing)?.add(&each)?;
        }
        if let Some(weights) = &settings.weights {
            wanted = wanted.mul(weights)?;
        }
        settings.reduction.of(&sum_last(&wanted.mul(&logits.log_softmax()?)?)?.neg()?)
    })
}

fn last_axis(x: &Tensor) -> GraphResult<Dim> {
    x.shape().dims().last().copied().ok_or_else(|| x.error("loss", "a scalar has no classes".to_string()))
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
    let mix = |a: &Tensor, b: &Tensor| share.mul(a)?.add(&one_minus(share)?.mul(b)?);
    in_loss(logits, || {
        same_shape("mixed_cross_entropy", share, first)?;
        let ((a, a_weights), (b, b_weights)) = (settings.rows(logits, first)?, settings.rows(logits, second)?);
        settings.reduction.weighted(&mix(&a, &b)?, || mix(&a_weights, &b_weights))
    })
}

/// Settings of [`nll`]; by default without weights, as in PyTorch.
#[derive(Debug, Clone)]
pub struct Nll {
    /// Weight of each class, f32 `[classes]`.
    pub weights: Option<Tensor>,
    /// The class number whose rows do not count: -100, as in PyTorch, unless set.
    pub ignore_index: i32,
    /// How the rows are combined; the mean as that of [`CrossEntropy`].
    pub reduction: Reduction,
}

impl Default for Nll {
    fn default() -> Self {
        Nll { weights: None, ignore_index: IGNORE, reduction: Reduction::Mean }
    }
}

/// Negative log-likelihood of class numbers i32 `[...]` under log-probabilities `[..., classes]`, as PyTorch's `NLLLoss`.
///
/// # Errors
/// If the shapes do not fit. A class number out of range stops the run with an error.
pub fn nll(log_probabilities: &Tensor, targets: &Tensor, settings: &Nll) -> Result<Tensor> {
    in_loss(log_probabilities, || {
        let (rows, numbers) = as_rows("nll", log_probabilities, targets)?;
        check_class_weights("nll", log_probabilities, settings.weights.as_ref())?;
        let Some(classes) = rows.shape().fixed(1) else {
            return Err(rows.error("nll", format!("the classes of {} must be a fixed axis", rows.shape())).into());
        };
        let chosen = numbers.one_hot_ignoring(classes, settings.ignore_index)?;
        let weights = match &settings.weights {
            Some(weights) => chosen.mul(weights)?,
            None => chosen,
        };
        // Selected, not multiplied: minus infinity at other classes must not count.
        let losses = weights.select(&rows.mul(&weights)?, &rows.tracer().scalar(0.0))?;
        let losses = sum_last(&losses)?.neg()?.reshape(targets.shape().clone())?;
        settings.reduction.weighted(&losses, || sum_last(&weights))
    })
}

/// Settings of [`focal`].
#[derive(Debug, Clone)]
pub struct Focal {
    /// How strongly rows that are right already are held back, at least 0; 0 makes it a cross-entropy. 2 by default.
    pub gamma: f32,
    /// Weight of each class, f32 `[classes]`.
    pub weights: Option<Tensor>,
    /// The class number whose rows do not count; -100 by default.
    pub ignore_index: i32,
    /// How the rows are combined; the mean divides by the number of rows that count.
    pub reduction: Reduction,
}

impl Default for Focal {
    fn default() -> Self {
        Focal { gamma: 2.0, weights: None, ignore_index: IGNORE, reduction: Reduction::Mean }
    }
}

/// Focal loss of many classes (Lin et al., 2017): `-w (1 - p)^gamma ln p` with the softmax probability `p` of the true
/// class. Logits `[..., classes]`, class numbers i32 `[...]`.
///
/// # Errors
/// If the shapes do not fit or `gamma` is negative.
pub fn focal(logits: &Tensor, targets: &Tensor, settings: &Focal) -> Result<Tensor> {
    let gamma = settings.gamma;
    require(gamma >= 0.0, "focal", "gamma", || format!("is {gamma}, but must not be negative"))?;
    in_loss(logits, || {
        let (logits, numbers) = as_rows("focal", logits, targets)?;
        let (surprise, counted) = logits.weighted_cross_entropy(&numbers, None, 0.0, settings.ignore_index)?;
        let mut losses = focused(&surprise, &surprise.neg()?.exp()?, gamma)?;
        if let Some(weights) = &settings.weights {
            let (_, own) = logits.weighted_cross_entropy(&numbers, Some(weights), 0.0, settings.ignore_index)?;
            losses = losses.mul(&own)?;
        }
        settings.reduction.weighted(&losses.reshape(targets.shape().clone())?, || Ok(counted))
    })
}

/// `(1 - p)^gamma * losses`, without a slope that is infinite where `p` is 1.
pub(super) fn focused(losses: &Tensor, p: &Tensor, gamma: f32) -> GraphResult<Tensor> {
    if gamma == 0.0 {
        return Ok(losses.clone());
    }
    let missing = one_minus(p)?;
    // Below 1, the power's slope at 0 is infinite.
    let missing = if gamma < 1.0 { missing.clamp(1e-12, 1.0)? } else { missing };
    missing.powf(gamma)?.mul(losses)
}

/// Kullback-Leibler divergence of log-probabilities from target probabilities, element by element
/// `target * (ln target - prediction)`, as PyTorch's `KLDivLoss`; with `log_target` the target, too, is a logarithm. Both
/// arrays have one shape.
///
/// [`Reduction::BatchMean`] gives the mean divergence of whole distributions.
///
/// # Errors
/// If the shapes differ.
pub fn kl_divergence(prediction: &Tensor, target: &Tensor, log_target: bool, reduction: Reduction) -> Result<Tensor> {
    in_loss(prediction, || {
        same_shape("kl_divergence", prediction, target)?;
        let losses = if log_target {
            target.exp()?.mul(&target.sub(prediction)?)?
        } else {
            // A probability of 0 contributes 0: the limit of p ln p.
            let positive = target.greater(&target.tracer().scalar(0.0))?;
            let log = target.clamp(f32::MIN_POSITIVE, f32::INFINITY)?.log()?;
            positive.mul(&target.mul(&log.sub(prediction)?)?)?
        };
        reduction.of(&losses)
    })
}
