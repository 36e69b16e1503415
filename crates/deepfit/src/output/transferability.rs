//! Whether a published network will help, as a comparison found it.

use deepfit_train::Transferability;
use deepfit_train::text::{Style, Table, words};

/// The answer, the probes that decide, what is left to hints, and warnings.
pub fn text(found: &Transferability, metric: &str, style: Style) -> String {
    let mut text = format!("\n{}\n", style.bold("Will transfer help?"));
    let answer = match found.helps {
        Some(true) => "yes, by short probes",
        Some(false) => "no, by short probes",
        None if found.probes.is_empty() => "there was no probe",
        None => "short probes cannot tell",
    };
    let mut line = |told: &str| text.push_str(&format!("  {}\n", words::printable(told)));
    line(answer);
    found.grounds.iter().chain(&found.ways).for_each(|ground| line(ground));
    if !found.probes.is_empty() {
        let named = format!("{metric} of a linear probe");
        let mut table = Table::new(1, &["rows", &named, "natural features", "random features", "no features"]);
        let shown = |value: Option<f64>| value.map_or_else(|| "-".to_string(), words::number);
        for probe in &found.probes {
            let values = [Some(probe.published), probe.natural, probe.random, Some(probe.nothing)];
            let mut row = vec![format!("  {}", probe.rows)];
            row.extend(values.map(shown));
            table.row(row);
        }
        text.push_str(&table.render(style));
    }
    let hints = &found.hints;
    let share = |value: Option<f64>| value.map(|share| format!("{:.1} %", 100.0 * share));
    let number = |value: Option<f64>| value.map(words::number);
    let parts = [
        ("LogME", number(hints.logme)),
        ("H-score", number(hints.h_score)),
        ("LEEP", number(hints.leep)),
        ("Fréchet distance", number(hints.frechet)),
        ("unknown tokens", share(hints.unknown_tokens)),
        ("broken words", share(hints.broken_words)),
        ("of later years", share(hints.later_years)),
    ];
    let shown: Vec<String> = parts.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?))).collect();
    let mut dim = |told: &str| text.push_str(&format!("  {}\n", style.dim(&words::printable(told))));
    if !shown.is_empty() {
        dim(&format!("hints, which decide nothing: {}", shown.join(", ")));
    }
    if let Some(random) = &found.random {
        dim(&format!("random features: {random}"));
    }
    found.left_out.iter().for_each(|what| dim(&format!("left out: {what}")));
    for warning in &found.warnings {
        text.push_str(&format!("  {}\n", style.yellow(&words::printable(warning))));
    }
    text
}
