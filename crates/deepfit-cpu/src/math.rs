//! Elementary functions over vectors, each with its largest error against the exact value.
//!
//! Each function reduces its argument to a small interval and evaluates a polynomial there; the coefficients
//! are weighted minimax fits made for this crate. Infinities, NaN, signed zeros and results too small for the
//! normal range are correct; denormal arguments are not flushed.

use crate::simd::Simd;

/// Evaluates a polynomial by Horner's rule, highest coefficient first.
#[inline(always)]
fn horner<S: Simd>(s: S, x: S::F, coefficients: &[f32]) -> S::F {
    let mut sum = s.splat(coefficients[0]);
    for &c in &coefficients[1..] {
        sum = s.mul_add(sum, x, s.splat(c));
    }
    sum
}

/// `e^x`; error at most 2 ulp. Overflows to infinity above 88.7228, denormal below -87.3.
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    // Beyond these limits the result is infinite or zero; the order of operands lets NaN through.
    let x = s.min(s.splat(89.0), s.max(s.splat(-105.0), x));
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    // ln 2 in two parts, the first with so few bits that n times it is exact.
    let r = s.mul_add(n, s.splat(-0.693_359_4), x);
    let r = s.mul_add(n, s.splat(2.121_944_4e-4), r);
    let p = horner(s, r, &[0.001_395_059_4, 0.008_368_954, 0.041_666_206, 0.166_665_18, 0.5]);
    let e = s.add(s.splat(1.0), s.mul_add(s.mul(r, r), p, r));
    s.times_power_of_two(e, n)
}

/// Natural logarithm; error at most 3 ulp. `-inf` at zero, NaN below.
#[inline(always)]
pub fn log<S: Simd>(s: S, x: S::F) -> S::F {
    // Denormal arguments are scaled into the normal range first.
    let tiny = s.lt(x, s.splat(f32::MIN_POSITIVE));
    let scaled = s.select(tiny, s.mul(x, s.splat(8_388_608.0)), x);
    let bits = s.to_bits(scaled);
    // Take the mantissa from [sqrt(1/2), sqrt(2)), so that x near 1 has exponent zero and nothing cancels.
    let offset = s.sub_i(bits, s.splat_i(0x3f35_04f3));
    let exponent = s.shr_i::<23>(offset);
    let mantissa = s.from_bits(s.sub_i(bits, s.shl_i::<23>(exponent)));
    let e = s.sub(s.to_float(exponent), s.select(tiny, s.splat(23.0), s.zero()));
    let f = s.sub(mantissa, s.splat(1.0));
    let p = horner(
        s,
        f,
        &[
            0.069_157_26,
            -0.117_912_7,
            0.118_736,
            -0.123_841_62,
            0.142_185_55,
            -0.166_692_57,
            0.200_022_31,
            -0.249_999_87,
            0.333_333_1,
        ],
    );
    let f2 = s.mul(f, f);
    let tail = s.mul_add(s.mul(f2, f), p, s.mul(e, s.splat(-2.121_944_4e-4)));
    let tail = s.mul_add(f2, s.splat(-0.5), tail);
    let y = s.mul_add(e, s.splat(0.693_359_4), s.add(f, tail));
    // Special arguments.
    let y = s.select(s.eq(x, s.splat(f32::INFINITY)), x, y);
    let y = s.select(s.eq(x, s.zero()), s.splat(f32::NEG_INFINITY), y);
    let y = s.select(s.lt(x, s.zero()), s.splat(f32::NAN), y);
    s.select(s.is_nan(x), x, y)
}

/// Hyperbolic tangent; error at most 3 ulp.
#[inline(always)]
pub fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    let m = s.abs(x);
    let square = s.mul(x, x);
    let p = horner(s, square, &[-0.005_717_011, 0.020_650_554, -0.053_743_485, 0.133_314_91, -0.333_332_84]);
    let near = s.mul_add(s.mul(x, square), p, x);
    // 1 - 2 / (e^2|x| + 1)
    let e = exp(s, s.add(m, m));
    let far = s.sub(s.splat(1.0), s.div(s.splat(2.0), s.add(e, s.splat(1.0))));
    s.select(s.lt(m, s.splat(0.625)), near, s.copysign(far, x))
}

/// Sine; error at most 2 ulp, or 1e-11 where the result is smaller than 1e-4.
#[inline(always)]
pub fn sin<S: Simd>(s: S, x: S::F) -> S::F {
    circular(s, x, 0, f64::sin)
}

/// Cosine; error at most 2 ulp, or 1e-11 where the result is smaller than 1e-4.
#[inline(always)]
pub fn cos<S: Simd>(s: S, x: S::F) -> S::F {
    circular(s, x, 1, f64::cos)
}

/// Largest angle that is reduced in f32; a multiple of pi/2 in three parts is exact enough up to it.
const LARGEST_REDUCED: f32 = 1024.0;

/// Sine of the angle that is `quarters` right angles further than `x`; `exact` is the function for large `x`.
#[inline(always)]
fn circular<S: Simd>(s: S, x: S::F, quarters: i32, exact: fn(f64) -> f64) -> S::F {
    let n = s.round(s.mul(x, s.splat(std::f32::consts::FRAC_2_PI)));
    // pi/2 in three parts, the first with so few bits that n times it is exact.
    let r = s.mul_add(n, s.splat(-1.570_312_5), x);
    let r = s.mul_add(n, s.splat(-4.837_513e-4), r);
    let r = s.mul_add(n, s.splat(-7.549_79e-8), r);
    let square = s.mul(r, r);
    let p = horner(s, square, &[-1.951_633_5e-4, 0.008_332_172, -0.166_666_55]);
    let sine = s.mul_add(s.mul(r, square), p, r);
    let p = horner(s, square, &[2.443_737e-5, -0.001_388_735_8, 0.041_666_646]);
    let half = s.mul_add(square, s.splat(-0.5), s.splat(1.0));
    let cosine = s.mul_add(s.mul(square, square), p, half);
    let quadrant = s.add_i(s.to_int(n), s.splat_i(quarters));
    let odd = s.eq_i(s.and_i(quadrant, s.splat_i(1)), s.splat_i(1));
    let back = s.eq_i(s.and_i(quadrant, s.splat_i(2)), s.splat_i(2));
    let y = s.select(odd, cosine, sine);
    let y = s.select(back, s.neg(y), y);
    let y = s.select(s.is_nan(x), x, y);
    let large = s.lt(s.splat(LARGEST_REDUCED), s.abs(x));
    if !s.any(large) {
        return y;
    }
    // Rare, so it may be slow: one number after the other, in f64.
    const MOST_LANES: usize = 16;
    const { assert!(S::LANES <= MOST_LANES) };
    let mut lanes = [0.0; MOST_LANES];
    s.store_at(&mut lanes, 0, x);
    lanes.iter_mut().for_each(|x| *x = exact(f64::from(*x)) as f32);
    s.select(large, s.load_at(&lanes, 0), y)
}

/// Logistic function `1 / (1 + e^-x)`; error at most 4 ulp, denormal results included.
#[inline(always)]
pub fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    // With e^-|x| nothing overflows, and the small side keeps its relative precision.
    let e = exp(s, s.neg(s.abs(x)));
    let one = s.splat(1.0);
    let numerator = s.select(s.lt(x, s.zero()), e, one);
    let y = s.div(numerator, s.add(one, e));
    s.select(s.is_nan(x), x, y)
}

/// Error function `2/sqrt(pi) * integral of e^(-t*t) from 0 to x`; error at most 4 ulp.
#[inline(always)]
pub fn erf<S: Simd>(s: S, x: S::F) -> S::F {
    let m = s.abs(x);
    let square = s.mul(x, x);
    let p = horner(
        s,
        square,
        &[8.345_216e-5, -0.000_813_743_57, 0.005_200_634, -0.026_859_27, 0.112_836_94, -0.376_126_35, 0.128_379_23],
    );
    // The leading coefficient 2/sqrt(pi) = 1 + 0.128..., split so that rounding it costs nothing.
    let near = s.mul_add(x, p, x);
    // 1 - e^-q(|x|), where q = -ln(erfc); from 4 on the result rounds to one.
    let t = s.min(s.splat(4.0), m);
    let q = horner(
        s,
        t,
        &[
            2.109_531_7e-5,
            -0.000_434_465_53,
            0.004_171_076,
            -0.025_119_461,
            0.108_280_14,
            0.633_346_86,
            1.129_514_9,
            -0.000_174_688_25,
        ],
    );
    let far = s.sub(s.splat(1.0), exp(s, s.neg(q)));
    s.select(s.lt(m, s.splat(0.93)), near, s.copysign(far, x))
}

/// Exponents up to this size are multiplied out.
const LARGEST_MULTIPLIED: f32 = 16.0;

/// `x^c`. Integer exponents up to 16 are multiplied out: error at most 16 ulp. For others it is `e^(c ln x)`, with an
/// error of `2 + 4 |c ln x|` ulp; NaN for negative `x` unless `c` is an integer.
#[inline(always)]
pub fn powf<S: Simd>(s: S, x: S::F, c: f32) -> S::F {
    let one = s.splat(1.0);
    let integer = c == c.trunc();
    if integer && c.abs() <= LARGEST_MULTIPLIED {
        let mut left = c.abs() as u32;
        let (mut power, mut square) = (one, x);
        while left > 0 {
            if left % 2 == 1 {
                power = s.mul(power, square);
            }
            square = s.mul(square, square);
            left /= 2;
        }
        return if c < 0.0 { s.div(one, power) } else { power };
    }
    let base = if integer { s.abs(x) } else { x };
    let power = exp(s, s.mul(s.splat(c), log(s, base)));
    // 1 to any power is 1, also where the logarithm would make it NaN.
    let power = s.select(s.eq(x, one), one, power);
    // Of integers this large only those below 2^24 can be odd.
    let odd = integer && c.abs() < 16_777_216.0 && (c.abs() as u32) % 2 == 1;
    if odd { s.copysign(power, x) } else { power }
}

macro_rules! slice_function {
    ($(#[$meta:meta])* $name:ident, $body:ident, $function:ident) => {
        #[inline(always)]
        fn $body<S: Simd>(s: S, x: &[f32], y: &mut [f32]) {
            let n = x.len().min(y.len());
            let (x, y) = (&x[..n], &mut y[..n]);
            let mut i = 0;
            while i < n {
                let v = $function(s, s.load_at(x, i));
                s.store_at(y, i, v);
                i += S::LANES;
            }
        }
        crate::simd_kernel! {
            $(#[$meta])*
            pub fn $name(x: &[f32], y: &mut [f32]) = $body;
        }
    };
}

slice_function! {
    /// [`exp`] of each number of `x` into `y`, on one thread.
    exp_slice, exp_body, exp
}
slice_function! {
    /// [`log`] of each number of `x` into `y`, on one thread.
    log_slice, log_body, log
}
slice_function! {
    /// [`tanh`] of each number of `x` into `y`, on one thread.
    tanh_slice, tanh_body, tanh
}
slice_function! {
    /// [`sin`] of each number of `x` into `y`, on one thread.
    sin_slice, sin_body, sin
}
slice_function! {
    /// [`cos`] of each number of `x` into `y`, on one thread.
    cos_slice, cos_body, cos
}
slice_function! {
    /// [`sigmoid`] of each number of `x` into `y`, on one thread.
    sigmoid_slice, sigmoid_body, sigmoid
}
slice_function! {
    /// [`erf`] of each number of `x` into `y`, on one thread.
    erf_slice, erf_body, erf
}
