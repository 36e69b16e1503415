//! Operations that move elements without computing.

use super::{arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::{Reference, for_each_index};
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, bytes, uniform};
use crate::shape::{Dim, Extents, Shape, TensorType};
use crate::trace::Tensor;

/// The same elements in the same order under another shape; costs nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Reshape {
    /// The new shape.
    pub shape: Shape,
}

impl Operation for Reshape {
    fn name(&self) -> String {
        "reshape".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        let (old, new) = (inputs[0].shape.elements(), self.shape.elements());
        if old != new {
            return Err(format!("{} has {old} elements and cannot become {} with {new}", inputs[0].shape, self.shape));
        }
        Ok(vec![TensorType { shape: self.shape.clone(), dtype: inputs[0].dtype }])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(cx.upstream()?.reshape(cx.input(0).shape().clone())?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        vec![Reference::new(&cx.shapes[0], cx.inputs[0].data.clone())]
    }

    fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &Extents) -> u64 {
        0
    }

    fn samples() -> Vec<Sample> {
        vec![
            Sample::new(Reshape { shape: [6, 2].into() }, vec![uniform(&[3, 4], -1.0, 1.0, 1)]),
            Sample::new(Reshape { shape: [0, 2].into() }, vec![uniform(&[2, 0], -1.0, 1.0, 1)]),
            Sample::new(Reshape { shape: [6, 2].into() }, vec![bytes(&[3, 4], 1)]).without_gradient(),
        ]
    }
}

/// Axes in another order.
#[derive(Debug, Clone, PartialEq)]
pub struct Permute {
    /// For each axis of the output, the axis of the input.
    pub order: Vec<usize>,
}

impl Operation for Permute {
    fn name(&self) -> String {
        format!("permute{:?}", self.order)
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        let mut sorted = self.order.clone();
        sorted.sort_unstable();
        if sorted != (0..inputs[0].shape.rank()).collect::<Vec<_>>() {
            return Err(format!("{:?} is not an order of the axes of {}", self.order, inputs[0].shape));
        }
        let dims: Vec<Dim> = self.order.iter().map(|&a| inputs[0].shape.dims()[a]).collect();
        Ok(vec![TensorType { shape: dims.into(), dtype: inputs[0].dtype }])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let mut inverse = vec![0; self.order.len()];
        for (to, &from) in self.order.iter().enumerate() {
            inverse[from] = to;
        }
        Ok(vec![Some(cx.upstream()?.permute(&inverse)?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let mut source = vec![0; self.order.len()];
        vec![Reference::from_fn(&cx.shapes[0], |index| {
            for (to, &from) in self.order.iter().enumerate() {
                source[from] = index[to];
            }
            cx.inputs[0].at(&source)
        })]
    }

    fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &Extents) -> u64 {
        0
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        let cases: [(&[usize], &[usize]); 8] = [
            (&[3, 5], &[1, 0]),
            (&[2, 3, 4], &[0, 2, 1]),
            (&[2, 3, 4], &[2, 0, 1]),
            (&[2, 3, 4, 5], &[0, 3, 1, 2]),
            (&[33, 65], &[1, 0]),
            (&[0, 4], &[1, 0]),
            (&[2, 3, 2, 2, 2], &[4, 1, 0, 3, 2]),
            (&[2, 1, 3, 2, 1, 2, 3, 2], &[7, 5, 1, 0, 6, 4, 3, 2]),
        ];
        for (shape, order) in cases {
            samples.push(Sample::new(Permute { order: order.to_vec() }, vec![uniform(shape, -1.0, 1.0, 1)]));
        }
        let images = Permute { order: vec![0, 2, 3, 1] };
        samples.push(Sample::new(images, vec![uniform(&[2, 3, 4, 5], -1.0, 1.0, 2)]).batched(&[true]));
        samples
    }
}

/// Repeats axes of length 1, and adds axes in front, up to a shape.
#[derive(Debug, Clone, PartialEq)]
pub struct BroadcastTo {
    /// The new shape.
    pub shape: Shape,
}

impl Operation for BroadcastTo {
    fn name(&self) -> String {
        "broadcast_to".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        floating(inputs)?;
        if self.shape.broadcast(&inputs[0].shape).as_ref() != Some(&self.shape) {
            return Err(format!("{} does not broadcast to {}", inputs[0].shape, self.shape));
        }
        Ok(vec![TensorType::f32(self.shape.clone())])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(cx.upstream()?.sum_to(cx.input(0).shape())?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        vec![Reference::from_fn(&cx.shapes[0], |index| cx.inputs[0].at_broadcast(index))]
    }

    fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &Extents) -> u64 {
        0
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        let cases: [(&[usize], &[usize]); 6] = [
            (&[4], &[3, 4]),
            (&[3, 1], &[3, 4]),
            (&[], &[2, 3]),
            (&[2, 1, 3], &[2, 4, 3]),
            (&[1, 4], &[0, 4]),
            (&[2, 1, 2, 1, 2, 1, 2], &[2, 2, 2, 2, 2, 2, 2, 2]),
        ];
        for (from, to) in cases {
            samples.push(Sample::new(BroadcastTo { shape: to.into() }, vec![uniform(from, -1.0, 1.0, 1)]));
        }
        samples
    }
}

/// Tensors one after another along an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Concat {
    /// The axis.
    pub axis: usize,
}

impl Operation for Concat {
    fn name(&self) -> String {
        "concat".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        let first = inputs.first().ok_or("needs at least one input")?;
        if self.axis >= first.shape.rank() {
            return Err(format!("{} has no axis {}", first.shape, self.axis));
        }
        let mut dims = first.shape.dims().to_vec();
        for other in &inputs[1..] {
            let fits = other.dtype == first.dtype
                && other.shape.rank() == dims.len()
                && (0..dims.len()).all(|a| a == self.axis || other.shape.dims()[a] == dims[a]);
            let sum = fits.then(|| dims[self.axis].plus(other.shape.dims()[self.axis])).flatten();
            dims[self.axis] = sum.ok_or_else(|| {
                format!("{first} and {other} cannot be joined along axis {}: all other axes must be equal", self.axis)
            })?;
        }
        Ok(vec![TensorType { shape: dims.into(), dtype: first.dtype }])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let upstream = cx.upstream()?;
        let mut start = Dim::fixed(0);
        let mut gradients = Vec::new();
        for (i, input) in cx.inputs().iter().enumerate() {
            let length = input.shape().dims()[self.axis];
            let part = Slice { axis: self.axis, start, length };
            gradients.push(if cx.wants(i) { Some(cx.tracer().apply_one(part, &[upstream])?) } else { None });
            start = if i == 0 { length } else { start.plus(length).ok_or_else(|| cx.no_derivative())? };
        }
        Ok(gradients)
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        vec![Reference::from_fn(&cx.shapes[0], |index| {
            let mut index = index.to_vec();
            for input in cx.inputs {
                if index[self.axis] < input.shape[self.axis] {
                    return input.at(&index);
                }
                index[self.axis] -= input.shape[self.axis];
            }
            unreachable!("the output is as long as all inputs together")
        })]
    }

    fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &Extents) -> u64 {
        0
    }

    fn samples() -> Vec<Sample> {
        let u = |shape: &[usize], seed| uniform(shape, -1.0, 1.0, seed);
        vec![
            Sample::new(Concat { axis: 1 }, vec![u(&[3, 2], 1), u(&[3, 4], 2), u(&[3, 1], 3)])
                .batched(&[true, true, true]),
            Sample::new(Concat { axis: 0 }, vec![u(&[1, 5], 1), u(&[3, 5], 2)]),
            Sample::new(Concat { axis: 2 }, vec![u(&[2, 3, 1, 2], 1), u(&[2, 3, 4, 2], 2)]),
            Sample::new(Concat { axis: 1 }, vec![u(&[2, 0], 1), u(&[2, 3], 2)]),
            Sample::new(Concat { axis: 0 }, vec![u(&[4], 1)]),
        ]
    }
}

/// A range of one axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// The axis.
    pub axis: usize,
    /// First position; 0, or a multiple of the same symbols as the axis.
    pub start: Dim,
    /// Number of positions, a multiple of the same symbols as the axis.
    pub length: Dim,
}

impl Slice {
    /// A range of an axis of fixed length.
    pub fn fixed(axis: usize, start: usize, length: usize) -> Self {
        Slice { axis, start: Dim::fixed(start), length: Dim::fixed(length) }
    }

    /// What comes behind the range on an axis of this length; `None` if it does not reach that far.
    fn behind(&self, axis: Dim) -> Option<Dim> {
        let before = if self.start == Dim::fixed(0) { Some(axis) } else { axis.minus(self.start) };
        before?.minus(self.length)
    }
}

impl Operation for Slice {
    fn name(&self) -> String {
        "slice".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        let shape = &inputs[0].shape;
        if shape.dims().get(self.axis).and_then(|&axis| self.behind(axis)).is_none() {
            let end = match (self.start.as_fixed(), self.length.as_fixed()) {
                (Some(start), Some(length)) => start.saturating_add(length).to_string(),
                _ => format!("{} + {}", self.start, self.length),
            };
            return Err(format!("{shape} has no positions {}..{end} along axis {}", self.start, self.axis));
        }
        let mut dims = shape.dims().to_vec();
        dims[self.axis] = self.length;
        Ok(vec![TensorType { shape: dims.into(), dtype: inputs[0].dtype }])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let after = self.behind(cx.input(0).shape().dims()[self.axis]).ok_or_else(|| cx.no_derivative())?;
        let pad = Pad { axis: self.axis, before: self.start, after };
        Ok(vec![Some(cx.tracer().apply_one(pad, &[cx.upstream()?])?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        vec![Reference::from_fn(&cx.shapes[0], |index| {
            let mut index = index.to_vec();
            index[self.axis] += self.start.length(&cx.extents);
            cx.inputs[0].at(&index)
        })]
    }

    fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &Extents) -> u64 {
        0
    }

    fn samples() -> Vec<Sample> {
        let u = |shape: &[usize]| uniform(shape, -1.0, 1.0, 1);
        vec![
            Sample::new(Slice::fixed(1, 1, 2), vec![u(&[3, 4])]).batched(&[true]),
            Sample::new(Slice::fixed(0, 2, 3), vec![u(&[5, 3])]),
            Sample::new(Slice::fixed(1, 0, 3), vec![u(&[2, 3, 2, 2])]).batched(&[true]),
            Sample::new(Slice::fixed(0, 4, 0), vec![u(&[4])]),
            Sample::new(Slice::fixed(1, 3, 2), vec![bytes(&[3, 6], 1)]).without_gradient(),
        ]
    }
}

/// Zeros before and after along one axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Pad {
    /// The axis.
    pub axis: usize,
    /// Number of zeros in front; 0, or a multiple of the same symbols as the axis.
    pub before: Dim,
    /// Number of zeros behind; 0, or a multiple of the same symbols as the axis.
    pub after: Dim,
}

impl Pad {
    /// Zeros around an axis of fixed length.
    pub fn fixed(axis: usize, before: usize, after: usize) -> Self {
        Pad { axis, before: Dim::fixed(before), after: Dim::fixed(after) }
    }
}

impl Operation for Pad {
    fn name(&self) -> String {
        "pad".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        floating(inputs)?;
        let shape = &inputs[0].shape;
        let mut dims = shape.dims().to_vec();
        let add = |sum: Dim, more: Dim| if more == Dim::fixed(0) { Some(sum) } else { sum.plus(more) };
        let padded = dims.get(self.axis).and_then(|&axis| add(add(axis, self.before)?, self.after));
        dims[self.axis] = padded.ok_or_else(|| {
            format!("axis {} of {shape} cannot be made longer by {} and {}", self.axis, self.before, self.after)
        })?;
        Ok(vec![TensorType::f32(Shape::from(dims))])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let slice = Slice { axis: self.axis, start: self.before, length: cx.input(0).shape().dims()[self.axis] };
        Ok(vec![Some(cx.tracer().apply_one(slice, &[cx.upstream()?])?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let mut out = Reference::full(&cx.shapes[0], 0.0);
        let mut target = Vec::new();
        for_each_index(&cx.inputs[0].shape, |index| {
            target.clear();
            target.extend_from_slice(index);
            target[self.axis] += self.before.length(&cx.extents);
            let offset = out.offset(&target);
            out.data[offset] = cx.inputs[0].at(index);
        });
        vec![out]
    }

    fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &Extents) -> u64 {
        0
    }

    fn samples() -> Vec<Sample> {
        let u = |shape: &[usize]| uniform(shape, -1.0, 1.0, 1);
        vec![
            Sample::new(Pad::fixed(1, 1, 2), vec![u(&[3, 4])]).batched(&[true]),
            Sample::new(Pad::fixed(0, 0, 3), vec![u(&[2, 3])]),
            Sample::new(Pad::fixed(1, 2, 0), vec![u(&[2, 3, 2])]).batched(&[true]),
            Sample::new(Pad::fixed(0, 2, 1), vec![u(&[0])]),
        ]
    }
}

/// The run-time length of an axis, as a scalar: what a mean over the batch divides by.
#[derive(Debug, Clone, PartialEq)]
pub struct AxisLength {
    /// The length.
    pub dim: Dim,
}

impl Operation for AxisLength {
    fn name(&self) -> String {
        format!("length({})", self.dim)
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 0)?;
        Ok(vec![TensorType::f32(Shape::scalar())])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        vec![Reference::full(&[], self.dim.length(&cx.extents) as f64)]
    }

    fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &Extents) -> u64 {
        0
    }

    fn samples() -> Vec<Sample> {
        vec![Sample::new(AxisLength { dim: Dim::fixed(7) }, Vec::new()).without_gradient()]
    }
}

impl Tensor {
    /// The same elements under another shape.
    ///
    /// # Errors
    /// If the number of elements differs.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        if &shape == self.shape() {
            return Ok(self.clone());
        }
        self.tracer().apply_one(Reshape { shape }, &[self])
    }

    /// All axes but the first as one: `[batch, a, b]` becomes `[batch, a*b]`.
    ///
    /// # Errors
    /// If the tensor is a scalar.
    pub fn flatten(&self) -> Result<Tensor> {
        let dims = self.shape().dims();
        let Some((&batch, rest)) = dims.split_first() else {
            return Err(self.error("flatten", "a scalar has no axes".to_string()));
        };
        self.reshape(vec![batch, rest.iter().fold(Dim::fixed(1), |n, &d| n * d)])
    }

    /// Axes in another order: `order[i]` is the input axis that becomes output axis `i`.
    ///
    /// # Errors
    /// If `order` is not an order of the axes.
    pub fn permute(&self, order: &[usize]) -> Result<Tensor> {
        self.tracer().apply_one(Permute { order: order.to_vec() }, &[self])
    }

    /// Repeats axes of length 1, and adds axes in front.
    ///
    /// # Errors
    /// If the tensor does not broadcast to the shape.
    pub fn broadcast_to(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        if &shape == self.shape() {
            return Ok(self.clone());
        }
        self.tracer().apply_one(BroadcastTo { shape }, &[self])
    }

    /// `length` positions from `start` along an axis.
    ///
    /// # Errors
    /// If the axis is not that long.
    pub fn slice(&self, axis: usize, start: usize, length: usize) -> Result<Tensor> {
        self.tracer().apply_one(Slice::fixed(axis, start, length), &[self])
    }

    /// This tensor and others one after another along an axis.
    ///
    /// # Errors
    /// If any other axis differs.
    pub fn concat(&self, others: &[&Tensor], axis: usize) -> Result<Tensor> {
        let mut inputs = vec![self];
        inputs.extend_from_slice(others);
        self.tracer().apply_one(Concat { axis }, &inputs)
    }
}
