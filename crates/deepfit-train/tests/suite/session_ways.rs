//! Ways to use a session: gradients over several batches, gradients that are kept, inference alone.

use deepfit_cpu::{Precision, View};
use deepfit_graph::{DType, Tracer};
use deepfit_nn::layers::{Conv2d, Conv2dConfig, Dropout, Linear};
use deepfit_nn::losses::{self, Reduction};
use deepfit_nn::optim::Sgd;
use deepfit_nn::step::gradient_name;
use deepfit_nn::{Clip, Init, Module, Optimizer, Role, Scope, Sequential};
use deepfit_train::{Examples, Fit, Session, SessionOptions, TrainError};

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
    trained.fit(&data, &Fit::epochs(3)).unwrap();
    let scope = Scope::root();
    let network = network(&scope);
    let mut used =
        Session::inference(&scope, options(), move |t| network.forward(&t.batch("x", &[3], DType::F32))).unwrap();
    used.load_state_dict(&trained.state_dict()).unwrap();
    let x = [("x", View::F32(&[0.5, -0.25, 1.0, 0.0, 1.0, 2.0]))];
    assert_eq!(used.predict(&x).unwrap(), trained.predict(&x).unwrap());
    // Its other bytes are weights and what kernels made of them, which is more than momentum where layers are this small.
    assert!(used.planned_bytes().0 < trained.planned_bytes().0, "no gradients");
    assert!(used.operations() < trained.operations());
    for error in [
        used.step(&data.views()).unwrap_err(),
        used.loss(&data.views()).unwrap_err(),
        used.gradients(&data.views()).unwrap_err(),
        used.fit(&data, &Fit::epochs(1)).unwrap_err(),
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

#[test]
fn more_rows_than_a_batch_are_predicted_in_parts() {
    let (mut small, mut large) = (session(options().batch(5)).unwrap(), session(options().batch(64)).unwrap());
    let data = examples(17);
    let x = &data.views()[..1];
    let (parts, whole) = (small.predict(x).unwrap(), large.predict(x).unwrap());
    assert_eq!((&parts.shape[..], &whole.shape[..]), (&[17, 1][..], &[17, 1][..]));
    assert!(parts.values.iter().zip(&whole.values).all(|(a, b)| (a - b).abs() < 1e-6), "{parts:?} and {whole:?}");
    // A step cannot be cut.
    let told = small.step(&data.views()).unwrap_err().to_string();
    assert!(told.contains("`batch`: is 5") && told.contains("a batch of 17"), "{told}");
    // Nor can an output that is not one for each row.
    let scope = Scope::root();
    let network = network(&scope);
    let mut mean = Session::inference(&scope, options().batch(5), move |t| {
        Ok(network.forward(&t.batch("x", &[3], DType::F32))?.mean()?)
    })
    .unwrap();
    let told = mean.predict(x).unwrap_err().to_string();
    assert!(told.contains("17 examples") && told.contains("[]"), "{told}");
}

#[test]
fn a_network_of_several_outputs_is_trained_by_all_of_them() {
    let scope = Scope::root();
    let (left, right) = (Linear::new(&scope.child("left"), 3, 2), Linear::new(&scope.child("right"), 3, 1));
    let mut session = Session::new(
        &scope,
        options(),
        move |t| {
            let x = t.batch("x", &[3], DType::F32);
            Ok((left.forward(&x)?, right.forward(&x)?))
        },
        |t, (left, right)| {
            let sum = losses::mse(right, &t.batch("y", &[1], DType::F32), Reduction::Mean)?;
            Ok(sum.add(&left.square()?.mean()?)?)
        },
    )
    .unwrap();
    let data = examples(20);
    let before = session.mean_loss(&data).unwrap();
    session.fit(&data, &Fit::epochs(20)).unwrap();
    assert!(session.mean_loss(&data).unwrap() < 0.8 * before);
    let all = session.predict_all(&data.views()[..1]).unwrap();
    assert_eq!([&all[0].shape[..], &all[1].shape], [[20, 2], [20, 1]]);
    assert_eq!(session.predict(&data.views()[..1]).unwrap(), all[0]);
    assert!(session.inspect().unwrap().to_string().contains("right"));
}

#[test]
fn names_that_nobody_asks_for_or_that_come_twice_are_refused() {
    let (mut session, data) = (session(options()).unwrap(), examples(4));
    let with = |name| [data.views(), vec![(name, View::F32(&[1.0; 4]))]].concat();
    for (batch, words) in [(with("z"), "asked for by nobody; there are x, y"), (with("y"), "`y` is given twice")] {
        for error in [session.step(&batch).unwrap_err(), session.predict(&batch).unwrap_err()] {
            assert!(error.to_string().contains(words), "{error}");
        }
    }
    let told = session.step(&[("x", View::F32(&[0.0, f32::NAN, 0.0])), ("y", View::F32(&[1.0]))]).unwrap_err();
    assert!(told.to_string().contains("`x` holds a value, number 1") && !told.to_string().contains("rate"), "{told}");
}

#[test]
fn a_rate_that_is_no_rate_changes_nothing() {
    let (mut session, data) = (session(options()).unwrap(), examples(4));
    let before = session.state_dict();
    for rate in [f64::NAN, f64::INFINITY, -1.0] {
        session.set_learning_rate(rate);
        assert!(session.step(&data.views()).unwrap_err().to_string().contains("learning_rate"), "{rate}");
        assert_eq!(session.state_dict(), before);
    }
}

#[test]
fn exact_convolutions_differ_in_rounding_alone() {
    let image: Vec<f32> = (0..2 * 8 * 8 * 16).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let outputs = |exact: bool| {
        let scope = Scope::root();
        let conv = Conv2d::new(&scope.child("conv"), 16, 20, Conv2dConfig::square(3).padding(1));
        let forward = move |t: &Tracer| conv.forward(&t.batch("x", &[8, 8, 16], DType::F32));
        let mut session = Session::inference(&scope, options().exact(exact), forward).unwrap();
        session.predict(&[("x", View::F32(&image))]).unwrap().values
    };
    let (fast, exact) = (outputs(false), outputs(true));
    assert!(fast != exact, "the option has no effect");
    for (a, b) in fast.iter().zip(&exact) {
        assert!((a - b).abs() < 1e-5, "{a} and {b}");
    }
}

#[test]
fn products_in_bf16_differ_in_rounding_alone() {
    let x: Vec<f32> = (0..32 * 40).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let outputs = |precision: Precision| {
        let scope = Scope::root();
        let linear = Linear::new(&scope.child("linear"), 40, 24);
        let forward = move |t: &Tracer| linear.forward(&t.batch("x", &[40], DType::F32));
        let mut session = Session::inference(&scope, options().batch(32).precision(precision), forward)?;
        Ok::<_, TrainError>(session.predict(&[("x", View::F32(&x))])?.values)
    };
    let plain = outputs(Precision::F32).unwrap();
    match outputs(Precision::Bf16) {
        Ok(rounded) => {
            assert!(plain != rounded, "the option has no effect");
            plain.iter().zip(&rounded).for_each(|(a, b)| assert!((a - b).abs() < 0.02, "{a} and {b}"));
        }
        Err(error) => assert!(error.to_string().contains("need the instructions"), "{error}"),
    }
}

#[test]
fn random_numbers_in_use_are_others_at_each_call_and_in_each_part() {
    let forward = |t: &Tracer| {
        let x = t.batch("x", &[1], DType::F32);
        Ok(t.random_normal(x.shape().clone())?.add(&x.mul_scalar(0.0)?)?)
    };
    let options = SessionOptions::default().batch(4);
    let mut session = Session::inference(&Scope::root(), options.clone(), forward).unwrap();
    let zeros = [0.0; 12];
    let first = session.predict(&[("x", View::F32(&zeros))]).unwrap().values;
    let second = session.predict(&[("x", View::F32(&zeros))]).unwrap().values;
    let mut all: Vec<u32> = first.iter().chain(&second).map(|z| z.to_bits()).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 24, "numbers are repeated: {first:?} {second:?}");
    // The same seed and calls give the same bits.
    let mut again = Session::inference(&Scope::root(), options, forward).unwrap();
    assert_eq!(again.predict(&[("x", View::F32(&zeros))]).unwrap().values, first);
}

#[test]
fn a_parameter_with_the_name_of_the_header_of_files_is_refused() {
    let scope = Scope::root();
    let weight = scope.parameter("__metadata__", &[1], Init::Zeros, Role::Weight);
    let forward = move |t: &Tracer| Ok(t.batch("x", &[1], DType::F32).mul(&weight.on(t)?)?);
    let error = Session::inference(&scope, SessionOptions::default(), forward).expect_err("a reserved name");
    assert!(error.to_string().contains("__metadata__"), "{error}");
}
