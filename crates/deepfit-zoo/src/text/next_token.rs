//! How well a network that continues texts foresees each token of some.

use deepfit_graph::ops::ReduceKind;
use deepfit_graph::{DType, Tensor};
use deepfit_nn::Scope;
use serde::{Deserialize, Serialize};

use super::{Context, TextHead, TextNetwork, without};
use crate::error::{Result, require};
use crate::network::{InputSlot, ModelConfig, Network, build, take};

const MODEL: &str = "next_token";
/// Name of the input of the tokens that come next, i32 `[batch, sequence]`.
pub const NEXT: &str = "next";

/// Settings of a network that continues texts, as it is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextTokenConfig {
    /// The network; its last layer tells the next token.
    pub network: Box<ModelConfig>,
}

impl NextTokenConfig {
    /// Makes the network and declares its parameters.
    ///
    /// # Errors
    /// If a setting is impossible, naming it.
    pub fn build(&self, scope: &Scope) -> Result<NextToken> {
        let network = build(&self.network, scope)?;
        let continues = network.text().is_some_and(|text| text.sizes().head == TextHead::Vocabulary);
        require(continues, MODEL, "network", || {
            format!("is a {} that tells no next token", self.network.model_type())
        })?;
        Ok(NextToken { network })
    }
}

/// A network that continues texts, as it is trained. Inputs: tokens, lengths, and the tokens that come [next](NEXT). Its
/// output is, for each text, the mean over its tokens of the negative logarithm of their probability.
pub struct NextToken {
    network: Box<dyn Network>,
}

impl NextToken {
    fn body(&self) -> deepfit_nn::Result<&TextNetwork> {
        self.network.text().ok_or_else(|| without("network", "it takes no texts"))
    }
}

impl Network for NextToken {
    fn inputs(&self) -> Vec<InputSlot> {
        let mut inputs = self.network.inputs();
        inputs.push(InputSlot::sequence(NEXT, &[], DType::I32));
        inputs
    }

    fn outputs(&self) -> usize {
        1
    }

    fn positions(&self) -> Option<usize> {
        self.network.positions()
    }

    fn is_divided(&self) -> bool {
        false
    }

    fn blocks(&self) -> usize {
        self.network.text().map_or(0, TextNetwork::blocks)
    }

    fn up_to(&self, inputs: &[Tensor], blocks: usize) -> deepfit_nn::Result<Tensor> {
        let [tokens, lengths, _] = take(self, inputs)?;
        self.body()?.up_to(&tokens, &Context::whole(&tokens, &lengths)?, blocks)
    }

    fn features(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        let [tokens, lengths, _] = take(self, inputs)?;
        self.network.features(&[tokens, lengths])
    }

    fn forward(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        let [tokens, lengths, next] = take(self, inputs)?;
        let body = self.body()?;
        let hidden = body.hidden(&tokens, &Context::whole(&tokens, &lengths)?)?;
        let losses = body.surprise(&hidden, &next)?;
        Ok(losses.reduce(ReduceKind::Mean, &[1], true)?)
    }
}
