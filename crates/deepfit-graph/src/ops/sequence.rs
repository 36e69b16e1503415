//! Convolution and pooling of sequences `[batch, length, channels]`: images of one row.

use super::{Conv2dAttributes, ConvTranspose2dAttributes, Regions, Window};
use crate::error::Result;
use crate::shape::Dim;
use crate::trace::Tensor;

/// Geometry of a convolution of sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv1dAttributes {
    /// Steps between neighbouring windows.
    pub stride: usize,
    /// Zeros on each side of the sequence.
    pub padding: usize,
    /// Distance between neighbouring taps of a window.
    pub dilation: usize,
    /// Number of groups of channels that are convolved apart from each other.
    pub groups: usize,
}

impl Default for Conv1dAttributes {
    fn default() -> Self {
        Conv1dAttributes { stride: 1, padding: 0, dilation: 1, groups: 1 }
    }
}

impl Conv1dAttributes {
    fn in_2d(self) -> Conv2dAttributes {
        Conv2dAttributes {
            stride: (1, self.stride),
            padding: (0, self.padding),
            dilation: (1, self.dilation),
            groups: self.groups,
        }
    }
}

/// Geometry of a pooling window of sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window1d {
    /// Length.
    pub size: usize,
    /// Steps between neighbouring windows.
    pub stride: usize,
    /// Border on each side, at most half of what the window spans.
    pub padding: usize,
    /// Distance between neighbouring taps, of maximum pooling only.
    pub dilation: usize,
    /// Whether a last window may hang over the border, if it begins within the sequence or the border before it.
    pub ceil_mode: bool,
}

impl Window1d {
    /// A window that moves by its own size.
    pub fn of(size: usize) -> Self {
        Window1d { size, stride: size, padding: 0, dilation: 1, ceil_mode: false }
    }

    fn in_2d(self) -> Window {
        Window {
            size: (1, self.size),
            stride: (1, self.stride),
            padding: (0, self.padding),
            dilation: (1, self.dilation),
            ceil_mode: self.ceil_mode,
        }
    }
}

impl Tensor {
    /// Length and channels of sequences with both fixed.
    fn sequence(&self, operation: &str) -> Result<(usize, usize)> {
        let shape = self.shape();
        match (shape.rank(), shape.fixed(1), shape.fixed(2)) {
            (3, Some(length), Some(channels)) => Ok((length, channels)),
            _ => {
                let problem = format!("sequences must be [batch, length, channels] with a fixed length, not {shape}");
                Err(self.error(operation, problem))
            }
        }
    }

    fn as_row(&self) -> Result<Tensor> {
        let dims = self.shape().dims();
        self.reshape(vec![dims[0], Dim::fixed(1), dims[1], dims[2]])
    }

    fn without_row(&self) -> Result<Tensor> {
        let dims = self.shape().dims();
        self.reshape(vec![dims[0], dims[2], dims[3]])
    }

    /// A weight `[a, b, length]` as that of images of one row.
    fn kernel_row(&self, operation: &str, axes: &str) -> Result<(Tensor, [usize; 3])> {
        let shape = self.shape();
        let lengths: Vec<usize> = (0..shape.rank()).filter_map(|axis| shape.fixed(axis)).collect();
        let (&[a, b, length], 3) = (&lengths[..], shape.rank()) else {
            return Err(self.error(operation, format!("weights must be {axes}, not {shape}")));
        };
        Ok((self.reshape([a, b, 1, length])?, [a, b, length]))
    }

    /// Convolution of sequences `[batch, length, in]` with weights `[out, in / groups, length]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn conv1d(&self, weight: &Tensor, attributes: Conv1dAttributes) -> Result<Tensor> {
        let (length, channels) = self.sequence("conv1d")?;
        let (kernel, [outputs, inputs, size]) = weight.kernel_row("conv1d", "[out, in / groups, length]")?;
        let wrong = |problem| Err(self.error("conv1d", problem));
        let Conv1dAttributes { stride, padding, dilation, groups } = attributes;
        if stride == 0 || dilation == 0 {
            return wrong("stride and dilation must be at least 1".to_string());
        }
        if groups == 0 || channels % groups != 0 || outputs % groups != 0 || inputs != channels / groups {
            let (weight, x) = (weight.shape(), self.shape());
            return wrong(format!(
                "{groups} groups of weights {weight} do not fit sequences {x} with {channels} channels"
            ));
        }
        if attributes.in_2d().output_size((1, length), (1, size)).is_none() {
            return wrong(format!(
                "a window of {size}, of weights {}, with dilation {dilation} does not fit into sequences {} with padding \
                 {padding}",
                weight.shape(),
                self.shape()
            ));
        }
        self.as_row()?.conv2d(&kernel, attributes.in_2d())?.without_row()
    }

    /// Transposed convolution of sequences `[batch, length, in]` with weights `[in, out / groups, length]`, and
    /// `output_padding` positions at the end.
    ///
    /// # Errors
    /// As [`Tensor::conv_transpose2d`].
    pub fn conv_transpose1d(
        &self,
        weight: &Tensor,
        attributes: Conv1dAttributes,
        output_padding: usize,
    ) -> Result<Tensor> {
        let (length, channels) = self.sequence("conv_transpose1d")?;
        let (kernel, [inputs, _, size]) = weight.kernel_row("conv_transpose1d", "[in, out / groups, length]")?;
        let wrong = |problem| Err(self.error("conv_transpose1d", problem));
        let Conv1dAttributes { stride, padding, dilation, groups } = attributes;
        if groups == 0 || channels % groups != 0 || inputs != channels {
            let (weight, x) = (weight.shape(), self.shape());
            return wrong(format!(
                "{groups} groups of weights {weight} do not fit sequences {x} with {channels} channels"
            ));
        }
        if output_padding >= stride.max(dilation) {
            return wrong(format!(
                "output_padding {output_padding} must be less than stride {stride} or dilation {dilation}"
            ));
        }
        let whole = ConvTranspose2dAttributes { conv: attributes.in_2d(), output_padding: (0, output_padding) };
        if whole.output_size((1, length), (1, size)).is_none() {
            return wrong(format!(
                "nothing is left of sequences {} and windows of {} with padding {padding}, or more than can be counted",
                self.shape(),
                weight.shape()
            ));
        }
        self.as_row()?.conv_transpose2d(&kernel, whole)?.without_row()
    }

    fn check_window(&self, operation: &str, window: Window1d) -> Result<()> {
        let (length, _) = self.sequence(operation)?;
        if window.size > 0 && window.stride > 0 && window.in_2d().output_size((1, length)).is_none() {
            return Err(self.error(
                operation,
                format!(
                    "a window of {} with dilation {} does not fit into sequences {} with padding {}",
                    window.size,
                    window.dilation,
                    self.shape(),
                    window.padding
                ),
            ));
        }
        Ok(())
    }

    /// Largest value of each window of sequences.
    ///
    /// # Errors
    /// If the window does not fit.
    pub fn max_pool1d(&self, window: Window1d) -> Result<Tensor> {
        self.check_window("max_pool1d", window)?;
        self.as_row()?.max_pool2d(window.in_2d())?.without_row()
    }

    /// Mean of each window of sequences; the border counts as zeros if `count_include_pad`.
    ///
    /// # Errors
    /// If the window does not fit.
    pub fn avg_pool1d(&self, window: Window1d, count_include_pad: bool) -> Result<Tensor> {
        self.check_window("avg_pool1d", window)?;
        self.as_row()?.avg_pool2d(window.in_2d(), count_include_pad)?.without_row()
    }

    /// The norm `(sum of x^p)^(1/p)` of each window of sequences: see [`Tensor::lp_pool2d`].
    ///
    /// # Errors
    /// As [`Tensor::lp_pool2d`].
    pub fn lp_pool1d(&self, window: Window1d, p: f32) -> Result<Tensor> {
        self.check_window("lp_pool1d", window)?;
        self.as_row()?.lp_pool2d(window.in_2d(), p)?.without_row()
    }

    /// Largest value of each of `outputs` stretches that cover the sequences.
    ///
    /// # Errors
    /// If `outputs` or the length is 0.
    pub fn adaptive_max_pool1d(&self, outputs: usize) -> Result<Tensor> {
        self.sequence("adaptive_max_pool1d")?;
        self.as_row()?.max_pool2d(Regions::Adaptive((1, outputs)))?.without_row()
    }

    /// Mean of each of `outputs` stretches that cover the sequences.
    ///
    /// # Errors
    /// If `outputs` or the length is 0.
    pub fn adaptive_avg_pool1d(&self, outputs: usize) -> Result<Tensor> {
        self.sequence("adaptive_avg_pool1d")?;
        self.as_row()?.avg_pool2d(Regions::Adaptive((1, outputs)), false)?.without_row()
    }
}
