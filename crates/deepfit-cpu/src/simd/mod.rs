//! Vectors of `f32` behind one small trait, so that a kernel is written once and compiled for each
//! instruction set.
//!
//! A type that implements [`Simd`] is a zero-sized *token*: holding one proves that the processor has the
//! instructions, which is why the methods are safe. A kernel's body is an `#[inline(always)]` function generic
//! over the token; [`simd_kernel!`](crate::simd_kernel) wraps it into one `#[target_feature]` function per
//! instruction set and chooses between them at run time. Everything called from a body must be
//! `#[inline(always)]` too (closures are not), or it is compiled without the instruction set.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod isa;
mod portable;
mod several;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use isa::Isa;
pub use portable::Portable;
pub use several::{AT_ONCE, Several};

/// Vectors of [`LANES`](Simd::LANES) single-precision numbers, the masks that compare them and the integers of
/// the same width.
///
/// Comparisons are false where either operand is NaN. `min` and `max` return **the second operand** if either
/// is NaN (the x86 rule), so `max(limit, x)` keeps a NaN in `x` and `max(x, limit)` drops it.
pub trait Simd: Copy + Send + Sync + 'static {
    /// A vector of `f32`.
    type F: Copy;
    /// A vector of `i32`, as many lanes as `F`.
    type I: Copy;
    /// One truth value a lane.
    type M: Copy;
    /// Numbers in a vector.
    const LANES: usize;

    /// All lanes equal to `x`.
    fn splat(self, x: f32) -> Self::F;
    /// Reads `LANES` numbers.
    /// # Safety
    /// `p` must be valid for reading `LANES` numbers; no alignment beyond that of `f32` is needed.
    unsafe fn load(self, p: *const f32) -> Self::F;
    /// Writes `LANES` numbers.
    /// # Safety
    /// `p` must be valid for writing `LANES` numbers.
    unsafe fn store(self, p: *mut f32, v: Self::F);
    /// Reads the first `n` numbers (at most `LANES` are read); the other lanes are zero.
    /// # Safety
    /// `p` must be valid for reading `min(n, LANES)` numbers.
    unsafe fn load_partial(self, p: *const f32, n: usize) -> Self::F;
    /// Writes the first `n` lanes (at most `LANES`).
    /// # Safety
    /// `p` must be valid for writing `min(n, LANES)` numbers.
    unsafe fn store_partial(self, p: *mut f32, n: usize, v: Self::F);

    /// `a + b`, lane by lane.
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a - b`, lane by lane.
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b`, lane by lane.
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a / b`, lane by lane.
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`; rounded once where the processor can, twice in the portable code.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `a < b ? a : b`, lane by lane.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a > b ? a : b`, lane by lane.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// The square root, rounded once.
    fn sqrt(self, a: Self::F) -> Self::F;
    /// The largest whole number that is not above `a`.
    fn floor(self, a: Self::F) -> Self::F;
    /// To the nearest integer, ties to even.
    fn round(self, a: Self::F) -> Self::F;

    /// Whether `a < b`; false if one is NaN.
    fn lt(self, a: Self::F, b: Self::F) -> Self::M;
    /// Whether `a <= b`; false if one is NaN.
    fn le(self, a: Self::F, b: Self::F) -> Self::M;
    /// Whether `a == b`; false if one is NaN.
    fn eq(self, a: Self::F, b: Self::F) -> Self::M;
    /// Whether `a` is NaN.
    fn is_nan(self, a: Self::F) -> Self::M;
    /// True in the first `n` lanes.
    fn first(self, n: usize) -> Self::M;
    /// `a` where the mask is true, else `b`.
    fn select(self, m: Self::M, a: Self::F, b: Self::F) -> Self::F;
    /// True where both are.
    fn mask_and(self, a: Self::M, b: Self::M) -> Self::M;
    /// True where at least one is.
    fn mask_or(self, a: Self::M, b: Self::M) -> Self::M;
    /// True where `a` is not.
    fn mask_not(self, a: Self::M) -> Self::M;
    /// Whether the mask is true in at least one lane.
    fn any(self, m: Self::M) -> bool;

    /// The bits of the numbers, unchanged.
    fn to_bits(self, a: Self::F) -> Self::I;
    /// The inverse of [`to_bits`](Simd::to_bits); `self` is the token, not what is converted.
    #[allow(clippy::wrong_self_convention)]
    fn from_bits(self, a: Self::I) -> Self::F;
    /// All lanes equal to the integer `x`.
    fn splat_i(self, x: i32) -> Self::I;
    /// Whether the integers are equal.
    fn eq_i(self, a: Self::I, b: Self::I) -> Self::M;
    /// `a + b`, which wraps around.
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I;
    /// `a - b`, which wraps around.
    fn sub_i(self, a: Self::I, b: Self::I) -> Self::I;
    /// The bits that both have.
    fn and_i(self, a: Self::I, b: Self::I) -> Self::I;
    /// The bits that at least one has.
    fn or_i(self, a: Self::I, b: Self::I) -> Self::I;
    /// Shift to the left by `N` bits.
    fn shl_i<const N: u32>(self, a: Self::I) -> Self::I;
    /// Arithmetic shift to the right (keeps the sign).
    fn shr_i<const N: u32>(self, a: Self::I) -> Self::I;
    /// To the nearest integer, ties to even; the argument must fit an `i32`, else the lane is unspecified.
    fn to_int(self, a: Self::F) -> Self::I;
    /// The nearest `f32` of each integer.
    fn to_float(self, a: Self::I) -> Self::F;
    /// `a * 2^n` for whole `n` in -252..=254 and `a` near 1, rounded once.
    #[inline(always)]
    fn times_power_of_two(self, a: Self::F, n: Self::F) -> Self::F {
        // Two factors, so that neither over- nor underflows before the product does.
        let n = self.to_int(n);
        let half = self.shr_i::<1>(n);
        let bias = self.splat_i(127);
        let first = self.from_bits(self.shl_i::<23>(self.add_i(half, bias)));
        let second = self.from_bits(self.shl_i::<23>(self.add_i(self.sub_i(n, half), bias)));
        self.mul(self.mul(a, first), second)
    }
    /// Reads `LANES` integers.
    /// # Safety
    /// `p` must be valid for reading `LANES` integers.
    unsafe fn load_i(self, p: *const i32) -> Self::I;
    /// Writes `LANES` integers.
    /// # Safety
    /// `p` must be valid for writing `LANES` integers.
    unsafe fn store_i(self, p: *mut i32, v: Self::I);
    /// `a` where the mask is true, else `b`.
    fn select_i(self, m: Self::M, a: Self::I, b: Self::I) -> Self::I;

    /// The sum of all lanes: upper half plus lower half until one is left, an order that never changes.
    fn sum(self, a: Self::F) -> f32;
    /// The largest lane; unspecified which if there is a NaN.
    fn reduce_max(self, a: Self::F) -> f32;

    /// All lanes 0.
    #[inline(always)]
    fn zero(self) -> Self::F {
        self.splat(0.0)
    }
    /// `-a`: the sign is turned, of zeros and NaN, too.
    #[inline(always)]
    fn neg(self, a: Self::F) -> Self::F {
        self.from_bits(self.sub_i(self.to_bits(a), self.splat_i(i32::MIN)))
    }
    /// The magnitude: the sign is cleared.
    #[inline(always)]
    fn abs(self, a: Self::F) -> Self::F {
        self.from_bits(self.and_i(self.to_bits(a), self.splat_i(i32::MAX)))
    }
    /// The magnitude of `a` with the sign of `b`.
    #[inline(always)]
    fn copysign(self, a: Self::F, b: Self::F) -> Self::F {
        let sign = self.and_i(self.to_bits(b), self.splat_i(i32::MIN));
        self.from_bits(self.or_i(self.and_i(self.to_bits(a), self.splat_i(i32::MAX)), sign))
    }
    /// Reads lanes from `x[at..]`: `LANES` of them, or what is left with zeros after it.
    #[inline(always)]
    fn load_at(self, x: &[f32], at: usize) -> Self::F {
        let left = x.len().saturating_sub(at);
        // SAFETY: `left` numbers follow `at`, and no more than that are read.
        unsafe {
            let p = x.as_ptr().add(at.min(x.len()));
            if left >= Self::LANES { self.load(p) } else { self.load_partial(p, left) }
        }
    }
    /// As [`load_at`](Simd::load_at), with `fill` instead of zeros.
    #[inline(always)]
    fn load_at_or(self, x: &[f32], at: usize, fill: f32) -> Self::F {
        let v = self.load_at(x, at);
        let left = x.len().saturating_sub(at);
        if left >= Self::LANES { v } else { self.select(self.first(left), v, self.splat(fill)) }
    }
    /// Writes lanes to `y[at..]`: `LANES` of them, or as many as are left.
    #[inline(always)]
    fn store_at(self, y: &mut [f32], at: usize, v: Self::F) {
        let left = y.len().saturating_sub(at);
        // SAFETY: `left` numbers follow `at`, and no more than that are written.
        unsafe {
            let p = y.as_mut_ptr().add(at.min(y.len()));
            if left >= Self::LANES { self.store(p, v) } else { self.store_partial(p, left, v) }
        }
    }
}

/// Compiles a generic kernel body for each instruction set and chooses between them at run time.
///
/// ```
/// use deepfit_cpu::simd::{Isa, Simd};
///
/// #[inline(always)]
/// fn scale_body<S: Simd>(s: S, factor: f32, x: &mut [f32]) {
///     let mut i = 0;
///     while i < x.len() {
///         let v = s.mul(s.load_at(x, i), s.splat(factor));
///         s.store_at(x, i, v);
///         i += S::LANES;
///     }
/// }
/// deepfit_cpu::simd_kernel! {
///     /// Multiplies `x` by `factor`.
///     fn scale(factor: f32, x: &mut [f32]) = scale_body;
/// }
/// let mut x = [1.0, 2.0, 3.0];
/// scale(Isa::detect().unwrap(), 2.0, &mut x);
/// assert_eq!(x, [2.0, 4.0, 6.0]);
/// ```
///
/// The function made takes the [`Isa`] first. An instruction set that this processor lacks falls back to the
/// portable code, so calling it is always sound.
#[macro_export]
macro_rules! simd_kernel {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident;) => {
        $(#[$meta])*
        $vis fn $name(isa: $crate::simd::Isa, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: this function is only called where AVX2 and FMA were detected.
                $body(unsafe { $crate::simd::Avx2::new_unchecked() }, $($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx2,fma")]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: this function is only called where AVX-512F was detected.
                $body(unsafe { $crate::simd::Avx512::new_unchecked() }, $($arg),*)
            }
            match isa {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the guard has just asked the processor.
                $crate::simd::Isa::Avx512 if isa.is_available() => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the guard has just asked the processor.
                $crate::simd::Isa::Avx2 if isa.is_available() => unsafe { avx2($($arg),*) },
                _ => $body($crate::simd::Portable, $($arg),*),
            }
        }
    };
}
