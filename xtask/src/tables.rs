//! `cargo xtask bench-tables`: accuracy on real tables beside boosted trees, a random forest and a linear model.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use serde::Deserialize;

use crate::goldens::python;
use crate::markdown::Table;
use crate::process::{root, succeed};
use crate::sections::{self, Section};

/// Options of `cargo xtask bench-tables`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How often each table is split
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    splits: u32,
    /// Write the section again from the stored record, measuring nothing
    #[arg(long)]
    render: bool,
}

/// What `scripts/compare-tables.py` stores.
#[derive(Debug, Deserialize)]
struct Record {
    cores: u32,
    names: Vec<String>,
    rank_by_score: BTreeMap<String, f64>,
    rank_by_loss: BTreeMap<String, f64>,
    tables: Vec<Measured>,
}

/// One table, with what each has scored on each split.
#[derive(Debug, Deserialize)]
struct Measured {
    table: String,
    package: String,
    rows: u64,
    task: String,
    splits: Vec<BTreeMap<String, Score>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Score {
    score: f64,
    log_loss: Option<f64>,
    seconds: f64,
}

/// What of a score is shown.
type Reading = fn(&Score) -> Option<f64>;

impl Measured {
    /// The mean over the splits of something that all of them have.
    fn mean(&self, name: &str, of: impl Fn(&Score) -> Option<f64>) -> Option<f64> {
        let values: Option<Vec<f64>> = self.splits.iter().map(|split| of(split.get(name)?)).collect();
        let values = values.filter(|values| !values.is_empty())?;
        Some(values.iter().sum::<f64>() / values.len() as f64)
    }
}

/// Measures, unless told not to, and writes the section of `BENCHMARKS.md`.
pub fn run(arguments: &Arguments) -> Result<()> {
    let record = root().join("benches/tables.json");
    if !arguments.render {
        let mut command = Command::new(python()?);
        command.current_dir(root()).args(["scripts/compare-tables.py", "--out"]).arg(&record);
        succeed(command.args(["--splits", &arguments.splits.to_string()]))?;
    }
    let text = fs::read_to_string(&record).with_context(|| format!("cannot read {}", record.display()))?;
    let parsed = serde_json::from_str(&text).with_context(|| format!("{} is no such record", record.display()))?;
    let file: PathBuf = root().join("BENCHMARKS.md");
    sections::put(&file, Section::Tables, &render(&parsed))
}

fn render(record: &Record) -> String {
    let splits = record.tables.iter().map(|table| table.splits.len());
    let (least, most) = (splits.clone().min().unwrap_or(0), splits.max().unwrap_or(0));
    let splits = if least == most { most.to_string() } else { format!("{least} to {most}") };
    let mut text = format!(
        "## Accuracy on tables\n\nDefaults alone, on real tables from packages, each split {splits} time(s) at random; a \
         fifth of the rows is the test. `cargo xtask bench-tables` measures and writes this section; the head of \
         `scripts/compare-tables.py` says what the others are and where the tables come from. Scores are means over the \
         splits. Seconds are those of a machine with {} cores that did other work too, deepfit's with reading, scoring and \
         writing the model.\n",
        record.cores
    );
    let mut ranks = Table::new("Mean rank, 1 being the best", &["model", "by accuracy or R2", "by log loss or R2"]);
    for name in &record.names {
        let rank = |of: &BTreeMap<String, f64>| of.get(name).map_or(String::new(), |rank| format!("{rank:.2}"));
        ranks.row([name.clone(), rank(&record.rank_by_score), rank(&record.rank_by_loss)]);
    }
    let _ = write!(text, "{ranks}");
    let (scored, valued): (Vec<&Measured>, Vec<&Measured>) =
        record.tables.iter().partition(|measured| measured.task == "classification");
    let all: Vec<&Measured> = record.tables.iter().collect();
    let score = |score: &Score| Some(score.score);
    let parts: [(&str, &[&Measured], Reading, usize); 4] = [
        ("Accuracy", &scored, score, 3),
        ("Log loss", &scored, |score| score.log_loss, 3),
        ("R2", &valued, score, 3),
        ("Seconds of training", &all, |score| Some(score.seconds), 1),
    ];
    for (title, tables, of, digits) in parts {
        let columns = ["table", "package", "rows"].into_iter().chain(record.names.iter().map(String::as_str));
        let mut table = Table::new(title, &columns.collect::<Vec<_>>());
        for measured in tables {
            let mut cells = vec![measured.table.clone(), measured.package.clone(), measured.rows.to_string()];
            cells.extend(
                record
                    .names
                    .iter()
                    .map(|name| measured.mean(name, of).map_or(String::new(), |value| format!("{value:.digits$}"))),
            );
            table.cells(cells);
        }
        let _ = write!(text, "{table}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_means_over_splits_and_ranks_stand_first() {
        let record = r#"{"cores": 2, "names": ["deepfit", "forest"],
            "rank_by_score": {"deepfit": 1.25, "forest": 1.75}, "rank_by_loss": {"deepfit": 1.0, "forest": 2.0},
            "tables": [{"table": "wine", "package": "p", "rows": 178, "task": "classification", "splits": [
                {"deepfit": {"score": 0.9, "log_loss": 0.2, "seconds": 1.0}, "forest": {"score": 0.8, "log_loss": 0.4, "seconds": 2.0}},
                {"deepfit": {"score": 0.7, "log_loss": 0.4, "seconds": 2.0}, "forest": {"score": 0.6, "log_loss": 0.8, "seconds": 2.0}}]}]}"#;
        let text = render(&serde_json::from_str(record).expect("a record"));
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for line in
            ["| deepfit | 1.25 | 1.00 |", "| wine | p | 178 | 0.800 | 0.700 |", "| wine | p | 178 | 0.300 | 0.600 |"]
        {
            assert!(lines.iter().any(|l| l == line), "{line} is missing: {text}");
        }
        assert!(lines.iter().any(|l| l == "| wine | p | 178 | 1.5 | 2.0 |"), "{text}");
    }
}
