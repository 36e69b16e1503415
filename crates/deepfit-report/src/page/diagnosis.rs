//! What `deepfit diagnose` has found about a run.

use deepfit_train::Diagnosis;
use maud::{Markup, html};

use super::figure::figure;
use super::metrics::number;
use super::table::{Row, Table};
use crate::clean::clean;
use crate::plots;

pub(super) fn section(found: &Diagnosis) -> Markup {
    html! {
        @if let Some(plot) = plots::sizes(found) { div class="figures" { (figure(&plot, plot.name)) } }
        @if let Some(labels) = &found.label_errors {
            h3 { "Labels that may be wrong" }
            p { "Each row was predicted by a network that had not learned from it. " (clean(&labels.sentence)) "." }
            @if !labels.worst.is_empty() {
                (suspected(found).shown())
                p { "All of them: " code { (clean(&labels.file.display().to_string())) } }
            }
        }
        @if let Some(control) = &found.control {
            h3 { "Shuffled labels" }
            p { (clean(&control.sentence)) "." }
        }
        @if !found.notes.is_empty() { ul { @for note in &found.notes { li { (clean(note)) } } } }
    }
}

/// The most suspicious labels.
fn suspected(found: &Diagnosis) -> Table {
    let columns = ["part", "label", "probably", "probability of that"];
    let mut table = Table::new("Labels that may be wrong", "row or file", &columns);
    for one in found.label_errors.iter().flat_map(|labels| &labels.worst) {
        let words = [&one.part, &one.label, &one.suggested].map(|word| html! { (clean(word)) });
        let cells = words.into_iter().chain([number(f64::from(one.probability))]).collect();
        table.row(Row::new(one.row.as_str(), cells, ""));
    }
    table
}
