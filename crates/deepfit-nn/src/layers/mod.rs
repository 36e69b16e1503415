//! Layers, a file each.

mod activation;
mod attention;
mod batch_norm;
mod conv;
mod dropout;
mod embedding;
mod flatten;
mod layer_norm;
mod linear;
mod pool;
mod positional;
mod transformer;

pub use activation::{Activate, Activation};
pub use attention::{AttentionMask, MultiheadAttention, MultiheadAttentionConfig};
pub use batch_norm::BatchNorm;
pub use conv::{Conv2d, Conv2dConfig};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use flatten::Flatten;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use pool::{AvgPool2d, GlobalAvgPool2d, MaxPool2d};
pub use positional::{
    LearnedPositions, RelativePositionBias, RotaryPairs, RotaryPositions, SinusoidalPositions, alibi_bias,
};
pub use transformer::{
    Transformer, TransformerConfig, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder,
    TransformerEncoderLayer, TransformerMasks,
};
