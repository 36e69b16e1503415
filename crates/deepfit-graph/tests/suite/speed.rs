//! Large graphs are traced, differentiated, optimised and planned in a time that grows as they do.

use std::time::{Duration, Instant};

use deepfit_graph::Extents;
use deepfit_graph::passes::optimise;
use deepfit_graph::plan::Plan;

use super::networks::{Optimizer, deep_network};

/// Time from nothing to a plan, and the number of nodes.
fn time(layers: usize, clip: bool) -> (Duration, usize) {
    let start = Instant::now();
    let graph = deep_network(layers, 4, Optimizer::Adam, clip);
    let traced = start.elapsed();
    let optimised = optimise(&graph);
    let done = start.elapsed();
    let plan = Plan::new(optimised, Extents::batch(8), |_, _| 64);
    assert!(plan.order.len() > layers * 5);
    println!(
        "{} nodes: traced in {traced:?}, optimised after {done:?}, planned after {:?}",
        graph.nodes().len(),
        start.elapsed()
    );
    (start.elapsed(), graph.nodes().len())
}

#[test]
fn ten_thousand_nodes_take_less_than_a_second() {
    for clip in [false, true] {
        // The best of a few, since other work on the machine only makes it slower.
        let times: Vec<(Duration, usize)> = (0..5).map(|_| time(400, clip)).collect();
        let (elapsed, nodes) = times.into_iter().min().expect("five times");
        assert!(nodes > 10_000, "{nodes}");
        assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
    }
}
