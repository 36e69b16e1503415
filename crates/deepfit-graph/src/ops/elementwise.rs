//! Element-wise operations with broadcasting.

use super::{arity, floating};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, bytes, distinct, integers, uniform};
use crate::shape::{DType, TensorType};
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
            UnaryKind::Clamp(low, high) => {
                upstream.binary(BinaryKind::Gate, &x.unary(UnaryKind::Inside(low, high))?)?
            }
            UnaryKind::Pow(0.0) => upstream.mul_scalar(0.0)?,
            UnaryKind::Pow(c) => upstream.mul(&x.unary(UnaryKind::Pow(c - 1.0))?.mul_scalar(c)?)?,
            UnaryKind::Sign | UnaryKind::Inside(..) => return Ok(None),
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

/// A function of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryKind {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`
    Div,
    /// The larger; NaN if either is NaN. Where both are equal, each gets half of the gradient.
    Maximum,
    /// The smaller; NaN if either is NaN. Where both are equal, each gets half of the gradient.
    Minimum,
    /// 1 where `a > b`, else 0.
    Greater,
    /// 1 where `a = b`, else 0.
    Equal,
    /// `a` where `b > 0` or `b` is NaN, else 0: the gradient of a rectifier.
    Gate,
}

impl BinaryKind {
    /// The value in f64.
    pub fn eval(self, a: f64, b: f64) -> f64 {
        match self {
            BinaryKind::Add => a + b,
            BinaryKind::Sub => a - b,
            BinaryKind::Mul => a * b,
            BinaryKind::Div => a / b,
            BinaryKind::Maximum if a.is_nan() || b.is_nan() => f64::NAN,
            BinaryKind::Minimum if a.is_nan() || b.is_nan() => f64::NAN,
            BinaryKind::Maximum => a.max(b),
            BinaryKind::Minimum => a.min(b),
            BinaryKind::Greater => f64::from(u8::from(a > b)),
            BinaryKind::Equal => f64::from(u8::from(a == b)),
            BinaryKind::Gate if b <= 0.0 => 0.0,
            BinaryKind::Gate => a,
        }
    }

    fn derive(self, a: &Tensor, b: &Tensor, y: &Tensor, up: &Tensor) -> Result<[Option<Tensor>; 2]> {
        Ok(match self {
            BinaryKind::Add => [Some(up.clone()), Some(up.clone())],
            BinaryKind::Sub => [Some(up.clone()), Some(up.neg()?)],
            BinaryKind::Mul => [Some(up.mul(b)?), Some(up.mul(a)?)],
            BinaryKind::Div => [Some(up.div(b)?), Some(up.mul(y)?.div(b)?.neg()?)],
            BinaryKind::Maximum | BinaryKind::Minimum => {
                let wins = if self == BinaryKind::Maximum { a.greater(b)? } else { b.greater(a)? };
                let share = wins.add(&a.equal(b)?.mul_scalar(0.5)?)?;
                let first = up.mul(&share)?;
                let second = up.sub(&first)?;
                [Some(first), Some(second)]
            }
            BinaryKind::Gate => [Some(up.binary(BinaryKind::Gate, b)?), None],
            BinaryKind::Greater | BinaryKind::Equal => [None, None],
        })
    }

    /// The name in lower case.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
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
        for kind in [Neg, Square, Exp, Tanh, Sigmoid, Erf, Softplus, AddScalar(0.7), MulScalar(-1.3)] {
            samples.push(Sample::new(Unary { kind }, vec![uniform(&[5, 7], -2.0, 2.0, 1)]).batched(&[true]));
        }
        for kind in [Abs, Relu, Clamp(-1.0, 1.5), Pow(2.0), Pow(3.0), Pow(-1.0)] {
            samples.push(Sample::new(Unary { kind }, vec![distinct(&[5, 7], 0.13, 1)]).batched(&[true]));
        }
        for kind in [Sqrt, Recip, Log, Pow(0.3), Pow(1.5), Pow(-2.5), Pow(0.0)] {
            samples.push(Sample::new(Unary { kind }, vec![uniform(&[5, 7], 0.3, 3.0, 1)]).batched(&[true]));
        }
        for kind in [Sign, Inside(-1.0, 1.5)] {
            samples.push(Sample::new(Unary { kind }, vec![distinct(&[5, 7], 0.13, 1)]).without_gradient());
        }
        // Large magnitudes, where naive formulas overflow, and lengths around every vector width.
        for kind in [Exp, Tanh, Sigmoid, Softplus, Erf] {
            samples.push(Sample::new(Unary { kind }, vec![uniform(&[65], -30.0, 30.0, 2)]).without_gradient());
        }
        for n in [0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 1023, 1025, 5000] {
            samples.push(Sample::new(Unary { kind: Tanh }, vec![uniform(&[n], -2.0, 2.0, 3)]).without_gradient());
        }
        samples
    }
}

/// A function of pairs of elements, with broadcasting.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// Which function.
    pub kind: BinaryKind,
}

impl Operation for Binary {
    fn name(&self) -> String {
        self.kind.name()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 2)?;
        floating(inputs)?;
        let shape = inputs[0].shape.broadcast(&inputs[1].shape).ok_or_else(|| {
            format!(
                "{} and {} do not broadcast: counted from the last, axes must be equal or 1",
                inputs[0].shape, inputs[1].shape
            )
        })?;
        Ok(vec![TensorType::f32(shape)])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let (a, b) = (cx.input(0), cx.input(1));
        let [da, db] = self.kind.derive(a, b, cx.output(0), cx.upstream()?)?;
        let fit = |gradient: Option<Tensor>, input: &Tensor, wanted| match gradient {
            Some(gradient) if wanted => gradient.sum_to(input.shape()).map(Some),
            _ => Ok(None),
        };
        Ok(vec![fit(da, a, cx.wants(0))?, fit(db, b, cx.wants(1))?])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        let (a, b) = (cx.inputs[0], cx.inputs[1]);
        vec![Reference::from_fn(&cx.shapes[0], |i| self.kind.eval(a.at_broadcast(i), b.at_broadcast(i)))]
    }

    fn in_place(&self) -> bool {
        true
    }

    fn samples() -> Vec<Sample> {
        use BinaryKind::*;
        let mut samples = Vec::new();
        for kind in [Add, Sub, Mul, Div, Maximum, Minimum, Gate] {
            let a = uniform(&[3, 5], -2.0, 2.0, 1);
            let b = if kind == Div { uniform(&[3, 5], 0.5, 2.0, 2) } else { distinct(&[3, 5], 0.21, 2) };
            samples.push(Sample::new(Binary { kind }, vec![a, b]).batched(&[true, true]));
        }
        for kind in [Greater, Equal] {
            let inputs = vec![integers_as_f32(&[4, 6], 3, 1), integers_as_f32(&[4, 6], 3, 2)];
            samples.push(Sample::new(Binary { kind }, inputs).without_gradient());
        }
        // A constant second input of Gate must not be perturbed across zero: kept apart by `distinct`.
        let shapes: [(&[usize], &[usize]); 9] = [
            (&[2, 3, 4], &[4]),
            (&[4], &[2, 3, 4]),
            (&[2, 3, 4], &[3, 1]),
            (&[2, 1, 4], &[3, 1]),
            (&[2, 3, 4], &[]),
            (&[2, 3, 4], &[2, 1, 1]),
            (&[3, 1], &[1, 4]),
            (&[2, 3, 2, 2], &[1, 3, 1, 2]),
            (&[0, 3], &[3]),
        ];
        for (a, b) in shapes {
            for kind in [Mul, Sub] {
                samples.push(Sample::new(Binary { kind }, vec![uniform(a, -2.0, 2.0, 3), uniform(b, 0.5, 2.0, 4)]));
            }
        }
        samples.push(
            Sample::new(Binary { kind: Add }, vec![uniform(&[70, 33], -1.0, 1.0, 1), uniform(&[33], -1.0, 1.0, 2)])
                .without_gradient()
                .batched(&[true, false]),
        );
        samples
    }
}

fn integers_as_f32(shape: &[usize], below: i32, seed: u64) -> crate::host::HostTensor {
    let values = integers(shape, below, seed).to_reference();
    crate::host::HostTensor::f32(shape, values.data.iter().map(|&x| x as f32).collect())
}

/// Where the first input is not 0, the second, elsewhere the third; with broadcasting.
#[derive(Debug, Clone, PartialEq)]
pub struct Select;

impl Operation for Select {
    fn name(&self) -> String {
        "select".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 3)?;
        floating(inputs)?;
        let shape = inputs[0].shape.broadcast(&inputs[1].shape).and_then(|s| s.broadcast(&inputs[2].shape));
        let shape = shape.ok_or_else(|| {
            format!("{}, {} and {} do not broadcast", inputs[0].shape, inputs[1].shape, inputs[2].shape)
        })?;
        Ok(vec![TensorType::f32(shape)])
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let (condition, upstream) = (cx.input(0), cx.upstream()?);
        let zero = cx.tracer().scalar(0.0);
        let taken = condition.select(upstream, &zero)?.sum_to(cx.input(1).shape())?;
        let other = condition.select(&zero, upstream)?.sum_to(cx.input(2).shape())?;
        Ok(vec![None, Some(taken), Some(other)])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        vec![Reference::from_fn(&cx.shapes[0], |i| {
            let taken = cx.inputs[0].at_broadcast(i) != 0.0;
            cx.inputs[if taken { 1 } else { 2 }].at_broadcast(i)
        })]
    }

    fn in_place(&self) -> bool {
        true
    }

    fn samples() -> Vec<Sample> {
        let condition = integers_as_f32(&[4, 9], 2, 1);
        let row = integers_as_f32(&[9], 2, 2);
        let (a, b) = (uniform(&[4, 9], -1.0, 1.0, 3), uniform(&[4, 9], -1.0, 1.0, 4));
        vec![
            // The condition has no gradient, and central differences across its steps see none either.
            Sample::new(Select, vec![condition, a.clone(), b.clone()]).batched(&[true, true, true]),
            Sample::new(Select, vec![row, a, uniform(&[], -1.0, 1.0, 5)]),
        ]
    }
}

/// Bytes or integers as floating point, unscaled.
#[derive(Debug, Clone, PartialEq)]
pub struct Convert;

impl Operation for Convert {
    fn name(&self) -> String {
        "to_f32".to_string()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        arity(inputs, 1)?;
        Ok(vec![TensorType::f32(inputs[0].shape.clone())])
    }

    fn derivative(&self, _: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None])
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        vec![cx.inputs[0].clone()]
    }

    fn samples() -> Vec<Sample> {
        vec![
            Sample::new(Convert, vec![bytes(&[3, 43], 1)]).without_gradient().batched(&[true]),
            Sample::new(Convert, vec![integers(&[3, 43], 1000, 1)]).without_gradient().batched(&[true]),
            Sample::new(Convert, vec![bytes(&[0], 1)]).without_gradient(),
        ]
    }
}

macro_rules! unary_methods {
    ($($(#[$doc:meta])* $method:ident => $kind:ident),* $(,)?) => {
        impl Tensor {
            $($(#[$doc])*
            ///
            /// # Errors
            /// If the tensor is not floating point.
            pub fn $method(&self) -> Result<Tensor> {
                self.unary(UnaryKind::$kind)
            })*
        }
    };
}

unary_methods! {
    /// `-x`
    neg => Neg,
    /// `|x|`
    abs => Abs,
    /// `x²`
    square => Square,
    /// Square root.
    sqrt => Sqrt,
    /// `1 / x`
    recip => Recip,
    /// Natural exponential.
    exp => Exp,
    /// Natural logarithm.
    log => Log,
    /// Hyperbolic tangent.
    tanh => Tanh,
    /// `1 / (1 + exp(-x))`
    sigmoid => Sigmoid,
    /// `max(x, 0)`
    relu => Relu,
    /// Gauss error function.
    erf => Erf,
    /// `ln(1 + exp(x))`
    softplus => Softplus,
}

macro_rules! binary_methods {
    ($($(#[$doc:meta])* $method:ident => $kind:ident),* $(,)?) => {
        impl Tensor {
            $($(#[$doc])*
            ///
            /// # Errors
            /// If the shapes do not broadcast or an element type is not floating point.
            pub fn $method(&self, other: &Tensor) -> Result<Tensor> {
                self.binary(BinaryKind::$kind, other)
            })*
        }
    };
}

binary_methods! {
    /// `self + other`
    add => Add,
    /// `self - other`
    sub => Sub,
    /// `self * other`, element by element
    mul => Mul,
    /// `self / other`
    div => Div,
    /// The larger of each pair.
    maximum => Maximum,
    /// The smaller of each pair.
    minimum => Minimum,
    /// 1 where `self > other`, else 0.
    greater => Greater,
    /// 1 where both are equal, else 0.
    equal => Equal,
}

impl Tensor {
    /// Applies a function to each element.
    ///
    /// # Errors
    /// If the tensor is not floating point.
    pub fn unary(&self, kind: UnaryKind) -> Result<Tensor> {
        self.tracer().apply_one(Unary { kind }, &[self])
    }

    /// Applies a function to pairs of elements.
    ///
    /// # Errors
    /// If the shapes do not broadcast or an element type is not floating point.
    pub fn binary(&self, kind: BinaryKind, other: &Tensor) -> Result<Tensor> {
        self.tracer().apply_one(Binary { kind }, &[self, other])
    }

    /// `self + c`
    ///
    /// # Errors
    /// If the tensor is not floating point.
    pub fn add_scalar(&self, c: f32) -> Result<Tensor> {
        self.unary(UnaryKind::AddScalar(c))
    }

    /// `self * c`
    ///
    /// # Errors
    /// If the tensor is not floating point.
    pub fn mul_scalar(&self, c: f32) -> Result<Tensor> {
        self.unary(UnaryKind::MulScalar(c))
    }

    /// `self` to the power of `c`
    ///
    /// # Errors
    /// If the tensor is not floating point.
    pub fn powf(&self, c: f32) -> Result<Tensor> {
        self.unary(UnaryKind::Pow(c))
    }

    /// Each element limited to `low..=high`.
    ///
    /// # Errors
    /// If the tensor is not floating point.
    pub fn clamp(&self, low: f32, high: f32) -> Result<Tensor> {
        self.unary(UnaryKind::Clamp(low, high))
    }

    /// `a` where `self` is not 0, elsewhere `b`.
    ///
    /// # Errors
    /// If the shapes do not broadcast.
    pub fn select(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.tracer().apply_one(Select, &[self, a, b])
    }

    /// Bytes or integers as floating point; floating point as it is.
    ///
    /// # Errors
    /// Never, at present.
    pub fn to_f32(&self) -> Result<Tensor> {
        if self.dtype() == DType::F32 { Ok(self.clone()) } else { self.tracer().apply_one(Convert, &[self]) }
    }
}
