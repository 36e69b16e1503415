//! Updates that are made of several operations, on the engine: right in f32, safe, and the same after a checkpoint.

use deepfit_cpu::View;
use deepfit_graph::{DType, Tracer};
use deepfit_nn::layers::{Embedding, EmbeddingConfig, Linear};
use deepfit_nn::losses::{self, Reduction};
use deepfit_nn::optim::{Adam, Sgd};
use deepfit_nn::step::{Group, Training};
use deepfit_nn::{Init, MaxNorm, Module, Optimizer, Role, Scope};
use deepfit_train::{Session, SessionOptions};

const RATE: f64 = 0.01;

fn amsgrad(weight_decay: f64) -> Adam {
    Adam { amsgrad: true, weight_decay, ..Adam::default() }
}

fn dampened() -> Optimizer {
    Optimizer::Sgd(Sgd { momentum: 0.9, dampening: 0.3, nesterov: false, weight_decay: 0.05 })
}

/// A parameter `w [3]` whose gradient is the mean of the rows given as `g`.
fn session(training: Training) -> Session {
    let scope = Scope::root();
    let w = scope.parameter("w", &[3], Init::Ones, Role::Weight);
    let options = SessionOptions { training, threads: 1, ..SessionOptions::default() }.learning_rate(RATE);
    let network = move |t: &Tracer| Ok(t.batch("g", &[3], DType::F32).mul(&w.on(t)?)?);
    Session::new(&scope, options, network, |_, y| Ok(y.mean()?.mul_scalar(3.0)?)).expect("builds")
}

/// Gradients of very different sizes, so that the largest moment is not the current one.
fn gradient(step: usize) -> [f32; 3] {
    let size = if step % 23 == 5 { 30.0 } else { 0.02 };
    [1, 2, 3].map(|i| ((step * 7 + i * 5) % 11) as f32 * size - 3.0 * size)
}

#[test]
fn amsgrad_and_dampening_are_right_to_the_last_digits_of_f32() {
    for optimizer in [Optimizer::Adam(amsgrad(0.1)), Optimizer::AdamW(amsgrad(0.1)), dampened()] {
        for maximize in [false, true] {
            let mut session = session(Training { maximize, ..Training::new(optimizer) });
            let (mut w, mut m, mut v, mut most) = ([1f64; 3], [0f64; 3], [0f64; 3], [0f64; 3]);
            for step in 1..=300 {
                let g = gradient(step);
                session.step(&[("g", View::F32(&g))]).expect("fits");
                for i in 0..3 {
                    let mut g = f64::from(g[i]) * if maximize { -1.0 } else { 1.0 };
                    match optimizer {
                        Optimizer::Sgd(s) => {
                            g += s.weight_decay * w[i];
                            m[i] = s.momentum * m[i] + if step == 1 { g } else { (1.0 - s.dampening) * g };
                            w[i] -= RATE * m[i];
                        }
                        Optimizer::Adam(s) | Optimizer::AdamW(s) => {
                            match optimizer {
                                Optimizer::AdamW(_) => w[i] *= 1.0 - RATE * s.weight_decay,
                                _ => g += s.weight_decay * w[i],
                            }
                            m[i] = s.betas.0 * m[i] + (1.0 - s.betas.0) * g;
                            v[i] = s.betas.1 * v[i] + (1.0 - s.betas.1) * g * g;
                            most[i] = most[i].max(v[i]);
                            let correction = |beta: f64| 1.0 - beta.powi(step as i32);
                            let root = (most[i] / correction(s.betas.1)).sqrt() + s.eps;
                            w[i] -= RATE * m[i] / correction(s.betas.0) / root;
                        }
                        _ => unreachable!("three are tried"),
                    }
                    let found = f64::from(session.parameter("w").expect("is there")[i]);
                    let error = (found - w[i]).abs() / w[i].abs().max(1.0);
                    assert!(error < 1e-5, "{} step {step}: {found} instead of {}", optimizer.name(), w[i]);
                }
            }
        }
    }
}

#[test]
fn a_gradient_that_is_not_finite_changes_nothing_of_its_parameter() {
    for optimizer in [Optimizer::Adam(amsgrad(0.0)), Optimizer::AdamW(amsgrad(0.1)), dampened()] {
        let scope = Scope::root();
        let w = scope.parameter("w", &[3], Init::Zeros, Role::Weight);
        let options = SessionOptions { threads: 1, ..SessionOptions::new(optimizer) };
        // The root of 0 is 0, and its slope infinite.
        let network = move |t: &Tracer| Ok(t.batch("x", &[3], DType::F32).add(&w.on(t)?.sqrt()?)?);
        let mut session = Session::new(&scope, options, network, |_, y| Ok(y.mean()?)).expect("builds");
        let file = std::env::temp_dir().join(format!("deepfit-infinite-{}-{}", std::process::id(), optimizer.name()));
        let state = |session: &Session| {
            session.checkpoint(&file).expect("is written");
            std::fs::read(&file).expect("is there")
        };
        let before = state(&session);
        let told = session.step(&[("x", View::F32(&[1.0; 3]))]).expect_err("infinite").to_string();
        assert!(told.contains("infinite"), "{told}");
        assert!(state(&session) == before, "{}", optimizer.name());
        std::fs::remove_file(&file).expect("is there");
    }
}

#[test]
fn a_checkpoint_holds_what_each_group_keeps() {
    let training = || Training {
        groups: vec![
            Group { optimizer: Some(Optimizer::AdamW(amsgrad(0.1))), ..Group::new("a.*", 1.0) },
            Group { optimizer: Some(dampened()), weight_decay: Some(0.01), ..Group::new("b.weight", 10.0) },
        ],
        ..Training::new(Optimizer::adamw())
    };
    let build = || {
        let scope = Scope::root();
        let (a, b) = (Linear::new(&scope.child("a"), 3, 4), Linear::new(&scope.child("b"), 4, 1));
        let options = SessionOptions { training: training(), threads: 1, ..SessionOptions::default() };
        let network = move |t: &Tracer| b.forward(&a.forward(&t.batch("x", &[3], DType::F32))?.tanh()?);
        let loss =
            |t: &Tracer, y: &deepfit_graph::Tensor| losses::mse(y, &t.batch("y", &[1], DType::F32), Reduction::Mean);
        Session::new(&scope, options, network, loss).expect("builds")
    };
    let train = |session: &mut Session| {
        for step in 0..6 {
            let x: Vec<f32> = (0..12).map(|i| ((i * 7 + step) % 9) as f32 / 4.0 - 1.0).collect();
            let y: Vec<f32> = x.chunks(3).map(|row| row[0] * row[1] - row[2]).collect();
            session.step(&[("x", View::F32(&x)), ("y", View::F32(&y))]).expect("fits");
        }
    };
    let (mut whole, mut resumed) = (build(), build());
    train(&mut whole);
    let file = std::env::temp_dir().join(format!("deepfit-groups-{}", std::process::id()));
    whole.checkpoint(&file).expect("is written");
    resumed.resume(&file).expect("is read");
    std::fs::remove_file(&file).expect("is there");
    train(&mut whole);
    train(&mut resumed);
    assert_eq!(resumed.state_dict(), whole.state_dict());
}

#[test]
fn rows_that_are_looked_up_never_have_a_larger_norm() {
    for rows_only in [false, true] {
        let scope = Scope::root();
        let config = EmbeddingConfig {
            max_norm: Some(MaxNorm::euclidean(0.5)),
            scale_grad_by_freq: true,
            ..EmbeddingConfig::default()
        };
        let words = Embedding::configured(&scope.child("words"), 6, 4, config);
        let mut options = SessionOptions { threads: 1, ..SessionOptions::new(Optimizer::adamw()) }.learning_rate(0.1);
        if rows_only {
            options.training.rows_only.insert("words.weight".to_string());
        }
        let network = move |t: &Tracer| words.forward(&t.batch("word", &[], DType::I32));
        let loss = |_: &Tracer, y: &deepfit_graph::Tensor| Ok(y.add_scalar(-2.0)?.square()?.mean()?);
        let mut session = Session::new(&scope, options, network, loss).expect("builds");
        let batch = [("word", View::I32(&[0, 2, 2, 5]))];
        let norm = |row: &[f32]| row.iter().map(|v| v * v).sum::<f32>().sqrt();
        let first = session.parameter("words.weight").expect("is there").to_vec();
        let before = session.step(&batch).expect("fits");
        let found = session.predict(&batch).expect("fits");
        assert!(found.values.chunks(4).all(|row| norm(row) <= 0.5 + 1e-5));
        for _ in 0..40 {
            session.step(&batch).expect("fits");
        }
        assert!(session.step(&batch).expect("fits") < before);
        let table = session.parameter("words.weight").expect("is there");
        for row in 0..6 {
            let (old, new) = (&first[row * 4..][..4], &table[row * 4..][..4]);
            if [0, 2, 5].contains(&row) {
                // Scaled, then moved by one step.
                assert!(norm(new) < 0.8, "{new:?}");
            } else if rows_only {
                assert_eq!(old, new);
            }
        }
    }
}

#[test]
fn rows_of_zeros_have_finite_slopes() {
    let scope = Scope::root();
    let (a, b) =
        (scope.parameter("a", &[3], Init::Zeros, Role::Weight), scope.parameter("b", &[3], Init::Ones, Role::Weight));
    let options = SessionOptions { threads: 1, ..SessionOptions::default() };
    let network = move |t: &Tracer| {
        let x = t.batch("x", &[3], DType::F32);
        let (p, q) = (x.mul(&a.on(t)?)?, x.mul(&b.on(t)?)?);
        let similar = losses::cosine_similarity(&p, &q, 1e-8)?.add(&losses::cosine_similarity(&p, &p, 1e-8)?)?;
        let target = t.scalar(1.0).broadcast_to(similar.shape().clone())?;
        let embedded = losses::cosine_embedding(&p, &q, &target, 0.0, Reduction::None)?;
        let both = losses::cosine_embedding(&p, &p, &target, 0.0, Reduction::None)?;
        Ok(similar.add(&embedded)?.add(&both)?)
    };
    let mut session = Session::new(&scope, options, network, |_, y| Ok(y.mean()?)).expect("builds");
    let batch = [("x", View::F32(&[0.0, 0.0, 0.0, 1.0, 2.0, -1.0]))];
    for gradient in session.gradients(&batch).expect("finite").values() {
        assert!(gradient.values.iter().all(|v| v.is_finite()), "{gradient:?}");
    }
    session.step(&batch).expect("finite");
}
