//! Arrays of eight numbers in plain Rust, which the compiler turns into whatever vectors the target has.

use super::Simd;

/// Eight lanes in plain Rust; products and sums are rounded separately.
#[derive(Clone, Copy)]
pub struct Portable;

const LANES: usize = 8;
type F = [f32; LANES];
type I = [i32; LANES];
/// All bits set where true.
type M = [u32; LANES];

macro_rules! lanes {
    ($i:ident => $e:expr) => {{
        let mut out = [Default::default(); LANES];
        let mut $i = 0;
        while $i < LANES {
            out[$i] = $e;
            $i += 1;
        }
        out
    }};
}

#[inline(always)]
fn truth(b: bool) -> u32 {
    if b { u32::MAX } else { 0 }
}

impl Simd for Portable {
    type F = F;
    type I = I;
    type M = M;
    const LANES: usize = LANES;

    #[inline(always)]
    fn splat(self, x: f32) -> F {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> F {
        // SAFETY: the caller promises eight readable numbers; arrays of f32 need no more alignment than f32.
        unsafe { p.cast::<F>().read() }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: F) {
        // SAFETY: the caller promises eight writable numbers.
        unsafe { p.cast::<F>().write(v) }
    }
    #[inline(always)]
    unsafe fn load_partial(self, p: *const f32, n: usize) -> F {
        let mut out = [0.0; LANES];
        for i in 0..n.min(LANES) {
            // SAFETY: the caller promises `min(n, LANES)` readable numbers.
            out[i] = unsafe { *p.add(i) };
        }
        out
    }
    #[inline(always)]
    unsafe fn store_partial(self, p: *mut f32, n: usize, v: F) {
        for i in 0..n.min(LANES) {
            // SAFETY: the caller promises `min(n, LANES)` writable numbers.
            unsafe { *p.add(i) = v[i] };
        }
    }
    #[inline(always)]
    fn add(self, a: F, b: F) -> F {
        lanes!(i => a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: F, b: F) -> F {
        lanes!(i => a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: F, b: F) -> F {
        lanes!(i => a[i] * b[i])
    }
    #[inline(always)]
    fn div(self, a: F, b: F) -> F {
        lanes!(i => a[i] / b[i])
    }
    #[inline(always)]
    fn mul_add(self, a: F, b: F, c: F) -> F {
        lanes!(i => a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn min(self, a: F, b: F) -> F {
        lanes!(i => if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn max(self, a: F, b: F) -> F {
        lanes!(i => if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn sqrt(self, a: F) -> F {
        lanes!(i => a[i].sqrt())
    }
    #[inline(always)]
    fn floor(self, a: F) -> F {
        lanes!(i => a[i].floor())
    }
    #[inline(always)]
    fn round(self, a: F) -> F {
        // Adding 2^23 pushes the fraction out; numbers of that size have none. The sign comes back for -0.
        const TWO_23: f32 = 8_388_608.0;
        lanes!(i => {
            let m = a[i].abs();
            let rounded = if m < TWO_23 { (m + TWO_23) - TWO_23 } else { m };
            rounded.copysign(a[i])
        })
    }
    #[inline(always)]
    fn lt(self, a: F, b: F) -> M {
        lanes!(i => truth(a[i] < b[i]))
    }
    #[inline(always)]
    fn le(self, a: F, b: F) -> M {
        lanes!(i => truth(a[i] <= b[i]))
    }
    #[inline(always)]
    fn eq(self, a: F, b: F) -> M {
        lanes!(i => truth(a[i] == b[i]))
    }
    #[inline(always)]
    fn is_nan(self, a: F) -> M {
        lanes!(i => truth(a[i].is_nan()))
    }
    #[inline(always)]
    fn first(self, n: usize) -> M {
        lanes!(i => truth(i < n))
    }
    #[inline(always)]
    fn select(self, m: M, a: F, b: F) -> F {
        lanes!(i => f32::from_bits((a[i].to_bits() & m[i]) | (b[i].to_bits() & !m[i])))
    }
    #[inline(always)]
    fn mask_and(self, a: M, b: M) -> M {
        lanes!(i => a[i] & b[i])
    }
    #[inline(always)]
    fn mask_or(self, a: M, b: M) -> M {
        lanes!(i => a[i] | b[i])
    }
    #[inline(always)]
    fn mask_not(self, a: M) -> M {
        lanes!(i => !a[i])
    }
    #[inline(always)]
    fn any(self, m: M) -> bool {
        let mut all = 0;
        for lane in m {
            all |= lane;
        }
        all != 0
    }
    #[inline(always)]
    fn to_bits(self, a: F) -> I {
        lanes!(i => a[i].to_bits() as i32)
    }
    #[inline(always)]
    fn from_bits(self, a: I) -> F {
        lanes!(i => f32::from_bits(a[i] as u32))
    }
    #[inline(always)]
    fn splat_i(self, x: i32) -> I {
        [x; LANES]
    }
    #[inline(always)]
    fn eq_i(self, a: I, b: I) -> M {
        lanes!(i => truth(a[i] == b[i]))
    }
    #[inline(always)]
    fn add_i(self, a: I, b: I) -> I {
        lanes!(i => a[i].wrapping_add(b[i]))
    }
    #[inline(always)]
    fn sub_i(self, a: I, b: I) -> I {
        lanes!(i => a[i].wrapping_sub(b[i]))
    }
    #[inline(always)]
    fn and_i(self, a: I, b: I) -> I {
        lanes!(i => a[i] & b[i])
    }
    #[inline(always)]
    fn or_i(self, a: I, b: I) -> I {
        lanes!(i => a[i] | b[i])
    }
    #[inline(always)]
    fn shl_i<const N: u32>(self, a: I) -> I {
        lanes!(i => a[i] << N)
    }
    #[inline(always)]
    fn shr_i<const N: u32>(self, a: I) -> I {
        lanes!(i => a[i] >> N)
    }
    #[inline(always)]
    fn to_int(self, a: F) -> I {
        let rounded = self.round(a);
        lanes!(i => rounded[i] as i32)
    }
    #[inline(always)]
    fn to_float(self, a: I) -> F {
        lanes!(i => a[i] as f32)
    }
    #[inline(always)]
    unsafe fn load_i(self, p: *const i32) -> I {
        // SAFETY: the caller promises eight readable integers.
        unsafe { p.cast::<I>().read() }
    }
    #[inline(always)]
    unsafe fn store_i(self, p: *mut i32, v: I) {
        // SAFETY: the caller promises eight writable integers.
        unsafe { p.cast::<I>().write(v) }
    }
    #[inline(always)]
    fn select_i(self, m: M, a: I, b: I) -> I {
        lanes!(i => (a[i] & m[i] as i32) | (b[i] & !m[i] as i32))
    }
    #[inline(always)]
    fn sum(self, a: F) -> f32 {
        let b = [a[0] + a[4], a[1] + a[5], a[2] + a[6], a[3] + a[7]];
        (b[0] + b[2]) + (b[1] + b[3])
    }
    #[inline(always)]
    fn reduce_max(self, a: F) -> f32 {
        let mut best = a[0];
        for x in a {
            best = if x > best { x } else { best };
        }
        best
    }
}
