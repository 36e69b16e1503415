//! Operations with an effect: they write parameters or stop the run.

use super::{arity, floating, same_shape};
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, uniform};
use crate::shape::{Extents, TensorType};
use crate::trace::Tensor;

/// Writes a value into a parameter. Inputs: the parameter, the value; output: the parameter's new value.
#[derive(Debug, Clone, PartialEq)]
pub struct Assign;

impl Operation for Assign {
    fn name(&self) -> String {
        "assign".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 2)?;
        floating(inputs)?;
        same_shape("the parameter and its new value", inputs[0], inputs[1])?;
        Ok(vec![inputs[0].clone()])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        vec![cx.inputs[1].clone()]
    }

    fn operations(&self, _: &[&TensorType], _: &[TensorType], _: &Extents) -> u64 {
        0
    }

    fn updates(&self) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn samples() -> Vec<Sample> {
        vec![
            Sample::new(Assign, vec![uniform(&[3, 5], -1.0, 1.0, 1), uniform(&[3, 5], -1.0, 1.0, 2)])
                .without_gradient(),
        ]
    }
}

/// Stops the run with an error, before later effects, if its input is not finite. No output.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard;

impl Operation for Guard {
    fn name(&self) -> String {
        "guard".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        floating(inputs)?;
        Ok(Vec::new())
    }

    fn reference(&self, _: &ReferenceContext<'_>) -> Vec<Reference> {
        Vec::new()
    }

    fn samples() -> Vec<Sample> {
        Vec::new()
    }
}

fn check_update(inputs: &[&TensorType], tensors: usize, scalars: usize) -> Result<(), String> {
    arity(inputs, tensors + scalars)?;
    floating(inputs)?;
    for tensor in &inputs[1..tensors] {
        same_shape("the parameter and its gradient or state", inputs[0], tensor)?;
    }
    match inputs[tensors..].iter().find(|t| t.shape.rank() != 0) {
        Some(t) => Err(format!("learning rate and step must be scalars, not {t}")),
        None => Ok(()),
    }
}

/// A step of stochastic gradient descent, as PyTorch's `SGD` (Sutskever et al., 2013, for the momentum).
///
/// Inputs: parameter, gradient, velocity (only with momentum), learning rate. A gradient that is not finite stops the
/// run before anything of this parameter is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Sgd {
    /// Share of the velocity that stays; 0 for none.
    pub momentum: f64,
    /// Whether the gradient is taken where the momentum leads (Nesterov).
    pub nesterov: bool,
    /// Share of the parameter that is added to its gradient.
    pub weight_decay: f64,
}

impl Operation for Sgd {
    fn name(&self) -> String {
        "sgd".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        let tensors = if self.momentum == 0.0 { 2 } else { 3 };
        check_update(inputs, tensors, 1)?;
        Ok(vec![inputs[0].clone(); tensors - 1])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (parameter, gradient) = (cx.inputs[0], cx.inputs[1]);
        let rate = cx.inputs[cx.inputs.len() - 1].data[0];
        let momentum = self.momentum;
        let (mut new, mut velocities) = (parameter.clone(), cx.inputs[2].clone());
        for (i, p) in new.data.iter_mut().enumerate() {
            let mut step = gradient.data[i] + self.weight_decay * *p;
            if momentum != 0.0 {
                let velocity = momentum * velocities.data[i] + step;
                velocities.data[i] = velocity;
                step = if self.nesterov { step + momentum * velocity } else { velocity };
            }
            *p -= rate * step;
        }
        if momentum == 0.0 { vec![new] } else { vec![new, velocities] }
    }

    fn operations(&self, _: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        (outputs[0].shape.count(extents) * 6) as u64
    }

    fn updates(&self) -> Vec<(usize, usize)> {
        if self.momentum == 0.0 { vec![(0, 0)] } else { vec![(0, 0), (2, 1)] }
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for n in [0, 1, 7, 16, 17, 5000] {
            for (momentum, nesterov, weight_decay) in [(0.0, false, 0.0), (0.9, false, 0.01), (0.8, true, 0.1)] {
                let mut inputs = vec![uniform(&[n], -1.0, 1.0, 1), uniform(&[n], -1.0, 1.0, 2)];
                if momentum != 0.0 {
                    inputs.push(uniform(&[n], -1.0, 1.0, 3));
                }
                inputs.push(uniform(&[], 0.1, 0.2, 4));
                samples.push(Sample::new(Sgd { momentum, nesterov, weight_decay }, inputs).without_gradient());
            }
        }
        samples
    }
}

/// A step of Adam (Kingma and Ba, 2015) or AdamW (Loshchilov and Hutter, 2019), as PyTorch's.
///
/// Inputs: parameter, gradient, first and second moment, learning rate, number of this step from 1. A gradient that is
/// not finite stops the run before anything of this parameter is written.
/// Settings are f64 because `1 - 0.999` in f32 would lose four digits.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    /// Decay rates of the moments.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Whether the decay shrinks the parameter itself (AdamW) or is added to the gradient (Adam).
    pub decoupled: bool,
}

impl Operation for Adam {
    fn name(&self) -> String {
        if self.decoupled { "adamw" } else { "adam" }.to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        check_update(inputs, 4, 2)?;
        Ok(vec![inputs[0].clone(); 3])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let [parameter, gradient, first, second, rate, step] = cx.inputs else { unreachable!("checked by infer") };
        let (rate, step) = (rate.data[0], step.data[0]);
        let (b1, b2) = self.betas;
        let (decay, epsilon) = (self.weight_decay, self.epsilon);
        let (c1, c2) = (1.0 - b1.powf(step), 1.0 - b2.powf(step));
        let (mut p, mut m, mut v) = ((*parameter).clone(), (*first).clone(), (*second).clone());
        for i in 0..p.data.len() {
            let mut g = gradient.data[i];
            if self.decoupled {
                p.data[i] *= 1.0 - rate * decay;
            } else {
                g += decay * p.data[i];
            }
            m.data[i] = b1 * m.data[i] + (1.0 - b1) * g;
            v.data[i] = b2 * v.data[i] + (1.0 - b2) * g * g;
            p.data[i] -= rate / c1 * m.data[i] / ((v.data[i] / c2).sqrt() + epsilon);
        }
        vec![p, m, v]
    }

    fn operations(&self, _: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        (outputs[0].shape.count(extents) * 14) as u64
    }

    fn updates(&self) -> Vec<(usize, usize)> {
        vec![(0, 0), (2, 1), (3, 2)]
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for n in [0, 1, 7, 16, 17, 5000] {
            for (decoupled, weight_decay, step) in [(false, 0.0, 1.0), (false, 0.1, 3.0), (true, 0.01, 10.0)] {
                let op = Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay, decoupled };
                let step = crate::host::HostTensor::f32(&[], vec![step]);
                let inputs = vec![
                    uniform(&[n], -1.0, 1.0, 1),
                    uniform(&[n], -1.0, 1.0, 2),
                    uniform(&[n], -1.0, 1.0, 3),
                    uniform(&[n], 0.1, 1.0, 4),
                    uniform(&[], 0.1, 0.2, 5),
                    step,
                ];
                samples.push(Sample::new(op, inputs).without_gradient().tolerance(4e-6));
            }
        }
        samples
    }
}

impl Tensor {
    /// Writes `value` into this parameter when the graph runs; returns the new value.
    ///
    /// # Errors
    /// If `self` is not a parameter or the shapes differ.
    pub fn assign(&self, value: &Tensor) -> crate::error::Result<Tensor> {
        self.tracer().apply_one(Assign, &[self, value])
    }
}
