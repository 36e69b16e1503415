//! `deepfit diagnose`: what a run could still gain.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use deepfit_train::text::Style;
use deepfit_train::{DiagnoseOptions, DiagnoseOutcome, diagnose, parse_duration};

use super::parse_threads;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::{self, diagnosis};
use crate::program;

/// What is told of a signal that comes before anything was trained.
pub const WHEN_INTERRUPTED: &str = "interrupted before the diagnosis began: nothing was written";

/// Arguments of `deepfit diagnose`.
#[derive(Debug, Args)]
#[command(after_help = "Three questions are asked, each by trainings with the settings of the run:
  How much would more data help?  Trainings on a tenth to all of the rows, with one to three seeds each, measured on the test
      rows of the run; a curve a + b n^-c through them, with an interval, checked by holding back the largest sizes.
  Which labels are wrong?         Each row is predicted by a network that has not learned from it; those that contradict their
      label with confidence are listed in RUN/label-errors.csv (confident learning).
  Does it merely memorise?        A training on shuffled labels must fall to chance on new rows.
All of it takes some ten times what the run took, or --time; what ends is kept in RUN/diagnosis, and an interrupted diagnosis
goes on with the same command. The result is RUN/diagnosis.json, and `deepfit report RUN` shows it.

Examples:
  deepfit diagnose runs/digits-1
  deepfit diagnose runs/digits-1 --goal 0.95 --time 5m
  deepfit diagnose runs/churn-1 --json > diagnosis.json

Exit codes: 0 done, 2 bad usage or bad input, 130 interrupted, 1 any other failure.")]
pub struct Arguments {
    /// Run folder of a run that has ended, of pictures, texts or a table
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    run: PathBuf,
    /// Value of the metric on the test rows that is to be reached, such as 0.95 [default: the next round one]
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    goal: Option<f64>,
    /// Time after which no other training is begun, such as 90s, 5m or 1h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    time: Option<String>,
    /// Threads; the result does not depend on them [default: those of the run]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = parse_threads)]
    threads: Option<usize>,
    /// Print the result as one JSON object on standard output
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Print nothing but errors (and the JSON)
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

/// Diagnoses.
pub fn run(arguments: &Arguments, interrupt: &Interrupt) -> Result<Exit> {
    let time = arguments.time.as_deref().map(parse_duration).transpose()?;
    let options = DiagnoseOptions { goal: arguments.goal, time, threads: arguments.threads };
    interrupt.defer();
    let mut watch = diagnosis::Watch::new(arguments.quiet, interrupt);
    let outcome = diagnose(&arguments.run, &options, &mut watch);
    watch.finish();
    match outcome? {
        DiagnoseOutcome::Finished(found) => {
            if arguments.json {
                output::json(&found)?;
            } else if !arguments.quiet {
                output::out(&diagnosis::text(&found, Style::stdout()))?;
            }
            Ok(Exit::Done)
        }
        DiagnoseOutcome::Interrupted => {
            output::say(&format!(
                "interrupted; the trainings that had ended are kept in {}, and the same command goes on from there",
                program::path(&arguments.run.join("diagnosis"))
            ));
            Ok(Exit::Interrupted)
        }
    }
}
