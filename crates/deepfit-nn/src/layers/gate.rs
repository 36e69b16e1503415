use deepfit_graph::Tensor;

use super::activation::Activation;
use crate::error::Result;
use crate::module::Module;
use crate::scope::Scope;

/// Gated linear units (Dauphin et al., 2017; Shazeer, 2020): the first half of the last axis, or another, times a function of the second
/// half, `[..., 2 n]` becomes `[..., n]`.
#[derive(Debug, Clone)]
pub struct Glu {
    path: String,
    gate: Option<Activation>,
    /// The last one, if none is named.
    axis: Option<usize>,
}

impl Glu {
    /// The unit with the given function of the gate.
    pub fn with(scope: &Scope, gate: Activation) -> Self {
        Glu { path: scope.place("glu"), gate: Some(gate), axis: None }
    }

    /// The sigmoid: PyTorch's `GLU` along the last axis.
    pub fn new(scope: &Scope) -> Self {
        Self::with(scope, Activation::Sigmoid)
    }

    /// SwiGLU: [`Activation::Silu`].
    pub fn swiglu(scope: &Scope) -> Self {
        Self::with(scope, Activation::Silu)
    }

    /// GeGLU: [`Activation::Gelu`].
    pub fn geglu(scope: &Scope) -> Self {
        Self::with(scope, Activation::Gelu)
    }

    /// ReGLU: [`Activation::Relu`].
    pub fn reglu(scope: &Scope) -> Self {
        Self::with(scope, Activation::Relu)
    }

    /// The gate as it is: the product of both halves.
    pub fn bilinear(scope: &Scope) -> Self {
        Glu { path: scope.place("glu"), gate: None, axis: None }
    }

    /// The same unit along another axis than the last.
    pub fn along(self, axis: usize) -> Self {
        Glu { axis: Some(axis), ..self }
    }
}

impl Module for Glu {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            let axis = self.axis.unwrap_or(x.shape().rank().saturating_sub(1));
            let Some(half) = x.shape().fixed(axis).filter(|n| n.is_multiple_of(2)).map(|n| n / 2) else {
                let problem = format!("axis {axis} of {} must be fixed and even, to be cut into halves", x.shape());
                return Err(x.error("glu", problem).into());
            };
            let halves = x.split(axis, &[half, half])?;
            let gate = match self.gate {
                Some(function) => function.forward(&halves[1])?,
                None => halves[1].clone(),
            };
            Ok(halves[0].mul(&gate)?)
        })
    }
}
