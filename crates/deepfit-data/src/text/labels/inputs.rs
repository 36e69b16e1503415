//! Opening sentences for a model that labels words: to measure it by, to predict.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{self, Names, is_json, is_lines, text_from, text_of};
use super::read::{Found, at_line, join, objects, read, read_lines, words_of};
use super::scheme::to_iob2;
use super::sentences::{Cut, Sentences};
use super::set::{numbered, require_prefixes};
use super::source::LabelSource;
use super::words::LabelForm;
use crate::dataset::{OpenOptions, Opened, Task};
use crate::error::{Error, Result};
use crate::split::Part;
use crate::table::{self, BoxRead};
use crate::text::reader::{TextRow, Texts};
use crate::text::samples::TextForm;

/// Opens labelled sentences to measure a network by that has learned from others.
///
/// # Errors
/// If there are none, a line is not what it should be, or has a label that the network does not know.
pub(crate) fn measured(path: &Path, form: &TextForm, known: &LabelForm, task: &Task, threads: usize) -> Result<Opened> {
    let files = files::find(path, &OpenOptions::default(), Some(known))?;
    if files.is_empty() {
        let problem = "holds no labelled sentences".to_string();
        let needed = ": a word and its tag a line in a .conll file, or JSON Lines with `tokens` and `tags`, or `text` \
                      and `spans`"
            .to_string();
        return Err(Error::NotATable { path: path.to_path_buf(), problem, needed });
    }
    let mut found = read(&files)?;
    if matches!(task, Task::Labels { spans: true, .. }) {
        for read in &mut found.sentences {
            require_prefixes(&files, read)?;
            read.tags = to_iob2(&read.tags).0;
        }
    }
    if found.sentences.is_empty() {
        let problem = "there are no sentences with words".to_string();
        return Err(Error::Table { name: path.to_string_lossy().into_owned(), problem });
    }
    let note = found.cut_note();
    let parts_of: Vec<Option<Part>> = found.sentences.iter().map(|read| read.part).collect();
    let cut = Cut::new(numbered(&files, found.sentences, task)?, form, threads)?;
    let parts: Vec<Option<Part>> = cut.windows.rows.iter().map(|row| parts_of[row.sentence as usize]).collect();
    let mut opened = opened(cut, form, true, Vec::new(), &parts);
    opened.notes.extend(note);
    Ok(opened)
}

fn opened(cut: Cut, form: &TextForm, known: bool, failed: Vec<(String, String)>, parts: &[Option<Part>]) -> Opened {
    let (names, notes, sentences) = (cut.names(), cut.notes(form.most_tokens), cut.sentences.clone());
    let mut opened = Opened::new(Arc::new(LabelSource::new(cut, known)), names, failed, parts);
    opened.notes.extend(notes);
    Opened { sentences: Some(sentences), ..opened }
}

/// Sentences whose words are to be labelled, and what could not be read.
#[derive(Default)]
pub(crate) struct Unlabelled {
    sentences: Sentences,
    failed: Vec<(String, String)>,
    notes: Vec<String>,
}

impl Unlabelled {
    /// Reads files: a word a line, JSON Lines of words or texts, and of all else texts, as other models for texts read them.
    ///
    /// # Errors
    /// If one cannot be read, or a line is not what it should be.
    pub(crate) fn read(inputs: &[PathBuf], texts: &Texts, known: &LabelForm) -> Result<Unlabelled> {
        let mut all = Unlabelled::default();
        for path in inputs {
            let prefix = if inputs.len() > 1 { format!("{}:", path.display()) } else { String::new() };
            if let Err(error) = all.add(path, &prefix, texts, known) {
                let Some(reason) = error.of_input().filter(|_| inputs.len() > 1) else { return Err(error) };
                all.failed.push((path.display().to_string(), reason));
            }
        }
        Ok(all)
    }

    /// Adds what one file or folder holds.
    fn add(&mut self, path: &Path, prefix: &str, texts: &Texts, known: &LabelForm) -> Result<()> {
        if path.is_file() && is_lines(path) {
            return self.lines(&text_of(path)?, path, prefix);
        }
        if path.is_file() && is_json(path) && texts.column.is_none() {
            return self.objects(&text_of(path)?, path, prefix, known);
        }
        let notes = texts.read(std::slice::from_ref(&path.to_path_buf()), &mut |row| {
            let name = if path.is_dir() { row.name } else { format!("{prefix}{}", row.name) };
            self.push(TextRow { name, ..row }, known)
        })?;
        self.notes.extend(notes);
        Ok(())
    }

    /// Reads JSON Lines, lines or a table from somewhere.
    ///
    /// # Errors
    /// As [`Unlabelled::read`].
    pub(crate) fn read_from(reader: impl Read, name: &str, texts: &Texts, known: &LabelForm) -> Result<Unlabelled> {
        let mut all = Unlabelled::default();
        let (head, content): (_, BoxRead<'_>) = table::uncompressed(Box::new(reader), Path::new(name))?;
        if head.trim_ascii_start().starts_with(b"{") && texts.column.is_none() {
            all.objects(&text_from(content, Path::new(name))?, Path::new(name), "", known)?;
        } else {
            let notes = texts.read_from(content, name, &mut |row| all.push(row, known))?;
            all.notes.extend(notes);
        }
        Ok(all)
    }

    /// Texts that are there already.
    pub(crate) fn of_texts(rows: impl Iterator<Item = TextRow>, known: &LabelForm) -> Result<Unlabelled> {
        let mut all = Unlabelled::default();
        rows.into_iter().try_for_each(|row| all.push(row, known))?;
        Ok(all)
    }

    /// Adds a text; it never fails.
    fn push(&mut self, TextRow { name, text, .. }: TextRow, known: &LabelForm) -> Result<()> {
        match text {
            Ok(text) => {
                let words = known.split.words(&text);
                self.sentences.push(name, text, words, Vec::new());
            }
            Err(problem) => self.failed.push((name, problem)),
        }
        Ok(())
    }

    /// Adds sentences of a word a line; tags behind the words are not looked at.
    fn lines(&mut self, text: &str, path: &Path, prefix: &str) -> Result<()> {
        let mut found = Found::default();
        read_lines(text, false, &mut found).map_err(|wrong| at_line(&path.to_string_lossy(), wrong))?;
        for (number, read) in found.sentences.into_iter().enumerate() {
            self.sentences.push(format!("{prefix}{number}"), read.text, read.words, Vec::new());
        }
        Ok(())
    }

    /// Adds objects of words or of texts.
    fn objects(&mut self, text: &str, path: &Path, prefix: &str, known: &LabelForm) -> Result<()> {
        let names = Names::known(known);
        let wrong = |line: u64, problem: String| at_line(&path.to_string_lossy(), (line, problem));
        for (number, object) in objects(text).enumerate() {
            let (line, object) = object.map_err(|(line, problem)| wrong(line, problem))?;
            let name = format!("{prefix}{number}");
            if let Some((field, words)) = names.words_of(&object) {
                let words = words_of(Some(words), field).map_err(|problem| wrong(line, problem))?;
                let (text, words) = join(words.into_iter());
                self.sentences.push(name, text, words, Vec::new());
            } else if let Some(text) = names.text_of(&object) {
                self.sentences.push(name, text.to_string(), known.split.words(text), Vec::new());
            } else {
                let found = object.keys().map(|key| &key[..]).collect::<Vec<_>>().join(", ");
                let problem = format!(
                    "has neither an array of words in '{}' nor a text in '{}'; it has {found}",
                    names.likeliest().0,
                    names.likeliest().1
                );
                return Err(wrong(line, problem));
            }
        }
        Ok(())
    }
}

/// Opens texts whose words are to be labelled.
///
/// # Errors
/// If the tokenizer refuses one.
pub(crate) fn predicted(all: Unlabelled, form: &TextForm, threads: usize) -> Result<Opened> {
    let cut = Cut::new(all.sentences, form, threads)?;
    let mut opened = opened(cut, form, false, all.failed, &[]);
    opened.notes.extend(all.notes);
    Ok(opened)
}
