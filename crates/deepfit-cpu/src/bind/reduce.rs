//! Kernels of the reductions.

use deepfit_graph::ops::{Reduce, ReduceKind};

use super::is_kernel;
use crate::executor::{Call, Fault, Kernel, Shapes};
use crate::kernels::Compute;
use crate::kernels::reduce::{self, MAX_RANK, Reduction};

is_kernel!(Reduce);

fn marks(axes: &[usize]) -> [bool; MAX_RANK] {
    let mut marks = [false; MAX_RANK];
    axes.iter().for_each(|&axis| marks[axis] = true);
    marks
}

impl Kernel for Reduce {
    fn scratch(&self, _: &Compute<'_>, shapes: &Shapes) -> usize {
        let shape = shapes.input(0);
        reduce::reduce_scratch(shape, &marks(&self.axes)[..shape.len()])
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let how = match self.kind {
            ReduceKind::Sum => Reduction::Sum,
            ReduceKind::Mean => Reduction::Mean,
            ReduceKind::Max => Reduction::Max,
            ReduceKind::SumSquares => Reduction::SumOfSquares,
        };
        let shape = call.shapes().input(0);
        let marks = marks(&self.axes);
        reduce::reduce(
            call.compute(),
            how,
            call.input(0),
            shape,
            &marks[..shape.len()],
            call.output(0),
            call.scratch(),
        );
        Ok(())
    }
}
