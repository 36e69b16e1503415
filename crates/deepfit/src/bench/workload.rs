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

/// A network, its batch and its optimiser.
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
    network: fn(&Scope) -> deepfit_zoo::Result<Box<dyn Network>>,
}

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
        network: |scope| Ok(Box::new(MlpConfig { hidden: vec![64, 64], ..MlpConfig::new(30, 2) }.build(scope)?)),
    },
    Workload {
        name: "mlp",
        purpose: "784-512-512-10 neurons",
        batch: 128,
        classes: 10,
        optimizer: adamw(),
        network: |scope| Ok(Box::new(MlpConfig { hidden: vec![512, 512], ..MlpConfig::new(784, 10) }.build(scope)?)),
    },
    Workload {
        name: "lenet",
        purpose: "two convolutions and two linear layers, 28x28",
        batch: 64,
        classes: 10,
        optimizer: adamw(),
        network: |scope| Ok(Box::new(networks::Lenet::new(scope))),
    },
    Workload {
        name: "resnet18_cifar",
        purpose: "ResNet-18 with the small stem, 32x32",
        batch: 32,
        classes: 10,
        optimizer: sgd(),
        network: |scope| Ok(Box::new(ResnetConfig::resnet18(ImageConfig::new(32, 32, 3), 10).build(scope)?)),
    },
    Workload {
        name: "resnet18_224",
        purpose: "ResNet-18, 224x224",
        batch: 8,
        classes: 1000,
        optimizer: sgd(),
        network: resnet18_224,
    },
    Workload {
        name: "resnet18_224_infer",
        purpose: "ResNet-18 in use, 224x224",
        batch: 8,
        classes: 1000,
        optimizer: None,
        network: resnet18_224,
    },
    Workload {
        name: "dwconv",
        purpose: "inverted residuals with depth-wise convolutions, 96x96",
        batch: 16,
        classes: 10,
        optimizer: sgd(),
        network: |scope| Ok(Box::new(dwconv().build(scope)?)),
    },
    Workload {
        name: "lstm",
        purpose: "two layers of LSTM, 64 steps",
        batch: 32,
        classes: 10,
        optimizer: adamw(),
        network: |scope| Ok(Box::new(networks::SequenceClassifier::new(scope)?)),
    },
    Workload {
        name: "minilm",
        purpose: "BERT encoder of MiniLM's size, 128 tokens",
        batch: 16,
        classes: 2,
        optimizer: adamw(),
        network: |scope| Ok(Box::new(networks::Encoder::new(scope))),
    },
    Workload {
        name: "minilm_infer",
        purpose: "the same in use",
        batch: 16,
        classes: 2,
        optimizer: None,
        network: |scope| Ok(Box::new(networks::Encoder::new(scope))),
    },
    Workload {
        name: "gpt",
        purpose: "causal decoder, 256 tokens",
        batch: 8,
        classes: networks::Decoder::VOCABULARY,
        optimizer: adamw(),
        network: |scope| Ok(Box::new(networks::Decoder::new(scope)?)),
    },
];

fn resnet18_224(scope: &Scope) -> deepfit_zoo::Result<Box<dyn Network>> {
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

    /// The network.
    ///
    /// # Errors
    /// Never, since its settings are fixed; a network says so by a result.
    pub fn build(&self, scope: &Scope) -> deepfit_zoo::Result<Box<dyn Network>> {
        (self.network)(scope)
    }

    /// The targets: one class for each example, or for each token of a language model, i32.
    pub fn target(&self) -> InputSlot {
        let shape = if self.name == "gpt" { vec![networks::Decoder::LENGTH] } else { Vec::new() };
        InputSlot { name: TARGET.to_string(), shape, dtype: DType::I32 }
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
