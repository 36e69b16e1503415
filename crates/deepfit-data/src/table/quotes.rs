//! Fields of delimited text that may stand between quotes.
//!
//! A field that begins with a quote ends behind the next quote that is not doubled, if a delimiter or the end of a line
//! follows there (RFC 4180). If anything else does, or there is none, the quote is a letter of the text like any other: a
//! single one before a word must not make one field of all the lines to the next.

use std::ops::Range;

use memchr::{memchr, memchr3};

/// A quote that is not closed within so many bytes is a letter.
const LONGEST: usize = 16 << 20;

/// The fields of a row, without their quotes.
#[derive(Debug, Default)]
pub(crate) struct Row {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Where each begins in the text.
    begins: Vec<usize>,
}

impl Row {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, field: usize) -> Option<&[u8]> {
        let begin = if field == 0 { 0 } else { *self.ends.get(field - 1)? };
        self.bytes.get(begin..*self.ends.get(field)?)
    }

    /// Where a field's content begins in the text that was read.
    pub(crate) fn begin(&self, field: usize) -> usize {
        self.begins[field]
    }

    fn push(&mut self, text: &[u8], Field { content, quoted, .. }: &Field) {
        let mut rest = &text[content.clone()];
        self.begins.push(content.start);
        // Quotes within are doubled.
        while let Some(at) = memchr(b'"', rest).filter(|_| *quoted) {
            self.bytes.extend_from_slice(&rest[..=at]);
            rest = &rest[(at + 2).min(rest.len())..];
        }
        self.bytes.extend_from_slice(rest);
        self.ends.push(self.bytes.len());
    }
}

/// A field, and where it ends.
struct Field {
    content: Range<usize>,
    quoted: bool,
    /// Where the delimiter or the line's end stands, or the text ends.
    end: usize,
}

/// Goes through rows of text. Empty lines are none.
pub(crate) struct Splitter<'a> {
    text: &'a [u8],
    delimiter: u8,
    /// Whether nothing follows the text.
    whole: bool,
    at: usize,
}

impl<'a> Splitter<'a> {
    pub(crate) fn new(text: &'a [u8], delimiter: u8, whole: bool) -> Splitter<'a> {
        Splitter { text, delimiter, whole, at: 0 }
    }

    /// Reads the next row, and returns where it begins; `None` if there is none, or where it ends cannot be known without
    /// what follows the text. Then [`Splitter::at`] is where it begins.
    pub(crate) fn next(&mut self, row: &mut Row) -> Option<usize> {
        let text = self.text;
        row.bytes.clear();
        row.ends.clear();
        row.begins.clear();
        while matches!(text.get(self.at), Some(b'\n' | b'\r')) {
            self.at += 1;
        }
        let begin = self.at;
        let mut at = begin;
        if begin == text.len() {
            return None;
        }
        loop {
            let field = self.field(at)?;
            row.push(text, &field);
            match text.get(field.end) {
                Some(byte) if *byte == self.delimiter => at = field.end + 1,
                Some(_) => {
                    let pair = text[field.end..].starts_with(b"\r\n");
                    self.at = field.end + if pair { 2 } else { 1 };
                    return Some(begin);
                }
                None if self.whole => {
                    self.at = field.end;
                    return Some(begin);
                }
                None => return None,
            }
        }
    }

    /// Where the last row ended.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The field that begins at a place; `None` if its end cannot be known.
    fn field(&self, at: usize) -> Option<Field> {
        let text = self.text;
        if text.get(at) == Some(&b'"') {
            let seen = text.len().min(at + 1 + LONGEST);
            let mut from = at + 1;
            let close = loop {
                match memchr(b'"', &text[from.min(seen)..seen]).map(|found| from + found) {
                    Some(quote) if text.get(quote + 1) == Some(&b'"') => from = quote + 2,
                    found => break found,
                }
            };
            match close {
                Some(quote) => {
                    let spaces = text[quote + 1..].iter().take_while(|&&b| b == b' ' && b != self.delimiter).count();
                    let end = quote + 1 + spaces;
                    let ends = match text.get(end) {
                        Some(byte) => *byte == self.delimiter || matches!(byte, b'\n' | b'\r'),
                        None if self.whole => true,
                        None => return None,
                    };
                    if ends {
                        return Some(Field { content: at + 1..quote, quoted: true, end });
                    }
                }
                None if !self.whole && seen == text.len() => return None,
                None => {}
            }
        }
        let end = memchr3(self.delimiter, b'\n', b'\r', &text[at..]).map_or(text.len(), |end| at + end);
        Some(Field { content: at..end, quoted: false, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<Vec<String>> {
        let (mut splitter, mut row, mut rows) =
            (Splitter::new(text.as_bytes(), b',', true), Row::default(), Vec::new());
        while splitter.next(&mut row).is_some() {
            let field = |i| String::from_utf8(row.get(i).unwrap().to_vec()).unwrap();
            rows.push((0..row.len()).map(field).collect());
        }
        rows
    }

    /// Of text that keeps to RFC 4180, the fields are those that the crate `csv` finds.
    #[test]
    fn well_formed_text_is_read_as_by_the_csv_crate() {
        for text in [
            "a,b\nc,d",
            "a,\n,b\n,\n",
            ",",
            "a,b,",
            "\n\na\r\rb\r\n\r\nc",
            "x\n,",
            "\"a,b\",c\n\"d\ne\",\"\"\"f\"\" g\"",
            "\"\",\"\"\n\"\"",
            "5\" wide,6\n",
            "a,\"b\r\n\"\"\"\r\nc,d\r\n",
            "\"\"\"\",x",
        ] {
            let mut options = csv::ReaderBuilder::new();
            let reader = options.has_headers(false).flexible(true).from_reader(text.as_bytes());
            let theirs: Vec<Vec<String>> =
                reader.into_records().map(|row| row.unwrap().iter().map(str::to_string).collect()).collect();
            assert_eq!(rows(text), theirs, "{text:?}");
        }
    }

    #[test]
    fn a_quote_that_closes_nowhere_is_a_letter() {
        let text = "x,\"A Printer\ny,the \"best\" of\nz,\"so\" it is\nu,\"quoted, well\" \nv,\"";
        let expected =
            [["x", "\"A Printer"], ["y", "the \"best\" of"], ["z", "\"so\" it is"], ["u", "quoted, well"], ["v", "\""]];
        assert_eq!(rows(text), expected);
    }

    #[test]
    fn what_follows_a_part_of_a_text_may_change_its_last_row_alone() {
        let text = "a,\"b\"\n\"c\nd\",\"e\nf,\"\"\"g\"\"\"\r\nh,\"i\" \nj\n";
        let whole = rows(text);
        for end in 0..text.len() {
            let mut splitter = Splitter::new(&text.as_bytes()[..end], b',', false);
            let (mut row, mut found) = (Row::default(), 0);
            while splitter.next(&mut row).is_some() {
                let fields: Vec<&[u8]> = (0..row.len()).map(|i| row.get(i).unwrap()).collect();
                assert_eq!(fields, whole[found].iter().map(|f| f.as_bytes()).collect::<Vec<_>>(), "{end}");
                found += 1;
            }
            assert!(splitter.at() <= end);
        }
    }
}
