//! JSON Lines: an object a line, read as a table whose columns are all names that occur, in the order of their first
//! appearance.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io::{BufRead, BufReader, Read};
use std::ops::Range;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor, value};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::chunks::Chunks;
use super::compressed::BoxRead;
use super::rows::HEAD;
use crate::error::{Error, Result};

const OBJECT: &str = "an object, such as {\"text\": \"fine\", \"label\": 1}";

/// The columns of a file.
pub(super) struct Names {
    pub(super) columns: Vec<String>,
    places: HashMap<String, usize>,
}

impl Names {
    /// Looks for all names that occur, line by line.
    ///
    /// # Errors
    /// If the text cannot be read, has no object, or a line is none.
    pub(super) fn find(content: impl Read, name: &str) -> Result<Names> {
        let failed = |source| Error::Io { path: name.into(), source };
        let mut names = Names { columns: Vec::new(), places: HashMap::new() };
        let (mut reader, mut line, mut any) = (BufReader::with_capacity(HEAD, content), Vec::new(), false);
        for number in 1.. {
            line.clear();
            if reader.read_until(b'\n', &mut line).map_err(failed)? == 0 {
                break;
            }
            let text = if number == 1 { line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&line) } else { &line };
            if text.trim_ascii().is_empty() {
                continue;
            }
            any = true;
            parse(text, NamesOf(&mut names)).map_err(|error| not_json(name, number, &error))?;
        }
        if !any {
            return Err(Error::EmptyFile { path: name.into() });
        }
        Ok(names)
    }

    fn add(&mut self, name: &str) {
        if !self.places.contains_key(name) {
            self.places.insert(name.to_string(), self.columns.len());
            self.columns.push(name.to_string());
        }
    }
}

/// Reads one line; nothing but space may stand behind its object.
fn parse<'de, V: Visitor<'de>>(line: &'de [u8], visitor: V) -> Result<V::Value, serde_json::Error> {
    let mut from = serde_json::Deserializer::from_slice(line);
    let value = from.deserialize_map(visitor)?;
    from.end()?;
    Ok(value)
}

fn not_json(name: &str, line: u64, error: &serde_json::Error) -> Error {
    let told = error.to_string();
    // The line that the parser tells of is the one that it was given, not that of the file.
    let problem = told.rsplit_once(" at line ").map_or(&told[..], |(problem, _)| problem);
    let place = if error.column() > 0 { format!(" at character {}", error.column()) } else { String::new() };
    Error::NotJson { name: name.to_string(), line, problem: format!("{problem}{place}") }
}

/// Adds the names of an object.
struct NamesOf<'a>(&'a mut Names);

impl<'de> Visitor<'de> for NamesOf<'_> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(OBJECT)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut next = 0;
        while let Some(Name(name)) = map.next_key()? {
            // Most lines have the same names in the same order.
            if self.0.columns.get(next).is_none_or(|known| *known != name) {
                self.0.add(&name);
            }
            next += 1;
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// A name, borrowed where it stands as it is.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text being read.
pub(super) struct JsonLines<'a> {
    content: Chunks<'a>,
    pub(super) names: Names,
    begun: bool,
}

impl<'a> JsonLines<'a> {
    pub(super) fn open(content: BoxRead<'a>, names: Names, name: &str) -> JsonLines<'a> {
        JsonLines { content: Chunks::open(content, name), names, begun: false }
    }

    #[cfg(test)]
    pub(super) fn set_block(&mut self, bytes: usize) {
        self.content.block = bytes;
    }

    fn begin(&mut self) -> Result<()> {
        if !self.begun {
            self.begun = true;
            self.content.read_more(HEAD)?;
            self.content.skip_mark();
        }
        Ok(())
    }

    /// The first lines, which are left where they are.
    pub(super) fn first_block(&mut self) -> Vec<u8> {
        if self.begin().is_err() {
            return Vec::new();
        }
        let rest = self.content.rest();
        rest[..last_end(rest, self.content.has_ended()).unwrap_or(0)].to_vec()
    }

    /// The next whole lines, or `None` after the last.
    pub(super) fn next_block(&mut self) -> Result<Option<Vec<u8>>> {
        self.begin()?;
        self.content.next_block(last_end)
    }
}

fn last_end(text: &[u8], whole: bool) -> Option<usize> {
    if whole { Some(text.len()) } else { memchr::memrchr(b'\n', text).map(|at| at + 1) }
}

/// The values of an object as text: nothing for what is null or missing, numbers and texts as they are, lists and objects as
/// JSON.
#[derive(Default)]
pub(super) struct Cells {
    text: String,
    places: Vec<Range<usize>>,
}

impl Cells {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn get(&self, column: usize) -> &str {
        &self.text[self.places[column].clone()]
    }

    /// Takes in the object of a line, whose number is counted from 1.
    ///
    /// # Errors
    /// If the line is no object.
    pub(super) fn read(&mut self, line: &[u8], names: &Names, name: &str, number: impl FnOnce() -> u64) -> Result<()> {
        self.text.clear();
        self.places.clear();
        self.places.resize(names.columns.len(), 0..0);
        parse(line, Row { cells: self, names }).map_err(|error| not_json(name, number(), &error))
    }
}

/// Takes in the values of an object.
struct Row<'a> {
    cells: &'a mut Cells,
    names: &'a Names,
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(OBJECT)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Row { cells, names } = self;
        let mut next = 0;
        while let Some(Name(name)) = map.next_key()? {
            let as_before = names.columns.get(next).is_some_and(|known| *known == name);
            let column = if as_before { Some(next) } else { names.places.get(&*name).copied() };
            next += 1;
            let begin = cells.text.len();
            map.next_value_seed(Cell(&mut cells.text))?;
            // A file that is written to while it is read may have new names.
            let column = column.ok_or_else(|| A::Error::custom(format!("the name '{name}' is new to the file")))?;
            cells.places[column] = begin..cells.text.len();
        }
        Ok(())
    }
}

/// Appends a value as text.
struct Cell<'a>(&'a mut String);

impl Cell<'_> {
    fn push<E>(self, value: impl fmt::Display) -> Result<(), E> {
        // Writing to a string does not fail.
        let _ = write!(self.0, "{value}");
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Cell<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cell<'_> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.push(value)
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.push(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.push(value)
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.push(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.0.push_str(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        let value = Value::deserialize(value::SeqAccessDeserializer::new(list))?;
        self.push(value)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let value = Value::deserialize(value::MapAccessDeserializer::new(map))?;
        self.push(value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::Rows;
    use super::*;

    /// A line of the file, and the fields of its row.
    type Row = (u64, Vec<String>);

    /// Columns, and all rows.
    fn read(text: &str, block: usize) -> Result<(Vec<String>, Vec<Row>)> {
        let mut rows = Rows::read(text.as_bytes(), "x.jsonl", None)?;
        rows.set_block(block);
        let mut all = Vec::new();
        rows.for_each_block(
            2,
            |records| {
                let mut found = Vec::new();
                while let Some(fields) = records.next()? {
                    found.push((fields.place(), (0..fields.len()).map(|i| fields.get(i).to_string()).collect()));
                }
                Ok(found)
            },
            |found: Vec<(_, Vec<String>)>, base| {
                all.extend(found.into_iter().map(|(place, fields)| (place.behind(base).line, fields)));
                Ok(())
            },
        )?;
        Ok((rows.columns, all))
    }

    #[test]
    fn objects_become_rows_in_the_order_of_their_names() {
        let text = "{\"text\": \"a, \\\"b\\\"\", \"stars\": 4.5}\r\n\n{\"stars\": null, \"ok\": true, \"tags\": [1, 2]}\n\
                    {\"tags\": {\"b\": [1e3, null]}, \"text\": \"é\", \"ok\": -7, \"stars\": 18446744073709551615}";
        for block in [1, 30, 1 << 20] {
            let (columns, rows) = read(text, block).unwrap();
            assert_eq!(columns, ["text", "stars", "ok", "tags"]);
            let expected = [
                (1, ["a, \"b\"", "4.5", "", ""]),
                (3, ["", "", "true", "[1,2]"]),
                (4, ["é", "18446744073709551615", "-7", "{\"b\":[1000.0,null]}"]),
            ];
            assert_eq!(rows.len(), expected.len());
            for ((line, fields), (expected_line, expected)) in rows.iter().zip(expected) {
                assert_eq!(*line, expected_line);
                assert_eq!(fields, &expected);
            }
        }
    }

    #[test]
    fn a_line_that_is_no_object_is_told_by_its_number() {
        let told = |text: &str| read(text, 1 << 20).unwrap_err().to_string();
        for (text, words) in [
            ("{\"a\": 1}\n[2]\n", "line 2 "),
            ("{\"a\": 1\n", "line 1"),
            ("{\"a\": 1}\n\n{\"a\": 1} x\n", "line 3"),
            ("{\"a\": 1}{\"a\": 2}\n", "character 9"),
        ] {
            let told = told(text);
            assert!(told.contains(words), "{told}");
            assert_eq!(told.matches("line").count(), 1, "{told}");
        }
    }
}
