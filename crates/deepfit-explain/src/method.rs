//! The ways to explain, and what each is for.

use std::fmt;
use std::str::FromStr;

use crate::error::{ExplainError, Result};

/// A way to explain a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Channels of a convolutional layer, weighted by their gradients.
    GradCam,
    /// Gradients along a path from a baseline.
    IntegratedGradients,
    /// Gradients of noisy copies.
    SmoothGrad,
    /// What changes when a part is covered or left out.
    Occlusion,
    /// Where the weights of attention lead through all layers.
    AttentionRollout,
    /// What each column adds, on average over all orders.
    Shapley,
    /// How much worse a whole table is predicted when a column is shuffled.
    Permutation,
    /// The smallest change that leads to another decision.
    Counterfactual,
    /// The training examples most like the input.
    Neighbours,
}

/// What a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Pictures.
    Images,
    /// Rows of tables.
    Tables,
    /// Texts.
    Texts,
    /// Texts whose words are labelled.
    Words,
    /// Texts that are continued.
    Continued,
    /// Pairs of texts that are near to each other or not.
    Pairs,
}

impl Method {
    /// All of them, with their names and what they are for.
    pub const ALL: [(Method, &'static str, &'static [Kind]); 9] = [
        (Method::GradCam, "grad-cam", &[Kind::Images]),
        (
            Method::IntegratedGradients,
            "integrated-gradients",
            &[Kind::Images, Kind::Tables, Kind::Texts, Kind::Words, Kind::Continued, Kind::Pairs],
        ),
        (Method::SmoothGrad, "smoothgrad", &[Kind::Images]),
        (Method::Occlusion, "occlusion", &[Kind::Images, Kind::Texts, Kind::Words, Kind::Continued, Kind::Pairs]),
        (Method::AttentionRollout, "attention-rollout", &[Kind::Texts, Kind::Words, Kind::Continued, Kind::Pairs]),
        (Method::Shapley, "shapley", &[Kind::Tables]),
        (Method::Permutation, "permutation", &[Kind::Tables]),
        (Method::Counterfactual, "counterfactual", &[Kind::Tables]),
        (Method::Neighbours, "neighbours", &[Kind::Images, Kind::Tables, Kind::Texts]),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Method::ALL.iter().find(|(method, ..)| *method == self).map_or("", |(_, name, _)| name)
    }

    /// What it does, in a sentence for people who have never heard of it.
    pub fn meaning(self) -> &'static str {
        match self {
            Method::GradCam => {
                "Grad-CAM looks at the last layer that still knows places of the picture, and marks those where what it found there \
                 speaks for the class."
            }
            Method::IntegratedGradients => {
                "Integrated gradients lead in small steps from an input without content to this one, and add up what each part \
                 changes on the way."
            }
            Method::SmoothGrad => {
                "SmoothGrad asks how much the answer would change with each pixel, on average over noisy copies of the picture."
            }
            Method::Occlusion => {
                "Occlusion hides one part after the other: the more the answer changes, the more that part counts."
            }
            Method::AttentionRollout => {
                "Attention roll-out follows the weights of attention through all layers: how much of what the last layer reads \
                 comes from each word."
            }
            Method::Shapley => {
                "Shapley values say what each column adds to the answer, on average over all orders in which columns may be told; \
                 together they lead from the average answer to this one."
            }
            Method::Permutation => {
                "Permutation importance shuffles one column after the other: the worse the rows are predicted, the more it counts."
            }
            Method::Counterfactual => {
                "A counterfactual is the smallest change after which another class would be said."
            }
            Method::Neighbours => {
                "Neighbours are the training examples that look most alike to the last layer of the network."
            }
        }
    }

    /// Whether it is for models of a kind.
    pub(crate) fn is_for(self, kind: Kind) -> bool {
        Method::ALL.iter().any(|(method, _, kinds)| *method == self && kinds.contains(&kind))
    }

    /// Fails for a model of another kind, saying what there is for it.
    ///
    /// # Errors
    /// If the method is not for it.
    pub fn require(self, kind: Kind) -> Result<()> {
        if self.is_for(kind) {
            return Ok(());
        }
        let problem = format!("{self} is not for a model of {kind}; for those there are {}", self.others(kind));
        Err(ExplainError::asked(problem))
    }

    /// The other methods for a kind of model, by their names.
    pub(crate) fn others(self, kind: Kind) -> String {
        let others = Method::ALL.iter().filter(|(method, _, kinds)| *method != self && kinds.contains(&kind));
        others.map(|(_, name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Method, String> {
        let found = Method::ALL.iter().find(|(_, name, _)| *name == text);
        let names = || Method::ALL.map(|(_, name, _)| name).join(", ");
        found.map(|(method, ..)| *method).ok_or_else(|| format!("the methods are {}", names()))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Images => "images",
            Kind::Tables => "tables",
            Kind::Texts => "texts",
            Kind::Words => "texts whose words are labelled",
            Kind::Continued => "texts that are continued",
            Kind::Pairs => "pairs of texts",
        })
    }
}
