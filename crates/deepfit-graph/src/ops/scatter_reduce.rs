//! Elements combined by index along an axis: largest, smallest, products; and sums and means made of sums.

use super::index::{ScatterAdd, check_indices, position};
use super::{arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::{Reference, for_each_index};
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, distinct, integers, uniform};
use crate::shape::{Extents, TensorType};
use crate::trace::Tensor;

/// How values of one place are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScatterKind {
    /// The largest; NaN if any is NaN. Equal largest values share the gradient.
    Max,
    /// The smallest; NaN if any is NaN. Equal smallest values share the gradient.
    Min,
    /// The product.
    Product,
}

impl ScatterKind {
    /// The value that changes no other.
    pub fn neutral(self) -> f32 {
        match self {
            ScatterKind::Max => f32::NEG_INFINITY,
            ScatterKind::Min => f32::INFINITY,
            ScatterKind::Product => 1.0,
        }
    }

    fn combine(self, a: f64, b: f64) -> f64 {
        match self {
            ScatterKind::Product => a * b,
            _ if a.is_nan() || b.is_nan() => f64::NAN,
            ScatterKind::Max => a.max(b),
            ScatterKind::Min => a.min(b),
        }
    }
}

/// A copy of `x` in which each place is combined with the values whose index along an axis names it, in their order.
///
/// Inputs: `x`, indices i32 of its shape but for the axis, values of the indices' shape. An index out of range stops the
/// run with an error.
#[derive(Debug, Clone, PartialEq)]
pub struct ScatterReduce {
    /// The axis.
    pub axis: usize,
    /// How values are combined.
    pub kind: ScatterKind,
}

impl ScatterReduce {
    /// Gradients where a place's gradient is shared by all that are equal to the result.
    fn of_extremes(&self, cx: &Derivative<'_>) -> Result<[Tensor; 2]> {
        let (x, indices, values, up) = (cx.input(0), cx.input(1), cx.input(2), cx.upstream()?);
        let own = x.equal(cx.output(0))?;
        let theirs = values.equal(&cx.output(0).gather(self.axis, indices)?)?;
        let shares = up.div(&own.scatter_add(self.axis, indices, &theirs)?.clamp(1.0, f32::INFINITY)?)?;
        Ok([own.mul(&shares)?, theirs.mul(&shares.gather(self.axis, indices)?)?])
    }

    /// Gradients of products: each factor's is the product of the others, also where a factor is 0.
    fn of_products(&self, cx: &Derivative<'_>) -> Result<[Tensor; 2]> {
        let (x, indices, values, up) = (cx.input(0), cx.input(1), cx.input(2), cx.upstream()?);
        let tracer = cx.tracer();
        let (zero, one) = (tracer.scalar(0.0), tracer.scalar(1.0));
        let without_zeros = |t: &Tensor| t.equal(&zero)?.select(&one, t);
        let product = |x: &Tensor, values: &Tensor| tracer.apply_one(self.clone(), &[x, indices, values]);
        let of_x = up.mul(&product(&one.broadcast_to(x.shape().clone())?, values)?)?;
        // Zeros among the factors of each place: where there are others than the factor itself, its gradient is 0.
        let is_zero = values.equal(&zero)?;
        let zeros = x.equal(&zero)?.scatter_add(self.axis, indices, &is_zero)?;
        let others = zeros.gather(self.axis, indices)?.sub(&is_zero)?;
        let (x, values) = (without_zeros(x)?, without_zeros(values)?);
        let all = up.mul(&product(&x, &values)?)?.gather(self.axis, indices)?;
        Ok([of_x, others.select(&zero, &all.div(&values)?)?])
    }
}

impl Operation for ScatterReduce {
    fn name(&self) -> String {
        format!("scatter_{:?}", self.kind).to_lowercase()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 3)?;
        floating(&[inputs[0], inputs[2]])?;
        check_indices(inputs[0], inputs[1], self.axis)?;
        super::same_shape("the indices and the values", inputs[1], inputs[2])?;
        Ok(vec![inputs[0].clone()])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let [of_x, of_values] = match self.kind {
            ScatterKind::Product => self.of_products(cx)?,
            _ => self.of_extremes(cx)?,
        };
        Ok(vec![Some(of_x), None, Some(of_values)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (indices, values) = (cx.inputs[1], cx.inputs[2]);
        let mut out = cx.inputs[0].clone();
        for_each_index(&values.shape, |index| {
            if let Some(place) = position(&cx.shapes[0], self.axis, index, indices.at(index)) {
                let offset = out.offset(&place);
                out.data[offset] = self.kind.combine(out.data[offset], values.at(index));
            }
        });
        vec![out]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        inputs[2].shape.count(extents) as u64
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for kind in [ScatterKind::Max, ScatterKind::Min, ScatterKind::Product] {
            let mut add = |x: &[usize], axis: usize, count: usize, small: bool| {
                let mut shape = x.to_vec();
                shape[axis] = count;
                // Values of both arrays at least a step apart, so that differences see no maximum change.
                let (own, values) = match kind {
                    ScatterKind::Product => (uniform(x, 0.5, 1.5, 1), uniform(&shape, -1.5, -0.5, 3)),
                    _ => (distinct(x, 0.2, 1), distinct(&shape, 0.31, 3)),
                };
                let inputs = vec![own, integers(&shape, x[axis] as i32, 2), values];
                let sample = Sample::new(ScatterReduce { axis, kind }, inputs).tolerance(4e-6);
                let sample = if axis > 0 { sample.batched(&[true, true, true]) } else { sample };
                samples.push(if small { sample } else { sample.without_gradient() });
            };
            add(&[3, 4], 1, 3, true);
            add(&[3, 2], 0, 5, true);
            add(&[2, 3, 2], 1, 4, true);
            add(&[9, 70], 0, 20, false);
            add(&[2, 3], 1, 0, false);
        }
        samples
    }
}

/// How [`Tensor::scatter_reduce`] combines values: PyTorch's `sum`, `mean`, `amax`, `amin` and `prod`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScatterReduction {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// Their product.
    Product,
}

impl Tensor {
    /// This tensor with each place combined with the values whose index along an axis names it, as PyTorch's
    /// `scatter_reduce`. Without `include_self`, what stood at a place that is named does not count. Indices may be
    /// shorter as for [`Tensor::scatter_add`].
    ///
    /// # Errors
    /// If the shapes do not fit. An index out of range stops the run with an error.
    pub fn scatter_reduce(
        &self,
        axis: usize,
        indices: &Tensor,
        values: &Tensor,
        reduction: ScatterReduction,
        include_self: bool,
    ) -> Result<Tensor> {
        if axis >= self.shape().rank() {
            return Err(self.error("scatter_reduce", format!("{} has no axis {axis}", self.shape())));
        }
        let tracer = self.tracer();
        let kind = match reduction {
            ScatterReduction::Max => Some(ScatterKind::Max),
            ScatterReduction::Min => Some(ScatterKind::Min),
            ScatterReduction::Product => Some(ScatterKind::Product),
            ScatterReduction::Sum | ScatterReduction::Mean => None,
        };
        self.scattered(axis, indices, values, &|x, values| {
            let length = x.shape().dims()[axis];
            let sums = |values: &Tensor| tracer.apply_one(ScatterAdd { axis, length }, &[indices, values]);
            let counts = || sums(&tracer.scalar(1.0).broadcast_to(values.shape().clone())?);
            let base = match include_self {
                true => x.clone(),
                false => counts()?.select(&tracer.scalar(kind.map_or(0.0, ScatterKind::neutral)), x)?,
            };
            if let Some(kind) = kind {
                return tracer.apply_one(ScatterReduce { axis, kind }, &[&base, indices, values]);
            }
            let sum = base.add(&sums(values)?)?;
            if reduction == ScatterReduction::Sum {
                return Ok(sum);
            }
            let counts = if include_self { counts()?.add_scalar(1.0)? } else { counts()?.clamp(1.0, f32::INFINITY)? };
            sum.div(&counts)
        })
    }
}
