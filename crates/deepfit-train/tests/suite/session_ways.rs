//! Ways to use a session: gradients over several batches, gradients that are kept, inference alone.

use deepfit_cpu::View;
use deepfit_graph::{DType, Tracer};
use deepfit_nn::layers::{Dropout, Linear};
use deepfit_nn::losses::{self, Reduction};
use deepfit_nn::optim::Sgd;
use deepfit_nn::step::gradient_name;
use deepfit_nn::{Clip, Module, Optimizer, Scope, Sequential};
use deepfit_train::{Examples, Fit, Flow, Session, SessionOptions, TrainError};

fn network(scope: &Scope) -> Sequential {
    Sequential::new()
        .with(Linear::new(&scope.child("a"), 3, 8))
        .with(Dropout::new(&scope.child("drop"), 0.0))
        .with(Linear::new(&scope.child("b"), 8, 1))
}

fn options() -> SessionOptions {
    SessionOptions::new(Optimizer::Sgd(Sgd { momentum: 0.9, ..Sgd::default() })).learning_rate(0.05).batch(12).seed(4)
}

fn session(options: SessionOptions) -> Result<Session, TrainError> {
    let scope = Scope::root();
    let network = network(&scope);
    Session::new(
        &scope,
        options,
        move |t: &Tracer| network.forward(&t.batch("x", &[3], DType::F32)),
        |t, y| losses::mse(y, &t.batch("y", &[1], DType::F32), Reduction::Mean),
    )
}

fn examples(rows: usize) -> Examples {
    let x: Vec<f32> = (0..rows * 3).map(|i| (i * 29 % 17) as f32 / 8.0 - 1.0).collect();
    let y = x.chunks(3).map(|row| row[0] - row[1] * row[2]).collect();
    Examples::new(rows).f32("x", x).and_then(|e| e.f32("y", y)).expect("whole rows")
}

#[test]
fn three_batches_of_four_make_the_update_of_one_of_twelve() {
    let (mut whole, mut parts) =
        (session(options()).unwrap(), session(SessionOptions { accumulate: 3, ..options() }).unwrap());
    let data = examples(12);
    for round in 1..=4 {
        whole.step(&data.views()).unwrap();
        for part in 0..3 {
            let before = parts.state_dict();
            let rows: Vec<usize> = (4 * part..4 * part + 4).collect();
            parts.step(&data.rows(&rows).views()).unwrap();
            assert_eq!(parts.state_dict() != before, part == 2, "an update comes with the third batch");
        }
        assert_eq!((whole.updates(), parts.updates()), (round, round));
    }
    for (name, expected) in whole.state_dict() {
        for (a, b) in expected.values.iter().zip(&parts.state_dict()[&name].values) {
            assert!((a - b).abs() < 1e-5, "{name}: {a} and {b}");
        }
    }
    let file = std::env::temp_dir().join(format!("deepfit-accumulating-{}", std::process::id()));
    parts.step(&data.rows(&[0, 1, 2, 3]).views()).unwrap();
    parts.checkpoint(&file).unwrap();
    let mut resumed = session(SessionOptions { accumulate: 3, ..options() }).unwrap();
    resumed.resume(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    for session in [&mut parts, &mut resumed] {
        session.step(&data.rows(&[4, 5, 6, 7]).views()).unwrap();
        session.step(&data.rows(&[8, 9, 10, 11]).views()).unwrap();
    }
    assert_eq!(parts.state_dict(), resumed.state_dict(), "what had been added up is in the checkpoint");
}

#[test]
fn kept_gradients_are_those_of_the_step_before_they_are_limited() {
    let mut options = options();
    options.training.keep_gradients = true;
    options.training.clip = Some(Clip::Norm(0.01));
    let (mut session, data) = (session(options).unwrap(), examples(7));
    let expected = session.gradients(&data.views()).unwrap();
    session.step(&data.views()).unwrap();
    for (name, gradient) in expected {
        assert_eq!(session.output(&gradient_name(&name)), Some(gradient), "{name}");
    }
}

#[test]
fn a_session_for_inference_predicts_as_the_trained_one_and_holds_weights_alone() {
    let (mut trained, data) = (session(options()).unwrap(), examples(12));
    trained.fit(&data, &Fit::epochs(3), |_, _| Flow::Continue).unwrap();
    let scope = Scope::root();
    let network = network(&scope);
    let mut used =
        Session::inference(&scope, options(), move |t| network.forward(&t.batch("x", &[3], DType::F32))).unwrap();
    used.load_state_dict(&trained.state_dict()).unwrap();
    let x = [("x", View::F32(&[0.5, -0.25, 1.0, 0.0, 1.0, 2.0]))];
    assert_eq!(used.predict(&x).unwrap(), trained.predict(&x).unwrap());
    assert!(2 * used.planned_bytes().1 <= trained.planned_bytes().1, "no momentum");
    assert!(used.operations() < trained.operations());
    for error in [
        used.step(&data.views()).unwrap_err(),
        used.loss(&data.views()).unwrap_err(),
        used.gradients(&data.views()).unwrap_err(),
        used.fit(&data, &Fit::epochs(1), |_, _| Flow::Continue).unwrap_err(),
    ] {
        assert!(error.to_string().contains("Session::new"), "{error}");
    }
}

#[test]
fn options_of_nothing_are_refused_by_name() {
    for (options, key) in [
        (options().batch(0), "batch"),
        (options().sequence(0), "sequence"),
        (SessionOptions { accumulate: 0, ..options() }, "accumulate"),
        (options().learning_rate(f64::NAN), "learning_rate"),
    ] {
        assert!(session(options).unwrap_err().to_string().contains(&format!("`{key}`")), "{key}");
    }
}
