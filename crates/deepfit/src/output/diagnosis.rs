//! A diagnosis while it runs, and what it has found.

use deepfit_train::text::{Style, Table, words};
use deepfit_train::{Diagnosis, Event, Flow, Observer};

use super::progress::Progress;
use crate::interrupt::Interrupt;

/// Shows a diagnosis while it runs.
pub struct Watch<'a> {
    progress: Progress<'a>,
}

impl<'a> Watch<'a> {
    /// Shows nothing if `quiet`.
    pub fn new(quiet: bool, interrupt: &'a Interrupt) -> Watch<'a> {
        Watch { progress: Progress::new(quiet, interrupt) }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.progress.finish();
    }
}

impl Observer for Watch<'_> {
    fn event(&mut self, event: &Event<'_>) -> Flow {
        match event {
            Event::Stage { number, purpose, .. } => {
                self.progress.say(&Style::stderr().dim(&format!("training {number}: {purpose}")));
            }
            other => return self.progress.event(other),
        }
        if self.progress.is_stopped() { Flow::Stop } else { Flow::Continue }
    }
}

/// What was found.
pub fn text(found: &Diagnosis, style: Style) -> String {
    let mut text = String::new();
    if let Some(curve) = &found.curve {
        text.push_str(&format!("{}\n", style.bold("More data")));
        let mut table = Table::new(1, &[&found.unit, &curve.metric, "standard error", "trainings"]);
        for point in &curve.points {
            table.row(vec![
                words::count(point.rows as u64),
                words::number(point.mean),
                words::number(point.error),
                point.values.len().to_string(),
            ]);
        }
        text.push_str(&table.render(style));
        curve.sentences.iter().for_each(|line| text.push_str(&format!("  {}\n", words::printable(line))));
    }
    if let Some(labels) = &found.label_errors {
        text.push_str(&format!("\n{}\n  {}\n", style.bold("Labels"), words::printable(&labels.sentence)));
        if !labels.worst.is_empty() {
            let mut table = Table::new(4, &["row", "part", "label", "probably", "its probability"]);
            for one in &labels.worst {
                let cells = [&one.row, &one.part, &one.label, &one.suggested].map(|cell| words::printable(cell));
                table.row(cells.into_iter().chain([words::number(f64::from(one.probability))]).collect());
            }
            text.push_str(&table.render(style));
            let file = words::printable(&labels.file.display().to_string());
            text.push_str(&format!("  {}\n", style.dim(&format!("all of them: {file}"))));
        }
    }
    if let Some(control) = &found.control {
        let sentence = words::printable(&control.sentence);
        let sentence = if control.falls_to_chance { sentence } else { style.yellow(&sentence) };
        text.push_str(&format!("\n{}\n  {sentence}\n", style.bold("Shuffled labels")));
    }
    if !found.notes.is_empty() {
        text.push_str(&format!("\n{}\n", style.bold("Left out")));
        found.notes.iter().for_each(|note| text.push_str(&format!("  {}\n", style.yellow(&words::printable(note)))));
    }
    let took = format!("{}, {}", words::plural(found.trainings as u64, "training"), words::duration(found.seconds));
    text.push_str(&format!("\n  {}\n", style.dim(&took)));
    text
}
