//! Sequences worth testing.

use super::{Recurrent, RecurrentAttributes, RecurrentGrad, RecurrentKind};
use crate::host::HostTensor;
use crate::sample::{Sample, distinct, uniform};

const KINDS: [RecurrentKind; 4] = [RecurrentKind::Tanh, RecurrentKind::Relu, RecurrentKind::Lstm, RecurrentKind::Gru];

/// Which of a recurrence's possibilities a sample uses.
#[derive(Clone, Copy, Default)]
struct Choice {
    reverse: bool,
    time_first: bool,
    bias: bool,
    lengths: bool,
    initial: bool,
    saves: bool,
}

impl Choice {
    fn attributes(self, kind: RecurrentKind) -> RecurrentAttributes {
        let Choice { reverse, time_first, lengths, initial, .. } = self;
        RecurrentAttributes { kind, reverse, time_first, lengths, initial }
    }
}

fn sequence(choice: Choice, (batch, steps): (usize, usize), width: usize, seed: u64) -> HostTensor {
    let shape = if choice.time_first { [steps, batch, width] } else { [batch, steps, width] };
    uniform(&shape, -1.0, 1.0, seed)
}

/// Lengths from 1 to all steps, the longest not first.
fn lengths(batch: usize, steps: usize) -> HostTensor {
    let values = (0..batch).map(|row| ((row * 5 + 1) % steps.max(1) + 1) as i32).collect();
    HostTensor::i32(&[batch], values)
}

fn optional(choice: Choice, kind: RecurrentKind, (batch, steps): (usize, usize), hidden: usize) -> Vec<HostTensor> {
    let mut inputs = Vec::new();
    if choice.lengths {
        inputs.push(lengths(batch, steps));
    }
    if choice.initial {
        inputs.extend((0..kind.states()).map(|i| uniform(&[batch, hidden], -1.0, 1.0, 20 + i as u64)));
    }
    inputs
}

/// Recurrent weights small enough that no gate saturates over many units.
fn weights(kind: RecurrentKind, hidden: usize) -> HostTensor {
    let bound = 1.2 / (hidden as f32).sqrt();
    uniform(&[kind.gates() * hidden, hidden], -bound, bound, 2)
}

fn with_batch(mut sample: Sample, choice: Choice, whole: &[usize]) -> Sample {
    // Only a leading batch axis can be marked, and weights and biases have none.
    if !choice.time_first {
        sample.batched = (0..sample.inputs.len()).map(|i| !whole.contains(&i)).collect();
    }
    sample.tolerance(1e-5).non_finite_may_spread()
}

/// Sizes as ((batch, steps), hidden): around tiles of rows and vectors of units.
const SIZES: [((usize, usize), usize); 9] = [
    ((9, 4), 17),
    ((1, 6), 33),
    ((13, 3), 70),
    ((25, 2), 8),
    ((3, 2), 300),
    ((0, 3), 4),
    ((17, 3), 1),
    ((5, 1), 37),
    ((9, 1), 16),
];

pub(super) fn forward() -> Vec<Sample> {
    let all = Choice { reverse: true, time_first: false, bias: true, lengths: true, initial: true, saves: true };
    let mut samples = Vec::new();
    let mut add = |kind: RecurrentKind, choice: Choice, sizes: (usize, usize), hidden: usize, gradient: bool| {
        let width = kind.gates() * hidden;
        // A rectifier's kink must be far from what differences look at.
        let mut inputs = vec![sequence(choice, sizes, width, 1), weights(kind, hidden)];
        if kind == RecurrentKind::Relu && gradient {
            inputs[0] = distinct(inputs[0].shape(), 0.1, 3);
        }
        if choice.bias {
            inputs.push(uniform(&[width], -0.5, 0.5, 4));
        }
        inputs.extend(optional(choice, kind, sizes, hidden));
        let op = Recurrent { attributes: choice.attributes(kind), bias: choice.bias, saves: choice.saves };
        let whole: &[usize] = if choice.bias { &[1, 2] } else { &[1] };
        let sample = with_batch(Sample::new(op, inputs), choice, whole);
        samples.push(if gradient { sample } else { sample.without_gradient() });
    };
    for kind in KINDS {
        add(kind, Choice::default(), (2, 3), 2, true);
        add(kind, all, (3, 3), 2, true);
        add(kind, Choice { time_first: true, bias: true, initial: true, ..Choice::default() }, (2, 2), 3, true);
        add(kind, Choice { reverse: false, saves: false, ..all }, (3, 4), 2, true);
        add(kind, Choice { bias: true, saves: true, ..Choice::default() }, (2, 1), 3, true);
        add(kind, Choice { bias: true, ..Choice::default() }, (2, 0), 3, false);
        for (i, (sizes, hidden)) in SIZES.into_iter().enumerate() {
            let even = i % 2 == 0;
            add(kind, Choice { reverse: even, saves: even, ..all }, sizes, hidden, false);
            add(kind, Choice { time_first: true, lengths: even, saves: !even, ..all }, sizes, hidden, false);
        }
    }
    samples
}

pub(super) fn backward() -> Vec<Sample> {
    let all = Choice { reverse: true, time_first: false, bias: true, lengths: true, initial: true, saves: true };
    let mut samples = Vec::new();
    let mut add = |kind: RecurrentKind, choice: Choice, sizes: (usize, usize), hidden: usize, given: [bool; 3]| {
        let given = [given[0], given[1], given[2] && kind.has_cell()];
        let op = RecurrentGrad { attributes: choice.attributes(kind), given };
        let mut inputs = vec![weights(kind, hidden), sequence(choice, sizes, hidden, 1)];
        if kind.saved() > 0 {
            inputs.push(sequence(choice, sizes, kind.saved() * hidden, 3));
        }
        if kind.has_cell() {
            inputs.push(sequence(choice, sizes, hidden, 4));
        }
        inputs.extend(optional(choice, kind, sizes, hidden));
        if given[0] {
            inputs.push(sequence(choice, sizes, hidden, 5));
        }
        inputs.extend((1..3).filter(|&i| given[i]).map(|i| uniform(&[sizes.0, hidden], -1.0, 1.0, 6 + i as u64)));
        samples.push(with_batch(Sample::new(op, inputs).without_gradient(), choice, &[0]));
    };
    for kind in KINDS {
        add(kind, Choice::default(), (2, 3), 2, [true, false, false]);
        add(kind, all, (3, 3), 5, [false, true, true]);
        add(kind, Choice { time_first: true, ..Choice::default() }, (3, 2), 4, [true, true, false]);
        add(kind, Choice { lengths: false, ..all }, (2, 0), 3, [true, true, true]);
        for (i, (sizes, hidden)) in SIZES.into_iter().enumerate() {
            let even = i % 2 == 0;
            add(kind, Choice { reverse: even, ..all }, sizes, hidden, [true, true, even]);
            add(kind, Choice { time_first: true, lengths: even, ..all }, sizes, hidden, [true, even, true]);
        }
    }
    samples
}
