//! Columns of a table as text: what is not a feature and not a target, such as the paths of images.

use std::io::Read;
use std::path::Path;

use super::rows::{Place, Rows};
use crate::error::{Error, Result};

/// What the first rows of a table hold.
pub(crate) struct Preview {
    pub(crate) columns: Vec<String>,
    pub(crate) header: bool,
    pub(crate) rows: Vec<Vec<String>>,
}

/// Looks at the first rows, `most` at most. A row that cannot be read ends them: whoever reads all rows tells of it.
///
/// # Errors
/// If the file is no table.
pub(crate) fn preview(path: &Path, header: Option<bool>, most: usize) -> Result<Preview> {
    let mut rows = Rows::open(path, header)?;
    let first = rows.first_rows(most);
    Ok(Preview { columns: rows.columns, header: rows.header, rows: first })
}

/// The text of some columns in all rows.
pub(crate) struct Texts {
    columns: usize,
    fields: Vec<String>,
    /// Line of each row, 0 where there are none.
    lines: Vec<u64>,
}

impl Texts {
    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The text of a row in one of the columns, by its position among those that were read.
    pub(crate) fn get(&self, row: usize, column: usize) -> &str {
        &self.fields[row * self.columns + column]
    }

    /// The texts of a row, in the order of the columns.
    pub(crate) fn row(&self, row: usize) -> &[String] {
        &self.fields[row * self.columns..][..self.columns]
    }

    /// Where a row lies, for messages.
    pub(crate) fn place(&self, row: usize) -> Place {
        Place { row: row as u64, line: self.lines[row] }
    }
}

/// Reads some columns of all rows.
///
/// # Errors
/// If a column is missing or a row cannot be read.
pub(crate) fn texts(path: &Path, header: bool, columns: &[&str], threads: usize) -> Result<Texts> {
    texts_of(&mut Rows::open(path, Some(header))?, columns, threads)
}

/// As [`texts`], of a table that is read from anywhere.
///
/// # Errors
/// As [`texts`].
pub(crate) fn read_texts(reader: impl Read, name: &str, header: bool, columns: &[&str]) -> Result<Texts> {
    texts_of(&mut Rows::read(reader, name, Some(header))?, columns, 1)
}

fn texts_of(rows: &mut Rows<'_>, columns: &[&str], threads: usize) -> Result<Texts> {
    let locate = |name: &&str| {
        rows.columns.iter().position(|column| column == name).ok_or_else(|| Error::NoColumn {
            name: rows.name.clone(),
            column: (*name).to_string(),
            columns: rows.columns.join(", "),
        })
    };
    let at: Vec<usize> = columns.iter().map(locate).collect::<Result<_>>()?;
    let mut texts = Texts { columns: columns.len(), fields: Vec::new(), lines: Vec::new() };
    rows.for_each_block(
        threads,
        |records| {
            let (mut fields, mut lines) = (Vec::new(), Vec::new());
            while let Some(row) = records.next()? {
                fields.extend(at.iter().map(|&column| row.get(column).to_string()));
                lines.push(row.place().line);
            }
            Ok((fields, lines))
        },
        |(fields, lines), base| {
            texts.fields.extend(fields);
            texts.lines.extend(lines.into_iter().map(|line| line + base.lines));
            Ok(())
        },
    )?;
    Ok(texts)
}
