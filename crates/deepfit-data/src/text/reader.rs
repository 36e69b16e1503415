//! Texts to be used: a line of a file, a field of a table, or a whole file each.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder};
use walkdir::WalkDir;

use super::passage::Passage;
use crate::error::{Error, Result};
use crate::table::{self, BoxRead, Format, Rows, foreign, nearest, sniff};

/// A text, or why it cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextRow {
    /// Its path, or the number of its row from 0; of several files, both.
    pub name: String,
    /// The text, or what is wrong with it.
    pub text: Result<String, String>,
    /// The text that it is compared with, where two columns of a table are.
    pub second: Option<String>,
}

/// Where texts are read from.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    /// Column of tables; without, the only one, or one by a usual name.
    pub column: Option<String>,
    /// Columns that are read one after the other in tables that have them all, if no column is asked for.
    pub known: Vec<String>,
    /// Whether two such columns are compared.
    pub pairs: bool,
}

/// Names that columns of texts usually have, the likeliest first.
const USUAL: [&str; 10] =
    ["text", "sentence", "content", "document", "review", "title", "description", "body", "question", "message"];
/// How much of a file is looked at to tell what it is.
const HEAD: usize = 64 << 10;
/// Of a text that is longer than any model takes, no more is kept.
const LONGEST: u64 = 64 << 20;

impl Texts {
    /// Gives the texts of files and folders to `each`, in order: of a table (`.csv`, `.tsv`, `.jsonl`, Parquet, Arrow) those
    /// of a column, of a folder its `.txt` files, each as a whole, of any other file its lines.
    ///
    /// # Errors
    /// If a file cannot be read or is no text, a table has no column that could be meant, or `each` fails.
    pub fn read<E: From<Error>>(
        &self,
        inputs: &[PathBuf],
        each: &mut dyn FnMut(TextRow) -> Result<(), E>,
    ) -> Result<(), E> {
        for path in inputs {
            let metadata = std::fs::metadata(path).map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => Error::NotFound { path: path.clone() },
                _ => Error::io(path, source),
            })?;
            if metadata.is_dir() {
                read_folder(path, each)?;
                continue;
            }
            let prefix = if inputs.len() > 1 { format!("{}:", path.display()) } else { String::new() };
            let (head, content) = table::begin(path)?;
            match table::known(&head).or_else(|| table::called(path)) {
                Some(Format::Delimited) => self.read_table(content, path, &prefix, each)?,
                Some(_) => self.read_rows(Rows::open(path, None)?, &prefix, each)?,
                None => read_lines(content, path, &prefix, each)?,
            }
        }
        Ok(())
    }

    /// Gives the lines of something that is read to `each`, or with a column the fields of a table.
    ///
    /// # Errors
    /// As [`Texts::read`].
    pub fn read_from<E: From<Error>>(
        &self,
        reader: impl Read,
        name: &str,
        each: &mut dyn FnMut(TextRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let (head, content) = table::uncompressed(Box::new(reader), Path::new(name))?;
        let in_columns = self.column.is_some() || !self.known.is_empty();
        if table::known(&head).is_some() || (in_columns && head.trim_ascii_start().starts_with(b"{")) {
            return self.read_rows(Rows::read(content, name, None)?, "", each);
        }
        let (head, complete, rest) = begin(content, Path::new(name))?;
        let first = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let delimiter = sniff(&head, complete);
        let header: Vec<&[u8]> = first.trim_ascii().split(|&byte| byte == delimiter).collect();
        let is_known = |column: &String| header.contains(&column.as_bytes());
        let is_table = self.column.is_some() || (!self.known.is_empty() && self.known.iter().all(is_known));
        let all: BoxRead<'_> = Box::new(Cursor::new(head).chain(rest));
        if is_table {
            return self.read_table(all, Path::new(name), "", each);
        }
        read_lines(all, Path::new(name), "", each)
    }

    fn read_table<E: From<Error>>(
        &self,
        reader: impl Read,
        path: &Path,
        prefix: &str,
        each: &mut dyn FnMut(TextRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let (head, complete, rest) = begin(reader, path)?;
        let delimiter = sniff(&head, complete);
        let mut rows =
            ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(Cursor::new(head).chain(rest));
        let failed = |error: csv::Error| Error::NotATable {
            path: path.to_path_buf(),
            problem: format!("cannot be read: {error}"),
            needed: String::new(),
        };
        let header: Vec<String> = rows
            .byte_headers()
            .map_err(failed)?
            .iter()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        let columns = self.choose(&header, path)?;
        let mut record = ByteRecord::new();
        let mut number = 0_u64;
        while rows.read_byte_record(&mut record).map_err(failed)? {
            let field = |&column: &usize| match record.get(column) {
                Some(field) => text_of(field.to_vec()),
                None => Err(format!("has {} fields, too few for the column '{}'", record.len(), header[column])),
            };
            let fields = columns.iter().map(field).collect::<Result<Vec<String>, String>>();
            let name = format!("{prefix}{number}");
            each(match fields.map(|fields| Passage::of_columns(&fields, self.pairs)) {
                Ok(Passage { text, second }) => TextRow { name, text: Ok(text), second },
                Err(problem) => TextRow { name, text: Err(problem), second: None },
            })?;
            number += 1;
        }
        Ok(())
    }

    /// The texts of a table that is no delimited text.
    fn read_rows<E: From<Error>>(
        &self,
        mut rows: Rows<'_>,
        prefix: &str,
        each: &mut dyn FnMut(TextRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let columns = self.choose(&rows.columns, Path::new(&rows.name))?;
        rows.try_for_each_block(
            1,
            |records| {
                let mut texts = Vec::new();
                while let Some(fields) = records.next()? {
                    let fields: Vec<String> = columns.iter().map(|&column| fields.get(column).to_string()).collect();
                    texts.push(Passage::of_columns(&fields, self.pairs));
                }
                Ok(texts)
            },
            |texts, base| {
                for (number, Passage { text, second }) in (base.rows..).zip(texts) {
                    each(TextRow { name: format!("{prefix}{number}"), text: Ok(text), second })?;
                }
                Ok(())
            },
        )
    }

    /// The columns that are meant.
    fn choose(&self, header: &[String], path: &Path) -> Result<Vec<usize>> {
        let find = |name: &str| header.iter().position(|column| column == name);
        let listed = header.join(", ");
        let wrong = |problem: String| Error::NotATable { path: path.to_path_buf(), problem, needed: String::new() };
        if let Some(name) = &self.column {
            return find(name).map(|column| vec![column]).ok_or_else(|| {
                let near = nearest(name, header.iter().map(String::as_str));
                let near = near.map_or(String::new(), |near| format!("; did you mean '{near}'?"));
                wrong(format!("has no column '{name}'{near} There are: {listed}"))
            });
        }
        let known: Option<Vec<usize>> = self.known.iter().map(|name| find(name)).collect();
        if let Some(known) = known.filter(|known| !known.is_empty()) {
            return Ok(known);
        }
        let lower: Vec<String> = header.iter().map(|name| name.trim().to_lowercase()).collect();
        let usual = USUAL.iter().find_map(|usual| lower.iter().position(|column| column == usual));
        match (usual, header.len()) {
            (Some(column), _) => Ok(vec![column]),
            (None, 1) => Ok(vec![0]),
            (None, _) => {
                Err(wrong(format!("has several columns, {listed}; say which holds the texts, by --column NAME")))
            }
        }
    }
}

/// The text files in a folder, in the order of their paths.
fn read_folder<E: From<Error>>(folder: &Path, each: &mut dyn FnMut(TextRow) -> Result<(), E>) -> Result<(), E> {
    let mut found = 0;
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(|error| Error::io(folder, error.into()))?;
        let path = entry.path();
        let is_text = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt"));
        if !entry.file_type().is_file() || !is_text {
            continue;
        }
        found += 1;
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
        let text = match read {
            Ok(_) => text_of(bytes),
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        each(TextRow { name: path.display().to_string(), text, second: None })?;
    }
    if found == 0 {
        let problem = "is a folder without .txt files".to_string();
        return Err(Error::NotATable { path: folder.to_path_buf(), problem, needed: String::new() }.into());
    }
    Ok(())
}

fn read_lines<E: From<Error>>(
    reader: impl Read,
    path: &Path,
    prefix: &str,
    each: &mut dyn FnMut(TextRow) -> Result<(), E>,
) -> Result<(), E> {
    let (head, _, rest) = begin(reader, path)?;
    let mut lines = BufReader::new(Cursor::new(head).chain(rest));
    for number in 0_u64.. {
        let mut line = Vec::new();
        let failed = |source| Error::io(path, source);
        let read = (&mut lines).take(LONGEST).read_until(b'\n', &mut line).map_err(failed)?;
        if read == 0 {
            break;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        each(TextRow { name: format!("{prefix}{number}"), text: text_of(line), second: None })?;
    }
    Ok(())
}

/// The beginning of a file, whether that is all of it, and the rest.
fn begin<R: Read>(mut reader: R, path: &Path) -> Result<(Vec<u8>, bool, R)> {
    let mut head = Vec::new();
    reader.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(|source| Error::io(path, source))?;
    // Texts may hold any character, but no file of these kinds.
    if let Some(what) = foreign(&head).filter(|what| !what.starts_with("binary")) {
        let problem = format!("is {}", what.replace("not a table", "not text"));
        return Err(Error::NotATable { path: path.to_path_buf(), problem, needed: String::new() });
    }
    let complete = head.len() < HEAD;
    Ok((without_mark(head), complete, reader))
}

/// Without the mark that some programs put before UTF-8.
fn without_mark(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        bytes.drain(..3);
    }
    bytes
}

/// Bytes as text, without the mark that some programs put before UTF-8.
pub(super) fn text_of(bytes: Vec<u8>) -> Result<String, String> {
    let bytes = without_mark(bytes);
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        format!("is not UTF-8 text: byte {place} belongs to no letter; convert it, for example with `iconv -t UTF-8`")
    })
}
