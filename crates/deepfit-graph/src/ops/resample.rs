//! Weighted sums of positions along one axis: what padding by repetition and interpolation are made of.

use std::sync::Arc;

use super::{arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, uniform};
use crate::shape::{Dim, Extents, Shape, TensorType};
use crate::trace::Tensor;

/// Longest axis that a matrix is made for: the matrix is part of the graph, and must fit into memory beside it.
pub(super) const MOST_TAPS: usize = 1 << 26;

/// A sparse matrix: for each output position, input positions and their weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Taps {
    inputs: usize,
    starts: Vec<usize>,
    taps: Vec<(usize, f64)>,
}

impl Taps {
    /// A matrix for an axis of length `inputs` from its rows; a position may occur in a row more than once.
    ///
    /// # Panics
    /// If a row names a position that there is not.
    pub fn new(inputs: usize, rows: impl IntoIterator<Item = Vec<(usize, f64)>>) -> Self {
        let (mut starts, mut taps) = (vec![0], Vec::new());
        for row in rows {
            assert!(row.iter().all(|&(from, _)| from < inputs), "a tap lies outside of the {inputs} positions");
            taps.extend(row);
            starts.push(taps.len());
        }
        Taps { inputs, starts, taps }
    }

    /// Length of the axis that is read.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Length of the axis that results.
    pub fn outputs(&self) -> usize {
        self.starts.len() - 1
    }

    /// Positions and weights that an output position sums.
    pub fn row(&self, output: usize) -> &[(usize, f64)] {
        &self.taps[self.starts[output]..self.starts[output + 1]]
    }

    fn transposed(&self) -> Taps {
        let mut rows = vec![Vec::new(); self.inputs];
        for output in 0..self.outputs() {
            for &(from, weight) in self.row(output) {
                rows[from].push((output, weight));
            }
        }
        Taps::new(self.outputs(), rows)
    }
}

/// Each position of an axis becomes a weighted sum of positions; an empty sum is 0.
///
/// Its derivative is the same operation with the matrix transposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Resample {
    /// The axis, of fixed length.
    pub axis: usize,
    /// The matrix.
    pub taps: Arc<Taps>,
}

impl Operation for Resample {
    fn name(&self) -> String {
        "resample".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        floating(inputs)?;
        let shape = &inputs[0].shape;
        if shape.fixed(self.axis) != Some(self.taps.inputs) {
            return Err(format!("axis {} of {shape} must have length {}", self.axis, self.taps.inputs));
        }
        let mut dims = shape.dims().to_vec();
        dims[self.axis] = Dim::fixed(self.taps.outputs());
        Ok(vec![TensorType::f32(Shape::from(dims))])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let op = Resample { axis: self.axis, taps: Arc::new(self.taps.transposed()) };
        Ok(vec![Some(cx.tracer().apply_one(op, &[cx.upstream()?])?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let mut source = Vec::new();
        vec![Reference::from_fn(&cx.shapes[0], |index| {
            source.clear();
            source.extend_from_slice(index);
            let value = |&(from, weight): &(usize, f64)| {
                source[self.axis] = from;
                weight * cx.inputs[0].at(&source)
            };
            self.taps.row(index[self.axis]).iter().map(value).sum()
        })]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        let others = inputs[0].shape.count(extents) / self.taps.inputs.max(1);
        (2 * others * self.taps.taps.len()) as u64
    }

    fn samples() -> Vec<Sample> {
        let sample = |shape: &[usize], axis: usize, rows: Vec<Vec<(usize, f64)>>| {
            let taps = Arc::new(Taps::new(shape[axis], rows));
            Sample::new(Resample { axis, taps }, vec![uniform(shape, -1.0, 1.0, 1)]).non_finite_may_spread()
        };
        // Single taps, an empty row, several taps, one twice.
        let mixed = || {
            vec![
                vec![(2, 1.0)],
                vec![],
                vec![(0, 0.25), (2, -0.75), (1, 1.5)],
                vec![(1, 1.0)],
                vec![(0, 0.5), (0, 0.5)],
            ]
        };
        vec![
            sample(&[2, 3, 4], 1, mixed()).batched(&[true]),
            sample(&[3, 2], 0, mixed()),
            sample(&[2, 3], 1, mixed()).batched(&[true]),
            sample(&[2, 2, 3, 2], 2, mixed()).batched(&[true]),
            sample(&[5, 3, 33], 1, mixed()).batched(&[true]).without_gradient(),
            sample(&[2, 3, 70, 17], 1, mixed()).batched(&[true]).without_gradient(),
            sample(&[0, 3, 4], 1, mixed()).without_gradient(),
            sample(&[2, 3, 0], 1, mixed()).without_gradient(),
            sample(&[2, 3], 1, Vec::new()).without_gradient(),
        ]
    }
}

impl Tensor {
    /// Weighted sums of positions along an axis.
    ///
    /// # Errors
    /// If the axis has not the length that the matrix is for.
    pub fn resample(&self, axis: usize, taps: Taps) -> Result<Tensor> {
        self.tracer().apply_one(Resample { axis, taps: Arc::new(taps) }, &[self])
    }
}
