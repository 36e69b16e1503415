//! Columns that tell the target by themselves, and columns that number the rows.
//!
//! A good column is no leak. It is one if all of this holds of rows that were held out, each half of them by the other: the column by itself tells the target
//! nearly without error (at most [`NEAR_PERFECT`] of the errors that are made without any column); all other columns together,
//! in boosted trees, make at least [`FAR`] times as many; and a sign test of the rows that only one of both tells better says
//! that this is no chance, at the level, shared out among all columns. Columns that are nearly perfect are left out of the
//! others all at once, since a leak often comes as several columns. Of a regression, ranks are told rather than values, so that
//! no scale and no outlier decides.
//!
//! Which columns number the rows the reader knows from their names and values, and leaves out; what is left are whole numbers
//! that rise from row to row and never repeat. Of fifty rows in an order that means nothing, no column does.

use deepfit_classical::{Learner, Target, TreesOptions, Work, fit};

use super::columns::Columns;
use super::sample::{sample, shuffled, told};
use super::statistics::binomial_tail;
use super::{Evidence, Finding, FindingKind, LEVEL, Severity, Subject};
use crate::error::Result;
use crate::predictions::first_largest;

/// Most rows and cells that are looked at.
const MOST_ROWS: usize = 4_000;
const MOST_CELLS: usize = 400_000;
const FEWEST_ROWS: usize = 40;
/// Share of the errors without any column that a leak makes at most.
const NEAR_PERFECT: f64 = 0.02;
/// All other columns together make so many times its errors at least.
const FAR: f64 = 5.0;
/// Bins of the numbers of a column.
const BINS: usize = 64;
/// Trees that see all other columns, and their leaves.
const ROUNDS: usize = 40;
const LEAVES: usize = 8;
/// Rows in order that say that a column numbers them.
const NUMBERED: usize = 50;

pub(super) fn find(subject: &Subject<'_>) -> Result<Vec<Finding>> {
    if !subject.data.is_table() {
        return Ok(Vec::new());
    }
    let train = &subject.split.train;
    let width = subject.data.summary().columns.len().max(1);
    let most = MOST_ROWS.min((MOST_CELLS / width).max(200));
    let rows = sample(train, most, subject.settings.seed).0;
    let Some(columns) = Columns::read(&**subject.source, subject.preprocessor, &rows) else { return Ok(Vec::new()) };
    let numbered = numbered(subject, &columns, &rows);
    let mut findings: Vec<Finding> =
        numbered.iter().map(|&column| identifier(&columns.names[column], rows.len())).collect();
    if rows.len() >= FEWEST_ROWS
        && let Some(truth) = Truth::of(subject, &rows)
    {
        findings.extend(leaks(subject, &columns, &rows, &truth)?);
    }
    Ok(findings)
}

/// Columns of whole numbers that rise from row to row.
fn numbered(subject: &Subject<'_>, columns: &Columns, rows: &[u32]) -> Vec<usize> {
    if rows.len() < NUMBERED {
        return Vec::new();
    }
    let data = subject.data;
    // Dates rise too, and are known to be dates.
    let is_number = |column: &usize| {
        let kind = data.summary().columns.iter().find(|(name, _)| *name == columns.names[*column]);
        columns.categories[*column].is_none() && !matches!(kind, Some((_, deepfit_data::ColumnKind::Date(_))))
    };
    let rises = |column: &usize| {
        let values = &columns.values[*column];
        values.iter().all(|value| value.fract() == 0.0) && values.windows(2).all(|pair| pair[0] < pair[1])
    };
    (0..columns.width()).filter(is_number).filter(rises).collect()
}

fn identifier(name: &str, rows: usize) -> Finding {
    Finding {
        kind: FindingKind::Identifier,
        severity: Severity::Warning,
        what: format!(
            "'{name}' is a whole number that rises from row to row and never repeats, as numbers that were given to the rows do, or \
             times: no new row will have a value that was learned from"
        ),
        advice: format!(
            "it was used as a feature; take the column out of the table, or, if it is a time, divide the rows by it (--time-split \
             {name})"
        ),
        evidence: Evidence { columns: vec![name.to_string()], ..Evidence::figures([("rows", rows as f64)]) },
    }
}

/// What is to be told of the rows.
struct Truth {
    /// Class, or rank from 0 to 1.
    values: Vec<f64>,
    /// Number of classes; nothing of ranks.
    classes: Option<usize>,
    /// Half of the rows, by which the other half is told.
    learned: Vec<u32>,
    /// The other half.
    asked: Vec<u32>,
}

impl Truth {
    fn of(subject: &Subject<'_>, rows: &[u32]) -> Option<Truth> {
        let mut values = subject.targets(rows)?;
        let classes = subject.classes();
        if classes.is_none() {
            values = ranks(&values);
        }
        let places: Vec<u32> = (0..rows.len() as u32).collect();
        let mut learned = shuffled(&places, subject.settings.seed ^ 1);
        let mut asked = learned.split_off(rows.len() / 2);
        learned.sort_unstable();
        asked.sort_unstable();
        Some(Truth { values, classes, learned, asked })
    }

    /// The same with both halves exchanged.
    fn turned(&self) -> Truth {
        let (learned, asked) = (self.asked.clone(), self.learned.clone());
        Truth { values: self.values.clone(), classes: self.classes, learned, asked }
    }

    /// How wrong it is to say `told` of a row: 1 or 0 of classes, the squared distance of ranks.
    fn error(&self, row: u32, told: f64) -> f64 {
        let truth = self.values[row as usize];
        match self.classes {
            Some(_) => f64::from(u8::from(told != truth)),
            None => (told - truth).powi(2),
        }
    }

    /// Errors of the rows that are asked.
    fn errors(&self, told: &[f64]) -> Vec<f64> {
        self.asked.iter().zip(told).map(|(&row, &told)| self.error(row, told)).collect()
    }

    /// What is best said of rows of which nothing else is known: the most frequent class, or the mean rank.
    fn best(&self, rows: impl Iterator<Item = u32>) -> Option<f64> {
        match self.classes {
            Some(classes) => {
                let mut counts = vec![0_usize; classes];
                rows.for_each(|row| counts[self.values[row as usize] as usize] += 1);
                let most = (0..classes).fold(0, |most, class| if counts[class] > counts[most] { class } else { most });
                (counts[most] > 0).then_some(most as f64)
            }
            None => {
                let (sum, count) =
                    rows.fold((0.0, 0.0), |(sum, count), row| (sum + self.values[row as usize], count + 1.0));
                (count > 0.0).then_some(sum / count)
            }
        }
    }

    /// What one column says of the rows that are asked.
    fn by_one(&self, values: &[f64], categories: Option<usize>) -> Vec<f64> {
        let Binned { bins, count } = Binned::of(values, categories, &self.learned);
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); count];
        self.learned.iter().for_each(|&row| members[bins[row as usize]].push(row));
        let otherwise = self.best(self.learned.iter().copied()).unwrap_or(0.0);
        let said: Vec<f64> = members.iter().map(|rows| self.best(rows.iter().copied()).unwrap_or(otherwise)).collect();
        self.asked.iter().map(|&row| said[bins[row as usize]]).collect()
    }

    /// What several columns say together.
    fn by_trees(&self, columns: &Columns, used: &[usize], subject: &Subject<'_>) -> Result<Vec<f64>> {
        if used.is_empty() {
            let best = self.best(self.learned.iter().copied()).unwrap_or(0.0);
            return Ok(vec![best; self.asked.len()]);
        }
        let matrix = columns.matrix(used);
        let target = match self.classes {
            Some(classes) => Target::Classes { classes, of: self.values.iter().map(|&class| class as u32).collect() },
            None => Target::Values(self.values.clone()),
        };
        let options = TreesOptions { rounds: Some(ROUNDS), leaves: Some(LEAVES), rate: 0.2, ..TreesOptions::default() };
        let work = Work::unlimited(subject.settings.threads, subject.settings.seed);
        let fitted = fit(Learner::Trees(options), &matrix.select(&self.learned), &target.select(&self.learned), work)?;
        let outputs = fitted.predict(&matrix.select(&self.asked), subject.settings.threads)?;
        let width = fitted.outputs();
        let said = outputs.chunks_exact(width).map(|of_row| match self.classes {
            Some(_) => first_largest(of_row) as f64,
            None => f64::from(of_row[0]),
        });
        Ok(said.collect())
    }
}

fn leaks(subject: &Subject<'_>, columns: &Columns, rows: &[u32], truth: &Truth) -> Result<Vec<Finding>> {
    let sum = |errors: &[f64]| errors.iter().sum::<f64>();
    let halves = [truth, &truth.turned()];
    // Errors of all rows, each told by the other half.
    let of_both =
        |errors: &dyn Fn(&Truth) -> Vec<f64>| halves.iter().flat_map(|half| errors(half)).collect::<Vec<f64>>();
    let without = |half: &Truth| half.best(half.learned.iter().copied()).unwrap_or(0.0);
    let nothing = sum(&of_both(&|half| half.errors(&vec![without(half); half.asked.len()])));
    if nothing <= 0.0 {
        return Ok(Vec::new());
    }
    let by_one: Vec<Vec<f64>> = (0..columns.width())
        .map(|column| of_both(&|half| half.errors(&half.by_one(&columns.values[column], columns.categories[column]))))
        .collect();
    let (perfect, others): (Vec<usize>, Vec<usize>) =
        (0..columns.width()).partition(|&column| sum(&by_one[column]) <= NEAR_PERFECT * nothing);
    // Of a table of such columns alone nobody can say that one tells too much.
    if perfect.is_empty() || others.is_empty() {
        return Ok(Vec::new());
    }
    let mut together = Vec::new();
    for half in halves {
        together.extend(half.errors(&half.by_trees(columns, &others, subject)?));
    }
    let mut findings = Vec::new();
    for column in perfect {
        let own = &by_one[column];
        let (mut better, mut worse) = (0, 0);
        own.iter().zip(&together).for_each(|(own, other)| {
            better += usize::from(own < other);
            worse += usize::from(own > other);
        });
        let chance = binomial_tail(better, better + worse, 0.5) * columns.width() as f64;
        let (own, other) = (sum(own) / nothing, sum(&together) / nothing);
        if chance >= LEVEL || other < FAR * own.max(NEAR_PERFECT) {
            continue;
        }
        let name = &columns.names[column];
        let told = told(rows.len(), subject.split.train.len());
        let what = match truth.classes {
            Some(_) => format!(
                "'{name}' by itself tells {:.1} % of the classes of rows that were held out, all {} other columns together {:.1} %{told}",
                100.0 * (1.0 - own * nothing / rows.len() as f64),
                others.len(),
                100.0 * (1.0 - other * nothing / rows.len() as f64)
            ),
            None => format!(
                "'{name}' by itself explains {:.1} % of the order of the target in rows that were held out, all {} other columns \
                 together {:.1} %{told}",
                100.0 * (1.0 - own),
                others.len(),
                100.0 * (1.0 - other).max(0.0)
            ),
        };
        let figures = [("error_share", own), ("error_share_of_others", other), ("chance", chance.min(1.0))];
        findings.push(Finding {
            kind: FindingKind::Leakage,
            severity: Severity::Warning,
            what,
            advice: format!(
                "it was used as a feature: ask whether '{name}' is known when a prediction is wanted, or only together with the \
                 target; if not, take the column out of the table. If it names what rows belong to, use --group {name}"
            ),
            evidence: Evidence { columns: vec![name.clone()], ..Evidence::figures(figures) },
        });
    }
    Ok(findings)
}

/// A column in bins, with those of missing values and of words that were not seen.
struct Binned {
    bins: Vec<usize>,
    count: usize,
}

impl Binned {
    fn of(values: &[f64], categories: Option<usize>, learned: &[u32]) -> Binned {
        if let Some(count) = categories {
            let bins = values.iter().map(|value| if value.is_nan() { count } else { *value as usize }).collect();
            return Binned { bins, count: count + 1 };
        }
        let mut known: Vec<f64> =
            learned.iter().map(|&row| values[row as usize]).filter(|value| !value.is_nan()).collect();
        known.sort_by(f64::total_cmp);
        // Bins of equal counts; of few values one for each.
        let mut distinct = known.clone();
        distinct.dedup();
        let borders: Vec<f64> = match distinct.len() {
            0 | 1 => Vec::new(),
            count if count <= BINS => distinct.windows(2).map(|pair| f64::midpoint(pair[0], pair[1])).collect(),
            _ => {
                let mut borders: Vec<f64> = (1..BINS).map(|bin| known[bin * known.len() / BINS]).collect();
                borders.dedup();
                borders
            }
        };
        let missing = borders.len() + 1;
        let bin = |value: &f64| {
            if value.is_nan() { missing } else { borders.partition_point(|border| border <= value) }
        };
        Binned { bins: values.iter().map(bin).collect(), count: missing + 1 }
    }
}

/// Places of values in their order, from 0 to 1; equal ones share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let (mut before, most) = (0, values.len().saturating_sub(1).max(1) as f64);
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = (before as f64 + (equal.len() - 1) as f64 / 2.0) / most;
        equal.iter().for_each(|&row| ranks[row] = rank);
        before += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_their_rank() {
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 9.0, 3.0]), [0.625, 0.0, 0.625, 1.0, 0.25]);
        assert_eq!(ranks(&[2.0]), [0.0]);
    }

    #[test]
    fn few_values_have_a_bin_each_and_gaps_one_of_their_own() {
        let values = [1.0, 2.0, f64::NAN, 2.0, 3.0, 9.0];
        let binned = Binned::of(&values, None, &[0, 1, 3, 4]);
        assert_eq!((binned.bins, binned.count), (vec![0, 1, 3, 1, 2, 2], 4));
        let words = Binned::of(&[0.0, 1.0, f64::NAN], Some(2), &[0]);
        assert_eq!((words.bins, words.count), (vec![0, 1, 2], 3));
    }

    #[test]
    fn a_function_of_the_target_is_told_by_bins() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i * 37 % 400)).collect();
        let (learned, asked) = ((0..200).collect(), (200..400).collect());
        let truth = Truth { values: ranks(&values), classes: None, learned, asked };
        let squares: Vec<f64> = values.iter().map(|value| (value - 100.0).powi(2).sqrt().powf(1.5) * 3.0).collect();
        let own = truth.errors(&truth.by_one(&values, None)).iter().sum::<f64>();
        let folded = truth.errors(&truth.by_one(&squares, None)).iter().sum::<f64>();
        let nothing = truth.errors(&[0.5; 200]).iter().sum::<f64>();
        assert!(own < 0.001 * nothing, "{own} of {nothing}");
        assert!(folded > 0.05 * nothing, "a value that two targets share: {folded} of {nothing}");
    }
}
