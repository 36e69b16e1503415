//! The page of a run, section by section, and of several runs side by side.
//!
//! It is one file without scripts that loads nothing. What was read (names of classes, columns and files, texts) is put into
//! it as text by `maud`, which escapes it.

mod compare;
mod cost;
mod diagnosis;
mod facts;
mod figure;
mod findings;
mod groups;
mod looks;
mod metrics;
mod mistakes;
mod next;
mod style;
mod summary;
mod table;
mod trust;

use deepfit_train::text::words;
use deepfit_train::{Diagnosis, Report, RunRecord, State};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::clean::clean;
use crate::deeper::Deeper;
use crate::judgement::Judgement;
use crate::plot::Plot;
use crate::plots;

pub use compare::compared;
use facts::Facts;
use figure::figure;
pub(crate) use style::rules;

/// A part of the page with its heading.
struct Section {
    id: &'static str,
    title: &'static str,
    body: Markup,
}

/// The page of a run; with what was looked at deeper, if it was.
pub fn page(run: &RunRecord, deeper: Option<&Deeper>) -> String {
    let facts = Facts::of(run);
    let mut drawn = plots::of_run(run);
    let mut take = |names: &[&str]| -> Vec<Plot> {
        names.iter().filter_map(|name| Some(drawn.remove(drawn.iter().position(|plot| plot.name == *name)?))).collect()
    };
    let mut sections = Vec::new();
    if let Some(report) = &run.report {
        sections.push(Section {
            id: "how-good",
            title: "How good is it?",
            body: metrics::section(run, report, &facts),
        });
        if let Some(found) = &report.subgroups {
            let body = groups::section(found, &facts);
            sections.push(Section { id: "groups", title: "How good is it for each group?", body });
        }
    }
    let learned = take(&["learning-curve", "validation", "learning-rate"]);
    sections.push(Section { id: "learning", title: "How it learned", body: learning(run, &learned) });
    if let Some(report) = &run.report {
        let wrong = take(&[
            "confusion",
            "classes",
            "labels",
            "predicted",
            "residuals",
            "residuals-by-value",
            "windows",
            "ranks",
            "similarity",
        ]);
        sections.push(Section {
            id: "mistakes",
            title: "Where it is wrong",
            body: html! { (figures(&wrong)) (mistakes::section(run, report, &facts)) },
        });
        let trust = take(&["reliability", "roc", "precision-recall"]);
        let judgement = Judgement::of(run);
        if let Some((title, body)) = trust::section(report, judgement.as_ref(), &facts, &trust) {
            sections.push(Section { id: "trust", title, body });
        }
        sections.push(Section { id: "looks-at", title: "What it looks at", body: looks::section(run, &facts, deeper) });
        if !report.findings.is_empty() {
            let body = findings::section(&report.findings);
            sections.push(Section { id: "findings", title: "What was found in the data", body });
        }
        // A damaged one is told by whoever makes it again.
        if let Ok(Some(found)) = Diagnosis::of_run(&run.root) {
            sections.push(Section { id: "more", title: "What it could gain", body: diagnosis::section(&found) });
        }
        sections.push(Section { id: "cost", title: "What it cost", body: cost::section(run, report) });
        sections.push(Section {
            id: "next",
            title: "What to try next",
            body: next::section(run, report, judgement.as_ref(), &facts, deeper.is_some()),
        });
    }
    sections.push(Section { id: "settings", title: "How it was made", body: settings(run, &facts) });
    let title = format!("{}: what was learnt", facts.name);
    shell(&title, summary::header(run, &facts), &sections)
}

/// The document around sections.
fn shell(title: &str, header: Markup, sections: &[Section]) -> String {
    let style = style::rules();
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content="deepfit";
                title { (clean(title)) }
                // Made here, of nothing that was read.
                style { (PreEscaped(style)) }
            }
            body {
                a class="skip" href="#main" { "Skip to the content" }
                header { (header) }
                nav aria-label="Sections" {
                    ul { @for section in sections { li { a href={ "#" (section.id) } { (section.title) } } } }
                }
                main id="main" {
                    @for section in sections {
                        section aria-labelledby={ (section.id) } {
                            h2 id=(section.id) { (section.title) }
                            (section.body)
                        }
                    }
                }
                footer { p { "Written by deepfit " (env!("CARGO_PKG_VERSION")) ". This file needs no network and holds no scripts." } }
            }
        }
    };
    document.into_string()
}

/// Several figures, side by side where there is space.
fn figures(plots: &[Plot]) -> Markup {
    html! { @if !plots.is_empty() { div class="figures" { @for plot in plots { (figure(plot, plot.name)) } } } }
}

fn learning(run: &RunRecord, plots: &[Plot]) -> Markup {
    let stages = run.epochs.iter().map(|epoch| epoch.stage).max().unwrap_or(0);
    html! {
        @if run.is_classical() {
            p { "A classical learner has no epochs, and no curves." }
        } @else if plots.is_empty() && run.report.is_some() {
            p { "The file that tells of each epoch, metrics.jsonl, is missing, so that there are no curves." }
        } @else if plots.is_empty() {
            p { "No epoch has ended yet, so that there are no curves." }
        }
        @if stages > 1 {
            p {
                "The network was trained " (stages) " times: first to find out, on rows that were held out, how long to train (and, \
                 where there is a choice, how), and then to make the weights that are kept. Thin lines are single trainings."
            }
        }
        @if let Some(report) = run.report.as_ref().filter(|_| !run.is_classical()) {
            p { (chosen(report.best_epoch)) }
        }
        @if let Some(fit) = run.report.as_ref().and_then(|report| report.fit.as_ref()) {
            p { strong { "Does it overfit? " } (clean(&fit.sentence)) "." }
            @if let Some(gap) = &fit.figures { p { "With the network as it is in use, " (clean(&gap.told())) "." } }
            @if !fit.actions.is_empty() {
                p { "What was done about it:" }
                ul { @for told in fit.told() { li { (clean(&told)) } } }
            }
        }
        (figures(plots))
    }
}

fn chosen(best: u32) -> String {
    match best {
        0 => "Training made the published weights no better, so that these are kept as they were.".to_string(),
        1 => "The weights that are kept have seen all training rows once.".to_string(),
        best => format!("The weights that are kept have seen all training rows {best} times."),
    }
}

/// What the rows were for.
fn parts(train: usize, validation: usize, test: usize, run: &RunRecord, facts: &Facts) -> String {
    let (one, many) = (facts.one, facts.many);
    let count = |n: usize| format!("{} {}", words::count(n as u64), if n == 1 { one } else { many });
    let on_test = format!("{} were for the test, by which nothing was decided", count(test));
    let learned = match (facts.folds, validation) {
        (Some(folds), _) => {
            let (all, parts) = (count(train + validation), folds);
            return format!(
                "{all} were for training and validation: they were cut into {parts} parts (folds), each of which was held out of one \
                 training once, so that what was decided by them was decided by {many} that this training had not learned from. \
                 {on_test}."
            );
        }
        (None, 0) if run.is_classical() => {
            format!(
                "{} were for training; what was chosen was chosen by parts of them that were held out in turn",
                count(train)
            )
        }
        (None, 0) => format!("{} were for training, and none for validation", count(train)),
        (None, _) => {
            let again = match run.settings.refit {
                Some(true) => ", before the weights that are kept were trained on both",
                _ => "",
            };
            format!(
                "{} were for training and {} for validation, which means that by them it was decided how long to train{again}",
                count(train),
                count(validation)
            )
        }
    };
    format!("{learned}. {on_test}.")
}

/// Settings, notes and rows.
fn settings(run: &RunRecord, facts: &Facts) -> Markup {
    let text = std::fs::read_to_string(run.root.join("settings.toml")).unwrap_or_default();
    html! {
        @if let Some([train, validation, test]) = run.rows {
            p { (parts(train, validation, test, run, facts)) }
        }
        @let notes: Vec<&String> = run.report.iter().flat_map(Report::other_notes).chain(&run.notes).collect();
        @if !notes.is_empty() {
            h3 { "Worth knowing" }
            ul { @for note in notes { li { (clean(note)) } } }
        }
        details {
            summary { "All settings" }
            pre tabindex="0" { (clean(&text)) }
        }
        @if run.state == State::Finished { p { "The folder of the run: " code { (clean(&run.root.display().to_string())) } } }
    }
}
