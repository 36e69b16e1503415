//! Convolution, pooling, normalisation and resizing of sequences and images.

use deepfit_graph::ops::{Interpolation, PaddingMode, Window, Window1d};
use deepfit_graph::{DType, Mode, Shape, Tracer};
use deepfit_nn::layers::*;
use deepfit_nn::{Init, Module, Scope, Sequential};
use serde_json::Value;

use crate::golden::Golden;
use crate::layers::{check_built, number, pair, size};

fn flag(config: &Value, key: &str) -> bool {
    config[key].as_bool().unwrap_or_else(|| panic!("`{key}` is no flag"))
}

fn padding_mode(config: &Value) -> PaddingMode {
    match config["padding_mode"].as_str() {
        Some("zeros") => PaddingMode::ZEROS,
        Some("reflect") => PaddingMode::Reflect,
        Some("replicate") => PaddingMode::Replicate,
        Some("circular") => PaddingMode::Circular,
        other => panic!("no padding mode {other:?}"),
    }
}

fn lengths(config: &Value, key: &str) -> Vec<isize> {
    let list = config[key].as_array().unwrap_or_else(|| panic!("`{key}` is no list"));
    list.iter().map(|n| n.as_i64().expect("a length") as isize).collect()
}

/// One number a direction: sequences have the horizontal one.
fn scale(value: &Value) -> (f64, f64) {
    match value {
        Value::Array(list) => (list[0].as_f64().expect("a number"), list[1].as_f64().expect("a number")),
        other => (1.0, other.as_f64().expect("a number")),
    }
}

/// Whether the border is `same`; then there is no other padding.
fn is_same(config: &Value) -> bool {
    config["padding"] == "same"
}

fn convolution(scope: &Scope, config: &Value) -> Box<dyn Module> {
    let (inputs, outputs) = (size(config, "in_channels"), size(config, "out_channels"));
    let (groups, bias) = (size(config, "groups"), flag(config, "bias"));
    let (one, two) = (|key: &str| size(config, key), |key: &str| pair(config, key));
    match config["layer"].as_str() {
        Some("Conv1d") => {
            let settings = Conv1dConfig {
                stride: one("stride"),
                padding: if is_same(config) { 0 } else { one("padding") },
                same: is_same(config),
                padding_mode: padding_mode(config),
                dilation: one("dilation"),
                groups,
                bias,
                ..Conv1dConfig::of(one("kernel_size"))
            };
            Box::new(Conv1d::new(scope, inputs, outputs, settings))
        }
        Some("Conv2d") => {
            let settings = Conv2dConfig {
                kernel: two("kernel_size"),
                stride: two("stride"),
                padding: if is_same(config) { (0, 0) } else { two("padding") },
                same: is_same(config),
                padding_mode: padding_mode(config),
                dilation: two("dilation"),
                groups,
                bias,
                init: Init::default_weight(),
            };
            Box::new(Conv2d::new(scope, inputs, outputs, settings))
        }
        Some("ConvTranspose1d") => {
            let settings = ConvTranspose1dConfig {
                stride: one("stride"),
                padding: one("padding"),
                output_padding: one("output_padding"),
                dilation: one("dilation"),
                groups,
                bias,
                ..ConvTranspose1dConfig::of(one("kernel_size"))
            };
            Box::new(ConvTranspose1d::new(scope, inputs, outputs, settings))
        }
        _ => {
            let settings = ConvTranspose2dConfig {
                kernel: two("kernel_size"),
                stride: two("stride"),
                padding: two("padding"),
                output_padding: two("output_padding"),
                dilation: two("dilation"),
                groups,
                bias,
                ..ConvTranspose2dConfig::square(1)
            };
            Box::new(ConvTranspose2d::new(scope, inputs, outputs, settings))
        }
    }
}

fn pooling(scope: &Scope, config: &Value) -> Box<dyn Module> {
    let ceil_mode = config["ceil_mode"] == true;
    let window = || Window {
        stride: pair(config, "stride"),
        padding: if config["padding"].is_null() { (0, 0) } else { pair(config, "padding") },
        dilation: if config["dilation"].is_null() { (1, 1) } else { pair(config, "dilation") },
        ceil_mode,
        ..Window::of(pair(config, "kernel_size"))
    };
    let window1d = || Window1d {
        stride: size(config, "stride"),
        padding: if config["padding"].is_null() { 0 } else { size(config, "padding") },
        dilation: if config["dilation"].is_null() { 1 } else { size(config, "dilation") },
        ceil_mode,
        ..Window1d::of(size(config, "kernel_size"))
    };
    match config["layer"].as_str().expect("a class name") {
        "MaxPool1d" => Box::new(MaxPool1d::new(scope, window1d())),
        "AvgPool1d" => Box::new(AvgPool1d::new(scope, window1d(), flag(config, "count_include_pad"))),
        "AdaptiveMaxPool1d" => Box::new(AdaptiveMaxPool1d::new(scope, size(config, "output_size"))),
        "AdaptiveAvgPool1d" => Box::new(AdaptiveAvgPool1d::new(scope, size(config, "output_size"))),
        "MaxPool2d" => Box::new(MaxPool2d::new(scope, window())),
        "LPPool1d" => Box::new(LpPool1d::new(scope, number(config, "norm_type"), window1d())),
        "LPPool2d" => Box::new(LpPool2d::new(scope, number(config, "norm_type"), window())),
        "AvgPool2d" if !config["divisor_override"].is_null() => {
            Box::new(AvgPool2d::with_divisor(scope, window(), size(config, "divisor_override")))
        }
        "AvgPool2d" => Box::new(AvgPool2d::new(scope, window(), flag(config, "count_include_pad"))),
        "AdaptiveMaxPool2d" => Box::new(AdaptiveMaxPool2d::new(scope, pair(config, "output_size"))),
        "AdaptiveAvgPool2d" => Box::new(AdaptiveAvgPool2d::new(scope, pair(config, "output_size"))),
        other => panic!("no layer for {other}"),
    }
}

fn normalisation(scope: &Scope, config: &Value) -> Box<dyn Module> {
    let axes =
        || -> Vec<usize> { lengths(config, "normalized_shape").into_iter().map(|length| length as usize).collect() };
    let epsilon = number(config, "eps");
    match config["layer"].as_str().expect("a class name") {
        "GroupNorm" => {
            let (groups, channels) = (size(config, "num_groups"), size(config, "num_channels"));
            Box::new(GroupNorm::with(scope, groups, channels, epsilon, flag(config, "affine")))
        }
        "InstanceNorm1d" | "InstanceNorm2d" => {
            let settings = InstanceNormConfig {
                epsilon,
                momentum: number(config, "momentum"),
                affine: flag(config, "affine"),
                track_running_stats: flag(config, "track_running_stats"),
            };
            Box::new(InstanceNorm::new(scope, size(config, "num_features"), settings))
        }
        "LayerNorm" => {
            let (affine, bias) = (flag(config, "elementwise_affine"), flag(config, "bias"));
            Box::new(LayerNorm::over(scope, &axes(), epsilon, affine, bias))
        }
        "RMSNorm" => Box::new(RmsNorm::over(scope, &axes(), epsilon, flag(config, "elementwise_affine"))),
        other => panic!("no layer for {other}"),
    }
}

fn padding(scope: &Scope, config: &Value) -> Box<dyn Module> {
    let layer = config["layer"].as_str().expect("a class name");
    let mode = match layer.split_at(layer.len() - "Pad1d".len()).0 {
        "Zero" => PaddingMode::ZEROS,
        "Constant" => PaddingMode::Constant(number(config, "value")),
        "Reflection" => PaddingMode::Reflect,
        "Replication" => PaddingMode::Replicate,
        "Circular" => PaddingMode::Circular,
        other => panic!("no padding {other}"),
    };
    match lengths(config, "padding")[..] {
        [before, after] => Box::new(Pad1d::new(scope, [before, after], mode)),
        [left, right, top, bottom] => Box::new(Pad2d::new(scope, [left, right, top, bottom], mode)),
        _ => panic!("neither of sequences nor of images: {config}"),
    }
}

fn upsampling(scope: &Scope, config: &Value) -> Box<dyn Module> {
    let align_corners = config["align_corners"] == true;
    let mode = match config["mode"].as_str().expect("a mode") {
        "nearest" => Interpolation::Nearest,
        "nearest-exact" => Interpolation::NearestExact,
        "area" => Interpolation::Area,
        "linear" | "bilinear" => Interpolation::Linear { align_corners },
        "bicubic" => Interpolation::Cubic { align_corners },
        other => panic!("no mode {other}"),
    };
    let resize = if config["size"].is_null() {
        let (vertical, horizontal) = scale(&config["scale_factor"]);
        Resize::Scale(vertical, horizontal)
    } else {
        let (height, width) = scale(&config["size"]);
        Resize::Size(height as usize, width as usize)
    };
    Box::new(Upsample::new(scope, resize, mode))
}

fn shuffle(scope: &Scope, config: &Value) -> Box<dyn Module> {
    match config["layer"].as_str().expect("a class name") {
        "PixelShuffle" => Box::new(PixelShuffle::new(scope, size(config, "upscale_factor"))),
        "PixelUnshuffle" => Box::new(PixelUnshuffle::new(scope, size(config, "downscale_factor"))),
        "Fold" => Box::new(Fold::new(
            scope,
            pair(config, "output_size"),
            pair(config, "kernel_size"),
            pair(config, "dilation"),
            pair(config, "padding"),
            pair(config, "stride"),
        )),
        "Unfold" => Box::new(Unfold::new(
            scope,
            pair(config, "kernel_size"),
            pair(config, "dilation"),
            pair(config, "padding"),
            pair(config, "stride"),
        )),
        other => panic!("no layer for {other}"),
    }
}

fn check_all(prefix: &str, count: usize, build: fn(&Scope, &Value) -> Box<dyn Module>) {
    let goldens = Golden::all(prefix);
    assert_eq!(goldens.len(), count, "cases that begin with {prefix}");
    goldens.iter().for_each(|golden| check_built(golden, build));
}

#[test]
fn convolutions_equal_pytorchs() {
    check_all("spatial-conv1d-", 8, convolution);
    check_all("spatial-conv2d-", 7, convolution);
}

#[test]
fn a_convolved_sequence_is_flattened_in_pytorchs_order() {
    check_all("spatial-flat-", 1, |scope, _| {
        let conv = Conv1d::new(&scope.child(0), 4, 6, Conv1dConfig { stride: 2, ..Conv1dConfig::of(3) });
        let flatten = Flatten::convolved(&scope.child(1));
        Box::new(Sequential::new().with(conv).with(flatten).with(Linear::new(&scope.child(2), 36, 5)))
    });
    // What has PyTorch's order already keeps it.
    let x = Tracer::new(Mode::Train).input("x", Shape::batch_of(&[7, 6]), DType::F32);
    for (layer, moved) in [(Flatten::new(&Scope::root()), 0), (Flatten::convolved(&Scope::root()), 1)] {
        let y = layer.forward(&x).expect("three axes");
        assert_eq!(y.shape().to_string(), "[batch, 42]");
        let moves = y.tracer().graph().nodes().iter().filter(|node| node.op.kind() == "Permute").count();
        assert_eq!(moves, moved);
    }
}

#[test]
fn transposed_convolutions_equal_pytorchs() {
    check_all("spatial-convtranspose1d-", 4, convolution);
    check_all("spatial-convtranspose2d-", 7, convolution);
}

#[test]
fn pooling_equals_pytorchs() {
    check_all("spatial-pool1d-", 8, pooling);
    check_all("spatial-pool2d-", 10, pooling);
}

#[test]
fn normalisation_equals_pytorchs() {
    check_all("spatial-norm-", 16, normalisation);
}

#[test]
fn padding_equals_pytorchs() {
    check_all("spatial-pad-", 12, padding);
}

#[test]
fn upsampling_equals_pytorchs() {
    check_all("spatial-upsample-", 13, upsampling);
}

#[test]
fn pixels_and_windows_are_moved_as_pytorch_moves_them() {
    check_all("spatial-shuffle-", 4, shuffle);
}

/// The error of a layer at the place `net.part` for a batch of arrays of these lengths.
fn error_of(build: impl FnOnce(&Scope) -> Box<dyn Module>, mode: Mode, lengths: &[usize]) -> String {
    let layer = build(&Scope::root().child("net").child("part"));
    let x = Tracer::new(mode).input("x", Shape::batch_of(lengths), DType::F32);
    layer.forward(&x).expect_err("it does not fit").to_string()
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in ["net.part"].iter().chain(parts) {
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
}

#[test]
fn what_does_not_fit_is_named_with_both_shapes() {
    let train = |build: fn(&Scope) -> Box<dyn Module>, lengths: &[usize]| error_of(build, Mode::Train, lengths);
    let conv = |s: &Scope| -> Box<dyn Module> {
        Box::new(Conv1d::new(s, 4, 6, Conv1dConfig { padding: 1, dilation: 3, ..Conv1dConfig::of(5) }))
    };
    assert_says(&train(conv, &[7, 4]), &["window of 5", "dilation 3", "[batch, 7, 4]", "padding 1"]);
    assert_says(&train(conv, &[20, 3]), &["[6, 4, 5]", "[batch, 20, 3]"]);
    assert_says(&train(conv, &[20]), &["[batch, length, channels]", "[batch, 20]"]);
    let same = |s: &Scope| -> Box<dyn Module> {
        Box::new(Conv1d::new(s, 4, 6, Conv1dConfig { same: true, stride: 2, ..Conv1dConfig::of(3) }))
    };
    assert_says(&train(same, &[7, 4]), &["`same` needs stride 1, not 2"]);
    let same =
        |s: &Scope| -> Box<dyn Module> { Box::new(Conv2d::new(s, 4, 6, Conv2dConfig::square(3).padding(1).same())) };
    assert_says(&train(same, &[7, 7, 4]), &["`same`", "padding of 1"]);
    for padding in [usize::MAX, usize::MAX / 2] {
        for padding_mode in [PaddingMode::ZEROS, PaddingMode::Reflect] {
            let config = Conv1dConfig { padding, padding_mode, ..Conv1dConfig::of(3) };
            let huge = |s: &Scope| -> Box<dyn Module> { Box::new(Conv1d::new(s, 4, 6, config)) };
            assert_says(&error_of(huge, Mode::Train, &[7, 4]), &["`padding`", &padding.to_string()]);
        }
    }
    let grouped = |s: &Scope| -> Box<dyn Module> {
        Box::new(Conv2d::new(s, 4, 6, Conv2dConfig { groups: 4, ..Conv2dConfig::square(3) }))
    };
    assert_says(&train(grouped, &[9, 9, 4]), &["4 groups", "[6, 1, 3, 3]", "[batch, 9, 9, 4]"]);
    let reflect = |s: &Scope| -> Box<dyn Module> {
        let mode = PaddingMode::Reflect;
        Box::new(Conv2d::new(s, 1, 1, Conv2dConfig { padding: (3, 0), padding_mode: mode, ..Conv2dConfig::square(3) }))
    };
    assert_says(&train(reflect, &[3, 9, 1]), &["reflect", "3", "[batch, 3, 9, 1]", "at most 2"]);
    let transposed = |s: &Scope| -> Box<dyn Module> {
        let settings =
            ConvTranspose2dConfig { output_padding: (0, 2), stride: (1, 2), ..ConvTranspose2dConfig::square(3) };
        Box::new(ConvTranspose2d::new(s, 4, 6, settings))
    };
    assert_says(&train(transposed, &[5, 5, 4]), &["output_padding (0, 2)", "stride (1, 2)"]);
    assert_says(&train(transposed, &[5, 5, 3]), &["[4, 6, 3, 3]", "[batch, 5, 5, 3]"]);
    let nothing = |s: &Scope| -> Box<dyn Module> {
        Box::new(ConvTranspose1d::new(s, 2, 2, ConvTranspose1dConfig { padding: 4, ..ConvTranspose1dConfig::of(3) }))
    };
    assert_says(&train(nothing, &[5, 2]), &["nothing is left", "[batch, 5, 2]", "padding 4"]);
    let pool = |s: &Scope| -> Box<dyn Module> { Box::new(MaxPool1d::new(s, Window1d::of(6))) };
    assert_says(&train(pool, &[5, 2]), &["window of 6", "[batch, 5, 2]"]);
    let adaptive = |s: &Scope| -> Box<dyn Module> { Box::new(AdaptiveAvgPool2d::new(s, (0, 2))) };
    assert_says(&train(adaptive, &[5, 5, 2]), &["(0, 2)"]);
    let group_norm = |s: &Scope| -> Box<dyn Module> { Box::new(GroupNorm::new(s, 4, 6)) };
    assert_says(&train(group_norm, &[5, 5, 6]), &["4 groups", "6 channels", "[batch, 5, 5, 6]"]);
    let instance = |s: &Scope| -> Box<dyn Module> { Box::new(InstanceNorm::new(s, 6, InstanceNormConfig::default())) };
    assert_says(&train(instance, &[1, 1, 6]), &["more than one pixel", "[batch, 1, 1, 6]"]);
    assert_says(&train(instance, &[6]), &["[batch, ..., channels]", "[batch, 6]"]);
    let layer_norm = |s: &Scope| -> Box<dyn Module> { Box::new(LayerNorm::over(s, &[3, 4], 1e-5, true, true)) };
    assert_says(&train(layer_norm, &[4, 3]), &["[3, 4]", "[batch, 4, 3]"]);
    let upsample =
        |s: &Scope| -> Box<dyn Module> { Box::new(Upsample::new(s, Resize::Scale(0.1, 1.0), Interpolation::Nearest)) };
    assert_says(&train(upsample, &[4, 4, 3]), &["[batch, 4, 4, 3]", "0 long"]);
    let shuffle = |s: &Scope| -> Box<dyn Module> { Box::new(PixelShuffle::new(s, 2)) };
    assert_says(&train(shuffle, &[4, 4, 3]), &["2x2", "[batch, 4, 4, 3]"]);
}

#[test]
fn instance_norm_of_one_pixel_evaluates_to_the_shift() {
    let layer = InstanceNorm::new(&Scope::root(), 3, InstanceNormConfig::default());
    let x = Tracer::new(Mode::Evaluate).input("x", Shape::batch_of(&[1, 3]), DType::F32);
    assert_eq!(layer.forward(&x).expect("allowed in evaluation").shape(), x.shape());
}

#[test]
fn weights_of_transposed_convolutions_start_within_pytorchs_bound() {
    // PyTorch counts the fan from the second axis of `[in, out / groups, kh, kw]`: 1 / sqrt(3 * 2 * 2).
    let scope = Scope::root();
    let settings = ConvTranspose2dConfig { groups: 2, ..ConvTranspose2dConfig::square(2) };
    ConvTranspose2d::new(&scope, 40, 6, settings);
    let bound = 1.0 / 12f32.sqrt();
    for declaration in scope.declarations() {
        let values = declaration.values(3);
        let largest = values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        assert!(largest <= bound && largest > 0.5 * bound, "{}: {largest} of {bound}", declaration.name);
    }
}
