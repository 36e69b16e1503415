//! Indices, labels, lengths and offsets out of range stop a run with an error that names the operation and its layer.

use deepfit_cpu::error::Error;
use deepfit_cpu::{Engine, View};
use deepfit_graph::ops::{BagMode, Bags, CtcTargets};
use deepfit_graph::{DType, Extents, Mode, Result, Tensor, Tracer};

/// What a run tells that is given `lists`, one input i32 each, of the shapes of `shapes`.
fn told(
    build: impl FnOnce(&Tracer, &[Tensor]) -> Result<Tensor>,
    shapes: &[&[usize]],
    lists: &[&[i32]],
) -> std::result::Result<(), Error> {
    let tracer = Tracer::new(Mode::Train);
    let names: Vec<String> = (0..lists.len()).map(|i| format!("list{i}")).collect();
    let inputs: Vec<Tensor> = names.iter().zip(shapes).map(|(n, s)| tracer.input(n, *s, DType::I32)).collect();
    let output = tracer.in_layer("head", || build(&tracer, &inputs)).unwrap();
    tracer.output("y", &output);
    let mut engine = Engine::new(2).unwrap();
    let program = engine.compile(&tracer.graph(), Extents::batch(1)).unwrap();
    let views: Vec<(&str, View<'_>)> = names.iter().zip(lists).map(|(n, l)| (&n[..], View::I32(l))).collect();
    engine.run(program, Extents::batch(1), &views)
}

#[track_caller]
fn assert_told(found: std::result::Result<(), Error>, parts: &[&str]) {
    let error = found.expect_err("out of range");
    assert!(matches!(&error, Error::Index { layer, .. } if layer == "head"), "{error}");
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{message} does not tell {part}");
    }
}

#[test]
fn an_index_of_a_gather_or_scatter() {
    let x = |tracer: &Tracer| tracer.parameter("x", [2, 3]);
    for index in [3, -1, i32::MIN] {
        let list: &[i32] = &[0, 1, 2, index];
        let at = format!("index {index} at position 3");
        let found = told(|t, l| x(t)?.gather(1, &l[0]), &[&[2, 2]], &[list]);
        assert_told(found, &["`gather`", "`head`", &at, "0..3"]);
        let values = |t: &Tracer| t.parameter("y", [2, 2]);
        let found = told(|t, l| x(t)?.scatter_add(1, &l[0], &values(t)?), &[&[2, 2]], &[list]);
        assert_told(found, &["`scatter_add`", &at, "0..3"]);
        let found = told(|t, l| x(t)?.scatter(1, &l[0], &values(t)?), &[&[2, 2]], &[list]);
        assert_told(found, &["`scatter`", &at, "0..3"]);
        let found = told(|t, l| x(t)?.index_select(1, &l[0]), &[&[4]], &[list]);
        assert_told(found, &["`embedding`", &at, "0..3"]);
        let found = told(|_, l| l[0].one_hot(3), &[&[4]], &[list]);
        assert_told(found, &["`one_hot`", &at, "0..3"]);
    }
    told(|_, l| l[0].one_hot_ignoring(3, -100), &[&[2]], &[&[-100, 2]]).unwrap();
}

#[test]
fn offsets_of_bags_that_do_not_ascend_from_zero() {
    let bag = |offsets: &[i32]| {
        let build = |t: &Tracer, l: &[Tensor]| {
            let bags = Bags { numbers: &l[0], offsets: Some(&l[1]), weights: None, padding: None };
            t.parameter("table", [5, 2])?.embedding_bag(BagMode::Sum, bags)
        };
        told(build, &[&[4], &[offsets.len()]], &[&[0, 1, 4, 2], offsets])
    };
    bag(&[0, 2, 2, 4]).unwrap();
    assert_told(bag(&[1, 2]), &["`bag_numbers`", "offset 0 is 1", "0..=0"]);
    assert_told(bag(&[0, 3, 2]), &["offset 2 is 2", "3..=4"]);
    assert_told(bag(&[0, 5]), &["offset 1 is 5", "0..=4"]);
    assert_told(bag(&[0, -1]), &["offset 1 is -1"]);
}

#[test]
fn labels_and_lengths_of_an_alignment() {
    let align = |labels: &[i32], frames: &[i32], count: &[i32]| {
        let build = |t: &Tracer, l: &[Tensor]| {
            let targets = CtcTargets { labels: &l[0], input_lengths: Some(&l[1]), target_lengths: Some(&l[2]) };
            t.parameter("scores", [2, 5, 4])?.ctc(targets, 0, false)
        };
        told(build, &[&[2, 3], &[2], &[2]], &[labels, frames, count])
    };
    // What stands beyond a length does not count.
    align(&[1, 2, 3, 1, -7, 99], &[5, 4], &[3, 1]).unwrap();
    assert_told(align(&[1, 2, 3, 4, 0, 0], &[5, 4], &[3, 1]), &["`ctc`", "label 0 of example 1 is 4", "0..4"]);
    assert_told(align(&[1; 6], &[5, 6], &[3, 1]), &["the number of frames of example 1 is 6", "0..=5"]);
    assert_told(align(&[1; 6], &[5, -1], &[3, 1]), &["the number of frames of example 1 is -1"]);
    assert_told(align(&[1; 6], &[5, 5], &[4, 1]), &["the number of labels of example 0 is 4", "0..=3"]);
}

#[test]
fn a_label_that_is_the_blank() {
    let align = |labels: &[i32]| {
        let build = |t: &Tracer, l: &[Tensor]| {
            let targets = CtcTargets { labels: &l[0], input_lengths: None, target_lengths: None };
            t.parameter("scores", [2, 5, 4])?.ctc(targets, 2, false)
        };
        told(build, &[&[2, 3]], &[labels])
    };
    align(&[0, 1, 3, 1, 3, 0]).unwrap();
    assert_told(align(&[0, 1, 3, 1, 2, 0]), &["`ctc`", "label 1 of example 1 is 2", "blank, 2"]);
}

#[test]
fn labels_in_a_row_that_are_fewer_than_their_numbers_say() {
    let align = |labels: &[i32], count: &[i32]| {
        let build = |t: &Tracer, l: &[Tensor]| {
            let targets = CtcTargets { labels: &l[0], input_lengths: None, target_lengths: Some(&l[1]) };
            t.parameter("scores", [2, 5, 4])?.ctc(targets, 0, false)
        };
        told(build, &[&[4], &[2]], &[labels, count])
    };
    align(&[1, 2, 3, -7], &[2, 1]).unwrap();
    assert_told(align(&[1, 2, 3, 1], &[2, 3]), &["`ctc`", "add up to 5", "4 labels"]);
    assert_told(align(&[1, 2, 4, 1], &[2, 2]), &["label 0 of example 1 is 4"]);
}
