//! Batches of table rows, encoded when they are asked for.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::preprocessor::{Encoding, MISSING_INDEX, TablePreprocessor};
use super::read::{Table, Targets, Values};
use crate::batch::{Array, Batch, DType, Slot};
use crate::codes::MISSING;
use crate::error::Result;
use crate::source::{Cell, Pass, Source};

/// A table seen through a fitted preprocessor.
pub(crate) struct TableSource {
    table: Arc<Table>,
    preprocessor: Arc<TablePreprocessor>,
    /// For each category column, the input index of each word of the table.
    indices: Vec<Vec<i32>>,
    slots: Vec<Slot>,
    labelled: bool,
}

impl TableSource {
    pub(crate) fn new(table: Arc<Table>, preprocessor: Arc<TablePreprocessor>, labelled: bool) -> TableSource {
        let specs = table.columns.iter().zip(&preprocessor.columns);
        let indices = specs.map(|(column, spec)| match &column.values {
            Values::Codes { words, .. } => spec.encoding.indices(words),
            Values::Numbers(_) => Vec::new(),
        });
        let indices = indices.collect();
        let slots = preprocessor.slots();
        TableSource { table, preprocessor, indices, slots, labelled }
    }

    fn encode(&self, row: usize, numeric: &mut Vec<f32>, categories: &mut Vec<i32>) {
        for ((column, spec), indices) in self.table.columns.iter().zip(&self.preprocessor.columns).zip(&self.indices) {
            match &column.values {
                Values::Numbers(values) => spec.encoding.push_number(values.get(row), numeric),
                Values::Codes { codes, .. } => {
                    let code = codes.get(row);
                    categories.push(if code == MISSING { MISSING_INDEX } else { indices[code as usize] });
                }
            }
        }
    }
}

impl Source for TableSource {
    fn len(&self) -> usize {
        self.table.len()
    }

    fn slots(&self) -> &[Slot] {
        &self.slots
    }

    fn target_dtype(&self) -> DType {
        let real = self.preprocessor.target_scale.is_some() || self.preprocessor.labels.is_some();
        if real { DType::F32 } else { DType::I32 }
    }

    fn target_width(&self) -> usize {
        if self.preprocessor.labels.is_some() { self.preprocessor.task.outputs() } else { 1 }
    }

    fn has_targets(&self) -> bool {
        self.labelled
    }

    fn fill(&self, rows: &[u32], _pass: Pass<'_>, out: &mut Batch) -> Result<()> {
        out.reset(&self.slots, (self.target_dtype(), self.target_width()), rows.len());
        // The slots are `numeric`, then `categories`, each only if it has columns.
        let (mut numeric, mut categories) = (Vec::new(), Vec::new());
        for input in &mut out.inputs {
            match input {
                Array::F32(values) => numeric = std::mem::take(values),
                Array::I32(values) => categories = std::mem::take(values),
                Array::U8(_) => {}
            }
        }
        for &row in rows {
            self.encode(row as usize, &mut numeric, &mut categories);
        }
        for input in &mut out.inputs {
            match input {
                Array::F32(values) => *values = std::mem::take(&mut numeric),
                Array::I32(values) => *values = std::mem::take(&mut categories),
                Array::U8(_) => {}
            }
        }
        self.targets(rows, &mut out.targets);
        out.rows.extend_from_slice(rows);
        out.len = rows.len();
        Ok(())
    }

    fn targets(&self, rows: &[u32], out: &mut Array) {
        let labels = self.preprocessor.task.outputs();
        match (&self.table.targets, self.preprocessor.target_scale) {
            (Targets::Labels(sets), _) => {
                let flag = |row: u32, label: usize| sets[row as usize].binary_search(&(label as u32)).is_ok();
                let of = |&row: &u32| (0..labels).map(move |label| f32::from(u8::from(flag(row, label))));
                out.replace_f32(rows.iter().flat_map(of));
            }
            (_, None) if self.preprocessor.labels.is_some() => {
                out.replace_f32(rows.iter().flat_map(|_| std::iter::repeat_n(0.0, labels)));
            }
            (Targets::Classes(classes), None) => {
                out.replace_i32(rows.iter().map(|&row| classes.get(row as usize) as i32));
            }
            (Targets::Values(values), Some(scale)) => {
                out.replace_f32(rows.iter().map(|&row| scale.forward(values[row as usize]) as f32));
            }
            (_, None) => out.replace_i32(rows.iter().map(|_| 0)),
            (_, Some(_)) => out.replace_f32(rows.iter().map(|_| 0.0)),
        }
    }

    fn content_of(&self, row: u32) -> Option<u128> {
        let mut hasher = Xxh3::new();
        for column in &self.table.columns {
            match &column.values {
                // NaN is stored in one form only, and adding 0 turns -0 into 0.
                Values::Numbers(values) => hasher.update(&(values.get(row as usize) + 0.0).to_bits().to_le_bytes()),
                Values::Codes { codes, words } => {
                    // Codes are those of one file, words are the same in all.
                    let word = words.get(codes.get(row as usize) as usize).map_or("", String::as_str);
                    hasher.update(&(word.len() as u64).to_le_bytes());
                    hasher.update(word.as_bytes());
                }
            }
        }
        Some(hasher.digest128())
    }

    fn cell(&self, row: u32, column: usize) -> Option<Cell> {
        Some(match &self.table.columns.get(column)?.values {
            Values::Numbers(values) if row as usize >= values.len() => return None,
            Values::Numbers(values) => match values.get(row as usize) {
                missing if missing.is_nan() => Cell::Missing,
                value => Cell::Number(value),
            },
            Values::Codes { codes, .. } if row as usize >= codes.len() => return None,
            Values::Codes { codes, words } => match codes.get(row as usize) {
                MISSING => Cell::Missing,
                code => Cell::Word(words.get(code as usize)?.clone()),
            },
        })
    }

    fn resident_bytes(&self) -> usize {
        let indices: usize = self.indices.iter().map(|indices| indices.len() * 4).sum();
        let encodings = self.preprocessor.columns.iter().map(|column| match &column.encoding {
            Encoding::Numeric { facets, .. } => {
                facets.len() * size_of::<(super::preprocessor::Facet, super::scale::Scale)>()
            }
            Encoding::Category { words } => words.len() * 56,
        });
        self.table.resident_bytes() + indices + encodings.sum::<usize>()
    }

    fn scratch_bytes(&self) -> usize {
        0
    }
}
