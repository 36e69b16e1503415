//! `cargo xtask bench-ratios`: whether a workload has become slower, as the time that a step takes over the time that its
//! operations take in a matrix product.
//!
//! Times differ from hour to hour on one machine, and other programs lengthen them; these ratios stay. A step and the
//! products before and after it are timed in one process, on one thread, by the time that a processor worked for it: what
//! other programs get of the processor does not count. They still share caches and clock with it. Where the products before
//! and after differ much, something changed in between, and the try does not count. Each kind of processor has its own ratios.

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
/// How often a workload must be too slow, one time after the other.
const TRIES: usize = 3;
/// How much larger than the stored one a ratio may be.
const WORSE: f64 = 1.3;
/// How far the products before and after a workload may be apart, as a share of their mean.
const APART: f64 = 0.25;
/// Most times that a workload is measured, those that do not count among them.
const MOST: usize = 4;

/// Options of `cargo xtask bench-ratios`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Store what is measured as what later runs are held against
    #[arg(long)]
    write: bool,
    /// Seconds of each measurement
    #[arg(long, value_name = "S", default_value_t = 0.5)]
    seconds: f64,
    /// Where ratios are stored [default: benches/ratios.json]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Stored ratios by instruction set with processor, and by workload.
type Stored = BTreeMap<String, BTreeMap<String, f64>>;

/// What `deepfit bench --beside-product --json` tells of a workload.
#[derive(Deserialize)]
struct Step {
    isa: String,
    beside: Beside,
}

#[derive(Deserialize)]
struct Beside {
    ratio: f64,
    before_gflops: f64,
    after_gflops: f64,
}

impl Beside {
    /// How far the products are apart, as a share of their mean.
    fn apart(&self) -> f64 {
        2.0 * (self.before_gflops - self.after_gflops).abs() / (self.before_gflops + self.after_gflops)
    }
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
                let (found, ratio) = counted(&program, workload, arguments.seconds)?
                    .with_context(|| format!("the machine is too busy to measure {workload}; try again later"))?;
                println!("{workload}: {ratio:.2} times a product's time");
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
    let mut slow = Vec::new();
    for workload in WORKLOADS {
        if is_slow(&program, workload, arguments.seconds, &stored)? {
            slow.push(workload);
        }
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

/// Whether a workload is too slow each time.
fn is_slow(program: &Path, workload: &str, seconds: f64, stored: &Stored) -> Result<bool> {
    for attempt in 1..=TRIES {
        let Some((kind, ratio)) = counted(program, workload, seconds)? else {
            println!("{workload}: not judged, the machine's speed changes too much");
            return Ok(false);
        };
        let Some(&known) = stored.get(&kind).and_then(|known| known.get(workload)) else {
            println!("{workload}: {ratio:.2} times a product's time; nothing is stored for {kind}");
            return Ok(false);
        };
        let fits = ratio <= WORSE * known;
        println!("{workload}: {ratio:.2} times a product's time, stored {known:.2}{}", verdict(fits, attempt));
        if fits {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first measurement that counts, if one of several does: kind of processor, and ratio.
fn counted(program: &Path, workload: &str, seconds: f64) -> Result<Option<(String, f64)>> {
    for _ in 0..MOST {
        let step = measured(program, workload, seconds)?;
        if step.beside.apart() <= APART {
            return Ok(Some((format!("{} on {}", step.isa, processor()), step.beside.ratio)));
        }
        println!("{workload}: the products before and after are {:.0} % apart, again", 100.0 * step.beside.apart());
    }
    Ok(None)
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

/// A workload between two products, in a process of its own.
fn measured(program: &Path, workload: &str, seconds: f64) -> Result<Step> {
    let mut command = Command::new(program);
    command.args(["bench", workload, "--json", "--beside-product", "--threads", "1"]);
    command.args(["--seconds", &seconds.to_string()]);
    serde_json::from_str(output(&mut command)?.trim()).context("it told no time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_apart_by_a_share_of_their_mean() {
        let beside = |before_gflops, after_gflops| Beside { ratio: 1.0, before_gflops, after_gflops };
        assert_eq!(beside(100.0, 100.0).apart(), 0.0);
        assert!((beside(90.0, 110.0).apart() - 0.2).abs() < 1e-12);
        assert_eq!(beside(90.0, 110.0).apart(), beside(110.0, 90.0).apart());
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
