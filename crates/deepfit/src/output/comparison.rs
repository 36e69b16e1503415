//! A comparison while it runs, and what it has found.

use deepfit_train::text::{Style, Table, words};
use deepfit_train::{CompareEvent, CompareObserver, Comparison, Event, Flow, Observer};

use super::progress::Progress;
use super::{say, transferability};
use crate::interrupt::Interrupt;
use crate::program;

/// Shows a comparison while it runs.
pub struct Watch<'a> {
    progress: Progress<'a>,
    quiet: bool,
    title: String,
}

impl<'a> Watch<'a> {
    /// Shows nothing if `quiet`.
    pub fn new(quiet: bool, interrupt: &'a Interrupt) -> Watch<'a> {
        Watch { progress: Progress::new(quiet, interrupt), quiet, title: String::new() }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.progress.finish();
    }
}

impl CompareObserver for Watch<'_> {
    fn event(&mut self, event: &CompareEvent<'_>) -> Flow {
        let style = Style::stderr();
        match event {
            // What is worth knowing about a network, its run tells; here it would hide what is compared.
            CompareEvent::Training(Event::Note(_)) => {}
            CompareEvent::Training(event) => return self.progress.event(event),
            CompareEvent::Begin { data, ways, how } => {
                if !self.quiet {
                    data.iter().for_each(|line| say(&words::printable(line)));
                    say(&format!("{how}, of {}", ways.join(", ")));
                }
            }
            CompareEvent::Way { number, of, title, left } => {
                self.title = (*title).to_string();
                let told = format!("{number} of {of}: {title}  ({} left)", words::duration(*left));
                self.progress.say(&style.dim(&told));
            }
            CompareEvent::Transfer { left } => {
                let told = format!("will the published network help?  ({} left)", words::duration(*left));
                self.progress.say(&style.dim(&told));
            }
            CompareEvent::Part { number, of } => self.progress.doing(&self.title, number - 1, *of),
            CompareEvent::Done(way) => {
                let told = format!(
                    "  {} {} in {}",
                    way.metric,
                    words::number(way.selection_value),
                    words::duration(way.total_seconds)
                );
                self.progress.say(&told);
            }
            CompareEvent::NotRun(one) => {
                self.progress.say(&style.yellow(&words::printable(&format!("  not run: {}", one.why))));
            }
        }
        if self.progress.is_stopped() { Flow::Stop } else { Flow::Continue }
    }
}

/// What was found.
pub fn text(found: &Comparison, style: Style) -> String {
    let metric = &found.metric;
    let mut text = format!("{} {}\n", style.bold("Ways"), found.how);
    let ways = deepfit_report::ways_table(found);
    let header: Vec<&str> = ways.header.iter().map(String::as_str).collect();
    let mut table = Table::new(1, &header);
    for (way, mut cells) in found.ways.iter().zip(ways.rows) {
        let mark = if found.recommended.as_ref() == Some(&way.name) { "* " } else { "  " };
        cells[0].insert_str(0, mark);
        table.row(cells);
    }
    text.push_str(&table.render(style));
    let lines = [
        "p: of a difference at least as large on the test rows, if this way were as good as the recommended"
            .to_string(),
        format!("energy, of all trainings: {}", found.energy),
    ];
    lines.iter().for_each(|line| text.push_str(&format!("  {}\n", style.dim(line))));
    if !found.not_run.is_empty() {
        text.push_str(&format!("\n{}\n", style.bold("Not run")));
        for one in &found.not_run {
            text.push_str(&format!("  {}\n", words::printable(&format!("{}: {}", one.title, one.why))));
        }
    }
    text.push_str(&format!("\n{}\n", style.bold("Recommended")));
    text.push_str(&format!("  {}\n", words::printable(&found.reason)));
    if let Some(transfer) = &found.transfer {
        text.push_str(&transferability::text(transfer, metric, style));
    }
    let of_ways = found.ways.iter().flat_map(|way| way.notes.iter().map(move |note| format!("{}: {note}", way.title)));
    for note in found.notes.iter().cloned().chain(of_ways.filter(|note| !note.contains("validation chose"))) {
        text.push_str(&format!("  {}\n", style.yellow(&words::printable(&note))));
    }
    let how = if found.cached { "known from before" } else { "compared" };
    text.push_str(&format!(
        "  {how} in {} of {}; everything is in {}\n",
        words::duration(found.seconds),
        words::duration(found.budget_seconds),
        words::printable(&found.folder.display().to_string())
    ));
    if !found.next.is_empty() {
        text.push_str(&format!("\n{}\n", style.bold("What next")));
        for step in &found.next {
            let rest = step.strip_prefix("deepfit ").unwrap_or(step);
            text.push_str(&format!("  {} {}\n", program::name(), words::printable(rest)));
        }
    }
    text
}
