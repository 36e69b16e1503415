//! Tables that name image files and say what is on them: classes, numbers, or labels.

mod columns;
mod find;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

pub use columns::ImageColumns;
use columns::{Look, Recognised, look};
use find::Finder;

use super::container::{Container, Entry};
use super::decode::Header;
use super::layout::{ImageFile, part_of};
use super::open::check_unreadable;
use super::scan::scan;
use crate::dataset::{OpenOptions, Summary, Task, TaskKind};
use crate::division::role;
use crate::error::{Error, Result};
use crate::split::Part;
use crate::table::lists::{self, LabelSets, require_variety, told};
use crate::table::{self, TargetColumn, Texts, value_error};
use crate::target::Target;

/// A table whose rows name images, and where these are.
pub(crate) struct ImageTable {
    path: PathBuf,
    finder: Finder,
    seen: Recognised,
    /// Whether the images are in a folder or archive that was given, rather than beside the table.
    given: bool,
}

/// What tables say of images, and where the images are.
pub(crate) struct Labelled {
    pub(crate) containers: Vec<Container>,
    pub(crate) files: Vec<ImageFile>,
    pub(crate) task: Task,
    pub(crate) columns: ImageColumns,
    /// Images that are missing or cannot be read, with the reason.
    pub(crate) broken: Vec<(String, String)>,
    /// What a reader should know, one sentence each.
    pub(crate) notes: Vec<String>,
}

/// What is to be learned of each row that says it.
struct Rows {
    task: Task,
    /// Table and data row, both counted from 0.
    rows: Vec<(usize, u32, Target)>,
    notes: Vec<String>,
}

/// Finds out whether a table names image files that lie beside it. Without, it is a table of features; a note says so if it
/// looks as if images were meant.
///
/// # Errors
/// If the file is no table, or nothing but images that are not there could be learned from.
pub(crate) fn recognise(path: &Path, header: Option<bool>, summary: &mut Summary) -> Result<Option<ImageTable>> {
    let finder = Finder::beside(path);
    match look(path, header, &finder)? {
        Look::Images(seen) => Ok(Some(ImageTable { path: path.to_path_buf(), finder, seen, given: false })),
        Look::Missing { column, value, columns } if columns <= 2 => Err(missing(path, &column, &value, &finder)),
        Look::Missing { column, value, .. } => {
            summary.notes.push(format!(
                "column '{column}' seems to name images, but '{value}' is not beside the table: the other columns are \
                 learned from; for the images, give their folder and --labels"
            ));
            Ok(None)
        }
        Look::Nothing { .. } => Ok(None),
    }
}

/// Finds out which column of a table names images of a folder or archive, which one must.
///
/// # Errors
/// If none does.
pub(crate) fn require(images: &Path, path: &Path, header: Option<bool>) -> Result<ImageTable> {
    let finder = Finder::within(images)?;
    match look(path, header, &finder)? {
        Look::Images(seen) => Ok(ImageTable { path: path.to_path_buf(), finder, seen, given: true }),
        Look::Missing { column, value, .. } => Err(missing(path, &column, &value, &finder)),
        Look::Nothing { columns } => {
            let problem = format!(
                "no column names image files of '{}'; its columns are {}. One must hold their paths in that folder, or \
                 their names",
                images.display(),
                columns.join(", ")
            );
            Err(Error::Table { name: path.to_string_lossy().into_owned(), problem })
        }
    }
}

fn missing(path: &Path, column: &str, value: &str, finder: &Finder) -> Error {
    let place = finder.container.path();
    let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
    let problem = format!(
        "column '{column}' names images, but none of those looked for is in '{}', the first being '{value}'; paths are \
         relative to the table, or to a folder: deepfit train FOLDER --labels TABLE",
        place.display()
    );
    Error::Table { name: path.to_string_lossy().into_owned(), problem }
}

impl ImageTable {
    fn name(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// Reads the table for training, with validation and test tables of their own if given.
    ///
    /// # Errors
    /// As for [`open`](crate::open).
    pub(crate) fn open(mut self, options: &OpenOptions, summary: &mut Summary) -> Result<Labelled> {
        let name = self.name();
        let targets = self.seen.targets(options, &name)?;
        let named = |column: usize| self.seen.columns[column].clone();
        let mut columns = ImageColumns {
            header: self.seen.header,
            image: named(self.seen.image),
            target: targets.iter().map(|&column| named(column)).collect(),
            separator: None,
            amount: None,
        };
        for (i, column) in self.seen.columns.iter().enumerate() {
            if i != self.seen.image && !targets.contains(&i) && Some(i) != self.seen.part {
                let also = self.seen.others.contains(&i);
                let why = if also { "names images too; one is learned from" } else { "images alone are learned from" };
                let why = role(options, column).unwrap_or(why);
                summary.dropped_columns.push((column.clone(), why.to_string()));
            }
        }
        if !self.seen.header && options.header.is_none() {
            summary.notes.push("no header was found: columns are called column_1, column_2, and so on".into());
        }
        let mut tables: Vec<(&Path, Option<Part>)> = vec![(&self.path, None)];
        let extra = [(&options.validation, Part::Validation), (&options.test, Part::Test)];
        tables.extend(extra.into_iter().filter_map(|(path, part)| path.as_deref().map(|path| (path, Some(part)))));
        let part = self.seen.part.map(named);
        let texts = read_texts(&tables, &columns, part.as_deref(), options.threads)?;
        let rows = learn(&tables, &texts, &mut columns, options, summary)?;
        summary.target = Some(columns.target.join(", "));
        let mut finders = vec![self.finder];
        if !self.given {
            finders.extend(tables[1..].iter().map(|(path, _)| Finder::beside(path)));
        }
        let parts = Parts { of_tables: tables.iter().map(|(_, part)| *part).collect(), column: part };
        place(&name, finders, &texts, &parts, rows, columns, options.threads)
    }

    /// Reads the table for a model that was trained on such a table, or on folders of classes.
    ///
    /// # Errors
    /// If a column is missing, or says something that the model does not know.
    pub(crate) fn open_known(mut self, task: &Task, known: Option<&ImageColumns>, threads: usize) -> Result<Labelled> {
        let name = self.name();
        let mut columns = match known {
            Some(known) => known.clone(),
            None => {
                let targets = self.seen.targets(&OpenOptions::default(), &name)?;
                let target = targets.iter().map(|&column| self.seen.columns[column].clone()).collect();
                ImageColumns { header: true, image: String::new(), target, separator: None, amount: None }
            }
        };
        // The column of images may have another name here: it is known by what it holds.
        if !self.seen.columns.contains(&columns.image) {
            columns.image = self.seen.columns[self.seen.image].clone();
        }
        columns.header = self.seen.header;
        let part = self.seen.part.map(|column| self.seen.columns[column].clone());
        let part = part.filter(|part| !columns.target.contains(part));
        let tables = [(self.path.as_path(), None)];
        let texts = read_texts(&tables, &columns, part.as_deref(), threads)?;
        let rows = match (task, columns.target.as_slice()) {
            (Task::MultiLabel { classes }, [_]) => {
                let separator = columns.separator.unwrap_or('|');
                let sets = lists::lists(&texts[0], TARGETS, separator, classes, &self.path)?;
                let notes = told(&[&sets]);
                Rows { task: task.clone(), rows: labelled(vec![sets]), notes }
            }
            (Task::MultiLabel { .. }, several) => {
                let sets = lists::flags(&texts[0], TARGETS, several, &name)?;
                let notes = told(&[&sets]);
                Rows { task: task.clone(), rows: labelled(vec![sets]), notes }
            }
            (Task::Classification { .. }, several @ [_, _, ..]) => {
                let sets = lists::flags(&texts[0], TARGETS, several, &name)?;
                let notes = told(&[&sets]);
                Rows { task: task.clone(), rows: only_one(vec![sets], &name)?, notes }
            }
            (_, single) => {
                let target = single.first().map_or("", String::as_str);
                let read = table::known_targets(&self.path, columns.header, target, task, columns.amount, threads)?;
                Rows { task: task.clone(), ..single_targets(read) }
            }
        };
        let parts = Parts { of_tables: vec![None], column: part };
        place(&name, vec![self.finder], &texts, &parts, rows, columns, threads)
    }
}

/// Position of the path among the texts that are read of each row; then come the targets, and last the part.
const IMAGE: usize = 0;
const TARGETS: usize = 1;

fn read_texts(
    tables: &[(&Path, Option<Part>)],
    columns: &ImageColumns,
    part: Option<&str>,
    threads: usize,
) -> Result<Vec<Texts>> {
    let mut names = vec![columns.image.as_str()];
    names.extend(columns.target.iter().map(String::as_str));
    let read = |(number, (path, _)): (usize, &(&Path, Option<Part>))| {
        // Tables of one part need not say so in each row.
        let part = part.filter(|_| number == 0);
        let names: Vec<&str> = names.iter().copied().chain(part).collect();
        table::texts(path, columns.header, &names, threads)
    };
    tables.iter().enumerate().map(read).collect()
}

/// Reads the targets: what the first table holds says what is learned.
fn learn(
    tables: &[(&Path, Option<Part>)],
    texts: &[Texts],
    columns: &mut ImageColumns,
    options: &OpenOptions,
    summary: &mut Summary,
) -> Result<Rows> {
    let paths: Vec<&Path> = tables.iter().map(|(path, _)| *path).collect();
    let name = paths[0].to_string_lossy().into_owned();
    if texts[0].len() == 0 {
        let named = [&[columns.image.clone()][..], &columns.target[..]].concat();
        return Err(Error::NoRows { name, columns: named.join(", ") });
    }
    if let [target] = columns.target.as_slice() {
        let asked = options.task == Some(TaskKind::MultiLabel);
        let lists = matches!(options.task, None | Some(TaskKind::MultiLabel));
        columns.separator = lists.then(|| lists::separator(&texts[0], TARGETS, asked)).flatten();
        let Some(separator) = columns.separator else {
            let read = table::learn_targets(&paths, columns.header, target, options.task, options.threads)?;
            columns.amount = read.amount;
            summary.other_task = read.other_task;
            summary.dropped_rows = read.dropped;
            return Ok(single_targets(read));
        };
        let classes = lists::all_labels(&texts[0], TARGETS, separator);
        let read = |(text, path): (&Texts, &&Path)| lists::lists(text, TARGETS, separator, &classes, path);
        let sets: Vec<LabelSets> = texts.iter().zip(&paths).map(read).collect::<Result<_>>()?;
        let mut notes = told(&sets.iter().collect::<Vec<_>>());
        if !asked {
            let note = format!(
                "labels of '{target}' are divided at '{separator}'; task=classification takes each cell as one class"
            );
            notes.push(note);
        }
        require_variety(&sets[0], &classes, target, &name)?;
        summary.dropped_rows = sets.iter().map(|sets| sets.dropped).sum();
        return Ok(Rows { task: Task::MultiLabel { classes }, rows: labelled(sets), notes });
    }
    if options.task == Some(TaskKind::Regression) {
        let problem = format!("regression has one target column, but {} were given", columns.target.len());
        return Err(Error::Setting { setting: "task", problem });
    }
    let flags = |(text, path): (&Texts, &&Path)| lists::flags(text, TARGETS, &columns.target, &path.to_string_lossy());
    let sets: Vec<LabelSets> = texts.iter().zip(&paths).map(flags).collect::<Result<_>>()?;
    let mut notes = told(&sets.iter().collect::<Vec<_>>());
    let classes = columns.target.clone();
    require_variety(&sets[0], &classes, &classes.join(", "), &name)?;
    summary.dropped_rows = sets.iter().map(|sets| sets.dropped).sum();
    if options.task == Some(TaskKind::Classification) {
        return Ok(Rows { task: Task::Classification { classes }, rows: only_one(sets, &name)?, notes });
    }
    if options.task.is_none() && sets.iter().flat_map(|sets| &sets.rows).all(|(_, labels)| labels.len() == 1) {
        notes.push("each row has exactly one of the labels; task=classification makes them classes".to_string());
    }
    Ok(Rows { task: Task::MultiLabel { classes }, rows: labelled(sets), notes })
}

fn labelled(tables: Vec<LabelSets>) -> Vec<(usize, u32, Target)> {
    let of = |(table, sets): (usize, LabelSets)| {
        sets.rows.into_iter().map(move |(row, labels)| (table, row, Target::Labels(labels)))
    };
    tables.into_iter().enumerate().flat_map(of).collect()
}

/// Columns of 0 and 1 as classes: each row must have one 1.
fn only_one(tables: Vec<LabelSets>, name: &str) -> Result<Vec<(usize, u32, Target)>> {
    let mut rows = Vec::new();
    for (table, sets) in tables.into_iter().enumerate() {
        for (row, labels) in sets.rows {
            let [class] = labels[..] else {
                let problem = format!(
                    "row {} has a 1 in {} of the target columns; classification needs exactly one, task=multi_label any \
                     number",
                    row + 1,
                    labels.len()
                );
                return Err(Error::Table { name: name.to_string(), problem });
            };
            rows.push((table, row, Target::Class(class)));
        }
    }
    Ok(rows)
}

fn single_targets(mut read: TargetColumn) -> Rows {
    let targets = Target::of_column(read.targets);
    let rows = read.rows.into_iter().zip(targets).map(|((table, row), target)| (table, row, target)).collect();
    if read.dropped > 0 {
        read.notes.push(table::left_out(read.dropped));
    }
    Rows { task: read.task, rows, notes: read.notes }
}

/// The part that each row belongs to.
struct Parts {
    /// Of tables that are one part.
    of_tables: Vec<Option<Part>>,
    /// Column of the first table that gives the part of each row.
    column: Option<String>,
}

/// Finds the images that rows name, and looks at their headers.
fn place(
    name: &str,
    finders: Vec<Finder>,
    texts: &[Texts],
    parts: &Parts,
    rows: Rows,
    columns: ImageColumns,
    threads: usize,
) -> Result<Labelled> {
    let finder_of = |table: usize| table.min(finders.len() - 1);
    // Each file once, though several rows may name it.
    let mut found: HashMap<(usize, &str), Result<String, String>> = HashMap::new();
    let mut entries: Vec<HashMap<String, Entry>> = finders.iter().map(|_| HashMap::new()).collect();
    for (table, row, _) in &rows.rows {
        let text = texts[*table].get(*row as usize, IMAGE);
        let finder = finder_of(*table);
        found.entry((finder, text)).or_insert_with(|| {
            let entry = finders[finder].find(text)?;
            let path = entry.name.clone();
            entries[finder].insert(path.clone(), entry);
            Ok(path)
        });
    }
    let mut headers: Vec<HashMap<String, (Entry, Header)>> = Vec::new();
    let mut unreadable: HashMap<String, String> = HashMap::new();
    for (finder, entries) in finders.iter().zip(entries) {
        let mut listed: Vec<Entry> = entries.into_values().collect();
        listed.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let scanned = scan(&finder.container, listed, threads)?;
        unreadable.extend(scanned.broken);
        headers.push(scanned.images.into_iter().map(|(entry, header)| (entry.name.clone(), (entry, header))).collect());
    }
    let mut files = Vec::with_capacity(rows.rows.len());
    let mut broken: Vec<(String, String)> = Vec::new();
    let mut told: HashSet<(usize, &str)> = HashSet::new();
    let mut twice = vec![HashMap::<&str, u32>::new(); finders.len()];
    for (table, row, target) in rows.rows {
        let (text, finder) = (texts[table].get(row as usize, IMAGE), finder_of(table));
        let part = part(&texts[table], row, parts, table, name, columns.target.len())?;
        let path = &found[&(finder, text)];
        let known = path.as_ref().ok().and_then(|path| headers[finder].get(path));
        if let (Some((entry, header)), Ok(path)) = (known, path) {
            *twice[finder].entry(path).or_insert(0) += 1;
            let (entry, header) = (entry.clone(), *header);
            files.push(ImageFile { entry, header, target, part, container: finder as u16, row: Some(row) });
        } else if told.insert((finder, text)) {
            let full = |name: &str| finders[finder].container.path().join(name).to_string_lossy().into_owned();
            broken.push(match path {
                Ok(path) => {
                    let reason = unreadable.remove(&full(path));
                    (full(path), reason.unwrap_or_else(|| "the content is not an image".to_string()))
                }
                Err(reason) if text.is_empty() => (format!("{name}, row {}", row + 1), reason.clone()),
                Err(reason) => (full(text), reason.clone()),
            });
        }
    }
    let distinct: usize = twice.iter().map(HashMap::len).sum();
    check_unreadable(Path::new(name), distinct + broken.len(), &broken)?;
    let mut notes = rows.notes;
    let repeated = twice.iter().flat_map(HashMap::values).filter(|&&count| count > 1).count();
    if repeated > 0 {
        let images = if repeated == 1 { "1 image is".to_string() } else { format!("{repeated} images are") };
        notes.push(format!(
            "{images} named by more than one row, each an example of its own; for several labels of an image, write them \
             in one cell, divided by '|'"
        ));
    }
    if let (Some(all), [named]) = (finders[0].images(), twice.as_slice())
        && all > named.len() + broken.len()
    {
        let others = all - named.len();
        let files = if others == 1 {
            "1 file of the folder is".to_string()
        } else {
            format!("{others} files of the folder are")
        };
        notes.push(format!("{files} not named by the table, and left out"));
    }
    let containers = finders.into_iter().map(|finder| finder.container).collect();
    Ok(Labelled { containers, files, task: rows.task, columns, broken, notes })
}

fn part(texts: &Texts, row: u32, parts: &Parts, table: usize, name: &str, targets: usize) -> Result<Option<Part>> {
    let (Some(column), 0) = (&parts.column, table) else { return Ok(parts.of_tables[table]) };
    let row = row as usize;
    let cell = texts.get(row, TARGETS + targets);
    if cell.is_empty() {
        return Ok(None);
    }
    part_of(cell).map(Some).ok_or_else(|| {
        let problem = "is neither train, validation nor test, as the part of a row must be; repair it, or rename the \
                       column if it says something else";
        value_error(name, texts.place(row), column, cell, problem)
    })
}
