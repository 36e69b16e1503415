//! Scaled dot-product attention.

mod decomposition;
mod gradient;
mod hidden;
mod reference;
mod samples;
mod trace;

pub use gradient::AttentionGrad;
pub use trace::AttentionOptions;

use super::{Dropout, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::Sample;
use crate::shape::{DType, Dim, Extents, Shape, TensorType};
use crate::trace::Tensor;
use reference::Rows;

/// `softmax(scale * Q Kᵀ + bias) V` for each head (Vaswani et al., 2017), in one operation that never holds the scores of
/// all queries against all keys.
///
/// Inputs, in this order: the query `[batch, T, heads, d]`, the key `[batch, S, kv_heads, d]` and the value
/// `[batch, S, kv_heads, e]`, or all three in one as [`Attention::packed`] says; then, each only if the attributes say so,
/// a bias f32, boolean masks u8, the numbers of keys i32 `[batch]`, and the key of random operations. Bias and masks
/// broadcast to `[batch, heads, T, S]`. Heads are grouped: query head `h` reads key head `h / (heads / kv_heads)`.
///
/// Outputs: the result `[batch, T, heads, e]` and, for the backward pass, the logarithm of each row's sum of exponentials
/// `[batch, heads, T]`.
///
/// A key is hidden from a query if a mask is not 0 there (as in `nn.MultiheadAttention`), if the bias is `-inf`, if the key
/// lies behind the number of keys, or, with [`Attention::causal`], if it lies behind the query: key `j > i` for query `i`.
/// A query from which every key is hidden stops the run with an error that names it, and so does a number of keys that is
/// not in `1..=S`. With [`Attention::allow_hidden`] such a query gets zeros and gives no gradient, and numbers of keys may
/// be 0; PyTorch gives NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// With a number of key heads: query, key and value are one input `[batch, T, heads + 2 * kv_heads, d]`, the heads of
    /// the query first, then those of the key, then those of the value. It is what one projection of `x` gives, not copied.
    pub packed: Option<usize>,
    /// Factor of the products, normally `1 / sqrt(d)`.
    pub scale: f32,
    /// Whether query `i` sees keys `0..=i` alone.
    pub causal: bool,
    /// Whether an additive bias is given.
    pub bias: bool,
    /// Number of boolean masks given, at most 4.
    pub masks: usize,
    /// Whether the number of keys of each example is given.
    pub lengths: bool,
    /// Whether a query may see no key: it gets zeros.
    pub allow_hidden: bool,
    /// Dropout of the weights: weight `i` of `[batch, heads, T, S]`, counted in row-major order, is dropped as
    /// [`Dropout`] drops element `i`.
    pub dropout: Option<Dropout>,
}

/// Most boolean masks of one attention.
const MAX_MASKS: usize = 4;

/// Where the optional inputs of an [`Attention`] stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionInputs {
    /// The bias.
    pub bias: Option<usize>,
    /// The first mask.
    pub masks: usize,
    /// The numbers of keys.
    pub lengths: Option<usize>,
    /// The random key.
    pub key: Option<usize>,
    /// Number of inputs.
    pub count: usize,
}

/// Axis lengths of an [`Attention`].
struct Axes {
    batch: Dim,
    queries: Dim,
    keys: Dim,
    heads: usize,
    kv_heads: usize,
    d: usize,
    e: usize,
}

impl Attention {
    /// Where the optional inputs stand.
    pub fn inputs(&self) -> AttentionInputs {
        let first = if self.packed.is_some() { 1 } else { 3 };
        let masks = first + usize::from(self.bias);
        let lengths = masks + self.masks;
        let key = lengths + usize::from(self.lengths);
        let given = |is: bool, place: usize| is.then_some(place);
        AttentionInputs {
            bias: given(self.bias, first),
            masks,
            lengths: given(self.lengths, lengths),
            key: given(self.dropout.is_some(), key),
            count: key + usize::from(self.dropout.is_some()),
        }
    }

    fn axes(&self, inputs: &[&TensorType]) -> Result<Axes, String> {
        let axes = |what: &str, ty: &TensorType| match ty.shape.dims() {
            &[batch, length, heads, width] => match (heads.as_fixed(), width.as_fixed()) {
                (Some(heads), Some(width)) => Ok((batch, length, heads, width)),
                _ => Err(format!("heads and width of the {what} {} must be fixed", ty.shape)),
            },
            _ => Err(format!("the {what} must be [batch, length, heads, width], not {}", ty.shape)),
        };
        let axes = if let Some(kv_heads) = self.packed {
            let (batch, length, all, d) = axes("packed input", inputs[0])?;
            let heads = all.checked_sub(kv_heads.saturating_mul(2)).filter(|&h| h > 0);
            let heads = heads.ok_or(format!("{all} heads leave none for the query beside 2 times {kv_heads}"))?;
            Axes { batch, queries: length, keys: length, heads, kv_heads, d, e: d }
        } else {
            let (batch, queries, heads, d) = axes("query", inputs[0])?;
            let (batch_k, keys, kv_heads, d_k) = axes("key", inputs[1])?;
            let (batch_v, keys_v, heads_v, e) = axes("value", inputs[2])?;
            if batch_k != batch || d_k != d {
                return Err(format!("query {} and key {} differ in batch or width", inputs[0].shape, inputs[1].shape));
            }
            if (batch_v, keys_v, heads_v) != (batch, keys, kv_heads) {
                return Err(format!(
                    "key {} and value {} differ in batch, length or heads",
                    inputs[1].shape, inputs[2].shape
                ));
            }
            Axes { batch, queries, keys, heads, kv_heads, d, e }
        };
        if axes.kv_heads == 0 || axes.heads % axes.kv_heads != 0 {
            return Err(format!("{} key heads do not divide {} query heads", axes.kv_heads, axes.heads));
        }
        if axes.keys.as_fixed() == Some(0) && axes.queries.as_fixed() != Some(0) && !self.allow_hidden {
            let key = inputs[if self.packed.is_some() { 0 } else { 1 }];
            return Err(format!(
                "{} queries see no key, of which {} has none; allow it with `allow_hidden`, by which they get zeros",
                axes.queries, key.shape
            ));
        }
        Ok(axes)
    }

    /// Checks everything that can be known before a run.
    fn check(&self, inputs: &[&TensorType]) -> Result<Axes, String> {
        let places = self.inputs();
        super::arity(inputs, places.count)?;
        let floats = if self.packed.is_some() { 1 } else { 3 } + usize::from(self.bias);
        floating(&inputs[..floats])?;
        let axes = self.axes(inputs)?;
        let scores = Shape::new(&[axes.batch, axes.heads.into(), axes.queries, axes.keys]);
        let broadcast = inputs[places.masks..][..self.masks].iter().map(|t| ("mask", t));
        for (what, ty) in broadcast.chain(places.bias.map(|i| ("bias", &inputs[i]))) {
            if ty.shape.broadcast(&scores).as_ref() != Some(&scores) {
                return Err(format!("the {what} {} does not broadcast to the scores {scores}", ty.shape));
            }
            if what == "mask" && ty.dtype != DType::U8 {
                return Err(format!("a mask must be u8, 1 where a key is hidden, not {ty}; give numbers as the bias"));
            }
        }
        if let Some(ty) = places.lengths.map(|i| inputs[i])
            && (ty.dtype != DType::I32 || ty.shape.dims() != [axes.batch])
        {
            return Err(format!("the numbers of keys must be i32 [{}], not {ty}", axes.batch));
        }
        if let (Some(dropout), Some(place)) = (&self.dropout, places.key) {
            let weights = TensorType::f32(scores);
            dropout.infer(&[&weights, inputs[place]])?;
        }
        if self.masks > MAX_MASKS {
            return Err(format!("takes at most {MAX_MASKS} masks, not {}: combine some", self.masks));
        }
        if !self.scale.is_finite() {
            return Err(format!("the scale {} is not finite", self.scale));
        }
        Ok(axes)
    }

    fn multiplications(&self, inputs: &[&TensorType], extents: &Extents) -> u64 {
        let Ok(axes) = self.axes(inputs) else { return 0 };
        let scores = (axes.batch * axes.queries * axes.keys).length(extents) * axes.heads;
        let seen = if self.causal { scores.div_ceil(2) } else { scores };
        (seen * (axes.d + axes.e)) as u64
    }
}

impl Operation for Attention {
    fn name(&self) -> String {
        if self.causal { "causal_attention" } else { "attention" }.to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        let Axes { batch, queries, heads, e, .. } = self.check(inputs)?;
        let result = Shape::new(&[batch, queries, heads.into(), e.into()]);
        Ok(vec![TensorType::f32(result), TensorType::f32(Shape::new(&[batch, heads.into(), queries]))])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let places = self.inputs();
        let bias_gradient = places.bias.is_some_and(|i| cx.wants(i));
        let op = AttentionGrad { attention: self.clone(), bias_gradient };
        let mut inputs: Vec<&Tensor> = cx.inputs().iter().collect();
        inputs.extend([cx.output(0), cx.output(1), cx.upstream()?]);
        let mut found = cx.tracer().apply(op, &inputs)?.into_iter();
        let mut gradients: Vec<Option<Tensor>> = vec![None; places.count];
        let first = if self.packed.is_some() { 1 } else { 3 };
        gradients[..first].fill_with(|| found.next());
        if let Some(bias) = places.bias {
            gradients[bias] = found.next();
        }
        Ok(gradients)
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let rows = Rows::new(self, cx.inputs);
        let mut log_sums = Vec::new();
        let mut result = Reference::full(&cx.shapes[0], 0.0);
        rows.for_each(|b, h, i| {
            let (weights, log_sum) = rows.weights(b, h, i);
            log_sums.push(log_sum);
            for (j, weight) in weights {
                let kept = weight * rows.kept(b, h, i, j);
                for c in 0..rows.e {
                    let at = result.offset(&[b, i, h, c]);
                    result.data[at] += kept * rows.value(b, h, j, c);
                }
            }
        });
        vec![result, Reference::new(&cx.shapes[1], log_sums)]
    }

    fn decompose(&self, inputs: &[Tensor]) -> Result<Option<Vec<Tensor>>> {
        Ok(Some(decomposition::outputs(self, inputs)?))
    }

    fn intermediates(&self) -> &'static [&'static str] {
        &["weights"]
    }

    /// `weights`: `[batch, heads, T, S]`, after dropout, as PyTorch returns them.
    fn intermediate(&self, name: &str, inputs: &[Tensor]) -> Result<Option<Tensor>> {
        if name == "weights" { decomposition::weights(self, inputs).map(Some) } else { Ok(None) }
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        2 * self.multiplications(inputs, extents)
    }

    fn samples() -> Vec<Sample> {
        samples::forward()
    }
}
