//! Tables, bags, gates and slopes against PyTorch, and updates of single rows.

use deepfit_graph::interpret::Environment;
use deepfit_graph::ops::BagMode;
use deepfit_graph::passes::optimise;
use deepfit_graph::{DType, Extents, Graph, Mode, Reference, Shape, Symbol, Tracer, gradients, interpret};
use deepfit_nn::layers::*;
use deepfit_nn::optim::{Adam, Sgd};
use deepfit_nn::step::{LEARNING_RATE, LOSS, STEP, StepKind, Traced, Training, step_graph};
use deepfit_nn::{Clip, MaxNorm, Module, Optimizer, Result, Scope};
use serde_json::Value;

use crate::golden::{Golden, batch_shape, close, run};
use crate::layers::{check_built, number, size};

const TOLERANCE: f64 = 1e-6;

/// The layer that a golden file describes.
fn build(scope: &Scope, config: &Value) -> Box<dyn Module> {
    let lambda = || number(config, "lambd");
    match config["layer"].as_str().expect("a class name") {
        "CELU" => Box::new(AdjustedActivation::Celu { alpha: number(config, "alpha") }),
        "ELU" => Box::new(AdjustedActivation::Elu { alpha: number(config, "alpha") }),
        "LeakyReLU" => Box::new(AdjustedActivation::LeakyRelu { negative_slope: number(config, "negative_slope") }),
        "Hardtanh" => {
            let (min_val, max_val) = (number(config, "min_val"), number(config, "max_val"));
            Box::new(AdjustedActivation::Hardtanh { min_val, max_val })
        }
        "Softshrink" => Box::new(AdjustedActivation::Softshrink { lambda: lambda() }),
        "Hardshrink" => Box::new(AdjustedActivation::Hardshrink { lambda: lambda() }),
        "Threshold" => {
            let (threshold, value) = (number(config, "threshold"), number(config, "value"));
            Box::new(AdjustedActivation::Threshold { threshold, value })
        }
        "PReLU" => Box::new(Prelu::new(scope, size(config, "num_parameters"))),
        "RReLU" => Box::new(Rrelu::with(scope, number(config, "lower"), number(config, "upper"))),
        "GLU" => Box::new(Glu::new(scope)),
        "Softmin" => Box::new(Softmax::Softmin),
        "Softmax2d" => Box::new(Softmax::Softmax2d),
        "Embedding" => {
            let norm_type = config["norm_type"].as_str().map_or(2.0, |number| number.parse().expect("a number"));
            let settings = EmbeddingConfig {
                padding_idx: config["padding_idx"].as_u64().map(|row| row as usize),
                max_norm: config["max_norm"].as_f64().map(|limit| MaxNorm { max_norm: limit as f32, norm_type }),
                scale_grad_by_freq: config["scale_grad_by_freq"] == true,
                init: None,
            };
            let (rows, width) = (size(config, "num_embeddings"), size(config, "embedding_dim"));
            Box::new(Embedding::configured(scope, rows, width, settings))
        }
        other => panic!("no layer for {other}"),
    }
}

fn check_all(prefix: &str, count: usize) {
    let goldens = Golden::all(&format!("layer-{prefix}"));
    assert_eq!(goldens.len(), count, "cases that begin with {prefix}");
    goldens.iter().for_each(|golden| check_built(golden, build));
}

#[test]
fn activations_with_settings_equal_pytorchs() {
    check_all("adjusted", 7);
    check_all("rectifier", 3);
    check_all("gate", 1);
    check_all("rows", 2);
}

#[test]
fn a_padding_row_gets_no_gradient() {
    check_all("table-padded", 1);
    let scope = Scope::root();
    Embedding::padded(&scope, 4, 3, 1);
    let values = scope.declarations()[0].values(7);
    assert_eq!(values[3..6], [0.0; 3]);
    assert!(values[..3].iter().chain(&values[6..]).all(|&v| v != 0.0));
}

#[test]
fn look_ups_scaled_by_frequency_or_norm_equal_pytorchs() {
    check_all("table-frequency", 2);
    check_all("table-limited", 4);
}

#[test]
fn bags_equal_pytorchs() {
    let goldens = Golden::all("bag-");
    assert_eq!(goldens.len(), 14);
    for golden in &goldens {
        let mode = match golden.config["mode"].as_str().expect("a mode") {
            "sum" => BagMode::Sum,
            "mean" => BagMode::Mean,
            _ => BagMode::Max,
        };
        let scope = Scope::root();
        let layer = match golden.config["padding_idx"].as_u64() {
            Some(padding) => EmbeddingBag::padded(&scope, 7, 3, mode, padding as usize),
            None => EmbeddingBag::new(&scope, 7, 3, mode),
        };
        let last = golden.config["include_last_offset"] == true;
        let layer = if last { layer.include_last_offset() } else { layer };
        let tracer = Tracer::new(Mode::Train);
        let mut given = Environment::new();
        let mut input = |name: &str, dtype| {
            let (_, array) = golden.under(name).into_iter().find(|(rest, _)| rest.is_empty())?;
            given.insert(name.to_string(), array.clone());
            Some(tracer.input(name, &array.shape[..], dtype))
        };
        let numbers = input("input", DType::I32).expect("row numbers");
        let (offsets, weights) = (input("offsets", DType::I32), input("weights", DType::F32));
        let upstream = input("upstream", DType::F32).expect("a gradient");
        let y = layer.of(&numbers, offsets.as_ref(), weights.as_ref()).expect("the layer fits");
        let mut wanted = vec![scope.declarations()[0].parameter().on(&tracer).expect("a table")];
        wanted.extend(weights);
        let loss = y.mul(&upstream).and_then(|l| l.sum()).expect("a scalar");
        let found = gradients(&loss, &wanted).expect("gradients");
        let mut parameters = Environment::from([("weight".to_string(), golden.get("param.weight").clone())]);
        let values = interpret::run(&tracer.graph(), Extents::batch(1), &given, &mut parameters).expect("runs");
        golden.compare("output", values.get(y.value()), TOLERANCE);
        for (name, gradient) in ["grad.weight", "grad.weights"].into_iter().zip(&found) {
            golden.compare(name, values.get(gradient.value()), TOLERANCE);
        }
    }
}

#[test]
fn random_slopes_lie_between_their_limits_and_change_from_step_to_step() {
    let layer = Rrelu::with(&Scope::root(), 0.25, 0.5);
    let slopes = |step: f64| {
        let tracer = Tracer::new(Mode::Train);
        let x = tracer.input("x", [1000], DType::F32);
        let y = layer.forward(&x).expect("it fits");
        let given = Environment::from([
            ("x".to_string(), Reference::full(&[1000], -1.0)),
            ("random_key".to_string(), Reference::new(&[4], vec![1.0, 2.0, step, 0.0])),
        ]);
        let none = &mut Environment::new();
        let values = interpret::run(&tracer.graph(), Extents::batch(1), &given, none).expect("runs");
        values.get(y.value()).data.iter().map(|y| -y).collect::<Vec<f64>>()
    };
    let first = slopes(1.0);
    assert!(first.iter().all(|s| (0.25..=0.5).contains(s)));
    let mean = first.iter().sum::<f64>() / 1000.0;
    assert!((mean - 0.375).abs() < 0.01, "{mean}");
    assert_eq!(first, slopes(1.0));
    assert_ne!(first, slopes(2.0));
}

#[test]
fn gates_multiply_the_first_half_by_a_function_of_the_second() {
    let scope = Scope::root();
    for (gate, expected) in [
        (Glu::swiglu(&scope), [3.0 * 2.0 / (1.0 + (-2f64).exp()), -5.0 / (1.0 + 1f64.exp())]),
        (Glu::reglu(&scope), [6.0, 0.0]),
        (Glu::geglu(&scope), [3.0 * 1.954_499_736_103_642, 5.0 * -0.158_655_253_931_457]),
        (Glu::bilinear(&scope), [6.0, -5.0]),
    ] {
        let tracer = Tracer::new(Mode::Evaluate);
        let x = tracer.input("x", [4], DType::F32);
        let y = gate.forward(&x).expect("four is even");
        let given = Environment::from([("x".to_string(), Reference::new(&[4], vec![3.0, 5.0, 2.0, -1.0]))]);
        let none = &mut Environment::new();
        let values = interpret::run(&tracer.graph(), Extents::batch(1), &given, none).expect("runs");
        close("gate", values.get(y.value()), &Reference::new(&[2], expected.to_vec()), TOLERANCE);
    }
    let x = Tracer::new(Mode::Evaluate).input("x", [3], DType::F32);
    let told = Glu::new(&scope.child("gate")).forward(&x).expect_err("three is odd").to_string();
    assert!(told.contains("gate: glu") && told.contains("[3]"), "{told}");
}

/// A step on the sum of looked-up rows times given numbers.
fn table_step(training: &Training, kind: StepKind) -> Result<Graph> {
    let scope = Scope::root();
    let table = Embedding::new(&scope, 9, 4);
    step_graph(&scope.declarations(), training, kind, |tracer| {
        let numbers = tracer.input("numbers", Shape::new(&[Symbol::Batch]), DType::I32);
        let upstream = tracer.input("upstream", Shape::batch_of(&[4]), DType::F32);
        let loss = table.forward(&numbers)?.mul(&upstream)?.sum()?;
        Ok(Traced { loss, outputs: Vec::new() })
    })
}

fn rows_only(optimizer: Optimizer) -> Training {
    Training { rows_only: ["weight".to_string()].into(), ..Training::new(optimizer) }
}

#[test]
fn updates_of_single_rows_equal_pytorchs() {
    for golden in [Golden::read("rows-sparse-adam"), Golden::read("rows-sgd")] {
        let optimizer = match golden.config["optimizer"].as_str().expect("a class name") {
            "SGD" => Optimizer::Sgd(Sgd::default()),
            _ => {
                let beta = |i: usize| golden.config["betas"][i].as_f64().expect("a number");
                Optimizer::AdamW(Adam { betas: (beta(0), beta(1)), eps: golden.number("eps"), ..Adam::default() })
            }
        };
        let graph = table_step(&rows_only(optimizer), StepKind::Plain).expect("it fits");
        let initial = golden.get("initial");
        let mut parameters = Environment::from([("weight".to_string(), initial.clone())]);
        for kind in optimizer.state_kinds() {
            parameters.insert(format!("optimizer.{kind}.weight"), Reference::full(&initial.shape, 0.0));
        }
        let at = |name: &str, step: usize| {
            let array = golden.get(name);
            let n: usize = array.shape[1..].iter().product();
            Reference::new(&array.shape[1..], array.data[step * n..][..n].to_vec())
        };
        for step in 0..10 {
            let given = Environment::from([
                ("numbers".to_string(), at("numbers", step)),
                ("upstream".to_string(), at("upstream", step)),
                (LEARNING_RATE.to_string(), Reference::full(&[], golden.number("lr"))),
                (STEP.to_string(), Reference::full(&[], (step + 1) as f64)),
            ]);
            assert!(run(&graph, 5, &given, &mut parameters).contains_key(LOSS));
            close(&format!("{} step {step}", golden.name), &parameters["weight"], &at("after", step), TOLERANCE);
        }
    }
}

#[test]
fn a_gradient_of_single_rows_is_never_made_as_large_as_the_table() {
    let makes_table = |training: &Training| {
        let graph = optimise(&table_step(training, StepKind::Plain).expect("it fits"));
        let parameter = |kind: &str| matches!(kind, "Parameter" | "AdamRows" | "SgdRows" | "Adam");
        let nodes = graph.nodes().iter().filter(|n| !parameter(n.op.kind()));
        nodes.flat_map(|n| &n.outputs).any(|t| t.shape == Shape::from([9, 4]))
    };
    assert!(makes_table(&Training::new(Optimizer::adamw())));
    assert!(!makes_table(&rows_only(Optimizer::adamw())));
    assert!(!makes_table(&Training { clip: Some(Clip::Norm(1.0)), ..rows_only(Optimizer::adamw()) }));
}

#[test]
fn a_table_that_is_looked_up_in_twice_gets_both_gradients() {
    let scope = Scope::root();
    let table = Embedding::new(&scope, 3, 1);
    let training = rows_only(Optimizer::Sgd(Sgd::default()));
    let graph = step_graph(&scope.declarations(), &training, StepKind::Plain, |tracer| {
        let list = |name| tracer.input(name, Shape::new(&[Symbol::Batch]), DType::I32);
        let (a, b) = (table.forward(&list("a"))?.sum()?, table.forward(&list("b"))?.sum()?);
        Ok(Traced { loss: a.add(&b.mul_scalar(10.0)?)?, outputs: Vec::new() })
    })
    .expect("it fits");
    let list = |values: [f64; 2]| Reference::new(&[2], values.to_vec());
    let given = Environment::from([
        ("a".to_string(), list([0.0, 2.0])),
        ("b".to_string(), list([2.0, 2.0])),
        (LEARNING_RATE.to_string(), Reference::full(&[], 1.0)),
        (STEP.to_string(), Reference::full(&[], 1.0)),
    ]);
    let mut parameters = Environment::from([("weight".to_string(), Reference::full(&[3, 1], 0.0))]);
    run(&graph, 2, &given, &mut parameters);
    assert_eq!(parameters["weight"].data, [-1.0, 0.0, -21.0]);
}

#[test]
fn limits_of_gradients_of_single_rows_are_those_of_whole_ones() {
    let sgd = Optimizer::Sgd(Sgd::default());
    for clip in [Clip::Norm(0.5), Clip::Value(0.25)] {
        let after = |training: Training| {
            let training = Training { clip: Some(clip), ..training };
            let graph = table_step(&training, StepKind::Plain).expect("it fits");
            let given = Environment::from([
                // Row 2 three times: its parts add up before they are limited.
                ("numbers".to_string(), Reference::new(&[5], vec![2.0, 8.0, 2.0, 0.0, 2.0])),
                (
                    "upstream".to_string(),
                    Reference::from_fn(&[5, 4], |i| (i[0] as f64 - 1.0) * 0.3 + i[1] as f64 * 0.1),
                ),
                (LEARNING_RATE.to_string(), Reference::full(&[], 1.0)),
                (STEP.to_string(), Reference::full(&[], 1.0)),
            ]);
            let mut parameters = Environment::from([("weight".to_string(), Reference::full(&[9, 4], 0.0))]);
            run(&graph, 5, &given, &mut parameters);
            parameters["weight"].clone()
        };
        close(&format!("{clip:?}"), &after(rows_only(sgd)), &after(Training::new(sgd)), 1e-12);
    }
}

#[test]
fn what_does_not_go_with_single_rows_is_refused() {
    let momentum = Optimizer::Sgd(Sgd { momentum: 0.9, ..Sgd::default() });
    let told = |training: Training, kind| table_step(&training, kind).expect_err("refused").to_string();
    assert!(told(rows_only(momentum), StepKind::Plain).contains("momentum"));
    assert!(told(rows_only(Optimizer::adamw()), StepKind::Accumulate).contains("micro-batches"));
    let unknown = Training { rows_only: ["other".to_string()].into(), ..Training::new(Optimizer::adamw()) };
    assert!(told(unknown, StepKind::Plain).contains("`other`"));

    // A table that is also multiplied by has a gradient in every row.
    let scope = Scope::root();
    let table = Embedding::new(&scope, 9, 4);
    let told = step_graph(&scope.declarations(), &rows_only(Optimizer::adamw()), StepKind::Plain, |tracer| {
        let numbers = tracer.input("numbers", Shape::new(&[Symbol::Batch]), DType::I32);
        let tied = scope.declarations()[0].parameter().on(tracer)?.permute(&[1, 0])?;
        let loss = table.forward(&numbers)?.matmul(&tied)?.sum()?;
        Ok(Traced { loss, outputs: Vec::new() })
    })
    .expect_err("refused")
    .to_string();
    assert!(told.contains("weight") && told.contains("update it densely"), "{told}");
}

#[test]
fn slopes_that_do_not_fit_the_channels_are_named() {
    let layer = Prelu::new(&Scope::root().child("act"), 3);
    let x = Tracer::new(Mode::Train).input("x", batch_shape(&Reference::full(&[2, 4], 0.0)), DType::F32);
    let told = layer.forward(&x).expect_err("3 is not 4").to_string();
    assert!(told.contains("act: prelu") && told.contains("[batch, 4]") && told.contains('3'), "{told}");
}
