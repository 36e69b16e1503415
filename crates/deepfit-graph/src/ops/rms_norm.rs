//! Normalisation of rows by their root mean square.

use super::arity;
use super::norm::{channels, per_element, rows_of};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, uniform};
use crate::shape::{Extents, Shape, TensorType};
use crate::trace::Tensor;

/// Root mean square normalisation over the last axis (Zhang and Sennrich, 2019).
///
/// Inputs: `x [..., c]`, scale `[c]`. Outputs: the normalised values; the inverse root mean square of each row `[...]`,
/// through which no gradient flows.
#[derive(Debug, Clone, PartialEq)]
pub struct RmsNorm {
    /// Added to the mean square.
    pub epsilon: f32,
}

impl Operation for RmsNorm {
    fn name(&self) -> String {
        "rms_norm".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 2)?;
        channels(inputs)?;
        Ok(vec![inputs[0].clone(), TensorType::f32(Shape::from(vec![rows_of(&inputs[0].shape)]))])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let inputs = [cx.input(0), cx.input(1), cx.output(1), cx.upstream()?];
        Ok(cx.tracer().apply(RmsNormGrad, &inputs)?.into_iter().map(Some).collect())
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (x, scale) = (cx.inputs[0], cx.inputs[1]);
        let c = scale.data.len();
        let (mut y, mut inverses) = (Vec::new(), Vec::new());
        for row in x.data.chunks(c.max(1)) {
            let square = row.iter().map(|v| v * v).sum::<f64>() / c as f64;
            let inverse = 1.0 / (square + f64::from(self.epsilon)).sqrt();
            y.extend(row.iter().zip(&scale.data).map(|(v, s)| v * inverse * s));
            inverses.push(inverse);
        }
        vec![Reference::new(&x.shape, y), Reference::new(&cx.shapes[1], inverses)]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        per_element(inputs, extents, 4)
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for (shape, gradient) in [
            (&[4, 6][..], true),
            (&[2, 3, 5], true),
            (&[3, 16], false),
            (&[65, 33], false),
            (&[9, 1025], false),
            (&[0, 4], false),
        ] {
            let c = *shape.last().unwrap_or(&1);
            let inputs = vec![uniform(shape, -1.0, 3.0, 1), uniform(&[c], 0.5, 2.0, 2)];
            let sample = Sample::new(RmsNorm { epsilon: 1e-5 }, inputs)
                .tolerance(1e-5)
                .non_finite_may_spread()
                .batched(&[true, false]);
            samples.push(if gradient { sample } else { sample.without_gradient() });
        }
        samples
    }
}

/// Gradient of [`RmsNorm`]. Inputs: x, scale, inverse root mean square, gradient of the result; outputs: those of x and
/// scale.
#[derive(Debug, Clone, PartialEq)]
pub struct RmsNormGrad;

impl Operation for RmsNormGrad {
    fn name(&self) -> String {
        "rms_norm_grad".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 4)?;
        channels(&inputs[..2])?;
        super::same_shape("the input and the gradient", inputs[0], inputs[3])?;
        let rows = rows_of(&inputs[0].shape);
        if inputs[2].shape.dims() != [rows] {
            return Err(format!(
                "the inverse root mean square {} must have one value for each of {rows} rows",
                inputs[2]
            ));
        }
        Ok(vec![inputs[0].clone(), inputs[1].clone()])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let [x, scale, inverse, up] = cx.inputs else { unreachable!("checked by infer") };
        let c = scale.data.len();
        let (mut dx, mut d_scale) = (Vec::new(), vec![0.0; c]);
        for (r, (row, u)) in x.data.chunks(c.max(1)).zip(up.data.chunks(c.max(1))).enumerate() {
            let inverse = inverse.data[r];
            let mut product = 0.0;
            for j in 0..c {
                d_scale[j] += u[j] * row[j] * inverse;
                product += u[j] * scale.data[j] * row[j] * inverse / c as f64;
            }
            dx.extend((0..c).map(|j| inverse * (u[j] * scale.data[j] - row[j] * inverse * product)));
        }
        vec![Reference::new(&x.shape, dx), Reference::new(&[c], d_scale)]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        per_element(inputs, extents, 9)
    }

    fn samples() -> Vec<Sample> {
        let sample = |shape: &[usize]| {
            let (&c, lead) = shape.split_last().expect("samples have axes");
            let rows: usize = lead.iter().product();
            let inputs = vec![
                uniform(shape, -1.0, 3.0, 1),
                uniform(&[c], 0.5, 2.0, 2),
                uniform(&[rows], 0.8, 1.5, 4),
                uniform(shape, -1.0, 1.0, 5),
            ];
            Sample::new(RmsNormGrad, inputs).without_gradient().tolerance(1e-5).non_finite_may_spread()
        };
        let batched = sample(&[4, 6]).batched(&[true, false, true, true]);
        vec![batched, sample(&[2, 3, 5]), sample(&[65, 33]), sample(&[700, 17]), sample(&[9, 1025])]
    }
}

impl Tensor {
    /// Root mean square normalisation over the last axis.
    ///
    /// # Errors
    /// If the scale does not have one value a channel.
    pub fn rms_norm(&self, scale: &Tensor, epsilon: f32) -> Result<Tensor> {
        self.tracer().apply_one(RmsNorm { epsilon }, &[self, scale])
    }
}
