//! Kernels of the updates of single rows.

use deepfit_graph::ops::{AdamRows, CoalescedGrad, SgdRows};

use super::is_kernel;
use crate::executor::{Call, Fault, Kernel, Shapes};
use crate::kernels::Compute;
use crate::kernels::rows::{self, RowGradients};
use crate::kernels::scratch::as_u32;

is_kernel!(SgdRows, AdamRows, CoalescedGrad);

/// The row numbers are input `first`, their rows the next.
fn gradients<'a>(call: &Call<'a>, first: usize, padding: Option<usize>) -> RowGradients<'a> {
    let (numbers, rows) = (call.input_i32(first), call.input(first + 1));
    RowGradients { numbers, rows, width: call.shapes().input(first + 1)[1], padding }
}

/// The scratch memory has room for the largest batch.
fn order<'a>(call: &Call<'a>, count: usize) -> &'a mut [u32] {
    &mut as_u32(call.scratch())[..count]
}

fn result(done: Result<bool, crate::error::Error>) -> Result<(), Fault> {
    match done {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault::NonFinite),
        Err(wrong) => Err(Fault::Index(wrong)),
    }
}

impl Kernel for SgdRows {
    fn scratch(&self, _: &Compute<'_>, shapes: &Shapes) -> usize {
        RowGradients::scratch(shapes.input(1)[0])
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let (gradients, rate) = (gradients(call, 1, self.padding), call.input(3)[0]);
        result(rows::sgd_rows(call.compute(), gradients, rate, call.output(0), order(call, gradients.numbers.len())))
    }
}

impl Kernel for AdamRows {
    fn scratch(&self, _: &Compute<'_>, shapes: &Shapes) -> usize {
        RowGradients::scratch(shapes.input(1)[0])
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let settings = rows::AdamRows {
            learning_rate: f64::from(call.input(5)[0]),
            beta1: self.betas.0,
            beta2: self.betas.1,
            eps: self.epsilon,
        };
        let (gradients, step) = (gradients(call, 1, self.padding), call.input(6)[0] as i32);
        let (table, first, second) = (call.output(0), call.output(1), call.output(2));
        result(rows::adam_rows(
            call.compute(),
            gradients,
            &settings,
            step,
            table,
            first,
            second,
            order(call, gradients.numbers.len()),
        ))
    }
}

impl Kernel for CoalescedGrad {
    fn scratch(&self, _: &Compute<'_>, shapes: &Shapes) -> usize {
        RowGradients::scratch(shapes.input(0)[0])
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let gradients = gradients(call, 0, self.padding);
        let order = order(call, gradients.numbers.len());
        rows::coalesce(call.compute(), gradients, call.output(0), order).map_err(Fault::Index)
    }
}
