//! Losses of scores against labels that are true or not, each by itself.

use deepfit_graph::{Result as GraphResult, Tensor};

use super::classes::focused;
use super::{Reduction, in_loss, one_minus, same_shape};
use crate::error::{Result, require};

/// Settings of [`bce`]; by default there are no weights.
#[derive(Debug, Clone, Default)]
pub struct Bce {
    /// Weight of each element; broadcasts.
    pub weights: Option<Tensor>,
    /// How the elements are combined.
    pub reduction: Reduction,
}

/// Binary cross-entropy of probabilities and targets between 0 and 1, as PyTorch's `BCELoss`: logarithms are at least
/// -100, and the slope is `(p - t) / max(p (1 - p), 1e-12)`, finite also where a logarithm is limited. Logits are
/// better given to [`bce_with_logits`]. Both arrays have one shape. What is no probability, below 0 or above 1, has the loss
/// NaN, which stops a step.
///
/// # Errors
/// If the shapes differ.
pub fn bce(probabilities: &Tensor, targets: &Tensor, settings: &Bce) -> Result<Tensor> {
    in_loss(probabilities, || {
        same_shape("bce", probabilities, targets)?;
        // Just below e^-100, so that neither the logarithm nor its slope becomes infinite before it is limited.
        const LEAST: f32 = 3.6e-44;
        const STEEPEST: f32 = 1e-12;
        let tracer = probabilities.tracer();
        let fixed = probabilities.stop_gradient()?;
        let spread = fixed.mul(&one_minus(&fixed)?)?;
        // The logarithms have the right slope where it is not limited; elsewhere it is put beside them.
        let inside = spread.greater(&tracer.scalar(STEEPEST))?;
        let p = inside.select(probabilities, &fixed)?;
        let log = |p: &Tensor| p.clamp(LEAST, f32::INFINITY)?.log()?.clamp(-100.0, f32::INFINITY);
        let (yes, no) = (log(&p)?, log(&one_minus(&p)?)?);
        // Zero, but NaN beside what is no probability, which the limits would hide.
        let domain = spread.sqrt()?.mul_scalar(0.0)?;
        let losses = targets.mul(&yes)?.add(&one_minus(targets)?.mul(&no)?)?.neg()?.add(&domain)?;
        let slope = fixed.sub(&targets.stop_gradient()?)?.mul_scalar(1.0 / STEEPEST)?;
        let moved = probabilities.sub(&fixed)?.mul(&inside.select(&tracer.scalar(0.0), &slope)?)?;
        settings.reduction.of(&weighted(losses.add(&moved)?, settings.weights.as_ref())?)
    })
}

fn weighted(losses: Tensor, weights: Option<&Tensor>) -> GraphResult<Tensor> {
    match weights {
        Some(weights) => losses.mul(weights),
        None => Ok(losses),
    }
}

/// Settings of [`bce_with_logits`]; by default there are no weights.
#[derive(Debug, Clone, Default)]
pub struct BceWithLogits {
    /// Weight of each element; broadcasts.
    pub weights: Option<Tensor>,
    /// How much more an element counts where its target is 1; broadcasts.
    pub pos_weight: Option<Tensor>,
    /// How the elements are combined.
    pub reduction: Reduction,
}

/// Binary cross-entropy of logits and targets between 0 and 1, of one shape, as PyTorch's `BCEWithLogitsLoss`; right for
/// logits of any size.
///
/// # Errors
/// If the shapes differ or a weight does not broadcast.
pub fn bce_with_logits(logits: &Tensor, targets: &Tensor, settings: &BceWithLogits) -> Result<Tensor> {
    in_loss(logits, || {
        same_shape("bce_with_logits", logits, targets)?;
        let losses = logistic(logits, targets, settings.pos_weight.as_ref())?;
        settings.reduction.of(&weighted(losses, settings.weights.as_ref())?)
    })
}

/// `(1 - t) x + (1 + (w - 1) t) ln(1 + exp(-x))`
fn logistic(logits: &Tensor, targets: &Tensor, pos_weight: Option<&Tensor>) -> GraphResult<Tensor> {
    let mut surprise = logits.neg()?.softplus()?;
    if let Some(weight) = pos_weight {
        surprise = surprise.mul(&targets.mul(&weight.add_scalar(-1.0)?)?.add_scalar(1.0)?)?;
    }
    one_minus(targets)?.mul(logits)?.add(&surprise)
}

/// Settings of [`sigmoid_focal`]; the defaults are torchvision's, but for the mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SigmoidFocal {
    /// Weight of targets that are 1, 0 to 1, those that are 0 having the rest; none if negative. 0.25 by default.
    pub alpha: f32,
    /// How strongly elements that are right already are held back, at least 0; 2 by default.
    pub gamma: f32,
    /// How the elements are combined.
    pub reduction: Reduction,
}

impl Default for SigmoidFocal {
    fn default() -> Self {
        SigmoidFocal { alpha: 0.25, gamma: 2.0, reduction: Reduction::Mean }
    }
}

/// Focal loss of single labels (Lin et al., 2017), as torchvision's `sigmoid_focal_loss`. Both arrays have one shape.
///
/// # Errors
/// If the shapes differ or `gamma` is negative.
pub fn sigmoid_focal(logits: &Tensor, targets: &Tensor, settings: &SigmoidFocal) -> Result<Tensor> {
    let SigmoidFocal { alpha, gamma, reduction } = *settings;
    require(gamma >= 0.0, "sigmoid_focal", "gamma", || format!("is {gamma}, but must not be negative"))?;
    in_loss(logits, || {
        same_shape("sigmoid_focal", logits, targets)?;
        // How each of both values is weighed.
        let by_target = |yes: &Tensor, no: &Tensor| yes.mul(targets)?.add(&no.mul(&one_minus(targets)?)?);
        let p = logits.sigmoid()?;
        let right = by_target(&p, &logits.neg()?.sigmoid()?)?;
        let mut losses = focused(&logistic(logits, targets, None)?, &right, gamma)?;
        if alpha >= 0.0 {
            let scalar = |value| logits.tracer().scalar(value);
            losses = losses.mul(&by_target(&scalar(alpha), &scalar(1.0 - alpha))?)?;
        }
        reduction.of(&losses)
    })
}

/// Logistic loss `ln(1 + exp(-target * score))` of scores and targets that are 1 or -1, of one shape, as PyTorch's
/// `SoftMarginLoss`.
///
/// # Errors
/// If the shapes differ.
pub fn soft_margin(scores: &Tensor, targets: &Tensor, reduction: Reduction) -> Result<Tensor> {
    in_loss(scores, || {
        same_shape("soft_margin", scores, targets)?;
        reduction.of(&scores.mul(targets)?.neg()?.softplus()?)
    })
}

/// The mean over all labels of their binary cross-entropies, as PyTorch's `MultiLabelSoftMarginLoss`: logits and targets,
/// 0 or 1, `[..., labels]`; weights of the labels broadcast.
///
/// # Errors
/// If the shapes differ or are those of a scalar.
pub fn multi_label_soft_margin(
    logits: &Tensor,
    targets: &Tensor,
    weights: Option<&Tensor>,
    reduction: Reduction,
) -> Result<Tensor> {
    in_loss(logits, || {
        same_shape("multi_label_soft_margin", logits, targets)?;
        let losses = weighted(logistic(logits, targets, None)?, weights)?;
        let Some(last) = losses.shape().rank().checked_sub(1) else {
            return Err(logits.error("multi_label_soft_margin", "a scalar has no labels".to_string()).into());
        };
        reduction.of(&losses.reduce(deepfit_graph::ops::ReduceKind::Mean, &[last], false)?)
    })
}
