//! Pooling by a norm.

use super::{Divisor, Window};
use crate::error::Result;
use crate::ops::UnaryKind;
use crate::trace::Tensor;

impl Tensor {
    /// The norm `(sum of x^p)^(1/p)` of each window of NHWC images, as PyTorch's `LPPool2d`: the sum for `p = 1`, and ever
    /// nearer to the maximum for larger `p`. Where the sum is 0 the gradient is. A last window that hangs over the image
    /// counts as if it were whole.
    ///
    /// # Errors
    /// If the window does not fit or has a border or dilation, or `p` is 0 or not finite.
    pub fn lp_pool2d(&self, window: Window, p: f32) -> Result<Tensor> {
        let wrong = |problem: String| Err(self.error("lp_pool2d", problem));
        if !p.is_finite() || p == 0.0 {
            return wrong(format!("the power {p} must be finite and not 0"));
        }
        if window.padding != (0, 0) || window.dilation != (1, 1) {
            return wrong(format!("its windows have no padding and no dilation, but {window:?} has"));
        }
        let means = self.powf(p)?.avg_pool2d_by(window, Divisor::WithBorder)?;
        // Where a mean is 0, the rectifier ends the gradient, which there would be infinite.
        let means = means.unary(UnaryKind::Sign)?.mul(&means.abs()?.relu()?)?;
        let taps = window.size.0 as f32 * window.size.1 as f32;
        means.mul_scalar(taps)?.powf(1.0 / p)
    }
}
