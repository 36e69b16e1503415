//! Plans: order, places, memory.

use deepfit_graph::ops::ReduceKind;
use deepfit_graph::passes::{PASSES, optimise};
use deepfit_graph::plan::{Place, Plan};
use deepfit_graph::{DType, Extents, Graph, Mode, Node, Op, Shape, Tracer};

use super::networks::{Optimizer, deep_network, image_network, values_for};
use super::random_graphs::random_graph;
use super::setup::{assert_close, interpret};
use super::simulator::{assert_plan_equals, simulate};

/// Scratch memory as kernels ask for it: some, of uneven sizes, for the heavy operations.
fn scratch(graph: &Graph, node: &Node) -> usize {
    match node.op {
        Op::MatMul(_) | Op::Conv2d(_) | Op::Conv2dInputGrad(_) | Op::Conv2dWeightGrad(_) => 300 + graph.nodes().len(),
        Op::Reduce(_) | Op::BatchNormGrad(_) => 20,
        _ => 0,
    }
}

#[test]
fn plans_of_a_learning_network_compute_what_the_graph_says_at_every_batch() {
    for optimizer in [Optimizer::Momentum, Optimizer::Adam] {
        for clip in [false, true] {
            let graph = image_network(optimizer, clip);
            for graph_to_plan in [graph.clone(), optimise(&graph)] {
                let plan = Plan::new(graph_to_plan, Extents::batch(5), scratch);
                for batch in [5, 1, 3] {
                    let extents = Extents::batch(batch);
                    let given = values_for(&graph, &extents);
                    assert_plan_equals(&plan, &graph, extents, &given, 1e-6);
                }
            }
        }
    }
}

#[test]
fn passes_and_plans_keep_the_meaning_of_random_graphs() {
    for seed in 0..300 {
        let graph = random_graph(seed, 10 + seed as usize % 60);
        let extents = Extents::batch(3);
        let given = values_for(&graph, &extents);
        let mut variants = vec![("as traced".to_string(), graph.clone()), ("optimised".to_string(), optimise(&graph))];
        for pass in PASSES {
            let once = pass.apply(&graph);
            variants.push((format!("{} twice", pass.name), pass.apply(&once)));
        }
        for (name, variant) in variants {
            println!("seed {seed}, {name}");
            let plan = Plan::new(variant, Extents::batch(4), scratch);
            assert_plan_equals(&plan, &graph, extents, &given, 1e-6);
        }
    }
}

#[test]
fn random_graphs_hold_what_is_hard() {
    let (mut updates, mut old_results, mut new_values_read) = (0, 0, 0);
    for seed in 0..300 {
        let graph = random_graph(seed, 10 + seed as usize % 60);
        let nodes = graph.nodes();
        let updated: Vec<usize> =
            nodes.iter().flat_map(|n| n.op.updates().into_iter().map(|(input, _)| n.inputs[input].node)).collect();
        updates += updated.len();
        old_results += graph.outputs().iter().filter(|(_, v)| updated.contains(&v.node)).count();
        new_values_read +=
            nodes.iter().flat_map(|n| &n.inputs).filter(|v| !nodes[v.node].op.updates().is_empty()).count();
    }
    assert!(updates > 100 && old_results > 5 && new_values_read > 50, "{updates} {old_results} {new_values_read}");
}

#[test]
fn gradients_are_free_after_their_update() {
    let (layers, width, batch) = (24, 32, Extents::batch(2));
    let bytes = |clip| {
        let graph = optimise(&deep_network(layers, width, Optimizer::Adam, clip));
        Plan::new(graph, batch, |_, _| 0).arena_bytes
    };
    let one = width * width * 4;
    let (streaming, together) = (bytes(false), bytes(true));
    assert!(together >= layers * one, "a norm over all gradients needs all of them: {together}");
    // Activations are small here: two gradients of a weight at a time would be generous.
    let activations = layers * 4 * width * 2 * 4;
    assert!(streaming < 3 * one + activations, "{streaming}");
}

#[test]
fn updates_run_as_soon_as_they_can() {
    let graph = optimise(&deep_network(6, 8, Optimizer::Momentum, false));
    let plan = Plan::new(graph, Extents::batch(2), |_, _| 0);
    let is_update = |i: &usize| matches!(plan.graph.nodes()[*i].op, Op::Sgd(_));
    let first = plan.order.iter().position(is_update).unwrap();
    let products_after =
        plan.order[first..].iter().filter(|&&i| matches!(plan.graph.nodes()[i].op, Op::MatMul(_))).count();
    // The backward products of the first five layers, of which the very first needs no gradient of its input.
    assert!(products_after >= 9, "{products_after} products run after the first update");
}

#[test]
fn views_cost_nothing() {
    let tracer = Tracer::new(Mode::Evaluate);
    let x = tracer.input("x", Shape::batch_of(&[2, 3]), DType::F32);
    let h = x.exp().unwrap();
    let flat = h.flatten().unwrap();
    let back = flat.reshape(Shape::batch_of(&[3, 2])).unwrap();
    let y = back.reduce(ReduceKind::Sum, &[2], false).unwrap();
    tracer.output("y", &y);
    let plan = Plan::new(tracer.graph(), Extents::batch(100), |_, _| 0);
    assert_eq!(plan.order, [h.value().node, y.value().node]);
    assert_eq!(plan.place(flat.value()), plan.place(h.value()));
    assert_eq!(plan.place(back.value()), plan.place(h.value()));
    assert_eq!(plan.arena_bytes, (100 * 6 * 4usize).next_multiple_of(64) + (100 * 3 * 4usize).next_multiple_of(64));
}

#[test]
fn element_wise_operations_run_in_place() {
    let tracer = Tracer::new(Mode::Evaluate);
    let mut x = tracer.input("x", Shape::batch_of(&[16]), DType::F32);
    for _ in 0..5 {
        x = x.exp().unwrap().square().unwrap();
    }
    tracer.output("x", &x);
    let plan = Plan::new(tracer.graph(), Extents::batch(4), |_, _| 0);
    assert_eq!(plan.arena_bytes, 4 * 16 * 4);
    assert_eq!(plan.inputs[0].0, "x");
    assert!(matches!(plan.place(x.value()), Place::Arena(0)));
}

#[test]
fn an_operand_that_is_repeated_is_not_written_over() {
    // The [4, 4] result of a row times its own column may not lie over either.
    let tracer = Tracer::new(Mode::Evaluate);
    let x = tracer.input("x", [2, 2], DType::F32);
    let h = x.exp().unwrap();
    let (row, column) = (h.reshape([1, 4]).unwrap(), h.reshape([4, 1]).unwrap());
    tracer.output("outer", &row.mul(&column).unwrap());
    // Same number of elements, but in another order than the element-wise operation reads them.
    let wide = x.square().unwrap();
    let turned = wide.reshape([1, 2, 2]).unwrap().mul(&wide.reshape([2, 1, 2]).unwrap()).unwrap();
    tracer.output("turned", &turned);
    let graph = tracer.graph();
    let plan = Plan::new(graph.clone(), Extents::batch(1), |_, _| 0);
    assert_plan_equals(&plan, &graph, Extents::batch(1), &values_for(&graph, &Extents::batch(1)), 0.0);
}

#[test]
fn results_survive_to_the_end_of_the_run() {
    let tracer = Tracer::new(Mode::Evaluate);
    let x = tracer.input("x", [64], DType::F32);
    let first = x.exp().unwrap();
    tracer.output("first", &first.reshape([8, 8]).unwrap());
    let mut y = first;
    for _ in 0..4 {
        y = y.tanh().unwrap();
    }
    tracer.output("y", &y);
    let graph = tracer.graph();
    let plan = Plan::new(graph.clone(), Extents::batch(1), |_, _| 0);
    assert_eq!(plan.arena_bytes, 2 * 64 * 4);
    assert_plan_equals(&plan, &graph, Extents::batch(1), &values_for(&graph, &Extents::batch(1)), 0.0);
}

#[test]
fn the_same_graph_gives_the_same_plan() {
    let plan = || Plan::new(optimise(&image_network(Optimizer::Adam, true)), Extents::batch(8), scratch);
    let (a, b) = (plan(), plan());
    assert_eq!((a.order, a.places, a.scratch, a.arena_bytes), (b.order, b.places, b.scratch, b.arena_bytes));
}

#[test]
fn a_larger_batch_needs_more_memory_and_a_smaller_one_fits() {
    let graph = optimise(&image_network(Optimizer::Momentum, false));
    let bytes = |batch| Plan::new(graph.clone(), Extents::batch(batch), scratch).arena_bytes;
    assert!(bytes(64) > 3 * bytes(16), "{} {}", bytes(64), bytes(16));
    let plan = Plan::new(graph.clone(), Extents::batch(64), scratch);
    let small = Extents::batch(2);
    let given = values_for(&graph, &small);
    let (outputs, _) = simulate(&plan, small, &given);
    let (values, _) = interpret(&graph, small, &given);
    assert_eq!(outputs[0].0, "logits");
    assert_close("logits", &outputs[0].1, values.get(graph.outputs()[0].1), 1e-12);
}
