//! Architectures, a file each: plain structs made from settings that can be saved beside the weights.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod cnn;
mod error;
mod image;
mod mlp;
mod mobilenet;
mod network;
mod resnet;

pub use cnn::{Cnn, CnnConfig, Head};
pub use error::{Result, ZooError};
pub use image::{IMAGE, ImageConfig};
pub use mlp::{CATEGORIES, EmbeddingConfig, Mlp, MlpConfig, NUMERIC};
pub use mobilenet::{InvertedResidualConfig, MobilenetV2, MobilenetV2Config};
pub use network::{InputSlot, ModelConfig, Network, build};
pub use resnet::{Block, Resnet, ResnetConfig};
