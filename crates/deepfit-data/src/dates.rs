//! Dates that a table has beside its texts or images: of which years these are.

use std::path::Path;

use crate::dataset::Dataset;
use crate::error::Result;
use crate::table::{self, DateForm, calendar, is_target_missing};

/// First rows by which columns are told that may hold dates.
const LOOKED_AT: usize = 50;

/// Columns of dates, and the latest year that they tell of in each of some rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatesBeside {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The year of each row that was asked for, where it has one.
    pub years: Vec<Option<u32>>,
}

impl Dataset {
    /// Of which years texts or images are by the columns of dates of their table; nothing where they have no table, or it no
    /// such column. Rows of tables that are for validation or test alone have no year.
    ///
    /// # Errors
    /// If the table cannot be read again.
    pub fn dates_beside(&self, rows: &[u32]) -> Result<Option<DatesBeside>> {
        let path: &Path = self.options().labels.as_deref().unwrap_or(self.path());
        let has_table = (self.is_images() || self.is_texts()) && self.summary().target.is_some() && path.is_file();
        if !has_table {
            return Ok(None);
        }
        let seen = table::preview(path, self.has_header(), LOOKED_AT)?;
        let may_be = |column: &usize| {
            let cells = seen.rows.iter().filter_map(|row| row.get(*column)).map(String::as_str);
            form_of(&seen.columns[*column], cells).is_some()
        };
        let names: Vec<&str> =
            (0..seen.columns.len()).filter(may_be).map(|column| seen.columns[column].as_str()).collect();
        if names.is_empty() {
            return Ok(None);
        }
        let texts = table::texts(path, seen.header, &names, self.options().threads)?;
        let places: Vec<Option<usize>> = rows
            .iter()
            .map(|&row| match self.origin(row) {
                (None, place) => Some(place),
                (Some(_), _) => None,
            })
            .collect();
        let mut found = DatesBeside { columns: Vec::new(), years: vec![None; rows.len()] };
        for (column, name) in names.iter().enumerate() {
            let cells = || places.iter().map(|place| place.map_or("", |place| texts.get(place, column)));
            let Some(form) = form_of(name, cells()) else { continue };
            found.columns.push((*name).to_string());
            for (year, cell) in found.years.iter_mut().zip(cells()) {
                let of_cell = form.parse(cell).map(|days| calendar(days).0 as u32);
                *year = (*year).max(of_cell);
            }
        }
        Ok((!found.columns.is_empty()).then_some(found))
    }
}

/// The form of dates that all cells have that hold something; nothing where one is no date, or none holds anything.
fn form_of<'a>(name: &str, cells: impl Iterator<Item = &'a str>) -> Option<DateForm> {
    let named = name.to_ascii_lowercase().contains("date");
    // Eight digits may be anything.
    let mut forms: Vec<DateForm> =
        DateForm::ALL.into_iter().filter(|form| named || *form != DateForm::Compact).collect();
    let mut any = false;
    for cell in cells.filter(|cell| !is_target_missing(cell)) {
        any = true;
        forms.retain(|form| form.parse(cell).is_some());
        if forms.is_empty() {
            return None;
        }
    }
    forms.first().copied().filter(|_| any)
}
