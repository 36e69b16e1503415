//! What is learned.

use serde::{Deserialize, Serialize};

use crate::text::PairLabel;

/// What is learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Task {
    /// One of these classes, in the order of the network's outputs.
    Classification {
        /// Their names.
        classes: Vec<String>,
    },
    /// Any of these labels, each by itself, in the order of the network's outputs.
    MultiLabel {
        /// Their names.
        classes: Vec<String>,
    },
    /// A number.
    Regression,
    /// A label for each word of a text, in the order of the network's outputs.
    Labels {
        /// Their names; of spans the tags of IOB2: `O`, and `B-` and `I-` with the name of each label.
        labels: Vec<String>,
        /// Whether they mark spans, such as names of persons and places.
        spans: bool,
    },
    /// The token that comes next in a text.
    NextToken,
    /// Embeddings of texts that are near to each other where the texts belong together.
    Similarity {
        /// What is known of the pairs.
        label: PairLabel,
    },
}

impl Task {
    /// Names of the classes or labels in the order of the network's outputs; none for a regression.
    pub fn classes(&self) -> &[String] {
        match self {
            Task::Classification { classes } | Task::MultiLabel { classes } | Task::Labels { labels: classes, .. } => {
                classes
            }
            Task::Regression | Task::NextToken | Task::Similarity { .. } => &[],
        }
    }

    /// Whether one of several classes is wanted.
    pub fn is_classification(&self) -> bool {
        matches!(self, Task::Classification { .. })
    }

    /// Number of outputs of a network for it: one a class or label, or one value.
    pub fn outputs(&self) -> usize {
        match self {
            Task::Classification { .. } | Task::MultiLabel { .. } | Task::Labels { .. } => self.classes().len(),
            Task::Regression | Task::NextToken | Task::Similarity { .. } => 1,
        }
    }

    /// `classification`, `multi_label`, `regression`, `labels`, `next_token` or `similarity`.
    pub fn name(&self) -> &'static str {
        match self {
            Task::Classification { .. } => "classification",
            Task::MultiLabel { .. } => "multi_label",
            Task::Regression => "regression",
            Task::Labels { .. } => "labels",
            Task::NextToken => "next_token",
            Task::Similarity { .. } => "similarity",
        }
    }
}

/// The kind of a task, to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// One of several classes.
    Classification,
    /// Any of several labels.
    MultiLabel,
    /// A number.
    Regression,
    /// Embeddings of two columns of texts that are near to each other where these belong together.
    Similarity,
}
