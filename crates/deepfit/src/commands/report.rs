//! `deepfit report`: the page that tells of a run, or of several side by side.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;
use clap::{Args, ValueHint};
use deepfit_report::{Deeper, Wanted};
use deepfit_train::text::words;
use deepfit_train::{RunRecord, State};

use super::{parse_threads, threads};
use crate::exit::{Exit, Usage};
use crate::output;

/// Arguments of `deepfit report`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deepfit report runs/digits-1 --open                    the page of a run, in the browser
  deepfit report runs/digits-1 --full                    with explanations, what columns do, a map of the test rows
  deepfit report runs/digits-1 runs/digits-2 --open      runs side by side, in report-digits-1-digits-2.html
  deepfit report runs/digits-1 --out digits.html

`deepfit train` writes RUN/report.html when a run ends. It is one file that needs no network and holds no scripts. --full runs
the model on the data again, and takes longer.")]
pub struct Arguments {
    /// Run folders: one for its page, several to compare them
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath, required = true)]
    runs: Vec<PathBuf>,
    /// File to write [default: RUN/report.html; of several runs report-NAME-NAME.html here]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Open it in the browser
    #[arg(long)]
    open: bool,
    /// Run the model on the data again, for what it goes by
    #[arg(long)]
    full: bool,
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = parse_threads)]
    threads: Option<usize>,
}

/// Writes the page.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let runs = arguments.runs.iter().map(|run| RunRecord::open(run)).collect::<Result<Vec<_>, _>>()?;
    let (path, page) = match &runs[..] {
        [run] => (arguments.out.clone().unwrap_or_else(|| run.page()), one(run, arguments)?),
        several => {
            if arguments.full {
                let problem = "--full is for the page of one run: leave it away, or give one run";
                return Err(Usage(problem.to_string()).into());
            }
            let names = several.iter().map(|run| name(&run.root)).collect::<Vec<_>>();
            let file = || PathBuf::from(format!("report-{}.html", names.join("-")));
            (arguments.out.clone().unwrap_or_else(file), deepfit_report::compared(several))
        }
    };
    for run in &runs {
        for note in &run.notes {
            output::say(&words::printable(&format!("note: {}: {note}", run.root.display())));
        }
    }
    deepfit_report::write(&path, page.as_bytes())?;
    output::out(&format!("{}\n", path.display()))?;
    if arguments.open {
        open(&path);
    }
    Ok(Exit::Done)
}

fn one(run: &RunRecord, arguments: &Arguments) -> Result<String> {
    if !arguments.full {
        if run.state == State::Running {
            output::say("note: this run is being trained; the page shows how far it is");
        }
        return Ok(deepfit_report::page(run, None));
    }
    if run.state == State::Running {
        let problem = format!(
            "'{}': --full needs a run that has ended, and this one is being trained; wait until it has, or leave --full away",
            run.root.display()
        );
        return Err(Usage(problem).into());
    }
    if run.report.is_none() {
        let problem = format!(
            "'{}': --full needs a run that has ended; go on with `deepfit train --resume`, or leave --full away",
            run.root.display()
        );
        return Err(Usage(problem).into());
    }
    let wanted = Wanted { explanations: true, importance: true, dependence: true, map: true };
    let deeper = Deeper::look(run, wanted, threads(arguments.threads))?;
    for note in &deeper.notes {
        output::say(&words::printable(&format!("note: {note}")));
    }
    Ok(deepfit_report::page(run, Some(&deeper)))
}

/// The last part of a path.
fn name(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    path.file_name().map_or_else(|| "run".to_string(), |name| name.to_string_lossy().into_owned())
}

/// Shows a file in the browser; where that cannot be done, says so.
fn open(path: &Path) {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut command = if cfg!(target_os = "macos") {
        Command::new("open")
    } else if cfg!(windows) {
        Command::new("explorer")
    } else {
        Command::new("xdg-open")
    };
    let begun = command.arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    // The explorer tells nothing by its exit code.
    if !begun.is_ok_and(|status| status.success() || cfg!(windows)) {
        output::say("note: no browser could be started; open the file yourself");
    }
}
