use deepfit_cpu::kernels::optim::*;

use super::support::{assert_close, everywhere, numbers};

const SIZES: [usize; 8] = [0, 1, 7, 8, 17, 33, 16_384, 40_001];
const STEPS: usize = 4;

fn gradients(n: usize, step: usize) -> Vec<f32> {
    numbers(n, 10 + step as u64)
}

#[test]
fn sgd_with_momentum_nesterov_and_weight_decay() {
    for (momentum, nesterov, weight_decay) in
        [(0.0, false, 0.0), (0.0, false, 0.1), (0.9, false, 0.01), (0.9, true, 0.01)]
    {
        let settings = Sgd { learning_rate: 0.1, momentum, nesterov, weight_decay };
        for n in SIZES {
            let mut want: Vec<f64> = numbers(n, 1).iter().map(|&v| v as f64).collect();
            let mut velocity = vec![0.0; n];
            for step in 0..STEPS {
                for (i, g) in gradients(n, step).into_iter().enumerate() {
                    let mut g = g as f64 + weight_decay * want[i];
                    velocity[i] = momentum * velocity[i] + g;
                    g = if nesterov { g + momentum * velocity[i] } else { velocity[i] };
                    want[i] -= 0.1 * g;
                }
            }
            everywhere(
                |cx| {
                    let mut p = numbers(n, 1);
                    let mut buffer = vec![0.0; if momentum == 0.0 { 0 } else { n }];
                    for step in 0..STEPS {
                        assert!(sgd(cx, &settings, &mut p, &gradients(n, step), &mut buffer));
                    }
                    p
                },
                |isa, p| assert_close(&format!("{isa} {settings:?} {n}"), p, &want, 1e-6),
            );
        }
    }
}

#[test]
fn adam_and_adamw_with_bias_correction() {
    for decoupled in [false, true] {
        for weight_decay in [0.0, 0.05] {
            let settings = Adam { learning_rate: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay, decoupled };
            for n in SIZES {
                let mut want: Vec<f64> = numbers(n, 1).iter().map(|&v| v as f64).collect();
                let (mut m, mut v) = (vec![0.0; n], vec![0.0; n]);
                for step in 0..STEPS {
                    let t = step as i32 + 1;
                    for (i, g) in gradients(n, step).into_iter().enumerate() {
                        let mut g = g as f64;
                        if decoupled {
                            want[i] *= 1.0 - 0.01 * weight_decay;
                        } else {
                            g += weight_decay * want[i];
                        }
                        m[i] = 0.9 * m[i] + 0.1 * g;
                        v[i] = 0.999 * v[i] + 0.001 * g * g;
                        let (mh, vh) = (m[i] / (1.0 - 0.9f64.powi(t)), v[i] / (1.0 - 0.999f64.powi(t)));
                        want[i] -= 0.01 * mh / (vh.sqrt() + 1e-8);
                    }
                }
                everywhere(
                    |cx| {
                        let (mut p, mut m, mut v) = (numbers(n, 1), vec![0.0; n], vec![0.0; n]);
                        for step in 0..STEPS {
                            assert!(adam(cx, &settings, step as i32 + 1, &mut p, &gradients(n, step), &mut m, &mut v));
                        }
                        p.extend(v);
                        p
                    },
                    |isa, p| {
                        assert_close(&format!("{isa} {settings:?} {n}"), &p[..n], &want, 1e-6);
                        assert_close(&format!("second moment {isa} {n}"), &p[n..], &v, 1e-9);
                    },
                );
            }
        }
    }
}

#[test]
fn a_gradient_that_is_not_finite_changes_nothing() {
    for n in [1, 20, 40_000] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, n / 2, n - 1] {
                let mut g = numbers(n, 2);
                g[at] = bad;
                everywhere(
                    |cx| {
                        let (mut p, mut m, mut v) = (vec![1.0; n], vec![1.0; n], vec![1.0; n]);
                        let sgd_settings =
                            Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.1 };
                        assert!(!sgd(cx, &sgd_settings, &mut p, &g, &mut m));
                        let settings = Adam {
                            learning_rate: 0.1,
                            beta1: 0.9,
                            beta2: 0.999,
                            eps: 1e-8,
                            weight_decay: 0.1,
                            decoupled: true,
                        };
                        assert!(!adam(cx, &settings, 1, &mut p, &g, &mut m, &mut v));
                        [p, m, v].concat()
                    },
                    |_, all| assert!(all.iter().all(|&v| v == 1.0)),
                );
            }
        }
    }
}
