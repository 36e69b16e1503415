//! Losses of the embeddings of pairs of texts, or of whatever else belongs together.

use deepfit_graph::ops::ReduceKind;
use deepfit_graph::{Dim, Tensor};

use super::in_loss;
use crate::error::{Result, require};

/// A logit of what is no negative.
const NOWHERE: f32 = -1e9;

/// In-batch negatives in both directions: each of `first` `[batch, width]` shall be nearer to its partner in `second` than to
/// the partners of all others, and the other way round (multiple negatives ranking, Henderson et al., 2017; InfoNCE, van den
/// Oord et al., 2018). The mean of both cross-entropies of dot products times `scale`; rows should be 1 long. `texts`, f32
/// `[batch, 2]`, numbers what both rows of a pair stand for: what is the same as one of the pair is no negative of it.
///
/// # Errors
/// If the shapes do not fit or the scale is not positive.
pub fn in_batch_negatives(first: &Tensor, second: &Tensor, texts: &Tensor, scale: f32) -> Result<Tensor> {
    require(scale > 0.0, "in_batch_negatives", "scale", || format!("is {scale}, but must be positive"))?;
    in_loss(first, || {
        super::same_shape("in_batch_negatives", first, second)?;
        let tracer = first.tracer();
        let batch = first.shape().dims()[0];
        let one = Dim::fixed(1);
        let own = tracer.arange(batch)?;
        let places = own.to_f32()?;
        let is_other = {
            let same = places.reshape(vec![batch, one])?.equal(&places.reshape(vec![one, batch])?)?;
            super::one_minus(&same)?
        };
        // 1 where a pair shares one of its texts with another pair.
        let shared = |side: usize| -> Result<Tensor> {
            let numbers = texts.slice(1, side, 1)?;
            Ok(numbers.equal(&numbers.reshape(vec![one, batch])?)?)
        };
        let hidden = shared(0)?.maximum(&shared(1)?)?.mul(&is_other)?;
        let logits = first.matmul_with(second, false, true)?.mul_scalar(scale)?;
        let logits = hidden.select(&tracer.scalar(NOWHERE), &logits)?;
        let forth = logits.cross_entropy(&own, None, 0.0)?.mean()?;
        let back = logits.permute(&[1, 0])?.cross_entropy(&own, None, 0.0)?.mean()?;
        Ok(forth.add(&back)?.mul_scalar(0.5)?)
    })
}

/// The order of similarities: of two pairs, that of the larger score shall have the larger cosine (CoSENT, Huang et al.,
/// 2024). `ln(1 + sum exp(scale (cosine_j - cosine_i)))` over all in which the score of i is larger than that of j. Both
/// `[batch]`.
///
/// # Errors
/// If the shapes do not fit or the scale is not between 0 and 40, above which exponentials overflow.
pub fn similarity_ranking(cosines: &Tensor, scores: &Tensor, scale: f32) -> Result<Tensor> {
    let fits = scale > 0.0 && scale <= 40.0;
    require(fits, "similarity_ranking", "scale", || format!("is {scale}, but must be above 0 and at most 40"))?;
    in_loss(cosines, || {
        super::same_shape("similarity_ranking", cosines, scores)?;
        let &[batch] = cosines.shape().dims() else {
            return Err(cosines.error("similarity_ranking", format!("needs [batch], not {}", cosines.shape())).into());
        };
        let row = |x: &Tensor| x.reshape(vec![Dim::fixed(1), batch]);
        let column = |x: &Tensor| x.reshape(vec![batch, Dim::fixed(1)]);
        let wrong = row(cosines)?.sub(&column(cosines)?)?.mul_scalar(scale)?.exp()?;
        let counts = column(scores)?.greater(&row(scores)?)?;
        let all = counts.select(&wrong, &cosines.tracer().scalar(0.0))?.reduce(ReduceKind::Sum, &[0, 1], false)?;
        Ok(all.add_scalar(1.0)?.log()?)
    })
}
