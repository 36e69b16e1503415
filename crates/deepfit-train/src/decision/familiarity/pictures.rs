//! Pictures: the distance to the nearest of some others, by how frequent colours are, how bright each part is, and which way
//! edges run there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use deepfit_classical::Matrix;
use deepfit_data::{Batch, Preprocessor, Source};

use super::rows::Rows;
use super::{Sizes, each_batch};
use crate::classical::{Encoder, Features};
use crate::error::Result;
use crate::tensors::Owned;

/// Of many pictures, and of those that must be decoded while the time is limited.
pub(super) const SIZES: Sizes = Sizes { known: 300, others: 300 };
pub(super) const FEW: Sizes = Sizes { known: 100, others: 100 };
/// What hardly differs between pictures counts as if it differed by this share of what others differ by.
const LEAST_DEVIATION: f32 = 0.1;

/// Pictures that others are compared with.
#[derive(Debug, Clone)]
pub(super) struct Pictures {
    encoder: Encoder,
    mean: Vec<f32>,
    deviation: Vec<f32>,
    /// Their standardised features.
    rows: Rows,
}

impl Pictures {
    /// Nothing where reading them would take more than half of the seconds that are left.
    pub(super) fn fit(
        source: &Arc<dyn Source>,
        preprocessor: &Preprocessor,
        known: &[u32],
        left: Option<f64>,
    ) -> Result<Option<Pictures>> {
        let encoder = Encoder::new(Features::Histograms, preprocessor)?;
        let width = encoder.width();
        let (begun, mut values, mut late) = (Instant::now(), Vec::with_capacity(known.len() * width), false);
        each_batch(source, known.to_vec(), &mut |batch| {
            push(&encoder.encode(batch)?, &mut values);
            // The others, which follow, take as long.
            let share = values.len() as f64 / (2 * known.len() * width) as f64;
            late = left.is_some_and(|left| begun.elapsed().as_secs_f64() / share > 0.5 * left);
            Ok(!late)
        })?;
        let count = values.len() / width;
        if late || count == 0 {
            return Ok(None);
        }
        let mut mean = vec![0.0; width];
        let mut deviation = vec![0.0; width];
        let each = |out: &mut [f32], of: &dyn Fn(usize, f32) -> f32| {
            for row in values.chunks_exact(width) {
                for (at, (sum, &value)) in out.iter_mut().zip(row).enumerate() {
                    *sum += of(at, value) / count as f32;
                }
            }
        };
        each(&mut mean, &|_, value| value);
        each(&mut deviation, &|at, value| (value - mean[at]).powi(2));
        let usual = (deviation.iter().sum::<f32>() / width as f32).sqrt();
        let least = (LEAST_DEVIATION * usual).max(f32::MIN_POSITIVE);
        deviation.iter_mut().for_each(|deviation| *deviation = deviation.sqrt().max(least));
        values.chunks_exact_mut(width).for_each(|row| standardise(row, &mean, &deviation));
        Ok(Some(Pictures { encoder, mean, deviation, rows: Rows::of_numbers(values, width) }))
    }

    pub(super) fn distances(&self, batch: &Batch) -> Result<Vec<f64>> {
        let mut values = Vec::new();
        push(&self.encoder.encode(batch)?, &mut values);
        Ok(values
            .chunks_exact_mut(self.mean.len())
            .map(|row| {
                standardise(row, &self.mean, &self.deviation);
                self.rows.distance(row)
            })
            .collect())
    }

    pub(super) fn tensors(&self) -> BTreeMap<&'static str, Owned> {
        let vector = |values: &Vec<f32>| Owned { shape: vec![values.len()], values: values.clone() };
        let of = [("mean", vector(&self.mean)), ("deviation", vector(&self.deviation)), ("rows", self.rows.tensor())];
        BTreeMap::from(of)
    }

    /// As [`Pictures::tensors`] gave them; nothing if they do not fit.
    pub(super) fn read(
        take: &mut dyn FnMut(&str) -> Option<Owned>,
        preprocessor: &Preprocessor,
    ) -> Result<Option<Pictures>> {
        let encoder = Encoder::new(Features::Histograms, preprocessor)?;
        let width = encoder.width();
        let (Some(mean), Some(deviation), Some(rows)) = (take("mean"), take("deviation"), take("rows")) else {
            return Ok(None);
        };
        let fits = mean.values.len() == width && deviation.values.len() == width;
        let rows = Rows::read(rows, width, 0).filter(|_| fits);
        Ok(rows.map(|rows| Pictures { encoder, mean: mean.values, deviation: deviation.values, rows }))
    }
}

/// Appends the rows of a dense matrix.
fn push(matrix: &Matrix, values: &mut Vec<f32>) {
    (0..matrix.rows()).for_each(|row| values.extend_from_slice(matrix.row(row)));
}

fn standardise(row: &mut [f32], mean: &[f32], deviation: &[f32]) {
    for ((value, mean), deviation) in row.iter_mut().zip(mean).zip(deviation) {
        *value = (*value - mean) / deviation;
    }
}
