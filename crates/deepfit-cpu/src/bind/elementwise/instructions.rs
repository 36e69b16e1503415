//! The vector instructions: each function of one, two or three numbers over a tile.
//!
//! Errors: exact or one rounding, but for `exp`, `log`, `tanh`, `sin`, `cos`, `sigmoid` and `erf` (see `math`) and `softplus`, which is
//! within 4e-7 relative to the larger of 1 and the result.

use deepfit_graph::ops::{BinaryKind, UnaryKind};

use crate::math;
use crate::simd::{AT_ONCE, Several, Simd};

/// Runs an expression of vectors over all elements: whole vectors first, then what is left.
macro_rules! for_each_vector {
    ($s:ident, $n:ident, $out:ident, [$($v:ident: $p:ident),*], $value:expr) => {{
        let mut i = 0;
        while i + S::LANES <= $n {
            // SAFETY: the pointers are valid for `n` numbers, see the functions' callers.
            unsafe {
                $(let $v = $s.load($p.add(i));)*
                $s.store($out.add(i), $value);
            }
            i += S::LANES;
        }
        if i < $n {
            // SAFETY: as above, for the last `n - i` numbers.
            unsafe {
                $(let $v = $s.load_partial($p.add(i), $n - i);)*
                $s.store_partial($out.add(i), $n - i, $value);
            }
        }
    }};
}

/// As `for_each_vector`, several vectors at once while there are so many: `$value` is computed by the token `$s`.
macro_rules! for_each_of_several {
    ($s:ident, $n:ident, $out:ident, $v:ident: $p:ident, $value:expr) => {{
        let whole = $n / (AT_ONCE * S::LANES) * (AT_ONCE * S::LANES);
        let mut i = 0;
        while i < whole {
            let several = Several::<S, AT_ONCE>::of($s);
            // SAFETY: the pointers are valid for `n` numbers, see the functions' callers.
            unsafe {
                let $v = several.load($p.add(i));
                let $s = several;
                $s.store($out.add(i), $value);
            }
            i += AT_ONCE * S::LANES;
        }
        let (from, to, left) = ($p.wrapping_add(i), $out.wrapping_add(i), $n - i);
        for_each_vector!($s, left, to, [$v: from], $value);
    }};
}

#[inline(always)]
fn unary_body<S: Simd>(s: S, kind: UnaryKind, x: *const f32, out: *mut f32, n: usize) {
    let one = s.splat(1.0);
    match kind {
        UnaryKind::Neg => for_each_vector!(s, n, out, [v: x], s.neg(v)),
        UnaryKind::Abs => for_each_vector!(s, n, out, [v: x], s.abs(v)),
        UnaryKind::Sign => {
            let zero = s.zero();
            for_each_vector!(s, n, out, [v: x], {
                let magnitude = s.select(s.eq(v, zero), zero, s.select(s.is_nan(v), v, one));
                s.copysign(magnitude, v)
            });
        }
        UnaryKind::Square => for_each_vector!(s, n, out, [v: x], s.mul(v, v)),
        UnaryKind::Sqrt => for_each_vector!(s, n, out, [v: x], s.sqrt(v)),
        UnaryKind::Recip => for_each_vector!(s, n, out, [v: x], s.div(one, v)),
        UnaryKind::Exp => for_each_of_several!(s, n, out, v: x, math::exp(s, v)),
        UnaryKind::Log => for_each_of_several!(s, n, out, v: x, math::log(s, v)),
        UnaryKind::Tanh => for_each_of_several!(s, n, out, v: x, math::tanh(s, v)),
        UnaryKind::Sin => for_each_vector!(s, n, out, [v: x], math::sin(s, v)),
        UnaryKind::Cos => for_each_vector!(s, n, out, [v: x], math::cos(s, v)),
        UnaryKind::Floor => for_each_vector!(s, n, out, [v: x], s.floor(v)),
        UnaryKind::Sigmoid => for_each_of_several!(s, n, out, v: x, math::sigmoid(s, v)),
        // `max` returns its second operand where one is NaN, so NaN stays.
        UnaryKind::Relu => for_each_vector!(s, n, out, [v: x], s.max(s.zero(), v)),
        UnaryKind::Erf => for_each_of_several!(s, n, out, v: x, math::erf(s, v)),
        UnaryKind::Softplus => for_each_of_several!(s, n, out, v: x, {
            let tail = math::log(s, s.add(s.splat(1.0), math::exp(s, s.neg(s.abs(v)))));
            s.add(s.max(s.zero(), v), tail)
        }),
        UnaryKind::AddScalar(c) => {
            let c = s.splat(c);
            for_each_vector!(s, n, out, [v: x], s.add(v, c));
        }
        UnaryKind::MulScalar(c) => {
            let c = s.splat(c);
            for_each_vector!(s, n, out, [v: x], s.mul(v, c));
        }
        UnaryKind::Clamp(low, high) => {
            let (low, high) = (s.splat(low), s.splat(high));
            for_each_vector!(s, n, out, [v: x], s.min(high, s.max(low, v)));
        }
        UnaryKind::Inside(low, high) => {
            let (low, high) = (s.splat(low), s.splat(high));
            for_each_vector!(s, n, out, [v: x], {
                s.select(s.mask_and(s.lt(low, v), s.lt(v, high)), one, s.zero())
            });
        }
        UnaryKind::Pow(c) => for_each_vector!(s, n, out, [v: x], math::powf(s, v, c)),
    }
}
crate::simd_kernel! {
    /// `out = kind(x)`. The pointers must be valid for `n` numbers; they may be equal.
    pub(super) fn unary(kind: UnaryKind, x: *const f32, out: *mut f32, n: usize) = unary_body;
}

#[inline(always)]
fn binary_body<S: Simd>(s: S, kind: BinaryKind, a: *const f32, b: *const f32, out: *mut f32, n: usize) {
    let (zero, one) = (s.zero(), s.splat(1.0));
    match kind {
        BinaryKind::Add => for_each_vector!(s, n, out, [x: a, y: b], s.add(x, y)),
        BinaryKind::Sub => for_each_vector!(s, n, out, [x: a, y: b], s.sub(x, y)),
        BinaryKind::Mul => for_each_vector!(s, n, out, [x: a, y: b], s.mul(x, y)),
        BinaryKind::Div => for_each_vector!(s, n, out, [x: a, y: b], s.div(x, y)),
        // `max` and `min` keep a NaN in their second operand; one in the first is put back.
        BinaryKind::Maximum => for_each_vector!(s, n, out, [x: a, y: b], s.select(s.is_nan(x), x, s.max(x, y))),
        BinaryKind::Minimum => for_each_vector!(s, n, out, [x: a, y: b], s.select(s.is_nan(x), x, s.min(x, y))),
        BinaryKind::Greater => for_each_vector!(s, n, out, [x: a, y: b], s.select(s.lt(y, x), one, zero)),
        BinaryKind::Equal => for_each_vector!(s, n, out, [x: a, y: b], s.select(s.eq(x, y), one, zero)),
        BinaryKind::Gate => for_each_vector!(s, n, out, [x: a, y: b], s.select(s.le(y, zero), zero, x)),
    }
}
crate::simd_kernel! {
    /// `out = kind(a, b)`. The pointers must be valid for `n` numbers; they may be equal.
    pub(super) fn binary(kind: BinaryKind, a: *const f32, b: *const f32, out: *mut f32, n: usize) = binary_body;
}

#[inline(always)]
fn select_body<S: Simd>(s: S, c: *const f32, a: *const f32, b: *const f32, out: *mut f32, n: usize) {
    let zero = s.zero();
    for_each_vector!(s, n, out, [condition: c, x: a, y: b], s.select(s.eq(condition, zero), y, x));
}
crate::simd_kernel! {
    /// `out = c != 0 ? a : b`. The pointers must be valid for `n` numbers; they may be equal.
    pub(super) fn select(c: *const f32, a: *const f32, b: *const f32, out: *mut f32, n: usize) = select_body;
}
