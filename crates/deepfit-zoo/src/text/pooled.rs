//! A linear layer on one vector for each text, which another network's hidden states are pooled to.

use std::collections::BTreeSet;
use std::ops::Range;

use deepfit_graph::{DType, Tensor};
use deepfit_nn::layers::{Dropout, Linear};
use deepfit_nn::{Module, Scope};
use serde::{Deserialize, Serialize};

use super::pooling::pooled_pair;
use super::{Context, Pooling, TextHead, TextNetwork, pooled, without};
use crate::error::{Result, require, require_lengths};
use crate::network::{InputSlot, ModelConfig, Network, build, first_blocks, wrong_inputs};

const MODEL: &str = "pooled_text";
/// Name of the input that tells where the second of two texts begins, i32 `[batch]`: at most at the text's length.
pub const SECOND: &str = "second";
/// Name of the input of what stands beside the texts, f32 `[batch, terms]`.
pub const TERMS: &str = "terms";

/// Settings of a linear layer on a text's vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PooledTextConfig {
    /// The network whose hidden states are pooled; its own last layer is not used.
    pub backbone: Box<ModelConfig>,
    /// How they become one vector.
    pub pooling: Pooling,
    /// Whether the vector is then made 1 long.
    pub normalise: bool,
    /// Whether each sample is two texts, which are compared: the layer sees the vector of each, how far these are apart, and
    /// their product, element by element (Conneau et al., 2017), unless the vector is a single token's, which has seen both.
    #[serde(default)]
    pub pairs: bool,
    /// Number of values that the linear layer sees, too: weighted words, and other columns of a table.
    #[serde(default)]
    pub terms: usize,
    /// Share of what the linear layer sees that is dropped in training.
    #[serde(default)]
    pub dropout: f32,
    /// Number of outputs.
    pub outputs: usize,
}

impl PooledTextConfig {
    /// Makes the network and declares its parameters: those of the backbone but its last layers, and `classifier`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<PooledText> {
        require_lengths(&[self.outputs], MODEL, "outputs")?;
        let whole = scope.apart();
        let backbone = build(&self.backbone.clone().with_text_head(TextHead::None), &whole)?;
        require(backbone.text().is_some(), MODEL, "backbone", || {
            format!("is a {}, which takes no texts", self.backbone.model_type())
        })?;
        let width = backbone.text().map_or(0, |text| text.sizes().width);
        let width = width * self.groups() + self.terms;
        let network = PooledText {
            backbone,
            config: self.clone(),
            dropout: Dropout::new(&scope.child("dropout"), self.dropout),
            classifier: Linear::new(&scope.child("classifier"), width, self.outputs),
        };
        let graph = first_blocks(&network, network.blocks())?;
        let used: BTreeSet<&str> = graph.parameter_names().collect();
        let declared = whole.declarations().into_iter().filter(|d| used.contains(&d.name[..]));
        declared.for_each(|d| scope.declare(d));
        Ok(network)
    }
}

impl PooledTextConfig {
    /// Number of vectors that the linear layer sees.
    pub fn groups(&self) -> usize {
        if self.pairs && matches!(self.pooling, Pooling::Mean | Pooling::Max) { 4 } else { 1 }
    }
}

/// A linear layer on one vector for each text. Inputs: those of the backbone, of pairs [`SECOND`], and perhaps [`TERMS`].
pub struct PooledText {
    backbone: Box<dyn Network>,
    config: PooledTextConfig,
    dropout: Dropout,
    classifier: Linear,
}

impl PooledText {
    fn body(&self) -> deepfit_nn::Result<&TextNetwork> {
        self.backbone.text().ok_or_else(|| without("backbone", "this network takes no texts"))
    }

    /// A vector, 1 long if it should be.
    fn normalised(&self, one: Tensor) -> deepfit_nn::Result<Tensor> {
        if !self.config.normalise {
            return Ok(one);
        }
        unit_length(&one)
    }
}

/// Vectors `[batch, width]`, each made 1 long.
pub(super) fn unit_length(vectors: &Tensor) -> deepfit_nn::Result<Tensor> {
    let squares = vectors.mul(vectors)?.reduce(deepfit_graph::ops::ReduceKind::Sum, &[1], true)?;
    Ok(vectors.div(&squares.add_scalar(1e-12)?.sqrt()?)?)
}

impl Network for PooledText {
    fn inputs(&self) -> Vec<InputSlot> {
        let mut inputs = self.backbone.inputs();
        if self.config.pairs {
            inputs.push(InputSlot::new(SECOND, &[], DType::I32));
        }
        inputs.extend(self.beside());
        inputs
    }

    fn outputs(&self) -> usize {
        self.config.outputs
    }

    /// The tables of words and positions, and each layer; what they make is pooled after the last.
    fn blocks(&self) -> usize {
        self.backbone.text().map_or(0, TextNetwork::blocks)
    }

    fn up_to(&self, inputs: &[Tensor], blocks: usize) -> deepfit_nn::Result<Tensor> {
        let [tokens, lengths, rest @ ..] = inputs else { return Err(wrong_inputs(self, inputs.len())) };
        let body = self.body()?;
        let mut context = Context::whole(tokens, lengths)?;
        let second = if self.config.pairs { Some(rest.first().ok_or_else(|| wrong_inputs(self, 2))?) } else { None };
        if let Some(second) = second {
            context = context.in_pairs(second);
        }
        let hidden = body.up_to(tokens, &context, blocks)?;
        if blocks < self.blocks() {
            return Ok(hidden);
        }
        let Some(second) = second.filter(|_| self.config.groups() > 1) else {
            return self.normalised(pooled(self.config.pooling, &hidden, lengths)?);
        };
        let (one, other) = pooled_pair(self.config.pooling, &hidden, lengths, second)?;
        let (one, other) = (self.normalised(one)?, self.normalised(other)?);
        Ok(one.concat(&[&other, &one.sub(&other)?.abs()?, &one.mul(&other)?], 1)?)
    }

    /// Nothing but what comes after all of them: the layers below need the texts' lengths.
    fn through(&self, value: &Tensor, blocks: Range<usize>) -> deepfit_nn::Result<Tensor> {
        if blocks.start < self.blocks() {
            return Err(without("blocks", "a network for texts goes on from its texts alone"));
        }
        Ok(value.clone())
    }

    fn beside(&self) -> Vec<InputSlot> {
        let terms = self.config.terms;
        if terms > 0 { vec![InputSlot::new(TERMS, &[terms], DType::F32)] } else { Vec::new() }
    }

    fn joined(&self, features: &Tensor, beside: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        match beside {
            [] => Ok(features.clone()),
            [terms, ..] => Ok(features.concat(&[terms], 1)?),
        }
    }

    fn features(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        let made = self.up_to(inputs, self.blocks())?;
        self.joined(&made, inputs.get(2 + usize::from(self.config.pairs)..).unwrap_or_default())
    }

    fn positions(&self) -> Option<usize> {
        self.backbone.positions()
    }

    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        self.classifier.forward(&self.dropout.forward(features)?)
    }
}
