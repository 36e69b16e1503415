//! Texts of which several things are told: labels of their words, the token that comes next, how near two of them are.
//!
//! Words cannot be left out there, since what is explained would be of another text: their vectors are replaced by the mean of
//! the table of words instead, where integrated gradients begin, too.

mod labels;
mod networks;
mod next;
mod pairs;
mod replaced;

use std::path::Path;

use deepfit_data::Task;
use deepfit_train::{ClassicalModel, Continuing, PairModel, PredictionValue, is_text_model, open_model};
use deepfit_zoo::{TOKENS, TextHead};

use crate::classical;
use crate::error::Result;
use crate::explainer::{Each, Explainer, Inputs, Request};
use crate::explanation::{Attributions, Details, Explanation, Shown};
use crate::gradients::integrated;
use crate::method::{Kind, Method};
use crate::removal::leave_one_out;
use crate::rollout::{self, rollout};
use crate::rows::Rows;
use crate::subject::Subject;

use replaced::Replaced;

/// What is told of a text.
pub(crate) enum Told {
    /// Labels of its words.
    Labels(labels::Labels),
    /// The token that comes next.
    Next(next::Next),
    /// How near it is to another.
    Nearness(PairModel),
}

impl Told {
    /// What the model takes.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Told::Labels(_) => Kind::Words,
            Told::Next(_) => Kind::Continued,
            Told::Nearness(_) => Kind::Pairs,
        }
    }
}

/// A model with what is told of a text, if that is more than one thing for a whole input; and notes.
pub(crate) type Opened = (Subject, Option<Told>, Vec<String>);

/// Opens whatever can be explained.
///
/// # Errors
/// As [`Explainer::open`].
pub(crate) fn open(path: &Path, threads: usize) -> Result<Opened> {
    if ClassicalModel::is_in(path) {
        return Ok((classical::open(path, threads)?, None, Vec::new()));
    }
    if is_text_model(path) {
        return match deepfit_train::text_head(path)? {
            TextHead::Classes(_) => of_whole_inputs(Subject::open(path, threads)?),
            TextHead::Vocabulary => next::open(Continuing::open(path, threads)?),
            TextHead::None => pairs::open(path, threads),
        };
    }
    let model = open_model(path)?;
    match model.preprocessor.task() {
        Task::Labels { .. } => labels::open(model, threads),
        Task::NextToken => next::open(Continuing::open(path, threads)?),
        _ => of_whole_inputs(Subject::of_model(path, model, threads)?),
    }
}

fn of_whole_inputs((subject, notes): (Subject, Vec<String>)) -> Result<Opened> {
    Ok((subject, None, notes))
}

/// A text whose explanation is wanted.
struct Read {
    /// The input.
    name: String,
    /// What of it is explained, if not all.
    of: Option<String>,
    /// What the network sees, one row.
    row: Rows,
    /// Its parts.
    parts: Vec<Piece>,
    prediction: PredictionValue,
    /// What is explained, with its probability.
    class: Option<(String, f64)>,
    output: usize,
}

/// A part of a text.
struct Piece {
    /// Its letters.
    written: String,
    /// Of pairs of texts, which of them it is in, 0 or 1.
    side: Option<usize>,
    /// The places of its tokens.
    tokens: Vec<usize>,
}

/// Takes what is to be explained as it comes.
type Found<'a> = &'a mut dyn FnMut(&mut Subject, Read) -> Result<()>;

impl Explainer {
    /// Explains texts of which more than one thing is told.
    pub(crate) fn explain_sequences(
        &mut self,
        told: &Told,
        inputs: Inputs<'_>,
        method: Method,
        request: &Request,
        each: Each<'_>,
    ) -> Result<Vec<(String, String)>> {
        let (threads, mut notes) = (self.threads, Vec::new());
        let class = request.class.as_deref();
        let mut found = |subject: &mut Subject, read: Read| each(explained(subject, read, method)?);
        let subject = &mut self.subject;
        let failed = match told {
            Told::Labels(labels) => labels::read(subject, labels, inputs, request, threads, &mut notes, &mut found),
            Told::Next(next) => next::read(subject, next, inputs, class, &mut notes, &mut found),
            Told::Nearness(model) => pairs::read(subject, model, inputs, threads, &mut found),
        };
        self.notes.append(&mut notes);
        failed
    }
}

/// Explains one thing that is told of a text, and tests the explanation.
fn explained(subject: &mut Subject, read: Read, method: Method) -> Result<Explanation> {
    let Read { name, of, row, parts, prediction, class, output } = read;
    let places: Vec<Vec<usize>> = parts.iter().map(|part| part.tokens.clone()).collect();
    let (unit, tested) = (subject.gradient_unit(), subject.unit());
    let (mut completeness_error, mut others) = (None, Vec::new());
    let inputs = match method {
        Method::IntegratedGradients => {
            let found = integrated(subject, &row, &row, output)?;
            completeness_error = Some(found.completeness_error);
            Some(found.inputs)
        }
        Method::AttentionRollout => Some(rollout(subject, &row)?),
        _ => None,
    };
    let values = match inputs {
        Some(inputs) => {
            let (values, left) = shares(subject, &inputs, &places, row.sequence);
            others.extend((left != 0.0).then(|| (crate::texts::AROUND.to_string(), left)));
            values
        }
        None => leave_one_out(&mut Replaced { subject, row: &row, parts: places.clone(), output, unit })?,
    };
    let mut replaced = Replaced { subject, row: &row, parts: places, output, unit: tested };
    let faithfulness = Some(Explainer::test(&mut replaced, &values, tested)?);
    let words = parts.iter().zip(&values).map(|(part, &value)| {
        let Piece { written, side, .. } = part;
        Shown { written: written.clone(), value, side: *side }
    });
    let details = Details { words: words.collect(), of, ..Details::default() };
    let names = crate::texts::named(parts.iter().map(|part| (&part.written[..], part.side)));
    Ok(Explanation {
        input: name,
        prediction: Some(prediction),
        class,
        method,
        unit: if method == Method::AttentionRollout { rollout::UNIT } else { unit.name() },
        attributions: Attributions::Named(names.into_iter().zip(values).chain(others).collect()),
        faithfulness,
        completeness_error,
        details,
    })
}

/// What the values of tokens say of parts, and the sum of what belongs to none.
fn shares(subject: &Subject, inputs: &[Vec<f64>], parts: &[Vec<usize>], sequence: usize) -> (Vec<f64>, f64) {
    let mut of_tokens = vec![0.0; sequence];
    for (_, values) in subject.names().iter().zip(inputs).filter(|(name, _)| *name == TOKENS) {
        for values in values.chunks(sequence.max(1)) {
            of_tokens.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
    }
    let values: Vec<f64> = parts.iter().map(|part| part.iter().map(|&token| of_tokens[token]).sum()).collect();
    let all: f64 = inputs.iter().flatten().sum();
    let left = all - values.iter().sum::<f64>();
    // What rounding leaves is nothing.
    (values, if left.abs() > 1e-9 { left } else { 0.0 })
}
