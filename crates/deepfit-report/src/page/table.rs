//! Tables of numbers, each with a sentence of meaning. On a phone a row becomes a block: its name, its numbers beside the
//! headings of their columns, and what they mean, so that nothing has to be moved sideways.

use maud::{Markup, html};

use crate::clean::clean;

/// A table of numbers with what they mean.
pub(super) struct Table {
    /// What it is of, for people who cannot see it.
    pub name: String,
    /// By which it is found, if it has to be.
    pub class: &'static str,
    /// What rows are.
    pub first: String,
    /// Headings of the numbers.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// A row of such a table.
pub(super) struct Row {
    /// What the numbers are.
    pub name: String,
    /// As many as the table has columns.
    pub cells: Vec<Markup>,
    /// What they mean; a table of which no row has a meaning has no column of it.
    pub meaning: String,
    /// Of the first number, by which it is found.
    pub id: Option<String>,
    /// Whether it says most.
    pub main: bool,
}

impl Row {
    /// A row of a name, numbers and what they mean.
    pub(super) fn new(name: impl Into<String>, cells: Vec<Markup>, meaning: impl Into<String>) -> Row {
        Row { name: name.into(), cells, meaning: meaning.into(), id: None, main: false }
    }
}

impl Table {
    /// A table without rows so far.
    pub(super) fn new(name: &str, first: &str, columns: &[&str]) -> Table {
        let columns = columns.iter().map(|column| column.to_string()).collect();
        let name = name.to_string();
        Table { name, class: "", first: first.to_string(), columns, rows: Vec::new() }
    }

    /// Appends a row.
    pub(super) fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The table; roles are told, since a phone shows its rows as blocks.
    pub(super) fn shown(&self) -> Markup {
        let meanings = self.rows.iter().any(|row| !row.meaning.is_empty());
        html! {
            div class="wide" role="region" tabindex="0" aria-label={ "Table: " (clean(&self.name)) } {
                table class={ "stack " (self.class) } role="table" {
                    caption class="hidden" { (clean(&self.name)) }
                    thead role="rowgroup" {
                        tr role="row" {
                            th scope="col" role="columnheader" { (clean(&self.first)) }
                            @for column in &self.columns { th scope="col" role="columnheader" { (clean(column)) } }
                            @if meanings { th scope="col" role="columnheader" class="meaning" { "What it means" } }
                        }
                    }
                    tbody role="rowgroup" {
                        @for row in &self.rows {
                            tr role="row" class=[row.main.then_some("main")] {
                                th scope="row" role="rowheader" { (clean(&row.name)) }
                                @for (place, (cell, column)) in row.cells.iter().zip(&self.columns).enumerate() {
                                    td role="cell" data-label=(clean(column)) id=[row.id.as_ref().filter(|_| place == 0)] {
                                        div { (cell) }
                                    }
                                }
                                @if meanings { td role="cell" class="meaning" { (clean(&row.meaning)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// That nothing is known.
pub(super) fn nothing() -> Markup {
    html! { span class="nothing" { "–" } }
}
