use deepfit_cpu::math;
use deepfit_cpu::simd::{Isa, Simd};

/// Distance in units of the last place of the exact result.
fn ulps(got: f32, want: f64) -> f64 {
    let rounded = want as f32;
    if got == rounded || (got.is_nan() && want.is_nan()) {
        return 0.0;
    }
    let exponent = rounded.abs().max(f32::MIN_POSITIVE).log2().floor();
    (got as f64 - want).abs() / 2f64.powf(exponent as f64 - 23.0)
}

/// Numbers of all magnitudes, both signs, dense enough to hit every reduction interval, and the special ones.
fn arguments(largest: f32) -> Vec<f32> {
    let mut x = vec![
        0.0,
        -0.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        1e-45,
        -1e-45,
        f32::MIN_POSITIVE,
        f32::MAX,
        f32::MIN,
    ];
    x.extend([88.722_83, 88.722_84, 89.5, -87.336, -87.34, -103.97, -103.98, -104.1, -120.0, 1.0, -1.0]);
    for i in 0..60_000 {
        x.push((i as f32 / 30_000.0 - 1.0) * largest);
        x.push(1.0 + (i as f32 - 30_000.0) / 100_000.0);
    }
    for exponent in -149..=127 {
        for m in [1.0f32, 1.2, 1.414, 1.4143, 1.7, 1.999] {
            x.push(m * 2f32.powi(exponent));
            x.push(-m * 2f32.powi(exponent));
        }
    }
    x
}

/// Error function: Maclaurin series near zero, continued fraction of the complement beyond 2.5.
fn erf(x: f64) -> f64 {
    if x.is_nan() || x.abs() >= 2.5 {
        let m = x.abs().min(30.0);
        let fraction = (1..120).rev().fold(m, |f, n| m + n as f64 / 2.0 / f);
        return if x.is_nan() {
            x
        } else {
            x.signum() * (1.0 - (-m * m).exp() / fraction / std::f64::consts::PI.sqrt())
        };
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..120 {
        term *= -x * x / n as f64;
        sum += term / (2 * n + 1) as f64;
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

fn check(name: &str, f: fn(Isa, &[f32], &mut [f32]), reference: fn(f64) -> f64, largest: f32, limit: f64) {
    let x = arguments(largest);
    for &isa in Isa::available() {
        let mut y = vec![0.0; x.len()];
        f(isa, &x, &mut y);
        for (&x, &y) in x.iter().zip(&y) {
            let want = reference(x as f64);
            let error = ulps(y, want);
            assert!(error <= limit, "{name}({x:e}) on {isa} is {y:e}, should be {want:e}: {error} ulp");
        }
    }
}

#[test]
fn exp_is_within_two_ulp() {
    check("exp", math::exp_slice, f64::exp, 110.0, 2.0);
}

#[test]
fn log_is_within_three_ulp() {
    check("log", math::log_slice, f64::ln, 100.0, 3.0);
}

#[test]
fn tanh_is_within_three_ulp() {
    check("tanh", math::tanh_slice, f64::tanh, 12.0, 3.0);
}

#[test]
fn sigmoid_is_within_four_ulp() {
    check(
        "sigmoid",
        math::sigmoid_slice,
        |x| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) },
        110.0,
        4.0,
    );
}

#[test]
fn erf_is_within_four_ulp() {
    check("erf", math::erf_slice, erf, 5.0, 4.0);
}

#[test]
fn sine_and_cosine_are_within_two_ulp() {
    type Slices = fn(Isa, &[f32], &mut [f32]);
    let both: [Slices; 2] = [math::sin_slice, math::cos_slice];
    for (name, f, reference) in [("sin", both[0], f64::sin as fn(f64) -> f64), ("cos", both[1], f64::cos)] {
        let mut x = arguments(1100.0);
        x.extend((-700..700).map(|n| (f64::from(n) * std::f64::consts::FRAC_PI_2) as f32));
        for &isa in Isa::available() {
            let mut y = vec![0.0; x.len()];
            f(isa, &x, &mut y);
            for (&x, &y) in x.iter().zip(&y) {
                let want = reference(f64::from(x));
                let error = ulps(y, want);
                let near = want.abs() < 1e-4 && (f64::from(y) - want).abs() < 1e-11;
                assert!(error <= 2.0 || near, "{name}({x:e}) on {isa} is {y:e}, should be {want:e}: {error} ulp");
            }
        }
    }
}

#[test]
fn slices_of_every_length_are_filled_and_not_overrun() {
    for &isa in Isa::available() {
        for n in 0..40 {
            let x = vec![1.0; n];
            let mut y = vec![7.0; n + 3];
            math::exp_slice(isa, &x, &mut y[..n]);
            assert!(y[..n].iter().all(|v| (v - std::f32::consts::E).abs() < 1e-6));
            assert_eq!(y[n..], [7.0; 3]);
        }
    }
}

#[inline(always)]
fn powf_body<S: Simd>(s: S, c: f32, x: &[f32], y: &mut [f32]) {
    let mut i = 0;
    while i < x.len() {
        let v = math::powf(s, s.load_at(x, i), c);
        s.store_at(y, i, v);
        i += S::LANES;
    }
}
deepfit_cpu::simd_kernel! {
    fn powf(c: f32, x: &[f32], y: &mut [f32]) = powf_body;
}

#[test]
fn powers_are_within_their_bounds_and_know_the_special_arguments() {
    let mut x: Vec<f32> = (0..2000).map(|i| 10f32.powf(i as f32 / 250.0 - 4.0)).collect();
    x.extend([0.0, -0.0, 1.0, -1.0, -2.0, -0.3, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-40]);
    let mut y = vec![0.0; x.len()];
    for c in [0.0, 1.0, 2.0, 3.0, 7.0, 16.0, -1.0, -2.0, -5.0, 17.0, 20.0, -17.0, 0.5, 0.3, 1.5, -0.7, -2.5, 11.3] {
        for &isa in Isa::available() {
            powf(isa, c, &x, &mut y);
            for (&x, &y) in x.iter().zip(&y) {
                let undefined = x < 0.0 && c.fract() != 0.0;
                let want = if undefined { f64::NAN } else { f64::from(x).powf(f64::from(c)) };
                if want.is_nan() || want == 0.0 || want.is_infinite() {
                    assert!(f64::from(y) == want || (y.is_nan() && want.is_nan()), "{x:e}^{c} on {isa} is {y:e}");
                    continue;
                }
                // Beyond what is an ordinary number, the result is at least on the right side.
                if want.abs() > 1e38 || want.abs() < 2e-38 {
                    let right = f64::from(y) * want >= 0.0 && (want.abs() > 1.0) == (y.abs() > 1.0);
                    assert!(right, "{x:e}^{c} on {isa} is {y:e}");
                    continue;
                }
                let multiplied = c.fract() == 0.0 && c.abs() <= 16.0;
                let limit = if multiplied { 16.0 } else { 2.0 + 4.0 * (c * x.abs().ln()).abs() };
                let error = ulps(y, want);
                assert!(error <= f64::from(limit), "{x:e}^{c} on {isa} is {y:e}, should be {want:e}: {error} ulp");
            }
        }
    }
}
