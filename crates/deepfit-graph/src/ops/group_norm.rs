//! Normalisation over groups of channels of each example.

use super::{arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, uniform};
use crate::shape::{Extents, Shape, TensorType};
use crate::trace::Tensor;

/// Group normalisation (Wu and He, 2018); instance normalisation (Ulyanov et al., 2016) with a group for each channel.
///
/// Inputs: `x [n, ..., c]`, scale `[c]`, shift `[c]`. Outputs: the normalised values; mean `[n, groups]` and biased
/// variance `[n, groups]`, through which no gradient flows.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupNorm {
    /// Number of groups that the channels are cut into.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f32,
}

impl GroupNorm {
    fn statistics(&self, x: &TensorType, vectors: &[&TensorType]) -> Result<TensorType, String> {
        let shape = &x.shape;
        let (true, Some(channels)) = (shape.rank() >= 2, shape.dims().last().and_then(|c| c.as_fixed())) else {
            return Err(format!("needs [batch, ..., channels] with fixed channels, not {shape}"));
        };
        if self.groups == 0 || channels % self.groups != 0 {
            return Err(format!("{} groups do not divide the {channels} channels of {shape}", self.groups));
        }
        if let Some(other) = vectors.iter().find(|v| v.shape.dims() != [channels.into()]) {
            return Err(format!("a vector of shape {} does not fit the {channels} channels of {shape}", other.shape));
        }
        Ok(TensorType::f32(Shape::from(vec![shape.dims()[0], self.groups.into()])))
    }

    /// Calls `f(element, channel, group among all examples)` for each element.
    fn for_each(&self, shape: &[usize], mut f: impl FnMut(usize, usize, usize)) {
        let (n, c) = (shape[0], shape[shape.len() - 1]);
        let example: usize = shape[1..].iter().product();
        for i in 0..n * example {
            let channel = i % c;
            f(i, channel, i / example * self.groups + channel / (c / self.groups));
        }
    }

    fn count(&self, shape: &[usize]) -> f64 {
        (shape[1..].iter().product::<usize>() / self.groups) as f64
    }
}

impl Operation for GroupNorm {
    fn name(&self) -> String {
        "group_norm".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 3)?;
        floating(inputs)?;
        let statistics = self.statistics(inputs[0], &inputs[1..])?;
        Ok(vec![inputs[0].clone(), statistics.clone(), statistics])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let inputs = [cx.input(0), cx.input(1), cx.output(1), cx.output(2), cx.upstream()?];
        Ok(cx.tracer().apply(GroupNormGrad { norm: self.clone() }, &inputs)?.into_iter().map(Some).collect())
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (x, scale, shift) = (cx.inputs[0], cx.inputs[1], cx.inputs[2]);
        let count = self.count(&x.shape);
        let mut mean = Reference::full(&cx.shapes[1], 0.0);
        let mut variance = Reference::full(&cx.shapes[2], 0.0);
        self.for_each(&x.shape, |i, _, g| mean.data[g] += x.data[i] / count);
        self.for_each(&x.shape, |i, _, g| variance.data[g] += (x.data[i] - mean.data[g]).powi(2) / count);
        let mut y = Reference::full(&x.shape, 0.0);
        self.for_each(&x.shape, |i, c, g| {
            let hat = (x.data[i] - mean.data[g]) / (variance.data[g] + f64::from(self.epsilon)).sqrt();
            y.data[i] = hat * scale.data[c] + shift.data[c];
        });
        if count == 0.0 {
            mean.data.fill(f64::NAN);
            variance.data.fill(f64::NAN);
        }
        vec![y, mean, variance]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        (inputs[0].shape.count(extents) * 7) as u64
    }

    fn samples() -> Vec<Sample> {
        shapes()
            .into_iter()
            .map(|(shape, groups, gradient)| {
                let c = shape[shape.len() - 1];
                let inputs =
                    vec![uniform(&shape, -1.0, 3.0, 1), uniform(&[c], 0.5, 2.0, 2), uniform(&[c], -1.0, 1.0, 3)];
                let sample = Sample::new(GroupNorm { groups, epsilon: 1e-5 }, inputs)
                    .tolerance(1e-5)
                    .non_finite_may_spread()
                    .batched(&[true, false, false]);
                if gradient { sample } else { sample.without_gradient() }
            })
            .collect()
    }
}

/// Gradient of [`GroupNorm`]. Inputs: x, scale, mean, variance, gradient of the result; outputs: those of x, scale,
/// shift.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupNormGrad {
    /// The normalisation.
    pub norm: GroupNorm,
}

impl Operation for GroupNormGrad {
    fn name(&self) -> String {
        "group_norm_grad".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 5)?;
        floating(inputs)?;
        let statistics = self.norm.statistics(inputs[0], &inputs[1..2])?;
        super::same_shape("the mean and the groups", inputs[2], &statistics)?;
        super::same_shape("the variance and the groups", inputs[3], &statistics)?;
        super::same_shape("the input and the gradient", inputs[0], inputs[4])?;
        Ok(vec![inputs[0].clone(), inputs[1].clone(), inputs[1].clone()])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let [x, scale, mean, variance, up] = cx.inputs else { unreachable!("checked by infer") };
        let count = self.norm.count(&x.shape);
        let inverse = |g: usize| 1.0 / (variance.data[g] + f64::from(self.norm.epsilon)).sqrt();
        let hat = |i: usize, g: usize| (x.data[i] - mean.data[g]) * inverse(g);
        let (mut d_scale, mut d_shift) = (vec![0.0; scale.data.len()], vec![0.0; scale.data.len()]);
        let (mut sum, mut product) = (vec![0.0; mean.data.len()], vec![0.0; mean.data.len()]);
        self.norm.for_each(&x.shape, |i, c, g| {
            d_scale[c] += up.data[i] * hat(i, g);
            d_shift[c] += up.data[i];
            sum[g] += up.data[i] * scale.data[c] / count;
            product[g] += up.data[i] * scale.data[c] * hat(i, g) / count;
        });
        let mut dx = Reference::full(&x.shape, 0.0);
        self.norm.for_each(&x.shape, |i, c, g| {
            dx.data[i] = inverse(g) * (up.data[i] * scale.data[c] - sum[g] - hat(i, g) * product[g]);
        });
        vec![dx, Reference::new(&scale.shape, d_scale), Reference::new(&scale.shape, d_shift)]
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        (inputs[0].shape.count(extents) * 13) as u64
    }

    fn samples() -> Vec<Sample> {
        shapes()
            .into_iter()
            .map(|(shape, groups, _)| {
                let (n, c) = (shape[0], shape[shape.len() - 1]);
                let inputs = vec![
                    uniform(&shape, -1.0, 3.0, 1),
                    uniform(&[c], 0.5, 2.0, 2),
                    uniform(&[n, groups], 0.5, 1.5, 3),
                    uniform(&[n, groups], 0.8, 1.5, 4),
                    uniform(&shape, -1.0, 1.0, 5),
                ];
                Sample::new(GroupNormGrad { norm: GroupNorm { groups, epsilon: 1e-5 } }, inputs)
                    .without_gradient()
                    .tolerance(1e-5)
                    .non_finite_may_spread()
                    .batched(&[true, false, true, true, true])
            })
            .collect()
    }
}

/// Shapes with numbers of groups, and whether they are small enough for central differences.
fn shapes() -> Vec<(Vec<usize>, usize, bool)> {
    vec![
        (vec![2, 3, 2, 4], 2, true),
        (vec![3, 4, 3], 1, true),
        (vec![2, 5, 3], 3, true),
        (vec![2, 6], 3, true),
        (vec![3, 5, 7, 34], 2, false),
        (vec![2, 30, 20, 17], 17, false),
        (vec![5, 3, 96], 8, false),
        (vec![0, 3, 4], 2, false),
    ]
}

impl Tensor {
    /// Group normalisation of `[batch, ..., channels]`: the result, and mean and biased variance `[batch, groups]`.
    ///
    /// # Errors
    /// If the groups do not divide the channels, or scale and shift do not have one value a channel.
    pub fn group_norm(
        &self,
        groups: usize,
        scale: &Tensor,
        shift: &Tensor,
        epsilon: f32,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let mut outputs = self.tracer().apply(GroupNorm { groups, epsilon }, &[self, scale, shift])?.into_iter();
        match (outputs.next(), outputs.next(), outputs.next()) {
            (Some(y), Some(mean), Some(variance)) => Ok((y, mean, variance)),
            _ => Err(self.error("group_norm", "expected three outputs".to_string())),
        }
    }
}
