use std::fmt;

use deepfit_graph::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::module::Module;
use crate::scope::Scope;

/// An activation function, applied to each element, with PyTorch's default settings.
///
/// Values and gradients are right for every finite input: what a formula's inner parts cannot hold is limited before it
/// overflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `x`, but `0.01 x` below 0.
    LeakyRelu,
    /// `x`, but `exp(x) - 1` below 0 (Clevert et al., 2016).
    Elu,
    /// A scaled ELU that keeps mean and variance (Klambauer et al., 2017).
    Selu,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `x Φ(x)` with the normal distribution function Φ (Hendrycks and Gimpel, 2016).
    Gelu,
    /// [`Activation::Gelu`] with Φ approximated by a hyperbolic tangent.
    GeluTanh,
    /// `x sigmoid(x)`, also known as swish.
    Silu,
    /// `ln(1 + exp(x))`
    Softplus,
    /// `x relu6(x + 3) / 6` (Howard et al., 2019).
    Hardswish,
    /// `relu6(x + 3) / 6`
    Hardsigmoid,
    /// `x tanh(softplus(x))` (Misra, 2020).
    Mish,
}

impl Activation {
    /// All of them.
    pub const ALL: [Activation; 14] = [
        Activation::Relu,
        Activation::Relu6,
        Activation::LeakyRelu,
        Activation::Elu,
        Activation::Selu,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Silu,
        Activation::Softplus,
        Activation::Hardswish,
        Activation::Hardsigmoid,
        Activation::Mish,
    ];

    /// The name in settings, such as `gelu_tanh`.
    pub fn name(self) -> &'static str {
        match self {
            Activation::Relu => "relu",
            Activation::Relu6 => "relu6",
            Activation::LeakyRelu => "leaky_relu",
            Activation::Elu => "elu",
            Activation::Selu => "selu",
            Activation::Sigmoid => "sigmoid",
            Activation::Tanh => "tanh",
            Activation::Gelu => "gelu",
            Activation::GeluTanh => "gelu_tanh",
            Activation::Silu => "silu",
            Activation::Softplus => "softplus",
            Activation::Hardswish => "hardswish",
            Activation::Hardsigmoid => "hardsigmoid",
            Activation::Mish => "mish",
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Module for Activation {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Activation::Relu => x.relu()?,
            Activation::Relu6 => x.clamp(0.0, 6.0)?,
            Activation::LeakyRelu => {
                // Not a maximum, whose gradient at 0 would lie between the two slopes.
                const SLOPE: f32 = 0.01;
                x.mul_scalar(SLOPE)?.add(&x.relu()?.mul_scalar(1.0 - SLOPE)?)?
            }
            Activation::Elu => elu(x, 1.0)?,
            Activation::Selu => {
                // The fixed point for mean 0 and variance 1.
                const ALPHA: f32 = 1.673_263_2;
                const SCALE: f32 = 1.050_701;
                elu(x, ALPHA)?.mul_scalar(SCALE)?
            }
            Activation::Sigmoid => x.sigmoid()?,
            Activation::Tanh => x.tanh()?,
            Activation::Gelu => {
                let share = x.mul_scalar(std::f32::consts::FRAC_1_SQRT_2)?.erf()?.add_scalar(1.0)?;
                x.mul(&share)?.mul_scalar(0.5)?
            }
            Activation::GeluTanh => {
                // Beyond 10 the tangent is 1 to the last bit, while the cube would overflow and turn its gradient NaN.
                let z = x.clamp(-10.0, 10.0)?;
                let cubic = z.mul(&z.square()?.mul_scalar(0.044_715)?.add_scalar(1.0)?)?;
                let share = cubic.mul_scalar((2.0 / std::f32::consts::PI).sqrt())?.tanh()?.add_scalar(1.0)?;
                x.mul(&share)?.mul_scalar(0.5)?
            }
            Activation::Silu => x.mul(&x.sigmoid()?)?,
            Activation::Softplus => x.softplus()?,
            Activation::Hardswish => x.mul(&hardsigmoid(x)?)?,
            Activation::Hardsigmoid => hardsigmoid(x)?,
            Activation::Mish => x.mul(&x.softplus()?.tanh()?)?,
        })
    }
}

/// An [`Activation`] with a place of its own among the layers, so that costs and errors name it.
#[derive(Debug, Clone)]
pub struct Activate {
    path: String,
    activation: Activation,
}

impl Activate {
    /// The activation at the given place.
    pub fn new(scope: &Scope, activation: Activation) -> Self {
        Activate { path: scope.path().to_string(), activation }
    }
}

impl Module for Activate {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || self.activation.forward(x))
    }
}

/// `x` above 0, else `alpha * (exp(x) - 1)`, whose slope `alpha` is that at 0.
fn elu(x: &Tensor, alpha: f32) -> Result<Tensor> {
    // The exponential is also computed where it is not selected, and must not overflow there. Its limit lies above 0,
    // since the gradient at a limit is 0.
    let negative = x.clamp(f32::NEG_INFINITY, 1.0)?.exp()?.add_scalar(-1.0)?.mul_scalar(alpha)?;
    let positive = x.greater(&x.tracer().scalar(0.0))?;
    Ok(positive.select(x, &negative)?)
}

fn hardsigmoid(x: &Tensor) -> Result<Tensor> {
    Ok(x.add_scalar(3.0)?.clamp(0.0, 6.0)?.mul_scalar(1.0 / 6.0)?)
}
