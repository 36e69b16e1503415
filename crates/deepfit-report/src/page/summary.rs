//! What was learnt, how good it is and against what, in a few sentences.

use deepfit_train::metrics::higher_is_better;
use deepfit_train::text::words;
use deepfit_train::{Baseline, Report, RunRecord, State};
use maud::{Markup, html};

use super::facts::Facts;
use super::findings::sentence;
use super::metrics::number;
use crate::clean::clean;
use crate::meaning::meaning;

/// Most names that are listed.
const NAMES: usize = 12;

pub(super) fn header(run: &RunRecord, facts: &Facts) -> Markup {
    html! {
        h1 { (clean(&facts.name)) ": what was learnt" }
        @match (&run.report, run.state) {
            (Some(report), _) => (finished(run, report, facts)),
            (None, State::Running) => {
                p class="warning" {
                    "This run is being trained. The page shows how far it is; make it again once the run has ended."
                }
            }
            (None, _) => {
                p class="warning" {
                    "This run has not ended, so that there is no result yet. To go on: "
                    code { "deepfit train --resume " (clean(&run.root.display().to_string())) }
                }
            }
        }
    }
}

fn finished(run: &RunRecord, report: &Report, facts: &Facts) -> Markup {
    let metrics = &report.metrics;
    let value = facts.main.and_then(|name| Some((name, metrics.test.get(name)?)));
    html! {
        p class="lead" { (learnt(run, report, facts)) }
        @if let Some((name, value)) = value {
            @let known = meaning(name);
            @let baseline = run.predictions.as_ref().and_then(|p| p.baseline.as_ref());
            dl class="tiles" {
                div {
                    dt { (known.title) " on new " (facts.many) }
                    dd class="big" { (number(value)) }
                    dd { (known.sentence) }
                }
                @if let Some([low, high]) = metrics.test_intervals.get(name) {
                    div {
                        dt { "95 % interval" }
                        dd class="big" { (number(low)) " to " (number(high)) }
                        dd { "How far the number may be from the truth, since the test has only so many " (facts.many) "." }
                    }
                }
                @if let Some(other) = baseline.and_then(|baseline| baseline.metrics.get(name)) {
                    div {
                        dt { "A simple method" }
                        dd class="big" { (number(other)) }
                        dd { "What one gets without learning anything from the inputs." }
                    }
                }
            }
            p { (verdict(name, value, metrics.test_intervals.get(name), baseline, facts)) }
            @for other in report.simpler_ways() {
                p class=[(!other.by_chance).then_some("warning")] { (clean(&sentence(&other.told(facts.learner, facts.many)))) }
            }
        }
    }
}

/// What was learned from what.
fn learnt(run: &RunRecord, report: &Report, facts: &Facts) -> String {
    let from = match run.rows {
        Some([train, validation, _]) => {
            // A refit makes the weights that are kept of both.
            let refit = run.settings.refit == Some(true);
            let learned = if refit { train + validation } else { train };
            format!("{} {}", words::count(learned as u64), if learned == 1 { facts.one } else { facts.many })
        }
        None => facts.many.to_string(),
    };
    let names = |names: &[String]| {
        let shown: Vec<String> = names.iter().take(NAMES).map(|name| format!("'{name}'")).collect();
        let more = if names.len() > NAMES { format!(" and {} more", names.len() - NAMES) } else { String::new() };
        shown.join(", ") + &more
    };
    let what = match &report.task[..] {
        "classification" => format!("to tell {} classes apart: {}", report.classes.len(), names(&report.classes)),
        "multi_label" if report.classes.len() == 1 => format!("whether a label applies: {}", names(&report.classes)),
        "multi_label" => format!("which of {} labels apply: {}", report.classes.len(), names(&report.classes)),
        "regression" => match &run.columns {
            Some((columns, target)) => {
                format!("to predict '{target}' from {}", words::plural(columns.len() as u64, "column"))
            }
            None => "to predict a number".to_string(),
        },
        "labels" => {
            let labels: Vec<String> = report.labels.iter().flatten().map(|label| label.label.clone()).collect();
            format!("to find words of {}: {}", words::plural(labels.len() as u64, "label"), names(&labels))
        }
        "next_token" => "what comes next in a text".to_string(),
        "similarity" => "which texts belong together".to_string(),
        other => other.to_string(),
    };
    let sentence = format!(
        "A {} ({}, {}) has learned from {from} {what}.",
        if run.is_classical() { "classical learner" } else { "network" },
        report.model,
        words::plural(report.parameters as u64, "trained number")
    );
    clean(&sentence)
}

/// Whether it was worth it.
fn verdict(name: &str, value: f64, interval: Option<[f64; 2]>, baseline: Option<&Baseline>, facts: &Facts) -> String {
    let Some(other) = baseline.and_then(|baseline| baseline.metrics.get(name)) else { return String::new() };
    let up = higher_is_better(name);
    let better = if up { value > other } else { value < other };
    // The end of the interval that is nearer to what is compared with.
    let sure = interval.map(|[low, high]| if up { low > other } else { high < other });
    let (many, learner) = (facts.many, facts.learner);
    clean(&match (better, sure) {
        (false, _) => format!(
            "That is no better than the simple method: from these {many} the {learner} has learned nothing that helps on new ones. \
             See what to try next."
        ),
        (true, Some(false)) => format!(
            "That is better than the simple method, but the interval holds the simple method's number, too: with so few test {many} \
             the difference may be chance."
        ),
        (true, Some(true)) => "That is better than the simple method by more than chance would explain.".to_string(),
        (true, None) => "That is better than the simple method.".to_string(),
    })
}
