//! Numbers and categories that stand beside the texts of a table, as inputs of the layer that sees what became of the texts.
//!
//! A number becomes several, one for each piece between quantiles of the training rows, of which a sum with weights is any
//! function that is linear in each piece (Gorishniy et al., 2022: piecewise linear encoding); a category one for each word.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::batch::{Array, Batch};
use crate::error::Result;
use crate::source::{Pass, Source};
use crate::table::{TablePreprocessor, quantile};

/// Most pieces of a number.
const PIECES: usize = 8;
/// The first and the last piece go on beyond the training rows by so many times their own length.
const BEYOND: f32 = 1.0;
/// Length of all inputs of a row on average: the texts' vector has 1, and most columns tell less.
const LENGTH: f64 = 0.5;
/// Rows that are encoded at a time while statistics are made.
const ROWS: usize = 1024;

/// How the columns beside texts are encoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnTerms {
    /// How columns become numbers and numbers of categories.
    pub table: TablePreprocessor,
    /// The borders of the pieces of each number, ascending; a single one where all training rows have the same value.
    pub borders: Vec<Vec<f32>>,
    /// What is subtracted from each input: its mean over the training rows.
    pub mean: Vec<f32>,
    /// What each input is then multiplied by: inputs of a column are as much as those of another.
    pub factor: Vec<f32>,
}

/// Columns of rows, encoded when they are asked for.
pub(crate) struct Columns {
    terms: ColumnTerms,
    /// Tables, one after the other.
    tables: Vec<Arc<dyn Source>>,
}

impl ColumnTerms {
    /// Fits to some rows of a table.
    ///
    /// # Errors
    /// If rows cannot be read.
    pub(crate) fn fit(table: TablePreprocessor, source: &dyn Source, rows: &[u32]) -> Result<ColumnTerms> {
        let numbers = table.numeric_names().len();
        let mut values: Vec<Vec<f64>> = vec![Vec::with_capacity(rows.len()); numbers];
        let mut batch = Batch::new();
        for rows in rows.chunks(ROWS) {
            source.fill(rows, Pass::Evaluate, &mut batch)?;
            if let Some(all) = batch.inputs.first().and_then(Array::as_f32).filter(|_| numbers > 0) {
                for row in all.chunks_exact(numbers) {
                    values.iter_mut().zip(row).for_each(|(values, &x)| values.push(f64::from(x)));
                }
            }
        }
        let borders = values.into_iter().map(|mut values| {
            values.sort_unstable_by(f64::total_cmp);
            let mut borders: Vec<f32> =
                (0..=PIECES).map(|piece| quantile(&values, piece as f64 / PIECES as f64) as f32).collect();
            borders.dedup();
            borders
        });
        let mut terms = ColumnTerms { borders: borders.collect(), table, mean: Vec::new(), factor: Vec::new() };
        let width = terms.widths().iter().sum();
        (terms.mean, terms.factor) = (vec![0.0; width], vec![1.0; width]);
        let (mut sums, mut squares) = (vec![0.0; width], vec![0.0; width]);
        for rows in rows.chunks(ROWS) {
            source.fill(rows, Pass::Evaluate, &mut batch)?;
            for row in terms.encoded(&batch).chunks_exact(width) {
                for ((sum, square), &x) in sums.iter_mut().zip(&mut squares).zip(row) {
                    *sum += f64::from(x);
                    *square += f64::from(x) * f64::from(x);
                }
            }
        }
        let count = rows.len().max(1) as f64;
        let columns = terms.widths().iter().filter(|&&width| width > 0).count();
        let mut begin = 0;
        for width in terms.widths() {
            let of_column = begin..begin + width;
            let mean = |i: usize| sums[i] / count;
            let variance: f64 = of_column.clone().map(|i| (squares[i] / count - mean(i).powi(2)).max(0.0)).sum();
            for i in of_column {
                terms.mean[i] = mean(i) as f32;
                terms.factor[i] = (LENGTH / (variance * columns as f64).sqrt().max(1e-6)) as f32;
            }
            begin += width;
        }
        Ok(terms)
    }

    /// Number of inputs made of each number and category, in their order.
    fn widths(&self) -> Vec<usize> {
        let slots = self.table.slots();
        let categories = slots.iter().flat_map(|slot| &slot.cardinalities);
        self.borders.iter().map(|borders| borders.len() - 1).chain(categories.copied()).collect()
    }

    /// The columns, or what is made of them, such as a date's month, with the number of inputs of each, in their order.
    pub fn parts(&self) -> Vec<(String, usize)> {
        let categories = self.table.category_names().into_iter().map(str::to_string);
        self.table.numeric_names().into_iter().chain(categories).zip(self.widths()).collect()
    }

    /// Number of inputs.
    pub fn len(&self) -> usize {
        self.mean.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.mean.is_empty()
    }

    /// Whether all values are in range.
    pub(crate) fn is_sound(&self) -> bool {
        let ascending = |borders: &Vec<f32>| !borders.is_empty() && borders.is_sorted_by(|a, b| a < b);
        self.table.is_sound()
            && self.borders.len() == self.table.numeric_names().len()
            && self.borders.iter().all(ascending)
            && [self.mean.len(), self.factor.len()] == [self.widths().iter().sum::<usize>(); 2]
            && self.mean.iter().chain(&self.factor).all(|x| x.is_finite())
    }

    /// The inputs of a batch of table rows, one row after the other.
    fn encoded(&self, batch: &Batch) -> Vec<f32> {
        let mut out = vec![0.0; batch.len * self.len()];
        let cardinalities: Vec<usize> = self.table.slots().iter().flat_map(|slot| slot.cardinalities.clone()).collect();
        let numbers = batch.inputs.iter().find_map(Array::as_f32).unwrap_or_default();
        let categories = batch.inputs.iter().find_map(Array::as_i32).unwrap_or_default();
        for (row, out) in out.chunks_exact_mut(self.len().max(1)).enumerate() {
            let mut begin = 0;
            let of_row = numbers.iter().skip(row * self.borders.len());
            for (borders, &x) in self.borders.iter().zip(of_row) {
                let pieces = borders.len() - 1;
                for (piece, ends) in borders.windows(2).enumerate() {
                    let least = if piece == 0 { -BEYOND } else { 0.0 };
                    let most = if piece + 1 == pieces { 1.0 + BEYOND } else { 1.0 };
                    out[begin + piece] = ((x - ends[0]) / (ends[1] - ends[0])).clamp(least, most);
                }
                begin += pieces;
            }
            let of_row = categories.iter().skip(row * cardinalities.len());
            for (cardinality, &index) in cardinalities.iter().zip(of_row) {
                out[begin + (index as usize).min(cardinality - 1)] = 1.0;
                begin += cardinality;
            }
            for ((x, mean), factor) in out.iter_mut().zip(&self.mean).zip(&self.factor) {
                *x = (*x - mean) * factor;
            }
        }
        out
    }
}

impl Columns {
    /// Tables, one after the other, seen by what was fitted.
    pub(crate) fn new(terms: ColumnTerms, tables: Vec<Arc<dyn Source>>) -> Columns {
        Columns { terms, tables }
    }

    /// Number of inputs.
    pub(crate) fn width(&self) -> usize {
        self.terms.len()
    }

    /// The inputs of a row.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn of(&self, row: u32, batch: &mut Batch) -> Result<Vec<f32>> {
        let mut row = row;
        for table in &self.tables {
            match row.checked_sub(table.len() as u32) {
                Some(rest) => row = rest,
                None => {
                    table.fill(&[row], Pass::Evaluate, batch)?;
                    return Ok(self.terms.encoded(batch));
                }
            }
        }
        Ok(vec![0.0; self.width()])
    }

    pub(crate) fn resident_bytes(&self) -> usize {
        self.tables.iter().map(|table| table.resident_bytes()).sum::<usize>() + 8 * self.terms.len()
    }
}
