use deepfit_cpu::kernels::Caches;
use deepfit_cpu::kernels::conv::*;
use deepfit_cpu::kernels::gemm::Epilogue;

use super::support::{assert_close, everywhere, everywhere_as, numbers};

/// Calls `f(input index, weight index, output index)` for every product of the convolution.
pub fn products(s: &Conv2dShape, mut f: impl FnMut(usize, usize, usize)) {
    let (oh, ow, ci, co) = (s.out_h(), s.out_w(), s.c / s.groups, s.o / s.groups);
    for n in 0..s.n {
        for oy in 0..oh {
            for ox in 0..ow {
                for o in 0..s.o {
                    for ky in 0..s.kh {
                        for kx in 0..s.kw {
                            let y = (oy * s.stride[0] + ky * s.dilation[0]) as isize - s.padding[0] as isize;
                            let x = (ox * s.stride[1] + kx * s.dilation[1]) as isize - s.padding[2] as isize;
                            if y < 0 || x < 0 || y >= s.h as isize || x >= s.w as isize {
                                continue;
                            }
                            for c in 0..ci {
                                let input = ((n * s.h + y as usize) * s.w + x as usize) * s.c + o / co * ci + c;
                                let weight = ((o * ci + c) * s.kh + ky) * s.kw + kx;
                                f(input, weight, ((n * oh + oy) * ow + ox) * s.o + o);
                            }
                        }
                    }
                }
            }
        }
    }
}

fn check(s: Conv2dShape) {
    let (sx, sw, sy) = s.sizes();
    let (x, w, dy) = (numbers(sx, 1), numbers(sw, 2), numbers(sy, 3));
    let (mut y, mut dx, mut dw) = (vec![0.0; sy], vec![0.0; sx], vec![0.0; sw]);
    products(&s, |i, k, o| {
        y[o] += x[i] as f64 * w[k] as f64;
        dx[i] += dy[o] as f64 * w[k] as f64;
        dw[k] += dy[o] as f64 * x[i] as f64;
    });
    everywhere_as(
        Algorithms::Exact,
        Caches::detect(),
        |cx| {
            let mut y = vec![f32::NAN; sy];
            conv2d(cx, &s, &x, w[..].into(), &mut y, None, &mut vec![f32::NAN; conv2d_scratch(cx, &s)]);
            y
        },
        |isa, got| assert_close(&format!("{isa} forward {s:?}"), got, &y, 3e-5),
    );
    everywhere_as(
        Algorithms::Exact,
        Caches::detect(),
        |cx| {
            let mut dx = vec![f32::NAN; sx];
            conv2d_input_gradient(cx, &s, &dy, &w, &mut dx, &mut vec![f32::NAN; conv2d_input_gradient_scratch(cx, &s)]);
            dx
        },
        |isa, got| assert_close(&format!("{isa} input gradient {s:?}"), got, &dx, 3e-5),
    );
    everywhere_as(
        Algorithms::Exact,
        Caches::detect(),
        |cx| {
            let mut dw = vec![f32::NAN; sw];
            conv2d_weight_gradient(
                cx,
                &s,
                &x,
                &dy,
                &mut dw,
                &mut vec![f32::NAN; conv2d_weight_gradient_scratch(cx, &s)],
            );
            dw
        },
        |isa, got| assert_close(&format!("{isa} weight gradient {s:?}"), got, &dw, 3e-5),
    );
}

pub fn square(n: usize, size: usize, c: usize, o: usize, kernel: usize, padding: usize) -> Conv2dShape {
    Conv2dShape {
        n,
        h: size,
        w: size,
        c,
        o,
        kh: kernel,
        kw: kernel,
        stride: [1, 1],
        padding: [padding; 4],
        dilation: [1, 1],
        groups: 1,
    }
}

#[test]
fn kernels_and_channels_around_every_tile() {
    for (c, o) in [(1, 1), (1, 8), (3, 16), (5, 17), (16, 33), (33, 12)] {
        check(square(2, 7, c, o, 3, 1));
        check(square(1, 6, c, o, 1, 0));
        check(square(1, 6, c, o, 2, 0));
    }
    check(square(1, 9, 64, 10, 5, 2));
    check(square(2, 20, 8, 5, 3, 1));
    check(square(1, 3, 2, 4, 3, 0));
    check(square(0, 3, 2, 4, 3, 0));
}

#[test]
fn strides_paddings_and_dilations_that_differ_by_axis() {
    for stride in [[1, 2], [2, 1], [2, 2], [3, 2], [4, 4]] {
        for dilation in [[1, 1], [2, 1], [1, 3], [2, 2]] {
            for channels in [3, 6] {
                let s = square(2, 0, channels, 5, 3, 0);
                let s = Conv2dShape { h: 11, w: 10, stride, dilation, padding: [1, 0, 2, 3], ..s };
                check(s);
                check(Conv2dShape { kh: 1, kw: 2, ..s });
            }
        }
    }
}

#[test]
fn images_of_few_channels() {
    for c in 1..=4 {
        // More outputs than a tile takes, more filters than a panel, and lines beyond a band.
        let s = Conv2dShape { h: 33, w: 41, stride: [2, 2], ..square(3, 0, c, 39, 7, 3) };
        check(s);
        check(Conv2dShape { dilation: [2, 3], padding: [4, 5, 0, 9], o: 17, ..s });
        check(Conv2dShape { h: 5, w: 3, stride: [1, 1], o: 70, padding: [9, 1, 8, 2], ..s });
    }
    // Deeper than a block of the product.
    check(square(1, 40, 4, 9, 17, 8));
}

#[test]
fn groups_see_their_own_channels() {
    for groups in [2, 3, 6] {
        let s = Conv2dShape { c: 12, o: 18, groups, ..square(2, 7, 0, 0, 3, 1) };
        check(s);
        check(Conv2dShape { stride: [2, 2], ..s });
        check(Conv2dShape { kh: 1, kw: 1, padding: [0; 4], ..s });
    }
}

#[test]
fn depthwise_with_and_without_multiplier() {
    for c in [2, 7, 8, 9, 16, 17, 35] {
        for m in [1, 3] {
            let s = Conv2dShape { c, o: c * m, groups: c, ..square(2, 8, 0, 0, 3, 1) };
            check(s);
            check(Conv2dShape { stride: [2, 3], dilation: [2, 1], padding: [2, 0, 1, 2], ..s });
        }
    }
    check(Conv2dShape { c: 5, o: 5, groups: 5, ..square(3, 30, 0, 0, 3, 1) });
}

/// Adds 1000 * row + channel.
pub struct Position;

impl Epilogue for Position {
    unsafe fn apply(&self, row: usize, col: usize, rows: usize, cols: usize, c: *mut f32, ldc: usize) {
        for i in 0..rows {
            for j in 0..cols {
                // SAFETY: the convolution hands over a tile of rows x cols.
                unsafe { *c.add(i * ldc + j) += (1000 * (row + i) + col + j) as f32 };
            }
        }
    }
}

#[test]
fn the_epilogue_sees_pixels_as_rows_and_channels_as_columns() {
    for groups in [1, 2, 4] {
        let s = Conv2dShape { groups, ..square(1, 5, 4, 8, 3, 1) };
        let (sx, sw, sy) = s.sizes();
        let (x, w) = (vec![0.0; sx], vec![1.0; sw]);
        everywhere(
            |cx| {
                let mut y = vec![0.0; sy];
                conv2d(cx, &s, &x, w[..].into(), &mut y, Some(&Position), &mut vec![0.0; conv2d_scratch(cx, &s)]);
                y
            },
            |isa, y| {
                for (at, v) in y.iter().enumerate() {
                    assert_eq!(*v, (1000 * (at / 8) + at % 8) as f32, "{isa}, {groups} groups");
                }
            },
        );
    }
}
