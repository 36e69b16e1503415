//! Networks of which one number of each row is explained, made of such that give many.

use deepfit_graph::ops::ReduceKind;
use deepfit_graph::{DType, Tensor};
use deepfit_nn::NnError;
use deepfit_zoo::{Context, InputSlot, Network, Pooling, pooled};

/// Input of [`WordLabels`]: the place behind the token in which a word begins, i32 `[batch]`.
pub(super) const BEHIND: &str = "explain:behind";

/// The labels of one word of a text, by a network that labels all of them. Inputs: those of the network, and the place
/// [behind](BEHIND) the token in which the word begins. Its output is f32 `[batch, labels]`.
pub(super) struct WordLabels(pub(super) Box<dyn Network>);

impl Network for WordLabels {
    fn inputs(&self) -> Vec<InputSlot> {
        let mut inputs = self.0.inputs();
        inputs.push(InputSlot::new(BEHIND, &[], DType::I32));
        inputs
    }

    fn outputs(&self) -> usize {
        self.0.outputs()
    }

    fn forward(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        let Some((behind, inputs)) = inputs.split_last() else { return Err(none()) };
        pooled(Pooling::Last, &self.0.forward(inputs)?, behind)
    }

    fn positions(&self) -> Option<usize> {
        self.0.positions()
    }
}

/// The token that comes behind a text, by a network that continues texts. Inputs: tokens and lengths. Its output is f32
/// `[batch, vocabulary]`.
pub(super) struct NextWord(pub(super) Box<dyn Network>);

impl Network for NextWord {
    fn inputs(&self) -> Vec<InputSlot> {
        self.0.inputs()
    }

    fn outputs(&self) -> usize {
        self.0.outputs()
    }

    fn forward(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        let ([tokens, lengths], Some(text)) = (inputs, self.0.text()) else { return Err(none()) };
        let hidden = text.hidden(tokens, &Context::whole(tokens, lengths)?)?;
        text.next_words(&pooled(Pooling::Last, &hidden, lengths)?)
    }

    fn positions(&self) -> Option<usize> {
        self.0.positions()
    }
}

/// How near both texts of a pair are, the cosine of their embeddings, by a network that gives these side by side. Its output
/// is f32 `[batch, 1]`.
pub(super) struct Nearness(pub(super) Box<dyn Network>);

impl Network for Nearness {
    fn inputs(&self) -> Vec<InputSlot> {
        self.0.inputs()
    }

    fn outputs(&self) -> usize {
        1
    }

    fn forward(&self, inputs: &[Tensor]) -> deepfit_nn::Result<Tensor> {
        let both = self.0.forward(inputs)?;
        let width = self.0.outputs() / 2;
        let [first, second] = [both.slice(1, 0, width)?, both.slice(1, width, width)?];
        Ok(first.mul(&second)?.reduce(ReduceKind::Sum, &[1], true)?)
    }

    fn positions(&self) -> Option<usize> {
        self.0.positions()
    }
}

fn none() -> NnError {
    NnError::Setting {
        place: "network".to_string(),
        setting: "inputs".to_string(),
        problem: "are not those of a text".to_string(),
    }
}
