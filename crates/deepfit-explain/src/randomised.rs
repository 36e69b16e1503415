//! The check by shuffled weights (Adebayo et al., "Sanity checks for saliency maps", 2018): an explanation that stays the same when
//! what was learned is destroyed does not explain what was learned.

use deepfit_graph::philox::Stream;
use deepfit_train::metrics::{pearson, ranks};

use crate::explainer::Explainer;
use crate::explanation::{Attributions, Explanation};
use crate::subject::Subject;

impl Explainer {
    /// Destroys what the network has learned: the values of each of its weights change places. What is explained afterwards
    /// is to be held against what was explained before, by [`likeness`].
    pub fn shuffle_weights(&mut self) {
        self.subject.shuffle_weights();
    }
}

impl Subject {
    fn shuffle_weights(&mut self) {
        let engine = self.engine_mut();
        let names: Vec<String> = engine.parameters().map(|(name, ..)| name.to_string()).collect();
        for name in names {
            let mut stream = Stream::new(0, &name);
            let Some(values) = engine.parameter_mut(&name) else { continue };
            for last in (1..values.len()).rev() {
                let other = (u64::from(stream.next_u32()) * (last as u64 + 1)) >> 32;
                values.swap(last, other as usize);
            }
        }
    }
}

/// How alike two explanations of the same input are, whatever their sizes: the size of Spearman's rank correlation of their
/// attributions, 0 to 1; nothing if they are of different parts.
pub fn likeness(one: &Explanation, other: &Explanation) -> Option<f64> {
    agreement(one, other).map(f64::abs)
}

/// The same with its sign, -1 to 1, whose mean over many is 0 where orders are as chance makes them, however few parts there are.
pub fn agreement(one: &Explanation, other: &Explanation) -> Option<f64> {
    let values = |explanation: &Explanation| -> Vec<f64> {
        match &explanation.attributions {
            Attributions::Pixels(map) => map.values.clone(),
            Attributions::Named(values) => values.iter().map(|(_, value)| *value).collect(),
        }
    };
    let (one, other) = (values(one), values(other));
    (one.len() == other.len()).then(|| pearson(&ranks(&one), &ranks(&other)).unwrap_or(0.0))
}
