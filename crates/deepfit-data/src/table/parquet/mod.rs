//! Parquet files: row group after row group, of which the compressed pages are in memory, and of their values those of a block.
//!
//! What they are made of is told at <https://parquet.apache.org/docs/file-format/>.

mod encodings;
mod pages;
mod schema;
mod thrift;

use std::io::{Read, Seek, SeekFrom};

use super::codec::Codec;
use super::columns::Columns;
use crate::error::{Error, Result};
use pages::Chunk;
pub(super) use pages::half;
use schema::{Leaf, leaves};
use thrift::{Fields, Value};

/// Values of a block: rows of a few columns, fewer of many.
const VALUES: usize = 1 << 17;
const ROWS: std::ops::RangeInclusive<usize> = 256..=8192;
/// At the end of a file stand the length of what it tells of itself, and the mark that it also begins with.
const END: u64 = 8;

/// A file or bytes in memory.
pub(super) trait Content: Read + Seek {}

impl<T: Read + Seek> Content for T {}

/// Where a column of a row group lies.
struct Place {
    begin: u64,
    length: u64,
    codec: Codec,
}

struct Group {
    rows: usize,
    places: Vec<Place>,
}

/// A file being read.
pub(super) struct ParquetFile {
    file: Box<dyn Content>,
    name: String,
    leaves: Vec<Leaf>,
    groups: std::vec::IntoIter<Group>,
    /// The columns of the group that is being read, and its rows that are left.
    chunks: Vec<Chunk>,
    left: usize,
    /// A block that was looked at and not yet given away.
    first: Option<Columns>,
}

impl ParquetFile {
    /// Reads what the file tells of itself.
    ///
    /// # Errors
    /// If it is damaged, or has something that cannot be read here.
    pub(super) fn open(mut file: Box<dyn Content>, name: &str) -> Result<ParquetFile> {
        let failed = |source| Error::Io { path: name.into(), source };
        let refuse =
            |problem: &str| Error::Table { name: name.to_string(), problem: format!("the Parquet file {problem}") };
        let cut = || refuse("is cut off: it does not end as it must; copy or write it again");
        let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
        file.rewind().map_err(failed)?;
        let mut mark = Vec::new();
        file.by_ref().take(4).read_to_end(&mut mark).map_err(failed)?;
        if mark == b"PARE" {
            return Err(refuse("is encrypted; write it without encryption"));
        }
        if mark != b"PAR1" {
            let problem =
                "is called a Parquet file, and does not begin as one; give it the ending of what it is".to_string();
            return Err(Error::NotATable { path: name.into(), problem, needed: String::new() });
        }
        if length < 4 + END {
            return Err(cut());
        }
        let mut end = [0; END as usize];
        file.seek(SeekFrom::Start(length - END)).and_then(|_| file.read_exact(&mut end)).map_err(failed)?;
        let [a, b, c, d, mark @ ..] = end;
        let told = u64::from(u32::from_le_bytes([a, b, c, d]));
        if mark == *b"PARE" {
            return Err(refuse("is encrypted; write it without encryption"));
        }
        if mark != *b"PAR1" || told + END + 4 > length {
            return Err(cut());
        }
        let mut bytes = vec![0; told as usize];
        file.seek(SeekFrom::Start(length - END - told)).and_then(|_| file.read_exact(&mut bytes)).map_err(failed)?;
        let damaged = || refuse("is damaged: what it tells of its columns cannot be read; write it again");
        let about = thrift::read(&bytes, &mut 0).ok_or_else(damaged)?;
        let elements: Vec<&Fields<'_>> = structs(about.list(2)).ok_or_else(damaged)?;
        let leaves = leaves(&elements).map_err(|problem| refuse(&problem))?;
        let groups: Vec<Group> = structs(about.list(4))
            .ok_or_else(damaged)?
            .into_iter()
            .map(|group| read_group(group, &leaves, length))
            .collect::<Result<_, String>>()
            .map_err(|problem| refuse(&problem))?;
        let groups = groups.into_iter();
        Ok(ParquetFile { file, name: name.to_string(), leaves, groups, chunks: Vec::new(), left: 0, first: None })
    }

    pub(super) fn columns(&self) -> Vec<String> {
        self.leaves.iter().map(|leaf| leaf.name.clone()).collect()
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
        while self.left == 0 {
            let Some(group) = self.groups.next() else { return Ok(None) };
            self.begin(group)?;
        }
        let rows = (VALUES / self.leaves.len()).clamp(*ROWS.start(), *ROWS.end()).min(self.left);
        let name = &self.name;
        let take = |chunk: &mut Chunk| {
            chunk.take(rows).map_err(|problem| Error::Table {
                name: name.clone(),
                problem: format!("column '{}' of the Parquet file cannot be read: {problem}", chunk.name()),
            })
        };
        let columns = self.chunks.iter_mut().map(take).collect::<Result<_>>()?;
        self.left -= rows;
        Ok(Some(Columns::new(columns, rows)))
    }

    fn begin(&mut self, group: Group) -> Result<()> {
        let failed = |source| Error::Io { path: self.name.clone().into(), source };
        self.chunks.clear();
        for (leaf, place) in self.leaves.iter().zip(group.places) {
            let mut bytes = Vec::new();
            self.file.seek(SeekFrom::Start(place.begin)).map_err(failed)?;
            self.file.by_ref().take(place.length).read_to_end(&mut bytes).map_err(failed)?;
            self.chunks.push(Chunk::new(leaf.clone(), place.codec, bytes, group.rows));
        }
        self.left = group.rows;
        Ok(())
    }
}

fn structs<'a, 'b>(list: Option<&'b [Value<'a>]>) -> Option<Vec<&'b Fields<'a>>> {
    let of = |value: &'b Value<'a>| if let Value::Struct(fields) = value { Some(fields) } else { None };
    list?.iter().map(of).collect()
}

/// Where the columns of a row group lie in a file of some length.
fn read_group(group: &Fields<'_>, leaves: &[Leaf], length: u64) -> Result<Group, String> {
    let damaged = || "is damaged: what it tells of its row groups cannot be read; write it again".to_string();
    let rows = group.size(3).ok_or_else(damaged)?;
    let columns = structs(group.list(1)).filter(|columns| columns.len() == leaves.len()).ok_or_else(damaged)?;
    let mut places = Vec::new();
    for (column, leaf) in columns.into_iter().zip(leaves) {
        let name = &leaf.name;
        if column.get(8).is_some() {
            return Err(format!("has an encrypted column, '{name}'; write it without encryption"));
        }
        if column.text(1).is_some_and(|file| !file.is_empty()) {
            return Err(format!("has column '{name}' in another file; write the table as one file"));
        }
        let about = column.structure(3).ok_or_else(damaged)?;
        let codec = match about.int(4) {
            Some(0) => Codec::None,
            Some(1) => Codec::Snappy,
            Some(2) => Codec::Gzip,
            Some(5) => Codec::HadoopLz4,
            Some(6) => Codec::Zstd,
            Some(7) => Codec::Lz4,
            Some(number) => {
                let codec = match number {
                    3 => "LZO",
                    4 => "Brotli",
                    _ => "a codec that is not known",
                };
                return Err(format!(
                    "is compressed with {codec}, which is not read here; write it with zstd, gzip, snappy or lz4"
                ));
            }
            None => return Err(damaged()),
        };
        let data = about.int(9).ok_or_else(damaged)?;
        let begin = about.int(11).filter(|&at| at > 0).map_or(data, |dictionary| dictionary.min(data));
        let place = Place {
            begin: u64::try_from(begin).map_err(|_| damaged())?,
            length: about.size(7).ok_or_else(damaged)? as u64,
            codec,
        };
        if place.begin.checked_add(place.length).is_none_or(|end| end > length) {
            return Err("is cut off or damaged: a column lies behind its end; copy or write it again".to_string());
        }
        if about.size(5) != Some(rows) {
            return Err(format!("is damaged: column '{name}' has another number of values than there are rows"));
        }
        places.push(place);
    }
    Ok(Group { rows, places })
}
