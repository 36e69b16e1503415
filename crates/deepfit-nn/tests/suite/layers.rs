use deepfit_graph::interpret::Environment;
use deepfit_graph::ops::Window;
use deepfit_graph::{DType, Extents, Mode, Reference, Shape, Tensor, Tracer, gradients, interpret};
use deepfit_nn::layers::*;
use deepfit_nn::{Module, Result, Scope};
use serde_json::Value;

use crate::golden::{Golden, batch_shape, close};

const TOLERANCE: f64 = 1e-6;

struct Function(fn(&Tensor) -> deepfit_graph::Result<Tensor>);

impl Module for Function {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok((self.0)(x)?)
    }
}

pub fn size(config: &Value, key: &str) -> usize {
    config[key].as_u64().unwrap_or_else(|| panic!("`{key}` is no length")) as usize
}

pub fn pair(config: &Value, key: &str) -> (usize, usize) {
    let at = |i: usize| config[key][i].as_u64().unwrap_or_else(|| panic!("`{key}` is no pair")) as usize;
    (at(0), at(1))
}

pub fn number(config: &Value, key: &str) -> f32 {
    config[key].as_f64().unwrap_or_else(|| panic!("`{key}` is no number")) as f32
}

fn window(config: &Value) -> Window {
    Window {
        stride: pair(config, "stride"),
        padding: pair(config, "padding"),
        ..Window::of(pair(config, "kernel_size"))
    }
}

/// The layer that a golden file describes.
fn build(scope: &Scope, config: &Value) -> Box<dyn Module> {
    let flag = |key: &str| config[key].as_bool().unwrap_or_else(|| panic!("`{key}` is no flag"));
    match config["layer"].as_str().expect("a class name") {
        "Linear" => {
            let (inputs, outputs) = (size(config, "in_features"), size(config, "out_features"));
            if flag("bias") {
                Box::new(Linear::new(scope, inputs, outputs))
            } else {
                Box::new(Linear::without_bias(scope, inputs, outputs, deepfit_nn::Init::default_weight()))
            }
        }
        "Conv2d" => {
            let settings = Conv2dConfig {
                kernel: pair(config, "kernel_size"),
                stride: pair(config, "stride"),
                padding: pair(config, "padding"),
                dilation: pair(config, "dilation"),
                groups: size(config, "groups"),
                bias: flag("bias"),
                ..Conv2dConfig::square(1)
            };
            Box::new(Conv2d::new(scope, size(config, "in_channels"), size(config, "out_channels"), settings))
        }
        "MaxPool2d" => Box::new(MaxPool2d::new(scope, window(config))),
        "AvgPool2d" => Box::new(AvgPool2d::new(scope, window(config), flag("count_include_pad"))),
        "AdaptiveAvgPool2d" => Box::new(GlobalAvgPool2d::new(scope)),
        "BatchNorm1d" | "BatchNorm2d" => {
            let settings = BatchNormConfig {
                epsilon: number(config, "eps"),
                momentum: config["momentum"].as_f64().map(|share| share as f32),
                affine: config["affine"] != false,
                track_running_stats: config["track_running_stats"] != false,
            };
            Box::new(BatchNorm::configured(scope, size(config, "num_features"), settings))
        }
        "LayerNorm" => {
            let channels = config["normalized_shape"][0].as_u64().expect("a length") as usize;
            Box::new(LayerNorm::with(scope, channels, number(config, "eps")))
        }
        "Embedding" => Box::new(Embedding::new(scope, size(config, "num_embeddings"), size(config, "embedding_dim"))),
        "EnsembleLinear" => {
            let (inputs, outputs) = (size(config, "in_features"), size(config, "out_features"));
            Box::new(EnsembleLinear::new(scope, size(config, "members"), inputs, outputs, deepfit_nn::Init::Ones))
        }
        "PartsLinear" => {
            let (inputs, outputs) = (size(config, "in_features"), size(config, "out_features"));
            Box::new(PartsLinear::new(scope, size(config, "parts"), inputs, outputs))
        }
        "PeriodicEmbedding" => {
            let (waves, width) = (size(config, "waves"), size(config, "width"));
            Box::new(PeriodicEmbedding::new(scope, size(config, "columns"), waves, width, 1.0))
        }
        "Flatten" => Box::new(Flatten::new(scope)),
        "ReLU" => Box::new(Activation::Relu),
        "ReLU6" => Box::new(Activation::Relu6),
        "LeakyReLU" => Box::new(Activation::LeakyRelu),
        "ELU" => Box::new(Activation::Elu),
        "SELU" => Box::new(Activation::Selu),
        "Sigmoid" => Box::new(Activation::Sigmoid),
        "Tanh" => Box::new(Activation::Tanh),
        "GELU" if config["approximate"] == "tanh" => Box::new(Activation::GeluTanh),
        "GELU" => Box::new(Activation::Gelu),
        "SiLU" => Box::new(Activation::Silu),
        "Softplus" => Box::new(Activation::Softplus),
        "Hardswish" => Box::new(Activation::Hardswish),
        "Hardsigmoid" => Box::new(Activation::Hardsigmoid),
        "Mish" => Box::new(Activation::Mish),
        "LogSigmoid" => Box::new(Activation::LogSigmoid),
        "Softsign" => Box::new(Activation::Softsign),
        "Softshrink" => Box::new(Activation::Softshrink),
        "Hardshrink" => Box::new(Activation::Hardshrink),
        "Tanhshrink" => Box::new(Activation::Tanhshrink),
        "Hardtanh" => Box::new(Activation::Hardtanh),
        "CELU" => Box::new(Activation::Celu),
        "Softmax" => Box::new(Function(Tensor::softmax)),
        "LogSoftmax" => Box::new(Function(Tensor::log_softmax)),
        other => panic!("no layer for {other}"),
    }
}

/// Output, gradients and running statistics of one layer against PyTorch's.
fn check(golden: &Golden) {
    check_built(golden, build);
}

/// As [`check`], of a layer that `build` makes of the file's settings.
pub fn check_built(golden: &Golden, build: fn(&Scope, &Value) -> Box<dyn Module>) {
    let scope = Scope::root();
    let layer = build(&scope, &golden.config);
    let declared: Vec<(String, Vec<usize>)> = scope.declarations().into_iter().map(|d| (d.name, d.shape)).collect();
    let mut parameters = Environment::new();
    for prefix in ["param.", "buffer."] {
        for (name, array) in golden.under(prefix) {
            assert!(declared.contains(&(name.clone(), array.shape.clone())), "{}: {name} {declared:?}", golden.name);
            parameters.insert(name, array.clone());
        }
    }
    assert_eq!(parameters.len(), declared.len(), "{}: declared {declared:?}", golden.name);

    let mode = if golden.config["training"] == true { Mode::Train } else { Mode::Evaluate };
    let tracer = Tracer::new(mode);
    let input = golden.get("input");
    let dtype = if golden.config["layer"] == "Embedding" { DType::I32 } else { DType::F32 };
    let x = tracer.input("x", batch_shape(input), dtype);
    let y = layer.forward(&x).unwrap_or_else(|e| panic!("{}: {e}", golden.name));
    let upstream = tracer.input("upstream", batch_shape(golden.get("upstream")), DType::F32);
    let loss = y.mul(&upstream).and_then(|p| p.sum()).expect("a loss");
    let trained: Vec<_> = scope.declarations().into_iter().filter(|d| d.role.is_trained()).collect();
    let mut wanted: Vec<Tensor> = trained.iter().map(|d| d.parameter().on(&tracer).expect("a parameter")).collect();
    if dtype == DType::F32 {
        wanted.push(x);
    }
    let found = gradients(&loss, &wanted).unwrap_or_else(|e| panic!("{}: {e}", golden.name));

    let inputs =
        Environment::from([("x".to_string(), input.clone()), ("upstream".to_string(), golden.get("upstream").clone())]);
    let extents = Extents::batch(input.shape[0]);
    let values = interpret::run(&tracer.graph(), extents, &inputs, &mut parameters).expect("the graph runs");
    golden.compare("output", values.get(y.value()), TOLERANCE);
    for (declaration, gradient) in trained.iter().zip(&found) {
        golden.compare(&format!("grad.param.{}", declaration.name), values.get(gradient.value()), TOLERANCE);
    }
    if dtype == DType::F32 {
        golden.compare("grad.input", values.get(found[trained.len()].value()), TOLERANCE);
    }
    for (name, expected) in golden.under("after.") {
        close(&format!("{} after.{name}", golden.name), &parameters[&name], expected, TOLERANCE);
    }
}

fn check_all(prefix: &str, count: usize) {
    let goldens = Golden::all(prefix);
    assert_eq!(goldens.len(), count, "cases that begin with {prefix}");
    goldens.iter().for_each(check);
}

#[test]
fn linear_equals_pytorchs() {
    check_all("layer-linear", 3);
}

#[test]
fn layers_of_ensembles_equal_their_definitions_in_pytorch() {
    for name in ["ensemble-linear", "ensemble-linear-shared", "parts-linear", "periodic-embedding"] {
        check(&Golden::read(&format!("layer-{name}")));
    }
}

#[test]
fn convolution_equals_pytorchs() {
    check_all("layer-conv2d", 12);
}

#[test]
fn pooling_equals_pytorchs() {
    check_all("layer-max-pool", 2);
    check_all("layer-avg-pool", 3);
    check_all("layer-global-avg-pool", 1);
}

#[test]
fn normalisation_equals_pytorchs() {
    check_all("layer-batch-norm", 10);
    check_all("layer-layer-norm", 1);
}

#[test]
fn embedding_and_flatten_equal_pytorchs() {
    check_all("layer-embedding", 1);
    check_all("layer-flatten", 1);
}

#[test]
fn activations_equal_pytorchs() {
    for activation in Activation::ALL {
        check(&Golden::read(&format!("layer-{}", activation.name().replace('_', "-"))));
    }
    check_all("layer-softmax", 1);
    check_all("layer-log-softmax", 1);
}

/// One layer on one input, in the given mode.
fn forward(layer: &dyn Module, mode: Mode, x: Reference, parameters: &mut Environment) -> Reference {
    let tracer = Tracer::new(mode);
    let input = tracer.input("x", batch_shape(&x), DType::F32);
    let y = layer.forward(&input).expect("the layer fits");
    let mut inputs = Environment::from([("x".to_string(), x.clone())]);
    inputs.insert("random_key".to_string(), Reference::new(&[4], vec![1.0, 2.0, 3.0, 0.0]));
    let values =
        interpret::run(&tracer.graph(), Extents::batch(x.shape[0]), &inputs, parameters).expect("the graph runs");
    values.get(y.value()).clone()
}

#[test]
fn batch_norm_of_one_row_keeps_the_running_variance() {
    let scope = Scope::root();
    let layer = BatchNorm::new(&scope, 2);
    let mut parameters: Environment = scope
        .declarations()
        .into_iter()
        .map(|d| {
            let data = d.values(1).into_iter().map(f64::from).collect();
            (d.name.clone(), Reference::new(&d.shape, data))
        })
        .collect();
    let x = Reference::new(&[1, 2], vec![3.0, -5.0]);
    let y = forward(&layer, Mode::Train, x, &mut parameters);
    assert_eq!(y.data, [0.0, 0.0]);
    close("mean", &parameters["running_mean"], &Reference::new(&[2], vec![0.3, -0.5]), TOLERANCE);
    assert_eq!(parameters["running_var"].data, [1.0, 1.0]);
}

#[test]
fn dropout_drops_in_training_only() {
    let layer = Dropout::new(&Scope::root(), 0.25);
    let x = Reference::full(&[40, 50], 1.0);
    let none = &mut Environment::new();
    assert_eq!(forward(&layer, Mode::Evaluate, x.clone(), none), x);
    let y = forward(&layer, Mode::Train, x, none);
    let kept = y.data.iter().filter(|&&v| v != 0.0).count() as f64 / 2000.0;
    assert!((kept - 0.75).abs() < 0.04, "{kept} kept");
    assert!(y.data.iter().all(|&v| v == 0.0 || (v - 4.0 / 3.0).abs() < 1e-6));
}

#[test]
fn errors_name_the_layer() {
    let scope = Scope::root();
    let layer = Linear::new(&scope.child("head").child("fc"), 3, 2);
    let tracer = Tracer::new(Mode::Evaluate);
    let x = tracer.input("x", Shape::batch_of(&[4]), DType::F32);
    let message = layer.forward(&x).expect_err("3 is not 4").to_string();
    assert!(message.contains("head.fc") && message.contains("[2, 3]"), "{message}");
}
