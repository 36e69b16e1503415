//! Kernels of the bags of rows.

use deepfit_graph::ops::{BagNumbers, SegmentMax, SegmentMaxGrad};

use super::is_kernel;
use crate::executor::{Call, Fault, Kernel};
use crate::kernels::segment;

is_kernel!(BagNumbers, SegmentMax, SegmentMaxGrad);

impl Kernel for BagNumbers {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let offsets = (call.input_count() > 1).then(|| call.input_i32(1));
        let length = call.shapes().input(0).last().copied().unwrap_or(1);
        segment::bag_numbers(call.input_i32(0), offsets, length, self.padding, call.output_i32(0)).map_err(Fault::Index)
    }
}

impl Kernel for SegmentMax {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let width = call.shapes().input(1)[1];
        let (values, from) = (call.output(0), call.output_i32(1));
        segment::segment_max(call.compute(), call.input_i32(0), call.input(1), width, values, from)
            .map_err(Fault::Index)
    }
}

impl Kernel for SegmentMaxGrad {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let width = call.shapes().input(1)[1];
        segment::segment_max_backward(call.input_i32(0), call.input(1), width, call.output(0));
        Ok(())
    }
}
