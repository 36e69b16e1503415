//! Recomputation (gradient checkpointing): what the backward pass needs of the forward pass is computed again just before
//! it is needed, and not kept until then. Same operations on same values: same bits, less memory, more work.
//!
//! Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost", 2016.

use crate::graph::{Graph, Node, Value};
use crate::hazard::Effects;
use crate::shape::Extents;

/// Values this many times smaller than the largest are kept: they cost nothing.
const SMALL: usize = 64;
/// So are outputs this many times smaller than another of the same node: statistics, which running averages need long
/// before or after the backward pass comes by.
const STATISTIC: usize = 4;

/// The graph of a training step with its forward pass, which ends with `loss`, cut into `segments` of about the same
/// memory: only values that pass from one segment to a later one are kept for the backward pass, which computes the
/// others again, segment by segment. Random operations draw the same numbers, since these are functions of key and place.
///
/// It must be the last thing done to a graph: the pass for common sub-expressions would undo it.
pub fn recompute(graph: &Graph, loss: Value, segments: usize, extents: &Extents) -> Graph {
    let kept = kept_values(graph, loss.node, segments, extents);
    let mut copies = Copies {
        nodes: graph.nodes(),
        kept: &kept,
        renamed: Vec::with_capacity(graph.nodes().len()),
        copied: vec![None; loss.node + 1],
        effects: Effects::default(),
        new: Graph::default(),
    };
    for (i, node) in graph.nodes().iter().enumerate() {
        let mut node = node.clone();
        let backward = i > loss.node;
        for input in &mut node.inputs {
            *input = if backward { copies.again(*input) } else { copies.renamed[input.node][input.port] };
        }
        let values = copies.effects.push(&mut copies.new, node);
        copies.renamed.push(values);
    }
    for (name, value) in graph.outputs() {
        copies.new.push_output(name, copies.renamed[value.node][value.port]);
    }
    copies.new
}

/// For each value of the forward pass, whether it is kept until the backward pass.
fn kept_values(graph: &Graph, loss: usize, segments: usize, extents: &Extents) -> Vec<Vec<bool>> {
    let nodes = &graph.nodes()[..=loss];
    let bytes = &|i: usize, port: usize| match &nodes[i].op {
        op if op.is_leaf() || op.is_view() => 0,
        _ => nodes[i].outputs[port].bytes(extents),
    };
    let of_node = |i: usize| (0..nodes[i].outputs.len()).map(move |port| bytes(i, port));
    let total = (0..nodes.len()).flat_map(of_node).sum::<usize>().max(1);
    let largest = (0..nodes.len()).flat_map(of_node).max().unwrap_or(0);
    let mut before = 0;
    let segment_of: Vec<usize> = (0..nodes.len())
        .map(|i| {
            let segment = (before as u128 * segments as u128 / total as u128) as usize;
            before += of_node(i).sum::<usize>();
            segment.min(segments.saturating_sub(1))
        })
        .collect();
    let last = segment_of.last().copied().unwrap_or(0);
    let mut kept: Vec<Vec<bool>> = Vec::with_capacity(nodes.len());
    for (i, node) in nodes.iter().enumerate() {
        // The backward pass begins with the last segment, so computing that again would gain nothing.
        let stays = node.op.is_leaf() || node.op.has_effect() || segment_of[i] == last;
        let own = of_node(i).max().unwrap_or(0);
        let small = |port: usize| {
            let size = node.outputs[port].bytes(extents);
            !node.op.is_view() && (size * SMALL < largest || size * STATISTIC <= own)
        };
        kept.push((0..node.outputs.len()).map(|port| stays || small(port)).collect());
        for input in &node.inputs {
            if segment_of[input.node] < segment_of[i] {
                kept[input.node][input.port] = true;
            }
        }
    }
    for (_, value) in graph.outputs() {
        if value.node <= loss {
            kept[value.node][value.port] = true;
        }
    }
    // A view is no memory of its own: who keeps it keeps its source.
    for i in (0..nodes.len()).rev() {
        if nodes[i].op.is_view() && kept[i][0] {
            let source = nodes[i].inputs[0];
            kept[source.node][source.port] = true;
        }
    }
    kept
}

struct Copies<'a> {
    nodes: &'a [Node],
    kept: &'a [Vec<bool>],
    /// The values of the new graph that stand for those of each old node.
    renamed: Vec<Vec<Value>>,
    /// The values of the second computation of each forward node.
    copied: Vec<Option<Vec<Value>>>,
    effects: Effects,
    new: Graph,
}

impl Copies<'_> {
    /// The value that the backward pass reads for `wanted`: itself if it is kept, else from a second computation, which is
    /// appended here with all that it needs.
    fn again(&mut self, wanted: Value) -> Value {
        // Nodes whose copies are to be made, the last first; each comes up again when its inputs have been copied.
        let mut stack = vec![wanted];
        while let Some(&value) = stack.last() {
            if self.found(value).is_some() {
                stack.pop();
                continue;
            }
            let inputs = &self.nodes[value.node].inputs;
            let missing = inputs.iter().find(|&&v| self.found(v).is_none());
            if let Some(&missing) = missing {
                stack.push(missing);
                continue;
            }
            let mut node = self.nodes[value.node].clone();
            node.inputs = inputs.iter().filter_map(|&v| self.found(v)).collect();
            let values = if self.effects.conflict(&self.new, &node).is_some() {
                // An old value of a parameter that is no longer to be had: then what was computed from it is kept.
                self.renamed[value.node].clone()
            } else {
                let values = self.effects.push(&mut self.new, node);
                self.new.mark_late(values[0].node);
                values
            };
            self.copied[value.node] = Some(values);
            stack.pop();
        }
        self.found(wanted).unwrap_or(self.renamed[wanted.node][wanted.port])
    }

    fn found(&self, value: Value) -> Option<Value> {
        match self.kept.get(value.node) {
            Some(kept) if !kept[value.port] => self.copied[value.node].as_ref().map(|values| values[value.port]),
            _ => Some(self.renamed[value.node][value.port]),
        }
    }
}
