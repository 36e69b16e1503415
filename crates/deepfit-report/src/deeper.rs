//! What needs the model and the data again: explanations of some test rows, the importance of columns, a map of what the last
//! layer sees, continuations of a text.

mod chosen;
mod trusted;

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deepfit_data::{Array, Opened, Passage, RowId, Sample, Task};
use deepfit_explain::{Attributions, Explainer, Explanation, Inputs, Kind, Method, Request};
use deepfit_train::text::words;
use deepfit_train::{Generator, Mistake, PredictionValue, RunRecord, Sampling, test_rows};

use crate::error::Result;
use crate::plot::Plot;
use crate::plots::{coloured, dependence, features, importance, project};
use chosen::{chosen, wrong_label};
use trusted::{instead, one, shuffled};

/// Most rows that are explained, mistakes and others, which bounds what that costs: of a picture or a text each takes some
/// hundred predictions.
pub(crate) const MISTAKES: usize = 4;
pub(crate) const OTHERS: usize = 4;
/// Most words of a text whose labels are explained: those that are wrong.
const WORDS: usize = 2;
/// Most rows of the importance of columns, and of the map.
const MOST_ROWS: usize = 2_000;
/// Most columns whose values are told by what is predicted for them.
const DEPENDENCES: usize = 6;
/// Groups of a map by values.
const GROUPS: usize = 4;
/// Letters of a beginning that is continued, and tokens that follow.
const BEGINNING: usize = 60;
const TOKENS: usize = 80;

/// Which parts are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Explanations of some rows, and continuations of a text.
    pub explanations: bool,
    /// Importance of columns.
    pub importance: bool,
    /// What is predicted by the value of a column.
    pub dependence: bool,
    /// A map of what the last layer sees.
    pub map: bool,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Deeper {
    /// How much worse the test rows are predicted without each column.
    pub importance: Option<Plot>,
    /// What is predicted on average by the value of each column that counts most.
    pub dependence: Option<Plot>,
    /// The test rows as the last layer sees them.
    pub map: Option<Plot>,
    /// Explanations of some rows.
    pub explanations: Vec<Explained>,
    /// How alike explanations of these rows stay when the network's weights are shuffled, 0 to 1 on average, and their methods;
    /// or why that was not looked at.
    pub shuffled: Option<std::result::Result<(f64, String), String>>,
    /// Beginnings of a text, and how the network goes on.
    pub continued: Vec<(String, String)>,
    /// What could not be done, one sentence each.
    pub notes: Vec<String>,
}

/// An explanation of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The row.
    pub id: RowId,
    /// What was said of it, and what is true.
    pub sentence: String,
    /// What counts most, in words.
    pub strongest: Option<String>,
    /// How it was explained.
    pub method: Method,
    /// What counts.
    pub parts: Parts,
    /// How the explanation did when it was tested.
    pub test: String,
    /// Why it should not be relied on.
    pub warning: Option<String>,
}

/// Parts of a row with their weights.
#[derive(Debug, Clone, PartialEq)]
pub enum Parts {
    /// The picture and its map, side by side in a JPEG.
    Picture {
        /// Pixels of both.
        width: u32,
        /// Rows of pixels.
        height: u32,
        /// The file.
        base64: String,
    },
    /// Words with their shares of the strongest weight; of two texts that are compared one after the other.
    Words(Vec<Vec<(String, f64)>>),
    /// Columns, what stands in them, and their weights; the strongest first.
    Columns(Vec<(String, String, f64)>),
}

impl Deeper {
    /// Runs the model of a run that has ended on its test rows again. What cannot be done is told in [`Deeper::notes`].
    ///
    /// # Errors
    /// If the model is damaged.
    pub fn look(run: &RunRecord, wanted: Wanted, threads: usize) -> Result<Deeper> {
        let mut found = Deeper::default();
        match &run.task {
            Some(Task::NextToken | Task::Labels { .. }) | None => {
                let continues = run.task == Some(Task::NextToken);
                // Without its model a run does not tell its task, and is not one of texts for that.
                if let Err(error) = Explainer::open(&run.root, threads) {
                    found.notes.push(format!("the model cannot be read, so that nothing is explained: {error}"));
                    return Ok(found);
                }
                if wanted.explanations {
                    found.explain_texts(run, threads)?;
                    if continues {
                        found.continue_texts(run, threads)?;
                    }
                } else {
                    let what = match &run.task {
                        Some(Task::NextToken) => "continues texts",
                        Some(_) => "labels words",
                        None => "embeds texts",
                    };
                    found.notes.push(format!("the network {what}, and has no map of rows"));
                }
                return Ok(found);
            }
            Some(_) => {}
        }
        let mut explainer = Explainer::open(&run.root, threads)?;
        let rows = test_rows(&run.root, explainer.preprocessor(), threads);
        let rows = match rows {
            Ok(rows) => Some(rows),
            Err(error) => {
                found.notes.push(format!("the test rows cannot be looked at again: {error}"));
                None
            }
        };
        if let Some((opened, _)) = &rows {
            if (wanted.importance || wanted.dependence) && explainer.kind() == Kind::Tables {
                found.columns(run, &mut explainer, opened, wanted)?;
            }
            if wanted.map && !explainer.is_classical() {
                found.map = map(&mut explainer, opened, run)?;
                if found.map.is_none() {
                    found.notes.push(
                        "the rows are all the same to the last layer, so that there is no map of them".to_string(),
                    );
                }
            }
        }
        if wanted.explanations {
            found.explain(run, &mut explainer, rows.as_ref())?;
        }
        found.notes.extend(explainer.take_notes());
        Ok(found)
    }

    /// How much worse the rows are predicted without each column, and what is predicted by the values of those that count most.
    fn columns(&mut self, run: &RunRecord, explainer: &mut Explainer, opened: &Opened, wanted: Wanted) -> Result<()> {
        let some = some(opened);
        let found = explainer.importance(&some, "the test rows")?;
        let Attributions::Named(falls) = &found.attributions else { return Ok(()) };
        if wanted.importance {
            let whole = found.details.metric.map_or(0.0, |(_, value)| value);
            self.importance = Some(importance(falls, found.unit, whole, some.rows.len()));
        }
        if wanted.dependence {
            let mut strongest: Vec<&(String, f64)> = falls.iter().collect();
            strongest.sort_by(|a, b| b.1.total_cmp(&a.1));
            let columns: Vec<String> = strongest.iter().take(DEPENDENCES).map(|(name, _)| name.clone()).collect();
            // Of two classes one is looked for, of more the most common one is told.
            let class = run.report.as_ref().and_then(|report| report.positive.as_deref());
            let target = run.columns.as_ref().map_or("the predicted number", |(_, target)| target);
            self.dependence = dependence(&explainer.dependence(&some, &columns, class)?, target);
            if self.dependence.is_none() {
                let note =
                    "no column that counts has several values other than dates, so that none is told by its values";
                self.notes.push(note.to_string());
            }
        }
        Ok(())
    }

    fn explain(
        &mut self,
        run: &RunRecord,
        explainer: &mut Explainer,
        rows: Option<&(Opened, Vec<RowId>)>,
    ) -> Result<()> {
        let chosen = chosen(run, rows);
        let mut ids: Vec<RowId> = Vec::new();
        let (opened, passages) = if explainer.kind() == Kind::Texts {
            // Texts are there as the network has read them.
            let mut passages = Vec::new();
            for id in chosen {
                let kept = run.predictions.iter().flat_map(|predictions| &predictions.worst);
                let kept = kept.filter(|mistake| mistake.id == id).find_map(|mistake| mistake.sample.clone());
                let Some(Sample::Texts { texts }) = kept.or_else(|| sample(rows?, explainer, &id)) else { continue };
                let [text, second @ ..] = &texts[..] else { continue };
                passages.push(Passage { text: text.clone(), second: second.first().cloned() });
                ids.push(id);
            }
            if passages.is_empty() {
                self.notes.push("no text of the test is there, so that none is explained".to_string());
                return Ok(());
            }
            (explainer.open_passages(passages.clone())?, Some(passages))
        } else if let Some((opened, names)) = rows {
            let places: HashMap<&RowId, u32> = names.iter().zip(opened.rows.iter().copied()).collect();
            let chosen: Vec<RowId> = chosen.into_iter().filter(|id| places.contains_key(id)).collect();
            let some = part(opened, chosen.iter().filter_map(|id| places.get(id).copied()).collect());
            ids.extend(chosen);
            (some, None)
        } else {
            return Ok(());
        };
        let mut all = Vec::new();
        for (&row, id) in opened.rows.iter().zip(ids) {
            let wrong = wrong_label(run, &id);
            let class = wrong.as_ref().map(|(label, _)| label.clone());
            let request = Request { class, ..Request::default() };
            if let Some(found) = one(explainer, &opened, row, passages.as_deref(), &request)? {
                all.push((id, row, wrong, found));
            }
        }
        if explainer.kind() == Kind::Images {
            let pictures = all.iter_mut().map(|(_, row, _, found)| (*row, found));
            self.notes.extend(instead(explainer, &opened, pictures)?);
        }
        let before: Vec<(u32, &Explanation)> = all.iter().map(|(_, row, _, found)| (*row, found)).collect();
        self.shuffled = (!before.is_empty()).then(|| shuffled(explainer, &opened, passages.as_deref(), &before));
        for (id, _, wrong, explanation) in all {
            let truth = truth(run, rows, explainer, &id);
            self.explanations.extend(explained(&id, &explanation, truth, wrong.as_ref()));
        }
        Ok(())
    }

    /// Explains what a network tells of some texts of which it tells several things: labels of words, what comes next, how near
    /// two of them are. Of labels, those words are explained that got a wrong one.
    fn explain_texts(&mut self, run: &RunRecord, threads: usize) -> Result<()> {
        let Some(predictions) = &run.predictions else {
            self.notes.push("no mistakes are kept in the run folder, so that none are explained".to_string());
            return Ok(());
        };
        if predictions.worst.is_empty() && predictions.measured > 0 {
            let note = "there is no mistake among the test texts, so that none is explained; `deepfit explain RUN FILE` explains any";
            self.notes.push(note.to_string());
            return Ok(());
        }
        let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text_of = |mistake: &Mistake| match &mistake.sample {
            Some(Sample::Words { words }) => Some(line(&words.join(" "))),
            Some(Sample::Texts { texts }) if run.task == Some(Task::NextToken) => {
                Some(line(&texts.first().map_or(String::new(), |text| text.chars().take(BEGINNING).collect())))
            }
            Some(Sample::Texts { texts }) => Some(texts.iter().map(|text| line(text)).collect::<Vec<_>>().join("\t")),
            _ => None,
        };
        let texts = predictions.worst.iter().filter_map(|mistake| Some((mistake, text_of(mistake)?)));
        let texts: Vec<(&Mistake, String)> = texts.filter(|(_, text)| !text.is_empty()).take(MISTAKES).collect();
        if texts.is_empty() {
            let note =
                "no text of a mistake is kept, so that none is explained here; `deepfit explain RUN FILE` explains any";
            self.notes.push(note.to_string());
            return Ok(());
        }
        let mut explainer = Explainer::open(&run.root, threads)?;
        for (mistake, text) in texts {
            let mut all: Vec<Explanation> = Vec::new();
            let mut take = |explanation: Explanation| {
                all.push(explanation);
                Ok(())
            };
            let wrong = wrong_words(mistake);
            let places = (!wrong.is_empty()).then(|| wrong.iter().map(|(place, _)| *place).collect());
            let (mut lines, request) = (text.as_bytes(), Request { places, ..Request::default() });
            let failed = explainer.explain(Inputs::Reader(&mut lines, "the test texts"), &request, &mut take)?;
            self.notes.extend(failed.into_iter().map(|(_, reason)| format!("a test text is not explained: {reason}")));
            for (at, explanation) in all.iter().enumerate() {
                let word = wrong.get(at);
                // A word that is cut otherwise than it was in training is another one.
                if word.is_some_and(|(_, word)| explanation.details.of.as_ref() != Some(word)) {
                    continue;
                }
                let truth = word.and_then(|(place, _)| tag(run, *mistake.truths.get(*place)?));
                self.explanations.extend(explained(&mistake.id, explanation, truth, None));
            }
        }
        self.notes.extend(explainer.take_notes());
        Ok(())
    }

    /// How the network goes on from beginnings of test windows.
    fn continue_texts(&mut self, run: &RunRecord, threads: usize) -> Result<()> {
        let worst = run.predictions.iter().flat_map(|predictions| &predictions.worst);
        let text = |sample: &Option<Sample>| match sample {
            Some(Sample::Texts { texts }) => texts.first().cloned(),
            _ => None,
        };
        let mut generator = Generator::open(&run.root, threads)?;
        let sampling = Sampling { max_tokens: TOKENS, temperature: 0.8, top_k: None, top_p: None, seed: 1 };
        for beginning in worst.filter_map(|mistake| text(&mistake.sample)).take(2) {
            let beginning: String = beginning.chars().take(BEGINNING).collect();
            match generator.generate(&beginning, &sampling, &mut |_| Ok(())) {
                Ok(generated) => self.continued.push((beginning, generated.text)),
                Err(error) => self.notes.push(format!("a text could not be continued: {error}")),
            }
        }
        self.notes.extend(generator.take_notes());
        Ok(())
    }
}

/// What a test row is, read again.
fn sample((opened, names): &(Opened, Vec<RowId>), explainer: &Explainer, id: &RowId) -> Option<Sample> {
    let row = *opened.rows.get(names.iter().position(|name| name == id)?)?;
    Sample::of(&*opened.source, explainer.preprocessor(), row)
}

/// What is true of a test row, in words.
fn truth(run: &RunRecord, rows: Option<&(Opened, Vec<RowId>)>, explainer: &Explainer, id: &RowId) -> Option<String> {
    if let Some(predictions) = &run.predictions {
        let kept = predictions.ids.iter().position(|known| known == id).map(|row| predictions.row(row).1);
        let of_mistake = || predictions.worst.iter().find(|mistake| mistake.id == *id).map(|one| &one.truths[..]);
        return kept.or_else(of_mistake).map(|truth| in_words(run, truth));
    }
    let (opened, names) = rows?;
    let row = *opened.rows.get(names.iter().position(|name| name == id)?)?;
    match opened.source.targets_of(&[row]) {
        Array::I32(classes) => Some(in_words(run, &[*classes.first()? as f32])),
        Array::F32(values) if run.task == Some(Task::Regression) => {
            let value = f64::from(*values.first()?);
            let scale = explainer.preprocessor().target_scale();
            Some(words::number(scale.map_or(value, |scale| scale.inverse(value))))
        }
        Array::F32(labels) => Some(in_words(run, &labels)),
        Array::U8(_) => None,
    }
}

/// The first words of a sentence that got a wrong label, with their places.
fn wrong_words(mistake: &Mistake) -> Vec<(usize, String)> {
    let Some(Sample::Words { words }) = &mistake.sample else { return Vec::new() };
    let wrong = (0..words.len()).filter(|&at| mistake.predicted.get(at) != mistake.truths.get(at));
    wrong.take(WORDS).map(|at| (at, words[at].clone())).collect()
}

/// The name of a label of words.
fn tag(run: &RunRecord, number: f32) -> Option<String> {
    match &run.task {
        Some(Task::Labels { labels, .. }) => labels.get(number as usize).map(|name| format!("'{name}'")),
        _ => None,
    }
}

/// Some rows of data that has been opened.
fn part(opened: &Opened, rows: Vec<u32>) -> Opened {
    Opened::of_rows(opened.source.clone(), opened.names.clone(), rows)
}

/// Some of the rows, from all of the data.
fn some(opened: &Opened) -> Opened {
    let step = opened.rows.len().div_ceil(MOST_ROWS).max(1);
    part(opened, opened.rows.iter().copied().step_by(step).collect())
}

fn map(explainer: &mut Explainer, opened: &Opened, run: &RunRecord) -> Result<Option<Plot>> {
    let some = some(opened);
    let found = explainer.features(&some)?;
    let rows: Vec<u32> = found.iter().map(|(row, _)| *row).collect();
    let vectors: Vec<Vec<f32>> = found.into_iter().map(|(_, features)| features).collect();
    let Some(projection) = project(&vectors) else { return Ok(None) };
    let targets = some.source.targets_of(&rows);
    let scale = explainer.preprocessor().target_scale();
    let (groups, grouping) = match (&run.task, &targets) {
        (Some(Task::Regression), Array::F32(values)) => {
            let values = values.iter().map(|&x| scale.map_or(f64::from(x), |s| s.inverse(f64::from(x))));
            (by_value(&values.collect::<Vec<_>>()), "true values")
        }
        (_, Array::I32(classes)) => {
            (classes.iter().map(|&class| in_words(run, &[class as f32])).collect(), "true class")
        }
        (_, Array::F32(labels)) => {
            let width = (labels.len() / rows.len().max(1)).max(1);
            (labels.chunks(width).map(|labels| in_words(run, labels)).collect(), "labels")
        }
        (_, Array::U8(_)) => (vec![String::new(); rows.len()], "rows"),
    };
    Ok(Some(features(&projection, &groups, grouping, &coloured(run))))
}

/// Names of quarters of values.
fn by_value(values: &[f64]) -> Vec<String> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let bound = |group: usize| sorted[(group * (sorted.len() - 1)) / GROUPS];
    let name = |group: usize| format!("{} to {}", words::number(bound(group)), words::number(bound(group + 1)));
    let group = |value: &f64| (0..GROUPS - 1).find(|&group| *value <= bound(group + 1)).unwrap_or(GROUPS - 1);
    values.iter().map(|value| name(group(value))).collect()
}

/// A truth in words.
fn in_words(run: &RunRecord, truth: &[f32]) -> String {
    let classes = run.task.as_ref().map(Task::classes).unwrap_or_default();
    match &run.task {
        Some(Task::MultiLabel { .. }) => {
            let own = classes.iter().zip(truth).filter(|(_, is)| **is >= 0.5).map(|(name, _)| name.clone());
            let own: Vec<String> = own.collect();
            if own.is_empty() { "no label".to_string() } else { own.join(", ") }
        }
        Some(Task::Classification { .. }) => {
            let class = truth.first().map_or(0, |class| *class as usize);
            classes.get(class).cloned().unwrap_or_else(|| class.to_string())
        }
        _ => words::number(f64::from(truth.first().copied().unwrap_or(0.0))),
    }
}

/// An explanation in words; of a mistake about several labels with the label that is `wrong`, and whether the row has it.
fn explained(
    id: &RowId,
    explanation: &Explanation,
    truth: Option<String>,
    wrong: Option<&(String, bool)>,
) -> Option<Explained> {
    let said = match &explanation.prediction {
        Some(PredictionValue::Class(class)) => format!("'{class}'"),
        Some(PredictionValue::Labels(labels)) if labels.is_empty() => "no label".to_string(),
        Some(PredictionValue::Labels(labels)) => labels.join(", "),
        Some(PredictionValue::Value(value)) => words::number(*value),
        Some(PredictionValue::Entities(_)) | None => return None,
    };
    let sure = explanation.class.as_ref().map_or(String::new(), |(_, p)| format!(" ({:.1} %)", 100.0 * p));
    let truth = truth.map_or(String::new(), |truth| format!(", and the truth is {truth}"));
    let of = explanation.details.of.as_ref().map_or(String::new(), |word| format!(" of the word '{word}'"));
    let mut sentence = match explanation.unit {
        "similarity" => format!("Both texts have a similarity of {said}{truth}. Explained by {}.", explanation.method),
        _ => match (&explanation.prediction, &explanation.class) {
            // Of several labels one is explained, which is not all that is said.
            (Some(PredictionValue::Labels(labels)), Some((label, _))) => {
                let said_it = labels.contains(label);
                let why = match wrong.filter(|(wrong, is_true)| wrong == label && *is_true != said_it) {
                    Some((_, true)) => ", which is missing,",
                    Some((_, false)) => ", which is wrong,",
                    None => "",
                };
                let (what, by) = (format!("the label '{label}'{sure}{why}"), explanation.method);
                format!("The model says {said}{truth}. Explained is {what} by {by}.")
            }
            _ => format!("The model says {said}{of}{sure}{truth}. Explained by {}.", explanation.method),
        },
    };
    let strongest = explanation.strongest();
    if let Some(most) = &strongest {
        sentence += &format!(" What counts most: {most}.");
    }
    let unit = match &explanation.attributions {
        Attributions::Named(_) if explanation.details.words.is_empty() => {
            format!("Numbers say how much of the {} each column adds. ", explanation.unit)
        }
        _ => String::new(),
    };
    let test = match (&explanation.faithfulness, explanation.tested()) {
        (Some(test), Some(tested)) if test.tells => format!("Tested: {tested}."),
        (_, tested) => tested.map_or(String::new(), |why| format!("Not tested: {why}.")),
    };
    let parts = match &explanation.attributions {
        Attributions::Pixels(_) => {
            let (width, height, bytes) = explanation.jpeg()?;
            Parts::Picture { width, height, base64: STANDARD.encode(bytes) }
        }
        Attributions::Named(_) if !explanation.details.words.is_empty() => {
            let shown = &explanation.details.words;
            let most = shown.iter().map(|word| word.value.abs()).fold(f64::MIN_POSITIVE, f64::max);
            let texts = shown.chunk_by(|a, b| a.side == b.side);
            Parts::Words(
                texts.map(|text| text.iter().map(|word| (word.written.clone(), word.value / most)).collect()).collect(),
            )
        }
        Attributions::Named(values) => {
            let cell = |at: usize| explanation.details.cells.get(at).cloned().unwrap_or_default();
            let mut all: Vec<(String, String, f64)> =
                values.iter().enumerate().map(|(at, (name, value))| (name.clone(), cell(at), *value)).collect();
            all.sort_by(|a, b| b.2.abs().total_cmp(&a.2.abs()));
            Parts::Columns(all)
        }
    };
    let (id, method, test, warning) = (id.clone(), explanation.method, unit + &test, explanation.warning());
    Some(Explained { id, sentence, strongest, method, parts, test, warning })
}
