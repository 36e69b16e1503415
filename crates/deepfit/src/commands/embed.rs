//! `deepfit embed`: what a network makes of pictures, rows and texts before it decides.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum, ValueHint};
use deepfit_train::text::{Style, words};
use deepfit_train::{Embedder, Embedding, Layer, TextEmbedder, TrainError, is_text_model};

use super::{model_path, parse_threads, threads};
use crate::exit::{Exit, Usage};
use crate::output;
use crate::output::embeddings::{Format, Writer};

/// Arguments of `deepfit embed`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deepfit embed efficientnet-lite0 photos/ > features.csv      by the network that is part of deepfit
  deepfit embed runs/digits-1 picture.png --json
  deepfit embed models/resnet50/ photos/ --logits --json       by a published model
  deepfit embed models/all-MiniLM-L6-v2/ texts.txt --json      sentences, a line each

An embedding is what the last layer of a network sees: similar inputs have similar ones. Inputs that cannot be read are
reported on standard error, the others are embedded, and the exit code is 2.")]
pub struct Arguments {
    /// Run folder, model folder, folder or file of a published model, or efficientnet-lite0
    #[arg(value_name = "MODEL|RUN", value_hint = ValueHint::AnyPath)]
    model: PathBuf,
    /// Images, folders or .zip files of images, or a table; `-` reads a CSV table from standard input. For a model of
    /// texts: files of lines, .csv or .tsv tables, folders of .txt files; `-` reads lines
    #[arg(value_name = "INPUT", required = true, value_hint = ValueHint::AnyPath)]
    inputs: Vec<PathBuf>,
    /// Of tables of texts: the column that holds them [default: the only one, or one with a usual name, such as text]
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// How embeddings are written
    #[arg(long, value_name = "FORMAT", default_value = "csv")]
    format: FormatName,
    /// The same as --format json: an array of objects with `input`, and `embedding`, `logits` or `hidden`
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// The results of the last layer in place of what it sees
    #[arg(long)]
    logits: bool,
    /// Of texts: the hidden state of each token, as JSON
    #[arg(long, conflicts_with = "logits")]
    hidden: bool,
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = parse_threads)]
    threads: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatName {
    Csv,
    Json,
}

/// Embeds.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let from_stdin = arguments.inputs.iter().any(|path| path.as_os_str() == "-");
    if from_stdin && arguments.inputs.len() > 1 {
        let problem = "standard input, '-', is a table, which is read by itself; give '-' alone";
        return Err(Usage(problem.to_string()).into());
    }
    let format = match arguments.format {
        FormatName::Csv if !arguments.json && !arguments.hidden => Format::Csv,
        _ => Format::Json,
    };
    let layer = match (arguments.logits, arguments.hidden) {
        (true, _) => Layer::Logits,
        (_, true) => Layer::Hidden,
        _ => Layer::Embedding,
    };
    let (model, threads) = (model_path(&arguments.model)?, threads(arguments.threads));
    let mut writer = Writer::new(format, std::io::BufWriter::new(std::io::stdout().lock()));
    // The embedder's callback speaks its own errors; those of writing are kept here and end the command.
    let mut unwritten: Option<std::io::Error> = None;
    let mut embedded = 0_u64;
    let mut each = |embedding: Embedding| {
        embedded += 1;
        writer.write(&embedding).map_err(|error| {
            let told = std::io::Error::new(error.kind(), error.to_string());
            unwritten = Some(error);
            TrainError::Io { action: "write", path: PathBuf::from("standard output"), source: told }
        })
    };
    let stdin = "standard input";
    let (outcome, notes) = if is_text_model(&model) {
        let mut embedder = TextEmbedder::open(&model, layer, threads)?.column(arguments.column.clone());
        let outcome = match from_stdin {
            true => embedder.embed_reader(std::io::stdin().lock(), stdin, &mut each),
            false => embedder.embed_paths(&arguments.inputs, &mut each),
        };
        // An error stands by itself.
        let notes = if outcome.is_ok() { embedder.take_notes() } else { Vec::new() };
        (outcome, notes)
    } else {
        if arguments.column.is_some() {
            output::say("note: --column has no effect: it is for models of texts");
        }
        let mut embedder = Embedder::open(&model, layer, threads)?;
        let outcome = match from_stdin {
            true => embedder.embed_reader(std::io::stdin().lock(), stdin, &mut each),
            false => embedder.embed_paths(&arguments.inputs, &mut each),
        };
        (outcome, embedder.take_notes())
    };
    if let Some(error) = unwritten {
        return Err(output::stdout_error(error));
    }
    let finished = if outcome.is_ok() { writer.finish() } else { writer.abandon() };
    finished.map_err(output::stdout_error)?;
    for note in notes {
        output::say(&words::printable(&note));
    }
    let failed = outcome?;
    for (name, reason) in &failed {
        output::say(&words::printable(&format!("{name}: {reason}")));
    }
    if failed.is_empty() {
        return Ok(Exit::Done);
    }
    let inputs = words::plural(failed.len() as u64, "input");
    output::say(&format!("{} {inputs} could not be read, {embedded} embedded", Style::stderr().red("error:")));
    Ok(Exit::BadInput)
}
