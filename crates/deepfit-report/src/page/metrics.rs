//! All metrics with their intervals, beside a simple method, each with what it means.

use deepfit_train::metrics::Scores;
use deepfit_train::text::words;
use deepfit_train::{Baseline, Report, RunRecord};
use maud::{Markup, html};

use super::facts::Facts;
use crate::clean::clean;
use crate::meaning::{meaning, ordered};

/// A number as it is shown, with its exact value for programs.
pub(super) fn number(value: f64) -> Markup {
    html! { data value=(value) { (words::number(value)) } }
}

fn cell(scores: &Scores, name: &str) -> Markup {
    match scores.get(name) {
        Some(value) => number(value),
        None => html! { span class="nothing" { "–" } },
    }
}

pub(super) fn section(run: &RunRecord, report: &Report, facts: &Facts) -> Markup {
    let metrics = &report.metrics;
    let parts = [&metrics.test, &metrics.validation, &metrics.train];
    let names = ordered(parts.into_iter().flat_map(|scores| scores.iter().map(|(name, _)| name)));
    let baseline = run.predictions.as_ref().and_then(|predictions| predictions.baseline.as_ref());
    let published = !metrics.published.is_empty();
    html! {
        p {
            "Numbers are on the test " (facts.many) ", which the network never saw while it learned. The interval says how sure the \
             number is: if other " (facts.many) " of the same kind were drawn for the test, it would hold the true value in 95 of 100 \
             cases. "
            @if let Some(baseline) = baseline {
                "The simple method looks at nothing: it " (clean(&baseline.method)) ". What is not much better than it was not worth training."
            }
        }
        @if metrics.test.is_empty() { p class="warning" { "There are no test rows, so that nothing is known about new ones." } }
        div class="wide" role="region" tabindex="0" aria-label="Table: metrics" {
            table class="metrics" {
                caption class="hidden" { "Metrics" }
                thead {
                    tr {
                        th scope="col" { "Metric" }
                        th scope="col" { "Test" }
                        th scope="col" { "95 % interval" }
                        @if baseline.is_some() { th scope="col" { "Simple method" } }
                        @if published { th scope="col" { "Before training" } }
                        th scope="col" { "Validation" }
                        th scope="col" { "Training" }
                        th scope="col" class="meaning" { "What it means" }
                    }
                }
                tbody {
                    @for name in names {
                        @let known = meaning(name);
                        tr class=[(facts.main == Some(name)).then_some("main")] {
                            th scope="row" { (known.title) }
                            td id={ "test-" (name) } { (cell(&metrics.test, name)) }
                            td {
                                @match metrics.test_intervals.get(name) {
                                    Some([low, high]) => { (number(low)) " to " (number(high)) },
                                    None => span class="nothing" { "–" },
                                }
                            }
                            @if let Some(baseline) = baseline { td { (cell(&baseline.metrics, name)) } }
                            @if published { td { (cell(&metrics.published, name)) } }
                            td { (cell(&metrics.validation, name)) }
                            td { (cell(&metrics.train, name)) }
                            td class="meaning" { (known.sentence) }
                        }
                    }
                }
            }
        }
        (simpler(report, baseline, facts))
        @if let (Some(positive), Some(_)) = (&report.positive, metrics.test.get("sensitivity")) {
            p { "Sensitivity, specificity and F1 take '" (clean(positive)) "' as the positive class." }
        }
    }
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
                        (clean(&other.method)) ": " (meaning(name).title) " " (cell(&other.metrics, name)) " (this network: " (number(value)) ")"
                    }
                }
            }
        }
    }
}

/// What the calibration error says, in words.
pub(super) fn trust(report: &Report) -> String {
    let test = &report.metrics.test;
    let Some(error) = test.get("ece") else {
        return "A probability is worth something if what it says comes true as often as it says.".to_string();
    };
    let verdict = match error {
        e if e < 0.03 => "so that they can be taken at their word",
        e if e < 0.08 => "so that they should be taken with some care",
        _ => {
            "so that they should not be taken at their word: look at the order that they give, rather than at their values"
        }
    };
    let interval = report.metrics.test_intervals.get("ece");
    let sure = interval.map_or(String::new(), |[low, high]| {
        format!(" (95 % interval {} to {})", words::number(low), words::number(high))
    });
    format!("Stated probabilities are off by {} on average{sure}, {verdict}.", words::number(error))
}
