//! Kernels of pooling.

use deepfit_graph::ops::{AvgPool2d, AvgPool2dGrad, Divisor, FractionalMaxPool2d, MaxPool2d, MaxPool2dGrad, Regions};

use super::is_kernel;
use crate::executor::{Call, Fault, Kernel};
use crate::kernels::fractional_pool::{self, FractionalPool};
use crate::kernels::pool2d::{self, Pool2dShape, PoolAxis, Spacing};

is_kernel!(MaxPool2d, MaxPool2dGrad, AvgPool2d, AvgPool2dGrad, FractionalMaxPool2d);

fn geometry(regions: &Regions, image: &[usize], output: &[usize]) -> Pool2dShape {
    let axis = |axis: usize| {
        let spacing = match regions {
            Regions::Adaptive(_) => Spacing::Adaptive,
            Regions::Window(window) => {
                let of = |pair: (usize, usize)| if axis == 0 { pair.0 } else { pair.1 };
                let (kernel, stride) = (of(window.size), of(window.stride));
                Spacing::Windows { kernel, stride, padding: of(window.padding), dilation: of(window.dilation) }
            }
        };
        PoolAxis { size: image[1 + axis], outputs: output[1 + axis], spacing }
    };
    Pool2dShape { n: image[0], c: image[3], axes: [axis(0), axis(1)] }
}

fn divisor(divisor: Divisor) -> pool2d::Divisor {
    match divisor {
        Divisor::Pixels => pool2d::Divisor::Pixels,
        Divisor::WithBorder => pool2d::Divisor::WithPadding,
        Divisor::Fixed(n) => pool2d::Divisor::Fixed(n),
    }
}

impl Kernel for FractionalMaxPool2d {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let (image, output) = (call.shapes().input(0), call.shapes().output(0));
        let pool = FractionalPool {
            image: [image[0], image[1], image[2], image[3]],
            output: [output[1], output[2]],
            size: [self.size.0, self.size.1],
            start: FractionalMaxPool2d::start,
        };
        let (x, samples) = (call.input(0), call.input(1));
        fractional_pool::max_pool(call.compute(), &pool, x, samples, call.output(0), call.output_i32(1));
        Ok(())
    }
}

impl Kernel for MaxPool2d {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let shape = geometry(&self.regions, call.shapes().input(0), call.shapes().output(0));
        pool2d::max_pool(call.compute(), &shape, call.input(0), call.output(0), call.output_i32(1));
        Ok(())
    }
}

impl Kernel for MaxPool2dGrad {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let shape = geometry(&self.regions, call.shapes().output(0), call.shapes().input(0));
        pool2d::max_pool_backward(call.compute(), &shape, call.input(0), call.input_i32(1), call.output(0));
        Ok(())
    }
}

impl Kernel for AvgPool2d {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let shape = geometry(&self.regions, call.shapes().input(0), call.shapes().output(0));
        pool2d::average_pool(call.compute(), &shape, divisor(self.divisor), call.input(0), call.output(0));
        Ok(())
    }
}

impl Kernel for AvgPool2dGrad {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let shape = geometry(&self.pool.regions, call.shapes().output(0), call.shapes().input(0));
        let divisor = divisor(self.pool.divisor);
        pool2d::average_pool_backward(call.compute(), &shape, divisor, call.input(0), call.output(0));
        Ok(())
    }
}
