//! Rows of text into typed columns.

use super::file_rows::FileRows;
use super::infer::{ColumnKind, boolean};
use super::kept::{Index, Kept};
use super::numbers::Numbers;
use super::odd::Tally;
use super::records::{Fields, Records};
use super::rows::{Base, Rows, is_missing, number, places, value_error};
use crate::codes::{Codes, MISSING};
use crate::error::{Error, Result};
use crate::memory::heap_bytes;

/// Values of a feature.
pub(crate) enum Values {
    /// Numbers, truth values (1 and 0) or days; NaN is missing.
    Numbers(Numbers),
    /// Indices into the words, or [`MISSING`].
    Codes {
        /// One per row.
        codes: Codes,
        /// Words in order of appearance.
        words: Vec<String>,
    },
}

impl Values {
    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        match self {
            Values::Numbers(values) => values.len(),
            Values::Codes { codes, .. } => codes.len(),
        }
    }

    /// Bytes of a value.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Values::Numbers(_) => 8,
            Values::Codes { .. } => 4,
        }
    }
}

/// A feature column.
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: ColumnKind,
    pub(crate) values: Values,
}

/// Targets of all rows.
#[derive(Clone)]
pub(crate) enum Targets {
    None,
    Classes(Codes),
    Values(Vec<f64>),
    /// The labels of each row, ascending.
    Labels(Vec<Box<[u32]>>),
}

/// A table in memory.
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) targets: Targets,
    /// Data row in its file of each row.
    pub(crate) file_rows: FileRows,
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.file_rows.len()
    }

    /// Keeps some rows, which are ascending. Targets are left alone: they are not there yet.
    pub(crate) fn keep(&mut self, rows: &[u32]) {
        let of = |row: &u32| *row as usize;
        for column in &mut self.columns {
            match &mut column.values {
                Values::Numbers(values) => *values = rows.iter().map(|row| values.get(of(row))).collect(),
                Values::Codes { codes, .. } => *codes = rows.iter().map(|row| codes.get(of(row))).collect(),
            }
        }
        self.file_rows = FileRows::Of(rows.iter().map(|row| self.file_rows.get(of(row))).collect());
    }

    pub(crate) fn resident_bytes(&self) -> usize {
        let column = |column: &Column| match &column.values {
            Values::Numbers(values) => values.resident_bytes(),
            Values::Codes { codes, words } => {
                let text: usize = words.iter().map(|word| heap_bytes(word.capacity()) + size_of::<String>()).sum();
                codes.resident_bytes() + text
            }
        };
        let targets = match &self.targets {
            Targets::None => 0,
            Targets::Classes(classes) => classes.resident_bytes(),
            Targets::Values(values) => values.capacity() * 8,
            Targets::Labels(sets) => sets.iter().map(|of| size_of::<Box<[u32]>>() + heap_bytes(of.len() * 4)).sum(),
        };
        self.columns.iter().map(column).sum::<usize>() + targets + self.file_rows.resident_bytes()
    }
}

/// How the target column is read.
#[derive(Clone)]
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
    indices: Vec<Index>,
    target: String,
    reading: TargetReading,
    classes: Index,
    /// Rows left out because their target is missing.
    pub(crate) dropped: u64,
    /// What was odd in each column of the file being read.
    tallies: Vec<Tally>,
    /// What a reader should know about odd values, one sentence each.
    pub(crate) notes: Vec<String>,
}

/// How the rows of a file are read, the same for all of its blocks.
struct Manner<'a> {
    /// Name, kind and place of each feature.
    features: Vec<(&'a str, ColumnKind, usize)>,
    /// Name and place of the target, if it is read.
    target: Option<(&'a str, usize)>,
    reading: &'a TargetReading,
    /// Indices of the classes known so far.
    classes: &'a Index,
    name: &'a str,
    delimiter: u8,
}

/// What was read of a block. Its words and classes are numbered by themselves.
struct Part {
    values: Vec<Values>,
    indices: Vec<Index>,
    tallies: Vec<Tally>,
    targets: Targets,
    labels: Vec<String>,
    /// Class of each text of the target that was met: labels are told apart by value, and most texts are met again.
    texts: Index,
    file_rows: Vec<u32>,
    dropped: u64,
    rows: u64,
}

/// The number a text stands for in a column of a kind.
pub(crate) fn read_number(text: &str, kind: ColumnKind, delimiter: u8) -> Option<f64> {
    match kind {
        ColumnKind::Amount(form) => form.parse(text),
        ColumnKind::Date(form) => form.parse(text),
        ColumnKind::Boolean => boolean(text).map(f64::from),
        ColumnKind::Number | ColumnKind::Category => number(text, delimiter),
    }
}

/// Targets are compared with predictions as 32-bit numbers. (Features may be larger: they are scaled before.)
pub(crate) fn is_too_large(value: f64) -> bool {
    value.abs() > f64::from(f32::MAX)
}

/// The name of a class: whole numbers without decimals, so that `1` and `1.0` are one class.
pub(crate) fn label(text: &str, delimiter: u8) -> String {
    match number(text, delimiter) {
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{}", value as i64),
        _ => text.to_string(),
    }
}

/// Sorts names of classes: in numeric order if all are numbers, else in alphabetical order.
pub(crate) fn in_class_order<T>(names: &mut [(String, T)]) {
    let value = |name: &str| name.parse::<f64>().ok();
    if names.iter().all(|(name, _)| value(name).is_some()) {
        names.sort_by(|a, b| value(&a.0).unwrap_or(0.0).total_cmp(&value(&b.0).unwrap_or(0.0)));
    } else {
        names.sort_by(|a, b| a.0.cmp(&b.0));
    }
}

/// Whether a target is missing; unlike for features, the word "none" may be a class.
pub(crate) fn is_target_missing(text: &str) -> bool {
    is_missing(text) && !text.eq_ignore_ascii_case("none")
}

impl Manner<'_> {
    fn read(&self, records: &mut Records<'_>) -> Result<Part> {
        let mut part = Part {
            values: self.features.iter().map(|(_, kind, _)| empty(*kind, 0)).collect(),
            indices: self.features.iter().map(|_| Index::default()).collect(),
            tallies: self.features.iter().map(|_| Tally::default()).collect(),
            targets: self.reading.empty(0),
            labels: Vec::new(),
            texts: Index::default(),
            file_rows: Vec::new(),
            dropped: 0,
            rows: 0,
        };
        while let Some(fields) = records.next()? {
            let row = part.rows;
            part.rows += 1;
            if let Some((column, at)) = self.target
                && !self.add_target(&mut part, &fields, column, at)?
            {
                part.dropped += 1;
                continue;
            }
            self.add_features(&mut part, &fields)?;
            part.file_rows.push(row as u32);
        }
        Ok(part)
    }

    /// Whether the row has a target.
    fn add_target(&self, part: &mut Part, fields: &Fields<'_>, column: &str, at: usize) -> Result<bool> {
        let text = fields.get(at);
        let refuse = |problem| Err(value_error(self.name, fields.place(), column, text, problem));
        let kind = if let TargetReading::Numbers(kind) = self.reading { *kind } else { ColumnKind::Number };
        match &mut part.targets {
            // Labels stand in several columns, or several in one; they are read by themselves.
            Targets::None | Targets::Labels(_) => {}
            Targets::Values(values) => {
                if text.eq_ignore_ascii_case("nan") {
                    return refuse("is not a number; repair it, or leave the field empty to leave the row out");
                }
                if is_target_missing(text) {
                    return Ok(false);
                }
                match read_number(text, kind, self.delimiter) {
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
                if let Some(&class) = part.texts.get(text) {
                    classes.push(class);
                    return Ok(true);
                }
                // A word such as NA is a class where it was found to be one.
                if is_target_missing(text) && !self.classes.contains_key(text) {
                    return Ok(false);
                }
                let label = label(text, self.delimiter);
                if let TargetReading::KnownClasses(known) = self.reading
                    && !self.classes.contains_key(&label)
                {
                    return Err(Error::UnknownClass { path: self.name.into(), class: label, known: known.join(", ") });
                }
                // Another text may have had the same label.
                let position = part.labels.iter().position(|other| *other == label);
                let class = position.unwrap_or_else(|| {
                    part.labels.push(label);
                    part.labels.len() - 1
                });
                part.texts.insert(text.to_string(), class as u32);
                classes.push(class as u32);
            }
        }
        Ok(true)
    }

    fn add_features(&self, part: &mut Part, fields: &Fields<'_>) -> Result<()> {
        let columns = part.values.iter_mut().zip(&mut part.indices).zip(&mut part.tallies);
        for (((values, index), tally), &(column, kind, at)) in columns.zip(&self.features) {
            let text = fields.get(at);
            let missing = is_missing(text);
            tally.present += u64::from(!missing);
            match values {
                Values::Codes { codes, words } => {
                    let code = if missing {
                        MISSING
                    } else if let Some(&code) = index.get(text) {
                        code
                    } else {
                        let code = words.len() as u32;
                        words.push(text.to_string());
                        index.insert(text.to_string(), code);
                        tally.places.push(fields.place());
                        code
                    };
                    codes.push(code);
                }
                Values::Numbers(values) => {
                    let value = if missing { None } else { read_number(text, kind, self.delimiter) };
                    if value.is_some_and(f64::is_infinite) {
                        let problem = "is infinite; replace it by a number or leave it empty";
                        return Err(value_error(self.name, fields.place(), column, text, problem));
                    }
                    if value.is_none() && !missing {
                        tally.add(text, || fields.place());
                    }
                    values.push(value.unwrap_or(f64::NAN));
                }
            }
        }
        Ok(())
    }
}

/// No values of a kind, with room for so many.
fn empty(kind: ColumnKind, rows: usize) -> Values {
    match kind {
        ColumnKind::Category => Values::Codes { codes: Codes::with_capacity(rows), words: Vec::new() },
        _ => Values::Numbers(Numbers::with_capacity(rows.min(1 << 14))),
    }
}

impl TargetReading {
    /// No targets, with room for so many.
    fn empty(&self, rows: usize) -> Targets {
        match self {
            TargetReading::Skip => Targets::None,
            TargetReading::NewClasses | TargetReading::KnownClasses(_) => Targets::Classes(Codes::with_capacity(rows)),
            TargetReading::Numbers(_) => Targets::Values(Vec::with_capacity(rows)),
        }
    }
}

impl Builder {
    /// A builder for features of these names and kinds; `rows` is how many are expected.
    pub(crate) fn new(features: &[(String, ColumnKind)], target: &str, reading: TargetReading, rows: usize) -> Builder {
        let column = |(name, kind): &(String, ColumnKind)| Column {
            name: name.clone(),
            kind: *kind,
            values: empty(*kind, rows),
        };
        let classes = match &reading {
            TargetReading::KnownClasses(names) => {
                names.iter().enumerate().map(|(i, name)| (name.clone(), i as u32)).collect()
            }
            _ => Index::default(),
        };
        Builder {
            table: Table {
                columns: features.iter().map(column).collect(),
                targets: reading.empty(rows),
                file_rows: FileRows::Of(Vec::with_capacity(rows)),
            },
            indices: features.iter().map(|_| Index::default()).collect(),
            target: target.to_string(),
            reading,
            classes,
            dropped: 0,
            tallies: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// A builder that holds all rows of a file, from the values that were kept when it was looked through; `None` where
    /// its text must be read again, because some value needs a closer look or has to be told of.
    pub(crate) fn kept(
        features: &[(String, ColumnKind)],
        target: &str,
        reading: TargetReading,
        columns: &[String],
        kept: Vec<Kept>,
        delimiter: u8,
    ) -> Option<Builder> {
        let mut builder = Builder::new(features, target, reading, 0);
        let mut kept: Vec<Option<Kept>> = kept.into_iter().map(Some).collect();
        let places = places(columns);
        let mut take = |name: &str| kept[*places.get(name)?].take();
        (builder.table.targets, builder.classes) = match builder.reading {
            TargetReading::Skip => (Targets::None, Index::default()),
            TargetReading::NewClasses => take(target)?.classes(delimiter)?,
            TargetReading::Numbers(ColumnKind::Number) => (take(target)?.quantities()?, Index::default()),
            _ => return None,
        };
        for (i, (name, kind)) in features.iter().enumerate() {
            (builder.table.columns[i].values, builder.indices[i]) = take(name)?.feature(*kind, delimiter)?;
        }
        let rows = match &builder.table.targets {
            Targets::None => builder.table.columns.first()?.values.len(),
            Targets::Classes(classes) => classes.len(),
            Targets::Values(values) => values.len(),
            Targets::Labels(sets) => sets.len(),
        };
        builder.table.file_rows = FileRows::All(rows);
        Some(builder)
    }

    /// Appends all rows of a file, whose columns may be in another order, on several threads. `known` are the words of
    /// each column that the model knows, where there is a model.
    ///
    /// # Errors
    /// For a value that cannot be used, and for a column without a single readable value. Other unreadable values are
    /// missing, which the notes say.
    pub(crate) fn read(&mut self, rows: &mut Rows<'_>, known: Option<&[&[String]]>, threads: usize) -> Result<()> {
        if !rows.header && matches!(self.reading, TargetReading::Skip) {
            self.name_without_target(rows);
        }
        let columns = rows.columns.clone();
        let places = places(&columns);
        let locate = |name: &str| {
            places.get(name).copied().ok_or_else(|| Error::NoColumn {
                name: rows.name.clone(),
                column: name.to_string(),
                columns: columns.join(", "),
            })
        };
        let (name, delimiter) = (rows.name.clone(), rows.delimiter);
        let features: Vec<(String, ColumnKind)> =
            self.table.columns.iter().map(|column| (column.name.clone(), column.kind)).collect();
        let feature = |(name, kind)| Ok((name, kind, locate(name)?));
        let features = features.iter().map(|(name, kind)| feature((name.as_str(), *kind))).collect::<Result<_>>()?;
        let (column, reading) = (self.target.clone(), self.reading.clone());
        let target = match reading {
            TargetReading::Skip => None,
            _ => Some((column.as_str(), locate(&column)?)),
        };
        let classes = self.classes.clone();
        let manner = Manner { features, target, reading: &reading, classes: &classes, name: &name, delimiter };
        self.tallies = self.table.columns.iter().map(|_| Tally::default()).collect();
        let mut count = 0;
        rows.for_each_block(
            threads,
            |records| manner.read(records),
            |part, base| {
                count += part.rows;
                self.append(part, base);
                Ok(())
            },
        )?;
        if count == 0 {
            return Err(Error::NoRows { name, columns: columns.join(", ") });
        }
        for (i, (column, tally)) in self.table.columns.iter().zip(&mut self.tallies).enumerate() {
            if let (Some(known), Values::Codes { codes, words }) = (known, &column.values) {
                tally.find_unknown(codes, words, known.get(i).copied().unwrap_or_default());
            }
            self.notes.extend(tally.finish(&name, &column.name, column.kind)?);
        }
        Ok(())
    }

    /// Appends what was read of a block, behind `base`.
    fn append(&mut self, part: Part, base: Base) {
        self.dropped += part.dropped;
        self.table.file_rows.extend(part.file_rows.iter().map(|row| row + base.rows as u32));
        match (&mut self.table.targets, &part.targets) {
            (Targets::Values(all), Targets::Values(more)) => all.extend_from_slice(more),
            (Targets::Classes(all), Targets::Classes(more)) => {
                let new = |label: String| {
                    let next = self.classes.len() as u32;
                    *self.classes.entry(label).or_insert(next)
                };
                let classes: Vec<u32> = part.labels.into_iter().map(new).collect();
                all.extend(more.iter().map(|class| classes[class as usize]));
            }
            _ => {}
        }
        let columns = self.table.columns.iter_mut().zip(&mut self.indices).zip(&mut self.tallies);
        for (((column, index), tally), (more, found)) in columns.zip(part.values.into_iter().zip(part.tallies)) {
            match (&mut column.values, more) {
                (Values::Numbers(all), Values::Numbers(more)) => all.append(more),
                (Values::Codes { codes: all, words }, Values::Codes { codes: more, words: new }) => {
                    let mut code_of = Vec::with_capacity(new.len());
                    for (word, place) in new.into_iter().zip(&found.places) {
                        code_of.push(index.get(&word).copied().unwrap_or_else(|| {
                            let code = words.len() as u32;
                            words.push(word.clone());
                            index.insert(word, code);
                            tally.places.push(place.behind(base));
                            code
                        }));
                    }
                    let code = |code: u32| if code == MISSING { MISSING } else { code_of[code as usize] };
                    all.extend(more.iter().map(code));
                }
                _ => unreachable!("a part has the columns of its table"),
            }
            tally.append(found, base);
        }
    }

    /// Rows without header that lack exactly the target: gives the columns the names they had.
    fn name_without_target(&self, rows: &mut Rows<'_>) {
        let Some(target) = self.target.strip_prefix("column_").and_then(|n| n.parse::<usize>().ok()) else { return };
        let has = |i: usize| self.table.columns.iter().any(|column| column.name == format!("column_{i}"));
        let count = rows.columns.len();
        // With the target, there is one column more than the last feature or the target needs.
        if target > count || has(count + 1) {
            rows.columns = (1..=count + 1).filter(|&i| i != target).map(|i| format!("column_{i}")).collect();
        }
    }

    /// Words that read as missing are classes, too.
    pub(crate) fn take_for_classes<'a>(&mut self, words: impl Iterator<Item = &'a String>) {
        for word in words {
            let next = self.classes.len() as u32;
            self.classes.entry(word.clone()).or_insert(next);
        }
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

    /// The table and its classes, in their order.
    pub(crate) fn finish(mut self) -> (Table, Vec<String>) {
        let mut order: Vec<(String, u32)> = self.classes.into_iter().collect();
        in_class_order(&mut order);
        let mut rank = vec![0; order.len()];
        for (new, (_, old)) in order.iter().enumerate() {
            rank[*old as usize] = new as u32;
        }
        if let Targets::Classes(classes) = &mut self.table.targets {
            *classes = classes.iter().map(|class| rank[class as usize]).collect();
        }
        for column in &mut self.table.columns {
            if let Values::Codes { words, .. } = &mut column.values {
                words.shrink_to_fit();
            }
        }
        (self.table, order.into_iter().map(|(name, _)| name).collect())
    }
}
