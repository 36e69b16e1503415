//! Kernels of the recurrent layers.

use deepfit_graph::ops::{Recurrent, RecurrentAttributes, RecurrentGrad, RecurrentKind};

use super::is_kernel;
use crate::executor::{Call, Fault, Kernel, Shapes};
use crate::kernels::Compute;
use crate::kernels::recurrent::{self, Cell, Given, Gradients, Results, Sequences, Upstream};

is_kernel!(Recurrent, RecurrentGrad);

fn cell(kind: RecurrentKind) -> Cell {
    match kind {
        RecurrentKind::Tanh => Cell::Tanh,
        RecurrentKind::Relu => Cell::Relu,
        RecurrentKind::Lstm => Cell::Lstm,
        RecurrentKind::Gru => Cell::Gru,
    }
}

/// `sequence` is the shape of any sequence, `weight` that of the recurrent weights.
fn sequences<'a>(
    attributes: &RecurrentAttributes,
    sequence: &[usize],
    weight: &[usize],
    lengths: Option<&'a [i32]>,
) -> Sequences<'a> {
    let RecurrentAttributes { kind, reverse, time_first, .. } = *attributes;
    let (batch, steps) = if time_first { (sequence[1], sequence[0]) } else { (sequence[0], sequence[1]) };
    Sequences { cell: cell(kind), reverse, time_first, batch, steps, hidden: weight[1], lengths }
}

/// Hands out inputs or outputs one after the other, as far as there are any.
struct Next(usize);

impl Next {
    fn when(&mut self, there: bool) -> Option<usize> {
        self.0 += usize::from(there);
        there.then(|| self.0 - 1)
    }

    fn input<'a>(&mut self, call: &Call<'a>, there: bool) -> Option<&'a [f32]> {
        self.when(there).map(|i| call.input(i))
    }

    fn lengths<'a>(&mut self, call: &Call<'a>, there: bool) -> Option<&'a [i32]> {
        self.when(there).map(|i| call.input_i32(i))
    }

    fn output<'a>(&mut self, call: &Call<'a>, there: bool) -> &'a mut [f32] {
        self.when(there).map_or(&mut [], |i| call.output(i))
    }
}

impl Kernel for Recurrent {
    fn scratch(&self, cx: &Compute<'_>, shapes: &Shapes) -> usize {
        recurrent::recurrent_scratch(cx, &sequences(&self.attributes, shapes.input(0), shapes.input(1), None))
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let attributes = &self.attributes;
        let has_cell = attributes.kind.has_cell();
        let mut inputs = Next(2);
        let bias = inputs.input(call, self.bias);
        let lengths = inputs.lengths(call, attributes.lengths);
        let h = inputs.input(call, attributes.initial);
        let c = inputs.input(call, attributes.initial && has_cell);
        let s = sequences(attributes, call.shapes().input(0), call.shapes().input(1), lengths);
        s.check().map_err(Fault::Index)?;
        let given = Given { projected: call.input(0), weight: call.input(1), bias, h, c };
        let saves = self.saves && s.cell.saved() > 0;
        let mut outputs = Next(0);
        let results = Results {
            output: outputs.output(call, true),
            h: outputs.output(call, true),
            c: outputs.output(call, has_cell),
            gates: outputs.output(call, saves),
            cells: outputs.output(call, saves && has_cell),
        };
        recurrent::recurrent(call.compute(), &s, &given, results, call.scratch());
        Ok(())
    }
}

impl Kernel for RecurrentGrad {
    fn scratch(&self, cx: &Compute<'_>, shapes: &Shapes) -> usize {
        recurrent::recurrent_backward_scratch(cx, &sequences(&self.attributes, shapes.input(1), shapes.input(0), None))
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let attributes = &self.attributes;
        let (has_cell, is_gru) = (attributes.kind.has_cell(), attributes.kind == RecurrentKind::Gru);
        let mut inputs = Next(2);
        let gates = inputs.input(call, cell(attributes.kind).saved() > 0).unwrap_or(&[]);
        let cells = inputs.input(call, has_cell).unwrap_or(&[]);
        let lengths = inputs.lengths(call, attributes.lengths);
        let s = sequences(attributes, call.shapes().input(1), call.shapes().input(0), lengths);
        s.check().map_err(Fault::Index)?;
        let upstream = Upstream {
            weight: call.input(0),
            output: call.input(1),
            gates,
            cells,
            h: inputs.input(call, attributes.initial),
            c: inputs.input(call, attributes.initial && has_cell),
            d_output: inputs.input(call, self.given[0]),
            d_h: inputs.input(call, self.given[1]),
            d_c: inputs.input(call, self.given[2]),
        };
        let mut outputs = Next(0);
        let gradients = Gradients {
            projected: outputs.output(call, true),
            weight: outputs.output(call, true),
            inner: outputs.output(call, is_gru),
            h: outputs.output(call, attributes.initial),
            c: outputs.output(call, attributes.initial && has_cell),
        };
        recurrent::recurrent_backward(call.compute(), &s, &upstream, gradients, call.scratch());
        Ok(())
    }
}
