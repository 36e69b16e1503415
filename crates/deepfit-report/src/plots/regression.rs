//! Predicted values against true ones, and what is between them.

use deepfit_train::text::words;
use deepfit_train::{Predictions, RunRecord};

use super::{of_rows, percent};
use crate::plot::{Axis, Chart, Data, Mark, Plot, Series, Xy};

/// Groups of rows in tables, by their values.
const GROUPS: usize = 10;

/// All plots of predictions of a number.
pub(super) fn plots(run: &RunRecord, predictions: &Predictions) -> Vec<Plot> {
    let pairs: Vec<[f64; 2]> = (0..predictions.ids.len())
        .map(|row| {
            let (predicted, truths) = predictions.row(row);
            [f64::from(truths[0]), f64::from(predicted[0])]
        })
        .collect();
    let target = run.columns.as_ref().map_or_else(|| "value".to_string(), |(_, target)| target.clone());
    vec![
        predicted(&pairs, &target, predictions),
        residuals(&pairs, &target, predictions),
        by_value(&pairs, &target, predictions),
    ]
}

/// Rows in groups of about the same number, in the order of one of their values, with the mean of each.
fn groups(pairs: &[[f64; 2]], by: impl Fn(&[f64; 2]) -> f64) -> Vec<Vec<[f64; 2]>> {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| by(a).total_cmp(&by(b)));
    sorted.chunks(sorted.len().div_ceil(GROUPS).max(1)).map(<[[f64; 2]]>::to_vec).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / f64::max(count, 1.0)
}

fn predicted(pairs: &[[f64; 2]], target: &str, predictions: &Predictions) -> Plot {
    let axis = Axis::over("", pairs.iter().flatten().copied());
    let [from, to] = axis.range;
    let guide = Series::new("predicted as it is", Mark::Guide, 0, vec![[from, from], [to, to]]);
    let mut table = Data::new(&["rows", "true values", "mean true value", "mean predicted value"]);
    for group in groups(pairs, |pair| pair[0]) {
        let (first, last) = (group[0][0], group[group.len() - 1][0]);
        table.row(vec![
            group.len().to_string(),
            format!("{} to {}", words::number(first), words::number(last)),
            words::number(mean(group.iter().map(|p| p[0]))),
            words::number(mean(group.iter().map(|p| p[1]))),
        ]);
    }
    let (true_spread, said_spread) = (spread(pairs.iter().map(|p| p[0])), spread(pairs.iter().map(|p| p[1])));
    let finding = format!(
        "True values lie around their mean by {} (standard deviation), predicted ones by {}. From {}.",
        words::number(true_spread),
        words::number(said_spread),
        of_rows(predictions, "test rows")
    );
    Plot {
        name: "predicted",
        title: "Predicted and true values".to_string(),
        reading: "Each point is a row. On the dashed line the prediction is exact; above it, too large; below, too small. A cloud \
                  that is flatter than the line says that extremes are predicted too near to the mean."
            .to_string(),
        finding,
        chart: Chart::Xy(Xy {
            x: Axis { label: format!("true {target}"), ..axis.clone() },
            y: Axis { label: format!("predicted {target}"), ..axis },
            series: vec![Series::new("test rows", Mark::Points, 0, pairs.to_vec()), guide],
        }),
        table,
    }
}

fn spread(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let middle = mean(values.clone());
    mean(values.map(|value| (value - middle).powi(2))).sqrt()
}

fn residuals(pairs: &[[f64; 2]], target: &str, predictions: &Predictions) -> Plot {
    let all: Vec<f64> = pairs.iter().map(|[truth, predicted]| truth - predicted).collect();
    let (low, high) = all.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &r| (l.min(r), h.max(r)));
    let bins = ((all.len() as f64).sqrt() as usize).clamp(5, 40);
    let width = ((high - low) / bins as f64).max(f64::MIN_POSITIVE);
    let mut counts = vec![0u64; bins];
    all.iter().for_each(|residual| counts[(((residual - low) / width) as usize).min(bins - 1)] += 1);
    let points: Vec<[f64; 2]> =
        counts.iter().enumerate().map(|(i, &n)| [low + (i as f64 + 0.5) * width, n as f64]).collect();
    let most = counts.iter().max().copied().unwrap_or(1);
    let mut table = Data::new(&["true minus predicted, from", "to", "rows"]);
    for (i, count) in counts.iter().enumerate() {
        let from = low + i as f64 * width;
        table.row(vec![words::number(from), words::number(from + width), words::count(*count)]);
    }
    let too_small = all.iter().filter(|residual| **residual > 0.0).count() as f64 / all.len().max(1) as f64;
    let finding = format!(
        "True minus predicted {target} is {} on average, from {} to {}; {} of the predictions are too small. From {}.",
        words::number(mean(all.iter().copied())),
        words::number(low),
        words::number(high),
        percent(too_small),
        of_rows(predictions, "test rows")
    );
    Plot {
        name: "residuals",
        title: "How far off predictions are".to_string(),
        reading: "How often the true value is so much above (to the right) or below the predicted one. A heap around 0, as high to \
                  the left as to the right, is what one wants; a long tail is a few rows that are predicted badly."
            .to_string(),
        finding,
        chart: Chart::Xy(Xy {
            x: Axis::over("true minus predicted", [low, high].into_iter()),
            y: Axis::fixed("rows", 0.0, 1.05 * most as f64).whole(),
            series: vec![Series::new("", Mark::Columns(width), 0, points)],
        }),
        table,
    }
}

fn by_value(pairs: &[[f64; 2]], target: &str, predictions: &Predictions) -> Plot {
    let points: Vec<[f64; 2]> = pairs.iter().map(|[truth, predicted]| [*predicted, truth - predicted]).collect();
    let x = Axis::over(&format!("predicted {target}"), points.iter().map(|p| p[0]));
    let y = Axis::over("true minus predicted", points.iter().map(|p| p[1]).chain([0.0]));
    let guide = Series::new("predicted as it is", Mark::Guide, 0, vec![[x.range[0], 0.0], [x.range[1], 0.0]]);
    let mut table = Data::new(&["rows", "predicted values", "mean of true minus predicted", "mean distance"]);
    let mut distances = Vec::new();
    for group in groups(&points, |point| point[0]) {
        let distance = mean(group.iter().map(|p| p[1].abs()));
        distances.push(distance);
        table.row(vec![
            group.len().to_string(),
            format!("{} to {}", words::number(group[0][0]), words::number(group[group.len() - 1][0])),
            words::number(mean(group.iter().map(|p| p[1]))),
            words::number(distance),
        ]);
    }
    let (first, last) = (distances.first().copied().unwrap_or(0.0), distances.last().copied().unwrap_or(0.0));
    Plot {
        name: "residuals-by-value",
        title: "Where predictions are off".to_string(),
        reading: "Each point is a row: how large its predicted value is, and how far the true one is above it. Points that spread \
                  more at one end say that large (or small) values are predicted less well; a bow says that something is missed."
            .to_string(),
        finding: format!(
            "The tenth with the smallest predictions is off by {} on average, the tenth with the largest by {}. From {}.",
            words::number(first),
            words::number(last),
            of_rows(predictions, "test rows")
        ),
        chart: Chart::Xy(Xy { x, y, series: vec![Series::new("test rows", Mark::Points, 0, points), guide] }),
        table,
    }
}
