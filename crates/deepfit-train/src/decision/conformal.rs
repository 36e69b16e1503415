//! Conformal prediction: sets and intervals that hold what is true with a probability that is asked for, whatever the network
//! and the data, as long as new rows are like those that they were made by (V. Vovk, A. Gammerman and G. Shafer, "Algorithmic
//! learning in a random world", 2005; split conformal prediction: J. Lei and others, "Distribution-free predictive inference
//! for regression", 2018).

use deepfit_data::Task;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::HeldOut;

/// Fewest rows by which intervals are made wider where errors are larger.
const ENOUGH_FOR_SPREAD: usize = 200;
/// Most bins of the predictions in which errors are compared, and fewest rows of each.
const MOST_BINS: usize = 10;
const BIN_ROWS: usize = 40;
/// Parts into which rows are divided to find the spread of each from others.
const PARTS: usize = 5;
/// Intervals that follow the spread must be so much shorter on average.
const SHORTER: f64 = 0.98;

/// Sets or intervals of a probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conformal {
    /// Probability with which they hold what is true.
    pub coverage: f64,
    /// What they are.
    #[serde(flatten)]
    pub form: Form,
}

/// Sets of classes, or intervals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "snake_case")]
pub enum Form {
    /// All classes of at least a probability, and the most probable one (M. Sadinle, J. Lei and L. Wasserman, "Least ambiguous
    /// set-valued classifiers with bounded error levels", 2019).
    Set {
        /// The probability.
        least: f64,
    },
    /// The most probable classes as long as their probabilities, of the last a share, add up to no more than a number, and the
    /// most probable one (Y. Romano, M. Sesia and E. Candès, "Classification with valid and adaptive coverage", 2020): more classes
    /// where a row is hard, so that hard rows are covered about as often as easy ones. The share makes sets as small as the
    /// coverage allows: counted whole, the first class of an easy row would have all that is promised. There it is drawn at random;
    /// here a hash of the row's probabilities gives it, so that the same row has the same set each time. The promise
    /// holds by any rule that new rows and those of calibration have in common.
    Adaptive {
        /// That number.
        most: f64,
    },
    /// The prediction, less and plus something.
    Interval {
        /// By how much, or how many times the spread.
        half: f64,
        /// How large errors are by the prediction: points of prediction and mean absolute error, between which it is a line.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        spread: Vec<[f64; 2]>,
    },
}

impl Conformal {
    /// The classes of a set, by their probabilities, the most probable first.
    pub fn set(&self, probabilities: &[f32]) -> Vec<usize> {
        let mut order = by_probability(probabilities);
        let more = match self.form {
            Form::Set { least } => {
                order.iter().skip(1).filter(|&&class| f64::from(probabilities[class]) >= least).count()
            }
            Form::Adaptive { most } => {
                scores(probabilities, &order).skip(1).take_while(|&(_, score)| score <= most).count()
            }
            Form::Interval { .. } => return Vec::new(),
        };
        order.truncate(1 + more);
        order
    }

    /// The interval of a prediction.
    pub fn interval(&self, value: f64) -> Option<[f64; 2]> {
        let Form::Interval { half, spread } = &self.form else { return None };
        let half = half * spread_at(spread, value);
        Some([value - half, value + half])
    }

    /// Whether it is of a task, and its numbers are ones.
    pub fn is_sound(&self, task: &Task) -> bool {
        let share = |x: f64| (0.0..=1.0).contains(&x);
        let form = match &self.form {
            Form::Set { least } => task.is_classification() && share(*least),
            // Probabilities that are rounded may add up to a little more than 1.
            Form::Adaptive { most } => task.is_classification() && (0.0..=1.01).contains(most),
            Form::Interval { half, spread } => {
                let rises = spread.windows(2).all(|pair| pair[0][0] < pair[1][0]);
                let finite = spread.iter().all(|[x, y]| x.is_finite() && y.is_finite() && *y > 0.0);
                *task == Task::Regression && *half >= 0.0 && half.is_finite() && rises && finite
            }
        };
        share(self.coverage) && form
    }
}

/// The classes, the most probable first; of equal ones the first comes first.
fn by_probability(probabilities: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    order
}

/// The classes in this order, each with how much is more probable than it, and a share of its own probability.
fn scores<'a>(probabilities: &'a [f32], order: &'a [usize]) -> impl Iterator<Item = (usize, f64)> + 'a {
    let share = share(probabilities);
    order.iter().scan(0.0, move |sum, &class| {
        let probability = f64::from(probabilities[class]);
        let score = *sum + share * probability;
        *sum += probability;
        Some((class, score))
    })
}

/// A number from 0 to 1 that the probabilities of a row give, as evenly spread over rows as if it were drawn.
fn share(probabilities: &[f32]) -> f64 {
    let mut hasher = Xxh3::new();
    probabilities.iter().for_each(|probability| hasher.update(&probability.to_bits().to_le_bytes()));
    (hasher.digest() >> 11) as f64 / (1_u64 << 53) as f64
}

/// How large errors are where something is predicted; 1 where nothing is known of it.
fn spread_at(spread: &[[f64; 2]], value: f64) -> f64 {
    let after = spread.partition_point(|[at, _]| *at <= value);
    match (after.checked_sub(1).map(|i| spread[i]), spread.get(after)) {
        (Some(before), Some(next)) => before[1] + (next[1] - before[1]) * (value - before[0]) / (next[0] - before[0]),
        (Some([_, last]), None) => last,
        (None, first) => first.map_or(1.0, |[_, y]| *y),
    }
}

/// How often sets or intervals held what is true.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Covered {
    /// Share that did.
    pub coverage: f64,
    /// 95 % interval of that share.
    pub interval: [f64; 2],
    /// Mean number of classes of a set, or mean width of an interval.
    pub mean_size: f64,
}

/// What conformal prediction did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConformalReport {
    /// The share that was asked for.
    pub wanted: f64,
    /// Number of rows that it was made by.
    pub rows: usize,
    /// `sets`, `adaptive sets` or `intervals`.
    pub form: String,
    /// Why there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// On the test rows, or those that are evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Covered>,
}

impl ConformalReport {
    /// Of what was read with a model, which was made by so many rows.
    pub(super) fn of(conformal: &Conformal, rows: usize) -> ConformalReport {
        let form = match conformal.form {
            Form::Set { .. } => SETS,
            Form::Adaptive { .. } => ADAPTIVE_SETS,
            Form::Interval { .. } => "intervals",
        };
        ConformalReport { wanted: conformal.coverage, rows, form: form.to_string(), reason: None, measured: None }
    }
}

/// What sets are called in reports.
const SETS: &str = "sets";
const ADAPTIVE_SETS: &str = "adaptive sets";

impl ConformalReport {
    /// Whether it is of sets of classes, however they are made.
    pub fn is_of_sets(&self) -> bool {
        self.form != "intervals"
    }
}

/// Rows that a probability needs: of fewer, no bound holds with it.
fn fewest(coverage: f64) -> usize {
    (coverage / (1.0 - coverage) - 1e-9).ceil() as usize
}

/// The score that a new row's does not exceed with a probability: the smallest of those given with so many at most as large
/// that it holds for one more row, too. `None` if they are too few.
fn bound(scores: &[f64], held: &HeldOut, coverage: f64) -> Option<f64> {
    let mut order: Vec<usize> = (0..scores.len()).filter(|&row| held.weight(row) > 0.0).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let all: f64 = order.iter().map(|&row| held.weight(row)).sum();
    // The new row weighs as much as one of these does on average.
    let needed = coverage * (all + all / order.len().max(1) as f64) * (1.0 - 1e-12);
    let mut sum = 0.0;
    order.into_iter().find_map(|row| {
        sum += held.weight(row);
        (sum >= needed).then(|| scores[row])
    })
}

fn report(form: &str, held: &HeldOut, coverage: f64, found: bool) -> ConformalReport {
    let rows = held.len();
    let reason = (!found).then(|| {
        let least = fewest(coverage);
        format!("{rows} validation rows are too few for coverage={coverage}; at least {least} are needed")
    });
    ConformalReport { wanted: coverage, rows, form: form.to_string(), reason, measured: None }
}

/// Sets of classes by the calibrated probabilities of rows, the fewest classes on average or, if `adaptive`, more where a row is
/// hard.
pub(super) fn sets(
    rows: &[Vec<f32>],
    held: &HeldOut,
    coverage: f64,
    adaptive: bool,
) -> (Option<Conformal>, ConformalReport) {
    let score = |row: &[f32], class: usize| match adaptive {
        true => scores(row, &by_probability(row)).find(|(other, _)| *other == class).map_or(1.0, |(_, score)| score),
        false => 1.0 - f64::from(row[class]),
    };
    let scores: Vec<f64> = rows.iter().zip(&held.targets).map(|(row, &class)| score(row, class as usize)).collect();
    let form = |bound: f64| match adaptive {
        true => Form::Adaptive { most: bound },
        false => Form::Set { least: ((1.0 - bound) * (1.0 - 1e-9)).max(0.0) },
    };
    let conformal = bound(&scores, held, coverage).map(|bound| Conformal { coverage, form: form(bound) });
    let report = report(if adaptive { ADAPTIVE_SETS } else { SETS }, held, coverage, conformal.is_some());
    (conformal, report)
}

/// Intervals by the errors of predictions: of one width, or, where that makes them shorter, of one that follows how large
/// errors are where the same is predicted (H. Papadopoulos, A. Gammerman and V. Vovk, "Normalized nonconformity measures for
/// regression conformal prediction", 2008).
pub(super) fn intervals(held: &HeldOut, coverage: f64) -> (Option<Conformal>, ConformalReport) {
    let values: Vec<f64> = held.values.iter().map(|&x| f64::from(x)).collect();
    let errors: Vec<f64> = values.iter().zip(&held.targets).map(|(x, &y)| (f64::from(y) - x).abs()).collect();
    let plain = bound(&errors, held, coverage);
    let mut form = plain.map(|half| Form::Interval { half, spread: Vec::new() });
    if let (Some(half), true) = (plain, held.len() >= ENOUGH_FOR_SPREAD) {
        let all: Vec<usize> = (0..held.len()).collect();
        // The spread of each row is that of others, so that scores are as those of new rows.
        let mut of_others = vec![1.0; held.len()];
        for part in 0..PARTS {
            let is_in = |row: &usize| held.groups.get(*row).map_or(*row, |&group| group as usize) % PARTS == part;
            let others: Vec<usize> = all.iter().copied().filter(|row| !is_in(row)).collect();
            let spread = spread(&values, &errors, &others);
            all.iter().filter(|row| is_in(row)).for_each(|&row| of_others[row] = spread_at(&spread, values[row]));
        }
        let scores: Vec<f64> = errors.iter().zip(&of_others).map(|(error, spread)| error / spread).collect();
        let mean = of_others.iter().sum::<f64>() / of_others.len() as f64;
        if let Some(times) = bound(&scores, held, coverage).filter(|times| times * mean < SHORTER * half) {
            form = Some(Form::Interval { half: times, spread: spread(&values, &errors, &all) });
        }
    }
    let conformal = form.map(|form| Conformal { coverage, form });
    let report = report("intervals", held, coverage, conformal.is_some());
    (conformal, report)
}

/// Mean absolute errors by bins of the prediction, none of them much smaller than all errors are on average.
fn spread(values: &[f64], errors: &[f64], rows: &[usize]) -> Vec<[f64; 2]> {
    let mut order = rows.to_vec();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mean = |rows: &[usize], of: &[f64]| rows.iter().map(|&row| of[row]).sum::<f64>() / rows.len() as f64;
    let bins = (order.len() / BIN_ROWS).clamp(1, MOST_BINS);
    let least = (0.1 * mean(&order, errors)).max(f64::MIN_POSITIVE);
    let mut points: Vec<[f64; 2]> = order
        .chunks(order.len().div_ceil(bins).max(1))
        .map(|rows| [mean(rows, values), mean(rows, errors).max(least)])
        .collect();
    points.dedup_by(|next, before| next[0] <= before[0]);
    points
}
