//! Recurrent networks on tokens: plain (Elman, 1990), LSTM (Hochreiter and Schmidhuber, 1997) or GRU (Cho et al., 2014).

use deepfit_graph::Tensor;
use deepfit_nn::layers::{Dropout, Embedding, Gru, Linear, Lstm, Nonlinearity, RecurrentConfig, Rnn, Sequences};
use deepfit_nn::{Module, Scope};
use serde::{Deserialize, Serialize};

use super::context::Context;
use super::{Body, CacheSizes, Pooling, TextHead, TextNetwork, TextSizes, pooled};
use crate::error::{Result, require, require_lengths};

const MODEL: &str = "recurrent_text";

/// What a recurrent layer computes at each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecurrentCell {
    /// The hyperbolic tangent of a sum.
    Rnn,
    /// Long short-term memory.
    #[default]
    Lstm,
    /// Gated recurrent units.
    Gru,
}

/// Settings of a recurrent network for texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecurrentTextConfig {
    /// What a layer computes.
    pub cell: RecurrentCell,
    /// Number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the tokens' vectors.
    pub embedding_size: usize,
    /// Width of the states; of both directions together.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_layers: usize,
    /// Whether texts are also read from their end; then nothing can be continued.
    pub bidirectional: bool,
    /// Share of the values between layers that is dropped in training.
    pub dropout: f32,
    /// What stands behind.
    pub head: TextHead,
}

impl RecurrentTextConfig {
    /// Makes the network and declares its parameters: `embeddings.weight`, `recurrent.weight_ih_l0`, …, `head.weight`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<TextNetwork> {
        let RecurrentTextConfig { cell, vocab_size, embedding_size, hidden_size, num_layers, .. } = *self;
        require_lengths(
            &[vocab_size, embedding_size, hidden_size, num_layers],
            MODEL,
            "vocab_size, embedding_size, hidden_size, num_layers",
        )?;
        let directions = 1 + usize::from(self.bidirectional);
        require(hidden_size.is_multiple_of(directions), MODEL, "hidden_size", || {
            format!("is {hidden_size}, of which both directions have one half each; it must be even")
        })?;
        require(!self.bidirectional || self.head != TextHead::Vocabulary, MODEL, "bidirectional", || {
            "networks see what they should tell".to_string()
        })?;
        require((0.0..1.0).contains(&self.dropout), MODEL, "dropout", || {
            format!("is {}, which must be at least 0 and less than 1", self.dropout)
        })?;
        let config = RecurrentConfig {
            layers: num_layers,
            batch_first: true,
            dropout: if num_layers > 1 { self.dropout } else { 0.0 },
            bidirectional: self.bidirectional,
            ..RecurrentConfig::default()
        };
        let (place, width) = (scope.child("recurrent"), hidden_size / directions);
        let layers = match cell {
            RecurrentCell::Rnn => Layers::Rnn(Rnn::new(&place, embedding_size, width, Nonlinearity::Tanh, config)?),
            RecurrentCell::Lstm => Layers::Lstm(Lstm::new(&place, embedding_size, width, config)?),
            RecurrentCell::Gru => Layers::Gru(Gru::new(&place, embedding_size, width, config)?),
        };
        let outputs = self.head.outputs(vocab_size);
        let body = RecurrentText {
            words: Embedding::new(&scope.child("embeddings"), vocab_size, embedding_size),
            layers,
            dropout: Dropout::new(&scope.child("dropout"), self.dropout),
            head: (outputs > 0).then(|| Linear::new(&scope.child("head"), hidden_size, outputs)),
        };
        let cache = CacheSizes { layers: num_layers, heads: 1, width: hidden_size, each_token: false };
        let sizes = TextSizes {
            vocabulary: vocab_size,
            positions: usize::MAX >> 16,
            width: hidden_size,
            head: self.head,
            cache: (!self.bidirectional).then_some(cache),
        };
        Ok(TextNetwork::new(sizes, body))
    }
}

enum Layers {
    Rnn(Rnn),
    Lstm(Lstm),
    Gru(Gru),
}

struct RecurrentText {
    words: Embedding,
    layers: Layers,
    dropout: Dropout,
    head: Option<Linear>,
}

impl Body for RecurrentText {
    fn layers(&self) -> usize {
        1
    }

    fn hidden(&self, tokens: &Tensor, context: &Context, layers: usize) -> deepfit_nn::Result<Tensor> {
        let x = self.dropout.forward(&self.words.forward(tokens)?)?;
        if layers == 0 {
            return Ok(x);
        }
        let states = context.states();
        let given = Sequences {
            lengths: context.lengths(),
            hidden: states.map(|(hidden, _)| hidden),
            // No other layer has cells.
            cell: states.map(|(_, cell)| cell).filter(|_| matches!(self.layers, Layers::Lstm(_))),
        };
        let read = match &self.layers {
            Layers::Rnn(layers) => layers.run(&x, &given)?,
            Layers::Lstm(layers) => layers.run(&x, &given)?,
            Layers::Gru(layers) => layers.run(&x, &given)?,
        };
        let cell = read.cell.unwrap_or_else(|| read.hidden.clone());
        context.keep(read.hidden, cell);
        self.dropout.forward(&read.output)
    }

    fn features(&self, hidden: &Tensor, lengths: &Tensor) -> deepfit_nn::Result<Tensor> {
        pooled(Pooling::Last, hidden, lengths)
    }

    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        self.head.as_ref().map_or(Ok(features.clone()), |head| head.forward(features))
    }
}
