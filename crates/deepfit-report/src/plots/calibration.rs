//! Whether probabilities can be taken at their word.

use deepfit_data::Task;
use deepfit_train::Predictions;
use deepfit_train::metrics::ECE_BINS;
use deepfit_train::text::words;

use super::{of_rows, percent, wilson};
use crate::judgement::Judgement;
use crate::plot::{Axis, Chart, Data, Mark, Plot, Series, Xy};

/// Predictions of similar confidence.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bin {
    /// How many there are.
    pub count: u64,
    /// How many of them were right.
    pub right: u64,
    /// The sum of their confidences.
    pub confidence: f64,
}

/// The place of the largest value, the first of equal ones.
pub(super) fn largest(values: &[f32]) -> usize {
    (1..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}

/// Confidence and correctness in bins of equal width, open below and closed above, as the expected calibration error takes
/// them. Of several labels each decision about one counts, by the probability that the label is there.
pub fn bins(task: &Task, predictions: &Predictions) -> Vec<Bin> {
    let mut bins = vec![Bin::default(); ECE_BINS];
    let mut add = |confidence: f32, right: bool| {
        let confidence = f64::from(confidence).clamp(0.0, 1.0);
        let bin = &mut bins[((confidence * ECE_BINS as f64).ceil() as usize).clamp(1, ECE_BINS) - 1];
        bin.count += 1;
        bin.right += u64::from(right);
        bin.confidence += confidence;
    };
    for row in 0..predictions.ids.len() {
        let (predicted, truths) = predictions.row(row);
        match task {
            Task::MultiLabel { .. } => {
                predicted.iter().zip(truths).for_each(|(&probability, &truth)| add(probability, truth >= 0.5));
            }
            _ => {
                let best = largest(predicted);
                add(predicted[best], truths.first().is_some_and(|truth| *truth as usize == best));
            }
        }
    }
    bins
}

/// The diagram of the bins.
pub(super) fn reliability(task: &Task, predictions: &Predictions, judgement: Option<&Judgement>) -> Option<Plot> {
    let several = matches!(task, Task::MultiLabel { .. });
    let filled: Vec<Bin> = bins(task, predictions).into_iter().filter(|bin| bin.count > 0).collect();
    let count: u64 = filled.iter().map(|bin| bin.count).sum();
    if count == 0 {
        return None;
    }
    let mut points = Vec::new();
    let mut intervals = Vec::new();
    let mut table = Data::new(&["predictions", "mean probability said", "share that was so", "95 % interval"]);
    for bin in &filled {
        let (n, right) = (bin.count as f64, bin.right as f64);
        let [low, high] = wilson(right, n);
        points.push([bin.confidence / n, right / n]);
        intervals.push([low, high]);
        table.row(vec![
            words::count(bin.count),
            percent(bin.confidence / n),
            percent(right / n),
            format!("{} to {}", percent(low), percent(high)),
        ]);
    }
    let said = filled.iter().map(|bin| bin.confidence).sum::<f64>() / count as f64;
    let so = filled.iter().map(|bin| bin.right as f64).sum::<f64>() / count as f64;
    let what = if several { "had the label" } else { "were right" };
    let finding = format!(
        "{}{} was said on average, and {} {what}. From {}.",
        judgement.map_or(String::new(), |judgement| judgement.sentence() + " "),
        percent(said),
        percent(so),
        of_rows(predictions, if matches!(task, Task::Labels { .. }) { "sentences" } else { "test rows" })
    );
    let mut drawn = Series::new("what comes true, with 95 % interval", Mark::Points, 0, points);
    drawn.intervals = intervals;
    let guide = Series::new("probabilities that keep their word", Mark::Guide, 0, vec![[0.0, 0.0], [1.0, 1.0]]);
    let share = if several { "share that has the label" } else { "share that is right" };
    let chart = Xy {
        x: Axis::fixed("probability that the network says", 0.0, 1.0),
        y: Axis::fixed(share, 0.0, 1.0),
        series: vec![guide, drawn],
    };
    Some(Plot {
        name: "reliability",
        title: "How far to trust its probabilities".to_string(),
        reading: "Predictions are put together by how sure the network was. Where it says 80 %, eight of ten should be right: then \
                  points lie on the dashed line. Below it, the network is too sure of itself; above, too careful."
            .to_string(),
        finding,
        chart: Chart::Xy(chart),
        table,
    })
}
