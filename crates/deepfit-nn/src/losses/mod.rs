//! Losses. Each gives a scalar, or the values that it would combine; names, settings and results are PyTorch's.
//!
//! Errors, costs and watches name the layer `loss`; those of [`cosine_similarity`] and [`pairwise_distance`], which
//! networks use as well, the layer that calls them.

mod classes;
mod distances;
mod labels;
mod margins;
mod regression;
mod sequences;
mod similarity;

use deepfit_graph::{DType, Dim, LayerResult, Result as GraphResult, Tensor};

use crate::error::Result;

pub use classes::{
    CrossEntropy, Focal, Nll, cross_entropy, focal, kl_divergence, mixed_cross_entropy, nll, soft_cross_entropy,
};
pub use distances::{
    TripletMargin, contrastive, cosine_embedding, cosine_similarity, hinge_embedding, info_nce, margin_ranking,
    nt_xent, pairwise_distance, triplet_margin,
};
pub use labels::{
    Bce, BceWithLogits, SigmoidFocal, bce, bce_with_logits, multi_label_soft_margin, sigmoid_focal, soft_margin,
};
pub use margins::{MultiMargin, multi_margin};
pub use regression::{GaussianNll, PoissonNll, gaussian_nll, huber, l1, mse, poisson_nll, smooth_l1};
pub use sequences::{Ctc, ctc};
pub use similarity::{in_batch_negatives, similarity_ranking};

/// What costs and errors name as the layer of a loss.
const LAYER: &str = "loss";

/// Runs the body of a loss within its layer.
fn in_loss<T: LayerResult>(x: &Tensor, body: impl FnOnce() -> T) -> T {
    x.tracer().in_layer(LAYER, body)
}

/// How the losses of single elements or rows are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reduction {
    /// Their mean, by default; for cross-entropy with class weights the weighted mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// Their sum divided by the length of the first axis: what makes a [`kl_divergence`] of whole distributions.
    BatchMean,
    /// Not at all.
    None,
}

impl Reduction {
    fn of(self, losses: &Tensor) -> Result<Tensor> {
        Ok(match (self, losses.shape().dims().first()) {
            (Reduction::Mean, _) => losses.mean()?,
            (Reduction::BatchMean, Some(&batch)) => losses.sum()?.div(&losses.length_of(batch)?)?,
            (Reduction::Sum | Reduction::BatchMean, _) => losses.sum()?,
            (Reduction::None, _) => losses.clone(),
        })
    }

    /// Combines losses where `weights` gives the weight of each in a mean.
    fn weighted(self, losses: &Tensor, weights: impl FnOnce() -> GraphResult<Tensor>) -> Result<Tensor> {
        match self {
            Reduction::Mean => Ok(losses.sum()?.div(&weights()?.sum()?)?),
            _ => self.of(losses),
        }
    }
}

/// Sum along the last axis, which goes.
fn sum_last(x: &Tensor) -> GraphResult<Tensor> {
    let Some(last) = x.shape().rank().checked_sub(1) else {
        return Err(x.error("loss", "a scalar has no last axis".to_string()));
    };
    x.reduce(deepfit_graph::ops::ReduceKind::Sum, &[last], false)
}

/// `1 - x`
fn one_minus(x: &Tensor) -> GraphResult<Tensor> {
    x.neg()?.add_scalar(1.0)
}

/// `value`, with the gradient that `x` has: what is limited as by PyTorch's `clamp_` without gradient.
fn straight_through(value: &Tensor, x: &Tensor) -> GraphResult<Tensor> {
    // Not `x + (value - x)`, which rounds.
    value.stop_gradient()?.add(&x.sub(&x.stop_gradient()?)?)
}

/// Broadcasting a target over predictions is nearly always a mistake, so it is one here.
fn same_shape(loss: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.shape() == b.shape() {
        return Ok(());
    }
    let problem = format!("{} and {} must be equal; reshape one of them", a.shape(), b.shape());
    Err(a.error(loss, problem).into())
}

/// Weights of classes must be one for each: fewer would be repeated.
fn check_class_weights(loss: &str, scores: &Tensor, weights: Option<&Tensor>) -> Result<()> {
    let classes = scores.shape().dims().last().copied().unwrap_or(Dim::fixed(1));
    match weights {
        Some(weights) if weights.shape().dims() != [classes] || weights.dtype() != DType::F32 => {
            let problem =
                format!("needs a weight for each class of {}, f32 [{classes}], not {}", scores.shape(), weights.ty());
            Err(scores.error(loss, problem).into())
        }
        _ => Ok(()),
    }
}
