//! From what a stage has trained to the weights of the whole network.

use std::collections::BTreeMap;
use std::sync::Arc;

use deepfit_nn::{Declaration, LowRank, adapted};

use super::backbone::Backbone;
use crate::tensors::Owned;

/// What turns the weights of a stage into those of the whole network.
pub struct Completion {
    pub(super) backbone: Arc<Backbone>,
    pub(super) standardised: Option<Standardised>,
    /// Rank of changes beside the weights.
    pub(super) lora: Option<usize>,
}

/// A linear layer that has learned from standardised features.
pub(super) struct Standardised {
    /// Its place in the network.
    pub(super) linear: String,
    pub(super) mean: Vec<f32>,
    pub(super) deviation: Vec<f32>,
}

impl Completion {
    /// The network that was begun with.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// The place of the only linear layer, with a bias, that ends the network, if it ends with one.
    pub(super) fn linear(&self, declarations: &[Declaration]) -> Option<String> {
        let last = &self.backbone.last_layer;
        let place = last.iter().find_map(|name| name.strip_suffix(".weight"))?.to_string();
        let is = |d: &Declaration| d.name == format!("{place}.weight") && d.shape.len() == 2;
        (last.len() == 2 && last.contains(&format!("{place}.bias")) && declarations.iter().any(is)).then_some(place)
    }

    /// Weights of the network as a stage has changed them. A layer that has learned from standardised features takes the
    /// standardisation over: `w (x - m) / s + b = (w / s) x + (b - w m / s)`.
    fn changed(&self, mut trained: BTreeMap<String, Owned>) -> BTreeMap<String, Owned> {
        if let Some(Standardised { linear, mean, deviation }) = &self.standardised {
            let mut shifts = Vec::new();
            if let Some(weight) = trained.get_mut(&format!("{linear}.weight")) {
                for row in weight.values.chunks_exact_mut(mean.len()) {
                    let mut shift = 0.0;
                    for ((w, m), s) in row.iter_mut().zip(mean).zip(deviation) {
                        *w /= s;
                        shift += f64::from(*w) * f64::from(*m);
                    }
                    shifts.push(shift);
                }
            }
            if let Some(bias) = trained.get_mut(&format!("{linear}.bias")) {
                bias.values.iter_mut().zip(shifts).for_each(|(b, shift)| *b = (f64::from(*b) - shift) as f32);
            }
        }
        if let Some(rank) = self.lora {
            self.merge(&LowRank::new(rank, &[]), &mut trained);
        }
        trained
    }

    /// Adds low-rank changes to the weights beside which they stand: the network needs them no longer.
    fn merge(&self, low_rank: &LowRank, weights: &mut BTreeMap<String, Owned>) {
        let factors: Vec<String> = weights.keys().filter(|name| adapted(name).is_some()).cloned().collect();
        for name in factors {
            let Some((weight, second)) = adapted(&name) else { continue };
            let (Some(a), Some(b)) = (weights.remove(&name), weights.remove(&second)) else { continue };
            let kept = || self.backbone.weights.get(&weight).map(|kept| Owned::clone(kept));
            if let Some(mut merged) = weights.remove(&weight).or_else(kept) {
                low_rank.merge(&mut merged.values, &a.values, &b.values);
                weights.insert(weight, merged);
            }
        }
    }
}

/// Weights of the network as a stage has changed them, from those that it has trained.
pub(crate) fn changed(completion: Option<&Completion>, trained: BTreeMap<String, Owned>) -> BTreeMap<String, Owned> {
    match completion {
        Some(completion) => completion.changed(trained),
        None => trained,
    }
}

/// All weights of the network: those that a stage has changed and those that were kept.
pub(crate) fn completed(completion: Option<&Completion>, trained: BTreeMap<String, Owned>) -> BTreeMap<String, Owned> {
    let mut all = changed(completion, trained);
    let published = completion.into_iter().flat_map(|completion| &completion.backbone.weights);
    for (name, tensor) in published {
        all.entry(name.clone()).or_insert_with(|| Owned::clone(tensor));
    }
    all
}
