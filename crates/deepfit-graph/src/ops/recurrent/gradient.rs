//! Backpropagation through time.

use super::{Axes, Recurrent, RecurrentAttributes, RecurrentKind, check_states, reference, samples, state_type};
use crate::autodiff::Derivative;
use crate::error::Result;
use crate::host::Reference;
use crate::op::{Operation, ReferenceContext};
use crate::ops::floating;
use crate::sample::Sample;
use crate::shape::{Extents, Shape, TensorType};
use crate::trace::Tensor;

/// Gradient of [`Recurrent`].
///
/// Inputs: recurrent weights, `h` of each step; what was saved (gates, cells); lengths and initial state, as far as the
/// attributes say; gradients of `h` of each step, of the last `h` and of the last `c`, as far as `given` says.
///
/// Outputs: gradients of the projected inputs and of the recurrent weights; for a GRU the gradient of `U_n h` in each step
/// `[batch, steps, hidden]`, in which the bias differs from the projected inputs; gradients of the initial state, if there
/// is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecurrentGrad {
    /// Those of the recurrence.
    pub attributes: RecurrentAttributes,
    /// Whether the loss depends on `h` of each step, on the last `h`, on the last `c`.
    pub given: [bool; 3],
}

impl RecurrentGrad {
    /// Position of the first optional input after weights, `h` and what was saved.
    pub(super) fn first_optional(&self) -> usize {
        let kind = self.attributes.kind;
        2 + usize::from(kind.saved() > 0) + usize::from(kind.has_cell())
    }

    /// Axes from the weights and `h` of each step.
    fn axes(&self, weight: &Shape, output: &Shape) -> Result<Axes, String> {
        let hidden = weight.fixed(1).ok_or_else(|| format!("needs recurrent weights, not {weight}"))?;
        let [first, second, width] = *output.dims() else {
            return Err(format!("needs `h` of each step, not {output}"));
        };
        let projected = Shape::from(vec![first, second, (self.attributes.kind.gates() * hidden).into()]);
        if width.as_fixed() != Some(hidden) {
            return Err(format!("`h` of each step {output} does not fit recurrent weights {weight}"));
        }
        self.attributes.axes(&projected, weight)
    }
}

impl Operation for RecurrentGrad {
    fn name(&self) -> String {
        let reverse = if self.attributes.reverse { "_reverse" } else { "" };
        format!("{}{reverse}_grad", self.attributes.kind.name())
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, String> {
        let (first, kind) = (self.first_optional(), self.attributes.kind);
        let upstream = self.given.iter().filter(|&&g| g).count();
        let start = first + self.attributes.optional();
        super::super::arity(inputs, start + upstream)?;
        floating(&inputs[..first])?;
        let axes = self.axes(&inputs[0].shape, &inputs[1].shape)?;
        let sequence = |width| self.attributes.sequence(&axes, width);
        let saved = [sequence(kind.saved()), sequence(1)];
        for (found, wanted) in inputs[2..first].iter().zip(&saved) {
            if *found != wanted {
                return Err(format!("needs what was saved as {wanted}, not {found}"));
            }
        }
        self.attributes.check_optional(&axes, &inputs[first..start])?;
        let mut rest = inputs[start..].iter().copied();
        if self.given[0] && rest.next() != Some(&sequence(1)) {
            return Err(format!("needs the gradient of `h` as {}, not {}", sequence(1), inputs[start]));
        }
        check_states("the gradient of a state", &axes, rest)?;
        let mut outputs = vec![sequence(kind.gates()), inputs[0].clone()];
        if kind == RecurrentKind::Gru {
            outputs.push(sequence(1));
        }
        if self.attributes.initial {
            outputs.extend((0..kind.states()).map(|_| state_type(&axes)));
        }
        Ok(outputs)
    }

    fn reference(&self, cx: &ReferenceContext<'_>) -> Vec<Reference> {
        reference::backward(self, cx)
    }

    fn operations(&self, inputs: &[&TensorType], outputs: &[TensorType], extents: &Extents) -> u64 {
        let hidden = inputs[0].shape.fixed(1).unwrap_or(0);
        (outputs[0].shape.count(extents) * (4 * hidden + 15)) as u64
    }

    fn samples() -> Vec<Sample> {
        samples::backward()
    }
}

/// The derivative of the recurrence.
pub(super) fn derivative(op: &Recurrent, cx: &Derivative<'_>) -> Result<Vec<Option<Tensor>>> {
    let (attributes, kind, tracer) = (op.attributes, op.attributes.kind, cx.tracer());
    let results = 1 + kind.states();
    let saved = usize::from(kind.saved() > 0) + usize::from(kind.has_cell());
    if (results..results + saved).any(|port| cx.upstream_of(port).is_some()) {
        return Err(cx.no_derivative());
    }
    let again;
    let mut inputs = vec![cx.input(1), cx.output(0)];
    if op.saves || saved == 0 {
        inputs.extend((results..results + saved).map(|port| cx.output(port)));
    } else {
        // A network in use saves nothing; whoever wants a gradient of it after all pays for a second run.
        again = tracer.apply(Recurrent { saves: true, ..*op }, &cx.inputs().iter().collect::<Vec<_>>())?;
        inputs.extend(&again[results..]);
    }
    let first = op.first_optional();
    inputs.extend(&cx.inputs()[first..]);
    let given = [0, 1, 2].map(|port| port < results && cx.upstream_of(port).is_some());
    inputs.extend((0..results).filter_map(|port| cx.upstream_of(port)));
    let found = tracer.apply(RecurrentGrad { attributes, given }, &inputs)?;
    let mut gradients = vec![Some(found[0].clone()), Some(found[1].clone())];
    if op.bias {
        let bias = if cx.wants(2) { Some(bias_gradient(kind, cx.input(2).shape(), &found)?) } else { None };
        gradients.push(bias);
    }
    if attributes.lengths {
        gradients.push(None);
    }
    if attributes.initial {
        gradients.extend(found[found.len() - kind.states()..].iter().cloned().map(Some));
    }
    Ok(gradients)
}

/// Sums over all steps. Written as for the bias of the projection, so that what both have in common is computed once.
fn bias_gradient(kind: RecurrentKind, shape: &Shape, found: &[Tensor]) -> Result<Tensor> {
    let all = found[0].sum_to(shape)?;
    if kind != RecurrentKind::Gru {
        return Ok(all);
    }
    let hidden = shape.fixed(0).unwrap_or(0) / 3;
    all.slice(0, 0, 2 * hidden)?.concat(&[&found[2].sum_to(&Shape::from([hidden]))?], 0)
}
