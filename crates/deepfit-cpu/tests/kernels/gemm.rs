use deepfit_cpu::kernels::gemm::{Epilogue, Gemm, Matrix};
use deepfit_cpu::simd::Isa;

use super::support::{assert_close, everywhere, numbers};

/// `C = A B` in f64, A and B row-major.
fn reference(m: usize, n: usize, k: usize, a: &[f32], b: &[f32]) -> Vec<f64> {
    let mut c = vec![0.0; m * n];
    for i in 0..m {
        for p in 0..k {
            for j in 0..n {
                c[i * n + j] += a[i * k + p] as f64 * b[p * n + j] as f64;
            }
        }
    }
    c
}

fn transpose(rows: usize, cols: usize, x: &[f32]) -> Vec<f32> {
    (0..cols).flat_map(|j| (0..rows).map(move |i| x[i * cols + j])).collect()
}

fn check(m: usize, n: usize, k: usize) {
    let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
    let (at, bt) = (transpose(m, k, &a), transpose(k, n, &b));
    let want = reference(m, n, k, &a, &b);
    for layout in 0..4 {
        let left = if layout & 1 == 0 { Matrix::row_major(&a, k) } else { Matrix::row_major(&at, m).transposed() };
        let right = if layout & 2 == 0 { Matrix::row_major(&b, n) } else { Matrix::row_major(&bt, k).transposed() };
        let ldc = n + 3;
        everywhere(
            |cx| {
                let gemm = Gemm::new(m, n, k);
                let mut c = vec![5.0; m * ldc];
                let mut scratch = vec![f32::NAN; gemm.scratch(cx)];
                gemm.run(cx, &left, &right, &mut c, ldc, &mut scratch);
                gemm.accumulate(true).run(cx, &left, &right, &mut c, ldc, &mut scratch);
                c
            },
            |isa, c| {
                let mut inside = Vec::new();
                for row in c.chunks(ldc) {
                    inside.extend_from_slice(&row[..n]);
                    assert_eq!(row[n..], [5.0; 3], "{isa} {m}x{n}x{k}: written beyond the row");
                }
                let twice: Vec<f64> = want.iter().map(|w| 2.0 * w).collect();
                assert_close(
                    &format!("{isa} {m}x{n}x{k} layout {layout}"),
                    &inside,
                    &twice,
                    1.5e-6 * (k as f64).sqrt().max(4.0),
                );
            },
        );
    }
}

#[test]
fn shapes_around_every_tile_are_right_in_every_layout() {
    for m in [1, 2, 3, 4, 5, 7, 9, 11, 12, 13, 25, 49] {
        for n in [1, 7, 8, 9, 16, 17, 31, 33, 67] {
            check(m, n, 5);
        }
    }
    for k in [1, 2, 7, 8, 255, 256, 257, 513] {
        check(13, 35, k);
        check(3, 40, k);
    }
    check(100, 130, 300);
    // One row reads B in pieces of eight vectors.
    for n in [63, 64, 65, 127, 128, 129, 300] {
        check(1, n, 300);
    }
}

#[test]
fn a_great_depth_is_split_alike_for_any_number_of_threads() {
    check(5, 9, 5000);
    check(20, 33, 9001);
}

#[test]
fn a_large_b_is_packed_in_pieces() {
    check(30, 2100, 600);
}

#[test]
fn empty_products_and_zero_depth() {
    check(0, 5, 3);
    check(5, 0, 3);
    everywhere(
        |cx| {
            let gemm = Gemm::new(20, 20, 0);
            let mut c = vec![f32::NAN; 400];
            gemm.run(
                cx,
                &Matrix::row_major(&[], 0),
                &Matrix::row_major(&[], 20),
                &mut c,
                20,
                &mut vec![0.0; gemm.scratch(cx)],
            );
            c
        },
        |_, c| assert_eq!(c, [0.0; 400]),
    );
}

#[test]
fn nan_and_infinity_propagate_through_zeros() {
    for (m, n, k) in [(3, 5, 40), (30, 50, 40)] {
        let mut a = vec![0.0; m * k];
        let b = vec![0.0; k * n];
        a[k + 1] = f32::NAN;
        a[2 * k + 39] = f32::INFINITY;
        everywhere(
            |cx| {
                let gemm = Gemm::new(m, n, k);
                let mut c = vec![0.0; m * n];
                gemm.run(
                    cx,
                    &Matrix::row_major(&a, k),
                    &Matrix::row_major(&b, n),
                    &mut c,
                    n,
                    &mut vec![0.0; gemm.scratch(cx)],
                );
                c
            },
            |_, c| {
                for (i, row) in c.chunks(n).enumerate() {
                    assert!(row.iter().all(|v| v.is_nan() == (i == 1 || i == 2)), "row {i}");
                }
            },
        );
    }
}

/// Adds 1000 * row + column.
struct Position;

impl Epilogue for Position {
    unsafe fn apply(&self, row: usize, col: usize, rows: usize, cols: usize, c: *mut f32, ldc: usize) {
        for i in 0..rows {
            for j in 0..cols {
                // SAFETY: the product hands over a tile of rows x cols.
                unsafe { *c.add(i * ldc + j) += (1000 * (row + i) + col + j) as f32 };
            }
        }
    }
}

#[test]
fn the_epilogue_sees_each_finished_element_once() {
    for (m, n, k) in [(1, 70, 9), (5, 40, 600), (200, 100, 300), (4, 4, 9000), (40, 2100, 520), (7, 33, 0)] {
        let (a, b) = (vec![1.0; m * k], vec![1.0; k * n]);
        for transposed in [false, true] {
            let right = if transposed { Matrix::new(&b, 1, k) } else { Matrix::row_major(&b, n) };
            everywhere(
                |cx| {
                    let gemm = Gemm::new(m, n, k).epilogue(Some(&Position));
                    let mut c = vec![f32::NAN; m * n];
                    gemm.run(cx, &Matrix::row_major(&a, k), &right, &mut c, n, &mut vec![0.0; gemm.scratch(cx)]);
                    c
                },
                |isa, c| {
                    for (at, v) in c.iter().enumerate() {
                        assert_eq!(*v, (k + 1000 * (at / n) + at % n) as f32, "{isa} {m}x{n}x{k} element {at}");
                    }
                },
            );
        }
    }
    assert!(Isa::available().contains(&Isa::Portable));
}

#[test]
fn scratch_memory_of_a_product_serves_every_smaller_one_with_the_same_bits() {
    for (most_m, most_n, most_k) in [(2100, 70, 600), (130, 700, 2100), (60, 70, 9000), (1600, 40, 300), (12, 3000, 40)]
    {
        let smaller = |most: usize| [most, most * 3 / 4, most / 2, most / 7, 1].map(|n| n.max(1));
        let (a, b) = (numbers(most_m * most_k, 3), numbers(most_k * most_n, 4));
        for m in smaller(most_m) {
            // Not every pair of sizes: each size of one axis beside each of another.
            for (n, k) in
                smaller(most_n).into_iter().zip(smaller(most_k)).chain([(most_n, most_k / 3), (most_n / 3, most_k)])
            {
                everywhere(
                    |cx| {
                        let gemm = Gemm::new(m, n, k);
                        let run = |scratch: usize| {
                            let mut c = vec![0.0; m * n];
                            let (a, b) = (Matrix::row_major(&a, k), Matrix::row_major(&b, n));
                            gemm.run(cx, &a, &b, &mut c, n, &mut vec![f32::NAN; scratch]);
                            c
                        };
                        let planned = run(Gemm::new(most_m, most_n, most_k).scratch(cx));
                        assert_eq!(planned, run(gemm.scratch(cx)), "{m}x{n}x{k}");
                        planned
                    },
                    |_, c| assert!(c.iter().all(|x| x.is_finite())),
                );
            }
        }
    }
}
