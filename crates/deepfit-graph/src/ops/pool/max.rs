//! Maximum pooling over NHWC images, and its partial inverse.

use super::super::{arity, floating, same_shape};
use super::{Regions, windows};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::{HostTensor, Reference};
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, distinct, uniform};
use crate::shape::{DType, Dim, Extents, Shape, TensorType};
use crate::trace::Tensor;

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
        let pixels = inputs[0].shape.dims()[1] * inputs[0].shape.dims()[2];
        if pixels.as_fixed().is_none_or(|n| n > i32::MAX as usize) {
            return Err(format!("images {} have {pixels} pixels, more than an i32 can number", inputs[0].shape));
        }
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
        same_shape("the gradient and the places", inputs[0], inputs[1])?;
        same_shape("the gradient and the result", inputs[0], &TensorType::f32(self.regions.infer(&self.image)?))?;
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

impl Tensor {
    /// Largest value of each window of NHWC images.
    ///
    /// # Errors
    /// If the window does not fit.
    pub fn max_pool2d(&self, regions: impl Into<Regions>) -> Result<Tensor> {
        Ok(self.max_pool2d_with_places(regions)?.0)
    }

    /// Largest value of each window of NHWC images and its place i32, `row * width + column` in the image: PyTorch's
    /// `return_indices`, for [`Tensor::max_unpool2d`].
    ///
    /// # Errors
    /// If the window does not fit.
    pub fn max_pool2d_with_places(&self, regions: impl Into<Regions>) -> Result<(Tensor, Tensor)> {
        let mut outputs = self.tracer().apply(MaxPool2d { regions: regions.into() }, &[self])?;
        let places = outputs.swap_remove(1);
        Ok((outputs.swap_remove(0), places))
    }

    /// Zeros of height times width, with each of these values where its place says: the partial inverse of
    /// [`Tensor::max_pool2d_with_places`], as PyTorch's `MaxUnpool2d`. Of several values for one place the last stays.
    ///
    /// # Errors
    /// If the tensors are no NHWC images of one shape. A place outside of the image stops the run with an error.
    pub fn max_unpool2d(&self, places: &Tensor, size: (usize, usize)) -> Result<Tensor> {
        let (&[batch, h, w, channels], true) = (self.shape().dims(), self.shape() == places.shape()) else {
            let problem = format!(
                "values {} and places {} must both be [batch, height, width, channels]",
                self.shape(),
                places.shape()
            );
            return Err(self.error("max_unpool2d", problem));
        };
        let (pixels, pooled) = (Dim::fixed(size.0) * Dim::fixed(size.1), vec![batch, h * w, channels]);
        let zeros = self.tracer().scalar(0.0).broadcast_to(vec![batch, pixels, channels])?;
        let whole = zeros.scatter(1, &places.reshape(pooled.clone())?, &self.reshape(pooled)?)?;
        whole.reshape(vec![batch, size.0.into(), size.1.into(), channels])
    }
}
