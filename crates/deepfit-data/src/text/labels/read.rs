//! Reading labelled sentences: a word a line, or a sentence as an object a line.

use std::ops::Range;

use serde_json::{Map, Value};

use super::files::{Form, LabelFile, text_of};
use super::words::{WordSplit, is_between_letters};
use crate::error::{Error, Result};
use crate::split::Part;

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
pub(super) struct Found {
    pub(super) sentences: Vec<Read>,
    /// Sentences without words.
    pub(super) empty: usize,
    /// Words that a span cut.
    pub(super) cut_words: usize,
}

impl Found {
    /// What a reader should know about words that spans cut: of a text to be predicted nobody knows where.
    pub(super) fn cut_note(&self) -> Option<String> {
        let are = if self.cut_words == 1 { "1 word is" } else { &format!("{} words are", self.cut_words) };
        (self.cut_words > 0).then(|| {
            format!(
                "{are} cut where a span begins or ends inside; predictions do not cut words, so that such spans are \
                 measured better than they are predicted"
            )
        })
    }
}

/// What is wrong in a line.
pub(super) type Wrong = (u64, String);

/// An error at a line of a file.
pub(super) fn at_line(name: &str, (line, problem): Wrong) -> Error {
    Error::Table { name: name.to_string(), problem: format!("line {line}: {problem}") }
}

/// Reads all files.
///
/// # Errors
/// If one is no text, or a line is not what it should be, by its number.
pub(super) fn read(files: &[LabelFile]) -> Result<Found> {
    let mut found = Found::default();
    for (number, LabelFile { path, part, form }) in files.iter().enumerate() {
        let text = text_of(path)?;
        let before = found.sentences.len();
        let read = match form {
            Form::Lines => read_lines(&text, true, &mut found),
            form => read_objects(&text, form, &mut found),
        };
        read.map_err(|wrong| at_line(&path.to_string_lossy(), wrong))?;
        for read in &mut found.sentences[before..] {
            (read.file, read.part) = (number, *part);
        }
    }
    Ok(found)
}

/// Words with a space between them, and where they are.
pub(super) fn join<'a>(words: impl Iterator<Item = &'a str>) -> (String, Vec<Range<usize>>) {
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

/// Reads a word a line, an empty line between sentences; its tag is the last column, if there is one.
pub(super) fn read_lines(text: &str, tagged: bool, found: &mut Found) -> Result<(), Wrong> {
    let mut rows: Vec<(&str, &str)> = Vec::new();
    let mut begin = 0;
    // A sentence ends at an empty line, and with the file.
    for (line, row) in (1..).zip(text.lines().chain(std::iter::once(""))) {
        let row = row.trim_ascii_end();
        let marks = row.starts_with("-DOCSTART-") || (rows.is_empty() && row.starts_with("# ") && is_comment(row));
        if row.is_empty() || marks {
            if !rows.is_empty() {
                let (text, words) = join(rows.iter().map(|(word, _)| *word));
                let tags = rows.drain(..).map(|(_, tag)| tag.to_string()).collect();
                let read = Read { file: 0, line: begin, a_word_a_line: true, text, words, tags, part: None };
                found.sentences.push(read);
            }
            continue;
        }
        let columns: Vec<&str> = match row.contains('\t') {
            true => row.split('\t').map(str::trim_ascii).collect(),
            false => row.split_ascii_whitespace().collect(),
        };
        let (word, tag) = match columns[..] {
            [word, ..] if !tagged => (word, ""),
            [word, .., tag] => (word, tag),
            _ => ("", ""),
        };
        if word.is_empty() || (tagged && tag.is_empty()) {
            let problem = format!("'{row}' has no tag; write a word and its tag, with a space or tab between them");
            return Err((line, problem));
        }
        if rows.is_empty() {
            begin = line;
        }
        rows.push((word, tag));
    }
    Ok(())
}

/// Whether a line before a sentence tells something of it.
fn is_comment(row: &str) -> bool {
    row.contains('=') || row.starts_with("# id ")
}

pub(super) type Object = Map<String, Value>;

/// The objects of lines, with the numbers of the lines.
pub(super) fn objects(text: &str) -> impl Iterator<Item = Result<(u64, Object), Wrong>> + '_ {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).map(|(line, content)| {
        serde_json::from_str(content).map(|object| (line, object)).map_err(|error| {
            (line, format!("is no object, such as {{\"tokens\": [\"Hello\"], \"tags\": [\"O\"]}}: {error}"))
        })
    })
}

/// Reads an object a line.
fn read_objects(text: &str, form: &Form, found: &mut Found) -> Result<(), Wrong> {
    for object in objects(text) {
        let (line, object) = object?;
        let wrong = |problem: String| (line, problem);
        let read = match form {
            Form::Arrays { words, tags } => of_arrays(&object, words, tags),
            Form::Spans { text, spans } => of_spans(&object, text, spans, &mut found.cut_words),
            Form::Lines => Ok(Parts::default()),
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
    let (given, tags_of) = (words_of(object.get(words), words)?, strings(object.get(tags), tags)?);
    if given.len() != tags_of.len() {
        return Err(format!(
            "'{words}' has {} elements and '{tags}' has {}; each word needs one tag",
            given.len(),
            tags_of.len()
        ));
    }
    if let Some(place) = tags_of.iter().position(|tag| tag.trim().is_empty()) {
        return Err(format!(
            "element {} of '{tags}', counted from 1, is empty; words in no span are tagged O",
            place + 1
        ));
    }
    let (text, places) = join(given.into_iter());
    Ok((text, places, tags_of.into_iter().map(|tag| tag.trim().to_string()).collect()))
}

/// An array of texts.
fn strings<'a>(array: Option<&'a Value>, name: &str) -> Result<Vec<&'a str>, String> {
    let Some(Value::Array(all)) = array else {
        return Err(format!("has no array '{name}'"));
    };
    let string = |value: &Value| match value {
        Value::Number(number) => {
            Err(format!("'{name}' holds the number {number}, and should hold words and names of tags"))
        }
        other => Err(format!("'{name}' holds {other}, which is no text")),
    };
    all.iter().map(|value| value.as_str().map_or_else(|| string(value), Ok)).collect()
}

/// An array of words.
pub(super) fn words_of<'a>(array: Option<&'a Value>, name: &str) -> Result<Vec<&'a str>, String> {
    let words: Vec<&str> = strings(array, name)?.into_iter().map(str::trim).collect();
    match words.iter().position(|word| word.is_empty()) {
        Some(place) => {
            Err(format!("element {} of '{name}', counted from 1, is empty; take it away with its tag", place + 1))
        }
        None => Ok(words),
    }
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
    if let Some([(a, first), (b, second)]) = found
        .windows(2)
        .find_map(|two| <&[_; 2]>::try_from(two).ok().filter(|[before, after]| after.0.start < before.0.end))
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
