//! Rows that are held out and also learned from: figures of them are better than those of new rows will be.
//!
//! Identical inputs stay on one side of every split that chance makes, so that exact copies are on two sides only where the
//! data itself is divided (then the split leaves them out of training), or where a column divides it.

use std::collections::{HashMap, HashSet};

use super::sample::told;
use super::{Evidence, Finding, FindingKind, MOST_SHOWN, Place, Severity, Subject, Twins};
use super::{similar_images, similar_rows, similar_texts};
use crate::error::Result;

/// Copies of inputs on two sides, or such as were left out.
pub(super) fn exact(subject: &Subject<'_>) -> Vec<Finding> {
    let (data, split) = (subject.data, subject.split);
    let mut findings = Vec::new();
    let parts = [&split.train, &split.validation, &split.test];
    let mut of_group: HashMap<u32, u32> = HashMap::new();
    for &row in split.validation.iter().chain(&split.test) {
        of_group.insert(data.group_of(row), row);
    }
    let twins = |pairs: &[(u32, u32)]| -> Vec<Twins> {
        let of = |&(held_out, learned): &(u32, u32)| Twins {
            held_out: Place::of(data, held_out),
            learned: Place::of(data, learned),
        };
        pairs.iter().take(MOST_SHOWN).map(of).collect()
    };
    let finding = |severity: Severity, what: String, advice: String, pairs: &[(u32, u32)]| Finding {
        kind: FindingKind::Duplicates,
        severity,
        what,
        advice,
        evidence: Evidence { twins: twins(pairs), ..Evidence::figures([("rows", pairs.len() as f64)]) },
    };
    let used: HashSet<u32> = parts.into_iter().flatten().copied().collect();
    let pair = |row: u32| of_group.get(&data.group_of(row)).map(|&held| (held, row));
    let left_out: Vec<(u32, u32)> = (0..data.len() as u32).filter(|row| !used.contains(row)).filter_map(pair).collect();
    if !left_out.is_empty() {
        let what = format!(
            "{} of the rows that were to be learned from have the inputs of rows that are held out",
            left_out.len()
        );
        let advice = "they were left out; look why they are in both parts of the data".to_string();
        findings.push(finding(Severity::Note, what, advice, &left_out));
    }
    let across: Vec<(u32, u32)> = split.train.iter().filter_map(|&row| pair(row)).collect();
    if !across.is_empty() {
        let held: HashSet<u32> = across.iter().map(|(held, _)| data.group_of(*held)).collect();
        let rows =
            split.validation.iter().chain(&split.test).filter(|row| held.contains(&data.group_of(**row))).count();
        let what = format!("{rows} rows that are held out have the same inputs as rows that are learned from");
        let by = [("group", &subject.settings.group), ("time_split", &subject.settings.time_split)];
        let by = by.into_iter().find_map(|(key, column)| Some(format!("`{key}={}`", column.as_ref()?)));
        let advice = format!(
            "{} alone decides, so that nothing was done; take the copies out of the data, or give them one value of a column that \
             --group names",
            by.unwrap_or_else(|| "the data".to_string())
        );
        findings.push(finding(Severity::Warning, what, advice, &across));
    }
    findings
}

/// Pairs of rows that are nearly the same.
pub(super) struct Near {
    /// Of each row that is held out and has a near copy, it and one that is learned from.
    pub(super) pairs: Vec<(u32, u32)>,
    /// Rows that were looked at, of those held out and of those learned from.
    pub(super) looked: (usize, usize),
}

/// Rows of the test that are nearly the same as others that are learned from.
pub(super) fn near(subject: &Subject<'_>) -> Result<Vec<Finding>> {
    let split = subject.split;
    // Folds and the refit learn from the validation rows, too.
    let mut learned: Vec<u32> = split.train.iter().chain(&split.validation).copied().collect();
    learned.sort_unstable();
    if split.test.is_empty() || learned.is_empty() {
        return Ok(Vec::new());
    }
    let (found, unit, how) = if subject.data.is_images() {
        (
            similar_images::find(subject, &split.test, &learned)?,
            "pictures",
            "resized, compressed again or changed a little",
        )
    } else if subject.data.is_texts() {
        (similar_texts::find(subject, &split.test, &learned)?, "texts", "changed in a few words")
    } else {
        (similar_rows::find(subject, &split.test, &learned), "rows", "rounded, or changed in a column or two")
    };
    let Some(mut found) = found.filter(|found| !found.pairs.is_empty()) else { return Ok(Vec::new()) };
    let count = found.pairs.len();
    found.pairs.truncate(MOST_SHOWN);
    let of = |&(held_out, learned): &(u32, u32)| Twins {
        held_out: Place::of(subject.data, held_out),
        learned: Place::of(subject.data, learned),
    };
    let (held, others) = found.looked;
    let sampled = if held < split.test.len() { told(held, split.test.len()) } else { told(others, learned.len()) };
    let figures = [("rows", count as f64), ("of", held as f64), ("learned_rows_looked_at", others as f64)];
    let advice = match subject.data.is_images() {
        true => {
            "nothing was done: figures of them are better than those of new pictures will be. Take the copies away, or give a \
             table that names the files (--labels) with a column of what belongs together, and --group"
        }
        false => {
            "nothing was done: figures of them are better than those of new rows will be. Take the copies away, or name a column \
             of what belongs together by --group"
        }
    };
    Ok(vec![Finding {
        kind: FindingKind::NearDuplicates,
        severity: Severity::Warning,
        what: format!(
            "{count} of {held} test {unit} are nearly the same as others that are learned from: copies, {how}{sampled}"
        ),
        advice: advice.to_string(),
        evidence: Evidence { twins: found.pairs.iter().map(of).collect(), ..Evidence::figures(figures) },
    }])
}
