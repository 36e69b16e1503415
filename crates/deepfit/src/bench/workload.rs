//! The list of workloads.

use deepfit_graph::{DType, Tensor, Tracer};
use deepfit_nn::losses::{CrossEntropy, cross_entropy};
use deepfit_nn::optim::{Adam, Optimizer, Sgd};
use deepfit_nn::{Result, Scope};
use deepfit_zoo::{
    ImageConfig, InputSlot, InvertedResidualConfig, MlpConfig, MobilenetV2Config, Network, ResnetConfig,
};

use super::networks;

/// Name of the input that holds the true classes.
pub const TARGET: &str = "target";

/// Sizes that may be asked for instead of those of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Rows of the batch.
    pub batch: Option<usize>,
    /// Neurons of a hidden layer, or of a token.
    pub width: Option<usize>,
    /// Hidden layers.
    pub depth: Option<usize>,
    /// Steps or tokens of an example.
    pub sequence: Option<usize>,
}

/// The sizes that a workload has beside its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    Batch,
    Layers,
    Sequence,
    /// Like `Sequence`, and its width is a whole number of heads.
    Heads,
}

/// A network, its batch and its optimiser.
#[derive(Clone)]
pub struct Workload {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a few words.
    pub purpose: &'static str,
    /// Rows of the batch.
    pub batch: usize,
    /// Number of classes that the targets are drawn from.
    pub classes: usize,
    /// What trains it, with the learning rate; without it the network is used, not trained.
    pub optimizer: Option<(Optimizer, f64)>,
    network: fn(&Scope, &Sizes) -> deepfit_zoo::Result<Box<dyn Network>>,
    has: Has,
    sizes: Sizes,
}

const LISTED: Sizes = Sizes { batch: None, width: None, depth: None, sequence: None };

const fn adamw() -> Option<(Optimizer, f64)> {
    Some((Optimizer::AdamW(Adam { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.01, amsgrad: false }), 1e-3))
}

const fn sgd() -> Option<(Optimizer, f64)> {
    Some((Optimizer::Sgd(Sgd { momentum: 0.9, dampening: 0.0, nesterov: false, weight_decay: 0.0 }), 0.01))
}

/// All workloads.
pub const WORKLOADS: [Workload; 11] = [
    Workload {
        name: "mlp_small",
        purpose: "30-64-64-2 neurons",
        batch: 32,
        classes: 2,
        optimizer: adamw(),
        network: |scope, sizes| mlp(scope, 30, 64, 2, sizes),
        has: Has::Layers,
        sizes: LISTED,
    },
    Workload {
        name: "mlp",
        purpose: "784-512-512-10 neurons",
        batch: 128,
        classes: 10,
        optimizer: adamw(),
        network: |scope, sizes| mlp(scope, 784, 512, 10, sizes),
        has: Has::Layers,
        sizes: LISTED,
    },
    Workload {
        name: "lenet",
        purpose: "two convolutions and two linear layers, 28x28",
        batch: 64,
        classes: 10,
        optimizer: adamw(),
        network: |scope, _| Ok(Box::new(networks::Lenet::new(scope))),
        has: Has::Batch,
        sizes: LISTED,
    },
    Workload {
        name: "resnet18_cifar",
        purpose: "ResNet-18 with the small stem, 32x32",
        batch: 32,
        classes: 10,
        optimizer: sgd(),
        network: |scope, _| Ok(Box::new(ResnetConfig::resnet18(ImageConfig::new(32, 32, 3), 10).build(scope)?)),
        has: Has::Batch,
        sizes: LISTED,
    },
    Workload {
        name: "resnet18_224",
        purpose: "ResNet-18, 224x224",
        batch: 8,
        classes: 1000,
        optimizer: sgd(),
        network: resnet18_224,
        has: Has::Batch,
        sizes: LISTED,
    },
    Workload {
        name: "resnet18_224_infer",
        purpose: "ResNet-18 in use, 224x224",
        batch: 8,
        classes: 1000,
        optimizer: None,
        network: resnet18_224,
        has: Has::Batch,
        sizes: LISTED,
    },
    Workload {
        name: "dwconv",
        purpose: "inverted residuals with depth-wise convolutions, 96x96",
        batch: 16,
        classes: 10,
        optimizer: sgd(),
        network: |scope, _| Ok(Box::new(dwconv().build(scope)?)),
        has: Has::Batch,
        sizes: LISTED,
    },
    Workload {
        name: "lstm",
        purpose: "two layers of LSTM, 64 steps",
        batch: 32,
        classes: 10,
        optimizer: adamw(),
        network: |scope, sizes| Ok(Box::new(networks::SequenceClassifier::new(scope, sizes)?)),
        has: Has::Sequence,
        sizes: LISTED,
    },
    Workload {
        name: "minilm",
        purpose: "BERT encoder of MiniLM's size, 128 tokens",
        batch: 16,
        classes: 2,
        optimizer: adamw(),
        network: |scope, sizes| Ok(Box::new(networks::Encoder::new(scope, sizes))),
        has: Has::Heads,
        sizes: LISTED,
    },
    Workload {
        name: "minilm_infer",
        purpose: "the same in use",
        batch: 16,
        classes: 2,
        optimizer: None,
        network: |scope, sizes| Ok(Box::new(networks::Encoder::new(scope, sizes))),
        has: Has::Heads,
        sizes: LISTED,
    },
    Workload {
        name: "gpt",
        purpose: "causal decoder, 256 tokens",
        batch: 8,
        classes: networks::Decoder::VOCABULARY,
        optimizer: adamw(),
        network: |scope, sizes| Ok(Box::new(networks::Decoder::new(scope, sizes)?)),
        has: Has::Heads,
        sizes: LISTED,
    },
];

fn mlp(
    scope: &Scope,
    inputs: usize,
    width: usize,
    outputs: usize,
    sizes: &Sizes,
) -> deepfit_zoo::Result<Box<dyn Network>> {
    let hidden = vec![sizes.width.unwrap_or(width); sizes.depth.unwrap_or(2)];
    Ok(Box::new(MlpConfig { hidden, ..MlpConfig::new(inputs, outputs) }.build(scope)?))
}

fn resnet18_224(scope: &Scope, _: &Sizes) -> deepfit_zoo::Result<Box<dyn Network>> {
    Ok(Box::new(ResnetConfig::resnet18(ImageConfig::new(224, 224, 3), 1000).build(scope)?))
}

fn dwconv() -> MobilenetV2Config {
    let block = |(i, (channels, stride)): (usize, (usize, usize))| InvertedResidualConfig {
        expansion: if i == 0 { 1 } else { 6 },
        channels,
        stride,
    };
    let blocks = [(16, 1), (24, 2), (24, 1), (40, 2), (40, 1), (80, 2), (80, 1)];
    MobilenetV2Config {
        image: ImageConfig::new(96, 96, 3),
        outputs: 10,
        stem: 32,
        blocks: blocks.into_iter().enumerate().map(block).collect(),
        last: None,
        dropout: 0.0,
    }
}

impl Workload {
    /// The workload of that name.
    pub fn named(name: &str) -> Option<&'static Workload> {
        WORKLOADS.iter().find(|w| w.name == name)
    }

    /// The same with other sizes.
    ///
    /// # Errors
    /// If it has no such size, or not that one.
    pub fn with(&self, sizes: Sizes) -> std::result::Result<Workload, String> {
        let layers = self.has != Has::Batch;
        let length = matches!(self.has, Has::Sequence | Has::Heads);
        for (name, asked, has) in
            [("width", sizes.width, layers), ("depth", sizes.depth, layers), ("sequence", sizes.sequence, length)]
        {
            if asked.is_some() && !has {
                return Err(format!("{} has no {name} that can be chosen", self.name));
            }
        }
        match sizes.width {
            Some(width) if self.has == Has::Heads && !width.is_multiple_of(networks::HEAD_WIDTH) => {
                Err(format!("{}: a width of {width} is no multiple of {}", self.name, networks::HEAD_WIDTH))
            }
            _ => Ok(Workload { batch: sizes.batch.unwrap_or(self.batch), sizes, ..self.clone() }),
        }
    }

    /// The network.
    ///
    /// # Errors
    /// Never, since its settings are checked; a network says so by a result.
    pub fn build(&self, scope: &Scope) -> deepfit_zoo::Result<Box<dyn Network>> {
        (self.network)(scope, &self.sizes)
    }

    /// The targets: one class for each example, or for each token of a language model, i32.
    pub fn target(&self) -> InputSlot {
        let shape = if self.name == "gpt" {
            vec![self.sizes.sequence.unwrap_or(networks::Decoder::LENGTH)]
        } else {
            Vec::new()
        };
        InputSlot::new(TARGET, &shape, DType::I32)
    }

    /// Number of different tokens that a network of this workload reads.
    pub fn tokens(&self) -> usize {
        if self.name == "gpt" { networks::Decoder::VOCABULARY } else { networks::Encoder::VOCABULARY }
    }

    /// Cross-entropy of the network's logits.
    ///
    /// # Errors
    /// If they do not fit the targets.
    pub fn loss(&self, tracer: &Tracer, logits: &Tensor) -> Result<Tensor> {
        let target = self.target().on(tracer);
        // Every token is a row.
        let rows = target.shape().elements();
        let classes = logits.shape().dims().last().copied().unwrap_or(rows);
        let (logits, target) = (logits.reshape(vec![rows, classes])?, target.reshape(vec![rows])?);
        cross_entropy(&logits, &target, &CrossEntropy::default())
    }
}
