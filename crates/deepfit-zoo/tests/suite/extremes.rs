//! Losses of huge scores on the engine, in f32, against the reference in f64.

use deepfit_graph::interpret::Environment;
use deepfit_graph::ops::CtcTargets;
use deepfit_graph::{DType, Mode, Reference, Shape, Symbol, Tensor, Tracer, gradients};
use deepfit_nn::Result;
use deepfit_nn::losses::*;

use crate::backend::{Backend, Cpu, Interpreter};

const ROWS: usize = 6;
const CLASSES: usize = 4;

/// Inputs of a loss: scores, classes i32, and for each score a target between 0 and 1.
struct Given {
    x: Tensor,
    classes: Tensor,
    targets: Tensor,
}

type Loss = fn(&Given) -> Result<Tensor>;

fn check(name: &str, loss: Loss, scores: &Reference) {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.input("x", Shape::batch_of(&[CLASSES]), DType::F32);
    let given = Given {
        classes: tracer.input("classes", Shape::new(&[Symbol::Batch]), DType::I32),
        targets: tracer.input("targets", Shape::batch_of(&[CLASSES]), DType::F32),
        x: x.clone(),
    };
    let value = loss(&given).unwrap_or_else(|e| panic!("{name}: {e}"));
    tracer.output("loss", &value);
    tracer.output("gradient", &gradients(&value, &[x]).expect("a gradient")[0]);
    let classes = (0..ROWS).map(|i| (i % CLASSES) as f64).collect();
    let inputs = Environment::from([
        ("x".to_string(), scores.clone()),
        ("classes".to_string(), Reference::new(&[ROWS], classes)),
        ("targets".to_string(), Reference::from_fn(&[ROWS, CLASSES], |i| f64::from(u8::from((i[0] + i[1]) % 2 == 0)))),
    ]);
    let graph = tracer.graph();
    let expected = Interpreter::default().run(&graph, ROWS, &inputs);
    let found = Cpu::new().run(&graph, ROWS, &inputs);
    for output in ["loss", "gradient"] {
        let (expected, found) = (&expected[output].data, &found[output].data);
        let largest = expected.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
        for (e, f) in expected.iter().zip(found) {
            assert!(e.is_finite() && (e - f).abs() <= 1e-5 * largest, "{name}: {output} {f} instead of {e}");
        }
    }
}

#[test]
fn losses_of_huge_scores_are_finite_and_right() {
    let losses: [(&str, Loss); 9] = [
        ("cross_entropy", |g| cross_entropy(&g.x, &g.classes, &CrossEntropy::default())),
        ("smoothed", |g| cross_entropy(&g.x, &g.classes, &CrossEntropy { smoothing: 0.1, ..CrossEntropy::default() })),
        ("soft_cross_entropy", |g| soft_cross_entropy(&g.x, &g.targets, &CrossEntropy::default())),
        ("nll", |g| nll(&g.x.log_softmax()?, &g.classes, &Nll::default())),
        ("focal", |g| focal(&g.x, &g.classes, &Focal { gamma: 1.5, ..Focal::default() })),
        ("bce_with_logits", |g| bce_with_logits(&g.x, &g.targets, &BceWithLogits::default())),
        ("sigmoid_focal", |g| sigmoid_focal(&g.x, &g.targets, &SigmoidFocal::default())),
        ("multi_label", |g| multi_label_soft_margin(&g.x, &g.targets, None, Reduction::Mean)),
        ("kl", |g| kl_divergence(&g.x.log_softmax()?, &g.targets, false, Reduction::BatchMean)),
    ];
    for size in [1.0, 30.0, 1e4] {
        let scores = Reference::from_fn(&[ROWS, CLASSES], |i| match (i[0] * 7 + i[1] * 3) % 5 {
            0 => size,
            1 => -size,
            2 => 0.0,
            3 => size / 2.0,
            _ => 1.0 - size,
        });
        for (name, loss) in losses {
            check(&format!("{name} of scores up to {size}"), loss, &scores);
        }
        check(
            &format!("soft_margin of scores up to {size}"),
            |g| soft_margin(&g.x, &g.targets.mul_scalar(2.0)?.add_scalar(-1.0)?, Reduction::Sum),
            &scores,
        );
    }
}

#[test]
fn logarithms_of_a_binary_cross_entropy_are_limited() {
    let tracer = Tracer::new(Mode::Train);
    let p = tracer.input("p", [4], DType::F32);
    let t = tracer.input("t", [4], DType::F32);
    let loss = bce(&p, &t, &Bce { reduction: Reduction::None, ..Bce::default() }).expect("it fits");
    tracer.output("loss", &loss);
    tracer.output("gradient", &gradients(&loss.sum().expect("a scalar"), &[p]).expect("a gradient")[0]);
    let list = |values: [f64; 4]| Reference::new(&[4], values.to_vec());
    let inputs = Environment::from([
        ("p".to_string(), list([0.0, 1.0, 0.0, 0.5])),
        ("t".to_string(), list([1.0, 0.0, 0.0, 1.0])),
    ]);
    let found = Cpu::new().run(&tracer.graph(), 1, &inputs);
    assert_eq!(found["loss"].data[..3], [100.0, 100.0, 0.0]);
    assert!((found["loss"].data[3] - 2f64.ln()).abs() < 1e-6);
    assert!(found["gradient"].data.iter().all(|g| g.is_finite()), "{:?}", found["gradient"].data);
}

#[test]
fn alignments_of_huge_scores_are_finite_and_right() {
    // Three frames of two classes and the blank, for each of a batch.
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.input("x", Shape::batch_of(&[3, 3]), DType::F32);
    let labels = tracer.input("labels", Shape::batch_of(&[2]), DType::I32);
    let targets = CtcTargets { labels: &labels, input_lengths: None, target_lengths: None };
    let loss = x.log_softmax().map_err(Into::into).and_then(|x| ctc(&x, targets, &Ctc::default())).expect("it fits");
    tracer.output("loss", &loss);
    tracer.output("gradient", &gradients(&loss, &[x]).expect("a gradient")[0]);
    let scores = Reference::from_fn(&[ROWS, 3, 3], |i| [1e4, -1e4, 5e3, 0.0][(i[0] + 2 * i[1] + 3 * i[2]) % 4]);
    let labels = Reference::from_fn(&[ROWS, 2], |i| ((i[0] + i[1]) % 2 + 1) as f64);
    let inputs = Environment::from([("x".to_string(), scores), ("labels".to_string(), labels)]);
    let graph = tracer.graph();
    let expected = Interpreter::default().run(&graph, ROWS, &inputs);
    let found = Cpu::new().run(&graph, ROWS, &inputs);
    for output in ["loss", "gradient"] {
        let largest = expected[output].data.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
        for (e, f) in expected[output].data.iter().zip(&found[output].data) {
            assert!(e.is_finite() && (e - f).abs() <= 1e-5 * largest, "{output} {f} instead of {e}");
        }
    }
}
