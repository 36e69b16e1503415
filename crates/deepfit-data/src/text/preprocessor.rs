//! What a model that was trained on texts needs to read new ones: tokenizer, columns, terms and classes.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::columns::{ColumnTerms, Columns};
use super::labels::{self, LabelForm, Unlabelled};
use super::language;
use super::open::{TextColumns, read_folder, read_known};
use super::partners;
use super::passage::Passage;
use super::reader::{TextRow, Texts};
use super::samples::{self, Samples, TextForm, TextSource};
use super::terms::Terms;
use super::tokenizer::Tokenizer;
use super::windows;
use crate::batch::Slot;
use crate::dataset::{Opened, Task};
use crate::error::{Error, Result};
use crate::source::Source;
use crate::split::Part;
use crate::table::{self, TargetScale};
use crate::target::{Target, TargetForm};

/// How texts become the network's inputs: tokens, their number, and perhaps weighted terms.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TextPreprocessor {
    /// Version of this format.
    pub version: u32,
    /// The task, with the class names in the order of the network's outputs.
    pub task: Task,
    /// Standardisation of a regression target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_scale: Option<TargetScale>,
    /// Columns of the table that it was trained on, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<TextColumns>,
    /// Most tokens of a text.
    pub most_tokens: usize,
    /// Words that are an input beside the tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// Numbers and categories that are an input, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<ColumnTerms>,
    /// Of what form labelled words are, if these are what it predicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelForm>,
    /// Makes tokens of texts; it is saved in a file of its own.
    #[serde(skip)]
    pub(crate) tokenizer: Option<Arc<Tokenizer>>,
}

impl PartialEq for TextPreprocessor {
    fn eq(&self, other: &TextPreprocessor) -> bool {
        let json = |one: &TextPreprocessor| one.tokenizer.as_ref().map(|tokenizer| tokenizer.to_json());
        (self.version, &self.task, self.target_scale, &self.columns, self.most_tokens)
            == (other.version, &other.task, other.target_scale, &other.columns, other.most_tokens)
            && (&self.terms, &self.beside, &self.labels) == (&other.terms, &other.beside, &other.labels)
            && json(self) == json(other)
    }
}

impl TextPreprocessor {
    /// Name of the file beside the model that the tokenizer is saved in.
    pub const TOKENIZER_FILE: &str = "tokenizer.json";
    /// The newest version of the format.
    pub const VERSION: u32 = 1;

    /// Whether all values are in range; a damaged file must not lead to a panic later.
    pub(crate) fn is_sound(&self) -> bool {
        let scaled = match (&self.task, self.target_scale) {
            (Task::Regression, Some(scale)) => scale.mean.is_finite() && scale.deviation > 0.0,
            (Task::Regression, None) => false,
            (_, scale) => scale.is_none(),
        };
        let labels = self.labels.is_some() == matches!(self.task, Task::Labels { .. });
        let several = matches!(self.task, Task::MultiLabel { .. });
        let labels = labels && self.columns.as_ref().is_none_or(|columns| columns.labels.is_some() == several);
        self.most_tokens > 0
            && scaled
            && labels
            && self.terms.as_ref().is_none_or(Terms::is_sound)
            && self.beside.as_ref().is_none_or(|beside| beside.is_sound() && self.columns.is_some())
    }

    /// Whether a sample is two texts that are compared.
    pub fn takes_pairs(&self) -> bool {
        self.columns.as_ref().is_some_and(|columns| columns.pairs)
    }

    /// How many numbers go to the last layer beside what becomes of the tokens.
    pub fn terms_and_columns(&self) -> usize {
        self.terms.as_ref().map_or(0, Terms::len) + self.beside.as_ref().map_or(0, ColumnTerms::len)
    }

    /// The input slots: `tokens`, `lengths`, of two texts that are compared `second`, and perhaps `terms`.
    pub fn slots(&self) -> Vec<Slot> {
        if self.task == Task::NextToken {
            return windows::slots();
        }
        if let Task::Similarity { .. } = self.task {
            return partners::slots();
        }
        if let Task::Labels { .. } = self.task {
            return labels::slots();
        }
        samples::slots(self.takes_pairs(), self.terms_and_columns())
    }

    /// Number of tokens that there are; 0 without the tokenizer's file.
    pub fn vocabulary(&self) -> usize {
        self.tokenizer.as_ref().map_or(0, |tokenizer| tokenizer.vocabulary())
    }

    /// What makes tokens of texts; nothing before its file has been read.
    pub fn tokenizer(&self) -> Option<&Arc<Tokenizer>> {
        self.tokenizer.as_ref()
    }

    /// What makes tokens of texts.
    ///
    /// # Errors
    /// If its file has not been read.
    fn form(&self) -> Result<TextForm> {
        let tokenizer = self.tokenizer.clone().ok_or_else(|| Error::Damaged {
            what: "the saved preprocessor",
            problem: "there is no tokenizer beside it".to_string(),
        })?;
        let terms = self.terms.as_ref().is_some_and(|terms| !terms.hidden);
        Ok(TextForm { tokenizer, most_tokens: self.most_tokens, terms, pairs: self.takes_pairs() })
    }

    /// Opens folders of classes of texts whose classes are among the model's, or a table with the target.
    ///
    /// # Errors
    /// As for [`open`](crate::open), and for a class that the model does not know.
    pub fn open_labelled(&self, path: &Path, threads: usize) -> Result<Opened> {
        let metadata = std::fs::metadata(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::NotFound { path: path.to_path_buf() },
            _ => Error::io(path, source),
        })?;
        if self.task == Task::NextToken {
            let language::Measured { source, failed, note } = language::measured(path, &self.form()?)?;
            let names = (0..source.len()).map(|window| window.to_string()).collect();
            let mut opened = Opened::new(Arc::new(source), names, failed, &[]);
            opened.notes.extend(note);
            return Ok(opened);
        }
        if let Some(known) = &self.labels {
            return labels::measured(path, &self.form()?, known, &self.task, threads);
        }
        if let (Task::MultiLabel { .. }, true) = (&self.task, metadata.is_dir()) {
            let problem = "is a folder, which says no more of texts than a class, and the model knows labels, of which each \
                           may have several; give a table of texts and their labels";
            let (path, problem) = (path.to_path_buf(), problem.to_string());
            return Err(Error::NotATable { path, problem, needed: String::new() });
        }
        let found = if metadata.is_dir() {
            read_folder(path, Some(self.task.classes()))?
        } else {
            read_known(path, self.columns.as_ref(), &self.task, threads)?
        };
        let mut rows = Rows { failed: found.failed, ..Rows::default() };
        for row in found.rows {
            rows.names.push(row.name());
            rows.passages.push(row.passage);
            rows.targets.push(row.target);
            rows.parts.push(row.part);
        }
        if let Some(beside) = &self.beside {
            let opened = Arc::new(beside.table.clone()).open_labelled(path, threads)?;
            rows.notes.extend(opened.notes);
            rows.tables.push(opened.source);
        }
        let form = TargetForm::of(&self.task, self.target_scale);
        let mut opened = self.opened(rows, form, threads)?;
        opened.header = self.columns.as_ref().map(|columns| columns.header);
        opened.notes.extend(found.notes);
        Ok(opened)
    }

    /// Of a published model, which knows no columns: a tokenizer, and what is told of a text.
    pub fn published(tokenizer: Arc<Tokenizer>, task: Task, most_tokens: usize) -> TextPreprocessor {
        let values = TargetScale { mean: 0.0, deviation: 1.0 };
        let target_scale = (task == Task::Regression).then_some(values);
        let tokenizer = Some(tokenizer);
        TextPreprocessor {
            version: Self::VERSION,
            task,
            target_scale,
            columns: None,
            most_tokens,
            terms: None,
            beside: None,
            labels: None,
            tokenizer,
        }
    }

    /// Opens texts without labels: lines of files, columns of tables, folders of `.txt` files; tables alone where two texts
    /// are compared or other columns count, too.
    ///
    /// # Errors
    /// If a path cannot be read or is no text, or a table has no column of texts.
    pub fn open_inputs(&self, inputs: &[PathBuf], threads: usize) -> Result<Opened> {
        if let Some(known) = &self.labels {
            return labels::predicted(Unlabelled::read(inputs, &self.reader(), known)?, &self.form()?, threads);
        }
        self.unlabelled(self.rows(inputs, threads)?, threads)
    }

    /// As [`TextPreprocessor::open_inputs`], with the text of each row.
    ///
    /// # Errors
    /// As [`TextPreprocessor::open_inputs`].
    pub fn open_texts(&self, inputs: &[PathBuf], threads: usize) -> Result<(Opened, Vec<Passage>)> {
        let rows = self.rows(inputs, threads)?;
        let passages = rows.passages.clone();
        Ok((self.unlabelled(rows, threads)?, passages))
    }

    /// Texts that are there already, such as others of which something was left out. Numbers and categories beside them are
    /// those of no row: zeros.
    ///
    /// # Errors
    /// If the model continues texts, or compares two and a second is missing.
    pub fn open_passages(&self, passages: Vec<Passage>, threads: usize) -> Result<Opened> {
        let names = (0..passages.len()).map(|row| row.to_string()).collect();
        self.unlabelled(Rows { names, passages, ..Rows::default() }, threads)
    }

    fn rows(&self, inputs: &[PathBuf], threads: usize) -> Result<Rows> {
        let mut rows = Rows::default();
        if let (Some(beside), Some(columns)) = (&self.beside, &self.columns) {
            for path in inputs {
                let opened = match Arc::new(beside.table.clone()).open_inputs(path, threads) {
                    Ok(opened) => opened,
                    Err(error) => {
                        let Some(reason) = error.of_input().filter(|_| inputs.len() > 1) else { return Err(error) };
                        rows.failed.push((path.display().to_string(), reason));
                        continue;
                    }
                };
                let texts = table::texts(path, columns.header, &columns.names(), threads)?;
                let prefix = if inputs.len() > 1 { format!("{}:", path.display()) } else { String::new() };
                rows.of_table(&prefix, &texts, columns.pairs, opened);
            }
            return Ok(rows);
        }
        let notes = self.reader().read(inputs, &mut |row| rows.push(row))?;
        rows.notes.extend(notes);
        Ok(rows)
    }

    /// Reads texts from somewhere: lines, or the rows of a table if the model was trained on one and a header is there.
    ///
    /// # Errors
    /// As for [`TextPreprocessor::open_inputs`].
    pub fn read_inputs(&self, mut reader: impl Read, name: &str) -> Result<Opened> {
        if let Some(known) = &self.labels {
            return labels::predicted(Unlabelled::read_from(reader, name, &self.reader(), known)?, &self.form()?, 1);
        }
        let mut rows = Rows::default();
        if let (Some(beside), Some(columns)) = (&self.beside, &self.columns) {
            // It is read twice: for its texts, and for its other columns.
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map_err(|source| Error::io(Path::new(name), source))?;
            let opened = Arc::new(beside.table.clone()).read_inputs(&all[..], name)?;
            let texts = table::read_texts(&all[..], name, columns.header, &columns.names())?;
            rows.of_table("", &texts, columns.pairs, opened);
            return self.unlabelled(rows, 1);
        }
        let notes = self.reader().read_from(reader, name, &mut |row| rows.push(row))?;
        rows.notes.extend(notes);
        self.unlabelled(rows, 1)
    }

    fn reader(&self) -> Texts {
        let known = self.columns.as_ref().map(|columns| columns.text.clone()).unwrap_or_default();
        let header = self.columns.as_ref().map(|columns| columns.header);
        Texts { column: None, header, known, pairs: self.takes_pairs() }
    }

    fn unlabelled(&self, mut rows: Rows, threads: usize) -> Result<Opened> {
        if self.task == Task::NextToken {
            let problem =
                "the model continues texts, by `deepfit generate`; it has neither classes nor embeddings of them";
            let problem = problem.to_string();
            return Err(Error::Inputs { problem });
        }
        if let Some(known) = &self.labels {
            let texts = rows.names.into_iter().zip(rows.passages);
            let texts = texts.map(|(name, passage)| TextRow { name, text: Ok(passage.text), second: None });
            return labels::predicted(Unlabelled::of_texts(texts, known)?, &self.form()?, threads);
        }
        if let Some(columns) = self.columns.as_ref().filter(|columns| columns.pairs)
            && rows.passages.iter().any(|passage| passage.second.is_none())
        {
            let problem = format!(
                "the model compares two texts: give a table with the columns {}, as it was trained on",
                columns.text.join(" and ")
            );
            return Err(Error::Inputs { problem });
        }
        rows.targets = vec![Target::Unknown; rows.passages.len()];
        self.opened(rows, TargetForm::None, threads)
    }

    fn opened(&self, rows: Rows, form: TargetForm, threads: usize) -> Result<Opened> {
        let Rows { names, passages, targets, parts, tables, mut failed, notes } = rows;
        let mut refused = Vec::new();
        let (samples, cut) = Samples::new(&passages, &self.form()?, threads, &mut refused);
        let columns = self.beside.as_ref().map(|beside| Columns::new(beside.clone(), tables));
        let source = TextSource::new(Arc::new(samples), Arc::new(targets), form, self.terms.as_ref(), columns);
        let lost: Vec<usize> = refused.iter().map(|(row, _)| *row).collect();
        failed.extend(refused.into_iter().map(|(row, problem)| (names[row].clone(), problem)));
        let mut opened = Opened::new(Arc::new(source), names, failed, &parts);
        opened.rows.retain(|row| !lost.contains(&(*row as usize)));
        opened.notes.extend(notes);
        if cut > 0 {
            opened.notes.push(cut_note(cut, passages.len(), self.most_tokens));
        }
        Ok(opened)
    }
}

/// Rows that were read for a model.
#[derive(Default)]
struct Rows {
    names: Vec<String>,
    passages: Vec<Passage>,
    targets: Vec<Target>,
    parts: Vec<Option<Part>>,
    /// Their numbers and categories, where these count.
    tables: Vec<Arc<dyn Source>>,
    failed: Vec<(String, String)>,
    notes: Vec<String>,
}

impl Rows {
    /// Adds a row; it never fails.
    fn push(&mut self, row: TextRow) -> Result<()> {
        let TextRow { name, text, second } = row;
        match text {
            Ok(text) => {
                self.names.push(name);
                self.passages.push(Passage { text, second });
            }
            Err(problem) => self.failed.push((name, problem)),
        }
        Ok(())
    }

    /// Adds the rows of a table, with what stands beside their texts.
    fn of_table(&mut self, prefix: &str, texts: &table::Texts, pairs: bool, beside: Opened) {
        for row in 0..texts.len() {
            self.names.push(format!("{prefix}{row}"));
            self.passages.push(Passage::of_columns(texts.row(row), pairs));
        }
        self.notes.extend(beside.notes);
        self.tables.push(beside.source);
    }
}

/// What a reader should know about texts that are too long.
pub(crate) fn cut_note(cut: usize, all: usize, most: usize) -> String {
    let have = if cut == 1 { "has" } else { "have" };
    format!("{cut} of {all} texts {have} more than {most} tokens, of which those behind are left out")
}
