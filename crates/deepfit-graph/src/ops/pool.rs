//! 2-D pooling over NHWC images.

use super::{arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::{HostTensor, Reference};
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, distinct, uniform};
use crate::shape::{DType, Extents, Shape, TensorType};
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
        let room = (length + 2 * padding).checked_sub(dilation * size.checked_sub(1)? + 1)?;
        if !self.ceil_mode {
            return Some(room.checked_div(stride)? + 1);
        }
        let outputs = room.checked_next_multiple_of(stride)? / stride + 1;
        // A window must not begin in the border behind the image.
        Some(if (outputs - 1) * stride >= length + padding { outputs - 1 } else { outputs })
    }

    /// Positions that window `o` of an axis covers, and how many it has with the border.
    fn positions(&self, axis: usize, length: usize, o: usize) -> (Vec<usize>, usize) {
        let [size, stride, padding, dilation] = self.along(axis);
        let all = (0..size).map(|k| o * stride + k * dilation);
        let counted = all.clone().filter(|&i| i < length + 2 * padding).count();
        (all.filter(|&i| i >= padding && i - padding < length).map(|i| i - padding).collect(), counted)
    }

    fn check(&self) -> Result<(), String> {
        for axis in 0..2 {
            let [size, stride, padding, dilation] = self.along(axis);
            if size == 0 || stride == 0 || dilation == 0 {
                return Err("size, stride and dilation of the window must be at least 1".to_string());
            }
            if 2 * padding > dilation * (size - 1) + 1 {
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
        let covers = |axis, n, outputs| (0..outputs).all(|o| !self.positions(axis, n, o).0.is_empty());
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
            Regions::Window(window) => window.size.0 * window.size.1,
            Regions::Adaptive(size) => {
                let length = |axis: usize| image.fixed(axis).unwrap_or(1);
                length(1).div_ceil(size.0) * length(2).div_ceil(size.1)
            }
        };
        (output.count(extents) * window) as u64
    }
}

/// Largest value of each window, and its place `y * width + x`. The first of equal ones wins, NaN always does.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPool2d {
    /// Geometry.
    pub regions: Regions,
}

impl Operation for MaxPool2d {
    fn name(&self) -> String {
        "max_pool2d".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        floating(inputs)?;
        let shape = self.regions.infer(&inputs[0].shape)?;
        Ok(vec![TensorType::f32(shape.clone()), TensorType { shape, dtype: DType::I32 }])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let op = MaxPool2dGrad { regions: self.regions, image: cx.input(0).shape().clone() };
        Ok(vec![Some(cx.tracer().apply_one(op, &[cx.upstream()?, cx.output(1)])?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let x = cx.inputs[0];
        let mut places = Vec::new();
        let largest = Reference::from_fn(&cx.shapes[0], |o| {
            let mut best = (f64::NEG_INFINITY, None);
            for (row, column) in self.regions.pixels(&x.shape, o[1], o[2]).0 {
                let value = x.at(&[o[0], row, column, o[3]]);
                if best.1.is_none() || value > best.0 || (value.is_nan() && !best.0.is_nan()) {
                    best = (value, Some(row * x.shape[2] + column));
                }
            }
            places.push(best.1.map_or(-1.0, |p| p as f64));
            best.0
        });
        vec![largest, Reference::new(&cx.shapes[1], places)]
    }

    fn operations(&self, inputs: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        self.regions.operations(&inputs[0].shape, &outputs[0].shape, extents)
    }

    fn samples() -> Vec<Sample> {
        windows()
            .into_iter()
            .map(|(regions, image, gradient)| {
                let sample = Sample::new(MaxPool2d { regions }, vec![distinct(&image, 0.05, 1)]).batched(&[true]);
                if gradient { sample } else { sample.without_gradient() }
            })
            .collect()
    }
}

/// Gradient of [`MaxPool2d`]. Inputs: gradient of the result, places.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPool2dGrad {
    /// Geometry of the pooling.
    pub regions: Regions,
    /// Shape of the images.
    pub image: Shape,
}

impl Operation for MaxPool2dGrad {
    fn name(&self) -> String {
        "max_pool2d_grad".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 2)?;
        floating(&inputs[..1])?;
        super::same_shape("the gradient and the places", inputs[0], inputs[1])?;
        super::same_shape(
            "the gradient and the result",
            inputs[0],
            &TensorType::f32(self.regions.infer(&self.image)?),
        )?;
        Ok(vec![TensorType::f32(self.image.clone())])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (upstream, places) = (cx.inputs[0], cx.inputs[1]);
        let mut out = Reference::full(&cx.shapes[0], 0.0);
        let width = out.shape[2];
        crate::host::for_each_index(&upstream.shape, |o| {
            let place = places.at(o) as usize;
            let offset = out.offset(&[o[0], place / width, place % width, o[3]]);
            out.data[offset] += upstream.at(o);
        });
        vec![out]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        self.regions.operations(&self.image, &inputs[0].shape, extents)
    }

    fn samples() -> Vec<Sample> {
        windows()
            .into_iter()
            .map(|(regions, image, _)| {
                // Places as a real forward pass gives them.
                let image_type = Shape::from(&image[..]);
                let shape = regions.infer(&image_type).expect("sample windows fit").resolve(&Extents::batch(1));
                let x = distinct(&image, 0.05, 1).to_reference();
                let cx = ReferenceContext {
                    inputs: &[&x],
                    shapes: &[shape.clone(), shape.clone()],
                    extents: Extents::batch(1),
                };
                let places = MaxPool2d { regions }.reference(&cx).swap_remove(1);
                let places = places.data.iter().map(|&p| p as i32).collect();
                let places = HostTensor::i32(&shape, places);
                let op = MaxPool2dGrad { regions, image: image_type };
                Sample::new(op, vec![uniform(&shape, -1.0, 1.0, 2), places]).without_gradient()
            })
            .collect()
    }
}

/// Mean of each window.
#[derive(Debug, Clone, PartialEq)]
pub struct AvgPool2d {
    /// Geometry.
    pub regions: Regions,
    /// Whether the border counts as zeros, as PyTorch's default does, or not at all.
    pub count_include_pad: bool,
}

impl AvgPool2d {
    fn divisor(&self, pixels: usize, with_border: usize) -> f64 {
        if self.count_include_pad { with_border as f64 } else { pixels as f64 }
    }

    fn infer_image(&self, image: &Shape) -> Result<Shape, String> {
        match self.regions {
            Regions::Window(window) if window.dilation != (1, 1) => {
                Err("the windows of a mean have no dilation".to_string())
            }
            regions => regions.infer(image),
        }
    }
}

impl Operation for AvgPool2d {
    fn name(&self) -> String {
        "avg_pool2d".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        floating(inputs)?;
        Ok(vec![TensorType::f32(self.infer_image(&inputs[0].shape)?)])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let op = AvgPool2dGrad { pool: self.clone(), image: cx.input(0).shape().clone() };
        Ok(vec![Some(cx.tracer().apply_one(op, &[cx.upstream()?])?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let x = cx.inputs[0];
        vec![Reference::from_fn(&cx.shapes[0], |o| {
            let (pixels, with_border) = self.regions.pixels(&x.shape, o[1], o[2]);
            let sum: f64 = pixels.iter().map(|&(row, column)| x.at(&[o[0], row, column, o[3]])).sum();
            sum / self.divisor(pixels.len(), with_border)
        })]
    }

    fn operations(&self, inputs: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        self.regions.operations(&inputs[0].shape, &outputs[0].shape, extents)
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for (regions, image, gradient) in windows().into_iter().filter(|(r, ..)| !dilated(r)) {
            for count_include_pad in [true, false] {
                let op = AvgPool2d { regions, count_include_pad };
                let sample = Sample::new(op, vec![uniform(&image, -1.0, 1.0, 1)]).batched(&[true]);
                samples.push(if gradient { sample } else { sample.without_gradient() });
            }
        }
        samples
    }
}

/// Gradient of [`AvgPool2d`]. Input: gradient of the result.
#[derive(Debug, Clone, PartialEq)]
pub struct AvgPool2dGrad {
    /// The pooling.
    pub pool: AvgPool2d,
    /// Shape of the images.
    pub image: Shape,
}

impl Operation for AvgPool2dGrad {
    fn name(&self) -> String {
        "avg_pool2d_grad".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        floating(inputs)?;
        let result = TensorType::f32(self.pool.infer_image(&self.image)?);
        super::same_shape("the gradient and the result", inputs[0], &result)?;
        Ok(vec![TensorType::f32(self.image.clone())])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let upstream = cx.inputs[0];
        let mut out = Reference::full(&cx.shapes[0], 0.0);
        crate::host::for_each_index(&upstream.shape, |o| {
            let (pixels, with_border) = self.pool.regions.pixels(&out.shape, o[1], o[2]);
            for &(row, column) in &pixels {
                let offset = out.offset(&[o[0], row, column, o[3]]);
                out.data[offset] += upstream.at(o) / self.pool.divisor(pixels.len(), with_border);
            }
        });
        vec![out]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        self.pool.regions.operations(&self.image, &inputs[0].shape, extents)
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for (regions, image, _) in windows().into_iter().filter(|(r, ..)| !dilated(r)) {
            for count_include_pad in [true, false] {
                let image = Shape::from(&image[..]);
                let shape = regions.infer(&image).expect("sample windows fit").resolve(&Extents::batch(1));
                let op = AvgPool2dGrad { pool: AvgPool2d { regions, count_include_pad }, image };
                samples.push(Sample::new(op, vec![uniform(&shape, -1.0, 1.0, 2)]).without_gradient());
            }
        }
        samples
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
    /// Largest value of each window of NHWC images.
    ///
    /// # Errors
    /// If the window does not fit.
    pub fn max_pool2d(&self, regions: impl Into<Regions>) -> Result<Tensor> {
        self.tracer().apply_one(MaxPool2d { regions: regions.into() }, &[self])
    }

    /// Mean of each window of NHWC images; the border counts as zeros if `count_include_pad`.
    ///
    /// # Errors
    /// If the window does not fit.
    pub fn avg_pool2d(&self, regions: impl Into<Regions>, count_include_pad: bool) -> Result<Tensor> {
        let regions = regions.into();
        // A plain mean is cut into tasks in a better way.
        if let (Regions::Adaptive((1, 1)), [batch, _, _, channels]) = (regions, self.shape().dims()) {
            let shape = vec![*batch, 1.into(), 1.into(), *channels];
            return self.global_avg_pool2d()?.reshape(shape);
        }
        self.tracer().apply_one(AvgPool2d { regions, count_include_pad }, &[self])
    }

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
