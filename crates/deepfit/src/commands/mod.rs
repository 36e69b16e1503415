//! The sub-commands, one file each: its arguments and what it does.

mod bench;
mod compare;
mod completions;
mod diagnose;
mod embed;
mod evaluate;
mod explain;
mod generate;
mod inspect;
#[cfg(feature = "hub")]
mod models;
mod nearest;
mod plan;
mod plot;
mod predict;
mod report;
mod tokenize;
mod train;

use clap::Subcommand;
use deepfit_cpu::Precision;

use crate::exit::Exit;
use crate::interrupt::Interrupt;

/// A sub-command with its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a network on a folder of pictures or texts, a table or a text
    Train(Box<train::Arguments>),
    /// Find out what to use: classical learners and networks on the same data, within one limit of time
    Compare(Box<compare::Arguments>),
    /// Find out what a run could still gain: how many more rows, which labels are wrong, whether it merely memorises
    Diagnose(diagnose::Arguments),
    /// Tell what training would cost, memory and time, for each model that suits the data
    Plan(plan::Arguments),
    /// Measure a trained network on other data
    Evaluate(evaluate::Arguments),
    /// Use a trained network on pictures, rows or texts
    Predict(predict::Arguments),
    /// Write the page that tells of a run, or of several side by side
    Report(report::Arguments),
    /// Show a plot of a run here, or write it as SVG or PNG
    Plot(plot::Arguments),
    /// Tell why a network decides as it does: which pixels, columns or words it goes by
    Explain(explain::Arguments),
    /// Write what a network makes of pictures, rows or texts before it decides
    Embed(embed::Arguments),
    /// Continue a text by a run that learned to, or by a published model such as GPT-2
    Generate(generate::Arguments),
    /// Write the tokens that a published model makes of texts
    Tokenize(tokenize::Arguments),
    /// List, show, fetch and remove published models
    #[cfg(feature = "hub")]
    Models(models::Arguments),
    /// Show layers, shapes, parameters, operations and memory of a run or a model, or of what data would get
    Inspect(inspect::Arguments),
    /// Measure the time of a training step on known networks
    Bench(bench::Arguments),
    /// Print a script that completes this command's words in a shell
    Completions(completions::Arguments),
}

/// Runs a sub-command.
pub fn run(command: Command) -> anyhow::Result<Exit> {
    let interrupt = Interrupt::install(match &command {
        Command::Train(arguments) => Some(arguments.when_interrupted()),
        Command::Compare(_) => Some(compare::WHEN_INTERRUPTED),
        Command::Diagnose(_) => Some(diagnose::WHEN_INTERRUPTED),
        _ => None,
    })?;
    match command {
        Command::Train(arguments) => train::run(&arguments, &interrupt),
        Command::Compare(arguments) => compare::run(&arguments, &interrupt),
        Command::Diagnose(arguments) => diagnose::run(&arguments, &interrupt),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Predict(arguments) => predict::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Plot(arguments) => plot::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Embed(arguments) => embed::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Tokenize(arguments) => tokenize::run(&arguments),
        #[cfg(feature = "hub")]
        Command::Models(arguments) => models::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}

/// Where a model is that was named on the command line: a path as it is, a name at the hub as the folder of its files here.
///
/// # Errors
/// If it is at the hub, but not here.
fn model_path(model: &std::path::Path) -> anyhow::Result<std::path::PathBuf> {
    #[cfg(feature = "hub")]
    return models::resolve(model);
    #[cfg(not(feature = "hub"))]
    Ok(model.to_path_buf())
}

/// Threads when none are asked for.
fn threads(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// A number of threads on the command line.
fn parse_threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1..=1024) => Ok(threads),
        _ => Err("it must be a whole number from 1 to 1024, such as 4".to_string()),
    }
}

/// A precision on the command line.
fn parse_precision(text: &str) -> Result<Precision, String> {
    Precision::named(text).ok_or_else(|| format!("it must be {}", Precision::NAMES.join(" or ")))
}

/// A number of rows on the command line.
fn parse_rows(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rows @ 1..=1_000_000) => Ok(rows),
        _ => Err("it must be a whole number from 1 to 1000000, such as 32".to_string()),
    }
}
