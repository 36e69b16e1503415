//! Columns of a table as checks look at them: as they stand in the data, before anything is fitted to them.

use std::collections::HashMap;

use deepfit_classical::{Kind, Matrix};
use deepfit_data::{Cell, Preprocessor, Source};

/// Cells of rows that were drawn.
pub(super) struct Columns {
    pub(super) names: Vec<String>,
    /// Of each column and row: a number, or the number of a category; NaN where nothing stands.
    pub(super) values: Vec<Vec<f64>>,
    /// Number of categories; nothing of numbers.
    pub(super) categories: Vec<Option<usize>>,
}

impl Columns {
    /// The columns that a model uses; nothing of what is no table.
    pub(super) fn read(source: &dyn Source, preprocessor: &Preprocessor, rows: &[u32]) -> Option<Columns> {
        let Preprocessor::Table(table) = preprocessor else { return None };
        let names: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
        let (mut values, mut categories) = (Vec::new(), Vec::new());
        for column in 0..names.len() {
            let (mut words, mut own) = (HashMap::new(), Vec::with_capacity(rows.len()));
            let mut of_words = false;
            for &row in rows {
                own.push(match source.cell(row, column)? {
                    Cell::Missing => f64::NAN,
                    Cell::Number(number) => number,
                    Cell::Word(word) => {
                        of_words = true;
                        let next = words.len();
                        *words.entry(word).or_insert(next) as f64
                    }
                });
            }
            values.push(own);
            categories.push(of_words.then_some(words.len()));
        }
        Some(Columns { names, values, categories })
    }

    /// Number of columns.
    pub(super) fn width(&self) -> usize {
        self.names.len()
    }

    /// Some columns for trees.
    pub(super) fn matrix(&self, columns: &[usize]) -> Matrix {
        let kind = |&column: &usize| match self.categories[column] {
            // What is missing is a category, too.
            Some(count) => Kind::Category(count as u32 + 1),
            None => Kind::Number,
        };
        let rows = self.values.first().map_or(0, Vec::len);
        let mut cells = Vec::with_capacity(rows * columns.len());
        for row in 0..rows {
            cells.extend(columns.iter().map(|&column| {
                let value = self.values[column][row];
                match self.categories[column] {
                    Some(_) if value.is_nan() => 0.0,
                    Some(_) => value as f32 + 1.0,
                    None => value as f32,
                }
            }));
        }
        Matrix::of_columns(columns.iter().map(kind).collect(), cells)
    }
}
