//! What models would cost, as a table and as JSON.

use deepfit_train::text::{Style, Table, words};
use deepfit_train::{Cost, Description, Settings};
use serde::Serialize;

/// What `plan --json` prints.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// What was found in the data, a line each.
    data: Vec<String>,
    /// Rows for training, validation and test.
    rows: (usize, usize, usize),
    /// `classification`, `regression` and so on.
    task: String,
    /// The model that `train` would take.
    chosen: String,
    /// How its epochs are chosen.
    strategy: String,
    /// All models; the first is the one that is chosen.
    costs: Vec<Cost>,
}

impl Plan {
    pub fn new(description: &Description, costs: Vec<Cost>) -> Plan {
        Plan {
            data: description.data.clone(),
            rows: description.rows,
            task: description.task.clone(),
            chosen: costs.first().map_or(String::new(), |cost| cost.model.clone()),
            strategy: description.strategy.clone(),
            costs,
        }
    }
}

/// The table of all models, and what of it `train` would take.
pub fn text(description: &Description, settings: &Settings, costs: &[Cost], style: Style) -> String {
    let mut text = String::new();
    for line in &description.data {
        text.push_str(&format!("{}\n", words::printable(line)));
    }
    text.push('\n');
    let header = ["model", "", "parameters", "batch", "memory", "an epoch", "epochs", "all stages", "in all"];
    let mut table = Table::new(2, &header);
    for (i, cost) in costs.iter().enumerate() {
        table.row(row(cost, i == 0));
    }
    text.push_str(&table.render(style));
    text.push('\n');
    for cost in costs.iter().filter(|cost| cost.problem.is_some()) {
        let problem = cost.problem.as_deref().unwrap_or_default();
        text.push_str(&format!("  {}: {}\n", cost.model, words::printable(problem)));
    }
    let Some(chosen) = costs.first() else { return text };
    text.push_str(&format!("{} {}\n", style.bold("train takes"), words::printable(&chosen.shape)));
    text.push_str(&format!("            {}: {}\n", description.task, description.strategy));
    let taken = chosen.memory.iter().filter(|(_, bytes)| *bytes > 0);
    let parts: Vec<String> = taken.map(|(what, bytes)| format!("{what}: {}", words::bytes(*bytes))).collect();
    for (i, line) in words::wrapped(&parts, 90).iter().enumerate() {
        let heading = if i == 0 { "memory" } else { "" };
        text.push_str(&format!("{} {line}\n", style.bold(&format!("{heading:<11}"))));
    }
    for note in &chosen.notes {
        text.push_str(&format!("{} {}\n", style.yellow(&format!("{:<11}", "note")), words::printable(note)));
    }
    let limits: Vec<String> =
        [settings.memory.map(words::bytes), settings.time.map(words::duration)].into_iter().flatten().collect();
    if !limits.is_empty() {
        text.push_str(&format!("{} {}\n", style.bold("keeps within"), limits.join(", ")));
    }
    text
}

fn row(cost: &Cost, chosen: bool) -> Vec<String> {
    let mark = if chosen {
        "chosen"
    } else if cost.problem.is_some() {
        "does not fit"
    } else {
        ""
    };
    if cost.problem.is_some() {
        let memory = if cost.memory_bytes > 0 { words::bytes(cost.memory_bytes) } else { String::new() };
        let none = String::new;
        return vec![cost.model.clone(), mark.to_string(), none(), none(), memory, none(), none(), none(), none()];
    }
    let batch = match cost.accumulate {
        1 => cost.batch.to_string(),
        times => format!("{} x {times}", cost.batch),
    };
    let epochs = match cost.epochs {
        epochs if epochs == cost.wanted_epochs => epochs.to_string(),
        epochs => format!("{epochs} of {}", cost.wanted_epochs),
    };
    vec![
        cost.model.clone(),
        mark.to_string(),
        words::count(cost.parameters as u64),
        batch,
        words::bytes(cost.memory_bytes),
        words::about(cost.seconds_per_epoch),
        epochs,
        stages(cost.stages, cost.total_epochs),
        words::about(cost.seconds),
    ]
}

/// How many stages there are, and how many epochs all of them have.
fn stages(count: usize, epochs: u64) -> String {
    format!("{}, {}", words::plural(count as u64, "stage"), words::plural(epochs, "epoch"))
}
