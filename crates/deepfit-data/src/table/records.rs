//! The rows of a block, one after the other.

use std::cell::Cell;
use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr3_iter};

use super::columns::{Columns, Shown};
use super::json_lines::{Cells, Names};
use super::quotes::{Row, Splitter};
use super::rows::{Base, Place};
use crate::error::{Error, Result};

/// Reads the rows of a block: whole rows, in the places that they have in the block. Whatever the block is, a field is text.
pub(crate) struct Records<'a> {
    /// Nothing where values are in columns.
    text: &'a [u8],
    /// Delimited text, if all of it is UTF-8.
    valid: Option<&'a str>,
    /// Whether there is a NUL byte in delimited text.
    holds_nul: bool,
    reading: Reading<'a>,
    delimiter: u8,
    name: &'a str,
    /// Fields that each row must have, if that is known.
    columns: Option<usize>,
    /// Where the row begins.
    start: usize,
    rows: u64,
    /// A place up to which lines were counted, and the line that begins there.
    counted: Cell<(usize, u64)>,
}

enum Reading<'a> {
    /// No quotes: a field ends at the next delimiter or line end.
    Plain {
        found: memchr::Memchr3<'a>,
        at: usize,
        fields: Vec<Range<usize>>,
    },
    Quoted {
        splitter: Splitter<'a>,
        row: Row,
    },
    /// An object in JSON in each line.
    JsonLines {
        names: &'a Names,
        at: usize,
        cells: Cells,
    },
    /// Values in columns.
    Columns {
        columns: &'a Columns,
        row: Shown,
    },
}

/// Fields of one row, without space around them.
pub(crate) struct Fields<'a> {
    records: &'a Records<'a>,
}

impl Fields<'_> {
    /// Number of fields.
    pub(crate) fn len(&self) -> usize {
        match &self.records.reading {
            Reading::Plain { fields, .. } => fields.len(),
            Reading::Quoted { row, .. } => row.len(),
            Reading::JsonLines { cells, .. } => cells.len(),
            Reading::Columns { row, .. } => row.len(),
        }
    }

    pub(crate) fn get(&self, column: usize) -> &str {
        let Records { text, valid, reading, .. } = self.records;
        // All fields were found to be UTF-8 when the row was read.
        let field = match reading {
            Reading::Plain { fields, .. } => match valid {
                Some(valid) => &valid[fields[column].clone()],
                None => std::str::from_utf8(&text[fields[column].clone()]).unwrap_or_default(),
            },
            Reading::Quoted { row, .. } => std::str::from_utf8(row.get(column).unwrap_or_default()).unwrap_or_default(),
            Reading::JsonLines { cells, .. } => cells.get(column),
            Reading::Columns { columns, row } => row.get(columns, column),
        };
        match field.as_bytes() {
            // Most fields have nothing to cut off.
            [b'!'..=b'~'] | [b'!'..=b'~', .., b'!'..=b'~'] => field,
            _ => field.trim(),
        }
    }

    /// A NUL byte is no text: the file was damaged, or is something else. The number of the row is for messages.
    fn refuse_nul(&self, row: u64) -> Result<()> {
        if self.records.holds_nul && (0..self.len()).any(|column| self.get(column).contains('\0')) {
            return Err(Error::Nul { name: self.records.name.to_string(), row, line: self.place().line });
        }
        Ok(())
    }

    /// Where the row lies in its block.
    pub(crate) fn place(&self) -> Place {
        let Records { text, start, rows, counted, reading, .. } = self.records;
        if let Reading::Columns { .. } = reading {
            return Place { row: rows - 1, line: 0 };
        }
        let (from, line) = counted.get();
        let line = line + line_ends(&text[from..*start]);
        counted.set((*start, line));
        Place { row: rows - 1, line }
    }
}

impl<'a> Records<'a> {
    /// The rows of text whose fields a character divides.
    pub(super) fn delimited(text: &'a [u8], delimiter: u8, name: &'a str, columns: Option<usize>) -> Records<'a> {
        let reading = if memchr(b'"', text).is_none() {
            Reading::Plain { found: memchr3_iter(delimiter, b'\n', b'\r', text), at: 0, fields: Vec::new() }
        } else {
            Reading::Quoted { splitter: Splitter::new(text, delimiter, true), row: Row::default() }
        };
        let holds_nul = memchr(0, text).is_some();
        Records {
            valid: std::str::from_utf8(text).ok(),
            holds_nul,
            delimiter,
            columns,
            ..Records::of(text, name, reading)
        }
    }

    /// The rows of text that has an object in each line.
    pub(super) fn json_lines(text: &'a [u8], names: &'a Names, name: &'a str) -> Records<'a> {
        Records::of(text, name, Reading::JsonLines { names, at: 0, cells: Cells::default() })
    }

    /// The rows of a block of columns.
    pub(super) fn columns(columns: &'a Columns, name: &'a str) -> Records<'a> {
        Records::of(&[], name, Reading::Columns { columns, row: Shown::new(columns) })
    }

    fn of(text: &'a [u8], name: &'a str, reading: Reading<'a>) -> Records<'a> {
        let (valid, columns, counted) = (None, None, Cell::new((0, 1)));
        Records { text, valid, holds_nul: false, reading, delimiter: b',', name, columns, start: 0, rows: 0, counted }
    }

    /// The rows are no more than this.
    pub(crate) fn most_rows(&self) -> usize {
        match &self.reading {
            Reading::Columns { columns, .. } => columns.rows(),
            _ => line_ends(self.text) as usize + 1,
        }
    }

    /// What lies before the next block, counted from this one, once all of its rows were read.
    pub(super) fn extent(&self) -> Base {
        let lines = if let Reading::Columns { .. } = self.reading { 0 } else { line_ends(self.text) };
        Base { rows: self.rows, lines, bytes: self.text.len() as u64 }
    }

    /// Rows read so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Reads a row that is not empty, if there is one left.
    fn read(&mut self) -> Result<bool> {
        let text = self.text;
        match &mut self.reading {
            Reading::Plain { found, at, fields } => {
                fields.clear();
                self.start = *at;
                while *at < text.len() {
                    let end = found.next().unwrap_or(text.len());
                    let is_delimiter = text.get(end) == Some(&self.delimiter);
                    if fields.is_empty() && end == *at && !is_delimiter {
                        // An empty line, or the second half of a CR LF.
                        *at = end + 1;
                        self.start = *at;
                        continue;
                    }
                    fields.push(*at..end);
                    *at = end + 1;
                    if !is_delimiter {
                        return Ok(true);
                    }
                }
                // A delimiter is the last byte: an empty field follows.
                if !fields.is_empty() {
                    fields.push(text.len()..text.len());
                }
                Ok(!fields.is_empty())
            }
            Reading::Quoted { splitter, row } => {
                let begin = splitter.next(row);
                self.start = begin.unwrap_or(text.len());
                Ok(begin.is_some())
            }
            Reading::JsonLines { names, at, cells } => {
                while *at < text.len() {
                    let end = memchr(b'\n', &text[*at..]).map_or(text.len(), |end| *at + end + 1);
                    let line = &text[*at..end];
                    self.start = *at;
                    *at = end;
                    if !line.trim_ascii().is_empty() {
                        cells.read(line, names, self.name, || line_ends(&text[..self.start]) + 1)?;
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Reading::Columns { columns, row } => Ok(row.advance(columns)),
        }
    }

    fn is_blank(&self) -> bool {
        // A line of spaces is as blank as an empty one.
        let only = match &self.reading {
            Reading::Plain { fields, .. } => match &fields[..] {
                [only] => &self.text[only.clone()],
                _ => return false,
            },
            Reading::Quoted { row, .. } if row.len() == 1 => row.get(0).unwrap_or_default(),
            Reading::Quoted { .. } | Reading::JsonLines { .. } | Reading::Columns { .. } => return false,
        };
        only.iter().all(u8::is_ascii_whitespace) && self.columns != Some(1)
    }

    /// The number of the row in messages: 0 is the header.
    fn check_text(&self, row: u64) -> Result<()> {
        if self.valid.is_some() {
            return Ok(());
        }
        let check = |field: &[u8], before: usize| match std::str::from_utf8(field) {
            Ok(_) => Ok(()),
            Err(problem) => {
                let byte = (before + problem.valid_up_to()) as u64;
                Err(Error::NotUtf8 { name: self.name.to_string(), row, byte })
            }
        };
        match &self.reading {
            Reading::Plain { fields, .. } => {
                fields.iter().try_for_each(|field| check(&self.text[field.clone()], field.start))
            }
            Reading::Quoted { row: fields, .. } => (0..fields.len())
                .try_for_each(|field| check(fields.get(field).unwrap_or_default(), fields.begin(field))),
            // Whoever took their text apart has looked at it.
            Reading::JsonLines { .. } | Reading::Columns { .. } => Ok(()),
        }
    }

    /// The next row, or `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Fields<'_>>> {
        loop {
            if !self.read()? {
                return Ok(None);
            }
            if !self.is_blank() {
                break;
            }
        }
        let Some(expected) = self.columns else {
            self.check_text(0)?;
            self.rows += 1;
            let fields = Fields { records: self };
            fields.refuse_nul(0)?;
            return Ok(Some(fields));
        };
        self.rows += 1;
        self.check_text(self.rows)?;
        let fields = Fields { records: self };
        fields.refuse_nul(self.rows)?;
        if fields.len() != expected {
            return Err(Error::Ragged {
                name: self.name.to_string(),
                row: self.rows,
                line: fields.place().line,
                found: fields.len(),
                expected,
                delimiter: char::from(self.delimiter),
            });
        }
        Ok(Some(fields))
    }
}

/// Lines that end in a text, as an editor counts them: by LF, CR LF or CR.
pub(crate) fn line_ends(text: &[u8]) -> u64 {
    let feeds = memchr_iter(b'\n', text).count();
    let returns = memchr_iter(b'\r', text).filter(|&at| text.get(at + 1) != Some(&b'\n')).count();
    (feeds + returns) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_in_an_editor() {
        for (text, count) in [("", 0), ("a", 0), ("a\n", 1), ("a\r\nb\rc\n\n", 4), ("\r\r\n\r", 3)] {
            assert_eq!(line_ends(text.as_bytes()), count, "{text:?}");
        }
    }

    #[test]
    fn text_without_quotes_is_divided_as_by_the_reader_of_quoted_text() {
        for text in ["a,b\nc,d", "a,\n,b\n,\n", ",", "a,b,", "\n\na\r\rb\r\n\r\nc", " \n ,\n", "x\n,"] {
            let all = |quoted: bool| {
                let mut records = Records::delimited(text.as_bytes(), b',', "text", None);
                if quoted {
                    let splitter = Splitter::new(text.as_bytes(), b',', true);
                    records.reading = Reading::Quoted { splitter, row: Row::default() };
                }
                let mut rows = Vec::new();
                while let Some(fields) = records.next().unwrap() {
                    let place = fields.place();
                    rows.push((place, (0..fields.len()).map(|i| fields.get(i).to_string()).collect::<Vec<_>>()));
                }
                rows
            };
            assert_eq!(all(false), all(true), "{text:?}");
        }
    }
}
