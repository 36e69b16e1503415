//! What is recorded of runs.

use deepfit_cpu::{Engine, View};
use deepfit_graph::{DType, Extents, Mode, Tracer};

#[test]
fn each_operation_is_counted_with_its_cost_and_the_result_stays_the_same() {
    let tracer = Tracer::new(Mode::Evaluate);
    let x = tracer.batch("x", &[64], DType::F32);
    let w = tracer.parameter("w", [64, 32]).unwrap();
    let y = tracer.in_layer("first", || x.matmul(&w)).unwrap();
    tracer.output("y", &tracer.in_layer("second", || y.softmax()).unwrap());
    let mut engine = Engine::new(2).unwrap();
    let program = engine.compile(&tracer.graph(), Extents::batch(8)).unwrap();
    let weights: Vec<f32> = (0..64 * 32).map(|i| (i as f32).sin()).collect();
    engine.set_parameter("w", &[64, 32], &weights).unwrap();
    let x: Vec<f32> = (0..8 * 64).map(|i| (i as f32).cos()).collect();
    let run = |engine: &mut Engine, batch: usize| {
        engine.run(program, Extents::batch(batch), &[("x", View::F32(&x[..batch * 64]))]).unwrap();
        engine.output(program, "y").unwrap().to_vec()
    };
    let plain = run(&mut engine, 8);
    assert!(engine.profile().is_none());

    engine.record();
    assert_eq!(run(&mut engine, 8), plain);
    run(&mut engine, 3);
    let profile = engine.profile().unwrap();
    assert_eq!(profile.runs, 2);
    let rows: Vec<_> =
        profile.operations.iter().map(|m| (&m.operation[..], &m.layer[..], m.calls, m.operations, m.bytes)).collect();
    // Two operations for each of 64 x 32 products a row; the weights, the rows, and what is made of them.
    let product = ("matmul", "first", 2, 2 * 64 * 32 * 11, 4 * (2 * 64 * 32 + 64 * 11 + 32 * 11));
    assert_eq!(rows[0], product);
    assert_eq!((rows[1].0, rows[1].1, rows[1].2), ("softmax", "second", 2));
    assert_eq!(profile.spans.len(), 4);
    assert!(profile.spans.windows(2).all(|two| two[0].start + two[0].seconds <= two[1].start + 1e-9));
    assert!(profile.in_operations() <= profile.seconds);
    let of_spans: f64 = profile.spans.iter().map(|span| span.seconds).sum();
    assert!((of_spans - profile.in_operations()).abs() < 1e-9);

    // Recording has ended with it.
    run(&mut engine, 8);
    assert!(engine.profile().is_none());
}

#[test]
fn what_is_recorded_later_is_appended() {
    let tracer = Tracer::new(Mode::Evaluate);
    tracer.output("y", &tracer.batch("x", &[1], DType::F32).exp().unwrap());
    let mut engine = Engine::new(1).unwrap();
    let program = engine.compile(&tracer.graph(), Extents::batch(1)).unwrap();
    let mut record = |runs: usize| {
        engine.record();
        (0..runs).for_each(|_| engine.run(program, Extents::batch(1), &[("x", View::F32(&[1.0]))]).unwrap());
        engine.profile().unwrap()
    };
    let (mut all, later) = (record(2), record(3));
    let (before, after) = (all.seconds, later.seconds);
    all.append(later);
    assert_eq!(all.runs, 5);
    assert_eq!(all.spans.len(), 5);
    assert_eq!(all.operations[all.spans[4].operation].calls, 3);
    assert!(all.spans[2].start >= before);
    assert!((all.seconds - before - after).abs() < 1e-12);
}
