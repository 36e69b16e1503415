//! What has no result of nothing: a run in which it would be asked for one is refused.

use deepfit_graph::ops::ReduceKind;
use deepfit_graph::{Dim, Extents, Graph, Node, Op, Symbol};

use crate::error::Error;

/// For each symbol, the first node that has no result where its extent is 0.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Needs([Option<usize>; 2]);

impl Needs {
    pub(super) fn of(graph: &Graph) -> Needs {
        let mut needs = Needs::default();
        for (i, node) in graph.nodes().iter().enumerate() {
            for (symbol, first) in Symbol::ALL.into_iter().zip(&mut needs.0) {
                if first.is_none() && lengths(graph, node).iter().any(|length| length.depends_on(symbol)) {
                    *first = Some(i);
                }
            }
        }
        needs
    }

    /// Refuses extents of 0 where something is computed of them that has no result.
    pub(super) fn check(&self, graph: &Graph, extents: &Extents) -> Result<(), Error> {
        let given = [("batch", extents.batch), ("sequence", extents.sequence)];
        match given.into_iter().zip(self.0).find_map(|((symbol, n), node)| Some((symbol, node.filter(|_| n == 0)?))) {
            Some((symbol, node)) => {
                let node = &graph.nodes()[node];
                Err(Error::EmptyExtent { symbol, operation: node.op.name(), layer: node.layer.clone() })
            }
            None => Ok(()),
        }
    }
}

/// The lengths that must not be 0 for a node to have a result: what a mean, a maximum or a normalisation runs over, the
/// steps of a recurrence, the keys of an attention.
fn lengths(graph: &Graph, node: &Node) -> Vec<Dim> {
    let dims = |input: usize| graph.type_of(node.inputs[input]).shape.dims();
    match &node.op {
        Op::Reduce(op) if matches!(op.kind, ReduceKind::Mean | ReduceKind::Max) => {
            op.axes.iter().map(|&axis| dims(0)[axis]).collect()
        }
        Op::AxisLength(op) => vec![op.dim],
        Op::Softmax(_) => dims(0).last().copied().into_iter().collect(),
        Op::BatchNorm(_) => dims(0).iter().rev().skip(1).copied().collect(),
        Op::GroupNorm(_) => dims(0).iter().skip(1).copied().collect(),
        Op::Recurrent(op) => vec![dims(0)[usize::from(!op.attributes.time_first)]],
        Op::Attention(op) if op.allow_hidden => Vec::new(),
        Op::Attention(op) => vec![dims(if op.packed.is_some() { 0 } else { 1 })[1]],
        Op::Ctc(_) => vec![dims(0)[1]],
        _ => Vec::new(),
    }
}
