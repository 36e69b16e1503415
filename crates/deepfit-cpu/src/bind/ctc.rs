//! Kernels of the connectionist temporal classification.

use deepfit_graph::ops::{Ctc, CtcGrad};

use super::is_kernel;
use crate::executor::{Call, Fault, Kernel, Shapes};
use crate::kernels::Compute;
use crate::kernels::ctc::{self, Alignment};
use crate::kernels::scratch::{as_f64, f64_in_f32};

is_kernel!(Ctc, CtcGrad);

/// Most labels that one example can have.
fn longest(targets: &[usize]) -> usize {
    targets.last().copied().unwrap_or(0)
}

/// The operands, of which the log-probabilities are input `first`.
fn alignment<'a>(op: &Ctc, call: &Call<'a>, first: usize) -> Alignment<'a> {
    let scores = call.shapes().input(first);
    let mut lengths = first + 2..;
    let mut next = |given: bool| given.then(|| lengths.next()).flatten().map(|i| call.input_i32(i));
    Alignment {
        scores: call.input(first),
        targets: call.input_i32(first + 1),
        input_lengths: next(op.input_lengths),
        target_lengths: next(op.target_lengths),
        batch: scores[0],
        time: scores[1],
        classes: scores[2],
        labels: longest(call.shapes().input(first + 1)),
        in_a_row: call.shapes().input(first + 1).len() == 1,
        blank: op.blank,
        zero_infinity: op.zero_infinity,
    }
}

fn scratch(cx: &Compute<'_>, shapes: &Shapes, first: usize, gradient: bool) -> usize {
    let (time, labels) = (shapes.input(first)[1], longest(shapes.input(first + 1)));
    f64_in_f32(cx.pool.threads() * ctc::scratch(time, labels, gradient))
}

impl Kernel for Ctc {
    fn scratch(&self, cx: &Compute<'_>, shapes: &Shapes) -> usize {
        scratch(cx, shapes, 0, false)
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        ctc::ctc(call.compute(), alignment(self, call, 0), call.output(0), as_f64(call.scratch())).map_err(Fault::Index)
    }
}

impl Kernel for CtcGrad {
    fn scratch(&self, cx: &Compute<'_>, shapes: &Shapes) -> usize {
        scratch(cx, shapes, 1, true)
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let alignment = alignment(&self.loss, call, 1);
        let memory = as_f64(call.scratch());
        ctc::ctc_backward(call.compute(), alignment, call.input(0), call.output(0), memory).map_err(Fault::Index)
    }
}
