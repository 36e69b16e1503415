//! What works along any axis, by index or over regions of images, against PyTorch.

use std::collections::BTreeMap;

use deepfit_graph::interpret::Environment;
use deepfit_graph::ops::{Interpolation, ScatterReduction, Window};
use deepfit_graph::{DType, Extents, Mode, Reference, Tensor, Tracer, gradients, interpret};
use deepfit_nn::layers::*;
use deepfit_nn::{Module, Result, Scope};
use serde_json::Value;

use crate::golden::Golden;
use crate::layers::pair;

const TOLERANCE: f64 = 1e-6;

fn apply(config: &Value, tensors: &BTreeMap<String, Tensor>) -> Result<Tensor> {
    let (x, get) = (&tensors["x"], |key: &str| &tensors[key]);
    let scope = Scope::root();
    Ok(match config["operation"].as_str().expect("a name") {
        "softmax-along" => Softmax::SoftmaxAlong(1).forward(x)?,
        "log-softmax-along" => Softmax::LogSoftmaxAlong(0).forward(x)?,
        "topk-along" => x.topk_along(1, 2, true)?.0,
        "sort-along" => x.sort_along(0, true)?.0,
        "glu-along" => Glu::new(&scope).along(1).forward(x)?,
        "gather-shorter" => x.gather(1, get("index"))?,
        "scatter-shorter" => x.scatter(1, get("index"), get("y"))?,
        "scatter-add-shorter" => x.scatter_add(1, get("index"), get("y"))?,
        "scatter-reduce" => {
            let reduction = match config["reduce"].as_str().expect("a reduction") {
                "sum" => ScatterReduction::Sum,
                "mean" => ScatterReduction::Mean,
                "amax" => ScatterReduction::Max,
                "amin" => ScatterReduction::Min,
                "prod" => ScatterReduction::Product,
                other => panic!("no reduction {other}"),
            };
            x.scatter_reduce(1, get("index"), get("y"), reduction, config["include_self"] == true)?
        }
        "max-unpool" => {
            let (values, places) = MaxPool2d::new(&scope, Window::of((2, 3))).pool(x)?;
            MaxUnpool2d::new(&scope, (5, 7)).unpool(&values, &places)?
        }
        "fractional" => {
            let (height, width) = pair(config, "size");
            let size = FractionalOutput::Size(height, width);
            FractionalMaxPool2d::new(&scope, pair(config, "kernel"), size).pool(x, Some(get("samples")))?.0
        }
        other => panic!("no operation {other}"),
    })
}

#[test]
fn what_works_along_axes_and_over_regions_equals_pytorchs() {
    let goldens = Golden::all("region-");
    assert_eq!(goldens.len(), 21);
    for golden in &goldens {
        let tracer = Tracer::new(Mode::Train);
        let (mut tensors, mut given) = (BTreeMap::new(), Environment::new());
        for (key, array) in golden.under("in.") {
            let dtype = if golden.is_integer(&format!("in.{key}")) { DType::I32 } else { DType::F32 };
            tensors.insert(key.clone(), tracer.input(&key, &array.shape[..], dtype));
            given.insert(key, array.clone());
        }
        let y = apply(&golden.config, &tensors).unwrap_or_else(|e| panic!("{}: {e}", golden.name));
        let upstream = golden.get("upstream");
        given.insert("upstream".to_string(), upstream.clone());
        let weights = tracer.input("upstream", &upstream.shape[..], DType::F32);
        let loss = y.mul(&weights).and_then(|l| l.sum()).expect("a scalar");
        let wanted = golden.under("grad.");
        assert!(!wanted.is_empty(), "{}", golden.name);
        let inputs: Vec<Tensor> = wanted.iter().map(|(key, _)| tensors[key].clone()).collect();
        let found = gradients(&loss, &inputs).expect("gradients");
        let none = &mut Environment::new();
        let values = interpret::run(&tracer.graph(), Extents::batch(1), &given, none).expect("the graph runs");
        golden.compare("output", values.get(y.value()), TOLERANCE);
        for ((key, _), gradient) in wanted.iter().zip(&found) {
            golden.compare(&format!("grad.{key}"), values.get(gradient.value()), TOLERANCE);
        }
    }
}

#[test]
fn the_nearest_position_is_the_one_that_pytorch_takes() {
    let golden = Golden::read("nearest");
    for (prefix, how) in [("nearest.", Interpolation::Nearest), ("nearest-exact.", Interpolation::NearestExact)] {
        let cases = golden.under(prefix);
        assert!(cases.len() > 40, "{}", cases.len());
        for (case, expected) in cases {
            let lengths = &golden.config["lengths"][case.parse::<usize>().expect("a number")];
            let inputs = lengths[0].as_u64().expect("a length") as usize;
            let x = Reference::from_fn(&[inputs], |index| index[0] as f64);
            let tracer = Tracer::new(Mode::Evaluate);
            let traced = tracer.input("x", [inputs], DType::F32);
            let y = traced.interpolate(0, expected.data.len(), lengths[2].as_f64(), how).expect("it fits");
            let given = Environment::from([("x".to_string(), x)]);
            let none = &mut Environment::new();
            let values = interpret::run(&tracer.graph(), Extents::batch(1), &given, none).expect("the graph runs");
            assert_eq!(values.get(y.value()).data, expected.data, "{prefix}{case}: {lengths}");
        }
    }
}

/// The value of what is made of `x` in a mode, and the names of the graph's inputs.
fn pooled(mode: Mode, layer: &FractionalMaxPool2d) -> (Tensor, Vec<String>) {
    let tracer = Tracer::new(mode);
    let y = layer.forward(&tracer.batch("x", &[8, 9, 3], DType::F32)).expect("it fits");
    let inputs = tracer.graph().nodes().iter().filter(|n| n.op.kind() == "Input").map(|n| n.op.name()).collect();
    (y, inputs)
}

#[test]
fn windows_at_random_distances_are_drawn_in_training_alone() {
    let layer = FractionalMaxPool2d::new(&Scope::root(), (2, 2), FractionalOutput::Ratio(0.5, 0.6));
    let (y, inputs) = pooled(Mode::Train, &layer);
    assert_eq!(
        (y.shape().to_string(), inputs),
        ("[batch, 4, 5, 3]".to_string(), vec!["x".into(), "random_key".into()])
    );
    let (_, inputs) = pooled(Mode::Evaluate, &layer);
    assert_eq!(inputs, ["x"]);
}

#[test]
fn a_value_with_more_values_than_indices_is_cut() {
    // PyTorch allows it, too, but has no derivative there.
    let tracer = Tracer::new(Mode::Train);
    let (x, y) = (tracer.input("x", [3, 3], DType::F32), tracer.input("y", [4, 5], DType::F32));
    let index = tracer.input("index", [2, 2], DType::I32);
    let sum = x.scatter_add(0, &index, &y).expect("it fits");
    let found = gradients(&sum.sum().expect("a scalar"), &[y]).expect("gradients").swap_remove(0);
    let given = Environment::from([
        ("x".to_string(), Reference::full(&[3, 3], 1.0)),
        ("y".to_string(), Reference::from_fn(&[4, 5], |i| (i[0] * 5 + i[1]) as f64)),
        ("index".to_string(), Reference::new(&[2, 2], vec![2.0, 0.0, 2.0, 1.0])),
    ]);
    let none = &mut Environment::new();
    let values = interpret::run(&tracer.graph(), Extents::batch(1), &given, none).expect("the graph runs");
    assert_eq!(values.get(sum.value()).data, [1.0, 2.0, 1.0, 1.0, 7.0, 1.0, 6.0, 1.0, 1.0]);
    let ones: Vec<usize> = (0..20).filter(|&i| values.get(found.value()).data[i] == 1.0).collect();
    assert_eq!(ones, [0, 1, 5, 6]);
}

#[test]
fn what_does_not_fit_is_named_with_its_shapes() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.batch("x", &[5, 7, 2], DType::F32);
    let scope = Scope::root().child("pool");
    let told = |result: Result<Tensor>| result.expect_err("it does not fit").to_string();
    let fractional = |kernel, size| FractionalMaxPool2d::new(&scope, kernel, size).forward(&x);
    let half = Window { padding: (1, 1), ..Window::square(2) };
    let samples = tracer.batch("samples", &[3, 2], DType::F32);
    let places = tracer.batch("places", &[5, 7, 1], DType::I32);
    let given = FractionalMaxPool2d::new(&scope, (2, 2), FractionalOutput::Size(2, 2));
    for (message, parts) in [
        (
            told(fractional((3, 3), FractionalOutput::Size(4, 2))),
            vec!["pool: fractional", "(4, 2)", "[batch, 5, 7, 2]"],
        ),
        (told(fractional((0, 3), FractionalOutput::Size(1, 2))), vec!["(0, 3)"]),
        (told(fractional((1, 1), FractionalOutput::Ratio(0.5, 1.0))), vec!["pool: `output_ratio` is 1"]),
        (told(given.pool(&x, Some(&samples)).map(|p| p.0)), vec!["[batch, 2, 2]", "[batch, 3, 2]"]),
        (told(LpPool2d::new(&scope, 0.0, Window::square(2)).forward(&x)), vec!["pool: lp_pool2d", "power 0"]),
        (told(LpPool2d::new(&scope, 2.0, half).forward(&x)), vec!["no padding"]),
        (told(AvgPool2d::with_divisor(&scope, half, 0).forward(&x)), vec!["pool: avg_pool2d", "must not be 0"]),
        (told(MaxUnpool2d::new(&scope, (9, 9)).unpool(&x, &places)), vec!["[batch, 5, 7, 2]", "[batch, 5, 7, 1]"]),
        (
            told(Fold::new(&scope, (4, 4), (2, 2), (1, 1), (0, 0), (1, 1)).forward(&samples)),
            vec!["pool: fold", "[batch, 3, 2]", "2x2"],
        ),
        (told(x.scatter_reduce(4, &places, &x, ScatterReduction::Sum, true).map_err(Into::into)), vec!["axis 4"]),
        (told(Softmax::SoftmaxAlong(4).forward(&x)), vec!["axis 4", "[batch, 5, 7, 2]"]),
    ] {
        assert!(parts.iter().all(|part| message.contains(part)), "{message} does not tell {parts:?}");
    }
}

#[test]
fn derivatives_at_corners_are_pytorchs() {
    let corner = |x: f64, build: &dyn Fn(&Tensor) -> Result<Tensor>| {
        let tracer = Tracer::new(Mode::Train);
        let input = tracer.input("x", [1], DType::F32);
        let y = build(&input).expect("it fits");
        let gradient = gradients(&y.sum().expect("a scalar"), &[input]).expect("a gradient").swap_remove(0);
        let given = Environment::from([("x".to_string(), Reference::new(&[1], vec![x]))]);
        let mut parameters = Environment::from([("weight".to_string(), Reference::new(&[1], vec![0.25]))]);
        let values = interpret::run(&tracer.graph(), Extents::batch(1), &given, &mut parameters).expect("it runs");
        (values.get(y.value()).data[0], values.get(gradient.value()).data[0])
    };
    let prelu = Prelu::new(&Scope::root(), 1);
    assert_eq!(corner(0.0, &|x| prelu.forward(x)), (0.0, 0.25));
    assert_eq!(corner(2.0, &|x| prelu.forward(x)), (2.0, 1.0));
    let shrink = |x: &Tensor| AdjustedActivation::Softshrink { lambda: 0.5 }.forward(x);
    for (x, expected) in [(0.5, (0.0, 0.0)), (-0.5, (0.0, 0.0)), (0.75, (0.25, 1.0)), (-0.75, (-0.25, 1.0))] {
        assert_eq!(corner(x, &shrink), expected);
        assert_eq!(corner(x, &|x| Activation::Softshrink.forward(x)), expected);
    }
    let softplus = |x: &Tensor| AdjustedActivation::Softplus { beta: 2.0, threshold: 3.0 }.forward(x);
    assert_eq!(corner(1.75, &softplus), (1.75, 1.0));
    let at_threshold = corner(1.5, &softplus);
    assert!((at_threshold.0 - (1.0 + 3f64.exp()).ln() / 2.0).abs() < 1e-12 && at_threshold.1 < 1.0, "{at_threshold:?}");
}
