//! One direction of a recurrent layer: its parameters, and its run over a sequence.

use deepfit_graph::ops::{Recurrent, RecurrentAttributes, RecurrentKind, RecurrentState};
use deepfit_graph::{Dim, Mode, Tensor};

use crate::declaration::{Parameter, Role};
use crate::error::{NnError, Result};
use crate::init::Init;
use crate::scope::Scope;

/// Parameters of one direction of one layer, or of a cell.
#[derive(Debug, Clone)]
pub(super) struct Weights {
    pub input: Parameter,
    pub hidden: Parameter,
    /// Of the input and of the hidden state: two, as in PyTorch, although only their sum matters but to a GRU.
    pub biases: Option<(Parameter, Parameter)>,
    /// What makes the hidden state of an LSTM narrower.
    pub projection: Option<Parameter>,
}

impl Weights {
    /// Declares `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh` and, if `narrow` is not 0, `weight_hr` with a suffix,
    /// uniform within `1 / sqrt(hidden)`.
    pub fn new(
        scope: &Scope,
        suffix: &str,
        kind: RecurrentKind,
        [inputs, hidden, narrow]: [usize; 3],
        bias: bool,
    ) -> Self {
        let rows = hidden.saturating_mul(kind.gates());
        let init = Init::Uniform { bound: 1.0 / (hidden.max(1) as f32).sqrt() };
        let declare =
            |name: &str, shape: &[usize], role| scope.parameter(&format!("{name}{suffix}"), shape, init, role);
        let width = if narrow == 0 { hidden } else { narrow };
        Weights {
            input: declare("weight_ih", &[rows, inputs], Role::Weight),
            hidden: declare("weight_hh", &[rows, width], Role::Weight),
            biases: bias
                .then(|| (declare("bias_ih", &[rows], Role::NoDecay), declare("bias_hh", &[rows], Role::NoDecay))),
            projection: (narrow != 0).then(|| declare("weight_hr", &[narrow, hidden], Role::Weight)),
        }
    }

    /// The part of all gates that depends on the inputs alone, for all steps at once.
    pub fn project(&self, x: &Tensor) -> Result<Tensor> {
        let product = x.matmul_with(&self.input.on(x.tracer())?, false, true)?;
        match &self.biases {
            Some((bias, _)) => Ok(product.add(&bias.on(x.tracer())?)?),
            None => Ok(product),
        }
    }
}

/// How a direction runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Direction<'a> {
    pub kind: RecurrentKind,
    pub reverse: bool,
    pub time_first: bool,
    /// What the names of its gates and cells end with.
    pub suffix: &'a str,
}

/// What a direction gives.
pub(super) struct Found {
    pub output: Tensor,
    pub last: RecurrentState,
    gates: Option<Tensor>,
    cells: Option<Tensor>,
}

impl Direction<'_> {
    /// Runs over a sequence `[batch, steps, inputs]` or with the steps first, and offers gates and cells.
    pub fn run(
        &self,
        weights: &Weights,
        x: &Tensor,
        lengths: Option<&Tensor>,
        first: Option<&RecurrentState>,
    ) -> Result<Found> {
        let tracer = x.tracer();
        let bias = weights.biases.as_ref().map(|(_, bias)| bias.on(tracer)).transpose()?;
        let (mut projected, mut weight) = (weights.project(x)?, weights.hidden.on(tracer)?);
        let mut first = first.cloned();
        let narrow = weights.projection.as_ref().map(|p| p.on(tracer)).transpose()?;
        if let Some(narrow) = &narrow {
            // The recurrence runs on the wide state, of which the narrow one is a product: so does its weight.
            if let Some(state) = &mut first {
                let part = state.hidden.matmul_with(&weight, false, true)?;
                projected = projected.add(&self.at_first_step(&projected, &part, lengths)?)?;
                let wide = vec![state.hidden.shape().dims()[0], narrow.shape().dims()[1]];
                state.hidden = tracer.scalar(0.0).broadcast_to(wide)?;
            }
            weight = weight.matmul(narrow)?;
        }
        let saves = tracer.mode() == Mode::Train;
        let compute = |saves| self.apply(&projected, &weight, bias.as_ref(), lengths, first.as_ref(), saves);
        let mut found = compute(saves)?;
        if self.kind.has_gates() {
            // A network in use keeps neither; whoever watches them pays for a second run.
            let saved = |pick: fn(Found) -> Option<Tensor>, kept: Option<Tensor>| -> Result<Tensor> {
                let values = if saves { kept } else { pick(compute(true)?) };
                values.ok_or_else(|| self.lacks(&projected, "what was saved"))
            };
            let (gates, cells) = (found.gates.take(), found.cells.take());
            tracer.offer(&format!("gates{}", self.suffix), || saved(|found| found.gates, gates))?;
            if self.kind.has_cell() {
                tracer.offer(&format!("cells{}", self.suffix), || saved(|found| found.cells, cells))?;
            }
        }
        if let Some(narrow) = &narrow {
            found.output = found.output.matmul_with(narrow, false, true)?;
            found.last.hidden = found.last.hidden.matmul_with(narrow, false, true)?;
        }
        Ok(found)
    }

    /// `part` `[batch, width]` at the step with which each row begins, and zeros at the others: it broadcasts to the
    /// sequence.
    fn at_first_step(&self, sequence: &Tensor, part: &Tensor, lengths: Option<&Tensor>) -> Result<Tensor> {
        let (tracer, dims) = (sequence.tracer(), sequence.shape().dims());
        let one = Dim::fixed(1);
        let (batch, steps) = if self.time_first { (dims[1], dims[0]) } else { (dims[0], dims[1]) };
        let axes = |batch, steps, width| if self.time_first { [steps, batch, width] } else { [batch, steps, width] };
        let places = tracer.arange(steps)?.to_f32()?.reshape(axes(one, steps, one).to_vec())?;
        let begin = match (self.reverse, lengths) {
            (false, _) => tracer.scalar(0.0),
            (true, None) => sequence.length_of(steps)?.add_scalar(-1.0)?,
            (true, Some(lengths)) => lengths.to_f32()?.add_scalar(-1.0)?.reshape(axes(batch, one, one).to_vec())?,
        };
        Ok(places.equal(&begin)?.mul(&part.reshape(axes(batch, one, dims[2]).to_vec())?)?)
    }

    fn apply(
        &self,
        projected: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        lengths: Option<&Tensor>,
        first: Option<&RecurrentState>,
        saves: bool,
    ) -> Result<Found> {
        let Direction { kind, reverse, time_first, .. } = *self;
        let (has_lengths, initial) = (lengths.is_some(), first.is_some());
        let attributes = RecurrentAttributes { kind, reverse, time_first, lengths: has_lengths, initial };
        let mut inputs = vec![projected, weight];
        inputs.extend(bias);
        inputs.extend(lengths);
        if let Some(state) = first {
            inputs.push(&state.hidden);
            inputs.extend(&state.cell);
        }
        let op = Recurrent { attributes, bias: bias.is_some(), saves };
        let mut outputs = projected.tracer().apply(op, &inputs)?.into_iter();
        let mut next = || outputs.next().ok_or_else(|| self.lacks(projected, "an output"));
        let (output, hidden) = (next()?, next()?);
        let cell = if kind.has_cell() { Some(next()?) } else { None };
        Ok(Found { output, last: RecurrentState { hidden, cell }, gates: outputs.next(), cells: outputs.next() })
    }

    fn lacks(&self, x: &Tensor, what: &str) -> NnError {
        x.error(self.kind.name(), format!("lacks {what}")).into()
    }
}
