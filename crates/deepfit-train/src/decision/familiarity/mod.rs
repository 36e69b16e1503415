//! Whether what is predicted is like what the model was trained on: a number that says how unusual it is, held against the same
//! number of training rows that had no part in it (a conformal test of being drawn from the same distribution: R. Laxhammar and
//! G. Falkman, "Conformal prediction for distribution-independent anomaly detection in streaming vessel data", 2010).
//!
//! The number comes from the inputs alone, not from what a network has made of them: what it has learned from, it knows better
//! than anything that follows, and would find all of that unusual.

mod pictures;
mod rows;
mod words;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use deepfit_data::{Batch, Loader, LoaderOptions, Preprocessor, Source};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use self::pictures::Pictures;
use self::rows::Rows;
use self::words::Words;
use crate::error::{Result, TrainError};
use crate::metrics::{Tally, wilson};
use crate::run_folder::Durability;
use crate::tensors::{self, Owned};

/// In the model folder.
const FILE: &str = "familiar-rows.safetensors";
const KEY: &str = "deepfit_familiar_rows";
/// Fewest training rows for either use.
const FEWEST_ROWS: usize = 40;
/// Shares of rows like those of training that are taken for unlike them: the first that the number of rows allows.
const RATES: [f64; 2] = [0.01, 0.05];
/// Pictures of a test that are looked at, so that decoding them once more takes little.
const MOST_PICTURES: usize = 500;

/// What was common in training, and how unusual something may be.
#[derive(Debug, Clone)]
pub struct Familiarity {
    yardstick: Yardstick,
    /// What is more unusual than this is unlike the training data.
    farthest: f64,
    /// Share of rows like those of training that is more unusual.
    rate: f64,
}

/// By what it is told how unusual something is.
#[derive(Debug, Clone)]
enum Yardstick {
    /// Rows of a table.
    Rows(Rows),
    /// Pictures.
    Pictures(Box<Pictures>),
    /// The tokens of texts.
    Words(Words),
}

/// How many rows were found to be unlike the training data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FamiliarityReport {
    /// Share of rows like those of training that is flagged.
    pub wanted: f64,
    /// Share of the test rows, or of those that are evaluated, that was; more of them are of another kind, or worse. Of more
    /// than 500 pictures, some are looked at.
    pub flagged: f64,
    /// 95 % interval of that share.
    pub interval: [f64; 2],
}

/// What of a yardstick is no tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Rows,
    Pictures,
    Words,
}

#[derive(Serialize, Deserialize)]
struct Description {
    #[serde(default)]
    kind: Kind,
    /// Numbers and categories of a row; of what is no row, nothing.
    numbers: usize,
    categories: usize,
    /// Of the tokens of texts that had no part in their frequencies: mean and deviation of how unusual they are.
    #[serde(default)]
    surprise: [f64; 2],
    farthest: f64,
    rate: f64,
}

/// How training rows are read: with how many others each is compared, and how many are held against these.
struct Sizes {
    known: usize,
    others: usize,
}

impl Familiarity {
    /// Of training rows, so many as there are up to a limit; nothing of too few, of what is neither table, pictures nor texts, or
    /// where reading them would take more than half of `left`, the seconds that are left.
    ///
    /// # Errors
    /// If too many rows cannot be read.
    pub fn fit(
        source: &Arc<dyn Source>,
        preprocessor: &Preprocessor,
        rows: &[u32],
        left: Option<f64>,
    ) -> Result<Option<Familiarity>> {
        let sizes = match preprocessor {
            Preprocessor::Table(_) => rows::SIZES,
            Preprocessor::Image(_) if left.is_some() && source.scratch_bytes() > 0 => pictures::FEW,
            Preprocessor::Image(_) => pictures::SIZES,
            Preprocessor::Text(_) => words::SIZES,
        };
        // Neighbours in a table may be alike, so that the rows of both uses are drawn: by a hash of their number.
        let mut known = drawn(rows, sizes.known + sizes.others);
        let mut others = known.split_off(known.len() - sizes.others.min(known.len() / 2));
        if others.len() < FEWEST_ROWS {
            return Ok(None);
        }
        known.sort_unstable();
        others.sort_unstable();
        let yardstick = match preprocessor {
            Preprocessor::Table(_) => Rows::fit(source, &known)?.map(Yardstick::Rows),
            Preprocessor::Image(_) => {
                Pictures::fit(source, preprocessor, &known, left)?.map(Box::new).map(Yardstick::Pictures)
            }
            Preprocessor::Text(_) => Words::fit(source, &known, &others)?.map(Yardstick::Words),
        };
        let Some(yardstick) = yardstick else { return Ok(None) };
        let mut distances = Vec::with_capacity(others.len());
        each_batch(source, others, &mut |batch| {
            distances.extend(yardstick.distances(batch)?);
            Ok(true)
        })?;
        distances.sort_by(f64::total_cmp);
        // The smallest rate for which a bound holds for one more row, too.
        let place = |rate: &f64| ((1.0 - rate) * (distances.len() + 1) as f64 - 1e-9).ceil() as usize;
        let Some(rate) = RATES.into_iter().find(|rate| place(rate) <= distances.len()) else { return Ok(None) };
        Ok(Some(Familiarity { yardstick, farthest: distances[place(&rate) - 1], rate }))
    }

    /// Of each row of a batch, whether it is unlike the training data.
    ///
    /// # Errors
    /// If the batch was prepared in another way.
    pub fn unlike(&self, batch: &Batch) -> Result<Vec<bool>> {
        Ok(self.yardstick.distances(batch)?.into_iter().map(|distance| distance > self.farthest).collect())
    }

    /// How many of some rows are unlike the training data, perhaps by weights of all rows of the source; nothing of no rows.
    ///
    /// # Errors
    /// If too many rows cannot be read.
    pub fn report(
        &self,
        source: &Arc<dyn Source>,
        rows: &[u32],
        weights: Option<&[f64]>,
    ) -> Result<Option<FamiliarityReport>> {
        let most = if matches!(self.yardstick, Yardstick::Pictures(_)) { MOST_PICTURES } else { rows.len() };
        let mut some = drawn(rows, most);
        some.sort_unstable();
        let (mut all, mut unlike) = (Tally::default(), 0.0);
        each_batch(source, some, &mut |batch| {
            for (flag, row) in self.unlike(batch)?.into_iter().zip(&batch.rows) {
                let weight = weights.map_or(1.0, |weights| weights[*row as usize]);
                all.add(weight);
                unlike += if flag { weight } else { 0.0 };
            }
            Ok(true)
        })?;
        Ok(all.share(unlike).zip(wilson(unlike, &all)).map(|(flagged, interval)| FamiliarityReport {
            wanted: self.rate,
            flagged,
            interval,
        }))
    }

    /// Writes it beside a model.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let (farthest, rate) = (self.farthest, self.rate);
        let mut description =
            Description { kind: Kind::Rows, numbers: 0, categories: 0, surprise: [0.0; 2], farthest, rate };
        let named = match &self.yardstick {
            Yardstick::Rows(rows) => {
                (description.numbers, description.categories) = rows.width();
                BTreeMap::from([("rows", rows.tensor())])
            }
            Yardstick::Pictures(pictures) => {
                description.kind = Kind::Pictures;
                pictures.tensors()
            }
            Yardstick::Words(words) => {
                description.kind = Kind::Words;
                description.surprise = words.surprise();
                BTreeMap::from([("counts", words.tensor())])
            }
        };
        let path = folder.join(FILE);
        let text = serde_json::to_string(&description).map_err(|e| TrainError::run(&path, e.to_string()))?;
        let named = named.iter().map(|(name, tensor)| (name.to_string(), tensor.borrowed())).collect();
        tensors::write(&path, Durability::Disk, &named, KEY, text)
    }

    /// Reads it from beside a model, if it is there, for what the model's preprocessor prepares.
    ///
    /// # Errors
    /// If it is damaged, or of other rows.
    pub fn load(folder: &Path, preprocessor: &Preprocessor) -> Result<Option<Familiarity>> {
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
        let Description { kind, numbers, categories, surprise, farthest, rate } = description;
        let mut take = |name: &str| -> Option<Owned> { found.remove(name).filter(|tensor| !tensor.values.is_empty()) };
        let yardstick = match (kind, preprocessor) {
            (Kind::Rows, Preprocessor::Table(_)) => {
                let width = |name: &str| {
                    preprocessor.slots().iter().find(|slot| slot.name == name).map_or(0, |slot| slot.values())
                };
                let fits = (numbers, categories) == (width("numeric"), width("categories"));
                take("rows")
                    .filter(|_| fits)
                    .and_then(|rows| Rows::read(rows, numbers, categories))
                    .map(Yardstick::Rows)
            }
            (Kind::Pictures, Preprocessor::Image(_)) => {
                Pictures::read(&mut take, preprocessor)?.map(Box::new).map(Yardstick::Pictures)
            }
            (Kind::Words, Preprocessor::Text(_)) => take("counts")
                .and_then(|counts| Words::read(counts, surprise, &preprocessor.slots()))
                .map(Yardstick::Words),
            _ => None,
        };
        match yardstick {
            Some(yardstick) if farthest.is_finite() => Ok(Some(Familiarity { yardstick, farthest, rate })),
            _ => Err(damaged("its rows are not those of this model")),
        }
    }
}

impl Yardstick {
    /// How unusual each row of a batch is.
    fn distances(&self, batch: &Batch) -> Result<Vec<f64>> {
        match self {
            Yardstick::Rows(rows) => Ok(rows.distances(batch)),
            Yardstick::Pictures(pictures) => pictures.distances(batch),
            Yardstick::Words(words) => words.distances(batch),
        }
    }
}

/// So many of the rows at most, the same ones whatever their order.
fn drawn(rows: &[u32], most: usize) -> Vec<u32> {
    let mut drawn = rows.to_vec();
    drawn.sort_unstable_by_key(|row| xxh3_64(&row.to_le_bytes()));
    drawn.truncate(most);
    drawn
}

/// Batches of rows as they are in use, until `each` has enough.
fn each_batch(source: &Arc<dyn Source>, rows: Vec<u32>, each: &mut dyn FnMut(&Batch) -> Result<bool>) -> Result<()> {
    let is_read = source.scratch_bytes() > 0;
    let size = if is_read { 16 } else { 256 };
    let mut loader = Loader::new(source.clone(), rows, LoaderOptions::evaluate(size, usize::from(is_read)))?;
    while let Some(batch) = loader.next()? {
        if !each(&batch)? {
            break;
        }
    }
    Ok(())
}
