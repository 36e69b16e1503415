//! Labels that are probably wrong, by networks that have not learned from them.

use std::collections::HashMap;
use std::path::PathBuf;

use deepfit_data::{Dataset, RowId, Split, Task};
use serde::{Deserialize, Serialize};

use super::Patient;
use super::piece::Order;
use super::sizes::divided;
use crate::checks::confident::suspects;
use crate::error::Result;
use crate::event::{Flow, Observer};
use crate::metrics::largest;
use crate::run_folder::write_text;
use crate::settings::Settings;
use crate::text::words;

/// Parts of the data, of which each is predicted by a network that has learned from the others.
const FOLDS: usize = 4;
/// With more probabilities than this they are not kept.
const MOST: usize = 20_000_000;
/// Rows that are told; all are in the file.
const TOLD: usize = 20;
/// Patience where the run had none, since its folds chose the number of epochs.
const PATIENCE: u32 = 10;
/// The file in the run folder.
const FILE: &str = "label-errors.csv";

/// A row whose label is probably wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuspectRow {
    /// The row of the table, counted from 0 without its header as everywhere, or the file.
    pub row: String,
    /// The part of the run that it is in: train, validation or test.
    pub part: String,
    /// Its label.
    pub label: String,
    /// What it probably is.
    pub suggested: String,
    /// Probability of its label.
    pub given: f32,
    /// Probability of what it probably is.
    pub probability: f32,
}

/// Labels that are probably wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelErrors {
    /// Rows that were looked at.
    pub rows: usize,
    /// Rows that are suspected.
    pub suspected: usize,
    /// The most suspicious of them.
    pub worst: Vec<SuspectRow>,
    /// The file that has all of them.
    pub file: PathBuf,
    /// The same in words.
    pub sentence: String,
}

/// Looks for labels that are probably wrong, in all parts of the data.
pub(super) fn find(
    patient: &mut Patient,
    observer: &mut dyn Observer,
) -> Result<std::result::Result<Option<LabelErrors>, Flow>> {
    let Task::Classification { classes } = patient.task.clone() else { return Ok(Ok(None)) };
    let mut split = patient.split.clone();
    // Rows of files of their own are called by the same numbers.
    if patient.settings.validation.is_some() {
        split.validation.clear();
    }
    if patient.settings.test.is_some() {
        split.test.clear();
    }
    let rows = split.train.len() + split.validation.len() + split.test.len();
    let why = if patient.settings.time_split.is_some() {
        Some("rows are divided by time, so that the first are foretold by nothing".to_string())
    } else if rows.saturating_mul(classes.len()) > MOST {
        Some("rows and classes are too many".to_string())
    } else if rows < FOLDS * 10 {
        Some(format!("{} are too few", words::plural(rows as u64, "row")))
    } else {
        None
    };
    if let Some(why) = why {
        patient.note(format!("wrong labels are not looked for: {why}"));
        return Ok(Ok(None));
    }
    let own = patient.settings.clone();
    let seed = own.seed;
    let (mut ids, mut labels, mut probabilities) = (Vec::new(), Vec::new(), Vec::new());
    for fold in 0..FOLDS {
        let settings = Settings {
            folds: Some(1),
            refit: Some(false),
            patience: own.patience.filter(|&patience| patience > 0).or(Some(PATIENCE)),
            calibration: "none".to_string(),
            coverage: 0.0,
            cost: None,
            ..own.clone()
        };
        let divide = |data: &Dataset| {
            let split = data.restore_split(&split)?;
            let mut all = [&split.train[..], &split.validation, &split.test].concat();
            all.sort_unstable();
            let (others, own) = data.folds(&all, FOLDS, seed)?.swap_remove(fold);
            let (train, validation) = divided(data, &others, seed)?;
            Ok((Split { train, validation, test: own, notes: Vec::new() }, None))
        };
        let name = format!("labels-part-{}", fold + 1);
        let order = Order { name, settings, to_the_end: false, predictions: true, divide: &divide };
        match patient.train(order, observer)? {
            Ok(Some(piece)) => {
                for (_, id, class) in piece.predicted {
                    ids.push(id);
                    labels.push(class);
                }
                probabilities.extend(piece.probabilities);
            }
            // Labels of some parts can be looked at without the others.
            Ok(None) => {}
            Err(stop) => return Ok(Err(stop)),
        }
    }
    if ids.is_empty() {
        return Ok(Ok(None));
    }
    let right =
        probabilities.chunks_exact(classes.len()).zip(&labels).filter(|(row, label)| largest(row) == **label).count();
    let most = (0..classes.len()).map(|class| labels.iter().filter(|label| **label == class).count()).max();
    if !beats(right, most.unwrap_or(0), ids.len()) {
        let told =
            "wrong labels are not looked for: networks foretell the labels no better than the most frequent class does";
        patient.note(told.to_string());
        return Ok(Ok(None));
    }
    let parts: HashMap<&RowId, &str> =
        [("train", &split.train), ("validation", &split.validation), ("test", &split.test)]
            .into_iter()
            .flat_map(|(name, rows)| rows.iter().map(move |row| (row, name)))
            .collect();
    let found: Vec<SuspectRow> = suspects(&probabilities, classes.len(), &labels)
        .into_iter()
        .map(|suspect| SuspectRow {
            row: match &ids[suspect.at] {
                RowId::Row(row) => row.to_string(),
                RowId::Path(path) => path.clone(),
            },
            part: parts.get(&ids[suspect.at]).copied().unwrap_or_default().to_string(),
            label: classes[labels[suspect.at]].clone(),
            suggested: classes[suspect.suggested].clone(),
            given: suspect.given,
            probability: suspect.probability,
        })
        .collect();
    let file = patient.folder.with_file_name(FILE);
    write_text(&file, &table(&found))?;
    let sentence = match found.len() {
        0 => format!("no label among {} looks wrong", words::plural(ids.len() as u64, "row")),
        count => format!(
            "{} of {} look wrong ({:.1} %); look at them before you change them: they may be rare and right",
            words::plural(count as u64, "label"),
            words::count(ids.len() as u64),
            100.0 * count as f64 / ids.len() as f64
        ),
    };
    let suspected = found.len();
    let worst = found.into_iter().take(TOLD).collect();
    Ok(Ok(Some(LabelErrors { rows: ids.len(), suspected, worst, file, sentence })))
}

/// Whether so many that are right of so many rows are more than another number, beyond chance.
fn beats(right: usize, other: usize, rows: usize) -> bool {
    let share = other as f64 / rows.max(1) as f64;
    right as f64 > other as f64 + 2.0 * (share * (1.0 - share) * rows as f64).sqrt()
}

/// The rows as CSV (RFC 4180).
fn table(rows: &[SuspectRow]) -> String {
    let quoted = |text: &str| match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    };
    let mut text = String::from("row,part,label,suggested,probability_of_label,probability_of_suggested\n");
    for one in rows {
        let words = [&one.row, &one.part, &one.label, &one.suggested].map(|word| quoted(word));
        text.push_str(&format!("{},{},{}\n", words.join(","), one.given, one.probability));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_nothing_foretells_have_none_that_look_wrong() {
        // Of 600 rows half are of the most frequent class, with a standard error of 12.
        assert!(!beats(310, 300, 600) && !beats(324, 300, 600) && beats(326, 300, 600));
        assert_eq!((largest(&[0.2, 0.8]), largest(&[0.6, 0.4])), (1, 0));
    }

    #[test]
    fn names_with_commas_stay_one_field() {
        let row = SuspectRow {
            row: "a,b.png".to_string(),
            part: "test".to_string(),
            label: "the \"cat\"".to_string(),
            suggested: "dog".to_string(),
            given: 0.25,
            probability: 0.5,
        };
        let text = table(&[row]);
        assert!(text.ends_with("\"a,b.png\",test,\"the \"\"cat\"\"\",dog,0.25,0.5\n"), "{text}");
    }
}
