//! `deepfit predict`: classes or values for pictures, rows and texts.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum, ValueHint};
use deepfit_cpu::Precision;
use deepfit_train::{Prediction, Predictor, TextPredictor, TrainError, is_text_model};

use super::{model_path, parse_precision, parse_threads, threads};
use crate::exit::{Exit, Usage};
use crate::output;
use crate::output::predictions::{Format, Writer};
use deepfit_train::text::{Style, words};

/// Arguments of `deepfit predict`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deepfit predict runs/digits-1 picture.png
  deepfit predict runs/digits-1 inbox/ --format csv > classes.csv
  deepfit predict runs/houses-1 new-houses.csv --json
  deepfit predict efficientnet-lite0 photos/               ImageNet's classes, by the network that is part of deepfit
  deepfit predict models/resnet50/ photo.jpg               a published model: its folder, or a file of its weights
  head -5 new-houses.csv | deepfit predict runs/houses-1 -

Inputs that cannot be read are reported on standard error, the others are predicted, and the exit code is 2.")]
pub struct Arguments {
    /// Run folder, model folder, folder or file of a published model, or efficientnet-lite0
    #[arg(value_name = "MODEL|RUN", value_hint = ValueHint::AnyPath)]
    run: PathBuf,
    /// Images, folders or .zip files of images, or a table (CSV, TSV, JSON Lines, Parquet, Arrow; text may be
    /// compressed as .gz or .zst); `-` reads a table from standard input. For a model of texts: files of lines, tables,
    /// folders of .txt files; `-` reads lines, or a table whose header has the columns that the run was trained on. For one
    /// that labels words also .conll files and JSON Lines of tokens
    #[arg(value_name = "INPUT", required = true, value_hint = ValueHint::AnyPath)]
    inputs: Vec<PathBuf>,
    /// Of tables of texts: the column that holds them [default: the only one, or one with a usual name, such as text]
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// How predictions are written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: FormatName,
    /// The same as --format json: an array of objects with `input`, `prediction` (for several labels `labels`), and
    /// `probabilities` (calibrated) with `logits`, or `value`; of runs also `set` or `interval`, which hold what is true as often
    /// as training was asked for, and `unlike_training`; of labelled words with `entities`: `label`, `text`, `start`, `end` (in
    /// characters) and `probability`
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = parse_threads)]
    threads: Option<usize>,
    /// Precision in which networks multiply matrices: f32 or bf16 [default: f32, whatever the run was trained in]
    #[arg(long, value_name = "NAME", value_parser = parse_precision, default_value = "f32", hide_default_value = true)]
    precision: Precision,
    /// Record the time of each operation: a table on standard error, and FILE for a browser's trace viewer
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    profile: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatName {
    Table,
    Csv,
    Json,
}

/// Predicts.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let dash = |path: &&PathBuf| path.as_os_str() == "-";
    let paths: Vec<PathBuf> = arguments.inputs.iter().filter(|p| !dash(p)).cloned().collect();
    let from_stdin = arguments.inputs.len() - paths.len();
    if from_stdin > 1 {
        return Err(Usage("standard input, '-', is given more than once".to_string()).into());
    }
    if from_stdin == 1 && !paths.is_empty() {
        let problem =
            "standard input, '-', is a table, and rows are predicted from one table at a time; give '-' alone";
        return Err(Usage(problem.to_string()).into());
    }
    let format = match arguments.format {
        FormatName::Table => Format::Table,
        FormatName::Csv => Format::Csv,
        FormatName::Json => Format::Json,
    };
    let format = if arguments.json { Format::Json } else { format };
    let records = output::profiles(arguments.profile.as_deref())?;
    let (model, threads) = (model_path(&arguments.run)?, threads(arguments.threads));
    let mut writer = Writer::new(format, std::io::BufWriter::new(std::io::stdout().lock()), Style::stdout());
    // The predictor's callback speaks its own errors; those of writing are kept here and end the prediction.
    let mut unwritten: Option<std::io::Error> = None;
    let mut predicted = 0_u64;
    let mut each = |prediction: Prediction| {
        predicted += 1;
        writer.write(&prediction).map_err(|error| {
            let told = std::io::Error::new(error.kind(), error.to_string());
            unwritten = Some(error);
            TrainError::Io { action: "write", path: PathBuf::from("standard output"), source: told }
        })
    };
    let stdin = "standard input";
    let mut profile = None;
    let (outcome, notes) = if is_text_model(&model) {
        if records {
            output::say("note: --profile has no effect on models of texts");
        }
        let mut predictor =
            TextPredictor::open_in(&model, threads, arguments.precision)?.column(arguments.column.clone());
        let outcome = match from_stdin == 1 {
            true => predictor.predict_reader(std::io::stdin().lock(), stdin, &mut each),
            false => predictor.predict_paths(&paths, &mut each),
        };
        // An error stands by itself.
        let notes = if outcome.is_ok() { predictor.take_notes() } else { Vec::new() };
        (outcome, notes)
    } else {
        if arguments.column.is_some() {
            output::say(
                "note: --column has no effect: a run reads the columns that it was trained on; --column is for published models",
            );
        }
        let mut predictor = Predictor::open_in(&model, threads, arguments.precision)?;
        if records {
            predictor.record();
        }
        let outcome = match from_stdin == 1 {
            true => predictor.predict_reader(std::io::stdin().lock(), stdin, &mut each),
            false => predictor.predict_paths(&paths, &mut each),
        };
        profile = predictor.profile();
        (outcome, predictor.take_notes())
    };
    if let Some(error) = unwritten {
        return Err(output::stdout_error(error));
    }
    // What was predicted before a failure is shown in any case.
    let finished = if outcome.is_ok() { writer.finish() } else { writer.abandon() };
    finished.map_err(output::stdout_error)?;
    for note in notes {
        output::say(&words::printable(&note));
    }
    let failed = outcome?;
    if let (Some(profile), Some(trace)) = (profile, &arguments.profile) {
        output::profile(&profile, threads, trace, false)?;
    }
    for (name, reason) in &failed {
        output::say(&words::printable(&format!("{name}: {reason}")));
    }
    if failed.is_empty() {
        return Ok(Exit::Done);
    }
    let style = Style::stderr();
    output::say(&format!(
        "{} {} could not be read, {predicted} predicted",
        style.red("error:"),
        words::plural(failed.len() as u64, "input")
    ));
    Ok(Exit::BadInput)
}
