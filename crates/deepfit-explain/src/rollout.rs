//! Attention roll-out (Abnar and Zuidema, 2020): how much of what the last layer reads has come from each token, if each layer
//! of attention mixes its tokens by its weights, the mean of all heads, and passes as much on as it mixes.
//!
//! What a token's vector says, what the other parts of a layer make of it, and which class it speaks for plays no part in it.

use std::collections::BTreeSet;

use deepfit_graph::{Mode, Tensor, Tracer};
use deepfit_nn::step::evaluation_graph;
use deepfit_zoo::{POOLING, READ, TOKENS};

use crate::error::{ExplainError, Result};
use crate::method::{Kind, Method};
use crate::rows::Rows;
use crate::subject::{LOGITS, Subject};

/// The intermediate of attention that holds its weights, `[batch, heads, T, S]`.
const WEIGHTS: &str = "weights";
/// What the attributions are parts of.
pub(crate) const UNIT: &str = "attention";
/// What they mean, for whoever reads them.
pub(crate) const MEANING: &str = "shares of what the last layer reads, by the weights of attention: where the network looks, not \
                                  what speaks for its answer; they would be the same for any other";

/// What of a network is watched.
#[derive(Debug, Clone)]
struct Watched {
    /// Layers that are asked for the weights of their attention.
    layers: BTreeSet<String>,
    /// Outputs that hold weights, from the first layer to the last.
    weights: Vec<String>,
    /// Outputs that hold how much is read from each token.
    read: Vec<String>,
}

/// Traces the network with what is to be watched of it.
fn traced(subject: &Subject, layers: &BTreeSet<String>) -> Result<Tracer> {
    let tracer = Tracer::new(Mode::Evaluate);
    watch(&tracer, layers);
    subject.network().forward(&subject.inputs(&tracer))?;
    Ok(tracer)
}

fn watch(tracer: &Tracer, layers: &BTreeSet<String>) {
    layers.iter().for_each(|layer| tracer.watch(layer, WEIGHTS));
    tracer.watch(POOLING, READ);
}

/// What there is to watch; nothing if tokens do not look at each other, or no vector is read from them.
fn watched(subject: &Subject) -> Result<Option<Watched>> {
    let offered = traced(subject, &BTreeSet::new())?.offered();
    let layers: BTreeSet<String> =
        offered.into_iter().filter(|(_, name)| name == WEIGHTS).map(|(layer, _)| layer).collect();
    // A second time, with all of them at hand, in the order in which they are computed.
    let tracer = traced(subject, &layers)?;
    let mut found = tracer.watched();
    found.sort_by_key(|(_, tensor)| tensor.value().node);
    let within = |tensor: &Tensor| {
        let dims = tensor.shape().dims();
        dims.len() == 4 && dims[2] == dims[3]
    };
    let (mut weights, mut read) = (Vec::new(), Vec::new());
    for (name, tensor) in found {
        match tensor.shape().rank() {
            2 => read.push(name),
            _ if within(&tensor) => weights.push(name),
            _ => return Ok(None),
        }
    }
    Ok((!weights.is_empty() && !read.is_empty()).then_some(Watched { layers, weights, read }))
}

/// Fails for a network without attention, saying what there is for it.
///
/// # Errors
/// If tokens do not look at each other in it.
pub(crate) fn require(subject: &Subject, kind: Kind) -> Result<()> {
    watched(subject)?.map(|_| ()).ok_or_else(|| without(kind))
}

fn without(kind: Kind) -> ExplainError {
    let method = Method::AttentionRollout;
    ExplainError::asked(format!(
        "{method} follows the weights of attention between tokens, and this network has none; for it there are {}",
        method.others(kind)
    ))
}

/// How much of what the last layer reads of a row has come from each token, by attention through all layers: for each input of
/// the network as many values as it has tokens, 1 in all and none below 0; empty for inputs that are no tokens. What stands
/// behind a text's end has nothing.
///
/// # Errors
/// If the network has no attention, cannot run, or there is no memory for the weights of all layers.
pub fn rollout(subject: &mut Subject, row: &Rows) -> Result<Vec<Vec<f64>>> {
    let Watched { layers, weights, read } = watched(subject)?.ok_or_else(|| without(Kind::Texts))?;
    let compiled = subject.program(Method::AttentionRollout.name(), row, |subject| {
        Ok(evaluation_graph(|tracer| {
            watch(tracer, &layers);
            let logits = subject.network().forward(&subject.inputs(tracer))?;
            Ok(vec![(LOGITS.to_string(), logits)])
        })?)
    })?;
    subject.run(compiled, row, &[])?;
    let mut shares = vec![0.0; row.sequence];
    for name in &read {
        add(&mut shares, subject.output(compiled, name)?);
    }
    let sum: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= sum.max(f64::MIN_POSITIVE));
    for name in weights.iter().rev() {
        shares = before(&shares, subject.output(compiled, name)?);
    }
    let of = |name: &String| if name == TOKENS { shares.clone() } else { Vec::new() };
    Ok(subject.names().iter().map(of).collect())
}

fn add(sums: &mut [f64], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += f64::from(value));
}

/// Shares of tokens before a layer, by those behind it and its weights `[heads, T, T]`: one half of each has come through
/// attention, the other past it. A token that sees nothing has come past it as a whole.
fn before(behind: &[f64], weights: &[f32]) -> Vec<f64> {
    let tokens = behind.len();
    let heads = weights.chunks_exact((tokens * tokens).max(1));
    let mut shares = vec![0.0; tokens];
    let mut seen = vec![0.0; tokens];
    for (token, &share) in behind.iter().enumerate().filter(|(_, share)| **share != 0.0) {
        seen.fill(0.0);
        for head in heads.clone() {
            add(&mut seen, &head[token * tokens..(token + 1) * tokens]);
        }
        let count = heads.len() as f64;
        seen.iter_mut().for_each(|weight| *weight /= count);
        // The row of half the weights and half the token itself, made 1 in all.
        let whole = 1.0 + seen.iter().sum::<f64>();
        shares.iter_mut().zip(&seen).for_each(|(sum, weight)| *sum += share * weight / whole);
        shares[token] += share / whole;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_token_comes_through_attention_by_the_mean_of_all_heads() {
        // Two heads, three tokens; the last sees nothing.
        let first = [1.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0];
        let second = [0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0];
        let weights = [first, second].concat();
        assert_eq!(before(&[1.0, 0.0, 0.0], &weights), [0.75, 0.25, 0.0]);
        assert_eq!(before(&[0.0, 1.0, 0.0], &weights), [0.125, 0.875, 0.0]);
        assert_eq!(before(&[0.0, 0.0, 1.0], &weights), [0.0, 0.0, 1.0]);
        assert_eq!(before(&[0.5, 0.25, 0.25], &weights), [0.40625, 0.34375, 0.25]);
    }
}
