//! The geometry of a two-dimensional convolution.

/// Sizes of a convolution. The caller makes sure that strides, dilations, groups and the kernel are at least 1, that
/// `groups` divides `c` and `o`, and that the padded image is at least as large as the dilated kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dShape {
    /// Images.
    pub n: usize,
    /// Height of an input image.
    pub h: usize,
    /// Width of an input image.
    pub w: usize,
    /// Channels of an input image.
    pub c: usize,
    /// Output channels.
    pub o: usize,
    /// Height of the kernel.
    pub kh: usize,
    /// Width of the kernel.
    pub kw: usize,
    /// Steps between outputs, down and across.
    pub stride: [usize; 2],
    /// Zeros around the image: top, bottom, left, right.
    pub padding: [usize; 4],
    /// Distance between the taps of the kernel, down and across.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl Conv2dShape {
    /// Height of the output.
    pub fn out_h(&self) -> usize {
        out_size(self.h + self.padding[0] + self.padding[1], self.kh, self.stride[0], self.dilation[0])
    }

    /// Width of the output.
    pub fn out_w(&self) -> usize {
        out_size(self.w + self.padding[2] + self.padding[3], self.kw, self.stride[1], self.dilation[1])
    }

    /// Pixels of all output images.
    pub fn out_pixels(&self) -> usize {
        self.n * self.out_h() * self.out_w()
    }

    /// Input channels of a group.
    pub fn group_in(&self) -> usize {
        self.c / self.groups
    }

    /// Output channels of a group.
    pub fn group_out(&self) -> usize {
        self.o / self.groups
    }

    /// Numbers in the input, in the weights and in the output.
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.n * self.h * self.w * self.c, self.o * self.group_in() * self.kh * self.kw, self.out_pixels() * self.o)
    }

    /// Whether each output channel sees one input channel.
    pub(super) fn is_depthwise(&self) -> bool {
        self.groups == self.c && self.c > 1
    }

    /// Whether it is a plain matrix product of pixels by weights.
    pub(super) fn is_pointwise(&self) -> bool {
        (self.kh, self.kw, self.groups) == (1, 1, 1) && self.stride == [1, 1] && self.padding == [0; 4]
    }

    pub(super) fn check(&self, x: usize, weights: usize, y: usize) {
        let (sx, sw, sy) = self.sizes();
        assert!(x >= sx && weights >= sw && y >= sy, "an operand of the convolution is too short for {self:?}");
    }
}

fn out_size(padded: usize, kernel: usize, stride: usize, dilation: usize) -> usize {
    (padded + 1).saturating_sub(dilation * (kernel - 1) + 1).div_ceil(stride)
}
