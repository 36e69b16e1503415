//! What a model predicts on average for each value of a column (partial dependence: Friedman, 2001), and how far single rows are
//! from that (individual conditional expectation: Goldstein et al., 2015).
//!
//! The value is put into the cell of each row, before it is encoded, so that what was learned of the column (its scaling, its
//! categories, its further numbers) is made of it as of any other value.

use std::collections::HashMap;

use deepfit_data::{Array, Cell, ColumnKind, ColumnSpec, Opened, TablePreprocessor};
use deepfit_zoo::{CATEGORIES, NUMERIC};

use crate::counterfactual::Value;
use crate::error::Result;
use crate::explainer::Explainer;
use crate::rows::Rows;
use crate::subject::Subject;

/// Most rows into which values are put.
const ROWS: usize = 200;
/// Values of a column of numbers that are tried: its quantiles.
const GRID: usize = 20;
/// Words of a category that are tried: the most frequent ones.
const WORDS: usize = 8;

/// What is predicted by the values of some columns, each by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependence {
    /// The class whose probability is told; nothing where a number is predicted.
    pub class: Option<String>,
    /// Number of rows into which values were put.
    pub rows: usize,
    /// A curve for each column, in the order in which they were asked for.
    pub curves: Vec<DependenceCurve>,
}

/// What is predicted by the value of a column.
#[derive(Debug, Clone, PartialEq)]
pub struct DependenceCurve {
    /// The column.
    pub column: String,
    /// Whether its values are numbers; else they are words.
    pub numeric: bool,
    /// By value: numbers from the least, words from the most frequent.
    pub points: Vec<DependencePoint>,
}

/// What is predicted if a column has a value in all rows.
#[derive(Debug, Clone, PartialEq)]
pub struct DependencePoint {
    /// The value.
    pub value: Value,
    /// The mean of the predictions.
    pub mean: f64,
    /// A tenth of the rows are predicted below this.
    pub low: f64,
    /// A tenth are predicted above this.
    pub high: f64,
}

/// The inputs of rows of cells, which `cell` gives by row and column.
pub(crate) fn encoded<'c>(
    subject: &Subject,
    table: &TablePreprocessor,
    len: usize,
    cell: impl Fn(usize, usize) -> &'c Cell,
) -> Rows {
    let (mut numeric, mut categories) = (Vec::new(), Vec::new());
    for row in 0..len {
        for (i, column) in table.columns.iter().enumerate() {
            column.push(cell(row, i), &mut numeric, &mut categories);
        }
    }
    let inputs = subject.names().iter().map(|name| match name.as_str() {
        NUMERIC => Array::F32(std::mem::take(&mut numeric)),
        CATEGORIES => Array::I32(std::mem::take(&mut categories)),
        _ => Array::F32(Vec::new()),
    });
    Rows { len, sequence: 1, inputs: inputs.collect() }
}

/// The values of a column that are tried, of those that it has. Dates have none: their numbers stand for more than one thing.
fn tried(column: &ColumnSpec, cells: impl Iterator<Item = Cell>) -> Vec<Cell> {
    if let ColumnKind::Date(_) = column.kind {
        return Vec::new();
    }
    let (mut numbers, mut words) = (Vec::new(), HashMap::<String, usize>::new());
    for cell in cells {
        match cell {
            Cell::Number(number) if number.is_finite() => numbers.push(number),
            Cell::Word(word) => *words.entry(word).or_insert(0) += 1,
            _ => {}
        }
    }
    numbers.sort_unstable_by(f64::total_cmp);
    let last = numbers.len().saturating_sub(1);
    let mut grid: Vec<f64> = (0..GRID).filter_map(|i| numbers.get(i * last / (GRID - 1)).copied()).collect();
    grid.dedup();
    let mut frequent: Vec<(String, usize)> = words.into_iter().collect();
    frequent.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let words = frequent.into_iter().take(WORDS).map(|(word, _)| Cell::Word(word));
    grid.into_iter().map(Cell::Number).chain(words).collect()
}

/// The place that is found most often in the targets of rows; of labels, the one that most rows have.
fn most_common(targets: &Array, outputs: usize) -> usize {
    let mut counts = vec![0_usize; outputs];
    match targets {
        Array::I32(classes) => {
            let known = classes.iter().filter_map(|&class| usize::try_from(class).ok());
            known.filter(|&class| class < outputs).for_each(|class| counts[class] += 1);
        }
        Array::F32(flags) => {
            let set = flags.iter().enumerate().filter(|(_, flag)| **flag > 0.5);
            set.for_each(|(at, _)| counts[at % outputs.max(1)] += 1);
        }
        Array::U8(_) => {}
    }
    (0..outputs).fold(0, |best, output| if counts[output] > counts[best] { output } else { best })
}

impl Explainer {
    /// What is predicted on average for each value of some columns of a table that has been opened, and the range of single
    /// rows: of a class's probability, that of `class` or of the most common one. Columns of dates are left out, and such with a
    /// single value.
    ///
    /// # Errors
    /// If the model takes no tables, knows no such class, or cannot run.
    pub fn dependence(&mut self, opened: &Opened, columns: &[String], class: Option<&str>) -> Result<Dependence> {
        let table = self.table()?;
        let count = opened.rows.len().min(ROWS);
        let chosen: Vec<u32> = (0..count).map(|i| opened.rows[i * opened.rows.len() / count]).collect();
        let classes = self.subject.task().classes().to_vec();
        let output = match class {
            Some(class) => self.subject.class(class)?,
            None if classes.is_empty() || !opened.source.has_targets() => 0,
            None => most_common(&opened.source.targets_of(&opened.rows), classes.len()),
        };
        let cell = |row: u32, column: usize| opened.source.cell(row, column).unwrap_or(Cell::Missing);
        let all = |row: &u32| (0..table.columns.len()).map(|column| cell(*row, column)).collect::<Vec<Cell>>();
        let rows: Vec<Vec<Cell>> = chosen.iter().map(all).collect();
        let unit = self.subject.unit();
        let mut curves = Vec::new();
        for name in columns {
            let Some(place) = table.columns.iter().position(|column| column.name == *name) else { continue };
            let column = &table.columns[place];
            let values = tried(column, opened.rows.iter().map(|&row| cell(row, place)));
            if values.len() < 2 {
                continue;
            }
            let mut points = Vec::with_capacity(values.len());
            for value in &values {
                let inputs =
                    encoded(
                        &self.subject,
                        &table,
                        rows.len(),
                        |row, at| {
                            if at == place { value } else { &rows[row][at] }
                        },
                    );
                let mut scores = self.subject.scores(&inputs, output, unit)?;
                scores.sort_unstable_by(f64::total_cmp);
                let last = scores.len().saturating_sub(1);
                points.push(DependencePoint {
                    value: Value::of(column, value),
                    mean: scores.iter().sum::<f64>() / scores.len().max(1) as f64,
                    low: scores.get(last / 10).copied().unwrap_or(0.0),
                    high: scores.get(last - last / 10).copied().unwrap_or(0.0),
                });
            }
            let numeric = points.iter().all(|point| matches!(point.value, Value::Number(_)));
            curves.push(DependenceCurve { column: name.clone(), numeric, points });
        }
        Ok(Dependence { class: classes.get(output).cloned(), rows: rows.len(), curves })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_common_class_or_label_is_told() {
        assert_eq!(most_common(&Array::I32(vec![2, 0, 2, -100, 1]), 3), 2);
        assert_eq!(most_common(&Array::F32(vec![0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]), 3), 1);
    }
}
