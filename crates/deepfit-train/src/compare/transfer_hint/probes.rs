//! The same linear learner on features of the published network, on features that need none, and on those of a network that
//! knows nothing, at several numbers of rows, on the same rows that are held out. Of few rows, several parts are held out in
//! turn: a fifth of a hundred rows tells nothing.

use deepfit_classical::{ClassicalError, Learner, LinearOptions, Work};
use deepfit_data::{Array, TargetScale};
use serde::{Deserialize, Serialize};

use crate::classical::Encoded;
use crate::compare::contest::Contest;
use crate::compare::paired::{Versus, versus};
use crate::error::{Result, TrainError};
use crate::predicts::Remembered;

/// Shares of the rows to learn from.
const SHARES: [f64; 3] = [0.25, 0.5, 1.0];
/// Fewer rows than this teach a probe nothing.
const LEAST: usize = 8;

/// A probe at one number of rows: the metric of the comparison on the rows that are held out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Rows that were learned from.
    pub rows: usize,
    /// On features of the published network.
    pub published: f64,
    /// On words of texts, or colours and edges of images.
    pub natural: Option<f64>,
    /// On random features.
    pub random: Option<f64>,
    /// With no features at all: the most frequent class, or the mean.
    pub nothing: f64,
}

/// Features that are probed; nothing where they could not be made.
pub(super) struct Sides<'a> {
    pub(super) published: &'a Encoded,
    pub(super) natural: Option<&'a Encoded>,
    pub(super) random: Option<&'a Encoded>,
}

/// How features of the published network compare with others on single rows that are held out, at the most rows that were
/// probed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Against {
    pub(super) natural: Option<Versus>,
    pub(super) random: Option<Versus>,
    pub(super) nothing: Option<Versus>,
}

/// What probes found.
#[derive(Debug, Default)]
pub(super) struct Probed {
    pub(super) probes: Vec<Probe>,
    pub(super) against: Against,
    /// Rows that were held out, and the number of parts in which they were.
    pub(super) held: usize,
    pub(super) parts: usize,
}

/// One side's metric, and how good it is of each row.
type Score = (f64, Vec<f32>);

/// What came out at one number of rows, of one part that was held out.
pub(super) struct Round {
    rows: usize,
    published: Score,
    natural: Option<Score>,
    random: Option<Score>,
    nothing: Score,
}

impl Probed {
    /// All parts together: means of the metric, and the rows of all parts side by side. A part counts only if it had as many
    /// rounds as the first.
    pub(super) fn of(parts: &[Vec<Round>]) -> Probed {
        let Some(first) = parts.first().filter(|rounds| !rounds.is_empty()) else { return Probed::default() };
        let parts: Vec<&Vec<Round>> = parts.iter().filter(|rounds| rounds.len() == first.len()).collect();
        let mut found = Probed { parts: parts.len(), ..Probed::default() };
        for (at, round) in first.iter().enumerate() {
            let of = |side: &dyn for<'a> Fn(&'a Round) -> Option<&'a Score>| -> Option<Score> {
                let scores: Vec<&Score> = parts.iter().map(|rounds| side(&rounds[at])).collect::<Option<_>>()?;
                let mean = scores.iter().map(|(value, _)| value).sum::<f64>() / scores.len() as f64;
                Some((mean, scores.iter().flat_map(|(_, rows)| rows.iter().copied()).collect()))
            };
            let (Some(published), Some(nothing)) = (of(&|r| Some(&r.published)), of(&|r| Some(&r.nothing))) else {
                break;
            };
            let (natural, random) = (of(&|r| r.natural.as_ref()), of(&|r| r.random.as_ref()));
            let with = |other: &Option<Score>| other.as_ref().and_then(|(_, rows)| versus(&published.1, rows));
            found.held = published.1.len();
            found.against =
                Against { natural: with(&natural), random: with(&random), nothing: versus(&published.1, &nothing.1) };
            let value = |score: Option<Score>| score.map(|(value, _)| value);
            found.probes.push(Probe {
                rows: round.rows,
                published: published.0,
                natural: value(natural),
                random: value(random),
                nothing: nothing.0,
            });
        }
        found
    }
}

/// Probes of one part that is held out, at all numbers of rows for which there is time.
///
/// # Errors
/// If a learner fails for another reason than a stop.
pub(super) fn rounds(
    contest: &Contest,
    sides: &Sides<'_>,
    learn: &[u32],
    held: &[u32],
    scale: Option<TargetScale>,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<Round>> {
    let mut found: Vec<Round> = Vec::new();
    for share in SHARES {
        let rows = ((learn.len() as f64 * share).round() as usize).min(learn.len());
        if rows < LEAST.min(learn.len()) || found.last().is_some_and(|round| round.rows == rows) {
            continue;
        }
        let trial = Trial { contest, learn: &learn[..rows], held, scale, stop };
        let linear = Learner::Linear(LinearOptions { rough: true, ..LinearOptions::default() });
        let Some(published) = trial.score(sides.published, linear)? else { break };
        let Some(nothing) = trial.score(sides.published, Learner::Constant)? else { break };
        let side = |side: Option<&Encoded>| -> Result<Option<Option<Score>>> {
            let Some(side) = side else { return Ok(Some(None)) };
            Ok(trial.score(side, linear)?.map(Some))
        };
        // A size counts only where all sides had their time.
        let (Some(natural), Some(random)) = (side(sides.natural)?, side(sides.random)?) else { break };
        found.push(Round { rows, published, natural, random, nothing });
    }
    Ok(found)
}

struct Trial<'a> {
    contest: &'a Contest,
    learn: &'a [u32],
    held: &'a [u32],
    scale: Option<TargetScale>,
    stop: &'a (dyn Fn() -> bool + Sync),
}

impl Trial<'_> {
    /// Nothing if the time is used up, or the metric is not defined.
    fn score(&self, side: &Encoded, learner: Learner) -> Result<Option<Score>> {
        let (contest, settings) = (self.contest, &self.contest.settings);
        let places = |rows: &[u32]| -> Vec<u32> {
            rows.iter().filter_map(|row| side.rows.binary_search(row).ok()).map(|place| place as u32).collect()
        };
        let (learn, held) = (places(self.learn), places(self.held));
        // Of labels, a row has several targets.
        let width = side.targets.len() / side.rows.len().max(1);
        let select = |places: &[u32]| match &side.targets {
            Array::I32(all) => Array::I32(places.iter().map(|&place| all[place as usize]).collect()),
            Array::F32(all) => {
                Array::F32(places.iter().flat_map(|&place| &all[place as usize * width..][..width]).copied().collect())
            }
            other => other.clone(),
        };
        let work = Work { threads: settings.threads, seed: settings.seed, stop: self.stop };
        let fitted = contest.fit(learner, &side.matrix.select(&learn), &select(&learn), work);
        let predicted = fitted.and_then(|fitted| Ok(fitted.predict_within(&side.matrix.select(&held), work)?));
        let predictions = match predicted {
            Ok(predictions) => predictions,
            Err(TrainError::Classical(ClassicalError::Stopped | ClassicalError::Rows(_))) => return Ok(None),
            Err(other) => return Err(other),
        };
        let rows: Vec<u32> = held.iter().map(|&place| side.rows[place as usize]).collect();
        let targets = select(&held);
        let scores = contest.scores(&predictions, &targets, self.scale)?;
        let singles = contest.single(&Remembered { rows, predictions }, &targets);
        Ok(scores.get(&contest.metric).filter(|value| value.is_finite()).map(|value| (value, singles)))
    }
}
