//! Kernels of the normalisations.

use deepfit_graph::ops::{
    BatchNorm, BatchNormGrad, GroupNorm, GroupNormGrad, LayerNorm, LayerNormGrad, RmsNorm, RmsNormGrad,
};

use super::elementwise::EpilogueProgram;
use super::{Bind, is_kernel};
use crate::executor::{Call, Fault, Kernel, Shapes};
use crate::kernels::Compute;
use crate::kernels::gemm::Epilogue;
use crate::kernels::norm::{self, GroupNormShape};

is_kernel!(BatchNormGrad, LayerNorm, LayerNormGrad, GroupNorm, GroupNormGrad, RmsNorm, RmsNormGrad);

/// Rows and columns of `[..., columns]`.
fn matrix(shape: &[usize]) -> (usize, usize) {
    let (&columns, lead) = shape.split_last().expect("checked when the graph was built");
    (lead.iter().product(), columns)
}

struct Normalisation {
    epsilon: f32,
    epilogue: Option<EpilogueProgram>,
}

impl Bind for BatchNorm {
    fn bind(&self) -> Box<dyn Kernel> {
        let epilogue = self.epilogue.as_ref().map(EpilogueProgram::new);
        Box::new(Normalisation { epsilon: self.epsilon, epilogue })
    }
}

impl Kernel for Normalisation {
    fn scratch(&self, _: &Compute<'_>, shapes: &Shapes) -> usize {
        let (rows, columns) = matrix(shapes.input(0));
        norm::batch_norm_scratch(rows, columns) + columns
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let (rows, columns) = matrix(call.shapes().input(0));
        let (inverse, scratch) = call.scratch().split_at_mut(columns);
        let epilogue = self.epilogue.as_ref().map(|program| program.bound(call, 3, columns));
        norm::batch_norm(
            call.compute(),
            call.input(0),
            call.input(1),
            call.input(2),
            self.epsilon,
            call.output(0),
            call.output(1),
            call.output(2),
            inverse,
            rows,
            columns,
            epilogue.as_ref().map(|e| e as &dyn Epilogue),
            scratch,
        );
        Ok(())
    }
}

impl Kernel for BatchNormGrad {
    fn scratch(&self, _: &Compute<'_>, shapes: &Shapes) -> usize {
        let (rows, columns) = matrix(shapes.input(0));
        norm::batch_norm_scratch(rows, columns) + columns
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let (rows, columns) = matrix(call.shapes().input(0));
        let (inverse, scratch) = call.scratch().split_at_mut(columns);
        for (inverse, variance) in inverse.iter_mut().zip(call.input(3)) {
            *inverse = 1.0 / (variance + self.epsilon).sqrt();
        }
        norm::batch_norm_backward(
            call.compute(),
            call.input(0),
            call.input(1),
            call.input(2),
            inverse,
            call.input(4),
            call.output(0),
            call.output(1),
            call.output(2),
            rows,
            columns,
            scratch,
        );
        Ok(())
    }
}

impl Kernel for LayerNorm {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let (rows, columns) = matrix(call.shapes().input(0));
        norm::layer_norm(
            call.compute(),
            call.input(0),
            call.input(1),
            call.input(2),
            self.epsilon,
            call.output(0),
            call.output(1),
            call.output(2),
            rows,
            columns,
        );
        Ok(())
    }
}

impl Kernel for LayerNormGrad {
    fn scratch(&self, _: &Compute<'_>, shapes: &Shapes) -> usize {
        let (rows, columns) = matrix(shapes.input(0));
        norm::layer_norm_scratch(rows, columns)
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let (rows, columns) = matrix(call.shapes().input(0));
        norm::layer_norm_backward(
            call.compute(),
            call.input(0),
            call.input(1),
            call.input(2),
            call.input(3),
            call.input(4),
            call.output(0),
            call.output(1),
            call.output(2),
            rows,
            columns,
            call.scratch(),
        );
        Ok(())
    }
}

impl Kernel for RmsNorm {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let (rows, columns) = matrix(call.shapes().input(0));
        let (x, scale) = (call.input(0), call.input(1));
        norm::rms_norm(call.compute(), x, scale, self.epsilon, call.output(0), call.output(1), rows, columns);
        Ok(())
    }
}

impl Kernel for RmsNormGrad {
    fn scratch(&self, _: &Compute<'_>, shapes: &Shapes) -> usize {
        let (rows, columns) = matrix(shapes.input(0));
        norm::layer_norm_scratch(rows, columns)
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let (rows, columns) = matrix(call.shapes().input(0));
        norm::rms_norm_backward(
            call.compute(),
            call.input(0),
            call.input(1),
            call.input(2),
            call.input(3),
            call.output(0),
            call.output(1),
            rows,
            columns,
            call.scratch(),
        );
        Ok(())
    }
}

fn grouped(shape: &[usize], groups: usize) -> GroupNormShape {
    let (rows, cols) = matrix(&shape[1..]);
    GroupNormShape { n: shape[0], rows, cols, groups }
}

impl Kernel for GroupNorm {
    fn scratch(&self, _: &Compute<'_>, shapes: &Shapes) -> usize {
        norm::group_norm_scratch(&grouped(shapes.input(0), self.groups))
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        norm::group_norm(
            call.compute(),
            &grouped(call.shapes().input(0), self.groups),
            call.input(0),
            call.input(1),
            call.input(2),
            self.epsilon,
            call.output(0),
            call.output(1),
            call.output(2),
            call.scratch(),
        );
        Ok(())
    }
}

impl Kernel for GroupNormGrad {
    fn scratch(&self, _: &Compute<'_>, shapes: &Shapes) -> usize {
        norm::group_norm_scratch(&grouped(shapes.input(0), self.norm.groups))
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        norm::group_norm_backward(
            call.compute(),
            &grouped(call.shapes().input(0), self.norm.groups),
            call.input(0),
            call.input(1),
            call.input(2),
            call.input(3),
            self.norm.epsilon,
            call.input(4),
            call.output(0),
            call.output(1),
            call.output(2),
            call.scratch(),
        );
        Ok(())
    }
}
