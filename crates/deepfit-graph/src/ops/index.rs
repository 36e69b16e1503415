//! Elements picked and placed by index along an axis.

use super::shape::Slice;
use super::{arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::{HostTensor, Reference, for_each_index};
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, integers, uniform};
use crate::shape::{DType, Dim, Extents, Shape, TensorType};
use crate::trace::Tensor;

/// Checks that indices are integers, of the values' rank and, but for one axis, of their shape.
pub(super) fn check_indices(values: &TensorType, indices: &TensorType, axis: usize) -> Result<(), String> {
    let (shape, other) = (&values.shape, &indices.shape);
    if indices.dtype != DType::I32 {
        return Err(format!("indices must be i32, not {}", indices.dtype));
    }
    if axis >= shape.rank() {
        return Err(format!("{shape} has no axis {axis}"));
    }
    let fits =
        shape.rank() == other.rank() && (0..shape.rank()).all(|a| a == axis || shape.dims()[a] == other.dims()[a]);
    if fits { Ok(()) } else { Err(format!("indices {other} must have the shape {shape} but for axis {axis}")) }
}

/// Position in an array of `shape` of the element that an index at `index` names; `None` if it names none.
pub(super) fn position(shape: &[usize], axis: usize, index: &[usize], chosen: f64) -> Option<Vec<usize>> {
    let inside = chosen >= 0.0 && (chosen as usize) < shape[axis];
    inside.then(|| {
        let mut place = index.to_vec();
        place[axis] = chosen as usize;
        place
    })
}

/// Elements of `x` along an axis, as PyTorch's `gather`: `y[i][j] = x[index[i][j]][j]` for axis 0 of a matrix.
///
/// Inputs: values, indices i32 of the same shape but for the axis. An index out of range stops the run with an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Gather {
    /// The axis.
    pub axis: usize,
}

impl Operation for Gather {
    fn name(&self) -> String {
        "gather".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 2)?;
        floating(&inputs[..1])?;
        check_indices(inputs[0], inputs[1], self.axis)?;
        Ok(vec![TensorType::f32(inputs[1].shape.clone())])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let op = ScatterAdd { axis: self.axis, length: cx.input(0).shape().dims()[self.axis] };
        Ok(vec![Some(cx.tracer().apply_one(op, &[cx.input(1), cx.upstream()?])?), None])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (x, indices) = (cx.inputs[0], cx.inputs[1]);
        // The reference cannot stop a run: an index out of range gives NaN.
        vec![Reference::from_fn(&cx.shapes[0], |index| {
            position(&x.shape, self.axis, index, indices.at(index)).map_or(f64::NAN, |place| x.at(&place))
        })]
    }

    fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &Extents) -> u64 {
        0
    }

    fn samples() -> Vec<Sample> {
        let sample = |x: &[usize], axis: usize, count: usize| {
            let mut shape = x.to_vec();
            shape[axis] = count;
            Sample::new(Gather { axis }, vec![uniform(x, -1.0, 1.0, 1), integers(&shape, x[axis] as i32, 2)])
        };
        vec![
            sample(&[3, 4], 1, 2).batched(&[true, true]),
            sample(&[3, 4], 0, 5),
            sample(&[2, 3, 5], 1, 4).batched(&[true, true]),
            sample(&[7], 0, 9),
            sample(&[70, 33], 0, 65).without_gradient(),
            sample(&[3, 4], 1, 0).without_gradient(),
        ]
    }
}

/// Sums of the elements that have the same index: zeros of the given length along an axis, to which each element is
/// added where its index says. The derivative of [`Gather`], which is its derivative in turn.
///
/// Inputs: indices i32, values of the same shape. Elements are added in the order of their positions along the axis.
/// An index out of range stops the run with an error.
#[derive(Debug, Clone, PartialEq)]
pub struct ScatterAdd {
    /// The axis.
    pub axis: usize,
    /// Length of the axis in the result.
    pub length: Dim,
}

impl Operation for ScatterAdd {
    fn name(&self) -> String {
        "scatter_add".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 2)?;
        floating(&inputs[1..])?;
        super::same_shape("the indices and the values", inputs[0], inputs[1])?;
        check_indices(inputs[1], inputs[0], self.axis)?;
        let mut dims = inputs[1].shape.dims().to_vec();
        dims[self.axis] = self.length;
        Ok(vec![TensorType::f32(Shape::from(dims))])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None, Some(cx.upstream()?.gather(self.axis, cx.input(0))?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (indices, values) = (cx.inputs[0], cx.inputs[1]);
        let mut out = Reference::full(&cx.shapes[0], 0.0);
        for_each_index(&values.shape, |index| {
            if let Some(place) = position(&cx.shapes[0], self.axis, index, indices.at(index)) {
                let offset = out.offset(&place);
                out.data[offset] += values.at(index);
            }
        });
        vec![out]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        inputs[1].shape.count(extents) as u64
    }

    fn samples() -> Vec<Sample> {
        let sample = |shape: &[usize], axis: usize, length: usize| {
            let op = ScatterAdd { axis, length: Dim::fixed(length) };
            Sample::new(op, vec![integers(shape, length as i32, 1), uniform(shape, -1.0, 1.0, 2)]).tolerance(4e-6)
        };
        vec![
            sample(&[3, 4], 1, 3).batched(&[true, true]),
            sample(&[5, 3], 0, 4),
            sample(&[2, 6, 3], 1, 2).batched(&[true, true]),
            sample(&[9], 0, 4),
            sample(&[300, 35], 0, 7).without_gradient(),
            sample(&[3, 0], 1, 2).without_gradient(),
        ]
    }
}

/// A copy of `x` in which each value stands where its index along an axis says, as PyTorch's `scatter`.
///
/// Inputs: `x`, indices i32, values of the indices' shape. Of several values for one place the last stays. An index out
/// of range stops the run with an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Scatter {
    /// The axis.
    pub axis: usize,
}

impl Operation for Scatter {
    fn name(&self) -> String {
        "scatter".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 3)?;
        floating(&[inputs[0], inputs[2]])?;
        check_indices(inputs[0], inputs[1], self.axis)?;
        super::same_shape("the indices and the values", inputs[1], inputs[2])?;
        Ok(vec![inputs[0].clone()])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let (indices, values, upstream) = (cx.input(1), cx.input(2), cx.upstream()?);
        let tracer = cx.tracer();
        let kept = if cx.wants(0) {
            let zeros = tracer.scalar(0.0).broadcast_to(values.shape().clone())?;
            Some(upstream.scatter(self.axis, indices, &zeros)?)
        } else {
            None
        };
        let placed = if cx.wants(2) {
            // A value that a later one has replaced gets no gradient: whoever stands at a place says so by its position.
            let length = values.shape().dims()[self.axis];
            let mut dims = vec![Dim::fixed(1); values.shape().rank()];
            dims[self.axis] = length;
            let own = tracer.arange(length)?.to_f32()?.reshape(dims)?.broadcast_to(values.shape().clone())?;
            let nobody = tracer.scalar(-1.0).broadcast_to(cx.input(0).shape().clone())?;
            let winner = nobody.scatter(self.axis, indices, &own)?.gather(self.axis, indices)?;
            Some(winner.equal(&own)?.mul(&upstream.gather(self.axis, indices)?)?)
        } else {
            None
        };
        Ok(vec![kept, None, placed])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (indices, values) = (cx.inputs[1], cx.inputs[2]);
        let mut out = cx.inputs[0].clone();
        for_each_index(&values.shape, |index| {
            if let Some(place) = position(&cx.shapes[0], self.axis, index, indices.at(index)) {
                let offset = out.offset(&place);
                out.data[offset] = values.at(index);
            }
        });
        vec![out]
    }

    fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &Extents) -> u64 {
        0
    }

    fn samples() -> Vec<Sample> {
        let sample = |x: &[usize], axis: usize, count: usize| {
            let mut shape = x.to_vec();
            shape[axis] = count;
            let indices = integers(&shape, x[axis] as i32, 2);
            Sample::new(Scatter { axis }, vec![uniform(x, -1.0, 1.0, 1), indices, uniform(&shape, 1.0, 2.0, 3)])
        };
        vec![
            sample(&[3, 4], 1, 3).batched(&[true, true, true]),
            sample(&[4, 3], 0, 6),
            sample(&[2, 3, 2], 1, 4).batched(&[true, true, true]),
            sample(&[40, 33], 0, 65).without_gradient(),
            sample(&[2, 3], 1, 0).without_gradient(),
        ]
    }
}

/// A 1 at the position that a number names, zeros elsewhere: i32 `[...]` becomes f32 `[..., classes]`.
///
/// A number out of range stops the run with an error, but for one that may be ignored, whose row is zero.
#[derive(Debug, Clone, PartialEq)]
pub struct OneHot {
    /// Length of the new last axis.
    pub classes: usize,
    /// The number whose row is zero.
    pub ignore: Option<i32>,
}

impl Operation for OneHot {
    fn name(&self) -> String {
        "one_hot".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        if inputs[0].dtype != DType::I32 {
            return Err(format!("class numbers must be i32, not {}", inputs[0]));
        }
        let mut dims = inputs[0].shape.dims().to_vec();
        dims.push(Dim::fixed(self.classes));
        Ok(vec![TensorType::f32(Shape::from(dims))])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let rows = cx.inputs[0].data.iter().flat_map(|&n| {
            (0..self.classes).map(move |c| if n == c as f64 && self.ignore != Some(c as i32) { 1.0 } else { 0.0 })
        });
        vec![Reference::new(&cx.shapes[0], rows.collect())]
    }

    fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &Extents) -> u64 {
        0
    }

    fn samples() -> Vec<Sample> {
        let sample = |shape: &[usize], classes: usize, ignore| {
            Sample::new(OneHot { classes, ignore }, vec![integers(shape, classes as i32, 1)]).without_gradient()
        };
        let ignored = HostTensor::i32(&[3], vec![1, -100, 0]);
        vec![
            sample(&[4], 3, None).batched(&[true]),
            sample(&[3, 5], 17, Some(2)).batched(&[true]),
            sample(&[0], 3, None),
            sample(&[700], 40, None),
            Sample::new(OneHot { classes: 2, ignore: Some(-100) }, vec![ignored]).without_gradient(),
        ]
    }
}

/// The integers from 0 below a length, i32 `[length]`; the length may be known only when the plan runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Arange {
    /// How many.
    pub length: Dim,
}

impl Operation for Arange {
    fn name(&self) -> String {
        format!("arange({})", self.length)
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 0)?;
        if self.length.as_fixed().is_some_and(|n| n > i32::MAX as usize) {
            return Err(format!("{} is more than an i32 can count", self.length));
        }
        Ok(vec![TensorType { shape: Shape::from(vec![self.length]), dtype: DType::I32 }])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        vec![Reference::from_fn(&cx.shapes[0], |index| index[0] as f64)]
    }

    fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &Extents) -> u64 {
        0
    }

    fn samples() -> Vec<Sample> {
        [0, 1, 37, 70].map(|n| Sample::new(Arange { length: Dim::fixed(n) }, Vec::new()).without_gradient()).into()
    }
}

impl crate::trace::Tracer {
    /// The integers from 0 below a length, i32 `[length]`.
    ///
    /// # Errors
    /// If the length is fixed and more than an i32 can count.
    pub fn arange(&self, length: impl Into<Dim>) -> Result<Tensor> {
        self.apply_one(Arange { length: length.into() }, &[])
    }
}

impl Tensor {
    /// Elements along an axis by index, as PyTorch's `gather`: indices i32 have any length along the axis and at most this
    /// tensor's along the others, and the result has theirs.
    ///
    /// # Errors
    /// If the shapes do not fit. An index out of range stops the run with an error.
    pub fn gather(&self, axis: usize, indices: &Tensor) -> Result<Tensor> {
        let mut x = self.clone();
        for other in self.longer_axes(axis, indices.shape()) {
            x = x.beginning(other, indices.shape().dims()[other])?.0;
        }
        self.tracer().apply_one(Gather { axis }, &[&x, indices])
    }

    /// The axes but one along which this tensor is longer than a shape of the same rank.
    pub(super) fn longer_axes(&self, axis: usize, shape: &Shape) -> Vec<usize> {
        let longer = |&a: &usize| {
            let (own, other) = (self.shape().dims()[a], shape.dims()[a]);
            a != axis && own != other && own.minus(other).is_some()
        };
        let rank = self.shape().rank();
        if shape.rank() == rank { (0..rank).filter(longer).collect() } else { Vec::new() }
    }

    /// The first positions of an axis that is longer, and the others.
    pub(super) fn beginning(&self, axis: usize, length: Dim) -> Result<(Tensor, Tensor)> {
        let rest = self.shape().dims()[axis].minus(length).unwrap_or(Dim::fixed(0));
        let part = |start, length| self.tracer().apply_one(Slice { axis, start, length }, &[self]);
        Ok((part(Dim::fixed(0), length)?, part(length, rest)?))
    }

    /// What `scatter` makes of this tensor, where indices are shorter along other axes than `axis`: of the part of it
    /// that they reach, the rest staying as it is; and of the values that have an index.
    pub(super) fn scattered(
        &self,
        axis: usize,
        indices: &Tensor,
        values: &Tensor,
        scatter: &dyn Fn(&Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        if let Some(&other) = values.longer_axes(usize::MAX, indices.shape()).first() {
            let values = values.beginning(other, indices.shape().dims()[other])?.0;
            return self.scattered(axis, indices, &values, scatter);
        }
        let Some(&other) = self.longer_axes(axis, indices.shape()).first() else { return scatter(self, values) };
        let (reached, rest) = self.beginning(other, indices.shape().dims()[other])?;
        reached.scattered(axis, indices, values, scatter)?.concat(&[&rest], other)
    }

    /// [`Tensor::gather`] along the last axis: what goes with the indices of [`Tensor::topk`] and [`Tensor::argmax`].
    ///
    /// # Errors
    /// As [`Tensor::gather`].
    pub fn take_along_last(&self, indices: &Tensor) -> Result<Tensor> {
        self.gather(self.shape().rank().saturating_sub(1), indices)
    }

    /// This tensor with each value added where its index along an axis says, as PyTorch's `scatter_add`; sums have a
    /// fixed order. Indices may be shorter than this tensor along other axes, and than the values along all.
    ///
    /// # Errors
    /// If the shapes do not fit. An index out of range stops the run with an error.
    pub fn scatter_add(&self, axis: usize, indices: &Tensor, values: &Tensor) -> Result<Tensor> {
        let Some(&length) = self.shape().dims().get(axis) else {
            return Err(self.error("scatter_add", format!("{} has no axis {axis}", self.shape())));
        };
        self.scattered(axis, indices, values, &|x, values| {
            let sums = self.tracer().apply_one(ScatterAdd { axis, length }, &[indices, values])?;
            super::same_shape("this tensor and the sums", x.ty(), sums.ty())
                .map_err(|p| self.error("scatter_add", p))?;
            x.add(&sums)
        })
    }

    /// This tensor with each value in place of what stands where its index along an axis says, as PyTorch's `scatter`; of
    /// several values for one place the last stays. Indices may be shorter as for [`Tensor::scatter_add`].
    ///
    /// # Errors
    /// If the shapes do not fit. An index out of range stops the run with an error.
    pub fn scatter(&self, axis: usize, indices: &Tensor, values: &Tensor) -> Result<Tensor> {
        self.scattered(axis, indices, values, &|x, values| {
            self.tracer().apply_one(Scatter { axis }, &[x, indices, values])
        })
    }

    /// The slices along an axis that a list of indices i32 `[count]` names, as PyTorch's `index_select`.
    ///
    /// # Errors
    /// If the axis does not exist or the indices are no list. An index out of range stops the run with an error.
    pub fn index_select(&self, axis: usize, indices: &Tensor) -> Result<Tensor> {
        let dims = self.shape().dims();
        let (rank, fail) = (dims.len(), |problem| Err(self.error("index_select", problem)));
        if axis >= rank {
            return fail(format!("{} has no axis {axis}", self.shape()));
        }
        let [count] = indices.shape().dims() else {
            return fail(format!("indices must be a list, not {}", indices.shape()));
        };
        // The axis in front, and everything behind it as one row of a table.
        let mut order: Vec<usize> = (0..rank).filter(|&a| a != axis).collect();
        let rest: Vec<Dim> = order.iter().map(|&a| dims[a]).collect();
        order.insert(0, axis);
        let front = if axis == 0 { self.clone() } else { self.permute(&order)? };
        let width = rest.iter().fold(Dim::fixed(1), |n, &d| n * d);
        let chosen = front.reshape(vec![dims[axis], width])?.embedding(indices)?;
        let chosen = chosen.reshape([&[*count][..], &rest[..]].concat())?;
        if axis == 0 {
            return Ok(chosen);
        }
        let mut back: Vec<usize> = (1..rank).collect();
        back.insert(axis, 0);
        chosen.permute(&back)
    }

    /// A 1 at the position that each class number names, zeros elsewhere: i32 `[...]` becomes f32 `[..., classes]`.
    ///
    /// # Errors
    /// If the tensor is not i32. A number out of range stops the run with an error.
    pub fn one_hot(&self, classes: usize) -> Result<Tensor> {
        self.tracer().apply_one(OneHot { classes, ignore: None }, &[self])
    }

    /// [`Tensor::one_hot`] where one number stands for no class: its row is zero.
    ///
    /// # Errors
    /// As [`Tensor::one_hot`].
    pub fn one_hot_ignoring(&self, classes: usize, ignore: i32) -> Result<Tensor> {
        self.tracer().apply_one(OneHot { classes, ignore: Some(ignore) }, &[self])
    }
}
