//! Layers, a file each.

mod activation;
mod batch_norm;
mod conv;
mod dropout;
mod embedding;
mod flatten;
mod layer_norm;
mod linear;
mod pool;
mod recurrent;
mod recurrent_cell;

pub use activation::{Activate, Activation};
pub use batch_norm::BatchNorm;
pub use conv::{Conv2d, Conv2dConfig};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use flatten::Flatten;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use pool::{AvgPool2d, GlobalAvgPool2d, MaxPool2d};
pub use recurrent::{Gru, Lstm, Nonlinearity, Recurrence, RecurrentConfig, Rnn, Sequences};
pub use recurrent_cell::{GruCell, LstmCell, RnnCell};

pub use deepfit_graph::ops::RecurrentState;
