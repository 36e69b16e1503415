//! Which classes are taken for which.

use deepfit_train::text::words;
use deepfit_train::{Predictions, Report};

use super::{of_rows, percent};
use crate::plot::{Bars, Chart, Data, Matrix, Plot};

/// With more classes than this the most confused pairs are drawn instead of all counts.
const MOST: usize = 24;
/// Pairs that are drawn or listed.
const PAIRS: usize = 20;
/// With more classes than this the table lists pairs.
const LISTED: usize = 12;

const READING: &str = "Each row holds the examples of one true class, each column what the network said. Right answers lie on \
                       the diagonal; everything beside it is a mistake of that kind. Cells are the darker the larger their share \
                       of the row is.";

/// Of a run with classes.
pub(super) fn confusion(report: &Report) -> Option<Plot> {
    let counts = report.confusion.as_ref()?;
    plot("Which classes are taken for which", &report.classes, counts, "true class", "predicted class", String::new())
}

/// Of words, each by itself.
pub(super) fn of_words(labels: &[String], predictions: &Predictions) -> Option<Plot> {
    if labels.len() < 2 {
        return None;
    }
    let mut counts = vec![vec![0u64; labels.len()]; labels.len()];
    for row in 0..predictions.ids.len() {
        let (predicted, truths) = predictions.row(row);
        let best = super::calibration::largest(predicted);
        let truth = *truths.first()? as usize;
        *counts.get_mut(truth)?.get_mut(best)? += 1;
    }
    let kept = of_rows(predictions, "sentences").replace("all ", "the words of all ");
    let note = format!(" Counted are {}, each word by its own most probable label.", kept_words(predictions, &kept));
    plot("Which labels of words are taken for which", labels, &counts, "true label", "predicted label", note)
}

fn kept_words(predictions: &Predictions, all: &str) -> String {
    format!("{} words ({all})", words::count(predictions.ids.len() as u64))
}

/// True class, predicted class and count of all mistakes, most frequent first.
fn pairs(counts: &[Vec<u64>]) -> Vec<(usize, usize, u64)> {
    let cells = counts.iter().enumerate().flat_map(|(t, row)| row.iter().enumerate().map(move |(p, &n)| (t, p, n)));
    let mut wrong: Vec<_> = cells.filter(|&(truth, predicted, n)| truth != predicted && n > 0).collect();
    wrong.sort_by_key(|&(truth, predicted, n)| (std::cmp::Reverse(n), truth, predicted));
    wrong
}

fn plot(title: &str, names: &[String], counts: &[Vec<u64>], rows: &str, columns: &str, note: String) -> Option<Plot> {
    let name = |at: usize| names.get(at).cloned().unwrap_or_else(|| at.to_string());
    let wrong = pairs(counts);
    if wrong.is_empty() && names.len() > MOST {
        // Nothing is taken for anything else, and so many counts are too many to be drawn.
        return None;
    }
    let all: u64 = counts.iter().flatten().sum();
    let mistakes: u64 = wrong.iter().map(|(_, _, n)| n).sum();
    let mut finding = format!("{} of {} are wrong.", words::count(mistakes), words::count(all));
    if let Some(&(truth, predicted, n)) = wrong.first() {
        let of_class: u64 = counts[truth].iter().sum();
        finding += &format!(
            " The most frequent mistake: '{}' taken for '{}', {} ({} of that class).",
            name(truth),
            name(predicted),
            words::plural(n, "time"),
            percent(n as f64 / of_class.max(1) as f64)
        );
    }
    finding += &note;
    let many = names.len() > MOST;
    let chart = if many {
        let bars =
            wrong.iter().take(PAIRS).map(|&(t, p, n)| (format!("{} → {}", name(t), name(p)), n as f64)).collect();
        Chart::Bars(Bars { label: "times, of the most frequent mistakes".to_string(), bars, most: 0.0 })
    } else {
        let names = (0..counts.len()).map(name).collect();
        Chart::Matrix(Matrix { rows: rows.to_string(), columns: columns.to_string(), names, counts: counts.to_vec() })
    };
    let mut table;
    if counts.len() <= LISTED {
        let header: Vec<String> =
            [format!("{rows} \\ {columns}")].into_iter().chain((0..counts.len()).map(name)).collect();
        table = Data { header, rows: Vec::new() };
        for (at, row) in counts.iter().enumerate() {
            table.row([name(at)].into_iter().chain(row.iter().map(u64::to_string)).collect());
        }
    } else {
        table = Data::new(&[rows, columns, "times"]);
        wrong.iter().take(PAIRS).for_each(|&(t, p, n)| table.row(vec![name(t), name(p), n.to_string()]));
    }
    let reading =
        if many { "Each bar is one kind of mistake: the true class and what the network said." } else { READING };
    Some(Plot { name: "confusion", title: title.to_string(), reading: reading.to_string(), finding, chart, table })
}
