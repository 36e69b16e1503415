//! What a run will do and cost, on standard error before its first step.

use deepfit_train::Description;

use super::say;
use deepfit_train::text::{Style, words};

/// Lists are wrapped to about this many characters.
const LINE: usize = 90;

/// Prints the plan.
pub fn print(description: &Description) {
    let style = Style::stderr();
    for (heading, lines) in sections(description) {
        for (i, line) in lines.iter().enumerate() {
            let heading = if i == 0 { heading } else { "" };
            say(&format!("{} {}", style.bold(&format!("{heading:<8}")), words::printable(line)));
        }
    }
    for note in &description.notes {
        say(&format!("{} {}", style.yellow(&format!("{:<8}", "note")), words::printable(note)));
    }
}

fn sections(description: &Description) -> [(&'static str, Vec<String>); 5] {
    let (train, validation, test) = description.rows;
    let rows = [(train, "training"), (validation, "validation"), (test, "test")]
        .map(|(rows, part)| format!("{} {part}", words::count(rows as u64)));
    let mut data = description.data.clone();
    data.push(format!("rows: {}", rows.join(", ")));
    let model = format!("{}, {}", description.model, words::plural(description.parameters as u64, "parameter"));
    // What takes nothing is not told.
    let taken = description.memory.iter().filter(|(_, size)| *size > 0);
    let parts: Vec<String> = taken.map(|(what, size)| format!("{what}: {}", words::bytes(*size))).collect();
    let mut memory = vec![format!("{} planned", words::bytes(description.planned_memory_bytes))];
    memory.extend(words::wrapped(&parts, LINE));
    let features = match description.seconds_features {
        seconds if seconds > 0.0 => format!("{} for features, ", words::about(seconds)),
        _ => String::new(),
    };
    let cost = format!(
        "{features}{} an epoch, {} in all if no stage ends early: {}, {}",
        words::about(description.seconds_per_epoch),
        words::about(description.seconds_total),
        words::plural(description.stages as u64, "stage"),
        words::plural(description.total_epochs, "epoch"),
    );
    let mut run = vec![description.run.display().to_string()];
    if let Some(step) = description.resumed_at_step {
        run.push(format!("resumed at step {}", words::count(step)));
    }
    [
        ("data", data),
        ("model", vec![model, format!("{}: {}", description.task, description.strategy)]),
        ("memory", memory),
        ("time", vec![cost]),
        ("run", run),
    ]
}
