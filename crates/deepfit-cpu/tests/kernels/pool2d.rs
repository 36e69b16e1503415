use deepfit_cpu::kernels::pool2d::*;

use super::support::{assert_close, everywhere, numbers};

/// Calls `f(output, input pixels of its window)` for every output.
fn windows(s: &Pool2dShape, mut f: impl FnMut(usize, &[usize])) {
    for out in 0..s.sizes().1 {
        let (c, ox, oy, n) =
            (out % s.c, out / s.c % s.out_w(), out / s.c / s.out_w() % s.out_h(), out / s.c / s.out_w() / s.out_h());
        let mut inside = Vec::new();
        for ky in 0..s.kh {
            for kx in 0..s.kw {
                let y = (oy * s.stride[0] + ky) as isize - s.padding[0] as isize;
                let x = (ox * s.stride[1] + kx) as isize - s.padding[2] as isize;
                if y >= 0 && x >= 0 && y < s.h as isize && x < s.w as isize {
                    inside.push(((n * s.h + y as usize) * s.w + x as usize) * s.c + c);
                }
            }
        }
        f(out, &inside);
    }
}

fn shapes() -> Vec<Pool2dShape> {
    let mut all = Vec::new();
    for c in [1, 7, 8, 9, 16, 17, 35] {
        for (k, stride, padding) in [
            ([2, 2], [2, 2], [0; 4]),
            ([3, 3], [2, 2], [1; 4]),
            ([3, 2], [1, 3], [1, 0, 0, 1]),
            ([7, 6], [1, 1], [0; 4]),
        ] {
            all.push(Pool2dShape { n: 2, h: 7, w: 6, c, kh: k[0], kw: k[1], stride, padding });
        }
    }
    all.push(Pool2dShape { n: 0, ..all[0] });
    all
}

#[test]
fn the_largest_wins_and_takes_the_gradient() {
    for s in shapes() {
        let (sx, sy) = s.sizes();
        // Few different values, so that there are ties.
        let x: Vec<f32> = numbers(sx, 1).iter().map(|v| (v * 4.0).round()).collect();
        let dy = numbers(sy, 2);
        let (mut y, mut from, mut dx) = (vec![0.0; sy], vec![0.0; sy], vec![0.0; sx]);
        windows(&s, |out, inside| {
            let best = *inside.iter().rev().max_by(|&&a, &&b| x[a].total_cmp(&(x[b] + 0.0))).unwrap();
            y[out] = x[best] as f64;
            from[out] = (best / s.c % (s.h * s.w)) as f64;
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
    let s = Pool2dShape { n: 1, h: 2, w: 4, c: 1, kh: 2, kw: 2, stride: [2, 2], padding: [0; 4] };
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
fn averages_count_padding_or_not() {
    for s in shapes() {
        for count_padding in [false, true] {
            let (sx, sy) = s.sizes();
            let (x, dy) = (numbers(sx, 1), numbers(sy, 2));
            let (mut y, mut dx) = (vec![0.0; sy], vec![0.0; sx]);
            windows(&s, |out, inside| {
                let count = if count_padding { s.kh * s.kw } else { inside.len() } as f64;
                y[out] = inside.iter().map(|&i| x[i] as f64).sum::<f64>() / count;
                inside.iter().for_each(|&i| dx[i] += dy[out] as f64 / count);
            });
            everywhere(
                |cx| {
                    let (mut y, mut dx) = (vec![0.0; sy], vec![9.0; sx]);
                    average_pool(cx, &s, count_padding, &x, &mut y);
                    average_pool_backward(cx, &s, count_padding, &dy, &mut dx);
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
