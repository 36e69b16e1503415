use deepfit_graph::ops::{RecurrentKind, RecurrentState};
use deepfit_graph::{LayerResult, Mode, Tensor};

use super::recurrence::{Direction, Weights};
use crate::error::{Result, require};
use crate::module::Module;
use crate::scope::Scope;

/// Settings of recurrent layers; the defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecurrentConfig {
    /// Layers one above the other, each reading the output of the one below; 1 by default.
    pub layers: usize,
    /// Whether there are biases; true by default.
    pub bias: bool,
    /// Whether sequences are `[batch, steps, ...]`; by default they are `[steps, batch, ...]`.
    pub batch_first: bool,
    /// Probability, 0 to 1, that an element of the output of a layer becomes zero before the next layer reads it, in
    /// training; 0 by default.
    pub dropout: f32,
    /// Whether each layer also reads the sequence from its end; its output then has both directions, one after the other.
    pub bidirectional: bool,
    /// Width to which each hidden state of an [`Lstm`] is projected, less than the hidden units (Sak, Senior and
    /// Beaufays, 2014); 0, the default, for no projection. Outputs and hidden states then have this width, cells that of
    /// the units. The recurrence itself runs on the wide state: a projection saves parameters, not time.
    pub proj_size: usize,
}

impl Default for RecurrentConfig {
    fn default() -> Self {
        RecurrentConfig { layers: 1, bias: true, batch_first: false, dropout: 0.0, bidirectional: false, proj_size: 0 }
    }
}

/// What a recurrent layer may be given beside its input; nothing by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sequences<'a> {
    /// Number of steps of each row, i32 `[batch]`, each from 1 to all steps: another stops the run with an error. After
    /// a row's steps its output is zero; its last state is that of its last step, where the reverse direction begins.
    pub lengths: Option<&'a Tensor>,
    /// First hidden states `[layers * directions, batch, hidden]`, or of the width of a projection; else zero.
    pub hidden: Option<&'a Tensor>,
    /// First cells of an LSTM `[layers * directions, batch, hidden]`, given together with the hidden states; else zero.
    pub cell: Option<&'a Tensor>,
}

/// What a recurrent layer gives.
///
/// The gate values of an LSTM or a GRU can be [watched](deepfit_graph::Tracer::watch) by the names `gates_l0`,
/// `gates_l0_reverse` and so on: shaped as the output with `4 * hidden` values, `i, f, g, o` of an LSTM; `r, z, n` and
/// the recurrent part of `n` before it is reset of a GRU. The output of an RNN is its gate. The cells of an LSTM after
/// each step can be watched as `cells_l0` and so on, with `hidden` values.
#[derive(Debug, Clone)]
pub struct Recurrence {
    /// Output of the last layer at each step, `[steps, batch, directions * hidden]` or with the batch first.
    pub output: Tensor,
    /// Last hidden states, `[layers * directions, batch, hidden]`, or of the width of a projection.
    pub hidden: Tensor,
    /// Last cells of an LSTM, `[layers * directions, batch, hidden]`.
    pub cell: Option<Tensor>,
}

impl LayerResult for Recurrence {
    fn output(&self) -> Option<&Tensor> {
        Some(&self.output)
    }
}

/// What [`Rnn`], [`Lstm`] and [`Gru`] have in common.
#[derive(Debug, Clone)]
struct Stack {
    path: String,
    kind: RecurrentKind,
    hidden: usize,
    config: RecurrentConfig,
    /// Layer by layer, in each the forward and perhaps the reverse direction.
    layers: Vec<Vec<Weights>>,
}

impl Stack {
    fn new(scope: &Scope, kind: RecurrentKind, inputs: usize, hidden: usize, config: RecurrentConfig) -> Result<Self> {
        let place = &scope.place(kind.name());
        require(config.layers > 0, place, "layers", || "is 0, but must be at least 1".to_string())?;
        require(hidden > 0, place, "hidden", || "is 0, but must be at least 1".to_string())?;
        require((0.0..=1.0).contains(&config.dropout), place, "dropout", || {
            format!("is {}, but must be a probability, 0 to 1", config.dropout)
        })?;
        let proj_size = config.proj_size;
        require(proj_size == 0 || kind.has_cell(), place, "proj_size", || {
            format!("is {proj_size}, but a projection belongs to an LSTM, not to {}", kind.name())
        })?;
        require(proj_size == 0 || proj_size < hidden, place, "proj_size", || {
            format!("is {proj_size}, but must be less than the {hidden} hidden units")
        })?;
        let width = if proj_size == 0 { hidden } else { proj_size };
        let suffixes: &[&str] = if config.bidirectional { &["", "_reverse"] } else { &[""] };
        let layer = |index: usize| {
            let inputs = if index == 0 { inputs } else { width.saturating_mul(suffixes.len()) };
            let sizes = [inputs, hidden, proj_size];
            let direction =
                |suffix: &&str| Weights::new(scope, &format!("_l{index}{suffix}"), kind, sizes, config.bias);
            suffixes.iter().map(direction).collect()
        };
        let layers = (0..config.layers).map(layer).collect();
        Ok(Stack { path: place.clone(), kind, hidden, config, layers })
    }

    fn run(&self, x: &Tensor, given: &Sequences<'_>) -> Result<Recurrence> {
        x.tracer().in_layer(&self.path, || self.run_here(x, given))
    }

    fn run_here(&self, x: &Tensor, given: &Sequences<'_>) -> Result<Recurrence> {
        let wrong = |problem: String| Err(x.error(self.kind.name(), problem).into());
        if x.shape().rank() != 3 {
            let axes = if self.config.batch_first { "[batch, steps, inputs]" } else { "[steps, batch, inputs]" };
            return wrong(format!("needs a sequence {axes}, not {}", x.shape()));
        }
        if x.shape().fixed(usize::from(self.config.batch_first)) == Some(0) {
            return wrong(format!("needs at least one step, but {} has none", x.shape()));
        }
        match (given.hidden, given.cell) {
            (_, Some(_)) if !self.kind.has_cell() => {
                return wrong("has no cell that a first one could be given".into());
            }
            (Some(_), None) if self.kind.has_cell() => {
                return wrong("is given first hidden states without cells".into());
            }
            (None, Some(_)) => return wrong("is given first cells without hidden states".into()),
            _ => {}
        }
        let training = x.tracer().mode() == Mode::Train;
        let (mut sequence, mut states) = (x.clone(), Vec::new());
        for (index, layer) in self.layers.iter().enumerate() {
            if index > 0 && training && self.config.dropout > 0.0 {
                sequence = sequence.dropout(self.config.dropout)?;
            }
            let mut outputs = Vec::new();
            for (direction, weights) in layer.iter().enumerate() {
                let reverse = direction == 1;
                let suffix = format!("_l{index}{}", if reverse { "_reverse" } else { "" });
                let time_first = !self.config.batch_first;
                let run = Direction { kind: self.kind, reverse, time_first, suffix: &suffix };
                let first = self.first_state(given, states.len())?;
                let found = run.run(weights, &sequence, given.lengths, first.as_ref())?;
                outputs.push(found.output);
                states.push(found.last);
            }
            sequence = joined(&outputs.iter().collect::<Vec<_>>(), 2)?;
        }
        let hidden = self.stacked(states.iter().map(|state| &state.hidden))?;
        let cells: Vec<&Tensor> = states.iter().filter_map(|state| state.cell.as_ref()).collect();
        let cell = if cells.is_empty() { None } else { Some(self.stacked(cells.into_iter())?) };
        Ok(Recurrence { output: sequence, hidden, cell })
    }

    /// The given first state of one direction of one layer.
    fn first_state(&self, given: &Sequences<'_>, index: usize) -> Result<Option<RecurrentState>> {
        let count = self.layers.iter().map(Vec::len).sum::<usize>();
        let one = |all: &Tensor, width: usize| -> Result<Tensor> {
            match *all.shape().dims() {
                [first, batch, last] if first.as_fixed() == Some(count) && last.as_fixed() == Some(width) => {
                    Ok(all.slice(0, index, 1)?.reshape(vec![batch, last])?)
                }
                _ => {
                    let problem = format!("needs first states [{count}, batch, {width}], not {}", all.shape());
                    Err(all.error(self.kind.name(), problem).into())
                }
            }
        };
        let Some(hidden) = given.hidden else { return Ok(None) };
        let narrow = if self.config.proj_size == 0 { self.hidden } else { self.config.proj_size };
        let cell = given.cell.map(|cell| one(cell, self.hidden)).transpose()?;
        Ok(Some(RecurrentState { hidden: one(hidden, narrow)?, cell }))
    }

    /// Last states `[batch, hidden]` as one array.
    fn stacked<'a>(&self, states: impl Iterator<Item = &'a Tensor>) -> Result<Tensor> {
        let with_axis = |state: &Tensor| -> Result<Tensor> {
            let mut dims = state.shape().dims().to_vec();
            dims.insert(0, 1.into());
            Ok(state.reshape(dims)?)
        };
        let states = states.map(with_axis).collect::<Result<Vec<_>>>()?;
        joined(&states.iter().collect::<Vec<_>>(), 0)
    }
}

fn joined(parts: &[&Tensor], axis: usize) -> Result<Tensor> {
    match parts {
        [one] => Ok((*one).clone()),
        [first, rest @ ..] => Ok(first.concat(rest, axis)?),
        [] => unreachable!("a recurrent layer has at least one layer and direction"),
    }
}

/// What a recurrent layer shows beside its constructor.
macro_rules! is_recurrent {
    ($layer:ident) => {
        impl $layer {
            /// Runs the layer over sequences `[steps, batch, inputs]`, or `[batch, steps, inputs]` if the batch is first.
            ///
            /// # Errors
            /// If a shape does not fit, naming the layer, or a cell is given without a hidden state or the reverse.
            pub fn run(&self, x: &Tensor, given: &Sequences<'_>) -> Result<Recurrence> {
                self.0.run(x, given)
            }
        }

        impl Module for $layer {
            /// The output at each step, of sequences that begin with a state of zero and all have their full length.
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                Ok(self.run(x, &Sequences::default())?.output)
            }
        }
    };
}

/// The function of an [`Rnn`] or an [`RnnCell`](super::RnnCell).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nonlinearity {
    /// Hyperbolic tangent.
    #[default]
    Tanh,
    /// `max(x, 0)`
    Relu,
}

impl Nonlinearity {
    pub(super) fn kind(self) -> RecurrentKind {
        match self {
            Nonlinearity::Tanh => RecurrentKind::Tanh,
            Nonlinearity::Relu => RecurrentKind::Relu,
        }
    }
}

/// A simple recurrent network (Elman, 1990), as PyTorch's `RNN`: `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`.
/// `[steps, batch, inputs]` becomes `[steps, batch, directions * hidden]`, or with the batch first.
#[derive(Debug, Clone)]
pub struct Rnn(Stack);

impl Rnn {
    /// Layers with PyTorch's names, shapes (`weight_ih_l0 [gates * hidden, inputs]`,
    /// `weight_hh_l0 [gates * hidden, hidden]`, `bias_ih_l0` and `bias_hh_l0` `[gates * hidden]`, with `_reverse` for
    /// the other direction) and first values.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(
        scope: &Scope,
        inputs: usize,
        hidden: usize,
        nonlinearity: Nonlinearity,
        config: RecurrentConfig,
    ) -> Result<Self> {
        Ok(Rnn(Stack::new(scope, nonlinearity.kind(), inputs, hidden, config)?))
    }
}

is_recurrent!(Rnn);

/// Long short-term memory (Hochreiter and Schmidhuber, 1997), as PyTorch's `LSTM`: gates in the order `i, f, g, o`.
/// `[steps, batch, inputs]` becomes `[steps, batch, directions * hidden]`, or with the batch first.
#[derive(Debug, Clone)]
pub struct Lstm(Stack);

impl Lstm {
    /// Layers with PyTorch's names, shapes (`weight_ih_l0 [gates * hidden, inputs]`,
    /// `weight_hh_l0 [gates * hidden, hidden]`, `bias_ih_l0` and `bias_hh_l0` `[gates * hidden]`, with `_reverse` for
    /// the other direction) and first values. With a projection, `weight_hh_l0` is `[gates * hidden, proj_size]` and
    /// there is `weight_hr_l0 [proj_size, hidden]`.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(scope: &Scope, inputs: usize, hidden: usize, config: RecurrentConfig) -> Result<Self> {
        Ok(Lstm(Stack::new(scope, RecurrentKind::Lstm, inputs, hidden, config)?))
    }
}

is_recurrent!(Lstm);

/// Gated recurrent units (Cho et al., 2014), as PyTorch's `GRU`: gates in the order `r, z, n`, and the reset gate applied
/// after the product, to its bias too. `[steps, batch, inputs]` becomes `[steps, batch, directions * hidden]`, or with
/// the batch first.
#[derive(Debug, Clone)]
pub struct Gru(Stack);

impl Gru {
    /// Layers with PyTorch's names, shapes (`weight_ih_l0 [gates * hidden, inputs]`,
    /// `weight_hh_l0 [gates * hidden, hidden]`, `bias_ih_l0` and `bias_hh_l0` `[gates * hidden]`, with `_reverse` for
    /// the other direction) and first values.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(scope: &Scope, inputs: usize, hidden: usize, config: RecurrentConfig) -> Result<Self> {
        Ok(Gru(Stack::new(scope, RecurrentKind::Gru, inputs, hidden, config)?))
    }
}

is_recurrent!(Gru);
