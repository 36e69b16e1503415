//! One row for each layer: what it computes as the network is trained, and what that costs.

use std::collections::{BTreeMap, VecDeque};

use super::LayerRow;
use crate::error::Result;
use deepfit_graph::{Extents, Graph, Mode, Node, Op, RANDOM_KEY, Tensor, Tracer, Value};
use deepfit_nn::Declaration;
use deepfit_nn::step::LOSS;

/// What traces a network to its outputs.
pub type Forward<'a> = &'a dyn Fn(&Tracer) -> deepfit_nn::Result<Vec<Tensor>>;

/// The rows in the order of computation: names of operations from the network as it is trained, where a normalisation is
/// one operation and not the arithmetic that is left of it in use; counts from `prediction`, the graph in use; what a step
/// keeps from `step`, the graph of training after all passes, which a network that is not trained has none of.
pub fn rows(
    forward: Forward<'_>,
    prediction: &Graph,
    step: Option<&Graph>,
    declarations: &[Declaration],
    maximum: &Extents,
) -> Result<Vec<LayerRow>> {
    let one = &Extents { batch: 1, ..*maximum };
    let mut own: BTreeMap<&str, usize> = BTreeMap::new();
    for declaration in declarations.iter().filter(|d| d.role.is_trained()) {
        let layer = declaration.name.rsplit_once('.').map_or("", |(layer, _)| layer);
        *own.entry(layer).or_default() += declaration.elements();
    }
    let mut rows = grouped(&trained(forward)?, one);
    let mut used: BTreeMap<String, VecDeque<LayerRow>> = BTreeMap::new();
    let in_use = grouped(prediction, one);
    for row in in_use.iter().cloned() {
        used.entry(row.layer.clone()).or_default().push_back(row);
    }
    for row in &mut rows {
        let counterpart = used.get_mut(&row.layer).and_then(VecDeque::pop_front);
        row.operations = counterpart.map_or(0, |row| row.operations);
    }
    // What only the network in use has: the probabilities.
    for row in used.into_values().flatten() {
        match rows.iter_mut().rfind(|known| known.layer == row.layer && !row.layer.is_empty()) {
            Some(known) => known.operations += row.operations,
            None => rows.push(row),
        }
    }
    for row in &mut rows {
        row.parameters = own.remove(&row.layer[..]).unwrap_or(0);
    }
    for (step, (layer, (node, bytes))) in
        step.into_iter().flat_map(|step| kept(step, maximum).into_iter().map(move |row| (step, row)))
    {
        match rows.iter_mut().rfind(|row| row.layer == layer) {
            Some(row) => row.kept = bytes,
            None => rows.push(LayerRow { layer, operations: 0, kept: bytes, ..row_of(step, node, one) }),
        }
    }
    Ok(rows)
}

/// The nodes that the network's output needs as it is trained, without those that update running statistics.
fn trained(forward: Forward<'_>) -> Result<Graph> {
    let tracer = Tracer::new(Mode::Train);
    let outputs = forward(&tracer)?;
    let graph = tracer.graph();
    let mut needed = vec![false; graph.nodes().len()];
    outputs.iter().for_each(|output| needed[output.value().node] = true);
    for i in (0..needed.len()).rev() {
        if needed[i] {
            graph.nodes()[i].inputs.iter().for_each(|v| needed[v.node] = true);
        }
    }
    let mut path = Graph::default();
    let mut position = vec![0; needed.len()];
    for (i, node) in graph.nodes().iter().enumerate().filter(|(i, _)| needed[*i]) {
        let mut node = node.clone();
        node.inputs.iter_mut().for_each(|v| v.node = position[v.node]);
        position[i] = path.push(node);
    }
    Ok(path)
}

/// One row for each run of nodes of a layer; parameters and what is kept are left at 0.
fn grouped(graph: &Graph, one: &Extents) -> Vec<LayerRow> {
    let mut rows: Vec<LayerRow> = Vec::new();
    for node in graph.nodes() {
        let hidden = match &node.op {
            Op::Parameter(_) | Op::Constant(_) => true,
            // Of the operations that draw numbers, and no input of the network.
            Op::Input(input) => input.name == RANDOM_KEY,
            _ => node.outputs.is_empty(),
        };
        if hidden {
            continue;
        }
        let row = row_of(graph, node, one);
        match rows.last_mut().filter(|last| last.layer == row.layer && !row.layer.is_empty()) {
            Some(last) => {
                if !last.operation.split(", ").any(|name| name == row.operation) {
                    last.operation = format!("{}, {}", last.operation, row.operation);
                }
                (last.output, last.bytes) = (row.output, row.bytes);
                last.operations += row.operations;
            }
            None => rows.push(row),
        }
    }
    rows
}

fn row_of(graph: &Graph, node: &Node, one: &Extents) -> LayerRow {
    let input = matches!(node.op, Op::Input(_));
    LayerRow {
        layer: if input { node.op.name() } else { node.layer.clone() },
        operation: if input { "input".to_string() } else { node.op.name() },
        output: node.outputs[0].to_string(),
        parameters: 0,
        operations: graph.node_cost(node, one).0,
        bytes: node.outputs[0].bytes(one) as u64,
        kept: 0,
    }
}

/// For each layer, the bytes of forward values that the nodes behind the loss read, and the last such node.
fn kept<'a>(step: &'a Graph, extents: &Extents) -> BTreeMap<String, (&'a Node, u64)> {
    let nodes = step.nodes();
    let mut found: BTreeMap<String, (&Node, u64)> = BTreeMap::new();
    let Some(loss) = step.output(LOSS) else { return found };
    let mut read: Vec<Value> = Vec::new();
    for node in &nodes[loss.node + 1..] {
        for &input in &node.inputs {
            let mut value = input;
            while nodes[value.node].op.is_view() {
                value = nodes[value.node].inputs[0];
            }
            if value.node <= loss.node && !nodes[value.node].op.is_leaf() {
                read.push(value);
            }
        }
    }
    read.sort_unstable();
    read.dedup();
    for value in read {
        let node = &nodes[value.node];
        let entry = found.entry(node.layer.clone()).or_insert((node, 0));
        *entry = (node, entry.1 + step.type_of(value).bytes(extents) as u64);
    }
    found
}
