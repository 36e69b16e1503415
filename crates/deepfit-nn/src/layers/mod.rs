//! Layers, a file each.

mod activation;
mod affine;
mod attention;
mod attention_mask;
mod batch_norm;
mod conv;
mod conv_transpose;
mod dropout;
mod embedding;
mod embedding_bag;
mod flatten;
mod gate;
mod group_norm;
mod layer_norm;
mod linear;
mod members;
mod more_pool;
mod pool;
mod rectifier;
mod recurrence;
mod recurrent;
mod recurrent_cell;
mod resize;
mod softmax;

pub use activation::{Activate, Activation, AdjustedActivation};
mod positional;
mod transformer;

pub use attention::{MultiheadAttention, MultiheadAttentionConfig};
pub use attention_mask::AttentionMask;
pub use batch_norm::{BatchNorm, BatchNormConfig};
pub use conv::{Conv1d, Conv1dConfig, Conv2d, Conv2dConfig};
pub use conv_transpose::{ConvTranspose1d, ConvTranspose1dConfig, ConvTranspose2d, ConvTranspose2dConfig};
pub use dropout::Dropout;
pub use embedding::{Embedding, EmbeddingConfig};
pub use embedding_bag::EmbeddingBag;
pub use flatten::Flatten;
pub use group_norm::{GroupNorm, InstanceNorm, InstanceNormConfig};
pub use layer_norm::{LayerNorm, RmsNorm};
pub use linear::Linear;
pub use members::{EnsembleLinear, PartsLinear, PeriodicEmbedding};
pub use recurrent::{Gru, Lstm, Nonlinearity, Recurrence, RecurrentConfig, Rnn, Sequences};
pub use recurrent_cell::{GruCell, LstmCell, RnnCell};

pub use crate::max_norm::MaxNorm;
pub use deepfit_graph::ops::RecurrentState;
pub use gate::Glu;
pub use more_pool::{FractionalMaxPool2d, FractionalOutput, LpPool1d, LpPool2d, MaxUnpool2d};
pub use pool::{AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AvgPool1d};
pub use pool::{AvgPool2d, GlobalAvgPool2d, MaxPool1d, MaxPool2d};
pub use positional::{
    LearnedPositions, RelativePositionBias, RotaryPairs, RotaryPositions, RotaryTurns, SinusoidalPositions, alibi_bias,
};
pub use rectifier::{Prelu, Rrelu};
pub use resize::{Fold, Pad1d, Pad2d, PixelShuffle, PixelUnshuffle, Resize, Unfold, Upsample};
pub use softmax::Softmax;
pub use transformer::{
    Transformer, TransformerConfig, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder,
    TransformerEncoderLayer, TransformerMasks,
};
