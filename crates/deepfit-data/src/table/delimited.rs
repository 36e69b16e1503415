//! Delimited text: delimiter and header found, then blocks of whole rows, which several threads read at once.

use std::collections::HashSet;

use memchr::{memchr, memchr2, memrchr2};

use super::chunks::Chunks;
use super::compressed::BoxRead;
use super::quotes::{Row, Splitter};
use super::records::{Records, line_ends};
use super::rows::{Base, HEAD, behind, is_missing, number};
use crate::error::{Error, Result};

const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
/// Rows that are looked at to tell whether the first holds names.
const LOOKED_AT: usize = 1_000;
/// Rows that must be there for that, and to show what columns hold.
const FIRST_ROWS: usize = 20;
/// Values that tell something of a column, and how often one that is no name comes again.
const LEAST: usize = 2;
/// Words of a text, on average.
const SENTENCE: usize = 3;
/// Numbers that follow each other count the columns, as some programs name them.
const COUNTED: usize = 3;
/// Names that columns have.
const USUAL: [&str; 10] = ["id", "index", "target", "label", "class", "text", "sentence", "name", "date", "y"];

/// Delimited text being read.
pub(crate) struct Delimited<'a> {
    content: Chunks<'a>,
    /// Where what follows lies.
    base: Base,
    pub(crate) delimiter: u8,
    name: String,
}

/// What the beginning of a text tells of its columns.
pub(crate) struct Found {
    pub(crate) columns: Vec<String>,
    pub(crate) header: bool,
}

impl<'a> Delimited<'a> {
    /// Finds the delimiter and reads the header; `header` says whether there is one, if that is known. `refuse` looks at the
    /// first bytes.
    pub(crate) fn open(
        content: BoxRead<'a>,
        name: &str,
        header: Option<bool>,
        refuse: impl Fn(&[u8]) -> Result<()>,
    ) -> Result<(Delimited<'a>, Found)> {
        let mut content = Chunks::open(content, name);
        content.read_more(HEAD)?;
        refuse(content.rest())?;
        let skipped = content.skip_mark();
        let (head, complete) = (content.rest(), content.has_ended());
        if head.iter().all(u8::is_ascii_whitespace) && complete {
            return Err(Error::EmptyFile { path: name.into() });
        }
        let delimiter = sniff(head, complete);
        let base = Base { bytes: skipped as u64, ..Base::default() };
        let mut text = Delimited { content, base, delimiter, name: name.to_string() };
        let first = text.first_row()?;
        text.read_rows(FIRST_ROWS)?;
        let header = header.unwrap_or_else(|| text.begins_with_names(&first));
        let columns = if header {
            let named = first.into_iter().enumerate();
            named.map(|(i, name)| if name.is_empty() { format!("unnamed_{}", i + 1) } else { name }).collect()
        } else {
            (1..=first.len()).map(|i| format!("column_{i}")).collect()
        };
        if header {
            let end = text.first_end()?;
            text.pass(end);
        }
        Ok((text, Found { columns, header }))
    }

    /// Where the first row that was not given away lies.
    pub(super) fn base(&self) -> Base {
        self.base
    }

    #[cfg(test)]
    pub(super) fn set_block(&mut self, bytes: usize) {
        self.content.block = bytes;
    }

    /// The first rows, which are left where they are.
    pub(super) fn first_block(&self) -> Vec<u8> {
        let rest = self.content.rest();
        let end = ends(rest, self.delimiter, self.content.has_ended()).1.unwrap_or(0);
        rest[..if self.content.has_ended() { rest.len() } else { end }].to_vec()
    }

    /// The next whole rows, or `None` after the last.
    pub(crate) fn next_block(&mut self) -> Result<Option<Vec<u8>>> {
        let delimiter = self.delimiter;
        self.content.next_block(|text, whole| ends(text, delimiter, whole).1)
    }

    /// The fields of the first row that is not blank, which is left where it is.
    fn first_row(&mut self) -> Result<Vec<String>> {
        loop {
            // Blank rows before it may have had ends of their own.
            let end = self.first_end()?;
            let rest = self.content.rest();
            let mut records = Records::delimited(&rest[..end], self.delimiter, &self.name, None);
            if let Some(fields) = records.next().map_err(|error| behind(error, self.base))? {
                return Ok((0..fields.len()).map(|i| fields.get(i).to_string()).collect());
            }
            if end == rest.len() && self.content.has_ended() {
                return Err(Error::EmptyFile { path: self.name.clone().into() });
            }
            self.pass(end);
        }
    }

    /// Reads on until so many rows are there, or the text ends; a row may be long.
    fn read_rows(&mut self, rows: usize) -> Result<()> {
        loop {
            let mut splitter = Splitter::new(self.content.rest(), self.delimiter, self.content.has_ended());
            let mut row = Row::default();
            if self.content.has_ended() || (0..rows).all(|_| splitter.next(&mut row).is_some()) {
                return Ok(());
            }
            let more = self.content.rest().len().max(HEAD);
            self.content.read_more(more)?;
        }
    }

    /// Whether the first row is a header, by the rows below it.
    fn begins_with_names(&self, first: &[String]) -> bool {
        let mut columns: Vec<Column> = first.iter().map(|_| Column::default()).collect();
        let mut splitter = Splitter::new(self.content.rest(), self.delimiter, self.content.has_ended());
        let mut row = Row::default();
        splitter.next(&mut row);
        for _ in 0..LOOKED_AT {
            if splitter.next(&mut row).is_none() {
                break;
            }
            for (place, (name, column)) in first.iter().zip(&mut columns).enumerate() {
                let value = std::str::from_utf8(row.get(place).unwrap_or_default()).unwrap_or_default().trim();
                column.add(value, name, self.delimiter);
            }
        }
        names(first, &columns, self.delimiter)
    }

    fn pass(&mut self, end: usize) {
        self.base.lines += line_ends(&self.content.rest()[..end]);
        self.base.bytes += end as u64;
        self.content.pass(end);
    }

    /// Where the first row ends.
    fn first_end(&mut self) -> Result<usize> {
        loop {
            let (rest, ended) = (self.content.rest(), self.content.has_ended());
            match ends(rest, self.delimiter, ended).0 {
                Some(end) => return Ok(end),
                None if ended => return Ok(rest.len()),
                None => {
                    let more = rest.len().max(HEAD);
                    self.content.read_more(more)?;
                }
            }
        }
    }
}

/// What stands in a column below the first row.
#[derive(Default)]
struct Column {
    values: usize,
    numbers: usize,
    /// Values that are what the first row has.
    again: usize,
    words: usize,
    different: HashSet<u64>,
}

impl Column {
    fn add(&mut self, value: &str, name: &str, delimiter: u8) {
        if is_missing(value) {
            return;
        }
        self.values += 1;
        self.numbers += usize::from(number(value, delimiter).is_some());
        self.again += usize::from(value == name);
        self.words += value.split_whitespace().count();
        self.different.insert(xxhash_rust::xxh3::xxh3_64(value.as_bytes()));
    }

    /// Whether what the first row has is unlike all values.
    fn is_named(&self, name: &str, delimiter: u8) -> bool {
        if self.values < LEAST {
            return false;
        }
        if number(name, delimiter).is_some() {
            return self.numbers == 0;
        }
        let repeat = self.different.len() * LEAST <= self.values && self.again == 0;
        let texts = self.words >= SENTENCE * self.values && name.split_whitespace().count() == 1;
        self.numbers == self.values || repeat || texts
    }
}

/// Whether a first row holds names. It does not if it is all numbers, unless they count the columns or stand above words; nor
/// if values of it come again below and none of it is a usual name or unlike what stands below it.
fn names(first: &[String], columns: &[Column], delimiter: u8) -> bool {
    let mut both = first.iter().zip(columns);
    if both.any(|(name, column)| column.is_named(name, delimiter)) {
        return true;
    }
    if first.iter().any(|name| USUAL.iter().any(|usual| name.eq_ignore_ascii_case(usual))) {
        return true;
    }
    let numbers: Option<Vec<f64>> = first.iter().map(|name| number(name, delimiter)).collect();
    match numbers {
        Some(numbers) => numbers.len() >= COUNTED && numbers.windows(2).all(|two| two[1] - two[0] == 1.0),
        None => columns.iter().all(|column| column.again < LEAST),
    }
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
    let (mut splitter, mut row) = (Splitter::new(known, delimiter, whole), Row::default());
    let (mut first, mut last) = (None, None);
    while splitter.next(&mut row).is_some() {
        let end = splitter.at();
        first = first.or(Some(end));
        last = Some(end);
    }
    (first, last)
}

/// The delimiter that divides the first rows into equally many fields, and more than one.
pub(crate) fn sniff(head: &[u8], complete: bool) -> u8 {
    let score = |delimiter: u8| {
        let (mut splitter, mut row) = (Splitter::new(head, delimiter, true), Row::default());
        let mut counts: Vec<usize> = Vec::new();
        while counts.len() < 50 && splitter.next(&mut row).is_some() {
            counts.push(row.len());
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
    use super::super::rows::{Place, Rows, is_missing};
    use super::*;

    /// All fields with the places of their rows, in blocks of a few bytes.
    fn read(text: &str, block: usize, threads: usize) -> Result<Vec<(Place, Vec<String>)>> {
        let mut rows = Rows::read(text.as_bytes(), "text", Some(true))?;
        rows.set_block(block);
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
