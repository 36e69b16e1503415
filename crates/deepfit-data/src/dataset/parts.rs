//! How the rows of a data set are divided, and how such a division is kept.

use std::collections::HashMap;

use super::Dataset;
use crate::division::{self, Division, Origin};
use crate::error::{Error, Result};
use crate::split::{self, Part, RowId, SavedSplit, Split, SplitOptions};
use crate::weighing;

impl Dataset {
    /// Where a row stands in the tables of the data.
    pub(crate) fn origin(&self, row: u32) -> Origin {
        let in_file = |part: &Part| match part {
            Part::Train => false,
            Part::Validation => self.options.validation.is_some(),
            Part::Test => self.options.test.is_some(),
        };
        match self.row_id(row) {
            RowId::Row(number) => (self.parts.get(row as usize).copied().flatten().filter(in_file), number as usize),
            RowId::Path(_) => (None, 0),
        }
    }

    /// Reads the columns that say how rows are divided and how much they count, if any do.
    pub(super) fn divide(&mut self) -> Result<()> {
        let options = &self.options;
        let roles = [&options.group, &options.time_split, &options.split, &options.weight, &options.by];
        if roles.iter().all(|column| column.is_none()) {
            return Ok(());
        }
        let origins: Vec<Origin> = (0..self.len() as u32).map(|row| self.origin(row)).collect();
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
        let mut rows = HashMap::with_capacity(self.len());
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
}
