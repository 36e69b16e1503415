//! A data set as the rest of the program sees it: opened, described, split, prepared.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::division::{self, Division};
use crate::error::{Error, Result};
use crate::folder::{self, Contents, Holds};
use crate::image::{self, Augment, ImageSet, ImageSurvey};
use crate::preprocessor::Preprocessor;
use crate::source::Source;
use crate::split::{self, Part, RowId, SavedSplit, Split, SplitOptions};
use crate::table::{self, ColumnKind, Scaling, TableSet};
use crate::text::{
    self, LabelFiles, LabelSet, LanguageSet, PairLabel, PairSet, Sentences, TextForm, TextSet, TextSurvey, Tokens,
};
use crate::weighing::{self, Subgroups};

/// Rows or images that are needed to train, validate and test.
pub const MIN_ROWS: usize = 10;

/// Tokens of a tokenizer that is learned, where nothing says how many.
pub const VOCABULARY: usize = 8_000;

/// What is known of data when its files have been listed, and before it is prepared.
#[derive(Clone, Debug, PartialEq)]
pub enum Survey {
    /// Of images.
    Images(ImageSurvey),
    /// Of texts.
    Texts(TextSurvey),
}

/// What is learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Task {
    /// One of these classes, in the order of the network's outputs.
    Classification {
        /// Their names.
        classes: Vec<String>,
    },
    /// Any of these labels, each by itself, in the order of the network's outputs.
    MultiLabel {
        /// Their names.
        classes: Vec<String>,
    },
    /// A number.
    Regression,
    /// A label for each word of a text, in the order of the network's outputs.
    Labels {
        /// Their names; of spans the tags of IOB2: `O`, and `B-` and `I-` with the name of each label.
        labels: Vec<String>,
        /// Whether they mark spans, such as names of persons and places.
        spans: bool,
    },
    /// The token that comes next in a text.
    NextToken,
    /// Embeddings of texts that are near to each other where the texts belong together.
    Similarity {
        /// What is known of the pairs.
        label: PairLabel,
    },
}

impl Task {
    /// Names of the classes or labels in the order of the network's outputs; none for a regression.
    pub fn classes(&self) -> &[String] {
        match self {
            Task::Classification { classes } | Task::MultiLabel { classes } | Task::Labels { labels: classes, .. } => {
                classes
            }
            Task::Regression | Task::NextToken | Task::Similarity { .. } => &[],
        }
    }

    /// Whether one of several classes is wanted.
    pub fn is_classification(&self) -> bool {
        matches!(self, Task::Classification { .. })
    }

    /// Number of outputs of a network for it: one a class or label, or one value.
    pub fn outputs(&self) -> usize {
        match self {
            Task::Classification { .. } | Task::MultiLabel { .. } | Task::Labels { .. } => self.classes().len(),
            Task::Regression | Task::NextToken | Task::Similarity { .. } => 1,
        }
    }

    /// `classification`, `multi_label`, `regression`, `labels`, `next_token` or `similarity`.
    pub fn name(&self) -> &'static str {
        match self {
            Task::Classification { .. } => "classification",
            Task::MultiLabel { .. } => "multi_label",
            Task::Regression => "regression",
            Task::Labels { .. } => "labels",
            Task::NextToken => "next_token",
            Task::Similarity { .. } => "similarity",
        }
    }
}

/// The kind of a task, to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// One of several classes.
    Classification,
    /// Any of several labels.
    MultiLabel,
    /// A number.
    Regression,
    /// Embeddings of two columns of texts that are near to each other where these belong together.
    Similarity,
}

/// How data is opened; `None` means that it is inferred.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Target column of a table; of a table of images also several, divided by commas.
    pub target: Option<String>,
    /// Task of a table.
    pub task: Option<TaskKind>,
    /// Side of the images in pixels, 4 to 1024.
    pub image_size: Option<usize>,
    /// 1 (grey) or 3 (colour).
    pub channels: Option<usize>,
    /// How images are resized before their centre is cut out, as a published network wants it.
    pub resize: Option<image::Resize>,
    /// Scaling of numeric features.
    pub scaling: Scaling,
    /// Images are kept in memory if all of them, at their final size, take no more bytes than this.
    pub cache_bytes: usize,
    /// Columns of a table that hold texts, divided by commas; without, those that can hold nothing else.
    pub text: Option<String>,
    /// Whether two columns of texts are compared, rather than read one after the other; without, two are, and more are not.
    pub pairs: Option<bool>,
    /// How texts are cut; without, by a tokenizer that is learned from them.
    pub text_form: Option<TextForm>,
    /// What that one cuts them into.
    pub tokens: Tokens,
    /// Most tokens of that one's vocabulary.
    pub vocabulary: usize,
    /// Most tokens of a text that it cuts; [`TextForm::MOST_TOKENS`] without.
    pub max_tokens: Option<usize>,
    /// Of a text whose continuation is learned, the shares of its last parts that are for validation and test.
    pub last_shares: (f64, f64),
    /// Threads that look through the files.
    pub threads: usize,
    /// Chooses which whole documents are for validation and test, of several whose continuation is learned.
    pub seed: u64,
    /// Table that names images of the folder and what is on them.
    pub labels: Option<PathBuf>,
    /// Validation data of its own.
    pub validation: Option<PathBuf>,
    /// Test data of its own.
    pub test: Option<PathBuf>,
    /// Column of a table whose equal values say that rows belong together: they stay on one side of every split.
    pub group: Option<String>,
    /// Column of times of a table: the earlier rows are learned from, the later measured.
    pub time_split: Option<String>,
    /// Column of a table that says of each row whether it is for training, validation or test.
    pub split: Option<String>,
    /// Column of a table that says how much each row counts.
    pub weight: Option<String>,
    /// Column of a table by whose values rows are also looked at by themselves.
    pub by: Option<String>,
    /// Whether delimited tables begin with a row of names; without, what the first rows look like decides. Columns without
    /// names are `column_1`, `column_2` and so on, and settings that name columns may say `1` and `2`.
    pub header: Option<bool>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions {
            target: None,
            task: None,
            image_size: None,
            channels: None,
            resize: None,
            scaling: Scaling::default(),
            cache_bytes: 64 << 20,
            text: None,
            pairs: None,
            text_form: None,
            tokens: Tokens::default(),
            vocabulary: VOCABULARY,
            max_tokens: None,
            last_shares: (0.1, 0.1),
            threads: 2,
            seed: 1,
            labels: None,
            validation: None,
            test: None,
            group: None,
            time_split: None,
            split: None,
            weight: None,
            by: None,
            header: None,
        }
    }
}

impl OpenOptions {
    /// The same; where columns have no names, settings may name them by their numbers.
    pub(crate) fn with_columns_by_number(&self) -> OpenOptions {
        let mut options = self.clone();
        if options.header == Some(false) {
            let OpenOptions { target, text, group, time_split, split, weight, by, .. } = &mut options;
            for names in [target, text, group, time_split, split, weight, by].into_iter().flatten() {
                *names = numbered(names);
            }
        }
        options
    }
}

/// Names of columns divided by commas, of which numbers are those of columns without names.
pub(crate) fn numbered(names: &str) -> String {
    let is_number = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let of = |name: &str| if is_number(name) { format!("column_{name}") } else { name.to_string() };
    names.split(',').map(|name| of(name.trim())).collect::<Vec<_>>().join(",")
}

/// What was found and inferred while data was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Images that cannot be read, with the reason.
    pub skipped: Vec<(String, String)>,
    /// Files that are not images of a class: hidden, of another kind, outside of the class folders.
    pub ignored: usize,
    /// Training examples of each class (of all rows, where the data gives no parts).
    pub class_counts: Vec<usize>,
    /// Features and how they are read.
    pub columns: Vec<(String, ColumnKind)>,
    /// Columns not used, with the reason.
    pub dropped_columns: Vec<(String, String)>,
    /// Features with missing values, and how many.
    pub missing: Vec<(String, u64)>,
    /// Rows left out because they have no target.
    pub dropped_rows: u64,
    /// Rows whose inputs equal those of an earlier row.
    pub duplicates: usize,
    /// Character between the fields of a table.
    pub delimiter: Option<char>,
    /// Target column of a table.
    pub target: Option<String>,
    /// Whether each sample is two texts that are compared.
    pub pairs: bool,
    /// Why the task was inferred from whole numbers, and the setting that changes it.
    pub other_task: Option<&'static str>,
    /// What else a reader should know, one sentence each.
    pub notes: Vec<String>,
}

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
    strata: Vec<u32>,
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

/// Opens a folder of images, a zip archive of one, or a table (CSV, TSV, JSON Lines, Parquet, Arrow), told apart by content.
///
/// # Errors
/// See [`Error`]: every message names the file, row or setting and says what to do. Nothing is written.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Dataset> {
    open_adapted(path, options, &mut |_, _| {})
}

/// As [`open`]; of images and texts, `adapt` may change how they are prepared once their files have been listed.
///
/// # Errors
/// As [`open`].
pub fn open_adapted(
    path: &Path,
    options: &OpenOptions,
    adapt: &mut dyn FnMut(&Survey, &mut OpenOptions),
) -> Result<Dataset> {
    let mut options = options.with_columns_by_number();
    if options.labels.is_none()
        && options.task.is_none()
        && let Some(files) = LabelFiles::find(path, &options)?
    {
        return open_labels(path, &files, options, adapt);
    }
    let is_table = !path.is_dir() && !text::is_text_file(path) && !holds_images(path)?;
    division::check(options.labels.as_deref().or(is_table.then_some(path)), &options)?;
    weighing::check(options.labels.as_deref().or(is_table.then_some(path)), &options)?;
    let contents = match path.is_dir() && options.labels.is_none() {
        true => Some(folder::contents(path)?),
        false => None,
    };
    let holds = contents.map(|contents| contents.holds);
    if holds == Some(Holds::Classes) {
        if options.target.is_some() || options.text.is_some() {
            let setting = if options.target.is_some() { "target" } else { "text" };
            let problem = "is for tables; the classes of a folder of texts are its sub-folders".to_string();
            return Err(Error::Setting { setting, problem });
        }
        if options.task.is_some_and(|task| task != TaskKind::Classification) {
            let problem =
                "is for tables; of a folder of texts the classes are learned that its sub-folders are".to_string();
            return Err(Error::Setting { setting: "task", problem });
        }
        let mut summary = Summary::default();
        summary.notes.extend(contents.and_then(Contents::note));
        return open_texts(path, None, options, adapt, summary);
    }
    if holds == Some(Holds::Corpus) || (text::is_text_file(path) && path.is_file()) {
        let mut summary = Summary::default();
        summary.notes.extend(contents.and_then(Contents::note));
        return open_language(path, options, adapt, summary);
    }
    let mut images = holds_images(path)?;
    if let Some(labels) = &options.labels {
        let problem = if !images {
            Some(format!("is for a folder of images, or a .zip of one, and '{}' is a table", path.display()))
        } else if holds_images(labels)? {
            Some(format!("'{}' is a folder or an archive, and no table", labels.display()))
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(Error::Setting { setting: "labels", problem });
        }
    }
    let tables = !images || options.labels.is_some();
    for path in [&options.validation, &options.test].into_iter().flatten() {
        if holds_images(path)? == tables {
            let problem = "it is of another kind than the training data".to_string();
            return Err(Error::UnknownFormat { path: path.clone(), problem });
        }
    }
    let mut summary = Summary::default();
    summary.notes.extend(contents.and_then(Contents::note));
    let (kind, task, parts, strata);
    let table = match &options.labels {
        Some(labels) => Some(image::require(path, labels, options.header)?),
        None if images => None,
        None => image::recognise(path, options.header, &mut summary)?,
    };
    if images && table.is_none() {
        let other = options.task.is_some_and(|task| task != TaskKind::Classification);
        for (setting, given) in [("target", options.target.is_some()), ("task", other)] {
            if given {
                let problem = "is for tables; the classes of images are their folders. What else is on them, a table can \
                               say: see --labels";
                return Err(Error::Setting { setting, problem: problem.to_string() });
            }
        }
    }
    images |= table.is_some();
    if !images && let Some(table) = text::recognise_partners(path, &options)? {
        return open_partners(path, table, options, adapt, summary);
    }
    if options.task == Some(TaskKind::Similarity) {
        let problem =
            "similarity is learned from a table with two columns of texts, and the data is images".to_string();
        return Err(Error::Setting { setting: "task", problem });
    }
    if !images && let Some(table) = text::recognise(path, &options)? {
        return open_texts(path, Some(table), options, adapt, summary);
    }
    if images {
        if options.text.is_some() {
            let problem = "is for tables of texts, and the data is images".to_string();
            return Err(Error::Setting { setting: "text", problem });
        }
        let adapt = &mut |survey: &ImageSurvey, options: &mut OpenOptions| {
            adapt(&Survey::Images(survey.clone()), options);
        };
        let set = match table {
            Some(table) => {
                let named = options.labels.clone();
                image::open_table(named.as_deref().unwrap_or(path), table, &mut options, adapt, &mut summary)?
            }
            None => image::open(path, &mut options, adapt, &mut summary)?,
        };
        task = set.task.clone();
        let given: Vec<Option<Part>> = set.files.iter().map(|file| file.part).collect();
        parts = if given.iter().any(Option::is_some) { given } else { Vec::new() };
        strata = set.strata();
        kind = Kind::Images(set);
    } else {
        let mut set = table::open(path, &options, &[], &mut summary)?;
        task = set.task.clone();
        parts = std::mem::take(&mut set.parts);
        strata = set.strata();
        kind = Kind::Table(set);
    }
    complete(Dataset::new(path, kind, task, summary, options, parts, strata))
}

/// Opens texts, of a table or of folders of classes.
fn open_texts(
    path: &Path,
    table: Option<text::TextTable>,
    mut options: OpenOptions,
    adapt: &mut dyn FnMut(&Survey, &mut OpenOptions),
    mut summary: Summary,
) -> Result<Dataset> {
    let adapt = &mut |survey: &TextSurvey, options: &mut OpenOptions| adapt(&Survey::Texts(survey.clone()), options);
    let mut set = text::open(path, table, &mut options, adapt, &mut summary)?;
    let (task, strata, parts) = (set.task.clone(), set.strata(), std::mem::take(&mut set.parts));
    complete(Dataset::new(path, Kind::Texts(set), task, summary, options, parts, strata))
}

/// Opens pairs of texts that belong together.
fn open_partners(
    path: &Path,
    table: text::PairTable,
    mut options: OpenOptions,
    adapt: &mut dyn FnMut(&Survey, &mut OpenOptions),
    mut summary: Summary,
) -> Result<Dataset> {
    let adapt = &mut |survey: &TextSurvey, options: &mut OpenOptions| adapt(&Survey::Texts(survey.clone()), options);
    let mut set = text::open_partners(path, table, &mut options, adapt, &mut summary)?;
    let (task, strata, parts) = (Task::Similarity { label: set.label }, set.strata(), std::mem::take(&mut set.parts));
    complete(Dataset::new(path, Kind::Pairs(set), task, summary, options, parts, strata))
}

/// Opens a text whose continuation is learned.
fn open_language(
    path: &Path,
    mut options: OpenOptions,
    adapt: &mut dyn FnMut(&Survey, &mut OpenOptions),
    mut summary: Summary,
) -> Result<Dataset> {
    for (setting, given) in [
        ("target", options.target.is_some()),
        ("text", options.text.is_some()),
        ("task", options.task.is_some()),
        ("labels", options.labels.is_some()),
    ] {
        if given {
            let problem =
                "is for tables, and of .txt files side by side, or one of them, it is learned what comes next; give a \
                 table the ending .csv or .tsv"
                    .to_string();
            return Err(Error::Setting { setting, problem });
        }
    }
    let adapt = &mut |survey: &TextSurvey, options: &mut OpenOptions| adapt(&Survey::Texts(survey.clone()), options);
    let mut set = text::open_language(path, &mut options, adapt, &mut summary)?;
    let (strata, parts) = (vec![0; set.len()], std::mem::take(&mut set.parts));
    complete(Dataset::new(path, Kind::Language(set), Task::NextToken, summary, options, parts, strata))
}

/// Opens texts whose words have labels.
fn open_labels(
    path: &Path,
    files: &LabelFiles,
    mut options: OpenOptions,
    adapt: &mut dyn FnMut(&Survey, &mut OpenOptions),
) -> Result<Dataset> {
    division::check(None, &options)?;
    weighing::check(None, &options)?;
    let mut summary = Summary::default();
    let adapt = &mut |survey: &TextSurvey, options: &mut OpenOptions| adapt(&Survey::Texts(survey.clone()), options);
    let mut set = text::open_labels(path, files, &mut options, adapt, &mut summary)?;
    let (task, strata, parts) = (set.task.clone(), set.strata(), std::mem::take(&mut set.parts));
    complete(Dataset::new(path, Kind::Labels(set), task, summary, options, parts, strata))
}

/// Counts inputs that occur more than once, and refuses data of too few rows.
fn complete(mut dataset: Dataset) -> Result<Dataset> {
    let distinct = dataset.groups().iter().max().map_or(0, |most| *most as usize + 1);
    dataset.summary.duplicates = match &dataset.kind {
        Kind::Pairs(set) => set.repeated,
        Kind::Texts(set) => set.repeated,
        // Windows of one sentence are no copies of it.
        Kind::Labels(set) => set.duplicates,
        _ => dataset.len() - distinct,
    };
    dataset.divide()?;
    let has = |part| dataset.parts.contains(&Some(part));
    let least = if has(Part::Validation) && has(Part::Test) { 2 } else { MIN_ROWS };
    let own =
        dataset.len() - dataset.parts.iter().filter(|part| matches!(part, Some(Part::Validation | Part::Test))).count();
    if own < least {
        let unit = match dataset.kind {
            Kind::Images(_) => "image(s)",
            Kind::Texts(_) => "text(s)",
            Kind::Pairs(_) => "pair(s)",
            Kind::Language(_) => "window(s)",
            Kind::Labels(_) => "sentence(s)",
            Kind::Table(_) => "row(s)",
        };
        let name = dataset.path.to_string_lossy().into_owned();
        return Err(Error::TooFewRows { name, rows: own, unit, least });
    }
    Ok(dataset)
}

/// Whether the path is a folder or zip archive, rather than a table.
fn holds_images(path: &Path) -> Result<bool> {
    let metadata = std::fs::metadata(path).map_err(|source| Error::io(path, source))?;
    if metadata.is_dir() {
        return Ok(true);
    }
    let (head, _) = table::begin(path)?;
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    if head.is_empty() {
        return Err(Error::EmptyFile { path: path.to_path_buf() });
    }
    if image::looks_like_zip(&head) || extension == "zip" {
        return Ok(true);
    }
    if table::known(&head).is_none()
        && let Some(what) = table::foreign(&head)
    {
        return Err(Error::UnknownFormat { path: path.to_path_buf(), problem: format!("it is {what}") });
    }
    Ok(false)
}

impl Dataset {
    fn new(
        path: &Path,
        kind: Kind,
        task: Task,
        summary: Summary,
        options: OpenOptions,
        parts: Vec<Option<Part>>,
        strata: Vec<u32>,
    ) -> Dataset {
        let (division, weights, subgroups) = (Division::default(), Vec::new(), None);
        Dataset { path: path.to_path_buf(), kind, task, summary, options, parts, strata, division, weights, subgroups }
    }

    /// Reads the columns that say how rows are divided and how much they count, if any do.
    fn divide(&mut self) -> Result<()> {
        let options = &self.options;
        let roles = [&options.group, &options.time_split, &options.split, &options.weight, &options.by];
        if roles.iter().all(|column| column.is_none()) {
            return Ok(());
        }
        let in_file = |part: &Part| match part {
            Part::Train => false,
            Part::Validation => options.validation.is_some(),
            Part::Test => options.test.is_some(),
        };
        let origin = |row: u32| match self.row_id(row) {
            RowId::Row(number) => (self.parts.get(row as usize).copied().flatten().filter(in_file), number as usize),
            RowId::Path(_) => (None, 0),
        };
        let origins: Vec<division::Origin> = (0..self.len() as u32).map(origin).collect();
        let table = options.labels.clone().unwrap_or_else(|| self.path.clone());
        if let Some(column) = &options.weight {
            self.weights = weighing::weights(&weighing::column(&table, options, column)?, column, &origins)?;
            self.summary.notes.push(format!("rows count by '{column}': in the loss, and in all metrics"));
        }
        if let Some(column) = &options.by {
            self.subgroups = Some(weighing::subgroups(&weighing::column(&table, options, column)?, column, &origins)?);
        }
        let mut division = division::read(&table, options, &origins)?;
        if let Some(column) = &options.group {
            let groups = division.groups.iter().max().map_or(0, |most| *most as usize + 1);
            let apart = split::spread_over(self.groups(), &division.groups);
            self.summary.notes.push(if groups == self.len() {
                format!(
                    "each row is a group of its own by '{column}': it divides the rows by chance, and rows of equal \
                     inputs may be on two sides; if rows belong together, name a column whose values they share"
                )
            } else {
                format!("{groups} groups of '{column}' stay whole in every split")
            });
            if apart > 0 {
                self.summary.notes.push(format!(
                    "{apart} rows have the inputs of a row of another group, and may be on another side: groups alone \
                     decide"
                ));
            }
        }
        if let Some(column) = &options.time_split {
            self.summary.notes.push(format!(
                "rows are divided by '{column}': the earlier are learned from, the later measured, and rows of one time stay \
                 together"
            ));
        }
        if options.split.is_some() {
            self.parts = std::mem::take(&mut division.parts);
        }
        self.division = division;
        Ok(())
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
        self.strata.is_empty()
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
        matches!(self.task, Task::Classification { .. }).then(|| self.strata[row as usize])
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

    /// A number that rows share if, and only if, splits keep them together: identical inputs, or what a column says.
    pub fn unit_of(&self, row: u32) -> u32 {
        self.rows().groups[row as usize]
    }

    /// Whether the data names its own validation or test rows.
    pub fn has_part(&self, part: Part) -> bool {
        self.parts.contains(&Some(part))
    }

    fn rows(&self) -> split::Rows<'_> {
        let Division { groups, times, .. } = &self.division;
        let by = match (&groups[..], &times[..]) {
            ([], []) => split::By::Inputs,
            (_, []) => split::By::Groups,
            _ => split::By::Time(times),
        };
        let groups = if groups.is_empty() { self.groups() } else { groups };
        split::Rows { strata: &self.strata, groups, parts: &self.parts, by }
    }

    /// Most folds that `rows` can be divided into.
    pub fn most_folds(&self, rows: &[u32]) -> usize {
        split::most_folds(&self.rows(), rows)
    }

    /// Divides the rows: stratified by class (or by quantiles of a regression target), a function of the
    /// seed, identical inputs never on two sides. With a column of groups, these are what stays whole, and classes have no
    /// say; with a column of times, the later rows are for the test, those before them for validation. Parts that the data gives stay as they are; training
    /// rows whose inputs occur in them are left out, which the split's notes say.
    ///
    /// # Errors
    /// If a part would be empty, or a fraction is out of range.
    pub fn split(&self, options: &SplitOptions) -> Result<Split> {
        split::split(&self.rows(), options)
    }

    /// Divides `rows` into `k` folds for cross-validation: (the others, the fold) for each, stratified,
    /// identical inputs in one fold.
    ///
    /// # Errors
    /// If `k` is below 2 or there are fewer different inputs than folds, or groups if a column names them, or times if they
    /// divide the rows: a fold is then what came next after the others.
    pub fn folds(&self, rows: &[u32], k: usize, seed: u64) -> Result<Vec<(Vec<u32>, Vec<u32>)>> {
        split::folds(&self.rows(), rows, k, seed)
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
            Kind::Table(set) => RowId::Row(u64::from(set.table.file_rows[row as usize])),
        }
    }

    /// The file that a row is, of images: its path relative to the folder or archive.
    pub fn file_of(&self, row: u32) -> Option<&str> {
        if let Kind::Images(set) = &self.kind { Some(&set.files[row as usize].entry.name) } else { None }
    }

    /// A split by row ids.
    pub fn save_split(&self, split: &Split) -> SavedSplit {
        let ids = |rows: &[u32]| rows.iter().map(|&row| self.row_id(row)).collect();
        SavedSplit {
            version: SavedSplit::VERSION,
            train: ids(&split.train),
            validation: ids(&split.validation),
            test: ids(&split.test),
        }
    }

    /// Writes a split by row ids, as JSON of a [`SavedSplit`], without holding all of them.
    ///
    /// # Errors
    /// If nothing more can be written.
    pub fn write_split(&self, split: &Split, mut out: impl std::io::Write) -> std::io::Result<()> {
        write!(out, "{{\"version\":{}", SavedSplit::VERSION)?;
        for (name, rows) in [("train", &split.train), ("validation", &split.validation), ("test", &split.test)] {
            write!(out, ",\"{name}\":[")?;
            for (i, &row) in rows.iter().enumerate() {
                if i > 0 {
                    out.write_all(b",")?;
                }
                serde_json::to_writer(&mut out, &self.row_id(row))?;
            }
            out.write_all(b"]")?;
        }
        out.write_all(b"}\n")
    }

    /// A split made from row ids, for this same data.
    ///
    /// # Errors
    /// If a row no longer exists, or the split was saved by a newer version.
    pub fn restore_split(&self, saved: &SavedSplit) -> Result<Split> {
        if saved.version > SavedSplit::VERSION {
            let (found, known) = (saved.version, SavedSplit::VERSION);
            return Err(Error::NewerVersion { what: "the saved split", found, known });
        }
        let mut rows = std::collections::HashMap::with_capacity(self.len());
        for row in 0..self.len() as u32 {
            // Ids count within their file: rows of validation and test files are told apart by part.
            let part = self.parts.get(row as usize).copied().flatten().filter(|&part| part != Part::Train);
            rows.insert((part, self.row_id(row)), row);
        }
        let find = |ids: &[RowId], part: Part| -> Result<Vec<u32>> {
            let of = |id: &RowId| {
                let own = self.has_part(part).then_some(part).filter(|&part| part != Part::Train);
                rows.get(&(own, id.clone())).copied().ok_or_else(|| {
                    let id = match id {
                        RowId::Row(row) => format!("row {row}"),
                        RowId::Path(path) => format!("the file '{path}'"),
                    };
                    Error::Split {
                        problem: format!(
                            "{id} of the saved split is not in '{}'; was the data changed?",
                            self.path.display()
                        ),
                    }
                })
            };
            let mut found: Vec<u32> = ids.iter().map(of).collect::<Result<_>>()?;
            found.sort_unstable();
            Ok(found)
        };
        Ok(Split {
            train: find(&saved.train, Part::Train)?,
            validation: find(&saved.validation, Part::Validation)?,
            test: find(&saved.test, Part::Test)?,
            notes: Vec::new(),
        })
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
        opening + 4 * (self.strata.capacity() + self.groups().len()) + self.parts.capacity()
    }
}
