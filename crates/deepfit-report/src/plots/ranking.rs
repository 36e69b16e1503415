//! How well a class is told from the others at any threshold: the ROC curve, and precision over recall.

use deepfit_data::Task;
use deepfit_train::text::words;
use deepfit_train::{Predictions, RunRecord};

use super::colours::{Coloured, MOST, of_classes};
use super::{of_rows, percent};
use crate::plot::{Axis, Chart, Data, Mark, Plot, Series, Xy};

/// Most points of a curve.
const POINTS: usize = 160;

/// Both curves of a class against all others.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// False positives as a share of the others, true positives as a share of the class; from nothing to all.
    pub roc: Vec<[f64; 2]>,
    /// Recall and precision, from the surest prediction on.
    pub precision: Vec<[f64; 2]>,
    /// The area under the ROC curve.
    pub area: f64,
    /// The sum of precisions, each weighted by how much it adds to recall.
    pub average_precision: f64,
    /// The share of the class among all.
    pub share: f64,
}

/// The curves of probabilities of what is there (true) or not; nothing where only one of both occurs.
pub fn curves(mut scored: Vec<(f32, bool)>) -> Option<Curves> {
    let positives = scored.iter().filter(|(_, is)| *is).count() as f64;
    let negatives = scored.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut roc, mut precision) = (vec![[0.0, 0.0]], Vec::new());
    let (mut found, mut false_alarms, mut area, mut average) = (0.0, 0.0, 0.0, 0.0);
    // Equal probabilities cannot be told apart by any threshold.
    for equal in scored.chunk_by(|a, b| a.0 == b.0) {
        let own = equal.iter().filter(|(_, is)| *is).count() as f64;
        let others = equal.len() as f64 - own;
        area += others * (found + own / 2.0);
        (found, false_alarms) = (found + own, false_alarms + others);
        average += own / positives * found / (found + false_alarms);
        roc.push([false_alarms / negatives, found / positives]);
        precision.push([found / positives, found / (found + false_alarms)]);
    }
    let area = area / (positives * negatives);
    let share = positives / (positives + negatives);
    Some(Curves { roc: thinned(roc), precision: thinned(precision), area, average_precision: average, share })
}

/// Fewer points, both ends among them.
fn thinned(points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    if points.len() <= POINTS {
        return points;
    }
    (0..POINTS).map(|i| points[i * (points.len() - 1) / (POINTS - 1)]).collect()
}

/// Both plots.
pub(super) fn plots(run: &RunRecord, task: &Task, predictions: &Predictions) -> Vec<Plot> {
    let classes = task.classes();
    let positive = run.report.as_ref().and_then(|report| report.positive.as_ref());
    let wanted: Vec<usize> = match (task, classes.len()) {
        // Of two classes one says all.
        (Task::Classification { .. }, 2) => {
            vec![positive.and_then(|name| classes.iter().position(|class| class == name)).unwrap_or(1)]
        }
        (_, n) => (0..n).collect(),
    };
    let mut found = areas(task, predictions, &wanted);
    if found.is_empty() {
        return Vec::new();
    }
    rank(&mut found);
    let all: Vec<(String, Curves)> =
        found.into_iter().map(|(class, curves)| (classes[class].clone(), curves)).collect();
    let looks = of_classes(classes, Some((task, predictions)));
    vec![roc(&all, &looks, predictions), precision(&all, &looks, predictions)]
}

/// The curves of some classes, by their numbers, of those that occur.
pub(super) fn areas(task: &Task, predictions: &Predictions, wanted: &[usize]) -> Vec<(usize, Curves)> {
    let of = |class: usize| {
        let scored = (0..predictions.ids.len()).map(|row| {
            let (predicted, truths) = predictions.row(row);
            let is = match task {
                Task::MultiLabel { .. } => truths[class] >= 0.5,
                _ => truths[0] as usize == class,
            };
            (predicted[class], is)
        });
        Some((class, curves(scored.collect())?))
    };
    wanted.iter().filter_map(|&class| of(class)).collect()
}

/// Puts first what is told apart worst.
pub(super) fn rank(found: &mut [(usize, Curves)]) {
    found.sort_by(|a, b| a.1.area.total_cmp(&b.1.area).then_with(|| a.0.cmp(&b.0)));
}

fn shown(all: &[(String, Curves)]) -> String {
    if all.len() > MOST {
        format!(" Drawn are the {MOST} of {} that are told apart worst.", all.len())
    } else {
        String::new()
    }
}

fn lines(all: &[(String, Curves)], looks: &Coloured, of: impl Fn(&Curves) -> (Vec<[f64; 2]>, f64)) -> Vec<Series> {
    let line = |(name, curves): &(String, Curves)| {
        let (points, value) = of(curves);
        let look = looks.get(name).copied().unwrap_or(MOST);
        Series::new(&format!("{name} ({})", words::number(value)), Mark::Line, look, points)
    };
    all.iter().take(MOST).map(line).collect()
}

/// The value of a curve at the last point up to x.
fn at(points: &[[f64; 2]], x: f64) -> f64 {
    points.iter().take_while(|point| point[0] <= x + 1e-12).last().map_or(0.0, |point| point[1])
}

fn roc(all: &[(String, Curves)], looks: &Coloured, predictions: &Predictions) -> Plot {
    let mut series = vec![Series::new("by chance (0.5)", Mark::Guide, 0, vec![[0.0, 0.0], [1.0, 1.0]])];
    series.extend(lines(all, looks, |curves| (curves.roc.clone(), curves.area)));
    let header: Vec<String> = ["share of false alarms".to_string()]
        .into_iter()
        .chain(all.iter().take(MOST).map(|(name, _)| name.clone()))
        .collect();
    let mut table = Data { header, rows: Vec::new() };
    for step in [0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0] {
        let found = all.iter().take(MOST).map(|(_, curves)| percent(at(&curves.roc, step)));
        table.row([percent(step)].into_iter().chain(found).collect());
    }
    let (worst, best) = (&all[0], &all[all.len() - 1]);
    let finding = if all.len() == 1 {
        format!("The area is {} for '{}'.", words::number(worst.1.area), worst.0)
    } else if worst.1.area >= best.1.area {
        format!("The area is {} for each of the {} classes.", words::number(best.1.area), all.len())
    } else {
        format!(
            "The area is smallest for '{}' ({}) and largest for '{}' ({}).",
            worst.0,
            words::number(worst.1.area),
            best.0,
            words::number(best.1.area)
        )
    };
    Plot {
        name: "roc",
        title: "Finding a class without false alarms (ROC curve)".to_string(),
        reading: "Whoever asks for less certainty finds more of a class, and raises more false alarms. A curve that goes up \
                  steeply at the left finds nearly all before it errs. The area under it is the probability that an example of \
                  the class gets a larger probability than one of the others: 1 is perfect, 0.5 is guessing."
            .to_string(),
        finding: format!("{finding}{} From {}.", shown(all), of_rows(predictions, "test rows")),
        chart: Chart::Xy(Xy {
            x: Axis::fixed("false alarms, share of the others", 0.0, 1.0),
            y: Axis::fixed("found, share of the class", 0.0, 1.0),
            series,
        }),
        table,
    }
}

fn precision(all: &[(String, Curves)], looks: &Coloured, predictions: &Predictions) -> Plot {
    let mut series = Vec::new();
    if let [(name, curves)] = all {
        let named = format!("always saying '{name}'");
        series.push(Series::new(&named, Mark::Guide, 0, vec![[0.0, curves.share], [1.0, curves.share]]));
    }
    series.extend(lines(all, looks, |curves| (curves.precision.clone(), curves.average_precision)));
    let header: Vec<String> = ["found of the class".to_string()]
        .into_iter()
        .chain(all.iter().take(MOST).map(|(name, _)| name.clone()))
        .collect();
    let mut table = Data { header, rows: Vec::new() };
    for step in 1..=10 {
        let recall = f64::from(step) / 10.0;
        // The precision that is had once so many are found.
        let value = |curves: &Curves| {
            let reached = curves.precision.iter().find(|point| point[0] >= recall - 1e-9);
            reached.map_or("-".to_string(), |point| percent(point[1]))
        };
        table
            .row([percent(recall)].into_iter().chain(all.iter().take(MOST).map(|(_, curves)| value(curves))).collect());
    }
    let least = all.iter().min_by(|a, b| a.1.average_precision.total_cmp(&b.1.average_precision));
    let finding = least.map_or(String::new(), |(name, curves)| {
        let smallest = if all.len() > 1 { " smallest" } else { "" };
        format!(
            "Average precision is{smallest} for '{name}': {}. That class makes up {} of the rows.",
            words::number(curves.average_precision),
            percent(curves.share)
        )
    });
    Plot {
        name: "precision-recall",
        title: "Precision and recall".to_string(),
        reading: "From the surest prediction on: how many of those that are said to be of the class are (precision), once so many \
                  of the class are found (recall). For rare classes this says more than the ROC curve."
            .to_string(),
        finding: format!("{finding}{} From {}.", shown(all), of_rows(predictions, "test rows")),
        chart: Chart::Xy(Xy {
            x: Axis::fixed("recall, share of the class that is found", 0.0, 1.0),
            y: Axis::fixed("precision, share that is right", 0.0, 1.0),
            series,
        }),
        table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_those_of_scikit_learn() {
        // roc_auc_score and average_precision_score of y = [0,0,1,1,0,1], s = [0.1,0.4,0.35,0.8,0.4,0.4]
        let scores = [(0.1, false), (0.4, false), (0.35, true), (0.8, true), (0.4, false), (0.4, true)];
        let found = curves(scores.to_vec()).unwrap();
        assert!((found.area - 0.666_666_666_666_667).abs() < 1e-12, "{}", found.area);
        assert!((found.average_precision - 0.7).abs() < 1e-12, "{}", found.average_precision);
        assert_eq!((found.roc[0], *found.roc.last().unwrap(), found.share), ([0.0, 0.0], [1.0, 1.0], 0.5));
        assert!(curves(vec![(0.3, true), (0.4, true)]).is_none());
        let long = curves((0..5000).map(|i| (i as f32, i % 3 == 0)).collect()).unwrap();
        assert!(long.roc.len() == POINTS && *long.roc.last().unwrap() == [1.0, 1.0]);
    }
}
