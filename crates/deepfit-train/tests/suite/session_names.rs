//! Names and sizes that programs choose for themselves: none collides with the session's own, and what cannot be is told.

use std::path::PathBuf;
use std::time::Instant;

use deepfit_cpu::View;
use deepfit_graph::{DType, Mode, Shape, Tensor, Tracer};
use deepfit_nn::layers::{BatchNorm, BatchNormConfig, Linear};
use deepfit_nn::losses::{self, Reduction};
use deepfit_nn::optim::Sgd;
use deepfit_nn::step::{GRADIENT_NORM, LOSS, OUTPUT, RESERVED};
use deepfit_nn::{Clip, Init, Module, Optimizer, Role, Scope};
use deepfit_train::{Session, SessionOptions, TrainError};
use safetensors::tensor::{Dtype, TensorView};

fn options() -> SessionOptions {
    SessionOptions { threads: 1, ..SessionOptions::new(Optimizer::Sgd(Sgd::default())) }.learning_rate(0.5).batch(4)
}

#[track_caller]
fn says(found: Result<impl Sized, TrainError>, words: &[&str]) {
    let Err(error) = found else { panic!("must be refused: {words:?}") };
    let told = error.to_string();
    for word in words {
        assert!(told.contains(word), "`{told}` does not say `{word}`");
    }
}

/// `w * x` of an input of the given name, its mean as the loss, and both as further outputs.
fn product(input: &'static str, loss: &'static str, output: &'static str) -> Result<Session, TrainError> {
    let scope = Scope::root();
    let w = scope.parameter("w", &[1], Init::Constant(3.0), Role::Weight);
    Session::new(
        &scope,
        SessionOptions {
            training: deepfit_nn::step::Training { clip: Some(Clip::Norm(1e9)), ..options().training },
            ..options()
        },
        move |t| {
            let y = t.batch(input, &[1], DType::F32).mul(&w.on(t)?)?;
            t.output(output, &y.mul_scalar(10.0)?);
            Ok(y)
        },
        move |t, y| {
            let mean = y.mean()?;
            t.output(loss, &mean.mul_scalar(100.0)?);
            Ok(mean)
        },
    )
}

#[test]
fn inputs_and_outputs_may_have_any_ordinary_name() {
    for name in ["learning_rate", "step", "loss_scale", "keep"] {
        let mut session = product(name, "loss", "output").unwrap();
        let batch = [(name, View::F32(&[2.0, 4.0]))];
        assert_eq!(session.predict(&batch).unwrap().values, [6.0, 12.0], "{name}");
        assert_eq!(session.output("output").unwrap().values, [60.0, 120.0]);
        assert_eq!(session.step(&batch).unwrap(), 9.0, "{name}");
        let read = |name: &str| session.output(name).unwrap().values;
        assert_eq!(
            (&read("loss")[..], &read(LOSS)[..], &read(GRADIENT_NORM)[..]),
            (&[900.0][..], &[9.0][..], &[3.0][..])
        );
        // The rate is that of the options.
        assert_eq!(session.parameter("w"), Some(&[3.0 - 0.5 * 3.0][..]));
    }
}

#[test]
fn names_of_the_session_are_refused_by_name() {
    for (input, loss, output) in [("step:learning_rate", "l", "o"), ("x", LOSS, "o"), ("x", "l", OUTPUT)] {
        says(product(input, loss, output), &["choose another", RESERVED]);
    }
    says(product("random_key", "l", "o"), &["`random_key`", "choose another"]);
    let mut session = product("x", "l", "o").unwrap();
    for name in ["step:learning_rate", "step:anything", "random_key"] {
        let batch = [("x", View::F32(&[1.0])), (name, View::F32(&[1.0]))];
        says(session.step(&batch), &[name, "belongs to the training step"]);
        says(session.predict(&batch), &[name]);
    }
    session.step(&[("x", View::F32(&[1.0]))]).unwrap();
}

#[test]
fn what_does_not_fit_in_a_loss_names_the_loss() {
    let build = |loss: fn(&Tracer, &Tensor) -> deepfit_nn::Result<Tensor>| {
        let scope = Scope::root();
        let line = Linear::new(&scope.child("line"), 3, 2);
        Session::new(&scope, options(), move |t| line.forward(&t.batch("x", &[3], DType::F32)), loss)
    };
    says(build(|t, y| losses::mse(y, &t.batch("y", &[5], DType::F32), Reduction::Mean)), &["loss: mse", "[batch, 5]"]);
    says(
        build(|t, y| Ok(y.matmul(&t.input("m", [3, 3], DType::F32))?.sum()?)),
        &["loss: matmul", "[batch, 2]", "[3, 3]"],
    );
    says(build(|t, y| Ok(y.add(&t.batch("y", &[7], DType::F32))?.mean()?)), &["loss: add", "[batch, 7]"]);
    // A layer in the loss keeps its own name, and its parameters theirs.
    let scope = Scope::root();
    let (line, head) = (Linear::new(&scope.child("line"), 3, 2), Linear::new(&scope.child("head"), 2, 1));
    let mut session = Session::new(
        &scope,
        options(),
        move |t| line.forward(&t.batch("x", &[3], DType::F32)),
        move |t, y| {
            t.watch("head", "output");
            Ok(head.forward(y)?.square()?.mean()?)
        },
    )
    .unwrap();
    session.step(&[("x", View::F32(&[1.0, 2.0, 3.0]))]).unwrap();
    assert_eq!(session.output("head.output").unwrap().shape, [1, 1]);
    assert!(session.parameter("head.weight").is_some());
}

#[test]
fn parameters_larger_than_the_memory_are_refused_at_once_with_gigabytes() {
    let begin = Instant::now();
    // More than is allowed anywhere, and what no limit forbids, but this machine has not.
    for (inputs, outputs, words) in [
        (1 << 20, 1usize << 40, "1000 GB are possible"),
        (usize::MAX, 4, "1000 GB are possible"),
        (1 << 18, 1 << 18, "[262144, 262144] needs 274.9 GB of memory"),
    ] {
        for inference in [false, true] {
            let scope = Scope::root();
            let line = Linear::new(&scope.child("wide"), inputs, outputs);
            let network = move |t: &Tracer| line.forward(&t.input("x", [1, inputs], DType::F32));
            let built = match inference {
                true => Session::inference(&scope, options(), network),
                false => Session::new(&scope, options(), network, |_, y| Ok(y.mean()?)),
            };
            says(built, &["wide.", " GB", words]);
        }
    }
    assert!(begin.elapsed().as_secs() < 20, "nothing of this size is made");
}

#[test]
fn a_misspelt_tie_is_refused_where_the_session_is_built() {
    let scope = Scope::root();
    scope.tie("head.wieght", "line.weight").unwrap();
    let line = Linear::new(&scope.child("line"), 2, 2);
    Linear::without_bias(&scope.child("head"), 2, 2, Init::default_weight());
    let network = move |t: &Tracer| line.forward(&t.batch("x", &[2], DType::F32));
    says(Session::inference(&scope, options(), network.clone()), &["`head.wieght`", "no layer"]);
    says(Session::new(&scope, options(), network, |_, y| Ok(y.mean()?)), &["`head.wieght`", "no layer"]);
}

fn normalised(batch: usize, config: BatchNormConfig) -> Result<Session, TrainError> {
    let scope = Scope::root();
    let norm = BatchNorm::configured(&scope.child("bn"), 2, config);
    Session::new(
        &scope,
        options().batch(batch),
        move |t| norm.forward(&t.batch("x", &[2], DType::F32)),
        |_, y| Ok(y.square()?.mean()?),
    )
}

#[test]
fn batches_of_one_cannot_train_a_batch_normalisation() {
    let config = BatchNormConfig::default();
    says(
        normalised(1, config),
        &["bn: batch_norm", "more than 1 value per channel", "[batch, 2]", "at most 1 example"],
    );
    // A smaller batch among others may be: it teaches the running variance nothing.
    let mut session = normalised(4, config).unwrap();
    session.step(&[("x", View::F32(&[1.0, 2.0, 3.0, 5.0]))]).unwrap();
    let before = session.parameter("bn.running_var").unwrap().to_vec();
    session.step(&[("x", View::F32(&[9.0, 9.0]))]).unwrap();
    assert_eq!(session.parameter("bn.running_var"), Some(&before[..]));
    // In use one row is fine, and so are many rows of one example.
    let scope = Scope::root();
    let norm = BatchNorm::new(&scope.child("bn"), 2);
    let shape = Shape::batch_of(&[3, 2]);
    Session::new(
        &scope,
        options().batch(1),
        move |t| {
            let rows = t.input("x", shape.clone(), DType::F32);
            if t.mode() == Mode::Train { norm.forward(&rows) } else { norm.forward(&rows.slice(1, 0, 1)?) }
        },
        |_, y| Ok(y.mean()?),
    )
    .unwrap();
}

#[test]
fn a_mean_over_all_batches_counts_them_as_pytorchs_files_do() {
    let config = BatchNormConfig { momentum: None, ..BatchNormConfig::default() };
    let mut session = normalised(4, config).unwrap();
    let mut means = Vec::new();
    for step in 0..5 {
        let x = [step as f32, 1.0, 3.0 * step as f32, 2.0];
        session.step(&[("x", View::F32(&x))]).unwrap();
        means.push(2.0 * step as f32);
        let mean = means.iter().sum::<f32>() / means.len() as f32;
        assert!((session.parameter("bn.running_mean").unwrap()[0] - mean).abs() < 1e-5);
        assert_eq!(session.parameter("bn.num_batches_tracked"), Some(&[step as f32 + 1.0][..]));
    }
    assert_eq!(session.shape("bn.num_batches_tracked"), Some(&[][..]));
    let path =
        |name: &str| -> PathBuf { std::env::temp_dir().join(format!("deepfit-counter-{}-{name}", std::process::id())) };
    let (own, theirs) = (path("own"), path("theirs"));
    session.save(&own).unwrap();
    let mut read = normalised(4, config).unwrap();
    read.load(&own).unwrap();
    assert_eq!(read.state_dict(), session.state_dict());
    // PyTorch counts in whole numbers, with and without momentum.
    let two: Vec<u8> = [1.5f32, 2.5].iter().flat_map(|v| v.to_le_bytes()).collect();
    let count = 7i64.to_le_bytes();
    let mut tensors: Vec<(String, TensorView<'_>)> = ["weight", "bias", "running_mean", "running_var"]
        .map(|name| (format!("bn.{name}"), TensorView::new(Dtype::F32, vec![2], &two).unwrap()))
        .into();
    tensors.push(("bn.num_batches_tracked".to_string(), TensorView::new(Dtype::I64, vec![], &count).unwrap()));
    std::fs::write(&theirs, safetensors::serialize(tensors, None).unwrap()).unwrap();
    read.load(&theirs).unwrap();
    assert_eq!(read.parameter("bn.num_batches_tracked"), Some(&[7.0][..]));
    let mut usual = normalised(4, BatchNormConfig::default()).unwrap();
    usual.load(&theirs).unwrap();
    assert_eq!(usual.parameter("bn.running_var"), Some(&[1.5, 2.5][..]));
    for file in [own, theirs] {
        std::fs::remove_file(file).unwrap();
    }
}
