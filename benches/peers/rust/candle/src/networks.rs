//! The networks of the workloads in candle.

use std::cell::OnceCell;

use candle_core::{D, DType, IndexOp, Module, Result, Tensor};
use candle_nn::{
    BatchNorm, Conv2d, Conv2dConfig, Embedding, Init, Linear, VarBuilder, batch_norm, conv2d, conv2d_no_bias,
    embedding, linear, ops,
};

/// A network that gives one row of logits for each true class.
pub trait Network {
    /// Logits of a batch; `train` chooses what has a gradient.
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor>;
}

/// The network of a workload.
pub fn build(workload: &str, vb: VarBuilder) -> Result<Box<dyn Network>> {
    Ok(match workload {
        "mlp_small" => Box::new(Mlp::new(&[30, 64, 64, 2], vb)?),
        "mlp" => Box::new(Mlp::new(&[784, 512, 512, 10], vb)?),
        "lenet" => Box::new(Lenet::new(vb)?),
        "resnet18_cifar" => Box::new(Resnet18::new(10, true, vb)?),
        "resnet18_224_infer" => Box::new(Resnet18::new(1000, false, vb)?),
        "dwconv" => Box::new(Dwconv::new(vb)?),
        "lstm" => Box::new(Lstm::new(vb)?),
        "minilm" | "minilm_infer" => Box::new(Minilm::new(vb)?),
        "gpt" => Box::new(Gpt::new(vb)?),
        other => candle_core::bail!("{other} is not written"),
    })
}

struct Mlp(Vec<Linear>);

impl Mlp {
    fn new(widths: &[usize], vb: VarBuilder) -> Result<Self> {
        let layer = |(i, w): (usize, &[usize])| linear(w[0], w[1], vb.pp(i));
        Ok(Mlp(widths.windows(2).enumerate().map(layer).collect::<Result<_>>()?))
    }
}

impl Network for Mlp {
    fn forward(&self, x: &Tensor, _: bool) -> Result<Tensor> {
        let mut x = x.clone();
        for (i, layer) in self.0.iter().enumerate() {
            x = layer.forward(&x)?;
            if i + 1 < self.0.len() {
                x = x.relu()?;
            }
        }
        Ok(x)
    }
}

fn window(kernel: usize, stride: usize, groups: usize) -> Conv2dConfig {
    Conv2dConfig { padding: kernel / 2, stride, groups, ..Conv2dConfig::default() }
}

struct Lenet {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
}

impl Lenet {
    fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Lenet {
            conv1: conv2d(1, 32, 3, window(3, 1, 1), vb.pp("conv1"))?,
            conv2: conv2d(32, 64, 3, window(3, 1, 1), vb.pp("conv2"))?,
            fc1: linear(12544, 128, vb.pp("fc1"))?,
            fc2: linear(128, 10, vb.pp("fc2"))?,
        })
    }
}

impl Network for Lenet {
    fn forward(&self, x: &Tensor, _: bool) -> Result<Tensor> {
        let x = self.conv2.forward(&self.conv1.forward(x)?.relu()?)?.relu()?;
        let x = x.max_pool2d(2)?.flatten_from(1)?;
        self.fc2.forward(&self.fc1.forward(&x)?.relu()?)
    }
}

/// A convolution without bias and its normalisation.
struct Convolution {
    conv: Conv2d,
    norm: BatchNorm,
    /// Both in one, for use.
    folded: OnceCell<Conv2d>,
}

impl Convolution {
    fn new(inputs: usize, outputs: usize, kernel: usize, stride: usize, groups: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Convolution {
            conv: conv2d_no_bias(inputs, outputs, kernel, window(kernel, stride, groups), vb.pp("conv"))?,
            norm: batch_norm(outputs, 1e-5, vb.pp("norm"))?,
            folded: OnceCell::new(),
        })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        if train {
            return self.norm.forward_train(&self.conv.forward(x)?);
        }
        if self.folded.get().is_none() {
            let _ = self.folded.set(self.conv.absorb_bn(&self.norm)?);
        }
        self.folded.get().unwrap_or(&self.conv).forward(x)
    }
}

struct BasicBlock {
    first: Convolution,
    second: Convolution,
    shortcut: Option<Convolution>,
}

impl BasicBlock {
    fn new(inputs: usize, outputs: usize, stride: usize, vb: VarBuilder) -> Result<Self> {
        let shortcut = if stride != 1 || inputs != outputs {
            Some(Convolution::new(inputs, outputs, 1, stride, 1, vb.pp("shortcut"))?)
        } else {
            None
        };
        Ok(BasicBlock {
            first: Convolution::new(inputs, outputs, 3, stride, 1, vb.pp("first"))?,
            second: Convolution::new(outputs, outputs, 3, 1, 1, vb.pp("second"))?,
            shortcut,
        })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let inner = self.second.forward(&self.first.forward(x, train)?.relu()?, train)?;
        match &self.shortcut {
            Some(shortcut) => (inner + shortcut.forward(x, train)?)?.relu(),
            None => (inner + x)?.relu(),
        }
    }
}

struct Resnet18 {
    stem: Convolution,
    pools: bool,
    blocks: Vec<BasicBlock>,
    fc: Linear,
}

impl Resnet18 {
    fn new(outputs: usize, small_stem: bool, vb: VarBuilder) -> Result<Self> {
        let (kernel, stride) = if small_stem { (3, 1) } else { (7, 2) };
        let widths = [64, 64, 128, 256, 512];
        let mut blocks = Vec::new();
        for i in 1..5 {
            let vb = vb.pp(format!("layer{i}"));
            blocks.push(BasicBlock::new(widths[i - 1], widths[i], if i == 1 { 1 } else { 2 }, vb.pp(0))?);
            blocks.push(BasicBlock::new(widths[i], widths[i], 1, vb.pp(1))?);
        }
        Ok(Resnet18 {
            stem: Convolution::new(3, 64, kernel, stride, 1, vb.pp("stem"))?,
            pools: !small_stem,
            blocks,
            fc: linear(512, outputs, vb.pp("fc"))?,
        })
    }
}

impl Network for Resnet18 {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut x = self.stem.forward(x, train)?.relu()?;
        if self.pools {
            // The borders are rectified values: zeros never win.
            let padded = x.pad_with_zeros(2, 1, 1)?.pad_with_zeros(3, 1, 1)?;
            x = padded.max_pool2d_with_stride(3, 2)?;
        }
        for block in &self.blocks {
            x = block.forward(&x, train)?;
        }
        self.fc.forward(&x.flatten_from(2)?.mean(2)?)
    }
}

struct InvertedResidual {
    expand: Option<Convolution>,
    depthwise: Convolution,
    project: Convolution,
    adds_input: bool,
}

struct Dwconv {
    stem: Convolution,
    blocks: Vec<InvertedResidual>,
    classifier: Linear,
}

impl Dwconv {
    fn new(vb: VarBuilder) -> Result<Self> {
        let mut inputs = 32;
        let mut blocks = Vec::new();
        let all = [(16, 1), (24, 2), (24, 1), (40, 2), (40, 1), (80, 2), (80, 1)];
        for (i, (outputs, stride)) in all.into_iter().enumerate() {
            let vb = vb.pp(format!("block{i}"));
            let hidden = if i == 0 { inputs } else { 6 * inputs };
            let expand = if i == 0 { None } else { Some(Convolution::new(inputs, hidden, 1, 1, 1, vb.pp("expand"))?) };
            blocks.push(InvertedResidual {
                expand,
                depthwise: Convolution::new(hidden, hidden, 3, stride, hidden, vb.pp("depthwise"))?,
                project: Convolution::new(hidden, outputs, 1, 1, 1, vb.pp("project"))?,
                adds_input: stride == 1 && inputs == outputs,
            });
            inputs = outputs;
        }
        let stem = Convolution::new(3, 32, 3, 2, 1, vb.pp("stem"))?;
        Ok(Dwconv { stem, blocks, classifier: linear(inputs, 10, vb.pp("classifier"))? })
    }
}

impl Network for Dwconv {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let relu6 = |x: Tensor| x.clamp(0f32, 6f32);
        let mut x = relu6(self.stem.forward(x, train)?)?;
        for block in &self.blocks {
            let mut inner = x.clone();
            if let Some(expand) = &block.expand {
                inner = relu6(expand.forward(&inner, train)?)?;
            }
            inner = block.project.forward(&relu6(block.depthwise.forward(&inner, train)?)?, train)?;
            x = if block.adds_input { (inner + x)? } else { inner };
        }
        self.classifier.forward(&x.flatten_from(2)?.mean(2)?)
    }
}

/// Steps are tensors of their own: the gradient of a part of a larger one is as large as the whole.
struct Lstm {
    layers: Vec<(Linear, Linear)>,
    fc: Linear,
}

impl Lstm {
    const HIDDEN: usize = 256;

    fn new(vb: VarBuilder) -> Result<Self> {
        let hidden = Self::HIDDEN;
        let layer = |inputs: usize, vb: VarBuilder| -> Result<(Linear, Linear)> {
            Ok((linear(inputs, 4 * hidden, vb.pp("input"))?, linear(hidden, 4 * hidden, vb.pp("recurrent"))?))
        };
        Ok(Lstm { layers: vec![layer(64, vb.pp(0))?, layer(hidden, vb.pp(1))?], fc: linear(hidden, 10, vb.pp("fc"))? })
    }
}

impl Network for Lstm {
    fn forward(&self, x: &Tensor, _: bool) -> Result<Tensor> {
        let (batch, steps, _) = x.dims3()?;
        let mut steps: Vec<Tensor> = (0..steps).map(|step| x.i((.., step))?.contiguous()).collect::<Result<_>>()?;
        let zeros = Tensor::zeros((batch, Self::HIDDEN), DType::F32, x.device())?;
        for (input, recurrent) in &self.layers {
            let (mut h, mut c) = (zeros.clone(), zeros.clone());
            for step in &mut steps {
                let gates = (input.forward(step)? + recurrent.forward(&h)?)?;
                let gate = |i: usize| gates.narrow(1, i * Self::HIDDEN, Self::HIDDEN)?.contiguous();
                let kept = (ops::sigmoid(&gate(1)?)? * &c)?;
                c = (kept + (ops::sigmoid(&gate(0)?)? * gate(2)?.tanh()?)?)?;
                h = (ops::sigmoid(&gate(3)?)? * c.tanh()?)?;
                *step = h.clone();
            }
        }
        self.fc.forward(&steps[steps.len() - 1])
    }
}

struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f32,
}

impl LayerNorm {
    fn new(width: usize, epsilon: f32, vb: VarBuilder) -> Result<Self> {
        Ok(LayerNorm {
            weight: vb.get_with_hints(width, "weight", Init::Const(1.0))?,
            bias: vb.get_with_hints(width, "bias", Init::Const(0.0))?,
            epsilon,
        })
    }

    /// The fused one has no gradient.
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        if train {
            ops::layer_norm_slow(x, &self.weight, &self.bias, self.epsilon)
        } else {
            ops::layer_norm(&x.contiguous()?, &self.weight, &self.bias, self.epsilon)
        }
    }
}

fn attend(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    number: usize,
    mask: Option<&Tensor>,
    train: bool,
) -> Result<Tensor> {
    let (batch, length, width) = query.dims3()?;
    let each = width / number;
    let heads = |x: &Tensor| x.reshape((batch, length, number, each))?.transpose(1, 2)?.contiguous();
    let (query, key, value) = (heads(query)?, heads(key)?, heads(value)?);
    let mut scores = (query.matmul(&key.t()?)? * (1.0 / (each as f64).sqrt()))?;
    if let Some(mask) = mask {
        scores = scores.broadcast_add(mask)?;
    }
    // The fused one has no gradient.
    let shares = if train { ops::softmax(&scores, D::Minus1)? } else { ops::softmax_last_dim(&scores)? };
    shares.matmul(&value)?.transpose(1, 2)?.reshape((batch, length, width))
}

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

struct Minilm {
    words: Embedding,
    positions: Embedding,
    kinds: Embedding,
    norm: LayerNorm,
    layers: Vec<BertLayer>,
    classifier: Linear,
}

impl Minilm {
    fn new(vb: VarBuilder) -> Result<Self> {
        let (width, feed_forward) = (384, 1536);
        let norm = |vb: VarBuilder| LayerNorm::new(width, 1e-12, vb);
        let layer = |vb: VarBuilder| -> Result<BertLayer> {
            let own = |name: &str| linear(width, width, vb.pp(name));
            Ok(BertLayer {
                query: own("query")?,
                key: own("key")?,
                value: own("value")?,
                attended: own("attended")?,
                norm1: norm(vb.pp("norm1"))?,
                intermediate: linear(width, feed_forward, vb.pp("intermediate"))?,
                output: linear(feed_forward, width, vb.pp("output"))?,
                norm2: norm(vb.pp("norm2"))?,
            })
        };
        Ok(Minilm {
            words: embedding(30522, width, vb.pp("words"))?,
            positions: embedding(512, width, vb.pp("positions"))?,
            kinds: embedding(2, width, vb.pp("kinds"))?,
            norm: norm(vb.pp("norm"))?,
            layers: (0..6).map(|i| layer(vb.pp(format!("layer{i}")))).collect::<Result<_>>()?,
            classifier: linear(width, 2, vb.pp("classifier"))?,
        })
    }
}

impl Network for Minilm {
    fn forward(&self, tokens: &Tensor, train: bool) -> Result<Tensor> {
        let length = tokens.dim(1)?;
        let x = self.words.forward(tokens)?.broadcast_add(&self.positions.embeddings().narrow(0, 0, length)?)?;
        let mut x = self.norm.forward(&x.broadcast_add(&self.kinds.embeddings().i(0)?)?, train)?;
        for layer in &self.layers {
            let (query, key, value) = (layer.query.forward(&x)?, layer.key.forward(&x)?, layer.value.forward(&x)?);
            let mixed = attend(&query, &key, &value, 12, None, train)?;
            x = layer.norm1.forward(&(&x + layer.attended.forward(&mixed)?)?, train)?;
            let hidden = layer.intermediate.forward(&x)?.gelu_erf()?;
            x = layer.norm2.forward(&(&x + layer.output.forward(&hidden)?)?, train)?;
        }
        self.classifier.forward(&x.mean(1)?)
    }
}

struct GptLayer {
    mix: Linear,
    mixed: Linear,
    linear1: Linear,
    linear2: Linear,
    norm1: LayerNorm,
    norm2: LayerNorm,
}

struct Gpt {
    tokens: Embedding,
    positions: Embedding,
    mask: Tensor,
    layers: Vec<GptLayer>,
    norm: LayerNorm,
    head: Linear,
}

impl Gpt {
    fn new(vb: VarBuilder) -> Result<Self> {
        let (width, feed_forward, length) = (256, 1024, 256);
        let norm = |vb: VarBuilder| LayerNorm::new(width, 1e-5, vb);
        let layer = |vb: VarBuilder| -> Result<GptLayer> {
            Ok(GptLayer {
                mix: linear(width, 3 * width, vb.pp("mix"))?,
                mixed: linear(width, width, vb.pp("mixed"))?,
                linear1: linear(width, feed_forward, vb.pp("linear1"))?,
                linear2: linear(feed_forward, width, vb.pp("linear2"))?,
                norm1: norm(vb.pp("norm1"))?,
                norm2: norm(vb.pp("norm2"))?,
            })
        };
        let later = |i: usize| if i % length > i / length { f32::NEG_INFINITY } else { 0.0 };
        Ok(Gpt {
            tokens: embedding(256, width, vb.pp("tokens"))?,
            positions: embedding(length, width, vb.pp("positions"))?,
            mask: Tensor::from_vec((0..length * length).map(later).collect::<Vec<_>>(), (length, length), vb.device())?,
            layers: (0..4).map(|i| layer(vb.pp(format!("layer{i}")))).collect::<Result<_>>()?,
            norm: norm(vb.pp("norm"))?,
            head: linear(width, 256, vb.pp("head"))?,
        })
    }
}

impl Network for Gpt {
    fn forward(&self, tokens: &Tensor, train: bool) -> Result<Tensor> {
        let mut x = self.tokens.forward(tokens)?.broadcast_add(self.positions.embeddings())?;
        for layer in &self.layers {
            let parts = layer.mix.forward(&layer.norm1.forward(&x, train)?)?.chunk(3, 2)?;
            let mixed = attend(&parts[0], &parts[1], &parts[2], 8, Some(&self.mask), train)?;
            x = (&x + layer.mixed.forward(&mixed)?)?;
            let hidden = layer.linear1.forward(&layer.norm2.forward(&x, train)?)?.gelu_erf()?;
            x = (&x + layer.linear2.forward(&hidden)?)?;
        }
        self.head.forward(&self.norm.forward(&x, train)?)?.flatten_to(1)
    }
}
