//! Vectors of pairs of bfloat16 numbers, each pair in the 32 bits of a lane.

use crate::simd::{Portable, Simd};

/// What a kernel on pairs needs beside [`Simd`]. As there, having a token proves that the processor has the instructions.
pub(super) trait Pairs: Copy {
    /// The vectors whose lanes hold the pairs.
    type S: Simd;

    /// Their token.
    fn simd(self) -> Self::S;
    /// Neighbours in pairs: all numbers of `low`, then all of `high`, rounded to nearest, ties to even.
    fn neighbours(self, low: F<Self>, high: F<Self>) -> F<Self>;
    /// Lane by lane, a number of `first` and that of `second` as a pair, rounded alike.
    fn above(self, first: F<Self>, second: F<Self>) -> F<Self>;
    /// Of two vectors of pairs the numbers of `first`, each in a pair with that of `second`, in two vectors.
    fn woven(self, first: F<Self>, second: F<Self>) -> (F<Self>, F<Self>);
    /// `sums` and both products of the pairs of each lane, in f32.
    fn dot(self, sums: F<Self>, a: F<Self>, b: F<Self>) -> F<Self>;
}

/// A vector of a token's lanes.
pub(super) type F<P> = <<P as Pairs>::S as Simd>::F;

/// Plain Rust.
#[derive(Clone, Copy)]
pub(super) struct Plain;

/// The bits of the nearest bfloat16 number, of two alike the even one. What is too small for f32 to keep all of its bits
/// becomes zero, as the instructions have it; a NaN stays one.
#[inline(always)]
fn rounded(x: f32) -> u32 {
    let bits = x.to_bits();
    if x.is_nan() {
        return bits >> 16 | 0x40;
    }
    if bits & 0x7f80_0000 == 0 {
        return bits >> 16 & 0x8000;
    }
    (bits + 0x7fff + (bits >> 16 & 1)) >> 16
}

#[inline(always)]
fn pair(first: f32, second: f32) -> f32 {
    f32::from_bits(rounded(first) | rounded(second) << 16)
}

impl Pairs for Plain {
    type S = Portable;

    #[inline(always)]
    fn simd(self) -> Portable {
        Portable
    }
    #[inline(always)]
    fn neighbours(self, low: F<Self>, high: F<Self>) -> F<Self> {
        const HALF: usize = Portable::LANES / 2;
        let mut out = low;
        for i in 0..HALF {
            out[i] = pair(low[2 * i], low[2 * i + 1]);
        }
        for i in 0..HALF {
            out[HALF + i] = pair(high[2 * i], high[2 * i + 1]);
        }
        out
    }
    #[inline(always)]
    fn above(self, first: F<Self>, second: F<Self>) -> F<Self> {
        let mut out = first;
        for i in 0..Portable::LANES {
            out[i] = pair(first[i], second[i]);
        }
        out
    }
    #[inline(always)]
    fn woven(self, first: F<Self>, second: F<Self>) -> (F<Self>, F<Self>) {
        const LANES: usize = Portable::LANES;
        let mut both = [first, first];
        for i in 0..LANES {
            let (a, b) = (first[i].to_bits(), second[i].to_bits());
            both[2 * i / LANES][2 * i % LANES] = f32::from_bits(a & 0xffff | b << 16);
            both[(2 * i + 1) / LANES][(2 * i + 1) % LANES] = f32::from_bits(a >> 16 | b & 0xffff_0000);
        }
        (both[0], both[1])
    }
    #[inline(always)]
    fn dot(self, sums: F<Self>, a: F<Self>, b: F<Self>) -> F<Self> {
        let (low, high) =
            (|x: f32| f32::from_bits(x.to_bits() << 16), |x: f32| f32::from_bits(x.to_bits() & 0xffff_0000));
        let mut out = sums;
        for i in 0..Portable::LANES {
            out[i] = sums[i] + high(a[i]) * high(b[i]) + low(a[i]) * low(b[i]);
        }
        out
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use native::Native;

#[cfg(target_arch = "x86_64")]
mod native {
    use std::arch::x86_64::*;
    use std::mem::transmute;

    use super::Pairs;
    use crate::simd::Avx512;

    /// Token for AVX512-BF16, and AVX-512F and AVX-512BW with it.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Native(());

    impl Native {
        /// # Safety
        /// The processor must have AVX512-BF16, AVX-512F and AVX-512BW.
        #[inline(always)]
        pub(in super::super) unsafe fn new_unchecked() -> Self {
            Native(())
        }
    }

    /// Places from `first` on and from `second` on, in turn.
    const fn in_turn(first: i16, second: i16) -> [i16; 32] {
        let mut places = [0; 32];
        let mut i = 0;
        while i < 32 {
            places[i] = (i / 2) as i16 + if i % 2 == 0 { first } else { second };
            i += 1;
        }
        places
    }

    impl Pairs for Native {
        type S = Avx512;

        #[inline(always)]
        fn simd(self) -> Avx512 {
            // SAFETY: the token proves AVX-512F.
            unsafe { Avx512::new_unchecked() }
        }
        #[inline(always)]
        fn neighbours(self, low: __m512, high: __m512) -> __m512 {
            // SAFETY: the token proves AVX512-BF16; any bits are a vector of f32.
            unsafe { transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(high, low)) }
        }
        #[inline(always)]
        fn above(self, first: __m512, second: __m512) -> __m512 {
            const TURNS: [i16; 32] = in_turn(0, 16);
            // SAFETY: the token proves AVX512-BF16 and AVX-512BW; both vectors have 64 bytes.
            unsafe {
                let both = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first));
                _mm512_castsi512_ps(_mm512_permutexvar_epi16(transmute::<[i16; 32], __m512i>(TURNS), both))
            }
        }
        #[inline(always)]
        fn woven(self, first: __m512, second: __m512) -> (__m512, __m512) {
            // Numbers of the second come behind the 32 of the first.
            const LOW: [i16; 32] = in_turn(0, 32);
            const HIGH: [i16; 32] = in_turn(16, 48);
            // SAFETY: the token proves AVX-512BW; any bits are numbers in pairs, and all vectors have 64 bytes.
            unsafe {
                let (first, second) = (_mm512_castps_si512(first), _mm512_castps_si512(second));
                let low = _mm512_permutex2var_epi16(first, transmute::<[i16; 32], __m512i>(LOW), second);
                let high = _mm512_permutex2var_epi16(first, transmute::<[i16; 32], __m512i>(HIGH), second);
                (_mm512_castsi512_ps(low), _mm512_castsi512_ps(high))
            }
        }
        #[inline(always)]
        fn dot(self, sums: __m512, a: __m512, b: __m512) -> __m512 {
            // SAFETY: the token proves AVX512-BF16; any bits are a vector of pairs.
            unsafe { _mm512_dpbf16_ps(sums, transmute::<__m512, __m512bh>(a), transmute::<__m512, __m512bh>(b)) }
        }
    }
}

/// Compiles a kernel body generic over [`Pairs`] for plain Rust and for AVX512-BF16; the function made takes the
/// [`Unit`](super::Unit) first.
macro_rules! pairs_kernel {
    ($(#[$meta:meta])* $vis:vis unsafe fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:ident;) => {
        $(#[$meta])*
        $vis unsafe fn $name(unit: super::Unit, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
            unsafe fn native($($arg: $ty),*) {
                // SAFETY: this function is only called where the instructions were detected; the rest is the caller's promise.
                unsafe { $body(super::pairs::Native::new_unchecked(), $($arg),*) }
            }
            match unit.kind() {
                // SAFETY: the caller's promise.
                super::unit::Kind::Plain => unsafe { $body(super::pairs::Plain, $($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the unit proves the instructions; the rest is the caller's promise.
                _ => unsafe { native($($arg),*) },
            }
        }
    };
}
pub(super) use pairs_kernel;
