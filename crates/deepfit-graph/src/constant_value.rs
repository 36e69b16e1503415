//! Values that are known while the graph is traced.

use std::collections::{BTreeSet, HashMap};

use crate::graph::Graph;
use crate::host::Reference;
use crate::op::{Op, ReferenceContext};
use crate::shape::Extents;
use crate::trace::Tensor;

/// Most elements, and most operations, of what is computed.
const MOST_ELEMENTS: usize = 1 << 24;
const MOST_NODES: usize = 64;

/// The value of a tensor that is made of constants alone, if its shape is fixed and it costs little to compute.
pub(crate) fn constant_value(tensor: &Tensor) -> Option<Reference> {
    tensor.tracer().with_graph(|graph| {
        let nodes = sources(graph, tensor.value().node)?;
        let extents = Extents::batch(1);
        let mut values: HashMap<usize, Vec<Reference>> = HashMap::new();
        for i in nodes {
            let node = &graph.nodes()[i];
            let mut shapes = Vec::new();
            for output in &node.outputs {
                output.shape.dims().iter().all(|d| d.as_fixed().is_some()).then_some(())?;
                (output.shape.count(&extents) <= MOST_ELEMENTS).then_some(())?;
                shapes.push(output.shape.resolve(&extents));
            }
            let inputs: Vec<&Reference> = node.inputs.iter().map(|v| &values[&v.node][v.port]).collect();
            let outputs = node.op.reference(&ReferenceContext { inputs: &inputs, shapes: &shapes, extents });
            values.insert(i, outputs);
        }
        values.remove(&tensor.value().node).map(|mut outputs| outputs.swap_remove(tensor.value().port))
    })
}

/// The nodes that a node is made of and itself, in their order, if they are few and none is known only in a run.
fn sources(graph: &Graph, node: usize) -> Option<BTreeSet<usize>> {
    let (mut found, mut open) = (BTreeSet::new(), vec![node]);
    while let Some(i) = open.pop() {
        let node = &graph.nodes()[i];
        let unknown = matches!(node.op, Op::Input(_) | Op::Parameter(_) | Op::AxisLength(_) | Op::Custom(_));
        if unknown || node.op.has_effect() || found.len() >= MOST_NODES {
            return None;
        }
        if found.insert(i) {
            open.extend(node.inputs.iter().map(|v| v.node));
        }
    }
    Some(found)
}
