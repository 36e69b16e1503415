use deepfit_graph::Tensor;

use crate::declaration::Role;
use crate::error::{NnError, Result, require};
use crate::init::Init;
use crate::layers::{
    Activate, Activation, AttentionMask, Dropout, LayerNorm, Linear, MultiheadAttention, MultiheadAttentionConfig,
};
use crate::module::Module;
use crate::scope::Scope;

/// Sizes and options of the layers of a transformer.
#[derive(Debug, Clone, PartialEq)]
pub struct TransformerConfig {
    /// Width of the sequences.
    pub d_model: usize,
    /// Number of heads, which divides the width.
    pub nhead: usize,
    /// Width between the two linear layers, at least 1; 2048 by default.
    pub dim_feedforward: usize,
    /// Probability, 0 to 1, of all dropouts in training; 0.1 by default.
    pub dropout: f32,
    /// Between the two linear layers; ReLU by default.
    pub activation: Activation,
    /// Added to variances, above 0; 1e-5 by default.
    pub layer_norm_eps: f32,
    /// Whether each part normalises its input (Xiong et al., 2020) and not, as originally and by default, its sum with
    /// the input.
    pub norm_first: bool,
    /// Whether linear layers, projections and normalisations have biases; they have by default.
    pub bias: bool,
}

impl TransformerConfig {
    /// PyTorch's defaults: 2048 between the linear layers, dropout 0.1, ReLU, epsilon 1e-5, normalisation last, with
    /// biases.
    pub fn new(d_model: usize, nhead: usize) -> Self {
        TransformerConfig {
            d_model,
            nhead,
            dim_feedforward: 2048,
            dropout: 0.1,
            activation: Activation::Relu,
            layer_norm_eps: 1e-5,
            norm_first: false,
            bias: true,
        }
    }

    fn attention(&self, scope: &Scope, name: &str) -> Result<MultiheadAttention> {
        let config = MultiheadAttentionConfig {
            dropout: self.dropout,
            bias: self.bias,
            ..MultiheadAttentionConfig::new(self.d_model, self.nhead)
        };
        MultiheadAttention::new(&scope.child(name), config)
    }

    fn norm(&self, scope: &Scope, name: &str) -> LayerNorm {
        LayerNorm::over(&scope.child(name), &[self.d_model], self.layer_norm_eps, true, self.bias)
    }

    fn linear(&self, scope: &Scope, name: &str, inputs: usize, outputs: usize) -> Linear {
        let scope = scope.child(name);
        if self.bias {
            Linear::new(&scope, inputs, outputs)
        } else {
            Linear::without_bias(&scope, inputs, outputs, Init::default_weight())
        }
    }
}

/// A part of a layer with what surrounds it: normalisation, dropout and the sum with its input.
#[derive(Debug, Clone)]
struct Residual {
    norm: LayerNorm,
    dropout: Dropout,
    norm_first: bool,
}

impl Residual {
    fn new(scope: &Scope, config: &TransformerConfig, number: usize) -> Self {
        Residual {
            norm: config.norm(scope, &format!("norm{number}")),
            dropout: Dropout::new(&scope.child(format!("dropout{number}")), config.dropout),
            norm_first: config.norm_first,
        }
    }

    fn around(&self, x: &Tensor, part: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        if self.norm_first {
            let y = self.dropout.forward(&part(&self.norm.forward(x)?)?)?;
            return Ok(x.add(&y)?);
        }
        let y = self.dropout.forward(&part(x)?)?;
        self.norm.forward(&x.add(&y)?)
    }
}

/// Two linear layers with an activation between them.
#[derive(Debug, Clone)]
struct FeedForward {
    linear1: Linear,
    activation: Activate,
    dropout: Dropout,
    linear2: Linear,
}

impl FeedForward {
    fn new(scope: &Scope, config: &TransformerConfig) -> Self {
        let (d, between) = (config.d_model, config.dim_feedforward);
        FeedForward {
            linear1: config.linear(scope, "linear1", d, between),
            activation: Activate::new(&scope.child("activation"), config.activation),
            dropout: Dropout::new(&scope.child("dropout"), config.dropout),
            linear2: config.linear(scope, "linear2", between, d),
        }
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.activation.forward(&self.linear1.forward(x)?)?;
        self.linear2.forward(&self.dropout.forward(&x)?)
    }
}

fn check(place: &str, config: &TransformerConfig) -> Result<()> {
    let TransformerConfig { dim_feedforward, layer_norm_eps, .. } = *config;
    require(dim_feedforward > 0, place, "dim_feedforward", || "is 0, but must be at least 1".to_string())?;
    require(layer_norm_eps > 0.0, place, "layer_norm_eps", || format!("is {layer_norm_eps}, not above 0"))
}

/// Self-attention and two linear layers, as PyTorch's `nn.TransformerEncoderLayer` with `batch_first=True`:
/// `[batch, T, d_model]` keeps its shape.
#[derive(Debug, Clone)]
pub struct TransformerEncoderLayer {
    path: String,
    self_attn: MultiheadAttention,
    feed_forward: FeedForward,
    residuals: [Residual; 2],
}

impl TransformerEncoderLayer {
    /// A layer with PyTorch's default initialisation.
    ///
    /// # Errors
    /// If a size or option is impossible.
    pub fn new(scope: &Scope, config: &TransformerConfig) -> Result<Self> {
        let path = scope.place("transformer_encoder_layer");
        check(&path, config)?;
        Ok(TransformerEncoderLayer {
            path,
            self_attn: config.attention(scope, "self_attn")?,
            feed_forward: FeedForward::new(scope, config),
            residuals: [1, 2].map(|number| Residual::new(scope, config, number)),
        })
    }

    /// Encodes `src` `[batch, T, d_model]`; the result has the same shape.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn encode(&self, src: &Tensor, mask: &AttentionMask) -> Result<Tensor> {
        src.tracer().in_layer(&self.path, || {
            let x = self.residuals[0].around(src, |x| self.self_attn.attend(x, x, x, mask))?;
            self.residuals[1].around(&x, |x| self.feed_forward.forward(x))
        })
    }
}

/// Encodes without masks.
impl Module for TransformerEncoderLayer {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.encode(x, &AttentionMask::default())
    }
}

/// Self-attention, attention over the encoder's result and two linear layers, as PyTorch's `nn.TransformerDecoderLayer`
/// with `batch_first=True`.
#[derive(Debug, Clone)]
pub struct TransformerDecoderLayer {
    path: String,
    self_attn: MultiheadAttention,
    multihead_attn: MultiheadAttention,
    feed_forward: FeedForward,
    residuals: [Residual; 3],
}

impl TransformerDecoderLayer {
    /// A layer with PyTorch's default initialisation.
    ///
    /// # Errors
    /// If a size or option is impossible.
    pub fn new(scope: &Scope, config: &TransformerConfig) -> Result<Self> {
        let path = scope.place("transformer_decoder_layer");
        check(&path, config)?;
        Ok(TransformerDecoderLayer {
            path,
            self_attn: config.attention(scope, "self_attn")?,
            multihead_attn: config.attention(scope, "multihead_attn")?,
            feed_forward: FeedForward::new(scope, config),
            residuals: [1, 2, 3].map(|number| Residual::new(scope, config, number)),
        })
    }

    /// Decodes `tgt` `[batch, T, d_model]` over the encoder's result `memory` `[batch, S, d_model]`:
    /// `[batch, T, d_model]`.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn decode(
        &self,
        tgt: &Tensor,
        memory: &Tensor,
        tgt_mask: &AttentionMask,
        memory_mask: &AttentionMask,
    ) -> Result<Tensor> {
        tgt.tracer().in_layer(&self.path, || {
            let x = self.residuals[0].around(tgt, |x| self.self_attn.attend(x, x, x, tgt_mask))?;
            let x = self.residuals[1].around(&x, |x| self.multihead_attn.attend(x, memory, memory, memory_mask))?;
            self.residuals[2].around(&x, |x| self.feed_forward.forward(x))
        })
    }
}

/// Encoder layers one after another, `layers.0.` and so on, with or without a normalisation `norm` at the end, as
/// PyTorch's `nn.TransformerEncoder`.
#[derive(Debug, Clone)]
pub struct TransformerEncoder {
    path: String,
    layers: Vec<TransformerEncoderLayer>,
    norm: Option<LayerNorm>,
}

impl TransformerEncoder {
    /// A stack of `count` layers.
    ///
    /// # Errors
    /// If a size or option is impossible.
    pub fn new(scope: &Scope, config: &TransformerConfig, count: usize, norm: bool) -> Result<Self> {
        let layer = |i| TransformerEncoderLayer::new(&scope.child("layers").child(i), config);
        Ok(TransformerEncoder {
            path: scope.place("transformer_encoder"),
            layers: (0..count).map(layer).collect::<Result<_>>()?,
            norm: norm.then(|| config.norm(scope, "norm")),
        })
    }

    /// Encodes `src` `[batch, T, d_model]`; the result has the same shape, and all layers the same mask.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn encode(&self, src: &Tensor, mask: &AttentionMask) -> Result<Tensor> {
        src.tracer().in_layer(&self.path, || {
            let x = self.layers.iter().try_fold(src.clone(), |x, layer| layer.encode(&x, mask))?;
            self.norm.as_ref().map_or(Ok(x.clone()), |norm| norm.forward(&x))
        })
    }
}

/// Encodes without masks.
impl Module for TransformerEncoder {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.encode(x, &AttentionMask::default())
    }
}

/// Decoder layers one after another, `layers.0.` and so on, with or without a normalisation `norm` at the end, as
/// PyTorch's `nn.TransformerDecoder`.
#[derive(Debug, Clone)]
pub struct TransformerDecoder {
    path: String,
    layers: Vec<TransformerDecoderLayer>,
    norm: Option<LayerNorm>,
}

impl TransformerDecoder {
    /// A stack of `count` layers.
    ///
    /// # Errors
    /// If a size or option is impossible.
    pub fn new(scope: &Scope, config: &TransformerConfig, count: usize, norm: bool) -> Result<Self> {
        let layer = |i| TransformerDecoderLayer::new(&scope.child("layers").child(i), config);
        Ok(TransformerDecoder {
            path: scope.place("transformer_decoder"),
            layers: (0..count).map(layer).collect::<Result<_>>()?,
            norm: norm.then(|| config.norm(scope, "norm")),
        })
    }

    /// Decodes `tgt` `[batch, T, d_model]` over `memory` `[batch, S, d_model]`: `[batch, T, d_model]`. All layers have
    /// the same masks.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn decode(
        &self,
        tgt: &Tensor,
        memory: &Tensor,
        tgt_mask: &AttentionMask,
        memory_mask: &AttentionMask,
    ) -> Result<Tensor> {
        tgt.tracer().in_layer(&self.path, || {
            let decode = |x: Tensor, layer: &TransformerDecoderLayer| layer.decode(&x, memory, tgt_mask, memory_mask);
            let x = self.layers.iter().try_fold(tgt.clone(), decode)?;
            self.norm.as_ref().map_or(Ok(x.clone()), |norm| norm.forward(&x))
        })
    }
}

/// Encoder and decoder (Vaswani et al., 2017), both with a normalisation at the end, as PyTorch's `nn.Transformer` with
/// `batch_first=True`: all matrices start with Glorot's uniform initialisation.
///
/// Beside its output the encoder's result `memory` `[batch, S, d_model]` can be
/// [watched](deepfit_graph::Tracer::watch).
#[derive(Debug, Clone)]
pub struct Transformer {
    path: String,
    encoder: TransformerEncoder,
    decoder: TransformerDecoder,
}

/// The masks of a [`Transformer`]: by default all is seen.
#[derive(Debug, Clone, Default)]
pub struct TransformerMasks {
    /// Of the encoder's self-attention.
    pub src: AttentionMask,
    /// Of the decoder's self-attention, often [`AttentionMask::causal`].
    pub tgt: AttentionMask,
    /// Of the decoder's attention over the encoder's result.
    pub memory: AttentionMask,
}

impl Transformer {
    /// A network of so many encoder and decoder layers (PyTorch's default is 6 of each).
    ///
    /// # Errors
    /// If a size or option is impossible.
    pub fn new(scope: &Scope, config: &TransformerConfig, encoders: usize, decoders: usize) -> Result<Self> {
        let (d, between) = (config.d_model, config.dim_feedforward);
        let path = scope.place("transformer");
        check(&path, config)?;
        // Declared before the layers do it with their own initialisation.
        let matrix = |scope: Scope, shape: [usize; 2]| {
            scope.parameter("weight", &shape, Init::XavierUniform { gain: 1.0 }, Role::Weight);
        };
        let stacks: [(&str, usize, &[&str]); 2] =
            [("encoder", encoders, &["self_attn"]), ("decoder", decoders, &["self_attn", "multihead_attn"])];
        for (stack, count, attentions) in stacks {
            for i in 0..count {
                let layer = scope.child(stack).child("layers").child(i);
                attentions.iter().for_each(|name| matrix(layer.child(name).child("out_proj"), [d, d]));
                matrix(layer.child("linear1"), [between, d]);
                matrix(layer.child("linear2"), [d, between]);
            }
        }
        Ok(Transformer {
            path,
            encoder: TransformerEncoder::new(&scope.child("encoder"), config, encoders, true)?,
            decoder: TransformerDecoder::new(&scope.child("decoder"), config, decoders, true)?,
        })
    }

    /// Encodes `src` `[batch, S, d_model]` and decodes `tgt` `[batch, T, d_model]` over it: `[batch, T, d_model]`.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn transform(&self, src: &Tensor, tgt: &Tensor, masks: &TransformerMasks) -> Result<Tensor> {
        let tracer = src.tracer();
        tracer.in_layer(&self.path, || {
            let memory = self.encoder.encode(src, &masks.src)?;
            tracer.offer("memory", || Ok::<_, NnError>(memory.clone()))?;
            self.decoder.decode(tgt, &memory, &masks.tgt, &masks.memory)
        })
    }
}
