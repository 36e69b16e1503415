//! What was found in the data.

use deepfit_train::text::{Style, words};
use deepfit_train::{Finding, Severity};

/// Rows that are named with a finding; `result.json` and the report have more.
const ROWS: usize = 5;

/// A finding in a line.
pub fn found(finding: &Finding) -> String {
    format!("{}: {}; {}", finding.kind.title(), finding.what, finding.advice)
}

/// All findings, with the first of the rows that they rest on; nothing if there are none.
pub fn all(findings: &[Finding], style: Style) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}\n", style.bold("Found in the data"));
    for finding in findings {
        let line = words::printable(&found(finding));
        let line = if finding.severity == Severity::Warning { style.yellow(&line) } else { line };
        text.push_str(&format!("  {line}\n"));
        let lines = finding.evidence.lines();
        for line in lines.iter().take(ROWS) {
            text.push_str(&format!("    {}\n", words::printable(line)));
        }
        if lines.len() > ROWS {
            let more = format!("and {} more in result.json", lines.len() - ROWS);
            text.push_str(&format!("    {}\n", style.dim(&more)));
        }
    }
    text
}
