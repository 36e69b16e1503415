//! `cargo xtask mutate`: shows that the tests notice faults, by planting them one at a time.
//!
//! Each operation's derivative is flipped in sign, each kernel's output is put off by a thousandth, and each pass is left
//! out; every one of these must make a test fail.

mod faults;
mod suites;

use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use self::faults::{Fault, Place};
use self::suites::{Suite, Verdict};
use crate::markdown::Table;
use crate::process::target_folder;

/// Options of `cargo xtask mutate`.
#[derive(Debug, Default, Args)]
pub struct Arguments {
    /// Only faults whose code, such as kernel:Conv2d, contains one of these
    #[arg(value_name = "FAULT")]
    only: Vec<String>,
}

/// The crates whose tests must notice, the ones most likely to do so first.
const PACKAGES: [&str; 2] = ["deepfit-graph", "deepfit-cpu"];

/// Plants every fault, prints the table.
///
/// # Errors
/// If the tests fail without a fault, or a fault survives.
pub fn run(arguments: &Arguments) -> Result<()> {
    let suites = suites::build(&PACKAGES, &target_folder().join("mutate"))?;
    for suite in &suites {
        let start = Instant::now();
        if let Verdict::Failed(test) = suite.run(None, &[])? {
            bail!("{}, {test} fails without any fault", suite.package);
        }
        let seconds = start.elapsed().as_secs_f64();
        eprintln!("{}: {} tests pass without a fault, in {seconds:.1} s", suite.package, suite.tests.len());
    }
    let mut table = Table::new("Planted faults", &["fault", "caught by", "seconds"]);
    let mut survivors = Vec::new();
    let (mut planted, mut absent) = (0, 0);
    for fault in faults::all() {
        let code = fault.code();
        if !arguments.only.is_empty() && !arguments.only.iter().any(|part| code.contains(part.as_str())) {
            continue;
        }
        if let Some(reason) = &fault.absent {
            absent += 1;
            table.row([code, format!("nothing to plant: {reason}"), String::new()]);
            continue;
        }
        planted += 1;
        let start = Instant::now();
        let caught = catch(&suites, &fault)?;
        let seconds = start.elapsed().as_secs_f64();
        eprintln!("{code}: {} ({seconds:.1} s)", caught.as_deref().unwrap_or("SURVIVES"));
        if caught.is_none() {
            survivors.push(code.clone());
        }
        table.row([code, caught.unwrap_or_else(|| "**nothing**".to_string()), format!("{seconds:.1}")]);
    }
    println!(
        "{table}\n{planted} faults planted, {} caught; {absent} have nothing to plant.",
        planted - survivors.len()
    );
    if !survivors.is_empty() {
        bail!("no test notices {}", survivors.join(", "));
    }
    Ok(())
}

/// The first test that fails: those named after the fault are run first, then all.
fn catch(suites: &[Suite], fault: &Fault) -> Result<Option<String>> {
    let code = fault.code();
    // Kernels are tested by the executor's crate, the rest by the graph's.
    let mut order: Vec<&Suite> = suites.iter().collect();
    if fault.place == Place::Kernel {
        order.reverse();
    }
    let named =
        order.iter().map(|suite| (*suite, suite.named_after(fault.name))).filter(|(_, tests)| !tests.is_empty());
    let all = order.iter().map(|suite| (*suite, Vec::new()));
    for (suite, tests) in named.chain(all) {
        if let Verdict::Failed(test) = suite.run(Some(&code), &tests)? {
            return Ok(Some(format!("{}, {test}", suite.package)));
        }
    }
    Ok(None)
}
