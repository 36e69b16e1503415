use deepfit_cpu::kernels::pool2d::*;

use super::support::{assert_close, everywhere, numbers};

/// Positions of output `o` along an axis, and how many it has with the padding.
fn along(axis: &PoolAxis, o: usize) -> (Vec<usize>, usize) {
    match axis.spacing {
        Spacing::Windows { kernel, stride, padding, dilation } => {
            let all: Vec<isize> =
                (0..kernel).map(|k| (o * stride + k * dilation) as isize - padding as isize).collect();
            let inside = all.iter().filter(|&&i| i >= 0 && i < axis.size as isize).map(|&i| i as usize).collect();
            (inside, all.iter().filter(|&&i| i < (axis.size + padding) as isize).count())
        }
        Spacing::Adaptive => {
            // Pixel i overlaps the o-th of equal stretches of the axis.
            let overlaps =
                |&i: &usize| i * axis.outputs < (o + 1) * axis.size && (i + 1) * axis.outputs > o * axis.size;
            let inside: Vec<usize> = (0..axis.size).filter(overlaps).collect();
            let count = inside.len();
            (inside, count)
        }
    }
}

/// Calls `f(output, input pixels of its window, pixels with the padding)` for every output.
fn windows(s: &Pool2dShape, mut f: impl FnMut(usize, &[usize], usize)) {
    let [down, across] = s.axes;
    for out in 0..s.sizes().1 {
        let (c, ox, oy, n) = (
            out % s.c,
            out / s.c % across.outputs,
            out / s.c / across.outputs % down.outputs,
            out / s.c / across.outputs / down.outputs,
        );
        let ((ys, counted_down), (xs, counted_across)) = (along(&down, oy), along(&across, ox));
        let pixel = |y: usize, x: usize| ((n * down.size + y) * across.size + x) * s.c + c;
        let inside: Vec<usize> = ys.iter().flat_map(|&y| xs.iter().map(move |&x| pixel(y, x))).collect();
        f(out, &inside, counted_down * counted_across);
    }
}

fn shapes() -> Vec<Pool2dShape> {
    let sliding = |size, outputs, kernel, stride, padding, dilation| PoolAxis {
        size,
        outputs,
        spacing: Spacing::Windows { kernel, stride, padding, dilation },
    };
    let adaptive = |size, outputs| PoolAxis { size, outputs, spacing: Spacing::Adaptive };
    let mut all = Vec::new();
    for c in [1, 7, 8, 9, 16, 17, 35] {
        for axes in [
            [sliding(7, 3, 2, 2, 0, 1), sliding(6, 3, 2, 2, 0, 1)],
            [sliding(7, 4, 3, 2, 1, 1), sliding(6, 3, 3, 2, 1, 1)],
            // The last windows hang over the border.
            [sliding(7, 4, 2, 2, 0, 1), sliding(6, 4, 3, 2, 1, 1)],
            [sliding(7, 6, 3, 1, 1, 1), sliding(6, 2, 2, 3, 0, 1)],
            [sliding(7, 1, 7, 1, 0, 1), sliding(6, 1, 6, 1, 0, 1)],
            // Side by side, with pixels left over.
            [sliding(7, 3, 2, 2, 0, 1), sliding(11, 3, 3, 3, 0, 1)],
            [sliding(8, 4, 2, 2, 0, 1), sliding(9, 3, 3, 3, 0, 1)],
            [adaptive(7, 3), adaptive(6, 4)],
            [adaptive(7, 9), adaptive(6, 1)],
        ] {
            all.push(Pool2dShape { n: 2, c, axes });
        }
    }
    all.push(Pool2dShape { n: 0, ..all[0] });
    all
}

/// Windows with gaps, for the maximum alone.
fn dilated() -> Vec<Pool2dShape> {
    let axis = |size, outputs, kernel, stride, padding, dilation| PoolAxis {
        size,
        outputs,
        spacing: Spacing::Windows { kernel, stride, padding, dilation },
    };
    let axes = [axis(9, 7, 3, 1, 1, 2), axis(8, 3, 2, 2, 1, 3)];
    [1, 8, 19].map(|c| Pool2dShape { n: 2, c, axes }).into()
}

#[test]
fn the_largest_wins_and_takes_the_gradient() {
    for s in shapes().into_iter().chain(dilated()) {
        let (sx, sy) = s.sizes();
        // Few different values, so that there are ties.
        let x: Vec<f32> = numbers(sx, 1).iter().map(|v| (v * 4.0).round()).collect();
        let dy = numbers(sy, 2);
        let (mut y, mut from, mut dx) = (vec![0.0; sy], vec![0.0; sy], vec![0.0; sx]);
        windows(&s, |out, inside, _| {
            let best = *inside.iter().rev().max_by(|&&a, &&b| x[a].total_cmp(&(x[b] + 0.0))).unwrap();
            y[out] = x[best] as f64;
            from[out] = (best / s.c % (s.axes[0].size * s.axes[1].size)) as f64;
            dx[best] += dy[out] as f64;
        });
        everywhere(
            |cx| {
                let (mut y, mut winner, mut dx) = (vec![0.0; sy], vec![0; sy], vec![9.0; sx]);
                max_pool(cx, &s, &x, &mut y, &mut winner);
                max_pool_backward(cx, &s, &dy, &winner, &mut dx);
                y.extend(winner.iter().map(|&w| w as f32));
                y.extend(dx);
                y
            },
            |isa, out| {
                assert_close(&format!("max {isa} {s:?}"), &out[..sy], &y, 0.0);
                assert_close(&format!("winner {isa} {s:?}"), &out[sy..2 * sy], &from, 0.0);
                assert_close(&format!("dx {isa} {s:?}"), &out[2 * sy..], &dx, 1e-6);
            },
        );
    }
}

#[test]
fn nan_wins_and_minus_infinity_has_a_winner() {
    let spacing = Spacing::Windows { kernel: 2, stride: 2, padding: 0, dilation: 1 };
    let axes = [PoolAxis { size: 2, outputs: 1, spacing }, PoolAxis { size: 4, outputs: 2, spacing }];
    let s = Pool2dShape { n: 1, c: 1, axes };
    let low = f32::NEG_INFINITY;
    everywhere(
        |cx| {
            let (mut y, mut winner) = (vec![0.0; 2], vec![0; 2]);
            max_pool(cx, &s, &[1.0, f32::NAN, low, low, 5.0, 2.0, low, low], &mut y, &mut winner);
            vec![y[0], y[1], winner[0] as f32, winner[1] as f32]
        },
        |_, y| {
            assert!(y[0].is_nan());
            assert_eq!(y[1..], [low, 1.0, 2.0]);
        },
    );
}

#[test]
fn averages_divide_as_asked() {
    for s in shapes() {
        for divisor in [Divisor::Pixels, Divisor::WithPadding, Divisor::Fixed(3)] {
            let (sx, sy) = s.sizes();
            let (x, dy) = (numbers(sx, 1), numbers(sy, 2));
            let (mut y, mut dx) = (vec![0.0; sy], vec![0.0; sx]);
            windows(&s, |out, inside, with_padding| {
                let count = match divisor {
                    Divisor::Pixels => inside.len(),
                    Divisor::WithPadding => with_padding,
                    Divisor::Fixed(n) => n,
                } as f64;
                y[out] = inside.iter().map(|&i| x[i] as f64).sum::<f64>() / count;
                inside.iter().for_each(|&i| dx[i] += dy[out] as f64 / count);
            });
            everywhere(
                |cx| {
                    let (mut y, mut dx) = (vec![0.0; sy], vec![9.0; sx]);
                    average_pool(cx, &s, divisor, &x, &mut y);
                    average_pool_backward(cx, &s, divisor, &dy, &mut dx);
                    y.extend(dx);
                    y
                },
                |isa, out| {
                    assert_close(&format!("average {isa} {s:?}"), &out[..sy], &y, 1e-6);
                    assert_close(&format!("dx {isa} {s:?}"), &out[sy..], &dx, 1e-6);
                },
            );
        }
    }
}
