//! What a model that was trained on texts needs to read new ones: tokenizer, columns, terms and classes.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::labels::{self, WordSplit};
use super::language;
use super::open::{TextColumns, read_folder, read_known};
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
use crate::table::TargetScale;
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
    /// How lines are cut into words, if these are labelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<WordSplit>,
    /// Makes tokens of texts; it is saved in a file of its own.
    #[serde(skip)]
    pub(crate) tokenizer: Option<Arc<Tokenizer>>,
}

impl PartialEq for TextPreprocessor {
    fn eq(&self, other: &TextPreprocessor) -> bool {
        let json = |one: &TextPreprocessor| one.tokenizer.as_ref().map(|tokenizer| tokenizer.to_json());
        (self.version, &self.task, self.target_scale, &self.columns, self.most_tokens, &self.terms, self.words)
            == (
                other.version,
                &other.task,
                other.target_scale,
                &other.columns,
                other.most_tokens,
                &other.terms,
                other.words,
            )
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
        let cuts = self.words.is_some() == matches!(self.task, Task::Labels { .. });
        self.most_tokens > 0 && scaled && cuts && self.terms.as_ref().is_none_or(Terms::is_sound)
    }

    /// The input slots: `tokens`, `lengths` and perhaps `terms`.
    pub fn slots(&self) -> Vec<Slot> {
        if self.task == Task::NextToken {
            return windows::slots();
        }
        if let Task::Labels { .. } = self.task {
            return labels::slots();
        }
        samples::slots(self.terms.as_ref().map_or(0, Terms::len))
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
        Ok(TextForm { tokenizer, most_tokens: self.most_tokens, terms: self.terms.is_some() })
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
            let source = language::measured(path, &self.form()?)?;
            let names = (0..source.len()).map(|window| window.to_string()).collect();
            return Ok(Opened::new(Arc::new(source), names, Vec::new(), &[]));
        }
        if let Task::Labels { .. } = self.task {
            return labels::measured(path, &self.form()?, &self.task, threads);
        }
        let found = if metadata.is_dir() {
            read_folder(path, Some(self.task.classes()))?
        } else {
            read_known(path, self.columns.as_ref(), &self.task, threads)?
        };
        let names = found.rows.iter().map(|row| row.name()).collect();
        let texts: Vec<String> = found.rows.iter().map(|row| row.text.clone()).collect();
        let targets = found.rows.iter().map(|row| row.target.clone()).collect();
        let parts: Vec<Option<Part>> = found.rows.iter().map(|row| row.part).collect();
        let form = TargetForm::of(&self.task, self.target_scale);
        let mut opened = self.opened(texts, names, targets, form, &parts, found.failed, threads)?;
        opened.notes.extend(found.notes);
        Ok(opened)
    }

    /// Opens texts without labels: lines of files, columns of tables, folders of `.txt` files.
    ///
    /// # Errors
    /// If a path cannot be read or is no text, or a table has no column of texts.
    pub fn open_inputs(&self, inputs: &[PathBuf], threads: usize) -> Result<Opened> {
        let mut rows = Vec::new();
        self.reader().read(inputs, &mut |row| -> Result<()> {
            rows.push(row);
            Ok(())
        })?;
        self.unlabelled(rows, threads)
    }

    /// Reads texts from somewhere: lines, or the rows of a table if the model was trained on one and a header is there.
    ///
    /// # Errors
    /// As for [`TextPreprocessor::open_inputs`].
    pub fn read_inputs(&self, reader: impl Read, name: &str) -> Result<Opened> {
        let mut rows = Vec::new();
        self.reader().read_from(reader, name, &mut |row| -> Result<()> {
            rows.push(row);
            Ok(())
        })?;
        self.unlabelled(rows, 1)
    }

    fn reader(&self) -> Texts {
        let columns = self.columns.as_ref().map(|columns| columns.text.clone()).unwrap_or_default();
        Texts { column: None, known: columns }
    }

    fn unlabelled(&self, rows: Vec<TextRow>, threads: usize) -> Result<Opened> {
        if self.task == Task::NextToken {
            let problem = "the model continues texts, by `deepfit generate`, and knows no classes of them".to_string();
            return Err(Error::Inputs { problem });
        }
        if let Task::Labels { .. } = self.task {
            let split = self.words.unwrap_or(WordSplit::Apart);
            return labels::predicted(rows, &self.form()?, split, threads);
        }
        let (mut names, mut texts, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            match row.text {
                Ok(text) => {
                    names.push(row.name);
                    texts.push(text);
                }
                Err(problem) => failed.push((row.name, problem)),
            }
        }
        let targets = vec![Target::Unknown; texts.len()];
        self.opened(texts, names, targets, TargetForm::None, &[], failed, threads)
    }

    #[allow(clippy::too_many_arguments)]
    fn opened(
        &self,
        texts: Vec<String>,
        names: Vec<String>,
        targets: Vec<Target>,
        form: TargetForm,
        parts: &[Option<Part>],
        mut failed: Vec<(String, String)>,
        threads: usize,
    ) -> Result<Opened> {
        let mut refused = Vec::new();
        let (samples, cut) = Samples::new(&texts, &self.form()?, threads, &mut refused);
        let source = TextSource::new(Arc::new(samples), Arc::new(targets), form, self.terms.as_ref());
        let lost: Vec<usize> = refused.iter().map(|(row, _)| *row).collect();
        failed.extend(refused.into_iter().map(|(row, problem)| (names[row].clone(), problem)));
        let mut opened = Opened::new(Arc::new(source), names, failed, parts);
        opened.rows.retain(|row| !lost.contains(&(*row as usize)));
        if cut > 0 {
            opened.notes.push(cut_note(cut, texts.len(), self.most_tokens));
        }
        Ok(opened)
    }
}

/// What a reader should know about texts that are too long.
pub(crate) fn cut_note(cut: usize, all: usize, most: usize) -> String {
    let have = if cut == 1 { "has" } else { "have" };
    format!("{cut} of {all} texts {have} more than {most} tokens, of which those behind are left out")
}
