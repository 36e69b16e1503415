//! Both texts of each of several pairs, embedded by the same network.

use std::collections::BTreeSet;

use deepfit_graph::{DType, Dim, Tensor};
use deepfit_nn::Scope;
use serde::{Deserialize, Serialize};

use super::pooled::unit_length;
use super::{Context, LENGTHS, Pooling, TOKENS, TextHead, TextNetwork, pooled, without};
use crate::error::{Result, require};
use crate::network::{InputSlot, ModelConfig, Network, build, first_blocks, take};

const MODEL: &str = "sentence_pairs";

/// Settings of a network that embeds texts, as it is trained on pairs of them (Reimers and Gurevych, 2019).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentencePairsConfig {
    /// The network whose hidden states are pooled; its own last layer is not used.
    pub backbone: Box<ModelConfig>,
    /// How they become one vector.
    pub pooling: Pooling,
}

impl SentencePairsConfig {
    /// Makes the network and declares its parameters: those of the backbone but its last layers.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<SentencePairs> {
        let whole = scope.apart();
        let backbone = build(&self.backbone.clone().with_text_head(TextHead::None), &whole)?;
        require(backbone.text().is_some(), MODEL, "backbone", || {
            format!("is a {}, which takes no texts", self.backbone.model_type())
        })?;
        let network = SentencePairs { backbone, pooling: self.pooling };
        let graph = first_blocks(&network, network.blocks())?;
        let used: BTreeSet<&str> = graph.parameter_names().collect();
        let declared = whole.declarations().into_iter().filter(|d| used.contains(&d.name[..]));
        declared.for_each(|d| scope.declare(d));
        Ok(network)
    }
}

/// Both texts of pairs, side by side in one batch of twice the size. Inputs: of each pair the tokens of the first text,
/// filled up, then those of the second, i32 `[batch, sequence, 2]` in name alone, and both lengths, i32 `[batch, 2]`. Its
/// output is, for each pair, both embeddings, each 1 long: f32 `[batch, 2 width]`.
pub struct SentencePairs {
    backbone: Box<dyn Network>,
    pooling: Pooling,
}

impl SentencePairs {
    fn body(&self) -> deepfit_nn::Result<&TextNetwork> {
        self.backbone.text().ok_or_else(|| without("backbone", "this network takes no texts"))
    }
}

impl Network for SentencePairs {
    fn inputs(&self) -> Vec<InputSlot> {
        vec![InputSlot::sequence(TOKENS, &[2], DType::I32), InputSlot::new(LENGTHS, &[2], DType::I32)]
    }

    fn outputs(&self) -> usize {
        self.backbone.text().map_or(0, |text| 2 * text.sizes().width)
    }

    fn positions(&self) -> Option<usize> {
        self.backbone.positions()
    }

    /// The tables of words and positions, and each layer; what they make is pooled after the last.
    fn blocks(&self) -> usize {
        self.backbone.text().map_or(0, TextNetwork::blocks)
    }

    fn up_to(&self, inputs: &[Tensor], blocks: usize) -> deepfit_nn::Result<Tensor> {
        let [tokens, lengths] = take(self, inputs)?;
        let body = self.body()?;
        let &[batch, sequence, _] = tokens.shape().dims() else {
            return Err(tokens.error(MODEL, format!("needs [batch, T, 2], not {}", tokens.shape())).into());
        };
        let texts = batch * Dim::fixed(2);
        let tokens = tokens.reshape(vec![texts, sequence])?;
        let lengths = lengths.reshape(vec![texts])?;
        let hidden = body.up_to(&tokens, &Context::whole(&tokens, &lengths)?, blocks)?;
        if blocks < self.blocks() {
            return Ok(hidden);
        }
        let one = unit_length(&pooled(self.pooling, &hidden, &lengths)?)?;
        Ok(one.reshape(vec![batch, Dim::fixed(self.outputs())])?)
    }

    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        Ok(features.clone())
    }
}
