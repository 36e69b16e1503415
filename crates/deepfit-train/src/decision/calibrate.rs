//! Calibration: probabilities that are as often right as they say.

use serde::{Deserialize, Serialize};

use super::Held;
use super::isotonic::Isotonic;
use crate::metrics::{ClassificationMetrics, MultiLabelMetrics, ReliabilityBin, brier};

/// Fewest rows to calibrate by.
pub const FEWEST_ROWS: usize = 20;
/// Fewest rows of each class, and of all others, for isotonic regression of it.
pub const FEWEST_OF_CLASS: usize = 50;
/// Parts into which rows are divided to compare ways of calibration.
const PARTS: usize = 5;
/// Standard deviation of the logarithm of the temperature, as long as no row has told anything about it.
const PRIOR: f64 = 1.0;
/// The logarithm of the temperature is within this.
const MOST: f64 = 3.0;
/// Values that a temperature is fitted to; of more, every second row, or third, and so on.
const MOST_VALUES: usize = 2_000_000;
/// A row's largest loss: that of the smallest probability that counts as one.
const CLIP: f64 = 1e-7;

/// How probabilities are made of those that the network gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum Calibration {
    /// Logits are divided by the temperature (C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural
    /// networks", 2017). Which class is the most probable stays.
    Temperature {
        /// Above 1 of a network that is too sure.
        temperature: f64,
    },
    /// A rising curve for each class (B. Zadrozny and C. Elkan, "Transforming classifier scores into accurate multiclass
    /// probability estimates", 2002), and the probabilities divided by their sum; of two classes one curve, of the second.
    Isotonic {
        /// Of the probabilities that the curves go by.
        temperature: f64,
        /// The curves.
        curves: Vec<Isotonic>,
        /// Share of the probability by temperature in the result: without, a curve ends in 0 and 1, which nothing is, and what
        /// it makes equal would have no order.
        share: f64,
    },
}

/// What probabilities are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outputs {
    /// Classes, of which one is true.
    Classes,
    /// Labels, each by itself.
    Labels,
}

impl Calibration {
    /// The name of the way.
    pub fn name(&self) -> &'static str {
        match self {
            Calibration::Temperature { .. } => "temperature",
            Calibration::Isotonic { .. } => "isotonic",
        }
    }

    /// What logits are divided by.
    pub fn temperature(&self) -> f64 {
        let (Calibration::Temperature { temperature } | Calibration::Isotonic { temperature, .. }) = self;
        *temperature
    }

    /// Puts calibrated probabilities in the place of a network's, of one row.
    pub fn apply(&self, row: &mut [f32], outputs: Outputs) {
        match self {
            Calibration::Temperature { temperature } => warm(row, *temperature, outputs),
            Calibration::Isotonic { temperature, curves, share } => {
                warm(row, *temperature, outputs);
                let mixed = |curve: &Isotonic, p: f32| {
                    let p = f64::from(p);
                    (1.0 - share) * curve.at(p) + share * p
                };
                if let ([first, second], [curve]) = (&mut *row, &curves[..]) {
                    let p = mixed(curve, *second);
                    (*first, *second) = ((1.0 - p) as f32, p as f32);
                    return;
                }
                let made: Vec<f64> = row.iter().zip(curves).map(|(&p, curve)| mixed(curve, p)).collect();
                let sum: f64 = if outputs == Outputs::Classes { made.iter().sum() } else { 1.0 };
                if sum > 0.0 {
                    row.iter_mut().zip(made).for_each(|(p, made)| *p = (made / sum) as f32);
                }
            }
        }
    }

    /// Whether it makes probabilities of those of so many classes or labels.
    pub fn is_sound(&self, outputs: usize) -> bool {
        let sound = |temperature: f64| temperature.is_finite() && temperature > 0.0;
        match self {
            Calibration::Temperature { temperature } => sound(*temperature),
            Calibration::Isotonic { temperature, curves, share } => {
                let wanted = if outputs == 2 { 1 } else { outputs };
                let range = (0.0..=1.0).contains(share);
                sound(*temperature) && range && curves.len() == wanted && curves.iter().all(Isotonic::is_sound)
            }
        }
    }

    /// Fits one way to rows that the network has not learned from.
    fn fit(way: Way, held: &Held<'_>, rows: &[usize]) -> Option<Calibration> {
        let temperature = best_temperature(held, rows);
        match way {
            Way::None => None,
            Way::Temperature => Some(Calibration::Temperature { temperature }),
            Way::Isotonic => {
                let width = held.outputs;
                let classes = if width == 2 { 1..2 } else { 0..width };
                let warmed: Vec<Vec<f32>> = rows
                    .iter()
                    .map(|&row| {
                        let mut values = held.row(row).to_vec();
                        warm(&mut values, temperature, held.kind);
                        values
                    })
                    .collect();
                let curve = |class: usize| {
                    let example = |(&row, values): (&usize, &Vec<f32>)| {
                        (f64::from(values[class]), f64::from(u8::from(held.is(row, class))), held.weight(row))
                    };
                    Isotonic::fit(&rows.iter().zip(&warmed).map(example).collect::<Vec<_>>())
                };
                let curves = classes.map(curve).collect::<Option<Vec<_>>>()?;
                Some(Calibration::Isotonic { temperature, curves, share: 1.0 / (rows.len() as f64).sqrt() })
            }
        }
    }
}

/// Probabilities at another temperature, from probabilities: the powers of 1 divided by it, brought to a sum of 1.
fn warm(row: &mut [f32], temperature: f64, outputs: Outputs) {
    let power = |p: f64| if p > 0.0 { (p.ln() / temperature).exp() } else { 0.0 };
    if outputs == Outputs::Labels {
        for p in row {
            let (has, has_not) = (power(f64::from(*p)), power(1.0 - f64::from(*p)));
            *p = (has / (has + has_not)) as f32;
        }
        return;
    }
    // Relative to the largest, so that a high temperature loses nothing.
    let largest = row.iter().fold(0.0f32, |most, &p| most.max(p));
    if largest <= 0.0 {
        return;
    }
    let powers: Vec<f64> = row.iter().map(|&p| power(f64::from(p) / f64::from(largest))).collect();
    let sum: f64 = powers.iter().sum();
    row.iter_mut().zip(powers).for_each(|(p, power)| *p = (power / sum) as f32);
}

/// The temperature of least log loss on some rows, drawn to 1 as long as they are few.
///
/// With `b = 1 / temperature` the loss of a row is `ln sum exp(b l_k) - b l_y`, where `l` are logarithms of probabilities: its
/// derivative by `ln b` is `b` times how much larger the expected `l` is than that of the true class. As in the targets of J.
/// Platt ("Probabilistic outputs for support vector machines", 1999) a small part of each row is of the other classes, so that
/// rows without an error make nothing certain.
fn best_temperature(held: &Held<'_>, rows: &[usize]) -> f64 {
    let step = (rows.len() * held.outputs).div_ceil(MOST_VALUES).max(1);
    let log = |p: f64| p.max(1e-30).ln();
    // Logarithms of the probabilities of a choice each, that of the truth first, and its weight.
    let mut choices: Vec<(Vec<f64>, f64)> = Vec::new();
    for &row in rows.iter().step_by(step) {
        let values = held.row(row);
        match held.kind {
            Outputs::Classes => {
                let mut logs: Vec<f64> = values.iter().map(|&p| log(f64::from(p))).collect();
                logs.swap(0, held.class(row));
                choices.push((logs, held.weight(row)));
            }
            Outputs::Labels => choices.extend(values.iter().enumerate().map(|(label, &p)| {
                let (p, not) = (log(f64::from(p)), log(1.0 - f64::from(p)));
                (if held.is(row, label) { vec![p, not] } else { vec![not, p] }, held.weight(row))
            })),
        }
    }
    let wrong = 1.0 / (rows.len() as f64 + 2.0);
    let slope = |u: f64| {
        let b = u.exp();
        let of_choice = |(logs, weight): &(Vec<f64>, f64)| {
            let largest = logs.iter().fold(f64::NEG_INFINITY, |most, &l| most.max(l));
            let (mut sum, mut expected, mut all) = (0.0, 0.0, 0.0);
            for l in logs {
                let power = (b * (l - largest)).exp();
                sum += power;
                expected += power * l;
                all += l;
            }
            let others = (all - logs[0]) / (logs.len() as f64 - 1.0).max(1.0);
            weight * b * (expected / sum - (1.0 - wrong) * logs[0] - wrong * others)
        };
        choices.iter().map(of_choice).sum::<f64>() + u / (PRIOR * PRIOR)
    };
    // The place where the slope turns from falling to rising, by the Illinois algorithm (M. Dowell and P. Jarratt, 1971).
    let (mut low, mut high) = (-MOST, MOST);
    let (mut at_low, mut at_high) = (slope(low), slope(high));
    if at_low >= 0.0 || at_high <= 0.0 {
        return if at_low >= 0.0 { (-low).exp() } else { (-high).exp() };
    }
    let mut side = 0;
    for _ in 0..60 {
        let u = (low * at_high - high * at_low) / (at_high - at_low);
        let at = slope(u);
        if at > 0.0 {
            (high, at_high) = (u, at);
            at_low *= if side == 1 { 0.5 } else { 1.0 };
            side = 1;
        } else {
            (low, at_low) = (u, at);
            at_high *= if side == -1 { 0.5 } else { 1.0 };
            side = -1;
        }
        if high - low < 1e-9 || at == 0.0 {
            return (-u).exp();
        }
    }
    (-0.5 * (low + high)).exp()
}

/// Ways of calibration, the simplest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    None,
    Temperature,
    Isotonic,
}

/// How good probabilities are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// See [`ClassificationMetrics`] and [`MultiLabelMetrics`].
    pub log_loss: f64,
    /// The same; of labels the mean over them.
    pub brier: f64,
    /// Expected calibration error; of labels none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ece: Option<f64>,
}

/// Of some rows, before and after calibration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// Of the network's own probabilities.
    pub before: Quality,
    /// Of the calibrated ones.
    pub after: Quality,
}

/// What calibration did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationReport {
    /// `none`, `temperature` or `isotonic`.
    pub method: String,
    /// What the logits are divided by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Why there is none, where that was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Number of rows that it was fitted to, none of which the network that predicted it had learned from.
    pub rows: usize,
    /// On these; after calibration by what was fitted to the other four fifths of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Compared>,
    /// On the test rows, or those that are evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Compared>,
    /// How often predictions of each confidence are right in these, before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reliability_before: Vec<ReliabilityBin>,
    /// After it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reliability: Vec<ReliabilityBin>,
}

impl CalibrationReport {
    /// Of what was read with a model, which was fitted to so many rows.
    pub(super) fn of(calibration: Option<&Calibration>, rows: usize) -> CalibrationReport {
        CalibrationReport {
            method: calibration.map_or("none", Calibration::name).to_string(),
            temperature: calibration.map(Calibration::temperature),
            ..CalibrationReport::none(rows, None)
        }
    }

    fn none(rows: usize, reason: Option<String>) -> CalibrationReport {
        CalibrationReport {
            method: "none".to_string(),
            temperature: None,
            reason,
            rows,
            validation: None,
            measured: None,
            reliability_before: Vec::new(),
            reliability: Vec::new(),
        }
    }
}

/// Whether isotonic regression has enough rows of each class.
pub(super) fn enough_for_isotonic(held: &Held<'_>) -> bool {
    let of = |class: usize| (0..held.len()).filter(|&row| held.is(row, class)).count();
    let enough = |count: usize| count >= FEWEST_OF_CLASS && held.len() - count >= FEWEST_OF_CLASS;
    held.kind == Outputs::Classes && (0..held.outputs).all(|class| enough(of(class)))
}

/// Chooses and fits a calibration: `auto`, `none`, `temperature` or `isotonic`.
///
/// Ways are compared by their log loss on each fifth of the rows after they were fitted to the others. Isotonic regression,
/// which may change what is predicted and makes probabilities equal that were not, must be better than temperature by more
/// than the standard error of the difference.
pub(super) fn calibrate(wanted: &str, held: &Held<'_>) -> (Option<Calibration>, CalibrationReport) {
    let rows = held.len();
    if wanted == "none" {
        return (None, CalibrationReport::none(rows, None));
    }
    if rows < FEWEST_ROWS {
        let why = format!("{rows} validation rows are too few to calibrate by; at least {FEWEST_ROWS} are needed");
        return (None, CalibrationReport::none(rows, Some(why)));
    }
    let isotonic = enough_for_isotonic(held);
    let ways: &[Way] = match wanted {
        "temperature" => &[Way::Temperature],
        "isotonic" if isotonic => &[Way::Isotonic],
        _ if isotonic => &[Way::None, Way::Temperature, Way::Isotonic],
        _ => &[Way::None, Way::Temperature],
    };
    let all: Vec<usize> = (0..rows).collect();
    let of = |way: Way| -> Vec<f32> {
        let mut made = held.values.to_vec();
        for part in 0..PARTS {
            let others: Vec<usize> = all.iter().copied().filter(|row| held.part(*row) % PARTS != part).collect();
            let Some(fitted) = Calibration::fit(way, held, &others) else { continue };
            for row in all.iter().copied().filter(|row| held.part(*row) % PARTS == part) {
                fitted.apply(&mut made[row * held.outputs..][..held.outputs], held.kind);
            }
        }
        made
    };
    let mut best: Option<(Way, Vec<f32>, Vec<f64>)> = None;
    for &way in ways {
        let made = of(way);
        let losses: Vec<f64> = all.iter().map(|&row| held.weight(row) * held.loss(&made, row)).collect();
        let better = best.as_ref().is_none_or(|(_, _, before)| {
            let gains: Vec<f64> = before.iter().zip(&losses).map(|(before, now)| before - now).collect();
            let gain = gains.iter().sum::<f64>();
            let mean = gain / rows as f64;
            let error = gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>().sqrt();
            gain > if way == Way::Isotonic { error } else { 0.0 }
        });
        if better {
            best = Some((way, made, losses));
        }
    }
    let Some((way, made, _)) = best else { return (None, CalibrationReport::none(rows, None)) };
    let fitted = Calibration::fit(way, held, &all);
    let mut report = CalibrationReport {
        validation: Some(Compared { before: held.quality(held.values), after: held.quality(&made) }),
        ..CalibrationReport::of(fitted.as_ref(), rows)
    };
    if fitted.is_none() {
        report.reason = Some("no way makes the log loss on validation smaller".to_string());
    } else if wanted == "isotonic" && !isotonic {
        report.reason = Some(format!(
            "isotonic regression needs at least {FEWEST_OF_CLASS} validation rows of each class and of all others"
        ));
    }
    (fitted, report)
}

impl Held<'_> {
    /// The loss of a row by probabilities of all rows.
    fn loss(&self, values: &[f32], row: usize) -> f64 {
        let values = &values[row * self.outputs..][..self.outputs];
        let of = |p: f64| -p.clamp(CLIP, 1.0 - CLIP).ln();
        match self.kind {
            Outputs::Classes => of(f64::from(values[self.class(row)])),
            Outputs::Labels => {
                let label = |(label, &p): (usize, &f32)| {
                    let p = f64::from(p);
                    of(if self.is(row, label) { p } else { 1.0 - p })
                };
                values.iter().enumerate().map(label).sum::<f64>() / self.outputs.max(1) as f64
            }
        }
    }

    fn quality(&self, values: &[f32]) -> Quality {
        let mut measured = Probabilities::new(self.outputs, self.kind);
        for row in 0..self.len() {
            measured.add(&values[row * self.outputs..][..self.outputs], self.targets, row, self.weight(row));
        }
        measured.quality()
    }
}

/// Measures probabilities alone, not what is decided by them.
#[derive(Debug)]
pub(crate) struct Probabilities {
    outputs: usize,
    classes: Option<ClassificationMetrics>,
    labels: MultiLabelMetrics,
    briers: f64,
    weight: f64,
}

impl Probabilities {
    pub(crate) fn new(outputs: usize, kind: Outputs) -> Probabilities {
        let classes = (kind == Outputs::Classes).then(|| ClassificationMetrics::new(outputs));
        Probabilities { outputs, classes, labels: MultiLabelMetrics::new(outputs), briers: 0.0, weight: 0.0 }
    }

    /// Adds a row of finite probabilities; `targets` are those of all rows.
    pub(crate) fn add(&mut self, values: &[f32], targets: &[f32], row: usize, weight: f64) {
        // What cannot be counted was refused where it was predicted.
        match &mut self.classes {
            Some(classes) => {
                let _ = classes.add_with(values, &[targets[row] as i32], None, Some(&[weight]));
            }
            None => {
                let targets = &targets[row * self.outputs..][..self.outputs];
                let _ = self.labels.add_with(values, targets, Some(&[weight]));
                let squares = values.iter().zip(targets).map(|(&p, &t)| brier(&[1.0 - p, p], usize::from(t >= 0.5)));
                self.briers += weight * squares.sum::<f64>() / self.outputs.max(1) as f64;
                self.weight += weight;
            }
        }
    }

    pub(crate) fn quality(&self) -> Quality {
        match &self.classes {
            Some(classes) => {
                let scores = classes.scores();
                let of = |name| scores.get(name).unwrap_or(0.0);
                Quality { log_loss: of("log_loss"), brier: of("brier"), ece: scores.get("ece") }
            }
            None => {
                let log_loss = self.labels.scores().get("log_loss").unwrap_or(0.0);
                Quality { log_loss, brier: self.briers / self.weight.max(f64::MIN_POSITIVE), ece: None }
            }
        }
    }

    pub(crate) fn reliability(&self) -> Vec<ReliabilityBin> {
        self.classes.as_ref().map(ClassificationMetrics::reliability).unwrap_or_default()
    }
}
