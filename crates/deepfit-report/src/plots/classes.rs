//! How well each class or label is recognised.

use deepfit_train::Report;
use deepfit_train::text::words;

use super::percent;
use crate::plot::{Bars, Chart, Data, Plot};

/// Most classes that are drawn: those that are recognised worst.
const MOST: usize = 20;
/// Most that are listed.
const LISTED: usize = 200;

/// Of a run with more than two classes, or with labels.
pub(super) fn plots(report: &Report) -> Option<Plot> {
    labels(report).or_else(|| classes(report))
}

fn classes(report: &Report) -> Option<Plot> {
    let counts = report.confusion.as_ref().filter(|counts| counts.len() > 2)?;
    let mut table = Data::new(&["class", "examples", "recall", "precision"]);
    let mut recalls: Vec<(String, f64, u64)> = Vec::new();
    for (at, row) in counts.iter().enumerate() {
        let name = report.classes.get(at).cloned().unwrap_or_else(|| at.to_string());
        let (right, actual) = (row[at], row.iter().sum::<u64>());
        let predicted: u64 = counts.iter().map(|row| row[at]).sum();
        let share = |n: u64, of: u64| if of > 0 { words::number(n as f64 / of as f64) } else { "-".to_string() };
        if at < LISTED {
            table.row(vec![name.clone(), words::count(actual), share(right, actual), share(right, predicted)]);
        }
        if actual > 0 {
            recalls.push((name, right as f64 / actual as f64, actual));
        }
    }
    recalls.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    let (worst, best) = (recalls.first()?, recalls.last()?);
    let finding = match worst.1 >= best.1 {
        true => format!("Each class is recognised equally often: {} of its examples.", percent(best.1)),
        false => format!(
            "Least often recognised: '{}', {} of {} examples; most often: '{}', {} of {}.",
            worst.0,
            percent(worst.1),
            words::count(worst.2),
            best.0,
            percent(best.1),
            words::count(best.2)
        ),
    };
    let shown = if recalls.len() > MOST { format!(" of the {MOST} classes with the smallest") } else { String::new() };
    let bars = recalls.into_iter().take(MOST).map(|(name, recall, _)| (name, recall)).collect();
    Some(Plot {
        name: "classes",
        title: "How well each class is recognised".to_string(),
        reading: "Recall is the share of a class's examples that were recognised; 1 is all of them.".to_string(),
        finding,
        chart: Chart::Bars(Bars { label: format!("recall{shown}"), bars, most: 1.0 }),
        table,
    })
}

fn labels(report: &Report) -> Option<Plot> {
    let labels = report.labels.as_ref().filter(|labels| !labels.is_empty())?;
    let ranked = labels.iter().any(|label| label.average_precision.is_some());
    let mut header = vec!["label", "examples", "predicted", "precision", "recall", "f1"];
    header.extend(ranked.then_some("average precision"));
    let mut table = Data::new(&header);
    let share = |value: Option<f64>| value.map_or_else(|| "-".to_string(), words::number);
    for label in labels.iter().take(LISTED) {
        let mut row = vec![
            label.label.clone(),
            words::count(label.actual),
            words::count(label.predicted),
            share(label.precision),
            share(label.recall),
            share(label.f1),
        ];
        row.extend(ranked.then(|| share(label.average_precision)));
        table.row(row);
    }
    let mut scores: Vec<(String, f64)> = labels.iter().filter_map(|l| Some((l.label.clone(), l.f1?))).collect();
    scores.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    let finding = match (scores.first(), scores.last()) {
        (Some(worst), Some(best)) if worst.1 >= best.1 => {
            format!(
                "F1 is {} for {}.",
                words::number(best.1),
                if scores.len() > 1 { "each label" } else { "the only label" }
            )
        }
        (Some(worst), Some(best)) => format!(
            "F1 is smallest for '{}' ({}) and largest for '{}' ({}).",
            worst.0,
            words::number(worst.1),
            best.0,
            words::number(best.1)
        ),
        _ => "No label occurs in the test rows.".to_string(),
    };
    let bars = scores.into_iter().take(MOST).collect();
    Some(Plot {
        name: "labels",
        title: "How well each label is recognised".to_string(),
        reading: "F1 brings two shares together: how many of what was said to have the label have it (precision), and how many of \
                  those that have it were found (recall). It is 1 if both are."
            .to_string(),
        finding,
        chart: Chart::Bars(Bars { label: "F1".to_string(), bars, most: 1.0 }),
        table,
    })
}
