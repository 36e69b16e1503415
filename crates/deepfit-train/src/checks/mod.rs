//! What is wrong with the data, as far as the data itself and the predictions for rows that were held out tell it: looked for
//! by every run, before and after its training.
//!
//! A false alarm is worse than silence. Each check says in its file by which reasoning it speaks; where chance could explain
//! what it sees, it speaks if that chance is below [`LEVEL`], shared out among all that it looks at. Rows are sampled by a hash
//! of their number and the seed, so many at most, so that neither a clock nor the number of threads has a say in what is found.

mod columns;
pub(crate) mod confident;
mod duplicates;
mod imbalance;
mod label_errors;
mod leakage;
mod same;
mod sample;
mod shift;
mod similar_images;
mod similar_rows;
mod similar_texts;
mod statistics;

use std::collections::BTreeMap;
use std::sync::Arc;

use deepfit_data::{Dataset, Part, Preprocessor, RowId, Source, Split, Task};
use serde::{Deserialize, Serialize};

use crate::decision::HeldOut;
use crate::error::Result;
use crate::predictions::Predictions;
use crate::settings::Settings;

pub(crate) use sample::sample;

/// The chance of a false alarm that a check may have where its null hypothesis is true.
const LEVEL: f64 = 0.01;
/// Rows or pairs of rows that are shown with a finding.
const MOST_SHOWN: usize = 20;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Rows of the test, or of validation, whose inputs are also among the rows that are learned from.
    Duplicates,
    /// Rows of the test, or of validation, that are nearly the same as others that are learned from.
    NearDuplicates,
    /// A column that tells the target by itself, better than all others together.
    Leakage,
    /// A column that numbers the rows.
    Identifier,
    /// Classes or labels that are rare.
    Imbalance,
    /// Test rows of another distribution than those that are learned from.
    Shift,
    /// Labels that are probably wrong.
    LabelErrors,
    /// Predictions that are all the same.
    SamePredictions,
}

impl FindingKind {
    /// In words, as a heading.
    pub fn title(self) -> &'static str {
        match self {
            FindingKind::Duplicates => "Duplicates across splits",
            FindingKind::NearDuplicates => "Near duplicates across splits",
            FindingKind::Leakage => "Target leakage",
            FindingKind::Identifier => "An identifier among the features",
            FindingKind::Imbalance => "Class imbalance",
            FindingKind::Shift => "Shift between training and test",
            FindingKind::LabelErrors => "Likely label errors",
            FindingKind::SamePredictions => "Predictions that are all the same",
        }
    }
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know; what can be done was done.
    Note,
    /// The figures of the run, or the model, are probably not worth what they seem to be.
    Warning,
}

/// A row as a person finds it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Where it comes from; rows of tables are counted from 0, in their own file.
    pub id: RowId,
    /// The file that it is, if a table names files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Place {
    fn of(data: &Dataset, row: u32) -> Place {
        let id = data.row_id(row);
        let file = if matches!(id, RowId::Path(_)) { None } else { data.file_of(row).map(str::to_string) };
        Place { id, file }
    }

    /// In words.
    pub fn name(&self) -> String {
        match (&self.id, &self.file) {
            (RowId::Path(path), _) => path.clone(),
            (RowId::Row(row), Some(file)) => format!("{file} (row {row})"),
            (RowId::Row(row), None) => format!("row {row}"),
        }
    }
}

/// A row that was held out, and one that is learned from and is the same, or nearly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Twins {
    /// Of the test or of validation.
    pub held_out: Place,
    /// Of those that are learned from.
    pub learned: Place,
}

/// A row whose label is probably wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// The row.
    pub row: Place,
    /// Where it was held out: rows of folds count as validation.
    pub part: Part,
    /// Its label, and the probability that this has by a model which has not learned from the row.
    pub given: (String, f64),
    /// The likely label, and its probability.
    pub likely: (String, f64),
}

/// What a finding rests on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Numbers by name: counts, chances, measures.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
    /// Columns, those that matter most first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Rows that are the same, or nearly, the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub twins: Vec<Twins>,
    /// Rows with a likely label error, the likeliest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<Suspect>,
}

impl Evidence {
    fn figures<const N: usize>(figures: [(&str, f64); N]) -> Evidence {
        let figures = figures.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        Evidence { figures, ..Evidence::default() }
    }

    /// Rows in words, a line each.
    pub fn lines(&self) -> Vec<String> {
        let twins =
            self.twins.iter().map(|twins| format!("{} is like {}", twins.held_out.name(), twins.learned.name()));
        let suspects = self.suspects.iter().map(|one| {
            let (given, likely) = (&one.given, &one.likely);
            let test = if one.part == Part::Test { " of the test" } else { "" };
            let name = one.row.name();
            format!("{name}{test}: '{}' ({:.3}), likely '{}' ({:.3})", given.0, given.1, likely.0, likely.1)
        });
        twins.chain(suspects).collect()
    }
}

/// Something that was found in the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is about.
    pub kind: FindingKind,
    /// How much it matters.
    pub severity: Severity,
    /// What was found, in a sentence.
    pub what: String,
    /// What was done, or what to do.
    pub advice: String,
    /// What it rests on.
    #[serde(default)]
    pub evidence: Evidence,
}

/// Data that is looked at before it is learned from.
pub(crate) struct Subject<'a> {
    pub(crate) data: &'a Dataset,
    pub(crate) split: &'a Split,
    pub(crate) source: &'a Arc<dyn Source>,
    pub(crate) preprocessor: &'a Preprocessor,
    pub(crate) settings: &'a Settings,
}

impl Subject<'_> {
    /// Numbers of a row's target: class, or standardised value; nothing of several labels.
    fn targets(&self, rows: &[u32]) -> Option<Vec<f64>> {
        let targets = self.source.targets_of(rows);
        let single = self.source.target_width() == 1 && targets.len() == rows.len();
        single.then(|| match &targets {
            deepfit_data::Array::I32(classes) => classes.iter().map(|&class| f64::from(class)).collect(),
            deepfit_data::Array::F32(values) => values.iter().map(|&value| f64::from(value)).collect(),
            deepfit_data::Array::U8(values) => values.iter().map(|&value| f64::from(value)).collect(),
        })
    }

    /// Number of classes, if there are classes of which one is true.
    fn classes(&self) -> Option<usize> {
        self.data.task().is_classification().then(|| self.data.task().classes().len())
    }
}

/// What is found before training, and what could not be looked at, in words.
pub(crate) fn before(subject: &Subject<'_>) -> (Vec<Finding>, Vec<String>) {
    let (mut findings, mut notes) = (Vec::new(), Vec::new());
    let known = matches!(subject.data.task(), Task::Classification { .. } | Task::MultiLabel { .. } | Task::Regression);
    if !subject.settings.checks || !known {
        return (findings, notes);
    }
    findings.extend(duplicates::exact(subject));
    let mut look = |what: &str, found: Result<Vec<Finding>>| match found {
        Ok(found) => findings.extend(found),
        // What cannot be read is told by training, which needs it.
        Err(error) => notes.push(format!("not looked for {what}: {error}")),
    };
    look("near duplicates across splits", duplicates::near(subject));
    look("target leakage", leakage::find(subject));
    look("a shift between training and test", shift::find(subject));
    findings.extend(imbalance::find(subject));
    (findings, notes)
}

/// What is found after training, by what was predicted of rows that were not learned from: those of validation, with their
/// probabilities as the network gave them, and those of the test.
pub(crate) fn after(data: &Dataset, held: Option<&HeldOut>, test: &Predictions) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(same::find(data, test));
    findings.extend(label_errors::find(data, held, test));
    findings
}
