//! What the time of runs goes to, operation by operation.

use std::time::Instant;

use deepfit_graph::{Extents, Graph};

use super::engine::ProgramId;

/// Most single calls that are remembered with their times, beside the sums over all.
const MOST_SPANS: usize = 200_000;

/// An operation of a program, with the sums over all its calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Name of the operation, with what has been fused to it.
    pub operation: String,
    /// Path of its layer; empty outside of layers.
    pub layer: String,
    /// Number of calls.
    pub calls: u64,
    /// Time of all calls, seconds.
    pub seconds: f64,
    /// Floating-point operations of all calls, by the textbook.
    pub operations: u64,
    /// Bytes that all calls read and write, each value once; they may well lie in a cache.
    pub bytes: u64,
}

/// One call of an operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Position in [`Profile::operations`].
    pub operation: usize,
    /// When it began, seconds since recording did.
    pub start: f64,
    /// How long it took, seconds.
    pub seconds: f64,
}

/// What an [`Engine`](super::Engine) recorded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Profile {
    /// The operations that were called, in the order of their programs.
    pub operations: Vec<Measured>,
    /// The first calls, in order of time; at most 200,000.
    pub spans: Vec<Span>,
    /// Runs of programs.
    pub runs: u64,
    /// From the start of the first run to the end of the last, seconds.
    pub seconds: f64,
    /// How much of it passed between runs, waiting for data, as far as whoever runs the programs has noted it; seconds.
    pub waited: f64,
}

impl Profile {
    /// Adds what was recorded later, of the same programs or of others.
    pub fn append(&mut self, later: Profile) {
        let offset = self.operations.len();
        self.operations.extend(later.operations);
        let room = MOST_SPANS.saturating_sub(self.spans.len());
        let moved = |span: Span| Span {
            operation: offset + span.operation,
            start: self.seconds + span.start,
            seconds: span.seconds,
        };
        self.spans.extend(later.spans.into_iter().take(room).map(moved));
        self.runs += later.runs;
        self.seconds += later.seconds;
        self.waited += later.waited;
    }

    /// Time spent in operations, seconds; the rest of [`Profile::seconds`] passed between runs, or between operations.
    pub fn in_operations(&self) -> f64 {
        self.operations.iter().map(|m| m.seconds).sum()
    }
}

/// Sums of a node's calls.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    calls: u64,
    nanoseconds: u64,
    operations: u64,
    bytes: u64,
}

/// Costs of a program's nodes at some extents.
#[derive(Debug, Default)]
struct Costs {
    extents: Option<Extents>,
    /// Floating-point operations and bytes of each node.
    of: Vec<(u64, u64)>,
}

/// What is recorded while programs run.
#[derive(Debug)]
pub(super) struct Recorder {
    began: Option<Instant>,
    ended: Option<Instant>,
    node_began: Instant,
    runs: u64,
    /// For each program, its nodes.
    sums: Vec<Vec<Sums>>,
    costs: Vec<Costs>,
    /// Program, node, start and length in nanoseconds.
    spans: Vec<(usize, usize, u64, u64)>,
}

impl Recorder {
    pub fn new() -> Recorder {
        Recorder {
            began: None,
            ended: None,
            node_began: Instant::now(),
            runs: 0,
            sums: Vec::new(),
            costs: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// Makes room for a program's nodes and finds out what they cost.
    pub fn begin(&mut self, program: ProgramId, graph: &Graph, extents: Extents) {
        let index = program.index();
        if self.sums.len() <= index {
            self.sums.resize_with(index + 1, Vec::new);
            self.costs.resize_with(index + 1, Costs::default);
        }
        self.sums[index].resize(graph.nodes().len(), Sums::default());
        let costs = &mut self.costs[index];
        if costs.extents != Some(extents) {
            costs.extents = Some(extents);
            costs.of = graph.nodes().iter().map(|node| graph.node_cost(node, &extents)).collect();
        }
        self.runs += 1;
        self.began.get_or_insert_with(Instant::now);
    }

    /// A node is about to run, or has run.
    pub fn note(&mut self, program: ProgramId, node: usize, done: bool) {
        if !done {
            self.node_began = Instant::now();
            return;
        }
        let took = self.node_began.elapsed().as_nanos() as u64;
        let (operations, bytes) = self.costs[program.index()].of[node];
        let sums = &mut self.sums[program.index()][node];
        sums.calls += 1;
        sums.nanoseconds += took;
        sums.operations += operations;
        sums.bytes += bytes;
        if self.spans.len() < MOST_SPANS {
            let since = self.began.map_or(0, |began| (self.node_began - began).as_nanos() as u64);
            self.spans.push((program.index(), node, since, took));
        }
    }

    /// A run is over.
    pub fn end(&mut self) {
        self.ended = Some(Instant::now());
    }

    /// What was recorded. `graphs` are those of the engine's programs.
    pub fn profile<'a>(self, graphs: impl Iterator<Item = &'a Graph>) -> Profile {
        let mut operations = Vec::new();
        let mut positions = Vec::new();
        for (graph, sums) in graphs.zip(&self.sums) {
            let mut of_nodes = vec![0; sums.len()];
            for ((node, sums), position) in graph.nodes().iter().zip(sums).zip(&mut of_nodes) {
                if sums.calls > 0 {
                    *position = operations.len();
                    operations.push(Measured {
                        operation: node.op.name(),
                        layer: node.layer.clone(),
                        calls: sums.calls,
                        seconds: sums.nanoseconds as f64 * 1e-9,
                        operations: sums.operations,
                        bytes: sums.bytes,
                    });
                }
            }
            positions.push(of_nodes);
        }
        let spans = self.spans.iter().map(|&(program, node, start, took)| Span {
            operation: positions[program][node],
            start: start as f64 * 1e-9,
            seconds: took as f64 * 1e-9,
        });
        let seconds = match (self.began, self.ended) {
            (Some(began), Some(ended)) => (ended - began).as_secs_f64(),
            _ => 0.0,
        };
        Profile { operations, spans: spans.collect(), runs: self.runs, seconds, waited: 0.0 }
    }
}
