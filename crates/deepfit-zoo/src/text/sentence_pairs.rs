//! Both texts of each of several pairs, embedded by the same network.

use std::collections::BTreeSet;

use deepfit_graph::{DType, Tensor};
use deepfit_nn::Scope;
use serde::{Deserialize, Serialize};

use super::pooled::unit_length;
use super::pooling::pooled_each;
use super::{Context, LENGTHS, Pooling, SECOND, TOKENS, TextHead, TextNetwork, without};
use crate::error::{Result, require};
use crate::network::{InputSlot, ModelConfig, Network, build, first_blocks, take};

const MODEL: &str = "sentence_pairs";
/// Name of the input of the tokens' positions in their text.
const POSITIONS: &str = "positions";

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

/// Both texts of pairs side by side, which see nothing of each other, so that little is filled up where they are of different
/// lengths. Inputs: the tokens of the first and, behind them, of the second, i32 `[batch, T]`, with the position of each in its
/// text, i32 `[batch, T]`; the lengths of both together and where the second begins, i32 `[batch]` each. Its output is, for each
/// pair, both embeddings, each 1 long: f32 `[batch, 2 width]`.
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
        let sequence = |name| InputSlot::sequence(name, &[], DType::I32);
        let number = |name| InputSlot::new(name, &[], DType::I32);
        vec![sequence(TOKENS), sequence(POSITIONS), number(LENGTHS), number(SECOND)]
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
        let [tokens, positions, lengths, second] = take(self, inputs)?;
        let context = Context::side_by_side(&tokens, &positions, &lengths, &second)?;
        let hidden = self.body()?.up_to(&tokens, &context, blocks)?;
        if blocks < self.blocks() {
            return Ok(hidden);
        }
        let (first, second) = pooled_each(self.pooling, &hidden, &lengths, &second)?;
        Ok(unit_length(&first)?.concat(&[&unit_length(&second)?], 1)?)
    }

    fn head(&self, features: &Tensor) -> deepfit_nn::Result<Tensor> {
        Ok(features.clone())
    }
}
