//! The networks of the workloads in burn.

use burn::module::{Initializer, Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig,
    PaddingConfig2d,
};
use burn::tensor::activation::{gelu, relu, sigmoid, tanh};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Int, Tensor};

fn linear(inputs: usize, outputs: usize, device: &Device) -> Linear {
    LinearConfig::new(inputs, outputs).init(device)
}

#[derive(Module, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    pub fn new(widths: &[usize], device: &Device) -> Self {
        Mlp { layers: widths.windows(2).map(|w| linear(w[0], w[1], device)).collect() }
    }

    pub fn forward(&self, mut x: Tensor<2>) -> Tensor<2> {
        let (output, hidden) = self.layers.split_last().expect("there is an output layer");
        for layer in hidden {
            x = relu(layer.forward(x));
        }
        output.forward(x)
    }
}

fn conv(inputs: usize, outputs: usize, kernel: usize, stride: usize, groups: usize) -> Conv2dConfig {
    let padding = kernel / 2;
    Conv2dConfig::new([inputs, outputs], [kernel, kernel])
        .with_stride([stride, stride])
        .with_groups(groups)
        .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
}

/// Without bias, before a normalisation.
fn bare(inputs: usize, outputs: usize, kernel: usize, stride: usize, groups: usize, device: &Device) -> Conv2d {
    conv(inputs, outputs, kernel, stride, groups).with_bias(false).init(device)
}

fn batch_norm(channels: usize, device: &Device) -> BatchNorm {
    BatchNormConfig::new(channels).init(device)
}

fn spatial_mean(x: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = x.dims();
    x.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
}

#[derive(Module, Debug)]
pub struct Lenet {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: MaxPool2d,
    fc1: Linear,
    fc2: Linear,
}

impl Lenet {
    pub fn new(device: &Device) -> Self {
        Lenet {
            conv1: conv(1, 32, 3, 1, 1).init(device),
            conv2: conv(32, 64, 3, 1, 1).init(device),
            pool: MaxPool2dConfig::new([2, 2]).init(),
            fc1: linear(12544, 128, device),
            fc2: linear(128, 10, device),
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = relu(self.conv2.forward(relu(self.conv1.forward(x))));
        let x = self.pool.forward(x).flatten::<2>(1, 3);
        self.fc2.forward(relu(self.fc1.forward(x)))
    }
}

#[derive(Module, Debug)]
struct Shortcut {
    conv: Conv2d,
    norm: BatchNorm,
}

#[derive(Module, Debug)]
struct BasicBlock {
    conv1: Conv2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
    shortcut: Option<Shortcut>,
}

impl BasicBlock {
    fn new(inputs: usize, outputs: usize, stride: usize, device: &Device) -> Self {
        let shortcut = (stride != 1 || inputs != outputs)
            .then(|| Shortcut { conv: bare(inputs, outputs, 1, stride, 1, device), norm: batch_norm(outputs, device) });
        BasicBlock {
            conv1: bare(inputs, outputs, 3, stride, 1, device),
            norm1: batch_norm(outputs, device),
            conv2: bare(outputs, outputs, 3, 1, 1, device),
            norm2: batch_norm(outputs, device),
            shortcut,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.shortcut {
            Some(s) => s.norm.forward(s.conv.forward(x.clone())),
            None => x.clone(),
        };
        let x = relu(self.norm1.forward(self.conv1.forward(x)));
        relu(self.norm2.forward(self.conv2.forward(x)) + shortcut)
    }
}

#[derive(Module, Debug)]
pub struct Resnet18 {
    stem: Conv2d,
    norm: BatchNorm,
    pool: Option<MaxPool2d>,
    blocks: Vec<BasicBlock>,
    fc: Linear,
}

impl Resnet18 {
    pub fn new(outputs: usize, small_stem: bool, device: &Device) -> Self {
        let widths = [64, 64, 128, 256, 512];
        let blocks = (1..5).flat_map(|i| {
            let stride = if i == 1 { 1 } else { 2 };
            [(widths[i - 1], widths[i], stride), (widths[i], widths[i], 1)]
        });
        let pool = MaxPool2dConfig::new([3, 3]).with_strides([2, 2]);
        Resnet18 {
            stem: if small_stem { bare(3, 64, 3, 1, 1, device) } else { bare(3, 64, 7, 2, 1, device) },
            norm: batch_norm(64, device),
            pool: (!small_stem).then(|| pool.with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init()),
            blocks: blocks.map(|(inputs, outputs, stride)| BasicBlock::new(inputs, outputs, stride, device)).collect(),
            fc: linear(512, outputs, device),
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let mut x = relu(self.norm.forward(self.stem.forward(x)));
        if let Some(pool) = &self.pool {
            x = pool.forward(x);
        }
        for block in &self.blocks {
            x = block.forward(x);
        }
        self.fc.forward(spatial_mean(x))
    }
}

#[derive(Module, Debug)]
struct Convolution {
    conv: Conv2d,
    norm: BatchNorm,
    activates: bool,
}

impl Convolution {
    fn new(inputs: usize, outputs: usize, kernel: usize, stride: usize, groups: usize, device: &Device) -> Self {
        Convolution {
            conv: bare(inputs, outputs, kernel, stride, groups, device),
            norm: batch_norm(outputs, device),
            activates: true,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.norm.forward(self.conv.forward(x));
        if self.activates { x.clamp(0.0, 6.0) } else { x }
    }
}

#[derive(Module, Debug)]
struct InvertedResidual {
    layers: Vec<Convolution>,
    adds_input: bool,
}

#[derive(Module, Debug)]
pub struct Dwconv {
    stem: Convolution,
    blocks: Vec<InvertedResidual>,
    classifier: Linear,
}

impl Dwconv {
    pub fn new(device: &Device) -> Self {
        let mut inputs = 32;
        let mut blocks = Vec::new();
        let all = [(16, 1), (24, 2), (24, 1), (40, 2), (40, 1), (80, 2), (80, 1)];
        for (i, (outputs, stride)) in all.into_iter().enumerate() {
            let hidden = if i == 0 { inputs } else { 6 * inputs };
            let mut layers = Vec::new();
            if i > 0 {
                layers.push(Convolution::new(inputs, hidden, 1, 1, 1, device));
            }
            layers.push(Convolution::new(hidden, hidden, 3, stride, hidden, device));
            layers.push(Convolution { activates: false, ..Convolution::new(hidden, outputs, 1, 1, 1, device) });
            blocks.push(InvertedResidual { layers, adds_input: stride == 1 && inputs == outputs });
            inputs = outputs;
        }
        Dwconv { stem: Convolution::new(3, 32, 3, 2, 1, device), blocks, classifier: linear(inputs, 10, device) }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let mut x = self.stem.forward(x);
        for block in &self.blocks {
            let input = x.clone();
            for layer in &block.layers {
                x = layer.forward(x);
            }
            if block.adds_input {
                x = x + input;
            }
        }
        self.classifier.forward(spatial_mean(x))
    }
}

/// All gates of a step are one product for its inputs and one for its state, where burn's own layer has eight. Steps are
/// tensors of their own: the gradient of a part of a larger one is as large as the whole.
#[derive(Module, Debug)]
struct LstmLayer {
    input: Linear,
    recurrent: Linear,
}

#[derive(Module, Debug)]
pub struct Lstm {
    layers: Vec<LstmLayer>,
    fc: Linear,
}

impl Lstm {
    const HIDDEN: usize = 256;

    pub fn new(device: &Device) -> Self {
        let hidden = Self::HIDDEN;
        let layer = |inputs| LstmLayer {
            input: linear(inputs, 4 * hidden, device),
            recurrent: linear(hidden, 4 * hidden, device),
        };
        Lstm { layers: vec![layer(64), layer(hidden)], fc: linear(hidden, 10, device) }
    }

    pub fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let [batch, length, inputs] = x.dims();
        let (hidden, device) = (Self::HIDDEN, x.device());
        let step = |step| x.clone().slice([0..batch, step..step + 1]).reshape([batch, inputs]);
        let mut steps: Vec<Tensor<2>> = (0..length).map(step).collect();
        for layer in &self.layers {
            let mut h = Tensor::<2>::zeros([batch, hidden], &device);
            let mut c = Tensor::<2>::zeros([batch, hidden], &device);
            for step in &mut steps {
                let gates = layer.input.forward(step.clone()) + layer.recurrent.forward(h);
                let gate = |i: usize| gates.clone().slice([0..batch, i * hidden..(i + 1) * hidden]);
                c = sigmoid(gate(1)) * c + sigmoid(gate(0)) * tanh(gate(2));
                h = sigmoid(gate(3)) * tanh(c.clone());
                *step = h.clone();
            }
        }
        self.fc.forward(steps[length - 1].clone())
    }
}

fn heads(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, length, width] = x.dims();
    x.reshape([batch, length, heads, width / heads]).swap_dims(1, 2)
}

fn attend(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>, number: usize, causal: bool) -> Tensor<3> {
    let [batch, length, width] = query.dims();
    let options = AttentionModuleOptions { is_causal: causal, ..AttentionModuleOptions::default() };
    let mixed = attention(heads(query, number), heads(key, number), heads(value, number), None, None, options);
    mixed.swap_dims(1, 2).reshape([batch, length, width])
}

#[derive(Module, Debug)]
struct BertLayer {
    query: Linear,
    key: Linear,
    value: Linear,
    attended: Linear,
    norm1: LayerNorm,
    intermediate: Linear,
    output: Linear,
    norm2: LayerNorm,
}

impl BertLayer {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let (query, key) = (self.query.forward(x.clone()), self.key.forward(x.clone()));
        let mixed = attend(query, key, self.value.forward(x.clone()), 12, false);
        let x = self.norm1.forward(x + self.attended.forward(mixed));
        let hidden = gelu(self.intermediate.forward(x.clone()));
        self.norm2.forward(x + self.output.forward(hidden))
    }
}

#[derive(Module, Debug)]
pub struct Minilm {
    words: Embedding,
    positions: Param<Tensor<2>>,
    kinds: Param<Tensor<2>>,
    norm: LayerNorm,
    layers: Vec<BertLayer>,
    classifier: Linear,
}

fn table(rows: usize, width: usize, device: &Device) -> Param<Tensor<2>> {
    Initializer::Normal { mean: 0.0, std: 1.0 }.init([rows, width], device)
}

impl Minilm {
    pub fn new(device: &Device) -> Self {
        let (width, feed_forward) = (384, 1536);
        let norm = || LayerNormConfig::new(width).with_epsilon(1e-12).init(device);
        let own = || linear(width, width, device);
        let layer = || BertLayer {
            query: own(),
            key: own(),
            value: own(),
            attended: own(),
            norm1: norm(),
            intermediate: linear(width, feed_forward, device),
            output: linear(feed_forward, width, device),
            norm2: norm(),
        };
        Minilm {
            words: EmbeddingConfig::new(30522, width).init(device),
            positions: table(512, width, device),
            kinds: table(2, width, device),
            norm: norm(),
            layers: (0..6).map(|_| layer()).collect(),
            classifier: linear(width, 2, device),
        }
    }

    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let [batch, length] = tokens.dims();
        let kinds = self.kinds.val().slice([0..1]).unsqueeze::<3>();
        let positions = self.positions.val().slice([0..length]).unsqueeze::<3>();
        let mut x = self.norm.forward(self.words.forward(tokens) + positions + kinds);
        for layer in &self.layers {
            x = layer.forward(x);
        }
        let width = x.dims()[2];
        self.classifier.forward(x.mean_dim(1).reshape([batch, width]))
    }
}

#[derive(Module, Debug)]
struct GptLayer {
    mix: Linear,
    mixed: Linear,
    linear1: Linear,
    linear2: Linear,
    norm1: LayerNorm,
    norm2: LayerNorm,
}

impl GptLayer {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [query, key, value]: [Tensor<3>; 3] =
            self.mix.forward(self.norm1.forward(x.clone())).chunk(3, 2).try_into().expect("there are three parts");
        let x = x + self.mixed.forward(attend(query, key, value, 8, true));
        let hidden = gelu(self.linear1.forward(self.norm2.forward(x.clone())));
        x + self.linear2.forward(hidden)
    }
}

#[derive(Module, Debug)]
pub struct Gpt {
    tokens: Embedding,
    positions: Param<Tensor<2>>,
    layers: Vec<GptLayer>,
    norm: LayerNorm,
    head: Linear,
}

impl Gpt {
    pub fn new(device: &Device) -> Self {
        let (width, feed_forward) = (256, 1024);
        let norm = || LayerNormConfig::new(width).init(device);
        let layer = || GptLayer {
            mix: linear(width, 3 * width, device),
            mixed: linear(width, width, device),
            linear1: linear(width, feed_forward, device),
            linear2: linear(feed_forward, width, device),
            norm1: norm(),
            norm2: norm(),
        };
        Gpt {
            tokens: EmbeddingConfig::new(256, width).init(device),
            positions: table(256, width, device),
            layers: (0..4).map(|_| layer()).collect(),
            norm: norm(),
            head: linear(width, 256, device),
        }
    }

    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let length = tokens.dims()[1];
        let positions = self.positions.val().slice([0..length]).unsqueeze::<3>();
        let mut x = self.tokens.forward(tokens) + positions;
        for layer in &self.layers {
            x = layer.forward(x);
        }
        let logits = self.head.forward(self.norm.forward(x));
        logits.flatten::<2>(0, 1)
    }
}
