//! Arrow's format for files and streams, which Feather is too: a schema, then dictionaries and batches of rows, one message
//! after the other. Of a file, what follows them says where they lie, which nobody needs who reads them in their order.
//!
//! What they are made of is told at <https://arrow.apache.org/docs/format/Columnar.html>.

mod batch;
mod flat;
mod schema;

use std::collections::HashMap;
use std::io::Read;

use super::columns::{Column, Columns};
use super::compressed::BoxRead;
use crate::error::{Error, Result};
use batch::Batch;
use flat::Table;
use schema::{Field, Kind};

const MARK: &[u8; 6] = b"ARROW1";
/// What a file begins with, so that all that follows lies at multiples of eight bytes.
const BEGIN: usize = 8;
/// Rows of a block.
const ROWS: usize = 8192;

/// What a message holds.
enum Holds {
    Schema,
    Dictionary,
    Batch,
    Other,
}

/// A message: its head, which says what the body is, and the body.
struct Message {
    holds: Holds,
    head: Vec<u8>,
    body: Vec<u8>,
}

/// A file or stream being read.
pub(super) struct ArrowFile<'a> {
    input: BoxRead<'a>,
    name: String,
    /// Whether it is a file, which has an end of its own.
    is_file: bool,
    fields: Vec<Field>,
    dictionaries: HashMap<i64, Column>,
    /// The batch that is being read, and its rows that were given away.
    batch: Option<Batch>,
    given: usize,
    ended: bool,
    /// A block that was looked at and not yet given away.
    first: Option<Columns>,
}

impl<'a> ArrowFile<'a> {
    /// Reads the schema.
    ///
    /// # Errors
    /// If it is damaged, or has something that cannot be read here.
    pub(super) fn open(mut input: BoxRead<'a>, name: &str) -> Result<ArrowFile<'a>> {
        let failed = |source| Error::Io { path: name.into(), source };
        let mut begin = Vec::new();
        input.by_ref().take(BEGIN as u64).read_to_end(&mut begin).map_err(failed)?;
        let is_file = begin.starts_with(MARK);
        if begin.starts_with(b"FEA1") {
            let problem = "is Feather of version 1; write it again, by which it becomes version 2".to_string();
            return Err(Error::Table { name: name.to_string(), problem });
        }
        if !is_file && !begin.starts_with(&[0xFF; 4]) {
            let problem =
                "is called an Arrow file, and does not begin as one; give it the ending of what it is".to_string();
            return Err(Error::NotATable { path: name.into(), problem, needed: String::new() });
        }
        let input: BoxRead<'a> = if is_file { input } else { Box::new(std::io::Cursor::new(begin).chain(input)) };
        let mut file = ArrowFile {
            input,
            name: name.to_string(),
            is_file,
            fields: Vec::new(),
            dictionaries: HashMap::new(),
            batch: None,
            given: 0,
            ended: false,
            first: None,
        };
        match file.next_message()? {
            Some(Message { holds: Holds::Schema, head, .. }) => file.read_schema(&head)?,
            Some(_) => return Err(file.refuse("is damaged: it does not begin with its schema")),
            None => return Err(file.cut()),
        }
        Ok(file)
    }

    pub(super) fn columns(&self) -> Vec<String> {
        self.fields.iter().map(|field| field.name.clone()).collect()
    }

    fn refuse(&self, problem: &str) -> Error {
        Error::Table { name: self.name.clone(), problem: format!("the Arrow file {problem}") }
    }

    fn cut(&self) -> Error {
        self.refuse("is cut off: it does not end as it must; copy or write it again")
    }

    /// So many bytes, or fewer at the end.
    fn bytes(&mut self, count: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let failed = |source| Error::Io { path: self.name.clone().into(), source };
        self.input.by_ref().take(count).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// The next message, or `None` after the last.
    fn next_message(&mut self) -> Result<Option<Message>> {
        let mark = self.bytes(8)?;
        let length = match mark[..] {
            [0xFF, 0xFF, 0xFF, 0xFF, a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
            // A stream may end without saying so.
            [] if !self.is_file => 0,
            [] | [_, .., _] if mark.len() < 8 => return Err(self.cut()),
            _ => return Err(self.refuse("is damaged, or was written before 2019; write it again")),
        };
        if length == 0 {
            self.ended = true;
            if self.is_file && !self.bytes(u64::MAX)?.ends_with(MARK) {
                return Err(self.cut());
            }
            return Ok(None);
        }
        let head = self.bytes(u64::from(length))?;
        if head.len() < length as usize {
            return Err(self.cut());
        }
        let damaged = || self.refuse("is damaged: a message cannot be read; write it again");
        let message = Table::root(&head).ok_or_else(damaged)?;
        let holds = match message.byte(1) {
            Some(1) => Holds::Schema,
            Some(2) => Holds::Dictionary,
            Some(3) => Holds::Batch,
            _ => Holds::Other,
        };
        let length = u64::try_from(message.long(3).unwrap_or(0)).map_err(|_| damaged())?;
        let body = self.bytes(length)?;
        if (body.len() as u64) < length {
            return Err(self.cut());
        }
        Ok(Some(Message { holds, head, body }))
    }

    fn read_schema(&mut self, head: &[u8]) -> Result<()> {
        let damaged = || self.refuse("is damaged: its schema cannot be read; write it again");
        let schema = Table::root(head).and_then(|message| message.table(2)).ok_or_else(damaged)?;
        if schema.short(0).unwrap_or(0) != 0 {
            return Err(self.refuse("has the highest byte of its numbers first; write it again on another computer"));
        }
        let fields = schema.tables(1).ok_or_else(damaged)?;
        let fields: Result<Vec<Field>, String> = fields.into_iter().map(schema::field).collect();
        self.fields = fields.map_err(|problem| self.refuse(&problem))?;
        if self.fields.is_empty() {
            return Err(self.refuse("has no columns"));
        }
        Ok(())
    }

    fn read_dictionary(&mut self, head: &[u8], body: &[u8]) -> Result<(), String> {
        let damaged = || "is damaged: a dictionary cannot be read".to_string();
        let message = Table::root(head).and_then(|message| message.table(2)).ok_or_else(damaged)?;
        let id = message.long(0).unwrap_or(0);
        let data = message.table(1).ok_or_else(damaged)?;
        let of = |field: &Field| field.dictionary.clone().filter(|dictionary| dictionary.id == id);
        let Some(dictionary) = self.fields.iter().find_map(of) else { return Ok(()) };
        let batch = batch::read(data, body, &[dictionary.kind])?;
        let column = batch.columns[0].decode(dictionary.kind, dictionary.meaning, 0..batch.rows)?;
        let more = message.byte(2).unwrap_or(0) == 1;
        match self.dictionaries.get_mut(&id) {
            Some(known) if more => known.append(column).ok_or_else(damaged)?,
            _ => {
                self.dictionaries.insert(id, column);
            }
        }
        Ok(())
    }

    /// The first rows, which are left where they are.
    pub(super) fn first_block(&mut self) -> Result<Option<Columns>> {
        if self.first.is_none() {
            self.first = self.next_block()?;
        }
        Ok(self.first.clone())
    }

    /// The next rows, or `None` after the last.
    pub(super) fn next_block(&mut self) -> Result<Option<Columns>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        loop {
            if let Some(batch) = self.batch.as_ref().filter(|batch| batch.rows > self.given) {
                let rows = self.given..batch.rows.min(self.given + ROWS);
                let block = self.decode(batch, rows.clone())?;
                self.given = rows.end;
                return Ok(Some(block));
            }
            self.batch = None;
            if self.ended {
                return Ok(None);
            }
            let Some(Message { holds, head, body }) = self.next_message()? else { return Ok(None) };
            match holds {
                Holds::Dictionary => {
                    self.read_dictionary(&head, &body).map_err(|problem| self.refuse(&problem))?;
                }
                Holds::Batch => {
                    let kinds: Vec<Kind> = self.fields.iter().map(|field| field.kind).collect();
                    let message = Table::root(&head).and_then(|message| message.table(2));
                    let batch = message.ok_or_else(|| "a batch of rows is damaged".to_string());
                    let batch = batch.and_then(|head| batch::read(head, &body, &kinds));
                    self.batch = Some(batch.map_err(|problem| self.refuse(&format!("cannot be read: {problem}")))?);
                    self.given = 0;
                }
                Holds::Schema => return Err(self.refuse("is damaged: it has two schemas")),
                Holds::Other => {}
            }
        }
    }

    fn decode(&self, batch: &Batch, rows: std::ops::Range<usize>) -> Result<Columns> {
        let mut columns = Vec::with_capacity(self.fields.len());
        for (field, stored) in self.fields.iter().zip(&batch.columns) {
            let column = stored.decode(field.kind, field.meaning, rows.clone());
            let column = column.and_then(|column| self.look_up(field, column));
            columns.push(column.map_err(|problem| {
                let name = &field.name;
                Error::Table {
                    name: self.name.clone(),
                    problem: format!("column '{name}' of the Arrow file cannot be read: {problem}"),
                }
            })?);
        }
        Ok(Columns::new(columns, rows.len()))
    }

    /// The values that the places of a column stand for, if it holds places.
    fn look_up(&self, field: &Field, places: Column) -> Result<Column, String> {
        let Some(dictionary) = &field.dictionary else { return Ok(places) };
        let damaged = || "it asks for what its dictionary does not have".to_string();
        let mut valid = places.valid;
        let mut at = Vec::new();
        let words = self.dictionaries.get(&dictionary.id);
        for (row, valid) in valid.iter_mut().enumerate() {
            if *valid {
                let place = places.values.whole(row).ok_or_else(damaged)?;
                *valid = *words.and_then(|words| words.valid.get(place as usize)).ok_or_else(damaged)?;
                if *valid {
                    at.push(place);
                }
            }
        }
        let values = match words {
            Some(words) => words.values.select(&at).and_then(|values| values.spread(&valid)).ok_or_else(damaged)?,
            None => super::columns::Typed::Nulls(valid.len()),
        };
        Ok(Column { valid, values, meaning: dictionary.meaning })
    }
}
