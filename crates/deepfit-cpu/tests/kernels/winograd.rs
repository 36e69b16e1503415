//! Convolutions of three by three taps in tiles, against f64 and against products of patches.

use deepfit_cpu::kernels::conv::*;
use deepfit_cpu::kernels::gemm::{Gemm, Matrix};
use deepfit_cpu::kernels::{Caches, Compute, Products};
use deepfit_cpu::simd::Isa;

use super::conv::{Position, products, square};
use super::support::{bits, everywhere_as, numbers, pools};

/// Largest error relative to the whole result, as a ratio of root mean squares. Measured with up to 512 channels: 7e-7 for
/// tiles of 2 x 2, 5e-6 for tiles of 4 x 4.
fn tolerance(size: TileSize) -> f64 {
    match size {
        TileSize::Two => 1.5e-6,
        TileSize::Four => 1e-5,
    }
}

const SIZES: [TileSize; 2] = [TileSize::Two, TileSize::Four];

/// Caches in which every block of tiles fits, and caches in which none does.
fn caches() -> [Caches; 2] {
    [Caches { l1: 48 << 10, l2: 2 << 20, l3: 32 << 20 }, Caches { l1: 32 << 10, l2: 64 << 10, l3: 1 << 20 }]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Pass {
    Forward,
    InputGradient,
    WeightGradient,
}

const PASSES: [Pass; 3] = [Pass::Forward, Pass::InputGradient, Pass::WeightGradient];

impl Pass {
    fn scratch(self, cx: &Compute, s: &Conv2dShape) -> usize {
        match self {
            Pass::Forward => conv2d_scratch(cx, s),
            Pass::InputGradient => conv2d_input_gradient_scratch(cx, s),
            Pass::WeightGradient => conv2d_weight_gradient_scratch(cx, s),
        }
    }

    /// The result from input, weights and gradient of the output.
    fn run(self, cx: &Compute, s: &Conv2dShape, operands: &[Vec<f32>; 3], scratch: &mut [f32]) -> Vec<f32> {
        let [x, w, dy] = operands;
        let (sx, sw, sy) = s.sizes();
        let mut result = vec![f32::NAN; [sy, sx, sw][self as usize]];
        match self {
            Pass::Forward => conv2d(cx, s, x, w[..].into(), &mut result, None, scratch),
            Pass::InputGradient => conv2d_input_gradient(cx, s, dy, w, &mut result, scratch),
            Pass::WeightGradient => conv2d_weight_gradient(cx, s, x, dy, &mut result, scratch),
        }
        result
    }

    fn run_in(self, cx: &Compute, s: &Conv2dShape, operands: &[Vec<f32>; 3]) -> Vec<f32> {
        self.run(cx, s, operands, &mut vec![f32::NAN; self.scratch(cx, s)])
    }
}

fn operands(s: &Conv2dShape) -> [Vec<f32>; 3] {
    let (sx, sw, sy) = s.sizes();
    [numbers(sx, 1), numbers(sw, 2), numbers(sy, 3)]
}

/// The results of the three passes in f64.
fn expected(s: &Conv2dShape, [x, w, dy]: &[Vec<f32>; 3]) -> [Vec<f64>; 3] {
    let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
    products(s, |i, k, o| {
        y[o] += f64::from(x[i]) * f64::from(w[k]);
        dx[i] += f64::from(dy[o]) * f64::from(w[k]);
        dw[k] += f64::from(dy[o]) * f64::from(x[i]);
    });
    [y, dx, dw]
}

fn error(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let off: f64 = got.iter().zip(want).map(|(&g, w)| (f64::from(g) - w).powi(2)).sum();
    let all: f64 = want.iter().map(|w| w * w).sum();
    if all == 0.0 { off.sqrt() } else { (off / all).sqrt() }
}

fn check(s: Conv2dShape) {
    let operands = operands(&s);
    let expected = expected(&s, &operands);
    for size in SIZES {
        for caches in caches() {
            for (pass, want) in PASSES.into_iter().zip(&expected) {
                everywhere_as(
                    Algorithms::Always(size),
                    caches,
                    |cx| pass.run_in(cx, &s, &operands),
                    |isa, got| {
                        let error = error(got, want);
                        assert!(error < tolerance(size), "{isa}, {size:?}, {pass:?} of {s:?}: {error:e}");
                    },
                );
            }
        }
    }
}

#[test]
fn sizes_around_every_tile_paddings_and_channels_around_every_vector() {
    for (n, size, c, o, padding) in [
        (1, 3, 1, 1, 0),
        (2, 4, 3, 5, 1),
        (1, 5, 8, 16, 2),
        (3, 6, 9, 17, 1),
        (2, 7, 16, 33, 1),
        (1, 8, 33, 40, 0),
        (2, 9, 17, 64, 2),
        (1, 11, 31, 7, 3),
    ] {
        check(square(n, size, c, o, 3, padding));
    }
    check(Conv2dShape { h: 5, w: 14, padding: [1, 0, 2, 3], ..square(2, 0, 18, 19, 3, 0) });
    check(Conv2dShape { h: 13, w: 3, padding: [0, 2, 1, 0], ..square(1, 0, 20, 18, 3, 0) });
    check(square(0, 6, 16, 16, 3, 1));
}

#[test]
fn many_tiles_and_channels_are_cut_into_blocks_parts_and_phases() {
    check(Conv2dShape { h: 23, w: 21, ..square(4, 0, 40, 36, 3, 1) });
    check(square(8, 12, 130, 20, 3, 1));
}

#[test]
fn a_result_does_not_depend_on_how_its_tiles_are_cut() {
    let s = Conv2dShape { h: 23, w: 18, ..square(4, 0, 40, 35, 3, 1) };
    let operands = operands(&s);
    let [large, small] = caches();
    for size in SIZES {
        for &isa in Isa::available() {
            for pass in [Pass::Forward, Pass::InputGradient] {
                let run = |caches| {
                    let (pool, convolution, products) = (&pools()[1], Algorithms::Always(size), Products::F32);
                    let cx = Compute { pool, isa, caches, convolution, products };
                    bits(&pass.run_in(&cx, &s, &operands))
                };
                assert!(run(large) == run(small), "{isa}, {size:?}, {pass:?}");
            }
        }
    }
}

#[test]
fn memory_for_many_images_serves_fewer() {
    let whole = square(9, 14, 24, 33, 3, 1);
    for size in SIZES {
        for caches in caches() {
            for (pool, &isa) in pools().iter().flat_map(|pool| Isa::available().iter().map(move |isa| (pool, isa))) {
                let (convolution, products) = (Algorithms::Always(size), Products::F32);
                let cx = Compute { pool, isa, caches, convolution, products };
                for pass in PASSES {
                    // As a plan does it: some numbers of images may need more than a larger one.
                    let needed = |n: usize| pass.scratch(&cx, &Conv2dShape { n, ..whole });
                    let planned = (0..=whole.n).map(needed).max().unwrap_or(0);
                    for n in [0, 1, 5, 9] {
                        let s = Conv2dShape { n, ..whole };
                        let operands = operands(&s);
                        let got = pass.run(&cx, &s, &operands, &mut vec![f32::NAN; planned]);
                        let error = error(&got, &expected(&s, &operands)[pass as usize]);
                        assert!(error < tolerance(size), "{isa}, {size:?}, {pass:?}, {n} images: {error:e}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_not_finite_is_not_hidden() {
    let s = square(2, 9, 17, 18, 3, 1);
    let finite = operands(&s);
    for special in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for (input, at) in [(0, 500), (1, 333), (2, 700)] {
            let mut operands = finite.clone();
            operands[input][at] = special;
            let expected = expected(&s, &operands);
            for size in SIZES {
                for (pass, want) in PASSES.into_iter().zip(&expected) {
                    everywhere_as(
                        Algorithms::Always(size),
                        Caches::detect(),
                        |cx| pass.run_in(cx, &s, &operands),
                        |isa, got| {
                            let hidden = got.iter().zip(want).position(|(g, w)| g.is_finite() && !w.is_finite());
                            assert_eq!(hidden, None, "{isa}, {size:?}, {pass:?}: {special} in operand {input}");
                        },
                    );
                }
            }
        }
    }
}

#[test]
fn the_epilogue_sees_each_output_once() {
    let s = Conv2dShape { h: 9, w: 7, ..square(3, 0, 16, 35, 3, 1) };
    let (sx, sw, sy) = s.sizes();
    let (x, w) = (vec![0.0; sx], vec![1.0; sw]);
    for size in SIZES {
        for caches in caches() {
            everywhere_as(
                Algorithms::Always(size),
                caches,
                |cx| {
                    let mut y = vec![f32::NAN; sy];
                    conv2d(
                        cx,
                        &s,
                        &x,
                        w[..].into(),
                        &mut y,
                        Some(&Position),
                        &mut vec![f32::NAN; conv2d_scratch(cx, &s)],
                    );
                    y
                },
                |isa, y| {
                    for (at, v) in y.iter().enumerate() {
                        assert_eq!(*v, (1000 * (at / 35) + at % 35) as f32, "{isa}, {size:?}");
                    }
                },
            );
        }
    }
}

#[test]
fn exact_is_the_product_of_patches_to_the_last_bit() {
    let s = square(2, 8, 32, 40, 3, 1);
    let operands = operands(&s);
    let depth = 9 * s.c;
    let mut patches = vec![0.0; s.out_pixels() * depth];
    let mut filters = vec![0.0; depth * s.o];
    products(&s, |i, k, o| {
        let (channel, tap) = (k / 9 % s.c, k % 9);
        patches[o / s.o * depth + tap * s.c + channel] = operands[0][i];
        filters[(tap * s.c + channel) * s.o + o % s.o] = operands[1][k];
    });
    everywhere_as(
        Algorithms::Exact,
        Caches::detect(),
        |cx| {
            let gemm = Gemm::new(s.out_pixels(), s.o, depth);
            let mut product = vec![f32::NAN; s.out_pixels() * s.o];
            let (a, b) = (Matrix::row_major(&patches, depth), Matrix::row_major(&filters, s.o));
            gemm.run(cx, &a, &b, &mut product, s.o, &mut vec![f32::NAN; gemm.scratch(cx)]);
            let exact = Pass::Forward.run_in(cx, &s, &operands);
            assert!(bits(&exact) == bits(&product), "{}", cx.isa);
            for convolution in [Algorithms::Training, Algorithms::Inference] {
                let tiles = Pass::Forward.run_in(&Compute { convolution, ..*cx }, &s, &operands);
                assert!(bits(&tiles) != bits(&exact), "{}, {convolution:?}", cx.isa);
            }
            exact
        },
        |_, _| {},
    );
}
