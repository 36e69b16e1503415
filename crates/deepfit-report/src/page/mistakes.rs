//! The worst mistakes: what the rows are, what was said, and why.

use deepfit_data::{RowId, Sample, Task};
use deepfit_train::text::words;
use deepfit_train::{Mistake, Report, RunRecord};
use maud::{Markup, html};

use super::facts::Facts;
use crate::clean::clean;

/// Cells of a row that are shown at once.
const CELLS: usize = 8;
/// Most cells of a row in the page, and letters of one.
const MOST_CELLS: usize = 150;
const MOST_LETTERS: usize = 160;
/// Words around a wrong one.
const AROUND: usize = 6;

pub(super) fn section(run: &RunRecord, report: &Report, facts: &Facts) -> Markup {
    let Some(predictions) = &run.predictions else {
        return html! { p { "Single mistakes are not kept in this run folder: `deepfit train` writes them when a run ends." } };
    };
    let title = match &report.task[..] {
        _ if predictions.worst.is_empty() => "Mistakes",
        "next_token" => "Text that is foreseen worst",
        "regression" => "Predictions that are furthest off",
        _ => "The worst mistakes",
    };
    html! {
        h3 { (title) }
        @if predictions.measured == 0 {
            p { "There are no test " (facts.many) ", so that no mistakes are known." }
        } @else if predictions.worst.is_empty() {
            p { "There is no mistake among the " (words::count(predictions.measured as u64)) " test " (facts.many) "." }
        } @else {
            p { (order(&report.task, facts)) }
            ul class="cards" {
                @for mistake in &predictions.worst { li { (card(run, report, facts, mistake)) } }
            }
        }
    }
}

fn order(task: &str, facts: &Facts) -> String {
    let told = match task {
        "classification" => {
            return format!(
                "Those come first in which the truth got least probability: where the {} was sure and wrong. Look whether the truth \
                 is right there; mistakes in the data often end up in this list.",
                facts.learner
            );
        }
        "multi_label" => "Those come first whose labels got least probability, or whose wrong labels got most.",
        "regression" => {
            "Those come first whose prediction is furthest from the truth. Look whether the truth is right there."
        }
        "labels" => "Those sentences come first whose labels got least probability.",
        "next_token" => "Those windows of the text come first whose tokens got least probability.",
        _ => "Those come first whose order is furthest from what it should be.",
    };
    told.to_string()
}

/// The name of a row.
pub(super) fn name(id: &RowId, facts: &Facts) -> String {
    match id {
        RowId::Row(row) => format!("{} {row}", facts.one),
        RowId::Path(path) => path.clone(),
    }
}

fn card(run: &RunRecord, report: &Report, facts: &Facts, mistake: &Mistake) -> Markup {
    let id = mistake.file.clone().unwrap_or_else(|| name(&mistake.id, facts));
    let sentence = sentence(run, report, mistake);
    html! {
        article {
            h4 { (clean(&id)) }
            @if let Some(sample) = &mistake.sample { (shown(sample, &sentence, run, report, mistake)) }
            p { (clean(&sentence)) }
            @if let Some(why) = why(report, mistake) { p class="why" { (clean(&why)) } }
        }
    }
}

/// What a row is.
fn shown(sample: &Sample, sentence: &str, run: &RunRecord, report: &Report, mistake: &Mistake) -> Markup {
    match sample {
        Sample::Picture { width, height, media, base64 } => html! {
            img class=[(*width.max(height) <= 64).then_some("pixels")] width=(width) height=(height) alt=(clean(sentence))
                src={ "data:" (media) ";base64," (base64) };
        },
        Sample::Cells { cells } => html! {
            (cells_shown(&cells[..cells.len().min(CELLS)]))
            @if cells.len() > CELLS {
                details {
                    summary { (more(cells.len())) span class="hidden" { " of " (clean(sentence)) } }
                    (cells_shown(&cells[CELLS..cells.len().min(MOST_CELLS)]))
                }
            }
        },
        Sample::Texts { texts } => html! { @for text in texts { blockquote { (clean(text)) } } },
        Sample::Words { words } => words_shown(words, run, report, mistake),
    }
}

fn more(columns: usize) -> String {
    if columns > MOST_CELLS {
        format!("The first {MOST_CELLS} of {columns} columns")
    } else {
        format!("All {columns} columns")
    }
}

fn cells_shown(cells: &[(String, String)]) -> Markup {
    html! {
        dl class="cells" {
            @for (column, cell) in cells {
                div { dt { (clean(column)) } dd {
                    @if cell.trim().is_empty() { span class="nothing" { "missing" } } @else { (clean(&words::shortened(cell, MOST_LETTERS))) }
                } }
            }
        }
    }
}

/// Words around those that were labelled wrongly, each with what it is and what was said.
fn words_shown(words: &[String], run: &RunRecord, report: &Report, mistake: &Mistake) -> Markup {
    let names: &[String] = match &run.task {
        Some(Task::Labels { labels, .. }) => labels,
        _ => &report.classes,
    };
    let tag = |values: &[f32], at: usize| {
        let tag = values.get(at).map_or(0, |tag| *tag as usize);
        names.get(tag).cloned().unwrap_or_else(|| tag.to_string())
    };
    let wrong = |at: usize| mistake.predicted.get(at) != mistake.truths.get(at);
    let near = |at: usize| (at.saturating_sub(AROUND)..=at + AROUND).any(|other| other < words.len() && wrong(other));
    html! {
        p class="words" {
            @for (at, word) in words.iter().enumerate().filter(|(at, _)| near(*at)) {
                @if wrong(at) {
                    mark {
                        (clean(word)) " "
                        small { (clean(&tag(&mistake.truths, at))) ", said " (clean(&tag(&mistake.predicted, at))) }
                    } " "
                } @else { (clean(word)) " " }
            }
        }
    }
}

fn percent(p: f32) -> String {
    match p {
        p if p < 0.001 => "under 0.1 %".to_string(),
        p if p > 0.999 => "over 99.9 %".to_string(),
        p => format!("{:.1} %", 100.0 * p),
    }
}

/// What was said, and what is true.
fn sentence(run: &RunRecord, report: &Report, mistake: &Mistake) -> String {
    let name = |at: usize| report.classes.get(at).cloned().unwrap_or_else(|| at.to_string());
    let (predicted, truths) = (&mistake.predicted, &mistake.truths);
    let (first, truth) = (predicted.first().copied().unwrap_or(0.0), truths.first().copied().unwrap_or(0.0));
    match &report.task[..] {
        "classification" => {
            let best = (1..predicted.len()).fold(0, |best, at| if predicted[at] > predicted[best] { at } else { best });
            let own = predicted.get(truth as usize).copied().unwrap_or(0.0);
            format!(
                "It is '{}'. The network says '{}' ({}), and gives the truth {}.",
                name(truth as usize),
                name(best),
                percent(predicted.get(best).copied().unwrap_or(0.0)),
                percent(own)
            )
        }
        "multi_label" => {
            let list = |what: &dyn Fn(usize) -> bool| {
                let found: Vec<String> = (0..predicted.len())
                    .filter(|&at| what(at))
                    .map(|at| format!("'{}' ({})", name(at), percent(predicted[at])))
                    .collect();
                if found.is_empty() { "nothing".to_string() } else { found.join(", ") }
            };
            let is = |at: usize| truths.get(at).is_some_and(|truth| *truth >= 0.5);
            let missed = list(&|at| is(at) && predicted[at] < 0.5);
            let added = list(&|at| !is(at) && predicted[at] >= 0.5);
            format!("Missed: {missed}. Said, though it is not there: {added}.")
        }
        "regression" => {
            let target = run.columns.as_ref().map_or("value", |(_, target)| &target[..]);
            format!(
                "The true {target} is {}, and {} was predicted: off by {}.",
                words::number(f64::from(truth)),
                words::number(f64::from(first)),
                words::number(mistake.loss)
            )
        }
        "labels" => {
            let wrong = predicted.iter().zip(truths).filter(|(p, t)| p != t).count();
            let words = words::plural(predicted.len() as u64, "word");
            format!("{wrong} of {words} have another label than they should.")
        }
        "next_token" => format!(
            "The mean loss of its tokens (words, or pieces of them) is {}: how little probability each of them got.",
            words::number(mistake.loss)
        ),
        "similarity" if report.metrics.test.get("mrr").is_some() => {
            format!(
                "{} texts are nearer to the first than its partner, or as near.",
                words::count((first as u64).saturating_sub(1))
            )
        }
        _ => format!(
            "Their score is {}, and the cosine of what the network makes of both {} (1: the same to the network, 0: nothing in common).",
            words::number(f64::from(truth)),
            words::number(f64::from(first))
        ),
    }
}

/// What may be the reason, as far as the numbers tell.
fn why(report: &Report, mistake: &Mistake) -> Option<String> {
    match &report.task[..] {
        "classification" => {
            let counts = report.confusion.as_ref()?;
            let truth = *mistake.truths.first()? as usize;
            let predicted = &mistake.predicted;
            let best = (1..predicted.len()).fold(0, |best, at| if predicted[at] > predicted[best] { at } else { best });
            let (same, all) = (*counts.get(truth)?.get(best)?, counts.get(truth)?.iter().sum::<u64>());
            let (of, name) = (words::count(all), report.classes.get(truth)?);
            let often = match same {
                0 | 1 => format!("It is the only one of the {of} of '{name}' that is taken for this class"),
                n => format!("{} of the {of} of '{name}' are taken for this class: both are confused", words::count(n)),
            };
            let second = predicted.get(truth).is_some_and(|own| *own >= 0.25);
            Some(format!("{often}{}.", if second { "; it was close" } else { "" }))
        }
        "regression" => {
            let mean = report.metrics.test.get("mae").filter(|mean| *mean > 0.0)?;
            let (truth, said) = (f64::from(*mistake.truths.first()?), f64::from(*mistake.predicted.first()?));
            let side = if said > truth { "too large" } else { "too small" };
            Some(format!("That is {side}, by {:.1} times the mean distance.", mistake.loss / mean))
        }
        _ => None,
    }
}
