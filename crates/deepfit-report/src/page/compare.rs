//! Several runs side by side.

use deepfit_train::metrics::higher_is_better;
use deepfit_train::text::words;
use deepfit_train::{Report, RunRecord};
use maud::{Markup, html};

use super::facts::Facts;
use super::figure::figure;
use super::metrics::number;
use super::table::{Row, Table, nothing};
use super::{Section, shell};
use crate::clean::clean;
use crate::meaning::{meaning, ordered};
use crate::plots;

/// Plots that are shown side by side.
const SHOWN: [&str; 8] =
    ["learning-curve", "validation", "confusion", "classes", "labels", "predicted", "reliability", "roc"];

/// The page of several runs.
pub fn compared(runs: &[RunRecord]) -> String {
    let names: Vec<String> = runs.iter().map(|run| run.root.display().to_string()).collect();
    let drawn: Vec<Vec<crate::Plot>> = runs.iter().map(plots::of_run).collect();
    let side_by_side = html! {
        @for name in SHOWN {
            @if drawn.iter().any(|plots| plots.iter().any(|plot| plot.name == name)) {
                div class="sides" {
                    @for (at, plots) in drawn.iter().enumerate() {
                        @if let Some(plot) = plots.iter().find(|plot| plot.name == name) {
                            @let titled = crate::Plot { title: format!("{}: {}", names[at], plot.title), ..plot.clone() };
                            (figure(&titled, &format!("run{at}-{name}")))
                        }
                    }
                }
            }
        }
    };
    let sections = [
        Section { id: "numbers", title: "Numbers side by side", body: numbers(runs, &names) },
        Section { id: "settings", title: "What was done differently", body: settings(runs, &names) },
        Section { id: "plots", title: "Plots side by side", body: side_by_side },
    ];
    let header = html! {
        h1 { (runs.len()) " runs side by side" }
        ol { @for name in &names { li { code { (clean(name)) } } } }
        @if let Some(warning) = different(runs) { p class="warning" { (warning) } }
    };
    shell(&format!("{} runs side by side", runs.len()), header, &sections)
}

/// Why numbers may not be comparable.
fn different(runs: &[RunRecord]) -> Option<&'static str> {
    let of = |run: &RunRecord| (run.settings.data.clone(), run.report.as_ref().map(|report| report.task.clone()));
    let first = runs.first().map(of);
    if runs.iter().map(of).any(|one| Some(one) != first) {
        return Some(
            "These runs are of different data or tasks, so that their numbers cannot be held against each other.",
        );
    }
    let tests: Vec<_> = runs.iter().map(|run| run.predictions.as_ref().map(|p| &p.ids)).collect();
    (tests.windows(2).any(|pair| pair[0] != pair[1])).then_some(
        "These runs were measured on different test rows (another seed or split), so that small differences between their numbers may be \
         chance.",
    )
}

/// What a line is of, what stands in it for a run, and what that means.
type Line<'a> = (&'a str, &'a dyn Fn(&RunRecord) -> String, &'a str);

fn numbers(runs: &[RunRecord], names: &[String]) -> Markup {
    let reports: Vec<_> = runs.iter().map(|run| run.report.as_ref()).collect();
    let metrics = ordered(reports.iter().flatten().flat_map(|report| report.metrics.test.iter().map(|(name, _)| name)));
    let best = |name: &str| -> Option<f64> {
        let values = reports.iter().flatten().filter_map(|report| report.metrics.test.get(name));
        if higher_is_better(name) { values.reduce(f64::max) } else { values.reduce(f64::min) }
    };
    let of_report = |run: &RunRecord, of: &dyn Fn(&Report) -> String| run.report.as_ref().map_or("–".to_string(), of);
    let other: [Line<'_>; 6] = [
        (
            "Model",
            &|run| of_report(run, &|report| report.model.clone()),
            "The kind of network; a run without has not ended.",
        ),
        (
            "Trained numbers",
            &|run| of_report(run, &|report| words::count(report.parameters as u64)),
            "Weights that training has set: more can learn more, and need more rows.",
        ),
        (
            "Epochs",
            &|run| of_report(run, &|report| report.best_epoch.to_string()),
            "How often the weights that are kept have seen all training rows.",
        ),
        (
            "Time in all",
            &|run| of_report(run, &|report| words::duration(report.seconds)),
            "From the start of the program to its end.",
        ),
        (
            "Memory",
            &|run| of_report(run, &|report| words::bytes(report.peak_memory_bytes)),
            "The most that the program occupied.",
        ),
        ("Size of the model", &|run| words::bytes(run.model_bytes), "What has to be kept, or sent, to use it."),
    ];
    let main = runs.iter().find_map(|run| Facts::of(run).main);
    let mut table = Table::new("Numbers of all runs", "What", &names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in metrics {
        let known = meaning(name);
        let cell = |report: &Option<&Report>| match report.and_then(|report| report.metrics.test.get(name)) {
            Some(value) => html! {
                (number(value))
                @if best(name) == Some(value) { span aria-label="the best" role="img" { " ★" } }
                @if let Some([low, high]) = report.and_then(|r| r.metrics.test_intervals.get(name)) {
                    br; span class="nothing" { (words::number(low)) " to " (words::number(high)) }
                }
            },
            None => nothing(),
        };
        let row = Row::new(known.title, reports.iter().map(cell).collect(), known.sentence);
        table.row(Row { main: main == Some(name), ..row });
    }
    for (what, of, sentence) in &other {
        table.row(Row::new(*what, runs.iter().map(|run| html! { (clean(&of(run))) }).collect(), *sentence));
    }
    html! {
        p { "Numbers are on test rows, with 95 % intervals below them. The best of each line is marked with ★; where intervals overlap, the difference may be chance." }
        (table.shown())
    }
}

/// Settings that are not the same in all runs.
fn settings(runs: &[RunRecord], names: &[String]) -> Markup {
    let lines = |run: &RunRecord| -> Vec<(String, String)> {
        let text = std::fs::read_to_string(run.root.join("settings.toml")).unwrap_or_default();
        let pair =
            |line: &str| line.split_once('=').map(|(key, value)| (key.trim().to_string(), value.trim().to_string()));
        text.lines().filter_map(pair).filter(|(key, _)| key != "fingerprint" && key != "version").collect()
    };
    let all: Vec<Vec<(String, String)>> = runs.iter().map(lines).collect();
    let mut keys: Vec<&String> = all.iter().flatten().map(|(key, _)| key).collect();
    keys.sort();
    keys.dedup();
    let value = |run: usize, key: &String| all[run].iter().find(|(known, _)| known == key).map(|(_, value)| value);
    keys.retain(|key| (1..all.len()).any(|run| value(run, key) != value(0, key)));
    let mut table =
        Table::new("Settings that differ", "Setting", &names.iter().map(String::as_str).collect::<Vec<_>>());
    for key in &keys {
        let cell = |run: usize| html! { (clean(value(run, key).map_or("–", |value| value))) };
        table.row(Row::new(key.as_str(), (0..runs.len()).map(cell).collect(), ""));
    }
    html! { @if keys.is_empty() { p { "All settings are the same." } } @else { (table.shown()) } }
}
