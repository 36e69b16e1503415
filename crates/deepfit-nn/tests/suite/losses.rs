use deepfit_graph::interpret::Environment;
use deepfit_graph::{DType, Extents, Mode, Reference, Tensor, Tracer, gradients, interpret};
use deepfit_nn::Result;
use deepfit_nn::losses::{self, CrossEntropy, Reduction};

use crate::golden::{Golden, batch_shape};

const TOLERANCE: f64 = 1e-6;

fn loss_of(golden: &Golden, input: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    match golden.config["loss"].as_str().expect("a class name") {
        "CrossEntropyLoss" => {
            let weights = (golden.config["weighted"] == true).then(|| {
                let data = golden.get("class_weight");
                input.tracer().input("class_weight", &data.shape[..], DType::F32)
            });
            let smoothing = golden.number("label_smoothing") as f32;
            losses::cross_entropy(
                input,
                target,
                &CrossEntropy { smoothing, weights, reduction, ..CrossEntropy::default() },
            )
        }
        "MSELoss" => losses::mse(input, target, reduction),
        "L1Loss" => losses::l1(input, target, reduction),
        "HuberLoss" => losses::huber(input, target, golden.number("delta") as f32, reduction),
        "SmoothL1Loss" => losses::smooth_l1(input, target, golden.number("beta") as f32, reduction),
        other => panic!("no loss for {other}"),
    }
}

fn check(golden: &Golden) {
    for (name, reduction) in [("mean", Reduction::Mean), ("sum", Reduction::Sum), ("none", Reduction::None)] {
        let (input, target) = (golden.get("input"), golden.get("target"));
        let classes = golden.config["loss"] == "CrossEntropyLoss";
        let tracer = Tracer::new(Mode::Train);
        let x = tracer.input("x", batch_shape(input), DType::F32);
        let t = tracer.input("t", batch_shape(target), if classes { DType::I32 } else { DType::F32 });
        let loss = loss_of(golden, &x, &t, reduction).unwrap_or_else(|e| panic!("{}: {e}", golden.name));
        let mut inputs = Environment::from([("x".to_string(), input.clone()), ("t".to_string(), target.clone())]);
        if golden.config["weighted"] == true {
            inputs.insert("class_weight".to_string(), golden.get("class_weight").clone());
        }
        let scalar = if reduction == Reduction::None {
            let upstream = golden.get("upstream.none");
            inputs.insert("upstream".to_string(), upstream.clone());
            let upstream = tracer.input("upstream", batch_shape(upstream), DType::F32);
            loss.mul(&upstream).and_then(|l| l.sum()).expect("a scalar")
        } else {
            loss.clone()
        };
        let gradient = gradients(&scalar, &[x]).expect("a gradient").remove(0);
        let extents = Extents::batch(input.shape[0]);
        let values =
            interpret::run(&tracer.graph(), extents, &inputs, &mut Environment::new()).expect("the graph runs");
        golden.compare(&format!("loss.{name}"), values.get(loss.value()), TOLERANCE);
        golden.compare(&format!("grad.{name}"), values.get(gradient.value()), TOLERANCE);
    }
}

#[test]
fn cross_entropy_equals_pytorchs() {
    let goldens = Golden::all("loss-cross-entropy");
    assert_eq!(goldens.len(), 4);
    goldens.iter().for_each(check);
}

#[test]
fn regression_losses_equal_pytorchs() {
    for name in ["mse", "l1", "huber-1.0", "huber-0.5", "smooth-l1", "smooth-l1-0.5"] {
        check(&Golden::read(&format!("loss-{name}")));
    }
}

/// Loss of a mixture of rows, with the given class weights.
fn mixed(share: &[f64], weights: Option<[f32; 3]>) -> f64 {
    let tracer = Tracer::new(Mode::Train);
    let logits = Reference::new(&[2, 3], vec![0.5, -1.0, 2.0, 0.1, 0.2, -0.3]);
    let x = tracer.input("x", batch_shape(&logits), DType::F32);
    let classes = |name| tracer.input(name, deepfit_graph::Shape::batch_of(&[]), DType::I32);
    let (first, second) = (classes("first"), classes("second"));
    let s = tracer.input("share", deepfit_graph::Shape::batch_of(&[]), DType::F32);
    let weights = weights.map(|w| tracer.constant(deepfit_graph::HostTensor::f32(&[3], w.to_vec())));
    let settings = CrossEntropy { weights, ..CrossEntropy::default() };
    let loss = losses::mixed_cross_entropy(&x, &first, &second, &s, &settings).expect("it fits");
    let inputs = Environment::from([
        ("x".to_string(), logits),
        ("first".to_string(), Reference::new(&[2], vec![0.0, 1.0])),
        ("second".to_string(), Reference::new(&[2], vec![2.0, 0.0])),
        ("share".to_string(), Reference::new(&[2], share.to_vec())),
    ]);
    let values =
        interpret::run(&tracer.graph(), Extents::batch(2), &inputs, &mut Environment::new()).expect("the graph runs");
    values.get(loss.value()).data[0]
}

#[test]
fn mixed_cross_entropy_weighs_both_classes_of_each_row() {
    let row = |logits: [f64; 3], class: usize| logits.iter().map(|l| l.exp()).sum::<f64>().ln() - logits[class];
    let (a, b) = ([0.5, -1.0, 2.0], [0.1, 0.2, -0.3]);
    let expected = (0.3 * row(a, 0) + 0.7 * row(a, 2) + 0.9 * row(b, 1) + 0.1 * row(b, 0)) / 2.0;
    assert!((mixed(&[0.3, 0.9], None) - expected).abs() < 1e-9);
    // With class weights, the mean divides by the weights as they are mixed.
    let sum = 0.3 * row(a, 0) + 0.7 * 4.0 * row(a, 2) + 0.9 * 2.0 * row(b, 1) + 0.1 * row(b, 0);
    let expected = sum / (0.3 + 0.7 * 4.0 + 0.9 * 2.0 + 0.1);
    assert!((mixed(&[0.3, 0.9], Some([1.0, 2.0, 4.0])) - expected).abs() < 1e-9);
}

#[test]
fn predictions_and_targets_of_different_shapes_are_refused() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.input("x", deepfit_graph::Shape::batch_of(&[1]), DType::F32);
    let t = tracer.input("t", deepfit_graph::Shape::batch_of(&[]), DType::F32);
    let message = losses::mse(&x, &t, Reduction::Mean).expect_err("shapes differ").to_string();
    assert!(message.contains("[batch, 1]") && message.contains("[batch]"), "{message}");
    let message = losses::huber(&x, &x, 0.0, Reduction::Mean).expect_err("no threshold").to_string();
    assert!(message.contains("delta"), "{message}");
}
