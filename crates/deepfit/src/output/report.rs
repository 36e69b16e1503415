//! Metrics, confusion and residuals, and what to do next.

use std::path::Path;

use deepfit_train::metrics::{ECE_BINS, Scores};
use deepfit_train::{Evaluation, FitReport, Gap, RepeatsReport, Report, SubgroupScores, Verdict};

use super::decisions;
use super::findings;
use super::scores::{interval, labels as label_table, names, residuals as residual_table, value};
use crate::program;
use deepfit_train::text::{Style, Table, words};

/// With more classes than this a matrix is too wide, and the most confused pairs are shown.
const MATRIX_CLASSES: usize = 12;
/// Number of most confused pairs.
const PAIRS: usize = 10;
/// Class names in the matrix are cut to this many characters.
const LABEL: usize = 12;

/// What a finished training has reached, and where the page is that tells more.
pub fn training(report: &Report, page: Option<&Path>, style: Style) -> String {
    let mut text = String::new();
    let metrics = &report.metrics;
    text.push_str(&format!("{}\n", style.bold("Metrics")));
    let before = !metrics.published.is_empty();
    let mut header = vec!["metric", "train", "validation", "test", "95 % interval of test"];
    header.extend(before.then_some(["validation before", "test before"]).into_iter().flatten());
    let mut table = Table::new(1, &header);
    let validation = report.comparable_validation();
    for name in names(&[&metrics.train, &validation, &metrics.test]) {
        let mut row = vec![name.to_string()];
        row.extend([&metrics.train, &validation, &metrics.test].map(|s| value(s, name)));
        row.push(interval(&metrics.test_intervals, name));
        let published = [&metrics.published_validation, &metrics.published];
        row.extend(published.into_iter().filter(|_| before).map(|s| value(s, name)));
        table.row(row);
    }
    text.push_str(&table.render(style));
    text.push_str(&explained(&metrics.test, report.positive.as_deref(), style));
    if report.calibrated_validation().is_some() {
        let told =
            "log_loss, brier and ece are after calibration, of validation by what was fitted to its other four fifths";
        text.push_str(&format!("  {}\n", style.dim(told)));
    }
    for baseline in &report.baselines {
        let shown: Vec<String> = names(&[&baseline.metrics])
            .into_iter()
            .filter(|name| ["accuracy", "log_loss", "f1_micro", "mae", "rmse"].contains(name))
            .map(|name| format!("{name} {}", value(&baseline.metrics, name)))
            .collect();
        let line = format!("without a network, {}: {}", baseline.method, shown.join(", "));
        text.push_str(&format!("  {}\n", style.dim(&words::printable(&line))));
    }
    for told in report.worse_than_simpler() {
        text.push_str(&format!("  {}\n", style.yellow(&words::printable(&told))));
    }
    if let Some(matrix) = &report.confusion {
        text.push_str(&confusion(matrix, &report.classes, "test", style));
    }
    if let Some(residuals) = &report.residuals {
        text.push_str(&residual_table(residuals, "test", style));
    }
    if let Some(labels) = &report.labels {
        text.push_str(&label_table(labels, "test", style));
    }
    let found = (report.calibration.as_ref(), report.conformal.as_ref(), report.costs.as_ref());
    text.push_str(&decisions::text(found, report.positive.as_deref(), "test", style));
    text.push_str(&report.familiarity.map_or(String::new(), |found| decisions::familiarity(&found, "test", style)));
    text.push_str(&report.subgroups.as_ref().map_or(String::new(), |by| subgroups(by, "test", style)));
    text.push_str(&report.fit.as_ref().map_or(String::new(), |fit| fitted(fit, style)));
    text.push_str(&report.repeats.as_ref().map_or(String::new(), |repeats| repeated(repeats, style)));
    text.push_str(&findings::all(&report.findings, style));
    text.push_str(&format!("\n{}\n", style.bold("Run")));
    text.push_str(&format!(
        "  {}: {}, {}, {} (the best was {})\n",
        words::printable(&report.run.display().to_string()),
        report.model,
        words::plural(report.parameters as u64, "parameter"),
        words::plural(report.epochs.into(), "epoch"),
        match report.best_epoch {
            0 => "none: the published weights are kept".to_string(),
            epoch => format!("epoch {epoch}"),
        },
    ));
    // A process that only measured what another had trained made no step.
    let first = report.first_step_seconds.map(words::duration);
    text.push_str(&format!(
        "  {} in all{}; peak memory {}{}\n",
        words::duration(report.seconds),
        first.map_or(String::new(), |first| format!(", first step after {first}")),
        words::bytes(report.peak_memory_bytes),
        match report.planned_memory_bytes {
            0 => String::new(),
            planned => format!(", planned {}", words::bytes(planned)),
        },
    ));
    if report.data.training > 0.0 {
        text.push_str(&format!(
            "  {} of training steps, {}\n",
            words::duration(report.data.training),
            report.data.in_words()
        ));
    }
    if let Some(advice) = report.data.advice(&report.input) {
        text.push_str(&format!("  {}\n", style.yellow(advice)));
    }
    if let Some(page) = page {
        text.push_str(&format!(
            "  {} tells more: open it in a browser\n",
            words::printable(&page.display().to_string())
        ));
    }
    for note in report.other_notes() {
        text.push_str(&format!("  {}\n", style.yellow(&words::printable(note))));
    }
    text + &next(report, style)
}

/// The metrics of a trained network on other data.
pub fn evaluation(evaluation: &Evaluation, style: Style) -> String {
    let mut text = format!("{} on {}\n", style.bold("Metrics"), words::plural(evaluation.rows as u64, "row"));
    let mut table = Table::new(1, &["metric", "value", "95 % interval"]);
    for name in names(&[&evaluation.metrics]) {
        table.row(vec![name.to_string(), value(&evaluation.metrics, name), interval(&evaluation.intervals, name)]);
    }
    text.push_str(&table.render(style));
    text.push_str(&explained(&evaluation.metrics, evaluation.positive.as_deref(), style));
    if let Some(matrix) = &evaluation.confusion {
        text.push_str(&confusion(matrix, &evaluation.classes, "data", style));
    }
    if let Some(residuals) = &evaluation.residuals {
        text.push_str(&residual_table(residuals, "data", style));
    }
    if let Some(labels) = &evaluation.labels {
        text.push_str(&label_table(labels, "data", style));
    }
    let found = (evaluation.calibration.as_ref(), evaluation.conformal.as_ref(), evaluation.costs.as_ref());
    text.push_str(&decisions::text(found, evaluation.positive.as_deref(), "data", style));
    text.push_str(&evaluation.familiarity.map_or(String::new(), |found| decisions::familiarity(&found, "data", style)));
    text.push_str(&evaluation.subgroups.as_ref().map_or(String::new(), |by| subgroups(by, "data", style)));
    if !evaluation.skipped.is_empty() {
        text.push_str(&format!("\n{}\n", style.bold("Skipped")));
        for (name, reason) in &evaluation.skipped {
            text.push_str(&format!("  {}\n", words::printable(&format!("{name}: {reason}"))));
        }
    }
    text
}

/// Whether it overfits, and what was done about it.
fn fitted(fit: &FitReport, style: Style) -> String {
    let sentence = words::printable(&fit.sentence);
    let sentence = if fit.verdict == Verdict::Fits { sentence } else { style.yellow(&sentence) };
    let mut text = format!("\n{}\n  {sentence}\n", style.bold("Fit"));
    let gap = fit.figures.as_ref().map(Gap::told);
    for told in gap.into_iter().chain(fit.told()) {
        text.push_str(&format!("  {}\n", style.dim(&words::printable(&told))));
    }
    text
}

/// What several splits reached.
fn repeated(repeats: &RepeatsReport, style: Style) -> String {
    let mut scores = Scores::default();
    repeats.metrics.iter().for_each(|(name, repeated)| scores.insert(name, repeated.mean));
    let mut table = Table::new(1, &["metric", "mean", "deviation", "95 % interval of the mean"]);
    for name in names(&[&scores]) {
        let one = &repeats.metrics[name];
        let [low, high] = one.interval.map(words::number);
        let row = [name.to_string(), words::number(one.mean), words::number(one.deviation), format!("{low} to {high}")];
        table.row(row.to_vec());
    }
    let seeds: Vec<String> = repeats.seeds.iter().map(u64::to_string).collect();
    let told = format!(
        "test rows of {} splits, of the seeds {}; intervals by Nadeau and Bengio; the model is that of the first",
        repeats.runs,
        seeds.join(", ")
    );
    format!("\n{}\n{}  {}\n", style.bold("Repeated"), table.render(style), style.dim(&told))
}

/// Metrics of subgroups that are shown, of each task those that people know.
const OF_SUBGROUPS: [&str; 9] =
    ["accuracy", "sensitivity", "specificity", "f1", "f1_macro", "subset_accuracy", "roc_auc", "r2", "mae"];

/// Metrics by the values of a column, with their intervals.
fn subgroups(by: &SubgroupScores, part: &str, style: Style) -> String {
    let has = |name: &&str| by.groups.iter().any(|group| group.metrics.get(name).is_some());
    let shown: Vec<&str> = OF_SUBGROUPS.into_iter().filter(has).collect();
    let header: Vec<&str> = [&by.column[..], "rows"].into_iter().chain(shown.iter().copied()).collect();
    let header: Vec<String> = header.into_iter().map(words::printable).collect();
    let mut table = Table::new(1, &header.iter().map(String::as_str).collect::<Vec<_>>());
    for group in &by.groups {
        let cell = |name: &&str| match (group.metrics.get(name), group.intervals.get(name)) {
            (Some(value), Some([low, high])) => {
                format!("{} ({} to {})", words::number(value), words::number(low), words::number(high))
            }
            (Some(value), None) => words::number(value),
            (None, _) => "-".to_string(),
        };
        let few = if group.few { " (few)" } else { "" };
        let start = [words::printable(&group.name), format!("{}{few}", words::count(group.rows))];
        table.row(start.into_iter().chain(shown.iter().map(cell)).collect());
    }
    let mut text = format!("\n{} on {part}, with 95 % intervals\n{}", style.bold("By subgroup"), table.render(style));
    if by.groups.iter().any(|group| group.few) {
        let told = format!("few: fewer than {} rows, which tell little for sure", SubgroupScores::FEW);
        text.push_str(&format!("  {}\n", style.dim(&told)));
    }
    text
}

/// What names among the metrics do not tell.
fn explained(metrics: &Scores, positive: Option<&str>, style: Style) -> String {
    let mut lines = Vec::new();
    if let (Some(positive), true) = (positive, metrics.get("sensitivity").or(metrics.get("specificity")).is_some()) {
        let positive = words::printable(positive);
        lines.push(format!("sensitivity, specificity and f1: '{positive}' is the positive class"));
    }
    if metrics.get("subset_accuracy").is_some() {
        lines.push("subset_accuracy: share of which all labels are right, at a probability of 0.5".to_string());
    }
    if metrics.get("brier").is_some() {
        lines.push("brier: mean squared distance of the probabilities to what is true".to_string());
    }
    if metrics.get("ece").is_some() {
        lines.push(format!("ece: expected calibration error, over {ECE_BINS} bins of the confidence of equal width"));
    }
    lines.iter().map(|line| format!("  {}\n", style.dim(line))).collect()
}

/// Rows are true classes, columns predicted ones.
fn confusion(matrix: &[Vec<u64>], classes: &[String], part: &str, style: Style) -> String {
    let wrong = confused(matrix);
    let total: u64 = matrix.iter().flatten().sum();
    let mistakes: u64 = wrong.iter().map(|(_, _, count)| count).sum();
    let class = |index: usize| {
        classes.get(index).map_or_else(|| index.to_string(), |c| words::shortened(&words::printable(c), LABEL))
    };
    let summary = format!("{} of {} wrong", words::count(mistakes), words::count(total));
    if matrix.len() > MATRIX_CLASSES {
        let mut text = format!("\n{} on {part} ({summary})\n", style.bold("Most confused classes"));
        let mut table = Table::new(2, &["true", "predicted", "times"]);
        for (truth, predicted, count) in wrong.into_iter().take(PAIRS) {
            table.row(vec![class(truth), class(predicted), words::count(count)]);
        }
        if table.is_empty() {
            return format!("\n{} on {part}: none, all {} are right\n", style.bold("Mistakes"), words::count(total));
        }
        text.push_str(&table.render(style));
        return text;
    }
    let labels: Vec<String> = (0..matrix.len()).map(class).collect();
    let header: Vec<&str> = ["true \\ predicted"].into_iter().chain(labels.iter().map(String::as_str)).collect();
    let mut table = Table::new(1, &header);
    for (label, row) in labels.iter().zip(matrix) {
        let cells = row.iter().map(|&n| if n == 0 { "·".to_string() } else { n.to_string() });
        table.row([label.clone()].into_iter().chain(cells).collect());
    }
    format!("\n{} on {part} ({summary})\n{}", style.bold("Confusion"), table.render(style))
}

/// True class, predicted class and count of all mistakes, most frequent first.
fn confused(matrix: &[Vec<u64>]) -> Vec<(usize, usize, u64)> {
    let cells = matrix
        .iter()
        .enumerate()
        .flat_map(|(truth, row)| row.iter().enumerate().map(move |(predicted, &count)| (truth, predicted, count)));
    let mut wrong: Vec<_> = cells.filter(|&(truth, predicted, count)| truth != predicted && count > 0).collect();
    wrong.sort_by_key(|&(truth, predicted, count)| (std::cmp::Reverse(count), truth, predicted));
    wrong
}

/// The commands that the report names, as this program was called.
fn next(report: &Report, style: Style) -> String {
    let program = program::name();
    let mut text = format!("\n{}\n", style.bold("What next"));
    for step in &report.next {
        let line = step.strip_prefix("deepfit ").map_or_else(|| step.clone(), |rest| format!("{program} {rest}"));
        text.push_str(&format!("  {}\n", words::printable(&line)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_matrices_are_shown_large_ones_summed_up() {
        let classes: Vec<String> = (0..13).map(|c| format!("class{c}")).collect();
        let small = confusion(&[vec![3, 1], vec![0, 4]], &classes, "test", Style::PLAIN);
        assert!(small.contains("(1 of 8 wrong)") && small.contains("·"), "{small}");
        let named = confusion(&[vec![3, 1], vec![0, 4]], &["a\u{1b}[2J".to_string()], "test", Style::PLAIN);
        assert!(named.contains("a\u{fffd}[2J") && !named.contains('\u{1b}'), "{named}");
        let mut matrix = vec![vec![0; 13]; 13];
        matrix[2][5] = 7;
        matrix[4][1] = 9;
        matrix[3][3] = 100;
        let large = confusion(&matrix, &classes, "test", Style::PLAIN);
        let (first, second) = (large.find("class4").unwrap(), large.find("class2").unwrap());
        assert!(first < second && !large.contains("class3") && large.contains("16 of 116"), "{large}");
    }

    #[test]
    fn the_bins_of_the_calibration_error_are_told_where_it_is_shown() {
        let mut scores = Scores::default();
        scores.insert("rmse", 1.0);
        assert_eq!(explained(&scores, None, Style::PLAIN), "");
        scores.insert("ece", 0.1);
        assert!(explained(&scores, None, Style::PLAIN).contains("15 bins"));
        scores.insert("sensitivity", 0.1);
        assert!(explained(&scores, Some("ill"), Style::PLAIN).contains("'ill' is the positive class"));
    }
}
