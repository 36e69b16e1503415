//! Whole programs: what they share, what they leave alone, and what their results do not depend on.

use deepfit_cpu::{Engine, Error, ProgramId};
use deepfit_graph::Extents;

use crate::small_network::{CLASSES, IMAGE, Rows, evaluating, set_first_values, snapshot, training, training_engine};

/// Trains for some steps, every third on fewer rows than planned, and returns the losses.
fn train(engine: &mut Engine, program: ProgramId, batch: usize, steps: usize) -> Vec<f32> {
    let step = |i: usize| {
        let rows = Rows::new(i * batch, i * batch + if i % 3 == 2 { batch / 3 } else { batch });
        let inputs = (&[3, 0, i as i32, 0], &[0.01, i as f32 + 1.0]);
        engine.run(program, Extents::batch(rows.targets.len()), &rows.views(inputs.0, inputs.1)).unwrap();
        engine.output(program, "loss").unwrap()[0]
    };
    (0..steps).map(step).collect()
}

#[test]
fn programs_share_one_arena_and_the_parameters() {
    let arena = |graphs: &[deepfit_graph::Graph]| {
        let mut engine = Engine::new(1).unwrap();
        for graph in graphs {
            engine.compile(graph, Extents::batch(16)).unwrap();
        }
        (engine.arena_bytes(), engine.parameter_bytes())
    };
    let (trained, used) = (arena(&[training()]), arena(&[evaluating()]));
    assert!(used.0 > 0 && used.0 < trained.0, "{used:?} {trained:?}");
    assert_eq!(arena(&[training(), evaluating()]), trained);
    assert_eq!(arena(&[evaluating(), training()]), trained);

    let (mut engine, training) = training_engine(2, 16);
    let using = engine.compile(&evaluating(), Extents::batch(16)).unwrap();
    let rows = Rows::new(0, 16);
    let logits = |engine: &mut Engine| {
        engine.run(using, Extents::batch(16), &rows.views(&[0; 4], &[0.0; 2])).unwrap();
        engine.output(using, "logits").unwrap().to_vec()
    };
    let before = logits(&mut engine);
    train(&mut engine, training, 16, 1);
    let after = logits(&mut engine);
    assert_ne!(before, after, "the step of one program is not seen by the other");
    // A fresh engine with the same parameters agrees: nothing but parameters goes from run to run.
    let mut fresh = Engine::new(2).unwrap();
    for (name, shape, values) in engine.parameters() {
        fresh.set_parameter(name, shape, values).unwrap();
    }
    let again = fresh.compile(&evaluating(), Extents::batch(16)).unwrap();
    fresh.run(again, Extents::batch(16), &rows.views(&[0; 4], &[0.0; 2])).unwrap();
    assert_eq!(fresh.output(again, "logits").unwrap(), after);
}

#[test]
fn a_smaller_batch_gives_each_row_the_same_result() {
    let mut engine = Engine::new(2).unwrap();
    set_first_values(&mut engine);
    let program = engine.compile(&evaluating(), Extents::batch(16)).unwrap();
    let mut logits = |from: usize, to: usize| {
        let rows = Rows::new(from, to);
        engine.run(program, Extents::batch(to - from), &rows.views(&[0; 4], &[0.0; 2])).unwrap();
        assert_eq!(engine.output_shape(program, "logits"), Some(vec![to - from, CLASSES]));
        engine.output(program, "logits").unwrap().to_vec()
    };
    let all = logits(0, 16);
    for (from, to) in [(0, 1), (4, 9), (15, 16), (0, 16), (2, 15)] {
        let some = logits(from, to);
        let expected = &all[from * CLASSES..to * CLASSES];
        assert_eq!(some.len(), expected.len());
        for (a, b) in some.iter().zip(expected) {
            assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "rows {from}..{to}: {some:?} {expected:?}");
        }
    }
}

#[test]
fn training_learns_and_its_bits_do_not_depend_on_the_number_of_threads() {
    // Large enough that kernels share their work among seven threads.
    const BATCH: usize = 200;
    let trained = |threads: usize| {
        let (mut engine, program) = training_engine(threads, BATCH);
        let first = snapshot(&engine);
        let losses = train(&mut engine, program, BATCH, 5);
        let after = snapshot(&engine);
        for (a, b) in first.iter().zip(&after) {
            assert!(a.1 != b.1, "`{}` has not changed", a.0);
        }
        (losses.iter().map(|l| l.to_bits()).collect::<Vec<_>>(), after)
    };
    let expected = trained(1);
    for threads in [2, 7] {
        assert!(trained(threads) == expected, "{threads} threads give other bits than one");
    }

    let (mut engine, program) = training_engine(2, 16);
    let rows = Rows::new(0, 16);
    let mut losses = Vec::new();
    for i in 0..60 {
        engine.run(program, Extents::batch(16), &rows.views(&[3, 0, i, 0], &[0.01, i as f32 + 1.0])).unwrap();
        losses.push(engine.output(program, "loss").unwrap()[0]);
    }
    assert!(losses[59] < 0.5 * losses[0], "{losses:?}");
}

#[test]
fn the_random_key_alone_decides_what_is_dropped() {
    let loss = |key: [i32; 4]| {
        let (mut engine, program) = training_engine(2, 16);
        let rows = Rows::new(0, 16);
        engine.run(program, Extents::batch(16), &rows.views(&key, &[0.0, 1.0])).unwrap();
        engine.output(program, "loss").unwrap()[0]
    };
    assert_eq!(loss([1, 2, 3, 4]), loss([1, 2, 3, 4]));
    for (word, other) in [[9, 2, 3, 4], [1, 9, 3, 4], [1, 2, 9, 4], [1, 2, 3, 9]].into_iter().enumerate() {
        assert_ne!(loss([1, 2, 3, 4]), loss(other), "word {word} of the key has no effect");
    }
}

#[test]
fn outputs_of_a_program_are_gone_when_another_has_run() {
    let (mut engine, training) = training_engine(1, 16);
    let using = engine.compile(&evaluating(), Extents::batch(16)).unwrap();
    let rows = Rows::new(0, 4);
    let inputs = rows.views(&[0; 4], &[0.01, 1.0]);
    let gone = |result: Result<&[f32], Error>, name: &str| {
        let told = result.expect_err("the output is gone").to_string();
        assert!(told.contains(name) && told.contains("is gone"), "{told}");
    };
    gone(engine.output(using, "logits"), "logits");
    engine.run(using, Extents::batch(4), &inputs).unwrap();
    assert_eq!(engine.output(using, "logits").unwrap().len(), 4 * CLASSES);
    gone(engine.output(training, "loss"), "loss");
    engine.run(training, Extents::batch(4), &inputs).unwrap();
    assert_eq!(engine.output(training, "loss").unwrap().len(), 1);
    gone(engine.output(using, "logits"), "logits");
    // A run that failed leaves nothing to read either.
    engine.run(training, Extents::batch(3), &inputs).unwrap_err();
    gone(engine.output(training, "loss"), "loss");
    // A larger program moves the arena.
    engine.run(using, Extents::batch(4), &inputs).unwrap();
    engine.compile(&evaluating(), Extents::batch(512)).unwrap();
    gone(engine.output(using, "logits"), "logits");

    engine.run(using, Extents::batch(4), &inputs).unwrap();
    let told = engine.output(using, "logit").unwrap_err().to_string();
    assert!(told.contains("`logit`") && told.contains("does not exist"), "{told}");
    assert_eq!(engine.output_shape(using, "logit"), None);
}

#[test]
fn parameters_can_be_swapped() {
    let (mut engine, program) = training_engine(1, 16);
    let rows = Rows::new(0, 2);
    let other = vec![0.125; 4 * IMAGE[2] * 9];
    engine.set_parameter("other", &[4, IMAGE[2], 3, 3], &other).unwrap();
    let weight = engine.parameter("conv.weight").unwrap().to_vec();
    let loss = |engine: &mut Engine| {
        engine.run(program, Extents::batch(2), &rows.views(&[0; 4], &[0.0, 1.0])).unwrap();
        engine.output(program, "loss").unwrap()[0]
    };
    let before = loss(&mut engine);
    engine.swap_parameters("conv.weight", "other").unwrap();
    assert_eq!(engine.parameter("conv.weight").unwrap(), other);
    assert_eq!(engine.parameter("other").unwrap(), weight);
    assert_ne!(loss(&mut engine), before, "programs do not see what was swapped in");
    engine.swap_parameters("other", "conv.weight").unwrap();
    engine.swap_parameters("other", "other").unwrap();
    assert_eq!(engine.parameter("conv.weight").unwrap(), weight);
    assert_eq!(loss(&mut engine), before);

    let state = snapshot(&engine);
    let told = |result: Result<(), Error>| result.unwrap_err().to_string();
    let missing = told(engine.swap_parameters("conv.weight", "absent"));
    assert!(missing.contains("`absent`") && missing.contains("does not exist"), "{missing}");
    let shapes = told(engine.swap_parameters("conv.weight", "norm.bias"));
    assert!(shapes.contains("`conv.weight`") && shapes.contains("`norm.bias`"), "{shapes}");
    assert!(snapshot(&engine) == state);
}
