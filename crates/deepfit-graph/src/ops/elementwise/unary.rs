//! Functions of one number.

use super::super::{arity, floating};
use super::BinaryKind;
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, distinct, uniform};
use crate::shape::TensorType;
use crate::trace::Tensor;

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UnaryKind {
    /// `-x`
    Neg,
    /// `|x|`; its derivative at 0 is 0.
    Abs,
    /// -1, 0 or 1.
    Sign,
    /// `x * x`
    Square,
    /// Square root.
    Sqrt,
    /// `1 / x`
    Recip,
    /// Natural exponential.
    Exp,
    /// Natural logarithm.
    Log,
    /// Hyperbolic tangent.
    Tanh,
    /// Sine of an angle in radians.
    Sin,
    /// Cosine of an angle in radians.
    Cos,
    /// The largest integer that is not above; its derivative is 0.
    Floor,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `max(x, 0)`; NaN stays NaN.
    Relu,
    /// Gauss error function.
    Erf,
    /// `ln(1 + exp(x))` without overflow.
    Softplus,
    /// `x + c`
    AddScalar(f32),
    /// `x * c`
    MulScalar(f32),
    /// `min(max(x, low), high)`; NaN stays NaN.
    Clamp(f32, f32),
    /// 1 where `low < x < high`, else 0.
    Inside(f32, f32),
    /// `x` to the power of `c`; NaN for negative `x` unless `c` is an integer.
    Pow(f32),
}

impl UnaryKind {
    /// The value in f64.
    pub fn eval(self, x: f64) -> f64 {
        match self {
            UnaryKind::Neg => -x,
            UnaryKind::Abs => x.abs(),
            UnaryKind::Sign => {
                if x == 0.0 {
                    0.0
                } else {
                    x.signum()
                }
            }
            UnaryKind::Square => x * x,
            UnaryKind::Sqrt => x.sqrt(),
            UnaryKind::Recip => 1.0 / x,
            UnaryKind::Exp => x.exp(),
            UnaryKind::Log => x.ln(),
            UnaryKind::Tanh => x.tanh(),
            UnaryKind::Sin => x.sin(),
            UnaryKind::Cos => x.cos(),
            UnaryKind::Floor => x.floor(),
            UnaryKind::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            UnaryKind::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            UnaryKind::Erf => erf(x),
            UnaryKind::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p() + if x.is_nan() { x } else { 0.0 },
            UnaryKind::AddScalar(c) => x + f64::from(c),
            UnaryKind::MulScalar(c) => x * f64::from(c),
            UnaryKind::Clamp(low, high) => {
                if x < f64::from(low) {
                    f64::from(low)
                } else if x > f64::from(high) {
                    f64::from(high)
                } else {
                    x
                }
            }
            UnaryKind::Inside(low, high) => f64::from(u8::from(x > f64::from(low) && x < f64::from(high))),
            UnaryKind::Pow(c) if x < 0.0 && c.fract() != 0.0 => f64::NAN,
            UnaryKind::Pow(c) => x.powf(f64::from(c)),
        }
    }

    /// `upstream` times the derivative at `x`, where `y` is the value there.
    fn derive(self, x: &Tensor, y: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(match self {
            UnaryKind::Neg => upstream.neg()?,
            UnaryKind::Abs => upstream.mul(&x.unary(UnaryKind::Sign)?)?,
            UnaryKind::Square => upstream.mul(&x.mul_scalar(2.0)?)?,
            UnaryKind::Sqrt => upstream.mul(&y.recip()?.mul_scalar(0.5)?)?,
            UnaryKind::Recip => upstream.mul(&y.square()?.neg()?)?,
            UnaryKind::Exp => upstream.mul(y)?,
            UnaryKind::Log => upstream.div(x)?,
            UnaryKind::Tanh => upstream.mul(&y.square()?.neg()?.add_scalar(1.0)?)?,
            UnaryKind::Sin => upstream.mul(&x.cos()?)?,
            UnaryKind::Cos => upstream.mul(&x.sin()?.neg()?)?,
            UnaryKind::Sigmoid => upstream.mul(&y.mul(&y.neg()?.add_scalar(1.0)?)?)?,
            // Read from the output, so that the input's memory is free.
            UnaryKind::Relu => upstream.binary(BinaryKind::Gate, y)?,
            UnaryKind::Erf => {
                let density = x.square()?.neg()?.exp()?.mul_scalar(2.0 / std::f32::consts::PI.sqrt())?;
                upstream.mul(&density)?
            }
            UnaryKind::Softplus => upstream.mul(&x.sigmoid()?)?,
            UnaryKind::AddScalar(_) => upstream.clone(),
            UnaryKind::MulScalar(c) => upstream.mul_scalar(c)?,
            // From the output too: what was inside still is.
            UnaryKind::Clamp(low, high) => {
                upstream.binary(BinaryKind::Gate, &y.unary(UnaryKind::Inside(low, high))?)?
            }
            UnaryKind::Pow(0.0) => upstream.mul_scalar(0.0)?,
            UnaryKind::Pow(c) => upstream.mul(&x.unary(UnaryKind::Pow(c - 1.0))?.mul_scalar(c)?)?,
            UnaryKind::Sign | UnaryKind::Floor | UnaryKind::Inside(..) => return Ok(None),
        }))
    }

    /// The name in lower case.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// Gauss error function in f64: a Maclaurin series for small arguments, a continued fraction for large ones.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a.is_nan() {
        return x;
    }
    let scale = 2.0 / std::f64::consts::PI.sqrt();
    if a < 3.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            let add = term / f64::from(2 * n + 1);
            sum += add;
            if add.abs() < 1e-18 * sum.abs() {
                break;
            }
        }
        return sum * scale;
    }
    if a > 6.5 {
        return x.signum();
    }
    // erfc(a) = exp(-a²)/√π · 1/(a + (1/2)/(a + 1/(a + (3/2)/(a + …))))
    let mut fraction = a;
    for k in (1..80).rev() {
        fraction = a + f64::from(k) / 2.0 / fraction;
    }
    let tail = (-a * a).exp() / fraction / std::f64::consts::PI.sqrt();
    x.signum() * (1.0 - tail)
}

/// A function of each element.
#[derive(Debug, Clone, PartialEq)]
pub struct Unary {
    /// Which function.
    pub kind: UnaryKind,
}

impl Operation for Unary {
    fn name(&self) -> String {
        self.kind.name()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        floating(inputs)?;
        Ok(vec![inputs[0].clone()])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![self.kind.derive(cx.input(0), cx.output(0), cx.upstream()?)?])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let data = cx.inputs[0].data.iter().map(|&x| self.kind.eval(x)).collect();
        vec![Reference::new(&cx.shapes[0], data)]
    }

    fn in_place(&self) -> bool {
        true
    }

    fn samples() -> Vec<Sample> {
        use UnaryKind::*;
        let mut samples = Vec::new();
        for kind in [Neg, Square, Exp, Tanh, Sin, Cos, Sigmoid, Erf, Softplus, AddScalar(0.7), MulScalar(-1.3)] {
            samples.push(Sample::new(Unary { kind }, vec![uniform(&[5, 7], -2.0, 2.0, 1)]).batched(&[true]));
        }
        for kind in [Abs, Relu, Clamp(-1.0, 1.5), Pow(2.0), Pow(3.0), Pow(-1.0)] {
            samples.push(Sample::new(Unary { kind }, vec![distinct(&[5, 7], 0.13, 1)]).batched(&[true]));
        }
        for kind in [Sqrt, Recip, Log, Pow(0.3), Pow(1.5), Pow(-2.5), Pow(0.0)] {
            samples.push(Sample::new(Unary { kind }, vec![uniform(&[5, 7], 0.3, 3.0, 1)]).batched(&[true]));
        }
        for kind in [Sign, Floor, Inside(-1.0, 1.5)] {
            samples.push(Sample::new(Unary { kind }, vec![distinct(&[5, 7], 0.13, 1)]).without_gradient());
        }
        // Large magnitudes, where naive formulas overflow, and lengths around every vector width.
        for kind in [Exp, Tanh, Sigmoid, Softplus, Erf, Sin, Cos] {
            samples.push(Sample::new(Unary { kind }, vec![uniform(&[65], -30.0, 30.0, 2)]).without_gradient());
        }
        for n in [0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 1023, 1025, 5000] {
            samples.push(Sample::new(Unary { kind: Tanh }, vec![uniform(&[n], -2.0, 2.0, 3)]).without_gradient());
        }
        samples
    }
}
