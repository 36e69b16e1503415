//! `deepfit evaluate`: the metrics of a trained network on other data.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use deepfit_train::{Evaluation, Predictor, evaluate_pairs, is_text_model};

use super::{model_path, parse_threads, threads};
use crate::exit::{Exit, Usage};
use crate::output::{self, report};
use deepfit_train::text::{Style, words};

/// Arguments of `deepfit evaluate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deepfit evaluate runs/digits-1 more-digits/
  deepfit evaluate runs/houses-1 sold-this-year.csv --json
  deepfit evaluate runs/tumours-1 patients.csv --by hospital
  deepfit evaluate runs/scans-1 new-scans/ --labels new-findings.csv --by scanner
  deepfit evaluate runs/questions-1 new-pairs.csv     embeddings of texts: which belong together, or scores")]
pub struct Arguments {
    /// Run folder, or the model folder in it, or a published model that embeds texts
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    run: PathBuf,
    /// Data of the kind that it was trained on, with the true classes or values
    #[arg(value_name = "DATA", value_hint = ValueHint::AnyPath)]
    data: PathBuf,
    /// Table that names images of the folder DATA, and says what is on them
    #[arg(long, value_name = "TABLE", value_hint = ValueHint::FilePath)]
    labels: Option<PathBuf>,
    /// Column of a table by whose values the rows are also measured by themselves
    #[arg(long, value_name = "COLUMN")]
    by: Option<String>,
    /// Column of a table that says how much each row counts [default: that by which rows counted in training, if there is one]
    #[arg(long, value_name = "COLUMN")]
    weight: Option<String>,
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = parse_threads)]
    threads: Option<usize>,
    /// Print one JSON object with `metrics`, `intervals`, `rows` and `confusion`, and of runs `calibration`, `conformal`, `costs`,
    /// `subgroups` and `familiarity`, where there are any
    #[arg(long)]
    json: bool,
    /// Record the time of each operation: a table on standard error, and FILE for a browser's trace viewer
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    profile: Option<PathBuf>,
}

/// Evaluates.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let records = output::profiles(arguments.profile.as_deref())?;
    let model = model_path(&arguments.run)?;
    let threads = threads(arguments.threads);
    if is_text_model(&model) {
        if arguments.labels.is_some() {
            let problem = "--labels is for images, and this model embeds texts: give a table of pairs of them";
            return Err(Usage(format!("{}: {problem}", arguments.run.display())).into());
        }
        let given = [("--by", &arguments.by), ("--weight", &arguments.weight)];
        if let Some((option, _)) = given.into_iter().find(|(_, column)| column.is_some()) {
            let problem = format!("{option} is for classes, labels and numbers, and this model embeds texts");
            return Err(Usage(format!("{}: {problem}", arguments.run.display())).into());
        }
        let (evaluation, profile) = evaluate_pairs(&model, &arguments.data, threads, records)?;
        tell(arguments, &evaluation)?;
        if let (Some(profile), Some(trace)) = (profile, &arguments.profile) {
            output::profile(&profile, threads, trace, false)?;
        }
        return Ok(Exit::Done);
    }
    let mut predictor =
        Predictor::open(&model, threads)?.by(arguments.by.clone()).weighted_by(arguments.weight.clone());
    if records {
        predictor.record();
    }
    let mut evaluation = match &arguments.labels {
        Some(labels) => predictor.evaluate_with_labels(&arguments.data, labels)?,
        None => predictor.evaluate(&arguments.data)?,
    };
    // A run whose settings cannot be read has a model all the same.
    evaluation.notes.extend(deepfit_train::changed_note(&model, &arguments.data).ok().flatten());
    tell(arguments, &evaluation)?;
    if let (Some(profile), Some(trace)) = (predictor.profile(), &arguments.profile) {
        output::profile(&profile, threads, trace, false)?;
    }
    Ok(Exit::Done)
}

fn tell(arguments: &Arguments, evaluation: &Evaluation) -> Result<()> {
    if arguments.json {
        return output::json(evaluation);
    }
    for note in &evaluation.notes {
        output::say(&words::printable(note));
    }
    output::out(&report::evaluation(evaluation, Style::stdout()))
}
