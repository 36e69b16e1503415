//! Which files hold labelled sentences, and how each is written.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::words::LabelForm;
use crate::dataset::OpenOptions;
use crate::error::{Error, Result};
use crate::image;
use crate::split::Part;
use crate::table::{self, BoxRead, Format};

/// Endings of files that have a word a line.
const ENDINGS: [&str; 4] = ["conll", "bio", "iob", "iob2"];
/// Names of arrays of words, of arrays of their tags, of texts, and of arrays of spans in them, the likeliest first.
const WORDS: [&str; 2] = ["tokens", "words"];
const TAGS: [&str; 7] = ["tags", "ner_tags", "labels", "slots", "ner", "pos_tags", "pos"];
const TEXTS: [&str; 2] = ["text", "sentence"];
const SPANS: [&str; 4] = ["spans", "entities", "labels", "label"];
/// Those of spans that mean them even if there are none.
const SURE_SPANS: usize = 2;
/// Lines that are looked at to tell what a file holds.
const LOOKED_AT: usize = 200;

/// How a file of sentences is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// A word a line, its tag last.
    Lines,
    /// JSON Lines with arrays of words and of tags by these names.
    Arrays { words: String, tags: String },
    /// JSON Lines with texts and arrays of spans by these names.
    Spans { text: String, spans: String },
}

impl Form {
    /// In words.
    pub(super) fn describe(&self) -> String {
        match self {
            Form::Lines => "a word a line, its tag last".to_string(),
            Form::Arrays { words, tags } => format!("words in '{words}', tags in '{tags}'"),
            Form::Spans { text, spans } => format!("texts in '{text}', spans in '{spans}'"),
        }
    }

    /// Names of the fields of objects that hold what is labelled, and the labels.
    pub(super) fn fields(&self) -> Option<[String; 2]> {
        match self {
            Form::Lines => None,
            Form::Arrays { words: text, tags: labels } | Form::Spans { text, spans: labels } => {
                Some([text.clone(), labels.clone()])
            }
        }
    }
}

/// A file of labelled sentences.
#[derive(Debug)]
pub(super) struct LabelFile {
    pub(super) path: PathBuf,
    /// The part that it is, if its name or a setting says so.
    pub(super) part: Option<Part>,
    pub(super) form: Form,
}

/// Names of fields, the likeliest first.
pub(super) struct Names<'a> {
    words: Vec<&'a str>,
    tags: Vec<&'a str>,
    texts: Vec<&'a str>,
    spans: Vec<&'a str>,
    sure: Vec<&'a str>,
}

impl<'a> Names<'a> {
    /// Those that a user has named, and no others; the usual ones where nothing is named.
    fn asked(options: &'a OpenOptions) -> Names<'a> {
        let of = |asked: &'a Option<String>, usual: &[&'static str]| match asked {
            Some(asked) => vec![&asked[..]],
            None => usual.to_vec(),
        };
        Names {
            words: of(&options.text, &WORDS),
            tags: of(&options.target, &TAGS),
            texts: of(&options.text, &TEXTS),
            spans: of(&options.target, &SPANS),
            sure: of(&options.target, &SPANS[..SURE_SPANS]),
        }
    }

    /// Those of the training data first, then the usual ones.
    pub(super) fn known(known: &'a LabelForm) -> Names<'a> {
        let of = |place: usize, usual: &[&'static str]| {
            known.fields.iter().map(|fields| &fields[place][..]).chain(usual.iter().copied()).collect()
        };
        Names {
            words: of(0, &WORDS),
            tags: of(1, &TAGS),
            texts: of(0, &TEXTS),
            spans: of(1, &SPANS),
            sure: of(1, &SPANS[..SURE_SPANS]),
        }
    }

    /// The words of an object and their name, if it has an array of them.
    pub(super) fn words_of<'o>(&self, object: &'o Map<String, Value>) -> Option<(&'a str, &'o Value)> {
        self.words.iter().find_map(|name| Some((*name, object.get(*name).filter(|value| value.is_array())?)))
    }

    /// The likeliest name of words, and of texts.
    pub(super) fn likeliest(&self) -> (&'a str, &'a str) {
        (self.words.first().copied().unwrap_or_default(), self.texts.first().copied().unwrap_or_default())
    }

    /// The text of an object.
    pub(super) fn text_of<'o>(&self, object: &'o Map<String, Value>) -> Option<&'o str> {
        self.texts.iter().find_map(|name| object.get(*name).and_then(Value::as_str))
    }
}

/// The files that are meant, if they hold labelled sentences: one file, or those of a folder that are named for a part; and
/// those that settings name for validation and test.
///
/// # Errors
/// If one cannot be read, or a file that is named for a part holds no labelled sentences.
pub(super) fn find(path: &Path, options: &OpenOptions, known: Option<&LabelForm>) -> Result<Vec<LabelFile>> {
    let mut paths = Vec::new();
    if path.is_dir() {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(path)
            .map_err(|source| Error::io(path, source))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.is_file() && may_be(path))
            .collect();
        entries.sort();
        for file in entries {
            let name = file.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
            let stem = name.split('.').next().unwrap_or_default();
            let part = if stem == "dev" { Some(Part::Validation) } else { image::part_of(stem) };
            if let Some(part) = part {
                paths.push((file, Some(part)));
            }
        }
        if !paths.iter().any(|(_, part)| *part == Some(Part::Train)) && paths.len() != 1 {
            return Ok(Vec::new());
        }
        // What is learned from says how the others are written.
        paths.sort_by_key(|(_, part)| *part != Some(Part::Train));
    } else if path.is_file() && may_be(path) {
        paths.push((path.to_path_buf(), None));
    }
    let names = known.map_or_else(|| Names::asked(options), Names::known);
    let mut files: Vec<LabelFile> = Vec::new();
    for (path, part) in paths {
        let like = files.first().map(|file| file.form.clone());
        match form_of(&path, &names)?.or(like) {
            Some(form) => files.push(LabelFile { path, part, form }),
            None => return Ok(Vec::new()),
        }
    }
    let Some(like) = files.first().map(|file| file.form.clone()) else { return Ok(files) };
    for (part, setting, own) in
        [(Part::Validation, "validation", &options.validation), (Part::Test, "test", &options.test)]
    {
        let Some(own) = own else { continue };
        if files.iter().any(|file| file.part == Some(part)) {
            let problem = "is given, and the folder has a file of that part, too; leave it away".to_string();
            return Err(Error::Setting { setting, problem });
        }
        if !own.is_file() || !may_be(own) {
            let problem = format!("'{}' holds no labelled sentences, as the training data does", own.display());
            return Err(if own.exists() {
                Error::Setting { setting, problem }
            } else {
                Error::NotFound { path: own.clone() }
            });
        }
        let form = form_of(own, &names)?.unwrap_or_else(|| like.clone());
        files.push(LabelFile { path: own.clone(), part: Some(part), form });
    }
    Ok(files)
}

/// Whether a file may hold labelled sentences, by its name.
fn may_be(path: &Path) -> bool {
    is_lines(path) || is_json(path)
}

/// Whether a file has a word a line, by its name.
pub(super) fn is_lines(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name = [".gz", ".zst"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    name.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&ending))
}

/// Whether a file is JSON Lines, by its name.
pub(super) fn is_json(path: &Path) -> bool {
    table::called(path) == Some(Format::JsonLines)
}

/// How a file is written, if it holds labelled sentences.
fn form_of(path: &Path, names: &Names<'_>) -> Result<Option<Form>> {
    if is_lines(path) {
        return Ok(Some(Form::Lines));
    }
    if !is_json(path) {
        return Ok(None);
    }
    let (_, content) = table::begin(path)?;
    let mut without_spans = None;
    for line in BufReader::new(content).split(b'\n').take(LOOKED_AT) {
        let line = line.map_err(|source| Error::io(path, source))?;
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&line);
        // What cannot be read is told where all is read.
        let Ok(object) = serde_json::from_slice::<Map<String, Value>>(line) else { continue };
        let find = |names: &[&str], is: &dyn Fn(&Value) -> bool| -> Option<String> {
            names.iter().find(|name| object.get(**name).is_some_and(is)).map(|name| (*name).to_string())
        };
        if let (Some(words), Some(tags)) = (find(&names.words, &Value::is_array), find(&names.tags, &Value::is_array)) {
            return Ok(Some(Form::Arrays { words, tags }));
        }
        let Some(text) = find(&names.texts, &Value::is_string) else { continue };
        let spans = |value: &Value| value.as_array().is_some_and(|all| all.first().is_some_and(is_span));
        if let Some(spans) = find(&names.spans, &spans) {
            return Ok(Some(Form::Spans { text, spans }));
        }
        let named = |value: &Value| value.as_array().is_some_and(|all| all.first().is_some_and(Value::is_string));
        if find(&names.sure, &named).is_some() {
            // Labels of whole texts.
            return Ok(None);
        }
        let none = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
        if let Some(spans) = find(&names.sure, &none) {
            without_spans = Some(Form::Spans { text, spans });
        }
    }
    Ok(without_spans)
}

fn is_span(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.contains_key("start") && object.contains_key("end"),
        Value::Array(three) => three.len() == 3 && three[0].is_number() && three[1].is_number(),
        _ => false,
    }
}

/// The text of a file, uncompressed, without the mark that some programs put before UTF-8.
///
/// # Errors
/// If it cannot be read, is empty, or no UTF-8, by the line.
pub(super) fn text_of(path: &Path) -> Result<String> {
    let (_, content) = table::begin(path)?;
    text_from(content, path)
}

/// The same of anything that is read; `name` stands for it in messages.
pub(super) fn text_from(mut content: BoxRead<'_>, name: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes).map_err(|source| Error::io(name, source))?;
    if bytes.trim_ascii().is_empty() {
        return Err(Error::EmptyFile { path: name.to_path_buf() });
    }
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        bytes.drain(..3);
    }
    String::from_utf8(bytes).map_err(|error| {
        let end = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..end].iter().filter(|&&byte| byte == b'\n').count() + 1;
        let problem =
            format!("line {line} is not UTF-8 text; convert the file, for example with `iconv -f LATIN1 -t UTF-8`");
        Error::Table { name: name.to_string_lossy().into_owned(), problem }
    })
}
