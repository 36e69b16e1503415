//! What training on few pictures gains by a published network, beside scikit-learn on the same draws.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::bars::{Bars, mean};
use super::train::Program;
use crate::goldens::python;
use crate::process::{root, succeed};

/// Sets of several classes, and pictures of each class.
const DRAWINGS: [&str; 4] = ["google-10", "google-50", "apple-10", "apple-50"];
/// How far a published network must be above a network of its own.
const GAIN: f64 = 0.08;

/// Trains on the draws in a folder of `make-transfer-pictures.py`.
///
/// # Errors
/// If a run or the script fails.
pub fn measure(program: &Program, pictures: &Path, folder: &Path, bars: &mut Bars) -> Result<()> {
    fs::create_dir_all(folder)?;
    let found = folder.join("transfer.json");
    let mut command = Command::new(python()?);
    command.arg(root().join("scripts/reference-transfer.py")).arg(pictures);
    command.args(["--sets", "google", "apple", "lfw", "--full", "--without", "cnn", "forest", "--deepfit"]);
    succeed(command.arg(program.path()).arg("--json").arg(&found))?;
    let found: Value = serde_json::from_str(&fs::read_to_string(&found)?)?;
    let row = |set: &str, method: &str| {
        let vendor = set.split('-').next().unwrap_or(set);
        let row = &found[vendor]["results"][set][method];
        row.as_object().with_context(|| format!("the script tells nothing of {method} on {set}"))
    };
    let accuracy = |set: &str, method: &str| -> Result<f64> {
        let scores = row(set, method)?["accuracy"].as_array().context("no accuracies")?;
        Ok(mean(scores.iter().filter_map(Value::as_f64)))
    };
    for set in DRAWINGS {
        let own = accuracy(set, "deepfit")?;
        let features = accuracy(set, "features")?;
        bars.at_least(&format!("{set}, accuracy above scikit-learn's on the features"), 0.0, own - features);
        let scratch = accuracy(set, "scratch")?;
        bars.at_least(&format!("{set}, accuracy above that from scratch"), GAIN, own - scratch);
    }
    bars.at_least("faces or not, accuracy", 0.97, accuracy("lfw", "deepfit")?);
    let number = |name: &str| row("google-50", "deepfit")?[name].as_f64().with_context(|| format!("no {name}"));
    bars.at_most("google-50, seconds with features from the cache", 5.0, number("seconds")?);
    bars.at_most("google-50, resident MB", 300.0, number("megabytes")?);
    Ok(())
}
