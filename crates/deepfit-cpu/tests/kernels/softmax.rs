use deepfit_cpu::kernels::softmax::*;

use super::support::{assert_close, everywhere, numbers};

fn logits(rows: usize, cols: usize) -> Vec<f32> {
    numbers(rows * cols, 5).iter().map(|v| v * 8.0).collect()
}

fn log_probabilities(x: &[f32]) -> Vec<f64> {
    let shift = x.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(v as f64));
    let sum: f64 = x.iter().map(|&v| (v as f64 - shift).exp()).sum();
    x.iter().map(|&v| v as f64 - shift - sum.ln()).collect()
}

const SHAPES: [(usize, usize); 12] =
    [(0, 5), (5, 0), (1, 1), (3, 7), (2, 8), (3, 9), (700, 10), (5, 15), (5, 16), (5, 17), (40, 1000), (3, 50_000)];

#[test]
fn rows_are_normalised_and_gradients_follow() {
    for (rows, cols) in SHAPES {
        let (x, dy) = (logits(rows, cols), numbers(rows * cols, 9));
        let logs: Vec<f64> = x.chunks(cols.max(1)).flat_map(log_probabilities).collect();
        let probabilities: Vec<f64> = logs.iter().map(|l| l.exp()).collect();
        let (mut dx, mut dx_log) = (Vec::new(), Vec::new());
        for row in 0..if cols == 0 { 0 } else { rows } {
            let (p, d) = (&probabilities[row * cols..][..cols], &dy[row * cols..][..cols]);
            let dot: f64 = p.iter().zip(d).map(|(p, &d)| p * d as f64).sum();
            let sum: f64 = d.iter().map(|&d| d as f64).sum();
            dx.extend(p.iter().zip(d).map(|(p, &d)| p * (d as f64 - dot)));
            dx_log.extend(p.iter().zip(d).map(|(p, &d)| d as f64 - p * sum));
        }
        let run = |kernel: &dyn Fn(&deepfit_cpu::kernels::Compute, &mut [f32]), want: &[f64], what: &str| {
            everywhere(
                |cx| {
                    let mut y = vec![7.0; rows * cols];
                    kernel(cx, &mut y);
                    y
                },
                |isa, y| assert_close(&format!("{what} {isa} {rows}x{cols}"), y, want, 3e-6),
            );
        };
        run(&|cx, y| softmax(cx, &x, y, rows, cols), &probabilities, "softmax");
        run(&|cx, y| log_softmax(cx, &x, y, rows, cols), &logs, "log_softmax");
        let p32: Vec<f32> = probabilities.iter().map(|&p| p as f32).collect();
        let l32: Vec<f32> = logs.iter().map(|&p| p as f32).collect();
        run(&|cx, y| softmax_backward(cx, &p32, &dy, y, rows, cols), &dx, "softmax_backward");
        run(&|cx, y| log_softmax_backward(cx, &l32, &dy, y, rows, cols), &dx_log, "log_softmax_backward");
    }
}

#[test]
fn huge_logits_and_minus_infinity_are_handled_and_nan_spreads_over_its_row() {
    let inf = f32::INFINITY;
    let x = [1e30, 0.0, -1e30, 3.0, -inf, 3.0, f32::NAN, 1.0, 2.0, -inf, -inf, -inf];
    let half = 0.5;
    let want = [1.0, 0.0, 0.0, half, 0.0, half, f64::NAN, f64::NAN, f64::NAN, f64::NAN, f64::NAN, f64::NAN];
    everywhere(
        |cx| {
            let mut y = vec![0.0; 12];
            softmax(cx, &x, &mut y, 4, 3);
            y
        },
        |isa, y| assert_close(isa, y, &want, 1e-6),
    );
}

/// Loss and its gradient by the definition, from the log-probabilities.
fn cross_entropy_reference(x: &[f32], target: usize, w: &[f64], smoothing: f64) -> (f64, Vec<f64>) {
    let logs = log_probabilities(x);
    let classes = x.len() as f64;
    let q: Vec<f64> = (0..x.len())
        .map(|c| smoothing / classes * w[c] + if c == target { (1.0 - smoothing) * w[c] } else { 0.0 })
        .collect();
    let mass: f64 = q.iter().sum();
    (
        -q.iter().zip(&logs).map(|(q, l)| q * l).sum::<f64>(),
        q.iter().zip(&logs).map(|(q, l)| l.exp() * mass - q).collect(),
    )
}

#[test]
fn cross_entropy_with_smoothing_and_weights_and_its_gradient() {
    for (rows, cols) in [(1, 1), (7, 2), (900, 10), (9, 15), (9, 16), (9, 17), (30, 1000)] {
        let x = logits(rows, cols);
        let targets: Vec<i32> = (0..rows).map(|i| ((i * 7 + 3) % cols) as i32).collect();
        let weights: Vec<f32> = numbers(cols, 3).iter().map(|v| v + 1.5).collect();
        let upstream = numbers(rows, 4);
        for weighted in [false, true] {
            for smoothing in [0.0f32, 0.125, 1.0] {
                let how = ClassWeighting { weights: weighted.then_some(&weights[..]), smoothing, ignore: None };
                let w: Vec<f64> = weights.iter().map(|&w| if weighted { w as f64 } else { 1.0 }).collect();
                let (mut losses, mut gradients) = (Vec::new(), Vec::new());
                for row in 0..rows {
                    let (loss, gradient) =
                        cross_entropy_reference(&x[row * cols..][..cols], targets[row] as usize, &w, smoothing as f64);
                    losses.push(loss);
                    gradients.extend(gradient.iter().map(|g| g * upstream[row] as f64));
                }
                everywhere(
                    |cx| {
                        let mut loss = vec![0.0; rows];
                        cross_entropy(cx, &x, &targets, how, &mut loss, rows, cols);
                        loss
                    },
                    |isa, y| assert_close(&format!("loss {isa} {rows}x{cols}"), y, &losses, 3e-6),
                );
                everywhere(
                    |cx| {
                        let mut dx = vec![0.0; rows * cols];
                        cross_entropy_backward(cx, &x, &targets, how, &upstream, &mut dx, rows, cols);
                        dx
                    },
                    |isa, y| assert_close(&format!("gradient {isa} {rows}x{cols}"), y, &gradients, 3e-6),
                );
            }
        }
    }
}

#[test]
fn a_target_out_of_range_gives_nan_in_its_row_alone() {
    let x = logits(3, 4);
    for target in [-1, 4, -100, i32::MAX] {
        everywhere(
            |cx| {
                let mut loss = vec![0.0; 3];
                let mut dx = vec![0.0; 12];
                let targets = [0, target, 3];
                cross_entropy(cx, &x, &targets, ClassWeighting::default(), &mut loss, 3, 4);
                cross_entropy_backward(cx, &x, &targets, ClassWeighting::default(), &[1.0; 3], &mut dx, 3, 4);
                loss.extend(dx);
                loss
            },
            |_, y| {
                let nan: Vec<usize> = (0..15).filter(|&i| y[i].is_nan()).collect();
                assert_eq!(nan, [1, 7, 8, 9, 10]);
            },
        );
    }
}
