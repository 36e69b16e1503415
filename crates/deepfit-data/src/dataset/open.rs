//! Opening data: what it is, told by its content.

use std::path::Path;

use super::options::{OpenOptions, Summary, Survey};
use super::task::{Task, TaskKind};
use super::{Dataset, Kind};
use crate::codes::Codes;
use crate::division;
use crate::error::{Error, Result};
use crate::folder::{self, Contents, Holds};
use crate::image::{self, ImageSurvey};
use crate::split::Part;
use crate::table;
use crate::text::{self, LabelFiles, TextSurvey};
use crate::weighing;

/// Rows or images that are needed to train, validate and test.
pub const MIN_ROWS: usize = 10;

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
        strata = set.strata().into_iter().collect();
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
    complete(Dataset::new(path, Kind::Texts(set), task, summary, options, parts, Codes::from_iter(strata)))
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
    complete(Dataset::new(path, Kind::Pairs(set), task, summary, options, parts, Codes::from_iter(strata)))
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
    let (strata, parts) = (std::iter::repeat_n(0, set.len()).collect(), std::mem::take(&mut set.parts));
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
    complete(Dataset::new(path, Kind::Labels(set), task, summary, options, parts, Codes::from_iter(strata)))
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
