//! Rows of tables: columns that are taken away, and rows of the training data that stand in for them.

use std::ops::Range;

use deepfit_data::{Array, Encoding, TablePreprocessor, Task};
use deepfit_zoo::{CATEGORIES, NUMERIC};

use crate::error::Result;
use crate::removal::Removal;
use crate::rows::Rows;
use crate::subject::{Subject, Unit};

/// Rows that are run together at most while variants are made.
const AT_ONCE: usize = 4096;

/// Where the inputs of a column are.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    /// Several numbers: a date has more than one, and missing values are told by a further one.
    Numbers(Range<usize>),
    /// One category.
    Category(usize),
}

/// The columns that a network sees, and where its inputs hold them.
#[derive(Debug, Clone)]
pub struct Columns {
    /// Their names.
    pub names: Vec<String>,
    places: Vec<Place>,
    numeric: Option<usize>,
    categories: Option<usize>,
}

impl Columns {
    /// Those of a model.
    pub fn of(table: &TablePreprocessor, inputs: &[String]) -> Columns {
        let (mut places, mut numbers, mut category) = (Vec::new(), 0, 0);
        for column in &table.columns {
            places.push(match column.encoding {
                Encoding::Numeric { .. } => {
                    numbers += column.numbers();
                    Place::Numbers(numbers - column.numbers()..numbers)
                }
                Encoding::Category { .. } => {
                    category += 1;
                    Place::Category(category - 1)
                }
            });
        }
        let find = |name: &str| inputs.iter().position(|input| input == name);
        let names = table.columns.iter().map(|column| column.name.clone()).collect();
        Columns { names, places, numeric: find(NUMERIC), categories: find(CATEGORIES) }
    }

    /// Copies a column of a row of `from` to a row of `to`.
    fn copy(&self, column: usize, (from, source): (&Rows, usize), (to, target): (&mut Rows, usize)) {
        match (&self.places[column], self.numeric, self.categories) {
            (Place::Numbers(range), Some(input), _) => {
                let width = from.width(input);
                let (source, target) = (source * width, target * width);
                let values = &from.numbers(input)[source + range.start..source + range.end];
                if let Array::F32(out) = &mut to.inputs[input] {
                    out[target + range.start..target + range.end].copy_from_slice(values);
                }
            }
            (Place::Category(place), _, Some(input)) => {
                let width = from.width(input);
                if let (Array::I32(values), Array::I32(out)) = (&from.inputs[input], &mut to.inputs[input]) {
                    out[target * width + place] = values[source * width + place];
                }
            }
            _ => {}
        }
    }

    /// Sums what belongs to a column: values of the inputs of one row, and one value for each category.
    pub fn sums(&self, inputs: &[Vec<f64>]) -> Vec<f64> {
        let of = |place: &Place| match (place, self.numeric, self.categories) {
            (Place::Numbers(range), Some(input), _) => inputs[input][range.clone()].iter().sum(),
            (Place::Category(place), _, Some(input)) => inputs[input].get(*place).copied().unwrap_or(0.0),
            _ => 0.0,
        };
        self.places.iter().map(of).collect()
    }

    /// A row with the mean of other rows' numbers.
    pub fn mean_row(&self, row: &Rows, background: &Rows) -> Rows {
        let mut mean = row.clone();
        if let Some(Array::F32(values)) = self.numeric.map(|input| &mut mean.inputs[input]) {
            let all = background.numbers(self.numeric.unwrap_or(0));
            let width = values.len();
            for (i, value) in values.iter_mut().enumerate() {
                let sum: f64 = all.iter().skip(i).step_by(width).map(|&x| f64::from(x)).sum();
                *value = (sum / background.len.max(1) as f64) as f32;
            }
        }
        mean
    }
}

/// A row whose columns are taken away: others stand in their place, those of each row of the background in turn.
pub struct OfRow<'a> {
    /// The network.
    pub subject: &'a mut Subject,
    /// Its columns.
    pub columns: &'a Columns,
    /// The row.
    pub row: &'a Rows,
    /// Rows whose values stand in.
    pub background: &'a Rows,
    /// What is explained.
    pub output: usize,
    /// In which unit.
    pub unit: Unit,
}

impl Removal for OfRow<'_> {
    fn parts(&self) -> usize {
        self.columns.names.len()
    }

    fn scores(&mut self, kept: &[Vec<bool>]) -> Result<Vec<f64>> {
        let others = self.background.len;
        let mut scores = Vec::with_capacity(kept.len());
        for kept in kept.chunks((AT_ONCE / others).max(1)) {
            let mut rows = self.background.repeated(kept.len());
            for (variant, kept) in kept.iter().enumerate() {
                for column in (0..kept.len()).filter(|&column| kept[column]) {
                    for other in 0..others {
                        self.columns.copy(column, (self.row, 0), (&mut rows, variant * others + other));
                    }
                }
            }
            let all = self.subject.scores(&rows, self.output, self.unit)?;
            scores.extend(all.chunks_exact(others).map(|all| all.iter().sum::<f64>() / others as f64));
        }
        Ok(scores)
    }
}

/// A table whose columns are shuffled: the number is how well the network predicts its rows, by accuracy (of labels, each by itself) or R².
pub struct OfTable<'a> {
    /// The network.
    pub subject: &'a mut Subject,
    /// Its columns.
    pub columns: &'a Columns,
    /// All rows.
    pub rows: &'a Rows,
    /// Classes, or values in the unit of the network.
    pub targets: &'a Array,
    /// Which order it is that columns are shuffled in.
    pub seed: u64,
}

impl Removal for OfTable<'_> {
    fn parts(&self) -> usize {
        self.columns.names.len()
    }

    fn scores(&mut self, kept: &[Vec<bool>]) -> Result<Vec<f64>> {
        let several = matches!(self.subject.task(), Task::MultiLabel { .. });
        let score = |kept: &Vec<bool>| {
            let mut rows = self.rows.clone();
            for column in (0..kept.len()).filter(|&column| !kept[column]) {
                // Each column has an order of its own.
                let order = crate::faithfulness::shuffled(rows.len, self.seed << 32 | column as u64);
                for (target, source) in order.into_iter().enumerate() {
                    self.columns.copy(column, (self.rows, source), (&mut rows, target));
                }
            }
            let logits = self.subject.logits(&rows)?;
            Ok(match self.targets {
                Array::I32(classes) => {
                    let right = logits.iter().zip(classes).filter(|(logits, class)| {
                        let best = (0..logits.len()).fold(0, |best, c| if logits[c] > logits[best] { c } else { best });
                        best as i32 == **class
                    });
                    right.count() as f64 / rows.len as f64
                }
                // Of several labels, the share of those that are told rightly.
                Array::F32(flags) if several => {
                    let told = logits.iter().flatten().map(|&logit| logit > 0.0);
                    let right = told.zip(flags).filter(|(told, flag)| *told == (**flag > 0.5)).count();
                    right as f64 / flags.len() as f64
                }
                Array::F32(values) => {
                    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
                    let squares = |of: &dyn Fn(usize) -> f64| {
                        (0..values.len()).map(|i| (f64::from(values[i]) - of(i)).powi(2)).sum::<f64>()
                    };
                    let all = squares(&|_| mean).max(f64::MIN_POSITIVE);
                    1.0 - squares(&|i| f64::from(logits[i][0])) / all
                }
                Array::U8(_) => 0.0,
            })
        };
        kept.iter().map(score).collect()
    }
}
