//! Scores in the order and the words in which people read them.

use deepfit_train::metrics::{Intervals, LabelScores, ResidualSummary, Scores};

use deepfit_train::text::{Style, Table, words};

/// Metrics as people look at them, best known first; others follow by name.
const ORDER: [&str; 27] = [
    "mrr",
    "recall_at_1",
    "recall_at_10",
    "spearman",
    "pearson",
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "f1",
    "precision",
    "recall",
    "token_accuracy",
    "f1_macro",
    "f1_micro",
    "mean_average_precision",
    "subset_accuracy",
    "roc_auc",
    "log_loss",
    "rank_loss",
    "perplexity",
    "bits_per_byte",
    "brier",
    "ece",
    "r2",
    "rmse",
    "mae",
];

/// The names of all metrics of some parts, in the order in which they are shown.
pub fn names<'a>(parts: &[&'a Scores]) -> Vec<&'a str> {
    let mut names: Vec<&str> = parts.iter().flat_map(|scores| scores.iter().map(|(name, _)| name)).collect();
    let rank = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    names.sort_by_key(|name| (rank(name), *name));
    names.dedup();
    names
}

/// A metric in words; a dash where it is not defined.
pub fn value(scores: &Scores, name: &str) -> String {
    scores.get(name).map_or_else(|| "-".to_string(), words::number)
}

/// An interval in words; a dash where there is none.
pub fn interval(intervals: &Intervals, name: &str) -> String {
    intervals
        .get(name)
        .map_or_else(|| "-".to_string(), |[low, high]| format!("{} to {}", words::number(low), words::number(high)))
}

/// How far the predictions of a regression are off.
pub fn residuals(summary: &ResidualSummary, part: &str, style: Style) -> String {
    let mut table = Table::new(0, &["min", "5 %", "25 %", "50 %", "75 %", "95 %", "max"]);
    let quantiles = summary.quantiles.iter().map(|[_, value]| *value);
    let row = [summary.min].into_iter().chain(quantiles).chain([summary.max]);
    table.row(row.map(words::number).collect());
    format!(
        "\n{} on {part} (true minus predicted; mean {}, standard deviation {})\n{}",
        style.bold("Residuals"),
        words::number(summary.mean),
        words::number(summary.sd),
        table.render(style)
    )
}

/// How each label is recognised.
pub fn labels(scores: &[LabelScores], part: &str, style: Style) -> String {
    let mut header = vec!["label", "examples", "predicted", "precision", "recall", "f1"];
    // Spans of words have none.
    let ranked = scores.iter().any(|label| label.average_precision.is_some());
    header.extend(ranked.then_some("average precision"));
    let mut table = Table::new(1, &header);
    let share = |value: Option<f64>| value.map_or_else(|| "-".to_string(), words::number);
    for label in scores {
        let mut row = vec![
            words::printable(&label.label),
            words::count(label.actual),
            words::count(label.predicted),
            share(label.precision),
            share(label.recall),
            share(label.f1),
        ];
        row.extend(ranked.then(|| share(label.average_precision)));
        table.row(row);
    }
    format!("\n{} on {part}\n{}", style.bold("Labels"), table.render(style))
}
