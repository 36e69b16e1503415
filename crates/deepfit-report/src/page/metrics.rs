//! All metrics with their intervals, beside a simple method, each with what it means.

use deepfit_train::metrics::Scores;
use deepfit_train::text::words;
use deepfit_train::{Baseline, RepeatsReport, Report, RunRecord};
use maud::{Markup, html};

use super::facts::Facts;
use super::table::{Row, Table, nothing};
use crate::clean::clean;
use crate::meaning::{meaning, ordered};

/// A number as it is shown, with its exact value for programs.
pub(super) fn number(value: f64) -> Markup {
    html! { data value=(value) { (words::number(value)) } }
}

fn cell(scores: &Scores, name: &str) -> Markup {
    match scores.get(name) {
        Some(value) => number(value),
        None => nothing(),
    }
}

pub(super) fn section(run: &RunRecord, report: &Report, facts: &Facts) -> Markup {
    let metrics = &report.metrics;
    let validation = report.comparable_validation();
    let parts = [&metrics.test, &validation, &metrics.train];
    let names = ordered(parts.into_iter().flat_map(|scores| scores.iter().map(|(name, _)| name)));
    let baseline = run.predictions.as_ref().and_then(|predictions| predictions.baseline.as_ref());
    let published = (!metrics.published.is_empty()).then_some(&metrics.published);
    let before = baseline.map(|baseline| ("Simple method", &baseline.metrics));
    let others = before.into_iter().chain(published.map(|scores| ("Before training", scores)));
    // Classical learners have none.
    let on_validation = (!validation.is_empty()).then_some(("Validation", &validation));
    let others = others.chain(on_validation).chain([("Training", &metrics.train)]);
    let others: Vec<(&str, &Scores)> = others.collect();
    let columns: Vec<&str> =
        ["Test", "95 % interval"].into_iter().chain(others.iter().map(|(name, _)| *name)).collect();
    let mut table = Table { class: "metrics", ..Table::new("Metrics", "Metric", &columns) };
    for name in names {
        let known = meaning(name);
        let interval = match metrics.test_intervals.get(name) {
            Some([low, high]) => html! { (number(low)) " to " (number(high)) },
            None => nothing(),
        };
        let cells = [cell(&metrics.test, name), interval].into_iter();
        let cells = cells.chain(others.iter().map(|(_, scores)| cell(scores, name))).collect();
        let (id, main) = (Some(format!("test-{name}")), facts.main == Some(name));
        table.row(Row { id, main, ..Row::new(known.title, cells, known.sentence) });
    }
    html! {
        p {
            "Numbers are on the test " (facts.many) ", which the " (facts.learner) " never saw while it learned. The interval says how sure the \
             number is: if other " (facts.many) " of the same kind were drawn for the test, it would hold the true value in 95 of 100 \
             cases. "
            @if let Some(baseline) = baseline {
                "The simple method looks at nothing: it " (clean(&baseline.method)) ". What is not much better than it was not worth training."
            }
        }
        @if metrics.test.is_empty() { p class="warning" { "There are no test rows, so that nothing is known about new ones." } }
        (table.shown())
        @if !validation.is_empty() { p { (of_validation(report, facts)) } }
        (simpler(report, baseline, facts))
        @if let Some(repeats) = &report.repeats { (repeated(repeats, facts)) }
        @if let (Some(positive), Some(_)) = (&report.positive, metrics.test.get("sensitivity")) {
            p { "Sensitivity, specificity and F1 take '" (clean(positive)) "' as the positive class." }
        }
    }
}

/// How the numbers on validation rows are to be held against the others.
fn of_validation(report: &Report, facts: &Facts) -> String {
    let many = facts.many;
    let mut told = format!(
        "The column of the validation says what trainings reached that had not learned from these {many}, at the epoch that was chosen."
    );
    if report.calibrated_validation().is_some() {
        told += " Its log loss, Brier score and calibration error are those after a calibration by the other four fifths of these ";
        told += many;
        told += ", since those of the test and of training are after calibration, too.";
    }
    let isotonic = report.calibration.as_ref().is_some_and(|found| found.method == "isotonic");
    if report.costs.is_some() || isotonic {
        let learner = facts.learner;
        let by = if report.costs.is_some() { "costs" } else { "calibrated probabilities" };
        told += &format!(
            " Its other numbers are of the most probable class by the {learner} alone, while on the test and in training classes are \
             decided by {by}: these cannot be held against each other."
        );
    }
    told
}

/// What other ways that need no network reach, beside the one in the table of all metrics.
fn simpler(report: &Report, told: Option<&Baseline>, facts: &Facts) -> Markup {
    let others: Vec<&Baseline> =
        report.baselines.iter().filter(|other| told.is_none_or(|told| told.method != other.method)).collect();
    let Some((name, value)) = facts.main.and_then(|name| Some((name, report.metrics.test.get(name)?))) else {
        return html! {};
    };
    html! {
        @if !others.is_empty() {
            h3 { "Other ways without a network" }
            ul {
                @for other in others {
                    li {
                        (clean(&other.method)) ": " (meaning(name).title) " " (cell(&other.metrics, name)) " (this " (facts.learner) ": " (number(value)) ")"
                    }
                }
            }
        }
    }
}

/// What the same reached with other splits.
fn repeated(found: &RepeatsReport, facts: &Facts) -> Markup {
    let mut table = Table::new("Other splits", "Metric", &["Mean", "Deviation", "95 % interval of the mean"]);
    for name in ordered(found.metrics.keys().map(String::as_str)) {
        let (known, of) = (meaning(name), &found.metrics[name]);
        let interval = html! { (number(of.interval[0])) " to " (number(of.interval[1])) };
        let row = Row::new(known.title, vec![number(of.mean), number(of.deviation), interval], known.sentence);
        table.row(Row { main: facts.main == Some(name), ..row });
    }
    html! {
        h3 { "With other splits" }
        p {
            "The same was done " (found.runs) " times, each time with other " (facts.many) " for the test, so that no number hangs on one \
             lucky split. The deviation says how much a single split is off; the interval knows that the splits share " (facts.many) "."
        }
        (table.shown())
    }
}
