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
use crate::plot::{Axis, Bars, Chart, Plot};
use crate::plots;

/// Plots that are shown side by side.
const SHOWN: [&str; 8] =
    ["learning-curve", "validation", "confusion", "classes", "labels", "predicted", "reliability", "roc"];

/// The page of several runs.
pub fn compared(runs: &[RunRecord]) -> String {
    let names: Vec<String> = runs.iter().map(|run| run.root.display().to_string()).collect();
    let mut drawn: Vec<Vec<Plot>> = runs.iter().map(plots::of_run).collect();
    SHOWN.iter().for_each(|name| on_one_scale(&mut drawn, name));
    let side_by_side = html! {
        @for name in SHOWN {
            @if drawn.iter().any(|plots| plots.iter().any(|plot| plot.name == name)) {
                div class="sides" {
                    @for (at, plots) in drawn.iter().enumerate() {
                        @if let Some(plot) = plots.iter().find(|plot| plot.name == name) {
                            @let titled = Plot { title: format!("{}: {}", names[at], plot.title), ..plot.clone() };
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
        Section {
            id: "plots",
            title: "Plots side by side",
            body: html! {
                p { "Plots that measure the same have the same axes, from the least to the largest value of all runs." }
                (side_by_side)
            },
        },
    ];
    let header = html! {
        h1 { (runs.len()) " runs side by side" }
        ol { @for name in &names { li { code { (clean(name)) } } } }
        @if let Some(warning) = different(runs) { p class="warning" { (warning) } }
    };
    shell(&format!("{} runs side by side", runs.len()), header, &sections)
}

/// Gives plots of a name that measure the same the same axes.
fn on_one_scale(drawn: &mut [Vec<Plot>], name: &str) {
    let mut same: Vec<&mut Chart> =
        drawn.iter_mut().flatten().filter(|plot| plot.name == name).map(|plot| &mut plot.chart).collect();
    for at in 0..same.len() {
        let (first, rest) = same.split_at_mut(at + 1);
        let Some(own) = first.last_mut() else { continue };
        for other in rest {
            match (&mut **own, &mut **other) {
                (Chart::Xy(one), Chart::Xy(other)) => {
                    share(&mut one.x, &mut other.x);
                    share(&mut one.y, &mut other.y);
                }
                (Chart::Bars(one), Chart::Bars(other)) if one.label == other.label => {
                    let longest = |bars: &Bars| bars.bars.iter().map(|(_, value)| *value).fold(bars.most, f64::max);
                    one.most = longest(one).max(longest(other));
                    other.most = one.most;
                }
                _ => {}
            }
        }
    }
}

/// Makes both axes hold the values of both, if they measure the same.
fn share(one: &mut Axis, other: &mut Axis) {
    if one.label == other.label && one.logarithmic == other.logarithmic {
        one.range = [one.range[0].min(other.range[0]), one.range[1].max(other.range[1])];
        other.range = one.range;
    }
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
        (
            "Size of the model",
            &|run| if run.model_bytes > 0 { words::bytes(run.model_bytes) } else { "–".to_string() },
            "What has to be kept, or sent, to use it.",
        ),
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
        p { "Numbers are on test rows, with 95 % intervals below them. A star (★) marks the run that is best in its line, the largest number or, of errors, the \
             smallest; where intervals overlap, the difference may be chance. Equal numbers all have one." }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::{Data, Xy};

    fn plot(x: Axis, y: Axis) -> Plot {
        let words = String::new;
        let chart = Chart::Xy(Xy { x, y, series: Vec::new() });
        Plot { name: "roc", title: words(), reading: words(), finding: words(), chart, table: Data::default() }
    }

    #[test]
    fn plots_that_measure_the_same_have_the_same_axes() {
        let mut drawn = vec![
            vec![plot(Axis::fixed("epoch", 1.0, 5.0), Axis::fixed("loss", 0.0, 2.0))],
            vec![plot(Axis::fixed("epoch", 0.0, 3.0), Axis::fixed("other", 0.0, 9.0))],
            vec![plot(Axis::fixed("epoch", 2.0, 8.0), Axis::fixed("loss", -1.0, 1.0))],
        ];
        on_one_scale(&mut drawn, "roc");
        let ranges = drawn.iter().map(|plots| match &plots[0].chart {
            Chart::Xy(xy) => (xy.x.range, xy.y.range),
            other => panic!("{other:?}"),
        });
        assert_eq!(
            ranges.collect::<Vec<_>>(),
            [([0.0, 8.0], [-1.0, 2.0]), ([0.0, 8.0], [0.0, 9.0]), ([0.0, 8.0], [-1.0, 2.0])]
        );
    }
}
