//! Element-wise methods of tensors.

use super::{Binary, BinaryKind, Convert, Select, Unary, UnaryKind};
use crate::error::Result;
use crate::shape::DType;
use crate::trace::Tensor;

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
    /// Sine of an angle in radians.
    sin => Sin,
    /// Cosine of an angle in radians.
    cos => Cos,
    /// The largest integer that is not above.
    floor => Floor,
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
    /// 1 where `self < other`, else 0.
    ///
    /// # Errors
    /// If the shapes do not broadcast or an element type is not floating point.
    pub fn less(&self, other: &Tensor) -> Result<Tensor> {
        other.greater(self)
    }

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
