//! Shape rules against the references, and what errors say.

use std::sync::Arc;

use deepfit_graph::ops::{Conv2dAttributes, Custom, CustomOperation, Window};
use deepfit_graph::{
    DType, Derivative, Dim, Extents, GraphError, Mode, Reference, ReferenceContext, Result, Tensor, TensorType, Tracer,
    gradients,
};

use super::setup::{Case, interpret, samples};

#[test]
fn the_rule_and_the_reference_agree_on_shapes() {
    for (name, _, sample) in samples() {
        let case = Case::fixed(&sample).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (values, _) = interpret(&case.tracer.graph(), Extents::batch(1), &case.environment);
        for output in &case.outputs {
            let value = values.get(output.value());
            assert_eq!(value.shape, output.shape().resolve(&Extents::batch(1)), "{name}");
            assert_eq!(value.data.len(), value.shape.iter().product::<usize>(), "{name}");
        }
    }
}

/// The message of what `build` does wrong in layer `encoder.0`, given tensors of the shapes.
fn message<const N: usize>(shapes: [&[usize]; N], build: impl FnOnce([Tensor; N]) -> Result<Tensor>) -> String {
    let tracer = Tracer::new(Mode::Train);
    let mut i = 0;
    let inputs = shapes.map(|shape| {
        i += 1;
        tracer.input(&format!("x{i}"), shape, DType::F32)
    });
    tracer.in_layer("encoder.0", || build(inputs)).expect_err("the shapes do not fit").to_string()
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
}

#[test]
fn misfits_are_named_with_layer_and_shapes() {
    let m = message([&[2, 3], &[4, 5]], |[a, b]| a.matmul(&b));
    assert_says(&m, &["encoder.0: matmul", "[2, 3]", "[4, 5]", "3 and 4"]);
    let m = message([&[2, 3], &[5, 4]], |[a, b]| a.matmul_with(&b, true, true));
    assert_says(&m, &["encoder.0: matmul", "[2, 3] transposed", "[5, 4] transposed"]);
    let m = message([&[6, 2, 3], &[5, 3, 4]], |[a, b]| a.matmul(&b));
    assert_says(&m, &["encoder.0: matmul", "[6, 2, 3]", "[5, 3, 4]", "leading axes"]);
    let m = message([&[3], &[3, 4]], |[a, b]| a.matmul(&b));
    assert_says(&m, &["encoder.0: matmul", "[3]", "[3, 4]"]);

    let plain = Conv2dAttributes::default();
    let m = message([&[2, 8, 8, 3], &[4, 5, 3, 3]], |[x, w]| x.conv2d(&w, plain));
    assert_says(&m, &["encoder.0: conv2d", "[2, 8, 8, 3]", "[4, 5, 3, 3]"]);
    let m = message([&[2, 2, 8, 3], &[4, 3, 3, 3]], |[x, w]| x.conv2d(&w, plain));
    assert_says(&m, &["encoder.0: conv2d", "[2, 2, 8, 3]", "3x3"]);
    let m = message([&[2, 8, 3], &[4, 3, 3, 3]], |[x, w]| x.conv2d(&w, plain));
    assert_says(&m, &["encoder.0: conv2d", "[2, 8, 3]", "[batch, height, width, channels]"]);
    let m =
        message([&[2, 8, 8, 3], &[4, 3, 3, 3]], |[x, w]| x.conv2d(&w, Conv2dAttributes { stride: (0, 1), ..plain }));
    assert_says(&m, &["encoder.0: conv2d", "stride"]);

    let m = message([&[2, 3], &[2, 4]], |[a, b]| a.add(&b));
    assert_says(&m, &["encoder.0: add", "[2, 3]", "[2, 4]"]);
    let m = message([&[2, 3], &[3, 3]], |[a, b]| a.concat(&[&b], 1));
    assert_says(&m, &["encoder.0: concat", "[2, 3]", "[3, 3]", "axis 1"]);
    let m = message([&[2, 3]], |[a]| a.concat(&[], 2));
    assert_says(&m, &["encoder.0: concat", "[2, 3]", "axis 2"]);
    let m = message([&[2, 3]], |[a]| a.reshape([4, 2]));
    assert_says(&m, &["encoder.0: reshape", "[2, 3]", "[4, 2]", "6", "8"]);
    let m = message([&[2, 3]], |[a]| a.slice(1, 2, 2));
    assert_says(&m, &["encoder.0: slice", "[2, 3]", "2..4", "axis 1"]);
    let m = message([&[2, 3]], |[a]| a.slice(1, usize::MAX, 2));
    assert_says(&m, &["encoder.0: slice", "[2, 3]"]);
    let m = message([&[2, 3]], |[a]| a.permute(&[0, 0]));
    assert_says(&m, &["encoder.0: permute", "[2, 3]", "[0, 0]"]);
    let m = message([&[2, 3]], |[a]| a.broadcast_to([2, 4]));
    assert_says(&m, &["encoder.0: broadcast_to", "[2, 3]", "[2, 4]"]);
    let m = message([&[2, 3], &[4], &[3]], |[x, s, b]| x.layer_norm(&s, &b, 1e-5));
    assert_says(&m, &["encoder.0: layer_norm", "[2, 3]", "[4]"]);
    let m = message([&[2, 3], &[3], &[5]], |[x, s, b]| x.batch_norm(&s, &b, 1e-5).map(|o| o.0));
    assert_says(&m, &["encoder.0: batch_norm", "[2, 3]", "[5]"]);
    let m = message([&[2, 4, 4, 3]], |[x]| x.max_pool2d(Window::square(5)));
    assert_says(&m, &["encoder.0: max_pool2d", "[2, 4, 4, 3]", "5x5"]);
    let m = message([&[2, 0, 4, 3]], |[x]| x.max_pool2d(Window { padding: (1, 1), ..Window::square(2) }));
    assert_says(&m, &["encoder.0: max_pool2d", "[2, 0, 4, 3]"]);
    let m = message([&[]], |[x]| x.softmax());
    assert_says(&m, &["encoder.0: softmax", "scalar"]);
    let m = message([&[2, 3]], |[x]| x.dropout(1.5));
    assert_says(&m, &["encoder.0: dropout", "1.5"]);
}

#[test]
fn misfits_with_class_numbers_are_named() {
    let tracer = Tracer::new(Mode::Train);
    let logits = tracer.input("logits", [4, 3], DType::F32);
    let (few, floats) = (tracer.input("few", [5], DType::I32), tracer.input("floats", [4], DType::F32));
    let (classes, weights) = (tracer.input("classes", [4], DType::I32), tracer.input("weights", [2], DType::F32));
    let cross_entropy = |targets: &Tensor, weights: Option<&Tensor>, smoothing| {
        let result = tracer.in_layer("loss", || logits.cross_entropy(targets, weights, smoothing));
        result.expect_err("must not fit").to_string()
    };
    assert_says(&cross_entropy(&few, None, 0.0), &["loss: cross_entropy", "f32 [4, 3]", "i32 [5]"]);
    assert_says(&cross_entropy(&floats, None, 0.0), &["loss: cross_entropy", "f32 [4, 3]", "f32 [4]"]);
    assert_says(&cross_entropy(&classes, Some(&weights), 0.0), &["loss: cross_entropy", "[4, 3]", "[2]"]);
    assert_says(&cross_entropy(&classes, None, 1.5), &["loss: cross_entropy", "1.5"]);
    let table = tracer.in_layer("loss", || logits.embedding(&floats)).expect_err("must not fit").to_string();
    assert_says(&table, &["loss: embedding", "f32 [4, 3]", "f32 [4]"]);
    let bytes = tracer.input("bytes", [4], DType::U8);
    assert_says(&bytes.relu().expect_err("must not fit").to_string(), &["relu", "u8 [4]", "to_f32"]);
}

#[test]
fn a_batch_is_not_a_number() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.input("x", deepfit_graph::Shape::batch_of(&[3]), DType::F32);
    let y = tracer.input("y", [8, 3], DType::F32);
    let add = tracer.in_layer("head", || x.add(&y)).expect_err("must not fit").to_string();
    assert_says(&add, &["head: add", "[batch, 3]", "[8, 3]"]);
    let reshape = tracer.in_layer("head", || x.reshape([24])).expect_err("must not fit").to_string();
    assert_says(&reshape, &["head: reshape", "[batch, 3]", "3*batch", "24"]);
    assert!(x.slice(0, 0, 1).is_err());
    assert_eq!(x.flatten().unwrap().shape(), x.shape());
    assert_eq!(x.reshape(vec![Dim::fixed(3) * x.shape().dims()[0]]).unwrap().shape().to_string(), "[3*batch]");
}

#[test]
fn values_of_another_graph_are_refused() {
    let (here, there) = (Tracer::new(Mode::Train), Tracer::new(Mode::Train));
    let (a, b) = (here.input("a", [2], DType::F32), there.input("b", [2], DType::F32));
    let error = here.in_layer("head", || a.add(&b)).unwrap_err();
    assert!(matches!(error, GraphError::ForeignValue { .. }), "{error}");
    assert_says(&error.to_string(), &["head: add", "[2] and [2]", "different graphs"]);
}

#[test]
fn a_parameter_has_one_shape() {
    let tracer = Tracer::new(Mode::Train);
    let first = tracer.parameter("layer.weight", [2, 3]).unwrap();
    assert_eq!(tracer.parameter("layer.weight", [2, 3]).unwrap().value(), first.value());
    let error = tracer.parameter("layer.weight", [3, 2]).expect_err("another shape").to_string();
    assert_says(&error, &["layer.weight", "[2, 3]", "[3, 2]"]);
}

#[test]
fn only_scalars_have_gradients_and_only_of_what_they_depend_on() {
    let tracer = Tracer::new(Mode::Train);
    let used = tracer.parameter("used", [2, 3]).unwrap();
    let unused = tracer.parameter("unused", [2, 3]).unwrap();
    let squares = used.square().unwrap();
    assert_says(&gradients(&squares, std::slice::from_ref(&used)).unwrap_err().to_string(), &["scalar", "[2, 3]"]);
    let error = gradients(&squares.sum().unwrap(), &[used, unused]).unwrap_err();
    assert_eq!(error, GraphError::Unreachable { name: "unused".to_string() });
}

#[test]
fn a_second_derivative_through_an_operation_without_one_is_an_error() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.parameter("x", [1, 4, 4, 2]).unwrap();
    let y = tracer.in_layer("stem", || x.max_pool2d(Window::square(2))).unwrap();
    let loss = y.square().unwrap().sum().unwrap();
    let dx = gradients(&loss, std::slice::from_ref(&x)).unwrap().swap_remove(0);
    let penalty = dx.square().unwrap().sum().unwrap();
    let error = gradients(&penalty, &[x]).unwrap_err();
    assert!(matches!(error, GraphError::NoDerivative { .. }), "{error}");
    assert_says(&error.to_string(), &["stem: max_pool2d_grad", "no derivative"]);
}

/// `2x`, with a derivative that is wrong on request.
#[derive(Debug)]
struct Twice {
    gradients: usize,
    gradient_shape: &'static [usize],
}

impl CustomOperation for Twice {
    fn name(&self) -> String {
        "twice".to_string()
    }
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        Ok(vec![inputs[0].clone()])
    }
    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        let gradient = cx.upstream()?.mul_scalar(2.0)?.reshape(self.gradient_shape)?;
        Ok(vec![Some(gradient); self.gradients])
    }
    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        vec![Reference::new(&cx.shapes[0], cx.inputs[0].data.iter().map(|x| 2.0 * x).collect())]
    }
}

#[test]
fn a_wrong_derivative_of_a_users_operation_is_an_error() {
    let gradient_of = |op: Twice| {
        let tracer = Tracer::new(Mode::Train);
        let x = tracer.parameter("x", [2, 3]).unwrap();
        let loss = tracer.apply_one(Custom(Arc::new(op)), &[&x]).unwrap().sum().unwrap();
        gradients(&loss, &[x])
    };
    assert_eq!(gradient_of(Twice { gradients: 1, gradient_shape: &[2, 3] }).unwrap().len(), 1);
    let shape = gradient_of(Twice { gradients: 1, gradient_shape: &[3, 2] }).unwrap_err().to_string();
    assert_says(&shape, &["derivative of twice", "[3, 2]", "[2, 3]"]);
    let number = gradient_of(Twice { gradients: 2, gradient_shape: &[2, 3] }).unwrap_err().to_string();
    assert_says(&number, &["derivative of twice", "2 gradients for 1 inputs"]);
}

#[test]
fn a_graph_that_grows_without_end_is_refused() {
    let tracer = Tracer::new(Mode::Train);
    let mut x = tracer.input("x", [1], DType::F32);
    let grown: Result<Tensor, GraphError> = tracer.in_layer("loop", || {
        loop {
            x = x.tanh()?;
        }
    });
    assert_says(&grown.unwrap_err().to_string(), &["loop: tanh", &deepfit_graph::MOST_NODES.to_string(), "unrolled"]);
    assert_eq!(tracer.graph().nodes().len(), deepfit_graph::MOST_NODES);
}
