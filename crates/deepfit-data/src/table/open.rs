//! Opening a table: one pass over the file to see what the columns hold, and a second where values need a closer look.

use std::path::Path;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::amount::AmountForm;
use super::infer::{ColumnKind, Profile, profile};
use super::labels::{self, LabelColumns, are_several, find_targets};
use super::nearest::nearest;
use super::order;
use super::preprocessor::TablePreprocessor;
use super::read::{Builder, Table, TargetReading, Targets, Values};
use super::rows::{Rows, value_error};
use super::source::TableSource;
use crate::codes::Codes;
use crate::dataset::{MIN_ROWS, OpenOptions, Summary, Task, TaskKind};
use crate::division::role;
use crate::error::{Error, Result};
use crate::parallel;
use crate::split::{Part, number_groups, quantile_bins, rarest_labels};

/// A table ready to be split and prepared.
pub(crate) struct TableSet {
    pub(crate) table: Arc<Table>,
    pub(crate) header: bool,
    pub(crate) target: String,
    /// How the numbers of a regression target are written.
    pub(crate) target_kind: Option<ColumnKind>,
    pub(crate) task: Task,
    /// Part of each row given by a file of its own; empty if there is none.
    pub(crate) parts: Vec<Option<Part>>,
    /// Rows with the same features share a number.
    pub(crate) groups: Vec<u32>,
    /// Of rows with any number of labels the columns that say which.
    pub(crate) labels: Option<LabelColumns>,
}

impl TableSet {
    pub(crate) fn fit(&self, rows: &[u32], options: &OpenOptions) -> Arc<TablePreprocessor> {
        let mut fitted =
            TablePreprocessor::fit(&self.table, rows, self.header, &self.target, &self.task, options.scaling);
        fitted.target_amount = self.target_amount();
        fitted.labels = self.labels.clone();
        Arc::new(fitted)
    }

    /// How the numbers of a regression's target are written, if not as programs write them.
    pub(crate) fn target_amount(&self) -> Option<AmountForm> {
        match self.target_kind {
            Some(ColumnKind::Amount(form)) => Some(form),
            _ => None,
        }
    }

    /// Labels of a row, ascending.
    pub(crate) fn labels_of(&self, row: u32) -> &[u32] {
        if let Targets::Labels(sets) = &self.table.targets { &sets[row as usize] } else { &[] }
    }

    /// Class of each row, quantile bin of its target, or the rarest of its labels.
    pub(crate) fn strata(&self) -> Codes {
        match &self.table.targets {
            Targets::Labels(sets) => {
                rarest_labels(sets.iter().map(|set| &set[..]), self.task.outputs()).into_iter().collect()
            }
            Targets::Classes(classes) => classes.clone(),
            Targets::Values(values) => quantile_bins(values).into_iter().collect(),
            Targets::None => std::iter::repeat_n(0, self.table.len()).collect(),
        }
    }

    pub(crate) fn source(&self, preprocessor: Arc<TablePreprocessor>) -> TableSource {
        TableSource::new(self.table.clone(), preprocessor, true)
    }
}

/// Opens a table, with validation and test tables of their own if given. Columns of `texts` are no features; beside them,
/// there may be none.
pub(crate) fn open(path: &Path, options: &OpenOptions, texts: &[String], summary: &mut Summary) -> Result<TableSet> {
    let name = path.to_string_lossy().into_owned();
    let mut rows = Rows::open(path, options.header)?;
    let targets = find_targets(&rows.columns, options, &name)?;
    let (target, several) = (targets[0], are_several(&targets, options));
    if rows.columns.len() < 2 {
        let problem = format!(
            "only one column, '{}', was found; a table needs features beside the target, divided by a comma, tab, \
             semicolon or bar",
            rows.columns[0]
        );
        return Err(Error::Table { name, problem });
    }
    let (columns, header, delimiter) = (rows.columns.clone(), rows.header, rows.delimiter);
    let is_delimited = rows.is_delimited();
    let (mut profiles, kept, count) = profile(&mut rows, options.threads)?;
    if count == 0 {
        return Err(Error::NoRows { name, columns: columns.join(", ") });
    }
    let of_words = !several && options.task != Some(TaskKind::Regression);
    let absent = if of_words { profiles[target].take_absent_words() } else { Vec::new() };
    summary.notes.extend(absent.iter().map(|absent| taken_for_class(absent, &columns[target])));
    if !header && options.header.is_none() {
        summary.notes.push("no header was found: columns are called column_1, column_2, and so on".into());
    }
    let both_given = options.validation.is_some() && options.test.is_some();
    let least = if both_given { 2 } else { MIN_ROWS };
    // Of several labels, whether a row has all of them is known once they are read.
    let usable = if several { count } else { profiles[target].count } as usize;
    if count < 2 || usable < least {
        return Err(Error::TooFewRows { name, rows: usable, unit: "row(s)", least });
    }
    let task_kind = match several {
        true => TaskKind::MultiLabel,
        false => task_kind(&profiles[target], &columns[target], options.task, &name)?,
    };
    let mut features = choose_features(&columns, &profiles, &targets, texts, &name, options, summary)?;
    let certain = features.len();
    // Whether a column that counts the rows is of use, the targets tell.
    let mut counting = order::counting(&columns, &profiles, &targets, &features);
    counting.retain(|column| role(options, column).is_none());
    features.extend(counting.iter().map(|column| (column.clone(), ColumnKind::Number)));

    let reading = match task_kind {
        TaskKind::MultiLabel => TargetReading::Skip,
        TaskKind::Classification | TaskKind::Similarity => TargetReading::NewClasses,
        TaskKind::Regression => {
            TargetReading::Numbers(profiles[target].quantity(profiles[target].count).unwrap_or(ColumnKind::Number))
        }
    };
    let kept = Builder::kept(&features, &columns[target], reading.clone(), &columns, kept, delimiter);
    let mut builder = match kept {
        Some(builder) => builder,
        None => {
            let mut builder = Builder::new(&features, &columns[target], reading, count as usize);
            builder.take_for_classes(absent.iter().map(|(word, _)| word));
            builder.read(&mut Rows::open(path, Some(header))?, None, options.threads)?;
            builder
        }
    };
    builder.close_classes();
    let mut own = builder.len();
    let (mut parts, mut paths, mut ends) = (Vec::new(), vec![path], vec![own]);
    for (path, part) in [(&options.validation, Part::Validation), (&options.test, Part::Test)] {
        let Some(path) = path else { continue };
        parts.resize(builder.len(), None);
        builder.read(&mut Rows::open(path, Some(header))?, None, options.threads)?;
        if builder.len() == parts.len() {
            return Err(Error::TooFewRows {
                name: path.to_string_lossy().into_owned(),
                rows: 0,
                unit: "row(s)",
                least: 1,
            });
        }
        parts.resize(builder.len(), Some(part));
        paths.push(path);
        ends.push(builder.len());
    }
    if builder.dropped > 0 {
        summary.notes.push(left_out(builder.dropped));
    }
    summary.notes.append(&mut builder.notes);
    summary.dropped_rows = builder.dropped;
    let (mut table, mut classes) = builder.finish();
    let mut labels = None;
    if several {
        let named = targets.iter().map(|&target| columns[target].clone()).collect();
        let (found, names, ends) = labels::learn(&mut table, (&paths, &ends), (header, named), options, summary)?;
        (labels, classes, own) = (Some(found), names, ends[0]);
        parts = parts_of(&ends, options);
        if own < least {
            return Err(Error::TooFewRows { name, rows: own, unit: "row(s)", least });
        }
    }
    order::decide(&mut table, own, certain, summary);
    summary.columns = table.columns.iter().map(|column| (column.name.clone(), column.kind)).collect();
    check_target(&table.targets, own, &columns[target], &classes, &name)?;
    if let Targets::Classes(of) = &table.targets {
        summary.class_counts = vec![0; classes.len()];
        of.iter().take(own).for_each(|class| summary.class_counts[class as usize] += 1);
    }
    summary.delimiter = is_delimited.then(|| char::from(delimiter));
    let target_name = targets.iter().map(|&target| columns[target].as_str()).collect::<Vec<_>>().join(", ");
    summary.target = Some(target_name.clone());
    let task = match task_kind {
        TaskKind::MultiLabel => Task::MultiLabel { classes },
        TaskKind::Classification | TaskKind::Similarity => Task::Classification { classes },
        TaskKind::Regression => Task::Regression,
    };
    summary.other_task = if several { None } else { other_task(&profiles[target], task_kind, options.task) };
    let target_kind = if task_kind == TaskKind::Regression { profiles[target].quantity(usable as u64) } else { None };
    let groups = group_rows(&table, options.threads);
    let table = Arc::new(table);
    Ok(TableSet { table, header, target: target_name, target_kind, task, parts, groups, labels })
}

/// The parts of rows that come from files up to these ends, the first of which has none of its own.
fn parts_of(ends: &[usize], options: &OpenOptions) -> Vec<Option<Part>> {
    let given = [(&options.validation, Part::Validation), (&options.test, Part::Test)];
    let given = given.into_iter().filter(|(path, _)| path.is_some()).map(|(_, part)| Some(part));
    let mut parts = Vec::new();
    if ends.len() > 1 {
        let parts_of_files = std::iter::once(None).chain(given);
        ends.iter().zip(parts_of_files).for_each(|(&end, part)| parts.resize(end, part));
    }
    parts
}

/// The note about a word of a target that reads as missing, and is a class.
pub(super) fn taken_for_class((word, rows): &(String, u64), target: &str) -> String {
    format!(
        "'{word}' in '{target}' is taken for a class, as {rows} rows have it; where it says that nothing is known of a row, leave \
         the cell empty"
    )
}

/// The note about rows whose target is missing.
pub(crate) fn left_out(rows: u64) -> String {
    if rows == 1 {
        "1 row without target is left out".to_string()
    } else {
        format!("{rows} rows without target are left out")
    }
}

/// What to set if whole numbers were meant otherwise than inferred.
pub(super) fn other_task(target: &Profile, inferred: TaskKind, wanted: Option<TaskKind>) -> Option<&'static str> {
    match inferred {
        _ if wanted.is_some() || !target.is_integer() => None,
        TaskKind::Classification if target.distinct() > 2 => {
            Some("inferred from few different whole numbers; task=regression predicts them as numbers")
        }
        TaskKind::Regression if target.distinct() <= 30 => {
            Some("inferred from whole numbers; task=classification makes them classes")
        }
        _ => None,
    }
}

/// The column asked for, or one called target, label, class or y, or the last.
pub(crate) fn find_target(columns: &[String], options: &OpenOptions, name: &str) -> Result<usize> {
    if let Some(wanted) = &options.target {
        return named_column(columns, wanted, name);
    }
    let free: Vec<usize> = (0..columns.len()).filter(|&i| role(options, &columns[i]).is_none()).collect();
    let called = |name: &&str| free.iter().copied().find(|&column| columns[column].eq_ignore_ascii_case(name));
    TARGET_NAMES.iter().find_map(called).or(free.last().copied()).ok_or_else(|| {
        let problem = "no column is left to be the target; add one that says what is learned".to_string();
        Error::Table { name: name.to_string(), problem }
    })
}

/// Names of columns that are taken for the target without being asked.
pub(crate) const TARGET_NAMES: [&str; 4] = ["target", "label", "class", "y"];

/// Where the column asked for stands.
pub(crate) fn named_column(columns: &[String], wanted: &str, name: &str) -> Result<usize> {
    columns.iter().position(|column| column == wanted).ok_or_else(|| {
        // Names that were given by counting are all alike, and none of them is nearer than another.
        let counted = columns.iter().enumerate().all(|(i, column)| *column == format!("column_{}", i + 1));
        let nearest = match counted {
            true => {
                wanted.parse::<usize>().ok().filter(|n| (1..=columns.len()).contains(n)).map(|n| format!("column_{n}"))
            }
            false => nearest(wanted, columns.iter().map(String::as_str)).map(str::to_string),
        };
        let all = match counted && columns.len() > 1 {
            true => format!("the {} from column_1 to column_{}", columns.len(), columns.len()),
            false => columns.join(", "),
        };
        let (name, column, nearest) = (name.to_string(), wanted.to_string(), nearest.unwrap_or_default());
        Error::NoTarget { name, column, nearest, columns: all }
    })
}

/// Where the columns of a list divided by commas stand, each named once.
pub(crate) fn named_columns(columns: &[String], wanted: &str, name: &str) -> Result<Vec<usize>> {
    let names = wanted.split(',').map(str::trim).filter(|name| !name.is_empty());
    let found: Vec<usize> = names.map(|column| named_column(columns, column, name)).collect::<Result<_>>()?;
    if let Some((_, twice)) = found.iter().enumerate().find(|(i, column)| found[..*i].contains(column)) {
        let problem = format!("names '{}' twice; name each column once", columns[*twice]);
        return Err(Error::Setting { setting: "target", problem });
    }
    Ok(found)
}

pub(super) fn task_kind(target: &Profile, column: &str, wanted: Option<TaskKind>, name: &str) -> Result<TaskKind> {
    if target.is_numeric() {
        let bad = target.infinite.as_ref().map(|at| (at, "is infinite; a target must be finite"));
        let nan = target.not_a_number.as_ref();
        let problem = "is not a number; repair it, or leave the field empty to leave the row out";
        if let Some(((place, text), problem)) = bad.or(nan.map(|at| (at, problem))) {
            return Err(value_error(name, *place, column, text, problem));
        }
    }
    if target.distinct() == 1 {
        let (name, column) = (name.to_string(), column.to_string());
        return Err(Error::ConstantTarget { name, column, value: target.example.clone() });
    }
    let kind = wanted.unwrap_or(if target.is_class() { TaskKind::Classification } else { TaskKind::Regression });
    if kind == TaskKind::Classification && target.count >= 20 && target.distinct() * 2 > target.count {
        let problem = format!(
            "target '{column}' has {} different values in {} rows, too many to be classes; choose another with --target",
            target.distinct(),
            target.count
        );
        return Err(Error::Table { name: name.to_string(), problem });
    }
    Ok(kind)
}

fn choose_features(
    columns: &[String],
    profiles: &[Profile],
    targets: &[usize],
    texts: &[String],
    name: &str,
    options: &OpenOptions,
    summary: &mut Summary,
) -> Result<Vec<(String, ColumnKind)>> {
    let mut features = Vec::new();
    for (i, (column, profile)) in columns.iter().zip(profiles).enumerate() {
        if targets.contains(&i) || texts.contains(column) {
            continue;
        }
        if let Some(why) = role(options, column) {
            summary.dropped_columns.push((column.clone(), why.to_string()));
            continue;
        }
        match profile.feature(column) {
            Err(reason) => summary.dropped_columns.push((column.clone(), reason)),
            Ok(kind) => {
                if let Some((place, text)) = &profile.infinite
                    && kind.is_number()
                {
                    let problem = "is infinite; replace it by a number or leave it empty";
                    return Err(value_error(name, *place, column, text, problem));
                }
                if profile.missing > 0 {
                    summary.missing.push((column.clone(), profile.missing));
                }
                features.push((column.clone(), kind));
            }
        }
    }
    let counts = |(i, (column, profile)): (usize, (&String, &Profile))| {
        !targets.contains(&i) && role(options, column).is_none() && profile.is_mere_sequence(column)
    };
    if features.is_empty() && texts.is_empty() && !columns.iter().zip(profiles).enumerate().any(counts) {
        let reasons: Vec<String> =
            summary.dropped_columns.iter().map(|(name, why)| format!("'{name}' {why}")).collect();
        let problem = format!("no column can be used as a feature: {}", reasons.join("; "));
        return Err(Error::Table { name: name.to_string(), problem });
    }
    Ok(features)
}

pub(super) fn check_target(targets: &Targets, own: usize, column: &str, classes: &[String], name: &str) -> Result<()> {
    let constant = match targets {
        Targets::Classes(_) if classes.len() < 2 => classes.first().cloned(),
        Targets::Values(values) if values[..own].iter().all(|value| *value == values[0]) => Some(values[0].to_string()),
        _ => None,
    };
    match constant {
        Some(value) => Err(Error::ConstantTarget { name: name.to_string(), column: column.to_string(), value }),
        None => Ok(()),
    }
}

/// Numbers rows alike if all their features are equal.
fn group_rows(table: &Table, threads: usize) -> Vec<u32> {
    /// Rows of a task: their values lie in caches while they are brought together.
    const ROWS: usize = 1024;
    if table.columns.is_empty() {
        return vec![0; table.len()];
    }
    let hashes = parallel::map(table.len().div_ceil(ROWS), threads, Vec::new, |bytes: &mut Vec<u8>, task| {
        let rows = task * ROWS..table.len().min((task + 1) * ROWS);
        let width: usize = table.columns.iter().map(|column| column.values.bytes()).sum();
        bytes.clear();
        bytes.resize(rows.len() * width, 0);
        let mut at = 0;
        for column in &table.columns {
            let places = bytes.chunks_exact_mut(width);
            match &column.values {
                Values::Numbers(values) => places.zip(rows.clone()).for_each(|(row, number)| {
                    // NaN is stored in one form only, and adding 0 turns -0 into 0.
                    row[at..at + 8].copy_from_slice(&(values.get(number) + 0.0).to_bits().to_le_bytes());
                }),
                Values::Codes { codes, .. } => places.zip(rows.clone()).for_each(|(row, number)| {
                    row[at..at + 4].copy_from_slice(&codes.get(number).to_le_bytes());
                }),
            }
            at += column.values.bytes();
        }
        bytes.chunks_exact(width).map(xxh3_64).collect::<Vec<u64>>()
    });
    number_groups(hashes.into_iter().flatten())
}
