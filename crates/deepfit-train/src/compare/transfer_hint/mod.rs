//! Whether it will help to begin with a published network: hints, and short probes that decide.
//!
//! LogME, LEEP and the H-score need one pass over some rows; on published tables their rank correlation with what training
//! reaches in the end lies between -0.2 and 0.85. They are told as hints alone. What decides are probes: the same linear
//! learner, on the same rows, on features of the published network, on features that need no network, and on those of a
//! network that knows nothing.

mod activations;
mod h_score;
mod leep;
mod logme;
mod model_year;
mod probes;
mod random;
mod runner;
mod spectrum;
mod verdict;
mod words;

use std::collections::HashMap;
use std::sync::Arc;

use deepfit_data::{Array, Loader, LoaderOptions, Prepared, Preprocessor, Source};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::CompareObserver;
use super::clock::Clock;
use super::contest::Contest;
use super::published::{Features as Ready, Made, PublishedNetwork};
use crate::classical::{Encoded, Encoder, Features};
use crate::error::Result;
use crate::published::HAS_BUNDLED;
use crate::transfer::Takes;
pub use probes::Probe;
use probes::{Probed, Sides};
use random::Ignorant;
use verdict::Years;

/// All of this may take this share of the time that is left when it begins.
const SHARE: f64 = 0.25;
/// Features of a network that knows nothing may take this share of that.
const RANDOM_SHARE: f64 = 0.4;
/// Most rows whose products with all others scores look at, and most that the published network is run on once more.
const SCORED: usize = 600;
const LOOKED_AT: usize = 128;
/// Most texts whose tokens are looked at, and most samples whose dates are.
const TEXTS: usize = 5_000;
/// Most rows that probes learn from, and most of a part by which they are compared.
const LEARNED: usize = 2_000;
const HELD: usize = 1_000;
/// Parts are held out in turn until so many rows have been, or this share of the time has passed: of 100 rows, a difference of
/// a tenth is not told from chance.
const ENOUGH_HELD: usize = 1_000;
const PARTS_SHARE: f64 = 0.5;

/// Whether it helps to begin with the published network, and on what grounds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Transferability {
    /// Whether the probes say so; none where they cannot tell.
    pub helps: Option<bool>,
    /// The best way with the network and the best without, in one sentence, where both were tried.
    pub ways: Option<String>,
    /// What the answer rests on, a sentence each.
    pub grounds: Vec<String>,
    /// Scores that are made without training.
    pub hints: Hints,
    /// What was left out, and why, a sentence each.
    pub left_out: Vec<String>,
    /// The metric of the comparison, of the same linear learner on different features.
    pub probes: Vec<Probe>,
    /// Whether probes of texts see weighted words beside the features, as what begins with the network does.
    #[serde(default)]
    pub with_words: bool,
    /// What the random features are.
    pub random: Option<String>,
    /// Why the network may be the wrong one: data unlike that which it was trained on, or younger.
    pub warnings: Vec<String>,
    /// Seconds that all of this took.
    pub seconds: f64,
}

/// Scores that are made without training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Hints {
    /// The evidence of a linear model of a row, in nats (You et al., 2021): larger is better.
    pub logme: Option<f64>,
    /// How far apart classes are against how far features spread (Bao et al., 2019): 0 to the number of classes less one.
    pub h_score: Option<f64>,
    /// What the network's own classes tell of those that are learned, in nats (Nguyen et al., 2020): 0 is the best.
    pub leep: Option<f64>,
    /// The squared Fréchet distance of a channel's activations in the last batch normalisation to the data that the network
    /// was trained on, in variances.
    pub frechet: Option<f64>,
    /// Share of tokens that the network does not know, 0 to 1.
    pub unknown_tokens: Option<f64>,
    /// Share of words that the network's tokens break into three pieces or more, 0 to 1.
    pub broken_words: Option<f64>,
    /// Year of the network, where it is known.
    pub model_year: Option<u32>,
    /// Share of texts that tell of a later year, or of samples that a date beside them says are of one, 0 to 1.
    pub later_years: Option<f64>,
}

/// How asking ended.
pub(super) enum Asked {
    Found(Box<Transferability>),
    /// Somebody asked for a stop.
    Stopped,
}

/// Asks whether the published network will help, within a share of the time that is left.
///
/// # Errors
/// If the network cannot be compiled, or too many samples cannot be read.
pub(super) fn ask(
    contest: &Contest,
    published: &PublishedNetwork,
    clock: &Clock,
    observer: &mut dyn CompareObserver,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Asked> {
    let begun = clock.passed();
    let mut found = Transferability::default();
    let until = begun + SHARE * clock.left();
    let late = || clock.passed() > until || stop();
    let all_rows = contest.all_rows();
    if clock.left() <= 0.0 {
        found.left_out.push("hints and probes: the time was used up before".to_string());
        return Ok(Asked::Found(Box::new(found)));
    }
    let features = match published.features(&all_rows, clock, observer)? {
        Ready::Stopped => return Ok(Asked::Stopped),
        Ready::None(why) => {
            found.left_out.push(format!("scores and probes of features: {why}"));
            None
        }
        Ready::Made(made) => Some(made),
    };
    let seed = contest.settings.seed;
    let parts = parts(contest, seed);
    let learn = &parts[0].0;
    let prepared = published.data.prepare(learn)?;
    let base = prepared.source.clone();
    look_at_samples(published, contest, &base, &mut found)?;
    if let Some(made) = features {
        score(contest, &made.source(&prepared), &learn[..learn.len().min(SCORED)], &mut found)?;
        look_at_images(published, contest, &base, learn, &late, &mut found)?;
        let probed = probe(contest, published, made, &parts, &|| until - clock.passed(), &late, &mut found)?;
        verdict::decide(contest, published.name(), &probed, &mut found);
    }
    if stop() {
        return Ok(Asked::Stopped);
    }
    if found.probes.is_empty() && features.is_some() {
        found.left_out.push("probes: they had not ended when their share of the time was used up".to_string());
    }
    verdict::warn(published.name(), &mut found);
    found.seconds = clock.passed() - begun;
    Ok(Asked::Found(Box::new(found)))
}

/// Rows to learn from and rows that are held out, part after part, until enough of them have been held out.
fn parts(contest: &Contest, seed: u64) -> Vec<(Vec<u32>, Vec<u32>)> {
    let mut parts = Vec::new();
    let mut rows = 0;
    for (learn, held) in &contest.folds {
        if rows >= ENOUGH_HELD {
            break;
        }
        rows += held.len();
        parts.push((drawn(learn, LEARNED, seed), drawn(held, HELD, seed)));
    }
    parts
}

/// Probes part after part, while there is time.
fn probe(
    contest: &Contest,
    published: &PublishedNetwork,
    made: &Made,
    parts: &[(Vec<u32>, Vec<u32>)],
    left: &dyn Fn() -> f64,
    late: &(dyn Fn() -> bool + Sync),
    found: &mut Transferability,
) -> Result<Probed> {
    let encode = |encoder: &Encoder, source: &Arc<dyn Source>, rows: &[u32]| -> Result<Option<Encoded>> {
        match encoder.encode_all(source, rows, late) {
            Ok(encoded) => Ok(Some(encoded)),
            Err(_) if late() => Ok(None),
            Err(other) => Err(other),
        }
    };
    let mut random: Option<Encoded> = None;
    let mut rounds = Vec::new();
    let enough = left() * PARTS_SHARE;
    for (at, (learn, held)) in parts.iter().enumerate() {
        if at > 0 && left() < enough {
            break;
        }
        let prepared = published.data.prepare(learn)?;
        let source = made.source(&prepared);
        let both: Vec<u32> = learn.iter().chain(held).copied().collect();
        let Some(mut of_published) = encode(&Encoder::of_frozen(made.width()), &source, &both)? else { break };
        let natural = match natural(contest) {
            Some(features) => {
                let own = contest.data.prepare(learn)?;
                encode(&Encoder::new(features, &own.preprocessor)?, &own.source, &both)?
            }
            None => None,
        };
        if at > 0 && late() {
            break;
        }
        if at == 0 {
            let mut rows: Vec<u32> = parts.iter().flat_map(|(learn, held)| learn.iter().chain(held)).copied().collect();
            rows.sort_unstable();
            rows.dedup();
            let ignorant = Ignorant {
                backbone: published.backbone(),
                source: &prepared.source,
                rows: &rows,
                settings: &contest.settings,
                allowed: left() * RANDOM_SHARE,
                stop: late,
            };
            if let Some(made) = ignorant.features()? {
                found.random = Some(made.what);
                random = Some(made.encoded);
            }
        } else if let Some(random) = &mut random {
            // Numbers are standardised by the rows that are learned from.
            random.targets = source.targets_of(&random.rows);
        }
        // What begins with this network learns from words beside it: so do the probes, of it and of what it is held against.
        let beside = natural.as_ref().filter(|_| sees_words(&prepared));
        let random_beside = random.as_ref().zip(beside).and_then(|(random, words)| words_beside(random, words));
        if let Some(joined) = beside.and_then(|words| words_beside(&of_published, words)) {
            of_published = joined;
            found.with_words = true;
        }
        let random = if found.with_words { random_beside.as_ref() } else { random.as_ref() };
        let sides = Sides { published: &of_published, natural: natural.as_ref(), random };
        let scale = prepared.preprocessor.target_scale();
        rounds.push(probes::rounds(contest, &sides, learn, held, scale, late)?);
    }
    Ok(Probed::of(&rounds))
}

/// Up to so many rows, in an order that the seed alone decides.
fn drawn(rows: &[u32], most: usize, seed: u64) -> Vec<u32> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| (xxh3_64_with_seed(&row.to_le_bytes(), seed), *row));
    rows.truncate(most);
    rows
}

/// Features that need no network.
fn natural(contest: &Contest) -> Option<Features> {
    if contest.data.is_images() { Some(Features::Histograms) } else { HAS_BUNDLED.then_some(Features::Terms) }
}

/// Whether what begins with the network sees weighted words beside what it makes of a text.
fn sees_words(prepared: &Prepared) -> bool {
    matches!(&prepared.preprocessor, Preprocessor::Text(text) if text.terms_and_columns() > 0)
}

/// Features with words beside them, of the rows of the words; nothing where a row has no features.
fn words_beside(features: &Encoded, words: &Encoded) -> Option<Encoded> {
    let place = |row| features.rows.binary_search(row).ok().map(|place| place as u32);
    let places: Vec<u32> = words.rows.iter().map(place).collect::<Option<_>>()?;
    let matrix = features.matrix.select(&places).beside(&words.matrix);
    Some(Encoded { matrix, targets: words.targets.clone(), rows: words.rows.clone() })
}

/// LogME and the H-score of the features of some rows.
fn score(contest: &Contest, source: &Arc<dyn Source>, rows: &[u32], found: &mut Transferability) -> Result<()> {
    let mut loader = Loader::new(source.clone(), rows.to_vec(), LoaderOptions::evaluate(SCORED, 0))?;
    let (mut values, mut seen) = (Vec::new(), Vec::new());
    while let Some(batch) = loader.next()? {
        let Some(own) = batch.inputs.first().and_then(Array::as_f32) else { return Ok(()) };
        values.extend(own.iter().map(|&value| f64::from(value)));
        seen.extend_from_slice(&batch.rows);
    }
    let width = values.len() / seen.len().max(1);
    match source.targets_of(&seen) {
        Array::F32(targets) => {
            // Of labels each is a target of its own.
            let outputs = contest.data.task().outputs();
            let of =
                |output: usize| targets.iter().skip(output).step_by(outputs).map(|&target| f64::from(target)).collect();
            let targets: Vec<Vec<f64>> = (0..outputs).map(of).collect();
            found.hints.logme = logme::logme(&values, width, &targets);
            found.left_out.push("H-score and LEEP: they are for classes".to_string());
        }
        other => {
            let classes: Vec<usize> =
                other.as_i32().unwrap_or_default().iter().map(|c| c.unsigned_abs() as usize).collect();
            let of_class = |class: usize| classes.iter().map(|own| f64::from(u8::from(*own == class))).collect();
            let targets: Vec<Vec<f64>> = (0..contest.data.task().outputs()).map(of_class).collect();
            found.hints.logme = logme::logme(&values, width, &targets);
            found.hints.h_score = h_score::h_score(&values, width, &classes);
        }
    }
    Ok(())
}

/// LEEP, and the distance to what the network was trained on, where it is a network for images.
fn look_at_images(
    published: &PublishedNetwork,
    contest: &Contest,
    base: &Arc<dyn Source>,
    rows: &[u32],
    stop: &dyn Fn() -> bool,
    found: &mut Transferability,
) -> Result<()> {
    let backbone = published.backbone();
    if backbone.takes_texts() {
        if contest.is_classification() || contest.is_of_labels() {
            found
                .left_out
                .push("LEEP: it is told of images alone, whose networks have classes of their own".to_string());
        }
        found
            .left_out
            .push("Fréchet distance: networks for texts keep no statistics of what they were trained on".to_string());
        return Ok(());
    }
    let rows = &rows[..rows.len().min(LOOKED_AT)];
    let seen = activations::look(backbone, base, rows, &contest.settings, stop)?;
    if !seen.all {
        found.left_out.push("LEEP and Fréchet distance: their share of the time was used up".to_string());
        return Ok(());
    }
    found.hints.frechet = seen.distance;
    if seen.distance.is_none() {
        found.left_out.push(format!("Fréchet distance: {} has no batch normalisation", backbone.name));
    }
    match base.targets_of(&seen.rows) {
        Array::I32(_) if seen.classes < 2 => {
            found.left_out.push(format!("LEEP: {} has no classes of its own", backbone.name));
        }
        Array::I32(classes) => {
            let classes: Vec<usize> = classes.iter().map(|class| class.unsigned_abs() as usize).collect();
            found.hints.leep = leep::leep(&seen.probabilities, seen.classes, &classes);
        }
        _ => {}
    }
    Ok(())
}

/// What tokens tell, where the network is one for texts, and what the years do that texts, and dates beside texts and images,
/// tell of.
fn look_at_samples(
    published: &PublishedNetwork,
    contest: &Contest,
    base: &Arc<dyn Source>,
    found: &mut Transferability,
) -> Result<()> {
    let rows = drawn(&contest.pool, TEXTS, contest.settings.seed);
    let dates = contest.data.dates_beside(&rows)?.unwrap_or_default();
    let of_rows = rows.iter().zip(&dates.years);
    let beside: HashMap<u32, u32> = of_rows.filter_map(|(row, year)| Some((*row, (*year)?))).collect();
    let columns = dates.columns;
    let told = match &published.backbone().takes {
        Takes::Texts(form) => {
            let looked = words::look(&form.tokenizer, base, &rows, &beside)?;
            let share = |part: usize, all: usize| (all > 0).then(|| part as f64 / all as f64);
            found.hints.unknown_tokens = share(looked.unknown, looked.tokens);
            found.hints.broken_words = share(looked.broken, looked.words);
            Years { samples: looked.texts, are_texts: true, years: looked.years, columns }
        }
        // Pictures tell no year by themselves.
        _ if columns.is_empty() => return Ok(()),
        _ => Years { samples: rows.len(), are_texts: false, years: beside.into_values().collect(), columns },
    };
    match model_year::model_year(published.name()) {
        Some((year, grounds)) => verdict::dated(year, &grounds, published.name(), &told, found),
        None => found.left_out.push(format!("age: nothing tells when {} was made", published.name())),
    }
    Ok(())
}
