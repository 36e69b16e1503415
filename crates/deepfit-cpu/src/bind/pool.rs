//! Kernels of pooling.

use deepfit_graph::ops::{AvgPool2d, AvgPool2dGrad, MaxPool2d, MaxPool2dGrad, Window};

use super::is_kernel;
use crate::executor::{Call, Fault, Kernel};
use crate::kernels::pool2d::{self, Pool2dShape};

is_kernel!(MaxPool2d, MaxPool2dGrad, AvgPool2d, AvgPool2dGrad);

fn geometry(window: &Window, image: &[usize]) -> Pool2dShape {
    let (vertical, horizontal) = window.padding;
    Pool2dShape {
        n: image[0],
        h: image[1],
        w: image[2],
        c: image[3],
        kh: window.size.0,
        kw: window.size.1,
        stride: [window.stride.0, window.stride.1],
        padding: [vertical, vertical, horizontal, horizontal],
    }
}

impl Kernel for MaxPool2d {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let shape = geometry(&self.window, call.shapes().input(0));
        pool2d::max_pool(call.compute(), &shape, call.input(0), call.output(0), call.output_i32(1));
        Ok(())
    }
}

impl Kernel for MaxPool2dGrad {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let shape = geometry(&self.window, call.shapes().output(0));
        pool2d::max_pool_backward(call.compute(), &shape, call.input(0), call.input_i32(1), call.output(0));
        Ok(())
    }
}

impl Kernel for AvgPool2d {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let shape = geometry(&self.window, call.shapes().input(0));
        pool2d::average_pool(call.compute(), &shape, self.count_include_pad, call.input(0), call.output(0));
        Ok(())
    }
}

impl Kernel for AvgPool2dGrad {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let shape = geometry(&self.pool.window, call.shapes().output(0));
        let count = self.pool.count_include_pad;
        pool2d::average_pool_backward(call.compute(), &shape, count, call.input(0), call.output(0));
        Ok(())
    }
}
