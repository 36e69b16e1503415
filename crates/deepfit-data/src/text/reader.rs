//! Texts to be used: a line of a file, a field of a table, or a whole file each.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::passage::Passage;
use crate::error::{Error, Result, lacks, meant};
use crate::table::{self, BoxRead, Delimited, Format, Row, Rows, Splitter, foreign, nearest, sniff};

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
    /// Whether tables of delimited text have a header, if that is known.
    pub header: Option<bool>,
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
    /// of a column, of a folder its `.txt` files, each as a whole, of any other file its lines. One of several inputs that
    /// cannot be opened is given with the reason, by its path. Returns what is worth knowing, a sentence each.
    ///
    /// # Errors
    /// If the only input cannot be opened, one cannot be read to its end, a table has no column that could be meant, or
    /// `each` fails.
    pub fn read<E: From<Error>>(
        &self,
        inputs: &[PathBuf],
        each: &mut dyn FnMut(TextRow) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        let mut notes = Vec::new();
        for path in inputs {
            let prefix = if inputs.len() > 1 { format!("{}:", path.display()) } else { String::new() };
            let found = match Found::open(path) {
                Ok(found) => found,
                Err(error) => {
                    let Some(reason) = error.of_input().filter(|_| inputs.len() > 1) else { return Err(error.into()) };
                    each(TextRow { name: path.display().to_string(), text: Err(reason), second: None })?;
                    continue;
                }
            };
            match found {
                Found::Folder(files) => read_files(&files, each)?,
                Found::Delimited(content) => notes.extend(self.read_table(content, path, &prefix, each)?),
                Found::Rows(rows) => notes.extend(self.read_rows(*rows, &prefix, each)?),
                Found::Lines(content) => read_lines(content, path, &prefix, each)?,
            }
        }
        Ok(notes)
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
    ) -> Result<Vec<String>, E> {
        let (head, content) = table::uncompressed(Box::new(reader), Path::new(name))?;
        let in_columns = self.column.is_some() || !self.known.is_empty();
        if table::known(&head).is_some() || (in_columns && head.trim_ascii_start().starts_with(b"{")) {
            return Ok(self.read_rows(Rows::read(content, name, None)?, "", each)?.into_iter().collect());
        }
        let (head, complete, rest) = begin(content, Path::new(name))?;
        let delimiter = sniff(&head, complete);
        let (mut rows, mut row) = (Splitter::new(&head, delimiter, true), Row::default());
        rows.next(&mut row);
        let header: Vec<&[u8]> = (0..row.len()).filter_map(|field| row.get(field)).map(<[u8]>::trim_ascii).collect();
        let is_known = |column: &String| match self.header {
            // Columns without names are numbered. A text may have commas, but no tabulator.
            Some(false) => {
                let place = column.rsplit('_').next().and_then(|place| place.parse::<usize>().ok());
                delimiter == b'\t' && header.len() > 1 && place.is_some_and(|place| place <= header.len())
            }
            _ => header.contains(&column.as_bytes()),
        };
        let is_table = self.column.is_some() || (!self.known.is_empty() && self.known.iter().all(is_known));
        let all: BoxRead<'_> = Box::new(Cursor::new(head).chain(rest));
        if is_table {
            return Ok(self.read_table(all, Path::new(name), "", each)?.into_iter().collect());
        }
        read_lines(all, Path::new(name), "", each)?;
        Ok(Vec::new())
    }

    /// The texts of a table of delimited fields. Returns what is worth knowing of the choice of its column.
    fn read_table<E: From<Error>>(
        &self,
        content: BoxRead<'_>,
        path: &Path,
        prefix: &str,
        each: &mut dyn FnMut(TextRow) -> Result<(), E>,
    ) -> Result<Option<String>, E> {
        let (mut text, found) =
            Delimited::open(content, &path.to_string_lossy(), self.header, |head| refuse_foreign(head, path))?;
        let header = found.columns;
        let (columns, note) = self.choose(&header, path)?;
        let mut number = 0_u64;
        while let Some(block) = text.next_block()? {
            let (mut rows, mut row) = (Splitter::new(&block, text.delimiter, true), Row::default());
            while rows.next(&mut row).is_some() {
                let field = |&column: &usize| match row.get(column) {
                    Some(field) => text_of(field.trim_ascii().to_vec()),
                    None => Err(format!("has {} fields, too few for the column '{}'", row.len(), header[column])),
                };
                let fields = columns.iter().map(field).collect::<Result<Vec<String>, String>>();
                let name = format!("{prefix}{number}");
                each(match fields.map(|fields| Passage::of_columns(&fields, self.pairs)) {
                    Ok(Passage { text, second }) => TextRow { name, text: Ok(text), second },
                    Err(problem) => TextRow { name, text: Err(problem), second: None },
                })?;
                number += 1;
            }
        }
        Ok(note)
    }

    /// As [`Texts::read_table`], of a table that is no delimited text.
    fn read_rows<E: From<Error>>(
        &self,
        mut rows: Rows<'_>,
        prefix: &str,
        each: &mut dyn FnMut(TextRow) -> Result<(), E>,
    ) -> Result<Option<String>, E> {
        let (columns, note) = self.choose(&rows.columns, Path::new(&rows.name))?;
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
        .map(|()| note)
    }

    /// The columns that are meant; also what is worth knowing where others might be.
    fn choose(&self, header: &[String], path: &Path) -> Result<(Vec<usize>, Option<String>)> {
        let find = |name: &str| header.iter().position(|column| column == name);
        let listed = header.join(", ");
        let wrong = |problem: String| Error::NotATable { path: path.to_path_buf(), problem, needed: String::new() };
        if let Some(name) = &self.column {
            return find(name).map(|column| (vec![column], None)).ok_or_else(|| {
                let near = nearest(name, header.iter().map(String::as_str));
                let near = meant(near.unwrap_or_default());
                wrong(format!("has no column '{name}'{near} There are: {listed}"))
            });
        }
        let known: Option<Vec<usize>> = self.known.iter().map(|name| find(name)).collect();
        if let Some(known) = known.filter(|known| !known.is_empty()) {
            return Ok((known, None));
        }
        // What is compared stands in two columns, none of which can be guessed.
        let missing: Vec<&str> = self.known.iter().filter(|name| find(name).is_none()).map(String::as_str).collect();
        if self.pairs && !missing.is_empty() {
            return Err(wrong(lacks(&missing, header)));
        }
        let lower: Vec<String> = header.iter().map(|name| name.trim().to_lowercase()).collect();
        let usual = USUAL.iter().find_map(|usual| lower.iter().position(|column| column == usual));
        match (usual, header.len()) {
            (_, 1) => Ok((vec![0], None)),
            (Some(column), _) => {
                let name = path.display();
                let note = format!("the texts of '{name}' are those of its column '{}', of {listed}", header[column]);
                Ok((vec![column], Some(note)))
            }
            (None, _) if !missing.is_empty() => Err(wrong(lacks(&missing, header))),
            (None, _) => Err(wrong(format!(
                "has several columns, {listed}; say which holds the texts, by --column NAME where there is one, or give a file of that column alone"
            ))),
        }
    }
}

/// An input, opened.
enum Found {
    Folder(Vec<PathBuf>),
    Delimited(BoxRead<'static>),
    Rows(Box<Rows<'static>>),
    Lines(BoxRead<'static>),
}

impl Found {
    fn open(path: &Path) -> Result<Found> {
        if std::fs::metadata(path).map_err(|source| Error::io(path, source))?.is_dir() {
            return text_files(path).map(Found::Folder);
        }
        let (head, content) = table::begin(path)?;
        refuse_foreign(&head, path)?;
        Ok(match table::known(&head).or_else(|| table::called(path)) {
            Some(Format::Delimited) => Found::Delimited(content),
            Some(_) => Found::Rows(Box::new(Rows::open(path, None)?)),
            None => Found::Lines(content),
        })
    }
}

/// The text files in a folder, in the order of their paths.
fn text_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(|error| Error::io(folder, error.into()))?;
        let is_text = entry.path().extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt"));
        if entry.file_type().is_file() && is_text {
            found.push(entry.into_path());
        }
    }
    if found.is_empty() {
        let problem = "is a folder without .txt files".to_string();
        return Err(Error::NotATable { path: folder.to_path_buf(), problem, needed: String::new() });
    }
    Ok(found)
}

/// Files, each of which is a text.
fn read_files<E>(files: &[PathBuf], each: &mut dyn FnMut(TextRow) -> Result<(), E>) -> Result<(), E> {
    for path in files {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
        let text = match read {
            Ok(_) => text_of(bytes),
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        each(TextRow { name: path.display().to_string(), text, second: None })?;
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
    refuse_foreign(&head, path)?;
    let complete = head.len() < HEAD;
    Ok((without_mark(head), complete, reader))
}

/// Texts may hold any character, but files of some kinds are none.
fn refuse_foreign(head: &[u8], path: &Path) -> Result<()> {
    let Some(what) = foreign(head).filter(|what| !what.starts_with("binary")) else { return Ok(()) };
    let problem = format!("is {}", what.replace("not a table", "not text"));
    Err(Error::NotATable { path: path.to_path_buf(), problem, needed: String::new() })
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
