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
