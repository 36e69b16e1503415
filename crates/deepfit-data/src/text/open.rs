//! Opening a data set of texts: a table with a column of texts, or a folder of `.txt` files for each class.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::columns::{ColumnTerms, Columns};
use super::passage::Passage;
use super::preprocessor::{TextPreprocessor, cut_note};
use super::reader::text_of;
use super::samples::{Samples, TextForm, TextSource, class_counts};
use super::terms::Terms;
use super::tied::{SHARED, tied};
use crate::dataset::{MIN_ROWS, OpenOptions, Summary, Task, TaskKind};
use crate::division::role;
use crate::error::{Error, Result, meant};
use crate::folder::{self, Holds, text_files};
use crate::image;
use crate::source::Source;
use crate::split::{Part, RowId, quantile_bins, rarest_labels};
use crate::table::lists;
use crate::table::{
    self, AmountForm, LabelColumns, TARGET_NAMES, TableSet, TargetScale, are_several, find_targets, moments,
};
use crate::target::{Target, TargetForm};

/// What is given in place of the names of columns where there are no texts to learn from.
const NO_TEXT: &str = "none";
/// Rows that are looked at to find out which columns hold texts.
const LOOKED_AT: usize = 1_000;
/// Texts have so many words and letters on average.
const WORDS: f64 = 3.0;
const LETTERS: f64 = 12.0;
/// Of these, so many or half of the rows differ.
const DIFFERENT: usize = 100;

/// Which columns of a table say what of texts; saved with a model, which is evaluated on tables of the same kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextColumns {
    /// Whether the table has a header.
    pub header: bool,
    /// Columns of texts; those of a row are read one after the other, or compared.
    pub text: Vec<String>,
    /// Whether the texts of two columns are compared.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pairs: bool,
    /// The target; of several columns of labels all of them, divided by commas.
    pub target: String,
    /// How the numbers of a regression's target are written, if not as programs write them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<AmountForm>,
    /// Of texts with any number of labels the columns that say which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelColumns>,
}

impl TextColumns {
    /// Names of the columns of texts.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.text.iter().map(String::as_str).collect()
    }
}

/// A text with what is to be learned of it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: RowId,
    pub(crate) passage: Passage,
    pub(crate) target: Target,
    pub(crate) part: Option<Part>,
}

impl Row {
    pub(crate) fn name(&self) -> String {
        match &self.id {
            RowId::Row(row) => row.to_string(),
            RowId::Path(path) => path.clone(),
        }
    }
}

/// What a table or folder says.
pub(crate) struct Found {
    pub(crate) rows: Vec<Row>,
    pub(crate) task: Task,
    pub(crate) columns: Option<TextColumns>,
    /// Numbers and categories of the same rows.
    pub(crate) beside: Option<TableSet>,
    /// Texts that cannot be read, with the reason.
    pub(crate) failed: Vec<(String, String)>,
    pub(crate) notes: Vec<String>,
}

/// Texts ready to be split and prepared.
pub(crate) struct TextSet {
    pub(crate) ids: Vec<RowId>,
    pub(crate) task: Task,
    pub(crate) parts: Vec<Option<Part>>,
    /// Rows that stay on one side of every split: those of the same inputs, and pairs that share a text.
    pub(crate) groups: Vec<u32>,
    /// Rows whose inputs stand further above.
    pub(crate) repeated: usize,
    targets: Arc<Vec<Target>>,
    columns: Option<TextColumns>,
    beside: Option<TableSet>,
    samples: Arc<Samples>,
    pub(crate) form: TextForm,
}

/// What is known of a set of texts before they are cut into tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct TextSurvey {
    /// Number of texts, of all parts.
    pub texts: usize,
    /// Number of classes; 0 for a regression.
    pub classes: usize,
    /// Their length in letters, on average.
    pub letters: usize,
    /// Whether each is two texts that are compared.
    pub pairs: bool,
    /// Whether each is two texts whose embeddings shall be near to each other.
    pub partners: bool,
    /// Whether their words have labels.
    pub labelled: bool,
}

impl TextSet {
    /// Labels of a row, ascending.
    pub(crate) fn labels_of(&self, row: u32) -> &[u32] {
        if let Target::Labels(labels) = &self.targets[row as usize] { labels } else { &[] }
    }

    /// Class of each row, quantile bin of its value, or the rarest of its labels.
    pub(crate) fn strata(&self) -> Vec<u32> {
        if let Task::MultiLabel { classes } = &self.task {
            return rarest_labels((0..self.targets.len()).map(|row| self.labels_of(row as u32)), classes.len());
        }
        if self.task == Task::Regression {
            let value = |target: &Target| if let Target::Value(value) = target { *value } else { 0.0 };
            return quantile_bins(&self.targets.iter().map(value).collect::<Vec<f64>>());
        }
        self.targets.iter().map(|target| if let Target::Class(class) = target { *class } else { 0 }).collect()
    }

    /// Statistics of the given rows, and the batches by them.
    ///
    /// # Errors
    /// If what stands beside the texts cannot be read.
    pub(crate) fn prepare(&self, rows: &[u32], options: &OpenOptions) -> Result<(TextSource, TextPreprocessor)> {
        let value = |&row: &u32| match self.targets[row as usize] {
            Target::Value(value) => Some(value),
            _ => None,
        };
        let target_scale = (self.task == Task::Regression).then(|| {
            let (mean, deviation) = moments(&rows.iter().filter_map(value).collect::<Vec<f64>>());
            TargetScale { mean, deviation }
        });
        let terms = self.samples.words.as_ref().map(|words| Terms::fit(words, rows, !self.form.terms));
        let terms = terms.filter(|terms| !terms.is_empty());
        let (mut beside, mut columns) = (None, None);
        if let Some(set) = &self.beside {
            let fitted = set.fit(rows, options);
            let table: Arc<dyn Source> = Arc::new(set.source(fitted.clone()));
            let terms = ColumnTerms::fit((*fitted).clone(), &*table, rows)?;
            beside = Some(terms.clone());
            columns = Some(Columns::new(terms, vec![table]));
        }
        let form = TargetForm::of(&self.task, target_scale);
        let source = TextSource::new(self.samples.clone(), self.targets.clone(), form, terms.as_ref(), columns);
        let preprocessor = TextPreprocessor {
            version: TextPreprocessor::VERSION,
            task: self.task.clone(),
            target_scale,
            columns: self.columns.clone(),
            most_tokens: self.form.most_tokens,
            terms,
            beside,
            labels: None,
            tokenizer: Some(self.form.tokenizer.clone()),
        };
        Ok((source, preprocessor))
    }

    /// Tokens of the longest text.
    pub(crate) fn longest(&self) -> usize {
        self.samples.longest
    }
}

/// Whether a file is by its ending a text, whose continuation is learned.
pub fn is_text_file(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt"))
}

/// Whether data is texts of which it is learned how they go on: a file, or a folder of such files side by side.
pub fn is_continued(path: &Path) -> bool {
    match path.is_dir() {
        true => folder::contents(path).is_ok_and(|contents| contents.holds == Holds::Corpus),
        false => is_text_file(path) && path.is_file(),
    }
}

/// A table of texts: its columns.
pub(crate) struct TextTable {
    header: bool,
    text: Vec<String>,
    target: String,
    pairs: bool,
    /// Whether texts have any number of labels.
    several: bool,
}

/// Finds out whether a table holds texts to be learned from: those columns that were asked for, or columns of free texts.
///
/// # Errors
/// If the file is no table, a column that was asked for is missing, or not two are to be compared.
pub(crate) fn recognise(path: &Path, options: &OpenOptions) -> Result<Option<TextTable>> {
    let name = path.to_string_lossy();
    let seen = table::preview(path, options.header, LOOKED_AT)?;
    let targets = find_targets(&seen.columns, options, &name)?;
    let (target, several) = (targets[0], are_several(&targets, options));
    let values = |column: usize| seen.rows.iter().filter_map(move |row| row.get(column)).map(String::as_str);
    let mut text: Vec<usize> = Vec::new();
    if options.text.as_deref() == Some(NO_TEXT) && !seen.columns.iter().any(|column| column == NO_TEXT) {
        return Ok(None);
    }
    if let Some(asked) = &options.text {
        for column in asked.split(',').map(str::trim) {
            let at = seen.columns.iter().position(|known| known == column).ok_or_else(|| {
                let near = table::nearest(column, seen.columns.iter().map(String::as_str));
                let near = meant(near.unwrap_or_default());
                let problem = format!(
                    "names '{column}', which is no column of '{name}'{near} It has {}",
                    seen.columns.join(", ")
                );
                Error::Setting { setting: "text", problem }
            })?;
            if options.target.is_some() && targets.contains(&at) {
                let problem = format!("names '{column}', which is the target");
                return Err(Error::Setting { setting: "text", problem });
            }
            text.push(at);
        }
    } else {
        let free: Vec<usize> =
            (0..seen.columns.len()).filter(|&column| role(options, &seen.columns[column]).is_none()).collect();
        text = free.iter().copied().filter(|&column| is_free_text(values(column))).collect();
        let is_named =
            options.target.is_some() || TARGET_NAMES.iter().any(|name| seen.columns[target].eq_ignore_ascii_case(name));
        let is_told = |column: &usize| !text.contains(column) && has_few_values(values(*column));
        // Where there are more, which of them is meant only the user knows.
        if several {
            text.retain(|column| !targets.contains(column));
        } else if is_named || free.iter().filter(|column| is_told(column)).count() != 1 {
            text.retain(|&column| column != target);
        }
        if text.is_empty() {
            return Ok(None);
        }
    }
    if options.pairs == Some(true) && text.len() != 2 {
        let columns: Vec<&str> = text.iter().map(|&column| &seen.columns[column][..]).collect();
        let problem = format!(
            "compares two columns of texts, and there {}: {}; name two by text=A,B",
            if text.len() == 1 { "is one".to_string() } else { format!("are {}", text.len()) },
            columns.join(", ")
        );
        return Err(Error::Setting { setting: "pairs", problem });
    }
    let target = if text.contains(&target) {
        // The last column is a text: another must be the target, as where lines begin with a class.
        let found = (0..seen.columns.len())
            .rfind(|column| !text.contains(column) && role(options, &seen.columns[*column]).is_none());
        found.ok_or_else(|| {
            let problem = "has nothing but texts; a column beside them must say what is learned".to_string();
            Error::Table { name: name.to_string(), problem }
        })?
    } else {
        target
    };
    let targets = if several { targets } else { vec![target] };
    let lists = !several && options.task.is_none() && lists::are_lists(values(target).filter(|cell| !cell.is_empty()));
    let named = |columns: Vec<usize>| -> Vec<String> {
        columns.into_iter().map(|column| seen.columns[column].clone()).collect()
    };
    Ok(Some(TextTable {
        header: seen.header,
        pairs: options.pairs.unwrap_or(text.len() == 2),
        text: named(text),
        target: named(targets).join(", "),
        several: several || lists,
    }))
}

/// Whether each of the values comes twice on average, or more often.
fn has_few_values<'a>(values: impl Iterator<Item = &'a str>) -> bool {
    let (mut different, mut count) = (std::collections::HashSet::new(), 0_usize);
    for value in values.filter(|value| !value.is_empty()) {
        count += 1;
        different.insert(value);
    }
    count > 0 && different.len() * 2 <= count
}

/// Whether values are texts rather than the words of categories.
pub(super) fn is_free_text<'a>(values: impl Iterator<Item = &'a str>) -> bool {
    let mut different = std::collections::HashSet::new();
    let (mut count, mut words, mut letters) = (0_usize, 0_usize, 0_usize);
    for value in values.filter(|value| !value.is_empty()) {
        count += 1;
        words += value.split_whitespace().count();
        letters += value.chars().filter(|c| c.is_alphabetic()).count();
        different.insert(value);
    }
    let each = count as f64;
    let differ = different.len() * 2 > count || different.len() > DIFFERENT;
    count > 0 && differ && words as f64 >= WORDS * each && letters as f64 >= LETTERS * each
}

/// Opens texts, with validation and test data of their own if given. How they are cut may depend on what is found: `adapt`
/// changes the options before.
pub(crate) fn open(
    path: &Path,
    table: Option<TextTable>,
    options: &mut OpenOptions,
    adapt: &mut dyn FnMut(&TextSurvey, &mut OpenOptions),
    summary: &mut Summary,
) -> Result<TextSet> {
    let mut found = match table {
        Some(table) => read_tables(path, table, options, summary)?,
        None => {
            let mut found = read_folder(path, None)?;
            for (path, part) in [(&options.validation, Part::Validation), (&options.test, Part::Test)] {
                let Some(path) = path else { continue };
                let more = read_folder(path, Some(found.task.classes()))?;
                found.rows.extend(more.rows.into_iter().map(|row| Row { part: Some(part), ..row }));
                found.failed.extend(more.failed);
            }
            found
        }
    };
    summary.skipped.append(&mut found.failed);
    summary.notes.append(&mut found.notes);
    let letters: usize = found.rows.iter().map(|row| row.passage.len()).sum();
    let pairs = found.columns.as_ref().is_some_and(|columns| columns.pairs);
    summary.pairs = pairs;
    let survey = TextSurvey {
        texts: found.rows.len(),
        classes: found.task.classes().len(),
        letters: letters / found.rows.len().max(1),
        pairs,
        partners: false,
        labelled: false,
    };
    if found.rows.is_empty() {
        let name = path.to_string_lossy().into_owned();
        return Err(Error::TooFewRows { name, rows: 0, unit: "text(s)", least: MIN_ROWS });
    }
    adapt(&survey, options);
    let form = match &options.text_form {
        Some(form) => TextForm { pairs, ..form.clone() },
        None => {
            let own = found.rows.iter().filter(|row| matches!(row.part, None | Some(Part::Train)));
            let most = options.max_tokens.unwrap_or(TextForm::MOST_TOKENS);
            let texts = own.flat_map(|row| row.passage.texts());
            TextForm::trained(options.tokens, texts, options.vocabulary, most, pairs)?
        }
    };
    let empty = found.rows.iter().filter(|row| row.passage.is_blank()).count();
    if empty > 0 {
        let texts = if empty == 1 { "1 text is" } else { &format!("{empty} texts are") };
        summary.notes.push(format!("{texts} empty"));
    }
    let texts: Vec<Passage> = found.rows.iter_mut().map(|row| std::mem::take(&mut row.passage)).collect();
    let mut refused = Vec::new();
    let (samples, cut) = Samples::new(&texts, &form, options.threads, &mut refused);
    if let Some((row, problem)) = refused.first() {
        return Err(Error::Tokenizer {
            path: path.to_path_buf(),
            problem: format!("the text of row {} {problem}", found.rows[*row].name()),
        });
    }
    if cut > 0 {
        summary.notes.push(cut_note(cut, texts.len(), form.most_tokens));
    }
    let parts: Vec<Option<Part>> = found.rows.iter().map(|row| row.part).collect();
    let targets: Vec<Target> = found.rows.iter().map(|row| row.target.clone()).collect();
    let own: Vec<Target> = found
        .rows
        .iter()
        .filter(|row| matches!(row.part, None | Some(Part::Train)))
        .map(|row| row.target.clone())
        .collect();
    summary.class_counts = class_counts(&own, found.task.classes().len());
    // A label may be rare; that nothing can be learned of it is no reason not to learn the others.
    let all_needed = found.task.is_classification();
    if let Some(empty) = summary.class_counts.iter().position(|&count| all_needed && count == 0) {
        let problem = format!("class '{}' has no text to be trained on", found.task.classes()[empty]);
        return Err(Error::Table { name: path.to_string_lossy().into_owned(), problem });
    }
    let mut groups = match &found.beside {
        Some(beside) => samples.groups_with(&beside.groups),
        None => samples.groups(),
    };
    let repeated = groups.len() - groups.iter().max().map_or(0, |most| *most as usize + 1);
    if pairs {
        let (shared, fits) = shared_texts(&texts);
        if fits {
            groups = shared;
        } else {
            summary.notes.push(SHARED.to_string());
        }
    }
    Ok(TextSet {
        ids: found.rows.into_iter().map(|row| row.id).collect(),
        task: found.task,
        parts: if parts.iter().any(Option::is_some) { parts } else { Vec::new() },
        groups,
        repeated,
        targets: Arc::new(targets),
        columns: found.columns,
        beside: found.beside,
        samples: Arc::new(samples),
        form,
    })
}

/// A number for each pair that those share which have a text in common; false if too many have.
fn shared_texts(passages: &[Passage]) -> (Vec<u32>, bool) {
    fn number<'t>(numbers: &mut HashMap<&'t str, u32>, next: &mut u32, text: &'t str) -> u32 {
        *next += 1;
        // What is empty has nothing in common.
        if text.trim().is_empty() { *next - 1 } else { *numbers.entry(text).or_insert(*next - 1) }
    }
    let (mut numbers, mut next) = (HashMap::new(), 0);
    let mut pairs = Vec::with_capacity(passages.len());
    for Passage { text, second } in passages {
        let second = second.as_deref().unwrap_or_default();
        pairs.push([text, second].map(|text| number(&mut numbers, &mut next, text)));
    }
    let (groups, _, fits) = tied(&pairs, next as usize);
    (groups, fits)
}

/// Texts and targets of tables of which the first is for training, and numbers and categories beside them.
fn read_tables(path: &Path, table: TextTable, options: &OpenOptions, summary: &mut Summary) -> Result<Found> {
    let TextTable { header, text, target, pairs, several } = table;
    let task = if several { Some(TaskKind::MultiLabel) } else { options.task };
    let inferred = several && options.task.is_none();
    let options = OpenOptions { target: Some(target.clone()), task, ..options.clone() };
    let mut set = table::open(path, &options, &text, summary)?;
    let (amount, labels) = (set.target_amount(), set.labels.clone());
    if inferred && labels.as_ref().is_some_and(|labels| labels.separator.is_some()) {
        summary
            .notes
            .push(format!("cells of '{target}' are lists of labels; task=classification takes each cell as one class"));
    }
    let columns = TextColumns { header, text, pairs, target, amount, labels };
    let paths = [Some(path), options.validation.as_deref(), options.test.as_deref()];
    let names = columns.names();
    let read = |path: Option<&Path>| path.map(|path| table::texts(path, header, &names, options.threads)).transpose();
    let texts: Vec<Option<table::Texts>> = paths.into_iter().map(read).collect::<Result<_>>()?;
    let parts = std::mem::take(&mut set.parts);
    let targets = Target::of_column(set.table.targets.clone());
    let mut rows = Vec::with_capacity(targets.len());
    for (i, (target, row)) in targets.into_iter().zip(set.table.file_rows.iter()).enumerate() {
        let part = parts.get(i).copied().flatten();
        let table = match part {
            Some(Part::Validation) => &texts[1],
            Some(Part::Test) => &texts[2],
            _ => &texts[0],
        };
        let fields = |table: &table::Texts| Passage::of_columns(table.row(row as usize), pairs);
        let passage = table.as_ref().map(fields).unwrap_or_default();
        rows.push(Row { id: RowId::Row(u64::from(row)), passage, target, part });
    }
    // Of the other columns, perhaps none is of use.
    let task = set.task.clone();
    let beside = Some(set).filter(|set| !set.table.columns.is_empty());
    Ok(Found { rows, task, columns: Some(columns), beside, failed: Vec::new(), notes: Vec::new() })
}

/// Texts and targets of a table for a model that was trained on such a table, or on folders of classes.
pub(crate) fn read_known(path: &Path, known: Option<&TextColumns>, task: &Task, threads: usize) -> Result<Found> {
    let columns = match known {
        Some(known) => known.clone(),
        None => {
            let needed = || {
                let problem = "has no column of texts beside their classes".to_string();
                Error::Table { name: path.to_string_lossy().into_owned(), problem }
            };
            let of_labels = matches!(task, Task::MultiLabel { .. }).then_some(TaskKind::MultiLabel);
            let options = OpenOptions { task: of_labels, ..OpenOptions::default() };
            let TextTable { header, text, target, pairs, .. } = recognise(path, &options)?.ok_or_else(needed)?;
            TextColumns { header, text, pairs, target, amount: None, labels: None }
        }
    };
    let targets = match task {
        Task::MultiLabel { classes } => {
            let of = (columns.labels.as_ref(), &columns.target[..]);
            table::known_labels(path, columns.header, of, classes, threads)?
        }
        _ => table::known_targets(path, columns.header, &columns.target, task, columns.amount, threads)?,
    };
    let texts = table::texts(path, columns.header, &columns.names(), threads)?;
    let (of_rows, values) = (targets.rows.into_iter(), Target::of_column(targets.targets));
    let rows = of_rows.zip(values).map(|((_, row), target)| {
        let passage = Passage::of_columns(texts.row(row as usize), columns.pairs);
        Row { id: RowId::Row(u64::from(row)), passage, target, part: None }
    });
    let (rows, task) = (rows.collect(), targets.task);
    let notes = if targets.dropped > 0 { vec![table::left_out(targets.dropped)] } else { Vec::new() };
    Ok(Found { rows, task, columns: Some(columns), beside: None, failed: Vec::new(), notes })
}

/// The texts of a folder with a sub-folder for each class, perhaps below `train`, `val` and `test`; `known` are the classes
/// that there may be.
pub(crate) fn read_folder(folder: &Path, known: Option<&[String]>) -> Result<Found> {
    let layout = |problem: String| Error::Layout { path: folder.to_path_buf(), problem };
    if !folder.is_dir() {
        return Err(layout("is no folder of .txt files".to_string()));
    }
    let mut files: Vec<(Vec<String>, std::path::PathBuf)> = Vec::new();
    for entry in text_files(folder) {
        let entry = entry.map_err(|error| Error::io(folder, error.into()))?;
        let path = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let parts = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        files.push((parts, entry.path().to_path_buf()));
    }
    let in_parts = files.iter().all(|(parts, _)| parts.len() > 2 && image::part_of(&parts[0]).is_some());
    let depth = usize::from(in_parts && !files.is_empty());
    let mut texts: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let (mut failed, mut stray) = (Vec::new(), 0);
    for (parts, path) in files {
        if parts.len() < depth + 2 {
            stray += 1;
            continue;
        }
        let part = (depth > 0).then(|| image::part_of(&parts[0])).flatten();
        let name = parts.join("/");
        match std::fs::read(&path).map_err(|error| error.to_string()).and_then(text_of) {
            Ok(text) => {
                let row = Row { id: RowId::Path(name), passage: text.into(), target: Target::Unknown, part };
                texts.entry(parts[depth].clone()).or_default().push(row);
            }
            Err(problem) => failed.push((name, problem)),
        }
    }
    let classes: Vec<String> = match known {
        Some(known) => known.to_vec(),
        None => texts.keys().cloned().collect(),
    };
    let mut rows = Vec::new();
    for (class, of_class) in texts {
        let Some(number) = classes.iter().position(|known| *known == class) else {
            return Err(layout(format!(
                "the model does not know the class '{class}'; it knows {}",
                classes.join(", ")
            )));
        };
        rows.extend(of_class.into_iter().map(|row| Row { target: Target::Class(number as u32), ..row }));
    }
    match (known, &classes[..]) {
        (None, []) => return Err(layout("there are no images, and no .txt files in folders of classes".to_string())),
        (None, [class]) => {
            return Err(Error::OneClass {
                path: folder.to_path_buf(),
                class: class.clone(),
                what: "a folder of .txt files for each class; or put the files side by side, to learn what comes next in them",
            });
        }
        _ => {}
    }
    let files = if stray == 1 { "1 text is".to_string() } else { format!("{stray} texts are") };
    let notes = if stray > 0 { vec![format!("{files} outside of the class folders, and ignored")] } else { Vec::new() };
    Ok(Found { rows, task: Task::Classification { classes }, columns: None, beside: None, failed, notes })
}
