//! Transposed convolution, built from the gradient of the convolution that it is the transpose of.

use super::shape::Pad;
use super::{Conv2dAttributes, Conv2dInputGrad};
use crate::error::Result;
use crate::trace::Tensor;

/// Geometry of a transposed convolution; pairs are (vertical, horizontal).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ConvTranspose2dAttributes {
    /// Geometry of the convolution whose transpose it is: each input pixel is spread over a window of the output, and
    /// `padding` cuts pixels off the output's border.
    pub conv: Conv2dAttributes,
    /// Rows and columns added below and at the right of the output; less than stride or dilation.
    pub output_padding: (usize, usize),
}

impl ConvTranspose2dAttributes {
    /// Height and width of the output for those of the input and the kernel; `None` if nothing is left of it.
    pub fn output_size(&self, image: (usize, usize), kernel: (usize, usize)) -> Option<(usize, usize)> {
        let length = |n: usize, k: usize, stride: usize, padding: usize, dilation: usize, more: usize| {
            let taps = dilation.checked_mul(k.checked_sub(1)?)?.checked_add(1)?;
            let spread = n.checked_sub(1)?.checked_mul(stride)?.checked_add(taps)?.checked_add(more)?;
            spread.checked_sub(padding.checked_mul(2)?).filter(|&n| n > 0)
        };
        let Conv2dAttributes { stride, padding, dilation, .. } = self.conv;
        let more = self.output_padding;
        Some((
            length(image.0, kernel.0, stride.0, padding.0, dilation.0, more.0)?,
            length(image.1, kernel.1, stride.1, padding.1, dilation.1, more.1)?,
        ))
    }
}

impl Tensor {
    /// 2-D transposed convolution of images `[batch, height, width, in]` with weights `[in, out / groups, height,
    /// width]`.
    ///
    /// # Errors
    /// If the shapes do not fit, if nothing is left of the output, or if `output_padding` is neither less than the stride
    /// nor less than the dilation.
    pub fn conv_transpose2d(&self, weight: &Tensor, attributes: ConvTranspose2dAttributes) -> Result<Tensor> {
        let wrong = |problem| Err(self.error("conv_transpose2d", problem));
        let (image, kernel) = (self.shape(), weight.shape());
        let Conv2dAttributes { stride, padding, dilation, groups } = attributes.conv;
        let fixed = |axis| image.fixed(axis);
        let (Some(h), Some(w), Some(c), 4) = (fixed(1), fixed(2), fixed(3), image.rank()) else {
            return wrong(format!("images must be [batch, height, width, channels], not {image}"));
        };
        let lengths: Vec<usize> = (0..4).filter_map(|axis| kernel.fixed(axis)).collect();
        let (&[inputs, outputs, kh, kw], 4) = (&lengths[..], kernel.rank()) else {
            return wrong(format!("weights must be [in, out / groups, height, width], not {kernel}"));
        };
        if stride.0 == 0 || stride.1 == 0 || dilation.0 == 0 || dilation.1 == 0 {
            return wrong("stride and dilation must be at least 1".to_string());
        }
        if groups == 0 || c % groups != 0 || inputs != c {
            return wrong(format!("{groups} groups of weights {kernel} do not fit images {image} with {c} channels"));
        }
        let more = attributes.output_padding;
        if more.0 >= stride.0.max(dilation.0) || more.1 >= stride.1.max(dilation.1) {
            return wrong(format!(
                "output_padding {more:?} must be less than stride {stride:?} or dilation {dilation:?}"
            ));
        }
        let Some((oh, ow)) = attributes.output_size((h, w), (kh, kw)) else {
            return wrong(format!(
                "nothing is left of images {image} and windows of {kernel} with padding {padding:?}, or more than can be counted"
            ));
        };
        // Output rows beyond a whole stride are those of one more input row of zeros.
        let mut x = self.clone();
        for (axis, after) in [(1, more.0 / stride.0), (2, more.1 / stride.1)] {
            if after > 0 {
                x = self.tracer().apply_one(Pad::fixed(axis, 0, after), &[&x])?;
            }
        }
        let image = vec![image.dims()[0], oh.into(), ow.into(), (outputs * groups).into()].into();
        self.tracer().apply_one(Conv2dInputGrad { attributes: attributes.conv, image }, &[&x, weight])
    }
}
