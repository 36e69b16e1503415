//! What was found in the data.

use deepfit_train::{Finding, Severity};
use maud::{Markup, html};

use crate::clean::clean;

/// Rows that are shown at once.
const ROWS: usize = 20;

pub(super) fn section(findings: &[Finding]) -> Markup {
    html! {
        p {
            "Before training, the data was looked at for copies of test rows, columns that tell too much, rare classes and a test of \
             another kind; afterwards, for labels that are probably wrong."
        }
        @for finding in findings { (one(finding)) }
    }
}

fn one(finding: &Finding) -> Markup {
    let lines = finding.evidence.lines();
    html! {
        h3 { (finding.kind.title()) }
        p class=[(finding.severity == Severity::Warning).then_some("warning")] { (clean(&sentence(&finding.what))) }
        p { (clean(&sentence(&finding.advice))) }
        @if !lines.is_empty() {
            details {
                summary { "Rows" }
                ul { @for line in lines.iter().take(ROWS) { li { (clean(line)) } } }
                @if lines.len() > ROWS { p { (lines.len() - ROWS) " more are in result.json." } }
            }
        }
    }
}

/// With a capital letter and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}
