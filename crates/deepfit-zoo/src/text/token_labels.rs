//! A linear layer on the hidden state of each token, which tells labels of words.

use std::collections::BTreeSet;
use std::ops::Range;

use deepfit_graph::Tensor;
use deepfit_nn::layers::{Dropout, Linear};
use deepfit_nn::{Module, Scope};
use serde::{Deserialize, Serialize};

use super::{Context, TextHead, TextNetwork, without};
use crate::error::{Result, require, require_lengths};
use crate::network::{InputSlot, ModelConfig, Network, build, first_blocks, wrong_inputs};

const MODEL: &str = "token_labels";

/// Settings of a linear layer on each token's hidden state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenLabelsConfig {
    /// The network whose hidden states are labelled; its own last layer is not used.
    pub backbone: Box<ModelConfig>,
    /// Share of what the linear layer sees that is dropped in training.
    #[serde(default)]
    pub dropout: f32,
    /// Number of labels.
    pub outputs: usize,
}

impl TokenLabelsConfig {
    /// Makes the network and declares its parameters: those of the backbone but its last layers, and `classifier`.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<TokenLabels> {
        require_lengths(&[self.outputs], MODEL, "outputs")?;
        let whole = scope.apart();
        let backbone = build(&self.backbone.clone().with_text_head(TextHead::None), &whole)?;
        require(backbone.text().is_some(), MODEL, "backbone", || {
            format!("is a {}, which takes no texts", self.backbone.model_type())
        })?;
        let width = backbone.text().map_or(0, |text| text.sizes().width);
        let network = TokenLabels {
            backbone,
            outputs: self.outputs,
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

/// A linear layer on each token's hidden state. Inputs: those of the backbone. Its result is f32
/// `[batch, sequence, outputs]`; what stands behind a text's end means nothing.
pub struct TokenLabels {
    backbone: Box<dyn Network>,
    outputs: usize,
    dropout: Dropout,
    classifier: Linear,
}

impl Network for TokenLabels {
    fn inputs(&self) -> Vec<InputSlot> {
        self.backbone.inputs()
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    /// The tables of words and positions, and each layer.
    fn blocks(&self) -> usize {
        self.backbone.text().map_or(0, TextNetwork::blocks)
    }

    fn up_to(&self, inputs: &[Tensor], blocks: usize) -> deepfit_nn::Result<Tensor> {
        let [tokens, lengths] = inputs else { return Err(wrong_inputs(self, inputs.len())) };
        let body = self.backbone.text().ok_or_else(|| without("backbone", "this network takes no texts"))?;
        body.up_to(tokens, &Context::whole(tokens, lengths)?, blocks)
    }

    /// Nothing but what comes after all of them: the layers below need the texts' lengths.
    fn through(&self, value: &Tensor, blocks: Range<usize>) -> deepfit_nn::Result<Tensor> {
        if blocks.start < self.blocks() {
            return Err(without("blocks", "a network for texts goes on from its texts alone"));
        }
        Ok(value.clone())
    }

    fn positions(&self) -> Option<usize> {
        self.backbone.positions()
    }

    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        self.classifier.forward(&self.dropout.forward(features)?)
    }
}
