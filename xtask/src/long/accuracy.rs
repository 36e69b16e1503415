//! Accuracy, time and memory on real data, seed by seed.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::bars::{Bars, largest, mean, smallest};
use super::example;
use super::train::{Program, Trained};
use crate::goldens::python;
use crate::markdown::Table;
use crate::process::{output, root};

const MB: f64 = 1e6;
/// The planned memory may be off by this many bytes, or by a tenth if that is more.
const MEMORY_SLACK: f64 = 8.0 * MB;

/// One seed's run.
struct Run {
    seed: u32,
    score: f64,
    /// The linear model's score on the same split, for tables.
    linear: Option<f64>,
    seconds: f64,
    first_step: f64,
    /// Bytes: the most as the operating system counted them, and as planned.
    peak: f64,
    planned: f64,
    /// Seconds.
    epoch: f64,
    planned_epoch: f64,
}

impl Run {
    fn new(seed: u32, metric: &str, trained: &Trained) -> Result<Run> {
        Ok(Run {
            seed,
            score: trained.number(&format!("metrics.test.{metric}"))?,
            linear: None,
            seconds: trained.seconds,
            first_step: trained.number("first_step_seconds")?,
            peak: trained.peak,
            planned: trained.number("planned_memory_bytes")?,
            epoch: trained.number("seconds_per_epoch")?,
            planned_epoch: trained.number("planned_seconds_per_epoch")?,
        })
    }

    /// How far memory is from the plan, as a share of what is allowed.
    fn memory_miss(&self) -> f64 {
        (self.peak - self.planned).abs() / (0.1 * self.planned).max(MEMORY_SLACK)
    }

    /// How far the time of an epoch is from the forecast, as a share of the forecast.
    fn epoch_miss(&self) -> f64 {
        (self.epoch / self.planned_epoch - 1.0).abs()
    }
}

/// Trains on all data sets and prints a table for each; what must be reached goes to `bars`.
///
/// # Errors
/// If a run fails, or the linear models cannot be fitted.
pub fn measure(program: &Program, mnist: Option<&Path>, folder: &Path, bars: &mut Bars) -> Result<()> {
    let set = |name: &str, data: &Path, metric: &str, seeds: u32| -> Result<(Vec<Run>, Vec<PathBuf>)> {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        let (mut runs, mut folders) = (Vec::new(), Vec::new());
        for seed in 1..=seeds {
            let run = folder.join(seed.to_string());
            let trained = program.train(data, seed, &run).with_context(|| format!("{name}, seed {seed}"))?;
            runs.push(Run::new(seed, metric, &trained)?);
            let last = &runs[runs.len() - 1];
            eprintln!("{name}, seed {seed}: {metric} {:.4}, {:.1} s", last.score, last.seconds);
            folders.push(run);
        }
        Ok((runs, folders))
    };

    let (digits, _) = set("digits", &example("digits.zip"), "accuracy", 5)?;
    print("Digits", "accuracy", &digits);
    bars.at_least("digits, mean accuracy", 0.99, mean(digits.iter().map(|r| r.score)));
    bars.at_least("digits, lowest accuracy", 0.98, smallest(digits.iter().map(|r| r.score)));
    bars.at_most("digits, most seconds", 10.0, largest(digits.iter().map(|r| r.seconds)));
    bars.at_most("digits, most resident MB", 120.0, largest(digits.iter().map(|r| r.peak / MB)));
    bars.at_most("digits, latest first step in seconds", 0.2, largest(digits.iter().map(|r| r.first_step)));
    plans("digits", &digits, bars);

    for (name, metric, slack) in [("breast-cancer", "accuracy", 0.01), ("diabetes", "r2", 0.02)] {
        let (mut runs, folders) = set(name, &example(&format!("{name}.csv")), metric, 10)?;
        let linear = linear_scores(&folders)?;
        for (run, folder) in runs.iter_mut().zip(&folders) {
            run.linear = linear.get(folder).copied();
        }
        print(name, metric, &runs);
        let difference = mean(runs.iter().map(|r| r.score - r.linear.unwrap_or(f64::NAN)));
        bars.at_least(&format!("{name}, mean {metric} above the linear model's"), -slack, difference);
        if name == "breast-cancer" {
            bars.at_most("breast-cancer, most seconds", 5.0, largest(runs.iter().map(|r| r.seconds)));
        }
        plans(name, &runs, bars);
    }

    if let Some(mnist) = mnist {
        let (runs, _) = set("mnist", mnist, "accuracy", 3)?;
        print("MNIST, 5,000 images", "accuracy", &runs);
        bars.at_least("mnist, mean accuracy", 0.98, mean(runs.iter().map(|r| r.score)));
        plans("mnist", &runs, bars);
    }
    Ok(())
}

/// The bars for what was forecast.
fn plans(name: &str, runs: &[Run], bars: &mut Bars) {
    let memory = largest(runs.iter().map(Run::memory_miss));
    bars.at_most(&format!("{name}, memory off the plan, as a share of max(10 %, 8 MB)"), 1.0, memory);
    let epoch = largest(runs.iter().map(Run::epoch_miss));
    bars.at_most(&format!("{name}, seconds per epoch off the forecast, as a share of it"), 0.25, epoch);
}

/// Scores of a linear model on the splits of these runs.
fn linear_scores(folders: &[PathBuf]) -> Result<HashMap<PathBuf, f64>> {
    let mut command = Command::new(python()?);
    command.current_dir(root()).args(["scripts/reference-tables.py", "--json"]).args(folders);
    let rows: Value = serde_json::from_str(&output(&mut command)?)?;
    let rows = rows.as_array().context("the script prints no array")?;
    let score = |row: &Value| Some((PathBuf::from(row["folder"].as_str()?), row["reference"].as_f64()?));
    rows.iter().map(|row| score(row).with_context(|| format!("the script's row {row} lacks something"))).collect()
}

fn print(title: &str, metric: &str, runs: &[Run]) {
    let columns = [
        "seed",
        metric,
        "linear",
        "difference",
        "seconds",
        "first step s",
        "peak MB",
        "planned MB",
        "epoch ms",
        "planned epoch ms",
    ];
    let mut table = Table::new(title, &columns);
    for run in runs {
        table.row(cells(run.seed.to_string(), run));
    }
    table.row(cells("mean".to_string(), &average(runs)));
    println!("{table}");
}

fn cells(label: String, run: &Run) -> [String; 10] {
    [
        label,
        format!("{:.4}", run.score),
        run.linear.map_or_else(String::new, |linear| format!("{linear:.4}")),
        run.linear.map_or_else(String::new, |linear| format!("{:+.4}", run.score - linear)),
        format!("{:.2}", run.seconds),
        format!("{:.3}", run.first_step),
        format!("{:.1}", run.peak / MB),
        format!("{:.1}", run.planned / MB),
        format!("{:.1}", run.epoch * 1e3),
        format!("{:.1}", run.planned_epoch * 1e3),
    ]
}

/// The mean of every number; the seed means nothing.
fn average(runs: &[Run]) -> Run {
    let of = |value: fn(&Run) -> f64| mean(runs.iter().map(value));
    let linear: Option<Vec<f64>> = runs.iter().map(|run| run.linear).collect();
    Run {
        seed: 0,
        score: of(|r| r.score),
        linear: linear.map(mean),
        seconds: of(|r| r.seconds),
        first_step: of(|r| r.first_step),
        peak: of(|r| r.peak),
        planned: of(|r| r.planned),
        epoch: of(|r| r.epoch),
        planned_epoch: of(|r| r.planned_epoch),
    }
}
