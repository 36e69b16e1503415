//! The one error type of this crate: what is wrong, where, and what to do about it.

use std::path::{Path, PathBuf};

/// Result of the functions of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The folder layout that is accepted, for error messages.
pub(crate) const LAYOUT: &str = "expected a folder (or a .zip of it) with one sub-folder of images per class, such as \
     'cats/1.jpg' and 'dogs/1.jpg', or a folder with one of .txt files, optionally below 'train', 'val' and 'test'";

/// What can go wrong while data is opened, split or prepared.
///
/// Rows of tables are counted from 1 at the first data row in messages, with the line of the file beside it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading failed in the operating system.
    #[error("cannot read '{}': {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason the operating system gives.
        source: std::io::Error,
    },
    /// The path given does not exist.
    #[error("'{}' does not exist; check the path", path.display())]
    NotFound {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The kind of data cannot be told.
    #[error("'{}' is not data that can be read here: {problem}; give a folder of images, a .zip of one, or a table (CSV, TSV, JSON Lines, Parquet or Arrow)", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Why it was not recognised.
        problem: String,
    },
    /// A folder of images and of texts.
    #[error("'{}' holds {images} images and {texts} .txt files, and it is open which are to be learned; move one kind elsewhere, or give the sub-folder that holds the other", path.display())]
    Mixed {
        /// The folder.
        path: PathBuf,
        /// Number of images.
        images: usize,
        /// Number of texts.
        texts: usize,
    },
    /// A tokenizer is missing or damaged.
    #[error("'{}' {problem}", path.display())]
    Tokenizer {
        /// Its file, or the folder where it should be.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A file that is no table where one is needed.
    #[error("'{}' {problem}{needed}", path.display())]
    NotATable {
        /// The file.
        path: PathBuf,
        /// What it is instead, and what to do.
        problem: String,
        /// What a trained model needs; empty while training.
        needed: String,
    },
    /// A file that holds no images where a trained model needs some.
    #[error("'{}' {problem}; the model was trained on {trained}: {what}", path.display())]
    NotImages {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        problem: String,
        /// What it was trained on.
        trained: String,
        /// What to give.
        what: &'static str,
    },
    /// A table that ends after its header.
    #[error("'{name}' has a header (columns {columns}) and no rows below it; add rows")]
    NoRows {
        /// The table.
        name: String,
        /// Its columns.
        columns: String,
    },
    /// Nothing in a column is of the kind that the model was trained with.
    #[error(
        "'{name}', column '{column}': none of its {count} values is {kind}, as in training; the first is '{value}' ({place}). Repair the column, or leave unknown values empty"
    )]
    UnreadableColumn {
        /// The table.
        name: String,
        /// The column.
        column: String,
        /// Number of values that are not missing.
        count: u64,
        /// What was expected, such as "a number".
        kind: &'static str,
        /// The first value.
        value: String,
        /// Where the first value is: a line, or a row of a file that is no text, counted from 1.
        place: String,
    },
    /// A file without content.
    #[error("'{}' is empty; give a file with data", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// A folder or archive is not laid out as a sub-folder of images per class.
    #[error("'{}': {problem}; {LAYOUT}", path.display())]
    Layout {
        /// The folder or archive.
        path: PathBuf,
        /// What was found.
        problem: String,
    },
    /// Classification needs two classes or more.
    #[error("'{}' has only one class, '{class}'; add a second one: {what}", path.display())]
    OneClass {
        /// The data.
        path: PathBuf,
        /// The one class found.
        class: String,
        /// Where classes come from in this kind of data.
        what: &'static str,
    },
    /// An entry of an archive is dangerous or damaged.
    #[error("archive '{}', entry '{entry}': {problem}; make the archive again from files you trust", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// The entry's name as the archive spells it.
        entry: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file is not a readable zip archive at all.
    #[error("'{}' cannot be read as a zip archive: {problem}; it may be damaged or only partly copied", path.display())]
    NotAnArchive {
        /// The file.
        path: PathBuf,
        /// The reason.
        problem: String,
    },
    /// An image could not be read.
    #[error("image '{name}': {reason}")]
    Image {
        /// Path of the image: the folder or archive as it was given, and the path in it.
        name: String,
        /// Why it could not be read.
        reason: String,
    },
    /// Too large a part of the images could not be read.
    #[error("'{}': {count} of {total} images cannot be read (at most 10 % are skipped), the first is '{first}': {reason}; repair or remove them", path.display())]
    Unreadable {
        /// The folder or archive.
        path: PathBuf,
        /// Number of unreadable images.
        count: usize,
        /// Number of images looked at.
        total: usize,
        /// One of them.
        first: String,
        /// Why that one could not be read.
        reason: String,
    },
    /// A class of a validation, test or evaluation set was not among the training classes.
    #[error("'{}' has class '{class}', which the training data does not have; its classes are {known}", path.display())]
    UnknownClass {
        /// The data with the class.
        path: PathBuf,
        /// The class.
        class: String,
        /// The training classes.
        known: String,
    },
    /// A row with more or fewer fields than the header.
    #[error(
        "'{name}', row {row} (line {line}): {found} fields, the header has {expected}; quote fields that contain the delimiter '{delimiter}'"
    )]
    Ragged {
        /// The table.
        name: String,
        /// Data row, counted from 1.
        row: u64,
        /// Line of the file, counted from 1.
        line: u64,
        /// Fields found.
        found: usize,
        /// Fields expected.
        expected: usize,
        /// The delimiter in use.
        delimiter: char,
    },
    /// A NUL byte in text.
    #[error(
        "'{name}', {}{}: holds a NUL byte, which no text has; look whether the file is whole, or remove it, for example with \
         `tr -d '\\000'`",
        row_name(*row),
        line_name(*line)
    )]
    Nul {
        /// The table.
        name: String,
        /// Data row, counted from 1; 0 is the header.
        row: u64,
        /// Line of the file, counted from 1.
        line: u64,
    },
    /// A line that holds no object of JSON.
    #[error(
        "'{name}' is not JSON Lines: line {line} is no JSON object: {problem}; repair it, or give the file the ending of what it is"
    )]
    NotJson {
        /// The file.
        name: String,
        /// Line of the file, counted from 1.
        line: u64,
        /// What is wrong with it, and where in the line.
        problem: String,
    },
    /// Text that is not UTF-8.
    #[error("'{name}', {}, byte {byte} of the file: not UTF-8 text; save the table as UTF-8", row_name(*row))]
    NotUtf8 {
        /// The table.
        name: String,
        /// Data row, counted from 1; 0 is the header.
        row: u64,
        /// Offset of the first bad byte in the file, counted from 0.
        byte: u64,
    },
    /// The table's text cannot be taken apart.
    #[error("'{name}': {problem}")]
    Table {
        /// The table.
        name: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Two columns with one name.
    #[error("'{name}': column '{column}' appears twice (columns {first} and {second}); rename one of them")]
    DuplicateColumn {
        /// The table.
        name: String,
        /// The name.
        column: String,
        /// Position of the first, counted from 1.
        first: usize,
        /// Position of the second, counted from 1.
        second: usize,
    },
    /// The target column asked for does not exist.
    #[error("'{name}' has no column '{column}'{} Its columns are {columns}", meant(nearest))]
    NoTarget {
        /// The table.
        name: String,
        /// The column asked for.
        column: String,
        /// The name that may have been meant; empty if none is near.
        nearest: String,
        /// All names.
        columns: String,
    },
    /// New rows lack a column that was used in training.
    #[error("'{name}' lacks the column '{column}', which the model was trained with; its columns are {columns}")]
    NoColumn {
        /// The table.
        name: String,
        /// The missing column.
        column: String,
        /// The columns there are.
        columns: String,
    },
    /// All rows have the same target.
    #[error(
        "'{name}': target '{column}' is '{value}' in every row, there is nothing to learn; choose another with --target"
    )]
    ConstantTarget {
        /// The table.
        name: String,
        /// The target.
        column: String,
        /// Its one value.
        value: String,
    },
    /// One value cannot be used.
    #[error("'{name}', row {row}{}, column '{column}': '{value}' {problem}", line_name(*line))]
    Value {
        /// The table.
        name: String,
        /// Data row, counted from 1.
        row: u64,
        /// Line of the file, counted from 1; 0 if it is no text.
        line: u64,
        /// The column.
        column: String,
        /// The text of the field.
        value: String,
        /// What is wrong and what to do.
        problem: &'static str,
    },
    /// Not enough rows or images to train on and to measure.
    #[error("'{name}' has {rows} usable {unit}, at least {least} are needed to train, validate and test; add data")]
    TooFewRows {
        /// The data.
        name: String,
        /// Rows or images found.
        rows: usize,
        /// "row(s)" or "image(s)".
        unit: &'static str,
        /// The least number accepted.
        least: usize,
    },
    /// A setting is outside its range or does not fit the data.
    #[error("setting '{setting}': {problem}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// What was given to be predicted cannot be predicted by this model.
    #[error("{problem}")]
    Inputs {
        /// What was given, and what to give.
        problem: String,
    },
    /// A data loading thread could not be started.
    #[error("cannot start a data loading thread: {source}; end other programs, or raise the limit of processes")]
    Thread {
        /// The reason the operating system gives.
        source: std::io::Error,
    },
    /// The data cannot be split as asked.
    #[error("cannot split the data: {problem}")]
    Split {
        /// The reason and what to do.
        problem: String,
    },
    /// A saved preprocessor or split cannot be read.
    #[error("{what} cannot be read: {problem}; it may be damaged")]
    Damaged {
        /// What was read.
        what: &'static str,
        /// The reason.
        problem: String,
    },
    /// A saved preprocessor or split of a newer version.
    #[error("{what} has version {found}, this program knows up to {known}; use a newer deepfit")]
    NewerVersion {
        /// What was read.
        what: &'static str,
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// A loader's worker ended without a result.
    #[error("a data loading thread ended unexpectedly; please report this with the data's layout")]
    WorkerEnded,
}

/// A row in a message, where 0 is the header.
/// The end of a sentence about a name that is none: the name that may have been meant, if one is near.
pub(crate) fn meant(near: &str) -> String {
    if near.is_empty() { ".".to_string() } else { format!("; did you mean '{near}'?") }
}

/// That a table lacks columns which a model was trained with.
pub(crate) fn lacks(missing: &[&str], columns: &[String]) -> String {
    format!(
        "lacks the column{} '{}', which the model was trained with; its columns are {}",
        if missing.len() == 1 { "" } else { "s" },
        missing.join("', '"),
        columns.join(", ")
    )
}

fn row_name(row: u64) -> String {
    if row == 0 { "header".to_string() } else { format!("row {row}") }
}

/// A line in a message, where there are lines.
fn line_name(line: u64) -> String {
    if line == 0 { String::new() } else { format!(" (line {line})") }
}

impl Error {
    /// Why one of several inputs could not be opened, without its path; `None` for what must end everything.
    pub(crate) fn of_input(&self) -> Option<String> {
        match self {
            Error::NotFound { .. } => Some("does not exist; check the path".to_string()),
            Error::Io { source, .. } => Some(source.to_string()),
            Error::NotAnArchive { problem, .. } => Some(format!("cannot be read as a zip archive: {problem}")),
            Error::NotATable { problem, .. } => Some(problem.clone()),
            _ => None,
        }
    }

    /// An input/output error with the path it happened at; a missing path has its own message.
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Error {
        if source.kind() == std::io::ErrorKind::NotFound {
            Error::NotFound { path: path.to_path_buf() }
        } else {
            Error::Io { path: path.to_path_buf(), source }
        }
    }
}
