//! What `deepfit diagnose` has found about a run.

use deepfit_train::Diagnosis;
use deepfit_train::text::words;
use maud::{Markup, html};

use super::figure::{figure, table};
use crate::clean::clean;
use crate::plot::Data;
use crate::plots;

pub(super) fn section(found: &Diagnosis) -> Markup {
    html! {
        @if let Some(plot) = plots::sizes(found) { div class="figures" { (figure(&plot, plot.name)) } }
        @if let Some(labels) = &found.label_errors {
            h3 { "Labels that may be wrong" }
            p { "Each row was predicted by a network that had not learned from it. " (clean(&labels.sentence)) "." }
            @if !labels.worst.is_empty() {
                (table(&suspected(found), "Labels that may be wrong"))
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
fn suspected(found: &Diagnosis) -> Data {
    let mut table = Data::new(&["row or file", "part", "label", "probably", "probability of that"]);
    for one in found.label_errors.iter().flat_map(|labels| &labels.worst) {
        let cells = [&one.row, &one.part, &one.label, &one.suggested].map(String::clone);
        table.row(cells.into_iter().chain([words::number(f64::from(one.probability))]).collect());
    }
    table
}
