//! Products in bfloat16 against products in f64 of operands that were rounded before.

use deepfit_cpu::kernels::conv::*;
use deepfit_cpu::kernels::gemm::bf16::Unit;
use deepfit_cpu::kernels::gemm::{Gemm, Matrix, packed};
use deepfit_cpu::kernels::{Caches, Compute, Precision, Products};
use deepfit_cpu::simd::Isa;

use super::conv::{Position, products, square};
use super::support::{assert_close, bits, everywhere_in_bf16, numbers};

/// The nearest number with 8 bits, of two alike the one whose last bit is 0.
fn rounded(x: f32) -> f32 {
    let down = f32::from_bits(x.to_bits() & 0xffff_0000);
    let up = f32::from_bits((x.to_bits() & 0xffff_0000).wrapping_add(0x1_0000));
    if !x.is_finite() {
        return x;
    }
    if x.abs() < f32::MIN_POSITIVE {
        return 0.0_f32.copysign(x);
    }
    // Beyond the largest number comes what would be next, as far away as the one before.
    let step = f64::from(down) - f64::from(f32::from_bits(down.to_bits() - 0x1_0000));
    let above = if up.is_finite() { f64::from(up) } else { f64::from(down) + step };
    let (to_down, to_up) = ((f64::from(x) - f64::from(down)).abs(), (above - f64::from(x)).abs());
    let even = down.to_bits() & 0x1_0000 == 0;
    if to_down < to_up || (to_down == to_up && even) { down } else { up }
}

fn all_rounded(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(rounded(x))).collect()
}

fn reference(m: usize, n: usize, k: usize, a: &[f32], b: &[f32]) -> Vec<f64> {
    let (a, b) = (all_rounded(a), all_rounded(b));
    let mut c = vec![0.0; m * n];
    for i in 0..m {
        for p in 0..k {
            for j in 0..n {
                c[i * n + j] += a[i * k + p] * b[p * n + j];
            }
        }
    }
    c
}

fn transpose(rows: usize, cols: usize, x: &[f32]) -> Vec<f32> {
    (0..cols).flat_map(|j| (0..rows).map(move |i| x[i * cols + j])).collect()
}

/// Every number twice, the second of which no matrix reads.
fn spread(x: &[f32]) -> Vec<f32> {
    x.iter().flat_map(|&x| [x, f32::NAN]).collect()
}

fn check(m: usize, n: usize, k: usize, caches: Caches) {
    let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
    let (at, bt) = (transpose(m, k, &a), transpose(k, n, &b));
    let (a2, b2) = (spread(&a), spread(&b));
    let lefts = [Matrix::row_major(&a, k), Matrix::row_major(&at, m).transposed(), Matrix::new(&a2, 2 * k, 2)];
    let rights = [Matrix::row_major(&b, n), Matrix::row_major(&bt, k).transposed(), Matrix::new(&b2, 2 * n, 2)];
    let want: Vec<f64> = reference(m, n, k, &a, &b).iter().map(|w| 2.0 * w).collect();
    let ldc = n + 3;
    for (layout, (left, right)) in
        lefts.iter().flat_map(|left| rights.iter().map(move |right| (left, right))).enumerate()
    {
        everywhere_in_bf16(
            caches,
            |cx| {
                let gemm = Gemm::new(m, n, k);
                let mut c = vec![5.0; m * ldc];
                let mut scratch = vec![f32::NAN; gemm.scratch(cx)];
                gemm.run(cx, left, right, &mut c, ldc, &mut scratch);
                gemm.accumulate(true).run(cx, left, right, &mut c, ldc, &mut scratch);
                c
            },
            |unit, c| {
                let mut inside = Vec::new();
                for row in c.chunks(ldc) {
                    inside.extend_from_slice(&row[..n]);
                    assert_eq!(row[n..], [5.0; 3], "{unit} {m}x{n}x{k}: written beyond the row");
                }
                let what = format!("{unit} {m}x{n}x{k} layout {layout}");
                assert_close(&what, &inside, &want, 1.5e-6 * (k as f64).sqrt().max(4.0));
            },
        );
    }
}

#[test]
fn shapes_around_every_tile_are_right_in_every_layout() {
    for m in [16, 17, 31, 32, 33, 49, 64] {
        for n in [16, 17, 31, 32, 33, 48, 49, 130] {
            check(m, n, 35, Caches::detect());
        }
    }
    for k in [16, 17, 31, 32, 33, 64, 255, 511, 512, 513, 1030] {
        check(17, 35, k, Caches::detect());
    }
    check(150, 300, 600, Caches::detect());
}

#[test]
fn a_great_depth_is_split_alike_for_any_number_of_threads() {
    check(20, 33, 9001, Caches::detect());
    check(70, 100, 2048, Caches::detect());
}

#[test]
fn a_large_b_is_packed_in_pieces() {
    check(18, 4200, 700, Caches { l3: 1 << 19, ..Caches::detect() });
}

/// Bits of all kinds of numbers: each exponent and sign, with mantissas on and beside the middle of two that 8 bits hold.
fn all_kinds() -> Vec<f32> {
    let mantissas = [0, 1, 0x7fff, 0x8000, 0x8001, 0x1_7fff, 0x1_8000, 0x1_8001, 0x7f_7fff, 0x7f_8000, 0x7f_ffff];
    let exponents = [0, 1, 2, 100, 126, 127, 128, 200, 253, 254];
    let of_sign = |sign: u32| {
        let of_exponent = move |e: u32| mantissas.map(|m| f32::from_bits(sign << 31 | e << 23 | m));
        exponents.into_iter().flat_map(of_exponent)
    };
    of_sign(0).chain(of_sign(1)).collect()
}

#[test]
fn operands_are_rounded_to_the_nearest_of_8_bits() {
    let kinds = all_kinds();
    let (n, k) = (kinds.len(), 32);
    let mut identity = vec![0.0; k * k];
    (0..k).for_each(|i| identity[i * k + i] = 1.0);
    // Each kind of number is alone in a column, once in each row: nothing is added to it. An overflow to infinity makes NaN
    // of the zeros beside it, so those are looked at in their own row only.
    for row in [0, 1, 31] {
        let mut numbers = vec![0.0; k * n];
        numbers[row * n..][..n].copy_from_slice(&kinds);
        let turned = transpose(k, n, &numbers);
        everywhere_in_bf16(
            Caches::detect(),
            |cx| {
                let right = Gemm::new(k, n, k);
                let left = Gemm::new(n, k, k);
                let (mut as_right, mut as_left) = (vec![0.0; k * n], vec![0.0; k * n]);
                let mut scratch = vec![0.0; right.scratch(cx).max(left.scratch(cx))];
                let (one, all, other) =
                    (Matrix::row_major(&identity, k), Matrix::row_major(&numbers, n), Matrix::row_major(&turned, k));
                right.run(cx, &one, &all, &mut as_right, n, &mut scratch);
                left.run(cx, &other, &one, &mut as_left, k, &mut scratch);
                let of_row = (0..n).map(|i| as_left[i * k + row]);
                as_right[row * n..][..n].iter().copied().chain(of_row).collect()
            },
            |unit, found| {
                for (i, (&x, &found)) in kinds.iter().chain(&kinds).zip(found).enumerate() {
                    // A sum that begins with zero has no negative zero.
                    let want = rounded(x) + 0.0;
                    assert_eq!(found.to_bits(), want.to_bits(), "{unit}, {i}: {x:e} gives {found:e}, not {want:e}");
                }
            },
        );
    }
}

#[test]
fn nan_and_infinity_propagate_through_zeros() {
    let (m, n, k) = (30, 50, 40);
    let mut a = vec![0.0; m * k];
    let b = vec![0.0; k * n];
    a[k + 1] = f32::NAN;
    a[2 * k + 39] = f32::INFINITY;
    everywhere_in_bf16(
        Caches::detect(),
        |cx| {
            let gemm = Gemm::new(m, n, k);
            let mut c = vec![0.0; m * n];
            let (a, b) = (Matrix::row_major(&a, k), Matrix::row_major(&b, n));
            gemm.run(cx, &a, &b, &mut c, n, &mut vec![f32::NAN; gemm.scratch(cx)]);
            c
        },
        |unit, c| {
            for (i, row) in c.chunks(n).enumerate() {
                assert!(row.iter().all(|v| v.is_nan() == (i == 1 || i == 2)), "{unit}, row {i}");
            }
        },
    );
}

#[test]
fn the_epilogue_sees_each_finished_element_once() {
    for (m, n, k) in [(16, 40, 600), (200, 100, 300), (18, 20, 4096), (40, 2100, 520), (33, 33, 33)] {
        let (a, b) = (vec![1.0; m * k], vec![1.0; k * n]);
        everywhere_in_bf16(
            Caches::detect(),
            |cx| {
                let gemm = Gemm::new(m, n, k).epilogue(Some(&Position));
                let mut c = vec![f32::NAN; m * n];
                let (a, b) = (Matrix::row_major(&a, k), Matrix::row_major(&b, n));
                gemm.run(cx, &a, &b, &mut c, n, &mut vec![0.0; gemm.scratch(cx)]);
                c
            },
            |unit, c| {
                for (at, v) in c.iter().enumerate() {
                    assert_eq!(*v, (k + 1000 * (at / n) + at % n) as f32, "{unit} {m}x{n}x{k} element {at}");
                }
            },
        );
    }
}

#[test]
fn scratch_memory_and_packed_panels_serve_every_smaller_product_with_the_same_bits() {
    for (most_m, most_n, most_k) in [(300, 70, 600), (60, 70, 4096), (40, 300, 40)] {
        let smaller = |most: usize| [most, most * 3 / 4, most / 7, 1].map(|n| n.max(1));
        let (a, b) = (numbers(most_m * most_k, 3), numbers(most_k * most_n, 4));
        for m in smaller(most_m) {
            for (n, k) in smaller(most_n).into_iter().zip(smaller(most_k)).chain([(most_n, 20), (17, most_k)]) {
                let (a, b) = (Matrix::row_major(&a, k), Matrix::row_major(&b, n));
                everywhere_in_bf16(
                    Caches::detect(),
                    |cx| {
                        let gemm = Gemm::new(m, n, k);
                        let run = |gemm: Gemm, scratch: usize| {
                            let mut c = vec![0.0; m * n];
                            gemm.run(cx, &a, &b, &mut c, n, &mut vec![f32::NAN; scratch]);
                            c
                        };
                        let planned = run(gemm, Gemm::new(most_m, most_n, most_k).scratch(cx));
                        let own = run(gemm, gemm.scratch(cx));
                        assert_eq!(bits(&planned), bits(&own), "{m}x{n}x{k}");
                        let mut panels = vec![f32::NAN; packed::size(cx, k, n)];
                        packed::pack(cx, &b, k, n, &mut panels);
                        let once = run(gemm.packed(Some(&panels)), gemm.scratch(cx));
                        assert_eq!(bits(&once), bits(&own), "{m}x{n}x{k}, packed before");
                        planned
                    },
                    |_, c| assert!(c.iter().all(|x| x.is_finite())),
                );
            }
        }
    }
}

#[test]
fn few_rows_or_columns_are_multiplied_as_they_are() {
    for (m, n, k) in [(15, 40, 40), (40, 15, 40), (40, 40, 15)] {
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let run = |cx: &Compute| {
            let gemm = Gemm::new(m, n, k);
            let mut c = vec![0.0; m * n];
            let (a, b) = (Matrix::row_major(&a, k), Matrix::row_major(&b, n));
            gemm.run(cx, &a, &b, &mut c, n, &mut vec![0.0; gemm.scratch(cx)]);
            c
        };
        everywhere_in_bf16(
            Caches::detect(),
            |cx| {
                let c = run(cx);
                assert_eq!(bits(&c), bits(&run(&Compute { products: Products::F32, ..*cx })), "{m}x{n}x{k}");
                c
            },
            |_, _| {},
        );
    }
}

#[test]
fn convolutions_and_their_gradients_are_those_of_rounded_operands() {
    let wide = Conv2dShape { stride: [2, 2], ..square(2, 11, 16, 40, 3, 1) };
    let grouped = Conv2dShape { groups: 2, dilation: [2, 1], ..square(1, 9, 36, 32, 3, 2) };
    // Channels in tiles of 32, which are rounded once.
    let tiled = Conv2dShape { h: 9, w: 12, stride: [2, 3], padding: [1, 0, 2, 3], ..square(3, 0, 32, 96, 3, 0) };
    let of_groups = Conv2dShape { groups: 2, dilation: [1, 2], kh: 2, ..square(2, 8, 64, 128, 3, 1) };
    let deep = square(1, 6, 192, 32, 3, 1);
    let shapes = [square(2, 7, 33, 17, 3, 1), square(1, 20, 64, 32, 3, 1), square(3, 8, 20, 48, 1, 0), wide, grouped];
    for s in
        shapes.into_iter().chain([tiled, of_groups, deep, Conv2dShape { stride: [2, 2], dilation: [2, 1], ..tiled }])
    {
        let (sx, sw, sy) = s.sizes();
        let (x, w, dy) = (numbers(sx, 1), numbers(sw, 2), numbers(sy, 3));
        let (xr, wr, dyr) = (all_rounded(&x), all_rounded(&w), all_rounded(&dy));
        let (mut y, mut dx, mut dw) = (vec![0.0; sy], vec![0.0; sx], vec![0.0; sw]);
        products(&s, |i, k, o| {
            y[o] += xr[i] * wr[k];
            dx[i] += dyr[o] * wr[k];
            dw[k] += dyr[o] * xr[i];
        });
        let scratch = |needed: usize| vec![f32::NAN; needed];
        everywhere_in_bf16(
            Caches::detect(),
            |cx| {
                let mut found = vec![f32::NAN; sy + sx + sw];
                let (of_y, of_x) = found.split_at_mut(sy);
                let (of_x, of_w) = of_x.split_at_mut(sx);
                conv2d(cx, &s, &x, w[..].into(), of_y, None, &mut scratch(conv2d_scratch(cx, &s)));
                conv2d_input_gradient(cx, &s, &dy, &w, of_x, &mut scratch(conv2d_input_gradient_scratch(cx, &s)));
                conv2d_weight_gradient(cx, &s, &x, &dy, of_w, &mut scratch(conv2d_weight_gradient_scratch(cx, &s)));
                let mut prepared = vec![f32::NAN; conv2d_prepared_size(cx, &s).unwrap_or(0)];
                if !prepared.is_empty() {
                    conv2d_prepare(cx, &s, &w, &mut prepared);
                    let weights = ConvWeights { plain: &w, prepared: Some(&prepared) };
                    let mut again = vec![f32::NAN; sy];
                    conv2d(cx, &s, &x, weights, &mut again, None, &mut scratch(conv2d_prepared_scratch(cx, &s)));
                    assert_eq!(bits(&again), bits(of_y), "prepared weights, {s:?}");
                }
                found
            },
            |unit, found| {
                let want: Vec<f64> = [&y[..], &dx, &dw].concat();
                assert_close(&format!("{unit} {s:?}"), found, &want, 3e-5);
            },
        );
    }
}

#[test]
fn a_processor_or_a_choice_without_bf16_is_told() {
    assert_eq!(Products::of(Precision::F32, Isa::Portable), Ok(Products::F32));
    let refused = Products::of(Precision::Bf16, Isa::Portable).unwrap_err().to_string();
    match Unit::available() {
        [_] => assert!(refused.contains("this processor lacks"), "{refused}"),
        _ => {
            assert!(refused.contains("DEEPFIT_ISA=portable leaves these out"), "{refused}");
            let found = Products::of(Precision::Bf16, Isa::Avx512);
            assert_eq!(found, Ok(Products::Bf16(*Unit::available().last().unwrap())));
        }
    }
}
