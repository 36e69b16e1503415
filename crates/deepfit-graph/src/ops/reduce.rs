//! Reductions over axes.

use super::{arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::{Reference, for_each_index};
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, distinct, uniform};
use crate::shape::{Dim, Extents, Shape, TensorType};
use crate::trace::Tensor;

use super::shape::AxisLength;

/// How elements are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReduceKind {
    /// Sum; 0 of nothing.
    Sum,
    /// Mean; NaN of nothing.
    Mean,
    /// Largest; NaN if any is NaN, minus infinity of nothing. Equal largest elements share the gradient.
    Max,
    /// Sum of squares; 0 of nothing.
    SumSquares,
}

/// Combines the elements along some axes, which stay with length 1 or go.
#[derive(Debug, Clone, PartialEq)]
pub struct Reduce {
    /// How.
    pub kind: ReduceKind,
    /// Axes, ascending.
    pub axes: Vec<usize>,
    /// Whether the axes stay, with length 1.
    pub keep: bool,
}

impl Reduce {
    fn kept_shape(&self, shape: &Shape) -> Shape {
        let one = |(i, &d): (usize, &Dim)| if self.axes.contains(&i) { Dim::fixed(1) } else { d };
        shape.dims().iter().enumerate().map(one).collect::<Vec<_>>().into()
    }
}

impl Operation for Reduce {
    fn name(&self) -> String {
        format!("{:?}", self.kind).to_lowercase()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        floating(inputs)?;
        let shape = &inputs[0].shape;
        if !self.axes.is_sorted_by(|a, b| a < b) || self.axes.iter().any(|&a| a >= shape.rank()) {
            return Err(format!("{:?} are not axes of {shape} in ascending order", self.axes));
        }
        let kept = self.kept_shape(shape);
        let dims = kept.dims().iter().enumerate().filter(|(i, _)| self.keep || !self.axes.contains(i));
        Ok(vec![TensorType::f32(Shape::from(dims.map(|(_, &d)| d).collect::<Vec<_>>()))])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let x = cx.input(0);
        let kept = self.kept_shape(x.shape());
        let upstream = cx.upstream()?.reshape(kept.clone())?;
        let gradient = match self.kind {
            ReduceKind::Sum => upstream.broadcast_to(x.shape().clone())?,
            ReduceKind::SumSquares => x.mul(&upstream.mul_scalar(2.0)?)?,
            ReduceKind::Mean => {
                let dims = x.shape().dims();
                let count = self.axes.iter().fold(Dim::fixed(1), |n, &a| n * dims[a]);
                upstream.div(&x.length_of(count)?)?.broadcast_to(x.shape().clone())?
            }
            ReduceKind::Max => {
                let largest = cx.output(0).reshape(kept)?;
                let winners = x.equal(&largest)?;
                let ties = winners.reduce(ReduceKind::Sum, &self.axes, true)?;
                winners.mul(&upstream.div(&ties)?)?
            }
        };
        Ok(vec![Some(gradient)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let x = cx.inputs[0];
        let kept: Vec<usize> =
            x.shape.iter().enumerate().map(|(i, &n)| if self.axes.contains(&i) { 1 } else { n }).collect();
        let start = if self.kind == ReduceKind::Max { f64::NEG_INFINITY } else { 0.0 };
        let mut out = Reference::full(&kept, start);
        for_each_index(&x.shape, |index| {
            let target: Vec<usize> =
                index.iter().enumerate().map(|(i, &p)| if self.axes.contains(&i) { 0 } else { p }).collect();
            let (target, value) = (out.offset(&target), x.at(index));
            let sum = &mut out.data[target];
            match self.kind {
                ReduceKind::Sum | ReduceKind::Mean => *sum += value,
                ReduceKind::SumSquares => *sum += value * value,
                ReduceKind::Max if value.is_nan() || sum.is_nan() => *sum = f64::NAN,
                ReduceKind::Max => *sum = sum.max(value),
            }
        });
        if self.kind == ReduceKind::Mean {
            let count: usize = self.axes.iter().map(|&a| x.shape[a]).product();
            out.data.iter_mut().for_each(|v| *v /= count as f64);
        }
        vec![Reference::new(&cx.shapes[0], out.data)]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        inputs[0].shape.count(extents) as u64
    }

    fn samples() -> Vec<Sample> {
        use ReduceKind::*;
        let mut samples = Vec::new();
        let cases: [(&[usize], &[usize]); 9] = [
            (&[4, 6], &[1]),
            (&[4, 6], &[0]),
            (&[4, 6], &[0, 1]),
            (&[2, 3, 4], &[1]),
            (&[2, 3, 4, 2], &[1, 2]),
            (&[2, 3, 4], &[0, 2]),
            (&[5], &[0]),
            (&[3, 4], &[]),
            (&[2, 2, 1, 2, 3, 2, 2, 2], &[1, 3, 5, 7]),
        ];
        for kind in [Sum, Mean, Max, SumSquares] {
            for (i, (shape, axes)) in cases.into_iter().enumerate() {
                let op = Reduce { kind, axes: axes.to_vec(), keep: i % 2 == 0 };
                let sample = Sample::new(op, vec![distinct(shape, 0.11, 1)]).tolerance(4e-6);
                samples.push(if axes.contains(&0) && kind == Max { sample } else { sample.batched(&[true]) });
            }
        }
        for (shape, axes) in [(&[257, 33][..], &[0][..]), (&[33, 1025], &[1]), (&[20_000], &[0]), (&[0, 3], &[1])] {
            for kind in [Sum, Mean, Max, SumSquares] {
                let op = Reduce { kind, axes: axes.to_vec(), keep: false };
                samples.push(Sample::new(op, vec![uniform(shape, -1.0, 1.0, 2)]).without_gradient());
            }
        }
        let nothing = Reduce { kind: Sum, axes: vec![0], keep: false };
        samples.push(Sample::new(nothing, vec![uniform(&[0, 3], -1.0, 1.0, 2)]).without_gradient());
        samples
    }
}

impl Tensor {
    /// Combines the elements along `axes` (ascending), which stay with length 1 if `keep`.
    ///
    /// # Errors
    /// If an axis does not exist.
    pub fn reduce(&self, kind: ReduceKind, axes: &[usize], keep: bool) -> Result<Tensor> {
        self.tracer().apply_one(Reduce { kind, axes: axes.to_vec(), keep }, &[self])
    }

    /// Sum of all elements, a scalar.
    ///
    /// # Errors
    /// If the tensor is not floating point.
    pub fn sum(&self) -> Result<Tensor> {
        self.reduce(ReduceKind::Sum, &(0..self.shape().rank()).collect::<Vec<_>>(), false)
    }

    /// Mean of all elements, a scalar.
    ///
    /// # Errors
    /// If the tensor is not floating point.
    pub fn mean(&self) -> Result<Tensor> {
        self.reduce(ReduceKind::Mean, &(0..self.shape().rank()).collect::<Vec<_>>(), false)
    }

    /// Sums over the axes along which `shape` was repeated to become this tensor's shape.
    ///
    /// # Errors
    /// If `shape` does not broadcast to this tensor's shape.
    pub fn sum_to(&self, shape: &Shape) -> Result<Tensor> {
        if self.shape() == shape {
            return Ok(self.clone());
        }
        if self.shape().broadcast(shape).as_ref() != Some(self.shape()) {
            return Err(self.error("sum_to", format!("{shape} does not broadcast to {}", self.shape())));
        }
        let axes = shape.repeated_axes(self.shape());
        self.reduce(ReduceKind::Sum, &axes, false)?.reshape(shape.clone())
    }

    /// A scalar holding the run-time value of a length.
    ///
    /// # Errors
    /// Never, at present.
    pub fn length_of(&self, dim: Dim) -> Result<Tensor> {
        match dim.as_fixed() {
            Some(length) => Ok(self.tracer().scalar(length as f32)),
            None => self.tracer().apply_one(AxisLength { dim }, &[]),
        }
    }
}
