//! `deepfit plot`: one plot of a run or of a comparison, in the terminal or as a file.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueHint};
use deepfit_data::Task;
use deepfit_report::{DEEPER, Deeper, Plot, Wanted};
use deepfit_train::text::{Style, Table, words};
use deepfit_train::{Comparison, RunRecord};

use super::{parse_threads, threads};
use crate::exit::{Exit, Usage};
use crate::output;

/// Characters of a line where nothing says how many there are.
const WIDTH: usize = 80;

/// Arguments of `deepfit plot`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deepfit plot runs/digits-1                             which plots there are
  deepfit plot runs/digits-1 learning-curve              in the terminal
  deepfit plot runs/digits-1 confusion --out confusion.svg
  deepfit plot runs/houses-1 predicted --out predicted.png
  deepfit plot runs/houses-1 importance                  runs the model on the data again
  deepfit plot runs/houses-1 partial-dependence          what is predicted by the value of each column that counts
  deepfit plot runs/ways compare --out ways.svg          the ways that `deepfit compare --out runs/ways` has tried

A comparison has one plot, compare: of each way the metric with its interval, the time of training, memory and size of the
model, with the recommended one marked. Its folder is told by `deepfit compare`: runs/compare-NAME-KEY, or that of --out.")]
pub struct Arguments {
    /// Run folder, or the folder that `deepfit compare` has written
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    run: PathBuf,
    /// Name of a plot; without, all names are listed
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// File to write, .svg or .png, instead of showing it here
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "name")]
    out: Option<PathBuf>,
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = parse_threads)]
    threads: Option<usize>,
}

/// How a plot is written.
enum Format {
    Svg,
    Png,
}

impl Format {
    fn of(path: &Path) -> Result<Format> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("svg") => Ok(Format::Svg),
            Some("png") => Ok(Format::Png),
            _ => {
                let problem = format!("--out: '{}' is neither .svg nor .png", path.display());
                Err(Usage(problem).into())
            }
        }
    }
}

/// Lists, shows or writes.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let format = arguments.out.as_deref().map(Format::of).transpose()?;
    if let Some(found) = Comparison::open(&arguments.run)? {
        return of_comparison(&deepfit_report::ways(&found), arguments, format);
    }
    let run = RunRecord::open(&arguments.run)?;
    let plots = deepfit_report::of_run(&run);
    if arguments.name.as_deref() == Some("compare") {
        let problem = "`compare` is drawn of the folder that `deepfit compare` has written, and";
        return Err(Usage(format!("{problem} '{}' is a run", run.root.display())).into());
    }
    for note in &run.notes {
        output::say(&words::printable(&format!("note: {note}")));
    }
    let Some(name) = &arguments.name else {
        return list(&run, &plots);
    };
    let plot = match plots.iter().find(|plot| plot.name == name) {
        Some(plot) => plot.clone(),
        None => deeper(&run, name, &plots, threads(arguments.threads))?,
    };
    give(&plot, arguments, format)
}

/// The one plot of a comparison.
fn of_comparison(plot: &Plot, arguments: &Arguments, format: Option<Format>) -> Result<Exit> {
    match arguments.name.as_deref() {
        Some(name) if name == plot.name => give(plot, arguments, format),
        Some(other) => {
            let (folder, name) = (arguments.run.display(), plot.name);
            let problem = format!(
                "'{folder}' is a comparison, which has no plot '{other}' but {name}; those of its ways are in {folder}/ways"
            );
            Err(Usage(problem).into())
        }
        None => {
            let mut table = Table::new(2, &["plot", "shows"]);
            table.row(vec![plot.name.to_string(), plot.title.clone()]);
            output::out(&table.render(Style::stdout()))?;
            Ok(Exit::Done)
        }
    }
}

/// Shows a plot here, or writes it.
fn give(plot: &Plot, arguments: &Arguments, format: Option<Format>) -> Result<Exit> {
    match (&arguments.out, format) {
        (Some(path), Some(format)) => {
            let bytes = match format {
                Format::Svg => deepfit_report::svg_file(plot, false).into_bytes(),
                Format::Png => deepfit_report::png(plot)?,
            };
            deepfit_report::write(path, &bytes)?;
            output::out(&format!("{}\n", path.display()))?;
        }
        _ => {
            let width = output::width().min(WIDTH.max(100));
            output::out(&deepfit_report::terminal::text(plot, width, Style::stdout()))?;
        }
    }
    Ok(Exit::Done)
}

fn list(run: &RunRecord, plots: &[Plot]) -> Result<Exit> {
    let mut table = Table::new(2, &["plot", "shows"]);
    for plot in plots {
        table.row(vec![plot.name.to_string(), plot.title.clone()]);
    }
    for (name, title) in DEEPER.iter().filter(|(name, _)| has(run, name)) {
        table.row(vec![name.to_string(), format!("{title}; runs the model again")]);
    }
    output::out(&table.render(Style::stdout()))?;
    if plots.is_empty() {
        output::say("no epoch of this run has ended yet, so that there is nothing to draw");
    }
    Ok(Exit::Done)
}

/// Whether a run has a plot that needs the model.
fn has(run: &RunRecord, name: &str) -> bool {
    let of_run = match name {
        "importance" | "partial-dependence" => run.columns.is_some(),
        // A classical learner has no last layer, and other networks no map of rows.
        _ => {
            !run.is_classical()
                && !matches!(run.task, Some(Task::NextToken | Task::Labels { .. } | Task::Similarity { .. }))
        }
    };
    run.report.is_some() && run.task.is_some() && of_run
}

/// A plot that needs the model.
fn deeper(run: &RunRecord, name: &str, plots: &[Plot], threads: usize) -> Result<Plot> {
    if DEEPER.iter().any(|(known, _)| *known == name) && has(run, name) {
        let wanted = Wanted {
            explanations: false,
            importance: name == "importance",
            dependence: name == "partial-dependence",
            map: name == "features",
        };
        let found = Deeper::look(run, wanted, threads)?;
        if let Some(plot) = found.importance.or(found.dependence).or(found.map) {
            return Ok(plot);
        }
        let why = found.notes.first().cloned().unwrap_or_else(|| "there is nothing to draw".to_string());
        return Err(Usage(format!("`{name}` cannot be drawn: {why}")).into());
    }
    let mut names: Vec<&str> = plots.iter().map(|plot| plot.name).collect();
    names.extend(DEEPER.iter().map(|(name, _)| *name).filter(|name| has(run, name)));
    let near = deepfit_data::nearest(name, names.iter().copied());
    let hint = near.map(|near| format!("the nearest is '{near}'; ")).unwrap_or_default();
    let there = match names.is_empty() {
        true => "it has none yet, since no epoch has ended".to_string(),
        false => format!("there are {}", names.join(", ")),
    };
    Err(Usage(format!("'{}' has no plot '{name}': {hint}{there}", run.root.display())).into())
}
