//! Time, memory and size.

use deepfit_train::text::words;
use deepfit_train::{Report, RunRecord};
use maud::{Markup, html};

use super::table::{Row, Table};

pub(super) fn section(run: &RunRecord, report: &Report) -> Markup {
    let waited = 100.0 * report.data.waiting();
    // What was not planned, or cannot be told, is left out.
    let planned = |is: bool, what: String| if is { format!("; {what} had been planned.") } else { ".".to_string() };
    let trained = report.seconds_per_epoch > 0.0;
    let rows = [
        Some(("Time in all", words::duration(report.seconds), "From the start of the program to its end.".to_string())),
        trained.then(|| {
            let expected = report.planned_seconds_per_epoch;
            let told = planned(expected > 0.0, words::duration(expected));
            ("Time of an epoch", words::duration(report.seconds_per_epoch), format!("One pass over the training rows, on average{told}"))
        }),
        (report.data.training > 0.0).then(|| {
            let told = "Share of the training time in which the network had nothing to compute.";
            ("Waiting for data", format!("{waited:.1} %"), told.to_string())
        }),
        (report.peak_memory_bytes > 0).then(|| {
            let told = planned(trained && report.planned_memory_bytes > 0, words::bytes(report.planned_memory_bytes));
            ("Memory", words::bytes(report.peak_memory_bytes), format!("The most that the program occupied{told}"))
        }),
        (run.model_bytes > 0).then(|| {
            ("Size of the model", words::bytes(run.model_bytes), "What has to be kept, or sent, to use it.".to_string())
        }),
        (report.parameters > 0).then(|| {
            let told = "Weights that training has set, of which the model is made (beside those that were published, if there are).";
            ("Trained numbers", words::count(report.parameters as u64), told.to_string())
        }),
    ];
    let mut table = Table::new("Cost", "What", &["How much"]);
    for (what, value, sentence) in rows.into_iter().flatten() {
        table.row(Row::new(what, vec![html! { (value) }], sentence));
    }
    html! {
        (table.shown())
        @if report.resumed_at_step.is_some() {
            p { "The run was interrupted and went on; time and memory are those of the process that ended it." }
        }
    }
}
