//! Step loops of one's own.

use deepfit_cpu::{ProgramId, View};
use deepfit_graph::{DType, Extents, Shape, Tensor, Tracer};
use deepfit_nn::layers::{Dropout, Linear};
use deepfit_nn::step::{Traced, Training};
use deepfit_nn::{Module, Optimizer, Result as NnResult, Scope, Sequential, losses};
use deepfit_train::{Session, TrainError};

const BATCH: Extents = Extents { batch: 8, sequence: 1 };

fn input(tracer: &Tracer, name: &str, width: usize) -> Tensor {
    tracer.input(name, Shape::batch_of(&[width]), DType::F32)
}

/// A network with dropout, its training step and its use.
fn session(threads: usize, seed: u64) -> (Session, ProgramId, ProgramId) {
    let scope = Scope::root();
    let network = Sequential::new()
        .with(Linear::new(&scope.child("0"), 3, 40))
        .with(Dropout::new(&scope.child("1"), 0.5))
        .with(Linear::new(&scope.child("2"), 40, 1));
    let mut session = Session::new(&scope, threads, seed).unwrap();
    let loss = |tracer: &Tracer| -> NnResult<Traced> {
        let y = network.forward(&input(tracer, "x", 3))?;
        let loss = losses::mse(&y, &input(tracer, "y", 1), losses::Reduction::Mean)?;
        Ok(Traced { loss, outputs: vec![] })
    };
    let learn = session.compile_training(&Training::new(Optimizer::adamw()), BATCH, loss).unwrap();
    let using =
        session.compile(BATCH, |tracer| Ok(vec![("y".to_string(), network.forward(&input(tracer, "x", 3))?)])).unwrap();
    (session, learn, using)
}

fn data() -> (Vec<f32>, Vec<f32>) {
    let x: Vec<f32> = (0..24).map(|i| ((i * 7) % 11) as f32 / 11.0 - 0.5).collect();
    let y = x.chunks(3).map(|row| row[0] - 2.0 * row[1] + 0.5 * row[2]).collect();
    (x, y)
}

#[test]
fn the_seed_alone_decides_what_a_session_learns() {
    let (x, y) = data();
    let losses = |threads: usize, seed: u64| -> Vec<f64> {
        let (mut session, learn, using) = session(threads, seed);
        let batch = [("x", View::F32(&x)), ("y", View::F32(&y))];
        let step = |_| {
            // Using the network in between changes nothing.
            session.run(using, BATCH, &batch[..1]).unwrap();
            session.step(learn, BATCH, 0.01, &batch).unwrap()
        };
        (0..50).map(step).collect()
    };
    let first = losses(1, 3);
    assert_eq!(first, losses(3, 3));
    assert_ne!(first, losses(1, 4));
    assert!(first[49] < first[0]);
    // Dropout draws anew at each step: from the same weights, a rate of zero would repeat one loss.
    let (mut session, learn, _) = session(1, 3);
    let batch = [("x", View::F32(&x)), ("y", View::F32(&y))];
    let still: Vec<f64> = (0..2).map(|_| session.step(learn, BATCH, 0.0, &batch).unwrap()).collect();
    assert_ne!(still[0], still[1]);
}

#[test]
fn a_step_that_fails_changes_nothing() {
    let (x, y) = data();
    let (mut session, learn, using) = session(1, 3);
    let weights = |session: &mut Session| session.engine().parameter("2.weight").unwrap().to_vec();
    let before = weights(&mut session);
    let broken = vec![f32::NAN; y.len()];
    let error = session.step(learn, BATCH, 0.01, &[("x", View::F32(&x)), ("y", View::F32(&broken))]);
    assert!(matches!(error, Err(TrainError::Engine(deepfit_cpu::Error::NonFinite { .. }))), "{error:?}");
    assert_eq!(before, weights(&mut session));
    let message = session.step(learn, BATCH, 0.01, &[("x", View::F32(&x))]).expect_err("no y").to_string();
    assert!(message.contains("`y`"), "{message}");
    // What is not trained has no loss.
    let message = session.step(using, BATCH, 0.01, &[("x", View::F32(&x))]).expect_err("no loss").to_string();
    assert!(message.contains("`loss`"), "{message}");
}
