//! Labels of which a row may have any number: several in one cell, divided by a character or as a list of JSON, or one column of
//! 0 and 1 for each.

use std::collections::{HashMap, HashSet};

use super::infer::boolean;
use super::open::left_out;
use super::read::{in_class_order, is_target_missing, label};
use super::rows::value_error;
use super::texts::Texts;
use crate::error::{Error, Result};

/// Characters that divide the labels of a cell, whether multi-label was asked for or not: they are in hardly any name.
const UNASKED: [char; 2] = ['|', ';'];
/// Those that divide them where it was asked for, the first that occurs being the one.
const ASKED: [char; 4] = ['|', ';', ',', ' '];

/// The labels of some rows.
pub(crate) struct LabelSets {
    /// Data row and the indices of its labels, ascending.
    pub(crate) rows: Vec<(u32, Box<[u32]>)>,
    /// Rows left out because a target is missing.
    pub(crate) dropped: u64,
    /// Rows that have none of the labels.
    pub(crate) empty: u64,
}

/// The character that divides labels in a column of cells, if they are lists.
pub(crate) fn separator(texts: &Texts, column: usize, asked: bool) -> Option<char> {
    let among: &[char] = if asked { &ASKED } else { &UNASKED };
    let cells = || (0..texts.len()).map(|row| texts.get(row, column));
    if cells().any(|cell| json_list(cell).is_some()) {
        return Some(',');
    }
    let found = among.iter().copied().find(|separator| cells().any(|cell| cell.contains(*separator)));
    // One label in each cell is a list too, if lists were asked for.
    found.or(asked.then_some('|'))
}

/// Whether cells are lists, though nobody has said so: a character divides some of them into labels, of which there are fewer
/// than different cells, since they come again in others.
pub(crate) fn are_lists<'a>(cells: impl Iterator<Item = &'a str> + Clone) -> bool {
    if cells.clone().any(|cell| json_list(cell).is_some()) {
        return true;
    }
    let Some(separator) = UNASKED.into_iter().find(|separator| cells.clone().any(|cell| cell.contains(*separator)))
    else {
        return false;
    };
    let different: HashSet<&str> = cells.filter(|cell| !is_target_missing(cell)).collect();
    let labels: HashSet<String> = different.iter().flat_map(|cell| labels_of(cell, separator)).collect();
    labels.len() < different.len()
}

/// The labels of a cell that is a list of JSON, as cells of JSON Lines are.
fn json_list(cell: &str) -> Option<Vec<String>> {
    if !(cell.starts_with('[') && cell.ends_with(']')) {
        return None;
    }
    let name = |value: serde_json::Value| match value {
        serde_json::Value::String(name) => Some(name),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    serde_json::from_str::<Vec<serde_json::Value>>(cell).ok()?.into_iter().map(name).collect()
}

fn labels_of(cell: &str, separator: char) -> Vec<String> {
    let of = |name: &str| Some(label(name.trim(), b',')).filter(|name| !name.is_empty());
    match json_list(cell) {
        Some(names) => names.iter().filter_map(|name| of(name)).collect(),
        None => cell.split(separator).filter_map(of).collect(),
    }
}

/// All labels of a column of lists, in the order of classes.
pub(crate) fn all_labels(texts: &Texts, column: usize, separator: char) -> Vec<String> {
    let mut found: HashMap<String, ()> = HashMap::new();
    for row in 0..texts.len() {
        let cell = texts.get(row, column);
        if cell.is_empty() || !is_target_missing(cell) {
            found.extend(labels_of(cell, separator).into_iter().map(|name| (name, ())));
        }
    }
    let mut names: Vec<(String, ())> = found.into_iter().collect();
    in_class_order(&mut names);
    names.into_iter().map(|(name, ())| name).collect()
}

/// Reads lists of known labels. An empty cell is an empty list; a word such as NA says that the labels are not known.
///
/// # Errors
/// For a label that is not known.
pub(crate) fn lists(
    texts: &Texts,
    column: usize,
    separator: char,
    labels: &[String],
    path: &std::path::Path,
) -> Result<LabelSets> {
    let index: HashMap<&str, u32> = labels.iter().enumerate().map(|(i, name)| (name.as_str(), i as u32)).collect();
    let mut sets = LabelSets { rows: Vec::with_capacity(texts.len()), dropped: 0, empty: 0 };
    for row in 0..texts.len() {
        let cell = texts.get(row, column);
        if !cell.is_empty() && is_target_missing(cell) {
            sets.dropped += 1;
            continue;
        }
        let mut found = Vec::new();
        for name in labels_of(cell, separator) {
            let Some(&label) = index.get(name.as_str()) else {
                return Err(Error::UnknownClass { path: path.to_path_buf(), class: name, known: labels.join(", ") });
            };
            found.push(label);
        }
        found.sort_unstable();
        found.dedup();
        sets.empty += u64::from(found.is_empty());
        sets.rows.push((row as u32, found.into_boxed_slice()));
    }
    Ok(sets)
}

/// Reads columns of 0 and 1 (or no and yes, false and true); `columns` are their names, in the order of the texts from
/// `first` on.
///
/// # Errors
/// For a cell that is neither.
pub(crate) fn flags(texts: &Texts, first: usize, columns: &[String], name: &str) -> Result<LabelSets> {
    let mut sets = LabelSets { rows: Vec::with_capacity(texts.len()), dropped: 0, empty: 0 };
    for row in 0..texts.len() {
        let mut found = Vec::new();
        let mut missing = false;
        for (i, column) in columns.iter().enumerate() {
            let cell = texts.get(row, first + i);
            match flag(cell) {
                Some(true) => found.push(i as u32),
                Some(false) => {}
                None if is_target_missing(cell) => missing = true,
                None => {
                    let problem = "is neither 0 nor 1, as the columns of several labels must be; repair it, or leave \
                                   the field empty to leave the row out";
                    return Err(value_error(name, texts.place(row), column, cell, problem));
                }
            }
        }
        if missing {
            sets.dropped += 1;
            continue;
        }
        sets.empty += u64::from(found.is_empty());
        sets.rows.push((row as u32, found.into_boxed_slice()));
    }
    Ok(sets)
}

/// What a reader should know about lists of labels.
pub(crate) fn told(sets: &[&LabelSets]) -> Vec<String> {
    let (dropped, empty) = sets.iter().fold((0, 0), |(d, e), sets| (d + sets.dropped, e + sets.empty));
    let mut notes = Vec::new();
    if dropped > 0 {
        notes.push(left_out(dropped));
    }
    if empty > 0 {
        let rows = if empty == 1 { "1 row has".to_string() } else { format!("{empty} rows have") };
        notes.push(format!("{rows} none of the labels, and count as an example of that"));
    }
    notes
}

/// Labels that are the same in all rows leave nothing to learn.
///
/// # Errors
/// If they are.
pub(crate) fn require_variety(sets: &LabelSets, labels: &[String], column: &str, name: &str) -> Result<()> {
    let first = sets.rows.first().map(|(_, labels)| labels);
    if sets.rows.iter().all(|(_, labels)| Some(labels) == first) {
        let value = first.into_iter().flat_map(|set| set.iter()).map(|&label| labels[label as usize].as_str());
        let value = value.collect::<Vec<_>>().join(", ");
        return Err(Error::ConstantTarget { name: name.to_string(), column: column.to_string(), value });
    }
    Ok(())
}

fn flag(cell: &str) -> Option<bool> {
    match cell.parse::<f64>() {
        Ok(1.0) => Some(true),
        Ok(0.0) => Some(false),
        Ok(_) => None,
        Err(_) => boolean(cell),
    }
}
