//! Several vectors as one.

use super::Simd;

/// Vectors that are computed at once where each takes a long chain of operations, such as an exponential.
pub const AT_ONCE: usize = 4;

/// A token for `N` vectors of another's at once. A long chain of operations on one vector waits for each of its results;
/// on several, the processor has others to compute meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Several<S, const N: usize>(S);

impl<S: Simd, const N: usize> Several<S, N> {
    /// Of the token for one vector.
    #[inline(always)]
    pub fn of(one: S) -> Self {
        Several(one)
    }
}

/// Methods that work vector by vector.
macro_rules! each {
    ($($name:ident($($argument:ident: $kind:ident),*) -> $result:ident = $zero:ident;)*) => {
        $(#[inline(always)]
        fn $name(self, $($argument: Self::$kind),*) -> Self::$result {
            let mut found = self.$zero();
            for i in 0..N {
                found[i] = self.0.$name($($argument[i]),*);
            }
            found
        })*
    };
}

impl<S: Simd, const N: usize> Several<S, N> {
    #[inline(always)]
    fn numbers(self) -> [S::F; N] {
        [self.0.zero(); N]
    }
    #[inline(always)]
    fn integers(self) -> [S::I; N] {
        [self.0.splat_i(0); N]
    }
    #[inline(always)]
    fn truths(self) -> [S::M; N] {
        [self.0.first(0); N]
    }
    /// Numbers of vector `i` among the first `n`.
    #[inline(always)]
    fn share(i: usize, n: usize) -> usize {
        n.saturating_sub(i * S::LANES)
    }
}

impl<S: Simd, const N: usize> Simd for Several<S, N> {
    type F = [S::F; N];
    type I = [S::I; N];
    type M = [S::M; N];
    const LANES: usize = N * S::LANES;

    each! {
        add(a: F, b: F) -> F = numbers;
        sub(a: F, b: F) -> F = numbers;
        mul(a: F, b: F) -> F = numbers;
        div(a: F, b: F) -> F = numbers;
        mul_add(a: F, b: F, c: F) -> F = numbers;
        min(a: F, b: F) -> F = numbers;
        max(a: F, b: F) -> F = numbers;
        sqrt(a: F) -> F = numbers;
        floor(a: F) -> F = numbers;
        round(a: F) -> F = numbers;
        neg(a: F) -> F = numbers;
        abs(a: F) -> F = numbers;
        copysign(a: F, b: F) -> F = numbers;
        times_power_of_two(a: F, n: F) -> F = numbers;
        lt(a: F, b: F) -> M = truths;
        le(a: F, b: F) -> M = truths;
        eq(a: F, b: F) -> M = truths;
        is_nan(a: F) -> M = truths;
        select(m: M, a: F, b: F) -> F = numbers;
        mask_and(a: M, b: M) -> M = truths;
        mask_or(a: M, b: M) -> M = truths;
        mask_not(a: M) -> M = truths;
        to_bits(a: F) -> I = integers;
        from_bits(a: I) -> F = numbers;
        eq_i(a: I, b: I) -> M = truths;
        add_i(a: I, b: I) -> I = integers;
        sub_i(a: I, b: I) -> I = integers;
        and_i(a: I, b: I) -> I = integers;
        or_i(a: I, b: I) -> I = integers;
        to_int(a: F) -> I = integers;
        to_float(a: I) -> F = numbers;
        select_i(m: M, a: I, b: I) -> I = integers;
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [self.0.splat(x); N]
    }
    #[inline(always)]
    fn splat_i(self, x: i32) -> Self::I {
        [self.0.splat_i(x); N]
    }
    #[inline(always)]
    fn first(self, n: usize) -> Self::M {
        let mut found = self.truths();
        for i in 0..N {
            found[i] = self.0.first(Self::share(i, n));
        }
        found
    }
    #[inline(always)]
    fn any(self, m: Self::M) -> bool {
        let mut found = false;
        for i in 0..N {
            found |= self.0.any(m[i]);
        }
        found
    }
    #[inline(always)]
    fn shl_i<const BITS: u32>(self, a: Self::I) -> Self::I {
        let mut found = self.integers();
        for i in 0..N {
            found[i] = self.0.shl_i::<BITS>(a[i]);
        }
        found
    }
    #[inline(always)]
    fn shr_i<const BITS: u32>(self, a: Self::I) -> Self::I {
        let mut found = self.integers();
        for i in 0..N {
            found[i] = self.0.shr_i::<BITS>(a[i]);
        }
        found
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> Self::F {
        let mut found = self.numbers();
        for i in 0..N {
            // SAFETY: the caller promises all lanes.
            found[i] = unsafe { self.0.load(p.add(i * S::LANES)) };
        }
        found
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: Self::F) {
        for i in 0..N {
            // SAFETY: the caller promises all lanes.
            unsafe { self.0.store(p.add(i * S::LANES), v[i]) };
        }
    }
    #[inline(always)]
    unsafe fn load_partial(self, p: *const f32, n: usize) -> Self::F {
        let mut found = self.numbers();
        for i in 0..N {
            // SAFETY: the caller promises `n` numbers, of which this vector has its share.
            found[i] = unsafe { self.0.load_partial(p.wrapping_add(i * S::LANES), Self::share(i, n)) };
        }
        found
    }
    #[inline(always)]
    unsafe fn store_partial(self, p: *mut f32, n: usize, v: Self::F) {
        for i in 0..N {
            // SAFETY: the caller promises `n` numbers, of which this vector has its share.
            unsafe { self.0.store_partial(p.wrapping_add(i * S::LANES), Self::share(i, n), v[i]) };
        }
    }
    #[inline(always)]
    unsafe fn load_i(self, p: *const i32) -> Self::I {
        let mut found = self.integers();
        for i in 0..N {
            // SAFETY: the caller promises all lanes.
            found[i] = unsafe { self.0.load_i(p.add(i * S::LANES)) };
        }
        found
    }
    #[inline(always)]
    unsafe fn store_i(self, p: *mut i32, v: Self::I) {
        for i in 0..N {
            // SAFETY: the caller promises all lanes.
            unsafe { self.0.store_i(p.add(i * S::LANES), v[i]) };
        }
    }
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        let mut all = a[0];
        for i in 1..N {
            all = self.0.add(all, a[i]);
        }
        self.0.sum(all)
    }
    #[inline(always)]
    fn reduce_max(self, a: Self::F) -> f32 {
        let mut all = a[0];
        for i in 1..N {
            all = self.0.max(all, a[i]);
        }
        self.0.reduce_max(all)
    }
}
