//! How the hidden states of a text's tokens become one vector.

use deepfit_graph::Tensor;
use deepfit_graph::ops::ReduceKind;
use serde::{Deserialize, Serialize};

/// Path of the layer that makes one vector of a text's hidden states, and perhaps another of a second text's.
pub const POOLING: &str = "pooling";
/// Name of an intermediate of [`POOLING`] for each of its vectors: how much of it is read from each token, f32 `[batch, T]`, 1
/// in all. Where it is the largest of each element, it is read from the token in which that stands.
pub const READ: &str = "read";

/// How the hidden states of a text's tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// That of the first token.
    Cls,
    /// The mean over all tokens.
    #[default]
    Mean,
    /// The largest of each element.
    Max,
    /// That of the last token.
    Last,
}

/// Of hidden states `[batch, T, width]` one vector for each text of the given lengths: `[batch, width]`.
///
/// # Errors
/// If the shapes do not fit.
pub fn pooled(pooling: Pooling, hidden: &Tensor, lengths: &Tensor) -> deepfit_nn::Result<Tensor> {
    hidden.tracer().in_layer(POOLING, || Span::to(hidden, lengths)?.read(pooling, hidden))
}

/// The same for each of two texts that stand side by side, of which the second begins at a place i32 `[batch]`.
///
/// # Errors
/// If the shapes do not fit.
pub(super) fn pooled_each(
    pooling: Pooling,
    hidden: &Tensor,
    lengths: &Tensor,
    second: &Tensor,
) -> deepfit_nn::Result<(Tensor, Tensor)> {
    hidden.tracer().in_layer(POOLING, || {
        let [first, second] = Span::both(hidden, lengths, second)?;
        Ok((first.read(pooling, hidden)?, second.read(pooling, hidden)?))
    })
}

/// Of hidden states `[batch, T, width]` of two texts that were read together one vector for each, `[batch, width]`: the mean
/// over its tokens, or the largest. The second begins at a place i32 `[batch]`. Of a text without tokens all are 0.
///
/// # Errors
/// If the shapes do not fit.
pub fn pooled_pair(
    pooling: Pooling,
    hidden: &Tensor,
    lengths: &Tensor,
    second: &Tensor,
) -> deepfit_nn::Result<(Tensor, Tensor)> {
    hidden.tracer().in_layer(POOLING, || {
        let [first, second] = Span::both(hidden, lengths, second)?;
        let pooling = if pooling == Pooling::Max { Pooling::Max } else { Pooling::Mean };
        Ok((first.read(pooling, hidden)?, second.read(pooling, hidden)?))
    })
}

/// A part of each of several texts.
struct Span {
    /// The places of all tokens, `[T, 1]`.
    places: Tensor,
    /// Where it begins, `[batch, 1, 1]`; at the first token without.
    begin: Option<Tensor>,
    /// Behind its last token, `[batch, 1, 1]`.
    end: Tensor,
}

impl Span {
    /// From the first token to before a place i32 `[batch]`.
    fn to(hidden: &Tensor, end: &Tensor) -> deepfit_nn::Result<Span> {
        let &[batch, length, _] = hidden.shape().dims() else {
            return Err(hidden.error("pooling", format!("needs [batch, T, width], not {}", hidden.shape())).into());
        };
        let end = end.to_f32()?.reshape(vec![batch, 1.into(), 1.into()])?;
        let places = hidden.tracer().arange(length)?.to_f32()?.reshape(vec![length, 1.into()])?;
        Ok(Span { places, begin: None, end })
    }

    /// Of two texts, the second of which begins at a place i32 `[batch]`.
    fn both(hidden: &Tensor, lengths: &Tensor, second: &Tensor) -> deepfit_nn::Result<[Span; 2]> {
        let first = Span::to(hidden, second)?;
        let second = Span { begin: Some(first.end.clone()), ..Span::to(hidden, lengths)? };
        Ok([first, second])
    }

    /// Its vector, offering what it is [read](READ) from.
    fn read(&self, pooling: Pooling, hidden: &Tensor) -> deepfit_nn::Result<Tensor> {
        hidden.tracer().offer(READ, || self.shares(pooling, hidden))?;
        self.pooled(pooling, hidden)
    }

    /// How much of the vector is read from each token, `[batch, T]`.
    fn shares(&self, pooling: Pooling, hidden: &Tensor) -> deepfit_nn::Result<Tensor> {
        let (tracer, dims) = (hidden.tracer(), hidden.shape().dims());
        let one_where = |chosen: Tensor| chosen.select(&tracer.scalar(1.0), &tracer.scalar(0.0));
        if pooling == Pooling::Max {
            let largest = self.max(hidden)?.reshape(vec![dims[0], 1.into(), dims[2]])?;
            let holders = self.kept(&one_where(hidden.equal(&largest)?)?, 0.0)?;
            let count = holders.reduce(ReduceKind::Sum, &[1], true)?.maximum(&tracer.scalar(1.0))?;
            return Ok(holders.div(&count)?.reduce(ReduceKind::Mean, &[2], false)?);
        }
        // All others are linear: of states that say of each token nothing but which it is, the vector holds the shares.
        let same = self.places.equal(&self.places.reshape(vec![1.into(), dims[1]])?)?;
        self.pooled(pooling, &one_where(same)?.broadcast_to(vec![dims[0], dims[1], dims[1]])?)
    }

    fn pooled(&self, pooling: Pooling, hidden: &Tensor) -> deepfit_nn::Result<Tensor> {
        match pooling {
            // The axis is as long as the longest text, whatever that is, so nothing can be cut from it.
            Pooling::Cls => {
                let first = hidden.tracer().scalar(0.0);
                self.sum(hidden, self.places.equal(self.begin.as_ref().unwrap_or(&first))?)
            }
            Pooling::Mean => self.mean(hidden),
            Pooling::Max => self.max(hidden),
            Pooling::Last => self.sum(hidden, self.end.add_scalar(-1.0)?.equal(&self.places)?),
        }
    }

    /// Of all tokens in it, otherwise what `otherwise` says.
    fn kept(&self, hidden: &Tensor, otherwise: f32) -> deepfit_nn::Result<Tensor> {
        let otherwise = hidden.tracer().scalar(otherwise);
        // Selected, not multiplied: what stands behind the end may be anything.
        let kept = self.end.greater(&self.places)?.select(hidden, &otherwise)?;
        match &self.begin {
            Some(begin) => Ok(begin.greater(&self.places)?.select(&otherwise, &kept)?),
            None => Ok(kept),
        }
    }

    /// The sum over the tokens that are chosen, wherever they are.
    fn sum(&self, hidden: &Tensor, chosen: Tensor) -> deepfit_nn::Result<Tensor> {
        let kept = chosen.select(hidden, &hidden.tracer().scalar(0.0))?;
        Ok(kept.reduce(ReduceKind::Sum, &[1], false)?)
    }

    /// How many tokens are in it, `[batch, 1, 1]`.
    fn tokens(&self) -> deepfit_nn::Result<Tensor> {
        Ok(match &self.begin {
            Some(begin) => self.end.sub(begin)?,
            None => self.end.clone(),
        })
    }

    /// The mean over its tokens; 0 if there are none.
    fn mean(&self, hidden: &Tensor) -> deepfit_nn::Result<Tensor> {
        let batch = hidden.shape().dims()[0];
        let sum = self.kept(hidden, 0.0)?.reduce(ReduceKind::Sum, &[1], false)?;
        let count = self.tokens()?.maximum(&hidden.tracer().scalar(1.0))?;
        Ok(sum.div(&count.reshape(vec![batch, 1.into()])?)?)
    }

    /// The largest of each element over its tokens; 0 if there are none.
    fn max(&self, hidden: &Tensor) -> deepfit_nn::Result<Tensor> {
        let most = self.kept(hidden, f32::MIN)?.reduce(ReduceKind::Max, &[1], false)?;
        let batch = hidden.shape().dims()[0];
        let there = self.tokens()?.greater(&hidden.tracer().scalar(0.0))?.reshape(vec![batch, 1.into()])?;
        Ok(there.select(&most, &hidden.tracer().scalar(0.0))?)
    }
}
