//! Vision transformer (Dosovitskiy et al., 2021) and DeiT (Touvron et al., 2021), with torchvision's names and shapes.

use deepfit_graph::Tensor;
use deepfit_nn::init::Init;
use deepfit_nn::layers::{
    Activate, Activation, Conv2d, Conv2dConfig, LayerNorm, Linear, MultiheadAttention, MultiheadAttentionConfig,
};
use deepfit_nn::{Module, Parameter, Role, Scope, Sequential};
use serde::{Deserialize, Serialize};

use crate::error::{Result, require, require_lengths};
use crate::image::{ImageConfig, ImageNetwork};

const MODEL: &str = "vit";

/// Settings of a vision transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VitConfig {
    /// The images, whose height and width are multiples of `patch`.
    pub image: ImageConfig,
    /// Number of outputs.
    pub outputs: usize,
    /// Height and width of the squares of pixels that become a token.
    pub patch: usize,
    /// Width of the tokens.
    pub width: usize,
    /// Number of layers.
    pub depth: usize,
    /// Number of heads, which divides the width.
    pub heads: usize,
    /// Neurons between the two linear layers of each layer.
    pub hidden: usize,
    /// Added to variances.
    pub epsilon: f32,
    /// DeiT's second token, which learned from another network.
    #[serde(default)]
    pub distillation: Distillation,
}

/// What there is of DeiT's distillation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distillation {
    /// Nothing: a plain vision transformer.
    #[default]
    None,
    /// A second token, without outputs of its own.
    Token,
    /// A second token with outputs of its own; the result is the mean of both.
    Head,
}

impl VitConfig {
    /// Makes the network and declares its parameters: `class_token`, `conv_proj`, `encoder.pos_embedding`,
    /// `encoder.layers.encoder_layer_0.ln_1`, …, `encoder.ln`, `heads.head`; DeiT's second token is `dist_token`, its
    /// outputs `heads.head_dist`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<ImageNetwork> {
        self.image.validate(MODEL)?;
        let VitConfig { patch, width, depth, heads, hidden, outputs, .. } = *self;
        require_lengths(
            &[outputs, patch, width, depth, heads, hidden],
            MODEL,
            "outputs, patch, width, depth, heads, hidden",
        )?;
        let ImageConfig { height, width: across, channels, .. } = self.image;
        require(height % patch == 0 && across % patch == 0, MODEL, "patch", || {
            format!("is {patch}, which must divide the image's {height}x{across} pixels")
        })?;
        let patches = (height / patch) * (across / patch);
        let window = Conv2dConfig::square(patch).stride(patch);
        let conv_proj = Conv2d::new(&scope.child("conv_proj"), channels, width, window);
        let token = |name: &str| scope.parameter(name, &[1, 1, width], Init::Zeros, Role::NoDecay);
        let mut tokens = vec![token("class_token")];
        if self.distillation != Distillation::None {
            tokens.push(token("dist_token"));
        }
        let encoder = scope.child("encoder");
        let shape = [1, patches + tokens.len(), width];
        let positions = encoder.parameter("pos_embedding", &shape, Init::Normal { std: 0.02 }, Role::NoDecay);
        let mut layers = Sequential::new().with(Tokens { width, conv_proj, tokens, positions });
        for i in 0..depth {
            layers.push(Layer::new(&encoder.child("layers").child(format!("encoder_layer_{i}")), self)?);
        }
        let outputs_of = |name: &str| Linear::new(&scope.child("heads").child(name), width, outputs);
        let norm = LayerNorm::with(&encoder.child("ln"), width, self.epsilon);
        let mut heads = vec![outputs_of("head")];
        if self.distillation == Distillation::Head {
            heads.push(outputs_of("head_dist"));
        }
        layers.push(FirstTokens { norm, width, count: heads.len() });
        Ok(ImageNetwork::new(&self.image, outputs, layers, Sequential::new().with(Heads { width, heads })))
    }
}

/// Attention and two linear layers, each of what is normalised, beside a path that leaves the input as it is.
#[derive(Debug)]
struct Layer {
    path: String,
    ln_1: LayerNorm,
    attention: MultiheadAttention,
    ln_2: LayerNorm,
    mlp: Sequential,
}

impl Layer {
    fn new(scope: &Scope, config: &VitConfig) -> Result<Self> {
        let norm = |name: &str| LayerNorm::with(&scope.child(name), config.width, config.epsilon);
        let mlp = scope.child("mlp");
        let attention = MultiheadAttentionConfig::new(config.width, config.heads);
        Ok(Layer {
            path: scope.path().to_string(),
            ln_1: norm("ln_1"),
            attention: MultiheadAttention::new(&scope.child("self_attention"), attention)?,
            ln_2: norm("ln_2"),
            mlp: Sequential::new()
                .with(Linear::new(&mlp.child(0), config.width, config.hidden))
                .with(Activate::new(&mlp.child(1), Activation::Gelu))
                .with(Linear::new(&mlp.child(3), config.hidden, config.width)),
        })
    }
}

impl Module for Layer {
    fn forward(&self, x: &Tensor) -> deepfit_nn::Result<Tensor> {
        x.tracer().in_layer(&self.path, || {
            let x = x.add(&self.attention.forward(&self.ln_1.forward(x)?)?)?;
            Ok(x.add(&self.mlp.forward(&self.ln_2.forward(&x)?)?)?)
        })
    }
}

/// Squares of pixels as tokens, behind those that stand for the whole image.
#[derive(Debug)]
struct Tokens {
    width: usize,
    conv_proj: Conv2d,
    tokens: Vec<Parameter>,
    positions: Parameter,
}

impl Module for Tokens {
    fn forward(&self, image: &Tensor) -> deepfit_nn::Result<Tensor> {
        let (tracer, width) = (image.tracer(), self.width);
        let patches = self.conv_proj.forward(image)?;
        let dims = patches.shape().dims();
        let count = patches.shape().fixed(1).zip(patches.shape().fixed(2)).map_or(0, |(h, w)| h * w);
        let batch = dims[0];
        let patches = patches.reshape(vec![batch, count.into(), width.into()])?;
        let token = |token: &Parameter| {
            deepfit_nn::Result::Ok(token.on(tracer)?.broadcast_to(vec![batch, 1.into(), width.into()])?)
        };
        let tokens = self.tokens.iter().map(token).collect::<deepfit_nn::Result<Vec<Tensor>>>()?;
        let mut behind: Vec<&Tensor> = tokens[1..].iter().collect();
        behind.push(&patches);
        Ok(tokens[0].concat(&behind, 1)?.add(&self.positions.on(tracer)?)?)
    }
}

/// The class token after a last normalisation; where the second token has outputs of its own, it is beside it.
#[derive(Debug)]
struct FirstTokens {
    norm: LayerNorm,
    width: usize,
    count: usize,
}

impl Module for FirstTokens {
    fn forward(&self, x: &Tensor) -> deepfit_nn::Result<Tensor> {
        let batch = x.shape().dims()[0];
        let first = self.norm.forward(x)?.slice(1, 0, self.count)?;
        Ok(first.reshape(vec![batch, (self.count * self.width).into()])?)
    }
}

/// The outputs of the class token, or the mean of those of both tokens.
#[derive(Debug)]
struct Heads {
    width: usize,
    heads: Vec<Linear>,
}

impl Module for Heads {
    fn forward(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        let of = |i: usize| self.heads[i].forward(&features.slice(1, i * self.width, self.width)?);
        match self.heads.len() {
            1 => self.heads[0].forward(features),
            _ => Ok(of(0)?.add(&of(1)?)?.mul_scalar(0.5)?),
        }
    }
}
