//! A data set as the rest of the program sees it: opened, described, split, prepared.

mod open;
mod options;
mod parts;
mod task;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codes::Codes;
use crate::division::Division;
use crate::error::{Error, Result};
use crate::image::{self, Augment, ImageSet};
use crate::preprocessor::Preprocessor;
use crate::source::Source;
use crate::split::{Part, RowId};
use crate::table::TableSet;
use crate::text::{LabelSet, LanguageSet, PairSet, Sentences, TextSet};
use crate::weighing::Subgroups;

pub use open::{MIN_ROWS, open, open_adapted};
pub(crate) use options::numbered;
pub use options::{OpenOptions, Summary, Survey, VOCABULARY};
pub use task::{Task, TaskKind};

enum Kind {
    Images(ImageSet),
    Texts(TextSet),
    Language(LanguageSet),
    Pairs(PairSet),
    Labels(LabelSet),
    Table(TableSet),
}

/// Data that was opened, looked through, and not yet split.
pub struct Dataset {
    path: PathBuf,
    kind: Kind,
    task: Task,
    summary: Summary,
    options: OpenOptions,
    parts: Vec<Option<Part>>,
    /// Class or quantile bin of each row.
    strata: Codes,
    /// What columns say of how rows are divided.
    division: Division,
    /// Weight of each row; empty if all count alike.
    weights: Vec<f64>,
    subgroups: Option<Subgroups>,
}

/// Data ready for batches, with the statistics it was prepared by.
#[derive(Clone)]
pub struct Prepared {
    /// Makes batches of the data set's rows.
    pub source: Arc<dyn Source>,
    /// To be saved with the model: prepares new data in the same way.
    pub preprocessor: Preprocessor,
}

/// Further data opened for a trained model.
pub struct Opened {
    /// Makes batches of all rows.
    pub source: Arc<dyn Source>,
    /// Path of the image, or number of the data row counted from 0, for each row.
    pub names: Vec<String>,
    /// Rows to evaluate: those of the test part where the data has parts, else all.
    pub rows: Vec<u32>,
    /// Inputs that cannot be read, with the reason.
    pub failed: Vec<(String, String)>,
    /// What a reader should know, one sentence each.
    pub notes: Vec<String>,
    /// Of texts whose words are labelled, all of them, those without words, which have no row, included.
    pub sentences: Option<Arc<Sentences>>,
    /// Of images that a table names, the data row of each, counted from 0.
    pub(crate) table_rows: Option<Vec<u32>>,
    /// Whether the table that was opened has a header, where the model knows.
    pub(crate) header: Option<bool>,
}

impl Opened {
    /// Some rows of a source, with the names of all.
    pub fn of_rows(source: Arc<dyn Source>, names: Vec<String>, rows: Vec<u32>) -> Opened {
        let (failed, notes) = (Vec::new(), Vec::new());
        Opened { source, names, rows, failed, notes, sentences: None, table_rows: None, header: None }
    }

    /// Of images that a table names, the data row of each, counted from 0.
    pub fn table_rows(&self) -> Option<&[u32]> {
        self.table_rows.as_deref()
    }

    pub(crate) fn new(
        source: Arc<dyn Source>,
        names: Vec<String>,
        failed: Vec<(String, String)>,
        parts: &[Option<Part>],
    ) -> Opened {
        let mut notes = Vec::new();
        let all = 0..source.len() as u32;
        let test: Vec<u32> = all.clone().filter(|&row| parts.get(row as usize) == Some(&Some(Part::Test))).collect();
        let rows = if test.is_empty() {
            all.collect()
        } else {
            notes.push(format!("only the test part of the data is evaluated: {} of {}", test.len(), source.len()));
            test
        };
        Opened { failed, notes, ..Opened::of_rows(source, names, rows) }
    }
}

impl Dataset {
    fn new(
        path: &Path,
        kind: Kind,
        task: Task,
        summary: Summary,
        options: OpenOptions,
        parts: Vec<Option<Part>>,
        strata: Codes,
    ) -> Dataset {
        let (division, weights, subgroups) = (Division::default(), Vec::new(), None);
        Dataset { path: path.to_path_buf(), kind, task, summary, options, parts, strata, division, weights, subgroups }
    }

    /// What was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is learned.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Rows or images, those of validation and test data of their own included.
    pub fn len(&self) -> usize {
        self.strata.len()
    }

    /// Never: empty data is an error when it is opened.
    pub fn is_empty(&self) -> bool {
        self.strata.len() == 0
    }

    /// Whether the data is images.
    pub fn is_images(&self) -> bool {
        matches!(self.kind, Kind::Images(_))
    }

    /// Whether the data is texts.
    pub fn is_texts(&self) -> bool {
        matches!(self.kind, Kind::Texts(_) | Kind::Language(_) | Kind::Pairs(_) | Kind::Labels(_))
    }

    /// Whether the data is rows of numbers and categories.
    pub fn is_table(&self) -> bool {
        matches!(self.kind, Kind::Table(_))
    }

    /// Tokens of the longest text (or of both, where two stand side by side), and of the vocabulary; of data that is texts.
    pub fn text_sizes(&self) -> Option<(usize, usize)> {
        match &self.kind {
            Kind::Texts(set) => Some((set.longest(), set.form.tokenizer.vocabulary())),
            Kind::Language(set) => Some((set.form.most_tokens, set.form.tokenizer.vocabulary())),
            Kind::Pairs(set) => Some((set.longest(), set.form.tokenizer.vocabulary())),
            Kind::Labels(set) => Some((set.longest(), set.form.tokenizer.vocabulary())),
            Kind::Images(_) | Kind::Table(_) => None,
        }
    }

    /// Number of sentences whose words have labels, and of their words.
    pub fn label_sizes(&self) -> Option<(usize, usize)> {
        if let Kind::Labels(set) = &self.kind { Some(set.sizes()) } else { None }
    }

    /// Number of all tokens, and of the bytes that they stand for; of data of which a network learns what comes next.
    pub fn language_sizes(&self) -> Option<(usize, usize)> {
        if let Kind::Language(set) = &self.kind { Some(set.sizes()) } else { None }
    }

    /// Number of documents of which a network learns what comes next.
    pub fn documents(&self) -> usize {
        if let Kind::Language(set) = &self.kind { set.documents } else { 0 }
    }

    /// What was found and inferred.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    pub(crate) fn options(&self) -> &OpenOptions {
        &self.options
    }

    /// Height, width and channels of images.
    pub fn image_shape(&self) -> Option<[usize; 3]> {
        match &self.kind {
            Kind::Images(set) => Some([set.shape.height, set.shape.width, set.shape.channels]),
            Kind::Texts(_) | Kind::Language(_) | Kind::Pairs(_) | Kind::Labels(_) | Kind::Table(_) => None,
        }
    }

    /// Whether the table of images has a header, where there is one and that is known.
    pub(crate) fn has_header(&self) -> Option<bool> {
        if let Kind::Images(set) = &self.kind { set.columns.as_ref().map(|columns| columns.header) } else { None }
    }

    /// Whether all images are kept decoded in memory.
    pub fn is_cached(&self) -> bool {
        matches!(&self.kind, Kind::Images(set) if set.cache.is_some())
    }

    /// Changes of training samples that suit this data: see [`Augment::for_images`]; none for tables.
    pub fn default_augment(&self) -> Augment {
        match self.image_shape() {
            Some([height, width, channels]) => Augment::for_images(height, width, channels),
            None => Augment::none(),
        }
    }

    /// Labels of a row, ascending, for a task of several labels.
    pub fn labels_of(&self, row: u32) -> &[u32] {
        match &self.kind {
            Kind::Images(set) => set.labels_of(row),
            Kind::Table(set) => set.labels_of(row),
            Kind::Texts(set) => set.labels_of(row),
            Kind::Language(_) | Kind::Pairs(_) | Kind::Labels(_) => &[],
        }
    }

    /// Class of a row, for classification.
    pub fn class_of(&self, row: u32) -> Option<u32> {
        matches!(self.task, Task::Classification { .. }).then(|| self.strata.get(row as usize))
    }

    /// Weight of each row, if they do not all count alike.
    pub fn weights(&self) -> Option<&[f64]> {
        (!self.weights.is_empty()).then_some(&self.weights[..])
    }

    /// Rows by the values of a column, if they are looked at by one.
    pub fn subgroups(&self) -> Option<&Subgroups> {
        self.subgroups.as_ref()
    }

    fn groups(&self) -> &[u32] {
        match &self.kind {
            Kind::Images(set) => &set.groups,
            Kind::Texts(set) => &set.groups,
            Kind::Language(set) => &set.groups,
            Kind::Pairs(set) => &set.groups,
            Kind::Labels(set) => &set.groups,
            Kind::Table(set) => &set.groups,
        }
    }

    /// A number that rows share if, and only if, their inputs are identical.
    pub fn group_of(&self, row: u32) -> u32 {
        self.groups()[row as usize]
    }

    /// Fits statistics to the training rows and makes the source of batches. Cheap to call again, for
    /// cross-validation or a refit on more rows: the data itself is shared.
    ///
    /// # Errors
    /// If there are no training rows.
    pub fn prepare(&self, train: &[u32]) -> Result<Prepared> {
        if train.is_empty() || train.iter().any(|&row| row as usize >= self.len()) {
            return Err(Error::Split { problem: "there are no training rows, or rows outside of the data".into() });
        }
        Ok(match &self.kind {
            Kind::Images(set) => {
                let target_scale = set.target_scale(train);
                let preprocessor = image::ImagePreprocessor {
                    version: image::ImagePreprocessor::VERSION,
                    height: set.shape.height,
                    width: set.shape.width,
                    channels: set.shape.channels,
                    resize: set.resize,
                    task: self.task.clone(),
                    target_scale,
                    columns: set.columns.clone(),
                };
                Prepared { source: Arc::new(set.source(target_scale)), preprocessor: Preprocessor::Image(preprocessor) }
            }
            Kind::Language(set) => {
                let (source, preprocessor) = set.prepare();
                Prepared { source: Arc::new(source), preprocessor: Preprocessor::Text(Box::new(preprocessor)) }
            }
            Kind::Pairs(set) => {
                let (source, preprocessor) = set.prepare();
                Prepared { source: Arc::new(source), preprocessor: Preprocessor::Text(Box::new(preprocessor)) }
            }
            Kind::Labels(set) => {
                let (source, preprocessor) = set.prepare();
                Prepared { source: Arc::new(source), preprocessor: Preprocessor::Text(Box::new(preprocessor)) }
            }
            Kind::Texts(set) => {
                let (source, preprocessor) = set.prepare(train, self.options())?;
                Prepared { source: Arc::new(source), preprocessor: Preprocessor::Text(Box::new(preprocessor)) }
            }
            Kind::Table(set) => {
                let fitted = set.fit(train, self.options());
                Prepared { source: Arc::new(set.source(fitted.clone())), preprocessor: Preprocessor::Table(fitted) }
            }
        })
    }

    /// Where a row comes from.
    pub fn row_id(&self, row: u32) -> RowId {
        match &self.kind {
            Kind::Images(set) => {
                let file = &set.files[row as usize];
                // A table may name a file in several rows.
                file.row.map_or_else(|| RowId::Path(file.entry.name.clone()), |row| RowId::Row(u64::from(row)))
            }
            Kind::Texts(set) => set.ids[row as usize].clone(),
            Kind::Language(_) | Kind::Labels(_) => RowId::Row(u64::from(row)),
            Kind::Pairs(set) => RowId::Row(u64::from(set.file_rows[row as usize])),
            Kind::Table(set) => RowId::Row(u64::from(set.table.file_rows.get(row as usize))),
        }
    }

    /// The file that a row is, of images: its path relative to the folder or archive.
    pub fn file_of(&self, row: u32) -> Option<&str> {
        if let Kind::Images(set) = &self.kind { Some(&set.files[row as usize].entry.name) } else { None }
    }

    /// Bytes the data set holds beside the sources made from it (which hold the pixels or columns),
    /// with what opening it leaves behind in the allocator.
    pub fn resident_bytes(&self) -> usize {
        let opening = match &self.kind {
            Kind::Images(set) => set.opening_bytes(),
            Kind::Texts(set) => 64 * set.ids.len(),
            Kind::Language(set) => 8 * set.len(),
            Kind::Pairs(set) => 64 * set.file_rows.len(),
            Kind::Labels(set) => 16 * set.len(),
            // The pairs of hash and row that found identical inputs.
            Kind::Table(set) => 16 * set.table.len(),
        };
        opening + self.strata.resident_bytes() + 4 * self.groups().len() + self.parts.capacity()
    }
}
