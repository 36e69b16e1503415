//! Columns of a table that say how its rows are divided: which belong together, which came first, which part each is of. They
//! are no features.

use std::collections::HashMap;
use std::path::Path;

use crate::dataset::OpenOptions;
use crate::error::{Error, Result};
use crate::image;
use crate::split::Part;
use crate::table::{self, DateForm, Texts, is_target_missing, named_column, value_error};
use crate::weighing;

/// What the columns say of each row.
#[derive(Default)]
pub(crate) struct Division {
    /// Rows that belong together share a number; empty if no column says so.
    pub(crate) groups: Vec<u32>,
    /// When each row was; empty if no column says so. Rows of files that are for validation or test need none.
    pub(crate) times: Vec<f64>,
    /// Part of each row; empty if no column says so.
    pub(crate) parts: Vec<Option<Part>>,
}

/// The settings that name such columns, and what a column is then for.
fn roles(options: &OpenOptions) -> [(&'static str, Option<&str>, &'static str); 3] {
    [
        ("group", options.group.as_deref(), "says which rows belong together"),
        ("time_split", options.time_split.as_deref(), "says which rows came first"),
        ("split", options.split.as_deref(), "says which part a row is of"),
    ]
}

/// What a column is for, if it is no feature.
pub(crate) fn role(options: &OpenOptions, column: &str) -> Option<&'static str> {
    if options.weight.as_deref() == Some(column) {
        return Some("says how much a row counts");
    }
    roles(options).into_iter().find(|(_, named, _)| *named == Some(column)).map(|(_, _, why)| why)
}

/// Checks that the columns exist, and that the settings do not contradict each other; `table` is the table that has them, if
/// the data has one.
///
/// # Errors
/// If a column is missing or means two things, or two settings say how rows are divided.
pub(crate) fn check(table: Option<&Path>, options: &OpenOptions) -> Result<()> {
    let given: Vec<(&'static str, &str)> =
        roles(options).into_iter().filter_map(|(setting, column, _)| Some((setting, column?))).collect();
    let Some(&(setting, _)) = given.first() else { return Ok(()) };
    let refuse = |setting, problem: String| Err(Error::Setting { setting, problem });
    if let [_, (second, _), ..] = given[..] {
        return refuse(second, format!("says how rows are divided, as `{setting}` does; give one of them"));
    }
    let Some(table) = table else {
        return refuse(setting, "names a column of a table, and the data is none".to_string());
    };
    if setting == "split" && (options.validation.is_some() || options.test.is_some()) {
        let problem = "is for one table that has all parts; leave `validation` and `test` away".to_string();
        return refuse(setting, problem);
    }
    let columns = table::preview(table, options.header, 1)?.columns;
    for (setting, column) in given {
        named_column(&columns, column, &table.to_string_lossy())?;
        let named = [("target", &options.target), ("text", &options.text)];
        let several = |list: &str| list.split(',').any(|name| name.trim() == column);
        if let Some((other, _)) = named.iter().find(|(_, list)| list.as_deref().is_some_and(several)) {
            return refuse(setting, format!("names '{column}', which is also the {other}"));
        }
    }
    Ok(())
}

/// Where a row stands: in the table or in one of its own for validation or test, and at which data row there.
pub(crate) type Origin = (Option<Part>, usize);

/// Reads what the columns say of the rows of a data set.
///
/// # Errors
/// If a value is missing or cannot be read, or all rows are one group.
pub(crate) fn read(table: &Path, options: &OpenOptions, rows: &[Origin]) -> Result<Division> {
    let mut division = Division::default();
    let name = table.to_string_lossy().into_owned();
    let column = |path: &Path, column: &str| {
        let header = table::preview(path, options.header, 1)?.header;
        table::texts(path, header, &[column], options.threads)
    };
    if let Some(group) = &options.group {
        division.groups = read_groups(&weighing::column(table, options, group)?, group, rows)?;
        let own = rows.iter().zip(&division.groups).filter(|((part, _), _)| part.is_none());
        let mut different: Vec<u32> = own.map(|(_, group)| *group).collect();
        different.sort_unstable();
        different.dedup();
        if different.len() < 2 {
            let problem = format!(
                "all rows of '{name}' have one value in the column '{group}', so that they cannot be divided; name a \
                 column that tells groups apart, or leave `group` away"
            );
            return Err(Error::Split { problem });
        }
    }
    if let Some(time) = &options.time_split {
        division.times = read_times(&column(table, time)?, &name, time, rows)?;
    }
    if let Some(split) = &options.split {
        let texts = column(table, split)?;
        let part = |&(_, row): &Origin| {
            let cell = texts.get(row, 0);
            image::part_of(cell).map(Some).ok_or_else(|| {
                let problem = "is neither train, validation nor test, as the part of a row must be; repair it, or leave \
                               `split` away";
                value_error(&name, texts.place(row), split, cell, problem)
            })
        };
        division.parts = rows.iter().map(part).collect::<Result<_>>()?;
    }
    Ok(division)
}

fn read_groups(tables: &[(Option<Part>, String, Texts)], column: &str, rows: &[Origin]) -> Result<Vec<u32>> {
    let mut known: HashMap<&str, u32> = HashMap::new();
    let mut groups = Vec::with_capacity(rows.len());
    for &(part, row) in rows {
        let found = tables.iter().find(|(of, _, _)| *of == part).unwrap_or(&tables[0]);
        let (_, name, texts) = found;
        let cell = texts.get(row, 0);
        if is_target_missing(cell) {
            let problem = "is no group: each row needs one; fill it in, or leave the row out";
            return Err(value_error(name, texts.place(row), column, cell, problem));
        }
        let next = known.len() as u32;
        groups.push(*known.entry(cell).or_insert(next));
    }
    Ok(groups)
}

/// Numbers, or dates of one form.
fn read_times(texts: &Texts, name: &str, column: &str, rows: &[Origin]) -> Result<Vec<f64>> {
    let forms = std::iter::once(None).chain(DateForm::ALL.into_iter().map(Some));
    // The row that no form could read which had read all before it.
    let mut first_odd = 0;
    for form in forms {
        let parse = |text: &str| match form {
            Some(form) => form.parse(text),
            None => text.parse::<f64>().ok().filter(|value| value.is_finite()),
        };
        let mut times = Vec::with_capacity(rows.len());
        for &(part, row) in rows {
            let time = if part.is_none() { parse(texts.get(row, 0)) } else { Some(f64::INFINITY) };
            let Some(time) = time else {
                first_odd = first_odd.max(row);
                break;
            };
            times.push(time);
        }
        if times.len() == rows.len() {
            return Ok(times);
        }
    }
    let problem = "is no time: a number, or a date written as those before, such as 2024-03-31 or 2024-03-31 12:30, is \
                   needed in each row";
    Err(value_error(name, texts.place(first_odd), column, texts.get(first_odd, 0), problem))
}
