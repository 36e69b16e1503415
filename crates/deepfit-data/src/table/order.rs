//! Columns that count the rows: an identifier, or a time axis?
//!
//! Both look alike; what tells them apart is whether the target changes along the rows. A counting column (whose name
//! is not that of an identifier) is used if the target depends on its place in the file by the Kruskal-Wallis test (of
//! the ranks of the rows, by class) or by Spearman's correlation, at a level of about 1 in 10,000. Rows sorted by the
//! target, class after class, look dependent too: such a column would give the answer away, and is left out. All rows
//! with a target are looked at, also those that are tested on later: what they contribute is one bit at most.

use super::infer::{ColumnKind, Profile};
use super::read::{Table, Targets};
use crate::dataset::Summary;

/// Why a counting column is not used; the words of [`Profile::feature`].
const COUNTS: &str = "numbers the rows";

/// Names of the columns that count the rows and may be a time axis.
pub(crate) fn counting(
    columns: &[String],
    profiles: &[Profile],
    targets: &[usize],
    features: &[(String, ColumnKind)],
) -> Vec<String> {
    let columns = columns.iter().zip(profiles).enumerate().filter(|(i, _)| !targets.contains(i));
    let counts = |column: &String, profile: &Profile| {
        profile.is_mere_sequence(column) && !features.iter().any(|(name, _)| name == column)
    };
    columns.filter(|(_, (column, profile))| counts(column, profile)).map(|(_, (column, _))| column.clone()).collect()
}

/// Keeps the counting columns (those from `certain` on) if the target follows the order of the first `own` rows, or if
/// there is nothing else to learn from; says what was done.
pub(crate) fn decide(table: &mut Table, own: usize, certain: usize, summary: &mut Summary) {
    if table.columns.len() == certain {
        return;
    }
    let follows = match &table.targets {
        Targets::Classes(classes) => {
            let own: Vec<u32> = classes.iter().take(own).collect();
            !is_sorted_by_class(&own) && depends(&own)
        }
        Targets::Values(values) => trends(&values[..own]),
        Targets::None | Targets::Labels(_) => false,
    };
    if certain > 0 && !follows {
        for column in table.columns.drain(certain..) {
            let reason = format!("{COUNTS}, and the target does not change along them");
            summary.dropped_columns.retain(|(name, _)| *name != column.name);
            summary.dropped_columns.push((column.name, reason));
        }
        return;
    }
    for column in &table.columns[certain..] {
        summary.dropped_columns.retain(|(name, _)| *name != column.name);
        if follows && certain > 0 {
            summary.notes.push(format!(
                "column '{}' numbers the rows and is used, since the target changes along them; if it is no more than \
                 an identifier, remove it",
                column.name
            ));
        }
    }
}

/// The value that chi-square with these degrees of freedom exceeds once in 10,000 (Wilson & Hilferty 1931).
fn critical(freedom: f64) -> f64 {
    let part = 2.0 / (9.0 * freedom);
    freedom * (1.0 - part + 3.72 * part.sqrt()).powi(3)
}

/// Whether each class stands in one piece.
fn is_sorted_by_class(classes: &[u32]) -> bool {
    let changes = classes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let distinct = classes.iter().collect::<std::collections::HashSet<_>>().len();
    changes + 1 == distinct
}

/// Kruskal & Wallis (1952) for the row numbers of each class.
fn depends(classes: &[u32]) -> bool {
    let most = classes.iter().max().map_or(0, |&most| most as usize + 1);
    let mut sums = vec![(0.0, 0.0); most];
    for (row, &class) in classes.iter().enumerate() {
        let (rows, sum) = &mut sums[class as usize];
        *rows += 1.0;
        *sum += row as f64 + 1.0;
    }
    let count = classes.len() as f64;
    let present: Vec<&(f64, f64)> = sums.iter().filter(|(rows, _)| *rows > 0.0).collect();
    if present.len() < 2 {
        return false;
    }
    let middle = (count + 1.0) / 2.0;
    let between: f64 = present.iter().map(|(rows, sum)| rows * (sum / rows - middle).powi(2)).sum();
    12.0 / (count * (count + 1.0)) * between > critical(present.len() as f64 - 1.0)
}

/// Whether Spearman's correlation with the row number is not zero.
fn trends(values: &[f64]) -> bool {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut begin = 0;
    while begin < order.len() {
        let end = begin + order[begin..].iter().take_while(|&&row| values[row] == values[order[begin]]).count();
        // Equal values share the mean of their ranks.
        order[begin..end].iter().for_each(|&row| ranks[row] = (begin + end - 1) as f64 / 2.0);
        begin = end;
    }
    let middle = (values.len() as f64 - 1.0) / 2.0;
    let (mut product, mut rows, mut targets) = (0.0, 0.0, 0.0);
    for (row, rank) in ranks.iter().enumerate() {
        let (a, b) = (row as f64 - middle, rank - middle);
        (product, rows, targets) = (product + a * b, rows + a * a, targets + b * b);
    }
    targets > 0.0 && (values.len() as f64 - 1.0) * product * product / (rows * targets) > critical(1.0)
}
