//! Rearrangements that are made of other operations: methods of [`Tensor`] alone.

use crate::error::Result;
use crate::shape::{Dim, Shape};
use crate::trace::Tensor;

impl Tensor {
    /// `value` where the mask is not 0, elsewhere this tensor, as PyTorch's `masked_fill`. The mask broadcasts.
    ///
    /// # Errors
    /// If the shapes do not broadcast.
    pub fn masked_fill(&self, mask: &Tensor, value: f32) -> Result<Tensor> {
        mask.select(&self.tracer().scalar(value), self)
    }

    /// The elements moved along an axis by `shift`, those beyond its end put in again at its beginning, as PyTorch's
    /// `roll`.
    ///
    /// # Errors
    /// If the axis does not exist or is not fixed.
    pub fn roll(&self, axis: usize, shift: isize) -> Result<Tensor> {
        let length = self.fixed_axis("roll", axis)?;
        let shift = if length == 0 { 0 } else { shift.rem_euclid(length as isize) as usize };
        if shift == 0 {
            return Ok(self.clone());
        }
        let tail = self.slice(axis, length - shift, shift)?;
        tail.concat(&[&self.slice(axis, 0, length - shift)?], axis)
    }

    /// This tensor and others of its shape along a new axis, as PyTorch's `stack`.
    ///
    /// # Errors
    /// If the shapes differ or there is no such place for an axis.
    pub fn stack(&self, others: &[&Tensor], axis: usize) -> Result<Tensor> {
        if let Some(other) = others.iter().find(|t| t.ty() != self.ty()) {
            return Err(self.error("stack", format!("{} and {} must be equal", self.ty(), other.ty())));
        }
        let own = self.unsqueeze(axis)?;
        let others = others.iter().map(|t| t.unsqueeze(axis)).collect::<Result<Vec<_>>>()?;
        own.concat(&others.iter().collect::<Vec<_>>(), axis)
    }

    /// The same elements with one more axis of length 1, as PyTorch's `unsqueeze`.
    ///
    /// # Errors
    /// If there is no such place for an axis.
    pub fn unsqueeze(&self, axis: usize) -> Result<Tensor> {
        let mut dims = self.shape().dims().to_vec();
        if axis > dims.len() {
            return Err(self.error("unsqueeze", format!("{} has no place for an axis {axis}", self.shape())));
        }
        dims.insert(axis, Dim::fixed(1));
        self.reshape(dims)
    }

    /// The same elements without an axis of length 1, as PyTorch's `squeeze` of one axis.
    ///
    /// # Errors
    /// If the axis is not of length 1.
    pub fn squeeze(&self, axis: usize) -> Result<Tensor> {
        let mut dims = self.shape().dims().to_vec();
        if !dims.get(axis).is_some_and(Dim::is_one) {
            return Err(self.error("squeeze", format!("axis {axis} of {} is not of length 1", self.shape())));
        }
        dims.remove(axis);
        self.reshape(dims)
    }

    /// The whole tensor several times along each axis, as PyTorch's `tile` and `repeat`; `times` names every axis.
    ///
    /// # Errors
    /// If there is not one number for each axis.
    pub fn tile(&self, times: &[usize]) -> Result<Tensor> {
        let dims = self.shape().dims();
        if times.len() != dims.len() {
            return Err(self.error("tile", format!("{times:?} must have one number for each axis of {}", self.shape())));
        }
        // Only axes that are repeated get a second axis in front, so that the rank stays small.
        let (mut split, mut repeated, mut joined) = (Vec::new(), Vec::new(), Vec::new());
        for (&dim, &n) in dims.iter().zip(times) {
            if n != 1 {
                split.push(Dim::fixed(1));
                repeated.push(Dim::fixed(n));
            }
            split.push(dim);
            repeated.push(dim);
            joined.push(Dim::fixed(n) * dim);
        }
        self.reshape(split)?.broadcast_to(Shape::from(repeated))?.reshape(joined)
    }

    /// Each element several times in a row along an axis, as PyTorch's `repeat_interleave`.
    ///
    /// # Errors
    /// If the axis does not exist.
    pub fn repeat_interleave(&self, axis: usize, times: usize) -> Result<Tensor> {
        let mut dims = self.shape().dims().to_vec();
        if axis >= dims.len() {
            return Err(self.error("repeat_interleave", format!("{} has no axis {axis}", self.shape())));
        }
        let mut repeated = dims.clone();
        repeated.insert(axis + 1, Dim::fixed(times));
        dims[axis] = dims[axis] * Dim::fixed(times);
        self.unsqueeze(axis + 1)?.broadcast_to(Shape::from(repeated))?.reshape(dims)
    }

    /// Parts of the given lengths along an axis, as PyTorch's `split` with a list.
    ///
    /// # Errors
    /// If the axis is not fixed or the lengths do not add up to its length.
    pub fn split(&self, axis: usize, lengths: &[usize]) -> Result<Vec<Tensor>> {
        let full = self.fixed_axis("split", axis)?;
        if lengths.iter().try_fold(0usize, |sum, &n| sum.checked_add(n)) != Some(full) {
            let problem = format!("{lengths:?} do not add up to the length {full} of axis {axis} of {}", self.shape());
            return Err(self.error("split", problem));
        }
        let mut start = 0;
        lengths
            .iter()
            .map(|&length| {
                start += length;
                self.slice(axis, start - length, length)
            })
            .collect()
    }

    /// At most `count` parts of equal length along an axis, the last perhaps shorter, as PyTorch's `chunk`.
    ///
    /// # Errors
    /// If the axis is not fixed or `count` is 0.
    pub fn chunk(&self, axis: usize, count: usize) -> Result<Vec<Tensor>> {
        let full = self.fixed_axis("chunk", axis)?;
        if count == 0 {
            return Err(self.error("chunk", "0 parts cannot be made".to_string()));
        }
        let each = full.div_ceil(count).max(1);
        let lengths: Vec<usize> = (0..full).step_by(each).map(|start| each.min(full - start)).collect();
        self.split(axis, &lengths)
    }

    fn fixed_axis(&self, operation: &str, axis: usize) -> Result<usize> {
        let problem = || self.error(operation, format!("{} has no axis {axis} of fixed length", self.shape()));
        self.shape().fixed(axis).ok_or_else(problem)
    }
}
