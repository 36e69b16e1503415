//! Normalisation over rows and over columns of `[rows, channels]`, where all leading axes are rows.

use super::fused::{Instruction, Operand, Program, check_epilogue, reference_epilogue};
use super::{BinaryKind, UnaryKind, arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, uniform};
use crate::shape::{Dim, Extents, Shape, TensorType};
use crate::trace::Tensor;

/// Checks `x`, scale and shift, and returns the number of channels.
pub(super) fn channels(inputs: &[&TensorType]) -> Result<Dim, String> {
    floating(inputs)?;
    let shape = &inputs[0].shape;
    let &c = shape.dims().last().ok_or("a scalar has no channels")?;
    for vector in &inputs[1..] {
        if vector.shape.dims() != [c] {
            return Err(format!("a vector of shape {} does not fit the {c} channels of {shape}", vector.shape));
        }
    }
    Ok(c)
}

/// Number of rows: all axes but the last.
pub(super) fn rows_of(shape: &Shape) -> Dim {
    let dims = shape.dims();
    dims[..dims.len() - 1].iter().fold(Dim::fixed(1), |n, &d| n * d)
}

/// Operations that read every element a few times.
pub(super) fn per_element(inputs: &[&TensorType], extents: &Extents, each: usize) -> u64 {
    (inputs[0].shape.count(extents) * each) as u64
}

/// Batch normalisation in training (Ioffe and Szegedy, 2015), followed by an element-wise program while the result is in
/// cache.
///
/// Inputs: `x [..., c]`, scale `[c]`, shift `[c]`, and those of the program, whose input 0 is the normalised values.
/// Outputs: the result; mean `[c]` and biased variance `[c]` of the batch, through which no gradient flows.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    /// Added to the variance.
    pub epsilon: f32,
    /// What is applied to each normalised value.
    pub epilogue: Option<Program>,
}

impl Operation for BatchNorm {
    fn name(&self) -> String {
        match &self.epilogue {
            None => "batch_norm".to_string(),
            Some(program) => format!("batch_norm+{}", program.names()),
        }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        if self.epilogue.is_none() || inputs.len() < 3 {
            arity(inputs, 3)?;
        }
        let vector = TensorType::f32(Shape::from(vec![channels(&inputs[..3])?]));
        check_epilogue(self.epilogue.as_ref(), &inputs[0].shape, &inputs[3..])?;
        Ok(vec![inputs[0].clone(), vector.clone(), vector])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        if self.epilogue.is_some() {
            return cx.through_decomposition(self);
        }
        let op = BatchNormGrad { epsilon: self.epsilon };
        let inputs = [cx.input(0), cx.input(1), cx.output(1), cx.output(2), cx.upstream()?];
        Ok(cx.tracer().apply(op, &inputs)?.into_iter().map(Some).collect())
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (x, scale, shift) = (cx.inputs[0], cx.inputs[1], cx.inputs[2]);
        let c = scale.data.len();
        let n = (x.data.len() / c.max(1)) as f64;
        let column_mean = |f: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
            let mut sums = vec![0.0; c];
            x.data.iter().enumerate().for_each(|(i, &v)| sums[i % c] += f(i % c, v));
            sums.iter().map(|s| s / n).collect()
        };
        let mean = column_mean(&|_, v| v);
        let variance = column_mean(&|j, v| (v - mean[j]).powi(2));
        let normalise = |(i, &v): (usize, &f64)| {
            let j = i % c;
            (v - mean[j]) / (variance[j] + f64::from(self.epsilon)).sqrt() * scale.data[j] + shift.data[j]
        };
        let y = Reference::new(&x.shape, x.data.iter().enumerate().map(normalise).collect());
        let y = reference_epilogue(self.epilogue.as_ref(), y, &cx.inputs[3..]);
        vec![y, Reference::new(&[c], mean), Reference::new(&[c], variance)]
    }

    fn decompose(&self, inputs: &[Tensor]) -> Result<Option<Vec<Tensor>>> {
        let Some(program) = &self.epilogue else { return Ok(None) };
        let (y, mean, variance) = inputs[0].batch_norm(&inputs[1], &inputs[2], self.epsilon)?;
        let y = program.apply(&[&[y], &inputs[3..]].concat())?;
        Ok(Some(vec![y, mean, variance]))
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        per_element(inputs, extents, 7 + self.epilogue.as_ref().map_or(0, |p| p.instructions.len()))
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for (shape, gradient) in [
            (&[6, 3][..], true),
            (&[2, 3, 2, 4], true),
            (&[5, 16, 17], false),
            (&[300, 33], false),
            (&[4, 9, 9, 64], false),
        ] {
            let c = *shape.last().unwrap_or(&1);
            let inputs = vec![uniform(shape, -1.0, 3.0, 1), uniform(&[c], 0.5, 2.0, 2), uniform(&[c], -1.0, 1.0, 3)];
            let sample = Sample::new(BatchNorm { epsilon: 1e-5, epilogue: None }, inputs)
                .tolerance(1e-5)
                .non_finite_may_spread()
                .batched(&[true, false, false]);
            samples.push(if gradient { sample } else { sample.without_gradient() });
        }
        // relu(y + residual), then times one number a channel.
        let residual = Program {
            instructions: vec![
                Instruction::Binary(BinaryKind::Add, Operand::Input(0), Operand::Input(1)),
                Instruction::Unary(UnaryKind::Relu, Operand::Result(0)),
            ],
        };
        let mut scaled = residual.clone();
        scaled.instructions.push(Instruction::Binary(BinaryKind::Mul, Operand::Result(1), Operand::Input(2)));
        for (shape, epilogue) in [
            (&[6, 3][..], &residual),
            (&[6, 3], &scaled),
            (&[40, 16], &scaled),
            (&[2100, 17], &residual),
            (&[2100, 17], &scaled),
        ] {
            let c = *shape.last().unwrap_or(&1);
            let mut inputs =
                vec![uniform(shape, -1.0, 3.0, 1), uniform(&[c], 0.5, 2.0, 2), uniform(&[c], -1.0, 1.0, 3)];
            inputs.push(uniform(shape, -1.0, 1.0, 4));
            if epilogue.instructions.len() > 2 {
                inputs.push(uniform(&[c], -1.0, 1.0, 5));
            }
            let op = BatchNorm { epsilon: 1e-5, epilogue: Some(epilogue.clone()) };
            let batched: Vec<bool> = (0..inputs.len()).map(|i| i == 0 || i == 3).collect();
            let sample = Sample::new(op, inputs).tolerance(1e-5).non_finite_may_spread().batched(&batched);
            samples.push(if shape == [6, 3] { sample } else { sample.without_gradient() });
        }
        samples
    }
}

/// Gradient of [`BatchNorm`]. Inputs: x, scale, mean, variance, gradient of the result; outputs: those of x, scale, shift.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNormGrad {
    /// Added to the variance.
    pub epsilon: f32,
}

impl Operation for BatchNormGrad {
    fn name(&self) -> String {
        "batch_norm_grad".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 5)?;
        let vector = TensorType::f32(Shape::from(vec![channels(&inputs[..4])?]));
        super::same_shape("the input and the gradient", inputs[0], inputs[4])?;
        Ok(vec![inputs[0].clone(), vector.clone(), vector])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let [x, scale, mean, variance, up] = cx.inputs else { unreachable!("checked by infer") };
        let c = scale.data.len();
        let n = (x.data.len() / c.max(1)) as f64;
        let inverse = |j: usize| 1.0 / (variance.data[j] + f64::from(self.epsilon)).sqrt();
        let hat = |i: usize| (x.data[i] - mean.data[i % c]) * inverse(i % c);
        let (mut d_scale, mut d_shift) = (vec![0.0; c], vec![0.0; c]);
        for (i, &u) in up.data.iter().enumerate() {
            d_scale[i % c] += u * hat(i);
            d_shift[i % c] += u;
        }
        let dx = (0..x.data.len()).map(|i| {
            let j = i % c;
            scale.data[j] * inverse(j) * (up.data[i] - d_shift[j] / n - hat(i) * d_scale[j] / n)
        });
        vec![Reference::new(&x.shape, dx.collect()), Reference::new(&[c], d_scale), Reference::new(&[c], d_shift)]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        per_element(inputs, extents, 11)
    }

    fn samples() -> Vec<Sample> {
        let sample = |shape: &[usize]| {
            let c = *shape.last().unwrap_or(&1);
            let inputs = vec![
                uniform(shape, -1.0, 3.0, 1),
                uniform(&[c], 0.5, 2.0, 2),
                uniform(&[c], 0.5, 1.5, 3),
                uniform(&[c], 0.8, 1.5, 4),
                uniform(shape, -1.0, 1.0, 5),
            ];
            Sample::new(BatchNormGrad { epsilon: 1e-5 }, inputs)
                .without_gradient()
                .tolerance(1e-5)
                .non_finite_may_spread()
                .batched(&[true, false, false, false, true])
        };
        vec![sample(&[6, 3]), sample(&[5, 4, 17]), sample(&[300, 33]), sample(&[4, 9, 9, 64])]
    }
}

/// Layer normalisation over the last axis (Ba, Kiros and Hinton, 2016).
///
/// Inputs: `x [..., c]`, scale `[c]`, shift `[c]`. Outputs: the normalised values; mean `[...]` and inverse standard
/// deviation `[...]` of each row, through which no gradient flows.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    /// Added to the variance.
    pub epsilon: f32,
}

impl Operation for LayerNorm {
    fn name(&self) -> String {
        "layer_norm".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 3)?;
        channels(inputs)?;
        let rows = TensorType::f32(Shape::from(vec![rows_of(&inputs[0].shape)]));
        Ok(vec![inputs[0].clone(), rows.clone(), rows])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let inputs = [cx.input(0), cx.input(1), cx.output(1), cx.output(2), cx.upstream()?];
        Ok(cx.tracer().apply(LayerNormGrad, &inputs)?.into_iter().map(Some).collect())
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (x, scale, shift) = (cx.inputs[0], cx.inputs[1], cx.inputs[2]);
        let c = scale.data.len();
        let (mut y, mut means, mut inverses) = (Vec::new(), Vec::new(), Vec::new());
        for row in x.data.chunks(c.max(1)) {
            let mean = row.iter().sum::<f64>() / c as f64;
            let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / c as f64;
            let inverse = 1.0 / (variance + f64::from(self.epsilon)).sqrt();
            y.extend(row.iter().enumerate().map(|(j, v)| (v - mean) * inverse * scale.data[j] + shift.data[j]));
            means.push(mean);
            inverses.push(inverse);
        }
        vec![Reference::new(&x.shape, y), Reference::new(&cx.shapes[1], means), Reference::new(&cx.shapes[2], inverses)]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        per_element(inputs, extents, 7)
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
            let inputs = vec![uniform(shape, -1.0, 3.0, 1), uniform(&[c], 0.5, 2.0, 2), uniform(&[c], -1.0, 1.0, 3)];
            let sample = Sample::new(LayerNorm { epsilon: 1e-5 }, inputs)
                .tolerance(1e-5)
                .non_finite_may_spread()
                .batched(&[true, false, false]);
            samples.push(if gradient { sample } else { sample.without_gradient() });
        }
        samples
    }
}

/// Gradient of [`LayerNorm`]. Inputs: x, scale, mean, inverse deviation, gradient of the result; outputs: those of x,
/// scale, shift.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNormGrad;

impl Operation for LayerNormGrad {
    fn name(&self) -> String {
        "layer_norm_grad".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 5)?;
        let vector = TensorType::f32(Shape::from(vec![channels(&inputs[..2])?]));
        super::same_shape("the input and the gradient", inputs[0], inputs[4])?;
        let rows = rows_of(&inputs[0].shape);
        if inputs[2].shape.dims() != [rows] || inputs[3].shape.dims() != [rows] {
            return Err(format!(
                "mean {} and deviation {} must have one value for each of {rows} rows",
                inputs[2], inputs[3]
            ));
        }
        Ok(vec![inputs[0].clone(), vector.clone(), vector])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let [x, scale, mean, inverse, up] = cx.inputs else { unreachable!("checked by infer") };
        let c = scale.data.len();
        let (mut dx, mut d_scale, mut d_shift) = (Vec::new(), vec![0.0; c], vec![0.0; c]);
        for (r, row) in x.data.chunks(c.max(1)).enumerate() {
            let hat: Vec<f64> = row.iter().map(|v| (v - mean.data[r]) * inverse.data[r]).collect();
            let u = &up.data[r * c..(r + 1) * c];
            let (mut sum, mut product) = (0.0, 0.0);
            for j in 0..c {
                d_scale[j] += u[j] * hat[j];
                d_shift[j] += u[j];
                sum += u[j] * scale.data[j];
                product += u[j] * scale.data[j] * hat[j];
            }
            let n = c as f64;
            dx.extend((0..c).map(|j| inverse.data[r] * (u[j] * scale.data[j] - sum / n - hat[j] * product / n)));
        }
        vec![Reference::new(&x.shape, dx), Reference::new(&[c], d_scale), Reference::new(&[c], d_shift)]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        per_element(inputs, extents, 13)
    }

    fn samples() -> Vec<Sample> {
        let sample = |shape: &[usize]| {
            let (&c, lead) = shape.split_last().expect("samples have axes");
            let rows: usize = lead.iter().product();
            let inputs = vec![
                uniform(shape, -1.0, 3.0, 1),
                uniform(&[c], 0.5, 2.0, 2),
                uniform(&[rows], 0.5, 1.5, 3),
                uniform(&[rows], 0.8, 1.5, 4),
                uniform(shape, -1.0, 1.0, 5),
            ];
            Sample::new(LayerNormGrad, inputs).without_gradient().tolerance(1e-5).non_finite_may_spread()
        };
        let batched = sample(&[4, 6]).batched(&[true, false, true, true, true]);
        vec![batched, sample(&[2, 3, 5]), sample(&[65, 33]), sample(&[700, 17]), sample(&[9, 1025])]
    }
}

impl Tensor {
    /// Batch normalisation with the statistics of this batch: the result, mean and biased variance of each channel.
    ///
    /// # Errors
    /// If scale and shift do not have one value a channel.
    pub fn batch_norm(&self, scale: &Tensor, shift: &Tensor, epsilon: f32) -> Result<(Tensor, Tensor, Tensor)> {
        let mut outputs =
            self.tracer().apply(BatchNorm { epsilon, epilogue: None }, &[self, scale, shift])?.into_iter();
        match (outputs.next(), outputs.next(), outputs.next()) {
            (Some(y), Some(mean), Some(variance)) => Ok((y, mean, variance)),
            _ => Err(self.error("batch_norm", "expected three outputs".to_string())),
        }
    }

    /// Layer normalisation over the last axis.
    ///
    /// # Errors
    /// If scale and shift do not have one value a channel.
    pub fn layer_norm(&self, scale: &Tensor, shift: &Tensor, epsilon: f32) -> Result<Tensor> {
        self.tracer().apply_one(LayerNorm { epsilon }, &[self, scale, shift])
    }
}
