//! Results by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Metrics by name, in alphabetical order; serialised as one flat map.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scores(pub BTreeMap<String, f64>);

/// 95 % intervals by the name of the metric, each `[low, high]`; serialised as one flat map.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Intervals(pub BTreeMap<String, [f64; 2]>);

macro_rules! named {
    ($map:ty, $value:ty) => {
        impl $map {
            /// The value of that name, if it is there.
            pub fn get(&self, name: &str) -> Option<$value> {
                self.0.get(name).copied()
            }

            /// Adds or replaces a value.
            pub fn insert(&mut self, name: &str, value: $value) {
                self.0.insert(name.to_string(), value);
            }

            /// Names and values in alphabetical order.
            pub fn iter(&self) -> impl Iterator<Item = (&str, $value)> {
                self.0.iter().map(|(name, value)| (name.as_str(), *value))
            }

            /// Number of values.
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether there is none.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }

            /// Adds a value that is defined.
            pub(crate) fn insert_defined(&mut self, name: &str, value: Option<$value>) {
                if let Some(value) = value {
                    self.insert(name, value);
                }
            }
        }
    };
}

named!(Scores, f64);
named!(Intervals, [f64; 2]);

impl Scores {
    /// The mean of each metric that at least `fewest` of several have, over those that have it.
    pub(crate) fn mean<'a>(several: impl Iterator<Item = &'a Scores>, fewest: usize) -> Scores {
        let mut sums: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
        for (name, value) in several.flat_map(Scores::iter) {
            let (sum, count) = sums.entry(name).or_default();
            (*sum, *count) = (*sum + value, *count + 1);
        }
        let all = sums.into_iter().filter(|(_, (_, count))| *count >= fewest);
        Scores(all.map(|(name, (sum, count))| (name.to_string(), sum / count as f64)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_those_that_have_a_metric() {
        let of = |pairs: &[(&str, f64)]| Scores(pairs.iter().map(|(name, value)| (name.to_string(), *value)).collect());
        let several = [of(&[("accuracy", 0.5), ("roc_auc", 0.8)]), of(&[("accuracy", 1.0)])];
        assert_eq!(Scores::mean(several.iter(), 1), of(&[("accuracy", 0.75), ("roc_auc", 0.8)]));
        assert_eq!(Scores::mean(several.iter(), 2), of(&[("accuracy", 0.75)]));
        assert_eq!(Scores::mean([].iter(), 0), Scores::default());
    }
}
