//! 2-D pooling over NHWC images.

use super::{arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
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
    /// Border around the image on each side, at most half of the window.
    pub padding: (usize, usize),
}

impl Window {
    /// A square window that moves by its own size.
    pub fn square(size: usize) -> Self {
        Window { size: (size, size), stride: (size, size), padding: (0, 0) }
    }

    /// Height and width of the output; `None` if no window fits.
    pub fn output_size(&self, image: (usize, usize)) -> Option<(usize, usize)> {
        let length = |n: usize, k: usize, s: usize, p: usize| Some((n + 2 * p).checked_sub(k)? / s + 1);
        Some((
            length(image.0, self.size.0, self.stride.0, self.padding.0)?,
            length(image.1, self.size.1, self.stride.1, self.padding.1)?,
        ))
    }

    fn infer(&self, image: &Shape) -> Result<Shape, String> {
        let (Some(h), Some(w), 4) = (image.fixed(1), image.fixed(2), image.rank()) else {
            return Err(format!("images must be [batch, height, width, channels], not {image}"));
        };
        if self.stride.0 == 0 || self.stride.1 == 0 || self.size.0 == 0 || self.size.1 == 0 {
            return Err("size and stride of the window must be at least 1".to_string());
        }
        if self.padding.0 > self.size.0 / 2 || self.padding.1 > self.size.1 / 2 {
            return Err(format!("padding {:?} is more than half of the window {:?}", self.padding, self.size));
        }
        let (oh, ow) = self
            .output_size((h, w))
            .filter(|_| h > 0 && w > 0)
            .ok_or_else(|| format!("a window of {}x{} does not fit into images {image}", self.size.0, self.size.1))?;
        Ok(vec![image.dims()[0], oh.into(), ow.into(), image.dims()[3]].into())
    }

    /// Pixels of the image that the window at output position (oy, ox) covers, in row-major order.
    fn pixels(&self, image: &[usize], oy: usize, ox: usize) -> Vec<(usize, usize)> {
        let mut pixels = Vec::new();
        for ky in 0..self.size.0 {
            for kx in 0..self.size.1 {
                let y = (oy * self.stride.0 + ky).wrapping_sub(self.padding.0);
                let x = (ox * self.stride.1 + kx).wrapping_sub(self.padding.1);
                if y < image[1] && x < image[2] {
                    pixels.push((y, x));
                }
            }
        }
        pixels
    }

    fn operations(&self, output: &Shape, extents: &Extents) -> u64 {
        (output.count(extents) * self.size.0 * self.size.1) as u64
    }
}

/// Largest value of each window, and its place `y * width + x`. The first of equal ones wins, NaN always does.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPool2d {
    /// Geometry.
    pub window: Window,
}

impl Operation for MaxPool2d {
    fn name(&self) -> String {
        "max_pool2d".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        floating(inputs)?;
        let shape = self.window.infer(&inputs[0].shape)?;
        Ok(vec![TensorType::f32(shape.clone()), TensorType { shape, dtype: DType::I32 }])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let op = MaxPool2dGrad { window: self.window, image: cx.input(0).shape().clone() };
        Ok(vec![Some(cx.tracer().apply_one(op, &[cx.upstream()?, cx.output(1)])?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let x = cx.inputs[0];
        let mut places = Vec::new();
        let largest = Reference::from_fn(&cx.shapes[0], |o| {
            let mut best = (f64::NEG_INFINITY, None);
            for (row, column) in self.window.pixels(&x.shape, o[1], o[2]) {
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

    fn operations(&self, _: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        self.window.operations(&outputs[0].shape, extents)
    }

    fn samples() -> Vec<Sample> {
        windows()
            .into_iter()
            .map(|(window, image, gradient)| {
                let sample = Sample::new(MaxPool2d { window }, vec![distinct(&image, 0.05, 1)]).batched(&[true]);
                if gradient { sample } else { sample.without_gradient() }
            })
            .collect()
    }
}

/// Gradient of [`MaxPool2d`]. Inputs: gradient of the result, places.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPool2dGrad {
    /// Geometry of the pooling.
    pub window: Window,
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
        super::same_shape("the gradient and the result", inputs[0], &TensorType::f32(self.window.infer(&self.image)?))?;
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
        self.window.operations(&inputs[0].shape, extents)
    }

    fn samples() -> Vec<Sample> {
        windows()
            .into_iter()
            .map(|(window, image, _)| {
                // Places as a real forward pass gives them.
                let image_type = Shape::from(&image[..]);
                let shape = window.infer(&image_type).expect("sample windows fit").resolve(&Extents::batch(1));
                let x = distinct(&image, 0.05, 1).to_reference();
                let cx = ReferenceContext {
                    inputs: &[&x],
                    shapes: &[shape.clone(), shape.clone()],
                    extents: Extents::batch(1),
                };
                let places = MaxPool2d { window }.reference(&cx).swap_remove(1);
                let places = places.data.iter().map(|&p| p as i32).collect();
                let places = crate::host::HostTensor { shape: shape.clone(), data: crate::host::HostData::I32(places) };
                let op = MaxPool2dGrad { window, image: image_type };
                Sample::new(op, vec![uniform(&shape, -1.0, 1.0, 2), places]).without_gradient()
            })
            .collect()
    }
}

/// Mean of each window.
#[derive(Debug, Clone, PartialEq)]
pub struct AvgPool2d {
    /// Geometry.
    pub window: Window,
    /// Whether the border counts as zeros, as PyTorch's default does, or not at all.
    pub count_include_pad: bool,
}

impl AvgPool2d {
    fn divisor(&self, pixels: usize) -> f64 {
        if self.count_include_pad { (self.window.size.0 * self.window.size.1) as f64 } else { pixels as f64 }
    }
}

impl Operation for AvgPool2d {
    fn name(&self) -> String {
        "avg_pool2d".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        floating(inputs)?;
        Ok(vec![TensorType::f32(self.window.infer(&inputs[0].shape)?)])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let op = AvgPool2dGrad { pool: self.clone(), image: cx.input(0).shape().clone() };
        Ok(vec![Some(cx.tracer().apply_one(op, &[cx.upstream()?])?)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let x = cx.inputs[0];
        vec![Reference::from_fn(&cx.shapes[0], |o| {
            let pixels = self.window.pixels(&x.shape, o[1], o[2]);
            let sum: f64 = pixels.iter().map(|&(row, column)| x.at(&[o[0], row, column, o[3]])).sum();
            sum / self.divisor(pixels.len())
        })]
    }

    fn operations(&self, _: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        self.window.operations(&outputs[0].shape, extents)
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for (window, image, gradient) in windows() {
            for count_include_pad in [true, false] {
                let op = AvgPool2d { window, count_include_pad };
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
        let result = TensorType::f32(self.pool.window.infer(&self.image)?);
        super::same_shape("the gradient and the result", inputs[0], &result)?;
        Ok(vec![TensorType::f32(self.image.clone())])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let upstream = cx.inputs[0];
        let mut out = Reference::full(&cx.shapes[0], 0.0);
        crate::host::for_each_index(&upstream.shape, |o| {
            let pixels = self.pool.window.pixels(&out.shape, o[1], o[2]);
            for &(row, column) in &pixels {
                let offset = out.offset(&[o[0], row, column, o[3]]);
                out.data[offset] += upstream.at(o) / self.pool.divisor(pixels.len());
            }
        });
        vec![out]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        self.pool.window.operations(&inputs[0].shape, extents)
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for (window, image, _) in windows() {
            for count_include_pad in [true, false] {
                let image = Shape::from(&image[..]);
                let shape = window.infer(&image).expect("sample windows fit").resolve(&Extents::batch(1));
                let op = AvgPool2dGrad { pool: AvgPool2d { window, count_include_pad }, image };
                samples.push(Sample::new(op, vec![uniform(&shape, -1.0, 1.0, 2)]).without_gradient());
            }
        }
        samples
    }
}

/// Windows with the images to try them on, and whether these are small enough for central differences.
fn windows() -> Vec<(Window, [usize; 4], bool)> {
    let window =
        |size, stride, padding| Window { size: (size, size), stride: (stride, stride), padding: (padding, padding) };
    vec![
        (Window::square(2), [2, 4, 6, 3], true),
        (Window::square(2), [1, 5, 5, 2], true),
        (window(3, 2, 1), [2, 6, 5, 2], true),
        (window(3, 1, 1), [1, 4, 4, 2], true),
        (Window { size: (2, 3), stride: (1, 2), padding: (0, 1) }, [1, 4, 5, 2], true),
        (window(3, 2, 1), [3, 9, 8, 17], false),
        (Window::square(2), [2, 8, 8, 33], false),
        (Window::square(2), [0, 8, 8, 3], false),
    ]
}

impl Tensor {
    /// Largest value of each window of NHWC images.
    ///
    /// # Errors
    /// If the window does not fit.
    pub fn max_pool2d(&self, window: Window) -> Result<Tensor> {
        self.tracer().apply_one(MaxPool2d { window }, &[self])
    }

    /// Mean of each window of NHWC images; the border counts as zeros if `count_include_pad`.
    ///
    /// # Errors
    /// If the window does not fit.
    pub fn avg_pool2d(&self, window: Window, count_include_pad: bool) -> Result<Tensor> {
        self.tracer().apply_one(AvgPool2d { window, count_include_pad }, &[self])
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
