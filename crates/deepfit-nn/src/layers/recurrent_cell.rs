use deepfit_graph::Tensor;
use deepfit_graph::ops::{RecurrentKind, RecurrentState};

use super::recurrence::{Direction, Weights};
use super::recurrent::Nonlinearity;
use crate::error::{Result, require};
use crate::scope::Scope;

/// What [`RnnCell`], [`LstmCell`] and [`GruCell`] have in common.
#[derive(Debug, Clone)]
struct Cell {
    path: String,
    kind: RecurrentKind,
    weights: Weights,
}

impl Cell {
    fn new(scope: &Scope, kind: RecurrentKind, inputs: usize, hidden: usize, bias: bool) -> Result<Self> {
        let place = &scope.place(kind.name());
        require(hidden > 0, place, "hidden", || "is 0, but must be at least 1".to_string())?;
        let weights = Weights::new(scope, "", kind, [inputs, hidden, 0], bias);
        Ok(Cell { path: place.clone(), kind, weights })
    }

    /// One step: a sequence of length 1.
    fn step(&self, x: &Tensor, state: Option<&RecurrentState>) -> Result<RecurrentState> {
        let tracer = x.tracer();
        tracer.in_layer(&self.path, || {
            let [batch, inputs] = *x.shape().dims() else {
                return Err(x.error(self.kind.name(), format!("needs [batch, inputs], not {}", x.shape())).into());
            };
            if let Some(state) = state.filter(|state| state.cell.is_some() != self.kind.has_cell()) {
                let problem =
                    if state.cell.is_some() { "has no cell to be given" } else { "needs a cell in its state" };
                return Err(x.error(self.kind.name(), problem.to_string()).into());
            }
            let run = Direction { kind: self.kind, reverse: false, time_first: false, suffix: "" };
            let found = run.run(&self.weights, &x.reshape(vec![batch, 1.into(), inputs])?, None, state)?;
            Ok(found.last)
        })
    }
}

/// One step of an [`Rnn`](super::Rnn), as PyTorch's `RNNCell`.
#[derive(Debug, Clone)]
pub struct RnnCell(Cell);

impl RnnCell {
    /// A cell with PyTorch's names, shapes (`weight_ih [gates * hidden, inputs]`, `weight_hh [gates * hidden, hidden]`,
    /// `bias_ih` and `bias_hh` `[gates * hidden]`) and first values, uniform within `1 / sqrt(hidden)`. PyTorch's
    /// default is with biases.
    ///
    /// # Errors
    /// If there are no hidden units.
    pub fn new(scope: &Scope, inputs: usize, hidden: usize, nonlinearity: Nonlinearity, bias: bool) -> Result<Self> {
        Ok(RnnCell(Cell::new(scope, nonlinearity.kind(), inputs, hidden, bias)?))
    }

    /// The next hidden state `[batch, hidden]` from inputs `[batch, inputs]` and the last state, else zero.
    ///
    /// # Errors
    /// If a shape does not fit, naming the layer.
    pub fn step(&self, x: &Tensor, hidden: Option<&Tensor>) -> Result<Tensor> {
        let state = hidden.map(|hidden| RecurrentState { hidden: hidden.clone(), cell: None });
        Ok(self.0.step(x, state.as_ref())?.hidden)
    }
}

/// One step of a [`Gru`](super::Gru), as PyTorch's `GRUCell`.
///
/// Its gate values `r, z, n` and the recurrent part of `n` can be [watched](deepfit_graph::Tracer::watch) as `gates`,
/// `[batch, 1, 4 * hidden]`.
#[derive(Debug, Clone)]
pub struct GruCell(Cell);

impl GruCell {
    /// A cell with PyTorch's names, shapes (`weight_ih [gates * hidden, inputs]`, `weight_hh [gates * hidden, hidden]`,
    /// `bias_ih` and `bias_hh` `[gates * hidden]`) and first values, uniform within `1 / sqrt(hidden)`. PyTorch's
    /// default is with biases.
    ///
    /// # Errors
    /// If there are no hidden units.
    pub fn new(scope: &Scope, inputs: usize, hidden: usize, bias: bool) -> Result<Self> {
        Ok(GruCell(Cell::new(scope, RecurrentKind::Gru, inputs, hidden, bias)?))
    }

    /// The next hidden state `[batch, hidden]` from inputs `[batch, inputs]` and the last state, else zero.
    ///
    /// # Errors
    /// If a shape does not fit, naming the layer.
    pub fn step(&self, x: &Tensor, hidden: Option<&Tensor>) -> Result<Tensor> {
        let state = hidden.map(|hidden| RecurrentState { hidden: hidden.clone(), cell: None });
        Ok(self.0.step(x, state.as_ref())?.hidden)
    }
}

/// One step of an [`Lstm`](super::Lstm), as PyTorch's `LSTMCell`.
///
/// Its gate values `i, f, g, o` can be [watched](deepfit_graph::Tracer::watch) as `gates`, `[batch, 1, 4 * hidden]`,
/// and the cell after the step as `cells`, `[batch, 1, hidden]`.
#[derive(Debug, Clone)]
pub struct LstmCell(Cell);

impl LstmCell {
    /// A cell with PyTorch's names, shapes (`weight_ih [gates * hidden, inputs]`, `weight_hh [gates * hidden, hidden]`,
    /// `bias_ih` and `bias_hh` `[gates * hidden]`) and first values, uniform within `1 / sqrt(hidden)`. PyTorch's
    /// default is with biases.
    ///
    /// # Errors
    /// If there are no hidden units.
    pub fn new(scope: &Scope, inputs: usize, hidden: usize, bias: bool) -> Result<Self> {
        Ok(LstmCell(Cell::new(scope, RecurrentKind::Lstm, inputs, hidden, bias)?))
    }

    /// The next state (hidden and cell, each `[batch, hidden]`) from inputs `[batch, inputs]` and the last state, else
    /// zero.
    ///
    /// # Errors
    /// If a shape does not fit or the state has no cell, naming the layer.
    pub fn step(&self, x: &Tensor, state: Option<&RecurrentState>) -> Result<RecurrentState> {
        self.0.step(x, state)
    }
}
