//! Largest elements, running sums and reversal along an axis.

use std::cmp::Ordering;

use super::index::ScatterAdd;
use super::{arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::{HostTensor, Reference, for_each_index};
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, distinct, uniform};
use crate::shape::{DType, Dim, Extents, Shape, TensorType};
use crate::trace::Tensor;

/// The `k` largest (or smallest) elements of each row, in order, and their positions: values f32 and indices i32, both
/// `[..., k]`.
///
/// Of equal elements the one of lowest index comes first. NaN counts as larger than every number, as in PyTorch.
#[derive(Debug, Clone, PartialEq)]
pub struct TopK {
    /// How many, at most the length of the last axis.
    pub k: usize,
    /// Whether the largest are wanted, in descending order; otherwise the smallest, in ascending order.
    pub largest: bool,
}

/// Order of two elements, where NaN is larger than every number.
fn compare(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

impl Operation for TopK {
    fn name(&self) -> String {
        format!("topk({})", self.k)
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        floating(inputs)?;
        let shape = &inputs[0].shape;
        let mut dims = shape.dims().to_vec();
        let Some(last) = dims.last_mut() else { return Err("a scalar has no last axis".to_string()) };
        match last.as_fixed() {
            Some(n) if n > i32::MAX as usize => {
                return Err(format!("the last axis of {shape} has more positions than an i32 can number"));
            }
            Some(n) if self.k <= n => {}
            _ => return Err(format!("the last axis of {shape} must have a fixed length of at least {}", self.k)),
        }
        *last = Dim::fixed(self.k);
        let shape = Shape::from(dims);
        Ok(vec![TensorType::f32(shape.clone()), TensorType { shape, dtype: DType::I32 }])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let shape = cx.input(0).shape();
        let axis = shape.rank() - 1;
        let op = ScatterAdd { axis, length: shape.dims()[axis] };
        Ok(vec![Some(cx.tracer().apply_one(op, &[cx.output(1), cx.upstream()?])?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let x = cx.inputs[0];
        let n = x.shape.last().copied().unwrap_or(1);
        let (mut values, mut indices) = (Vec::new(), Vec::new());
        for row in x.data.chunks(n.max(1)) {
            let mut order: Vec<usize> = (0..n).collect();
            // A stable sort: equal elements stay in the order of their indices.
            order.sort_by(|&a, &b| if self.largest { compare(row[b], row[a]) } else { compare(row[a], row[b]) });
            order.truncate(self.k);
            values.extend(order.iter().map(|&i| row[i]));
            indices.extend(order.iter().map(|&i| i as f64));
        }
        vec![Reference::new(&cx.shapes[0], values), Reference::new(&cx.shapes[1], indices)]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        inputs[0].shape.count(extents) as u64
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for (shape, k) in [(&[3, 5][..], 2), (&[3, 5], 1), (&[2, 3, 4], 4), (&[9], 0), (&[6], 6)] {
            for largest in [true, false] {
                let sample = Sample::new(TopK { k, largest }, vec![distinct(shape, 0.13, 1)]);
                samples.push(if shape.len() > 1 { sample.batched(&[true]) } else { sample });
            }
        }
        for largest in [true, false] {
            for (shape, k) in [([4, 1000], 7), ([3, 777], 777), ([0, 5], 2)] {
                let op = TopK { k, largest };
                samples.push(Sample::new(op, vec![uniform(&shape, -1.0, 1.0, 2)]).without_gradient());
            }
            // Many equal elements: the lowest indices win.
            let ties = HostTensor::f32(&[2, 8], [1.0, 0.0, 1.0, -1.0].repeat(4));
            samples.push(Sample::new(TopK { k: 5, largest }, vec![ties]).without_gradient());
        }
        samples
    }
}

/// Sums of all elements up to each along an axis, or from each on.
#[derive(Debug, Clone, PartialEq)]
pub struct CumSum {
    /// The axis.
    pub axis: usize,
    /// Whether the sums begin at the end of the axis.
    pub reverse: bool,
}

impl Operation for CumSum {
    fn name(&self) -> String {
        "cumsum".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        floating(inputs)?;
        if self.axis >= inputs[0].shape.rank() {
            return Err(format!("{} has no axis {}", inputs[0].shape, self.axis));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let op = CumSum { axis: self.axis, reverse: !self.reverse };
        Ok(vec![Some(cx.tracer().apply_one(op, &[cx.upstream()?])?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let x = cx.inputs[0];
        let n = x.shape[self.axis];
        vec![Reference::from_fn(&x.shape, |index| {
            let mut at = index.to_vec();
            let (from, to) = if self.reverse { (index[self.axis], n) } else { (0, index[self.axis] + 1) };
            let mut sum = 0.0;
            for i in from..to {
                at[self.axis] = i;
                sum += x.at(&at);
            }
            sum
        })]
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for reverse in [false, true] {
            for (shape, axis) in [(&[3, 5][..], 1), (&[3, 5], 0), (&[2, 3, 4], 1), (&[6], 0), (&[2, 0], 1)] {
                let sample = Sample::new(CumSum { axis, reverse }, vec![uniform(shape, -1.0, 1.0, 1)]);
                samples.push(if axis > 0 { sample.batched(&[true]) } else { sample });
            }
            for (shape, axis) in [(&[3, 4000][..], 1), (&[70, 35], 0), (&[2, 100, 17], 1)] {
                let sample = Sample::new(CumSum { axis, reverse }, vec![uniform(shape, -1.0, 1.0, 2)]);
                samples.push(sample.without_gradient());
            }
        }
        samples
    }
}

/// The elements along an axis in the opposite order.
#[derive(Debug, Clone, PartialEq)]
pub struct Flip {
    /// The axis.
    pub axis: usize,
}

impl Operation for Flip {
    fn name(&self) -> String {
        "flip".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        if self.axis >= inputs[0].shape.rank() {
            return Err(format!("{} has no axis {}", inputs[0].shape, self.axis));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(cx.upstream()?.flip(self.axis)?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let x = cx.inputs[0];
        let mut out = x.clone();
        for_each_index(&x.shape, |index| {
            let mut from = index.to_vec();
            from[self.axis] = x.shape[self.axis] - 1 - index[self.axis];
            let offset = out.offset(index);
            out.data[offset] = x.at(&from);
        });
        vec![out]
    }

    fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &Extents) -> u64 {
        0
    }

    fn samples() -> Vec<Sample> {
        let u = |shape: &[usize]| uniform(shape, -1.0, 1.0, 1);
        vec![
            Sample::new(Flip { axis: 1 }, vec![u(&[3, 5])]).batched(&[true]),
            Sample::new(Flip { axis: 0 }, vec![u(&[4, 3])]),
            Sample::new(Flip { axis: 1 }, vec![u(&[2, 3, 4])]).batched(&[true]),
            Sample::new(Flip { axis: 0 }, vec![u(&[0])]),
            Sample::new(Flip { axis: 1 }, vec![crate::sample::bytes(&[2, 3, 5], 1)]).without_gradient(),
            Sample::new(Flip { axis: 1 }, vec![u(&[300, 70])]).without_gradient(),
        ]
    }
}

impl Tensor {
    /// The `k` largest elements of each row in descending order, or the `k` smallest in ascending order, and their
    /// positions i32; both `[..., k]`. Of equal elements the one of lowest index comes first.
    ///
    /// # Errors
    /// If the last axis is shorter than `k` or not fixed.
    pub fn topk(&self, k: usize, largest: bool) -> Result<(Tensor, Tensor)> {
        let mut outputs = self.tracer().apply(TopK { k, largest }, &[self])?;
        let indices = outputs.swap_remove(1);
        Ok((outputs.swap_remove(0), indices))
    }

    /// Each row in order, and where each element stood before; equal elements keep their order.
    ///
    /// # Errors
    /// If the last axis is not fixed.
    pub fn sort(&self, descending: bool) -> Result<(Tensor, Tensor)> {
        let last = self.shape().rank().checked_sub(1).and_then(|axis| self.shape().fixed(axis));
        let length =
            last.ok_or_else(|| self.error("sort", format!("the last axis of {} is not fixed", self.shape())))?;
        self.topk(length, descending)
    }

    /// Position i32 of the largest element of each row, the lowest of several: `[..., n]` becomes `[...]`.
    ///
    /// # Errors
    /// If the last axis is empty or not fixed.
    pub fn argmax(&self) -> Result<Tensor> {
        let (_, indices) = self.topk(1, true)?;
        let dims = self.shape().dims();
        indices.reshape(dims[..dims.len() - 1].to_vec())
    }

    /// Sums of all elements up to each along an axis, as PyTorch's `cumsum`.
    ///
    /// # Errors
    /// If the axis does not exist.
    pub fn cumsum(&self, axis: usize) -> Result<Tensor> {
        self.tracer().apply_one(CumSum { axis, reverse: false }, &[self])
    }

    /// The elements along an axis in the opposite order, as PyTorch's `flip` of one axis.
    ///
    /// # Errors
    /// If the axis does not exist.
    pub fn flip(&self, axis: usize) -> Result<Tensor> {
        self.tracer().apply_one(Flip { axis }, &[self])
    }
}
