//! Rows of a table: the distance to the nearest of some others.

use std::sync::Arc;

use deepfit_classical::squared_distance_within;
use deepfit_data::{Array, Batch, Source};

use super::{Sizes, each_batch};
use crate::error::Result;
use crate::tensors::Owned;

/// Of many rows.
pub(super) const SIZES: Sizes = Sizes { known: 1_000, others: 1_000 };
/// Nearest rows of which the distance is the mean.
const NEAREST: usize = 5;
/// A number is at most so many deviations from another one.
const FARTHEST: f32 = 20.0;

/// Rows that others are compared with.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    /// Encoded: numbers, then categories.
    values: Vec<f32>,
    numbers: usize,
    categories: usize,
}

impl Rows {
    /// Of a table's rows; nothing if they have no columns.
    pub(super) fn fit(source: &Arc<dyn Source>, known: &[u32]) -> Result<Option<Rows>> {
        let width = |name: &str| {
            let slot = source.slots().iter().find(|slot| slot.name == name);
            slot.map_or(0, |slot| slot.values())
        };
        let (numbers, categories) = (width("numeric"), width("categories"));
        if numbers + categories == 0 {
            return Ok(None);
        }
        let mut values = Vec::with_capacity(known.len() * (numbers + categories));
        each_batch(source, known.to_vec(), &mut |batch| {
            values.extend(encoded(batch, numbers, categories));
            Ok(true)
        })?;
        Ok((!values.is_empty()).then_some(Rows { values, numbers, categories }))
    }

    /// Rows of so many numbers each.
    pub(super) fn of_numbers(values: Vec<f32>, numbers: usize) -> Rows {
        Rows { values, numbers, categories: 0 }
    }

    /// As [`Rows::tensor`] wrote them.
    pub(super) fn read(tensor: Owned, numbers: usize, categories: usize) -> Option<Rows> {
        let fits = numbers + categories > 0 && tensor.shape.get(1) == Some(&(numbers + categories));
        fits.then_some(Rows { values: tensor.values, numbers, categories })
    }

    pub(super) fn tensor(&self) -> Owned {
        let width = self.numbers + self.categories;
        Owned { shape: vec![self.values.len() / width, width], values: self.values.clone() }
    }

    /// Numbers and categories of a row.
    pub(super) fn width(&self) -> (usize, usize) {
        (self.numbers, self.categories)
    }

    pub(super) fn distances(&self, batch: &Batch) -> Vec<f64> {
        let width = self.numbers + self.categories;
        encoded(batch, self.numbers, self.categories).chunks_exact(width).map(|row| self.distance(row)).collect()
    }

    /// Mean distance of a row to the nearest of these.
    pub(super) fn distance(&self, row: &[f32]) -> f64 {
        let (width, split) = (self.numbers + self.categories, self.numbers);
        let mut nearest = [f64::INFINITY; NEAREST];
        for known in self.values.chunks_exact(width) {
            let mut sum = squared_distance_within(&row[..split], &known[..split], FARTHEST);
            // Another word is as far away as two numbers typically are, squared.
            sum += 2.0 * row[split..].iter().zip(&known[split..]).filter(|(a, b)| a != b).count() as f32;
            let mut distance = f64::from(sum).sqrt();
            for place in &mut nearest {
                if distance < *place {
                    std::mem::swap(place, &mut distance);
                }
            }
        }
        let count = (self.values.len() / width).clamp(1, NEAREST);
        nearest[..count].iter().sum::<f64>() / count as f64
    }
}

/// Numbers and categories of each row of a batch.
fn encoded(batch: &Batch, numbers: usize, categories: usize) -> Vec<f32> {
    let mut rows = Vec::with_capacity(batch.len * (numbers + categories));
    for row in 0..batch.len {
        for input in &batch.inputs {
            match input {
                Array::F32(values) => rows.extend_from_slice(&values[row * numbers..][..numbers]),
                Array::I32(values) => {
                    rows.extend(values[row * categories..][..categories].iter().map(|&index| index as f32));
                }
                Array::U8(_) => {}
            }
        }
    }
    rows
}
