//! `cargo xtask bench-ratios`: whether a workload has become slower, as the time that a step takes over the time that its
//! operations take in a matrix product of the same run, both at their best. Times differ from hour to hour on one machine,
//! these ratios much less; each kind of processor has its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Deserialize;

use crate::peers::{build, machine, median, write};
use crate::process::{output, root};

/// What is measured: networks of several kinds, quick enough to be measured after any change.
const WORKLOADS: [&str; 4] = ["mlp", "lenet", "lstm", "minilm_infer"];
/// How often a workload must be too slow, of as many tries.
const TRIES: usize = 3;
/// How much larger than the stored one a ratio may be.
const WORSE: f64 = 1.5;

/// Options of `cargo xtask bench-ratios`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Store what is measured as what later runs are held against
    #[arg(long)]
    write: bool,
    /// Seconds of each measurement
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    seconds: f64,
    /// Where ratios are stored [default: benches/ratios.json]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Stored ratios by instruction set with processor, and by workload.
type Stored = BTreeMap<String, BTreeMap<String, f64>>;

/// What `deepfit bench --machine --json` tells.
#[derive(Deserialize)]
struct Machine {
    matmul_gflops: f64,
    isa: String,
}

/// What `deepfit bench --json` tells of a workload.
#[derive(Deserialize)]
struct Step {
    min_ms: f64,
    flops: f64,
}

/// Measures each workload, and again what is too slow; or stores what it finds.
///
/// # Errors
/// If deepfit cannot be built or measured, the file cannot be read or written, or a workload is too slow each time.
pub fn run(arguments: &Arguments) -> Result<()> {
    let program = build()?;
    let file = arguments.file.clone().unwrap_or_else(|| root().join("benches/ratios.json"));
    let mut stored = read(&file)?;
    if arguments.write {
        let mut all: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let mut kind = String::new();
        for _ in 0..TRIES {
            for workload in WORKLOADS {
                let (found, ratio) = measured(&program, workload, arguments.seconds)?;
                kind = found;
                all.entry(workload).or_default().push(ratio);
            }
        }
        let middle = all.iter().map(|(workload, ratios)| (workload.to_string(), rounded(median(ratios))));
        stored.insert(kind, middle.collect());
        write(&file, &(serde_json::to_string_pretty(&stored)? + "\n"))?;
        println!("{}", file.display());
        return Ok(());
    }
    let mut slow: Vec<String> = WORKLOADS.iter().map(ToString::to_string).collect();
    for attempt in 1..=TRIES {
        let mut still = Vec::new();
        for workload in slow {
            let (kind, ratio) = measured(&program, &workload, arguments.seconds)?;
            let Some(&known) = stored.get(&kind).and_then(|known| known.get(&workload)) else {
                println!("{workload}: {ratio:.2} times a product's time; nothing is stored for {kind}");
                continue;
            };
            let fits = ratio <= WORSE * known;
            println!("{workload}: {ratio:.2} times a product's time, stored {known:.2}{}", verdict(fits, attempt));
            if !fits {
                still.push(workload);
            }
        }
        slow = still;
    }
    if slow.is_empty() {
        return Ok(());
    }
    bail!(
        "{} took more than {WORSE} times as long beside a matrix product as stored in {}, {TRIES} times of {TRIES}: \
         profile with `deepfit bench {} --profile FILE`; if it must be so, store new ratios with `--write`",
        slow.join(", "),
        file.display(),
        slow[0]
    )
}

/// The processor's name.
fn processor() -> String {
    machine(1).processor
}

fn verdict(fits: bool, attempt: usize) -> String {
    if fits { String::new() } else { format!(": too slow, {attempt} of {TRIES}") }
}

/// Three digits are more than repeats agree on.
fn rounded(ratio: Option<f64>) -> f64 {
    (ratio.unwrap_or_default() * 1e3).round() / 1e3
}

fn read(file: &Path) -> Result<Stored> {
    if !file.exists() {
        return Ok(Stored::new());
    }
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} holds no ratios", file.display()))
}

/// Instruction set and processor, and how many times as long a step takes as its operations in a product.
fn measured(program: &Path, workload: &str, seconds: f64) -> Result<(String, f64)> {
    let seconds = seconds.to_string();
    let told = |arguments: &[&str]| {
        let mut command = Command::new(program);
        command.arg("bench").args(arguments).args(["--json", "--threads", "2", "--seconds", &seconds]);
        output(&mut command)
    };
    let machine: Machine = serde_json::from_str(told(&["--machine"])?.trim()).context("it told no peak")?;
    let step: Step = serde_json::from_str(told(&[workload])?.trim()).context("it told no time")?;
    Ok((format!("{} on {}", machine.isa, processor()), ratio(&step, machine.matmul_gflops)))
}

fn ratio(step: &Step, gflops: f64) -> f64 {
    step.min_ms * 1e-3 / (step.flops / (gflops * 1e9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_at_the_speed_of_a_product_has_a_ratio_of_one() {
        let step = Step { min_ms: 20.0, flops: 4e9 };
        assert!((ratio(&step, 200.0) - 1.0).abs() < 1e-12);
        assert!((ratio(&Step { min_ms: 30.0, ..step }, 200.0) - 1.5).abs() < 1e-12);
    }

    #[test]
    fn a_file_that_is_not_there_holds_nothing_and_one_without_ratios_is_told() {
        let folder = std::env::temp_dir();
        let missing = folder.join(format!("ratios-{}.json", std::process::id()));
        assert!(read(&missing).unwrap().is_empty());
        fs::write(&missing, "[1]").unwrap();
        let told = format!("{:#}", read(&missing).unwrap_err());
        fs::remove_file(&missing).unwrap();
        assert!(told.contains("holds no ratios"), "{told}");
    }
}
