//! Columns of a table that say how much its rows count, and by which values rows are also looked at by themselves.

use std::collections::HashMap;
use std::path::Path;

use crate::dataset::{OpenOptions, Opened, numbered};
use crate::division::{Origin, role};
use crate::error::{Error, Result};
use crate::split::Part;
use crate::table::{self, Texts, is_target_missing, named_column, value_error};

/// Most values of a column by which rows are looked at by themselves.
const MOST_SUBGROUPS: usize = 100;
/// What rows without a value are called.
const MISSING: &str = "(missing)";

/// Rows by the values of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subgroups {
    /// The column.
    pub column: String,
    /// Its values, in their order; rows without one are `(missing)`.
    pub names: Vec<String>,
    /// Of each row, the place of its value among them.
    pub of: Vec<u32>,
}

/// A column as the table itself has it, and those tables that are for validation or test.
type Column = Vec<(Option<Part>, String, Texts)>;

/// Checks that the columns exist, and are not what is learned.
///
/// # Errors
/// If a column is missing or means two things, or the data is no table.
pub(crate) fn check(table: Option<&Path>, options: &OpenOptions) -> Result<()> {
    let given = [("weight", &options.weight), ("by", &options.by)];
    for (setting, column) in given.into_iter().filter_map(|(setting, column)| Some((setting, column.as_ref()?))) {
        let refuse = |problem: String| Err(Error::Setting { setting, problem });
        let Some(table) = table else {
            return refuse("names a column of a table, and the data is none".to_string());
        };
        let columns = table::preview(table, options.header, 1)?.columns;
        named_column(&columns, column, &table.to_string_lossy())?;
        let several = |list: &String| list.split(',').any(|name| name.trim() == column);
        if options.target.as_ref().is_some_and(several) {
            return refuse(format!("names '{column}', which is also the target"));
        }
        let other = options.text.as_ref().is_some_and(several) || options.by.as_ref() == Some(column);
        if setting == "weight" && (other || role(&OpenOptions { weight: None, ..options.clone() }, column).is_some()) {
            return refuse(format!("names '{column}', which another setting names as well"));
        }
    }
    Ok(())
}

/// Reads a column of a table, and of those for validation and test.
pub(crate) fn column(table: &Path, options: &OpenOptions, column: &str) -> Result<Column> {
    let of = |path: &Path| -> Result<Texts> {
        let header = table::preview(path, options.header, 1)?.header;
        table::texts(path, header, &[column], options.threads)
    };
    let mut tables = vec![(None, table.to_string_lossy().into_owned(), of(table)?)];
    for (path, part) in [(&options.validation, Part::Validation), (&options.test, Part::Test)] {
        let Some(path) = path else { continue };
        tables.push((Some(part), path.to_string_lossy().into_owned(), of(path)?));
    }
    Ok(tables)
}

/// The table that a row is of.
pub(crate) fn table_of(tables: &Column, part: Option<Part>) -> (&str, &Texts) {
    let (_, name, texts) = tables.iter().find(|(of, ..)| *of == part).unwrap_or(&tables[0]);
    (name, texts)
}

/// Weights of rows: numbers of at least 0, of which one is above.
///
/// # Errors
/// If one is missing, negative or no number, or all are 0.
pub(crate) fn weights(tables: &Column, column: &str, rows: &[Origin]) -> Result<Vec<f64>> {
    let weight = |&(part, row): &Origin| {
        let (name, texts) = table_of(tables, part);
        let cell = texts.get(row, 0);
        let problem = match cell.parse::<f64>() {
            _ if is_target_missing(cell) => "is missing: each row needs a weight; fill it in, or leave the row out",
            Ok(value) if value.is_finite() && value >= 0.0 => return Ok(value),
            Ok(value) if value < 0.0 => "is negative, and no row counts less than nothing; use 0 to leave a row out",
            _ => "is no number, as the weight of a row must be; repair it",
        };
        Err(value_error(name, texts.place(row), column, cell, problem))
    };
    let weights: Vec<f64> = rows.iter().map(weight).collect::<Result<_>>()?;
    if weights.iter().all(|&weight| weight == 0.0) {
        let (setting, problem) = ("weight", format!("is 0 in all rows of '{column}', so that none counts; repair it"));
        return Err(Error::Setting { setting, problem });
    }
    Ok(weights)
}

/// Rows by the values of a column.
///
/// # Errors
/// If there are very many values.
pub(crate) fn subgroups(tables: &Column, column: &str, rows: &[Origin]) -> Result<Subgroups> {
    let mut known: HashMap<&str, u32> = HashMap::new();
    let mut of = Vec::with_capacity(rows.len());
    for &(part, row) in rows {
        let cell = table_of(tables, part).1.get(row, 0);
        let name = if is_target_missing(cell) { MISSING } else { cell };
        let next = known.len() as u32;
        of.push(*known.entry(name).or_insert(next));
        if known.len() > MOST_SUBGROUPS {
            let problem = format!(
                "names '{column}', which has more than {MOST_SUBGROUPS} different values; name a column of few, such as one \
                 that holds ranges of a number"
            );
            return Err(Error::Setting { setting: "by", problem });
        }
    }
    let mut names: Vec<(String, u32)> = known.into_iter().map(|(name, number)| (name.to_string(), number)).collect();
    table::in_class_order(&mut names);
    let mut place = vec![0; names.len()];
    names.iter().zip(0..).for_each(|((_, number), at)| place[*number as usize] = at);
    of.iter_mut().for_each(|number| *number = place[*number as usize]);
    Ok(Subgroups { column: column.to_string(), names: names.into_iter().map(|(name, _)| name).collect(), of })
}

impl Opened {
    /// Weight of each row, by a column of the table that was opened; `None` if it has no such column.
    ///
    /// # Errors
    /// If a value is missing, negative or no number, or all are 0.
    pub fn weights(&self, table: &Path, column: &str, threads: usize) -> Result<Option<Vec<f64>>> {
        let (header, column) = (self.header, &self.named(column)[..]);
        if !table.is_file() || !table::preview(table, header, 1)?.columns.iter().any(|name| name == column) {
            return Ok(None);
        }
        let origins = self.origins("weight")?;
        let options = OpenOptions { threads, header, ..OpenOptions::default() };
        weights(&self::column(table, &options, column)?, column, &origins).map(Some)
    }

    /// Rows by the values of a column of the table that was opened.
    ///
    /// # Errors
    /// If there is no such column, or it has very many values.
    pub fn subgroups(&self, table: &Path, column: &str, threads: usize) -> Result<Subgroups> {
        let column = &self.named(column)[..];
        let by = Some(column.to_string());
        let options = OpenOptions { threads, by, header: self.header, ..OpenOptions::default() };
        check(Some(table).filter(|table| table.is_file()), &options)?;
        subgroups(&self::column(table, &options, column)?, column, &self.origins("by")?)
    }

    /// The column that is meant, which may be named by its number where the table has no names.
    fn named(&self, column: &str) -> String {
        if self.header == Some(false) { numbered(column) } else { column.to_string() }
    }

    /// Data rows of the table: of images those that name them, of others what they are called by.
    fn origins(&self, setting: &'static str) -> Result<Vec<Origin>> {
        if let Some(rows) = &self.table_rows {
            return Ok(rows.iter().map(|&row| (None, row as usize)).collect());
        }
        let origin = |name: &String| name.parse().ok().map(|row| (None, row));
        self.names.iter().map(origin).collect::<Option<_>>().ok_or_else(|| {
            let problem = "names a column of a table, and the rows of this data are files of a folder".to_string();
            Error::Setting { setting, problem }
        })
    }
}
