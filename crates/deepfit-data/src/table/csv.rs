//! Rows of delimited text: delimiter and header found, fields checked.

use std::io::{Chain, Cursor, Read};

use csv::{ByteRecord, ReaderBuilder};

use super::foreign::foreign;
use super::lines::Lines;
use crate::error::{Error, Result};

/// How much is looked at to find the delimiter.
const HEAD: u64 = 64 << 10;
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// A table being read, row by row, in constant memory.
pub(crate) struct Rows<R> {
    reader: csv::Reader<Lines<Chain<Cursor<Vec<u8>>, R>>>,
    /// How the table is called in messages.
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    pub(crate) delimiter: u8,
    /// Whether the first line has names; without, columns are `column_1`, `column_2`, and so on.
    pub(crate) header: bool,
    record: ByteRecord,
    /// Line of the file that the record begins in, counted from 1.
    line: u64,
    /// The first record is data and was read already.
    pending: bool,
    /// Bytes before the first record.
    skipped: u64,
    row: u64,
}

/// Where a field lies, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Data row, counted from 0.
    pub(crate) row: u64,
    /// Line of the file, counted from 1.
    pub(crate) line: u64,
}

/// Fields of one row, without space around them.
pub(crate) struct Fields<'a> {
    pub(crate) place: Place,
    record: &'a ByteRecord,
}

impl Fields<'_> {
    pub(crate) fn get(&self, column: usize) -> &str {
        // All fields were found to be UTF-8 when the row was read.
        std::str::from_utf8(&self.record[column]).unwrap_or_default().trim()
    }
}

/// A number as tables write it; with `;` between fields a comma may stand for the decimal point.
pub(crate) fn number(text: &str, delimiter: u8) -> Option<f64> {
    // Rust's parser also takes the words for infinity and NaN, in any case.
    match text.parse() {
        Ok(value) => Some(value),
        Err(_) if delimiter == b';' && text.contains(',') && !text.contains('.') => text.replace(',', ".").parse().ok(),
        Err(_) => None,
    }
}

/// Texts that say that a value is missing.
pub(crate) fn is_missing(text: &str) -> bool {
    const WORDS: [&str; 8] = ["na", "n/a", "nan", "null", "none", "#n/a", "<na>", "?"];
    text.is_empty() || (text.len() <= 4 && WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)))
}

impl<R: Read> Rows<R> {
    /// Finds the delimiter and reads the header; `header` says whether there is one, if that is known.
    pub(crate) fn open(mut input: R, name: &str, header: Option<bool>) -> Result<Rows<R>> {
        let failed = |source| Error::Io { path: name.into(), source };
        let mut head = Vec::new();
        input.by_ref().take(HEAD).read_to_end(&mut head).map_err(failed)?;
        let complete = (head.len() as u64) < HEAD;
        if let Some(what) = foreign(&head) {
            return Err(Error::NotATable { path: name.into(), problem: format!("is {what}"), needed: String::new() });
        }
        let skipped = if head.starts_with(BOM) { BOM.len() } else { 0 };
        head.drain(..skipped);
        if head.iter().all(u8::is_ascii_whitespace) && complete {
            return Err(Error::EmptyFile { path: name.into() });
        }
        let delimiter = sniff(&head, complete);
        let mut options = ReaderBuilder::new();
        options.delimiter(delimiter).has_headers(false).flexible(true);
        let reader = options.from_reader(Lines::new(Cursor::new(head).chain(input)));
        let mut rows = Rows {
            reader,
            name: name.to_string(),
            columns: Vec::new(),
            delimiter,
            header: true,
            record: ByteRecord::new(),
            line: 1,
            pending: false,
            skipped: skipped as u64,
            row: 0,
        };
        if !rows.read_record()? {
            return Err(Error::EmptyFile { path: name.into() });
        }
        rows.check_text(0)?;
        let first: Vec<String> =
            rows.record.iter().map(|field| String::from_utf8_lossy(field).trim().to_string()).collect();
        rows.header = header.unwrap_or_else(|| !first.iter().all(|field| number(field, delimiter).is_some()));
        rows.pending = !rows.header;
        rows.columns = if rows.header {
            let named = first.into_iter().enumerate();
            named.map(|(i, name)| if name.is_empty() { format!("unnamed_{}", i + 1) } else { name }).collect()
        } else {
            (1..=first.len()).map(|i| format!("column_{i}")).collect()
        };
        for (second, column) in rows.columns.iter().enumerate() {
            if let Some(first) = rows.columns[..second].iter().position(|other| other == column) {
                let (name, column) = (rows.name, column.clone());
                return Err(Error::DuplicateColumn { name, column, first: first + 1, second: second + 1 });
            }
        }
        Ok(rows)
    }

    fn read_record(&mut self) -> Result<bool> {
        loop {
            let found = self.reader.read_byte_record(&mut self.record).map_err(|problem| {
                let text = problem.to_string();
                match problem.into_kind() {
                    csv::ErrorKind::Io(source) => Error::Io { path: self.name.clone().into(), source },
                    _ => Error::Table { name: self.name.clone(), problem: text },
                }
            })?;
            if !found {
                return Ok(false);
            }
            let start = self.record.position().map_or(0, csv::Position::byte);
            self.line = self.reader.get_mut().line_at(start);
            // A line of spaces is as blank as an empty one, which the csv reader leaves out itself.
            let blank = self.record.len() == 1 && self.record[0].iter().all(u8::is_ascii_whitespace);
            if !blank || self.columns.len() == 1 {
                return Ok(true);
            }
        }
    }

    /// `row` as in messages: 0 is the header.
    fn check_text(&self, row: u64) -> Result<()> {
        let start = self.record.position().map_or(0, csv::Position::byte) + self.skipped;
        for (i, field) in self.record.iter().enumerate() {
            if let Err(problem) = std::str::from_utf8(field) {
                let before = self.record.range(i).map_or(0, |range| range.start) + i + problem.valid_up_to();
                return Err(Error::NotUtf8 { name: self.name.clone(), row, byte: start + before as u64 });
            }
        }
        Ok(())
    }

    /// The next row, or `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Fields<'_>>> {
        if self.pending {
            self.pending = false;
        } else if !self.read_record()? {
            return Ok(None);
        }
        let place = Place { row: self.row, line: self.line };
        self.row += 1;
        self.check_text(self.row)?;
        if self.record.len() != self.columns.len() {
            return Err(Error::Ragged {
                name: self.name.clone(),
                row: self.row,
                line: place.line,
                found: self.record.len(),
                expected: self.columns.len(),
                delimiter: char::from(self.delimiter),
            });
        }
        Ok(Some(Fields { place, record: &self.record }))
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
}

/// The delimiter that divides the first rows into equally many fields, and more than one.
fn sniff(head: &[u8], complete: bool) -> u8 {
    let score = |delimiter: u8| {
        let mut reader = ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(head);
        let mut counts: Vec<usize> = Vec::new();
        let mut record = ByteRecord::new();
        while counts.len() < 50 && reader.read_byte_record(&mut record).unwrap_or(false) {
            counts.push(record.len());
        }
        if !complete && counts.len() > 1 && counts.len() < 50 {
            // The last record was cut off.
            counts.pop();
        }
        let fields = counts.first().copied().unwrap_or(0);
        let equal = counts.iter().filter(|&&count| count == fields).count();
        if fields < 2 { (0, 0) } else { (equal * 100 / counts.len(), fields) }
    };
    // The earlier delimiter wins a tie.
    DELIMITERS.into_iter().rev().max_by_key(|&delimiter| score(delimiter)).unwrap_or(b',')
}
