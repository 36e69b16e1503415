//! Whether a row of a table is like those that the model was trained on: its distance to the nearest of some of them, held
//! against the distances of other training rows (a conformal test of being drawn from the same distribution: R. Laxhammar and
//! G. Falkman, "Conformal prediction for distribution-independent anomaly detection in streaming vessel data", 2010).

use std::collections::BTreeMap;
use std::path::Path;

use deepfit_data::{Array, Batch, Pass, Source};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Result, TrainError};
use crate::run_folder::Durability;
use crate::tensors::{self, Owned};

/// In the model folder.
const FILE: &str = "familiar-rows.safetensors";
const KEY: &str = "deepfit_familiar_rows";
/// Training rows to which distances are taken, and others whose distances are compared with.
const MOST_ROWS: usize = 1000;
/// Fewest of each.
const FEWEST_ROWS: usize = 40;
/// Nearest rows of which the distance is the mean.
const NEAREST: usize = 5;
/// Shares of rows like those of training that are taken for unlike them: the first that the number of rows allows.
const RATES: [f64; 2] = [0.01, 0.05];
/// A number is at most so many deviations from another one.
const FARTHEST: f32 = 20.0;

/// Some of the training rows, and how far from them others are.
#[derive(Debug, Clone, PartialEq)]
pub struct Familiarity {
    /// Encoded rows: numbers, then categories.
    rows: Vec<f32>,
    numbers: usize,
    categories: usize,
    /// Rows farther away than this are unlike the training data.
    farthest: f64,
    /// Share of rows like those of training that is farther away.
    rate: f64,
}

/// How many rows were found to be unlike the training data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FamiliarityReport {
    /// Share of rows like those of training that is flagged.
    pub wanted: f64,
    /// Share of the test rows, or of those that are evaluated, that was; more of them are of another kind, or worse.
    pub flagged: f64,
    /// 95 % interval of that share.
    pub interval: [f64; 2],
}

#[derive(Serialize, Deserialize)]
struct Description {
    numbers: usize,
    categories: usize,
    farthest: f64,
    rate: f64,
}

impl Familiarity {
    /// Of training rows, so many as there are up to a limit; nothing of too few, or of what is no table of features.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub fn fit(source: &dyn Source, rows: &[u32]) -> Result<Option<Familiarity>> {
        let width = |name: &str| {
            let slot = source.slots().iter().find(|slot| slot.name == name);
            slot.map_or(0, |slot| slot.values())
        };
        let (numbers, categories) = (width("numeric"), width("categories"));
        // Neighbours in a table may be alike, so that the rows of both uses are drawn: by a hash of their number.
        let mut used = rows.to_vec();
        used.sort_unstable_by_key(|row| xxh3_64(&row.to_le_bytes()));
        used.truncate(2 * MOST_ROWS);
        let mut others = used.split_off(used.len() / 2);
        let mut known = used;
        known.sort_unstable();
        others.sort_unstable();
        if others.len() < FEWEST_ROWS || numbers + categories == 0 {
            return Ok(None);
        }
        let mut batch = Batch::new();
        source.fill(&known, Pass::Evaluate, &mut batch)?;
        let rows = encoded(&batch, numbers, categories);
        let mut familiarity = Familiarity { rows, numbers, categories, farthest: 0.0, rate: 0.0 };
        source.fill(&others, Pass::Evaluate, &mut batch)?;
        let mut distances = familiarity.distances(&batch);
        distances.sort_by(f64::total_cmp);
        // The smallest rate for which a bound holds for one more row, too.
        let place = |rate: &f64| ((1.0 - rate) * (distances.len() + 1) as f64 - 1e-9).ceil() as usize;
        let Some(rate) = RATES.into_iter().find(|rate| place(rate) <= distances.len()) else { return Ok(None) };
        (familiarity.farthest, familiarity.rate) = (distances[place(&rate) - 1], rate);
        Ok(Some(familiarity))
    }

    /// Share of rows like those of training that are found unlike them.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Of each row of a batch, whether it is unlike the training data.
    pub fn unlike(&self, batch: &Batch) -> Vec<bool> {
        self.distances(batch).into_iter().map(|distance| distance > self.farthest).collect()
    }

    fn distances(&self, batch: &Batch) -> Vec<f64> {
        let width = self.numbers + self.categories;
        let of_row = |row: &[f32]| {
            let mut nearest = [f64::INFINITY; NEAREST];
            for known in self.rows.chunks_exact(width) {
                let split = self.numbers;
                let mut sum = distance_of_numbers(&row[..split], &known[..split]);
                // Another word is as far away as two numbers typically are, squared.
                sum += 2.0 * row[split..].iter().zip(&known[split..]).filter(|(a, b)| a != b).count() as f32;
                let mut distance = f64::from(sum).sqrt();
                for place in &mut nearest {
                    if distance < *place {
                        std::mem::swap(place, &mut distance);
                    }
                }
            }
            let count = (self.rows.len() / width).clamp(1, NEAREST);
            nearest[..count].iter().sum::<f64>() / count as f64
        };
        encoded(batch, self.numbers, self.categories).chunks_exact(width).map(of_row).collect()
    }

    /// Writes it beside a model.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let Familiarity { rows, numbers, categories, farthest, rate } = self;
        let width = numbers + categories;
        let tensor = Owned { shape: vec![rows.len() / width, width], values: rows.clone() };
        let path = folder.join(FILE);
        let description = Description { numbers: *numbers, categories: *categories, farthest: *farthest, rate: *rate };
        let text = serde_json::to_string(&description).map_err(|e| TrainError::run(&path, e.to_string()))?;
        let named = BTreeMap::from([("rows".to_string(), tensor.borrowed())]);
        tensors::write(&path, Durability::Disk, &named, KEY, text)
    }

    /// Reads it from beside a model, if it is there, for rows of so many numbers and categories.
    ///
    /// # Errors
    /// If it is damaged, or of other rows.
    pub fn load(folder: &Path, numbers: usize, categories: usize) -> Result<Option<Familiarity>> {
        let path = folder.join(FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let damaged = |what: &str| {
            let problem =
                format!("is damaged: {what}; delete it, and predictions tell no longer what is unlike training");
            TrainError::run(&path, problem)
        };
        let (mut found, text) = tensors::read(&path, KEY)?;
        let description: Description = serde_json::from_str(&text).map_err(|e| damaged(&e.to_string()))?;
        let Some(rows) = found.remove("rows") else { return Err(damaged("it has no rows")) };
        let Description { numbers: of_numbers, categories: of_categories, farthest, rate } = description;
        let width = numbers + categories;
        let fits = (of_numbers, of_categories) == (numbers, categories) && rows.shape.get(1) == Some(&width);
        if !fits || rows.values.is_empty() || !farthest.is_finite() {
            return Err(damaged("its rows are not those of this model"));
        }
        Ok(Some(Familiarity { rows: rows.values, numbers, categories, farthest, rate }))
    }
}

/// Numbers of two rows that are added up side by side, in an order that the compiler may not change.
const LANES: usize = 8;

/// Squares of the differences of numbers, added up.
fn distance_of_numbers(a: &[f32], b: &[f32]) -> f32 {
    let square = |a: f32, b: f32| {
        let difference = (a - b).clamp(-FARTHEST, FARTHEST);
        difference * difference
    };
    let mut sums = [0.0; LANES];
    let (of_a, of_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = of_a.remainder().iter().zip(of_b.remainder()).map(|(&a, &b)| square(a, b)).sum();
    for (a, b) in of_a.zip(of_b) {
        for lane in 0..LANES {
            sums[lane] += square(a[lane], b[lane]);
        }
    }
    sums.iter().sum::<f32>() + rest
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
