//! 2-D pooling over NHWC images.

mod average;
mod fractional;
mod max;
mod power;

pub use average::{AvgPool2d, AvgPool2dGrad, Divisor};
pub use fractional::FractionalMaxPool2d;
pub use max::{MaxPool2d, MaxPool2dGrad};

use super::conv::room;
use crate::error::Result;
use crate::shape::{Extents, Shape};
use crate::trace::Tensor;

/// Geometry of a pooling window; pairs are (vertical, horizontal).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// Height and width.
    pub size: (usize, usize),
    /// Steps between neighbouring windows.
    pub stride: (usize, usize),
    /// Border around the image on each side, at most half of what the window spans.
    pub padding: (usize, usize),
    /// Distance between neighbouring taps of a window, of maximum pooling only.
    pub dilation: (usize, usize),
    /// Whether a last window may hang over the border, if it begins within the image or the border before it.
    pub ceil_mode: bool,
}

impl Window {
    /// A square window that moves by its own size.
    pub fn square(size: usize) -> Self {
        Window::of((size, size))
    }

    /// A window of the given height and width that moves by its own size.
    pub fn of(size: (usize, usize)) -> Self {
        Window { size, stride: size, padding: (0, 0), dilation: (1, 1), ceil_mode: false }
    }

    /// Height and width of the output; `None` if no window fits.
    pub fn output_size(&self, image: (usize, usize)) -> Option<(usize, usize)> {
        Some((self.outputs(0, image.0)?, self.outputs(1, image.1)?))
    }

    /// Size, stride, padding and dilation along one axis, 0 the vertical one.
    fn along(&self, axis: usize) -> [usize; 4] {
        let of = |pair: (usize, usize)| if axis == 0 { pair.0 } else { pair.1 };
        [of(self.size), of(self.stride), of(self.padding), of(self.dilation)]
    }

    fn outputs(&self, axis: usize, length: usize) -> Option<usize> {
        let [size, stride, padding, dilation] = self.along(axis);
        let room = room(length, size, padding, dilation)?;
        if !self.ceil_mode {
            return Some(room.checked_div(stride)? + 1);
        }
        let before_last = room.checked_add(stride.checked_sub(1)?)?.checked_div(stride)?;
        // A window must not begin in the border behind the image.
        Some(if before_last * stride >= length + padding { before_last } else { before_last + 1 })
    }

    /// Positions that window `o` of an axis covers, and how many it has with the border.
    fn positions(&self, axis: usize, length: usize, o: usize) -> (Vec<usize>, usize) {
        let [size, stride, padding, dilation] = self.along(axis);
        let start = o * stride;
        // Taps of the window that lie before a position.
        let before = |position: usize| position.saturating_sub(start).div_ceil(dilation).min(size);
        let inside = before(padding)..before(padding + length);
        (inside.map(|k| start + k * dilation - padding).collect(), before(length + 2 * padding))
    }

    fn check(&self) -> Result<(), String> {
        for axis in 0..2 {
            let [size, stride, padding, dilation] = self.along(axis);
            if size == 0 || stride == 0 || dilation == 0 {
                return Err("size, stride and dilation of the window must be at least 1".to_string());
            }
            if padding > dilation.saturating_mul(size - 1).saturating_add(1) / 2 {
                return Err(format!("padding {:?} is more than half of the window {:?}", self.padding, self.size));
            }
        }
        Ok(())
    }
}

/// Which pixels of an image each value of a pooled image is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Regions {
    /// Windows of one size.
    Window(Window),
    /// As many windows as the height and width say, that together cover the image: window `i` of `n` over a length `l`
    /// reaches from `floor(i l / n)` to `ceil((i + 1) l / n)`.
    Adaptive((usize, usize)),
}

impl From<Window> for Regions {
    fn from(window: Window) -> Self {
        Regions::Window(window)
    }
}

impl Regions {
    fn infer(&self, image: &Shape) -> Result<Shape, String> {
        let (Some(h), Some(w), 4) = (image.fixed(1), image.fixed(2), image.rank()) else {
            return Err(format!("images must be [batch, height, width, channels], not {image}"));
        };
        if h == 0 || w == 0 {
            return Err(format!("images {image} have no pixels"));
        }
        let (oh, ow) = match self {
            Regions::Adaptive(size) if size.0 == 0 || size.1 == 0 => {
                return Err(format!("the output size {size:?} must be at least 1 in both directions"));
            }
            Regions::Adaptive(size) => *size,
            Regions::Window(window) => {
                window.check()?;
                window.output_size((h, w)).ok_or_else(|| {
                    let (size, padding) = (window.size, window.padding);
                    format!(
                        "a window of {}x{} does not fit into images {image} with padding {padding:?}",
                        size.0, size.1
                    )
                })?
            }
        };
        // Without dilation a window is without gaps, and its padding is at most half of it.
        let dense = |axis: usize| match self {
            Regions::Adaptive(_) => true,
            Regions::Window(window) => window.along(axis)[3] == 1,
        };
        let covers = |axis, n, outputs| dense(axis) || (0..outputs).all(|o| !self.positions(axis, n, o).0.is_empty());
        if !covers(0, h, oh) || !covers(1, w, ow) {
            return Err(format!("{self:?} has a window between the pixels of images {image}: use a smaller dilation"));
        }
        Ok(vec![image.dims()[0], oh.into(), ow.into(), image.dims()[3]].into())
    }

    /// Positions along an axis of the given length that output `o` is made of, and how many it has with the border.
    fn positions(&self, axis: usize, length: usize, o: usize) -> (Vec<usize>, usize) {
        match self {
            Regions::Window(window) => window.positions(axis, length, o),
            Regions::Adaptive(size) => {
                let outputs = if axis == 0 { size.0 } else { size.1 };
                let range = o * length / outputs..((o + 1) * length).div_ceil(outputs);
                (range.clone().collect(), range.len())
            }
        }
    }

    /// Pixels of the image that output (oy, ox) is made of, in row-major order, and their number with the border.
    fn pixels(&self, image: &[usize], oy: usize, ox: usize) -> (Vec<(usize, usize)>, usize) {
        let (ys, down) = self.positions(0, image[1], oy);
        let (xs, across) = self.positions(1, image[2], ox);
        (ys.iter().flat_map(|&y| xs.iter().map(move |&x| (y, x))).collect(), down * across)
    }

    fn operations(&self, image: &Shape, output: &Shape, extents: &Extents) -> u64 {
        let window = match self {
            Regions::Window(window) => window.size.0.saturating_mul(window.size.1),
            Regions::Adaptive(size) => {
                let length = |axis: usize| image.fixed(axis).unwrap_or(1);
                length(1).div_ceil(size.0) * length(2).div_ceil(size.1)
            }
        };
        output.count(extents).saturating_mul(window) as u64
    }
}

fn dilated(regions: &Regions) -> bool {
    matches!(regions, Regions::Window(window) if window.dilation != (1, 1))
}

/// Regions with the images to try them on, and whether these are small enough for central differences.
fn windows() -> Vec<(Regions, [usize; 4], bool)> {
    let window = |size, stride, padding| Window {
        stride: (stride, stride),
        padding: (padding, padding),
        ..Window::square(size)
    };
    let uneven = Window { stride: (1, 2), padding: (0, 1), ..Window::of((2, 3)) };
    let ceil = |window: Window| Window { ceil_mode: true, ..window };
    let dilated = |window: Window, dilation| Window { dilation, ..window };
    let mut all: Vec<(Regions, [usize; 4], bool)> = [
        (Window::square(2), [2, 4, 6, 3], true),
        (Window::square(2), [1, 5, 5, 2], true),
        (window(3, 2, 1), [2, 6, 5, 2], true),
        (window(3, 1, 1), [1, 4, 4, 2], true),
        (uneven, [1, 4, 5, 2], true),
        (ceil(Window::square(2)), [1, 5, 4, 2], true),
        (ceil(window(3, 2, 1)), [1, 6, 4, 2], true),
        (ceil(window(2, 3, 1)), [1, 4, 5, 2], true),
        (dilated(window(2, 1, 1), (2, 3)), [1, 5, 6, 2], true),
        (dilated(ceil(window(3, 2, 1)), (2, 1)), [1, 8, 6, 2], true),
        (window(3, 2, 1), [3, 9, 8, 17], false),
        (ceil(window(3, 2, 0)), [2, 10, 8, 33], false),
        (dilated(window(3, 1, 2), (2, 2)), [2, 9, 8, 17], false),
        (Window::square(2), [2, 8, 8, 33], false),
        (Window::square(2), [0, 8, 8, 3], false),
    ]
    .map(|(window, image, gradient)| (window.into(), image, gradient))
    .into();
    all.extend([
        (Regions::Adaptive((3, 2)), [1, 5, 4, 2], true),
        (Regions::Adaptive((1, 5)), [2, 4, 3, 2], true),
        (Regions::Adaptive((7, 7)), [2, 10, 9, 17], false),
    ]);
    all
}

impl Tensor {
    /// Mean over height and width of NHWC images: `[batch, channels]`.
    ///
    /// # Errors
    /// If the tensor has not four axes.
    pub fn global_avg_pool2d(&self) -> Result<Tensor> {
        self.reduce(super::ReduceKind::Mean, &[1, 2], false)
    }

    /// Maximum over height and width of NHWC images: `[batch, channels]`.
    ///
    /// # Errors
    /// If the tensor has not four axes.
    pub fn global_max_pool2d(&self) -> Result<Tensor> {
        self.reduce(super::ReduceKind::Max, &[1, 2], false)
    }
}
