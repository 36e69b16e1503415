//! How the loss fell, how validation went, and the learning rate.

use std::collections::BTreeMap;

use deepfit_train::metrics::higher_is_better;
use deepfit_train::text::words;
use deepfit_train::{EpochRecord, RunRecord};

use crate::meaning::meaning;
use crate::plot::{Axis, Chart, Data, Mark, Plot, Series, Xy};

/// Most epochs that are listed; of more, some between are left out.
const LISTED: usize = 60;

type Curve = Vec<[f64; 2]>;

/// Epochs by stage.
fn by_stage(run: &RunRecord) -> BTreeMap<usize, Vec<&EpochRecord>> {
    let mut stages: BTreeMap<usize, Vec<&EpochRecord>> = BTreeMap::new();
    run.epochs.iter().for_each(|epoch| stages.entry(epoch.stage).or_default().push(epoch));
    stages
}

/// The curves of a run that has some epochs.
pub(super) fn plots(run: &RunRecord) -> Vec<Plot> {
    if run.epochs.is_empty() {
        return Vec::new();
    }
    let stages = by_stage(run);
    let has = |name: &str| run.epochs.iter().any(|epoch| epoch.validation.get(name).is_some());
    let mut plots = vec![loss(run, &stages, if has("log_loss") { Some("log_loss") } else { None })];
    let watched = ["accuracy", "f1_macro", "f1", "rmse", "bits_per_byte", "mrr", "spearman"];
    if let Some(name) = watched.into_iter().find(|name| has(name)) {
        plots.push(validation(run, &stages, name));
    }
    plots.push(rate(&stages));
    plots
}

/// A metric of each stage that has it.
fn curves(stages: &BTreeMap<usize, Vec<&EpochRecord>>, name: &str) -> Vec<(usize, Curve)> {
    let of = |epochs: &Vec<&EpochRecord>| -> Curve {
        epochs.iter().filter_map(|e| Some([f64::from(e.epoch), e.validation.get(name)?])).collect()
    };
    stages.iter().map(|(stage, epochs)| (*stage, of(epochs))).filter(|(_, curve)| !curve.is_empty()).collect()
}

/// The mean over curves at each epoch that at least one has.
fn mean(curves: &[Curve]) -> Curve {
    let mut sums: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    for [epoch, value] in curves.iter().flatten() {
        let sum = sums.entry(*epoch as i64).or_default();
        *sum = (sum.0 + value, sum.1 + 1.0);
    }
    sums.into_iter().map(|(epoch, (sum, count))| [epoch as f64, sum / count]).collect()
}

/// One curve as a line; several faint, with their mean.
fn drawn(name: &str, look: usize, curves: &[Curve]) -> Vec<Series> {
    match curves {
        [] => Vec::new(),
        [only] => vec![Series::new(name, Mark::Line, look, only.clone())],
        several => {
            let mut series: Vec<Series> =
                several.iter().map(|curve| Series::new("", Mark::Faint, look, curve.clone())).collect();
            let named = format!("{name}, mean of {} trainings", several.len());
            series.push(Series::new(&named, Mark::Line, look, mean(several)));
            series
        }
    }
}

/// A line where the weights come from that were kept.
fn chosen(run: &RunRecord, y: &Axis) -> Option<Series> {
    let epoch = f64::from(run.report.as_ref()?.best_epoch);
    let points = vec![[epoch, y.range[0]], [epoch, y.range[1]]];
    Some(Series::new(&format!("epoch {epoch}, which was chosen"), Mark::Guide, 0, points))
}

fn axes(label: &str, series: &[Series]) -> (Axis, Axis) {
    let points = || series.iter().flat_map(|series| &series.points);
    (Axis::over("epoch", points().map(|p| p[0])).whole(), Axis::over(label, points().map(|p| p[1])))
}

fn epochs_table(header: &[&str], columns: &[Curve]) -> Data {
    let mut table = Data::new(header);
    let mut epochs: Vec<i64> = columns.iter().flatten().map(|[epoch, _]| *epoch as i64).collect();
    epochs.sort_unstable();
    epochs.dedup();
    let step = epochs.len().div_ceil(LISTED).max(1);
    let last = epochs.last().copied();
    for epoch in epochs.into_iter().enumerate().filter(|(i, e)| i % step == 0 || Some(*e) == last).map(|(_, e)| e) {
        let value = |curve: &Curve| {
            let found = curve.iter().find(|[at, _]| *at as i64 == epoch);
            found.map_or("-".to_string(), |[_, value]| words::number(*value))
        };
        table.row([epoch.to_string()].into_iter().chain(columns.iter().map(value)).collect());
    }
    table
}

fn loss(run: &RunRecord, stages: &BTreeMap<usize, Vec<&EpochRecord>>, compared: Option<&str>) -> Plot {
    let of_training = |epochs: &Vec<&EpochRecord>| -> Curve {
        epochs.iter().filter(|e| e.epoch > 0).map(|e| [f64::from(e.epoch), e.train_loss]).collect()
    };
    let training: Vec<Curve> = stages.values().map(of_training).filter(|curve| !curve.is_empty()).collect();
    let held_out: Vec<Curve> =
        compared.map_or(Vec::new(), |name| curves(stages, name).into_iter().map(|(_, curve)| curve).collect());
    let mut series = drawn("training rows", 0, &training);
    series.extend(drawn("validation rows", 1, &held_out));
    let (x, y) = axes("loss, smaller is better", &series);
    series.extend(chosen(run, &y));
    let (first, last) = (mean(&training).first().copied(), mean(&training).last().copied());
    let mut finding = match (first, last) {
        (Some(first), Some(last)) => format!(
            "On training rows the loss went from {} after epoch {} to {} after epoch {}.",
            words::number(first[1]),
            first[0],
            words::number(last[1]),
            last[0]
        ),
        _ => "No epoch has ended yet.".to_string(),
    };
    let of_validation = mean(&held_out);
    let smallest = of_validation.iter().min_by(|a, b| a[1].total_cmp(&b[1]));
    if let (Some(smallest), Some(end)) = (smallest, of_validation.last()) {
        finding += &format!(
            " On validation rows it was smallest after epoch {} ({}) and {} after the last.",
            smallest[0],
            words::number(smallest[1]),
            words::number(end[1])
        );
    }
    let table = match compared {
        Some(_) => epochs_table(
            &["epoch", "loss on training rows", "loss on validation rows"],
            &[mean(&training), of_validation],
        ),
        None => epochs_table(&["epoch", "loss on training rows"], &[mean(&training)]),
    };
    Plot {
        name: "learning-curve",
        title: "Learning curve".to_string(),
        reading: "The loss says how far off the network is; training makes it smaller, epoch by epoch (an epoch is one pass \
                  over all training rows). Where the line of the validation rows, from which nothing is learned, turns upwards \
                  while that of the training rows goes on falling, the network begins to learn the training rows by heart."
            .to_string(),
        finding,
        chart: Chart::Xy(Xy { x, y, series }),
        table,
    }
}

fn validation(run: &RunRecord, stages: &BTreeMap<usize, Vec<&EpochRecord>>, name: &str) -> Plot {
    let all: Vec<Curve> = curves(stages, name).into_iter().map(|(_, curve)| curve).collect();
    let known = meaning(name);
    let better = if higher_is_better(name) { "larger is better" } else { "smaller is better" };
    let mut series = drawn("validation rows", 1, &all);
    let (x, y) = axes(&format!("{}, {better}", known.title), &series);
    series.extend(chosen(run, &y));
    let of_validation = mean(&all);
    let sign = if higher_is_better(name) { -1.0 } else { 1.0 };
    let best = of_validation.iter().min_by(|a, b| (sign * a[1]).total_cmp(&(sign * b[1])));
    let finding = best.map_or(String::new(), |best| {
        format!("{} on validation rows was best after epoch {}: {}.", known.title, best[0], words::number(best[1]))
    });
    Plot {
        name: "validation",
        title: format!("{} on validation rows", known.title),
        reading: format!(
            "{} Nothing is learned from the validation rows; by them it is decided when to stop.",
            known.sentence
        ),
        finding,
        chart: Chart::Xy(Xy { x, y, series }),
        table: epochs_table(&["epoch", &known.title], &[of_validation]),
    }
}

fn rate(stages: &BTreeMap<usize, Vec<&EpochRecord>>) -> Plot {
    let of = |epochs: &Vec<&EpochRecord>| -> Curve {
        epochs.iter().filter(|e| e.epoch > 0).map(|e| [f64::from(e.epoch), e.learning_rate]).collect()
    };
    let all: Vec<Curve> = stages.values().map(of).filter(|curve| !curve.is_empty()).collect();
    let series = drawn("learning rate", 2, &all);
    let (x, y) = axes("learning rate", &series);
    let curve = mean(&all);
    let largest = curve.iter().map(|p| p[1]).fold(0.0, f64::max);
    let last = curve.last().map_or(0.0, |p| p[1]);
    Plot {
        name: "learning-rate",
        title: "Learning rate".to_string(),
        reading: "How large the steps are by which the weights change. Usually it falls, so that the network first finds a good \
                  region and then the best place in it."
            .to_string(),
        finding: format!("At most {}, and {} in the last epoch.", words::number(largest), words::number(last)),
        chart: Chart::Xy(Xy { x, y, series }),
        table: epochs_table(&["epoch", "learning rate"], &[curve]),
    }
}
