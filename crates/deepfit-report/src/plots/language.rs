//! How well windows of a text are foreseen.

use deepfit_train::Predictions;
use deepfit_train::text::words;

use super::of_rows;
use crate::plot::{Axis, Chart, Data, Mark, Plot, Series, Xy};

const BINS: usize = 24;

/// How the mean losses of windows are distributed.
pub(super) fn bits(predictions: &Predictions) -> Option<Plot> {
    let losses: Vec<f64> = predictions.predicted.iter().map(|&loss| f64::from(loss)).collect();
    let (low, high) = losses.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &x| (l.min(x), h.max(x)));
    if losses.is_empty() || !low.is_finite() {
        return None;
    }
    let width = ((high - low) / BINS as f64).max(1e-9);
    let mut counts = [0u64; BINS];
    losses.iter().for_each(|loss| counts[(((loss - low) / width) as usize).min(BINS - 1)] += 1);
    let points = counts.iter().enumerate().map(|(i, &n)| [low + (i as f64 + 0.5) * width, n as f64]).collect();
    let mut table = Data::new(&["loss of a token, from", "to", "windows"]);
    for (i, count) in counts.iter().enumerate() {
        let from = low + i as f64 * width;
        table.row(vec![words::number(from), words::number(from + width), words::count(*count)]);
    }
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    let finding = format!(
        "The mean loss of a token is {} on average over windows, {} in the window that is foreseen best and {} in the worst. From {}.",
        words::number(mean),
        words::number(low),
        words::number(high),
        of_rows(predictions, "windows of the test text")
    );
    Some(Plot {
        name: "windows",
        title: "How well parts of the text are foreseen".to_string(),
        reading: "The test text is cut into windows. The loss of a token is the logarithm of how many equally likely ones the \
                  network would have chosen from; columns to the left are windows that were easy."
            .to_string(),
        finding,
        chart: Chart::Xy(Xy {
            x: Axis::over("mean loss of a token in the window", [low, high].into_iter()),
            y: Axis::fixed("windows", 0.0, 1.05 * counts.iter().max().copied().unwrap_or(1) as f64).whole(),
            series: vec![Series::new("", Mark::Columns(width), 0, points)],
        }),
        table,
    })
}
