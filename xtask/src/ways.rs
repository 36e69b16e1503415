//! `cargo xtask bench-ways`: whether the advice of `deepfit compare` is good, on real tables, pictures and texts.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use serde::Deserialize;

use crate::goldens::python;
use crate::markdown::Table;
use crate::peers::write;
use crate::process::{cargo, root, succeed, target_folder};
use crate::sections::{self, Section};

/// The page of the guide that has the section, too.
const PAGE: &str = "docs/src/advice.md";

/// Options of `cargo xtask bench-ways`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How often each set is split
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=5))]
    splits: u32,
    /// Most time of each comparison
    #[arg(long, default_value = "4m")]
    time: String,
    /// Write the section again from the stored record, measuring nothing
    #[arg(long)]
    render: bool,
}

/// What `scripts/compare-ways.py` stores.
#[derive(Debug, Deserialize)]
struct Record {
    limit: String,
    splits: u32,
    left_out: Vec<String>,
    #[serde(default)]
    not_asked: Vec<String>,
    data: Vec<Judged>,
}

/// What came out for one set.
#[derive(Debug, Deserialize)]
struct Judged {
    data: String,
    kind: String,
    metric: String,
    recommended: Vec<String>,
    best: String,
    best_mean: f64,
    recommended_mean: f64,
    interval: [f64; 2],
    right: bool,
    hints: u32,
    hints_right: u32,
    gained: Option<f64>,
    not_run: Vec<String>,
}

/// Measures, unless told not to, and writes the section of `BENCHMARKS.md`.
pub fn run(arguments: &Arguments) -> Result<()> {
    let record = root().join("benches/ways.json");
    if !arguments.render {
        succeed(cargo().args(["build", "--release", "--workspace"]))?;
        let mut command = Command::new(python()?);
        command.current_dir(root()).args(["scripts/compare-ways.py", "--binary"]);
        command.arg(target_folder().join("release/deepfit")).arg("--out").arg(&record);
        succeed(command.args(["--splits", &arguments.splits.to_string(), "--time", &arguments.time]))?;
    }
    let text = fs::read_to_string(&record).with_context(|| format!("cannot read {}", record.display()))?;
    let parsed = serde_json::from_str(&text).with_context(|| format!("{} is no such record", record.display()))?;
    let section = render(&parsed);
    sections::put(&root().join("BENCHMARKS.md"), Section::Ways, &section)?;
    write(&root().join(PAGE), &page(&section))
}

/// The section as a page of the guide.
fn page(section: &str) -> String {
    let body = section.strip_prefix("## Advice\n").unwrap_or(section).replace("\n### ", "\n## ");
    format!("# Is the advice good?\n{body}")
}

/// What was recommended most often, and on how many splits.
fn usual(recommended: &[String]) -> String {
    let count = |name: &String| recommended.iter().filter(|other| *other == name).count();
    let Some(most) = recommended.iter().rev().max_by_key(|name| count(name)) else { return String::new() };
    match count(most) {
        all if all == recommended.len() => most.clone(),
        some => format!("{most} ({some} of {})", recommended.len()),
    }
}

fn render(record: &Record) -> String {
    let right = record.data.iter().filter(|judged| judged.right).count();
    let (hints, hints_right) =
        record.data.iter().fold((0, 0), |(all, right), judged| (all + judged.hints, right + judged.hints_right));
    let mut text = format!(
        "## Advice\n\nWhether `deepfit compare` recommends the right way, and whether its hint that transfer helps is true. \
         `cargo xtask bench-ways` measures and writes this; the head of `scripts/compare-ways.py` says what the data is and \
         what counts as right. Each set is split {} times, each comparison had {}.\n\nThe advice is right on {right} of {} sets",
        record.splits,
        record.limit,
        record.data.len(),
    );
    if hints > 0 {
        let _ = write!(text, ", the hint on {hints_right} of {hints} splits");
    }
    text.push_str(".\n");
    if !record.left_out.is_empty() {
        let _ = writeln!(text, "Left out, since it could not be had: {}.", record.left_out.join(", "));
    }
    if !record.not_asked.is_empty() {
        let _ = writeln!(text, "Not measured: {}.", record.not_asked.join(", "));
    }
    let columns = [
        "data",
        "kind",
        "metric",
        "recommended",
        "its score",
        "best way",
        "its score",
        "90 % of the difference",
        "right",
    ];
    let mut table = Table::new("Recommended, and best when all had ended", &columns);
    for judged in &record.data {
        table.row([
            judged.data.clone(),
            judged.kind.clone(),
            judged.metric.clone(),
            usual(&judged.recommended),
            format!("{:.4}", judged.recommended_mean),
            judged.best.clone(),
            format!("{:.4}", judged.best_mean),
            format!("{:+.4} to {:+.4}", judged.interval[0], judged.interval[1]),
            if judged.right { "yes" } else { "**no**" }.to_string(),
        ]);
    }
    let _ = write!(text, "{table}");
    let hinted: Vec<&Judged> = record.data.iter().filter(|judged| judged.hints > 0).collect();
    if !hinted.is_empty() {
        let mut table = Table::new("Does transfer help?", &["data", "gained on the test", "hint right"]);
        for judged in hinted {
            let gained = judged.gained.map_or(String::new(), |gained| format!("{gained:+.4}"));
            table.row([judged.data.clone(), gained, format!("{} of {}", judged.hints_right, judged.hints)]);
        }
        let _ = write!(text, "{table}");
    }
    let late: Vec<&Judged> = record.data.iter().filter(|judged| !judged.not_run.is_empty()).collect();
    if !late.is_empty() {
        let mut table = Table::new("Ways that did not end on every split", &["data", "ways"]);
        for judged in late {
            table.row([judged.data.clone(), judged.not_run.join(", ")]);
        }
        let _ = write!(text, "{table}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_like_the_rest() {
        let record = r#"{"limit": "4m", "splits": 3, "left_out": ["synopses-10"], "data": [
            {"data": "wine", "kind": "table", "metric": "accuracy", "recommended": ["trees", "linear", "trees"], "best": "linear",
             "best_mean": 0.98, "recommended_mean": 0.95, "interval": [0.01, 0.05], "right": false, "hints": 0, "hints_right": 0,
             "gained": null, "not_run": []},
            {"data": "faces", "kind": "pictures", "metric": "accuracy", "recommended": ["last-layer", "last-layer", "last-layer"],
             "best": "last-layer", "best_mean": 1.0, "recommended_mean": 1.0, "interval": [0.0, 0.0], "right": true, "hints": 3,
             "hints_right": 2, "gained": 0.125, "not_run": ["fine-tuning"]}]}"#;
        let text = render(&serde_json::from_str(record).expect("a record"));
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for line in [
            "| wine | table | accuracy | trees (2 of 3) | 0.9500 | linear | 0.9800 | +0.0100 to +0.0500 | **no** |",
            "| faces | +0.1250 | 2 of 3 |",
            "| faces | fine-tuning |",
            "Left out, since it could not be had: synopses-10.",
        ] {
            assert!(lines.iter().any(|l| l == line), "{line} is missing: {text}");
        }
        assert!(text.contains("right on 1 of 2 sets, the hint on 2 of 3 splits."), "{text}");
        let page = page(&text);
        assert!(
            page.starts_with("# Is the advice good?\n\nWhether") && page.contains("\n## Does transfer help?\n"),
            "{page}"
        );
    }
}
