//! What a maintainer does: `cargo xtask COMMAND`.

mod ci;
mod goldens;
mod long;
mod markdown;
mod mutate;
mod process;

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
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Ci => ci::run(),
        Command::Goldens(arguments) => goldens::run(&arguments),
        Command::Mutate(arguments) => mutate::run(&arguments),
        Command::Long(arguments) => long::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
