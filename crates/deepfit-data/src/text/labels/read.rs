//! Files of labelled sentences: a word a line, or a sentence as an object a line.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::words::{WordSplit, is_between_letters};
use crate::dataset::OpenOptions;
use crate::error::{Error, Result};
use crate::image;
use crate::split::Part;
use crate::table::is_json_lines;

/// Endings of files that have a word a line.
const ENDINGS: [&str; 4] = ["conll", "bio", "iob", "iob2"];
/// Names of arrays of words, of arrays of their tags, of texts, and of arrays of spans in them, the likeliest first.
const WORDS: [&str; 2] = ["tokens", "words"];
const TAGS: [&str; 7] = ["tags", "ner_tags", "labels", "slots", "ner", "pos_tags", "pos"];
const TEXTS: [&str; 2] = ["text", "sentence"];
const SPANS: [&str; 4] = ["spans", "entities", "labels", "label"];
/// Objects that are looked at to tell what a file holds.
const LOOKED_AT: usize = 200;

/// A sentence as a file has it.
#[derive(Debug)]
pub(super) struct Read {
    /// Number of its file.
    pub(super) file: usize,
    /// Line of its first word, and whether each word has a line of its own.
    pub(super) line: u64,
    pub(super) a_word_a_line: bool,
    pub(super) text: String,
    pub(super) words: Vec<Range<usize>>,
    pub(super) tags: Vec<String>,
    pub(super) part: Option<Part>,
}

impl Read {
    /// The line that a word is on.
    pub(super) fn line_of(&self, word: usize) -> u64 {
        self.line + if self.a_word_a_line { word as u64 } else { 0 }
    }
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Sentences {
    pub(super) sentences: Vec<Read>,
    /// Whether words were given, and not found in texts.
    pub(super) given_words: bool,
    /// Sentences without words.
    pub(super) empty: usize,
    /// Words that a span cut.
    pub(super) cut_words: usize,
    /// How the files are written, in words.
    pub(super) form: String,
}

/// Names of what objects hold.
#[derive(Debug, Clone)]
enum Form {
    Arrays { words: String, tags: String },
    Spans { text: String, spans: String },
}

/// Files of labelled sentences, and the part that each is.
#[derive(Debug)]
pub(crate) struct Files {
    pub(super) paths: Vec<(PathBuf, Option<Part>)>,
    form: Option<Form>,
}

impl Files {
    /// The files that are meant, if they hold labelled sentences: one file, or those of a folder that are named for a part.
    ///
    /// # Errors
    /// If one cannot be read.
    pub(crate) fn find(path: &Path, options: &OpenOptions) -> Result<Option<Files>> {
        let mut paths = Vec::new();
        if path.is_dir() {
            let mut entries: Vec<PathBuf> = std::fs::read_dir(path)
                .map_err(|source| Error::io(path, source))?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.is_file() && (is_conll(path) || is_json_lines(path)))
                .collect();
            entries.sort();
            for file in entries {
                let name = file.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
                let part = if name == "dev" { Some(Part::Validation) } else { image::part_of(&name) };
                if let Some(part) = part {
                    paths.push((file, Some(part)));
                }
            }
            if !paths.iter().any(|(_, part)| *part == Some(Part::Train)) && paths.len() != 1 {
                return Ok(None);
            }
        } else if path.is_file() && (is_conll(path) || is_json_lines(path)) {
            paths.push((path.to_path_buf(), None));
        }
        let Some((first, _)) = paths.first() else { return Ok(None) };
        let form = if is_conll(first) { None } else { form_of(first, options)? };
        if !is_conll(first) && form.is_none() {
            return Ok(None);
        }
        for (part, own) in [(Part::Validation, &options.validation), (Part::Test, &options.test)] {
            if let Some(own) = own {
                if paths.iter().any(|(_, known)| *known == Some(part)) {
                    let setting = if part == Part::Test { "test" } else { "validation" };
                    let problem = "is given, and the folder has a file of that part, too".to_string();
                    return Err(Error::Setting { setting, problem });
                }
                paths.push((own.clone(), Some(part)));
            }
        }
        Ok(Some(Files { paths, form }))
    }

    /// Reads them.
    ///
    /// # Errors
    /// If one is no text, or a line is not what it should be, by its number.
    pub(super) fn read(&self) -> Result<Sentences> {
        let form = match &self.form {
            None => "a word a line, its tag last".to_string(),
            Some(Form::Arrays { words, tags }) => format!("words in '{words}', tags in '{tags}'"),
            Some(Form::Spans { text, spans }) => format!("texts in '{text}', spans in '{spans}'"),
        };
        let mut found = Sentences { form, given_words: true, ..Sentences::default() };
        for (file, (path, part)) in self.paths.iter().enumerate() {
            let wrong = |line: u64, problem: String| Error::Table {
                name: path.to_string_lossy().into_owned(),
                problem: format!("line {line}: {problem}"),
            };
            let text = read_text(path)?;
            let before = found.sentences.len();
            match &self.form {
                _ if is_conll(path) => read_conll(&text, &mut found).map_err(|(line, problem)| wrong(line, problem))?,
                None => {
                    let problem = "is of another kind than the training data, which has a word a line".to_string();
                    return Err(Error::UnknownFormat { path: path.clone(), problem });
                }
                Some(form) => {
                    found.given_words = matches!(form, Form::Arrays { .. });
                    read_json(&text, form, &mut found).map_err(|(line, problem)| wrong(line, problem))?;
                }
            }
            for read in &mut found.sentences[before..] {
                (read.file, read.part) = (file, *part);
            }
        }
        Ok(found)
    }
}

/// Whether a file has a word a line, by its ending.
fn is_conll(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&&ending[..]))
}

fn read_text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
    if bytes.trim_ascii().is_empty() {
        return Err(Error::EmptyFile { path: path.to_path_buf() });
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").map(<[u8]>::to_vec).unwrap_or(bytes);
    String::from_utf8(bytes).map_err(|error| {
        let end = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..end].iter().filter(|&&byte| byte == b'\n').count() + 1;
        let problem =
            format!("line {line} is not UTF-8 text; convert the file, for example with `iconv -f LATIN1 -t UTF-8`");
        Error::Table { name: path.to_string_lossy().into_owned(), problem }
    })
}

/// Words with a space between them, and where they are.
fn join<'a>(words: impl Iterator<Item = &'a str>) -> (String, Vec<Range<usize>>) {
    let mut text = String::new();
    let places = words.map(|word| {
        if !text.is_empty() {
            text.push(' ');
        }
        let begin = text.len();
        text.push_str(word);
        begin..text.len()
    });
    let places = places.collect();
    (text, places)
}

fn read_conll(text: &str, found: &mut Sentences) -> Result<(), (u64, String)> {
    let mut rows: Vec<(&str, &str)> = Vec::new();
    let mut begin = 0;
    // A sentence ends at an empty line, and with the file.
    for (line, row) in (1..).zip(text.lines().chain(std::iter::once(""))) {
        let row = row.trim_end();
        let marks = row.starts_with("-DOCSTART-") || (rows.is_empty() && row.starts_with("# ") && is_comment(row));
        if row.trim().is_empty() || marks {
            if !rows.is_empty() {
                let (text, words) = join(rows.iter().map(|(word, _)| *word));
                let tags = rows.drain(..).map(|(_, tag)| tag.to_string()).collect();
                let read = Read { file: 0, line: begin, a_word_a_line: true, text, words, tags, part: None };
                found.sentences.push(read);
            }
            continue;
        }
        let columns: Vec<&str> = match row.contains('\t') {
            true => row.split('\t').map(str::trim).collect(),
            false => row.split_whitespace().collect(),
        };
        match columns[..] {
            [word, .., tag] if !word.is_empty() && !tag.is_empty() => {
                if rows.is_empty() {
                    begin = line;
                }
                rows.push((word, tag));
            }
            _ => {
                let problem = format!("'{row}' has no tag; write a word and its tag, with a space or tab between them");
                return Err((line, problem));
            }
        }
    }
    Ok(())
}

/// Whether a line before a sentence tells something of it.
fn is_comment(row: &str) -> bool {
    row.contains('=') || row.starts_with("# id ")
}

type Object = Map<String, Value>;

/// The objects of lines, with the numbers of the lines.
fn objects(text: &str) -> impl Iterator<Item = Result<(u64, Object), (u64, String)>> + '_ {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).map(|(line, content)| {
        serde_json::from_str(content).map(|object| (line, object)).map_err(|error| {
            (line, format!("is no object, such as {{\"tokens\": [\"Hello\"], \"tags\": [\"O\"]}}: {error}"))
        })
    })
}

/// What the objects of a file hold, if it is labelled sentences.
fn form_of(path: &Path, options: &OpenOptions) -> Result<Option<Form>> {
    use std::io::{BufRead, BufReader};
    let file = std::fs::File::open(path).map_err(|source| Error::io(path, source))?;
    let mut chosen = None;
    for line in BufReader::new(file).split(b'\n').take(LOOKED_AT) {
        let line = line.map_err(|source| Error::io(path, source))?;
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&line);
        // What cannot be read is told where all is read.
        let Ok(object) = serde_json::from_slice::<Object>(line) else { continue };
        let find = |asked: &Option<String>, names: &[&str], is: &dyn Fn(&Value) -> bool| -> Option<String> {
            let has = |name: &&str| object.get(*name).is_some_and(is);
            match asked {
                Some(asked) => has(&&asked[..]).then(|| asked.clone()),
                None => names.iter().find(|name| has(name)).map(|name| (*name).to_string()),
            }
        };
        let array = |value: &Value| value.is_array();
        if let (Some(words), Some(tags)) = (find(&options.text, &WORDS, &array), find(&options.target, &TAGS, &array)) {
            return Ok(Some(Form::Arrays { words, tags }));
        }
        let text = find(&options.text, &TEXTS, &Value::is_string);
        let spans = |value: &Value| value.as_array().is_some_and(|all| all.first().is_some_and(is_span));
        if let (Some(text), Some(spans)) = (text, find(&options.target, &SPANS, &spans)) {
            chosen = Some(Form::Spans { text, spans });
            break;
        }
    }
    Ok(chosen)
}

fn is_span(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.contains_key("start") && object.contains_key("end"),
        Value::Array(three) => three.len() == 3 && three[0].is_number() && three[1].is_number(),
        _ => false,
    }
}

fn read_json(text: &str, form: &Form, found: &mut Sentences) -> Result<(), (u64, String)> {
    for object in objects(text) {
        let (line, object) = object?;
        let wrong = |problem: String| (line, problem);
        let read = match form {
            Form::Arrays { words, tags } => of_arrays(&object, words, tags),
            Form::Spans { text, spans } => of_spans(&object, text, spans, &mut found.cut_words),
        };
        let (text, words, tags) = read.map_err(wrong)?;
        if words.is_empty() {
            found.empty += 1;
            continue;
        }
        found.sentences.push(Read { file: 0, line, a_word_a_line: false, text, words, tags, part: None });
    }
    Ok(())
}

type Parts = (String, Vec<Range<usize>>, Vec<String>);

fn of_arrays(object: &Object, words: &str, tags: &str) -> Result<Parts, String> {
    let strings = |name: &str| -> Result<Vec<&str>, String> {
        let Some(Value::Array(all)) = object.get(name) else {
            return Err(format!("has no array '{name}'"));
        };
        let string = |value: &Value| match value {
            Value::Number(number) => Err(format!("'{name}' holds the number {number}; write the names of the tags")),
            other => Err(format!("'{name}' holds {other}, which is no text")),
        };
        all.iter().map(|value| value.as_str().map_or_else(|| string(value), Ok)).collect()
    };
    let (given, tags_of) = (strings(words)?, strings(tags)?);
    if given.len() != tags_of.len() {
        return Err(format!(
            "'{words}' has {} elements and '{tags}' has {}; each word needs one tag",
            given.len(),
            tags_of.len()
        ));
    }
    if let Some(place) = given.iter().position(|word| word.trim().is_empty()) {
        return Err(format!("element {} of '{words}' is empty, counted from 1; take it away with its tag", place + 1));
    }
    let (text, places) = join(given.into_iter().map(str::trim));
    Ok((text, places, tags_of.into_iter().map(str::to_string).collect()))
}

fn of_spans(object: &Object, text: &str, spans: &str, cut_words: &mut usize) -> Result<Parts, String> {
    let text = object.get(text).and_then(Value::as_str).ok_or_else(|| format!("has no text '{text}'"))?;
    let empty = Vec::new();
    let given = match object.get(spans) {
        None | Some(Value::Null) => &empty,
        Some(Value::Array(given)) => given,
        Some(other) => return Err(format!("'{spans}' is {other}, and should be an array of spans")),
    };
    let mut places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    places.push(text.len());
    let mut found: Vec<(Range<usize>, String)> = Vec::new();
    for span in given {
        let (start, end, label) = match span {
            Value::Object(object) => {
                (object.get("start"), object.get("end"), object.get("label").or(object.get("type")))
            }
            Value::Array(three) => (three.first(), three.get(1), three.get(2)),
            _ => (None, None, None),
        };
        let number = |value: Option<&Value>| value.and_then(Value::as_u64).map(|number| number as usize);
        let (Some(start), Some(end), Some(label)) =
            (number(start), number(end), label.and_then(Value::as_str).filter(|label| !label.is_empty()))
        else {
            return Err(format!(
                "the span {span} is none: write {{\"start\": 0, \"end\": 5, \"label\": \"PERSON\"}} or [0, 5, \"PERSON\"]"
            ));
        };
        if start >= end || end >= places.len() {
            let letters = places.len() - 1;
            return Err(format!(
                "the span {start} to {end} ('{label}') is outside of the text, which has {letters} characters; the end is \
                 the character after the last"
            ));
        }
        let bytes = places[start]..places[end];
        for (at, character) in [(bytes.start, start), (bytes.end, end)] {
            if !is_between_letters(text, at) {
                return Err(format!(
                    "the span {start} to {end} ('{label}') cuts a letter of several characters at {character}; count \
                     Unicode characters, not bytes"
                ));
            }
        }
        if text[bytes.clone()].trim().is_empty() {
            return Err(format!("the span {start} to {end} ('{label}') holds spaces alone"));
        }
        found.push((bytes, label.to_string()));
    }
    found.sort_by_key(|(bytes, _)| bytes.start);
    if let Some([(a, first), (b, second)]) =
        found.array_windows().find(|[(before, _), (after, _)]| after.start < before.end)
    {
        let character = |at: usize| places.partition_point(|&place| place < at);
        return Err(format!(
            "the spans {} to {} ('{first}') and {} to {} ('{second}') overlap; a word has one label",
            character(a.start),
            character(a.end),
            character(b.start),
            character(b.end)
        ));
    }
    let (mut words, mut tags) = (Vec::new(), Vec::new());
    let borders: Vec<usize> = found.iter().flat_map(|(bytes, _)| [bytes.start, bytes.end]).collect();
    for word in WordSplit::Pieces.words(text) {
        let mut begin = word.start;
        for &border in borders.iter().filter(|border| word.contains(border) && **border > word.start) {
            if border > begin {
                words.push(begin..border);
                *cut_words += 1;
                begin = border;
            }
        }
        words.push(begin..word.end);
    }
    let mut before = None;
    for word in &words {
        let span = found.iter().position(|(bytes, _)| bytes.start <= word.start && word.end <= bytes.end);
        tags.push(match span {
            Some(span) => format!("{}-{}", if before == Some(span) { 'I' } else { 'B' }, found[span].1),
            None => super::scheme::OUTSIDE.to_string(),
        });
        before = span;
    }
    Ok((text.to_string(), words, tags))
}
