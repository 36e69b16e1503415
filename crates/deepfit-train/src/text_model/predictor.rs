use std::io::Read;
use std::path::{Path, PathBuf};

use deepfit_cpu::Precision;
use deepfit_data::{TextRow, Texts};
use deepfit_zoo::TextHead;

use super::TextModel;
use super::running::Wanted;
use super::stream::{Input, Stream};
use crate::error::{Result, TrainError};
use crate::metrics::LABEL_THRESHOLD;
use crate::predictor::{Prediction, PredictionValue};

/// A network for texts in use for the classes that it tells apart.
pub struct TextPredictor {
    stream: Stream,
    texts: Texts,
}

impl TextPredictor {
    /// Opens a published model for texts.
    ///
    /// # Errors
    /// If it is damaged, or has no classes.
    pub fn open(path: &Path, threads: usize) -> Result<TextPredictor> {
        TextPredictor::open_in(path, threads, Precision::F32)
    }

    /// Like [`TextPredictor::open`], for a network that multiplies matrices in another precision.
    ///
    /// # Errors
    /// As there, or if the processor does not multiply in this precision.
    pub fn open_in(path: &Path, threads: usize, precision: Precision) -> Result<TextPredictor> {
        let mut model = TextModel::open(path)?;
        model.precision = precision;
        let problem = match model.sizes.head {
            TextHead::Classes(_) => None,
            TextHead::Vocabulary => Some("has no classes: it continues texts, by `deepfit generate`"),
            TextHead::None => Some("has no classes: it gives embeddings, by `deepfit embed`"),
        };
        if let Some(problem) = problem {
            return Err(TrainError::run(path, problem));
        }
        Ok(TextPredictor { stream: Stream::new(model, Wanted::Outputs, None, threads)?, texts: Texts::default() })
    }

    /// With the column of tables that holds the texts.
    #[must_use]
    pub fn column(mut self, column: Option<String>) -> Self {
        self.texts.column = column;
        self
    }

    /// What is worth knowing so far, one sentence each. Each is given once.
    pub fn take_notes(&mut self) -> Vec<String> {
        self.stream.take_notes()
    }

    /// Predicts the texts of files and folders (see [`Texts::read`]), in order, and gives each prediction to `each`.
    /// Returns the texts that failed, by their names, with the reason.
    ///
    /// # Errors
    /// If a file cannot be read, or `each` fails.
    pub fn predict_paths(
        &mut self,
        inputs: &[PathBuf],
        each: &mut dyn FnMut(Prediction) -> Result<()>,
    ) -> Result<Vec<(String, String)>> {
        let texts = self.texts.clone();
        self.predict(|push| texts.read(inputs, push), each)
    }

    /// Predicts texts that are read from somewhere: lines, or the rows of a table if there is a column.
    ///
    /// # Errors
    /// As [`TextPredictor::predict_paths`].
    pub fn predict_reader(
        &mut self,
        reader: impl Read,
        name: &str,
        each: &mut dyn FnMut(Prediction) -> Result<()>,
    ) -> Result<Vec<(String, String)>> {
        let texts = self.texts.clone();
        self.predict(|push| texts.read_from(reader, name, push), each)
    }

    fn predict(
        &mut self,
        read: impl FnOnce(&mut dyn FnMut(TextRow) -> Result<()>) -> Result<Vec<String>>,
        each: &mut dyn FnMut(Prediction) -> Result<()>,
    ) -> Result<Vec<(String, String)>> {
        let published = &self.stream.model().published;
        let (classes, several) = (published.classes.clone(), published.multi_label);
        let stream = &mut self.stream;
        let mut give = |input: Input, logits: &[f32]| each(prediction(input.name, logits, &classes, several));
        let notes = read(&mut |row| stream.push(row, &mut give))?;
        stream.note(notes);
        stream.finish(&mut give)
    }
}

/// What logits say: a value if there is but one; else the likeliest class, with probabilities that add up to 1, or, where a
/// text may have several classes, all that are likely.
fn prediction(input: String, logits: &[f32], classes: &[String], several: bool) -> Prediction {
    let given = Some(logits.to_vec());
    if let ([value], false) = (logits, several) {
        let value = f64::from(*value);
        return Prediction {
            input,
            prediction: PredictionValue::Value(value),
            probabilities: None,
            value: Some(value),
            logits: given,
            set: None,
            interval: None,
            unlike_training: None,
        };
    }
    let logits = logits.iter().map(|&v| f64::from(v));
    let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.clone().map(|v| (v - largest).exp()).sum();
    let probability = |v: f64| if several { 1.0 / (1.0 + (-v).exp()) } else { (v - largest).exp() / sum };
    let pairs: Vec<(String, f64)> = classes.iter().cloned().zip(logits.map(probability)).collect();
    let prediction = if several {
        let is_likely = |(_, probability): &&(String, f64)| *probability >= f64::from(LABEL_THRESHOLD);
        PredictionValue::Labels(pairs.iter().filter(is_likely).map(|(class, _)| class.clone()).collect())
    } else {
        let best = pairs.iter().fold(None, |best: Option<&(String, f64)>, pair| match best {
            Some(best) if best.1 >= pair.1 => Some(best),
            _ => Some(pair),
        });
        PredictionValue::Class(best.map_or(String::new(), |(class, _)| class.clone()))
    };
    Prediction {
        input,
        prediction,
        probabilities: Some(pairs),
        value: None,
        logits: given,
        set: None,
        interval: None,
        unlike_training: None,
    }
}
