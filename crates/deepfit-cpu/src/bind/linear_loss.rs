//! Kernels of the cross-entropy of a linear layer with very many outputs.

use deepfit_graph::ops::{LinearCrossEntropy, LinearCrossEntropyGrad};

use super::is_kernel;
use crate::error::Error;
use crate::executor::{Call, Fault, Kernel, Shapes};
use crate::kernels::Compute;
use crate::kernels::linear_loss::LinearRows;

is_kernel!(LinearCrossEntropy, LinearCrossEntropyGrad);

/// Sizes alone.
fn sizes(shapes: &Shapes, block: usize) -> LinearRows<'static> {
    let (x, weight) = (shapes.input(0), shapes.input(1));
    LinearRows { x: &[], weight: &[], targets: &[], rows: x[0], width: x[1], classes: weight[0], block }
}

/// The layer of a call, whose class numbers are in range.
fn layer<'a>(call: &Call<'a>, block: usize) -> Result<LinearRows<'a>, Fault> {
    let (sizes, targets) = (sizes(call.shapes(), block), call.input_i32(2));
    let known = |class: i32| usize::try_from(class).is_ok_and(|class| class < sizes.classes);
    if let Some((row, &class)) = targets.iter().enumerate().find(|(_, class)| !known(**class)) {
        return Err(Fault::Index(Error::ClassOutOfRange { class, row, classes: sizes.classes }));
    }
    Ok(LinearRows { x: call.input(0), weight: call.input(1), targets, ..sizes })
}

impl Kernel for LinearCrossEntropy {
    fn scratch(&self, cx: &Compute<'_>, shapes: &Shapes) -> usize {
        sizes(shapes, self.block).scratch(cx)
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let layer = layer(call, self.block)?;
        layer.loss(call.compute(), call.output(0), call.output(1), call.scratch());
        Ok(())
    }
}

impl Kernel for LinearCrossEntropyGrad {
    fn scratch(&self, cx: &Compute<'_>, shapes: &Shapes) -> usize {
        sizes(shapes, self.block).scratch(cx)
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let layer = layer(call, self.block)?;
        let rows = [call.input(3), call.input(4), call.input(5)];
        let of_weight = self.of_weight.then(|| call.output(1));
        layer.gradients(call.compute(), rows, call.output(0), of_weight, call.scratch());
        Ok(())
    }
}
