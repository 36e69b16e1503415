//! Time, memory and size.

use deepfit_train::text::words;
use deepfit_train::{Report, RunRecord};
use maud::{Markup, html};

use super::table::{Row, Table};

pub(super) fn section(run: &RunRecord, report: &Report) -> Markup {
    let size = if run.model_bytes > 0 { words::bytes(run.model_bytes) } else { "–".to_string() };
    let waited = 100.0 * report.data.waiting();
    let rows: [(&str, String, String); 6] = [
        ("Time in all", words::duration(report.seconds), "From the start of the program to its end.".to_string()),
        (
            "Time of an epoch",
            words::duration(report.seconds_per_epoch),
            format!("One pass over the training rows, on average; {} had been planned.", words::duration(report.planned_seconds_per_epoch)),
        ),
        ("Waiting for data", format!("{waited:.1} %"), "Share of the training time in which the network had nothing to compute.".to_string()),
        (
            "Memory",
            words::bytes(report.peak_memory_bytes),
            format!("The most that the program occupied; {} had been planned.", words::bytes(report.planned_memory_bytes)),
        ),
        ("Size of the model", size, "What has to be kept, or sent, to use it.".to_string()),
        (
            "Trained numbers",
            words::count(report.parameters as u64),
            "Weights that training has set, of which the model is made (beside those that were published, if there are).".to_string(),
        ),
    ];
    let mut table = Table::new("Cost", "What", &["How much"]);
    for (what, value, sentence) in rows {
        table.row(Row::new(what, vec![html! { (value) }], sentence));
    }
    html! {
        (table.shown())
        @if report.resumed_at_step.is_some() {
            p { "The run was interrupted and went on; time and memory are those of the process that ended it." }
        }
    }
}
