//! Losses. Each gives a scalar, or the values that it would combine; names, settings and results are PyTorch's.

mod classes;
mod distances;
mod labels;
mod regression;
mod sequences;

use deepfit_graph::{Result as GraphResult, Tensor};

use crate::error::Result;

pub use classes::{
    CrossEntropy, Focal, MultiMargin, Nll, cross_entropy, focal, kl_divergence, mixed_cross_entropy, multi_margin, nll,
    soft_cross_entropy,
};
pub use distances::{
    TripletMargin, contrastive, cosine_embedding, cosine_similarity, hinge_embedding, info_nce, margin_ranking,
    nt_xent, pairwise_distance, triplet_margin,
};
pub use labels::{
    Bce, BceWithLogits, SigmoidFocal, bce, bce_with_logits, multi_label_soft_margin, sigmoid_focal, soft_margin,
};
pub use regression::{GaussianNll, PoissonNll, gaussian_nll, huber, l1, mse, poisson_nll, smooth_l1};
pub use sequences::{Ctc, ctc};

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

/// Broadcasting a target over predictions is nearly always a mistake, so it is one here.
fn same_shape(loss: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.shape() == b.shape() {
        return Ok(());
    }
    let problem = format!("{} and {} must be equal; reshape one of them", a.shape(), b.shape());
    Err(a.error(loss, problem).into())
}
