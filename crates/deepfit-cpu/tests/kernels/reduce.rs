use deepfit_cpu::kernels::reduce::*;

use super::support::{assert_close, everywhere, numbers};

const ALL: [Reduction; 4] = [Reduction::Sum, Reduction::Mean, Reduction::Max, Reduction::SumOfSquares];

fn reference(how: Reduction, x: &[f32], dims: &[usize], reduced: &[bool]) -> Vec<f64> {
    let kept: usize = dims.iter().zip(reduced).filter(|(_, r)| !**r).map(|(d, _)| d).product();
    let mut y = vec![if how == Reduction::Max { f64::NEG_INFINITY } else { 0.0 }; kept];
    let mut count = vec![0.0; kept];
    for (i, &v) in x.iter().enumerate() {
        let (mut rest, mut at, mut stride) = (i, 0, 1);
        for (&d, &r) in dims.iter().zip(reduced).rev() {
            if !r {
                at += rest % d * stride;
                stride *= d;
            }
            rest /= d;
        }
        let v = v as f64;
        count[at] += 1.0;
        match how {
            Reduction::Max => y[at] = if v > y[at] || v.is_nan() { v } else { y[at] },
            Reduction::SumOfSquares => y[at] += v * v,
            _ => y[at] += v,
        }
    }
    if how == Reduction::Mean {
        y.iter_mut().zip(count).for_each(|(y, n)| *y /= n);
    }
    y
}

fn check(dims: &[usize], reduced: &[bool], x: &[f32], tolerance: f64) {
    for how in ALL {
        let want = reference(how, x, dims, reduced);
        everywhere(
            |cx| {
                let mut y = vec![7.0; want.len()];
                reduce(cx, how, x, dims, reduced, &mut y, &mut vec![f32::NAN; reduce_scratch(dims, reduced)]);
                y
            },
            |isa, y| assert_close(&format!("{how:?} {isa} {dims:?} {reduced:?}"), y, &want, tolerance),
        );
    }
}

#[test]
fn any_axes_of_any_rank() {
    let dims = [3, 4, 2, 5, 1, 3];
    let x = numbers(360, 1);
    for rank in 0..=6 {
        let dims = &dims[..rank];
        let n = dims.iter().product();
        for mask in 0..1 << rank {
            let reduced: Vec<bool> = (0..rank).map(|axis| mask >> axis & 1 == 1).collect();
            check(dims, &reduced, &x[..n], 1e-6);
        }
    }
}

#[test]
fn sizes_around_vectors_and_chunks() {
    for n in [0, 1, 7, 8, 9, 31, 33, 63, 64, 65, 4095, 4096, 4097, 20_000] {
        check(&[n], &[true], &numbers(n, 1), 2e-6);
        check(&[3, n], &[false, true], &numbers(3 * n, 1), 1e-5);
        check(&[n, 3], &[true, false], &numbers(3 * n, 1), 1e-5);
        check(&[2, n, 17], &[false, true, false], &numbers(34 * n, 1), 2e-5);
    }
}

#[test]
fn a_million_numbers_far_from_zero_keep_their_digits() {
    let x: Vec<f32> = numbers(1_000_000, 1).iter().map(|v| v + 3.0).collect();
    check(&[1_000_000], &[true], &x, 3e-7);
    check(&[250_000, 4], &[true, false], &x, 3e-6);
}

#[test]
fn nan_and_infinity_reach_the_result() {
    for n in [5, 40, 5000] {
        for special in [f32::NAN, f32::INFINITY] {
            for at in [0, n / 2, n - 1] {
                let mut x = vec![1.0; n];
                x[at] = special;
                check(&[n], &[true], &x, 0.0);
                check(&[n, 1], &[true, false], &x, 0.0);
                let wide: Vec<f32> = x.iter().flat_map(|&v| [1.0, v]).collect();
                check(&[n, 2], &[true, false], &wide, 0.0);
            }
        }
    }
}
