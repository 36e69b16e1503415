//! Weights whose prepared forms are kept: nothing but time and memory depends on it.

use deepfit_cpu::{Engine, ProgramId, View};
use deepfit_graph::ops::{Conv2dAttributes, ReduceKind};
use deepfit_graph::{DType, Extents, Graph, Mode, Shape, Tracer};

use crate::small_network::{self, noise};

const IMAGE: [usize; 3] = [12, 13, 9];
const BATCH: usize = 70;

/// All weights: taps in tiles, patches, pixels, groups, and products with either side stored by columns.
const WEIGHTS: [(&str, &[usize]); 6] = [
    ("tiles", &[20, 9, 3, 3]),
    ("patches", &[33, 20, 3, 3]),
    ("pixels", &[24, 33, 1, 1]),
    ("groups", &[24, 12, 3, 3]),
    ("rows", &[24, 40]),
    ("columns", &[50, 40]),
];

fn network() -> Graph {
    let tracer = Tracer::new(Mode::Evaluate);
    let weight = |i: usize| tracer.parameter(WEIGHTS[i].0, WEIGHTS[i].1).unwrap();
    let image = tracer.input("image", Shape::batch_of(&IMAGE), DType::F32);
    let same = Conv2dAttributes { padding: (1, 1), ..Conv2dAttributes::default() };
    let x = image.conv2d(&weight(0), same).unwrap().relu().unwrap();
    let x = x.conv2d(&weight(1), Conv2dAttributes { stride: (2, 2), ..same }).unwrap();
    let x = x.conv2d(&weight(2), Conv2dAttributes::default()).unwrap().relu().unwrap();
    let x = x.conv2d(&weight(3), Conv2dAttributes { groups: 2, ..same }).unwrap();
    let x = x.reduce(ReduceKind::Mean, &[1, 2], false).unwrap().matmul(&weight(4)).unwrap();
    let x = x.matmul_with(&weight(5), false, true).unwrap();
    tracer.output("result", &x);
    tracer.graph()
}

fn engine(threads: usize, for_inference: bool) -> (Engine, ProgramId) {
    let mut engine = Engine::new(threads).unwrap().for_inference(for_inference);
    for (i, (name, shape)) in WEIGHTS.iter().enumerate() {
        engine.set_parameter(name, shape, &noise(i, shape.iter().product())).unwrap();
    }
    let program = engine.compile(&network(), Extents::batch(BATCH)).unwrap();
    (engine, program)
}

fn result(engine: &mut Engine, program: ProgramId, rows: usize) -> Vec<u32> {
    let images = noise(77, rows * IMAGE.iter().product::<usize>());
    engine.run(program, Extents::batch(rows), &[("image", View::F32(&images))]).unwrap();
    engine.output(program, "result").unwrap().iter().map(|v| v.to_bits()).collect()
}

#[test]
fn prepared_weights_give_the_same_bits_and_follow_every_change() {
    for threads in [1, 3] {
        let (mut plain, of_plain) = engine(threads, false);
        let (mut keeping, of_keeping) = engine(threads, true);
        assert!(keeping.parameter_bytes() > plain.parameter_bytes());
        assert!(keeping.arena_bytes() < plain.arena_bytes());
        let mut check = |what: &str, change: &dyn Fn(&mut Engine)| {
            let before = result(&mut keeping, of_keeping, BATCH);
            change(&mut plain);
            change(&mut keeping);
            for rows in [BATCH, 1, 3, 30, BATCH] {
                let expected = result(&mut plain, of_plain, rows);
                assert!(result(&mut keeping, of_keeping, rows) == expected, "{what}: other bits for {rows} rows");
            }
            before
        };
        let mut last = check("at first", &|_| ());
        for (i, (name, shape)) in WEIGHTS.iter().enumerate() {
            let other = noise(i + 30, shape.iter().product());
            let now = check("set", &|engine: &mut Engine| engine.set_parameter(name, shape, &other).unwrap());
            assert!(i == 0 || now != last, "`{name}` has no effect");
            last = now;
        }
        check("changed in place", &|engine: &mut Engine| engine.parameter_mut("pixels").unwrap()[5] += 1.0);
        let shape = WEIGHTS[0].1;
        let other = noise(99, shape.iter().product());
        check("swapped", &|engine: &mut Engine| {
            engine.set_parameter("other", shape, &other).unwrap();
            engine.swap_parameters("other", "tiles").unwrap();
        });
    }
}

#[test]
fn a_program_that_trains_is_seen_by_one_that_keeps_weights() {
    let mut engine = Engine::new(2).unwrap().for_inference(true);
    small_network::set_first_values(&mut engine);
    let using = engine.compile(&small_network::evaluating(), Extents::batch(16)).unwrap();
    let training = engine.compile(&small_network::training(), Extents::batch(16)).unwrap();
    let rows = small_network::Rows::new(0, 16);
    let logits = |engine: &mut Engine| {
        engine.run(using, Extents::batch(16), &rows.views(&[0; 4], &[0.0; 2])).unwrap();
        engine.output(using, "logits").unwrap().to_vec()
    };
    let before = logits(&mut engine);
    engine.run(training, Extents::batch(16), &rows.views(&[0; 4], &[0.01, 1.0])).unwrap();
    let after = logits(&mut engine);
    assert_ne!(before, after);
    let mut fresh = Engine::new(2).unwrap();
    for (name, shape, values) in engine.parameters() {
        fresh.set_parameter(name, shape, values).unwrap();
    }
    let again = fresh.compile(&small_network::evaluating(), Extents::batch(16)).unwrap();
    fresh.run(again, Extents::batch(16), &rows.views(&[0; 4], &[0.0; 2])).unwrap();
    assert_eq!(fresh.output(again, "logits").unwrap(), after);
}
