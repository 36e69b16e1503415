//! A compiled graph: its plan, a kernel for each step, and the shapes of the current extents.

use deepfit_graph::plan::Plan;
use deepfit_graph::{Extents, Graph, Node, Shape, Symbol};

use super::call::{Kernel, Shapes};
use super::empty::Needs;
use super::prepared::Prepared;
use crate::bind;
use crate::kernels::conv::Algorithms;
use crate::kernels::{Caches, Compute, Products};
use crate::pool::ThreadPool;
use crate::simd::Isa;

pub(super) struct Program {
    pub(super) plan: Plan,
    /// One for each step of the plan's order.
    pub(super) kernels: Vec<Box<dyn Kernel>>,
    /// Positions of the plan's parameters among the engine's.
    pub(super) parameters: Vec<usize>,
    /// One for each step, for `extents`.
    pub(super) shapes: Vec<Shapes>,
    pub(super) extents: Extents,
    pub(super) needs: Needs,
    pub(super) convolution: Algorithms,
    pub(super) products: Products,
    /// Whether a run may change parameters of the engine.
    pub(super) changes_parameters: bool,
    /// One for each step; none where weights are not kept.
    pub(super) prepared: Vec<Option<Prepared>>,
}

impl Program {
    /// Plans a graph, with less scratch memory if the prepared forms of weights are kept.
    pub(super) fn new(graph: Graph, maximum: Extents, cx: &Compute<'_>, keeps: bool) -> Program {
        let plan = Plan::new(graph, maximum, |graph, node| largest_scratch(graph, node, &maximum, cx, keeps));
        let mut kernels = Vec::with_capacity(plan.order.len());
        let mut shapes = Vec::with_capacity(plan.order.len());
        for &i in &plan.order {
            let node = &plan.graph.nodes()[i];
            kernels.push(bind::kernel(&node.op));
            shapes.push(shapes_of(&plan.graph, node, &maximum));
        }
        let needs = Needs::of(&plan.graph);
        Program {
            plan,
            kernels,
            parameters: Vec::new(),
            shapes,
            extents: maximum,
            needs,
            convolution: cx.convolution,
            products: cx.products,
            changes_parameters: false,
            prepared: Vec::new(),
        }
    }

    /// What its kernels are given.
    pub(super) fn compute<'a>(&self, pool: &'a ThreadPool, isa: Isa, caches: Caches) -> Compute<'a> {
        Compute { pool, isa, caches, convolution: self.convolution, products: self.products }
    }

    /// Computes the shapes for other extents, in place.
    pub(super) fn set_extents(&mut self, extents: Extents) {
        if self.extents == extents {
            return;
        }
        self.extents = extents;
        let fill = |lengths: &mut [usize], shape: &Shape| {
            for (length, dim) in lengths.iter_mut().zip(shape.dims()) {
                *length = dim.length(&extents);
            }
        };
        for (shapes, &i) in self.shapes.iter_mut().zip(&self.plan.order) {
            let node = &self.plan.graph.nodes()[i];
            for (lengths, &value) in shapes.inputs.iter_mut().zip(&node.inputs) {
                fill(lengths, &self.plan.graph.type_of(value).shape);
            }
            for (lengths, ty) in shapes.outputs.iter_mut().zip(&node.outputs) {
                fill(lengths, &ty.shape);
            }
        }
    }
}

fn shapes_of(graph: &Graph, node: &Node, extents: &Extents) -> Shapes {
    Shapes {
        inputs: node.inputs.iter().map(|&v| graph.type_of(v).shape.resolve(extents)).collect(),
        outputs: node.outputs.iter().map(|t| t.shape.resolve(extents)).collect(),
    }
}

/// Batches up to this are tried one by one for the scratch memory that they need.
const TRIED: usize = 1 << 16;

/// Bytes of scratch that serve every batch up to the maximum: blocking depends on the shape, so a smaller batch can
/// need more than a larger one.
fn largest_scratch(graph: &Graph, node: &Node, maximum: &Extents, cx: &Compute<'_>, keeps: bool) -> usize {
    if node.op.is_leaf() || node.op.is_view() {
        return 0;
    }
    let kernel = bind::kernel(&node.op);
    let depends_on = |symbol| {
        let types = node.inputs.iter().map(|&v| graph.type_of(v)).chain(&node.outputs);
        types.flat_map(|ty| ty.shape.dims()).any(|d| d.depends_on(symbol))
    };
    let is_batched = depends_on(Symbol::Batch);
    // In a shorter sequence another form may suit, which is then not there.
    let is_prepared = keeps
        && !depends_on(Symbol::Sequence)
        && Prepared::parameter(graph, node, &*kernel, cx, &shapes_of(graph, node, maximum)).is_some();
    let need = |batch: usize| {
        let shapes = shapes_of(graph, node, &Extents { batch, ..*maximum });
        if is_prepared { kernel.prepared_scratch(cx, &shapes) } else { kernel.scratch(cx, &shapes) }
    };
    let elements = match need(maximum.batch) {
        0 => 0,
        largest if !is_batched => largest,
        // Blocks have long reached their full size in batches beyond those tried: a few of these tell the rest.
        largest => {
            let larger = std::iter::successors(Some(TRIED), |n| n.checked_add(n / 8));
            let tried = (1..TRIED).chain(larger).take_while(|&batch| batch < maximum.batch);
            tried.map(need).max().unwrap_or(0).max(largest)
        }
    };
    elements.saturating_mul(4)
}
