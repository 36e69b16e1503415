//! Functions of two numbers, with broadcasting.

use super::super::{arity, floating};
use super::integers_as_f32;
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::{Sample, distinct, uniform};
use crate::shape::TensorType;
use crate::trace::Tensor;

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
        let shapes: [(&[usize], &[usize]); 10] = [
            (&[2, 3, 4], &[4]),
            (&[4], &[2, 3, 4]),
            (&[2, 3, 4], &[3, 1]),
            (&[2, 1, 4], &[3, 1]),
            (&[2, 3, 4], &[]),
            (&[2, 3, 4], &[2, 1, 1]),
            (&[3, 1], &[1, 4]),
            (&[2, 3, 2, 2], &[1, 3, 1, 2]),
            (&[0, 3], &[3]),
            (&[2, 1, 2, 1, 2, 1, 2, 1], &[2, 1, 3, 1, 2, 1, 2]),
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
