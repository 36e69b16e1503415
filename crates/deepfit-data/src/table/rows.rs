//! The rows of a table, block by block, whatever file they come from: the one way in which columns are looked through, values
//! and texts are read and images are found.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use super::arrow::ArrowFile;
use super::columns::Columns;
use super::compressed::{self, BoxRead};
use super::delimited::Delimited;
use super::foreign::foreign;
use super::format::{Format, called, known};
use super::json_lines::{JsonLines, Names};
use super::parquet::ParquetFile;
use super::plain::Plain;
use super::records::Records;
use crate::error::{Error, Result};
use crate::parallel;

/// How much is looked at to tell what a file is.
pub(crate) const HEAD: usize = 64 << 10;
/// Blocks for each thread that are read before they are shared out.
const BLOCKS: usize = 4;

/// A table being read, block by block, in constant memory.
pub(crate) struct Rows<'a> {
    input: Input<'a>,
    base: Base,
    /// How the table is called in messages.
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    /// Character between the fields of text that is divided by one; a comma for other files.
    pub(crate) delimiter: u8,
    /// Whether the names of the columns are in the file; without, they are `column_1`, `column_2`, and so on.
    pub(crate) header: bool,
}

/// Where rows come from.
enum Input<'a> {
    Delimited(Delimited<'a>),
    JsonLines(JsonLines<'a>),
    Parquet(Box<ParquetFile>),
    Arrow(Box<ArrowFile<'a>>),
}

/// Some whole rows, not yet taken apart.
pub(super) enum Block {
    Delimited(Vec<u8>),
    JsonLines(Vec<u8>),
    Columns(Columns),
}

/// What is needed to take blocks apart, on any thread.
struct Form<'a> {
    name: &'a str,
    columns: usize,
    delimiter: u8,
    /// Of JSON Lines, where the columns of names stand.
    names: Option<&'a Names>,
}

impl Form<'_> {
    fn records<'b>(&'b self, block: &'b Block) -> Records<'b> {
        match (block, self.names) {
            (Block::Columns(block), _) => Records::columns(block, self.name),
            (Block::JsonLines(text), Some(names)) => Records::json_lines(text, names, self.name),
            (Block::JsonLines(text) | Block::Delimited(text), _) => {
                Records::delimited(text, self.delimiter, self.name, Some(self.columns))
            }
        }
    }
}

/// What lies before a block: data rows, line ends and bytes. Files that are no text have no lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) rows: u64,
    pub(crate) lines: u64,
    pub(super) bytes: u64,
}

/// Where a row lies, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Data row, counted from 0.
    pub(crate) row: u64,
    /// Line, counted from 1; 0 in a file that is no text.
    pub(crate) line: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line > 0 { write!(to, "line {}", self.line) } else { write!(to, "row {}", self.row + 1) }
    }
}

impl Place {
    /// The place in the file of one in a block.
    pub(crate) fn behind(self, base: Base) -> Place {
        Place { row: self.row + base.rows, line: self.line + base.lines }
    }
}

/// Where columns stand, by their names.
pub(super) fn places(columns: &[String]) -> HashMap<&str, usize> {
    columns.iter().enumerate().map(|(place, name)| (&name[..], place)).collect()
}

/// A number as tables write it; with `;` between fields a comma may stand for the decimal point.
pub(crate) fn number(text: &str, delimiter: u8) -> Option<f64> {
    if let Some(plain) = Plain::parse(text) {
        return Some(plain.value);
    }
    // Rust's parser also takes the words for infinity and NaN, in any case; no other word is a number.
    if !matches!(text.as_bytes().first()?, b'0'..=b'9' | b'.' | b',' | b'+' | b'-' | b'i' | b'I' | b'n' | b'N') {
        return None;
    }
    match text.parse() {
        Ok(value) => Some(value),
        Err(_) if delimiter == b';' && text.contains(',') && !text.contains('.') => text.replace(',', ".").parse().ok(),
        Err(_) => None,
    }
}

/// Texts that say that a value is missing.
pub(crate) fn is_missing(text: &str) -> bool {
    const WORDS: [&str; 8] = ["na", "n/a", "nan", "null", "none", "#n/a", "<na>", "?"];
    match text.as_bytes() {
        [] => true,
        [b'n' | b'N' | b'#' | b'<' | b'?', ..] if text.len() <= 4 => {
            WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
        }
        _ => false,
    }
}

impl Rows<'static> {
    /// Opens a file that must be a table; `header` says whether text has one, if that is known.
    ///
    /// # Errors
    /// If it cannot be read, or is no table.
    pub(crate) fn open(path: &Path, header: Option<bool>) -> Result<Rows<'static>> {
        let metadata = std::fs::metadata(path).map_err(|source| Error::io(path, source))?;
        if metadata.is_dir() {
            let problem = "is a folder, not a table".to_string();
            return Err(Error::NotATable { path: path.to_path_buf(), problem, needed: String::new() });
        }
        let name = path.to_string_lossy();
        let (head, content) = begin(path)?;
        let format = known(&head).unwrap_or_else(|| called(path).unwrap_or(Format::Delimited));
        let input = match format {
            Format::Parquet => {
                let file = File::open(path).map_err(|source| Error::io(path, source))?;
                Input::Parquet(Box::new(ParquetFile::open(Box::new(file), &name)?))
            }
            Format::Arrow => Input::Arrow(Box::new(ArrowFile::open(content, &name)?)),
            Format::JsonLines => {
                let names = Names::find(content, &name)?;
                Input::JsonLines(JsonLines::open(begin(path)?.1, names, &name))
            }
            Format::Delimited => return Rows::delimited(content, &name, header),
        };
        Rows::with_names(input, &name)
    }
}

/// The first bytes of a file and all of its content, uncompressed if it was compressed.
///
/// # Errors
/// If it cannot be read, or its compression is damaged.
pub(crate) fn begin(path: &Path) -> Result<(Vec<u8>, BoxRead<'static>)> {
    let file = File::open(path).map_err(|source| Error::io(path, source))?;
    uncompressed(Box::new(file), path)
}

/// The same of anything that is read; `name` stands for it in messages.
///
/// # Errors
/// If it cannot be read, or its compression is damaged.
pub(crate) fn uncompressed<'a>(input: BoxRead<'a>, name: &Path) -> Result<(Vec<u8>, BoxRead<'a>)> {
    compressed::begin(input, HEAD).map_err(|source| Error::io(name, source))
}

impl<'a> Rows<'a> {
    /// Reads a table from anywhere; what it is, its first bytes tell. `name` stands for it in messages.
    ///
    /// # Errors
    /// If it cannot be read, or is no table.
    pub(crate) fn read(input: impl Read + 'a, name: &str, header: Option<bool>) -> Result<Rows<'a>> {
        let failed = |source| Error::Io { path: name.into(), source };
        let (head, mut content) = uncompressed(Box::new(input), Path::new(name))?;
        let braced = head.trim_ascii_start().starts_with(b"{");
        let input = match known(&head) {
            Some(Format::Arrow) => Input::Arrow(Box::new(ArrowFile::open(content, name)?)),
            Some(Format::Parquet) => {
                // What the columns are stands at its end.
                let mut all = Vec::new();
                content.read_to_end(&mut all).map_err(failed)?;
                Input::Parquet(Box::new(ParquetFile::open(Box::new(Cursor::new(all)), name)?))
            }
            _ if braced => {
                let mut all = Vec::new();
                content.read_to_end(&mut all).map_err(failed)?;
                let names = Names::find(&all[..], name)?;
                Input::JsonLines(JsonLines::open(Box::new(Cursor::new(all)), names, name))
            }
            _ => return Rows::delimited(content, name, header),
        };
        Rows::with_names(input, name)
    }

    fn delimited(content: BoxRead<'a>, name: &str, header: Option<bool>) -> Result<Rows<'a>> {
        let (input, found) = Delimited::open(content, name, header, |head| match foreign(head) {
            Some(what) => {
                Err(Error::NotATable { path: name.into(), problem: format!("is {what}"), needed: String::new() })
            }
            None => Ok(()),
        })?;
        let (delimiter, base) = (input.delimiter, input.base());
        let rows = Rows {
            input: Input::Delimited(input),
            base,
            name: name.to_string(),
            columns: found.columns,
            delimiter,
            header: found.header,
        };
        rows.checked()
    }

    /// A table whose file has the names of its columns.
    fn with_names(input: Input<'a>, name: &str) -> Result<Rows<'a>> {
        let columns = match &input {
            Input::Delimited(_) => Vec::new(),
            Input::JsonLines(lines) => lines.names.columns.clone(),
            Input::Parquet(file) => file.columns(),
            Input::Arrow(file) => file.columns(),
        };
        let rows =
            Rows { input, base: Base::default(), name: name.to_string(), columns, delimiter: b',', header: true };
        rows.checked()
    }

    fn checked(self) -> Result<Rows<'a>> {
        let mut seen = HashMap::with_capacity(self.columns.len());
        for (second, column) in self.columns.iter().enumerate() {
            if let Some(first) = seen.insert(&column[..], second) {
                let column = column.clone();
                return Err(Error::DuplicateColumn { name: self.name, column, first: first + 1, second: second + 1 });
            }
        }
        drop(seen);
        Ok(self)
    }

    /// Whether the table is text whose fields a character divides.
    pub(crate) fn is_delimited(&self) -> bool {
        matches!(self.input, Input::Delimited(_))
    }

    /// Blocks of about so many bytes.
    #[cfg(test)]
    pub(super) fn set_block(&mut self, bytes: usize) {
        match &mut self.input {
            Input::Delimited(input) => input.set_block(bytes),
            Input::JsonLines(input) => input.set_block(bytes),
            Input::Parquet(_) | Input::Arrow(_) => {}
        }
    }

    fn form(&self) -> Form<'_> {
        let names = if let Input::JsonLines(input) = &self.input { Some(&input.names) } else { None };
        Form { name: &self.name, columns: self.columns.len(), delimiter: self.delimiter, names }
    }

    /// Fields of the first rows, which are left where they are: no more than `most`, up to one that cannot be read.
    pub(crate) fn first_rows(&mut self, most: usize) -> Vec<Vec<String>> {
        let block = match &mut self.input {
            Input::Delimited(input) => Some(Block::Delimited(input.first_block())),
            Input::JsonLines(input) => Some(Block::JsonLines(input.first_block())),
            Input::Parquet(file) => file.first_block().ok().flatten().map(Block::Columns),
            Input::Arrow(file) => file.first_block().ok().flatten().map(Block::Columns),
        };
        let mut rows = Vec::new();
        let Some(block) = block else { return rows };
        let form = self.form();
        let mut records = form.records(&block);
        while rows.len() < most
            && let Ok(Some(fields)) = records.next()
        {
            rows.push((0..fields.len()).map(|i| fields.get(i).to_string()).collect());
        }
        rows
    }

    fn next_block(&mut self) -> Result<Option<Block>> {
        Ok(match &mut self.input {
            Input::Delimited(input) => input.next_block()?.map(Block::Delimited),
            Input::JsonLines(input) => input.next_block()?.map(Block::JsonLines),
            Input::Parquet(file) => file.next_block()?.map(Block::Columns),
            Input::Arrow(file) => file.next_block()?.map(Block::Columns),
        })
    }

    /// As [`try_for_each_block`](Self::try_for_each_block).
    ///
    /// # Errors
    /// The first in the order of the file, with its place in the file.
    pub(crate) fn for_each_block<T: Send>(
        &mut self,
        threads: usize,
        work: impl Fn(&mut Records<'_>) -> Result<T> + Sync,
        merge: impl FnMut(T, Base) -> Result<()>,
    ) -> Result<()> {
        self.try_for_each_block(threads, work, merge)
    }

    /// Reads all rows: `work` makes something of each block, on several threads at once; `merge` takes what was made and
    /// what lay before the block, in the order of the file.
    ///
    /// # Errors
    /// The first in the order of the file, with its place in the file.
    pub(crate) fn try_for_each_block<T: Send, E: From<Error>>(
        &mut self,
        threads: usize,
        work: impl Fn(&mut Records<'_>) -> Result<T> + Sync,
        mut merge: impl FnMut(T, Base) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut done, mut together) = (false, threads.max(1));
        while !done {
            let (mut blocks, mut failed) = (Vec::new(), None);
            while blocks.len() < together && !done {
                match self.next_block() {
                    Ok(Some(block)) => blocks.push(block),
                    Ok(None) => done = true,
                    // What is wrong with the rows before is told first.
                    Err(error) => (done, failed) = (true, Some(error)),
                }
            }
            let form = self.form();
            let made = parallel::map(
                blocks.len(),
                threads,
                || (),
                |(), i| {
                    let mut records = form.records(&blocks[i]);
                    let made = work(&mut records);
                    (made, records.extent())
                },
            );
            for (made, block) in made {
                merge(made.map_err(|error| behind(error, self.base))?, self.base)?;
                let Base { rows, lines, bytes } = self.base;
                self.base = Base { rows: rows + block.rows, lines: lines + block.lines, bytes: bytes + block.bytes };
            }
            if let Some(error) = failed {
                return Err(error.into());
            }
            // What the first blocks tell may spare work on the others.
            together = BLOCKS * threads.max(1);
        }
        Ok(())
    }
}

/// An error about one value.
pub(crate) fn value_error(name: &str, place: Place, column: &str, value: &str, problem: &'static str) -> Error {
    Error::Value {
        name: name.to_string(),
        row: place.row + 1,
        line: place.line,
        column: column.to_string(),
        value: value.to_string(),
        problem,
    }
}

/// An error of a block with its place in the file.
pub(super) fn behind(mut error: Error, base: Base) -> Error {
    match &mut error {
        Error::Value { row, line, .. } | Error::Ragged { row, line, .. } | Error::Nul { row, line, .. } => {
            *row += base.rows;
            *line += base.lines;
        }
        Error::NotUtf8 { row, byte, .. } => {
            *row += base.rows;
            *byte += base.bytes;
        }
        Error::NotJson { line, .. } => *line += base.lines,
        _ => {}
    }
    error
}

#[cfg(test)]
mod tests;
