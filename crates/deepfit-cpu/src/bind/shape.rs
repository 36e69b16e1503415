//! Kernels of the operations that move elements.

use deepfit_graph::ops::{AxisLength, BroadcastTo, Concat, Pad, Permute, Reshape, Slice, StopGradient};
use deepfit_graph::{DType, Dim, MOST_AXES};

use super::is_kernel;
use crate::executor::{Call, Fault, Kernel};
use crate::kernels::copy;
use crate::pool::SharedMut;

is_kernel!(Reshape, StopGradient, Permute, BroadcastTo, Concat, Pad, Slice, AxisLength);

// Kernels have room for as many axes as a value may have.
const _: () = assert!(MOST_AXES <= copy::MAX_RANK && MOST_AXES <= crate::kernels::reduce::MAX_RANK);

/// Bytes that one task moves: enough to be worth handing out.
const BYTES_PER_TASK: usize = 1 << 16;

/// Row-major strides of a shape.
fn strides(shape: &[usize], out: &mut [usize]) {
    let mut stride = 1;
    for (axis, &length) in shape.iter().enumerate().rev() {
        out[axis] = stride;
        stride *= length;
    }
}

/// Lengths before, at and after an axis.
fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    (shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product())
}

impl Kernel for Reshape {
    // A view: the executor never runs it.
    fn run(&self, _: &Call<'_>) -> Result<(), Fault> {
        Ok(())
    }
}

impl Kernel for StopGradient {
    // A view: the executor never runs it.
    fn run(&self, _: &Call<'_>) -> Result<(), Fault> {
        Ok(())
    }
}

impl Kernel for Permute {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let shape = call.shapes().input(0);
        if call.input_dtype(0) == DType::F32 {
            copy::permute(call.compute(), call.input(0), shape, &self.order, call.output(0));
            return Ok(());
        }
        // Bytes and integers are permuted before they become numbers only rarely: one element at a time.
        let (from, to) = (call.input_bytes(0), call.output_bytes(0));
        let size = call.input_dtype(0).size();
        let mut lengths = [0; copy::MAX_RANK];
        strides(shape, &mut lengths);
        let out = call.shapes().output(0);
        for (position, element) in to.chunks_exact_mut(size).enumerate() {
            let (mut rest, mut source) = (position, 0);
            for axis in (0..out.len()).rev() {
                source += rest % out[axis] * lengths[self.order[axis]];
                rest /= out[axis];
            }
            element.copy_from_slice(&from[source * size..][..size]);
        }
        Ok(())
    }
}

impl Kernel for BroadcastTo {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let (from, to) = (call.shapes().input(0), call.shapes().output(0));
        let lead = to.len() - from.len();
        let mut own = [0; copy::MAX_RANK];
        strides(from, &mut own);
        let (mut from_strides, mut to_strides) = ([0; copy::MAX_RANK], [0; copy::MAX_RANK]);
        for (axis, &length) in from.iter().enumerate() {
            from_strides[lead + axis] = if length == 1 { 0 } else { own[axis] };
        }
        strides(to, &mut to_strides);
        let rank = to.len();
        copy::copy_box(
            call.compute(),
            to,
            call.input(0),
            0,
            &from_strides[..rank],
            call.output(0),
            0,
            &to_strides[..rank],
        );
        Ok(())
    }
}

impl Kernel for Concat {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let (outer, length, inner) = around(call.shapes().output(0), self.axis);
        let size = call.input_dtype(0).size();
        let row = length * inner * size;
        let out = SharedMut::new(call.output_bytes(0));
        let rows = BYTES_PER_TASK.div_ceil(row.max(1));
        call.compute().pool.run(outer.div_ceil(rows), &|task, _| {
            for r in task * rows..outer.min((task + 1) * rows) {
                let mut at = r * row;
                for i in 0..call.shapes().inputs.len() {
                    let part = call.shapes().input(i)[self.axis] * inner * size;
                    // SAFETY: every task writes its own rows, and within a row each part its own place.
                    unsafe { out.slice(at, part) }.copy_from_slice(&call.input_bytes(i)[r * part..][..part]);
                    at += part;
                }
            }
        });
        Ok(())
    }
}

impl Kernel for Slice {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let (_, full, inner) = around(call.shapes().input(0), self.axis);
        let bytes = inner * call.input_dtype(0).size();
        let at = |dim: Dim| dim.length(&call.extents());
        let (from, start, part) = (call.input_bytes(0), at(self.start), at(self.length) * bytes);
        let rows = BYTES_PER_TASK.div_ceil(part.max(1));
        call.compute().pool.for_each_chunk(call.output_bytes(0), rows * part.max(1), |task, out| {
            for (r, out) in out.chunks_exact_mut(part.max(1)).enumerate() {
                out.copy_from_slice(&from[((task * rows + r) * full + start) * bytes..][..part]);
            }
        });
        Ok(())
    }
}

impl Kernel for Pad {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let (_, length, inner) = around(call.shapes().input(0), self.axis);
        let (before, after) = (self.before.length(&call.extents()), self.after.length(&call.extents()));
        let (from, part, row) = (call.input(0), length * inner, (before + length + after) * inner);
        let rows = (BYTES_PER_TASK / 4).div_ceil(row.max(1));
        call.compute().pool.for_each_chunk(call.output(0), rows * row.max(1), |task, out| {
            for (r, out) in out.chunks_exact_mut(row.max(1)).enumerate() {
                let (first, rest) = out.split_at_mut(before * inner);
                let (middle, last) = rest.split_at_mut(part);
                first.fill(0.0);
                middle.copy_from_slice(&from[(task * rows + r) * part..][..part]);
                last.fill(0.0);
            }
        });
        Ok(())
    }
}

impl Kernel for AxisLength {
    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        call.output(0)[0] = self.dim.length(&call.extents()) as f32;
        Ok(())
    }
}
