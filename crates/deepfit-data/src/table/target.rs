//! The target column of a table whose rows name their inputs, such as image files.

use std::path::Path;

use super::amount::AmountForm;
use super::infer::{ColumnKind, profile};
use super::open::{check_target, other_task, taken_for_class, task_kind};
use super::read::{Builder, TargetReading, Targets};
use super::rows::Rows;
use crate::dataset::{Task, TaskKind};
use crate::error::{Error, Result};

/// Targets of one or several tables.
pub(crate) struct TargetColumn {
    pub(crate) task: Task,
    pub(crate) targets: Targets,
    /// Table and data row of each target, both counted from 0.
    pub(crate) rows: Vec<(usize, u32)>,
    /// How numbers are written, if not as programs write them.
    pub(crate) amount: Option<AmountForm>,
    /// What to set if whole numbers were meant otherwise than inferred.
    pub(crate) other_task: Option<&'static str>,
    /// Rows left out because their target is missing.
    pub(crate) dropped: u64,
    /// What a reader should know, one sentence each.
    pub(crate) notes: Vec<String>,
}

/// Reads the targets of tables of which the first is for training: what it holds says what is learned.
///
/// # Errors
/// As for a target of a table of features.
pub(crate) fn learn(
    tables: &[&Path],
    header: bool,
    target: &str,
    wanted: Option<TaskKind>,
    threads: usize,
) -> Result<TargetColumn> {
    let mut rows = Rows::open(tables[0], Some(header))?;
    let name = rows.name.clone();
    let at = rows.columns.iter().position(|column| column == target).unwrap_or(rows.columns.len() - 1);
    let (mut profiles, _, count) = profile(&mut rows, threads)?;
    if count == 0 {
        return Err(Error::NoRows { name, columns: rows.columns.join(", ") });
    }
    let mut seen = profiles.swap_remove(at);
    let absent = if wanted == Some(TaskKind::Regression) { Vec::new() } else { seen.take_absent_words() };
    if seen.count == 0 {
        return Err(Error::TooFewRows { name, rows: 0, unit: "row(s) with a target", least: crate::MIN_ROWS });
    }
    let kind = task_kind(&seen, target, wanted, &name)?;
    let written = seen.quantity(seen.count).unwrap_or(ColumnKind::Number);
    let reading = match kind {
        TaskKind::Regression => TargetReading::Numbers(written),
        TaskKind::Classification | TaskKind::MultiLabel | TaskKind::Similarity => TargetReading::NewClasses,
    };
    let words: Vec<String> = absent.iter().map(|(word, _)| word.clone()).collect();
    let mut column = read(tables, header, target, reading, &words, threads)?;
    column.notes = absent.iter().map(|absent| taken_for_class(absent, target)).collect();
    let own = column.rows.iter().filter(|(table, _)| *table == 0).count();
    check_target(&column.targets, own, target, column.task.classes(), &name)?;
    column.amount = match (kind, written) {
        (TaskKind::Regression, ColumnKind::Amount(form)) => Some(form),
        _ => None,
    };
    column.other_task = other_task(&seen, kind, wanted);
    Ok(column)
}

/// Reads the targets of a table for a model that was trained on such targets.
///
/// # Errors
/// If the column is missing, or a value is not one that the model knows.
pub(crate) fn known(
    table: &Path,
    header: bool,
    target: &str,
    task: &Task,
    amount: Option<AmountForm>,
    threads: usize,
) -> Result<TargetColumn> {
    let reading = match task {
        Task::Regression | Task::NextToken | Task::Labels { .. } | Task::Similarity { .. } => {
            TargetReading::Numbers(amount.map_or(ColumnKind::Number, ColumnKind::Amount))
        }
        Task::Classification { classes } | Task::MultiLabel { classes } => TargetReading::KnownClasses(classes.clone()),
    };
    read(&[table], header, target, reading, &[], threads)
}

/// `words` are classes though they read as missing.
fn read(
    tables: &[&Path],
    header: bool,
    target: &str,
    reading: TargetReading,
    words: &[String],
    threads: usize,
) -> Result<TargetColumn> {
    let known = matches!(reading, TargetReading::KnownClasses(_));
    let mut builder = Builder::new(&[], target, reading, 0);
    builder.take_for_classes(words.iter());
    let mut table_of = Vec::new();
    for (number, table) in tables.iter().enumerate() {
        builder.read(&mut Rows::open(table, Some(header))?, None, threads)?;
        table_of.resize(builder.len(), number);
        if number == 0 {
            builder.close_classes();
        }
    }
    let dropped = builder.dropped;
    let (table, classes) = if known { (builder.finish_known(), Vec::new()) } else { builder.finish() };
    let task = match &table.targets {
        Targets::Classes(_) => Task::Classification { classes },
        Targets::None | Targets::Values(_) | Targets::Labels(_) => Task::Regression,
    };
    let rows = table_of.into_iter().zip(table.file_rows.iter()).collect();
    Ok(TargetColumn { task, targets: table.targets, rows, amount: None, other_task: None, dropped, notes: Vec::new() })
}
