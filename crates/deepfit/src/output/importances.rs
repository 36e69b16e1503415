//! How much a classical model goes by each of its features.

use deepfit_train::text::{Style, Table, words};
use serde_json::{Value, json};

/// Most features that are shown.
const MOST: usize = 30;

/// As a table, the most important features first.
pub fn text(model: &str, importances: &[(String, f64)], style: Style) -> String {
    let all: f64 = importances.iter().map(|(_, weight)| weight).sum();
    let mut table = Table::new(1, &["feature", "importance", "share"]);
    for (name, weight) in importances.iter().take(MOST) {
        let share = if all > 0.0 { format!("{:.1} %", 100.0 * weight / all) } else { "-".to_string() };
        table.row(vec![name.clone(), words::number(*weight), share]);
    }
    let mut text = format!("{} of {}\n{}", style.bold("Importances"), words::printable(model), table.render(style));
    if importances.len() > MOST {
        let more = words::plural((importances.len() - MOST) as u64, "feature");
        text.push_str(&format!("  {}\n", style.dim(&format!("and {more} more; --json lists all"))));
    }
    let what =
        "of a linear model the size of a standardised feature's weight, of trees how much its splits lowered the loss";
    text + &format!("  {}\n", style.dim(what))
}

/// As JSON: an array of one, as other explanations are arrays.
pub fn json(model: &str, importances: &[(String, f64)]) -> Value {
    let one = |(feature, importance): &(String, f64)| json!({ "feature": feature, "importance": importance });
    json!([{ "method": "importances", "model": model, "importances": importances.iter().map(one).collect::<Vec<_>>() }])
}
