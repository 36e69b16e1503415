//! What a maintainer does: `cargo xtask COMMAND`.

mod checks;
mod ci;
mod data;
mod goldens;
mod long;
mod markdown;
mod mutate;
mod peers;
mod process;
mod ratios;
mod scaling;
mod sections;
mod tables;
mod ways;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a maintainer of deepfit does.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tests, format and lints, as .ci/run
    Ci,
    /// Compares the golden files with what PyTorch computes, or writes them
    Goldens(goldens::Arguments),
    /// Plants faults one at a time and shows which test notices each
    Mutate(mutate::Arguments),
    /// What takes long: kills and resumes, planted faults, accuracy on real data
    Long(long::Arguments),
    /// Times steps of deepfit and its peers side by side
    BenchPeers(peers::Arguments),
    /// Times how data is read beside other libraries, and how training waits for it
    BenchData(data::Arguments),
    /// Times deepfit at other sizes and on other numbers of threads, and draws how it grows
    BenchScaling(scaling::Arguments),
    /// Compares accuracy on real tables with boosted trees, a random forest and a linear model
    BenchTables(tables::Arguments),
    /// Measures how often the checks of data speak, on data as it is and on planted cases
    BenchChecks(checks::Arguments),
    /// Measures whether the advice of `deepfit compare` is good, on real data of all kinds
    BenchWays(ways::Arguments),
    /// Finds out whether a workload has become slower beside a matrix product
    BenchRatios(ratios::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Ci => ci::run(),
        Command::Goldens(arguments) => goldens::run(&arguments),
        Command::Mutate(arguments) => mutate::run(&arguments),
        Command::Long(arguments) => long::run(&arguments),
        Command::BenchPeers(arguments) => peers::run(&arguments),
        Command::BenchData(arguments) => data::run(&arguments),
        Command::BenchScaling(arguments) => scaling::run(&arguments),
        Command::BenchTables(arguments) => tables::run(&arguments),
        Command::BenchChecks(arguments) => checks::run(&arguments),
        Command::BenchWays(arguments) => ways::run(&arguments),
        Command::BenchRatios(arguments) => ratios::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
