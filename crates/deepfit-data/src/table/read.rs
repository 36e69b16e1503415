//! Rows of text into typed columns.

use std::collections::HashMap;
use std::io::Read;

use super::csv::{Fields, Place, Rows, is_missing, number};
use super::infer::{ColumnKind, boolean};
use super::odd::Tally;
use crate::error::{Error, Result};
use crate::memory::heap_bytes;

/// Code of a missing category.
pub(crate) const MISSING: u32 = u32::MAX;

/// Values of a feature.
pub(crate) enum Values {
    /// Numbers, truth values (1 and 0) or days; NaN is missing.
    Numbers(Vec<f64>),
    /// Indices into the words, or [`MISSING`].
    Codes {
        /// One per row.
        codes: Vec<u32>,
        /// Words in order of appearance.
        words: Vec<String>,
    },
}

/// A feature column.
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: ColumnKind,
    pub(crate) values: Values,
}

/// Targets of all rows.
pub(crate) enum Targets {
    None,
    Classes(Vec<u32>),
    Values(Vec<f64>),
}

/// A table in memory.
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) targets: Targets,
    /// Data row in its file of each row, counted from 0.
    pub(crate) file_rows: Vec<u32>,
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.file_rows.len()
    }

    pub(crate) fn resident_bytes(&self) -> usize {
        let column = |column: &Column| match &column.values {
            Values::Numbers(values) => values.capacity() * 8,
            Values::Codes { codes, words } => {
                let text: usize = words.iter().map(|word| heap_bytes(word.capacity()) + size_of::<String>()).sum();
                codes.capacity() * 4 + text
            }
        };
        let targets = match &self.targets {
            Targets::None => 0,
            Targets::Classes(classes) => classes.capacity() * 4,
            Targets::Values(values) => values.capacity() * 8,
        };
        self.columns.iter().map(column).sum::<usize>() + targets + self.file_rows.capacity() * 4
    }
}

/// How the target column is read.
pub(crate) enum TargetReading {
    /// Not at all: new rows.
    Skip,
    /// As classes; new ones are added.
    NewClasses,
    /// As one of these classes.
    KnownClasses(Vec<String>),
    /// As numbers written in this way.
    Numbers(ColumnKind),
}

/// Collects the rows of one or several files.
pub(crate) struct Builder {
    table: Table,
    indices: Vec<HashMap<String, u32>>,
    target: String,
    reading: TargetReading,
    classes: HashMap<String, u32>,
    /// Rows left out because their target is missing.
    pub(crate) dropped: u64,
    /// What was odd in each column of the file being read.
    tallies: Vec<Tally>,
    /// What a reader should know about odd values, one sentence each.
    pub(crate) notes: Vec<String>,
}

/// The number a text stands for in a column of a kind.
fn read_number(text: &str, kind: ColumnKind, delimiter: u8) -> Option<f64> {
    match kind {
        ColumnKind::Amount(form) => form.parse(text),
        ColumnKind::Date(form) => form.parse(text),
        ColumnKind::Boolean => boolean(text).map(f64::from),
        ColumnKind::Number | ColumnKind::Category => number(text, delimiter),
    }
}

/// Targets are compared with predictions as 32-bit numbers. (Features may be larger: they are scaled before.)
fn is_too_large(value: f64) -> bool {
    value.abs() > f64::from(f32::MAX)
}

/// The name of a class: whole numbers without decimals, so that `1` and `1.0` are one class.
pub(crate) fn label(text: &str, delimiter: u8) -> String {
    match number(text, delimiter) {
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{}", value as i64),
        _ => text.to_string(),
    }
}

/// Whether a target is missing; unlike for features, the word "none" may be a class.
pub(crate) fn is_target_missing(text: &str) -> bool {
    is_missing(text) && !text.eq_ignore_ascii_case("none")
}

impl Builder {
    /// A builder for features of these names and kinds; `rows` is how many are expected.
    pub(crate) fn new(features: &[(String, ColumnKind)], target: &str, reading: TargetReading, rows: usize) -> Builder {
        let column = |(name, kind): &(String, ColumnKind)| Column {
            name: name.clone(),
            kind: *kind,
            values: match kind {
                ColumnKind::Category => Values::Codes { codes: Vec::with_capacity(rows), words: Vec::new() },
                _ => Values::Numbers(Vec::with_capacity(rows)),
            },
        };
        let (targets, classes) = match &reading {
            TargetReading::Skip => (Targets::None, HashMap::new()),
            TargetReading::NewClasses => (Targets::Classes(Vec::with_capacity(rows)), HashMap::new()),
            TargetReading::KnownClasses(names) => {
                let index = names.iter().enumerate().map(|(i, name)| (name.clone(), i as u32)).collect();
                (Targets::Classes(Vec::with_capacity(rows)), index)
            }
            TargetReading::Numbers(_) => (Targets::Values(Vec::with_capacity(rows)), HashMap::new()),
        };
        Builder {
            table: Table {
                columns: features.iter().map(column).collect(),
                targets,
                file_rows: Vec::with_capacity(rows),
            },
            indices: features.iter().map(|_| HashMap::new()).collect(),
            target: target.to_string(),
            reading,
            classes,
            dropped: 0,
            tallies: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Appends all rows of a file, whose columns may be in another order. `known` are the words of each column that
    /// the model knows, where there is a model.
    ///
    /// # Errors
    /// For a value that cannot be used, and for a column without a single readable value. Other unreadable values are
    /// missing, which the notes say.
    pub(crate) fn read<R: Read>(&mut self, rows: &mut Rows<R>, known: Option<&[&[String]]>) -> Result<()> {
        if !rows.header && matches!(self.reading, TargetReading::Skip) {
            self.name_without_target(rows);
        }
        let locate = |name: &str| {
            rows.columns.iter().position(|column| column == name).ok_or_else(|| Error::NoColumn {
                name: rows.name.clone(),
                column: name.to_string(),
                columns: rows.columns.join(", "),
            })
        };
        let places: Vec<usize> = self.table.columns.iter().map(|column| locate(&column.name)).collect::<Result<_>>()?;
        let target = match self.reading {
            TargetReading::Skip => None,
            _ => Some(locate(&self.target)?),
        };
        let (name, delimiter, columns) = (rows.name.clone(), rows.delimiter, rows.columns.join(", "));
        self.tallies = self.table.columns.iter().map(|_| Tally::default()).collect();
        let mut count = 0_u64;
        while let Some(fields) = rows.next()? {
            count += 1;
            if let Some(target) = target
                && !self.add_target(fields.get(target), fields.place, &name, delimiter)?
            {
                self.dropped += 1;
                continue;
            }
            self.add_features(&fields, &places, &name, delimiter)?;
            self.table.file_rows.push(fields.place.row as u32);
        }
        if count == 0 {
            return Err(Error::NoRows { name, columns });
        }
        for (i, (column, tally)) in self.table.columns.iter().zip(&mut self.tallies).enumerate() {
            if let (Some(known), Values::Codes { codes, words }) = (known, &column.values) {
                tally.find_unknown(codes, words, known.get(i).copied().unwrap_or_default());
            }
            self.notes.extend(tally.finish(&name, &column.name, column.kind)?);
        }
        Ok(())
    }

    /// Rows without header that lack exactly the target: gives the columns the names they had.
    fn name_without_target<R: Read>(&self, rows: &mut Rows<R>) {
        let Some(target) = self.target.strip_prefix("column_").and_then(|n| n.parse::<usize>().ok()) else { return };
        let has = |i: usize| self.table.columns.iter().any(|column| column.name == format!("column_{i}"));
        let count = rows.columns.len();
        // With the target, there is one column more than the last feature or the target needs.
        if target > count || has(count + 1) {
            rows.columns = (1..=count + 1).filter(|&i| i != target).map(|i| format!("column_{i}")).collect();
        }
    }

    /// Whether the row has a target.
    fn add_target(&mut self, text: &str, place: Place, name: &str, delimiter: u8) -> Result<bool> {
        let refuse = |problem| Err(Rows::<std::io::Empty>::value_error(name, place, &self.target, text, problem));
        let kind = if let TargetReading::Numbers(kind) = self.reading { kind } else { ColumnKind::Number };
        match &mut self.table.targets {
            Targets::None => {}
            Targets::Values(values) => {
                if text.eq_ignore_ascii_case("nan") {
                    return refuse("is not a number; repair it, or leave the field empty to leave the row out");
                }
                if is_target_missing(text) {
                    return Ok(false);
                }
                match read_number(text, kind, delimiter) {
                    Some(value) if value.is_infinite() => return refuse("is infinite; a target must be finite"),
                    Some(value) if is_too_large(value) => {
                        return refuse(
                            "is beyond 3.4e38, the largest 32-bit number; divide the target by a power of ten, or take \
                             its logarithm",
                        );
                    }
                    Some(value) => values.push(value),
                    None => {
                        return refuse("is not a number; regression needs numbers, use task=classification for words");
                    }
                }
            }
            Targets::Classes(classes) => {
                if is_target_missing(text) {
                    return Ok(false);
                }
                let label = label(text, delimiter);
                let next = self.classes.len() as u32;
                match (self.classes.get(&label), &self.reading) {
                    (Some(&class), _) => classes.push(class),
                    (None, TargetReading::KnownClasses(known)) => {
                        let known = known.join(", ");
                        return Err(Error::UnknownClass { path: name.into(), class: label, known });
                    }
                    (None, _) => {
                        self.classes.insert(label, next);
                        classes.push(next);
                    }
                }
            }
        }
        Ok(true)
    }

    fn add_features(&mut self, fields: &Fields<'_>, places: &[usize], name: &str, delimiter: u8) -> Result<()> {
        let columns = self.table.columns.iter_mut().zip(&mut self.indices).zip(&mut self.tallies);
        for (((column, index), tally), &at) in columns.zip(places) {
            let text = fields.get(at);
            let missing = is_missing(text);
            tally.present += u64::from(!missing);
            match &mut column.values {
                Values::Codes { codes, words } => {
                    let code = if missing {
                        MISSING
                    } else if let Some(&code) = index.get(text) {
                        code
                    } else {
                        let code = words.len() as u32;
                        words.push(text.to_string());
                        index.insert(text.to_string(), code);
                        tally.lines.push(fields.place.line);
                        code
                    };
                    codes.push(code);
                }
                Values::Numbers(values) => {
                    let value = if missing { None } else { read_number(text, column.kind, delimiter) };
                    if value.is_some_and(f64::is_infinite) {
                        let problem = "is infinite; replace it by a number or leave it empty";
                        return Err(Rows::<std::io::Empty>::value_error(
                            name,
                            fields.place,
                            &column.name,
                            text,
                            problem,
                        ));
                    }
                    if value.is_none() && !missing {
                        tally.add(text, fields.place.line);
                    }
                    values.push(value.unwrap_or(f64::NAN));
                }
            }
        }
        Ok(())
    }

    /// Rows collected so far.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// From now on a class that was not seen before is an error.
    pub(crate) fn close_classes(&mut self) {
        if let TargetReading::NewClasses = self.reading {
            let mut names: Vec<(String, u32)> = self.classes.iter().map(|(k, &v)| (k.clone(), v)).collect();
            names.sort_by_key(|(_, index)| *index);
            self.reading = TargetReading::KnownClasses(names.into_iter().map(|(name, _)| name).collect());
        }
    }

    /// The table with classes numbered as they were given.
    pub(crate) fn finish_known(self) -> Table {
        self.table
    }

    /// The table and its classes: in numeric order if all are numbers, else in alphabetical order.
    pub(crate) fn finish(mut self) -> (Table, Vec<String>) {
        let mut order: Vec<(String, u32)> = self.classes.into_iter().collect();
        let value = |name: &str| name.parse::<f64>().ok();
        if order.iter().all(|(name, _)| value(name).is_some()) {
            order.sort_by(|a, b| value(&a.0).unwrap_or(0.0).total_cmp(&value(&b.0).unwrap_or(0.0)));
        } else {
            order.sort();
        }
        let mut rank = vec![0; order.len()];
        for (new, (_, old)) in order.iter().enumerate() {
            rank[*old as usize] = new as u32;
        }
        if let Targets::Classes(classes) = &mut self.table.targets {
            classes.iter_mut().for_each(|class| *class = rank[*class as usize]);
        }
        for column in &mut self.table.columns {
            if let Values::Codes { words, .. } = &mut column.values {
                words.shrink_to_fit();
            }
        }
        (self.table, order.into_iter().map(|(name, _)| name).collect())
    }
}
