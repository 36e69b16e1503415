//! Markdown tables that can also be read as they are.

use std::fmt;

/// A table with a heading; columns of numbers are aligned to the right.
#[derive(Debug, Clone)]
pub struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(title: &str, columns: &[&str]) -> Table {
        Table { title: title.to_string(), rows: vec![columns.iter().map(|c| c.to_string()).collect()] }
    }

    /// Adds a row, which has as many cells as there are columns.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.cells(cells.to_vec());
    }

    /// [`Table::row`] of a table whose columns are not known before.
    pub fn cells(&mut self, cells: Vec<String>) {
        assert_eq!(
            cells.len(),
            self.rows[0].len(),
            "a row of the table `{}` has too few or too many cells",
            self.title
        );
        self.rows.push(cells.into_iter().map(|cell| cell.replace('|', "\\|")).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.rows[0].len())
            .map(|column| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3))
            .collect();
        let numeric = |column: usize| {
            self.rows[1..].iter().all(|row| row[column].chars().all(|c| c.is_ascii_digit() || "+-.% –x".contains(c)))
        };
        writeln!(f, "\n### {}\n", self.title)?;
        for (number, row) in self.rows.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if numeric(column) { write!(f, "| {cell:>width$} ")? } else { write!(f, "| {cell:<width$} ")? }
            }
            writeln!(f, "|")?;
            if number == 0 {
                for (column, &width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width - 1);
                    if numeric(column) { write!(f, "| {dashes}: ")? } else { write!(f, "| {dashes}- ")? }
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}
