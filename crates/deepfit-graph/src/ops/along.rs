//! What works along the last axis, along any: the axis goes last and comes back.

use crate::error::Result;
use crate::trace::Tensor;

impl Tensor {
    /// Applies `f`, which works along the last axis, along another one. Results have the axis where it was, perhaps with
    /// another length.
    ///
    /// # Errors
    /// If the axis does not exist; those of `f`.
    fn along<const N: usize>(
        &self,
        operation: &str,
        axis: usize,
        f: impl FnOnce(&Tensor) -> Result<[Tensor; N]>,
    ) -> Result<[Tensor; N]> {
        let rank = self.shape().rank();
        if axis >= rank {
            return Err(self.error(operation, format!("{} has no axis {axis}", self.shape())));
        }
        if axis + 1 == rank {
            return f(self);
        }
        let order: Vec<usize> = (0..rank).filter(|&a| a != axis).chain([axis]).collect();
        let mut back: Vec<usize> = (0..rank - 1).collect();
        back.insert(axis, rank - 1);
        let mut results = f(&self.permute(&order)?)?;
        for result in &mut results {
            *result = result.permute(&back)?;
        }
        Ok(results)
    }

    /// [`Tensor::softmax`] along any axis.
    ///
    /// # Errors
    /// If the axis does not exist.
    pub fn softmax_along(&self, axis: usize) -> Result<Tensor> {
        self.along("softmax", axis, |x| Ok([x.softmax()?])).map(|[y]| y)
    }

    /// [`Tensor::log_softmax`] along any axis.
    ///
    /// # Errors
    /// If the axis does not exist.
    pub fn log_softmax_along(&self, axis: usize) -> Result<Tensor> {
        self.along("log_softmax", axis, |x| Ok([x.log_softmax()?])).map(|[y]| y)
    }

    /// [`Tensor::topk`] along any axis: values and positions have `k` elements along it.
    ///
    /// # Errors
    /// If the axis does not exist, is shorter than `k` or not fixed.
    pub fn topk_along(&self, axis: usize, k: usize, largest: bool) -> Result<(Tensor, Tensor)> {
        let found = self.along("topk", axis, |x| x.topk(k, largest).map(|(values, places)| [values, places]));
        found.map(|[values, places]| (values, places))
    }

    /// [`Tensor::sort`] along any axis.
    ///
    /// # Errors
    /// If the axis does not exist or is not fixed.
    pub fn sort_along(&self, axis: usize, descending: bool) -> Result<(Tensor, Tensor)> {
        let found = self.along("sort", axis, |x| x.sort(descending).map(|(values, places)| [values, places]));
        found.map(|[values, places]| (values, places))
    }

    /// [`Tensor::argmax`] along any axis, which goes.
    ///
    /// # Errors
    /// If the axis does not exist, is empty or not fixed.
    pub fn argmax_along(&self, axis: usize) -> Result<Tensor> {
        self.topk_along(axis, 1, true)?.1.squeeze(axis)
    }
}
