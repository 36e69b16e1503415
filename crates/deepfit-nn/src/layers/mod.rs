//! Layers, a file each.

mod activation;
mod batch_norm;
mod conv;
mod dropout;
mod embedding;
mod embedding_bag;
mod flatten;
mod gate;
mod layer_norm;
mod linear;
mod pool;
mod rectifier;
mod softmax;

pub use activation::{Activate, Activation, AdjustedActivation};
pub use batch_norm::BatchNorm;
pub use conv::{Conv2d, Conv2dConfig};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use embedding_bag::EmbeddingBag;
pub use flatten::Flatten;
pub use gate::Glu;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use pool::{AvgPool2d, GlobalAvgPool2d, MaxPool2d};
pub use rectifier::{Prelu, Rrelu};
pub use softmax::Softmax;
