use std::path::PathBuf;

use deepfit_cpu::View;
use deepfit_graph::ops::ReduceKind;
use deepfit_graph::{DType, Shape, Symbol, Tracer};
use deepfit_nn::layers::{Activate, BatchNorm, Dropout, Embedding, Linear};
use deepfit_nn::losses::{self, Reduction};
use deepfit_nn::optim::lbfgs::{Lbfgs, Memory};
use deepfit_nn::optim::{Adam, Lamb, Sgd};
use deepfit_nn::schedule::RateSearch;
use deepfit_nn::{Activation, Clip, Init, Module, MovingAverage, Optimizer, Role, Scope, Sequential};
use deepfit_train::{Epoch, Examples, Fit, Flow, Session, SessionOptions, TrainError, Values};

const INPUTS: usize = 6;

/// A network with everything that is hard to leave untouched: running statistics and dropout.
fn session(options: SessionOptions, depth: usize) -> Result<Session, TrainError> {
    let scope = Scope::root();
    let mut network = Sequential::new();
    for i in 0..depth {
        let (at, width) = (scope.child(i), if i == 0 { INPUTS } else { 24 });
        network.push(Linear::new(&at.child("fc"), width, 24));
        network.push(BatchNorm::new(&at.child("bn"), 24));
        network.push(Activate::new(&at.child("act"), Activation::Gelu));
        network.push(Dropout::new(&at.child("drop"), 0.1));
    }
    network.push(Linear::new(&scope.child("out"), 24, 1));
    Session::new(
        &scope,
        options,
        move |t| network.forward(&t.batch("x", &[INPUTS], DType::F32)),
        |t, y| losses::mse(y, &t.batch("y", &[1], DType::F32), Reduction::Mean),
    )
}

fn options() -> SessionOptions {
    SessionOptions { threads: 1, seed: 3, ..SessionOptions::new(Optimizer::adamw()).batch(40) }
}

fn examples(rows: usize) -> Examples {
    let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 40.0;
    let x: Vec<f32> = (0..rows * INPUTS).map(value).collect();
    let y = x.chunks(INPUTS).map(|row| row[0] * row[1] - row[2].sin()).collect();
    Examples::new(rows).f32("x", x).and_then(|e| e.f32("y", y)).expect("whole rows")
}

/// A file that is gone when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Scratch(std::env::temp_dir().join(format!("deepfit-session-{}-{name}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// All that training changes, as bytes.
fn state(session: &Session) -> Vec<u8> {
    let file = Scratch::new(&format!("state-{:?}", std::thread::current().id()));
    session.checkpoint(&file.0).expect("is written");
    std::fs::read(&file.0).expect("is there")
}

#[test]
fn fit_learns_and_a_step_loop_does_the_same() {
    let examples = examples(100);
    let mut fitted = session(options(), 2).expect("builds");
    let losses = fitted.fit(&examples, &Fit::epochs(30)).expect("trains");
    assert!(losses.len() == 30 && losses[29] < 0.5 * losses[0], "{losses:?}");
    assert_eq!(fitted.updates(), 90);
    let mut stopped = session(options(), 2).expect("builds");
    let mut seen = Vec::new();
    let flow = |session: &mut Session, epoch: Epoch| {
        assert_eq!(session.updates(), 3 * epoch.number);
        seen.push(epoch.loss);
        session.mean_loss(&examples)?;
        Ok(if epoch.number == 4 { Flow::Stop } else { Flow::Continue })
    };
    assert_eq!(stopped.fit_watched(&examples, &Fit::epochs(30), flow).expect("trains"), losses[..4]);
    assert_eq!(seen, losses[..4]);
    let few = examples.rows(&(0..40).collect::<Vec<_>>());
    let more = examples.rows(&(40..100).collect::<Vec<_>>());
    let parts = 0.4 * fitted.loss(&few.views()).expect("fits") + 0.6 * fitted.mean_loss(&more).expect("fits");
    assert!((fitted.mean_loss(&examples).expect("fits") - parts).abs() < 1e-6 * parts);
}

#[test]
fn results_do_not_depend_on_threads() {
    let train = |threads| {
        let mut session = session(SessionOptions { threads, ..options() }, 3).expect("builds");
        session.fit(&examples(100), &Fit::epochs(2)).expect("trains");
        state(&session)
    };
    assert_eq!(train(1), train(3));
}

#[test]
fn the_search_for_a_rate_leaves_the_network_untouched() {
    let examples = examples(90);
    let mut session = session(options(), 2).expect("builds");
    session.fit(&examples, &Fit::epochs(1)).expect("trains");
    let before = (state(&session), session.learning_rate(), session.updates());
    let curve = session.find_rate(&examples, &RateSearch { steps: 60, ..RateSearch::default() }).expect("searches");
    assert_eq!((state(&session), session.learning_rate(), session.updates()), before);
    assert!(curve.rates.len() > 20 && curve.rates.is_sorted(), "{curve:?}");
    assert_eq!(curve.rates.len(), curve.losses.len());
    let suggestion = curve.suggestion().expect("the loss falls");
    assert!((1e-6..1.0).contains(&suggestion), "{suggestion}");
    // Also where it fails.
    let other = Examples::new(4).f32("x", vec![0.0; 24]).expect("whole rows");
    assert!(session.find_rate(&other, &RateSearch::default()).is_err());
    assert_eq!((state(&session), session.learning_rate(), session.updates()), before);
}

#[test]
fn a_search_with_huge_rates_ends_where_the_numbers_do() {
    let mut session = session(SessionOptions { ..options() }, 1).expect("builds");
    let before = state(&session);
    let search = RateSearch { first: 1.0, last: 1e30, divergence: f64::INFINITY, ..RateSearch::default() };
    let curve = session.find_rate(&examples(40), &search).expect("ends");
    assert!(curve.losses.iter().all(|l| l.is_finite()));
    assert_eq!(state(&session), before);
}

#[test]
fn a_memory_limit_changes_no_bit() {
    let train = |memory_limit| {
        let mut session = session(SessionOptions { memory_limit, ..options() }, 12).expect("builds");
        let losses = session.fit(&examples(100), &Fit::epochs(3)).expect("trains");
        let gradients = session.gradients(&examples(7).views()).expect("fits");
        (losses, state(&session), gradients, session.planned_bytes().0)
    };
    let free = train(None);
    for share in [70, 50] {
        let limit = free.3 * share / 100;
        let limited = train(Some(limit));
        assert!(limited.3 <= limit, "{} of {limit} bytes", limited.3);
        assert_eq!(limited.0, free.0);
        assert!(limited.1 == free.1 && limited.2 == free.2, "{share} %");
    }
    let message =
        session(SessionOptions { memory_limit: Some(1000), ..options() }, 12).expect_err("too little").to_string();
    let needed = format!("{:.3} MB", free.3 as f64 / 1e6);
    assert!(message.contains("40 examples") && message.contains("0.001 MB") && message.contains(&needed), "{message}");
}

#[test]
fn gradients_are_those_of_the_next_step_and_change_nothing() {
    let sgd = Optimizer::Sgd(Sgd::default());
    let options = SessionOptions { training: deepfit_nn::step::Training::new(sgd), ..options() }.learning_rate(0.25);
    let (examples, mut session) = (examples(20), session(options, 2).expect("builds"));
    let before = state(&session);
    let gradients = session.gradients(&examples.views()).expect("fits");
    assert_eq!(state(&session), before);
    let old = session.state_dict();
    session.step(&examples.views()).expect("fits");
    assert_eq!(gradients.len(), 10);
    for (name, gradient) in &gradients {
        let new = session.parameter(name).expect("is there");
        for ((old, new), g) in old[name].values.iter().zip(new).zip(&gradient.values) {
            assert!((old - 0.25 * g - new).abs() <= 1e-6 * old.abs().max(1.0), "{name}");
        }
    }
    assert_ne!(session.parameter("0.bn.running_mean"), Some(&old["0.bn.running_mean"].values[..]));
}

#[test]
fn results_beside_the_output_are_those_of_the_latest_run() {
    let scope = Scope::root();
    let fc = Linear::new(&scope.child("fc"), INPUTS, 2);
    let network = move |t: &Tracer| {
        let y = fc.forward(&t.batch("x", &[INPUTS], DType::F32))?;
        t.output("twice", &y.mul_scalar(2.0)?);
        Ok(y)
    };
    let mut session = Session::new(&scope, options(), network, |t, y| {
        losses::mse(y, &t.batch("y", &[2], DType::F32), Reduction::Mean)
    })
    .unwrap();
    assert_eq!(session.output("twice"), None);
    let (x, y) = (vec![0.5; 3 * INPUTS], vec![1.0; 3 * 2]);
    let batch = [("x", View::F32(&x)), ("y", View::F32(&y))];
    let before = session.predict(&batch[..1]).unwrap();
    let doubled = Values { shape: vec![3, 2], values: before.values.iter().map(|v| 2.0 * v).collect() };
    assert_eq!(session.output("twice"), Some(doubled.clone()));
    session.step(&batch).unwrap();
    assert_eq!(session.output("twice"), Some(doubled.clone()));
    session.loss(&batch).unwrap();
    assert_ne!(session.output("twice"), Some(doubled));
    assert_eq!(session.output("thrice"), None);
    session.step(&batch[..1]).unwrap_err();
    assert_eq!(session.output("twice"), None);
}

#[test]
fn a_checkpoint_goes_on_with_the_same_bits() {
    for optimizer in [Optimizer::Adam(Adam::default()), Optimizer::Lamb(Lamb::default())] {
        let options = || SessionOptions { threads: 1, seed: 5, ..SessionOptions::new(optimizer) };
        let data = examples(30);
        let train = |session: &mut Session| {
            for _ in 0..4 {
                session.step(&data.views()).expect("fits");
            }
        };
        let mut whole = session(options(), 2).expect("builds");
        train(&mut whole);
        let file = Scratch::new(optimizer.name());
        whole.checkpoint(&file.0).expect("is written");
        train(&mut whole);
        let mut resumed = session(options(), 2).expect("builds");
        resumed.resume(&file.0).expect("is read");
        train(&mut resumed);
        assert_eq!(state(&resumed), state(&whole), "{}", optimizer.name());
        let mut other = session(SessionOptions::new(Optimizer::Sgd(Sgd::default())), 2).expect("builds");
        let untouched = state(&other);
        let message = other.resume(&file.0).expect_err("another optimiser").to_string();
        assert!(message.contains("optimizer.exp_avg"), "{message}");
        assert_eq!(state(&other), untouched);
        whole.save(&file.0).expect("is written");
        assert!(resumed.resume(&file.0).expect_err("weights alone").to_string().contains("no checkpoint"));
    }
}

#[test]
fn weights_are_saved_and_loaded_by_name() {
    let mut first = session(options(), 1).expect("builds");
    first.step(&examples(10).views()).expect("fits");
    let file = Scratch::new("weights");
    first.save(&file.0).expect("is written");
    let mut second = session(SessionOptions { seed: 9, ..options() }, 1).expect("builds");
    assert_ne!(second.state_dict(), first.state_dict());
    second.load(&file.0).expect("is read");
    assert_eq!(second.state_dict(), first.state_dict());
    assert_eq!(second.predict(&examples(3).views()).expect("fits"), first.predict(&examples(3).views()).expect("fits"));
    assert_eq!(second.shape("out.weight"), Some(&[1, 24][..]));
    second.set_parameter("out.bias", &[0.5]).expect("fits");
    assert_eq!(second.parameter("out.bias"), Some(&[0.5][..]));

    let before = state(&second);
    let mut wrong = first.state_dict();
    wrong.insert("out.weight".to_string(), Values { shape: vec![24, 1], values: vec![0.0; 24] });
    let mut missing = first.state_dict();
    missing.remove("0.bn.running_var");
    let mut unknown = first.state_dict();
    unknown.insert("extra.weight".to_string(), Values { shape: vec![1], values: vec![0.0] });
    for (state, words) in [
        (wrong, &["`out.weight`", "[24, 1]", "[1, 24]"][..]),
        (missing, &["`0.bn.running_var`", "missing"]),
        (unknown, &["`extra.weight`", "not part"]),
    ] {
        let message = second.load_state_dict(&state).expect_err("refused").to_string();
        assert!(words.iter().all(|w| message.contains(w)), "{message}");
    }
    for (name, values, words) in [("out.bias", &[1.0, 2.0][..], "[1]"), ("out.bais", &[1.0], "out.weight")] {
        let message = second.set_parameter(name, values).expect_err("refused").to_string();
        assert!(message.contains(name) && (message.contains(words) || message.contains("0.fc")), "{message}");
    }
    assert_eq!(state(&second), before);
    std::fs::write(&file.0, b"no tensors").expect("is written");
    assert!(second.load(&file.0).expect_err("damaged").to_string().contains("safetensors"));
}

#[test]
fn files_of_half_and_double_precision_are_read() {
    use safetensors::tensor::{Dtype, TensorView};
    let scope = Scope::root();
    let line = Linear::new(&scope, 2, 1);
    let forward = move |t: &Tracer| line.forward(&t.batch("x", &[2], DType::F32));
    let loss = |_: &Tracer, y: &deepfit_graph::Tensor| Ok(y.mean()?);
    let mut session = Session::new(&scope, options(), forward, loss).expect("builds");
    let f64s: Vec<u8> = [0.75f64, -3.5].iter().flat_map(|v| v.to_le_bytes()).collect();
    for (dtype, bytes, expected) in [
        (Dtype::F16, [0x3e00u16, 0xc700, 0x3c00].map(u16::to_le_bytes), [1.5, -7.0, 1.0]),
        (Dtype::F16, [0x0001, 0x8400, 0x0000].map(u16::to_le_bytes), [5.960_464_5e-8, -6.103_515_6e-5, 0.0]),
        (Dtype::BF16, [0x3fc0, 0xc0e0, 0x3f80].map(u16::to_le_bytes), [1.5, -7.0, 1.0]),
    ] {
        let (weight, bias) = (bytes[..2].concat(), bytes[2].to_vec());
        let tensors = [
            ("weight", TensorView::new(dtype, vec![1, 2], &weight).expect("whole")),
            ("bias", TensorView::new(dtype, vec![1], &bias).expect("whole")),
            ("bn.num_batches_tracked", TensorView::new(Dtype::I64, vec![], &[0; 8]).expect("whole")),
        ];
        let file = Scratch::new(&format!("half-{dtype:?}"));
        std::fs::write(&file.0, safetensors::serialize(tensors, None).expect("serialises")).expect("is written");
        session.load(&file.0).expect("is read");
        let found = [session.parameter("weight").expect("is there"), session.parameter("bias").expect("is there")];
        assert_eq!(found.concat(), expected);
    }
    let bias = 2f64.to_le_bytes();
    let tensors = [
        ("weight", TensorView::new(Dtype::F64, vec![1, 2], &f64s).expect("whole")),
        ("bias", TensorView::new(Dtype::F64, vec![1], &bias).expect("whole")),
    ];
    let file = Scratch::new("double");
    std::fs::write(&file.0, safetensors::serialize(tensors, None).expect("serialises")).expect("is written");
    session.load(&file.0).expect("is read");
    assert_eq!(session.parameter("weight"), Some(&[0.75, -3.5][..]));
}

#[test]
fn a_tied_parameter_is_trained_and_saved_once() {
    let scope = Scope::root();
    scope.tie("head.weight", "words.weight").expect("in time");
    let words = Embedding::new(&scope.child("words"), 5, 4);
    let head = Linear::without_bias(&scope.child("head"), 4, 5, Init::default_weight());
    let mut session = Session::new(
        &scope,
        options(),
        move |t| head.forward(&words.forward(&t.batch("word", &[], DType::I32))?),
        |t, logits| losses::cross_entropy(logits, &t.batch("next", &[], DType::I32), &Default::default()),
    )
    .expect("builds");
    let batch = [("word", View::I32(&[0, 1, 2, 3, 4])), ("next", View::I32(&[1, 2, 3, 4, 0]))];
    let first = session.step(&batch).expect("fits");
    for _ in 0..200 {
        session.step(&batch).expect("fits");
    }
    assert!(session.step(&batch).expect("fits") < first);
    assert_eq!(session.state_dict().keys().collect::<Vec<_>>(), ["words.weight"]);
    assert_eq!(session.parameter("head.weight"), session.parameter("words.weight"));
    // As PyTorch writes it (both names), and as Hugging Face does (one of them).
    let values = Values { shape: vec![5, 4], values: vec![0.5; 20] };
    let one = |name: &str| (name.to_string(), values.clone());
    session.load_state_dict(&[one("head.weight"), one("words.weight")].into()).expect("the same twice");
    session.load_state_dict(&[one("head.weight")].into()).expect("under the other name");
    assert_eq!(session.parameter("words.weight"), Some(&[0.5; 20][..]));
    let other = Values { shape: vec![5, 4], values: vec![0.25; 20] };
    let message = session
        .load_state_dict(&[one("head.weight"), ("words.weight".to_string(), other)].into())
        .expect_err("which of the two")
        .to_string();
    assert!(message.contains("head.weight") && message.contains("words.weight"), "{message}");
}

#[test]
fn lbfgs_brings_a_small_network_to_a_minimum() {
    let scope = Scope::root();
    let line = Linear::new(&scope.child("line"), INPUTS, 1);
    let mut session = Session::new(
        &scope,
        options(),
        move |t| line.forward(&t.batch("x", &[INPUTS], DType::F32)),
        |t, y| losses::mse(y, &t.batch("y", &[1], DType::F32), Reduction::Mean),
    )
    .expect("builds");
    let (data, mut memory) = (examples(40), Memory::default());
    let settings = Lbfgs { max_iter: 30, ..Lbfgs::default() };
    let progress = session.minimise(&settings, &mut memory, &data.views()).expect("fits");
    assert!(progress.loss < progress.first_loss, "{progress:?}");
    let gradients = session.gradients(&data.views()).expect("fits");
    assert!(gradients.values().flat_map(|g| &g.values).all(|g| g.abs() < 1e-4), "{progress:?} {gradients:?}");
    assert!(session.minimise(&Lbfgs { history_size: 0, ..settings }, &mut memory, &data.views()).is_err());
}

#[test]
fn a_step_that_fails_changes_nothing_and_says_why() {
    let mut session = session(options(), 1).expect("builds");
    session.step(&examples(10).views()).expect("fits");
    let before = state(&session);
    let (x, y) = ([0.5f32; 2 * INPUTS], [1.0f32, f32::NAN]);
    for (batch, words) in [
        (vec![("x", View::F32(&x[..])), ("y", View::F32(&y[..]))], &["the input `y` holds", "number 1"][..]),
        (vec![("x", View::F32(&x[..]))], &["`y`", "missing"]),
        (vec![("x", View::F32(&x[..7])), ("y", View::F32(&y[..]))], &["`x`", "[batch, 6]", "7"]),
        (vec![("x", View::F32(&x[..])), ("y", View::F32(&x[..3]))], &["`y`", "3", "2"]),
        (vec![("x", View::I32(&[1; 12])), ("y", View::F32(&y[..]))], &["`x`", "i32", "f32"]),
    ] {
        let message = session.step(&batch).expect_err("refused").to_string();
        assert!(words.iter().all(|w| message.contains(w)), "{message}");
        assert_eq!(state(&session), before);
    }
    let many = examples(41);
    assert!(session.step(&many.views()).expect_err("more than planned").to_string().contains("41"));
}

#[test]
fn networks_that_cannot_be_trained_are_refused_where_they_are_built() {
    let scope = Scope::root();
    let line = scope.parameter("line", &[INPUTS, 2], Init::Ones, Role::Weight);
    let build = |options: SessionOptions, wide: usize, undeclared: bool| {
        let line = line.clone();
        let forward = move |t: &Tracer| {
            let y = t.batch("x", &[wide], DType::F32).matmul(&line.on(t)?)?;
            Ok(if undeclared { y.add(&t.parameter("stray", [2])?)? } else { y })
        };
        let loss =
            |t: &Tracer, y: &deepfit_graph::Tensor| losses::mse(y, &t.batch("y", &[2], DType::F32), Reduction::Mean);
        Session::new(&scope, options, forward, loss).map(|_| ())
    };
    build(options(), INPUTS, false).expect("builds");
    let frozen = || {
        let mut options = options();
        options.training.frozen.insert("line".to_string());
        options
    };
    for (result, words) in [
        (build(options(), 5, false), &["[batch, 5]", "[6, 2]"][..]),
        (build(options(), INPUTS, true), &["`stray`", "declared"]),
        (build(frozen(), INPUTS, false), &["no parameter to train"]),
        (build(options().batch(0), INPUTS, false), &["batch"]),
        (build(options().learning_rate(f64::NAN), INPUTS, false), &["learning_rate"]),
    ] {
        let message = result.expect_err("refused").to_string();
        assert!(words.iter().all(|w| message.contains(w)), "{message}");
    }
    // A tensor that was kept from another graph.
    let (own, kept) = (Scope::root(), std::sync::Mutex::new(None));
    let weight = own.parameter("w", &[2], Init::Ones, Role::Weight);
    let forward = move |t: &Tracer| {
        let mut kept = kept.lock().expect("one thread");
        let w = weight.on(t)?;
        Ok(kept.get_or_insert_with(|| w.clone()).mul(&t.batch("x", &[2], DType::F32))?)
    };
    let message = Session::new(&own, options(), forward, |_, y| Ok(y.mean()?)).expect_err("two graphs").to_string();
    assert!(message.contains("different graphs"), "{message}");
}

#[test]
fn examples_that_do_not_fit_are_refused() {
    assert!(Examples::new(3).f32("x", vec![0.0; 7]).expect_err("no rows").to_string().contains("7 values"));
    assert!(Examples::new(0).f32("x", Vec::new()).is_err());
    let twice = Examples::new(1).u8("x", vec![1, 2]).and_then(|e| e.i32("x", vec![1]));
    assert!(twice.expect_err("twice").to_string().contains("twice"));
    assert_eq!(examples(5).rows(&[4, 9, 0]).len(), 2);
}

#[test]
fn the_average_of_the_weights_predicts_and_is_saved() {
    let mut options = options();
    options.training.moving_average = Some(MovingAverage { decay: 0.5, warmup: false });
    let (data, mut session) = (examples(20), session(options, 1).expect("builds"));
    assert!(session.with_average(|_| ()).is_err(), "none before the first step");
    session.step(&data.views()).expect("fits");
    let first = session.state_dict();
    session.step(&data.views()).expect("fits");
    let second = session.state_dict();
    let average = session.with_average(|session| session.state_dict()).expect("is there");
    assert_eq!(session.state_dict(), second);
    for (name, values) in &average {
        let running = name.contains("running");
        for ((a, b), found) in first[name].values.iter().zip(&second[name].values).zip(&values.values) {
            let expected = if running { *b } else { (a + b) / 2.0 };
            assert!((expected - found).abs() < 1e-6, "{name}: {found} instead of {expected}");
        }
    }
}

#[test]
fn batches_may_be_smaller_and_sequences_shorter_than_planned() {
    let scope = Scope::root();
    let factor = scope.parameter("factor", &[1], Init::Ones, Role::Weight);
    let options = SessionOptions { batch: 4, sequence: 6, ..options() };
    let steps = Shape::new(&[Symbol::Batch, Symbol::Sequence]);
    let forward = move |t: &Tracer| Ok(t.input("x", steps.clone(), DType::F32).mul(&factor.on(t)?)?);
    let loss = |t: &Tracer, y: &deepfit_graph::Tensor| {
        let means = y.reduce(ReduceKind::Mean, &[1], false)?;
        losses::mse(&means, &t.batch("y", &[], DType::F32), Reduction::Mean)
    };
    let mut session = Session::new(&scope, options, forward, loss).expect("builds");
    let (x, y) = ([1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], [2.0f32, 5.0]);
    let batch = [("x", View::F32(&x)), ("y", View::F32(&y))];
    // Two rows of three steps, whose means are the targets.
    assert_eq!(session.loss(&batch).expect("fits"), 0.0);
    // The target tells the rows to a prediction, too; without it, nothing tells rows from steps.
    assert_eq!(session.predict(&batch).expect("fits").shape, [2, 3]);
    let message = session.predict(&batch[..1]).expect_err("either").to_string();
    assert!(message.contains("`x`") && message.contains("set_sequence"), "{message}");
    session.set_sequence(2);
    assert_eq!(session.predict(&batch[..1]).expect("fits").shape, [3, 2]);
    assert_eq!(session.loss(&batch).expect("fits"), 0.0);
    let message = session.loss(&[("x", View::F32(&x[..5])), ("y", View::F32(&y))]).expect_err("uneven").to_string();
    assert!(message.contains("`x`") && message.contains("[batch, sequence]"), "{message}");
    let four = [0.0f32; 4];
    let wide = session.loss(&[("x", View::F32(&[0.0; 28])), ("y", View::F32(&four))]).expect_err("longer").to_string();
    assert!(wide.contains("is 6") && wide.contains("sequences of 7"), "{wide}");
}

#[test]
fn a_gradient_that_is_not_finite_moves_no_parameter_of_its_own() {
    let build = |clip| {
        let scope = Scope::root();
        let (a, b) = (
            scope.parameter("a", &[3], Init::Ones, Role::Weight),
            scope.parameter("b", &[3], Init::Zeros, Role::Weight),
        );
        let mut options = SessionOptions::new(Optimizer::RmsProp(Default::default()));
        options.training.clip = clip;
        // The root of 0 is 0, and its slope infinite.
        let forward = move |t: &Tracer| {
            let x = t.batch("x", &[3], DType::F32);
            Ok(x.mul(&a.on(t)?)?.add(&b.on(t)?.sqrt()?)?)
        };
        Session::new(&scope, options, forward, |_, y| Ok(y.mean()?)).expect("builds")
    };
    for (clip, moves) in [(None, true), (Some(Clip::Norm(1.0)), false)] {
        let mut session = build(clip);
        let x = [1.0f32; 6];
        let message = session.step(&[("x", View::F32(&x))]).expect_err("infinite").to_string();
        assert!(message.contains("step 1") && message.contains("infinite"), "{message}");
        assert_eq!(session.parameter("b"), Some(&[0.0; 3][..]), "{clip:?}");
        assert_eq!(session.parameter("a") != Some(&[1.0; 3][..]), moves, "{clip:?}");
        assert_eq!(session.updates(), 0);
    }
}
