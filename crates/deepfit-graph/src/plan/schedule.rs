//! The order of computation: as traced, but effects as soon as they can happen, so that gradients are free early.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::graph::{Graph, Value};
use crate::op::Op;

/// Order of all nodes that compute something.
///
/// An update of a parameter runs after everything that reads its old value, and after every guard traced before it.
pub(super) fn order(graph: &Graph, roots: &[Vec<Value>]) -> Vec<usize> {
    let mut schedule = Schedule::new(graph, roots);
    for i in 0..graph.nodes().len() {
        if schedule.pace[i] == Pace::Traced {
            schedule.reached[i] = true;
            schedule.offer(i);
        }
        schedule.drain();
    }
    assert!(schedule.is_complete(), "updates wait for each other, which tracing refuses");
    schedule.order
}

/// When a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// In its place of the trace, or as soon after it as it can.
    Traced,
    /// As soon as it can: an effect, or a light computation that serves nothing but effects.
    Hurried,
    /// When something asks for it: it serves nothing but effects and reads nothing but memory that exists anyway, so
    /// earlier it would only take space.
    Lazy,
}

struct Schedule<'a> {
    graph: &'a Graph,
    pace: Vec<Pace>,
    /// What each node waits for; past the nodes, gates that open when a guard and all guards before it have run.
    waits: Vec<Vec<usize>>,
    waiting: Vec<Vec<usize>>,
    /// Number of unmet waits of each node.
    missing: Vec<usize>,
    /// Whether the trace has come to a node.
    reached: Vec<bool>,
    emitted: Vec<bool>,
    /// Nodes that can run: effects before others, since they free memory, then as traced.
    ready: BinaryHeap<Reverse<(bool, usize)>>,
    order: Vec<usize>,
}

impl<'a> Schedule<'a> {
    fn new(graph: &'a Graph, roots: &[Vec<Value>]) -> Self {
        let nodes = graph.nodes();
        let waits = waits(graph, roots);
        let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); waits.len()];
        for (i, list) in waits.iter().enumerate() {
            list.iter().for_each(|&w| waiting[w].push(i));
        }
        let missing: Vec<usize> = waits.iter().map(Vec::len).collect();
        let mut pace = paces(graph);
        // A gate opens by itself.
        pace.resize(waits.len(), Pace::Hurried);
        let mut schedule = Schedule {
            graph,
            reached: pace.iter().map(|&p| p != Pace::Traced).collect(),
            emitted: vec![false; waits.len()],
            pace,
            waits,
            waiting,
            missing,
            ready: BinaryHeap::new(),
            order: Vec::with_capacity(nodes.len()),
        };
        let at_once: Vec<usize> = (0..schedule.waits.len()).filter(|&i| schedule.missing[i] == 0).collect();
        at_once.into_iter().for_each(|i| schedule.offer(i));
        schedule
    }

    /// Takes note that a node may be able to run.
    fn offer(&mut self, i: usize) {
        if self.missing[i] > 0 || !self.reached[i] {
            return;
        }
        if self.pace[i] == Pace::Lazy {
            self.release(i);
        } else {
            let effect = self.graph.nodes().get(i).is_none_or(|n| n.op.has_effect());
            self.ready.push(Reverse((!effect, i)));
        }
    }

    /// Runs everything that can run now.
    fn drain(&mut self) {
        while let Some(Reverse((_, i))) = self.ready.pop() {
            self.emit(i);
        }
    }

    /// Tells those that wait for a node that they need not any longer. A lazy node counts as done once it can run, so
    /// that what waits for it can ask for it.
    fn release(&mut self, i: usize) {
        let mut done = vec![i];
        while let Some(i) = done.pop() {
            for w in std::mem::take(&mut self.waiting[i]) {
                self.missing[w] -= 1;
                if self.missing[w] == 0 && self.pace[w] == Pace::Lazy {
                    done.push(w);
                } else {
                    self.offer(w);
                }
            }
        }
    }

    fn emit(&mut self, i: usize) {
        // Lazy nodes that this one waits for go first, each after those that it waits for itself.
        let mut stack = vec![(i, 0)];
        while let Some((node, next)) = stack.pop() {
            if self.emitted[node] {
                continue;
            }
            match self.waits[node].get(next) {
                Some(&before) => {
                    stack.push((node, next + 1));
                    if !self.emitted[before] {
                        stack.push((before, 0));
                    }
                }
                None => {
                    self.emitted[node] = true;
                    if let Some(n) = self.graph.nodes().get(node)
                        && !n.op.is_leaf()
                        && !n.op.is_view()
                    {
                        self.order.push(node);
                    }
                }
            }
        }
        self.release(i);
    }

    /// Whether everything has run but what nobody asks for.
    fn is_complete(&self) -> bool {
        (0..self.waits.len()).all(|i| self.emitted[i] || (self.pace[i] == Pace::Lazy && self.missing[i] == 0))
    }
}

/// What each node waits for, followed by what each guard's gate waits for.
fn waits(graph: &Graph, roots: &[Vec<Value>]) -> Vec<Vec<usize>> {
    let nodes = graph.nodes();
    let mut waits: Vec<Vec<usize>> = nodes.iter().map(|n| n.inputs.iter().map(|v| v.node).collect()).collect();
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (i, node) in nodes.iter().enumerate() {
        for parameter in node.inputs.iter().filter_map(|&v| graph.old_parameter(v)) {
            readers[parameter].push(i);
        }
    }
    // One gate a guard, each behind the one before: an update then waits for one gate, not for every guard.
    let mut gate = None;
    let mut gates: Vec<Vec<usize>> = Vec::new();
    for (i, node) in nodes.iter().enumerate() {
        let updates = node.op.updates();
        for (input, _) in &updates {
            let parameter = roots[node.inputs[*input].node][node.inputs[*input].port].node;
            waits[i].extend(readers[parameter].iter().filter(|&&r| r != i));
        }
        if !updates.is_empty() {
            waits[i].extend(gate);
        }
        if matches!(node.op, Op::Guard(_)) {
            gates.push(std::iter::once(i).chain(gate).collect());
            gate = Some(nodes.len() + gates.len() - 1);
        }
    }
    waits.extend(gates);
    waits
}

fn paces(graph: &Graph) -> Vec<Pace> {
    let nodes = graph.nodes();
    let mut only_effects: Vec<bool> = vec![true; nodes.len()];
    for (_, value) in graph.outputs() {
        only_effects[value.node] = false;
    }
    let mut pace = vec![Pace::Traced; nodes.len()];
    for i in (0..nodes.len()).rev() {
        let op = &nodes[i].op;
        let light = !matches!(op, Op::MatMul(_) | Op::Conv2d(_) | Op::Conv2dInputGrad(_) | Op::Conv2dWeightGrad(_));
        if op.has_effect() || op.is_leaf() || (only_effects[i] && light && !graph.is_late(i)) {
            pace[i] = Pace::Hurried;
        } else {
            nodes[i].inputs.iter().for_each(|v| only_effects[v.node] = false);
        }
    }
    for i in 0..nodes.len() {
        let exists = |v: &Value| nodes[v.node].op.is_leaf() || pace[v.node] == Pace::Lazy;
        let op = &nodes[i].op;
        if pace[i] == Pace::Hurried && !op.has_effect() && !op.is_leaf() && nodes[i].inputs.iter().all(exists) {
            pace[i] = Pace::Lazy;
        }
    }
    pace
}
