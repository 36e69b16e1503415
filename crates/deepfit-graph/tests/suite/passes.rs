//! Passes: each does its work, and none changes a result.

use std::sync::Arc;

use deepfit_graph::ops::{Conv2dAttributes, Custom, CustomOperation, Dropout, Program, UnaryKind};
use deepfit_graph::passes::{PASSES, Pass, optimise, optimise_with_report};
use deepfit_graph::plan::Plan;
use deepfit_graph::{
    DType, Extents, Graph, HostTensor, Mode, Op, Reference, ReferenceContext, Shape, Tensor, TensorType, Tracer,
    gradients,
};

use super::networks::{Optimizer, image_network, values_for};
use super::setup::{assert_close, interpret};

/// Kinds of the nodes that compute something.
fn kinds(graph: &Graph) -> Vec<&'static str> {
    graph.nodes().iter().filter(|n| !n.op.is_leaf()).map(|n| n.op.kind()).collect()
}

fn apply(pass: &str, graph: &Graph) -> Graph {
    Pass::named(pass).expect("a pass of this name").apply(graph)
}

/// Applies a pass and drops what it leaves unread.
fn apply_and_clean(pass: &str, graph: &Graph) -> Graph {
    apply("dead-code", &apply(pass, graph))
}

/// A graph traced with inputs `x` and `y` of shape `[batch, 4]`; `build` returns the results.
fn trace<const N: usize>(build: impl FnOnce(&Tracer, &Tensor, &Tensor) -> [Tensor; N]) -> Graph {
    let tracer = Tracer::new(Mode::Train);
    let input = |name| tracer.input(name, Shape::batch_of(&[4]), DType::F32);
    let results = build(&tracer, &input("x"), &input("y"));
    for (i, result) in results.iter().enumerate() {
        tracer.output(&format!("result {i}"), result);
    }
    tracer.graph()
}

/// Asserts that two graphs compute the same results and parameters.
fn assert_same(what: &str, changed: &Graph, original: &Graph, tolerance: f64) {
    let extents = Extents::batch(4);
    let given = values_for(original, &extents);
    let (expected, expected_parameters) = interpret(original, extents, &given);
    let (actual, parameters) = interpret(changed, extents, &given);
    assert_eq!(changed.outputs().len(), original.outputs().len(), "{what}");
    for ((name, a), (expected_name, e)) in changed.outputs().iter().zip(original.outputs()) {
        assert_eq!(name, expected_name);
        assert_close(&format!("{what}: {name}"), actual.get(*a), expected.get(*e), tolerance);
    }
    for (name, value) in &expected_parameters {
        assert_close(&format!("{what}: {name}"), &parameters[name], value, tolerance);
    }
}

/// Asserts that each node still is what its operation's rule says.
fn assert_sound(what: &str, graph: &Graph) {
    for node in graph.nodes() {
        let inputs: Vec<&TensorType> = node.inputs.iter().map(|&v| graph.type_of(v)).collect();
        assert_eq!(node.op.infer(&inputs).as_ref(), Ok(&node.outputs), "{what}: {}", node.op.name());
    }
}

/// Instructions in all programs, and element-wise operations outside of them.
fn element_wise_work(graph: &Graph) -> usize {
    let length = |program: &Option<Program>| program.as_ref().map_or(0, |p| p.instructions.len());
    let work = |op: &Op| match op {
        Op::Unary(_) | Op::Binary(_) | Op::Select(_) => 1,
        Op::Fused(op) => op.program.instructions.len(),
        Op::MatMul(op) => length(&op.epilogue),
        Op::Conv2d(op) => length(&op.epilogue),
        _ => 0,
    };
    graph.nodes().iter().map(|n| work(&n.op)).sum()
}

#[test]
fn every_pass_keeps_the_results_and_updates_of_a_learning_network() {
    for (optimizer, clip) in [(Optimizer::Momentum, true), (Optimizer::Adam, false)] {
        let graph = image_network(optimizer, clip);
        assert_sound("as traced", &graph);
        for pass in PASSES {
            let changed = pass.apply(&graph);
            assert_sound(pass.name, &changed);
            assert_same(pass.name, &changed, &graph, 1e-6);
        }
        let all = optimise(&graph);
        assert_sound("optimised", &all);
        assert_same("optimised", &all, &graph, 1e-6);
    }
}

#[test]
fn every_pass_makes_a_learning_network_smaller() {
    let graph = image_network(Optimizer::Adam, true);
    let extents = Extents::batch(32);
    let (optimised, reports) = optimise_with_report(&graph, &extents);
    assert_eq!(reports.iter().map(|r| r.name).collect::<Vec<_>>(), PASSES.map(|p| p.name));
    for report in &reports {
        assert!(report.after.nodes <= report.before.nodes, "{report:?}");
        assert!(report.after.bytes <= report.before.bytes, "{report:?}");
        if report.name != "common-subexpressions" {
            assert!(report.after.nodes < report.before.nodes, "{report:?}");
        }
    }
    let (before, after) = (graph.cost(&extents), optimised.cost(&extents));
    assert!(after.nodes * 4 < before.nodes * 3 && after.bytes * 4 < before.bytes * 3, "{before:?} {after:?}");
    assert_eq!(kinds(&optimised), kinds(&optimise(&graph)));
}

#[test]
fn constants_are_computed_once_and_scalars_become_part_of_the_operation() {
    let graph = trace(|tracer, x, y| {
        let six = tracer.scalar(2.0).mul(&tracer.scalar(3.0)).unwrap();
        let table = tracer.constant(HostTensor::f32(&[4], vec![1.0, 2.0, 3.0, 4.0])).square().unwrap();
        [x.mul(&six).unwrap(), tracer.scalar(0.5).add(y).unwrap(), y.sub(&six).unwrap(), x.add(&table).unwrap()]
    });
    let folded = apply_and_clean("constants", &graph);
    assert_eq!(kinds(&folded), ["Unary", "Unary", "Unary", "Binary"]);
    let unary: Vec<UnaryKind> = folded
        .nodes()
        .iter()
        .filter_map(|n| match &n.op {
            Op::Unary(op) => Some(op.kind),
            _ => None,
        })
        .collect();
    assert_eq!(unary, [UnaryKind::MulScalar(6.0), UnaryKind::AddScalar(0.5), UnaryKind::AddScalar(-6.0)]);
    assert_same("constants", &folded, &graph, 0.0);
}

#[test]
fn what_changes_nothing_is_dropped() {
    let graph = trace(|_, x, _| {
        let same = x.mul_scalar(1.0).unwrap().add_scalar(0.0).unwrap();
        [same.broadcast_to(Shape::batch_of(&[4])).unwrap().exp().unwrap()]
    });
    assert_eq!(kinds(&apply_and_clean("constants", &graph)), ["Unary"]);
}

#[test]
fn large_constants_are_not_made() {
    let graph = trace(|tracer, x, _| {
        let large = tracer.scalar(2.0).broadcast_to([300, 300]).unwrap();
        let product = large.exp().unwrap().sum().unwrap();
        [x.mul(&product).unwrap()]
    });
    let folded = apply_and_clean("constants", &graph);
    let bytes: usize = folded
        .nodes()
        .iter()
        .filter(|n| matches!(n.op, Op::Constant(_)))
        .map(|n| n.outputs[0].bytes(&Extents::batch(1)))
        .sum();
    assert!(bytes < 1000, "{bytes}");
    assert_same("constants", &folded, &graph, 1e-6);
}

#[test]
fn the_gradient_of_a_mean_is_not_spread_out_in_memory() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.input("x", Shape::batch_of(&[4]), DType::F32);
    let w = tracer.parameter("w", [4]).unwrap();
    let loss = x.mul(&w).unwrap().sub(&x).unwrap().square().unwrap().mean().unwrap();
    tracer.output("gradient", &gradients(&loss, &[w]).unwrap()[0]);
    let graph = tracer.graph();
    assert!(kinds(&graph).contains(&"BroadcastTo"));
    let optimised = optimise(&graph);
    assert!(!kinds(&optimised).contains(&"BroadcastTo"), "{:?}", kinds(&optimised));
    assert_same("optimised", &optimised, &graph, 1e-6);
}

#[test]
fn equal_expressions_are_computed_once() {
    let graph = trace(|_, x, y| {
        let sum = |a: &Tensor, b: &Tensor| a.add(b).unwrap().exp().unwrap();
        [sum(x, y), sum(x, y), sum(y, x)]
    });
    let merged = apply("common-subexpressions", &graph);
    assert_eq!(kinds(&merged), ["Binary", "Unary", "Binary", "Unary"]);
    assert_eq!(merged.outputs()[0].1, merged.outputs()[1].1);
    assert_same("merged", &merged, &graph, 0.0);
}

#[test]
fn random_numbers_of_different_streams_are_not_merged() {
    let graph = trace(|tracer, x, _| {
        let key = tracer.random_key();
        let again = |stream| tracer.apply_one(Dropout { probability: 0.5, stream }, &[x, &key]).unwrap();
        [x.dropout(0.5).unwrap(), x.dropout(0.5).unwrap(), again(7), again(7)]
    });
    let merged = apply("common-subexpressions", &graph);
    assert_eq!(kinds(&merged), ["Dropout"; 3]);
    let outputs: Vec<_> = merged.outputs().iter().map(|o| o.1).collect();
    assert_ne!(outputs[0], outputs[1]);
    assert_eq!(outputs[2], outputs[3]);
}

/// Adds a number that its debug form hides.
struct AddHidden(f64);

impl std::fmt::Debug for AddHidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AddHidden")
    }
}

impl CustomOperation for AddHidden {
    fn name(&self) -> String {
        "add_hidden".to_string()
    }
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        Ok(vec![inputs[0].clone()])
    }
    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        vec![Reference::new(&cx.shapes[0], cx.inputs[0].data.iter().map(|x| x + self.0).collect())]
    }
}

#[test]
fn operations_of_users_are_merged_only_with_themselves() {
    let graph = trace(|tracer, x, _| {
        let (one, two) = (Custom(Arc::new(AddHidden(1.0))), Custom(Arc::new(AddHidden(2.0))));
        [one.clone(), two, one].map(|op| tracer.apply_one(op, &[x]).unwrap())
    });
    let merged = apply("common-subexpressions", &graph);
    assert_eq!(kinds(&merged), ["Custom"; 2]);
    assert_same("merged", &merged, &graph, 0.0);
}

#[test]
fn bytes_become_normalised_numbers_in_one_operation() {
    let tracer = Tracer::new(Mode::Evaluate);
    let image = tracer.input("image", Shape::batch_of(&[5, 5, 3]), DType::U8);
    let row = |data: [f32; 3]| tracer.constant(HostTensor::f32(&[3], data.to_vec()));
    let x = image.to_f32().unwrap().mul_scalar(1.0 / 255.0).unwrap();
    let x = x.sub(&row([0.5, 0.4, 0.3])).unwrap().div(&row([0.2, 0.3, 0.4])).unwrap();
    tracer.output("x", &x);
    let graph = tracer.graph();
    for optimised in [optimise(&graph), apply_and_clean("fuse-elementwise", &graph)] {
        assert_eq!(kinds(&optimised), ["Fused"]);
        assert_same("fused", &optimised, &graph, 1e-12);
    }
}

#[test]
fn a_value_with_two_users_is_computed_once() {
    let graph = trace(|_, x, y| {
        let shared = x.mul(y).unwrap();
        [shared.exp().unwrap().neg().unwrap(), shared.tanh().unwrap().neg().unwrap()]
    });
    let fused = apply_and_clean("fuse-elementwise", &graph);
    assert_eq!(kinds(&fused), ["Binary", "Fused", "Fused"]);
    assert_same("fused", &fused, &graph, 0.0);
}

#[test]
fn a_result_is_not_fused_away() {
    let graph = trace(|_, x, y| {
        let inner = x.mul(y).unwrap();
        [inner.exp().unwrap(), inner]
    });
    let fused = apply_and_clean("fuse-elementwise", &graph);
    assert_eq!(kinds(&fused), ["Binary", "Unary"]);
    assert_same("fused", &fused, &graph, 0.0);
}

#[test]
fn fusion_does_no_work_twice() {
    let graph = trace(|_, x, y| {
        let e = x.exp().unwrap();
        let squared = e.mul(&e).unwrap();
        let sum = squared.add(y).unwrap();
        // Used by the gate and by the product with it, like a swish.
        [sum.mul(&sum.sigmoid().unwrap()).unwrap()]
    });
    let fused = optimise(&graph);
    assert_eq!(kinds(&fused), ["Fused"]);
    assert_eq!(element_wise_work(&fused), element_wise_work(&graph));
    assert_same("fused", &fused, &graph, 1e-12);
}

#[test]
fn long_chains_and_wide_trees_stay_within_the_limits_of_a_program() {
    let graph = trace(|tracer, x, y| {
        let mut long = x.clone();
        for _ in 0..3 * Program::MOST_INSTRUCTIONS {
            long = long.tanh().unwrap();
        }
        let mut wide = y.clone();
        for i in 0..3 * Program::MOST_INPUTS {
            wide = wide.add(&tracer.parameter(&format!("p{i}"), [4]).unwrap()).unwrap();
        }
        [long, wide]
    });
    let fused = optimise(&graph);
    assert_sound("fused", &fused);
    assert!(kinds(&fused).len() <= 12, "{:?}", kinds(&fused));
    assert_eq!(element_wise_work(&fused), element_wise_work(&graph));
    assert_same("fused", &fused, &graph, 1e-12);
}

#[test]
fn broadcast_parts_are_not_computed_again_for_each_row() {
    let graph = trace(|tracer, x, _| {
        let row = tracer.parameter("row", [4]).unwrap().exp().unwrap();
        [x.mul(&row).unwrap()]
    });
    assert_eq!(kinds(&apply_and_clean("fuse-elementwise", &graph)), ["Unary", "Binary"]);
}

#[test]
fn bias_activation_and_residual_move_into_the_product() {
    let graph = trace(|tracer, x, y| {
        let (w, b) = (tracer.parameter("w", [4, 4]).unwrap(), tracer.parameter("b", [4]).unwrap());
        [x.matmul(&w).unwrap().add(&b).unwrap().relu().unwrap().add(y).unwrap()]
    });
    let alone = apply_and_clean("fuse-epilogues", &graph);
    assert_eq!(kinds(&alone), ["MatMul"]);
    let optimised = optimise(&graph);
    assert_eq!(kinds(&optimised), ["MatMul"]);
    assert_sound("optimised", &optimised);
    for fused in [alone, optimised] {
        assert_same("fused", &fused, &graph, 1e-12);
    }
}

#[test]
fn bias_residual_and_activation_move_into_the_convolution() {
    let tracer = Tracer::new(Mode::Evaluate);
    let x = tracer.input("x", Shape::batch_of(&[5, 5, 4]), DType::F32);
    let weight = tracer.parameter("w", [4, 4, 3, 3]).unwrap();
    let bias = tracer.parameter("b", [4]).unwrap();
    let padded = Conv2dAttributes { padding: (1, 1), ..Conv2dAttributes::default() };
    let y = tracer.in_layer("block.conv", || x.conv2d(&weight, padded)).unwrap();
    let y = y.add(&bias).unwrap().add(&x).unwrap();
    tracer.output("y", &y.mul(&y.sigmoid().unwrap()).unwrap());
    let graph = tracer.graph();
    let optimised = optimise(&graph);
    assert_eq!(kinds(&optimised), ["Conv2d"]);
    assert_eq!(element_wise_work(&optimised), 4);
    let layer = optimised.nodes().iter().find(|n| matches!(n.op, Op::Conv2d(_))).map(|n| n.layer.as_str());
    assert_eq!(layer, Some("block.conv"));
    assert_same("fused", &optimised, &graph, 1e-12);
}

#[test]
fn a_product_that_others_read_keeps_its_result() {
    let graph = trace(|tracer, x, y| {
        let product = x.matmul(&tracer.parameter("w", [4, 4]).unwrap()).unwrap();
        [product.relu().unwrap(), product.add(y).unwrap()]
    });
    assert_eq!(kinds(&apply_and_clean("fuse-epilogues", &graph)), ["MatMul", "Unary", "Binary"]);
}

#[test]
fn readers_that_nobody_reads_do_not_stand_in_the_way() {
    let graph = trace(|tracer, x, y| {
        let product = x.matmul(&tracer.parameter("w", [4, 4]).unwrap()).unwrap();
        let sum = x.add(y).unwrap();
        product.neg().unwrap();
        sum.neg().unwrap();
        [product.relu().unwrap(), sum.relu().unwrap()]
    });
    assert_eq!(kinds(&apply_and_clean("fuse-epilogues", &graph)), ["Binary", "MatMul", "Unary"]);
    assert_eq!(kinds(&apply_and_clean("fuse-elementwise", &graph)), ["MatMul", "Unary", "Fused"]);
}

#[test]
fn what_does_not_fit_an_epilogue_stays_outside() {
    let graph = trace(|tracer, x, y| {
        let w = tracer.parameter("w", [4, 4]).unwrap();
        let product = || x.matmul(&w).unwrap();
        let column = y.reduce(deepfit_graph::ops::ReduceKind::Sum, &[1], true).unwrap();
        // One value a row; and a result that is larger than the product.
        let larger = x.square().unwrap().matmul(&w).unwrap().mul(&tracer.parameter("images", [3, 1, 4]).unwrap());
        [product().mul(&column).unwrap(), larger.unwrap_or_else(|_| y.clone())]
    });
    let fused = optimise(&graph);
    assert_sound("optimised", &fused);
    assert!(kinds(&fused).contains(&"Binary"), "{:?}", kinds(&fused));
    assert_same("optimised", &fused, &graph, 1e-12);
}

#[test]
fn a_residual_that_is_the_products_own_input_is_read_from_it() {
    let graph = trace(|tracer, x, y| {
        let square = y.reshape(Shape::batch_of(&[4])).unwrap().add(x).unwrap();
        let product = square.matmul(&tracer.parameter("w", [4, 4]).unwrap()).unwrap();
        [product.add(&square).unwrap().mul(&product).unwrap()]
    });
    let fused = optimise(&graph);
    assert_eq!(kinds(&fused).iter().filter(|k| **k == "MatMul").count(), 1);
    assert_same("optimised", &fused, &graph, 1e-12);
}

#[test]
fn what_nobody_reads_is_dropped_but_effects_and_inputs_stay() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.input("x", [4], DType::F32);
    tracer.input("unread", [4], DType::F32);
    let p = tracer.parameter("p", [4]).unwrap();
    tracer.parameter("idle", [4]).unwrap();
    tracer.guard(&x.exp().unwrap()).unwrap();
    p.assign(&x.tanh().unwrap()).unwrap();
    x.square().unwrap().neg().unwrap();
    let graph = tracer.graph();
    let clean = apply("dead-code", &graph);
    assert_eq!(kinds(&clean), ["Unary", "Guard", "Unary", "Assign"]);
    let leaves: Vec<String> = clean.nodes().iter().filter(|n| n.op.is_leaf()).map(|n| n.op.name()).collect();
    assert_eq!(leaves, ["x", "unread", "p"]);
    for pass in PASSES {
        let kept = kinds(&pass.apply(&graph));
        assert!(kept.contains(&"Guard") && kept.contains(&"Assign"), "{}: {kept:?}", pass.name);
    }
    let all = optimise(&graph);
    assert_eq!(kinds(&all), ["Unary", "Guard", "Unary", "Assign"]);
    assert!(all.nodes().iter().any(|n| n.op.name() == "unread"));
}

#[test]
fn equal_effects_both_happen() {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.input("x", [4], DType::F32);
    tracer.guard(&x).unwrap();
    tracer.guard(&x).unwrap();
    assert_eq!(kinds(&optimise(&tracer.graph())), ["Guard", "Guard"]);
}

#[test]
fn what_readers_have_at_hand_is_computed_again_instead_of_being_stored() {
    // The backward pass of a GELU needs its input alone.
    let graph = trace(|tracer, x, y| {
        let h = x.matmul(&tracer.parameter("w", [4, 4]).unwrap()).unwrap();
        let gate = h.mul_scalar(0.5).unwrap().erf().unwrap().add_scalar(1.0).unwrap();
        let out = h.mul(&gate).unwrap();
        let back = y.mul(&gate).unwrap().add(&h.mul_scalar(0.5).unwrap().square().unwrap().neg().unwrap()).unwrap();
        [out, back.mul(&h).unwrap()]
    });
    let fused = apply_and_clean("fuse-elementwise", &apply("common-subexpressions", &graph));
    assert_eq!(kinds(&fused), ["MatMul", "Unary", "Fused", "Binary", "Fused"]);
    let duplicated = apply("duplicate", &fused);
    assert_eq!(kinds(&duplicated), ["MatMul", "Fused", "Fused"]);
    assert_sound("duplicated", &duplicated);
    assert_same("duplicated", &duplicated, &graph, 0.0);
}

#[test]
fn what_one_reader_cannot_make_is_stored() {
    let kept = |what: &str, graph: Graph| assert_eq!(kinds(&apply("duplicate", &graph)), kinds(&graph), "{what}");
    let shared = |build: fn(&Tracer, &Tensor, &Tensor, &Tensor) -> Vec<Tensor>| {
        let tracer = Tracer::new(Mode::Train);
        let input = |name| tracer.input(name, Shape::batch_of(&[4]), DType::F32);
        let (x, y) = (input("x"), input("y"));
        for (i, result) in build(&tracer, &x, &y, &x.sigmoid().unwrap()).iter().enumerate() {
            tracer.output(&format!("result {i}"), result);
        }
        tracer.graph()
    };
    // The measure of what follows: both readers have x.
    let graph = shared(|_, x, _, s| vec![x.mul(s).unwrap(), x.sub(s).unwrap()]);
    assert_eq!(kinds(&apply("duplicate", &graph)), ["Fused", "Fused"]);
    kept("one has no x", shared(|_, x, y, s| vec![x.mul(s).unwrap(), y.mul(s).unwrap()]));
    kept(
        "a product reads it",
        shared(|t, x, _, s| {
            let w = t.parameter("w", [4, 4]).unwrap();
            vec![x.mul(s).unwrap(), x.sub(s).unwrap(), s.matmul(&w).unwrap()]
        }),
    );
    kept("it is a result", shared(|_, x, _, s| vec![x.mul(s).unwrap(), x.sub(s).unwrap(), s.clone()]));
    kept(
        "many read it",
        shared(|_, x, _, s| vec![x.mul(s).unwrap(), x.sub(s).unwrap(), x.add(s).unwrap(), s.sub(x).unwrap()]),
    );
    let long = shared(|_, x, _, s| {
        let mut long = x.mul(s).unwrap();
        for _ in 1..Program::MOST_INSTRUCTIONS {
            long = long.tanh().unwrap();
        }
        vec![x.sub(s).unwrap(), long]
    });
    kept("a reader has no room", apply_and_clean("fuse-elementwise", &long));
}

#[test]
fn residual_and_activation_move_into_the_batch_norm_before_them() {
    let graph = trace(|tracer, x, y| {
        let vector = |name: &str| tracer.parameter(name, [4]).unwrap();
        let norm =
            |x: &Tensor, i: u32| x.batch_norm(&vector(&format!("scale{i}")), &vector(&format!("shift{i}")), 1e-5);
        let (first, mean, _) = norm(&x.mul(y).unwrap(), 1).unwrap();
        // The branch of the residual is normalised last.
        let (second, ..) = norm(y, 2).unwrap();
        let (third, ..) = norm(&second, 3).unwrap();
        let sum = first.add(&third).unwrap().relu().unwrap();
        // Two read this one.
        let (fourth, ..) = norm(&sum, 4).unwrap();
        [fourth.relu().unwrap().mul(&mean).unwrap(), fourth]
    });
    let optimised = optimise(&graph);
    assert_eq!(kinds(&optimised), ["Binary", "BatchNorm", "BatchNorm", "BatchNorm", "BatchNorm", "Fused"]);
    let names: Vec<String> = optimised.nodes().iter().map(|n| n.op.name()).filter(|n| n.contains('+')).collect();
    assert_eq!(names[0], "batch_norm+add+relu");
    assert_sound("optimised", &optimised);
    assert_same("optimised", &optimised, &graph, 1e-12);
}

#[test]
fn moving_into_a_batch_norm_makes_no_update_wait_for_another() {
    let graph = trace(|tracer, x, y| {
        let (p, q) = (tracer.parameter("p", [4]).unwrap(), tracer.parameter("q", [4]).unwrap());
        let new = p.assign(&y.mean().unwrap().broadcast_to([4]).unwrap()).unwrap();
        let (norm, mean, _) = x.batch_norm(&q, &q, 1e-5).unwrap();
        [norm.add(&new).unwrap().relu().unwrap(), mean.mul(&p).unwrap()]
    });
    let optimised = optimise(&graph);
    assert!(kinds(&optimised).contains(&"Fused"), "{:?}", kinds(&optimised));
    Plan::new(optimised.clone(), Extents::batch(4), |_, _| 0);
    assert_same("optimised", &optimised, &graph, 1e-12);
}

#[test]
fn what_nobody_reads_is_not_moved_into_a_batch_norm() {
    let graph = trace(|tracer, x, _| {
        let q = tracer.parameter("q", [4]).unwrap();
        let (norm, ..) = x.batch_norm(&q, &q, 1e-5).unwrap();
        let out = norm.relu().unwrap();
        norm.tanh().unwrap();
        [out]
    });
    assert_same("fused", &apply("fuse-epilogues", &graph), &graph, 1e-12);
}
