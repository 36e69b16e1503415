//! Recurrent layers in one direction: a whole sequence is one operation.
//!
//! The products with the inputs do not depend on the recurrence; they are one ordinary product over all steps, made
//! before, and this operation is given the result. What remains is the recurrence itself.

mod gradient;
mod reference;
mod samples;
mod unrolled;

use super::floating;
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::sample::Sample;
use crate::shape::{DType, Dim, Extents, Shape, TensorType};
use crate::trace::Tensor;

pub use gradient::RecurrentGrad;

/// What one step computes from the projected input `a`, the state `h` and the recurrent weights `U`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecurrentKind {
    /// `h' = tanh(a + U h)` (Elman, 1990).
    Tanh,
    /// `h' = max(a + U h, 0)`.
    Relu,
    /// Long short-term memory (Hochreiter and Schmidhuber, 1997; forget gate: Gers et al., 2000): gates `i, f, g, o`,
    /// `c' = f c + i g`, `h' = o tanh(c')`.
    Lstm,
    /// Gated recurrent unit (Cho et al., 2014) with the reset gate after the product: gates `r, z, n`,
    /// `n = tanh(a_n + r (U_n h))`, `h' = (1 - z) n + z h`.
    Gru,
}

impl RecurrentKind {
    /// Rows of the weights for each unit.
    pub fn gates(self) -> usize {
        match self {
            RecurrentKind::Tanh | RecurrentKind::Relu => 1,
            RecurrentKind::Lstm => 4,
            RecurrentKind::Gru => 3,
        }
    }

    /// Whether there are gates beside the hidden state.
    pub fn has_gates(self) -> bool {
        self.saved() > 0
    }

    /// Gate values for each unit and step that the backward pass needs.
    fn saved(self) -> usize {
        match self {
            RecurrentKind::Tanh | RecurrentKind::Relu => 0,
            // i, f, g, o; or r, z, n and U_n h.
            RecurrentKind::Lstm | RecurrentKind::Gru => 4,
        }
    }

    /// Whether there is a cell beside the hidden state.
    pub fn has_cell(self) -> bool {
        self == RecurrentKind::Lstm
    }

    /// Arrays that make a state: `h`, or `h` and `c`.
    fn states(self) -> usize {
        1 + usize::from(self.has_cell())
    }

    /// The name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            RecurrentKind::Tanh => "rnn_tanh",
            RecurrentKind::Relu => "rnn_relu",
            RecurrentKind::Lstm => "lstm",
            RecurrentKind::Gru => "gru",
        }
    }
}

/// What the recurrence and its gradient have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecurrentAttributes {
    /// What a step computes.
    pub kind: RecurrentKind,
    /// From the last step to the first.
    pub reverse: bool,
    /// Sequences are `[steps, batch, ...]`, not `[batch, steps, ...]`.
    pub time_first: bool,
    /// Whether there is an input with each row's number of steps.
    pub lengths: bool,
    /// Whether the state before the first step is an input; else it is zero.
    pub initial: bool,
}

/// Axis lengths of a recurrence.
struct Axes {
    batch: Dim,
    steps: Dim,
    hidden: usize,
}

impl RecurrentAttributes {
    /// Reads the axes from a sequence of `gates` values a unit and step, and from the recurrent weights.
    fn axes(&self, sequence: &Shape, weight: &Shape) -> Result<Axes, String> {
        let gates = self.kind.gates();
        let hidden = match weight.dims() {
            [rows, hidden] if hidden.as_fixed().is_some_and(|h| rows.as_fixed() == Some(gates * h)) => {
                hidden.as_fixed()
            }
            _ => None,
        };
        let hidden = hidden.ok_or_else(|| format!("needs recurrent weights [{gates}*hidden, hidden], not {weight}"))?;
        match *sequence.dims() {
            [first, second, width] if width.as_fixed() == Some(gates * hidden) => {
                let (batch, steps) = if self.time_first { (second, first) } else { (first, second) };
                Ok(Axes { batch, steps, hidden })
            }
            _ => Err(format!(
                "needs projected inputs {} for recurrent weights {weight}, not {sequence}",
                self.sequence_of(&"batch", &"steps", gates * hidden)
            )),
        }
    }

    fn sequence_of(&self, batch: &dyn std::fmt::Display, steps: &dyn std::fmt::Display, width: usize) -> String {
        let (first, second) = if self.time_first { (steps, batch) } else { (batch, steps) };
        format!("[{first}, {second}, {width}]")
    }

    /// Type of a sequence of `width` values a unit.
    fn sequence(&self, axes: &Axes, width: usize) -> TensorType {
        let (first, second) = if self.time_first { (axes.steps, axes.batch) } else { (axes.batch, axes.steps) };
        TensorType::f32(Shape::from(vec![first, second, Dim::fixed(width * axes.hidden)]))
    }

    /// Number of optional inputs: lengths and the initial state.
    fn optional(&self) -> usize {
        usize::from(self.lengths) + if self.initial { self.kind.states() } else { 0 }
    }

    /// Checks lengths and initial state, which come one after the other.
    fn check_optional(&self, axes: &Axes, inputs: &[&TensorType]) -> Result<(), String> {
        let mut rest = inputs.iter();
        if self.lengths {
            let wanted = TensorType { shape: vec![axes.batch].into(), dtype: DType::I32 };
            if rest.next() != Some(&&wanted) {
                return Err(format!("needs lengths {wanted}, not {}", inputs[0]));
            }
        }
        check_states("an initial state", axes, rest.copied())
    }
}

fn state_type(axes: &Axes) -> TensorType {
    TensorType::f32(Shape::from(vec![axes.batch, Dim::fixed(axes.hidden)]))
}

fn check_states<'a>(what: &str, axes: &Axes, states: impl Iterator<Item = &'a TensorType>) -> Result<(), String> {
    let wanted = state_type(axes);
    for state in states {
        if *state != wanted {
            return Err(format!("needs {what} {wanted}, not {state}"));
        }
    }
    Ok(())
}

/// A recurrent layer in one direction over a whole sequence.
///
/// Inputs: projected inputs `[batch, steps, gates*hidden]` (or steps first), recurrent weights `[gates*hidden, hidden]`;
/// then as far as there are any: recurrent bias `[gates*hidden]`, lengths i32 `[batch]`, initial `h` and `c`
/// `[batch, hidden]`.
///
/// Outputs: `h` of each step `[batch, steps, hidden]`; the last `h`, and `c` of an LSTM, `[batch, hidden]`; if it saves,
/// the gates of an LSTM (`i, f, g, o`) or a GRU (`r, z, n`, and `U_n h` with its bias) `[batch, steps, 4*hidden]`, and the
/// cells of an LSTM `[batch, steps, hidden]`, through which no gradient flows.
///
/// A row takes as many steps as its length says: after them `h` and what is saved are zero, its last state is that of
/// its last step, and in reverse that is the step where it begins. A length outside of `1..=steps` stops the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Recurrent {
    /// What it computes.
    pub attributes: RecurrentAttributes,
    /// Whether there is a recurrent bias.
    pub bias: bool,
    /// Whether gates and cells are outputs.
    pub saves: bool,
}

impl Recurrent {
    /// Position of the first optional input after the bias.
    fn first_optional(&self) -> usize {
        2 + usize::from(self.bias)
    }
}

impl Operation for Recurrent {
    fn name(&self) -> String {
        let reverse = if self.attributes.reverse { "_reverse" } else { "" };
        format!("{}{reverse}", self.attributes.kind.name())
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        let first = self.first_optional();
        super::arity(inputs, first + self.attributes.optional())?;
        floating(&inputs[..first])?;
        let axes = self.attributes.axes(&inputs[0].shape, &inputs[1].shape)?;
        let kind = self.attributes.kind;
        let bias = Shape::from([kind.gates() * axes.hidden]);
        if self.bias && inputs[2].shape != bias {
            return Err(format!("needs a recurrent bias {bias}, not {}", inputs[2].shape));
        }
        self.attributes.check_optional(&axes, &inputs[first..])?;
        let mut outputs = vec![self.attributes.sequence(&axes, 1)];
        outputs.extend((0..kind.states()).map(|_| state_type(&axes)));
        if self.saves && kind.saved() > 0 {
            outputs.push(self.attributes.sequence(&axes, kind.saved()));
        }
        if self.saves && kind.has_cell() {
            outputs.push(self.attributes.sequence(&axes, 1));
        }
        Ok(outputs)
    }

    fn derivative(&self, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
        gradient::derivative(self, cx)
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        reference::forward(self, cx)
    }

    fn decompose(&self, inputs: &[Tensor]) -> Result<Option<Vec<Tensor>>> {
        unrolled::unroll(self, inputs)
    }

    fn operations(&self, inputs: &[&TensorType], _: &[TensorType], extents: &Extents) -> u64 {
        let hidden = inputs[1].shape.fixed(1).unwrap_or(0);
        (inputs[0].shape.count(extents) * (2 * hidden + 10)) as u64
    }

    fn samples() -> Vec<Sample> {
        samples::forward()
    }
}

/// The state of a recurrence: one row for each sequence.
#[derive(Debug, Clone)]
pub struct RecurrentState {
    /// `h`, `[batch, hidden]`.
    pub hidden: Tensor,
    /// `c` of an LSTM, `[batch, hidden]`.
    pub cell: Option<Tensor>,
}

impl crate::watch::LayerResult for RecurrentState {
    fn output(&self) -> Option<&Tensor> {
        Some(&self.hidden)
    }
}

/// What a recurrence gives.
#[derive(Debug, Clone)]
pub struct RecurrentOutputs {
    /// `h` of each step, `[batch, steps, hidden]` or steps first.
    pub output: Tensor,
    /// The state after each row's last step.
    pub last: RecurrentState,
    /// Gate values of each step, where they were asked for and the kind has gates: see [`Recurrent`].
    pub gates: Option<Tensor>,
}

impl crate::watch::LayerResult for RecurrentOutputs {
    fn output(&self) -> Option<&Tensor> {
        Some(&self.output)
    }
}

impl Tensor {
    /// Runs a recurrence over these projected inputs, `[batch, steps, gates*hidden]` or steps first.
    ///
    /// `reverse` and `time_first` are those of [`RecurrentAttributes`]; `saves` keeps what the gradient needs, which
    /// otherwise is computed a second time when it is asked for.
    ///
    /// # Errors
    /// If the shapes do not fit, or the state lacks a cell or has one too many.
    pub fn recurrent(
        &self,
        kind: RecurrentKind,
        (reverse, time_first, saves): (bool, bool, bool),
        weight: &Tensor,
        bias: Option<&Tensor>,
        lengths: Option<&Tensor>,
        initial: Option<&RecurrentState>,
    ) -> Result<RecurrentOutputs> {
        let attributes =
            RecurrentAttributes { kind, reverse, time_first, lengths: lengths.is_some(), initial: initial.is_some() };
        let op = Recurrent { attributes, bias: bias.is_some(), saves };
        let mut inputs = vec![self, weight];
        inputs.extend(bias);
        inputs.extend(lengths);
        if let Some(state) = initial {
            inputs.push(&state.hidden);
            inputs.extend(&state.cell);
        }
        let mut outputs = self.tracer().apply(op, &inputs)?.into_iter();
        let missing = || self.error(kind.name(), "lacks an output".to_string());
        let output = outputs.next().ok_or_else(missing)?;
        let hidden = outputs.next().ok_or_else(missing)?;
        let cell = if kind.has_cell() { outputs.next() } else { None };
        Ok(RecurrentOutputs { output, last: RecurrentState { hidden, cell }, gates: outputs.next() })
    }
}
