//! Optimisation: small passes from graph to graph that change no result.

mod common;
mod constants;
mod dead;
mod duplicate;
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
pub const PASSES: [Pass; 6] = [
    Pass { name: "dead-code", purpose: "drops what nobody reads", run: dead::run },
    Pass { name: "constants", purpose: "computes what is known, drops what changes nothing", run: constants::run },
    Pass { name: "common-subexpressions", purpose: "computes equal things once", run: common::run },
    Pass { name: "fuse-elementwise", purpose: "makes chains of element-wise operations one", run: elementwise::run },
    Pass { name: "duplicate", purpose: "computes again what readers have at hand", run: duplicate::run },
    Pass {
        name: "fuse-epilogues",
        purpose: "moves element-wise work into the product or batch norm before it",
        run: epilogue::run,
    },
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

/// Runs all passes and tells what each changed, at the given extents.
pub fn optimise_with_report(graph: &Graph, extents: &Extents) -> (Graph, Vec<PassReport>) {
    let mut reports = Vec::new();
    let mut graph = graph.clone();
    for pass in PASSES {
        let before = graph.cost(extents);
        graph = pass.apply(&graph);
        reports.push(PassReport { name: pass.name, before, after: graph.cost(extents) });
    }
    (graph, reports)
}

impl Pass {
    /// What the pass makes of a graph, without the nodes that nobody reads any more because of it.
    pub fn apply(&self, graph: &Graph) -> Graph {
        let changed = if mutation::planted("pass", self.name) { graph.clone() } else { (self.run)(graph) };
        if mutation::planted("pass", "dead-code") { changed } else { dead::run(&changed) }
    }

    /// The pass of the given name.
    pub fn named(name: &str) -> Option<Pass> {
        PASSES.into_iter().find(|p| p.name == name)
    }
}
