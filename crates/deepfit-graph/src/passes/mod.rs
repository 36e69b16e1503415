//! Optimisation: small passes from graph to graph that change no result.

mod common;
mod constants;
mod dead;
mod elementwise;
mod epilogue;
mod recompute;

pub use recompute::recompute;

use crate::graph::{Cost, Graph};
use crate::mutation;
use crate::shape::Extents;

/// A pass: a name and what it makes of a graph.
#[derive(Clone, Copy)]
pub struct Pass {
    /// Name shown by `inspect --passes`.
    pub name: &'static str,
    /// What it does, in a few words.
    pub purpose: &'static str,
    run: fn(&Graph) -> Graph,
}

/// All passes in the order in which they run.
pub const PASSES: [Pass; 5] = [
    Pass { name: "constants", purpose: "computes what is known, drops what changes nothing", run: constants::run },
    Pass { name: "common-subexpressions", purpose: "computes equal things once", run: common::run },
    Pass { name: "fuse-elementwise", purpose: "makes chains of element-wise operations one", run: elementwise::run },
    Pass { name: "fuse-epilogues", purpose: "moves element-wise work into the product before it", run: epilogue::run },
    Pass { name: "dead-code", purpose: "drops what nobody reads", run: dead::run },
];

/// Cost of a graph after a pass.
#[derive(Debug, Clone, Copy)]
pub struct PassReport {
    /// Name of the pass.
    pub name: &'static str,
    /// Work before it.
    pub before: Cost,
    /// Work after it.
    pub after: Cost,
}

/// Runs all passes.
pub fn optimise(graph: &Graph) -> Graph {
    PASSES.iter().fold(graph.clone(), |graph, pass| pass.apply(&graph))
}

/// Runs all passes and tells what each changed, at the given extents. Nodes that nobody reads are not counted, so that
/// the work a pass saves shows in its own row.
pub fn optimise_with_report(graph: &Graph, extents: &Extents) -> (Graph, Vec<PassReport>) {
    let mut reports = Vec::new();
    let mut graph = graph.clone();
    for pass in PASSES {
        let count =
            |graph: &Graph| if pass.name == "dead-code" { graph.cost(extents) } else { dead::run(graph).cost(extents) };
        let before = count(&graph);
        graph = pass.apply(&graph);
        reports.push(PassReport { name: pass.name, before, after: count(&graph) });
    }
    (graph, reports)
}

impl Pass {
    /// What the pass makes of a graph.
    pub fn apply(&self, graph: &Graph) -> Graph {
        if mutation::planted("pass", self.name) { graph.clone() } else { (self.run)(graph) }
    }

    /// The pass of the given name.
    pub fn named(name: &str) -> Option<Pass> {
        PASSES.into_iter().find(|p| p.name == name)
    }
}
