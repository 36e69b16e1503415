//! Delimited text: delimiter and header found, then blocks of whole rows, which several threads read at once.

use std::io::Read;

use csv::{ByteRecord, ReaderBuilder};
use memchr::{memchr, memchr2, memrchr2};

use super::foreign::foreign;
use super::plain::Plain;
use super::records::{Records, line_ends};
use crate::error::{Error, Result};
use crate::parallel;

/// How much is looked at to find the delimiter.
const HEAD: usize = 64 << 10;
/// Bytes of a block, or more where a row is longer.
const BLOCK: usize = 512 << 10;
/// Blocks for each thread that are read before they are shared out.
const BLOCKS: usize = 4;
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// A table being read, block by block, in constant memory.
pub(crate) struct Rows<R> {
    input: R,
    /// Bytes read and not yet given away.
    rest: Vec<u8>,
    /// Whether the input has ended.
    ended: bool,
    /// Where `rest` lies.
    base: Base,
    pub(super) block: usize,
    /// How the table is called in messages.
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    pub(crate) delimiter: u8,
    /// Whether the first line has names; without, columns are `column_1`, `column_2`, and so on.
    pub(crate) header: bool,
}

/// What lies before a block: data rows, line ends and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) rows: u64,
    pub(crate) lines: u64,
    bytes: u64,
}

/// Where a row lies, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Data row, counted from 0.
    pub(crate) row: u64,
    /// Line, counted from 1.
    pub(crate) line: u64,
}

impl Place {
    /// The place in the file of one in a block.
    pub(crate) fn behind(self, base: Base) -> Place {
        Place { row: self.row + base.rows, line: self.line + base.lines }
    }
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

impl<R: Read> Rows<R> {
    /// Finds the delimiter and reads the header; `header` says whether there is one, if that is known.
    pub(crate) fn open(mut input: R, name: &str, header: Option<bool>) -> Result<Rows<R>> {
        let failed = |source| Error::Io { path: name.into(), source };
        let mut head = Vec::new();
        input.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(failed)?;
        let complete = head.len() < HEAD;
        if let Some(what) = foreign(&head) {
            return Err(Error::NotATable { path: name.into(), problem: format!("is {what}"), needed: String::new() });
        }
        let skipped = if head.starts_with(BOM) { BOM.len() } else { 0 };
        head.drain(..skipped);
        if head.iter().all(u8::is_ascii_whitespace) && complete {
            return Err(Error::EmptyFile { path: name.into() });
        }
        let delimiter = sniff(&head, complete);
        let mut rows = Rows {
            input,
            rest: head,
            ended: complete,
            base: Base { bytes: skipped as u64, ..Base::default() },
            block: BLOCK,
            name: name.to_string(),
            columns: Vec::new(),
            delimiter,
            header: true,
        };
        let first = rows.first_row()?;
        rows.header = header.unwrap_or_else(|| !first.iter().all(|field| number(field, delimiter).is_some()));
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
        if rows.header {
            rows.pass_first_row()?;
        }
        Ok(rows)
    }

    /// Fields of the first rows, which are left where they are: no more than `most`, up to one that cannot be read.
    pub(crate) fn first_rows(&self, most: usize) -> Vec<Vec<String>> {
        let end = ends(&self.rest, self.delimiter, self.ended).1.unwrap_or(0);
        let end = if self.ended { self.rest.len() } else { end };
        let mut records = Records::new(&self.rest[..end], self.delimiter, &self.name, Some(self.columns.len()));
        let mut rows = Vec::new();
        while rows.len() < most
            && let Ok(Some(fields)) = records.next()
        {
            rows.push((0..fields.len()).map(|i| fields.get(i).to_string()).collect());
        }
        rows
    }

    /// The fields of the first row that is not blank, which is left where it is.
    fn first_row(&mut self) -> Result<Vec<String>> {
        loop {
            // Blank rows before it may have had ends of their own.
            let end = self.first_end()?;
            let mut records = Records::new(&self.rest[..end], self.delimiter, &self.name, None);
            if let Some(fields) = records.next().map_err(|error| behind(error, self.base))? {
                return Ok((0..fields.len()).map(|i| fields.get(i).to_string()).collect());
            }
            if end == self.rest.len() && self.ended {
                return Err(Error::EmptyFile { path: self.name.clone().into() });
            }
            self.pass(end);
        }
    }

    fn pass_first_row(&mut self) -> Result<()> {
        let end = self.first_end()?;
        self.pass(end);
        Ok(())
    }

    fn pass(&mut self, end: usize) {
        let passed = &self.rest[..end];
        self.base.lines += line_ends(passed);
        self.base.bytes += end as u64;
        self.rest.drain(..end);
    }

    /// Where the first row ends.
    fn first_end(&mut self) -> Result<usize> {
        loop {
            let (first, _) = ends(&self.rest, self.delimiter, self.ended);
            match first {
                Some(end) => return Ok(end),
                None if self.ended => return Ok(self.rest.len()),
                None => self.read_more(self.rest.len().max(HEAD))?,
            }
        }
    }

    /// Appends so many bytes to those not yet given away, or all that are left.
    fn read_more(&mut self, bytes: usize) -> Result<()> {
        let failed = |source| Error::Io { path: self.name.clone().into(), source };
        self.rest.reserve_exact(bytes);
        let read = self.input.by_ref().take(bytes as u64).read_to_end(&mut self.rest).map_err(failed)?;
        self.ended = read < bytes;
        Ok(())
    }

    /// The next whole rows, or `None` after the last.
    fn next_block(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if !self.ended && self.rest.len() < self.block {
                self.read_more(self.block - self.rest.len())?;
            }
            if self.rest.is_empty() {
                return Ok(None);
            }
            if self.ended && self.rest.len() <= self.block {
                return Ok(Some(std::mem::take(&mut self.rest)));
            }
            let head = self.rest.len().min(self.block);
            let whole = self.ended && head == self.rest.len();
            if let (_, Some(end)) = ends(&self.rest[..head], self.delimiter, whole) {
                let rest = self.rest.split_off(end);
                return Ok(Some(std::mem::replace(&mut self.rest, rest)));
            }
            // A row longer than a block.
            self.block *= 2;
        }
    }

    /// Reads all rows: `work` makes something of each block, on several threads at once; `merge` takes what was made and
    /// what lay before the block, in the order of the file.
    ///
    /// # Errors
    /// The first in the order of the file, with its place in the file.
    pub(crate) fn for_each_block<T: Send>(
        &mut self,
        threads: usize,
        work: impl Fn(&mut Records<'_>) -> Result<T> + Sync,
        mut merge: impl FnMut(T, Base) -> Result<()>,
    ) -> Result<()> {
        let (mut done, mut together) = (false, threads.max(1));
        while !done {
            let mut blocks = Vec::new();
            while blocks.len() < together && !done {
                match self.next_block()? {
                    Some(block) => blocks.push(block),
                    None => done = true,
                }
            }
            let (delimiter, name, columns) = (self.delimiter, &self.name, self.columns.len());
            let made = parallel::map(
                blocks.len(),
                threads,
                || (),
                |(), i| {
                    let mut records = Records::new(&blocks[i], delimiter, name, Some(columns));
                    let made = work(&mut records);
                    (made, Base { rows: records.rows(), lines: line_ends(&blocks[i]), bytes: blocks[i].len() as u64 })
                },
            );
            for (made, block) in made {
                merge(made.map_err(|error| behind(error, self.base))?, self.base)?;
                let Base { rows, lines, bytes } = self.base;
                self.base = Base { rows: rows + block.rows, lines: lines + block.lines, bytes: bytes + block.bytes };
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
fn behind(mut error: Error, base: Base) -> Error {
    match &mut error {
        Error::Value { row, line, .. } | Error::Ragged { row, line, .. } => {
            *row += base.rows;
            *line += base.lines;
        }
        Error::NotUtf8 { row, byte, .. } => {
            *row += base.rows;
            *byte += base.bytes;
        }
        _ => {}
    }
    error
}

/// Where the first and the last whole row of a text end. A CR LF is never divided; `whole` says that nothing follows.
fn ends(text: &[u8], delimiter: u8, whole: bool) -> (Option<usize>, Option<usize>) {
    // What may follow a CR at the end is not known.
    let known = if !whole && text.last() == Some(&b'\r') { &text[..text.len() - 1] } else { text };
    let behind = |at: usize| if known[at] == b'\r' && known.get(at + 1) == Some(&b'\n') { at + 2 } else { at + 1 };
    let first = memchr2(b'\n', b'\r', known).map(behind);
    let Some(first) = first else { return (None, None) };
    let quote = memchr(b'"', known);
    if quote.is_none() {
        return (Some(first), memrchr2(b'\n', b'\r', known).map(behind));
    }
    // Line ends between quotes end no row; only a reader of the whole text can tell which are.
    let mut reader = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
    let (mut fields, mut field_ends) = (vec![0; 16 << 10], vec![0; 1 << 10]);
    let (mut at, mut first, mut last) = (0, None, None);
    while at < known.len() {
        let (result, read, _, _) = reader.read_record(&known[at..], &mut fields, &mut field_ends);
        at += read;
        match result {
            csv_core::ReadRecordResult::Record => {
                let end = behind(at - 1);
                first = first.or(Some(end));
                last = Some(end);
            }
            csv_core::ReadRecordResult::OutputFull | csv_core::ReadRecordResult::OutputEndsFull => {}
            csv_core::ReadRecordResult::InputEmpty | csv_core::ReadRecordResult::End => break,
        }
    }
    (first, last)
}

/// The delimiter that divides the first rows into equally many fields, and more than one.
pub(crate) fn sniff(head: &[u8], complete: bool) -> u8 {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// All fields with the places of their rows, in blocks of a few bytes.
    fn read(text: &str, block: usize, threads: usize) -> Result<Vec<(Place, Vec<String>)>> {
        let mut rows = Rows::open(text.as_bytes(), "text", Some(true))?;
        rows.block = block;
        let mut all = Vec::new();
        rows.for_each_block(
            threads,
            |records| {
                let mut found = Vec::new();
                while let Some(fields) = records.next()? {
                    found.push((fields.place(), (0..fields.len()).map(|i| fields.get(i).to_string()).collect()));
                }
                Ok(found)
            },
            |found: Vec<(Place, Vec<String>)>, base| {
                all.extend(found.into_iter().map(|(place, fields)| (place.behind(base), fields)));
                Ok(())
            },
        )?;
        Ok(all)
    }

    #[test]
    fn blocks_of_any_size_on_any_number_of_threads_hold_the_same_rows() {
        for end in ["\n", "\r\n", "\r"] {
            let lines = ["a,b", "", "1, x ", "  ", "\"2\n3\",\"y, \"\"z\"", "4,5\" wide", "é,", "", "6,7"];
            for last in ["", end] {
                let text = lines.join(end) + last;
                let whole = read(&text, 1 << 20, 1).unwrap();
                let fields: Vec<Vec<&str>> =
                    whole.iter().map(|(_, f)| f.iter().map(String::as_str).collect()).collect();
                let expected = [["1", "x"], ["2\n3", "y, \"z"], ["4", "5\" wide"], ["é", ""], ["6", "7"]];
                assert_eq!(fields, expected, "{text:?}");
                let places: Vec<(u64, u64)> = whole.iter().map(|(place, _)| (place.row, place.line)).collect();
                assert_eq!(places, [(0, 3), (1, 5), (2, 7), (3, 8), (4, 10)], "{text:?}");
                for block in 1..=text.len() {
                    for threads in [1, 3] {
                        assert_eq!(read(&text, block, threads).unwrap(), whole, "{text:?} in blocks of {block}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_first_error_of_the_file_is_told_with_its_place_in_the_file() {
        let mut text = String::from("a,b\n");
        (0..50).for_each(|i| text += &format!("{i},\"{i}\"\n"));
        let text = text + "1,2,3\n4\n";
        for block in [8, 64, 1 << 20] {
            match read(&text, block, 2) {
                Err(Error::Ragged { row: 51, line: 52, found: 3, expected: 2, .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn missing_values_are_known_in_any_case() {
        for text in ["", "na", "NA", "N/A", "nan", "NULL", "None", "#N/A", "<NA>", "?"] {
            assert!(is_missing(text), "{text}");
        }
        for text in ["n", "no", "nope", "0", "-", "??", "nanny"] {
            assert!(!is_missing(text), "{text}");
        }
    }
}
