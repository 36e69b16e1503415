//! The recurrence and its gradient in f64, unit by unit.

use super::{Recurrent, RecurrentAttributes, RecurrentGrad, RecurrentKind};
use crate::host::Reference;
use crate::op::ReferenceContext;

/// Steps and places of a recurrence.
struct Steps<'a> {
    attributes: RecurrentAttributes,
    batch: usize,
    steps: usize,
    lengths: Option<&'a Reference>,
}

impl<'a> Steps<'a> {
    /// `sequence` is the shape of any sequence; optional inputs begin with the lengths, if there are any.
    fn new(attributes: RecurrentAttributes, sequence: &[usize], optional: &[&'a Reference]) -> Self {
        let (batch, steps) =
            if attributes.time_first { (sequence[1], sequence[0]) } else { (sequence[0], sequence[1]) };
        Steps { attributes, batch, steps, lengths: attributes.lengths.then(|| optional[0]) }
    }

    /// The steps of a row in their order; none if its length is out of range, which stops a real run.
    fn of(&self, row: usize) -> Vec<usize> {
        let length = self.lengths.map_or(self.steps as f64, |l| l.data[row]);
        let length = if length >= 0.0 && length <= self.steps as f64 { length as usize } else { 0 };
        if self.attributes.reverse { (0..length).rev().collect() } else { (0..length).collect() }
    }

    /// Number of a row and step in a sequence.
    fn place(&self, row: usize, step: usize) -> usize {
        if self.attributes.time_first { step * self.batch + row } else { row * self.steps + step }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

pub(super) fn forward(op: &Recurrent, cx: &ReferenceContext<'_>) -> Vec<Reference> {
    let kind = op.attributes.kind;
    let (projected, weight) = (cx.inputs[0], cx.inputs[1]);
    let (hidden, gates) = (weight.shape[1], kind.gates());
    let optional = &cx.inputs[op.first_optional()..];
    let steps = Steps::new(op.attributes, &cx.shapes[0], optional);
    let initial = &optional[usize::from(op.attributes.lengths)..];
    let mut outputs: Vec<Reference> = cx.shapes.iter().map(|shape| Reference::full(shape, 0.0)).collect();
    let state = |which: usize, row: usize| -> Vec<f64> {
        if op.attributes.initial { initial[which].data[row * hidden..][..hidden].to_vec() } else { vec![0.0; hidden] }
    };
    let saved = 1 + kind.states();
    for row in 0..steps.batch {
        let mut h = state(0, row);
        let mut c = if kind.has_cell() { state(1, row) } else { Vec::new() };
        for step in steps.of(row) {
            let place = steps.place(row, step);
            let old = h.clone();
            // U h and its bias, then the projected input, of gate `g` of unit `j`.
            let product = |g: usize, j: usize| {
                let k = g * hidden + j;
                let sum: f64 = weight.data[k * hidden..][..hidden].iter().zip(&old).map(|(w, h)| w * h).sum();
                sum + if op.bias { cx.inputs[2].data[k] } else { 0.0 }
            };
            let input = |g: usize, j: usize| projected.data[(place * gates + g) * hidden + j];
            for j in 0..hidden {
                let values = match kind {
                    RecurrentKind::Tanh => {
                        h[j] = (input(0, j) + product(0, j)).tanh();
                        vec![]
                    }
                    RecurrentKind::Relu => {
                        let x = input(0, j) + product(0, j);
                        h[j] = if x < 0.0 { 0.0 } else { x };
                        vec![]
                    }
                    RecurrentKind::Lstm => {
                        let x = |g| input(g, j) + product(g, j);
                        let (i, f, g, o) = (sigmoid(x(0)), sigmoid(x(1)), x(2).tanh(), sigmoid(x(3)));
                        c[j] = f * c[j] + i * g;
                        h[j] = o * c[j].tanh();
                        vec![i, f, g, o]
                    }
                    RecurrentKind::Gru => {
                        let x = |g| input(g, j) + product(g, j);
                        let (r, z, q) = (sigmoid(x(0)), sigmoid(x(1)), product(2, j));
                        let n = (input(2, j) + r * q).tanh();
                        h[j] = (1.0 - z) * n + z * old[j];
                        vec![r, z, n, q]
                    }
                };
                if op.saves {
                    for (g, value) in values.iter().enumerate() {
                        outputs[saved].data[(place * values.len() + g) * hidden + j] = *value;
                    }
                }
            }
            outputs[0].data[place * hidden..][..hidden].copy_from_slice(&h);
            if op.saves && kind.has_cell() {
                outputs[saved + 1].data[place * hidden..][..hidden].copy_from_slice(&c);
            }
        }
        outputs[1].data[row * hidden..][..hidden].copy_from_slice(&h);
        if kind.has_cell() {
            outputs[2].data[row * hidden..][..hidden].copy_from_slice(&c);
        }
    }
    outputs
}

pub(super) fn backward(op: &RecurrentGrad, cx: &ReferenceContext<'_>) -> Vec<Reference> {
    let kind = op.attributes.kind;
    let (weight, output) = (cx.inputs[0], cx.inputs[1]);
    let (hidden, gates) = (weight.shape[1], kind.gates());
    let optional = &cx.inputs[op.first_optional()..];
    let steps = Steps::new(op.attributes, &cx.shapes[0], optional);
    let initial = &optional[usize::from(op.attributes.lengths)..];
    let mut given = optional[op.attributes.optional()..].iter();
    let upstream = op.given.map(|g| if g { given.next() } else { None });
    let mut outputs: Vec<Reference> = cx.shapes.iter().map(|shape| Reference::full(shape, 0.0)).collect();
    let first_state = outputs.len() - if op.attributes.initial { kind.states() } else { 0 };
    let rows = |array: Option<&&Reference>, row: usize| -> Vec<f64> {
        array.map_or(vec![0.0; hidden], |a| a.data[row * hidden..][..hidden].to_vec())
    };
    for row in 0..steps.batch {
        let order = steps.of(row);
        let (mut dh, mut dc) = (rows(upstream[1], row), rows(upstream[2], row));
        for (position, &step) in order.iter().enumerate().rev() {
            let place = steps.place(row, step);
            let before = position.checked_sub(1).map(|p| steps.place(row, order[p]));
            let old = |array: &Reference, which: usize, j: usize| match before {
                Some(place) => array.data[place * hidden + j],
                None if op.attributes.initial => initial[which].data[row * hidden + j],
                None => 0.0,
            };
            let saved = |g: usize, j: usize| cx.inputs[2].data[(place * 4 + g) * hidden + j];
            // Gradients of the projected inputs and of U h, gate by gate.
            let (mut inner, mut product) = (vec![0.0; gates * hidden], vec![0.0; gates * hidden]);
            let mut carried = vec![0.0; hidden];
            for j in 0..hidden {
                let d = dh[j] + upstream[0].map_or(0.0, |u| u.data[place * hidden + j]);
                match kind {
                    RecurrentKind::Tanh => inner[j] = d * (1.0 - output.data[place * hidden + j].powi(2)),
                    RecurrentKind::Relu => inner[j] = if output.data[place * hidden + j] <= 0.0 { 0.0 } else { d },
                    RecurrentKind::Lstm => {
                        let (i, f, g, o) = (saved(0, j), saved(1, j), saved(2, j), saved(3, j));
                        let t = cx.inputs[3].data[place * hidden + j].tanh();
                        let cell = dc[j] + d * o * (1.0 - t * t);
                        inner[j] = cell * g * i * (1.0 - i);
                        inner[hidden + j] = cell * old(cx.inputs[3], 1, j) * f * (1.0 - f);
                        inner[2 * hidden + j] = cell * i * (1.0 - g * g);
                        inner[3 * hidden + j] = d * t * o * (1.0 - o);
                        dc[j] = cell * f;
                    }
                    RecurrentKind::Gru => {
                        let (r, z, n, q) = (saved(0, j), saved(1, j), saved(2, j), saved(3, j));
                        let dn = d * (1.0 - z) * (1.0 - n * n);
                        inner[j] = dn * q * r * (1.0 - r);
                        inner[hidden + j] = d * (old(output, 0, j) - n) * z * (1.0 - z);
                        inner[2 * hidden + j] = dn;
                        product[2 * hidden + j] = dn * r;
                        carried[j] = d * z;
                    }
                }
            }
            let same = if kind == RecurrentKind::Gru { 2 * hidden } else { gates * hidden };
            product[..same].copy_from_slice(&inner[..same]);
            for j in 0..hidden {
                dh[j] = carried[j];
                for k in 0..gates * hidden {
                    dh[j] += product[k] * weight.data[k * hidden + j];
                    outputs[1].data[k * hidden + j] += product[k] * old(output, 0, j);
                }
            }
            outputs[0].data[place * gates * hidden..][..gates * hidden].copy_from_slice(&inner);
            if kind == RecurrentKind::Gru {
                outputs[2].data[place * hidden..][..hidden].copy_from_slice(&product[2 * hidden..]);
            }
        }
        if op.attributes.initial {
            outputs[first_state].data[row * hidden..][..hidden].copy_from_slice(&dh);
            if kind.has_cell() {
                outputs[first_state + 1].data[row * hidden..][..hidden].copy_from_slice(&dc);
            }
        }
    }
    outputs
}
