//! From the columns of a table to the network's inputs, with statistics of the training rows alone.

use std::collections::HashMap;
use std::f64::consts::TAU;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::amount::AmountForm;
use super::date::{calendar, moment};
use super::infer::ColumnKind;
use super::labels::LabelColumns;
use super::numbers::Numbers;
use super::open::left_out;
use super::read::{Builder, Table, TargetReading, Targets, Values};
use super::rows::Rows;
use super::scale::{Scale, Scaling, TargetScale, moments, quantile};
use super::source::TableSource;
use crate::batch::{DType, Slot};
use crate::codes::MISSING;
use crate::dataset::{Opened, Task};
use crate::error::{Error, Result};
use crate::source::Cell;

/// Index of a missing category.
pub const MISSING_INDEX: i32 = 0;
/// Index of a category that was not seen in training, or only once.
pub const UNKNOWN_INDEX: i32 = 1;

/// One number made from a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Facet {
    /// The number itself, a truth value as 1 or 0, or days since 1970-01-01.
    Value,
    /// Year of a date.
    Year,
    /// Month of a date, 1 to 12; of models that were trained before months were angles, as the next two.
    Month,
    /// Weekday of a date, 0 (Monday) to 6.
    Weekday,
    /// Hour of a time, 0 to 24 with fractions.
    Hour,
    /// Sine of the month's angle, so that December lies beside January.
    MonthSine,
    /// Its cosine.
    MonthCosine,
    /// Sine of the weekday's angle.
    WeekdaySine,
    /// Its cosine.
    WeekdayCosine,
    /// Sine of the hour's angle.
    HourSine,
    /// Its cosine.
    HourCosine,
}

impl Facet {
    fn of(self, value: f64) -> f64 {
        match self {
            Facet::Value => value,
            Facet::Year => calendar(value).0,
            Facet::Month => calendar(value).1,
            Facet::Weekday => calendar(value).2,
            Facet::Hour => value.rem_euclid(1.0) * 24.0,
            Facet::MonthSine => (Facet::Month.of(value) / 12.0 * TAU).sin(),
            Facet::MonthCosine => (Facet::Month.of(value) / 12.0 * TAU).cos(),
            Facet::WeekdaySine => (Facet::Weekday.of(value) / 7.0 * TAU).sin(),
            Facet::WeekdayCosine => (Facet::Weekday.of(value) / 7.0 * TAU).cos(),
            Facet::HourSine => (value.rem_euclid(1.0) * TAU).sin(),
            Facet::HourCosine => (value.rem_euclid(1.0) * TAU).cos(),
        }
    }

    /// What is added to the name of the column; nothing for the value itself.
    fn name(self) -> Option<&'static str> {
        Some(match self {
            Facet::Value => return None,
            Facet::Year => "year",
            Facet::Month => "month",
            Facet::Weekday => "weekday",
            Facet::Hour => "hour",
            Facet::MonthSine => "month sine",
            Facet::MonthCosine => "month cosine",
            Facet::WeekdaySine => "weekday sine",
            Facet::WeekdayCosine => "weekday cosine",
            Facet::HourSine => "hour sine",
            Facet::HourCosine => "hour cosine",
        })
    }

    /// The numbers made of dates: the days that have passed, and of year, month, weekday and hour those that vary. What comes
    /// round again is an angle, by its sine and cosine.
    fn of_dates(days: &[f64]) -> Vec<Facet> {
        let mut facets = vec![Facet::Value];
        for (varies, made) in [
            (Facet::Year, &[Facet::Year][..]),
            (Facet::Month, &[Facet::MonthSine, Facet::MonthCosine]),
            (Facet::Weekday, &[Facet::WeekdaySine, Facet::WeekdayCosine]),
            (Facet::Hour, &[Facet::HourSine, Facet::HourCosine]),
        ] {
            let first = varies.of(days[0]);
            if days.iter().any(|&day| varies.of(day) != first) {
                facets.extend(made);
            }
        }
        facets
    }
}

/// How a column becomes inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "encoding", rename_all = "snake_case")]
pub enum Encoding {
    /// Numbers in the slot `numeric`.
    Numeric {
        /// Stands for a missing value: the training median.
        fill: f64,
        /// Whether a further input says 1 where the value is missing.
        indicator: bool,
        /// The numbers made from the column, each with its scaling.
        facets: Vec<(Facet, Scale)>,
    },
    /// An index in the slot `categories`: 0 missing, 1 unknown, 2 and on these words.
    Category {
        /// The words known, each seen twice or more in training.
        words: Vec<String>,
    },
}

/// A column that is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnSpec {
    /// Its name.
    pub name: String,
    /// How its text is read.
    pub kind: ColumnKind,
    /// How its values are encoded.
    #[serde(flatten)]
    pub encoding: Encoding,
}

/// Everything needed to turn new rows into a network's inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TablePreprocessor {
    /// Version of this format.
    pub version: u32,
    /// Whether the tables have a header.
    pub header: bool,
    /// The columns used, in the order of the inputs.
    pub columns: Vec<ColumnSpec>,
    /// Name of the target column.
    pub target: String,
    /// The task, with the class names in the order of the network's outputs.
    pub task: Task,
    /// Standardisation of a regression target.
    pub target_scale: Option<TargetScale>,
    /// How the numbers of a regression target are written, if not as programs write them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_amount: Option<AmountForm>,
    /// Of rows with any number of labels the columns that say which; the target is their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelColumns>,
}

impl TablePreprocessor {
    /// The newest version of the format.
    pub const VERSION: u32 = 2;

    /// Fits to some rows of a table.
    pub(crate) fn fit(table: &Table, rows: &[u32], header: bool, target: &str, task: &Task, scaling: Scaling) -> Self {
        let columns = table.columns.iter().map(|column| {
            let encoding = match &column.values {
                Values::Numbers(values) => fit_numeric(values, rows, column.kind, scaling),
                Values::Codes { codes, words } => {
                    let mut counts = vec![0u32; words.len()];
                    rows.iter().map(|&row| codes.get(row as usize)).filter(|&code| code != MISSING).for_each(|code| {
                        counts[code as usize] += 1;
                    });
                    // Words seen once train the index that unseen ones will have.
                    let known = words.iter().zip(counts).filter(|(_, count)| *count >= 2);
                    let mut words: Vec<String> = known.map(|(word, _)| word.clone()).collect();
                    words.sort();
                    Encoding::Category { words }
                }
            };
            ColumnSpec { name: column.name.clone(), kind: column.kind, encoding }
        });
        let target_scale = match &table.targets {
            Targets::Values(values) => {
                let training: Vec<f64> = rows.iter().map(|&row| values[row as usize]).collect();
                let (mean, deviation) = moments(&training);
                Some(TargetScale { mean, deviation })
            }
            _ => None,
        };
        TablePreprocessor {
            version: Self::VERSION,
            header,
            columns: columns.collect(),
            target: target.to_string(),
            task: task.clone(),
            target_scale,
            target_amount: None,
            labels: None,
        }
    }

    /// Whether all values are in range; a damaged file must not lead to a panic later.
    pub(crate) fn is_sound(&self) -> bool {
        let matches_kind = |column: &ColumnSpec| {
            matches!(column.encoding, Encoding::Category { .. }) == (column.kind == ColumnKind::Category)
        };
        let scale = match (&self.task, self.target_scale) {
            (Task::Classification { classes }, None) => !classes.is_empty() && self.labels.is_none(),
            (Task::MultiLabel { classes }, None) => !classes.is_empty() && self.labels.is_some(),
            (Task::Regression, Some(scale)) => scale.mean.is_finite() && scale.deviation > 0.0,
            _ => false,
        };
        scale && !self.columns.is_empty() && self.columns.iter().all(|c| matches_kind(c) && c.encoding.is_sound())
    }

    /// The input slots: `numeric` (`F32`) and `categories` (`I32`, with cardinalities), each only if it has columns.
    pub fn slots(&self) -> Vec<Slot> {
        let mut cardinalities = Vec::new();
        for column in &self.columns {
            if let Encoding::Category { words } = &column.encoding {
                cardinalities.push(words.len() + 2);
            }
        }
        let numeric = self.numeric_names().len();
        let mut slots = Vec::new();
        if numeric > 0 {
            let name = "numeric".to_string();
            slots.push(Slot::new(&name, &[numeric], DType::F32));
        }
        if !cardinalities.is_empty() {
            let shape = vec![cardinalities.len()];
            slots.push(Slot { cardinalities, ..Slot::new("categories", &shape, DType::I32) });
        }
        slots
    }

    /// What each value of the slot `numeric` is, such as `age`, `age missing`, `date month sine`.
    pub fn numeric_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for column in &self.columns {
            if let Encoding::Numeric { indicator, facets, .. } = &column.encoding {
                names.extend(facets.iter().map(|(facet, _)| match facet.name() {
                    None => column.name.clone(),
                    Some(name) => format!("{} {name}", column.name),
                }));
                if *indicator {
                    names.push(format!("{} missing", column.name));
                }
            }
        }
        names
    }

    /// What each value of the slot `categories` is.
    pub fn category_names(&self) -> Vec<&str> {
        let categories = self.columns.iter().filter(|column| matches!(column.encoding, Encoding::Category { .. }));
        categories.map(|column| column.name.as_str()).collect()
    }

    fn features(&self) -> Vec<(String, ColumnKind)> {
        self.columns.iter().map(|column| (column.name.clone(), column.kind)).collect()
    }

    /// Words of each column that the model knows; none for columns of numbers.
    fn known_words(&self) -> Vec<&[String]> {
        let mut known = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            known.push(match &column.encoding {
                Encoding::Category { words } => words.as_slice(),
                Encoding::Numeric { .. } => &[],
            });
        }
        known
    }

    /// Adds to an error about a file that is no table which table is needed.
    fn explain(&self, error: Error) -> Error {
        const NAMED: usize = 8;
        let (path, problem) = match error {
            Error::NotATable { path, problem, .. } => (path, problem),
            Error::EmptyFile { path } => (path, "is empty".to_string()),
            other => return other,
        };
        let mut names: Vec<&str> = self.columns.iter().take(NAMED).map(|column| column.name.as_str()).collect();
        let more = format!("and {} more", self.columns.len().saturating_sub(NAMED));
        if self.columns.len() > NAMED {
            names.push(&more);
        }
        let names = names.join(", ");
        let needed =
            format!("; the model was trained on a table with the columns {names}: give it a table with those columns");
        Error::NotATable { path, problem, needed }
    }

    /// Reads rows with their target, or, of a file whose rows have any number of labels, with those.
    fn read(
        self: &Arc<Self>,
        rows: &mut Rows<'_>,
        reading: TargetReading,
        labels: Option<(&LabelColumns, &Path)>,
        threads: usize,
    ) -> Result<Opened> {
        let labelled = !matches!(reading, TargetReading::Skip) || labels.is_some();
        let mut builder = Builder::new(&self.features(), &self.target, reading, 0);
        builder.read(rows, Some(&self.known_words()), threads)?;
        if builder.len() == 0 {
            return Err(Error::TooFewRows { name: rows.name.clone(), rows: 0, unit: "row(s)", least: 1 });
        }
        let (mut dropped, odd) = (builder.dropped, std::mem::take(&mut builder.notes));
        let mut table = builder.finish_known();
        if let Some((columns, path)) = labels {
            dropped = columns.attach(&mut table, (path, self.header), self.task.classes(), threads)?;
            if table.len() == 0 {
                return Err(Error::TooFewRows { name: rows.name.clone(), rows: 0, unit: "row(s)", least: 1 });
            }
        }
        let names = table.file_rows.iter().map(|row| row.to_string()).collect();
        let source = TableSource::new(Arc::new(table), self.clone(), labelled);
        let mut opened = Opened::new(Arc::new(source), names, Vec::new(), &[]);
        opened.header = Some(self.header);
        if dropped > 0 {
            opened.notes.push(left_out(dropped));
        }
        opened.notes.extend(odd);
        Ok(opened)
    }

    /// Opens a table that has the target column, on so many threads.
    ///
    /// # Errors
    /// As for [`open`](crate::open), for a missing column, and for a class the model does not know.
    pub fn open_labelled(self: &Arc<Self>, path: &Path, threads: usize) -> Result<Opened> {
        let mut rows = Rows::open(path, Some(self.header)).map_err(|error| self.explain(error))?;
        let reading = match (&self.task, self.target_amount) {
            (Task::Classification { classes }, _) => TargetReading::KnownClasses(classes.clone()),
            (Task::MultiLabel { .. }, _) => TargetReading::Skip,
            (Task::Regression, Some(form)) => TargetReading::Numbers(ColumnKind::Amount(form)),
            (Task::Regression | Task::NextToken | Task::Labels { .. } | Task::Similarity { .. }, None | Some(_)) => {
                TargetReading::Numbers(ColumnKind::Number)
            }
        };
        self.read(&mut rows, reading, self.labels.as_ref().map(|columns| (columns, path)), threads)
    }

    /// Opens new rows, on so many threads; the target column is not needed, and ignored where it is.
    ///
    /// # Errors
    /// If the file is not a table, a column the model uses is missing, or no value of one can be read.
    pub fn open_inputs(self: &Arc<Self>, path: &Path, threads: usize) -> Result<Opened> {
        let mut rows = Rows::open(path, Some(self.header)).map_err(|error| self.explain(error))?;
        self.read(&mut rows, TargetReading::Skip, None, threads)
    }

    /// Reads new rows from anywhere, as [`open_inputs`](Self::open_inputs) does.
    ///
    /// # Errors
    /// If the text is not a table, a column the model uses is missing, or no value of one can be read.
    pub fn read_inputs(self: &Arc<Self>, reader: impl Read, name: &str) -> Result<Opened> {
        let mut rows = Rows::read(reader, name, Some(self.header)).map_err(|error| self.explain(error))?;
        self.read(&mut rows, TargetReading::Skip, None, 1)
    }
}

fn fit_numeric(values: &Numbers, rows: &[u32], kind: ColumnKind, scaling: Scaling) -> Encoding {
    let mut present: Vec<f64> =
        rows.iter().map(|&row| values.get(row as usize)).filter(|value| !value.is_nan()).collect();
    let indicator = present.len() < rows.len();
    present.sort_unstable_by(f64::total_cmp);
    if present.is_empty() {
        present.push(0.0);
    }
    let fill = quantile(&present, 0.5);
    let facets = match kind {
        ColumnKind::Date(_) => Facet::of_dates(&present),
        _ => vec![Facet::Value],
    };
    let fitted = facets.into_iter().map(|facet| {
        let mut made: Vec<f64> = present.iter().map(|&value| facet.of(value)).collect();
        if facet != Facet::Value {
            made.sort_unstable_by(f64::total_cmp);
        }
        (facet, Scale::fit(scaling, &made))
    });
    Encoding::Numeric { fill, indicator, facets: fitted.collect() }
}

impl ColumnSpec {
    /// A value of this column as people write it: a date as a date, a missing value in words.
    pub fn shown(&self, cell: Option<&Cell>) -> String {
        match (cell, self.kind) {
            (None | Some(Cell::Missing), _) => "missing".to_string(),
            (Some(Cell::Word(word)), _) => word.clone(),
            (Some(Cell::Number(days)), ColumnKind::Date(_)) => moment(*days),
            (Some(Cell::Number(number)), ColumnKind::Boolean) => (*number == 1.0).to_string(),
            (Some(Cell::Number(number)), _) => number.to_string(),
        }
    }

    /// Appends to the inputs `numeric` and `categories` of a row what this column makes of a value.
    pub fn push(&self, cell: &Cell, numeric: &mut Vec<f32>, categories: &mut Vec<i32>) {
        match (&self.encoding, cell) {
            (Encoding::Numeric { .. }, Cell::Number(value)) => self.encoding.push_number(*value, numeric),
            (Encoding::Numeric { .. }, _) => self.encoding.push_number(f64::NAN, numeric),
            (Encoding::Category { .. }, Cell::Word(word)) => {
                categories.extend(self.encoding.indices(std::slice::from_ref(word)));
            }
            (Encoding::Category { .. }, _) => categories.push(MISSING_INDEX),
        }
    }

    /// How many values of the slot `numeric` are this column's; a category has one of the slot `categories` instead.
    pub fn numbers(&self) -> usize {
        match &self.encoding {
            Encoding::Numeric { indicator, facets, .. } => facets.len() + usize::from(*indicator),
            Encoding::Category { .. } => 0,
        }
    }
}

impl Encoding {
    fn is_sound(&self) -> bool {
        match self {
            Encoding::Category { .. } => true,
            Encoding::Numeric { fill, facets, .. } => {
                fill.is_finite() && !facets.is_empty() && facets.iter().all(|(_, scale)| scale.is_sound())
            }
        }
    }

    /// Appends the inputs made from a number (NaN is missing).
    pub(crate) fn push_number(&self, value: f64, out: &mut Vec<f32>) {
        if let Encoding::Numeric { fill, indicator, facets } = self {
            let missing = value.is_nan();
            let value = if missing { *fill } else { value };
            out.extend(facets.iter().map(|(facet, scale)| scale.apply(facet.of(value))));
            if *indicator {
                out.push(f32::from(u8::from(missing)));
            }
        }
    }

    /// The index of each of a table's words.
    pub(crate) fn indices(&self, table: &[String]) -> Vec<i32> {
        let Encoding::Category { words } = self else { return Vec::new() };
        let known: HashMap<&str, i32> =
            words.iter().enumerate().map(|(i, word)| (word.as_str(), i as i32 + 2)).collect();
        table.iter().map(|word| known.get(word.as_str()).copied().unwrap_or(UNKNOWN_INDEX)).collect()
    }
}
