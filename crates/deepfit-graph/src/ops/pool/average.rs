//! Mean pooling over NHWC images.

use super::super::{arity, floating, same_shape};
use super::{Regions, dilated, windows};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, uniform};
use crate::shape::{Extents, Shape, TensorType};
use crate::trace::Tensor;

/// What the sum of a window is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Divisor {
    /// Its pixels of the image.
    Pixels,
    /// Its pixels of the image and of the border, which counts as zeros: PyTorch's default.
    WithBorder,
    /// One number for all windows: PyTorch's `divisor_override`.
    Fixed(usize),
}

/// Mean of each window.
#[derive(Debug, Clone, PartialEq)]
pub struct AvgPool2d {
    /// Geometry.
    pub regions: Regions,
    /// What sums are divided by.
    pub divisor: Divisor,
}

impl AvgPool2d {
    fn divisor(&self, pixels: usize, with_border: usize) -> f64 {
        match self.divisor {
            Divisor::Pixels => pixels as f64,
            Divisor::WithBorder => with_border as f64,
            Divisor::Fixed(n) => n as f64,
        }
    }

    fn infer_image(&self, image: &Shape) -> Result<Shape, String> {
        match self.regions {
            _ if self.divisor == Divisor::Fixed(0) => Err("the divisor must not be 0".to_string()),
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
            for divisor in [Divisor::WithBorder, Divisor::Pixels, Divisor::Fixed(3)] {
                let op = AvgPool2d { regions, divisor };
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
        same_shape("the gradient and the result", inputs[0], &result)?;
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
            for divisor in [Divisor::WithBorder, Divisor::Pixels, Divisor::Fixed(3)] {
                let image = Shape::from(&image[..]);
                let shape = regions.infer(&image).expect("sample windows fit").resolve(&Extents::batch(1));
                let op = AvgPool2dGrad { pool: AvgPool2d { regions, divisor }, image };
                samples.push(Sample::new(op, vec![uniform(&shape, -1.0, 1.0, 2)]).without_gradient());
            }
        }
        samples
    }
}

impl Tensor {
    /// Mean of each window of NHWC images; the border counts as zeros if `count_include_pad`.
    ///
    /// # Errors
    /// If the window does not fit.
    pub fn avg_pool2d(&self, regions: impl Into<Regions>, count_include_pad: bool) -> Result<Tensor> {
        self.avg_pool2d_by(regions, if count_include_pad { Divisor::WithBorder } else { Divisor::Pixels })
    }

    /// Sum of each window of NHWC images, divided by what the divisor says.
    ///
    /// # Errors
    /// If the window does not fit or the divisor is 0.
    pub fn avg_pool2d_by(&self, regions: impl Into<Regions>, divisor: Divisor) -> Result<Tensor> {
        let regions = regions.into();
        // A plain mean is cut into tasks in a better way.
        if let (Regions::Adaptive((1, 1)), [batch, _, _, channels], Divisor::Pixels | Divisor::WithBorder) =
            (regions, self.shape().dims(), divisor)
        {
            let shape = vec![*batch, 1.into(), 1.into(), *channels];
            return self.global_avg_pool2d()?.reshape(shape);
        }
        self.tracer().apply_one(AvgPool2d { regions, divisor }, &[self])
    }
}
