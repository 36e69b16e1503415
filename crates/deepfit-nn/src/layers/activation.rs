use std::fmt;

use deepfit_graph::Tensor;
use deepfit_graph::ops::UnaryKind;
use serde::{Deserialize, Serialize};

use crate::error::{Result, require};
use crate::module::Module;
use crate::scope::Scope;

/// An activation function, applied to each element, with PyTorch's default settings. The shape stays.
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
    /// `ln(sigmoid(x))`
    LogSigmoid,
    /// `x / (1 + |x|)`
    Softsign,
    /// `x` moved towards 0 by 0.5, but 0 within 0.5 of it.
    Softshrink,
    /// `x`, but 0 within 0.5 of it.
    Hardshrink,
    /// `x - tanh(x)`
    Tanhshrink,
    /// `min(max(x, -1), 1)`
    Hardtanh,
    /// `x`, but `exp(x) - 1` below 0: [`Activation::Elu`], from which it differs with another scale (Barron, 2017).
    Celu,
}

impl Activation {
    /// All of them.
    pub const ALL: [Activation; 21] = [
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
        Activation::LogSigmoid,
        Activation::Softsign,
        Activation::Softshrink,
        Activation::Hardshrink,
        Activation::Tanhshrink,
        Activation::Hardtanh,
        Activation::Celu,
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
            Activation::LogSigmoid => "log_sigmoid",
            Activation::Softsign => "softsign",
            Activation::Softshrink => "softshrink",
            Activation::Hardshrink => "hardshrink",
            Activation::Tanhshrink => "tanhshrink",
            Activation::Hardtanh => "hardtanh",
            Activation::Celu => "celu",
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
            Activation::LeakyRelu => leaky(x, 0.01)?,
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
            Activation::LogSigmoid => x.neg()?.softplus()?.neg()?,
            Activation::Softsign => x.div(&x.abs()?.add_scalar(1.0)?)?,
            Activation::Softshrink => softshrink(x, 0.5)?,
            Activation::Hardshrink => hardshrink(x, 0.5)?,
            Activation::Tanhshrink => x.sub(&x.tanh()?)?,
            Activation::Hardtanh => x.clamp(-1.0, 1.0)?,
            Activation::Celu => celu(x, 1.0)?,
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
        Activate { path: scope.place("activation"), activation }
    }
}

impl Module for Activate {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.tracer().in_layer(&self.path, || self.activation.forward(x))
    }
}

/// An activation function with settings of its own, by PyTorch's names; PyTorch's defaults are those of [`Activation`].
/// The shape stays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AdjustedActivation {
    /// `x`, but `negative_slope * x` below 0.
    LeakyRelu {
        /// Slope below 0.
        negative_slope: f32,
    },
    /// `x`, but `alpha * (exp(x) - 1)` below 0.
    Elu {
        /// Minus the limit far below 0.
        alpha: f32,
    },
    /// `x`, but `alpha * (exp(x / alpha) - 1)` below 0, whose slope at 0 is 1 (Barron, 2017).
    Celu {
        /// Minus the limit far below 0; not 0.
        alpha: f32,
    },
    /// `min(max(x, min_val), max_val)`
    Hardtanh {
        /// Least value.
        min_val: f32,
        /// Largest value.
        max_val: f32,
    },
    /// `x` moved towards 0 by `lambda`, but 0 within `lambda` of it.
    Softshrink {
        /// Width of what becomes 0; not negative.
        lambda: f32,
    },
    /// `x`, but 0 within `lambda` of it.
    Hardshrink {
        /// Width of what becomes 0; not negative.
        lambda: f32,
    },
    /// `x` above the threshold, else `value`. PyTorch has no defaults.
    Threshold {
        /// The threshold.
        threshold: f32,
        /// What stands for everything that is not above it.
        value: f32,
    },
    /// `ln(1 + exp(beta * x)) / beta`, but `x` where `beta * x` is above the threshold.
    Softplus {
        /// How sharply it bends at 0; not 0.
        beta: f32,
        /// Where it becomes a line; 20 in PyTorch.
        threshold: f32,
    },
}

impl AdjustedActivation {
    fn validate(&self) -> Result<()> {
        match *self {
            AdjustedActivation::Celu { alpha } => {
                require(alpha != 0.0, "celu", "alpha", || "is 0, by which it would divide".to_string())
            }
            AdjustedActivation::Hardtanh { min_val, max_val } => {
                require(min_val < max_val, "hardtanh", "min_val", || {
                    format!("is {min_val}, but must be below max_val, {max_val}")
                })
            }
            AdjustedActivation::Softshrink { lambda } | AdjustedActivation::Hardshrink { lambda } => {
                require(lambda >= 0.0, "shrink", "lambda", || format!("is {lambda}, but must not be negative"))
            }
            AdjustedActivation::Softplus { beta, .. } => {
                require(beta != 0.0, "softplus", "beta", || "is 0, by which it would divide".to_string())
            }
            _ => Ok(()),
        }
    }
}

impl Module for AdjustedActivation {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.validate()?;
        match *self {
            AdjustedActivation::LeakyRelu { negative_slope } => leaky(x, negative_slope),
            AdjustedActivation::Elu { alpha } => elu(x, alpha),
            AdjustedActivation::Celu { alpha } => celu(x, alpha),
            AdjustedActivation::Hardtanh { min_val, max_val } => Ok(x.clamp(min_val, max_val)?),
            AdjustedActivation::Softshrink { lambda } => softshrink(x, lambda),
            AdjustedActivation::Hardshrink { lambda } => hardshrink(x, lambda),
            AdjustedActivation::Threshold { threshold, value } => {
                let limit = x.tracer().scalar(threshold);
                // Asked for what is not above, so that NaN stays.
                Ok(x.masked_fill(&limit.greater(x)?.add(&x.equal(&limit)?)?, value)?)
            }
            AdjustedActivation::Softplus { beta, threshold } => {
                let scaled = x.mul_scalar(beta)?;
                let line = scaled.greater(&x.tracer().scalar(threshold))?;
                Ok(line.select(x, &scaled.softplus()?.mul_scalar(1.0 / beta)?)?)
            }
        }
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

/// `x`, but `slope * x` below 0. Not a maximum, whose gradient at 0 would lie between the two slopes.
fn leaky(x: &Tensor, slope: f32) -> Result<Tensor> {
    Ok(x.mul_scalar(slope)?.add(&x.relu()?.mul_scalar(1.0 - slope)?)?)
}

fn celu(x: &Tensor, alpha: f32) -> Result<Tensor> {
    Ok(elu(&x.mul_scalar(1.0 / alpha)?, 1.0)?.mul_scalar(alpha)?)
}

fn softshrink(x: &Tensor, lambda: f32) -> Result<Tensor> {
    within(&x.sub(&x.clamp(-lambda, lambda)?)?, x, lambda)
}

fn hardshrink(x: &Tensor, lambda: f32) -> Result<Tensor> {
    within(x, x, lambda)
}

/// `y`, but 0 without a slope where `x` is within `lambda` of 0.
fn within(y: &Tensor, x: &Tensor, lambda: f32) -> Result<Tensor> {
    // The limits belong to what becomes 0, and those of `Inside` do not.
    let limit = lambda.next_up();
    Ok(y.masked_fill(&x.unary(UnaryKind::Inside(-limit, limit))?, 0.0)?)
}

fn hardsigmoid(x: &Tensor) -> Result<Tensor> {
    Ok(x.add_scalar(3.0)?.clamp(0.0, 6.0)?.mul_scalar(1.0 / 6.0)?)
}
