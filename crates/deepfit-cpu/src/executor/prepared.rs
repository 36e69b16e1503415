//! Weights in the form in which kernels read them, made once and kept until the weights change.

use deepfit_graph::plan::{Place, Plan};
use deepfit_graph::{Graph, Node, Op, Value};

use super::call::{Kernel, Preparable, Shapes};
use super::memory::AlignedBuffer;
use crate::error::Error;
use crate::kernels::Compute;

/// The prepared weight of one step.
pub(super) struct Prepared {
    /// What the kernel asked for.
    what: Preparable,
    /// Which of the plan's parameters it is made of.
    pub(super) parameter: usize,
    data: AlignedBuffer,
    /// The state of the parameter that it was made of: see [`Prepared::update`].
    made_of: Option<u64>,
}

impl Prepared {
    /// The parameter that a node's kernel would prepare.
    pub(super) fn parameter(
        graph: &Graph,
        node: &Node,
        kernel: &dyn Kernel,
        cx: &Compute<'_>,
        shapes: &Shapes,
    ) -> Option<(Preparable, Value)> {
        let what = kernel.preparable(cx, shapes)?;
        let value = node.inputs[what.input];
        matches!(graph.nodes()[value.node].op, Op::Parameter(_)).then_some((what, value))
    }

    /// Room for each step of a plan whose kernel can prepare a parameter.
    ///
    /// # Errors
    /// If there is no memory.
    pub(super) fn of(
        plan: &Plan,
        kernels: &[Box<dyn Kernel>],
        shapes: &[Shapes],
        cx: &Compute<'_>,
    ) -> Result<Vec<Option<Prepared>>, Error> {
        let steps = plan.order.iter().zip(kernels).zip(shapes);
        steps
            .map(|((&node, kernel), shapes)| {
                let node = &plan.graph.nodes()[node];
                let Some((what, value)) = Prepared::parameter(&plan.graph, node, &**kernel, cx, shapes) else {
                    return Ok(None);
                };
                let Place::Parameter(parameter) = plan.place(value) else { return Ok(None) };
                let data = AlignedBuffer::new(what.size.saturating_mul(4))?;
                Ok(Some(Prepared { what, parameter, data, made_of: None }))
            })
            .collect()
    }

    /// Bytes of the prepared form.
    pub(super) fn bytes(&self) -> usize {
        self.data.bytes()
    }

    /// Prepares the values of the parameter, unless that was done in this state of it.
    pub(super) fn update(
        &mut self,
        kernel: &dyn Kernel,
        cx: &Compute<'_>,
        shapes: &Shapes,
        state: u64,
        values: &[f32],
    ) {
        if self.made_of != Some(state) && self.suits(kernel, cx, shapes) {
            kernel.prepare(cx, shapes, values, self.data.f32_mut());
            self.made_of = Some(state);
        }
    }

    /// The prepared values, if a kernel can read them in these shapes.
    pub(super) fn values(&self, kernel: &dyn Kernel, cx: &Compute<'_>, shapes: &Shapes) -> Option<&[f32]> {
        (self.made_of.is_some() && self.suits(kernel, cx, shapes)).then(|| self.data.f32())
    }

    /// Whether a kernel wants the same form in these shapes.
    fn suits(&self, kernel: &dyn Kernel, cx: &Compute<'_>, shapes: &Shapes) -> bool {
        kernel.preparable(cx, shapes) == Some(self.what)
    }
}
