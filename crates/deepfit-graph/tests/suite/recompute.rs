//! Recomputation: the same results with less memory, on plans that a simulated arena watches over.

use deepfit_graph::interpret::Environment;
use deepfit_graph::ops::Sgd;
use deepfit_graph::plan::Plan;
use deepfit_graph::sample::uniform;
use deepfit_graph::{DType, Extents, Graph, HostTensor, Mode, Op, Result, Shape, Tracer, gradients, passes};

use super::simulator::simulate;

const WIDTH: usize = 6;
const BATCH: usize = 16;

/// A step of a residual network with normalisation, running statistics and dropout, `depth` blocks deep.
fn step(depth: usize) -> Result<(Graph, Environment)> {
    let tracer = Tracer::new(Mode::Train);
    let x = tracer.input("x", Shape::batch_of(&[WIDTH]), DType::F32);
    let mut given = Environment::from([("x".to_string(), uniform(&[BATCH, WIDTH], -1.0, 1.0, 1).to_reference())]);
    let mut trained = Vec::new();
    let mut y = x;
    for layer in 0..depth {
        let mut parameter = |name: &str, shape: &[usize], low: f32, high: f32| {
            let name = format!("{layer}.{name}");
            given.insert(name.clone(), uniform(shape, low, high, layer as u64).to_reference());
            tracer.parameter(&name, shape)
        };
        let weight = parameter("weight", &[WIDTH, WIDTH], -0.6, 0.6)?;
        let scale = parameter("scale", &[WIDTH], 0.8, 1.2)?;
        let shift = parameter("shift", &[WIDTH], -0.2, 0.2)?;
        let running = parameter("running", &[WIDTH], 0.0, 1.0)?;
        let (normal, mean, _) = y.matmul(&weight)?.batch_norm(&scale, &shift, 1e-5)?;
        running.assign(&running.add(&mean)?.mul_scalar(0.5)?)?;
        y = normal.tanh()?.dropout(0.2)?.add(&y)?.sigmoid()?;
        trained.extend([weight, scale, shift]);
    }
    let loss = y.square()?.mean()?;
    tracer.output("loss", &loss);
    tracer.guard(&loss)?;
    let rate = tracer.input("rate", Shape::scalar(), DType::F32);
    given.insert("rate".to_string(), HostTensor::f32(&[], vec![0.1]).to_reference());
    let key = HostTensor::i32(&[4], vec![1, 2, 3, 4]);
    given.insert("random_key".to_string(), key.to_reference());
    for (parameter, gradient) in trained.iter().zip(gradients(&loss, &trained)?) {
        let sgd = Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        tracer.apply(sgd, &[parameter, &gradient, &rate])?;
    }
    Ok((passes::optimise(&tracer.graph()), given))
}

fn again(graph: &Graph, segments: usize) -> Graph {
    passes::recompute(graph, graph.output("loss").expect("named"), segments, &Extents::batch(BATCH))
}

fn plan(graph: Graph) -> Plan {
    Plan::new(graph, Extents::batch(BATCH), |_, _| 0)
}

#[test]
fn recomputation_changes_no_result_and_saves_memory() {
    let (graph, given) = step(16).expect("the step is built");
    let kept = plan(graph.clone());
    let expected = simulate(&kept, Extents::batch(BATCH), &given);
    let mut sizes = vec![kept.arena_bytes];
    for segments in [2, 4, 8] {
        let plan = plan(again(&graph, segments));
        let found = simulate(&plan, Extents::batch(BATCH), &given);
        assert_eq!(found.0, expected.0, "{segments} segments");
        assert_eq!(found.1, expected.1, "{segments} segments");
        sizes.push(plan.arena_bytes);
    }
    assert!(sizes[1] < sizes[0] && sizes[2] < sizes[1], "{sizes:?}");
    assert!(2 * sizes.iter().min().expect("some") < sizes[0], "{sizes:?}");
}

#[test]
fn one_segment_is_the_graph_itself() {
    let (graph, _) = step(3).expect("the step is built");
    let same = again(&graph, 1);
    assert_eq!(same.nodes().len(), graph.nodes().len());
    assert!((0..same.nodes().len()).all(|i| !same.is_late(i)));
}

#[test]
fn effects_happen_once_and_work_is_done_twice_at_most() {
    let (graph, _) = step(8).expect("the step is built");
    let loss = graph.output("loss").expect("named").node;
    for segments in [2, 5] {
        let copy = again(&graph, segments);
        let effects = |g: &Graph| g.nodes().iter().filter(|n| n.op.has_effect()).count();
        assert_eq!(effects(&copy), effects(&graph));
        assert!(copy.nodes().len() <= graph.nodes().len() + loss);
        let late: Vec<usize> = (0..copy.nodes().len()).filter(|&i| copy.is_late(i)).collect();
        assert!(!late.is_empty() && late.iter().all(|&i| !copy.nodes()[i].op.is_leaf()), "{segments}");
        // A dropped mask is drawn again: the same operation, number stream and all.
        let dropouts = |g: &Graph| g.nodes().iter().filter(|n| matches!(n.op, Op::Dropout(_))).count();
        assert!(dropouts(&copy) >= dropouts(&graph));
    }
}
