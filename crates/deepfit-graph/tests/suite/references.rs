//! The f64 references against what is known: published values and sums done by hand.

use deepfit_graph::ops::{Adam, Conv2dAttributes, ReduceKind, Sgd, UnaryKind, Window};
use deepfit_graph::{DType, Extents, HostTensor, Mode, Reference, Result, Tensor, Tracer};

use super::setup::interpret;

/// The value of what `build` makes of parameters with the given values.
fn value<const N: usize>(
    inputs: [Reference; N],
    build: impl FnOnce(&Tracer, [Tensor; N]) -> Result<Tensor>,
) -> Reference {
    let tracer = Tracer::new(Mode::Train);
    let mut given = deepfit_graph::interpret::Environment::new();
    let mut i = 0;
    let tensors = inputs.map(|input| {
        i += 1;
        let name = format!("x{i}");
        let tensor = tracer.parameter(&name, &input.shape[..]).expect("a new name");
        given.insert(name, input);
        tensor
    });
    let result = build(&tracer, tensors).expect("fits");
    let (values, _) = interpret(&tracer.graph(), Extents::batch(1), &given);
    values.get(result.value()).clone()
}

fn array(shape: &[usize], data: &[f64]) -> Reference {
    Reference::new(shape, data.to_vec())
}

fn counting(shape: &[usize]) -> Reference {
    Reference::new(shape, (1..=shape.iter().product()).map(|i| i as f64).collect())
}

#[track_caller]
fn assert_near(actual: &[f64], expected: &[f64]) {
    assert_eq!(actual.len(), expected.len());
    for (a, e) in actual.iter().zip(expected) {
        assert!((a - e).abs() < 1e-12, "{actual:?} is not {expected:?}");
    }
}

#[test]
fn functions_take_their_tabulated_values() {
    // Abramowitz and Stegun, table 7.1, with more digits from the NIST handbook.
    let erf = [
        (0.0, 0.0),
        (0.5, 0.520_499_877_813_046_5),
        (1.0, 0.842_700_792_949_714_9),
        (2.0, 0.995_322_265_018_952_7),
        (2.999, 0.999_977_770_208_893_6),
        (3.001, 0.999_978_048_524_909_2),
        (4.0, 0.999_999_984_582_742_1),
        (-1.0, -0.842_700_792_949_714_9),
    ];
    for (x, y) in erf {
        assert!((UnaryKind::Erf.eval(x) - y).abs() < 1e-9, "erf({x})");
    }
    assert!((UnaryKind::Erf.eval(1.0) - 0.842_700_792_949_714_9).abs() < 1e-15);
    assert!((UnaryKind::Sigmoid.eval(0.5) - 0.622_459_331_201_854_6).abs() < 1e-15);
    assert!((UnaryKind::Softplus.eval(0.0) - std::f64::consts::LN_2).abs() < 1e-15);
    assert_eq!(UnaryKind::Softplus.eval(800.0), 800.0);
    for kind in [UnaryKind::Relu, UnaryKind::Clamp(-1.0, 1.0), UnaryKind::Erf, UnaryKind::Softplus, UnaryKind::Abs] {
        assert!(kind.eval(f64::NAN).is_nan(), "{kind:?} hides NaN");
    }
}

#[test]
fn a_matrix_product_in_all_four_ways() {
    let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.0, -1.0, 2.0, 1.0, 1.0]);
    let (a_turned, b_turned) = ([1.0, 4.0, 2.0, 5.0, 3.0, 6.0], [1.0, -1.0, 1.0, 0.0, 2.0, 1.0]);
    let expected = [2.0, 7.0, 5.0, 16.0];
    for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
        let left = if ta { array(&[3, 2], &a_turned) } else { array(&[2, 3], &a) };
        let right = if tb { array(&[2, 3], &b_turned) } else { array(&[3, 2], &b) };
        assert_near(&value([left, right], |_, [a, b]| a.matmul_with(&b, ta, tb)).data, &expected);
    }
}

#[test]
fn a_convolution_slides_its_window() {
    // The image 1..9 as 3x3, the window [[1, 2], [3, 4]] not flipped.
    let image = counting(&[1, 3, 3, 1]);
    let weight = counting(&[1, 1, 2, 2]);
    let plain = Conv2dAttributes::default();
    let conv = |attributes| value([image.clone(), weight.clone()], |_, [x, w]| x.conv2d(&w, attributes));
    assert_near(&conv(plain).data, &[37.0, 47.0, 67.0, 77.0]);
    let padded = conv(Conv2dAttributes { padding: (1, 1), stride: (2, 2), ..plain });
    assert_eq!(padded.shape, [1, 2, 2, 1]);
    assert_near(&padded.data, &[4.0, 18.0, 36.0, 77.0]);
    assert_near(&conv(Conv2dAttributes { dilation: (2, 2), ..plain }).data, &[1.0 + 6.0 + 21.0 + 36.0]);
    // Two groups: each output channel sees its own input channel.
    let pixels = array(&[1, 1, 1, 2], &[3.0, 5.0]);
    let factors = array(&[2, 1, 1, 1], &[10.0, 100.0]);
    let grouped = value([pixels, factors], |_, [x, w]| x.conv2d(&w, Conv2dAttributes { groups: 2, ..plain }));
    assert_near(&grouped.data, &[30.0, 500.0]);
}

#[test]
fn pooling_takes_the_largest_and_the_mean() {
    let image = || counting(&[1, 4, 4, 1]);
    assert_near(&value([image()], |_, [x]| x.max_pool2d(Window::square(2))).data, &[6.0, 8.0, 14.0, 16.0]);
    assert_near(&value([image()], |_, [x]| x.avg_pool2d(Window::square(2), true)).data, &[3.5, 5.5, 11.5, 13.5]);
    let window = Window { stride: (3, 3), padding: (1, 1), ..Window::square(2) };
    // The windows touch the corners: one pixel each, 1, 3 + 4, 9 + 13 and 11 + 12 + 15 + 16 in all.
    assert_near(&value([image()], |_, [x]| x.avg_pool2d(window, true)).data, &[0.25, 1.75, 5.5, 13.5]);
    assert_near(&value([image()], |_, [x]| x.avg_pool2d(window, false)).data, &[1.0, 3.5, 11.0, 13.5]);
}

#[test]
fn reductions_combine_what_they_should() {
    let x = || counting(&[2, 3]);
    let reduce = |kind, axes: &[usize]| value([x()], |_, [x]| x.reduce(kind, axes, false)).data;
    assert_near(&reduce(ReduceKind::Sum, &[0]), &[5.0, 7.0, 9.0]);
    assert_near(&reduce(ReduceKind::Mean, &[1]), &[2.0, 5.0]);
    assert_near(&reduce(ReduceKind::Max, &[0, 1]), &[6.0]);
    assert_near(&reduce(ReduceKind::SumSquares, &[1]), &[14.0, 77.0]);
}

#[test]
fn a_softmax_is_a_distribution_with_the_right_ratios() {
    let x = array(&[2, 3], &[0.0, 2f64.ln(), 3f64.ln(), 1000.0, 1000.0, 1000.0 + 2f64.ln()]);
    let soft = value([x.clone()], |_, [x]| x.softmax());
    assert_near(&soft.data, &[1.0 / 6.0, 1.0 / 3.0, 0.5, 0.25, 0.25, 0.5]);
    let log = value([x], |_, [x]| x.log_softmax());
    assert_near(&log.data.iter().map(|l| l.exp()).collect::<Vec<_>>(), &soft.data);
}

#[test]
fn normalisation_gives_mean_zero_and_variance_one() {
    let x = || array(&[2, 2], &[1.0, 10.0, 3.0, 30.0]);
    let (one, zero) = (|| array(&[2], &[1.0, 2.0]), || array(&[2], &[0.0, 5.0]));
    let epsilon = 1e-5f32;
    let e = f64::from(epsilon);
    let batch = value([x(), one(), zero()], |_, [x, s, b]| Ok(x.batch_norm(&s, &b, epsilon)?.0));
    let (narrow, wide) = (1.0 / (1.0 + e).sqrt(), 10.0 / (100.0 + e).sqrt());
    assert_near(&batch.data, &[-narrow, 5.0 - 2.0 * wide, narrow, 5.0 + 2.0 * wide]);
    let layer = value([x(), one(), zero()], |_, [x, s, b]| x.layer_norm(&s, &b, epsilon));
    let (first, second) = (4.5 / (20.25 + e).sqrt(), 13.5 / (182.25 + e).sqrt());
    assert_near(&layer.data, &[-first, 5.0 + 2.0 * first, -second, 5.0 + 2.0 * second]);
    let variance = value([x(), one(), zero()], |_, [x, s, b]| Ok(x.batch_norm(&s, &b, epsilon)?.2));
    assert_near(&variance.data, &[1.0, 100.0]);
}

#[test]
fn cross_entropy_with_weights_and_smoothing_is_the_sum_by_hand() {
    // Probabilities 1/6, 1/3, 1/2.
    let logits = || array(&[2, 3], &[0.0, 2f64.ln(), 3f64.ln(), 0.0, 2f64.ln(), 3f64.ln()]);
    let loss = |classes: [i32; 2], weights: Option<[f32; 3]>, smoothing| {
        value([logits()], |tracer, [logits]| {
            let data = deepfit_graph::HostData::I32(classes.to_vec());
            let classes = tracer.constant(HostTensor::new(&[2], data).expect("fits"));
            let weights = weights.map(|w| tracer.constant(HostTensor::f32(&[3], w.to_vec())));
            logits.cross_entropy(&classes, weights.as_ref(), smoothing)
        })
        .data
    };
    let [a, b, c] = [6f64.ln(), 3f64.ln(), 2f64.ln()];
    assert_near(&loss([0, 2], None, 0.0), &[a, c]);
    assert_near(&loss([0, 2], None, 0.75), &[0.25 * a + 0.25 * (a + b + c), 0.25 * c + 0.25 * (a + b + c)]);
    assert_near(&loss([1, 2], Some([0.5, 2.0, 4.0]), 0.0), &[2.0 * b, 4.0 * c]);
    let rest = 0.25 * (0.5 * a + 2.0 * b + 4.0 * c);
    assert_near(&loss([1, 2], Some([0.5, 2.0, 4.0]), 0.75), &[0.25 * 2.0 * b + rest, 0.25 * 4.0 * c + rest]);
    let unknown = loss([3, -1], None, 0.0);
    assert!(unknown.iter().all(|l| l.is_nan()), "{unknown:?}");
}

#[test]
fn embedding_looks_rows_up_and_marks_numbers_out_of_range() {
    let table = counting(&[3, 2]);
    let rows = |numbers: [i32; 3]| {
        value([table.clone()], |tracer, [table]| {
            let data = deepfit_graph::HostData::I32(numbers.to_vec());
            table.embedding(&tracer.constant(HostTensor::new(&[3], data).expect("fits")))
        })
        .data
    };
    assert_near(&rows([2, 0, 2]), &[5.0, 6.0, 1.0, 2.0, 5.0, 6.0]);
    let outside = rows([3, -1, 1]);
    assert!(outside[..4].iter().all(|v| v.is_nan()));
    assert_near(&outside[4..], &[3.0, 4.0]);
}

#[test]
fn lookup_gives_each_class_its_weight() {
    let weights = value([array(&[3], &[0.5, 1.0, 2.0])], |tracer, [weights]| {
        let data = deepfit_graph::HostData::I32(vec![2, 0, 2, 1]);
        weights.lookup(&tracer.constant(HostTensor::new(&[4], data).expect("fits")))
    });
    assert_near(&weights.data, &[2.0, 0.5, 2.0, 1.0]);
}

/// All outputs of an optimiser's step on single numbers.
fn step(op: impl Into<deepfit_graph::Op>, numbers: &[f64]) -> Vec<f64> {
    let tracer = Tracer::new(Mode::Train);
    let tensors: Vec<Tensor> =
        (0..numbers.len()).map(|i| tracer.parameter(&format!("x{i}"), [0usize; 0]).expect("a new name")).collect();
    let outputs = tracer.apply(op, &tensors.iter().collect::<Vec<_>>()).expect("fits");
    let given = numbers.iter().enumerate().map(|(i, &x)| (format!("x{i}"), Reference::new(&[], vec![x]))).collect();
    let (values, parameters) = interpret(&tracer.graph(), Extents::batch(1), &given);
    // What is written back is what is returned.
    assert_eq!(parameters["x0"], *values.get(outputs[0].value()));
    outputs.iter().map(|o| values.get(o.value()).data[0]).collect()
}

#[test]
fn steps_of_stochastic_gradient_descent_by_hand() {
    // Parameter 2, gradient 1, rate 0.1.
    let sgd = |momentum, nesterov, weight_decay| Sgd { momentum, nesterov, weight_decay };
    assert_near(&step(sgd(0.0, false, 0.0), &[2.0, 1.0, 0.1]), &[1.9]);
    assert_near(&step(sgd(0.0, false, 0.5), &[2.0, 1.0, 0.1]), &[1.8]);
    // Velocity 4: 0.5 * 4 + 1 = 3.
    assert_near(&step(sgd(0.5, false, 0.0), &[2.0, 1.0, 4.0, 0.1]), &[1.7, 3.0]);
    assert_near(&step(sgd(0.5, true, 0.0), &[2.0, 1.0, 4.0, 0.1]), &[1.75, 3.0]);
}

#[test]
fn steps_of_adam_by_hand() {
    let adam = |weight_decay, decoupled| Adam { betas: (0.9, 0.99), epsilon: 1e-8, weight_decay, decoupled };
    // The first step from zero moments is the rate, whatever the gradient's size.
    let first = step(adam(0.0, false), &[2.0, -3.0, 0.0, 0.0, 0.1, 1.0]);
    let expected = 2.0 + 0.1 * 3.0 / (3.0 + 1e-8);
    assert_near(&first, &[expected, -0.3, 0.09]);
    // Decay in the gradient leaves the first step as it is; decoupled, it shrinks the parameter.
    let coupled = step(adam(0.5, false), &[2.0, 3.0, 0.0, 0.0, 0.1, 1.0]);
    assert_near(&coupled, &[2.0 - 0.1 * 4.0 / (4.0 + 1e-8), 0.4, 0.16]);
    let decoupled = step(adam(0.5, true), &[2.0, 3.0, 0.0, 0.0, 0.1, 1.0]);
    assert_near(&decoupled, &[2.0 * 0.95 - 0.1 * 3.0 / (3.0 + 1e-8), 0.3, 0.09]);
    // The second step from moments 0.5 and 0.25.
    let (m, v) = (0.9 * 0.5 + 0.1, 0.99 * 0.25 + 0.01);
    let second = step(adam(0.0, false), &[2.0, 1.0, 0.5, 0.25, 0.1, 2.0]);
    let update = 0.1 * (m / 0.19) / ((v / (1.0 - 0.99f64.powi(2))).sqrt() + 1e-8);
    assert_near(&second, &[2.0 - update, m, v]);
}

#[test]
fn elements_move_where_they_should() {
    let x = || counting(&[2, 3]);
    assert_near(&value([x()], |_, [x]| x.permute(&[1, 0])).data, &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_near(&value([x()], |_, [x]| x.slice(1, 1, 2)).data, &[2.0, 3.0, 5.0, 6.0]);
    let joined = value([x(), counting(&[2, 1])], |_, [x, y]| y.concat(&[&x], 1));
    assert_near(&joined.data, &[1.0, 1.0, 2.0, 3.0, 2.0, 4.0, 5.0, 6.0]);
    assert_near(&value([counting(&[2, 1])], |_, [x]| x.broadcast_to([2, 2])).data, &[1.0, 1.0, 2.0, 2.0]);
    let pad = deepfit_graph::ops::Pad::fixed(1, 1, 0);
    assert_near(&value([counting(&[2, 1])], |t, [x]| t.apply_one(pad, &[&x])).data, &[0.0, 1.0, 0.0, 2.0]);
}

#[test]
fn missing_and_misshapen_values_are_errors_that_name_them() {
    let tracer = Tracer::new(Mode::Evaluate);
    tracer.input("image", [2], DType::F32);
    let graph = tracer.graph();
    let run = |given| deepfit_graph::interpret::run(&graph, Extents::batch(1), &given, &mut Default::default());
    assert!(run(Default::default()).unwrap_err().contains("`image`"));
    let wrong = [("image".to_string(), Reference::full(&[3], 0.0))].into();
    let message = run(wrong).unwrap_err();
    assert!(message.contains("`image`") && message.contains("[3]") && message.contains("[2]"), "{message}");
}
