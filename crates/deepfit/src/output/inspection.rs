//! Layers, memory and passes of a network.

use deepfit_train::Inspection;

use super::style::Style;
use super::table::Table;
use super::words;

/// The whole inspection.
pub fn text(inspection: &Inspection, style: Style) -> String {
    let mut text = format!("{}\n", style.bold(&words::printable(&inspection.title)));
    for line in &inspection.data {
        text.push_str(&format!("  {}\n", words::printable(line)));
    }
    text.push_str(&layers(inspection, style));
    if !inspection.memory.is_empty() {
        text.push_str(&memory(inspection, style));
    }
    if !inspection.passes.is_empty() {
        text.push_str(&passes(inspection, style));
    }
    text
}

fn layers(inspection: &Inspection, style: Style) -> String {
    let mut table = Table::new(3, &["layer", "operation", "output", "parameters", "operations an example", "bytes"]);
    for layer in &inspection.layers {
        table.row(vec![
            layer.layer.clone(),
            layer.operation.clone(),
            layer.output.clone(),
            words::count(layer.parameters as u64),
            words::operations(layer.operations),
            words::bytes(layer.bytes),
        ]);
    }
    table.row(vec![
        "all".to_string(),
        String::new(),
        String::new(),
        words::count(inspection.parameters as u64),
        words::operations(inspection.operations),
        words::bytes(inspection.layers.iter().map(|layer| layer.bytes).sum()),
    ]);
    format!("\n{}\n{}", style.bold("Layers"), table.render(style))
}

fn memory(inspection: &Inspection, style: Style) -> String {
    let mut table = Table::new(1, &["part", "bytes"]);
    for (part, size) in &inspection.memory {
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
    let mut table = Table::new(2, &["graph", "pass", "nodes", "after", "bytes", "after", "operations", "after"]);
    for pass in &inspection.passes {
        table.row(vec![
            pass.graph.clone(),
            pass.pass.clone(),
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
