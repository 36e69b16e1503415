//! The `deepfit` command: one file a sub-command in `commands/`, what it writes in `output/`.

#![forbid(unsafe_code)]

mod arguments;
mod bench;
mod commands;
mod exit;
mod interrupt;
mod output;
mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    deepfit_cpu::return_large_blocks();
    // Starts the clock of the times that a report tells.
    deepfit_train::process_seconds();
    let command = match arguments::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(code) => return ExitCode::from(code),
    };
    match commands::run(command) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => ExitCode::from(exit::report(&error)),
    }
}
