//! What is to be learned of samples: a class, a number, or labels.

use crate::batch::{Array, DType};
use crate::dataset::Task;
use crate::table::{TargetScale, Targets};

/// What is to be learned of one sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Target {
    /// Not known: a sample to be predicted.
    #[default]
    Unknown,
    /// Index of its class.
    Class(u32),
    /// A number.
    Value(f64),
    /// Indices of its labels, ascending.
    Labels(Box<[u32]>),
}

impl Target {
    /// The classes or values of a column, row by row.
    pub(crate) fn of_column(targets: Targets) -> Vec<Target> {
        match targets {
            Targets::None => Vec::new(),
            Targets::Classes(classes) => classes.iter().map(Target::Class).collect(),
            Targets::Values(values) => values.into_iter().map(Target::Value).collect(),
            Targets::Labels(sets) => sets.into_iter().map(Target::Labels).collect(),
        }
    }
}

/// How targets become numbers of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TargetForm {
    /// There are none.
    None,
    /// The index of the class.
    Classes,
    /// The number, standardised.
    Values(TargetScale),
    /// 1 for each label that the sample has and 0 for each other, of so many.
    Labels(usize),
}

impl TargetForm {
    /// The form of a task's targets; a regression has a scale.
    pub(crate) fn of(task: &Task, scale: Option<TargetScale>) -> TargetForm {
        match task {
            Task::Classification { .. } | Task::Labels { .. } => TargetForm::Classes,
            Task::MultiLabel { classes } => TargetForm::Labels(classes.len()),
            Task::Regression | Task::NextToken | Task::Similarity { .. } => {
                TargetForm::Values(scale.unwrap_or(TargetScale { mean: 0.0, deviation: 1.0 }))
            }
        }
    }

    pub(crate) fn dtype(self) -> DType {
        match self {
            TargetForm::None | TargetForm::Classes => DType::I32,
            TargetForm::Values(_) | TargetForm::Labels(_) => DType::F32,
        }
    }

    /// Numbers of a sample.
    pub(crate) fn width(self) -> usize {
        if let TargetForm::Labels(labels) = self { labels } else { 1 }
    }

    /// Appends the target of a sample to an array of this form's type.
    pub(crate) fn push(self, target: &Target, out: &mut Array) {
        match (out, self, target) {
            (Array::F32(out), TargetForm::Values(scale), Target::Value(value)) => {
                out.push(scale.forward(*value) as f32);
            }
            (Array::F32(out), TargetForm::Labels(count), Target::Labels(labels)) => {
                let start = out.len();
                out.resize(start + count, 0.0);
                labels.iter().for_each(|&label| out[start + label as usize] = 1.0);
            }
            (Array::I32(out), TargetForm::Classes, Target::Class(class)) => out.push(*class as i32),
            (Array::I32(out), ..) => out.push(0),
            (Array::F32(out), ..) => out.resize(out.len() + self.width(), 0.0),
            (Array::U8(_), ..) => unreachable!("targets are no pixels"),
        }
    }
}
