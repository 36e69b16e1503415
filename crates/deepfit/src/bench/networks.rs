//! The networks of the workloads that are no architecture of the zoo, made of public layers.

use deepfit_graph::ops::{AttentionOptions, ReduceKind, Window};
use deepfit_graph::{DType, HostTensor, Tensor};
use deepfit_nn::layers::{
    Activate, Activation, AttentionMask, Conv2d, Conv2dConfig, Embedding, Flatten, LayerNorm, LearnedPositions, Linear,
    Lstm, MaxPool2d, RecurrentConfig, TransformerConfig, TransformerEncoderLayer,
};
use deepfit_nn::{Module, Result, Scope, Sequential};
use deepfit_zoo::{IMAGE, ImageConfig, InputSlot, Network};

use super::workload::Sizes;

/// Width of each head of attention: a transformer has as many as fit into its own width.
pub const HEAD_WIDTH: usize = 32;

/// Name of the input that holds sequences of numbers.
pub const SEQUENCE: &str = "sequence";
/// Name of the input that holds sequences of tokens.
pub const TOKENS: &str = "tokens";

/// Two convolutions, a pooling and two linear layers on grey images of 28x28 pixels.
pub struct Lenet(Sequential);

impl Lenet {
    pub fn new(scope: &Scope) -> Self {
        let child = |name: &str| scope.child(name);
        let window = Conv2dConfig::square(3).padding(1);
        let relu = |name: &str| Activate::new(&child(name), Activation::Relu);
        Lenet(
            Sequential::new()
                .with(Conv2d::new(&child("conv1"), 1, 32, window))
                .with(relu("relu1"))
                .with(Conv2d::new(&child("conv2"), 32, 64, window))
                .with(relu("relu2"))
                .with(MaxPool2d::new(&child("pool"), Window::square(2)))
                .with(Flatten::new(&child("flatten")))
                .with(Linear::new(&child("fc1"), 64 * 14 * 14, 128))
                .with(relu("relu3"))
                .with(Linear::new(&child("fc2"), 128, 10)),
        )
    }
}

impl Network for Lenet {
    fn inputs(&self) -> Vec<InputSlot> {
        vec![InputSlot::new(IMAGE, &[28, 28, 1], DType::U8)]
    }

    fn outputs(&self) -> usize {
        10
    }

    fn forward(&self, inputs: &[Tensor]) -> Result<Tensor> {
        self.0.forward(&ImageConfig::new(28, 28, 1).normalise(&inputs[0])?)
    }
}

/// Two layers of LSTM and a linear one on the last step.
pub struct SequenceClassifier {
    lstm: Lstm,
    fc: Linear,
    steps: usize,
    hidden: usize,
}

impl SequenceClassifier {
    const INPUTS: usize = 64;

    /// Of 64 steps, 256 hidden units and two layers, where nothing else is asked for.
    pub fn new(scope: &Scope, sizes: &Sizes) -> Result<Self> {
        let (steps, hidden) = (sizes.sequence.unwrap_or(64), sizes.width.unwrap_or(256));
        let layers = sizes.depth.unwrap_or(2);
        let config = RecurrentConfig { layers, batch_first: true, ..RecurrentConfig::default() };
        let lstm = Lstm::new(&scope.child("lstm"), Self::INPUTS, hidden, config)?;
        Ok(SequenceClassifier { lstm, fc: Linear::new(&scope.child("fc"), hidden, 10), steps, hidden })
    }
}

impl Network for SequenceClassifier {
    fn inputs(&self) -> Vec<InputSlot> {
        vec![InputSlot::new(SEQUENCE, &[self.steps, Self::INPUTS], DType::F32)]
    }

    fn outputs(&self) -> usize {
        10
    }

    fn forward(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let output = self.lstm.forward(&inputs[0])?;
        let last = output.tracer().in_layer("last", || {
            let batch = output.shape().dims()[0];
            output.slice(1, self.steps - 1, 1)?.reshape(vec![batch, self.hidden.into()])
        })?;
        self.fc.forward(&last)
    }
}

/// A BERT encoder of MiniLM's size; the mean over all tokens is classified.
pub struct Encoder {
    words: Embedding,
    positions: Embedding,
    kinds: Embedding,
    norm: LayerNorm,
    layers: Vec<EncoderLayer>,
    classifier: Linear,
    length: usize,
}

/// Attention, then a feed-forward network, each normalised after its shortcut.
struct EncoderLayer {
    query: Linear,
    key: Linear,
    value: Linear,
    attended: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    norm: LayerNorm,
}

impl Encoder {
    /// Different tokens.
    pub const VOCABULARY: usize = 30_522;
    const EPSILON: f32 = 1e-12;

    /// Of 128 tokens, 384 wide and six layers deep, where nothing else is asked for.
    pub fn new(scope: &Scope, sizes: &Sizes) -> Self {
        let (length, width) = (sizes.sequence.unwrap_or(128), sizes.width.unwrap_or(384));
        let tables = scope.child("embeddings");
        let table = |name: &str, rows: usize| Embedding::new(&tables.child(name), rows, width);
        let layer = |i: usize| EncoderLayer::new(&scope.child("encoder").child("layer").child(i), width);
        Encoder {
            words: table("word_embeddings", Self::VOCABULARY),
            positions: table("position_embeddings", length.max(512)),
            kinds: table("token_type_embeddings", 2),
            norm: LayerNorm::with(&tables.child("LayerNorm"), width, Self::EPSILON),
            layers: (0..sizes.depth.unwrap_or(6)).map(layer).collect(),
            classifier: Linear::new(&scope.child("classifier"), width, 2),
            length,
        }
    }
}

impl EncoderLayer {
    fn new(scope: &Scope, width: usize) -> Self {
        let attention = scope.child("attention");
        let own = |name: &str| Linear::new(&attention.child("self").child(name), width, width);
        let norm = |scope: Scope| LayerNorm::with(&scope.child("LayerNorm"), width, Encoder::EPSILON);
        EncoderLayer {
            query: own("query"),
            key: own("key"),
            value: own("value"),
            attended: Linear::new(&attention.child("output").child("dense"), width, width),
            attention_norm: norm(attention.child("output")),
            intermediate: Linear::new(&scope.child("intermediate").child("dense"), width, 4 * width),
            output: Linear::new(&scope.child("output").child("dense"), 4 * width, width),
            norm: norm(scope.child("output")),
        }
    }
}

impl Module for EncoderLayer {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (query, key, value) = (self.query.forward(x)?, self.key.forward(x)?, self.value.forward(x)?);
        let mixed = x.tracer().in_layer("attention", || -> Result<Tensor> {
            let &[batch, length, width] = x.shape().dims() else {
                return Err(x.error("attention", format!("needs [batch, length, width], not {}", x.shape())).into());
            };
            let number = width.as_fixed().unwrap_or(HEAD_WIDTH) / HEAD_WIDTH;
            let heads = |x: &Tensor| x.reshape(vec![batch, length, number.into(), HEAD_WIDTH.into()]);
            let mixed = heads(&query)?.attention(&heads(&key)?, &heads(&value)?, &AttentionOptions::default())?;
            Ok(mixed.reshape(vec![batch, length, width])?)
        })?;
        let x = self.attention_norm.forward(&x.add(&self.attended.forward(&mixed)?)?)?;
        let hidden = Activation::Gelu.forward(&self.intermediate.forward(&x)?)?;
        self.norm.forward(&x.add(&self.output.forward(&hidden)?)?)
    }
}

impl Network for Encoder {
    fn inputs(&self) -> Vec<InputSlot> {
        vec![InputSlot::new(TOKENS, &[self.length], DType::I32)]
    }

    fn outputs(&self) -> usize {
        2
    }

    fn forward(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let tokens = &inputs[0];
        let tracer = tokens.tracer();
        let one_kind = tracer.constant(HostTensor::i32(&[1], vec![0]));
        let x = self.words.forward(tokens)?.add(&self.positions.forward(&tracer.arange(self.length)?)?)?;
        let mut x = self.norm.forward(&x.add(&self.kinds.forward(&one_kind)?)?)?;
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        let mean = tracer.in_layer("mean", || x.reduce(ReduceKind::Mean, &[1], false))?;
        self.classifier.forward(&mean)
    }
}

/// A decoder that predicts the next byte at each position, normalised before each part.
pub struct Decoder {
    tokens: Embedding,
    positions: LearnedPositions,
    layers: Vec<TransformerEncoderLayer>,
    norm: LayerNorm,
    head: Linear,
    length: usize,
}

impl Decoder {
    /// Tokens of a row, where nothing else is asked for.
    pub const LENGTH: usize = 256;
    /// Different tokens.
    pub const VOCABULARY: usize = 256;

    /// 256 wide and four layers deep, where nothing else is asked for.
    pub fn new(scope: &Scope, sizes: &Sizes) -> Result<Self> {
        let (length, width) = (sizes.sequence.unwrap_or(Self::LENGTH), sizes.width.unwrap_or(256));
        let config = TransformerConfig {
            dim_feedforward: 4 * width,
            dropout: 0.0,
            activation: Activation::Gelu,
            norm_first: true,
            ..TransformerConfig::new(width, width / HEAD_WIDTH)
        };
        let layer = |i: usize| TransformerEncoderLayer::new(&scope.child("layers").child(i), &config);
        Ok(Decoder {
            tokens: Embedding::new(&scope.child("token_embedding"), Self::VOCABULARY, width),
            positions: LearnedPositions::new(&scope.child("position_embedding"), length, width),
            layers: (0..sizes.depth.unwrap_or(4)).map(layer).collect::<Result<_>>()?,
            norm: LayerNorm::new(&scope.child("norm"), width),
            head: Linear::new(&scope.child("head"), width, Self::VOCABULARY),
            length,
        })
    }
}

impl Network for Decoder {
    fn inputs(&self) -> Vec<InputSlot> {
        vec![InputSlot::new(TOKENS, &[self.length], DType::I32)]
    }

    fn outputs(&self) -> usize {
        Self::VOCABULARY
    }

    fn forward(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let tokens = &inputs[0];
        let mut x = self.positions.forward(&self.tokens.forward(tokens)?)?;
        for layer in &self.layers {
            x = layer.encode(&x, &AttentionMask::causal())?;
        }
        self.head.forward(&self.norm.forward(&x)?)
    }
}
