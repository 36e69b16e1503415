//! Layers, memory and passes of a network.

use std::fmt;

use super::{Inspection, tree};
use crate::text::{Style, Table, words};

/// Characters of a line where nobody says how many there are.
const WIDTH: usize = 100;

impl Inspection {
    /// The whole inspection in lines of at most `width` characters, where names allow.
    pub fn text(&self, width: usize, style: Style) -> String {
        let mut text = format!("{}\n", style.bold(&words::printable(&self.title)));
        for line in &self.data {
            let items: Vec<String> = line.split(", ").map(words::printable).collect();
            for part in words::wrapped(&items, width.saturating_sub(2)) {
                text.push_str(&format!("  {part}\n"));
            }
        }
        text.push_str(&format!("\n{}\n{}", style.bold("Network"), tree::drawing(self, width, style)));
        if !self.memory.is_empty() {
            text.push_str(&memory(self, style));
        }
        if !self.passes.is_empty() {
            text.push_str(&passes(self, style));
        }
        text
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(WIDTH, Style::PLAIN))
    }
}

fn memory(inspection: &Inspection, style: Style) -> String {
    let mut table = Table::new(1, &["part", "bytes"]);
    // What takes nothing is not told.
    for (part, size) in inspection.memory.iter().filter(|(_, size)| *size > 0) {
        table.row(vec![part.clone(), words::bytes(*size)]);
    }
    table.row(vec!["all".to_string(), words::bytes(inspection.memory.iter().map(|(_, size)| size).sum())]);
    format!(
        "\n{}\n{}",
        style.bold(&format!("Memory for {} a batch", words::plural(inspection.batch as u64, "row"))),
        table.render(style)
    )
}

fn passes(inspection: &Inspection, style: Style) -> String {
    let mut table = Table::new(1, &["pass", "nodes", "after", "bytes", "after", "operations", "after"]);
    let mut graph = "";
    for pass in &inspection.passes {
        // A column of its own would make the lines too long for many a terminal.
        if pass.graph != graph {
            graph = &pass.graph;
            table.row(vec![graph.to_string()]);
        }
        table.row(vec![
            format!("  {}", pass.pass),
            words::count(pass.nodes.0 as u64),
            words::count(pass.nodes.1 as u64),
            words::bytes(pass.bytes.0),
            words::bytes(pass.bytes.1),
            words::operations(pass.operations.0),
            words::operations(pass.operations.1),
        ]);
    }
    format!("\n{}\n{}", style.bold("Passes"), table.render(style))
}
