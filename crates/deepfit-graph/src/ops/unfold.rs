//! Windows of images as rows, and images as the sum of such windows.

use super::{Conv2dAttributes, Conv2dInputGrad};
use crate::error::Result;
use crate::host::HostTensor;
use crate::shape::Shape;
use crate::trace::Tensor;

/// Most numbers of the filters that pick the taps of windows.
const MOST_NUMBERS: usize = 1 << 26;

impl Tensor {
    /// Depth-wise filters `[channels * taps, 1, height, width]` that each pick one tap of a window.
    fn one_tap_filters(&self, operation: &str, channels: usize, (height, width): (usize, usize)) -> Result<Tensor> {
        let taps = height.saturating_mul(width);
        let count = channels.saturating_mul(taps).saturating_mul(taps);
        if count > MOST_NUMBERS {
            let problem =
                format!("windows of {height}x{width} are too large for {channels} channels of {}", self.shape());
            return Err(self.error(operation, problem));
        }
        let one_tap = |i: usize| if i / taps % taps == i % taps { 1.0 } else { 0.0 };
        let filters = HostTensor::f32(&[channels * taps, 1, height, width], (0..count).map(one_tap).collect());
        Ok(self.tracer().constant(filters))
    }

    /// Windows of NHWC images as rows `[batch, windows, channels * height * width]`, as PyTorch's `Unfold` with channels
    /// last: each row in the order of `channels, height, width`. Groups have no meaning.
    ///
    /// # Errors
    /// If the window does not fit.
    pub fn unfold2d(&self, kernel: (usize, usize), attributes: Conv2dAttributes) -> Result<Tensor> {
        let (4, Some(channels)) = (self.shape().rank(), self.shape().fixed(3)) else {
            let problem = format!("images must be [batch, height, width, channels], not {}", self.shape());
            return Err(self.error("unfold", problem));
        };
        let filters = self.one_tap_filters("unfold", channels, kernel)?;
        let windows = self.conv2d(&filters, Conv2dAttributes { groups: channels, ..attributes })?;
        let &[batch, rows, columns, values] = windows.shape().dims() else {
            unreachable!("a convolution gives images");
        };
        windows.reshape(vec![batch, rows * columns, values])
    }

    /// NHWC images of the given height and width, each pixel the sum of what the rows of
    /// `[batch, windows, channels * height * width]` say of it: the transpose of [`Tensor::unfold2d`], as PyTorch's `Fold`.
    ///
    /// # Errors
    /// If there is not one row for each window, or its length is no multiple of the window's size.
    pub fn fold2d(&self, size: (usize, usize), kernel: (usize, usize), attributes: Conv2dAttributes) -> Result<Tensor> {
        let taps = kernel.0.saturating_mul(kernel.1);
        let wrong = |problem: String| Err(self.error("fold", problem));
        let (&[batch, windows, width], Some(values)) = (self.shape().dims(), self.shape().fixed(2)) else {
            return wrong(format!("rows must be [batch, windows, channels * height * width], not {}", self.shape()));
        };
        if taps == 0 || values % taps != 0 {
            return wrong(format!("rows {} are no channels of windows of {}x{}", self.shape(), kernel.0, kernel.1));
        }
        let Some((rows, columns)) = attributes.output_size(size, kernel) else {
            let (Conv2dAttributes { padding, dilation, .. }, (h, w)) = (attributes, size);
            return wrong(format!(
                "a window of {}x{} with dilation {dilation:?} does not fit into images of {h}x{w} with padding {padding:?}",
                kernel.0, kernel.1
            ));
        };
        if windows.as_fixed() != rows.checked_mul(columns) {
            return wrong(format!(
                "rows {} must be {rows}x{columns}, one for each window of an image of {}x{}",
                self.shape(),
                size.0,
                size.1
            ));
        }
        let channels = values / taps;
        let filters = self.one_tap_filters("fold", channels, kernel)?;
        let image = Shape::from(vec![batch, size.0.into(), size.1.into(), channels.into()]);
        let op = Conv2dInputGrad { attributes: Conv2dAttributes { groups: channels, ..attributes }, image };
        let windows = self.reshape(vec![batch, rows.into(), columns.into(), width])?;
        self.tracer().apply_one(op, &[&windows, &filters])
    }
}
