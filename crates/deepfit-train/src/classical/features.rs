//! Rows of a data set as features of classical learners.

use std::sync::Arc;

use deepfit_classical::{ClassicalError, Kind, Matrix};
use deepfit_data::{
    Array, Batch, Encoding, Loader, LoaderOptions, Preprocessor, Source, TablePreprocessor, TextPreprocessor,
};
use serde::{Deserialize, Serialize};

use super::histograms::Histograms;
use crate::error::{Result, TrainError};

/// Rows at a time; images are larger than other rows.
const BATCH: usize = 256;
const IMAGES: usize = 16;
/// A column of more categories than this is too wide for a column each; trees alone see it.
const MOST_ONE_HOT: usize = 256;

/// What is made of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Features {
    /// Nothing: for what predicts the same for every row.
    Nothing,
    /// Numbers as a network sees them, and a column for each category.
    OneHot,
    /// Numbers, with gaps where they are missing, and numbers of categories.
    Columns,
    /// Of texts, how often each word is there, weighted by how rare it is, and what stands beside the texts.
    Terms,
    /// The same for the most frequent words alone, which trees look at one by one.
    FrequentTerms,
    /// Of images, how frequent colours are, how bright each part is, and which way edges run there.
    Histograms,
    /// What a published network makes of images or texts.
    Frozen,
}

/// Most words that trees look at.
const FREQUENT: usize = 500;

/// Makes features of batches.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    features: Features,
    kinds: Vec<Kind>,
    names: Vec<String>,
    numbers: Option<Numbers>,
    categories: Option<Categories>,
    beside: Option<Beside>,
    histograms: Option<Histograms>,
}

/// Where the words of texts, or what a network has made, come from.
#[derive(Debug, Clone)]
struct Beside {
    input: usize,
    /// Of each sample's numbers.
    width: usize,
    /// Those that are used, where that is not all.
    used: Vec<u32>,
    /// Whether most are 0.
    sparse: bool,
}

/// Where numbers come from.
#[derive(Debug, Clone)]
struct Numbers {
    /// Place among the inputs of a batch.
    input: usize,
    /// Of each sample's numbers.
    width: usize,
    /// The numbers that are used, each with the number that is 1 where it is missing, if there is one.
    used: Vec<(usize, Option<usize>)>,
}

/// Where categories come from.
#[derive(Debug, Clone)]
struct Categories {
    input: usize,
    /// How many there are in each column, those for missing and unknown ones included.
    sizes: Vec<usize>,
}

impl Encoded {
    /// Those of some rows, with targets as another source has them.
    pub(crate) fn select(&self, rows: &[u32], source: &Arc<dyn Source>) -> Encoded {
        let (mut places, mut found) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for &row in rows {
            if let Ok(place) = self.rows.binary_search(&row) {
                places.push(place as u32);
                found.push(row);
            }
        }
        let targets = source.targets_of(&found);
        Encoded { matrix: self.matrix.select(&places), targets, rows: found }
    }
}

/// Rows that were encoded.
pub(crate) struct Encoded {
    /// Their features.
    pub(crate) matrix: Matrix,
    /// Their classes, or standardised values.
    pub(crate) targets: Array,
    /// The rows, ascending, without those that could not be read.
    pub(crate) rows: Vec<u32>,
}

impl Beside {
    /// Nothing if the values are not as many as they should be.
    fn encode(&self, values: &[f32], rows: usize) -> Option<Matrix> {
        let values = values.get(..rows * self.width)?;
        if self.sparse {
            let mut matrix = Matrix::sparse(self.width);
            for row in values.chunks_exact(self.width) {
                matrix.push((0..).zip(row.iter().copied()).filter(|(_, value)| *value != 0.0));
            }
            return Some(matrix);
        }
        if self.used.is_empty() {
            return Some(Matrix::dense(self.width, values.to_vec()));
        }
        let rows = values.chunks_exact(self.width);
        let used = rows.flat_map(|row| self.used.iter().map(|&number| row[number as usize]));
        Some(Matrix::dense(self.used.len(), used.collect()))
    }
}

impl Encoder {
    fn empty(features: Features) -> Encoder {
        let (kinds, names) = (Vec::new(), Vec::new());
        Encoder { features, kinds, names, numbers: None, categories: None, beside: None, histograms: None }
    }

    /// An encoder of what a preprocessor prepares.
    ///
    /// # Errors
    /// If it prepares something of which there are no such features.
    pub(crate) fn new(features: Features, preprocessor: &Preprocessor) -> Result<Encoder> {
        let mut encoder = Encoder::empty(features);
        match (features, preprocessor) {
            (Features::Nothing, _) => {}
            (Features::OneHot | Features::Columns, Preprocessor::Table(table)) => encoder.see(table),
            (Features::Terms | Features::FrequentTerms, Preprocessor::Text(text)) if text.terms_and_columns() > 0 => {
                encoder.see_terms(text);
            }
            (Features::Histograms, Preprocessor::Image(image)) => {
                let histograms = Histograms::new(image.height, image.width, image.channels);
                encoder.name(histograms.names());
                encoder.histograms = Some(histograms);
            }
            _ => {
                return Err(TrainError::setting(
                    "data",
                    "is of another kind than the features that are to be made of it",
                ));
            }
        }
        Ok(encoder)
    }

    /// An encoder of batches whose first input is what a network has made already, so many numbers of each sample.
    pub(crate) fn of_frozen(width: usize) -> Encoder {
        let mut encoder = Encoder::empty(Features::Frozen);
        encoder.name((0..width).map(|number| format!("feature {number}")).collect());
        encoder.beside = Some(Beside { input: 0, width, used: Vec::new(), sparse: false });
        encoder
    }

    fn name(&mut self, names: Vec<String>) {
        self.kinds.extend(names.iter().map(|_| Kind::Number));
        self.names.extend(names);
    }

    fn see_terms(&mut self, text: &TextPreprocessor) {
        let slots = text.slots();
        let (input, width) = (slots.len() - 1, slots.last().map_or(0, deepfit_data::Slot::values));
        let words = text.terms.as_ref().filter(|terms| !terms.hidden).map_or(&[][..], |terms| &terms.words);
        let name = |number: usize| words.get(number).cloned().unwrap_or(format!("column {}", number - words.len()));
        let sparse = self.features == Features::Terms;
        // The most frequent words come first, and what stands beside the texts last.
        let is_used = |number: &usize| sparse || *number < FREQUENT || *number >= words.len();
        let used: Vec<usize> = (0..width).filter(is_used).collect();
        self.name(used.iter().map(|&number| name(number)).collect());
        let used = if sparse { Vec::new() } else { used.into_iter().map(|number| number as u32).collect() };
        self.beside = Some(Beside { input, width, used, sparse });
    }

    fn see(&mut self, table: &TablePreprocessor) {
        let gaps = self.features == Features::Columns;
        let (mut input, mut at, mut used) = (0, 0, Vec::new());
        let names = table.numeric_names();
        for column in &table.columns {
            let Encoding::Numeric { indicator, facets, .. } = &column.encoding else { continue };
            let missing = indicator.then_some(at + facets.len());
            used.extend((at..at + facets.len()).map(|number| (number, missing.filter(|_| gaps))));
            // Whether a number is missing is a feature of those that see no gaps.
            used.extend(missing.filter(|_| !gaps).map(|number| (number, None)));
            at += facets.len() + usize::from(*indicator);
        }
        if at > 0 {
            self.kinds.extend(used.iter().map(|_| Kind::Number));
            self.names.extend(used.iter().map(|(number, _)| names[*number].clone()));
            self.numbers = Some(Numbers { input, width: at, used });
            input += 1;
        }
        let mut sizes = Vec::new();
        for column in &table.columns {
            let Encoding::Category { words } = &column.encoding else { continue };
            let size = words.len() + 2;
            sizes.push(size);
            if gaps {
                self.kinds.push(Kind::Category(size as u32));
                self.names.push(column.name.clone());
            } else if size <= MOST_ONE_HOT {
                let known = words.iter().map(String::as_str);
                let all = ["missing", "unknown"].into_iter().chain(known);
                self.names.extend(all.map(|word| format!("{}: {word}", column.name)));
                self.kinds.extend(std::iter::repeat_n(Kind::Number, size));
            }
        }
        if !sizes.is_empty() {
            self.categories = Some(Categories { input, sizes });
        }
    }

    /// What is made of rows.
    pub(crate) fn features(&self) -> Features {
        self.features
    }

    /// What each feature is.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Number of features.
    pub(crate) fn width(&self) -> usize {
        self.names.len()
    }

    /// Rows at a time.
    pub(crate) fn batch(&self) -> usize {
        if self.histograms.is_some() { IMAGES } else { BATCH }
    }

    /// The features of a batch.
    pub(crate) fn encode(&self, batch: &Batch) -> Result<Matrix> {
        if self.names.is_empty() {
            let mut nothing = Matrix::sparse(0);
            (0..batch.len).for_each(|_| nothing.push([]));
            return Ok(nothing);
        }
        let other = || TrainError::setting("data", "is prepared in another way than the model was trained on");
        if let Some(histograms) = &self.histograms {
            let pixels = batch.inputs.first().and_then(Array::as_u8).ok_or_else(other)?;
            let mut out = Vec::with_capacity(batch.len * self.width());
            pixels.chunks_exact(histograms.pixels()).take(batch.len).for_each(|image| histograms.push(image, &mut out));
            return Ok(Matrix::of_columns(self.kinds.clone(), out));
        }
        if let Some(beside) = &self.beside {
            let values = batch.inputs.get(beside.input).and_then(Array::as_f32).ok_or_else(other)?;
            return beside.encode(values, batch.len).ok_or_else(other);
        }
        let numbers = match &self.numbers {
            Some(numbers) => {
                let values = batch.inputs.get(numbers.input).and_then(Array::as_f32).ok_or_else(other)?;
                Some((numbers, values))
            }
            None => None,
        };
        let categories = match &self.categories {
            Some(categories) => {
                let values = batch.inputs.get(categories.input).and_then(Array::as_i32).ok_or_else(other)?;
                Some((categories, values))
            }
            None => None,
        };
        let mut out = Vec::with_capacity(batch.len * self.width());
        for row in 0..batch.len {
            if let Some((numbers, values)) = numbers {
                let own = values.get(row * numbers.width..(row + 1) * numbers.width).ok_or_else(other)?;
                out.extend(numbers.used.iter().map(|&(number, missing)| match missing {
                    Some(missing) if own[missing] > 0.5 => f32::NAN,
                    _ => own[number],
                }));
            }
            if let Some((categories, values)) = categories {
                let width = categories.sizes.len();
                let own = values.get(row * width..(row + 1) * width).ok_or_else(other)?;
                for (&index, &size) in own.iter().zip(&categories.sizes) {
                    let index = usize::try_from(index).unwrap_or(0);
                    if self.features == Features::Columns {
                        out.push(index as f32);
                    } else if size <= MOST_ONE_HOT {
                        out.extend((0..size).map(|other| f32::from(u8::from(other == index))));
                    }
                }
            }
        }
        Ok(Matrix::of_columns(self.kinds.clone(), out))
    }

    /// The features and targets of rows, until `stop` says so.
    ///
    /// # Errors
    /// If too many rows cannot be read, or it was stopped.
    pub(crate) fn encode_all(
        &self,
        source: &Arc<dyn Source>,
        rows: &[u32],
        stop: &dyn Fn() -> bool,
    ) -> Result<Encoded> {
        let workers = usize::from(source.scratch_bytes() > 0);
        let mut loader = Loader::new(source.clone(), rows.to_vec(), LoaderOptions::evaluate(self.batch(), workers))?;
        let (mut parts, mut seen) = (Vec::new(), Vec::new());
        while let Some(batch) = loader.next()? {
            if stop() {
                return Err(ClassicalError::Stopped.into());
            }
            parts.push(self.encode(&batch)?);
            seen.extend_from_slice(&batch.rows);
        }
        Ok(Encoded::of(Matrix::concat(parts), &seen, &**source))
    }
}

impl Encoded {
    /// Features of rows in the order in which they were made, with the targets that their source has for them. Batches are of
    /// similar lengths, and not in the order of the rows, which they are in here.
    pub(crate) fn of(matrix: Matrix, seen: &[u32], source: &dyn Source) -> Encoded {
        let mut order: Vec<u32> = (0..seen.len() as u32).collect();
        order.sort_by_key(|&place| seen[place as usize]);
        let matrix = if order.is_sorted() { matrix } else { matrix.select(&order) };
        let rows: Vec<u32> = order.into_iter().map(|place| seen[place as usize]).collect();
        let targets = source.targets_of(&rows);
        Encoded { matrix, targets, rows }
    }
}
