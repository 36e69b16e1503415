use deepfit_cpu::error::Error;
use deepfit_cpu::simd::{Isa, Portable, Several, Simd};
use deepfit_cpu::simd_kernel;

/// Applies each operation lane by lane and lays the results end to end.
#[inline(always)]
fn all_operations<S: Simd>(s: S, a: &[f32], b: &[f32], out: &mut [f32]) -> usize {
    let n = a.len();
    let mut rows = 0;
    macro_rules! row {
        ($f:expr) => {{
            let mut i = 0;
            while i < n {
                let (x, y) = (s.load_at(a, i), s.load_at(b, i));
                let v: S::F = $f(x, y);
                s.store_at(&mut out[rows * n..rows * n + n], i, v);
                i += S::LANES;
            }
            rows += 1;
        }};
    }
    let (yes, no) = (s.splat(1.0), s.splat(0.0));
    row!(|x, y| s.add(x, y));
    row!(|x, y| s.sub(x, y));
    row!(|x, y| s.mul(x, y));
    row!(|x, y| s.div(x, y));
    row!(|x, y| s.min(x, y));
    row!(|x, y| s.max(x, y));
    row!(|x, _| s.sqrt(x));
    row!(|x, _| s.floor(x));
    row!(|x, _| s.round(x));
    row!(|x, _| s.neg(x));
    row!(|x, _| s.abs(x));
    row!(|x, y| s.copysign(x, y));
    row!(|x, y| s.select(s.lt(x, y), yes, no));
    row!(|x, y| s.select(s.le(x, y), yes, no));
    row!(|x, y| s.select(s.eq(x, y), yes, no));
    row!(|x, _| s.select(s.is_nan(x), yes, no));
    row!(|x, y| s.select(s.mask_and(s.lt(x, y), s.mask_not(s.is_nan(x))), x, y));
    row!(|x, y| s.select(s.mask_or(s.lt(x, y), s.is_nan(y)), x, y));
    row!(|x, _| s.to_float(s.to_int(s.min(s.max(x, s.splat(-1e6)), s.splat(1e6)))));
    row!(|x, _| s.from_bits(s.shl_i::<3>(s.shr_i::<3>(s.to_bits(x)))));
    row!(|x, y| s.from_bits(s.select_i(s.lt(x, y), s.to_bits(x), s.to_bits(y))));
    rows
}
#[inline(always)]
fn several_at_once<S: Simd>(s: S, a: &[f32], b: &[f32], out: &mut [f32]) -> usize {
    all_operations(Several::<S, 4>::of(s), a, b, out)
}
simd_kernel! {
    fn several(a: &[f32], b: &[f32], out: &mut [f32]) -> usize = several_at_once;
}
#[inline(always)]
fn several_sum_body<S: Simd>(s: S, a: &[f32]) -> (f32, f32, bool) {
    sum_body(Several::<S, 4>::of(s), a)
}
simd_kernel! {
    fn several_sum(a: &[f32]) -> (f32, f32, bool) = several_sum_body;
}

simd_kernel! {
    fn operations(a: &[f32], b: &[f32], out: &mut [f32]) -> usize = all_operations;
}

#[inline(always)]
fn sum_body<S: Simd>(s: S, a: &[f32]) -> (f32, f32, bool) {
    let v = s.load_at(a, 0);
    (s.sum(v), s.reduce_max(v), s.any(s.lt(v, s.zero())))
}
simd_kernel! {
    fn sum(a: &[f32]) -> (f32, f32, bool) = sum_body;
}

#[test]
fn every_instruction_set_agrees_with_the_portable_code() {
    let mut a = super::support::numbers(1000, 1);
    for x in &mut a {
        *x *= 40.0;
    }
    a.extend([0.5, 1.5, -0.5, 2.5, 0.0, -0.0, f32::INFINITY, f32::NAN, 1e30, 8_388_609.0, 1.0]);
    let mut b = a.clone();
    b.rotate_right(5);
    let run = |isa, kernel: fn(Isa, &[f32], &[f32], &mut [f32]) -> usize| {
        let mut out = vec![0.0; 40 * a.len()];
        let rows = kernel(isa, &a, &b, &mut out);
        out.truncate(rows * a.len());
        out
    };
    let want = run(Isa::Portable, operations);
    for &isa in Isa::available() {
        for (i, (g, w)) in run(isa, operations).iter().chain(&run(isa, several)).zip(want.iter().cycle()).enumerate() {
            let same = g.to_bits() == w.to_bits() || (g.is_nan() && w.is_nan());
            let (row, at) = (i / a.len(), i % a.len());
            assert!(same, "{isa}: operation {row} of {} and {}: {g} != {w}", a[at], b[at]);
        }
    }
    let p = Portable;
    assert!(p.min(p.splat(1.0), p.splat(f32::NAN))[0].is_nan());
    assert_eq!(p.min(p.splat(f32::NAN), p.splat(1.0))[0], 1.0);
}

#[test]
fn lanes_are_summed_and_compared() {
    for &isa in Isa::available() {
        let x: Vec<f32> = (1..=isa.lanes()).map(|i| i as f32).collect();
        let n = isa.lanes() as f32;
        assert_eq!(sum(isa, &x), (n * (n + 1.0) / 2.0, n, false));
        assert!(sum(isa, &[1.0, -1.0]).2);
        let x: Vec<f32> = (1..=4 * isa.lanes()).map(|i| i as f32).collect();
        let n = 4.0 * isa.lanes() as f32;
        assert_eq!(several_sum(isa, &x), (n * (n + 1.0) / 2.0, n, false));
        // The only negative number is in the last vector.
        let mut x = vec![1.0; 3 * isa.lanes()];
        x.push(-1.0);
        assert!(several_sum(isa, &x).2);
    }
}

#[test]
fn the_variable_chooses_and_errors_are_values() {
    assert_eq!(Isa::choose(Some("portable")), Ok(Isa::Portable));
    assert_eq!(Isa::choose(None).unwrap(), *Isa::available().last().unwrap());
    let error = Isa::choose(Some("sse9")).unwrap_err();
    assert_eq!(error, Error::UnknownIsa { value: "sse9".into() });
    assert!(error.to_string().contains("`avx2`"));
    for isa in [Isa::Avx2, Isa::Avx512] {
        assert_eq!(Isa::choose(Some(isa.name())).is_ok(), isa.is_available());
    }
}
