//! `cargo xtask bench-checks`: how often the checks of data in `deepfit train` speak, on data as it is and on planted cases.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use serde::Deserialize;

use crate::markdown::Table;
use crate::process::{cargo, root, succeed, target_folder};
use crate::sections::{self, Section};

/// Options of `cargo xtask bench-checks`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Seeds with which each example is trained on, and each case planted
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: u32,
    /// Random divisions of each example for the test of a shift
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10000))]
    splits: u32,
    /// Write the section again from the stored record, measuring nothing
    #[arg(long)]
    render: bool,
}

/// What `scripts/measure-checks.py` stores.
#[derive(Debug, Deserialize)]
struct Record {
    results: Vec<Measured>,
}

/// How often a kind of finding was there.
#[derive(Debug, Deserialize)]
struct Measured {
    data: String,
    case: String,
    kind: String,
    runs: u32,
    reported: u32,
    recall: Option<f64>,
    precision: Option<f64>,
}

/// What nothing was planted in.
const CLEAN: [&str; 2] = ["as it is", "random parts"];

/// Measures, unless told not to, and writes the section of `BENCHMARKS.md`.
pub fn run(arguments: &Arguments) -> Result<()> {
    let record = root().join("benches/checks.json");
    if !arguments.render {
        succeed(cargo().args(["build", "--release", "--workspace"]))?;
        let mut command = Command::new("python3");
        command.current_dir(root()).args(["scripts/measure-checks.py", "--deepfit"]);
        command.arg(target_folder().join("release/deepfit")).arg("--out").arg(&record);
        command.args(["--seeds", &arguments.seeds.to_string(), "--splits", &arguments.splits.to_string()]);
        succeed(&mut command)?;
    }
    let text = fs::read_to_string(&record).with_context(|| format!("cannot read {}", record.display()))?;
    let parsed = serde_json::from_str(&text).with_context(|| format!("{} is no such record", record.display()))?;
    sections::put(&root().join("BENCHMARKS.md"), Section::Checks, &render(&parsed))
}

fn render(record: &Record) -> String {
    let mut text = String::from(
        "## Checks of data\n\nHow often the checks that `deepfit train` makes of its data speak. `cargo xtask bench-checks` measures \
         and writes this section; the head of `scripts/measure-checks.py` says what the data is and what was planted. The figures \
         are of findings, and no time is measured.\n",
    );
    let is_clean = |measured: &&Measured| CLEAN.contains(&&measured.case[..]);
    let (clean, planted): (Vec<&Measured>, Vec<&Measured>) = record.results.iter().partition(is_clean);
    let mut data: Vec<&str> = Vec::new();
    let mut kinds: Vec<&str> = Vec::new();
    for measured in &clean {
        if !data.contains(&&measured.data[..]) {
            data.push(&measured.data);
        }
        if !kinds.contains(&&measured.kind[..]) {
            kinds.push(&measured.kind);
        }
    }
    let columns: Vec<&str> = ["finding"].into_iter().chain(data.iter().copied()).collect();
    let mut table = Table::new("On data as it is: false alarms, but for classes that are rare", &columns);
    for kind in kinds {
        let cell = |name: &&str| {
            let found = clean.iter().find(|measured| measured.kind == kind && measured.data == *name);
            found.map_or(String::new(), |found| format!("{} of {}", found.reported, found.runs))
        };
        table.cells([kind.to_string()].into_iter().chain(data.iter().map(cell)).collect());
    }
    let _ = write!(text, "{table}");
    let columns = ["data", "planted", "finding", "found", "listed of the planted", "planted of the listed"];
    let mut table = Table::new("On planted cases", &columns);
    for measured in planted {
        let share = |share: Option<f64>| share.map_or(String::new(), |share| format!("{:.0} %", 100.0 * share));
        table.row([
            measured.data.clone(),
            measured.case.clone(),
            measured.kind.clone(),
            format!("{} of {}", measured.reported, measured.runs),
            share(measured.recall),
            share(measured.precision),
        ]);
    }
    let _ = write!(text, "{table}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn false_alarms_stand_by_kind_and_data_and_planted_cases_by_themselves() {
        let record = r#"{"results": [
            {"data": "cancer", "case": "as it is", "kind": "leakage", "runs": 10, "reported": 0},
            {"data": "digits", "case": "as it is", "kind": "leakage", "runs": 10, "reported": 1},
            {"data": "cancer", "case": "random parts", "kind": "shift", "runs": 100, "reported": 2},
            {"data": "cancer", "case": "5 % turned", "kind": "label_errors", "runs": 10, "reported": 9, "recall": 0.8,
             "precision": 0.9}]}"#;
        let text = render(&serde_json::from_str(record).expect("a record"));
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for line in [
            "| leakage | 0 of 10 | 1 of 10 |",
            "| shift | 2 of 100 | |",
            "| cancer | 5 % turned | label_errors | 9 of 10 | 80 % | 90 % |",
        ] {
            assert!(lines.iter().any(|l| l == line), "{line} is missing: {text}");
        }
    }
}
