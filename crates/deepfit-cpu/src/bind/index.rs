//! Kernels of the operations that pick and place elements along an axis.

use deepfit_graph::ops::{Arange, CumSum, Flip, Gather, OneHot, Scatter, ScatterAdd, ScatterKind, ScatterReduce, TopK};

use super::is_kernel;
use crate::executor::{Call, Fault, Kernel};
use crate::kernels::index::{self, Around};

is_kernel!(Gather, ScatterAdd, Scatter, ScatterReduce, OneHot, Arange, TopK, CumSum, Flip);

fn around(shape: &[usize], axis: usize) -> Around {
    Around { outer: shape[..axis].iter().product(), length: shape[axis], inner: shape[axis + 1..].iter().product() }
}

impl Kernel for Gather {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let around = around(call.shapes().input(0), self.axis);
        index::gather(call.compute(), call.input(0), around, call.input_i32(1), call.output(0)).map_err(Fault::Index)
    }
}

impl Kernel for ScatterAdd {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let around = around(call.shapes().output(0), self.axis);
        index::scatter_add(call.compute(), call.input_i32(0), call.input(1), call.output(0), around)
            .map_err(Fault::Index)
    }
}

impl Kernel for Scatter {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let around = around(call.shapes().output(0), self.axis);
        let (x, indices, values) = (call.input(0), call.input_i32(1), call.input(2));
        index::scatter(call.compute(), x, indices, values, call.output(0), around).map_err(Fault::Index)
    }
}

impl Kernel for ScatterReduce {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let around = around(call.shapes().output(0), self.axis);
        let (cx, y) = (call.compute(), call.output(0));
        let (x, indices, values) = (call.input(0), call.input_i32(1), call.input(2));
        let larger = |a: f32, b: f32| if a.is_nan() || a > b { a } else { b };
        match self.kind {
            ScatterKind::Max => index::scatter_reduce(cx, x, indices, values, y, around, larger),
            ScatterKind::Min => index::scatter_reduce(cx, x, indices, values, y, around, |a, b| -larger(-a, -b)),
            ScatterKind::Product => index::scatter_reduce(cx, x, indices, values, y, around, |a, b| a * b),
        }
        .map_err(Fault::Index)
    }
}

impl Kernel for OneHot {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        index::one_hot(call.compute(), call.input_i32(0), self.classes, self.ignore, call.output(0))
            .map_err(Fault::Index)
    }
}

impl Kernel for Arange {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        call.output_i32(0).iter_mut().enumerate().for_each(|(i, value)| *value = i as i32);
        Ok(())
    }
}

impl Kernel for TopK {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let length = call.shapes().input(0).last().copied().unwrap_or(1);
        let (values, positions) = (call.output(0), call.output_i32(1));
        index::topk(call.compute(), call.input(0), length, self.k, self.largest, values, positions);
        Ok(())
    }
}

impl Kernel for CumSum {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let around = around(call.shapes().input(0), self.axis);
        index::cumsum(call.compute(), call.input(0), call.output(0), around, self.reverse);
        Ok(())
    }
}

impl Kernel for Flip {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let mut around = around(call.shapes().input(0), self.axis);
        around.inner *= call.input_dtype(0).size();
        index::flip(call.compute(), call.input_bytes(0), call.output_bytes(0), around);
        Ok(())
    }
}
