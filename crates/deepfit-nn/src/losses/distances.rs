//! Losses of pairs and triplets: what belongs together shall be near, and what does not far.

use deepfit_graph::ops::ReduceKind;
use deepfit_graph::{Dim, Result as GraphResult, Tensor};

use super::{Reduction, in_loss, same_shape, straight_through, sum_last};
use crate::error::{Result, require};

/// Cosine of the angle between rows along the last axis, as PyTorch's `cosine_similarity`: `[..., width]` becomes
/// `[...]`. Norms are at least `eps`, 1e-8 by default in PyTorch. The slope is finite also where a row is zero.
///
/// # Errors
/// If the shapes differ or are those of a scalar.
pub fn cosine_similarity(a: &Tensor, b: &Tensor, eps: f32) -> Result<Tensor> {
    same_shape("cosine_similarity", a, b)?;
    let Some(last) = a.shape().rank().checked_sub(1) else {
        return Err(a.error("cosine_similarity", "a scalar has no rows".to_string()).into());
    };
    let direction = |x: &Tensor| -> GraphResult<Tensor> {
        let norm = norm(&x.reduce(ReduceKind::SumSquares, &[last], true)?)?;
        x.div(&straight_through(&norm.clamp(eps, f32::INFINITY)?, &norm)?)
    };
    Ok(sum_last(&direction(a)?.mul(&direction(b)?)?)?)
}

/// The root of sums of squares. At 0 its slope is 0.
fn norm(squares: &Tensor) -> GraphResult<Tensor> {
    let tracer = squares.tracer();
    let positive = squares.greater(&tracer.scalar(0.0))?;
    // The root is also taken where it is not selected, and its slope must be finite there.
    let root = positive.select(squares, &tracer.scalar(1.0))?.sqrt()?;
    positive.select(&root, &tracer.scalar(0.0))
}

/// Sum of squares along the last axis.
fn squares(x: &Tensor) -> GraphResult<Tensor> {
    let last = x.shape().rank().saturating_sub(1);
    x.reduce(ReduceKind::SumSquares, &[last], false)
}

/// Distance between rows along the last axis, as PyTorch's `pairwise_distance`: the `p`-norm of `a - b + eps`, where
/// `eps` keeps its slope finite; the largest difference for infinite `p`. `[..., width]` becomes `[...]`; PyTorch's
/// defaults are a `p` of 2 and an `eps` of 1e-6.
///
/// # Errors
/// If the shapes differ or are those of a scalar, or `p` is not positive.
pub fn pairwise_distance(a: &Tensor, b: &Tensor, p: f32, eps: f32) -> Result<Tensor> {
    same_shape("pairwise_distance", a, b)?;
    require(p > 0.0, "pairwise_distance", "p", || format!("is {p}, but must be positive"))?;
    let difference = a.sub(b)?.add_scalar(eps)?;
    if p == 2.0 {
        return Ok(squares(&difference)?.sqrt()?);
    }
    let size = difference.abs()?;
    if p == f32::INFINITY {
        return Ok(size.reduce(ReduceKind::Max, &[size.shape().rank().saturating_sub(1)], false)?);
    }
    Ok(if p == 1.0 { sum_last(&size)? } else { sum_last(&size.powf(p)?)?.powf(1.0 / p)? })
}

/// Loss of pairs of rows `[batch, width]` by the cosine of their angle, as PyTorch's `CosineEmbeddingLoss`: `1 - cos`
/// where the target `[batch]` is 1, `max(0, cos - margin)` where it is -1, and 0 where it is anything else. Its slope is
/// finite also where rows are zero. PyTorch's default is a margin of 0.
///
/// # Errors
/// If the shapes do not fit.
pub fn cosine_embedding(a: &Tensor, b: &Tensor, target: &Tensor, margin: f32, reduction: Reduction) -> Result<Tensor> {
    in_loss(a, || {
        same_shape("cosine_embedding", a, b)?;
        // PyTorch adds this to the squares here, so that the slope of the root is finite at a row of zeros.
        const EPS: f32 = 1e-12;
        let size = |x: &Tensor| squares(x)?.add_scalar(EPS)?.sqrt();
        let cosine = sum_last(&a.mul(b)?)?.div(&size(a)?)?.div(&size(b)?)?;
        same_shape("cosine_embedding", &cosine, target)?;
        let is = |value: f32| target.equal(&target.tracer().scalar(value));
        let apart = cosine.add_scalar(-margin)?.relu()?;
        let apart = is(-1.0)?.select(&apart, &target.tracer().scalar(0.0))?;
        reduction.of(&is(1.0)?.select(&super::one_minus(&cosine)?, &apart)?)
    })
}

/// Settings of [`triplet_margin`]; the defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TripletMargin {
    /// By how much the negative must be further away than the positive; 1 by default.
    pub margin: f32,
    /// Which norm measures distances, above 0; 2 by default.
    pub p: f32,
    /// Added to differences, so that distances of 0 have a finite slope; 1e-6 by default.
    pub eps: f32,
    /// Whether the negative's distance from the positive counts if it is smaller than that from the anchor (Balntas et
    /// al., 2016); by default it does not.
    pub swap: bool,
    /// How the triplets are combined.
    pub reduction: Reduction,
}

impl Default for TripletMargin {
    fn default() -> Self {
        TripletMargin { margin: 1.0, p: 2.0, eps: 1e-6, swap: false, reduction: Reduction::Mean }
    }
}

/// `max(0, d(anchor, positive) - d(anchor, negative) + margin)` of rows `[batch, width]`, as PyTorch's
/// `TripletMarginLoss`.
///
/// # Errors
/// If the shapes differ or `p` is not positive.
pub fn triplet_margin(
    anchor: &Tensor,
    positive: &Tensor,
    negative: &Tensor,
    settings: &TripletMargin,
) -> Result<Tensor> {
    let TripletMargin { margin, p, eps, swap, reduction } = *settings;
    in_loss(anchor, || {
        let near = pairwise_distance(anchor, positive, p, eps)?;
        let mut far = pairwise_distance(anchor, negative, p, eps)?;
        if swap {
            far = far.minimum(&pairwise_distance(positive, negative, p, eps)?)?;
        }
        reduction.of(&near.sub(&far)?.add_scalar(margin)?.relu()?)
    })
}

/// `max(0, margin - target * (a - b))`: `a` shall be larger where the target is 1, `b` where it is -1; as PyTorch's
/// `MarginRankingLoss`, whose default is a margin of 0. All three arrays have one shape.
///
/// # Errors
/// If the shapes differ.
pub fn margin_ranking(a: &Tensor, b: &Tensor, target: &Tensor, margin: f32, reduction: Reduction) -> Result<Tensor> {
    in_loss(a, || {
        same_shape("margin_ranking", a, b)?;
        same_shape("margin_ranking", a, target)?;
        reduction.of(&target.mul(&b.sub(a)?)?.add_scalar(margin)?.relu()?)
    })
}

/// `distance` where the target is 1, `max(0, margin - distance)` where it is -1; as PyTorch's `HingeEmbeddingLoss`, whose
/// default is a margin of 1. Both arrays have one shape.
///
/// # Errors
/// If the shapes differ.
pub fn hinge_embedding(distance: &Tensor, target: &Tensor, margin: f32, reduction: Reduction) -> Result<Tensor> {
    in_loss(distance, || {
        same_shape("hinge_embedding", distance, target)?;
        let near = super::one_minus(distance)?.add_scalar(margin - 1.0)?.relu()?;
        reduction.of(&target.equal(&target.tracer().scalar(1.0))?.select(distance, &near)?)
    })
}

/// Loss of pairs by their Euclidean distance `d` (Hadsell et al., 2006): `d²/2` where the pair is alike (label 0),
/// `max(0, margin - d)²/2` where it is not (label 1). Rows `[batch, width]`, labels f32 `[batch]`.
///
/// # Errors
/// If the shapes do not fit or the margin is not positive.
pub fn contrastive(a: &Tensor, b: &Tensor, unlike: &Tensor, margin: f32, reduction: Reduction) -> Result<Tensor> {
    require(margin > 0.0, "contrastive", "margin", || format!("is {margin}, but must be positive"))?;
    in_loss(a, || {
        same_shape("contrastive", a, b)?;
        // Rows that coincide have no direction to leave in; the small shift gives them one with a finite slope.
        let far = pairwise_distance(a, b, 2.0, 1e-6)?;
        same_shape("contrastive", &far, unlike)?;
        let short = super::one_minus(&far)?.add_scalar(margin - 1.0)?.relu()?.square()?;
        let alike = squares(&a.sub(b)?)?;
        reduction.of(&unlike.select(&short, &alike)?.mul_scalar(0.5)?)
    })
}

/// Rows `[batch, width]` scaled to length 1, as PyTorch's `normalize`.
fn normalised(loss: &str, x: &Tensor) -> GraphResult<Tensor> {
    let &[batch, _] = x.shape().dims() else {
        return Err(x.error(loss, format!("needs rows [batch, width], not {}", x.shape())));
    };
    // Limited before the root, whose slope at 0 is infinite.
    let size = squares(x)?.clamp(1e-24, f32::INFINITY)?.sqrt()?;
    x.div(&size.reshape(vec![batch, Dim::fixed(1)])?)
}

fn positive(loss: &str, temperature: f32) -> Result<()> {
    require(temperature > 0.0, loss, "temperature", || format!("is {temperature}, but must be positive"))
}

/// InfoNCE (van den Oord et al., 2018): each query shall be nearer to its own key than to the keys of all others, by the
/// cross-entropy of cosines divided by the temperature. Both `[batch, width]`, row by row belonging together.
///
/// # Errors
/// If the shapes do not fit or the temperature is not positive.
pub fn info_nce(queries: &Tensor, keys: &Tensor, temperature: f32, reduction: Reduction) -> Result<Tensor> {
    positive("info_nce", temperature)?;
    in_loss(queries, || {
        same_shape("info_nce", queries, keys)?;
        let (q, k) = (normalised("info_nce", queries)?, normalised("info_nce", keys)?);
        let logits = q.matmul(&k.permute(&[1, 0])?)?.mul_scalar(1.0 / temperature)?;
        let own = queries.tracer().arange(queries.shape().dims()[0])?;
        reduction.of(&logits.cross_entropy(&own, None, 0.0)?)
    })
}

/// NT-Xent, the loss of SimCLR (Chen et al., 2020): two views `[batch, width]` of each example shall be nearer to each
/// other than to both views of all others. With [`Reduction::None`] `[batch, 2]`.
///
/// # Errors
/// If the shapes do not fit or the temperature is not positive.
pub fn nt_xent(first: &Tensor, second: &Tensor, temperature: f32, reduction: Reduction) -> Result<Tensor> {
    positive("nt_xent", temperature)?;
    let tracer = first.tracer();
    in_loss(first, || {
        same_shape("nt_xent", first, second)?;
        let (a, b) = (normalised("nt_xent", first)?, normalised("nt_xent", second)?);
        let batch = first.shape().dims()[0];
        // Both views of an example one after the other; columns the other way round, so that the partner of each row
        // stands on the diagonal, and the row itself beside it.
        let both = batch * Dim::fixed(2);
        let pairs = |x: &Tensor, y: &Tensor| x.concat(&[y], 1)?.reshape(vec![both, first.shape().dims()[1]]);
        let cosines = pairs(&a, &b)?.matmul(&pairs(&b, &a)?.permute(&[1, 0])?)?.mul_scalar(1.0 / temperature)?;
        // A view is no candidate for itself.
        let numbers = tracer.arange(both)?.to_f32()?;
        let in_columns = numbers.reshape(vec![batch, Dim::fixed(2)])?.flip(1)?.reshape(vec![both])?;
        let itself = numbers.reshape(vec![both, Dim::fixed(1)])?.equal(&in_columns)?;
        let logits = cosines.masked_fill(&itself, f32::NEG_INFINITY)?;
        let losses = logits.cross_entropy(&tracer.arange(both)?, None, 0.0)?;
        reduction.of(&losses.reshape(vec![batch, Dim::fixed(2)])?)
    })
}
