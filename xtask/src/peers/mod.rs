//! `cargo xtask bench-peers`: the workloads of `deepfit bench` in other engines, side by side.

mod engines;
mod goals;
mod machine;
mod measure;
mod record;
mod render;
mod summary;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use self::engines::ENGINES;
use self::goals::WORKLOADS;
use self::measure::Plan;
use self::record::Record;
use crate::process::{root, target_folder};
use crate::sections::{self, Section};

pub use self::engines::{build, python};
pub use self::machine::{commit, date, machine};
pub use self::measure::told;
pub use self::record::{Machine, write};
pub use self::render::{digits, or_none};
pub use self::summary::median;

/// Options of `cargo xtask bench-peers`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Workloads; all if none is named
    #[arg(value_name = "WORKLOAD", value_parser = workloads())]
    workloads: Vec<String>,
    /// Engines, with commas between them; all by default
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(ENGINES))]
    engines: Vec<String>,
    /// How often each engine has its turn
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of a turn
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    seconds: f64,
    /// Threads of every engine
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: u32,
    /// Where measurements are stored, after each one [default: peers/record.json in the build folder]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report again from a stored run, measuring nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "engines", "workloads"])]
    from: Option<PathBuf>,
    /// Do not hold the steps against PyTorch in f64
    #[arg(long)]
    unchecked: bool,
    /// Where the report goes [default: BENCHMARKS.md]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn workloads() -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(WORKLOADS.map(|w| w.name))
}

/// Measures, stores, writes the report.
///
/// # Errors
/// If deepfit cannot be built or a file cannot be read or written; peers that fail are rows of the report.
pub fn run(arguments: &Arguments) -> Result<()> {
    let record = match &arguments.from {
        Some(file) => Record::read(file)?,
        None => measure(arguments)?,
    };
    let report = arguments.output.clone().unwrap_or_else(|| root().join("BENCHMARKS.md"));
    sections::put(&report, Section::Steps, &render::benchmarks(&record))?;
    println!("{}", report.display());
    Ok(())
}

fn measure(arguments: &Arguments) -> Result<Record> {
    let wanted = |name: &str, list: &[String]| list.is_empty() || list.iter().any(|other| other == name);
    let plan = Plan {
        workloads: WORKLOADS.iter().map(|w| w.name).filter(|name| wanted(name, &arguments.workloads)).collect(),
        rounds: arguments.rounds as usize,
        seconds: arguments.seconds,
        threads: arguments.threads as usize,
        stored: arguments.json.clone().unwrap_or_else(|| target_folder().join("peers/record.json")),
    };
    let (commit, dirty) = machine::commit();
    let mut record = Record {
        machine: machine::machine(plan.threads),
        commit,
        dirty,
        date: machine::date(),
        threads: plan.threads,
        seconds: plan.seconds,
        rounds: plan.rounds,
        rustc: machine::rustc(),
        ..Record::default()
    };
    let names: Vec<&'static str> = ENGINES.into_iter().filter(|name| wanted(name, &arguments.engines)).collect();
    let engines = engines::prepare(&names, &mut record)?;
    let with_deepfit = engines.iter().any(|engine| engine.name == summary::DEEPFIT);
    if with_deepfit {
        record.binary_mb = fs::metadata(engines::command())?.len() as f64 / 1e6;
        record.startup_ms = measure::startup(plan.threads)?;
    }
    let checked = !arguments.unchecked && with_deepfit;
    // What a stored run tells if it ends before its time.
    let reason = if checked { "the run ended before it came to that" } else { "it was not asked for" };
    record.unchecked = Some(reason.to_string());
    measure::rounds(&engines, &plan, &mut record)?;
    eprintln!("stored in {}", plan.stored.display());
    if checked {
        // Last, since it takes long and nobody need wait for it: what was measured is stored.
        let mut problem = None;
        for (i, workload) in plan.workloads.iter().enumerate() {
            record.unchecked = Some(format!("the run ended before it came to {}", plan.workloads[i..].join(", ")));
            record.write(&plan.stored)?;
            match measure::correctness(workload) {
                Ok(found) => record.correctness.push(found),
                Err(reason) => problem = Some(format!("{reason:#}")),
            }
        }
        record.unchecked = problem;
        record.write(&plan.stored)?;
    }
    Ok(record)
}
