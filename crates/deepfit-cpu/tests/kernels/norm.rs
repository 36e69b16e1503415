use deepfit_cpu::kernels::norm::*;

use super::support::{assert_close, everywhere, numbers};

struct Reference {
    y: Vec<f64>,
    dx: Vec<f64>,
    dgamma: Vec<f64>,
    dbeta: Vec<f64>,
    mean: Vec<f64>,
    var: Vec<f64>,
}

/// Normalises the groups of elements that `group` names, with parameters by column.
fn reference(
    x: &[f32],
    dy: &[f32],
    gamma: &[f32],
    beta: &[f32],
    eps: f64,
    groups: usize,
    group: impl Fn(usize) -> usize,
) -> Reference {
    let cols = gamma.len();
    let mut count = vec![0.0f64; groups];
    let (mut mean, mut var) = (vec![0.0f64; groups], vec![0.0f64; groups]);
    for (i, &v) in x.iter().enumerate() {
        count[group(i)] += 1.0;
        mean[group(i)] += v as f64;
    }
    (0..groups).for_each(|g| mean[g] /= count[g].max(1.0));
    for (i, &v) in x.iter().enumerate() {
        var[group(i)] += (v as f64 - mean[group(i)]).powi(2);
    }
    (0..groups).for_each(|g| var[g] /= count[g].max(1.0));
    let z: Vec<f64> =
        x.iter().enumerate().map(|(i, &v)| (v as f64 - mean[group(i)]) / (var[group(i)] + eps).sqrt()).collect();
    let (mut dgamma, mut dbeta) = (vec![0.0; cols], vec![0.0; cols]);
    let (mut sum, mut sum_z) = (vec![0.0; groups], vec![0.0; groups]);
    for i in 0..x.len() {
        let d = dy[i] as f64;
        dgamma[i % cols] += d * z[i];
        dbeta[i % cols] += d;
        sum[group(i)] += d * gamma[i % cols] as f64;
        sum_z[group(i)] += d * gamma[i % cols] as f64 * z[i];
    }
    let dx = (0..x.len()).map(|i| {
        let g = group(i);
        let inner = dy[i] as f64 * gamma[i % cols] as f64 - sum[g] / count[g] - z[i] * sum_z[g] / count[g];
        inner / (var[g] + eps).sqrt()
    });
    let y = (0..x.len()).map(|i| z[i] * gamma[i % cols] as f64 + beta[i % cols] as f64);
    Reference { y: y.collect(), dx: dx.collect(), dgamma, dbeta, mean, var }
}

const SHAPES: [(usize, usize); 11] =
    [(1, 1), (2, 3), (5, 8), (16, 9), (17, 15), (255, 16), (257, 17), (1000, 33), (3000, 5), (40, 600), (20_000, 2)];

/// Inputs far from zero, where a difference of sums of squares would lose all digits.
fn inputs(rows: usize, cols: usize) -> [Vec<f32>; 4] {
    let x = numbers(rows * cols, 1).iter().map(|v| v * 2.0 + 100.0).collect();
    let gamma = numbers(cols, 2).iter().map(|v| v + 1.5).collect();
    [x, gamma, numbers(cols, 3), numbers(rows * cols, 4)]
}

#[test]
fn batch_norm_and_its_gradients() {
    for (rows, cols) in SHAPES {
        let [x, gamma, beta, dy] = inputs(rows, cols);
        let want = reference(&x, &dy, &gamma, &beta, 1e-3, cols, |i| i % cols);
        let size = rows * cols;
        everywhere(
            |cx| {
                let mut out = vec![f32::NAN; 2 * size + 5 * cols];
                let (y, rest) = out.split_at_mut(size);
                let (dx, rest) = rest.split_at_mut(size);
                let mut parts = rest.chunks_mut(cols);
                let mut next = || parts.next().unwrap();
                let (mean, var, inv_std, dgamma, dbeta) = (next(), next(), next(), next(), next());
                let mut scratch = vec![f32::NAN; batch_norm_scratch(rows, cols)];
                batch_norm(cx, &x, &gamma, &beta, 1e-3, y, mean, var, inv_std, rows, cols, None, &mut scratch);
                batch_norm_backward(cx, &x, &gamma, mean, inv_std, &dy, dx, dgamma, dbeta, rows, cols, &mut scratch);
                out
            },
            |isa, out| {
                let what = |part: &str| format!("batch_norm {part} {isa} {rows}x{cols}");
                assert_close(&what("y"), &out[..size], &want.y, 5e-5);
                assert_close(&what("dx"), &out[size..2 * size], &want.dx, 2e-4);
                let columns: Vec<&[f32]> = out[2 * size..].chunks(cols).collect();
                assert_close(&what("mean"), columns[0], &want.mean, 3e-7);
                assert_close(&what("var"), columns[1], &want.var, 1e-5);
                let inverse: Vec<f64> = want.var.iter().map(|v| 1.0 / (v + 1e-3).sqrt()).collect();
                assert_close(&what("inv_std"), columns[2], &inverse, 1e-5);
                assert_close(&what("dgamma"), columns[3], &want.dgamma, 1e-4);
                assert_close(&what("dbeta"), columns[4], &want.dbeta, 1e-5);
            },
        );
    }
}

#[test]
fn layer_norm_and_its_gradients() {
    for (rows, cols) in SHAPES {
        let [mut x, gamma, beta, dy] = inputs(rows, cols);
        x.iter_mut().for_each(|v| *v -= 98.0);
        let want = reference(&x, &dy, &gamma, &beta, 1e-3, rows, |i| i / cols);
        let size = rows * cols;
        everywhere(
            |cx| {
                let (mut mean, mut inv_std) = (vec![0.0; rows], vec![0.0; rows]);
                let mut out = vec![f32::NAN; 2 * size + 2 * cols];
                let (y, rest) = out.split_at_mut(size);
                let (dx, rest) = rest.split_at_mut(size);
                let (dgamma, dbeta) = rest.split_at_mut(cols);
                layer_norm(cx, &x, &gamma, &beta, 1e-3, y, &mut mean, &mut inv_std, rows, cols);
                let mut scratch = vec![f32::NAN; layer_norm_scratch(rows, cols)];
                layer_norm_backward(cx, &x, &gamma, &mean, &inv_std, &dy, dx, dgamma, dbeta, rows, cols, &mut scratch);
                out.extend(mean);
                out
            },
            |isa, out| {
                let what = |part: &str| format!("layer_norm {part} {isa} {rows}x{cols}");
                assert_close(&what("y"), &out[..size], &want.y, 1e-4);
                assert_close(&what("dx"), &out[size..2 * size], &want.dx, 3e-4);
                assert_close(&what("dgamma"), &out[2 * size..2 * size + cols], &want.dgamma, 2e-4);
                assert_close(&what("dbeta"), &out[2 * size + cols..2 * size + 2 * cols], &want.dbeta, 1e-5);
                assert_close(&what("mean"), &out[2 * size + 2 * cols..], &want.mean, 1e-6);
            },
        );
    }
}

#[test]
fn nan_stays_in_its_column_or_row() {
    let (rows, cols) = (20, 6);
    let mut x = numbers(rows * cols, 1);
    x[3 * cols + 2] = f32::NAN;
    let ones = vec![1.0; cols];
    everywhere(
        |cx| {
            let mut y = vec![0.0; 2 * rows * cols];
            let (a, b) = y.split_at_mut(rows * cols);
            let [mut m, mut v, mut s] = [vec![0.0; cols], vec![0.0; cols], vec![0.0; cols]];
            batch_norm(
                cx,
                &x,
                &ones,
                &ones,
                1e-5,
                a,
                &mut m,
                &mut v,
                &mut s,
                rows,
                cols,
                None,
                &mut vec![0.0; batch_norm_scratch(rows, cols)],
            );
            layer_norm(cx, &x, &ones, &ones, 1e-5, b, &mut vec![0.0; rows], &mut vec![0.0; rows], rows, cols);
            y
        },
        |_, y| {
            for (i, v) in y.iter().enumerate() {
                let i_in = i % (rows * cols);
                let expected = if i < rows * cols { i_in % cols == 2 } else { i_in / cols == 3 };
                assert_eq!(v.is_nan(), expected, "element {i}");
            }
        },
    );
}
