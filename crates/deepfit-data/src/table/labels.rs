//! Tables of features whose rows have any number of labels: columns of 0 and 1, or one column of lists.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::lists::{self, LabelSets, require_variety, told};
use super::open::{find_target, named_columns};
use super::read::{Table, Targets};
use super::target::TargetColumn;
use super::texts::{Texts, texts};
use crate::dataset::{OpenOptions, Summary, Task, TaskKind};
use crate::error::{Error, Result};

/// The columns that say which labels a row has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelColumns {
    /// Their names: one for each label, or one whose cells are lists.
    pub columns: Vec<String>,
    /// What divides the labels of a list; nothing where each label has a column of its own.
    pub separator: Option<char>,
}

/// Where the columns stand that say what is learned: one, or of several labels those that were asked for, divided by commas.
pub(crate) fn find_targets(columns: &[String], options: &OpenOptions, name: &str) -> Result<Vec<usize>> {
    let wanted = match options.target.as_deref() {
        Some(wanted) if wanted.contains(',') && !columns.iter().any(|column| column == wanted) => wanted,
        _ => return Ok(vec![find_target(columns, options, name)?]),
    };
    let found = named_columns(columns, wanted, name)?;
    let refuse = |setting, problem: String| Err(Error::Setting { setting, problem });
    if found.is_empty() {
        return refuse("target", "names no column".to_string());
    }
    if let Some(task @ (TaskKind::Regression | TaskKind::Classification)) = options.task
        && found.len() > 1
    {
        let task = if task == TaskKind::Regression { "regression" } else { "classification" };
        let problem = format!(
            "{task} of a table has one target column, but {} were given; several columns of 0 and 1 are labels, \
             task=multi_label",
            found.len()
        );
        return refuse("task", problem);
    }
    Ok(found)
}

/// Whether rows have any number of labels.
pub(crate) fn are_several(targets: &[usize], options: &OpenOptions) -> bool {
    targets.len() > 1 || options.task == Some(TaskKind::MultiLabel)
}

/// Reads the labels of tables of which the first is for training, and that have been read row by row up to these `ends` of a
/// table; rows whose labels are not known are taken out of it. Returns the columns, the names of all labels, and the new ends.
///
/// # Errors
/// If a cell is no label, or all rows of the first table have the same.
pub(crate) fn learn(
    table: &mut Table,
    (paths, ends): (&[&Path], &[usize]),
    (header, columns): (bool, Vec<String>),
    options: &OpenOptions,
    summary: &mut Summary,
) -> Result<(LabelColumns, Vec<String>, Vec<usize>)> {
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    let read = |path: &&Path| texts(path, header, &names, options.threads);
    let cells: Vec<Texts> = paths.iter().map(read).collect::<Result<_>>()?;
    let (separator, labels) = match names[..] {
        [_] => {
            let separator = lists::separator(&cells[0], 0, true);
            (separator, lists::all_labels(&cells[0], 0, separator.unwrap_or('|')))
        }
        _ => (None, columns.clone()),
    };
    let columns = LabelColumns { columns, separator };
    let sets = cells.iter().zip(paths).map(|(cells, path)| columns.read(cells, &labels, path));
    let sets: Vec<LabelSets> = sets.collect::<Result<_>>()?;
    let name = paths[0].to_string_lossy();
    require_variety(&sets[0], &labels, &columns.columns.join(", "), &name)?;
    let exclusive = sets.iter().flat_map(|sets| &sets.rows).all(|(_, labels)| labels.len() == 1);
    if exclusive && columns.separator.is_none() {
        summary
            .notes
            .push("each row has exactly one of the labels; they could be the classes of one column".to_string());
    }
    summary.notes.extend(told(&sets.iter().collect::<Vec<_>>()));
    summary.dropped_rows = sets.iter().map(|sets| sets.dropped).sum();
    summary.class_counts = vec![0; labels.len()];
    sets[0].rows.iter().flat_map(|(_, of)| of.iter()).for_each(|&label| summary.class_counts[label as usize] += 1);
    if let Some(none) = summary.class_counts.iter().position(|&count| count == 0) {
        summary.notes.push(format!("no row has the label '{}', which cannot be learned", labels[none]));
    }
    Ok((columns, labels, attach(table, sets, ends)))
}

/// Gives the rows of a table, which come from files up to these ends, their labels; rows without are taken out. Returns the
/// new ends.
fn attach(table: &mut Table, sets: Vec<LabelSets>, ends: &[usize]) -> Vec<usize> {
    let (mut kept, mut labels, mut new_ends) = (Vec::new(), Vec::new(), Vec::new());
    let begins = std::iter::once(0).chain(ends.iter().copied());
    for (begin, sets) in begins.zip(sets) {
        for (row, of) in sets.rows {
            kept.push(begin as u32 + row);
            labels.push(of);
        }
        new_ends.push(kept.len());
    }
    if kept.len() < table.len() {
        table.keep(&kept);
    }
    table.targets = Targets::Labels(labels);
    new_ends
}

/// Reads the labels of a table for a model that knows these. `columns` say which labels a row has as they did in training;
/// without, it is a column of lists.
///
/// # Errors
/// If a column is missing, or a cell is no label that is known.
pub(crate) fn known(
    path: &Path,
    header: bool,
    (columns, target): (Option<&LabelColumns>, &str),
    labels: &[String],
    threads: usize,
) -> Result<TargetColumn> {
    let columns = match columns {
        Some(columns) => columns.clone(),
        None => {
            let cells = texts(path, header, &[target], threads)?;
            LabelColumns { columns: vec![target.to_string()], separator: lists::separator(&cells, 0, true) }
        }
    };
    let names: Vec<&str> = columns.columns.iter().map(String::as_str).collect();
    let sets = columns.read(&texts(path, header, &names, threads)?, labels, path)?;
    let (rows, of): (Vec<u32>, Vec<Box<[u32]>>) = sets.rows.into_iter().unzip();
    Ok(TargetColumn {
        task: Task::MultiLabel { classes: labels.to_vec() },
        targets: Targets::Labels(of),
        rows: rows.into_iter().map(|row| (0, row)).collect(),
        amount: None,
        other_task: None,
        dropped: sets.dropped,
        notes: Vec::new(),
    })
}

impl LabelColumns {
    fn read(&self, cells: &Texts, labels: &[String], path: &Path) -> Result<LabelSets> {
        match self.separator {
            Some(separator) => lists::lists(cells, 0, separator, labels, path),
            None => lists::flags(cells, 0, &self.columns, &path.to_string_lossy()),
        }
    }

    /// Gives the rows of a table that has been read whole the labels that stand in its file; returns how many rows were taken
    /// out, since theirs are not known.
    ///
    /// # Errors
    /// If a column is missing, or a cell is no label that is known.
    pub(crate) fn attach(
        &self,
        table: &mut Table,
        (path, header): (&Path, bool),
        labels: &[String],
        threads: usize,
    ) -> Result<u64> {
        let names: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let sets = self.read(&texts(path, header, &names, threads)?, labels, path)?;
        let dropped = sets.dropped;
        attach(table, vec![sets], &[table.len()]);
        Ok(dropped)
    }
}
