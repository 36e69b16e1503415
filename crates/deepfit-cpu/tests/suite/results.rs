//! What a run gives: results of any kind and type, and none where there is nothing to compute one of.

use deepfit_cpu::{Engine, Error, ProgramId, View};
use deepfit_graph::ops::{CtcTargets, ReduceKind};
use deepfit_graph::{DType, Dim, Extents, HostTensor, Mode, RANDOM_KEY, Result, Symbol, Tensor, Tracer, gradients};

fn compiled(tracer: &Tracer, maximum: Extents) -> (Engine, ProgramId) {
    let mut engine = Engine::new(2).unwrap();
    let program = engine.compile(&tracer.graph(), maximum).unwrap();
    (engine, program)
}

#[test]
fn a_result_may_be_an_input() {
    let tracer = Tracer::new(Mode::Evaluate);
    let x = tracer.batch("x", &[2], DType::F32);
    let bytes = tracer.batch("bytes", &[3], DType::U8);
    let number = tracer.input("number", [], DType::I32);
    let weight = tracer.parameter("w", [2]).unwrap();
    tracer.output("itself", &x);
    tracer.output("reshaped", &x.reshape(vec![Symbol::Batch.into(), Dim::fixed(1), Dim::fixed(2)]).unwrap());
    tracer.output("bytes", &bytes);
    tracer.output("number", &number);
    tracer.output("weight", &weight);
    // The gradient of a product is the other factor.
    let loss = x.mul(&tracer.batch("y", &[2], DType::F32)).unwrap().sum().unwrap();
    tracer.output("gradient", &gradients(&loss, &[x]).unwrap()[0]);
    let (mut engine, program) = compiled(&tracer, Extents::batch(4));
    engine.set_parameter("w", &[2], &[7.0, 8.0]).unwrap();
    for batch in [4, 1, 3] {
        let x: Vec<f32> = (0..2 * batch).map(|i| i as f32).collect();
        let y: Vec<f32> = x.iter().map(|v| v + 0.5).collect();
        let bytes: Vec<u8> = (0..3 * batch).map(|i| i as u8).collect();
        let inputs =
            [("x", View::F32(&x)), ("y", View::F32(&y)), ("bytes", View::U8(&bytes)), ("number", View::I32(&[-5]))];
        engine.run(program, Extents::batch(batch), &inputs).unwrap();
        assert_eq!(engine.output(program, "itself").unwrap(), x);
        assert_eq!(engine.output(program, "reshaped").unwrap(), x);
        assert_eq!(engine.output_shape(program, "reshaped").unwrap(), [batch, 1, 2]);
        assert_eq!(engine.output(program, "gradient").unwrap(), y);
        assert_eq!(engine.output(program, "weight").unwrap(), [7.0, 8.0]);
        assert!(matches!(engine.output_view(program, "bytes").unwrap(), View::U8(found) if found == bytes));
        assert!(matches!(engine.output_view(program, "number").unwrap(), View::I32(&[-5])));
    }
}

#[test]
fn a_result_may_be_of_any_type() {
    let tracer = Tracer::new(Mode::Evaluate);
    let x = tracer.batch("x", &[3], DType::F32);
    tracer.output("class", &x.argmax().unwrap());
    tracer.output("places", &x.topk(2, true).unwrap().1);
    tracer.output("constant", &tracer.constant(HostTensor::u8(&[2], vec![3, 255])));
    let (mut engine, program) = compiled(&tracer, Extents::batch(2));
    engine.run(program, Extents::batch(2), &[("x", View::F32(&[1.0, 3.0, 2.0, 9.0, 8.0, 7.0]))]).unwrap();
    let class = engine.output_view(program, "class").unwrap();
    assert!(matches!(class, View::I32(&[1, 0])) && class.to_f32() == [1.0, 0.0] && class.len() == 2);
    assert!(matches!(engine.output_view(program, "places").unwrap(), View::I32(&[1, 2, 0, 1])));
    assert_eq!(engine.output_view(program, "constant").unwrap().to_f32(), [3.0, 255.0]);
    let told = engine.output(program, "class").unwrap_err().to_string();
    assert!(told.contains("`class` is not floating point") && told.contains("output_view"), "{told}");
}

/// What a run over no steps and two examples tells.
fn over_nothing(build: impl FnOnce(&Tracer, &Tensor) -> Result<Tensor>) -> std::result::Result<(), Error> {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.input("x", vec![Symbol::Batch.into(), Symbol::Sequence.into(), Dim::fixed(4)], DType::F32);
    tracer.output("y", &tracer.in_layer("part", || build(&tracer, &x)).unwrap());
    let (mut engine, program) = compiled(&tracer, Extents { batch: 2, sequence: 3 });
    engine.run(program, Extents { batch: 2, sequence: 0 }, &[("x", View::F32(&[]))])
}

#[test]
fn what_has_no_result_of_nothing_refuses_an_extent_of_zero() {
    let refused = |found: std::result::Result<(), Error>, operation: &str| {
        let told = found.expect_err("a run over nothing").to_string();
        let expected = format!("`{operation}` of layer `part`");
        assert!(told.contains("`sequence` is 0") && told.contains(&expected), "{told}");
    };
    refused(over_nothing(|_, x| x.reduce(ReduceKind::Mean, &[1], false)), "mean");
    refused(over_nothing(|_, x| x.reduce(ReduceKind::Max, &[1], false)), "max");
    refused(over_nothing(|_, x| x.permute(&[0, 2, 1])?.softmax()), "softmax");
    refused(
        over_nothing(|t, x| {
            let targets = CtcTargets {
                labels: &t.constant(HostTensor::i32(&[1], vec![1])),
                input_lengths: None,
                target_lengths: Some(&t.batch("count", &[], DType::I32)),
            };
            x.ctc(targets, 0, false)
        }),
        "ctc",
    );
    // Sums of nothing are 0, and elements of nothing none.
    over_nothing(|_, x| x.reduce(ReduceKind::Sum, &[1], false)).unwrap();
    over_nothing(|_, x| x.neg()).unwrap();
}

#[test]
fn a_batch_of_no_examples_has_no_mean() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.batch("x", &[4], DType::F32);
    tracer.output("rows", &x.softmax().unwrap());
    tracer.output("sum", &x.sum().unwrap());
    let (mut engine, program) = compiled(&tracer, Extents::batch(2));
    engine.run(program, Extents::batch(0), &[("x", View::F32(&[]))]).unwrap();
    assert_eq!(
        (engine.output(program, "rows").unwrap().len(), engine.output(program, "sum").unwrap()),
        (0, &[0.0][..])
    );
    tracer.output("mean", &x.mean().unwrap());
    let (mut engine, program) = compiled(&tracer, Extents::batch(2));
    let told = engine.run(program, Extents::batch(0), &[("x", View::F32(&[]))]).unwrap_err().to_string();
    assert!(told.contains("`batch` is 0") && told.contains("`mean`"), "{told}");
}

#[test]
fn labels_in_a_row_give_what_padded_ones_give() {
    let lists = [("frames", vec![6, 4, 5]), ("count", vec![3, 0, 2])];
    let losses = |padded: bool| {
        let tracer = Tracer::new(Mode::Train);
        let scores = tracer.parameter("scores", [3, 6, 4]).unwrap();
        let labels = match padded {
            true => tracer.input("labels", [3, 3], DType::I32),
            false => tracer.input("labels", [6], DType::I32),
        };
        let of = |name: &str| tracer.input(name, [3], DType::I32);
        let targets =
            CtcTargets { labels: &labels, input_lengths: Some(&of("frames")), target_lengths: Some(&of("count")) };
        let losses = scores.ctc(targets, 0, false).unwrap();
        let gradient = gradients(&losses.sum().unwrap(), &[scores]).unwrap().swap_remove(0);
        tracer.output("losses", &losses);
        tracer.output("gradient", &gradient);
        let (mut engine, program) = compiled(&tracer, Extents::batch(1));
        let scores: Vec<f32> = (0..72).map(|i| -0.5 - (i as f32 * 0.7).sin().abs()).collect();
        engine.set_parameter("scores", &[3, 6, 4], &scores).unwrap();
        let labels: &[i32] = if padded { &[1, 1, 2, 9, 9, 9, 3, 2, 9] } else { &[1, 1, 2, 3, 2, 9] };
        let mut inputs: Vec<(&str, View<'_>)> = lists.iter().map(|(n, list)| (*n, View::I32(list))).collect();
        inputs.push(("labels", View::I32(labels)));
        engine.run(program, Extents::batch(1), &inputs).unwrap();
        ["losses", "gradient"].map(|name| engine.output(program, name).unwrap().to_vec())
    };
    let found = losses(true);
    assert!(found[0].iter().all(|loss| loss.is_finite() && *loss > 0.0), "{found:?}");
    assert_eq!(losses(false), found);
}

#[test]
fn parts_of_a_symbolic_axis_are_found_at_every_extent() {
    let tracer = Tracer::new(Mode::Train);
    let steps = Dim::symbol(Symbol::Sequence);
    let of = |name: &str, n: usize| tracer.input(name, vec![Dim::fixed(2), steps * Dim::fixed(n)], DType::F32);
    let (a, b, up) = (of("a", 1), of("b", 2), of("up", 3));
    let loss = a.concat(&[&b], 1).unwrap().mul(&up).unwrap().sum().unwrap();
    let found = gradients(&loss, &[a, b]).unwrap();
    tracer.output("a", &found[0]);
    tracer.output("b", &found[1]);
    // The derivative of a part is the part within zeros.
    let squares = found[1].square().unwrap().sum().unwrap();
    tracer.output("up", &gradients(&squares, &[up]).unwrap()[0]);
    let (mut engine, program) = compiled(&tracer, Extents { batch: 1, sequence: 5 });
    for sequence in [5, 1, 3] {
        let n = 3 * sequence;
        let values: Vec<f32> = (0..2 * n).map(|i| i as f32 + 1.0).collect();
        let inputs = [("a", 1), ("b", 2), ("up", 3)].map(|(name, k)| (name, View::F32(&values[..2 * k * sequence])));
        engine.run(program, Extents { batch: 1, sequence }, &inputs).unwrap();
        let part = |from: usize, to: usize| [&values[from..to], &values[n + from..n + to]].concat();
        assert_eq!(engine.output(program, "a").unwrap(), part(0, sequence));
        assert_eq!(engine.output(program, "b").unwrap(), part(sequence, n));
        let inside = |i: usize| if i % n < sequence { 0.0 } else { 2.0 * values[i] };
        assert_eq!(engine.output(program, "up").unwrap(), (0..2 * n).map(inside).collect::<Vec<f32>>());
    }
}

#[test]
fn normal_numbers_have_the_moments_of_the_normal_distribution() {
    const COUNT: usize = 100_000;
    let tracer = Tracer::new(Mode::Train);
    tracer.output("z", &tracer.random_normal([COUNT]).unwrap());
    let (mut engine, program) = compiled(&tracer, Extents::batch(1));
    let mut draw = |step: i32| -> Vec<f32> {
        engine.run(program, Extents::batch(1), &[(RANDOM_KEY, View::I32(&[5, 0, step, 0]))]).unwrap();
        engine.output(program, "z").unwrap().to_vec()
    };
    let z = draw(1);
    let mean_of = |f: fn(f64) -> f64| z.iter().map(|&z| f(f64::from(z))).sum::<f64>() / COUNT as f64;
    // Four standard errors: 1/√n of z, √2/√n of z², √15/√n of z³, √96/√n of z⁴.
    assert!(mean_of(|z| z).abs() < 0.013);
    assert!((mean_of(|z| z * z) - 1.0).abs() < 0.018);
    assert!(mean_of(|z| z.powi(3)).abs() < 0.049);
    assert!((mean_of(|z| z.powi(4)) - 3.0).abs() < 0.124);
    assert!((mean_of(|z| f64::from(u8::from(z.abs() > 1.959_964))) - 0.05).abs() < 0.003);
    assert_ne!(z, draw(2));
    assert_eq!(z, draw(1));
}
