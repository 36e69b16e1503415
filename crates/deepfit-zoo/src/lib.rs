//! Architectures, a file each: plain structs made from settings that can be saved beside the weights.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod cnn;
mod convnext;
mod efficientnet;
mod error;
mod image;
mod known;
mod mbconv;
mod mlp;
mod mobilenet;
mod mobilenet_v3;
mod network;
mod published;
mod resnet;
mod tabm;
mod tapped;
mod text;
mod vit;
mod weights;

pub use cnn::{CnnConfig, Head};
pub use convnext::ConvnextConfig;
pub use efficientnet::EfficientnetConfig;
pub use error::{Result, ZooError};
pub use image::{IMAGE, ImageConfig, ImageNetwork};
pub use known::{KNOWN, KnownModel};
pub use mbconv::{MbConvConfig, Padding};
pub use mlp::{CATEGORIES, EmbeddingConfig, Mlp, MlpConfig, NUMERIC};
pub use mobilenet::{InvertedResidualConfig, MobilenetV2Config};
pub use mobilenet_v3::MobilenetV3Config;
pub use network::{InputSlot, ModelConfig, Network, VALUE, build, first_blocks};
pub use published::{ImagePreprocessing, Interpolation, LoadReport, Published, PublishedText, Resize, SentencePooling};
pub use resnet::{Block, ResnetConfig};
pub use tabm::{PeriodicConfig, Tabm, TabmConfig};
pub use tapped::{Tapped, TappedConfig};
pub use text::{
    BertConfig, CacheSizes, Context, DistilbertConfig, Gpt2Config, LENGTHS, LlamaConfig, ModernbertConfig, NEXT,
    NextTokenConfig, POOLING, PooledTextConfig, Pooling, READ, RecurrentCell, RecurrentTextConfig, RobertaConfig,
    RotaryScaling, SECOND, SentencePairsConfig, StaticEmbeddingConfig, TERMS, TOKENS, TextHead, TextNetwork, TextSizes,
    TokenLabelsConfig, pooled,
};
pub use vit::{Distillation, VitConfig};
pub use weights::{Array, ElementType, Weights};
