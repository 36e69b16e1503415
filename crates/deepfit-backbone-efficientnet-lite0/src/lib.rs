//! EfficientNet-Lite0, trained on ImageNet: weights in half precision with timm's names, and how images are prepared for
//! them. Where they are from, and their licence, tells the README beside this file.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

/// Name of the architecture, as timm has it.
pub const ARCHITECTURE: &str = "tf_efficientnet_lite0";

/// The weights, a safetensors file.
pub static WEIGHTS: &[u8] = include_bytes!("../model.safetensors");

/// How images are prepared, a `preprocessor_config.json`.
pub const PREPROCESSOR: &str = include_str!("../preprocessor_config.json");
