//! Maximum pooling over windows at random distances.

use super::super::index::ScatterAdd;
use super::super::{arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, distinct, uniform};
use crate::shape::{DType, Dim, Extents, Shape, TensorType};
use crate::trace::{Mode, Tensor};

/// Largest value of each window of one size, where the windows of each channel lie at distances that a random number
/// decides (Graham, *Fractional max-pooling*, 2014), and its place `y * width + x`.
///
/// Inputs: images `[batch, h, w, c]` and two numbers in [0, 1) for each channel, `[batch, c, 2]`, the first for the
/// columns, the second for the rows. With `alpha = (length - size) / (outputs - 1)`, window `i` begins at
/// `floor((i + u) * alpha) - floor(u * alpha)`, the last at `length - size`; computed in f32, as PyTorch does. The first
/// of equal values wins, NaN always does.
#[derive(Debug, Clone, PartialEq)]
pub struct FractionalMaxPool2d {
    /// Height and width of a window.
    pub size: (usize, usize),
    /// Height and width of the output.
    pub output: (usize, usize),
}

impl FractionalMaxPool2d {
    /// Where window `i` of `outputs` begins on an axis of the given length.
    #[inline]
    pub fn start(sample: f32, i: usize, length: usize, outputs: usize, size: usize) -> usize {
        let last = length - size;
        if i + 1 == outputs {
            return last;
        }
        let alpha = last as f32 / (outputs - 1) as f32;
        // Never beyond the last one, whatever the sample.
        (((i as f32 + sample) * alpha) as usize).saturating_sub((sample * alpha) as usize).min(last)
    }
}

impl Operation for FractionalMaxPool2d {
    fn name(&self) -> String {
        "fractional_max_pool2d".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 2)?;
        floating(inputs)?;
        let (image, samples) = (&inputs[0].shape, &inputs[1].shape);
        let (Some(h), Some(w), &[batch, _, _, channels]) = (image.fixed(1), image.fixed(2), image.dims()) else {
            return Err(format!("images must be [batch, height, width, channels], not {image}"));
        };
        for (length, size, outputs) in [(h, self.size.0, self.output.0), (w, self.size.1, self.output.1)] {
            let fits = size > 0 && outputs > 0 && size <= length && outputs - 1 <= length - size;
            if !fits {
                return Err(format!(
                    "{:?} windows of {:?} do not fit into images {image}: along each axis, output + size - 1 must be at \
                     most the length, and neither may be 0",
                    self.output, self.size
                ));
            }
        }
        if samples.dims() != [batch, channels, Dim::fixed(2)] {
            return Err(format!("samples must be [{batch}, {channels}, 2] for images {image}, not {samples}"));
        }
        if h.saturating_mul(w) > i32::MAX as usize {
            return Err(format!("images {image} have more pixels than an i32 can number"));
        }
        let shape = Shape::from(vec![batch, self.output.0.into(), self.output.1.into(), channels]);
        Ok(vec![TensorType::f32(shape.clone()), TensorType { shape, dtype: DType::I32 }])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        if !cx.wants(0) {
            return Ok(vec![None, None]);
        }
        let image = cx.input(0).shape();
        let &[batch, h, w, channels] = image.dims() else { return Err(cx.no_derivative()) };
        let pooled = vec![batch, Dim::fixed(self.output.0) * Dim::fixed(self.output.1), channels];
        let (places, upstream) = (cx.output(1).reshape(pooled.clone())?, cx.upstream()?.reshape(pooled)?);
        let sums = cx.tracer().apply_one(ScatterAdd { axis: 1, length: h * w }, &[&places, &upstream])?;
        Ok(vec![Some(sums.reshape(image.clone())?), None])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (x, samples) = (cx.inputs[0], cx.inputs[1]);
        let (h, w) = (x.shape[1], x.shape[2]);
        let mut places = Vec::new();
        let largest = Reference::from_fn(&cx.shapes[0], |o| {
            let sample = |which: usize| samples.at(&[o[0], o[3], which]) as f32;
            let top = Self::start(sample(1), o[1], h, self.output.0, self.size.0);
            let left = Self::start(sample(0), o[2], w, self.output.1, self.size.1);
            let mut best = (f64::NEG_INFINITY, top * w + left);
            for row in top..top + self.size.0 {
                for column in left..left + self.size.1 {
                    let value = x.at(&[o[0], row, column, o[3]]);
                    if value > best.0 || value.is_nan() {
                        best = (value, row * w + column);
                    }
                }
            }
            places.push(best.1 as f64);
            best.0
        });
        vec![largest, Reference::new(&cx.shapes[1], places)]
    }

    fn operations(&self, _: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        (outputs[0].shape.count(extents) as u64).saturating_mul((self.size.0 * self.size.1) as u64)
    }

    fn samples() -> Vec<Sample> {
        let sample = |image: [usize; 4], size, output| {
            let op = FractionalMaxPool2d { size, output };
            // The derivative by the samples is 0, but where a window jumps.
            let samples = uniform(&[image[0], image[3], 2], 0.0, 1.0, 2);
            Sample::new(op, vec![distinct(&image, 0.05, 1), samples]).batched(&[true, true])
        };
        vec![
            sample([2, 6, 5, 2], (2, 2), (3, 3)),
            sample([1, 5, 7, 3], (2, 3), (4, 2)),
            sample([1, 4, 4, 1], (4, 2), (1, 3)),
            sample([2, 11, 9, 17], (3, 2), (5, 6)).without_gradient(),
            sample([0, 4, 4, 2], (2, 2), (2, 2)).without_gradient(),
        ]
    }
}

impl Tensor {
    /// Largest value of each window of NHWC images, and its place i32, where the windows of each channel lie at distances
    /// that a random number decides: see [`FractionalMaxPool2d`].
    ///
    /// Without `samples` `[batch, channels, 2]`, a graph that learns draws them anew in each step, and one that is used
    /// takes 0.5 for all, so that what it predicts is always the same.
    ///
    /// # Errors
    /// If the windows do not fit or the samples have another shape.
    pub fn fractional_max_pool2d(
        &self,
        size: (usize, usize),
        output: (usize, usize),
        samples: Option<&Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let op = FractionalMaxPool2d { size, output };
        let samples = match (samples, self.shape().dims()) {
            (Some(samples), _) => samples.clone(),
            (None, &[batch, _, _, channels]) => {
                let shape = vec![batch, channels, Dim::fixed(2)];
                match self.tracer().mode() {
                    Mode::Train => self.tracer().random_uniform(shape)?,
                    Mode::Evaluate => self.tracer().scalar(0.5).broadcast_to(shape)?,
                }
            }
            _ => {
                let problem = format!("images must be [batch, height, width, channels], not {}", self.shape());
                return Err(self.error(&op.name(), problem));
            }
        };
        let mut outputs = self.tracer().apply(op, &[self, &samples])?;
        let places = outputs.swap_remove(1);
        Ok((outputs.swap_remove(0), places))
    }
}
