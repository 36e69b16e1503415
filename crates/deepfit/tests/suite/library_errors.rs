//! What a program that defines its own networks does wrong is an error that names the layer and the shapes, before the
//! first step wherever that can be known then.

use std::cell::RefCell;

use deepfit::graph::ops::{BagMode, CtcTargets};
use deepfit::nn::NnError;
use deepfit::prelude::*;
use deepfit::train::TrainError;
use layers::{AttentionMask, BatchNorm, Conv2d, Conv2dConfig, Embedding, LayerNorm, Linear, Lstm, MultiheadAttention};
use layers::{EmbeddingBag, MultiheadAttentionConfig, RecurrentConfig, Sequences};

type Built = deepfit::nn::Result<Tensor>;

fn options() -> SessionOptions {
    SessionOptions { threads: 1, ..SessionOptions::new(Optimizer::adamw()).batch(4) }
}

/// A session whose loss is the mean square of what the network gives.
fn session(scope: &Scope, network: impl Fn(&Tracer) -> Built + 'static) -> Result<Session, TrainError> {
    Session::new(scope, options(), network, |_, y| Ok(y.square()?.mean()?))
}

#[track_caller]
fn says(error: impl std::fmt::Display, words: &[&str]) {
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

/// What building the network must say.
#[track_caller]
fn refused(scope: &Scope, network: impl Fn(&Tracer) -> Built + 'static, words: &[&str]) {
    says(session(scope, network).expect_err("must not be built"), words);
}

#[test]
fn layers_that_do_not_fit_are_refused_when_the_network_is_built() {
    let scope = Scope::root();
    let body = Linear::new(&scope.child("body"), 4, 8);
    let head = Linear::new(&scope.child("head"), 9, 2);
    let forward = move |t: &Tracer| head.forward(&body.forward(&t.batch("x", &[4], DType::F32))?);
    refused(&scope, forward, &["head: ", "[batch, 8]", "[2, 9]"]);

    let scope = Scope::root();
    let conv = Conv2d::new(&scope.child("stem.conv"), 1, 16, Conv2dConfig::square(3));
    let forward = move |t: &Tracer| conv.forward(&t.batch("x", &[8, 8, 3], DType::F32));
    refused(&scope, forward, &["stem.conv: conv2d", "[batch, 8, 8, 3]", "[16, 1, 3, 3]"]);

    let scope = Scope::root();
    let norm = BatchNorm::new(&scope.child("bn"), 5);
    let forward = move |t: &Tracer| norm.forward(&t.batch("x", &[4], DType::F32));
    refused(&scope, forward, &["bn: ", "[batch, 4]", "[5]"]);

    let scope = Scope::root();
    let norm = LayerNorm::new(&scope.child("ln"), 5);
    let forward = move |t: &Tracer| norm.forward(&t.batch("x", &[4], DType::F32));
    refused(&scope, forward, &["ln", "[batch, 4]", "[5]"]);

    let scope = Scope::root();
    let rnn = Lstm::new(&scope.child("rnn"), 4, 8, RecurrentConfig::default()).unwrap();
    let forward = move |t: &Tracer| rnn.forward(&t.batch("x", &[6, 3], DType::F32));
    refused(&scope, forward, &["rnn: ", "[batch, 6, 3]", "[32, 4]"]);
}

#[test]
fn a_target_that_does_not_fit_the_output_is_refused_when_the_session_is_built() {
    let scope = Scope::root();
    let line = Linear::new(&scope.child("line"), 4, 3);
    let error = Session::new(
        &scope,
        options(),
        move |t| line.forward(&t.batch("x", &[4], DType::F32)),
        |t, y| losses::mse(y, &t.batch("y", &[2], DType::F32), losses::Reduction::Mean),
    );
    says(error.expect_err("must not be built"), &["mse", "[batch, 3]", "[batch, 2]"]);
}

#[test]
fn batches_that_do_not_fit_name_the_input_and_its_shape() {
    let scope = Scope::root();
    let line = Linear::new(&scope.child("line"), 4, 3);
    let mut session = session(&scope, move |t| line.forward(&t.batch("x", &[4], DType::F32))).unwrap();
    let mut told = |batch: &[(&str, View<'_>)]| session.step(batch).expect_err("must not run");
    says(told(&[("x", View::F32(&[0.0; 7]))]), &["`x` has 7 values", "[batch, 4]"]);
    says(told(&[("x", View::I32(&[0; 4]))]), &["`x`", "i32", "f32"]);
    says(told(&[("y", View::F32(&[0.0; 4]))]), &["`y` is asked for by nobody", "there are x"]);
    says(told(&[]), &["`x` is missing", "[batch, 4]"]);
    says(told(&[("x", View::F32(&[0.0; 20]))]), &["a batch of 5", "`batch`: is 4"]);
    says(told(&[("x", View::F32(&[]))]), &["`x` has no values", "[batch, 4]"]);
}

#[test]
fn numbers_out_of_range_name_the_layer() {
    let scope = Scope::root();
    let words = Embedding::new(&scope.child("words"), 5, 3);
    let mut session = Session::new(
        &scope,
        options(),
        move |t| words.forward(&t.batch("word", &[], DType::I32)),
        |t, y| losses::cross_entropy(y, &t.batch("class", &[], DType::I32), &losses::CrossEntropy::default()),
    )
    .unwrap();
    let before = session.state_dict();
    let mut told = |word: i32, class: i32| {
        let batch = [("word", View::I32(&[0, word])), ("class", View::I32(&[1, class]))];
        session.step(&batch).expect_err("must not run")
    };
    for word in [5, -1, i32::MAX, i32::MIN] {
        says(told(word, 0), &["`words`", "embedding", &format!("index {word} at position 1"), "0..5"]);
    }
    for class in [3, -1, i32::MAX] {
        says(told(0, class), &["cross_entropy` of layer `loss`", &format!("class number {class} of row 1"), "0..3"]);
    }
    assert_eq!(session.state_dict(), before);
}

#[test]
fn sequences_without_steps_are_refused() {
    let config = || RecurrentConfig { batch_first: true, ..RecurrentConfig::default() };
    // Known when the network is built.
    let scope = Scope::root();
    let rnn = Lstm::new(&scope.child("rnn"), 4, 8, config()).unwrap();
    let forward = move |t: &Tracer| rnn.forward(&t.batch("x", &[0, 4], DType::F32));
    refused(&scope, forward, &["rnn: ", "[batch, 0, 4]", "at least one step", "none"]);
    // Known when it runs.
    let scope = Scope::root();
    let rnn = Lstm::new(&scope.child("rnn"), 4, 8, config()).unwrap();
    let mut session = session(&scope, move |t| {
        let lengths = t.batch("lengths", &[], DType::I32);
        let given = Sequences { lengths: Some(&lengths), ..Sequences::default() };
        Ok(rnn.run(&t.batch("x", &[6, 4], DType::F32), &given)?.output)
    })
    .unwrap();
    let x = [0.5; 48];
    for length in [0, -1, 7] {
        let error = session.step(&[("x", View::F32(&x)), ("lengths", View::I32(&[6, length]))]);
        says(error.expect_err("must not run"), &["`rnn`", &format!("length {length} of row 1"), "1..=6"]);
    }
    assert!(session.step(&[("x", View::F32(&x)), ("lengths", View::I32(&[6, 1]))]).unwrap().is_finite());
}

#[test]
fn masks_that_hide_everything_are_refused_or_give_zeros_and_masks_that_do_not_fit_are_refused() {
    let attention = |scope: &Scope| MultiheadAttention::new(&scope.child("attn"), MultiheadAttentionConfig::new(8, 2));
    let masked = |allow_hidden: bool| {
        let scope = Scope::root();
        let attn = attention(&scope).unwrap();
        session(&scope, move |t| {
            let x = t.batch("x", &[3, 8], DType::F32);
            let mask = AttentionMask::padding(&t.batch("mask", &[3], DType::U8));
            attn.attend(&x, &x, &x, &AttentionMask { allow_hidden, ..mask })
        })
        .unwrap()
    };
    let x: Vec<f32> = (0..48).map(|i| i as f32 / 48.0).collect();
    let batch = [("x", View::F32(&x)), ("mask", View::U8(&[1, 1, 1, 0, 0, 1]))];
    let mut strict = masked(false);
    let before = strict.state_dict();
    for told in [strict.predict(&batch).unwrap_err(), strict.step(&batch).unwrap_err()] {
        says(told, &["layer `attn`", "query 0 of example 0", "allow_hidden"]);
    }
    assert_eq!(strict.state_dict(), before);
    let mut open = masked(true);
    let bias = open.parameter("attn.out_proj.bias").unwrap().to_vec();
    let found = open.predict(&batch).unwrap().values;
    assert!(found[..24].chunks(8).all(|row| row == bias) && found[24..].iter().all(|v| v.is_finite()));
    assert!(open.step(&batch).unwrap().is_finite());

    let scope = Scope::root();
    let attn = attention(&scope).unwrap();
    let forward = move |t: &Tracer| {
        let x = t.batch("x", &[3, 8], DType::F32);
        attn.attend(&x, &x, &x, &AttentionMask::padding(&t.batch("mask", &[4], DType::U8)))
    };
    refused(&scope, forward, &["attn: ", "mask", "4", "3"]);
}

#[test]
fn more_keys_than_there_are_are_refused_beside_keys_of_the_layers_own() {
    let scope = Scope::root();
    let config = MultiheadAttentionConfig { add_zero_attn: true, ..MultiheadAttentionConfig::new(8, 2) };
    let attn = MultiheadAttention::new(&scope.child("attn"), config).unwrap();
    let mut session = session(&scope, move |t| {
        let x = t.batch("x", &[3, 8], DType::F32);
        let lengths = Some(t.batch("lengths", &[], DType::I32));
        attn.attend(&x, &x, &x, &AttentionMask { lengths, ..AttentionMask::default() })
    })
    .unwrap();
    let x: Vec<f32> = (0..48).map(|i| i as f32 / 48.0).collect();
    let mut of = |length: i32| session.step(&[("x", View::F32(&x)), ("lengths", View::I32(&[3, length]))]);
    for length in [-1, 4, i32::MAX] {
        says(of(length).expect_err("must not run"), &["`attn.lengths`", &format!("index {length} at"), "0..4"]);
    }
    assert!(of(0).unwrap().is_finite() && of(3).unwrap().is_finite());
}

#[test]
fn numbers_of_no_bag_are_refused() {
    for mode in [BagMode::Sum, BagMode::Mean, BagMode::Max] {
        let scope = Scope::root();
        let bag = EmbeddingBag::new(&scope.child("bag"), 5, 3, mode);
        let network = move |t: &Tracer| {
            let numbers = t.input("numbers", [4], DType::I32);
            bag.of(&numbers, Some(&t.constant(HostTensor::i32(&[0], Vec::new()))), None)
        };
        let mut session = session(&scope, network).unwrap();
        let error = session.step(&[("numbers", View::I32(&[0, 1, 2, 3]))]);
        says(error.expect_err("must not run"), &["`bag`", "4 row numbers, but no offset"]);
    }
}

#[test]
fn impossible_probabilities_are_refused_whether_the_network_learns_or_not() {
    for probability in [-1.0, 1.5, f32::NAN] {
        for mode in [Mode::Train, Mode::Evaluate] {
            let tracer = Tracer::new(mode);
            let x = tracer.batch("x", &[4], DType::F32);
            let error = layers::Dropout::new(&Scope::root().child("drop"), probability).forward(&x);
            says(error.expect_err("must not be built"), &["drop: `probability`", &probability.to_string(), "0 to 1"]);
        }
    }
}

#[test]
fn labels_that_need_more_frames_are_refused_or_told() {
    let ctc = |labels: usize, lengths: bool| {
        let scope = Scope::root();
        let line = Linear::new(&scope.child("line"), 4, 5);
        Session::new(
            &scope,
            options(),
            move |t| Ok(line.forward(&t.batch("x", &[3, 4], DType::F32))?.log_softmax()?),
            move |t, y| {
                let wanted = t.batch("labels", &[labels], DType::I32);
                let number = t.batch("number", &[], DType::I32);
                let target_lengths = lengths.then_some(&number);
                let targets = CtcTargets { labels: &wanted, input_lengths: None, target_lengths };
                losses::ctc(y, targets, &losses::Ctc::default())
            },
        )
    };
    // More labels than frames: known when the session is built.
    says(ctc(4, false).expect_err("must not be built"), &["loss: ctc", "4 labels", "[batch, 4]", "[batch, 3, 5]"]);
    // With lengths, or with labels that repeat and need a blank between, when it runs.
    let x = [0.1; 12];
    let mut session = ctc(4, true).unwrap();
    let mut step = |labels: &[i32], number: i32| {
        let number = [number];
        let batch = [("x", View::F32(&x)), ("labels", View::I32(labels)), ("number", View::I32(&number))];
        session.step(&batch)
    };
    assert!(step(&[1, 2, 3, 4], 3).unwrap().is_finite());
    let long = ["`ctc` of layer `loss`", "more frames than an example has", "zero_infinity"];
    says(step(&[1, 2, 3, 4], 4).expect_err("4 labels"), &long);
    says(step(&[1, 1, 2, 3], 3).expect_err("repeated"), &long);
    says(step(&[1, 2, 3, 4], 5).expect_err("5 of 4"), &["`loss`", "5", "4"]);
    says(step(&[1, 9, 3, 4], 3).expect_err("no class"), &["`loss`", "9", "5"]);
}

#[test]
fn layers_in_two_graphs_are_told_apart() {
    // One layer in two sessions is fine, and with an input that does not fit, refused.
    let scope = Scope::root();
    let shared = Linear::new(&scope.child("shared"), 4, 3);
    let (first, second, third) = (shared.clone(), shared.clone(), shared);
    let mut a = session(&scope, move |t| first.forward(&t.batch("x", &[4], DType::F32))).unwrap();
    let mut b = session(&scope, move |t| second.forward(&t.batch("x", &[7, 4], DType::F32))).unwrap();
    a.step(&[("x", View::F32(&[1.0; 4]))]).unwrap();
    b.step(&[("x", View::F32(&[1.0; 28]))]).unwrap();
    refused(&scope, move |t| third.forward(&t.batch("x", &[5], DType::F32)), &["shared: ", "[batch, 5]", "[3, 4]"]);

    // Two layers of other shapes at one place.
    let scope = Scope::root();
    let one = Linear::new(&scope.child("place"), 4, 4);
    let other = Linear::new(&scope.child("place"), 4, 3);
    let forward = move |t: &Tracer| other.forward(&one.forward(&t.batch("x", &[4], DType::F32))?);
    refused(&scope, forward, &["`place.weight`", "[4, 4]", "[3, 4]", "twice"]);

    // A value that was kept from another graph.
    let scope = Scope::root();
    let line = Linear::new(&scope.child("line"), 4, 3);
    let kept: RefCell<Option<Tensor>> = RefCell::default();
    let forward = move |t: &Tracer| {
        let y = line.forward(&t.batch("x", &[4], DType::F32))?;
        let before = kept.borrow_mut().get_or_insert_with(|| y.clone()).clone();
        t.in_layer("memory", || Ok(y.add(&before)?))
    };
    refused(&scope, forward, &["memory: add", "[batch, 3] and [batch, 3]", "different graphs"]);
}

#[test]
fn a_network_without_end_is_refused() {
    let scope = Scope::root();
    let line = Linear::new(&scope.child("loop.line"), 4, 4);
    let forward = move |t: &Tracer| -> Built {
        let mut x = t.batch("x", &[4], DType::F32);
        for _ in 0..1_000_000 {
            x = line.forward(&x)?;
        }
        Ok(x)
    };
    let error = session(&scope, forward).expect_err("must not be built");
    assert!(matches!(&error, TrainError::Network(NnError::Graph(_))), "{error:?}");
    says(error, &["loop.line: ", "500000 nodes", "fewer steps or layers"]);
}

#[test]
fn results_of_any_type_are_read_as_numbers() {
    let scope = Scope::root();
    let line = Linear::new(&scope.child("line"), 4, 3);
    let forward = move |t: &Tracer| {
        let x = t.batch("x", &[4], DType::F32);
        let y = line.forward(&x)?;
        t.output("class", &y.argmax()?);
        t.output("itself", &x);
        Ok(y)
    };
    let mut session = session(&scope, forward).unwrap();
    let x = [0.5, -1.0, 2.0, 0.25, 1.0, 1.0, -2.0, 0.0];
    let scores = session.predict(&[("x", View::F32(&x))]).unwrap().values;
    let best = |row: &[f32]| (0..3).fold(0, |best, i| if row[i] > row[best] { i } else { best }) as f32;
    let class = session.output("class").unwrap();
    assert_eq!((class.shape, class.values), (vec![2], scores.chunks(3).map(best).collect()));
    assert_eq!(session.output("itself").unwrap().values, x);

    // A network without parameters, in evaluation only its input.
    let scope = Scope::root();
    let mut identity = Session::inference(&scope, options(), |t| Ok(t.batch("x", &[4], DType::F32))).unwrap();
    assert_eq!(identity.predict(&[("x", View::F32(&x))]).unwrap().values, x);
}

#[test]
fn mistakes_in_calls_without_errors_are_told_when_the_session_is_built() {
    let line = |scope: &Scope| Linear::new(&scope.child("line"), 4, 3);
    let scope = Scope::root();
    let one = line(&scope);
    let forward = move |t: &Tracer| {
        t.batch("x", &[5], DType::F32);
        one.forward(&t.batch("x", &[4], DType::F32))
    };
    refused(&scope, forward, &["`x` is used twice", "[batch, 5]", "[batch, 4]"]);
    let scope = Scope::root();
    let one = line(&scope);
    let forward = move |t: &Tracer| {
        let y = one.forward(&t.batch("x", &[4], DType::F32))?;
        t.output("extra", &y);
        t.output("extra", &y);
        Ok(y)
    };
    refused(&scope, forward, &["`extra` is used twice", "outputs"]);
    let scope = Scope::root();
    let wide = Linear::new(&scope.child("wide"), 4, 1 << 62);
    refused(
        &scope,
        move |t| wide.forward(&t.batch("x", &[4], DType::F32)),
        &["wide.bias", "[4611686018427387904]", "GB"],
    );
}
