//! Kernels of the softmax.

use deepfit_graph::ops::{Softmax, SoftmaxGrad};

use super::is_kernel;
use crate::executor::{Call, Fault, Kernel};
use crate::kernels::softmax;

is_kernel!(Softmax, SoftmaxGrad);

fn matrix(shape: &[usize]) -> (usize, usize) {
    let (&columns, lead) = shape.split_last().expect("checked when the graph was built");
    (lead.iter().product(), columns)
}

impl Kernel for Softmax {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let (rows, columns) = matrix(call.shapes().input(0));
        let kernel = if self.log { softmax::log_softmax } else { softmax::softmax };
        kernel(call.compute(), call.input(0), call.output(0), rows, columns);
        Ok(())
    }
}

impl Kernel for SoftmaxGrad {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let (rows, columns) = matrix(call.shapes().input(0));
        let kernel = if self.log { softmax::log_softmax_backward } else { softmax::softmax_backward };
        kernel(call.compute(), call.input(0), call.input(1), call.output(0), rows, columns);
        Ok(())
    }
}
