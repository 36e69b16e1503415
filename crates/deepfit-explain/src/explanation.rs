//! An explanation of one prediction, with how it did when it was tested.

use std::path::Path;

use deepfit_train::PredictionValue;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::counterfactual::Counterfactual;
use crate::error::Result;
use crate::faithfulness::Faithfulness;
use crate::grad_cam::Map;
use crate::method::Method;
use crate::neighbours::Like;
use crate::pictures::Picture;
use crate::rollout;

/// How much parts of an input have to do with what is predicted.
#[derive(Debug, Clone, PartialEq)]
pub enum Attributions {
    /// Of each pixel as the network sees the picture; as JSON an array of rows.
    Pixels(Map),
    /// Of each word, column or step, by name, in their order; as JSON an object.
    Named(Vec<(String, f64)>),
}

impl Attributions {
    /// Number of parts.
    pub fn len(&self) -> usize {
        match self {
            Attributions::Pixels(map) => map.values.len(),
            Attributions::Named(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Serialize for Attributions {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Attributions::Pixels(map) => {
                let mut rows = serializer.serialize_seq(Some(map.height))?;
                for row in map.values.chunks_exact(map.width) {
                    // As precise as they were computed: pixels are many.
                    rows.serialize_element(&row.iter().map(|&value| value as f32).collect::<Vec<f32>>())?;
                }
                rows.end()
            }
            Attributions::Named(values) => serializer.collect_map(values.iter().map(|(name, value)| (name, value))),
        }
    }
}

/// A part of a text that is shown with its attribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Its letters.
    pub written: String,
    /// Its attribution.
    pub value: f64,
    /// Of two texts that are compared, which it is in: 0 or 1.
    pub side: Option<usize>,
}

/// What else is told, beside the attributions.
#[derive(Default)]
pub struct Details {
    /// The layer that Grad-CAM looks at.
    pub layer: Option<String>,
    /// Of Shapley values the number without any column: their sum leads from there to the prediction.
    pub expectation: Option<f64>,
    /// Of sampled Shapley values, the orders that were drawn.
    pub permutations: Option<usize>,
    /// Rows that stand in for a column that is taken away, in words.
    pub background: Option<String>,
    /// What would have to be otherwise.
    pub counterfactual: Option<Counterfactual>,
    /// Of a counterfactual, why none was looked for.
    pub already: Option<String>,
    /// Training examples that are alike, and the share of all of them that were trained as what is predicted.
    pub neighbours: Option<(Vec<Like>, f64)>,
    /// Of a whole table, how well it is predicted: the name of the metric and its value.
    pub metric: Option<(&'static str, f64)>,
    /// The picture, to draw on.
    pub picture: Option<Picture>,
    /// What of the input is explained, if not all of it: the word whose label it is.
    pub of: Option<String>,
    /// The words of a text as they stand there.
    pub words: Vec<Shown>,
    /// Values of a row's columns.
    pub cells: Vec<String>,
}

/// An explanation of one prediction.
pub struct Explanation {
    /// The input: its path, or the number of its row from 0.
    pub input: String,
    /// What was predicted; nothing for a whole table.
    pub prediction: Option<PredictionValue>,
    /// The class that is explained, and its probability.
    pub class: Option<(String, f64)>,
    /// How it was explained.
    pub method: Method,
    /// What the attributions are parts of: `logit`, `probability`, `value`, `attention`, or a metric.
    pub unit: &'static str,
    /// How much parts of the input have to do with it.
    pub attributions: Attributions,
    /// How the attributions did on this input.
    pub faithfulness: Option<Faithfulness>,
    /// Of integrated gradients, how far the sum is from what it should be.
    pub completeness_error: Option<f64>,
    /// What else is told.
    pub details: Details,
}

impl Explanation {
    /// Writes the picture with what counts in it beside it, as PNG; false if the explanation is of no picture.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn picture(&self, path: &Path) -> Result<bool> {
        match (&self.details.picture, &self.attributions) {
            (Some(picture), Attributions::Pixels(map)) => picture.write(map, path).map(|()| true),
            _ => Ok(false),
        }
    }

    /// The picture with what counts in it beside it, as the bytes of a JPEG file, with its width and height.
    pub fn jpeg(&self) -> Option<(u32, u32, Vec<u8>)> {
        match (&self.details.picture, &self.attributions) {
            (Some(picture), Attributions::Pixels(map)) => picture.jpeg(map),
            _ => None,
        }
    }

    /// What counts most, in words: a column, a word, or where in the picture; nothing if nothing stands out.
    pub fn strongest(&self) -> Option<String> {
        match &self.attributions {
            Attributions::Pixels(map) => map.strongest_place().map(|place| format!("{place} of the picture")),
            Attributions::Named(_) if self.details.neighbours.is_some() => None,
            Attributions::Named(_) if !self.details.words.is_empty() => {
                let best = self.details.words.iter().max_by(|a, b| a.value.total_cmp(&b.value));
                best.filter(|word| word.value > 0.0).map(|word| format!("the word '{}'", word.written))
            }
            Attributions::Named(values) => {
                let best = values.iter().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
                best.filter(|(_, value)| *value != 0.0).map(|(column, _)| format!("the column '{column}'"))
            }
        }
    }

    /// What the attributions mean, where they are not parts of what is predicted.
    pub fn meaning(&self) -> Option<&'static str> {
        (self.method == Method::AttentionRollout).then_some(rollout::MEANING)
    }

    /// Sizes of all attributions together, and their sum.
    fn sums(&self) -> (f64, f64) {
        let add = |(sizes, sum): (f64, f64), value: f64| (sizes + value.abs(), sum + value);
        match &self.attributions {
            Attributions::Pixels(map) => map.values.iter().fold((0.0, 0.0), |sums, value| add(sums, *value)),
            Attributions::Named(values) => values.iter().fold((0.0, 0.0), |sums, (_, value)| add(sums, *value)),
        }
    }

    /// Whether nothing counts.
    fn is_negligible(&self) -> bool {
        let scale = match &self.prediction {
            Some(PredictionValue::Value(value)) => value.abs(),
            _ => 1.0,
        };
        self.sums().0 < 1e-6 * scale
    }

    /// Whether the sum of integrated gradients is far from what it should be.
    fn incomplete(&self) -> Option<String> {
        let error = self.completeness_error.filter(|_| self.unit == "logit" && !self.attributions.is_empty())?.abs();
        let sum = self.sums().1.abs();
        (error > 0.1 && error > 0.1 * sum).then(|| {
            format!(
                "the shares do not account for the prediction: their sum misses the logit's difference by {error:.3}"
            )
        })
    }

    /// How it was tested against chance, in words: by how many orders or changes, or why that tells nothing.
    pub fn tested(&self) -> Option<String> {
        let test = self.faithfulness.as_ref()?;
        let change = test.curves.insertion.is_none();
        Some(match (test.tells, change) {
            (false, false) => "too few parts to test the order".to_string(),
            (false, true) => "too few other columns to test the change".to_string(),
            // An order of what counts for nothing may be the better one by chance.
            (true, false) if self.is_negligible() => "nothing that counts was found".to_string(),
            (true, false) => format!("better than {} of {} random orders", test.better_than, test.orders),
            (true, true) => {
                format!("better than {} of {} random changes of as many other columns", test.better_than, test.orders)
            }
        })
    }

    /// What a reader must know before relying on it, in words.
    pub fn warning(&self) -> Option<String> {
        if let Some((like, share)) = &self.details.neighbours {
            let Some(PredictionValue::Class(class)) = &self.prediction else { return None };
            let same = like.iter().filter(|one| one.target == *class).count();
            let by_chance = share * like.len() as f64;
            return (same as f64 <= by_chance).then(|| {
                format!(
                    "{same} of the {} nearest were trained as {class}, no more than of any {}: this does not explain the \
                     prediction",
                    like.len(),
                    like.len()
                )
            });
        }
        let Some(test) = self.faithfulness.as_ref().filter(|test| test.fails()) else { return self.incomplete() };
        let (worse, all) = (test.better_than, test.orders);
        Some(if test.curves.insertion.is_none() {
            format!(
                "no better than chance on this input: {worse} of {all} random changes of as many other columns do less, and by no \
                 more than these differ among themselves, so that this one explains little"
            )
        } else {
            format!(
                "no better than chance on this input: {worse} of {all} random orders are worse, and by no more than these \
                 differ among themselves. Do not rely on it; try another --method"
            )
        })
    }
}

impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("input", &self.input)?;
        if let Some(of) = &self.details.of {
            map.serialize_entry("word", of)?;
        }
        map.serialize_entry("prediction", &self.prediction)?;
        if let Some((class, probability)) = &self.class {
            map.serialize_entry("class", class)?;
            map.serialize_entry("probability", probability)?;
        }
        map.serialize_entry("method", self.method.name())?;
        map.serialize_entry("unit", self.unit)?;
        map.serialize_entry("attributions", &self.attributions)?;
        map.serialize_entry("faithfulness", &self.faithfulness)?;
        map.serialize_entry("completeness_error", &self.completeness_error)?;
        map.serialize_entry("warning", &self.warning())?;
        if let Some(meaning) = self.meaning() {
            map.serialize_entry("meaning", meaning)?;
        }
        let Details {
            layer, expectation, permutations, background, counterfactual, already, neighbours, metric, ..
        } = &self.details;
        if let Some(layer) = layer {
            map.serialize_entry("layer", layer)?;
        }
        if let Some(expectation) = expectation {
            map.serialize_entry("expectation", expectation)?;
        }
        if let Some(permutations) = permutations {
            map.serialize_entry("permutations", permutations)?;
        }
        if let Some(background) = background {
            map.serialize_entry("background", background)?;
        }
        if self.method == Method::Counterfactual {
            map.serialize_entry("counterfactual", counterfactual)?;
            if let Some(already) = already {
                map.serialize_entry("note", already)?;
            }
        }
        if let Some((neighbours, share)) = neighbours {
            map.serialize_entry("neighbours", neighbours)?;
            map.serialize_entry("share_of_class", share)?;
        }
        if let Some((metric, value)) = metric {
            map.serialize_entry(metric, value)?;
        }
        map.end()
    }
}
