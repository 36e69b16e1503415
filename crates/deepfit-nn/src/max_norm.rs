//! Tables whose rows are scaled down where their norm is too large.

use deepfit_graph::Tensor;
use deepfit_graph::ops::ReduceKind;

use crate::error::{Result, require};

/// A limit of the norms of a table's rows, as `max_norm` and `norm_type` of PyTorch's `Embedding`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaxNorm {
    /// The largest norm, above 0.
    pub max_norm: f32,
    /// Which norm, above 0: 2, the Euclidean one, is PyTorch's default; infinite for the largest element.
    pub norm_type: f32,
}

impl MaxNorm {
    /// A limit of the Euclidean norm.
    pub fn euclidean(max_norm: f32) -> Self {
        MaxNorm { max_norm, norm_type: 2.0 }
    }

    /// Checks the settings of the layer `place`.
    pub(crate) fn validate(&self, place: &str) -> Result<()> {
        for (setting, value) in [("max_norm", self.max_norm), ("norm_type", self.norm_type)] {
            require(value > 0.0, place, setting, || format!("is {value}, but must be above 0"))?;
        }
        Ok(())
    }

    /// Rows `[..., width]`, those scaled down whose norm is above the limit. No gradient passes.
    pub(crate) fn scaled(&self, rows: &Tensor) -> Result<Tensor> {
        let rows = rows.stop_gradient()?;
        let Some(last) = rows.shape().rank().checked_sub(1) else {
            return Err(rows.error("max_norm", "a scalar has no rows".to_string()).into());
        };
        let size = if self.norm_type == 2.0 {
            rows.reduce(ReduceKind::SumSquares, &[last], true)?.sqrt()?
        } else if self.norm_type == f32::INFINITY {
            rows.abs()?.reduce(ReduceKind::Max, &[last], true)?
        } else {
            let sum = rows.abs()?.powf(self.norm_type)?.reduce(ReduceKind::Sum, &[last], true)?;
            sum.powf(1.0 / self.norm_type)?
        };
        let (limit, one) = (rows.tracer().scalar(self.max_norm), rows.tracer().scalar(1.0));
        let factor = limit.div(&size.add_scalar(1e-7)?)?;
        Ok(rows.mul(&size.greater(&limit)?.select(&factor, &one)?)?)
    }
}
