//! Trainings on parts of the data, and what more data would give.

use deepfit_data::{Dataset, Split};
use serde::{Deserialize, Serialize};

use super::curve::{self, At, FURTHEST, PowerLaw, Random, fit, resampled};
use super::piece::Order;
use super::{Patient, VALIDATION, as_error, metric_of};
use crate::error::{Result, TrainError};
use crate::event::{Flow, Observer};
use crate::job::Permutation;
use crate::metrics::higher_is_better;
use crate::settings::Settings;
use crate::text::words;

/// Shares of the rows for training and validation, and with how many seeds each is trained: small parts differ more, and cost
/// less. The last is the run itself and one more. All take about four times what the run took.
const SHARES: [(f64, usize); 5] = [(0.1, 3), (0.2, 3), (0.4, 2), (0.7, 2), (1.0, 1)];
/// Parts of fewer rows than this teach nothing.
const SMALLEST: usize = 20;
/// What is asked for where no goal is given: the next of these.
const GOALS: [f64; 12] = [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999];
/// Of an error, this share of it.
const SMALLER: f64 = 0.9;

/// What was reached with a number of rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Rows for training and validation.
    pub rows: usize,
    /// The metric on the test rows, of each training.
    pub values: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// Standard error of that mean, by how trainings differ.
    pub error: f64,
}

/// How well the largest size is foretold from smaller ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeldBack {
    /// The size that was held back.
    pub rows: usize,
    /// What the curve of the smaller sizes says of it, and its 95 % interval.
    pub predicted: f64,
    /// The interval.
    pub interval: [f64; 2],
    /// What was measured.
    pub measured: f64,
    /// Whether that is in the interval.
    pub inside: bool,
}

/// What a goal needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoalReport {
    /// The metric that is to be reached.
    pub goal: f64,
    /// Whether the user has set it.
    pub asked: bool,
    /// Rows for training and validation that it needs beside those that there are; nothing where that is not known.
    pub more_rows: Option<u64>,
    /// The 95 % interval of that; its end is missing where no number may be enough.
    pub interval: Option<(u64, Option<u64>)>,
    /// The same in words.
    pub sentence: String,
}

/// The learning curve over sizes of the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataCurve {
    /// What is measured on the test rows.
    pub metric: String,
    /// What was reached, by rising numbers of rows.
    pub points: Vec<CurvePoint>,
    /// The curve of the error, which of a metric of which more is better is the distance to 1; nothing of too few points.
    pub law: Option<PowerLaw>,
    /// Where the metric will be: rows, metric, and its 95 % interval.
    pub extrapolated: Vec<(u64, f64, [f64; 2])>,
    /// How well the largest sizes are foretold from the smaller ones.
    pub held_back: Vec<HeldBack>,
    /// What the goal needs.
    pub goal: Option<GoalReport>,
    /// What it means, a sentence each.
    pub sentences: Vec<String>,
}

/// The trainings of the curve.
pub(super) struct Sizes {
    metric: String,
    goal: Option<f64>,
    /// Rows, seeds and values.
    sizes: Vec<(usize, usize, Vec<f64>)>,
}

impl Sizes {
    /// Plans the sizes.
    ///
    /// # Errors
    /// If the goal is none that the metric can have.
    pub(super) fn new(patient: &Patient, goal: Option<f64>) -> Result<Sizes> {
        let metric = metric_of(patient);
        if let Some(goal) = goal {
            let fine = goal.is_finite() && if higher_is_better(&metric) { goal < 1.0 } else { goal > 0.0 };
            if !fine {
                let limit = if higher_is_better(&metric) { "below 1, such as 0.95" } else { "above 0" };
                return Err(TrainError::setting("goal", format!("is {goal}, and must be a value of {metric} {limit}")));
            }
        }
        let all = patient.split.train.len() + patient.split.validation.len();
        let mut sizes: Vec<(usize, usize, Vec<f64>)> = Vec::new();
        for (share, seeds) in SHARES {
            let rows = ((all as f64 * share).round() as usize).max(SMALLEST).min(all);
            if sizes.last().is_none_or(|(before, _, _)| rows > *before) {
                sizes.push((rows, seeds, Vec::new()));
            }
        }
        // The run has learned from all of them.
        if let (Some((_, _, values)), Some(value)) = (sizes.last_mut(), patient.report.metrics.test.get(&metric)) {
            values.push(value);
        }
        Ok(Sizes { metric, goal, sizes })
    }

    /// Each size once; all rows are those of the run.
    pub(super) fn first_round(
        &mut self,
        patient: &mut Patient,
        observer: &mut dyn Observer,
    ) -> Result<std::result::Result<(), Flow>> {
        for at in 0..self.sizes.len() - 1 {
            if let Err(stop) = self.train(at, 0, patient, observer)? {
                return Ok(Err(stop));
            }
        }
        Ok(Ok(()))
    }

    /// The other seeds.
    pub(super) fn other_rounds(
        &mut self,
        patient: &mut Patient,
        observer: &mut dyn Observer,
    ) -> Result<std::result::Result<(), Flow>> {
        let last = self.sizes.len() - 1;
        for round in 1..=SHARES.iter().map(|(_, seeds)| *seeds).max().unwrap_or(1) {
            for at in 0..=last {
                let seeds = self.sizes[at].1;
                // All rows have one training more than those that are made here.
                if round < seeds + usize::from(at == last)
                    && let Err(stop) = self.train(at, round, patient, observer)?
                {
                    return Ok(Err(stop));
                }
            }
        }
        Ok(Ok(()))
    }

    fn train(
        &mut self,
        at: usize,
        round: usize,
        patient: &mut Patient,
        observer: &mut dyn Observer,
    ) -> Result<std::result::Result<(), Flow>> {
        let rows = self.sizes[at].0;
        let all = patient.split.train.len() + patient.split.validation.len();
        let (saved, own) = (patient.split.clone(), patient.settings.clone());
        let seed = own.seed.wrapping_add(round as u64) & (i64::MAX as u64);
        // As many updates as with all rows, which take batches in proportion.
        let batch = own.batch.map(|batch| {
            let least = batch.min(16);
            ((batch as f64 * rows as f64 / all as f64).round() as usize).clamp(least, batch.max(least))
        });
        let settings = Settings { seed, batch, ..own };
        let fixed = settings.validation.is_some() || settings.split.is_some();
        let divide = |data: &Dataset| part(data, &data.restore_split(&saved)?, rows, seed, fixed);
        let order = Order {
            name: format!("rows-{rows}-seed-{}", round + 1),
            settings,
            to_the_end: false,
            predictions: false,
            divide: &divide,
        };
        match patient.train(order, observer)? {
            Ok(Some(piece)) => self.sizes[at].2.extend(piece.test.get(&self.metric)),
            Ok(None) => {}
            Err(stop) => return Ok(Err(stop)),
        }
        Ok(Ok(()))
    }

    /// The curve; nothing without points.
    pub(super) fn finish(self, patient: &mut Patient) -> Option<DataCurve> {
        let Sizes { metric, goal, sizes } = self;
        let all = patient.split.train.len() + patient.split.validation.len();
        let measured: Vec<(usize, Vec<f64>)> = sizes
            .into_iter()
            .filter(|(_, _, values)| !values.is_empty())
            .map(|(rows, _, values)| (rows, values))
            .collect();
        if measured.len() < 2 {
            return None;
        }
        let interval = patient.report.metrics.test_intervals.get(&metric);
        let common = interval.map_or(0.0, |[low, high]| (high - low) / (2.0 * 1.96));
        let made = continued(&metric, measured, all, common, goal, patient.unit, patient.settings.seed);
        Some(made)
    }
}

/// Draws so many of the rows for training and validation; those of a seed are all in its larger parts.
fn part(
    data: &Dataset,
    split: &Split,
    rows: usize,
    seed: u64,
    fixed_validation: bool,
) -> Result<(Split, Option<Permutation>)> {
    let mut pool = split.train.clone();
    if !fixed_validation {
        pool.extend_from_slice(&split.validation);
    }
    pool.sort_unstable();
    let share = rows as f64 / (split.train.len() + split.validation.len()).max(1) as f64;
    let count = ((pool.len() as f64 * share).round() as usize).clamp(1, pool.len());
    Random(seed).shuffle(&mut pool);
    pool.truncate(count);
    pool.sort_unstable();
    let (train, validation) = match fixed_validation {
        true => (pool, split.validation.clone()),
        false => divided(data, &pool, seed)?,
    };
    Ok((Split { train, validation, test: split.test.clone(), notes: Vec::new() }, None))
}

/// Rows for training and for validation, as the data wants to be divided: by classes, groups or times.
///
/// # Errors
/// If there are too few of them.
pub(super) fn divided(data: &Dataset, rows: &[u32], seed: u64) -> Result<(Vec<u32>, Vec<u32>)> {
    let parts = VALIDATION.min(data.most_folds(rows)).max(2);
    let folds = data.folds(rows, parts, seed)?;
    // Of times the last part is what comes after all others.
    folds.into_iter().last().ok_or_else(|| TrainError::setting("data", "has too few rows to divide"))
}

/// Fits, checks and continues the curve.
fn continued(
    metric: &str,
    measured: Vec<(usize, Vec<f64>)>,
    all: usize,
    common: f64,
    goal: Option<f64>,
    unit: &str,
    seed: u64,
) -> DataCurve {
    // Trainings differ about as much at each size; of one alone nobody knows how much it differs.
    let (mut squares, mut freedom) = (0.0, 0.0);
    for (_, values) in &measured {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        squares += values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        freedom += values.len() as f64 - 1.0;
    }
    let deviation = if freedom > 0.0 { (squares / freedom).sqrt() } else { common }.max(0.2 * common).max(1e-9);
    let points: Vec<CurvePoint> = measured
        .into_iter()
        .map(|(rows, values)| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            CurvePoint { rows, error: deviation / (values.len() as f64).sqrt(), values, mean }
        })
        .collect();
    let at: Vec<At> =
        points.iter().map(|p| At { rows: p.rows as f64, mean: as_error(metric, p.mean), error: p.error }).collect();
    let turned = |error: f64| as_error(metric, error);
    let ordered = |[low, high]: [f64; 2]| {
        let (a, b) = (turned(low), turned(high));
        [a.min(b), a.max(b)]
    };
    let is_reached = goal.zip(at.last()).is_some_and(|(goal, last)| last.mean <= as_error(metric, goal));
    if !is_falling(&at, common) && !is_reached {
        let sentence = format!(
            "from {} {unit} to {} {metric} changed by no more than chance explains: nothing is foretold of more of them",
            words::count(points[0].rows as u64),
            words::count(points[points.len() - 1].rows as u64)
        );
        let (extrapolated, held_back, sentences) = (Vec::new(), Vec::new(), vec![sentence]);
        return DataCurve {
            metric: metric.to_string(),
            points,
            law: None,
            extrapolated,
            held_back,
            goal: None,
            sentences,
        };
    }
    let mut sentences = Vec::new();
    let held_back: Vec<HeldBack> = (at.len().saturating_sub(2).max(3)..at.len())
        .filter_map(|last| {
            let (law, truth) = (fit(&at[..last])?, at[last]);
            // What is measured there differs by chance, too.
            let laws = resampled(&at[..last], 0.0, seed);
            let mut random = Random(seed ^ 1);
            let values = laws
                .iter()
                .map(|one| one.at(truth.rows) + truth.error * (2.0 * (random.next() % 2) as f64 - 1.0))
                .collect();
            let interval = ordered(curve::interval(values)?);
            let measured = points[last].mean;
            let inside = interval[0] <= measured && measured <= interval[1];
            Some(HeldBack {
                rows: points[last].rows,
                predicted: turned(law.at(truth.rows)),
                interval,
                measured,
                inside,
            })
        })
        .collect();
    let shown = words::number;
    for held in &held_back {
        let [low, high] = held.interval.map(shown);
        sentences.push(format!(
            "check: from fewer rows the curve foretells {metric} {} ({low} to {high}) for {} {unit}, and {} was measured{}",
            shown(held.predicted),
            words::count(held.rows as u64),
            shown(held.measured),
            if held.inside { "" } else { ": do not rely on it further on" }
        ));
    }
    let law = fit(&at);
    let laws = resampled(&at, common, seed);
    let mut extrapolated = Vec::new();
    let mut told = None;
    if let Some(law) = law {
        for times in [1.0, 2.0, 4.0] {
            let rows = all as f64 * times;
            if let Some(interval) = curve::interval(laws.iter().map(|one| one.at(rows)).collect()) {
                extrapolated.push((rows as u64, turned(law.at(rows)), ordered(interval)));
            }
        }
        if let Some((rows, value, interval)) = extrapolated.get(1) {
            let [low, high] = interval.map(shown);
            sentences.push(format!(
                "with twice as many {unit} ({}): about {metric} {} ({low} to {high})",
                words::count(*rows),
                shown(*value)
            ));
        }
        let now = at.last().map_or(1.0, |last| last.mean);
        let of_goal = goal.or_else(|| next_goal(metric, now));
        told = of_goal.map(|value| report_of(metric, value, goal.is_some(), (&law, &laws), now, all, unit));
        sentences.extend(told.iter().map(|told| told.sentence.clone()));
    } else {
        sentences.push(format!("a curve needs three sizes, and there are {}: nothing is told of more data", at.len()));
    }
    DataCurve { metric: metric.to_string(), points, law, extrapolated, held_back, goal: told, sentences }
}

/// Whether the error falls from the smallest size to the largest beyond what chance makes of trainings and of the test rows, or
/// there are too few sizes to ask.
fn is_falling(points: &[At], common: f64) -> bool {
    let [first, .., last] = points else { return true };
    points.len() < 3 || first.mean - last.mean > 2.0 * first.error.hypot(last.error) + common
}

/// What is worth reaching next.
fn next_goal(metric: &str, now: f64) -> Option<f64> {
    match higher_is_better(metric) {
        true => GOALS.into_iter().find(|goal| *goal > 1.0 - now + 1e-9),
        false => Some(now * SMALLER).filter(|goal| *goal > 0.0),
    }
}

/// What a goal needs.
fn report_of(
    metric: &str,
    goal: f64,
    asked: bool,
    (law, laws): (&PowerLaw, &[PowerLaw]),
    now: f64,
    all: usize,
    unit: &str,
) -> GoalReport {
    let error = as_error(metric, goal);
    let told = |more_rows, interval, sentence| GoalReport { goal, asked, more_rows, interval, sentence };
    let shown = words::number;
    if now <= error {
        return told(Some(0), None, format!("{metric} {} is reached already", shown(goal)));
    }
    let most = FURTHEST * all as f64;
    let needed = |one: &PowerLaw| one.rows_for(error).unwrap_or(f64::INFINITY);
    let rows = needed(law);
    let more = |rows: f64| (rows - all as f64).max(0.0);
    let ends = curve::interval(laws.iter().map(needed).collect());
    let interval = ends
        .filter(|[low, _]| *low <= most)
        .map(|[low, high]| (round(more(low)), (high <= most).then(|| round(more(high)))));
    let beyond = format!("more than {} are further than the curve can tell", words::count(most as u64));
    let sentence = match (rows, interval) {
        (rows, Some((low, high))) if rows <= most => format!(
            "about {} more {unit} for {metric} {} (95 % interval: {} to {})",
            words::count(round(more(rows))),
            shown(goal),
            words::count(low),
            high.map_or_else(|| format!("unknown, since {beyond}"), words::count)
        ),
        (rows, _) if rows.is_infinite() => format!(
            "{metric} {} is not reached by more {unit} of the same kind, as far as the curve tells: it levels off at {}; better \
             labels, other features or another network may help",
            shown(goal),
            shown(as_error(metric, law.a))
        ),
        _ => format!("how many more {unit} {metric} {} needs is not known: {beyond}", shown(goal)),
    };
    told((rows <= most).then(|| round(more(rows))), interval.filter(|_| rows <= most), sentence)
}

/// A number of rows with two digits that count.
fn round(rows: f64) -> u64 {
    if rows < 10.0 {
        return rows.ceil() as u64;
    }
    let step = 10f64.powf(rows.log10().floor() - 1.0);
    ((rows / step).round() * step) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_law(law: PowerLaw, goal: f64) -> DataCurve {
        let noise = [0.002, -0.001, 0.0015, -0.002, 0.001];
        let sizes = [100, 200, 400, 700, 1000];
        let measured = sizes.iter().zip(noise).map(|(&rows, off)| {
            let value = 1.0 - law.at(rows as f64);
            (rows, vec![value + off, value - off])
        });
        continued("accuracy", measured.collect(), 1000, 0.004, Some(goal), "pictures", 1)
    }

    #[test]
    fn what_chance_explains_is_not_continued() {
        let noise =
            || vec![(100, vec![0.52, 0.5]), (200, vec![0.49, 0.53]), (400, vec![0.53, 0.51]), (800, vec![0.52, 0.54])];
        let found = continued("accuracy", noise(), 800, 0.03, Some(0.9), "rows", 1);
        assert!(found.law.is_none() && found.goal.is_none() && found.extrapolated.is_empty(), "{found:?}");
        assert!(found.sentences.len() == 1 && found.sentences[0].contains("no more than chance explains"), "{found:?}");
        // What is reached is told all the same.
        let reached = continued("accuracy", noise(), 800, 0.03, Some(0.5), "rows", 1);
        assert_eq!(reached.goal.and_then(|goal| goal.more_rows), Some(0));
    }

    #[test]
    fn a_goal_that_more_data_reaches_is_told_with_its_interval() {
        let law = PowerLaw { a: 0.01, b: 2.0, c: 0.5 };
        let found = of_law(law, 0.94);
        let goal = found.goal.unwrap();
        let truth = law.rows_for(0.06).unwrap() - 1000.0;
        let (low, high) = goal.interval.unwrap();
        assert!((low as f64) < truth && high.is_none_or(|high| truth < high as f64), "{goal:?} and {truth}");
        assert!(
            goal.more_rows.is_some_and(|more| (more as f64 / truth) > 0.5 && (more as f64 / truth) < 2.0),
            "{goal:?}"
        );
        assert!(goal.sentence.contains("more pictures for accuracy 0.94"), "{}", goal.sentence);
        assert!(found.held_back.len() == 2 && found.held_back[1].inside, "{:?}", found.held_back);
        assert!((found.held_back[1].predicted - (1.0 - law.at(1000.0))).abs() < 0.01);
    }

    #[test]
    fn a_goal_beyond_the_end_of_the_curve_is_not_promised() {
        let levels_off = PowerLaw { a: 0.2, b: 20.0, c: 1.5 };
        let found = of_law(levels_off, 0.99);
        let goal = found.goal.unwrap();
        assert!(goal.more_rows.is_none() && goal.sentence.contains("levels off at 0.8"), "{}", goal.sentence);
        assert_eq!(of_law(levels_off, 0.7).goal.unwrap().more_rows, Some(0));
        assert_eq!(next_goal("accuracy", 0.08), Some(0.95));
        assert_eq!(next_goal("rmse", 10.0), Some(9.0));
    }
}
