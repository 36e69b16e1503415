//! How well texts that belong together are found.

use deepfit_data::PairLabel;
use deepfit_train::Predictions;
use deepfit_train::text::words;

use super::{of_rows, percent};
use crate::plot::{Axis, Chart, Data, Mark, Plot, Series, Xy};

/// Of partners the share that is found among so many; of scores the cosines.
pub(super) fn plot(label: PairLabel, predictions: &Predictions) -> Option<Plot> {
    if label == PairLabel::Partners { ranks(predictions) } else { Some(cosines(predictions)) }
}

fn ranks(predictions: &Predictions) -> Option<Plot> {
    let mut ranks = predictions.predicted.clone();
    ranks.sort_by(f32::total_cmp);
    let all = ranks.len() as f64;
    let most = f64::from(*ranks.last()?).max(10.0);
    let within = |rank: f64| ranks.partition_point(|&r| f64::from(r) <= rank) as f64 / all;
    let mut steps: Vec<f64> = (0..120).map(|i| most.powf(f64::from(i) / 119.0).floor()).collect();
    steps.dedup();
    let points: Vec<[f64; 2]> = steps.iter().map(|&rank| [rank, within(rank)]).collect();
    let mut table = Data::new(&["among the nearest", "partners found"]);
    for rank in [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0] {
        table.row(vec![format!("{rank:.0}"), percent(within(rank))]);
    }
    let texts = predictions.measured.max(2) as f64;
    let chance = steps.iter().map(|&rank| [rank, (rank / texts).min(1.0)]).collect();
    Some(Plot {
        name: "ranks",
        title: "How far one must look for the partner".to_string(),
        reading: "For each text of the test part, all second texts are put in order of nearness. The curve says of how many texts \
                  the partner is among the first so many."
            .to_string(),
        finding: format!(
            "The nearest text is the partner of {}, and {} have it among the ten nearest. From {}.",
            percent(within(1.0)),
            percent(within(10.0)),
            of_rows(predictions, "pairs")
        ),
        chart: Chart::Xy(Xy {
            x: Axis { logarithmic: true, ..Axis::fixed("among so many nearest texts", 1.0, most) },
            y: Axis::fixed("share of texts whose partner is found", 0.0, 1.0),
            series: vec![Series::new("in a random order", Mark::Guide, 0, chance), Series::new("this network", Mark::Line, 0, points)],
        }),
        table,
    })
}

fn cosines(predictions: &Predictions) -> Plot {
    let points: Vec<[f64; 2]> =
        predictions.truths.iter().zip(&predictions.predicted).map(|(t, p)| [f64::from(*t), f64::from(*p)]).collect();
    let mut sorted = points.clone();
    sorted.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let mut table = Data::new(&["pairs", "scores", "mean cosine"]);
    let mut means = Vec::new();
    for group in sorted.chunks(sorted.len().div_ceil(8).max(1)) {
        let mean = group.iter().map(|p| p[1]).sum::<f64>() / group.len() as f64;
        means.push(mean);
        let scores = format!("{} to {}", words::number(group[0][0]), words::number(group[group.len() - 1][0]));
        table.row(vec![group.len().to_string(), scores, words::number(mean)]);
    }
    let (first, last) = (means.first().copied().unwrap_or(0.0), means.last().copied().unwrap_or(0.0));
    Plot {
        name: "similarity",
        title: "Similarity and score".to_string(),
        reading: "Each point is a pair of texts: the score that was given, and the cosine of both embeddings, which is 1 for texts \
                  that mean the same to the network. Points should rise from left to right."
            .to_string(),
        finding: format!(
            "The mean cosine is {} for the pairs with the smallest scores and {} for those with the largest. From {}.",
            words::number(first),
            words::number(last),
            of_rows(predictions, "pairs")
        ),
        chart: Chart::Xy(Xy {
            x: Axis::over("score", points.iter().map(|p| p[0])),
            y: Axis::over("cosine", points.iter().map(|p| p[1])),
            series: vec![Series::new("pairs", Mark::Points, 0, points)],
        }),
        table,
    }
}
