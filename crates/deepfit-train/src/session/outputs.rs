//! Networks with one output or several.

use deepfit_graph::{Graph, Tensor};
use deepfit_nn::step;

use super::{Network, OUTPUT};
use crate::error::Result;

/// What a network returns: a tensor, or some of them, such as the heads of a network that has several, or the mean and the
/// deviation of a code. The loss is given them as they are.
pub trait Outputs {
    /// All of them, in their order. The first is what [`Session::predict`](super::Session::predict) gives.
    fn tensors(&self) -> Vec<Tensor>;
}

impl Outputs for Tensor {
    fn tensors(&self) -> Vec<Tensor> {
        vec![self.clone()]
    }
}

impl Outputs for Vec<Tensor> {
    fn tensors(&self) -> Vec<Tensor> {
        self.clone()
    }
}

impl<const N: usize> Outputs for [Tensor; N] {
    fn tensors(&self) -> Vec<Tensor> {
        self.to_vec()
    }
}

impl<A: Outputs, B: Outputs> Outputs for (A, B) {
    fn tensors(&self) -> Vec<Tensor> {
        [self.0.tensors(), self.1.tensors()].concat()
    }
}

impl<A: Outputs, B: Outputs, C: Outputs> Outputs for (A, B, C) {
    fn tensors(&self) -> Vec<Tensor> {
        [self.0.tensors(), self.1.tensors(), self.2.tensors()].concat()
    }
}

/// The name of an output of the graph in use: the first is [`OUTPUT`].
pub(super) fn output_name(index: usize) -> String {
    if index == 0 { OUTPUT.to_string() } else { format!("{OUTPUT}.{index}") }
}

/// The graph of a network in use.
pub(super) fn prediction_graph(network: &Network) -> Result<Graph> {
    Ok(step::evaluation_graph(|tracer| {
        let outputs = network(tracer)?;
        Ok(outputs.into_iter().enumerate().map(|(index, tensor)| (output_name(index), tensor)).collect())
    })?)
}
