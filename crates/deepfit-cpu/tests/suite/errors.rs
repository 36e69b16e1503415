//! What a run refuses, what it says, and that it leaves the parameters as they were.

use deepfit_cpu::{Culprit, Engine, Error, ProgramId, View};
use deepfit_graph::{DType, Extents, Mode, Shape, Symbol, Tracer};

use crate::small_network::{CLASSES, Rows, snapshot, training, training_engine};

const KEY: [i32; 4] = [0; 4];
const SCALARS: [f32; 2] = [0.1, 1.0];

/// Runs a training step that must fail without any effect.
fn refused(engine: &mut Engine, program: ProgramId, batch: usize, inputs: &[(&str, View<'_>)]) -> Error {
    let before = snapshot(engine);
    let error = engine.run(program, Extents::batch(batch), inputs).expect_err("the run must fail");
    assert!(snapshot(engine) == before, "a run that failed has changed parameters: {error}");
    error
}

#[test]
fn inputs_that_are_missing_or_do_not_fit_are_named() {
    let (mut engine, program) = training_engine(2, 8);
    let rows = Rows::new(0, 8);
    let all = rows.views(&KEY, &SCALARS);
    for i in 0..all.len() {
        let others: Vec<_> = all.iter().filter(|(name, _)| *name != all[i].0).copied().collect();
        let told = refused(&mut engine, program, 8, &others).to_string();
        assert!(told.contains(&format!("`{}` is missing", all[i].0)), "{told}");
        let mut wrong = all;
        wrong[i].1 = View::U8(&[1, 2, 3]);
        let told = refused(&mut engine, program, 8, &wrong).to_string();
        assert!(told.contains(&format!("`{}` has 3 values of type u8", all[i].0)), "{told}");
    }
    let mut short = all;
    short[1].1 = View::I32(&rows.targets[..7]);
    let told = refused(&mut engine, program, 8, &short).to_string();
    assert!(told.contains("`target` has 7 values") && told.contains("must have 8"), "{told}");
    // Rows for another batch than the run's.
    let error = refused(&mut engine, program, 7, &all);
    assert!(matches!(&error, Error::Input { name, .. } if name == "image"), "{error}");
    // Names that the program does not have are no mistake.
    let mut more = all.to_vec();
    more.push(("unknown", View::U8(&[])));
    engine.run(program, Extents::batch(8), &more).unwrap();
}

#[test]
fn extents_beyond_the_plan_are_refused() {
    let (mut engine, program) = training_engine(1, 8);
    let rows = Rows::new(0, 9);
    let error = refused(&mut engine, program, 9, &rows.views(&KEY, &SCALARS));
    assert!(matches!(error, Error::Extents { .. }), "{error}");
    assert!(error.to_string().contains('9') && error.to_string().contains('8'), "{error}");
}

#[test]
fn parameters_of_another_shape_are_refused() {
    let (mut engine, _) = training_engine(1, 8);
    let told = engine.set_parameter("output.bias", &[CLASSES + 1], &[0.0; CLASSES + 1]).unwrap_err().to_string();
    assert!(told.contains("`output.bias`") && told.contains("[3]") && told.contains("[4]"), "{told}");
    let told = engine.set_parameter("new", &[2, 2], &[0.0; 3]).unwrap_err().to_string();
    assert!(told.contains("`new`") && told.contains("3 values"), "{told}");
    assert!(engine.parameter("new").is_none());

    let mut engine = Engine::new(1).unwrap();
    engine.set_parameter("output.bias", &[CLASSES + 1], &[0.0; CLASSES + 1]).unwrap();
    let error = engine.compile(&training(), Extents::batch(8)).unwrap_err();
    assert!(matches!(&error, Error::Parameter { name, .. } if name == "output.bias"), "{error}");
}

#[test]
fn an_index_outside_of_its_table_names_the_layer() {
    let tracer = Tracer::new(Mode::Train);
    let numbers = tracer.input("numbers", Shape::new(&[Symbol::Batch]), DType::I32);
    let table = tracer.parameter("words.weight", [5, 3]).unwrap();
    let rows = tracer.in_layer("words", || table.embedding(&numbers)).unwrap();
    tracer.output("rows", &rows);
    let mut engine = Engine::new(2).unwrap();
    let program = engine.compile(&tracer.graph(), Extents::batch(4)).unwrap();
    for index in [5, -1, i32::MAX, i32::MIN] {
        let error = refused(&mut engine, program, 4, &[("numbers", View::I32(&[0, 4, index, 0]))]);
        assert!(matches!(&error, Error::Index { layer, .. } if layer == "words"), "{error}");
        let told = error.to_string();
        for part in ["`words`", &format!("index {index} at position 2"), "0..5"] {
            assert!(told.contains(part), "{told}");
        }
    }
    engine.run(program, Extents::batch(4), &[("numbers", View::I32(&[0, 4, 1, 0]))]).unwrap();
}

#[test]
fn numbers_that_are_not_finite_stop_the_step_before_any_parameter_changes() {
    for special in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let (mut engine, program) = training_engine(2, 8);
        let mut rows = Rows::new(0, 8);
        rows.images[77] = special;
        let inputs = rows.views(&KEY, &SCALARS);
        let error = refused(&mut engine, program, 8, &inputs);
        assert!(matches!(&error, Error::NonFinite { .. }), "{error}");
        assert!(error.to_string().contains("NaN or infinite"), "{error}");
        let found = engine.find_non_finite(program, Extents::batch(8), &inputs);
        assert_eq!(found, Some(Culprit::Input { name: "image".to_string(), position: 77 }));
    }
}

#[test]
fn the_first_operation_that_is_not_finite_is_found_with_its_layer() {
    let rows = Rows::new(0, 8);
    let inputs = rows.views(&KEY, &SCALARS);
    for (name, layer) in [("conv.weight", "conv"), ("output.weight", "output")] {
        let (mut engine, program) = training_engine(2, 8);
        assert_eq!(engine.find_non_finite(program, Extents::batch(8), &inputs), None);
        engine.parameter_mut(name).unwrap().fill(3e38);
        refused(&mut engine, program, 8, &inputs);
        let before = snapshot(&engine);
        match engine.find_non_finite(program, Extents::batch(8), &inputs) {
            Some(Culprit::Operation { operation, layer: found, .. }) => {
                assert_eq!(found, layer, "{operation}");
                assert!(!operation.is_empty());
            }
            other => panic!("`{layer}` was not found but {other:?}"),
        }
        assert!(snapshot(&engine) == before, "looking for the culprit has changed parameters");
    }
    let (mut engine, program) = training_engine(2, 8);
    engine.parameter_mut("norm.bias").unwrap()[1] = f32::NAN;
    let found = engine.find_non_finite(program, Extents::batch(8), &inputs);
    match found {
        Some(culprit @ Culprit::Parameter { .. }) => {
            let told = culprit.to_string();
            assert!(told.contains("`norm.bias`, written in an earlier step by the operation `"), "{told}");
            assert!(told.contains("of layer `norm`"), "{told}");
        }
        other => panic!("{other:?}"),
    }
    // A parameter that no program writes is named alone.
    let tracer = Tracer::new(Mode::Train);
    let w = tracer.parameter("w", Shape::scalar()).unwrap();
    tracer.output("square", &w.square().unwrap());
    let mut engine = Engine::new(1).unwrap();
    let program = engine.compile(&tracer.graph(), Extents::batch(1)).unwrap();
    engine.parameter_mut("w").unwrap()[0] = f32::INFINITY;
    let found = engine.find_non_finite(program, Extents::batch(1), &[]);
    assert_eq!(found, Some(Culprit::Parameter { name: "w".to_string(), written_by: None }));
}

#[test]
fn a_gradient_that_is_not_finite_is_found_behind_a_finite_loss() {
    // The loss is the root of (w x)^2 + w; at w = 0 it is finite, and its derivative is not.
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.input("x", Shape::scalar(), DType::F32);
    let w = tracer.parameter("w", Shape::scalar()).unwrap();
    let loss = tracer.in_layer("root", || w.mul(&x)?.square()?.add(&w)?.sqrt()).unwrap();
    tracer.output("loss", &loss);
    tracer.guard(&loss).unwrap();
    let gradient = deepfit_graph::gradients(&loss, std::slice::from_ref(&w)).unwrap().remove(0);
    let rate = tracer.input("rate", Shape::scalar(), DType::F32);
    let sgd = deepfit_graph::ops::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    tracer.in_layer("w", || tracer.apply(sgd, &[&w, &gradient, &rate])).unwrap();
    let mut engine = Engine::new(1).unwrap();
    let program = engine.compile(&tracer.graph(), Extents::batch(1)).unwrap();
    let inputs = [("x", View::F32(&[2.0])), ("rate", View::F32(&[0.1]))];
    let error = refused(&mut engine, program, 1, &inputs);
    assert_eq!(error, Error::NonFinite { operation: "sgd".to_string(), layer: "w".to_string() });
    match engine.find_non_finite(program, Extents::batch(1), &inputs) {
        Some(Culprit::Operation { layer, .. }) => assert_eq!(layer, "root"),
        other => panic!("{other:?}"),
    }
}
